//! One partition on its way into the store: a batch that fills and a batch that is being inserted.
//!
//! No I/O. The states are the rule: a batch is planned, inserted, and committed, in this order, one at a time, and a plan that was
//! left behind is repeated to the letter before anything new (docs/exactly-once.md, rule 7).

use crate::batch::{Batch, Ready};
use crate::config::{Config, LostBatch};
use crate::plan::{FORMAT, Plan, PlanError};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::DropGuard;
use weir_runtime::Stop;
use weir_schemas::avro::AvroError;
use weir_store::SETTINGS_VERSION;

/// What became of a batch's insert.
#[derive(Clone, Debug)]
pub enum Flight {
    /// To be planned and sent.
    Waiting {
        /// Not before this time: after a failure there is a pause.
        since: Instant,
        /// Tries so far.
        tries: u32,
        /// Pieces that are stored already: its plan held no longer before the others were sent.
        stored: usize,
    },
    /// Its plan is committed, and its insert under way.
    Flying {
        /// Tries before.
        tries: u32,
    },
    /// Every table has acknowledged; to be committed.
    Landed,
}

/// How long a partition whose plan is not whole may say nothing until an end waits for it no longer.
const QUIET: Duration = Duration::from_secs(3);
/// And until that is said.
const SILENT: Duration = Duration::from_secs(10);

/// A partition.
pub struct Lane {
    number: i32,
    filling: Batch,
    begun: Option<Instant>,
    /// The plan that has to be repeated before anything else.
    repeat: Option<Plan>,
    /// When the last message came, and whether it was said that none does.
    heard: Instant,
    told: bool,
    lost_batch: LostBatch,
    /// Offsets found lost, behind which nothing was read yet.
    lost: u64,
    /// The batch that is inserted.
    pub sent: Option<(Arc<Ready>, Flight)>,
    /// Whether reading stands still.
    pub paused: bool,
    /// Cancelled when the partition is let go of, however that happens: no insert begins after that.
    pub given_up: Stop,
    _given_up: DropGuard,
}

/// Where a plan is repeated, for its errors.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// Topic.
    pub topic: &'a str,
    /// Consumer group.
    pub group: &'a str,
}

impl Lane {
    /// A partition that repeats `plan` first, where there is one.
    ///
    /// # Errors
    /// The plan is of another release.
    pub fn new(
        number: i32,
        plan: Option<Plan>,
        topic: &str,
        lost_batch: LostBatch,
    ) -> Result<Self, PlanError> {
        if let Some(&Plan { format, settings, .. }) = plan.as_ref()
            && (format, settings) != (FORMAT, SETTINGS_VERSION)
        {
            return Err(PlanError::Format { topic: topic.to_owned(), partition: number, format, settings });
        }
        let given_up = Stop::new();
        Ok(Self {
            number,
            filling: Batch::default(),
            begun: None,
            repeat: plan,
            heard: Instant::now(),
            told: false,
            lost_batch,
            lost: 0,
            sent: None,
            paused: false,
            _given_up: given_up.clone().drop_guard(),
            given_up,
        })
    }

    /// Its number.
    pub fn number(&self) -> i32 {
        self.number
    }

    /// Adds a message. The inner result is that of reading it.
    ///
    /// # Errors
    /// It is not what was planned, and that is to stop the sink.
    pub fn add(
        &mut self,
        offset: i64,
        schema: Option<&[u8]>,
        value: &[u8],
        place: Place<'_>,
    ) -> Result<Result<(), AvroError>, PlanError> {
        self.heard = Instant::now();
        if let Some(plan) = &self.repeat {
            let starts = !self.filling.is_empty() || offset == plan.first;
            if (!starts || offset > plan.last) && self.lost_batch == LostBatch::Stop {
                return Err(self.mismatch(
                    plan,
                    place,
                    format!("offset {offset} came where {} was planned", plan.first),
                ));
            }
            if offset > plan.last {
                self.repeat_rest(place)?;
            }
        }
        self.begun.get_or_insert_with(Instant::now);
        self.filling.lost += std::mem::take(&mut self.lost);
        Ok(self.filling.add(offset, schema, value))
    }

    /// What to say where the log begins behind a position that this partition needs, if that takes away what it has to repeat.
    pub fn cut_off(&self, begin: i64, place: Place<'_>) -> Option<PlanError> {
        let stops = self.lost_batch == LostBatch::Stop;
        let plan = self.repeat.as_ref().filter(|plan| stops && plan.first < begin)?;
        Some(self.mismatch(plan, place, format!("the log begins at {begin}")))
    }

    /// Offsets from `wanted` on that are gone where the log begins at `begin`. Those of a batch that is repeated are its plan's to count.
    pub fn gone(&self, wanted: i64, begin: i64) -> u64 {
        let from = self.repeat.as_ref().map_or(wanted, |plan| wanted.max(plan.last + 1));
        if begin > from { begin.abs_diff(from) } else { 0 }
    }

    /// Notes that so many offsets are lost. They are counted once, with the end of the batch of what is read next: until that is planned,
    /// whoever starts here finds them again, and then its plan has them.
    pub fn lose(&mut self, offsets: u64) {
        self.lost += offsets;
    }

    fn mismatch(&self, plan: &Plan, place: Place<'_>, what: String) -> PlanError {
        PlanError::Mismatch {
            topic: place.topic.to_owned(),
            partition: self.number,
            first: plan.first,
            last: plan.last,
            group: place.group.to_owned(),
            what,
        }
    }

    /// Moves a batch that is full or old enough on to be inserted, where none is. A repeated one is held against its plan.
    pub fn close(&mut self, config: &Config, draining: bool, place: Place<'_>) -> Result<bool, PlanError> {
        if self.sent.is_some() || self.filling.is_empty() || !self.is_due(config, draining) {
            return Ok(false);
        }
        self.send(place)
    }

    /// The range of a repeated batch is over without its last message: what there is of it goes as it is.
    fn repeat_rest(&mut self, place: Place<'_>) -> Result<(), PlanError> {
        if !self.send(place)?
            && let Some(plan) = self.repeat.take()
        {
            let lost = self.tell_lost(&plan, 0, place);
            self.lose(plan.lost + lost);
        }
        Ok(())
    }

    /// Moves what was read on to be inserted, if anything was.
    fn send(&mut self, place: Place<'_>) -> Result<bool, PlanError> {
        let planned = self.repeat.as_ref().map(|plan| plan.pieces);
        let Some(mut ready) = self.filling.finish(planned) else { return Ok(false) };
        self.begun = None;
        if let Some(mut plan) = self.repeat.take() {
            let is = &ready.plan;
            plan.lost += is.lost;
            ready.lost = plan.lost;
            if (is.records, is.checksum, is.last) != (plan.records, plan.checksum, plan.last) {
                if self.lost_batch == LostBatch::Stop {
                    let what = format!(
                        "{} records with checksum {:08x}, planned were {} with {:08x}",
                        is.records, is.checksum, plan.records, plan.checksum
                    );
                    return Err(self.mismatch(&plan, place, what));
                }
                // Found again by whoever repeats it next, so that its plan has it not.
                ready.lost += self.tell_lost(&plan, is.records, place);
            }
            // Its tokens and its end are those that were planned: what ClickHouse has of it must not be stored beside it.
            ready.plan = plan;
            metrics::counter!(crate::metrics::REPEATED).increment(1);
        }
        self.sent = Some((Arc::new(ready), Flight::Waiting { since: Instant::now(), tries: 0, stored: 0 }));
        Ok(true)
    }

    fn tell_lost(&self, plan: &Plan, left: u64, place: Place<'_>) -> u64 {
        let lost = plan.records.saturating_sub(left);
        tracing::error!(
            topic = place.topic,
            partition = self.number,
            first = plan.first,
            last = plan.last,
            left,
            lost,
            "messages of a batch that was being inserted are not there any more; what is left of it is inserted under its tokens"
        );
        lost
    }

    fn is_due(&self, config: &Config, draining: bool) -> bool {
        if let Some(plan) = &self.repeat {
            return self.filling.last() == Some(plan.last);
        }
        draining
            || self.is_full(config)
            || self.begun.is_some_and(|begun| begun.elapsed() >= Duration::from_millis(config.batch_ms))
    }

    /// True where the filling batch takes no more. One that repeats a plan takes what was planned.
    pub fn is_full(&self, config: &Config) -> bool {
        match &self.repeat {
            Some(plan) => self.filling.last() == Some(plan.last),
            None => {
                self.filling.flows() >= config.batch_rows as u64
                    || self.filling.bytes() >= config.batch_bytes
                    || self.filling.is_wide()
            }
        }
    }

    /// True while a plan that was left behind is being read again: it must come whole, whatever memory says.
    pub fn repeats(&self) -> bool {
        self.repeat.is_some()
    }

    /// About how many bytes of memory it takes.
    pub fn bytes(&self) -> usize {
        self.filling.bytes() + self.sent.as_ref().map_or(0, |(ready, _)| ready.bytes())
    }

    /// True where nothing is on its way that an end has to wait for. The rest of a plan that is being repeated is waited for while it comes: where
    /// a power cut took it it never does, and the plan is there for the next start.
    pub fn is_idle(&self, now: Instant) -> bool {
        let comes = || now.saturating_duration_since(self.heard) < QUIET;
        self.sent.is_none() && (self.filling.is_empty() || (self.repeat.is_some() && !comes()))
    }

    /// Says once where the rest of a plan does not come.
    pub fn tell_silence(&mut self, now: Instant, place: Place<'_>) -> bool {
        let silent = now.saturating_duration_since(self.heard) >= SILENT;
        let Some(plan) = self.repeat.as_ref().filter(|_| silent && !self.told) else { return false };
        tracing::warn!(
            topic = place.topic,
            partition = self.number,
            first = plan.first,
            last = plan.last,
            read = self.filling.last(),
            "a batch that was being inserted is read again and its rest does not come: where a power cut took it, the next message of this \
             partition tells, and sink.lost_batch says what becomes of the batch; until then nothing of this partition is stored"
        );
        self.told = true;
        true
    }
}

/// Pause before the next try of a failed insert.
pub fn back_off(tries: u32) -> Duration {
    Duration::from_millis(200 << tries.min(6))
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_schemas::Flow;
    use weir_schemas::avro::BatchWriter;

    const PLACE: Place<'_> = Place { topic: "weir.flows", group: "weir-sink" };

    fn message() -> Vec<u8> {
        let mut writer = BatchWriter::default();
        writer.push(&Flow::default());
        let mut out = Vec::new();
        writer.finish(&weir_schemas::Batch::default(), 0, &mut out);
        out
    }

    fn lane(plan: Option<Plan>, offsets: &[i64]) -> Result<Lane, PlanError> {
        read(Lane::new(3, plan, PLACE.topic, LostBatch::Stop)?, offsets)
    }

    fn read(mut lane: Lane, offsets: &[i64]) -> Result<Lane, PlanError> {
        for offset in offsets {
            lane.add(*offset, None, &message(), PLACE)?.unwrap();
        }
        Ok(lane)
    }

    fn closed(offsets: &[i64]) -> Plan {
        let mut lane = lane(None, offsets).unwrap();
        assert!(lane.close(&Config::default(), true, PLACE).unwrap());
        lane.sent.unwrap().0.plan.clone()
    }

    #[test]
    fn one_batch_is_inserted_at_a_time() {
        let mut lane = lane(None, &[1, 2]).unwrap();
        assert!(!lane.close(&Config::default(), false, PLACE).unwrap(), "neither full nor old");
        assert!(lane.close(&Config::default(), true, PLACE).unwrap());
        lane.add(3, None, &message(), PLACE).unwrap().unwrap();
        assert!(!lane.close(&Config::default(), true, PLACE).unwrap(), "one is on its way");
    }

    #[test]
    fn whoever_inserts_for_a_partition_knows_when_it_is_let_go_of() {
        let lane = lane(None, &[1]).unwrap();
        let given_up = lane.given_up.clone();
        assert!(!given_up.is_cancelled());
        drop(lane);
        assert!(given_up.is_cancelled());
    }

    #[test]
    fn a_plan_is_repeated_to_the_letter_and_ends_at_its_last_data_offset() {
        // 4 and 5 are transaction markers: they never arrive.
        let plan = closed(&[1, 2, 3, 6]);
        let mut again = lane(Some(plan.clone()), &[1, 2, 3]).unwrap();
        assert!(
            !again.close(&Config::default(), true, PLACE).unwrap(),
            "the last record is missing, drain or not"
        );
        again.add(6, None, &message(), PLACE).unwrap().unwrap();
        assert!(again.is_full(&Config::default()));
        assert!(again.close(&Config::default(), false, PLACE).unwrap());
        assert_eq!(again.sent.unwrap().0.plan, plan);
    }

    #[test]
    fn what_is_not_there_as_planned_any_more_stops_with_the_range_and_the_mend() {
        let plan = closed(&[1, 2, 3]);
        for offsets in [&[2, 3][..], &[1, 4]] {
            let error = lane(Some(plan.clone()), offsets).err().unwrap().to_string();
            assert!(error.starts_with("weir.flows/3: offsets 1 to 3 were being inserted"), "{error}");
        }
        let mut gap = lane(Some(plan.clone()), &[1, 3]).unwrap();
        let error = gap.close(&Config::default(), false, PLACE).unwrap_err().to_string();
        assert!(error.contains("2 records with checksum") && error.contains("group weir-sink"), "{error}");
        let cut = lane(Some(plan.clone()), &[]).unwrap();
        assert!(cut.cut_off(1, PLACE).is_none());
        assert!(cut.cut_off(2, PLACE).unwrap().to_string().contains("the log begins at 2"));
        for other in [
            Plan { format: FORMAT + 1, ..plan.clone() },
            Plan { settings: SETTINGS_VERSION + 1, ..plan.clone() },
        ] {
            assert!(matches!(lane(Some(other), &[]), Err(PlanError::Format { partition: 3, .. })));
        }
    }

    #[test]
    fn what_is_left_of_a_plan_is_inserted_under_its_tokens_where_that_is_asked_for() {
        let plan = closed(&[1, 2, 3]);
        let rest = || Lane::new(3, Some(plan.clone()), PLACE.topic, LostBatch::StoreRest).unwrap();
        // Its beginning is gone, or something in the middle; or its end, which a message behind it shows.
        for (offsets, flows, behind) in [
            (&[2, 3][..], 2, false),
            (&[3], 1, false),
            (&[1, 3], 2, false),
            (&[1, 2, 9], 2, true),
            (&[1, 9], 1, true),
        ] {
            let mut lane = read(rest(), offsets).unwrap();
            assert!(lane.cut_off(2, PLACE).is_none());
            lane.close(&Config::default(), false, PLACE).unwrap();
            let (ready, _) = lane.sent.as_ref().unwrap();
            assert_eq!((&ready.plan, ready.flows), (&plan, flows), "{offsets:?}");
            assert!(!lane.repeats());
            assert_eq!(lane.filling.last(), behind.then_some(9), "what lies behind is a batch of its own");
        }
        let nothing = read(rest(), &[9, 10]).unwrap();
        assert!(nothing.sent.is_none() && !nothing.repeats());
        assert_eq!((nothing.filling.flows(), nothing.filling.last()), (2, Some(10)));
    }

    #[test]
    fn an_end_waits_for_the_rest_of_a_plan_while_it_comes_and_it_is_said_once_that_it_does_not() {
        let plan = closed(&[1, 2, 3]);
        for lost_batch in [LostBatch::Stop, LostBatch::StoreRest] {
            let lane = Lane::new(3, Some(plan.clone()), PLACE.topic, lost_batch).unwrap();
            let mut lane = read(lane, &[1, 2]).unwrap();
            let now = Instant::now();
            assert!(!lane.is_idle(now), "its last message may be on its way");
            assert!(lane.is_idle(now + QUIET), "it may never come");
            assert!(!lane.tell_silence(now + QUIET, PLACE));
            assert!(lane.tell_silence(now + SILENT, PLACE) && !lane.tell_silence(now + 2 * SILENT, PLACE));
            lane.add(3, None, &message(), PLACE).unwrap().unwrap();
            lane.close(&Config::default(), true, PLACE).unwrap();
            assert!(!lane.is_idle(now + 2 * SILENT), "it is whole, and on its way");
        }
        let mut other = lane(None, &[1, 2]).unwrap();
        let later = Instant::now() + SILENT;
        assert!(!other.is_idle(later), "what was read is stored before an end");
        assert!(!other.tell_silence(later, PLACE));
    }

    #[test]
    fn what_retention_took_behind_a_plan_is_counted_beside_what_it_took_of_it() {
        let plan = closed(&[1, 2, 3]);
        let rest = Lane::new(3, Some(plan), PLACE.topic, LostBatch::StoreRest).unwrap();
        for (wanted, begin, gone) in [(1, 2, 0), (1, 4, 0), (1, 1000, 996), (3, 6, 2), (9, 11, 2)] {
            assert_eq!(rest.gone(wanted, begin), gone, "{wanted} {begin}");
        }
        assert_eq!(lane(None, &[]).unwrap().gone(1, 1000), 999);
    }

    #[test]
    fn what_is_lost_goes_with_the_batch_behind_it_once() {
        let plan = closed(&[1, 2, 3]);
        for (offsets, lost) in [(&[1, 2, 3][..], 5), (&[3], 7), (&[9], 8)] {
            let mut lane = Lane::new(3, Some(plan.clone()), PLACE.topic, LostBatch::StoreRest).unwrap();
            lane.lose(5);
            let mut lane = read(lane, offsets).unwrap();
            for lost in [lost, 0] {
                lane.close(&Config::default(), true, PLACE).unwrap();
                assert_eq!(lane.sent.take().unwrap().0.lost, lost, "{offsets:?}");
                lane.add(10, None, &message(), PLACE).unwrap().unwrap();
            }
        }
        let mut lane = lane(None, &[1]).unwrap();
        lane.lose(8);
        for (offset, lost) in [(10, 0), (11, 8), (12, 0)] {
            lane.close(&Config::default(), true, PLACE).unwrap();
            assert_eq!(lane.sent.take().unwrap().0.lost, lost, "before {offset}");
            lane.add(offset, None, &message(), PLACE).unwrap().unwrap();
        }
    }

    #[test]
    fn what_was_lost_before_a_batch_that_was_planned_is_counted_once_by_whoever_ends_it() {
        let mut lane = lane(None, &[]).unwrap();
        lane.lose(5);
        let mut lane = read(lane, &[6, 7]).unwrap();
        lane.close(&Config::default(), true, PLACE).unwrap();
        let mut plan = lane.sent.unwrap().0.plan.clone();
        // Whole, then without its first message, twice, and at last without any.
        for (offsets, lost) in [(&[6, 7][..], 5), (&[7], 6), (&[7], 6), (&[9], 7)] {
            let again = Lane::new(3, Some(plan), PLACE.topic, LostBatch::StoreRest).unwrap();
            let mut again = read(again, offsets).unwrap();
            again.close(&Config::default(), true, PLACE).unwrap();
            let ready = again.sent.unwrap().0;
            assert_eq!(ready.lost, lost, "{offsets:?}");
            plan = ready.plan.clone();
        }
    }
}
