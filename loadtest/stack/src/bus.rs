//! The real bus, bent where a test says so: everything is forwarded, but what its [`Bends`] take over.

use std::fmt;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use weir_bus::kafka::{KafkaConsumer, KafkaProducer, KafkaReader, KafkaWriter};
use weir_bus::{
    Bus, Committed, Delivered, Description, Error, Event, Full, GroupConsumer, KafkaBus, Message, Position,
    Reader, Record, Restored, Result, TopicSpec, Topics, Transactions, TxnError, Writer,
};

/// What a transaction's steps give.
pub type Done = std::result::Result<(), TxnError>;

/// What a test does before, after or instead of the real thing. Each of these forwards unless a test says otherwise.
///
/// A producer has a `State` of its own, for what is to be known of the transaction that it has open: every beginning makes it anew.
pub trait Bends: Send + Sync + 'static {
    /// What is kept of each producer.
    type State: Default + Send + 'static;

    /// Of [`Bus::describe`].
    fn describe(&self, bus: &KafkaBus, topics: &[&str]) -> Result<Vec<Option<Description>>> {
        bus.describe(topics)
    }
    /// Of [`Bus::join`].
    fn join(&self, bus: &KafkaBus, group: &str, topic: &str, instance: &str) -> Result<KafkaConsumer> {
        bus.join(group, topic, instance)
    }
    /// Of [`Bus::transactional`].
    fn transactional(&self, bus: &KafkaBus, id: &str) -> Result<KafkaProducer> {
        bus.transactional(id)
    }
    /// Of [`GroupConsumer::poll`].
    fn poll<'a>(&self, consumer: &'a mut KafkaConsumer, timeout: Duration) -> Result<Event<'a>> {
        consumer.poll(timeout)
    }
    /// Of [`GroupConsumer::pause`].
    fn pause(&self, consumer: &mut KafkaConsumer, partition: i32) -> Result<()> {
        consumer.pause(partition)
    }
    /// Of [`GroupConsumer::commit`].
    fn commit(&self, consumer: &mut KafkaConsumer, positions: &[Position]) -> Result<()> {
        consumer.commit(positions)
    }
    /// Of [`GroupConsumer::bounds`].
    fn own_bounds(&self, consumer: &mut KafkaConsumer, partition: i32) -> Result<(i64, i64)> {
        consumer.bounds(partition)
    }
    /// Of [`Transactions::send`].
    fn send(&self, _: &mut Self::State, producer: &mut KafkaProducer, message: &Message<'_>) -> Done {
        producer.send(message)
    }
    /// Of [`Transactions::commit`].
    fn end(
        &self,
        _: &mut Self::State,
        producer: &mut KafkaProducer,
        consumer: &mut KafkaConsumer,
        offsets: &[Position],
    ) -> Done {
        producer.commit(consumer, offsets)
    }
    /// Of [`Writer::try_send`].
    fn try_send(
        &self,
        writer: &mut KafkaWriter,
        message: &Message<'_>,
        units: u32,
    ) -> Result<std::result::Result<(), Full>> {
        writer.try_send(message, units)
    }
    /// Of [`Reader::poll_tail`].
    fn poll_tail<'a>(&self, reader: &'a mut KafkaReader, timeout: Duration) -> Result<Option<Record<'a>>> {
        reader.poll_tail(timeout)
    }
    /// Of [`Reader::bounds`].
    fn bounds(&self, reader: &mut KafkaReader, topic: &str, partition: i32) -> Result<(i64, i64)> {
        reader.bounds(topic, partition)
    }
}

/// The bus.
pub struct BentBus<B> {
    inner: KafkaBus,
    /// What is bent, and what was seen.
    pub bends: Arc<B>,
}

/// A handle of it.
pub struct Bent<B: Bends, H> {
    inner: H,
    bends: Arc<B>,
    state: B::State,
}

impl<B: Bends> BentBus<B> {
    /// Around this one.
    pub fn new(inner: KafkaBus, bends: Arc<B>) -> Self {
        Self { inner, bends }
    }

    fn handle<H>(&self, inner: H) -> Bent<B, H> {
        Bent { inner, bends: Arc::clone(&self.bends), state: B::State::default() }
    }
}

impl<B> Clone for BentBus<B> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), bends: Arc::clone(&self.bends) }
    }
}

impl<B> fmt::Debug for BentBus<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BentBus").finish_non_exhaustive()
    }
}

impl<B: Bends> Bus for BentBus<B> {
    type Consumer = Bent<B, KafkaConsumer>;
    type Producer = Bent<B, KafkaProducer>;
    type Reader = Bent<B, KafkaReader>;
    type Writer = Bent<B, KafkaWriter>;

    fn topics(&self) -> Topics {
        self.inner.topics()
    }
    fn partitions(&self) -> usize {
        self.inner.partitions()
    }
    fn reach(&self) -> Result<()> {
        self.inner.reach()
    }
    fn join(&self, group: &str, topic: &str, instance: &str) -> Result<Self::Consumer> {
        Ok(self.handle(self.bends.join(&self.inner, group, topic, instance)?))
    }
    fn transactional(&self, id: &str) -> Result<Self::Producer> {
        Ok(self.handle(self.bends.transactional(&self.inner, id)?))
    }
    fn reader(&self) -> Result<Self::Reader> {
        Ok(self.handle(self.inner.reader()?))
    }
    fn writer(&self, buffer_bytes: usize) -> Result<Self::Writer> {
        Ok(self.handle(self.inner.writer(buffer_bytes)?))
    }
    fn describe(&self, topics: &[&str]) -> Result<Vec<Option<Description>>> {
        self.bends.describe(&self.inner, topics)
    }
    fn create(&self, spec: &TopicSpec) -> Result<bool> {
        self.inner.create(spec)
    }
    fn delete(&self, topic: &str) -> Result<bool> {
        self.inner.delete(topic)
    }
}

impl<B: Bends> GroupConsumer for Bent<B, KafkaConsumer> {
    fn topic(&self) -> &str {
        self.inner.topic()
    }
    fn poll(&mut self, timeout: Duration) -> Result<Event<'_>> {
        self.bends.poll(&mut self.inner, timeout)
    }
    fn start(&mut self, partition: i32, offset: i64) -> Result<()> {
        self.inner.start(partition, offset)
    }
    fn seek(&mut self, partition: i32, offset: i64) -> Result<()> {
        self.inner.seek(partition, offset)
    }
    fn pause(&mut self, partition: i32) -> Result<()> {
        self.bends.pause(&mut self.inner, partition)
    }
    fn resume(&mut self, partition: i32) -> Result<()> {
        self.inner.resume(partition)
    }
    fn give_up(&mut self, partitions: &[i32]) -> Result<()> {
        self.inner.give_up(partitions)
    }
    fn committed(&mut self, partitions: &[i32]) -> Result<Vec<(i32, Option<Committed>)>> {
        self.inner.committed(partitions)
    }
    fn commit(&mut self, positions: &[Position]) -> Result<()> {
        self.bends.commit(&mut self.inner, positions)
    }
    fn bounds(&mut self, partition: i32) -> Result<(i64, i64)> {
        self.bends.own_bounds(&mut self.inner, partition)
    }
    fn leave(self) -> Result<()> {
        self.inner.leave()
    }
}

impl<B: Bends> Transactions for Bent<B, KafkaProducer> {
    type Consumer = Bent<B, KafkaConsumer>;

    fn begin(&mut self) -> Done {
        self.state = B::State::default();
        self.inner.begin()
    }
    fn send(&mut self, message: &Message<'_>) -> Done {
        self.bends.send(&mut self.state, &mut self.inner, message)
    }
    fn commit(&mut self, consumer: &mut Self::Consumer, offsets: &[Position]) -> Done {
        self.bends.end(&mut self.state, &mut self.inner, &mut consumer.inner, offsets)
    }
    fn abort(&mut self) -> Done {
        self.inner.abort()
    }
}

impl<B: Bends> Reader for Bent<B, KafkaReader> {
    fn restore(
        &mut self,
        topic: &str,
        partitions: &[i32],
        each: &mut dyn FnMut(&Record<'_>),
    ) -> Result<Vec<Restored>> {
        self.inner.restore(topic, partitions, each)
    }
    fn read_on(
        &mut self,
        topic: &str,
        partition: i32,
        range: Range<i64>,
        each: &mut dyn FnMut(&Record<'_>) -> ControlFlow<()>,
    ) -> Result<()> {
        self.inner.read_on(topic, partition, range, each)
    }
    fn tail(&mut self, topic: &str, from: &[(i32, i64)]) -> Result<()> {
        self.inner.tail(topic, from)
    }
    fn poll_tail(&mut self, timeout: Duration) -> Result<Option<Record<'_>>> {
        self.bends.poll_tail(&mut self.inner, timeout)
    }
    fn bounds(&mut self, topic: &str, partition: i32) -> Result<(i64, i64)> {
        self.bends.bounds(&mut self.inner, topic, partition)
    }
    fn committed(
        &mut self,
        group: &str,
        topic: &str,
        partitions: &[i32],
    ) -> Result<Vec<(i32, Option<Committed>)>> {
        self.inner.committed(group, topic, partitions)
    }
}

impl<B: Bends> Writer for Bent<B, KafkaWriter> {
    fn try_send(&mut self, message: &Message<'_>, units: u32) -> Result<std::result::Result<(), Full>> {
        self.bends.try_send(&mut self.inner, message, units)
    }
    fn is_broken(&self) -> bool {
        self.inner.is_broken()
    }
    fn give_up(&mut self) {
        self.inner.give_up();
    }
    fn poll(&mut self, timeout: Duration) {
        self.inner.poll(timeout);
    }
    fn in_flight(&self) -> usize {
        self.inner.in_flight()
    }
    fn delivered(&self) -> Delivered {
        self.inner.delivered()
    }
    fn flush(&mut self, timeout: Duration) -> bool {
        self.inner.flush(timeout)
    }
}

/// A bus that does not answer the first questions, and then says that no topic is there.
#[derive(Debug, Default)]
pub struct Slow {
    /// Questions so far.
    pub asked: AtomicU32,
    /// Questions without an answer.
    pub unanswered: u32,
}

impl Bends for Slow {
    type State = ();

    fn describe(&self, _: &KafkaBus, topics: &[&str]) -> Result<Vec<Option<Description>>> {
        let doing = "describing topics".to_owned();
        match self.asked.fetch_add(1, Ordering::Relaxed) {
            n if n >= self.unanswered => Ok(topics.iter().map(|_| None).collect()),
            0 => Err(Error::Timeout { doing, waited: Duration::ZERO }),
            _ => Err(Error::Bus { doing, reason: "NetworkException".to_owned() }),
        }
    }
}
