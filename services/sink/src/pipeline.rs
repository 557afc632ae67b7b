//! The sink's whole path: poll → fill → plan → insert → commit, partition by partition.
//!
//! A plan is committed before its insert, so a process that lost the partition meanwhile is refused *before* it writes. Inserts
//! run beside the reading; memory is bounded, and reading stands still where ClickHouse is slower than the flows.

use crate::batch::SCHEMA_HEADER;
use crate::insert::{Lease, Origin, Outcome, insert};
use crate::lane::{Flight, Lane, Place, back_off};
use crate::plan::{Metadata, resume};
use crate::question::Questions;
use crate::{Config, Error, dead, follow::Follower, metrics as names};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use weir_bus::{Bus, Event, GroupConsumer, Position, Topics};
use weir_runtime::{Repeats, Stop};
use weir_schemas::avro::AvroError;
use weir_store::Store;

/// What an insert came to.
struct Landing {
    partition: i32,
    /// Cancelled where the partition was given up meanwhile, even if it came back.
    given_up: Stop,
    outcome: Outcome,
    /// The client that it used.
    store: Store,
}

/// How long a poll may wait.
const PATIENCE: Duration = Duration::from_millis(50);
/// Pause before a bus that is away is asked again.
const AGAIN: Duration = Duration::from_millis(500);
/// How long events are taken before anything else is looked at.
const MOMENT: Duration = Duration::from_millis(10);
/// How long a partition that is wanted by others waits for its insert.
const GIVE_UP_AFTER: Duration = Duration::from_secs(5);

/// What an event means for what comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// More may be there.
    More,
    /// Something else is due.
    Pause,
}

/// One chain: a consumer and the partitions that it holds.
pub struct Worker<B: Bus> {
    bus: B,
    recreated: Stop,
    config: Arc<Config>,
    origin: Origin,
    identity: String,
    store: Store,
    runtime: Handle,
    permits: Arc<Semaphore>,
    consumer: B::Consumer,
    questions: Arc<Questions<B>>,
    follower: Follower<B>,
    dead: dead::Letters<B>,
    lanes: BTreeMap<i32, Lane>,
    /// Partitions assigned whose start had no answer. Nothing of them is held.
    unstarted: BTreeSet<i32>,
    /// Which of them answer by now, and when to ask that again.
    asked: Option<mpsc::Receiver<weir_bus::Result<(i32, i64)>>>,
    ask_again: Instant,
    landings: (mpsc::Sender<Landing>, mpsc::Receiver<Landing>),
    /// When the ends of stored batches may be committed again, after how many refusals.
    end_again: (Instant, u32),
    /// And when dead letters that fill their room may be written again.
    letters_again: (Instant, u32),
    told: Told,
}

/// Troubles that last, each said once.
#[derive(Default)]
struct Told {
    poll: Repeats,
    start: Repeats,
    plan: Repeats,
    end: Repeats,
    letters: Repeats,
    password: Repeats,
}

impl<B: Bus> Worker<B> {
    /// Joins the group under the worker's stable identity. `recreated` is cancelled when the topic is another one than `incarnation`.
    pub fn open(
        bus: &B,
        topics: &Topics,
        (incarnation, recreated): (&str, &Stop),
        config: &Arc<Config>,
        store: &Store,
        runtime: &Handle,
        number: usize,
    ) -> Result<Self, Error> {
        let identity = format!("{}-{number}", config.instance);
        let questions = Questions::new(bus);
        Ok(Self {
            bus: bus.clone(),
            recreated: recreated.clone(),
            config: Arc::clone(config),
            origin: Origin { topic: topics.flows.clone(), incarnation: incarnation.to_owned() },
            store: store.clone(),
            runtime: runtime.clone(),
            permits: Arc::new(Semaphore::new(config.inserts)),
            consumer: bus.join(&config.group, &topics.flows, &identity)?,
            follower: Follower::new((bus, &questions), topics, store, runtime)?,
            questions,
            dead: dead::Letters::new(bus, topics),
            identity,
            lanes: BTreeMap::new(),
            unstarted: BTreeSet::new(),
            asked: None,
            ask_again: Instant::now(),
            landings: mpsc::channel(),
            end_again: (Instant::now(), 0),
            letters_again: (Instant::now(), 0),
            told: Told::default(),
        })
    }

    /// Works until told to stop, then inserts and commits what it holds.
    pub fn run(mut self, stop: &Stop) -> Result<(), Error> {
        while !stop.is_cancelled() {
            self.read()?;
            if self.recreated.is_cancelled() {
                return Err(Error::Recreated { topic: self.origin.topic });
            }
            self.start_what_answers()?;
            self.advance(false)?;
            self.follower.turn();
        }
        while !self.lanes.values().all(|lane| lane.is_idle(Instant::now())) {
            // A plan that is being repeated ends with its last record, which a drain must still read.
            self.read()?;
            self.advance(true)?;
        }
        self.lanes.clear();
        self.unstarted.clear();
        self.show();
        if self.config.leave_on_stop {
            self.consumer.leave()?;
        }
        Ok(())
    }

    /// Takes events for a moment: what else is to do costs more than a message.
    fn read(&mut self) -> Result<(), Error> {
        let until = Instant::now() + MOMENT;
        while self.turn()? == Turn::More && Instant::now() < until {}
        Ok(())
    }

    fn place(&self) -> (String, String) {
        (self.origin.topic.clone(), self.config.group.clone())
    }

    /// Takes the next event.
    fn turn(&mut self) -> Result<Turn, Error> {
        let (topic, group) = self.place();
        let place = Place { topic: &topic, group: &group };
        let event = self.consumer.poll(PATIENCE);
        if event.is_ok() {
            self.told.poll.over();
        }
        match event {
            Ok(Event::Idle) => Ok(Turn::Pause),
            Ok(Event::Record(record)) => {
                let Some(lane) = self.lanes.get_mut(&record.partition()) else { return Ok(Turn::More) };
                let value = record.value().unwrap_or_default();
                match lane.add(record.offset(), record.header(SCHEMA_HEADER), value, place)? {
                    Ok(()) => Ok(if lane.is_full(&self.config) { Turn::Pause } else { Turn::More }),
                    // Good data that this release can't read yet must wait for one that can.
                    Err(AvroError::UnknownSchema(schema)) => Err(Error::Schema {
                        topic,
                        partition: record.partition(),
                        offset: record.offset(),
                        schema,
                    }),
                    Err(error) => {
                        self.dead.bury(&record, &error.to_string());
                        Ok(Turn::More)
                    }
                }
            }
            Ok(Event::Assigned(partitions)) => self.take(&partitions).map(|()| Turn::Pause),
            Ok(Event::Revoked(partitions)) => self.give_up(&partitions).map(|()| Turn::Pause),
            Ok(Event::Lost(partitions)) => {
                self.forget(&partitions);
                self.follow();
                Ok(Turn::Pause)
            }
            Err(error @ weir_bus::Error::OffsetOutOfRange { .. }) => {
                self.out_of_range(error).map(|()| Turn::Pause)
            }
            Err(weir_bus::Error::Fenced { identity, reason }) => Err(Error::Fenced { identity, reason }),
            Err(error) => {
                let words = error.to_string();
                if self.told.poll.says(&words) {
                    tracing::warn!("{words}");
                }
                // It may come at once each time.
                std::thread::sleep(PATIENCE);
                Ok(Turn::Pause)
            }
        }
    }

    /// Takes partitions that were assigned. A bus that does not answer for one of them keeps it, and what comes behind it, for later: no other
    /// stands still for it, and a member that does not poll for too long is thrown out.
    fn take(&mut self, partitions: &[i32]) -> Result<(), Error> {
        self.same_topic()?;
        self.unstarted.extend(partitions);
        match self.start(partitions) {
            Err(Error::Bus(error)) if error.is_away() => {
                let words = error.to_string();
                if self.told.start.says(&words) {
                    tracing::warn!(
                        topic = self.origin.topic,
                        partitions = ?self.unstarted,
                        "partitions are not read until there is an answer: {words}"
                    );
                }
            }
            other => other?,
        }
        if self.unstarted.is_empty() {
            self.told.start.over();
        }
        self.follow();
        Ok(())
    }

    /// Starts those that had no answer when they were assigned and have one now.
    fn start_what_answers(&mut self) -> Result<(), Error> {
        if self.unstarted.is_empty() {
            self.asked = None;
            return Ok(());
        }
        let Some(asked) = &self.asked else {
            if Instant::now() >= self.ask_again {
                // The last first: in the order of their numbers it was the first that had no answer.
                self.asked =
                    Some(self.questions.ask(&self.origin.topic, self.unstarted.iter().rev().copied()));
            }
            return Ok(());
        };
        let mut answered = Vec::new();
        loop {
            match asked.try_recv() {
                Ok(Ok((partition, _))) if self.unstarted.contains(&partition) => answered.push(partition),
                Ok(Ok(_)) => {}
                Ok(Err(error)) if error.is_away() => {}
                Ok(Err(error)) => return Err(error.into()),
                Err(mpsc::TryRecvError::Empty) => break,
                Err(mpsc::TryRecvError::Disconnected) => {
                    self.asked = None;
                    self.ask_again = Instant::now() + AGAIN;
                    break;
                }
            }
        }
        if answered.is_empty() {
            return Ok(());
        }
        let begun = Instant::now();
        self.take(&answered)?;
        if answered.iter().any(|partition| self.unstarted.contains(partition)) {
            // What this member itself waited for in vain may cost half of its time at most.
            self.asked = None;
            self.ask_again = Instant::now() + AGAIN.max(begun.elapsed());
        }
        Ok(())
    }

    /// Lets go of what is known of partitions.
    fn forget(&mut self, partitions: &[i32]) {
        for partition in partitions {
            self.lanes.remove(partition);
            self.unstarted.remove(partition);
        }
    }

    /// Starts partitions where they were committed, or at the plan that was left behind.
    fn start(&mut self, partitions: &[i32]) -> Result<(), Error> {
        let (topic, group) = self.place();
        let place = Place { topic: &topic, group: &group };
        for (partition, committed) in self.consumer.committed(partitions)? {
            let bounds = self.consumer.bounds(partition)?;
            let committed =
                committed.as_ref().map(|committed| (committed.offset, committed.metadata.as_str()));
            let resume = resume(committed, &self.origin.incarnation, bounds);
            if resume.lost > 0 {
                tracing::error!(
                    topic = self.origin.topic,
                    partition,
                    lost = resume.lost,
                    "retention removed what was not stored yet; it is lost"
                );
            }
            tracing::info!(
                topic = self.origin.topic,
                partition,
                offset = resume.offset,
                repeats = resume.plan.is_some(),
                "assigned"
            );
            let mut lane = Lane::new(partition, resume.plan, &self.origin.topic, self.config.lost_batch)?;
            lane.lose(resume.lost);
            if let Some(error) = lane.cut_off(bounds.0, place) {
                return Err(error.into());
            }
            match self.consumer.start(partition, resume.offset) {
                Err(weir_bus::Error::NotAssigned { .. }) => {}
                started => {
                    started?;
                    self.lanes.insert(partition, lane);
                }
            }
            self.unstarted.remove(&partition);
        }
        Ok(())
    }

    fn same_topic(&self) -> Result<(), Error> {
        let (bus, Origin { topic, incarnation }) = (&self.bus, &self.origin);
        if is_same(bus, topic, incarnation) { Ok(()) } else { Err(Error::Recreated { topic: topic.clone() }) }
    }

    fn follow(&mut self) {
        self.show();
        self.follower.follow(self.lanes.keys().copied());
    }

    /// Sets the gauges to what is held now.
    fn show(&self) {
        let bytes = self.bytes();
        let full = self.is_full();
        let behind = self.lanes.values().filter(|lane| self.is_behind(lane, full)).count();
        let set = |name, value: usize| {
            metrics::gauge!(name, "worker" => self.identity.clone()).set(value as f64);
        };
        set(names::PARTITIONS, self.lanes.len() + self.unstarted.len());
        set(names::MEMORY, bytes);
        set(names::PAUSED, behind);
    }

    fn bytes(&self) -> usize {
        self.lanes.values().map(Lane::bytes).sum()
    }

    /// True where what is held takes all the memory that it may.
    fn is_full(&self) -> bool {
        self.dead.is_full() || self.bytes() >= self.config.memory_bytes
    }

    /// True where a partition is not to be read until something is stored. A full batch behind one that is being inserted waits too:
    /// memory alone would let it grow beyond one block.
    fn is_behind(&self, lane: &Lane, full: bool) -> bool {
        lane.is_full(&self.config) || (full && !lane.repeats())
    }

    /// Lets go of partitions, after what is being inserted has landed or had its time. Its plan stays for the next owner.
    fn give_up(&mut self, partitions: &[i32]) -> Result<(), Error> {
        let until = Instant::now() + GIVE_UP_AFTER;
        let flying = |lane: &Lane| matches!(lane.sent, Some((_, Flight::Flying { .. } | Flight::Landed)));
        while Instant::now() < until && partitions.iter().filter_map(|p| self.lanes.get(p)).any(flying) {
            self.land(PATIENCE)?;
            self.commit_landed();
        }
        self.forget(partitions);
        self.consumer.give_up(partitions)?;
        self.follow();
        Ok(())
    }

    fn out_of_range(&mut self, error: weir_bus::Error) -> Result<(), Error> {
        let weir_bus::Error::OffsetOutOfRange { partition, wanted, begin, .. } = error else {
            return Err(error.into());
        };
        self.same_topic()?;
        // Beginning anew where the log has become shorter would store everything twice.
        if wanted > begin {
            return Err(error.into());
        }
        let (topic, group) = self.place();
        let Some(lane) = self.lanes.get_mut(&partition) else { return Ok(()) };
        if let Some(error) = lane.cut_off(begin, Place { topic: &topic, group: &group }) {
            return Err(error.into());
        }
        tracing::error!("{error}");
        lane.lose(lane.gone(wanted, begin));
        self.consumer.start(partition, begin)?;
        // What is started goes; where its batch is full it is to be paused anew.
        lane.paused = false;
        Ok(())
    }

    /// Moves every partition on as far as it goes.
    fn advance(&mut self, draining: bool) -> Result<(), Error> {
        self.land(Duration::ZERO)?;
        self.commit_landed();
        let (topic, group) = self.place();
        let (place, now) = (Place { topic: &topic, group: &group }, Instant::now());
        for lane in self.lanes.values_mut() {
            lane.close(&self.config, draining, place)?;
            lane.tell_silence(now, place);
        }
        self.make_room_for_letters();
        self.plan_and_send();
        self.hold_memory(draining);
        Ok(())
    }

    /// Has dead letters written where no more may wait. All reading stands still for them, and the batch that they came with may be somebody else's
    /// by now, so that no plan of this one ever sees to it.
    fn make_room_for_letters(&mut self) {
        if !self.dead.is_full() || Instant::now() < self.letters_again.0 {
            return;
        }
        match self.dead.settle() {
            Ok(()) => {
                self.told.letters.over();
                self.letters_again.1 = 0;
            }
            Err(error) => {
                let words = error.to_string();
                if self.told.letters.says(&words) {
                    tracing::warn!("dead letters were not taken and are tried again: {words}");
                }
                let tries = self.letters_again.1;
                self.letters_again = (Instant::now() + back_off(tries), tries + 1);
            }
        }
    }

    /// Commits the plans of batches that wait, as many as can be inserted at once, and sends the batches off once they are taken.
    fn plan_and_send(&mut self) {
        let now = Instant::now();
        let mut due: Vec<(Instant, i32)> = self
            .lanes
            .values()
            .filter_map(|lane| match lane.sent {
                Some((_, Flight::Waiting { since, .. })) if since <= now => Some((since, lane.number())),
                _ => None,
            })
            .collect();
        // In the order of their waiting: a commit holds for a while only, so what has to wait for its turn waits for it uncommitted.
        due.sort_unstable();
        let mut plans = Vec::new();
        let mut permits = Vec::new();
        for (_, number) in due {
            let Some((ready, _)) = self.lanes.get(&number).and_then(|lane| lane.sent.as_ref()) else {
                continue;
            };
            let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() else { break };
            let metadata =
                Metadata { incarnation: self.origin.incarnation.clone(), plan: Some(ready.plan.clone()) };
            let (offset, metadata) = (ready.plan.first, metadata.text());
            plans.push(Position { partition: number, offset, metadata });
            permits.push((number, permit));
        }
        if plans.is_empty() {
            return;
        }
        let leases: Vec<Option<Lease>> = permits
            .iter()
            .map(|(number, _)| self.lanes.get(number).map(|lane| Lease::begin(&lane.given_up)))
            .collect();
        // Dead letters of a batch are acknowledged before it can be left behind.
        // Even a fenced commit is only an error here: one that slept is refused so for its own former self. Polling tells.
        let planned = self.dead.settle().and_then(|()| self.consumer.commit(&plans));
        match &planned {
            Ok(()) => self.told.plan.over(),
            Err(error) => {
                let words = error.to_string();
                if self.told.plan.says(&words) {
                    tracing::warn!(
                        "the plans of {} batches were not taken and are tried again: {words}",
                        plans.len()
                    );
                }
            }
        }
        for ((number, permit), lease) in permits.into_iter().zip(leases) {
            let sent = self.lanes.get_mut(&number).and_then(|lane| lane.sent.as_mut());
            let (Some((ready, flight)), Some(lease)) = (sent, lease) else { continue };
            let Flight::Waiting { tries, stored, .. } = *flight else { continue };
            if planned.is_err() {
                *flight = Flight::Waiting { since: now + back_off(tries), tries: tries + 1, stored };
                continue;
            }
            *flight = Flight::Flying { tries };
            let (done, given_up) = (self.landings.0.clone(), lease.given_up().clone());
            let (store, ready, origin) = (self.store.clone(), Arc::clone(ready), self.origin.clone());
            let work = insert(store, ready, origin, (number, stored), lease, permit);
            self.runtime.spawn(async move {
                let (outcome, store) = work.await;
                // Nobody waits for it any more where the worker has ended.
                let _ = done.send(Landing { partition: number, given_up, outcome, store });
            });
        }
    }

    /// Takes the results of inserts.
    fn land(&mut self, patience: Duration) -> Result<(), Error> {
        let mut next = if patience.is_zero() {
            self.landings.1.try_recv().ok()
        } else {
            self.landings.1.recv_timeout(patience).ok()
        };
        while let Some(Landing { partition, given_up, outcome, store }) = next {
            if let Outcome::Failed(_) = &outcome {
                metrics::counter!(names::FAILED).increment(1);
                // No later insert goes over a connection on which one failed (docs/exactly-once.md, rule 11).
                self.reconnect(store);
            }
            // One that was given up meanwhile is the next owner's business.
            if !given_up.is_cancelled()
                && let Some(lane) = self.lanes.get_mut(&partition)
                && let Some((ready, flight)) = &mut lane.sent
                && let Flight::Flying { tries } = *flight
            {
                let now = Instant::now();
                *flight = match outcome {
                    Outcome::Failed(error) if !error.is_transient() => return Err(error.into()),
                    Outcome::Stored => Flight::Landed,
                    Outcome::Expired { stored } => {
                        metrics::counter!(names::EXPIRED).increment(1);
                        tracing::warn!(
                            partition,
                            stored,
                            of = ready.pieces.len(),
                            "an insert takes long, or slept: its plan is committed again before it goes on"
                        );
                        Flight::Waiting { since: now, tries, stored }
                    }
                    Outcome::Failed(error) => {
                        tracing::warn!(
                            partition,
                            tries,
                            "an insert failed and is tried again under the same token: {error}"
                        );
                        // All of it: what was acknowledged by a server that then died may be gone with it.
                        Flight::Waiting { since: now + back_off(tries), tries: tries + 1, stored: 0 }
                    }
                };
            }
            next = self.landings.1.try_recv().ok();
        }
        Ok(())
    }

    /// Takes a new connection, with the password as it is now; where that can't be read for the moment, with the one that is known.
    fn reconnect(&mut self, used: Store) {
        self.store = match Store::new(self.store.config()) {
            Ok(store) => {
                self.told.password.over();
                store
            }
            Err(error) => {
                let words = error.to_string();
                if self.told.password.says(&words) {
                    tracing::warn!("{words}; the password read before stays in use");
                }
                used
            }
        };
    }

    /// Commits the ends of batches that every table has acknowledged.
    fn commit_landed(&mut self) {
        if Instant::now() < self.end_again.0 {
            return;
        }
        let landed: Vec<Position> = self
            .lanes
            .values()
            .filter_map(|lane| match &lane.sent {
                Some((ready, Flight::Landed)) => {
                    let metadata =
                        Metadata { incarnation: self.origin.incarnation.clone(), plan: None }.text();
                    Some(Position { partition: lane.number(), offset: ready.plan.last + 1, metadata })
                }
                _ => None,
            })
            .collect();
        if landed.is_empty() {
            return;
        }
        if let Err(error) = self.consumer.commit(&landed) {
            let words = error.to_string();
            if self.told.end.says(&words) {
                tracing::warn!("the end of stored batches was not taken and is tried again: {words}");
            }
            let tries = self.end_again.1;
            self.end_again = (Instant::now() + back_off(tries.min(3)), tries + 1);
            return;
        }
        self.told.end.over();
        self.end_again.1 = 0;
        for position in landed {
            let Some((ready, _)) = self.lanes.get_mut(&position.partition).and_then(|lane| lane.sent.take())
            else {
                continue;
            };
            metrics::counter!(names::BATCHES).increment(1);
            metrics::counter!(names::FLOWS).increment(ready.flows);
            metrics::counter!(names::LOST).increment(ready.lost);
            if let Some(oldest) = ready.oldest {
                let now =
                    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as i64);
                metrics::histogram!(names::FRESHNESS).record(now.saturating_sub(oldest).max(0) as f64 / 1e9);
            }
        }
    }

    /// Stops reading where memory is full, and goes on where there is room.
    fn hold_memory(&mut self, draining: bool) {
        self.show();
        let full = self.is_full();
        let wanted: Vec<(i32, bool)> = self
            .lanes
            .values()
            .map(|lane| (lane.number(), self.is_behind(lane, full) || (draining && !lane.repeats())))
            .collect();
        for (number, wanted) in wanted {
            let Some(lane) = self.lanes.get_mut(&number).filter(|lane| lane.paused != wanted) else {
                continue;
            };
            let done = if wanted { self.consumer.pause(number) } else { self.consumer.resume(number) };
            match done {
                Ok(()) => lane.paused = wanted,
                Err(error) => tracing::debug!("{error}"),
            }
        }
    }
}

/// False where the topic is another one than it was. A bus that does not answer says nothing about that.
pub(crate) fn is_same<B: Bus>(bus: &B, topic: &str, incarnation: &str) -> bool {
    match bus.describe(&[topic]) {
        Ok(found) => found.into_iter().flatten().any(|found| found.incarnation == incarnation),
        Err(error) => {
            tracing::warn!("{error}");
            true
        }
    }
}
