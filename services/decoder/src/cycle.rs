//! One cycle: what a transaction has in it, and what to do when one fails.
//!
//! A record that fails again and again must not stop the rest (docs/exactly-once.md, rule 5): after a failure cycles get smaller until
//! one holds a single record, and a record that fails alone often enough goes to the dead letters, whole.

use crate::enrich::Enricher;
use crate::enrich::database::Databases;
use crate::partition::{Emit, RawRecord, Tally, To};
use crate::pipeline::{IDLE, shared};
use crate::restore::Held;
use crate::{Config, metrics as names};
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use thiserror::Error;
use weir_bus::{Message, Position, Topics, Transactions, TxnError};

/// Why a cycle did not end well.
#[derive(Debug, Error)]
pub enum Failure {
    /// The transaction is gone; the producer is fine.
    #[error("aborted: {reason}")]
    Aborted {
        /// Why.
        reason: String,
        /// True where a record that was sent was refused for what it is.
        refused: bool,
    },
    /// The broker has another holder of the transactional id, or takes this one for dead.
    #[error("{identity} was taken over by another process of the same identity ({reason})")]
    Fenced {
        /// Transactional id.
        identity: String,
        /// The bus's word for it.
        reason: String,
    },
    /// The producer is of no more use; a new one settles what became of the transaction.
    #[error("the producer failed: {0}")]
    Producer(String),
    /// Partitions were lost under an open cycle.
    #[error("partitions were lost under an open cycle")]
    Lost,
    /// Decoding panicked at this partition and offset: a defect, caught so that it costs one record.
    #[error("decoding panicked at partition {0}, offset {1}")]
    Panic(i32, i64),
    /// The bus had trouble outside the transaction.
    #[error(transparent)]
    Bus(weir_bus::Error),
    /// Waiting can't help.
    #[error(transparent)]
    Fatal(crate::Error),
}

impl From<TxnError> for Failure {
    fn from(error: TxnError) -> Self {
        match error {
            TxnError::Aborted { reason, refused } => Self::Aborted { reason, refused },
            TxnError::Fenced { identity, reason } => Self::Fenced { identity, reason },
            TxnError::NoOffsets => {
                Self::Aborted { reason: "a transaction had no offsets".into(), refused: false }
            }
            error => Self::Producer(error.to_string()),
        }
    }
}

impl From<weir_bus::Error> for Failure {
    fn from(error: weir_bus::Error) -> Self {
        match error {
            weir_bus::Error::Fenced { identity, reason } => {
                Self::Fatal(crate::Error::Fenced { identity, reason })
            }
            error => Self::Bus(error),
        }
    }
}

/// Sends under the open transaction, to one partition number of every topic.
struct Sending<'a, P> {
    producer: &'a mut P,
    topics: &'a Topics,
    partition: i32,
    sent: u64,
    failed: Option<TxnError>,
}

impl<P: Transactions> Emit for Sending<'_, P> {
    fn emit(&mut self, to: To, key: &[u8], value: Option<&[u8]>, headers: &[(&str, &[u8])]) {
        if self.failed.is_some() {
            return;
        }
        let topic = match to {
            To::Flows => &self.topics.flows,
            To::State => &self.topics.state,
            To::Inventory => &self.topics.inventory,
            To::DeadLetter => &self.topics.deadletter,
        };
        self.sent += 1;
        self.failed =
            self.producer.send(&Message { topic, partition: self.partition, key, value, headers }).err();
    }
}

/// What the open transaction has in it.
#[derive(Default)]
pub struct Cycle {
    open: Option<(Instant, Arc<Databases>)>,
    records: u64,
    bytes: usize,
    sent: u64,
    touched: BTreeSet<i32>,
    tally: Tally,
    /// The only record of the cycle, while there is just one.
    alone: Option<(i32, i64)>,
}

impl Cycle {
    /// True between `begin` and the end.
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// True where something was sent.
    pub fn has_written(&self) -> bool {
        self.sent > 0
    }

    /// How long to wait for the next record.
    pub fn patience(&self, config: &Config) -> Duration {
        let limit = Duration::from_millis(config.cycle_ms);
        self.open.as_ref().map_or(IDLE, |(begun, _)| limit.saturating_sub(begun.elapsed()).min(IDLE))
    }

    /// True when it is time to commit.
    pub fn is_due(&self, config: &Config, trouble: &Trouble) -> bool {
        self.open.as_ref().is_some_and(|(begun, _)| {
            self.bytes >= config.cycle_bytes
                || self.records >= trouble.limit()
                || begun.elapsed() >= Duration::from_millis(config.cycle_ms)
        })
    }

    /// Begins a transaction unless one is open.
    pub fn begin(&mut self, producer: &mut impl Transactions, enricher: &Enricher) -> Result<(), Failure> {
        if self.open.is_none() {
            producer.begin()?;
            self.open = Some((Instant::now(), enricher.databases()));
        }
        Ok(())
    }

    fn databases(&self, enricher: &Enricher) -> Arc<Databases> {
        self.open.as_ref().map_or_else(|| enricher.databases(), |(_, databases)| Arc::clone(databases))
    }

    /// Decodes a record, or buries it where it is condemned.
    #[allow(clippy::too_many_arguments)]
    pub fn decode<P: Transactions>(
        &mut self,
        raw: &RawRecord<'_>,
        held: &mut Held,
        producer: &mut P,
        topics: &Topics,
        config: &Config,
        enricher: &Enricher,
        trouble: &Trouble,
    ) -> Result<(), Failure> {
        let partition = held.state.number();
        let databases = self.databases(enricher);
        let shared = shared(config, enricher, &databases, topics);
        let mut sending = Sending { producer, topics, partition, sent: 0, failed: None };
        self.alone = (self.records == 0).then_some((partition, raw.offset));
        self.records += 1;
        self.bytes += raw.value.map_or(0, <[u8]>::len);
        self.touched.insert(partition);
        let tally = &mut self.tally;
        if let Some(cause) = trouble.is_condemned(partition, raw.offset) {
            let sentence =
                format!("this record failed again and again and was put aside so that others go on: {cause}");
            held.state.bury(raw, &shared, "poison", &sentence, tally, &mut sending);
        } else {
            catch_unwind(AssertUnwindSafe(|| held.state.frame(raw, &shared, tally, &mut sending)))
                .map_err(|_| Failure::Panic(partition, raw.offset))?;
        }
        self.sent += sending.sent;
        held.next = raw.offset + 1;
        sending.failed.map_or(Ok(()), |error| Err(error.into()))
    }

    /// Writes what a restored partition's rules now say differently.
    pub fn restored<P: Transactions>(
        &mut self,
        held: &mut Held,
        producer: &mut P,
        topics: &Topics,
        config: &Config,
        enricher: &Enricher,
    ) -> Result<(), Failure> {
        let databases = self.databases(enricher);
        let shared = shared(config, enricher, &databases, topics);
        let partition = held.state.number();
        let mut sending = Sending { producer, topics, partition, sent: 0, failed: None };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64);
        held.state.restored(&shared, now, &mut sending);
        self.sent += sending.sent;
        // Also what a timer or a rule made it write goes out with the partition's offset (rule 3).
        self.touched.insert(partition);
        sending.failed.map_or(Ok(()), |error| Err(error.into()))
    }

    /// Writes unfinished batches; gives the offsets of every partition that was written for.
    pub fn finish<P: Transactions>(
        &mut self,
        held: &mut BTreeMap<i32, Held>,
        producer: &mut P,
        topics: &Topics,
        config: &Config,
        enricher: &Enricher,
        incarnation: &str,
    ) -> Result<Vec<Position>, Failure> {
        let databases = self.databases(enricher);
        let shared = shared(config, enricher, &databases, topics);
        let mut positions = Vec::new();
        for partition in &self.touched {
            let held = held.get_mut(partition).ok_or(Failure::Lost)?;
            let mut sending =
                Sending { producer: &mut *producer, topics, partition: *partition, sent: 0, failed: None };
            held.state.flush(&shared, &mut self.tally, &mut sending);
            if let Some(error) = sending.failed {
                return Err(error.into());
            }
            let metadata = incarnation.to_owned();
            positions.push(Position { partition: *partition, offset: held.next, metadata });
        }
        Ok(positions)
    }

    /// The transaction is committed: what it did counts now.
    pub fn committed(&mut self, held: &mut BTreeMap<i32, Held>, trouble: &mut Trouble) {
        let done = std::mem::take(self);
        for (what, _, n) in done.tally.counts.all().filter(|(_, _, n)| *n > 0) {
            metrics::counter!(names::DECODED, "what" => what).increment(n);
        }
        for (reason, n) in &done.tally.dead {
            metrics::counter!(names::DEAD, "reason" => *reason).increment(*n);
        }
        for (name, n) in [
            (names::BATCHES, done.tally.batches),
            (names::FLOWS, done.tally.flows),
            (names::FLOWS_WITHOUT_AS, done.tally.without_as),
            (names::FLOWS_WITHOUT_RATE, done.tally.without_rate),
            (names::FLOWS_WITHOUT_INTERFACE, done.tally.without_interface),
            (names::CYCLES, 1),
        ] {
            metrics::counter!(name).increment(n);
        }
        for partition in &done.touched {
            if let Some(held) = held.get_mut(partition) {
                metrics::counter!(names::RAW_LOST).increment(std::mem::take(&mut held.lost));
                let parked = held.state.parked_bytes() as f64;
                metrics::gauge!(names::PARKED_BYTES, "partition" => partition.to_string()).set(parked);
            }
        }
        if let Some((begun, _)) = done.open {
            metrics::histogram!(names::CYCLE_SECONDS).record(begun.elapsed().as_secs_f64());
        }
        // A commit of offsets alone says nothing about the record that failed before.
        if done.records > 0 {
            trouble.passed(held);
        }
    }
}

/// Memory of failures: how large the next cycles may be, and which records are condemned.
#[derive(Debug, Default)]
pub struct Trouble {
    limit: Option<u64>,
    in_a_row: u32,
    failed: BTreeMap<(i32, i64), u32>,
    condemned: BTreeMap<(i32, i64), String>,
}

impl Trouble {
    /// Most records of the next cycle.
    pub fn limit(&self) -> u64 {
        self.limit.unwrap_or(u64::MAX)
    }

    /// Why a record is to be buried instead of decoded, where it is.
    pub fn is_condemned(&self, partition: i32, offset: i64) -> Option<&str> {
        self.condemned.get(&(partition, offset)).map(String::as_str)
    }

    /// Learns from a failure.
    pub fn note(&mut self, failure: &Failure, cycle: &Cycle, config: &Config) {
        self.in_a_row += 1;
        tracing::warn!(
            %failure,
            records = cycle.records,
            in_a_row = self.in_a_row,
            "a cycle failed; its records are read again"
        );
        metrics::counter!(names::CYCLES_ABORTED).increment(1);
        // Only what the cycle's own records have caused speaks against them: a topic that must not be written to is nobody's fault here.
        let culprit = match failure {
            Failure::Panic(partition, offset) => Some((*partition, *offset)),
            Failure::Aborted { refused: true, .. } => {
                self.limit = Some((cycle.records / 2).max(1));
                cycle.alone.filter(|_| cycle.records == 1)
            }
            _ => None,
        };
        if let Some(place) = culprit {
            let failures = self.failed.entry(place).or_default();
            *failures += 1;
            if *failures >= config.poison_after {
                tracing::error!(
                    partition = place.0,
                    offset = place.1,
                    failures = *failures,
                    "this record goes to the dead letters"
                );
                self.condemned.insert(place, failure.to_string());
            }
        }
    }

    /// How long to wait before the next try.
    pub fn back_off(&self) -> Duration {
        Duration::from_millis(50 << self.in_a_row.min(6))
    }

    /// A cycle was committed: cycles may grow again, and what lies behind is forgotten.
    fn passed(&mut self, held: &BTreeMap<i32, Held>) {
        self.in_a_row = 0;
        self.limit = self.limit.map(|limit| limit.saturating_mul(2)).filter(|limit| *limit < 100_000);
        let ahead =
            |(partition, offset): &(i32, i64)| held.get(partition).is_some_and(|held| *offset >= held.next);
        self.failed.retain(|place, _| ahead(place));
        self.condemned.retain(|place, _| ahead(place));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aborted(refused: bool) -> Failure {
        Failure::Aborted { reason: "too large".into(), refused }
    }

    fn cycle(records: u64) -> Cycle {
        Cycle { records, alone: Some((3, 9)), ..Cycle::default() }
    }

    #[test]
    fn cycles_are_halved_until_the_culprit_is_alone_and_then_it_is_condemned() {
        let (config, mut trouble) = (Config::default(), Trouble::default());
        let mut records = 100;
        let mut tries = 0;
        while trouble.is_condemned(3, 9).is_none() {
            trouble.note(&aborted(true), &cycle(records), &config);
            records = records.min(trouble.limit());
            tries += 1;
            assert!(tries < 50);
        }
        assert_eq!(records, 1);
        assert!(trouble.is_condemned(3, 9).unwrap().contains("too large"));
        assert!(trouble.is_condemned(3, 8).is_none());
    }

    #[test]
    fn trouble_of_the_bus_never_condemns_a_record() {
        let (config, mut trouble) = (Config::default(), Trouble::default());
        for _ in 0..50 {
            trouble.note(&Failure::Producer("away".into()), &cycle(1), &config);
            trouble.note(&Failure::Lost, &cycle(1), &config);
            // A full queue, a missing right, too few copies: the transaction is aborted, and every record would be.
            trouble.note(&aborted(false), &cycle(1), &config);
        }
        assert!(trouble.is_condemned(3, 9).is_none());
        assert_eq!(trouble.limit(), u64::MAX);
    }

    #[test]
    fn after_a_commit_cycles_grow_again_and_what_lies_behind_is_forgotten() {
        let (config, mut trouble) = (Config { poison_after: 1, ..Config::default() }, Trouble::default());
        trouble.note(&Failure::Panic(3, 9), &cycle(5), &config);
        trouble.note(&aborted(true), &cycle(8), &config);
        assert!(trouble.is_condemned(3, 9).is_some());
        assert_eq!(trouble.limit(), 4);
        let held = BTreeMap::from([(3, crate::partition::Partition::held(3, &config, 10))]);
        trouble.passed(&held);
        assert_eq!(trouble.limit(), 8);
        assert!(trouble.is_condemned(3, 9).is_none());
    }
}
