//! Restoring partitions: where to go on reading, and what was known there (docs/exactly-once.md, rule 1).
//!
//! The order is the rule: first the stable committed offset, then the state as of after every transaction that was open, and only
//! then the partition is started, explicitly at that offset. Never inside a rebalance callback.

use crate::cycle::Failure;
use crate::enrich::Enricher;
use crate::partition::Partition;
use crate::pipeline::shared;
use crate::{Config, metrics as names};
use std::collections::BTreeMap;
use std::time::Instant;
use weir_bus::{Committed, GroupConsumer, Reader, Record, Topics};

/// A partition that a worker holds.
pub struct Held {
    /// What is known of its exporters.
    pub state: Partition,
    /// The next offset to read.
    pub next: i64,
    /// The next offset of `weir.inventory` to listen to.
    pub heard: i64,
    /// Offsets that were found lost at the restore and are not counted yet.
    pub lost: u64,
}

/// Where to start, and why there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At the log's beginning: nothing was committed.
    Anew(i64),
    /// Where it was committed.
    Committed(i64),
    /// At the log's beginning, because retention took so many offsets that were not decoded yet: they are lost.
    Gap(i64, u64),
    /// At the log's beginning: the topic is another one than the one that was committed for.
    OtherTopic(i64),
    /// At the log's end, because it lost its tail (a leader without the last records took over). All that was there before the
    /// committed offset is decoded; what is written from here on is new under numbers that were used before.
    TailLost(i64, u64),
}

impl Start {
    /// The next offset to read.
    pub fn offset(self) -> i64 {
        match self {
            Self::Anew(at) | Self::Committed(at) | Self::OtherTopic(at) => at,
            Self::Gap(at, _) | Self::TailLost(at, _) => at,
        }
    }
}

/// Where to start a partition, from what was committed and what its log holds, `begin` to `end`.
///
/// The commit names the incarnation of the topic that it was for; one without is of a topic that is taken to be this one.
pub fn start(committed: Option<&Committed>, (begin, end): (i64, i64), incarnation: &str) -> Start {
    match committed {
        None => Start::Anew(begin),
        Some(committed) if !committed.metadata.is_empty() && committed.metadata != incarnation => {
            Start::OtherTopic(begin)
        }
        Some(committed) if committed.offset < begin => Start::Gap(begin, begin.abs_diff(committed.offset)),
        Some(committed) if committed.offset > end => Start::TailLost(end, committed.offset.abs_diff(end)),
        Some(committed) => Start::Committed(committed.offset),
    }
}

fn tell(topic: &str, partition: i32, start: Start) {
    match start {
        Start::Anew(_) | Start::Committed(_) => {}
        Start::Gap(begin, lost) => tracing::error!(
            topic,
            partition,
            begin,
            lost,
            "retention removed what was not decoded yet; it is lost"
        ),
        Start::OtherTopic(begin) => tracing::warn!(
            topic,
            partition,
            begin,
            "the topic was created anew since this partition was committed; it is read from its beginning"
        ),
        Start::TailLost(end, offsets) => tracing::error!(
            topic,
            partition,
            end,
            offsets,
            "the log ends before what was committed: it lost its tail, which is decoded already; reading goes on at its end"
        ),
    }
}

/// Restores partitions to where they were committed.
pub fn restore<C: GroupConsumer, R: Reader>(
    consumer: &mut C,
    reader: &mut R,
    partitions: &[i32],
    topics: &Topics,
    config: &Config,
    enricher: &Enricher,
    incarnation: &str,
) -> Result<Vec<Held>, Failure> {
    if partitions.is_empty() {
        return Ok(Vec::new());
    }
    let committed = consumer.committed(partitions)?;
    let databases = enricher.databases();
    let shared = shared(config, enricher, &databases, topics);
    let begun = Instant::now();
    let mut all = BTreeMap::new();
    for (partition, committed) in committed {
        let bounds = consumer.bounds(partition)?;
        let start = start(committed.as_ref(), bounds, incarnation);
        tell(&topics.raw, partition, start);
        let mut held = Partition::held(partition, config, start.offset());
        if let Start::Gap(_, lost) = start {
            held.lost = lost;
        }
        all.insert(partition, held);
    }
    let mut faults = Faults::default();
    let state = reader.restore(&topics.state, partitions, &mut |record| {
        let Some(held) = all.get_mut(&record.partition()) else { return };
        let key = record.key().unwrap_or_default();
        faults.note(record, held.state.restore_state(key, record.value(), &shared));
    })?;
    let inventory = reader.restore(&topics.inventory, partitions, &mut |record| {
        let Some(held) = all.get_mut(&record.partition()) else { return };
        let key = record.key().unwrap_or_default();
        faults.note(record, held.state.restore_inventory(key, record.value()));
    })?;
    for (partition, restored) in partitions.iter().zip(inventory) {
        if let Some(held) = all.get_mut(partition) {
            held.heard = restored.next_offset;
        }
    }
    metrics::counter!(names::STATE_FAULTS).increment(faults.0.values().sum());
    metrics::histogram!(names::RESTORE_SECONDS).record(begun.elapsed().as_secs_f64());
    tracing::info!(
        topic = topics.raw,
        offsets = ?all.iter().map(|(partition, held)| (*partition, held.next)).collect::<Vec<_>>(),
        state_records = state.iter().map(|state| state.records).sum::<u64>(),
        "restored"
    );
    Ok(all.into_values().collect())
}

/// State records that could not be restored, by partition: the first of each is told, all are counted.
#[derive(Default)]
struct Faults(BTreeMap<i32, u64>);

impl Faults {
    fn note(&mut self, record: &Record<'_>, restored: Result<(), String>) {
        let Err(why) = restored else { return };
        let seen = self.0.entry(record.partition()).or_default();
        if *seen == 0 {
            tracing::warn!(
                topic = record.topic(),
                partition = record.partition(),
                offset = record.offset(),
                why,
                "state that can't be restored is learned anew"
            );
        }
        *seen += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_starts_at_what_was_committed_or_at_the_logs_beginning() {
        let at = |offset, of: &str| Some(Committed { offset, metadata: of.to_owned() });
        for (committed, bounds, expected) in [
            (None, (0, 9), Start::Anew(0)),
            (None, (5, 9), Start::Anew(5)),
            (at(7, "this"), (5, 9), Start::Committed(7)),
            (at(7, ""), (5, 9), Start::Committed(7)),
            (at(5, "this"), (5, 9), Start::Committed(5)),
            (at(9, "this"), (5, 9), Start::Committed(9)),
            (at(2, "this"), (5, 9), Start::Gap(5, 3)),
            (at(12, "this"), (5, 9), Start::TailLost(9, 3)),
            (at(7, "that"), (0, 9), Start::OtherTopic(0)),
            (at(700, "that"), (0, 9), Start::OtherTopic(0)),
        ] {
            assert_eq!(start(committed.as_ref(), bounds, "this"), expected, "{committed:?} {bounds:?}");
        }
    }
}
