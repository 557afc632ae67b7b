//! The real bus, around which processes die and sleep at chosen points.

use super::proxy::Gate;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use weir_bus::kafka::{KafkaConsumer, KafkaProducer, KafkaReader, KafkaWriter};
use weir_bus::{
    Bus, Committed, Delivered, Description, Error, Event, Full, GroupConsumer, KafkaBus, Message, Position,
    Reader, Record, Restored, Result, TopicSpec, Topics, Transactions, TxnError, Writer,
};

/// Where a process dies: the commit of a plan, or that of a batch's end; before the broker has it, or after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Die {
    BeforePlan,
    AfterPlan,
    BeforeEnd,
    AfterEnd,
}

/// What is to happen, and what was seen.
#[derive(Default)]
pub struct Faults {
    pub die: Option<Die>,
    /// Died, or is to die at its next word to the bus.
    pub dead: bool,
    /// Plans are committed when this opens; nothing is polled meanwhile.
    pub sleep: Option<Gate>,
    pub asleep: bool,
    /// Nothing is polled until this opens; what was sent to ClickHouse goes on meanwhile.
    pub doze: Option<Gate>,
    /// The last member joins when this opens.
    pub late: Option<(&'static str, Gate)>,
    /// Looks at inventory that fail: for its bounds, and for its next record.
    pub fail_bounds: u32,
    pub fail_tail: u32,
    /// Commits of ends that are refused, and how many were tried.
    pub refuse_ends: bool,
    pub ends: u32,
    pub lost: u32,
    /// Dead letters that the broker does not take.
    pub lose_letters: u32,
    /// Bytes of records delivered.
    pub delivered: u64,
    pub pauses: u32,
    /// Metadata of the plans that the broker took.
    pub plans: Vec<String>,
}

#[derive(Clone)]
pub struct Faulty {
    pub inner: KafkaBus,
    pub faults: Arc<Mutex<Faults>>,
}

pub struct Consumer {
    inner: KafkaConsumer,
    faults: Arc<Mutex<Faults>>,
}

fn died<T>() -> Result<T> {
    Err(Error::Fenced { identity: "this test".to_owned(), reason: "the process died".to_owned() })
}

impl GroupConsumer for Consumer {
    fn topic(&self) -> &str {
        self.inner.topic()
    }
    fn poll(&mut self, timeout: Duration) -> Result<Event<'_>> {
        if self.faults.lock().unwrap().dead {
            return died();
        }
        let doze = self.faults.lock().unwrap().doze.take();
        if let Some(gate) = doze {
            gate.pass();
        }
        let event = self.inner.poll(timeout)?;
        if let Event::Record(record) = &event {
            self.faults.lock().unwrap().delivered += record.value().map_or(0, <[u8]>::len) as u64;
        }
        self.faults.lock().unwrap().lost += u32::from(matches!(event, Event::Lost(_) | Event::Revoked(_)));
        Ok(event)
    }
    fn start(&mut self, partition: i32, offset: i64) -> Result<()> {
        self.inner.start(partition, offset)
    }
    fn seek(&mut self, partition: i32, offset: i64) -> Result<()> {
        self.inner.seek(partition, offset)
    }
    fn pause(&mut self, partition: i32) -> Result<()> {
        self.faults.lock().unwrap().pauses += 1;
        self.inner.pause(partition)
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
        let plans: Vec<String> = positions
            .iter()
            .filter(|position| position.metadata.contains("\"plan\""))
            .map(|position| position.metadata.clone())
            .collect();
        let (before, after) = if plans.is_empty() {
            (Die::BeforeEnd, Die::AfterEnd)
        } else {
            (Die::BeforePlan, Die::AfterPlan)
        };
        let (die, sleep) = {
            let mut faults = self.faults.lock().unwrap();
            faults.dead |= faults.die == Some(before);
            if faults.dead {
                return died();
            }
            if plans.is_empty() {
                faults.ends += 1;
                if faults.refuse_ends {
                    return Err(Error::Rebalanced {
                        doing: "committing",
                        reason: "a test says so".to_owned(),
                    });
                }
            }
            let sleep = (!plans.is_empty()).then(|| faults.sleep.take()).flatten();
            faults.asleep |= sleep.is_some();
            (faults.die, sleep)
        };
        if let Some(gate) = sleep {
            gate.pass();
        }
        self.inner.commit(positions)?;
        let mut faults = self.faults.lock().unwrap();
        faults.plans.extend(plans);
        faults.dead |= die == Some(after);
        if faults.dead { died() } else { Ok(()) }
    }
    fn bounds(&mut self, partition: i32) -> Result<(i64, i64)> {
        self.inner.bounds(partition)
    }
    fn leave(self) -> Result<()> {
        self.inner.leave()
    }
}

/// Asked for by the trait; a sink has none.
pub struct Producer(KafkaProducer);

impl Transactions for Producer {
    type Consumer = Consumer;

    fn begin(&mut self) -> std::result::Result<(), TxnError> {
        self.0.begin()
    }
    fn send(&mut self, message: &Message<'_>) -> std::result::Result<(), TxnError> {
        self.0.send(message)
    }
    fn commit(&mut self, consumer: &mut Consumer, offsets: &[Position]) -> std::result::Result<(), TxnError> {
        self.0.commit(&mut consumer.inner, offsets)
    }
    fn abort(&mut self) -> std::result::Result<(), TxnError> {
        self.0.abort()
    }
}

pub struct Letters {
    inner: KafkaWriter,
    faults: Arc<Mutex<Faults>>,
    lost: bool,
}

impl Writer for Letters {
    fn try_send(&mut self, message: &Message<'_>, units: u32) -> Result<std::result::Result<(), Full>> {
        let mut faults = self.faults.lock().unwrap();
        if faults.lose_letters > 0 {
            faults.lose_letters -= 1;
            self.lost = true;
            return Ok(Ok(()));
        }
        self.inner.try_send(message, units)
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
        self.inner.flush(timeout) && !self.lost
    }
}

pub struct Inventory {
    inner: KafkaReader,
    faults: Arc<Mutex<Faults>>,
}

fn failed<T>(left: &mut u32) -> Option<Result<T>> {
    *left = left.checked_sub(1)?;
    Some(Err(Error::Bus { doing: "reading".to_owned(), reason: "a test says so".to_owned() }))
}

impl Reader for Inventory {
    fn restore(
        &mut self,
        topic: &str,
        partitions: &[i32],
        each: &mut dyn FnMut(&Record<'_>),
    ) -> Result<Vec<Restored>> {
        self.inner.restore(topic, partitions, each)
    }
    fn tail(&mut self, topic: &str, from: &[(i32, i64)]) -> Result<()> {
        self.inner.tail(topic, from)
    }
    fn poll_tail(&mut self, timeout: Duration) -> Result<Option<Record<'_>>> {
        if let Some(failed) = failed(&mut self.faults.lock().unwrap().fail_tail) {
            return failed;
        }
        self.inner.poll_tail(timeout)
    }
    fn bounds(&mut self, topic: &str, partition: i32) -> Result<(i64, i64)> {
        if let Some(failed) = failed(&mut self.faults.lock().unwrap().fail_bounds) {
            return failed;
        }
        self.inner.bounds(topic, partition)
    }
}

impl Bus for Faulty {
    type Consumer = Consumer;
    type Producer = Producer;
    type Reader = Inventory;
    type Writer = Letters;

    fn topics(&self) -> Topics {
        self.inner.topics()
    }
    fn partitions(&self) -> usize {
        self.inner.partitions()
    }
    fn reach(&self) -> Result<()> {
        self.inner.reach()
    }
    fn join(&self, group: &str, topic: &str, instance: &str) -> Result<Consumer> {
        let late = self.faults.lock().unwrap().late.clone();
        if let Some((suffix, gate)) = late
            && instance.ends_with(suffix)
        {
            gate.pass();
        }
        let inner = self.inner.join(group, topic, instance)?;
        Ok(Consumer { inner, faults: Arc::clone(&self.faults) })
    }
    fn transactional(&self, id: &str) -> Result<Producer> {
        self.inner.transactional(id).map(Producer)
    }
    fn reader(&self) -> Result<Inventory> {
        Ok(Inventory { inner: self.inner.reader()?, faults: Arc::clone(&self.faults) })
    }
    fn writer(&self, buffer_bytes: usize) -> Result<Letters> {
        let inner = self.inner.writer(buffer_bytes)?;
        Ok(Letters { inner, faults: Arc::clone(&self.faults), lost: false })
    }
    fn describe(&self, topics: &[&str]) -> Result<Vec<Option<Description>>> {
        self.inner.describe(topics)
    }
    fn create(&self, spec: &TopicSpec) -> Result<bool> {
        self.inner.create(spec)
    }
    fn delete(&self, topic: &str) -> Result<bool> {
        self.inner.delete(topic)
    }
}
