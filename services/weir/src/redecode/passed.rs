//! Waiting until decoder and sink have passed what lies in the log now, so that what the window was decoded to before is all there.
//!
//! What waits for its template is not, and may come at any time: it is told apart here, between the two waits. What does not wait then has
//! its flows before the end of `weir.flows` that the sink is waited for.

use super::work::Work;
use crate::walk::is_empty;
use anyhow::{Result, bail};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use weir_bus::{Bus, Reader};
use weir_decoder::replay::{Window, waiting};

/// How long they may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(300);

/// What decoder and sink have passed.
pub struct Passed {
    /// The end of each partition of `weir.raw`.
    pub ends: BTreeMap<i32, i64>,
    /// Datagrams of the window with sets that wait: partition, offset, index in the frame.
    pub waiting: BTreeSet<(i32, u64, u32)>,
}

/// Waits.
///
/// # Errors
/// Where decoder or sink don't come so far in time, with the place.
pub fn passed<B: Bus>(work: &Work<'_, B>, reader: &mut B::Reader, window: &Window) -> Result<Passed> {
    let partitions: Vec<i32> = (0..work.bus.partitions() as i32).collect();
    let ends = ends(reader, &work.topics.raw, &partitions)?;
    until(work, reader, ("decoder", &work.config.decoder.group), &work.topics.raw, &ends)?;
    let mut all = BTreeSet::new();
    let mut state = BTreeMap::new();
    reader.restore(&work.topics.state, &partitions, &mut |record| {
        let key = record.key().unwrap_or_default();
        if let Some((_, waits)) = waiting(key, record.value()) {
            match record.value() {
                Some(_) => drop(state.insert(key.to_vec(), (record.partition(), waits))),
                None => drop(state.remove(key)),
            }
        }
    })?;
    for (partition, waits) in
        state.into_values().filter(|(_, waits)| window.received.contains(&waits.received))
    {
        all.insert((partition, waits.raw_offset, waits.frame_index));
    }
    let flows = self::ends(reader, &work.topics.flows, &partitions)?;
    until(work, reader, ("sink", &work.config.sink.group), &work.topics.flows, &flows)?;
    Ok(Passed { ends, waiting: all })
}

fn ends(reader: &mut impl Reader, topic: &str, partitions: &[i32]) -> Result<BTreeMap<i32, i64>> {
    let end = |partition: &i32| Ok((*partition, reader.bounds(topic, *partition)?.1));
    partitions.iter().map(end).collect()
}

fn until<B: Bus>(
    work: &Work<'_, B>,
    reader: &mut B::Reader,
    (who, group): (&str, &str),
    topic: &str,
    ends: &BTreeMap<i32, i64>,
) -> Result<()> {
    let begun = Instant::now();
    while let Some((partition, at, end)) = behind(reader, group, topic, ends)? {
        work.go_on()?;
        if begun.elapsed() > PATIENCE {
            bail!(
                "the {who} (group {group}) has not passed what lay in {topic} when this began: partition {partition} is at {at} of {end} \
                 after {PATIENCE:?}; does it run?"
            );
        }
        std::thread::sleep(LOOK);
    }
    Ok(())
}

/// The first partition on which a record before the end is not passed.
fn behind(
    reader: &mut impl Reader,
    group: &str,
    topic: &str,
    ends: &BTreeMap<i32, i64>,
) -> Result<Option<(i32, i64, i64)>> {
    let partitions: Vec<i32> = ends.keys().copied().collect();
    for (partition, committed) in reader.committed(group, topic, &partitions)? {
        let end = ends[&partition];
        let (begin, _) = reader.bounds(topic, partition)?;
        let at = committed.map_or(begin, |committed| committed.offset.max(begin));
        // What lies between may be no record at all: markers of transactions, or offsets that were never given out after a power cut.
        if !is_empty(reader, topic, partition, at..end)? {
            return Ok(Some((partition, at, end)));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redecode::tests::{swapped, with_work};
    use weir_bus::{EmbeddedBus, Message, TopicSpec, Writer};

    #[test]
    fn offsets_without_records_are_passed_however_many_they_are() {
        let act = |work: &mut Work<'_, EmbeddedBus>| {
            let (bus, topic) = (work.bus, work.topics.raw.clone());
            for spec in TopicSpec::all(&work.config.bus, bus.partitions()) {
                bus.create(&spec)?;
            }
            let mut reader = bus.reader()?;
            // Where offsets go on after a power cut.
            let ends = BTreeMap::from([(0, 1 << 20), (1, 0)]);
            assert_eq!(behind(&mut reader, "group", &topic, &ends)?, None);
            let mut writer = bus.writer(1 << 20)?;
            let message = Message { topic: &topic, partition: 0, key: &[1], value: Some(&[2]), headers: &[] };
            writer.try_send(&message, 1)?.unwrap();
            assert!(writer.flush(Duration::from_secs(10)));
            assert_eq!(behind(&mut reader, "group", &topic, &ends)?, Some((0, 0, 1 << 20)));
            Ok(())
        };
        with_work(&swapped((0, 0), (0, 0)), |_| Some(String::new()), act).unwrap();
    }
}
