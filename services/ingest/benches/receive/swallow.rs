//! A bus that copies what it is given, as one that sends must, and acknowledges it at once.

use std::time::Duration;
use weir_bus::kafka::{KafkaConsumer, KafkaProducer, KafkaReader};
use weir_bus::{Bus, Count, Delivered, Description, Error, Full, Message, Result, TopicSpec, Topics, Writer};

#[derive(Clone)]
pub struct Swallow;

#[derive(Default)]
pub struct Swallower {
    copy: Vec<u8>,
    delivered: Delivered,
}

impl Writer for Swallower {
    fn try_send(&mut self, message: &Message<'_>, units: u32) -> Result<std::result::Result<(), Full>> {
        let value = message.value.unwrap_or_default();
        self.copy.clear();
        self.copy.extend_from_slice(value);
        let Count { records, units: sum, bytes } = &mut self.delivered.acked;
        *records += 1;
        *sum += u64::from(units);
        *bytes += (message.key.len() + value.len()) as u64;
        Ok(Ok(()))
    }
    fn poll(&mut self, _: Duration) {}
    fn in_flight(&self) -> usize {
        0
    }
    fn delivered(&self) -> Delivered {
        self.delivered.clone()
    }
    fn flush(&mut self, _: Duration) -> bool {
        true
    }
}

fn only_writes<T>() -> Result<T> {
    Err(Error::Bus { doing: "reading".to_owned(), reason: "this bus only takes".to_owned() })
}

impl Bus for Swallow {
    type Consumer = KafkaConsumer;
    type Producer = KafkaProducer;
    type Reader = KafkaReader;
    type Writer = Swallower;

    fn topics(&self) -> Topics {
        weir_bus::Config::default().topics()
    }
    fn partitions(&self) -> usize {
        weir_bus::Config::default().partitions
    }
    fn reach(&self) -> Result<()> {
        Ok(())
    }
    fn join(&self, _: &str, _: &str, _: &str) -> Result<KafkaConsumer> {
        only_writes()
    }
    fn transactional(&self, _: &str) -> Result<KafkaProducer> {
        only_writes()
    }
    fn reader(&self) -> Result<KafkaReader> {
        only_writes()
    }
    fn writer(&self, _: usize) -> Result<Swallower> {
        Ok(Swallower::default())
    }
    fn describe(&self, _: &[&str]) -> Result<Vec<Option<Description>>> {
        only_writes()
    }
    fn create(&self, _: &TopicSpec) -> Result<bool> {
        only_writes()
    }
    fn delete(&self, _: &str) -> Result<bool> {
        only_writes()
    }
    fn check(&self, _: &[TopicSpec]) -> Result<Vec<Description>> {
        Ok(Vec::new())
    }
}
