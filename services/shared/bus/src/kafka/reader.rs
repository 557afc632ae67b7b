//! Restoring state, and following topics by hand.
//!
//! The order of a restore is what it is about (rule 1 of docs/exactly-once.md): the high watermark first, from a handle that sees open
//! transactions; then wait until all below it is stable; only then read to the end. Reading to what happens to be stable loses
//! state, because a transaction's marker can be in the group's positions before it is in the state topic.

use super::consumer::positions_of;
use super::reports::Reports;
use super::{exists, failed, list, reading, refused, watermarks};
use crate::{Committed, Config, Error, Reader, Record, Restored, Result, before, metrics};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use std::time::{Duration, Instant};

type Handle = BaseConsumer<Reports>;

/// [`Reader`] on Kafka.
pub struct KafkaReader {
    config: Arc<Config>,
    /// Sees what is not yet committed; asked for watermarks only.
    ahead: Handle,
    /// Sees what is stable; asked for watermarks only: behind a fetch that waits for data a question would wait as long.
    stable: Handle,
    restoring: Handle,
    following: Option<Handle>,
    /// Next offset of what is followed.
    followed: BTreeMap<(String, i32), i64>,
}

impl std::fmt::Debug for KafkaReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaReader").field("followed", &self.followed).finish_non_exhaustive()
    }
}

fn settings(config: &Config, isolation: &str, ends: bool) -> ClientConfig {
    // librdkafka assigns by hand only to a handle with a group, which is never joined and never committed to.
    let mut client = reading(config, "weir-reader", isolation);
    client
        .set("group.id", format!("{}-reader", config.topic_prefix))
        .set("enable.partition.eof", if ends { "true" } else { "false" });
    if ends {
        // The end of a log is an answer without records, and a restore waits for it, whatever consumers are set to.
        client.set("fetch.wait.max.ms", "10");
        // Where a log ends its leader alone knows: a follower of one's own rack says it of what it has heard of so far, and what was committed
        // since would be missing.
        client.set("client.rack", "");
    }
    client
}

fn handle(config: &Config, isolation: &str, ends: bool) -> Result<Handle> {
    settings(config, isolation, ends).create_with_context(Reports::default()).map_err(refused)
}

impl KafkaReader {
    pub(super) fn open(config: &Arc<Config>) -> Result<Self> {
        Ok(Self {
            config: Arc::clone(config),
            ahead: handle(config, "read_uncommitted", false)?,
            stable: handle(config, "read_committed", false)?,
            restoring: handle(config, "read_committed", true)?,
            following: None,
            followed: BTreeMap::new(),
        })
    }

    fn watermarks(&self, handle: &Handle, topic: &str, partition: i32) -> Result<(i64, i64)> {
        let timeout = self.config.request_timeout();
        watermarks(handle, topic, partition, timeout).map_err(|error| match error.rdkafka_error_code() {
            Some(
                RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::UnknownTopic
                | RDKafkaErrorCode::UnknownPartition,
            ) if exists(handle, topic, None, timeout) == Ok(false) => {
                Error::TopicMissing { topic: topic.to_owned() }
            }
            _ => failed(format!("asking for the bounds of {topic}/{partition}"), error, timeout),
        })
    }

    /// Waits until everything that is in the logs now, and lies before `to`, is committed or aborted; returns where each ends.
    fn settle(&self, topic: &str, partitions: &[i32], to: i64) -> Result<Vec<i64>> {
        // All ends before any waiting: one open transaction usually has written to all of them.
        let ends: Vec<i64> = partitions
            .iter()
            .map(|partition| Ok(self.watermarks(&self.ahead, topic, *partition)?.1.min(to)))
            .collect::<Result<_>>()?;
        let (begun, limit) = (Instant::now(), Duration::from_millis(self.config.restore_timeout_ms));
        for (&partition, &high) in partitions.iter().zip(&ends) {
            loop {
                let (_, stable) = self.watermarks(&self.stable, topic, partition)?;
                if stable >= high {
                    break;
                }
                if begun.elapsed() >= limit {
                    let topic = topic.to_owned();
                    return Err(Error::OpenTransaction { topic, partition, stable, high, waited: limit });
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        Ok(ends)
    }

    /// Reads what is assigned until each partition of `reading` has said that it has no more, or `each` breaks off.
    fn read_to_end(
        &self,
        topic: &str,
        reading: &mut BTreeMap<i32, Restored>,
        each: &mut dyn FnMut(&Record<'_>) -> ControlFlow<()>,
    ) -> Result<()> {
        let mut open: BTreeSet<i32> = reading.keys().copied().collect();
        let doing = |open: &BTreeSet<i32>| {
            format!("restoring from {topic}/{}", open.first().copied().unwrap_or_default())
        };
        let silence = self.config.request_timeout();
        let mut heard = Instant::now();
        while !open.is_empty() {
            match self.restoring.poll(Duration::from_millis(100)) {
                Some(Ok(message)) if message.topic() == topic => {
                    // What comes after an end was written after the question, and may be taken or left.
                    let Some(restored) = reading.get_mut(&message.partition()) else { continue };
                    let size =
                        message.key().map_or(0, <[u8]>::len) + message.payload().map_or(0, <[u8]>::len);
                    restored.records += 1;
                    restored.bytes += size as u64;
                    restored.next_offset = restored.next_offset.max(message.offset() + 1);
                    if each(&Record::from_kafka(message)).is_break() {
                        break;
                    }
                    // What is done with a record may take longer than a broker's answer.
                    heard = Instant::now();
                }
                Some(Err(KafkaError::PartitionEOF(ended))) => {
                    heard = Instant::now();
                    open.remove(&ended);
                }
                Some(Err(error)) if !passing(&error) => {
                    return Err(failed(doing(&open), error, heard.elapsed()));
                }
                _ if heard.elapsed() >= silence => {
                    return Err(Error::Timeout { doing: doing(&open), waited: silence });
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn positions(followed: &BTreeMap<(String, i32), i64>) -> TopicPartitionList {
    followed
        .iter()
        .map(|((topic, partition), next)| (topic.clone(), *partition, Offset::Offset((*next).max(0))))
        .collect()
}

/// Whether the client mends this by itself.
fn passing(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(error, KafkaError::PartitionEOF(_))
        || !matches!(error, KafkaError::MessageConsumptionFatal(_))
            && matches!(
                error.rdkafka_error_code(),
                Some(
                    Code::AllBrokersDown
                        | Code::BrokerTransportFailure
                        | Code::OperationTimedOut
                        | Code::RequestTimedOut
                        | Code::Resolve
                        | Code::NotLeaderForPartition
                        | Code::LeaderNotAvailable
                        | Code::CoordinatorNotAvailable
                        | Code::CoordinatorLoadInProgress
                        | Code::NotCoordinator
                )
            )
}

impl KafkaReader {
    /// Reads each partition from where it is told to its end as it is now, to `to`, or until `each` breaks off.
    fn read(
        &mut self,
        topic: &str,
        from: &[(i32, Offset)],
        to: i64,
        each: &mut dyn FnMut(&Record<'_>) -> ControlFlow<()>,
    ) -> Result<Vec<Restored>> {
        let doing = |error| failed(format!("restoring from {topic}"), error, Duration::ZERO);
        let partitions: Vec<i32> = from.iter().map(|(partition, _)| *partition).collect();
        let ends = self.settle(topic, &partitions, to)?;
        let mut reading = BTreeMap::new();
        for (&(partition, offset), &next_offset) in from.iter().zip(&ends) {
            let begin = match offset {
                Offset::Offset(offset) => offset,
                _ => self.watermarks(&self.stable, topic, partition)?.0,
            };
            if begin > next_offset {
                let (begin, end) = self.watermarks(&self.ahead, topic, partition)?;
                let (topic, wanted) = (topic.to_owned(), offset.to_raw().unwrap_or_default());
                return Err(Error::OffsetOutOfRange { topic, partition, wanted, begin, end });
            }
            if begin < next_offset {
                reading.insert(partition, Restored { records: 0, bytes: 0, next_offset });
            }
        }
        if !reading.is_empty() {
            let wanted = from.iter().copied().filter(|(partition, _)| reading.contains_key(partition));
            self.restoring.assign(&list(topic, wanted)?).map_err(doing)?;
            let read = self.read_to_end(topic, &mut reading, &mut before(to, each));
            // What was fetched for it and not taken is thrown away by this, but for one thing: that retention took the next offset.
            self.restoring.unassign().map_err(doing)?;
            read?;
        }
        let empty = |next_offset| Restored { records: 0, bytes: 0, next_offset };
        let restored: Vec<Restored> = partitions
            .iter()
            .zip(ends)
            .map(|(partition, end)| reading.remove(partition).unwrap_or_else(|| empty(end)))
            .collect();
        metrics::restored(restored.iter().map(|restored| restored.records).sum());
        Ok(restored)
    }
}

impl Reader for KafkaReader {
    fn restore(
        &mut self,
        topic: &str,
        partitions: &[i32],
        each: &mut dyn FnMut(&Record<'_>),
    ) -> Result<Vec<Restored>> {
        let from: Vec<_> = partitions.iter().map(|partition| (*partition, Offset::Beginning)).collect();
        self.read(topic, &from, i64::MAX, &mut |record| {
            each(record);
            ControlFlow::Continue(())
        })
    }

    fn read_on(
        &mut self,
        topic: &str,
        partition: i32,
        range: Range<i64>,
        each: &mut dyn FnMut(&Record<'_>) -> ControlFlow<()>,
    ) -> Result<()> {
        if range.is_empty() {
            return Ok(());
        }
        self.read(topic, &[(partition, Offset::Offset(range.start))], range.end, each).map(drop)
    }

    fn tail(&mut self, topic: &str, from: &[(i32, i64)]) -> Result<()> {
        self.followed.retain(|(other, _), _| other != topic);
        self.followed
            .extend(from.iter().map(|(partition, offset)| ((topic.to_owned(), *partition), *offset)));
        let handle = match &mut self.following {
            Some(handle) => handle,
            none => none.insert(handle(&self.config, "read_committed", false)?),
        };
        let all = positions(&self.followed);
        handle.assign(&all).map_err(|error| failed(format!("following {topic}"), error, Duration::ZERO))
    }

    fn poll_tail(&mut self, timeout: Duration) -> Result<Option<Record<'_>>> {
        let Some(handle) = &self.following else { return Ok(None) };
        let error = match handle.poll(timeout) {
            None => return Ok(None),
            Some(Ok(message)) => {
                // Borrowed look-up by (String, i32) would allocate per record; a tail follows few partitions.
                let place = self.followed.iter_mut().find(|((topic, partition), _)| {
                    *partition == message.partition() && topic == message.topic()
                });
                return Ok(match place {
                    Some((_, next)) if message.offset() >= *next => {
                        *next = message.offset() + 1;
                        Some(Record::from_kafka(message))
                    }
                    _ => None,
                });
            }
            Some(Err(error)) => error,
        };
        // One of them may be out of its log. Which one is not said, and asking would wait for the leaders of all.
        if passing(&error) { Ok(None) } else { Err(failed("following topics", error, timeout)) }
    }

    fn bounds(&mut self, topic: &str, partition: i32) -> Result<(i64, i64)> {
        self.watermarks(&self.stable, topic, partition)
    }

    fn committed(
        &mut self,
        group: &str,
        topic: &str,
        partitions: &[i32],
    ) -> Result<Vec<(i32, Option<Committed>)>> {
        // A handle of the group's name that never joins it.
        let asking: Handle = reading(&self.config, "weir-reader", "read_committed")
            .set("group.id", group)
            .create_with_context(Reports::default())
            .map_err(refused)?;
        positions_of(&asking, group, topic, partitions, &self.config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_to_its_end_is_read_from_its_leader_whatever_the_rack_is() {
        let mut config = Config::default();
        config.properties.0.insert("client.rack".to_owned(), "here".to_owned());
        for (ends, rack) in [(true, ""), (false, "here")] {
            let settings = settings(&config, "read_committed", ends);
            assert_eq!(settings.get("client.rack"), Some(rack));
            // librdkafka takes it for none.
            let taken = settings.create_native_config().unwrap().get("client.rack").unwrap();
            assert_eq!(taken.trim_end_matches('\0'), rack);
        }
    }
}
