//! Restoring partitions: where to go on reading, and what was known there (EXACTLY_ONCE.md, rule 1).
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
use weir_bus::{GroupConsumer, Reader, Record, Topics};

/// A partition that a worker holds.
pub struct Held {
    /// What is known of its exporters.
    pub state: Partition,
    /// The next offset to read.
    pub next: i64,
}

/// Where to start a partition, from what was committed and what its log holds; and how many offsets retention took.
///
/// Without a committed offset it is the log's beginning. Where the log begins later than what was committed, the gap is lost and
/// counted. Where it ends before, the partition stands still with an error: to begin anew would decode everything twice.
pub fn start_offset(committed: Option<i64>, begin: i64) -> (i64, u64) {
    match committed {
        None => (begin, 0),
        Some(offset) if offset < begin => (begin, begin.abs_diff(offset)),
        Some(offset) => (offset, 0),
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
        let (begin, _) = consumer.bounds(partition)?;
        let committed = committed.map(|committed| committed.offset);
        let (next, lost) = start_offset(committed, begin);
        if lost > 0 {
            tracing::error!(
                topic = topics.raw,
                partition,
                ?committed,
                begin = next,
                lost,
                "retention removed what was not decoded yet; it is lost"
            );
            metrics::counter!(names::RAW_LOST).increment(lost);
        }
        all.insert(partition, Partition::held(partition, config, next));
    }
    let mut faults = Faults::default();
    let state = reader.restore(&topics.state, partitions, &mut |record| {
        let Some(held) = all.get_mut(&record.partition()) else { return };
        let key = record.key().unwrap_or_default();
        faults.note(record, held.state.restore_state(key, record.value(), &shared));
    })?;
    reader.restore(&topics.inventory, partitions, &mut |record| {
        let Some(held) = all.get_mut(&record.partition()) else { return };
        let key = record.key().unwrap_or_default();
        faults.note(record, held.state.restore_inventory(key, record.value()));
    })?;
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
    use super::start_offset;

    #[test]
    fn a_partition_starts_at_what_was_committed_or_at_the_logs_beginning() {
        for (committed, begin, expected) in [
            (None, 0, (0, 0)),
            (None, 5, (5, 0)),
            (Some(7), 5, (7, 0)),
            (Some(5), 5, (5, 0)),
            (Some(2), 5, (5, 3)),
        ] {
            assert_eq!(start_offset(committed, begin), expected, "{committed:?} {begin}");
        }
    }
}
