//! A bus whose writers do as they are told.

use std::sync::{Arc, Mutex};
use std::time::Duration;
use weir_bus::kafka::{KafkaConsumer, KafkaProducer, KafkaReader};
use weir_bus::{Bus, Count, Delivered, Description, Error, Full, Message, Result, TopicSpec, Topics, Writer};

/// What writers are to do, and what they did.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) refuse: u32,
    pub(crate) break_next: bool,
    /// Nothing is acknowledged by polls; a flush acknowledges it all the same.
    pub(crate) silent: bool,
    /// A flush gives up what is out.
    pub(crate) lose: bool,
    /// Whoever sends panics.
    pub(crate) panic: bool,
    /// Questions that are not answered before the answer is that there is no topic.
    pub(crate) unanswered: u32,
    pub(crate) opened: u32,
    pub(crate) flushed: u32,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct FakeBus(pub(crate) Arc<Mutex<State>>);

pub(crate) struct FakeWriter {
    bus: FakeBus,
    broken: bool,
    waiting: Vec<Count>,
    delivered: Delivered,
}

fn add(to: &mut Count, more: Count) {
    to.records += more.records;
    to.units += more.units;
    to.bytes += more.bytes;
}

impl FakeWriter {
    fn acknowledge(&mut self) {
        self.waiting.drain(..).for_each(|count| add(&mut self.delivered.acked, count));
    }
}

impl Writer for FakeWriter {
    fn try_send(&mut self, message: &Message<'_>, units: u32) -> Result<std::result::Result<(), Full>> {
        let mut state = self.bus.0.lock().unwrap();
        if std::mem::take(&mut state.panic) {
            drop(state);
            panic!("a test says so");
        }
        self.broken |= std::mem::take(&mut state.break_next);
        let refused = state.refuse > 0;
        state.refuse -= u32::from(refused);
        if self.broken || refused {
            return Err(Error::Bus { doing: "sending".to_owned(), reason: "a test says so".to_owned() });
        }
        let bytes = (message.key.len() + message.value.unwrap_or_default().len()) as u64;
        self.waiting.push(Count { records: 1, units: u64::from(units), bytes });
        Ok(Ok(()))
    }
    fn is_broken(&self) -> bool {
        self.broken
    }
    fn poll(&mut self, _: Duration) {
        if !self.bus.0.lock().unwrap().silent {
            self.acknowledge();
        }
    }
    fn in_flight(&self) -> usize {
        self.waiting.len()
    }
    fn delivered(&self) -> Delivered {
        self.delivered.clone()
    }
    fn flush(&mut self, _: Duration) -> bool {
        let mut state = self.bus.0.lock().unwrap();
        state.flushed += 1;
        if !state.lose {
            drop(state);
            self.acknowledge();
            return true;
        }
        let (mut lost, failed) = (Count::default(), &mut self.delivered.failed);
        self.waiting.drain(..).for_each(|count| add(&mut lost, count));
        match failed.first_mut() {
            Some((_, before)) => add(before, lost),
            None => failed.push(("a test says so".to_owned(), lost)),
        }
        false
    }
}

impl Bus for FakeBus {
    type Consumer = KafkaConsumer;
    type Producer = KafkaProducer;
    type Reader = KafkaReader;
    type Writer = FakeWriter;

    fn topics(&self) -> Topics {
        weir_bus::Config::default().topics()
    }
    fn partitions(&self) -> usize {
        1
    }
    fn writer(&self, _: usize) -> Result<FakeWriter> {
        self.0.lock().unwrap().opened += 1;
        let (waiting, delivered) = (Vec::new(), Delivered::default());
        Ok(FakeWriter { bus: self.clone(), broken: false, waiting, delivered })
    }
    fn reach(&self) -> Result<()> {
        unimplemented!()
    }
    fn join(&self, _: &str, _: &str, _: &str) -> Result<KafkaConsumer> {
        unimplemented!()
    }
    fn transactional(&self, _: &str) -> Result<KafkaProducer> {
        unimplemented!()
    }
    fn reader(&self) -> Result<KafkaReader> {
        unimplemented!()
    }
    fn describe(&self, topics: &[&str]) -> Result<Vec<Option<Description>>> {
        let mut state = self.0.lock().unwrap();
        if state.unanswered == 0 {
            return Ok(topics.iter().map(|_| None).collect());
        }
        state.unanswered -= 1;
        let (doing, reason) = ("describing topics".to_owned(), "NetworkException".to_owned());
        Err(Error::Bus { doing, reason })
    }
    fn create(&self, _: &TopicSpec) -> Result<bool> {
        unimplemented!()
    }
    fn delete(&self, _: &str) -> Result<bool> {
        unimplemented!()
    }
}
