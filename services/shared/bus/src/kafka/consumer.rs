//! A member of a consumer group.
//!
//! librdkafka announces rebalances in the middle of a poll; they are queued there and handled outside, where a transaction can be
//! committed before a partition goes. The group waits until librdkafka is told, so what is queued must always be answered, also
//! when this is dropped: closing hangs otherwise.
//!
//! A rebalance is answered without any partition; one is handed to librdkafka when [`KafkaConsumer::start`] says where to begin, and
//! always by number. Assigning at a logical offset (end, stored) and seeking afterwards is no way: where the query for the logical
//! offset is still out when the seek comes, librdkafka drops its answer, asks again, and jumps there half a second later (2.12.1,
//! `rd_kafka_toppar_handle_Offset`); the rebalance contract test found records skipped by that.

use super::coverage::{Coverage, Looking, Step};
use super::reports::Reports;
use super::stops::{self, Stops};
use super::{ask, by_default, failed, list, native, passes, reading, refused, watermarks};
use crate::{Committed, Config, Error, Event, GroupConsumer, Position, Record, Result, metrics};
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaRespErr;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The stable positions of the group that a consumer is configured with.
pub(super) fn positions_of<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    group: &str,
    topic: &str,
    partitions: &[i32],
    config: &Config,
) -> Result<Vec<(i32, Option<Committed>)>> {
    if partitions.is_empty() {
        return Ok(Vec::new());
    }
    let timeout = config.request_timeout();
    let doing = || format!("asking for the positions of group {group} in {topic}");
    let asked = list(topic, partitions.iter().map(|p| (*p, Offset::Invalid)))?;
    let answer = ask::again(
        Instant::now() + timeout,
        passes,
        |patience| consumer.committed_offsets(asked.clone(), patience),
        |_| {},
    )
    .map_err(|error| failed(doing(), error, timeout))?;
    let elements = answer.elements();
    elements
        .iter()
        .zip(native::metadata(&answer))
        .map(|(element, metadata)| {
            element.error().map_err(|error| failed(doing(), error, timeout))?;
            let committed = match element.offset() {
                Offset::Offset(offset) => Some(Committed { offset, metadata }),
                _ => None,
            };
            Ok((element.partition(), committed))
        })
        .collect()
}

/// A rebalance that librdkafka waits for an answer to.
#[derive(Debug)]
enum Rebalance {
    Assign(Vec<i32>),
    Revoke(Vec<i32>),
    Lose(Vec<i32>),
}

/// What librdkafka's callbacks reach.
#[derive(Debug, Default)]
struct Membership {
    reports: Reports,
    queued: Mutex<VecDeque<Rebalance>>,
    closing: AtomicBool,
}

impl Membership {
    fn queued(&self) -> MutexGuard<'_, VecDeque<Rebalance>> {
        self.queued.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Membership {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, message: &str) {
        self.reports.log(level, fac, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.reports.error(error, reason);
    }
}

impl ConsumerContext for Membership {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        kind: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        let assign = kind == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        if self.closing.load(Ordering::Acquire) {
            answer_closing(consumer, assign, partitions);
            return;
        }
        let numbers = partitions.elements().iter().map(|element| element.partition()).collect();
        self.queued().push_back(if assign {
            Rebalance::Assign(numbers)
        } else if consumer.assignment_lost() {
            Rebalance::Lose(numbers)
        } else {
            Rebalance::Revoke(numbers)
        });
    }
}

type Handle = BaseConsumer<Membership>;

/// Ends a rebalance that nobody handles any more.
fn answer_closing(consumer: &Handle, assign: bool, partitions: &TopicPartitionList) {
    let answer = if assign {
        consumer.incremental_assign(&TopicPartitionList::new())
    } else {
        consumer.assignment().and_then(|ours| {
            let leaving = |topic: &str, partition| partitions.find_partition(topic, partition).is_some();
            let gone: TopicPartitionList = ours
                .elements()
                .iter()
                .filter(|element| leaving(element.topic(), element.partition()))
                .map(|element| (element.topic().to_owned(), element.partition(), Offset::Invalid))
                .collect();
            consumer.incremental_unassign(&gone)
        })
    };
    if let Err(error) = answer {
        tracing::debug!(%error, "rebalance while closing");
    }
}

/// A partition that is assigned.
#[derive(Clone, Copy, Debug, Default)]
struct Held {
    /// The next offset to deliver; `None` until it is started, and until then librdkafka does not have it.
    next: Option<i64>,
    /// librdkafka stopped it for good: its offset was out of range.
    stopped: bool,
}

/// How long a member's end may take.
const CLOSE: Duration = Duration::from_secs(10);

/// Ends librdkafka's consumer beside whoever drops it. A question that is put to it just as it ends is never answered (2.12.1,
/// `rd_kafka_cgrp_terminated` throws waiting ones away), and the answer to its last rebalance is one; a static member leaves nothing undone
/// by ending late.
struct Closer(Option<Arc<Handle>>);

impl Drop for Closer {
    fn drop(&mut self) {
        let (tell, told) = channel();
        let handle = self.0.take();
        let close = move || {
            drop(handle);
            // Nobody waits any more where it took too long.
            let _ = tell.send(());
        };
        let closing = std::thread::Builder::new().name("bus-close".to_owned()).spawn(close);
        if closing.is_ok() && told.recv_timeout(CLOSE).is_err() {
            tracing::warn!("a member of a group has not ended after {CLOSE:?}; it is left behind");
        }
    }
}

/// [`GroupConsumer`] on Kafka.
pub struct KafkaConsumer {
    /// Before `closer`: what is dropped last ends it.
    consumer: Arc<Handle>,
    _closer: Closer,
    /// Asks for bounds, and never fetches: a broker answers a connection's requests in turn, so that a question behind a fetch that
    /// waits for data would wait as long.
    asking: Arc<BaseConsumer<Reports>>,
    group: Group,
}

/// Everything but librdkafka's handle, which a record that was polled keeps borrowed.
#[derive(Debug)]
struct Group {
    config: Arc<Config>,
    group: String,
    topic: String,
    instance: String,
    held: BTreeMap<i32, Held>,
    stops: Stops,
    /// What a revocation named, and which of that is not yet given up.
    revoked: Vec<i32>,
    wanted: BTreeSet<i32>,
    coverage: Coverage,
    looking: Option<Looking>,
}

impl std::fmt::Debug for KafkaConsumer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.group.fmt(f)
    }
}

impl KafkaConsumer {
    pub(super) fn join(config: &Arc<Config>, group: &str, topic: &str, instance: &str) -> Result<Self> {
        let mut client = reading(config, instance, "read_committed");
        // One answer for what arrives within a moment, not one for each partition's next record: answers are most of what a broker works for.
        by_default(&mut client, config, "fetch.min.bytes", 64 << 10);
        by_default(&mut client, config, "fetch.wait.max.ms", 100);
        let consumer: Handle = client
            .set("group.id", group)
            .set("group.instance.id", instance)
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("session.timeout.ms", config.session_timeout_ms.to_string())
            .set("heartbeat.interval.ms", config.heartbeat_interval_ms.to_string())
            .set("max.poll.interval.ms", config.poll_interval_ms.to_string())
            .create_with_context(Membership::default())
            .map_err(refused)?;
        consumer
            .subscribe(&[topic])
            .map_err(|error| failed(format!("subscribing to {topic}"), error, Duration::ZERO))?;
        let group = Group {
            config: Arc::clone(config),
            group: group.to_owned(),
            topic: topic.to_owned(),
            instance: instance.to_owned(),
            held: BTreeMap::new(),
            stops: Stops::default(),
            revoked: Vec::new(),
            wanted: BTreeSet::new(),
            coverage: Coverage::new(Instant::now()),
            looking: None,
        };
        let asking = reading(config, instance, "read_committed")
            .create_with_context(Reports::default())
            .map_err(refused)?;
        let consumer = Arc::new(consumer);
        let closer = Closer(Some(Arc::clone(&consumer)));
        Ok(Self { consumer, _closer: closer, asking: Arc::new(asking), group })
    }

    /// Group metadata of this moment, and the topic's positions as librdkafka takes them.
    pub(super) fn for_transaction(
        &self,
        positions: &[Position],
    ) -> Result<(TopicPartitionList, Option<rdkafka::consumer::ConsumerGroupMetadata>)> {
        Ok((self.group.positions(positions)?, self.consumer.group_metadata()))
    }

    /// Refuses to commit for one that gave its member id up, as librdkafka does after `poll_interval_ms` without a poll: it asks by its instance
    /// alone then, and a broker that still knows the instance by the id of before takes that for a second process of this identity, by which
    /// librdkafka ends for good. A commit that waits within librdkafka for a coordinator may still come to that; within a transaction it only
    /// aborts.
    fn must_be_member(&self) -> Result<()> {
        if native::is_member(&self.consumer) {
            return Ok(());
        }
        Err(Error::Rebalanced {
            doing: COMMITTING,
            reason: "not a member of the group at present".to_owned(),
        })
    }
}

const COMMITTING: &str = "committing positions";

impl Group {
    fn place(&mut self, consumer: &Handle, partition: i32, offset: i64) -> Result<()> {
        let held = *self.held(partition)?;
        let topic = &self.topic;
        let doing = || format!("starting {topic}/{partition} at offset {offset}");
        let (begun, limit) = (Instant::now(), self.config.request_timeout());
        let at = || list(topic, [(partition, Offset::Offset(offset))]);
        let stopped = held.stopped || self.stops.suspects(partition);
        if stopped {
            // A partition that librdkafka stopped can't be sought. Where it waits for the answer to a revocation just now, this
            // would be taken for it; the generation check of commits then still keeps what was promised.
            let failed = |error| failed(doing(), error, limit);
            // It may lack it: a try before this one may have come no further.
            if consumer.assignment().map_err(failed)?.find_partition(topic, partition).is_some() {
                consumer.incremental_unassign(&at()?).map_err(failed)?;
            }
        }
        if stopped || held.next.is_none() {
            consumer.incremental_assign(&at()?).map_err(|error| failed(doing(), error, limit))?;
            *self.held(partition)? = Held { next: Some(offset), stopped: false };
            self.stops.settled(partition);
            return Ok(());
        }
        loop {
            let left = limit.saturating_sub(begun.elapsed());
            let sought = consumer.seek_partitions(at()?, left.max(Duration::from_millis(1)));
            let sought =
                sought.and_then(|list| list.elements().iter().try_for_each(|element| element.error()));
            match sought {
                Ok(()) => break,
                // What was assigned reaches librdkafka's own thread a little later than this one.
                Err(error)
                    if begun.elapsed() < limit
                        && matches!(
                            error.rdkafka_error_code(),
                            Some(RDKafkaErrorCode::State | RDKafkaErrorCode::PreviousInProgress)
                        ) =>
                {
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err(error) => return Err(failed(doing(), error, begun.elapsed())),
            }
        }
        *self.held(partition)? = Held { next: Some(offset), stopped: false };
        Ok(())
    }

    /// Sees to it that no partition stays without an owner.
    fn cover(&mut self, consumer: &Handle, asking: &Arc<BaseConsumer<Reports>>) -> Result<()> {
        let now = Instant::now();
        let holds = !self.held.is_empty() || !self.revoked.is_empty();
        let Self { group, topic, instance, coverage, looking, .. } = self;
        match coverage.step(now, holds) {
            Step::Wait => *looking = None,
            Step::Look => {
                let look = looking.get_or_insert_with(|| Looking::begin(asking, group, topic, instance));
                let Some(seen) = look.over() else { return Ok(()) };
                *looking = None;
                let unowned = seen.as_ref().map(|seen| seen.unowned.clone()).unwrap_or_default();
                if coverage.looked(seen, Instant::now()) {
                    let words = "partitions have no owner although the group is at rest: this member leaves and joins again";
                    tracing::warn!(topic, group, instance, partitions = ?unowned, "{words}");
                    metrics::rebalance("unowned");
                    // librdkafka leaves for a static member when it unsubscribes; its partitions are revoked as in any rebalance.
                    consumer.unsubscribe();
                }
            }
            Step::Join => {
                consumer
                    .subscribe(&[topic])
                    .map_err(|error| failed(format!("subscribing to {topic}"), error, Duration::ZERO))?;
                coverage.joined(now);
            }
        }
        Ok(())
    }

    fn answer(&mut self, consumer: &Handle, rebalance: Rebalance) -> Result<Event<'static>> {
        self.coverage.moved(Instant::now());
        let timeout = self.config.request_timeout();
        match rebalance {
            Rebalance::Assign(partitions) => {
                consumer
                    .incremental_assign(&TopicPartitionList::new())
                    .map_err(|error| failed("taking assigned partitions", error, timeout))?;
                if partitions.is_empty() {
                    return Ok(Event::Idle);
                }
                metrics::rebalance("assigned");
                for partition in &partitions {
                    self.held.insert(*partition, Held::default());
                }
                Ok(Event::Assigned(partitions))
            }
            Rebalance::Revoke(partitions) => {
                if partitions.is_empty() {
                    self.unassign(consumer, &[])?;
                    return Ok(Event::Idle);
                }
                metrics::rebalance("revoked");
                self.revoked = partitions.clone();
                self.wanted = partitions.iter().copied().collect();
                Ok(Event::Revoked(partitions))
            }
            Rebalance::Lose(partitions) => {
                metrics::rebalance("lost");
                self.unassign(consumer, &partitions)?;
                self.revoked.clear();
                self.wanted.clear();
                Ok(Event::Lost(partitions))
            }
        }
    }

    fn unassign(&mut self, consumer: &Handle, partitions: &[i32]) -> Result<()> {
        // librdkafka knows of those only that were started.
        let started = partitions.iter().filter(|p| self.held.get(p).is_some_and(|held| held.next.is_some()));
        let gone = list(&self.topic, started.map(|p| (*p, Offset::Invalid)))?;
        self.held.retain(|partition, _| !partitions.contains(partition));
        partitions.iter().for_each(|partition| self.stops.settled(*partition));
        consumer
            .incremental_unassign(&gone)
            .map_err(|error| failed("giving partitions up", error, self.config.request_timeout()))
    }

    /// Partitions that are read, and where each goes on.
    fn reading(&self) -> Vec<(i32, i64)> {
        let reading = self.held.iter().filter(|(_, held)| !held.stopped);
        reading.filter_map(|(partition, held)| Some((*partition, held.next?))).collect()
    }

    /// Looks for the partition that librdkafka stopped. Where its position is in the log again (a new leader that had fallen behind, a log that
    /// has grown since) it is started anew, with all others that it may be.
    fn look(&mut self, consumer: &Handle, asking: &BaseConsumer<Reports>) -> Result<()> {
        if !self.wanted.is_empty() || !self.stops.is_due(Instant::now()) {
            return Ok(());
        }
        let reading: BTreeMap<i32, i64> = self.reading().into_iter().collect();
        let Self { config, topic, stops, .. } = self;
        let transaction = Duration::from_millis(config.transaction_timeout_ms);
        let (limit, patience) = stops::limits(transaction, config.request_timeout());
        let look = stops.look(
            limit,
            |partition| reading.get(&partition).copied(),
            |partition| watermarks(asking, topic, partition, patience),
            |partition, error| {
                tracing::warn!(
                    topic,
                    partition,
                    "it may be out of range, and is asked for its bounds again: {error}"
                );
            },
        );
        if let Some((partition, (begin, end))) = look.out {
            self.held(partition)?.stopped = true;
            let (topic, wanted) = (self.topic.clone(), reading.get(&partition).copied().unwrap_or_default());
            return Err(Error::OffsetOutOfRange { topic, partition, wanted, begin, end });
        }
        if !look.within.is_empty() {
            tracing::warn!(topic, partitions = ?look.within, "positions are in the log; reading goes on");
        }
        for (partition, next) in look.within.into_iter().filter_map(|p| Some((p, *reading.get(&p)?))) {
            self.place(consumer, partition, next)?;
        }
        Ok(())
    }

    fn trouble(&mut self, consumer: &Handle, error: KafkaError) -> Result<Event<'static>> {
        let Group { topic, instance, .. } = &*self;
        let fatal = matches!(error, KafkaError::MessageConsumptionFatal(_));
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange) => {
                let reading = self.reading();
                self.stops.told(reading.into_iter().map(|(partition, _)| partition), Instant::now());
                // The next poll looks for it.
                Ok(Event::Idle)
            }
            Some(RDKafkaErrorCode::FencedInstanceId) => {
                Err(Error::Fenced { identity: instance.clone(), reason: consumer.context().reports.last() })
            }
            Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {
                Err(Error::TopicMissing { topic: topic.clone() })
            }
            // The client mends these by itself, and what they mean for partitions comes as an event.
            Some(
                RDKafkaErrorCode::AllBrokersDown
                | RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::OperationTimedOut
                | RDKafkaErrorCode::RequestTimedOut
                | RDKafkaErrorCode::Resolve
                | RDKafkaErrorCode::PollExceeded
                | RDKafkaErrorCode::CoordinatorLoadInProgress
                | RDKafkaErrorCode::CoordinatorNotAvailable
                | RDKafkaErrorCode::NotCoordinator
                | RDKafkaErrorCode::NotLeaderForPartition
                | RDKafkaErrorCode::LeaderNotAvailable,
            ) if !fatal => Ok(Event::Idle),
            _ => Err(Error::Bus {
                doing: format!("reading {topic} as {instance}"),
                reason: format!("{error}: {}", consumer.context().reports.last()),
            }),
        }
    }

    fn bounds(&self, asking: &BaseConsumer<Reports>, partition: i32) -> Result<(i64, i64)> {
        let Self { topic, config, .. } = self;
        let timeout = config.request_timeout();
        watermarks(asking, topic, partition, timeout)
            .map_err(|error| failed(format!("asking for the bounds of {topic}/{partition}"), error, timeout))
    }

    fn take_queued(&self, consumer: &Handle) -> Option<Rebalance> {
        // One rebalance is answered before the next is looked at.
        if !self.wanted.is_empty() {
            return None;
        }
        consumer.context().queued().pop_front()
    }

    fn no_record(&mut self, consumer: &Handle, polled: Option<KafkaError>) -> Result<Event<'static>> {
        match (self.take_queued(consumer), polled) {
            (Some(rebalance), _) => self.answer(consumer, rebalance),
            (None, Some(error)) => self.trouble(consumer, error),
            (None, None) => Ok(Event::Idle),
        }
    }

    fn held(&mut self, partition: i32) -> Result<&mut Held> {
        let topic = &self.topic;
        self.held.get_mut(&partition).ok_or_else(|| Error::NotAssigned { topic: topic.clone(), partition })
    }

    fn started(&mut self, partition: i32) -> Result<()> {
        let topic = self.topic.clone();
        let started = self.held(partition)?.next.is_some();
        if started { Ok(()) } else { Err(Error::NotAssigned { topic, partition }) }
    }

    fn positions(&self, positions: &[Position]) -> Result<TopicPartitionList> {
        let mut list = TopicPartitionList::with_capacity(positions.len());
        for Position { partition, offset, metadata } in positions {
            let mut element = list.add_partition(&self.topic, *partition);
            element.set_offset(Offset::Offset(*offset)).map_err(|error| {
                failed(format!("position {offset} of {}/{partition}", self.topic), error, Duration::ZERO)
            })?;
            if !metadata.is_empty() {
                element.set_metadata(metadata);
            }
        }
        Ok(list)
    }
}

impl GroupConsumer for KafkaConsumer {
    fn topic(&self) -> &str {
        &self.group.topic
    }

    fn poll(&mut self, timeout: Duration) -> Result<Event<'_>> {
        let Self { consumer, group, asking, .. } = self;
        group.cover(consumer, asking)?;
        if let Some(rebalance) = group.take_queued(consumer) {
            return group.answer(consumer, rebalance);
        }
        group.look(consumer, asking)?;
        let polled = match consumer.poll(timeout) {
            Some(Ok(message)) => {
                let held = group.held.get_mut(&message.partition());
                return Ok(match held {
                    Some(Held { next: Some(next), .. }) if message.offset() >= *next => {
                        *next = message.offset() + 1;
                        Event::Record(Record::from_kafka(message))
                    }
                    _ => Event::Idle,
                });
            }
            Some(Err(error)) => Some(error),
            None => None,
        };
        group.no_record(consumer, polled)
    }

    fn start(&mut self, partition: i32, offset: i64) -> Result<()> {
        self.group.place(&self.consumer, partition, offset)?;
        self.resume(partition)
    }

    fn seek(&mut self, partition: i32, offset: i64) -> Result<()> {
        self.group.place(&self.consumer, partition, offset)
    }

    fn pause(&mut self, partition: i32) -> Result<()> {
        self.group.started(partition)?;
        let topic = &self.group.topic;
        self.consumer
            .pause(&list(topic, [(partition, Offset::Invalid)])?)
            .map_err(|error| failed(format!("pausing {topic}/{partition}"), error, Duration::ZERO))
    }

    fn resume(&mut self, partition: i32) -> Result<()> {
        self.group.started(partition)?;
        let topic = &self.group.topic;
        self.consumer
            .resume(&list(topic, [(partition, Offset::Invalid)])?)
            .map_err(|error| failed(format!("resuming {topic}/{partition}"), error, Duration::ZERO))
    }

    fn give_up(&mut self, partitions: &[i32]) -> Result<()> {
        for partition in partitions {
            self.group.wanted.remove(partition);
        }
        if !self.group.wanted.is_empty() || self.group.revoked.is_empty() {
            return Ok(());
        }
        let revoked = std::mem::take(&mut self.group.revoked);
        self.group.unassign(&self.consumer, &revoked)
    }

    fn committed(&mut self, partitions: &[i32]) -> Result<Vec<(i32, Option<Committed>)>> {
        let Group { topic, group, config, .. } = &self.group;
        positions_of(&self.consumer, group, topic, partitions, config)
    }

    fn commit(&mut self, positions: &[Position]) -> Result<()> {
        if positions.is_empty() {
            return Ok(());
        }
        self.must_be_member()?;
        let list = self.group.positions(positions)?;
        let Group { topic, group, instance, config, .. } = &self.group;
        self.consumer.commit(&list, CommitMode::Sync).map_err(|error| match error.rdkafka_error_code() {
            Some(
                code @ (RDKafkaErrorCode::IllegalGeneration
                | RDKafkaErrorCode::UnknownMemberId
                | RDKafkaErrorCode::RebalanceInProgress
                | RDKafkaErrorCode::AssignmentLost),
            ) => Error::Rebalanced { doing: COMMITTING, reason: code.to_string() },
            Some(code @ RDKafkaErrorCode::FencedInstanceId) => {
                Error::Fenced { identity: instance.clone(), reason: code.to_string() }
            }
            _ => failed(
                format!("committing positions of group {group} in {topic}"),
                error,
                config.request_timeout(),
            ),
        })
    }

    fn bounds(&mut self, partition: i32) -> Result<(i64, i64)> {
        self.group.bounds(&self.asking, partition)
    }

    fn leave(self) -> Result<()> {
        // librdkafka leaves for a static member when it unsubscribes, and only then: not when it closes.
        self.close();
        self.consumer.unsubscribe();
        let limit = self.group.config.request_timeout().min(CLOSE);
        let (deadline, Group { group, instance, .. }) = (Instant::now() + limit, &self.group);
        let doing = || format!("leaving group {group} as {instance}");
        let look = |patience| {
            // Records that were still on their way are not this member's any more.
            drop(self.consumer.poll(Duration::from_millis(50)));
            self.consumer.fetch_group_list(Some(group), patience)
        };
        // Every broker must answer. While one is away nobody says that this member has left; it is told to leave all the same.
        let left =
            || ask::again(deadline, passes, look, |_| {}).map_err(|error| failed(doing(), error, limit));
        let there = |group: &rdkafka::groups::GroupInfo| {
            group.members().iter().any(|member| member.client_id() == instance)
        };
        while left()?.groups().iter().any(there) {
            if Instant::now() >= deadline {
                return Err(Error::Timeout { doing: doing(), waited: limit });
            }
        }
        Ok(())
    }
}

impl KafkaConsumer {
    /// From here on librdkafka is answered in its callback; what waits for an answer gets it now.
    fn close(&self) {
        let context = self.consumer.context();
        context.closing.store(true, Ordering::Release);
        let waiting = std::mem::take(&mut *context.queued());
        let unanswered =
            (!self.group.wanted.is_empty()).then(|| Rebalance::Revoke(self.group.revoked.clone()));
        for rebalance in unanswered.into_iter().chain(waiting) {
            let (assign, partitions) = match rebalance {
                Rebalance::Assign(partitions) => (true, partitions),
                Rebalance::Revoke(partitions) | Rebalance::Lose(partitions) => (false, partitions),
            };
            let topic = &self.group.topic;
            let partitions = partitions.into_iter().map(|p| (topic.clone(), p, Offset::Invalid)).collect();
            answer_closing(&self.consumer, assign, &partitions);
        }
    }
}

impl Drop for KafkaConsumer {
    fn drop(&mut self) {
        self.close();
    }
}
