//! The start of a sink while its broker is away: it waits, says so, and ends in order when told to.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use weir_bus::kafka::{KafkaConsumer, KafkaProducer, KafkaReader, KafkaWriter};
use weir_bus::{Bus, Description, Error, KafkaBus, Result, TopicSpec, Topics};
use weir_runtime::{Health, Stop};
use weir_store::Store;

/// A bus that does not answer the first questions, and then says that no topic is there.
#[derive(Clone)]
struct Slow {
    inner: KafkaBus,
    asked: Arc<AtomicU32>,
    unanswered: u32,
}

impl Bus for Slow {
    type Consumer = KafkaConsumer;
    type Producer = KafkaProducer;
    type Reader = KafkaReader;
    type Writer = KafkaWriter;

    fn topics(&self) -> Topics {
        self.inner.topics()
    }
    fn partitions(&self) -> usize {
        self.inner.partitions()
    }
    fn reach(&self) -> Result<()> {
        self.inner.reach()
    }
    fn join(&self, group: &str, topic: &str, instance: &str) -> Result<KafkaConsumer> {
        self.inner.join(group, topic, instance)
    }
    fn transactional(&self, id: &str) -> Result<KafkaProducer> {
        self.inner.transactional(id)
    }
    fn reader(&self) -> Result<KafkaReader> {
        self.inner.reader()
    }
    fn writer(&self, buffer_bytes: usize) -> Result<KafkaWriter> {
        self.inner.writer(buffer_bytes)
    }
    fn describe(&self, topics: &[&str]) -> Result<Vec<Option<Description>>> {
        let doing = "describing topics".to_owned();
        match self.asked.fetch_add(1, Ordering::Relaxed) {
            n if n >= self.unanswered => Ok(topics.iter().map(|_| None).collect()),
            0 => Err(Error::Timeout { doing, waited: Duration::ZERO }),
            _ => Err(Error::Bus { doing, reason: "NetworkException".to_owned() }),
        }
    }
    fn create(&self, spec: &TopicSpec) -> Result<bool> {
        self.inner.create(spec)
    }
    fn delete(&self, topic: &str) -> Result<bool> {
        self.inner.delete(topic)
    }
}

async fn run(unanswered: u32, stop: Stop) -> (std::result::Result<(), weir_sink::Error>, u32) {
    let config = weir_bus::Config { bootstrap_servers: "127.0.0.1:1".to_owned(), ..Default::default() };
    let (topics, specs) = (config.topics(), TopicSpec::all(&config));
    let asked = Arc::new(AtomicU32::new(0));
    let bus = Slow { inner: KafkaBus::new(config).unwrap(), asked: Arc::clone(&asked), unanswered };
    let store = Store::new(&weir_store::Config::default()).unwrap();
    let ready = Health::default().condition("bus");
    let run = weir_sink::run(weir_sink::Config::default(), bus, topics, specs, store, ready, stop);
    let ended = tokio::time::timeout(Duration::from_secs(20), run).await.unwrap();
    (ended, asked.load(Ordering::Relaxed))
}

#[tokio::test]
async fn what_passes_is_waited_out_at_the_start_and_what_does_not_is_said() {
    let (ended, asked) = run(2, Stop::new()).await;
    let word = ended.unwrap_err().to_string();
    assert!(word.contains("does not exist") && asked == 3, "{word} after {asked}");
}

#[tokio::test]
async fn an_end_while_the_broker_is_away_is_in_order() {
    let stop = Stop::new();
    let told = stop.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(300)).await;
        told.cancel();
    });
    let (ended, asked) = run(u32::MAX, stop).await;
    ended.unwrap();
    assert!(asked > 0);
}
