//! A part of `weir.raw` decoded again, by the very code that decoded it first. Nothing of it goes to a topic.
//!
//! No I/O: whoever reads the log hands frames in, in their order, and takes the flows of the window. What lies before the window teaches
//! templates, options and rates; what lies behind it releases what came to wait within. Where the log does not reach back to the
//! beginning, what is known now stands in for what was known then, except for what waits now: that lies in the log itself.
//!
//! What was dead and put back lies in the log twice: where it was received, and where it was put back. Of the two one gives flows: the first,
//! unless it is dead now too.

use crate::Config;
use crate::enrich::Enricher;
use crate::enrich::database::Databases;
use crate::partition::{Emit, Partition, RawRecord, Shared, Tally, To, split_key};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use weir_schemas::avro::{AvroError, read_batch};
use weir_schemas::deadletter::Origin;
use weir_schemas::{Batch, Flow, Ip, deadletter, frame};
use weir_wire::{Waits, waits};

/// Frames after which batches are taken out.
const FLUSH: u32 = 256;
const SECOND: i64 = 1_000_000_000;
/// How far receive times of one log may be out of order, ns.
const OUT_OF_ORDER: i64 = 60 * SECOND;

/// What is to be decoded again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// Receive times, ns.
    pub received: Range<i64>,
    /// Exporters; empty: all.
    pub exporters: BTreeSet<Ip>,
}

impl Window {
    fn has(&self, received: i64) -> bool {
        self.received.contains(&received)
    }

    fn wants(&self, key: Option<&[u8]>) -> bool {
        let exporter = || key.and_then(|key| <[u8; 16]>::try_from(key).ok()).map(Ip);
        self.exporters.is_empty() || exporter().is_some_and(|exporter| self.exporters.contains(&exporter))
    }
}

/// What came of a window, beside its flows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Datagrams of the window.
    pub datagrams: u64,
    /// What would be dead letters, by reason.
    pub dead: BTreeMap<String, u64>,
    /// Datagrams of the window with sets that still wait for their template at the log's end, or of which it can't be said where else they
    /// gave flows.
    pub waiting: BTreeSet<Waits>,
    /// Earliest receive time of the whole log.
    pub earliest: Option<i64>,
}

/// A partition that is decoded again.
pub struct Replay {
    state: Partition,
    config: Config,
    enricher: Arc<Enricher>,
    databases: Arc<Databases>,
    topic: String,
    window: Window,
    tally: Tally,
    taken: Taken,
    frames: u32,
    outcome: Outcome,
    origins: BTreeMap<Origin, Fate>,
}

/// What became of what was put back later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It does not lie in this log, or not yet.
    Unmet,
    /// It was decoded, or waits.
    Given,
    /// It was dead again.
    Dead,
    /// It is left alone, and so is what it was put back as.
    Left,
}

/// Takes what the decoder would write.
#[derive(Default)]
struct Taken {
    batches: Vec<Vec<u8>>,
    waiting: BTreeMap<Vec<u8>, Waits>,
    /// How many sets of a datagram wait.
    places: BTreeMap<(u64, u32), usize>,
    dead: Vec<deadletter::About>,
}

impl Taken {
    fn wait(&mut self, key: &[u8], waits: Waits) {
        if self.waiting.insert(key.to_vec(), waits).is_none() {
            *self.places.entry((waits.raw_offset, waits.frame_index)).or_default() += 1;
        }
    }

    fn wait_no_longer(&mut self, key: &[u8]) {
        let Some(waited) = self.waiting.remove(key) else { return };
        let place = (waited.raw_offset, waited.frame_index);
        if let Some(sets) = self.places.get_mut(&place) {
            *sets -= 1;
            if *sets == 0 {
                self.places.remove(&place);
            }
        }
    }
}

impl Emit for Taken {
    fn emit(&mut self, to: To, key: &[u8], value: Option<&[u8]>, _: &[(&str, &[u8])]) {
        match (to, value) {
            (To::Flows, Some(value)) => self.batches.push(value.to_vec()),
            (To::State, value) => match (waiting(key, value), value) {
                (Some((_, waits)), Some(_)) => self.wait(key, waits),
                (Some(_), None) => self.wait_no_longer(key),
                (None, _) => {}
            },
            (To::DeadLetter, Some(value)) => {
                if let Ok((about, _)) = deadletter::read(value) {
                    self.dead.push(about);
                }
            }
            (To::Flows | To::DeadLetter, None) | (To::Inventory, _) => {}
        }
    }
}

/// What a record of `weir.state` says of a set that waits, and whose it is; `None`: it is of something else.
pub fn waiting(key: &[u8], value: Option<&[u8]>) -> Option<(Ip, Waits)> {
    let (kind, exporter, rest) = split_key(key)?;
    let own: Vec<u8> = std::iter::once(kind).chain(rest.iter().copied()).collect();
    waits(&own, value).map(|waits| (exporter, waits))
}

impl Replay {
    /// Knows nothing yet. Rows get `generation`.
    pub fn new(
        partition: i32,
        generation: u32,
        config: &Config,
        enricher: &Arc<Enricher>,
        topic: &str,
        window: &Window,
    ) -> Self {
        let config = Config { generation, ..config.clone() };
        Self {
            state: Partition::new(partition, &config),
            config,
            databases: enricher.databases(),
            enricher: Arc::clone(enricher),
            topic: topic.to_owned(),
            window: window.clone(),
            tally: Tally::default(),
            taken: Taken::default(),
            frames: 0,
            outcome: Outcome::default(),
            origins: BTreeMap::new(),
        }
    }

    /// Says what was put back and lies in this log.
    pub fn expect(&mut self, origins: impl IntoIterator<Item = Origin>) {
        self.origins = origins.into_iter().map(|origin| (origin, Fate::Unmet)).collect();
    }

    fn split(&mut self) -> (&mut Partition, Shared<'_>, &mut Tally, &mut Taken) {
        let Self { state, config, enricher, databases, topic, tally, taken, .. } = self;
        (state, Shared { config, enricher, databases, raw_topic: topic }, tally, taken)
    }

    /// Takes a record of `weir.state` as it is now. What can't be taken is learned from the log.
    pub fn restore_state(&mut self, key: &[u8], value: Option<&[u8]>) {
        if waiting(key, value).is_none() {
            let (state, shared, ..) = self.split();
            let _ = state.restore_state(key, value, &shared);
        }
    }

    /// Takes a record of `weir.inventory` as it is now.
    pub fn restore_inventory(&mut self, key: &[u8], value: Option<&[u8]>) {
        let _ = self.state.restore_inventory(key, value);
    }

    /// Ends what is restored.
    pub fn restored(&mut self) {
        let (state, shared, _, taken) = self.split();
        state.restored(&shared, 0, taken);
        state.rewind();
    }

    /// A record that was put back. True where nothing of it is to be decoded, because what it holds gave its flows where it lay before; or
    /// because it waits (there, or, as `waits` says, here and now): then both are left alone.
    pub fn has_come(&mut self, record: &RawRecord<'_>, origin: &Origin, waits: bool) -> bool {
        let fate = self.origins.get(origin).copied().unwrap_or(Fate::Unmet);
        if matches!(fate, Fate::Unmet | Fate::Dead) {
            return false;
        }
        let from = origin.offset.unsigned_abs();
        let datagrams: Vec<(u32, i64)> = (0..)
            .zip(frame::datagrams(record.value.unwrap_or_default()).map_while(Result::ok))
            .map(|(index, datagram)| (index, datagram.received))
            .collect();
        let waits_there = |(index, _): &(u32, i64)| {
            self.taken.places.contains_key(&(from, origin.frame_index.saturating_add(*index)))
        };
        let is_left = fate == Fate::Left || waits || datagrams.iter().any(waits_there);
        if is_left {
            for (index, received) in datagrams {
                let there = Waits {
                    raw_offset: from,
                    frame_index: origin.frame_index.saturating_add(index),
                    received,
                };
                let here = Waits { raw_offset: record.offset.unsigned_abs(), frame_index: index, received };
                self.outcome.waiting.extend([there, here]);
            }
        }
        self.meet(record, if is_left { Fate::Left } else { Fate::Given });
        true
    }

    /// What was put back later lies in this record.
    fn meet(&mut self, record: &RawRecord<'_>, fate: Fate) {
        let value = record.value.unwrap_or_default();
        let first = Origin { offset: record.offset, frame_index: 0, byte_offset: 0, received: i64::MIN };
        let behind = Origin { offset: record.offset.saturating_add(1), ..first };
        for (origin, is) in self.origins.range_mut(first..behind) {
            if received(value, origin.frame_index) == origin.received {
                *is = fate;
            }
        }
    }

    /// Decodes the next frame of the log; `each` gets the flows of the window.
    ///
    /// # Errors
    /// Where what the decoder wrote can't be read: a defect.
    pub fn frame(
        &mut self,
        record: &RawRecord<'_>,
        each: &mut dyn FnMut(&Batch<'_>, &Flow<'_>),
    ) -> Result<(), AvroError> {
        let (mut inside, mut earliest) = (0, i64::MAX);
        for datagram in frame::datagrams(record.value.unwrap_or_default()).map_while(Result::ok) {
            inside += u64::from(self.window.has(datagram.received));
            earliest = earliest.min(datagram.received);
        }
        if earliest < i64::MAX {
            self.outcome.earliest = Some(self.outcome.earliest.map_or(earliest, |known| known.min(earliest)));
        }
        // Nothing that came to wait in the window waits longer than this.
        let waits = i64::from(self.config.wire.parked_age_s) * SECOND;
        let over = self.window.received.end.saturating_add(waits).saturating_add(OUT_OF_ORDER);
        if !self.window.wants(record.key) || (earliest != i64::MAX && earliest > over) {
            return Ok(());
        }
        self.outcome.datagrams += inside;
        self.meet(record, Fate::Given);
        let (state, shared, tally, taken) = self.split();
        let decoded = catch_unwind(AssertUnwindSafe(|| state.frame(record, &shared, tally, taken)));
        if decoded.is_err() && inside > 0 {
            // What the decoder would bury after some tries.
            *self.outcome.dead.entry("poison".to_owned()).or_default() += 1;
        }
        if decoded.is_err() {
            bury(&mut self.origins, (record.offset, 0, 0));
        }
        for about in self.taken.dead.drain(..) {
            bury(&mut self.origins, (about.offset, about.frame_index, about.byte_offset as u64));
            // A whole record has no time of its own.
            if self.window.has(about.received) || (about.received == 0 && inside > 0) {
                *self.outcome.dead.entry(about.reason).or_default() += 1;
            }
        }
        self.frames += 1;
        if self.frames.is_multiple_of(FLUSH) { self.flush(each) } else { Ok(()) }
    }

    fn flush(&mut self, each: &mut dyn FnMut(&Batch<'_>, &Flow<'_>)) -> Result<(), AvroError> {
        let (state, shared, tally, taken) = self.split();
        state.flush(&shared, tally, taken);
        for message in self.taken.batches.drain(..) {
            let (batch, flows) = read_batch(&message)?;
            for flow in flows {
                let flow = flow?;
                if self.window.has(flow.received.0) {
                    each(&batch, &flow);
                }
            }
        }
        Ok(())
    }

    /// Ends the log.
    ///
    /// # Errors
    /// As [`frame`](Self::frame).
    pub fn finish(mut self, each: &mut dyn FnMut(&Batch<'_>, &Flow<'_>)) -> Result<Outcome, AvroError> {
        self.flush(each)?;
        let Self { window, taken, mut outcome, .. } = self;
        outcome.waiting.extend(taken.waiting.into_values());
        outcome.waiting.retain(|waits| window.has(waits.received));
        Ok(outcome)
    }
}

/// Receive time of a frame's datagram; 0 where it can't be read.
pub fn received(frame: &[u8], index: u32) -> i64 {
    let datagram = frame::datagrams(frame).nth(index as usize).and_then(Result::ok);
    datagram.map_or(0, |datagram| datagram.received)
}

/// What lies there is dead.
fn bury(origins: &mut BTreeMap<Origin, Fate>, (offset, frame_index, byte_offset): (i64, u32, u64)) {
    let of = |received| Origin { offset, frame_index, byte_offset, received };
    for (_, fate) in origins.range_mut(of(i64::MIN)..=of(i64::MAX)) {
        if *fate == Fate::Given {
            *fate = Fate::Dead;
        }
    }
}
