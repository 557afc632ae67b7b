//! A group's coordinator that is lost in the middle of a transaction. librdkafka's own cluster plays the brokers, because the moment must be hit
//! exactly: with real ones (the load test `broker-loss`) it comes in one of ten losses.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use rdkafka::mocking::{MockCluster, MockCoordinator};
use rdkafka::producer::DefaultProducerContext;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};
use weir_bus::{Bus, Config, Event, GroupConsumer, KafkaBus, Message, Position, Transactions, TxnError};

type Consumer = <KafkaBus as Bus>::Consumer;
type Producer = <KafkaBus as Bus>::Producer;

const GROUP: &str = "decoders";
const IDENTITY: &str = "decoder-0";
const FROM: &str = "weir.raw";
const TO: &str = "weir.flows";
/// Leads every partition, and coordinates the transaction.
const LEADER: i32 = 1;
/// Coordinates the group until it is lost, and the one after it.
const LOST: i32 = 3;
const NEXT: i32 = 2;
const LONG: Duration = Duration::from_secs(60);

fn brokers() -> MockCluster<'static, DefaultProducerContext> {
    let brokers = MockCluster::new(3).unwrap();
    for topic in [FROM, TO] {
        brokers.create_topic(topic, 1, 3).unwrap();
        brokers.partition_leader(topic, 0, Some(LEADER)).unwrap();
    }
    brokers.coordinator(MockCoordinator::Transaction(IDENTITY.to_owned()), LEADER).unwrap();
    brokers.coordinator(MockCoordinator::Group(GROUP.to_owned()), LOST).unwrap();
    brokers
}

fn member(bus: &KafkaBus) -> Consumer {
    let mut consumer = bus.join(GROUP, FROM, IDENTITY).unwrap();
    let begun = Instant::now();
    while !matches!(consumer.poll(Duration::from_millis(100)).unwrap(), Event::Assigned(_)) {
        assert!(begun.elapsed() < LONG, "nothing was assigned");
    }
    consumer
}

fn transaction(producer: &mut Producer, consumer: &mut Consumer) -> Result<(), TxnError> {
    producer.begin()?;
    producer.send(&Message { topic: TO, partition: 0, key: b"k", value: Some(b"v"), headers: &[] })?;
    producer.commit(consumer, &[Position::new(0, 1)])
}

#[test]
fn a_producer_is_given_up_where_the_groups_coordinator_does_not_come_back_and_the_next_one_commits() {
    let brokers = brokers();
    let bus = KafkaBus::new(Config {
        bootstrap_servers: brokers.bootstrap_servers(),
        session_timeout_ms: 6_000,
        heartbeat_interval_ms: 300,
        transaction_timeout_ms: 3_000,
        ..Config::default()
    })
    .unwrap();
    let (mut consumer, mut producer) = (member(&bus), bus.transactional(IDENTITY).unwrap());
    transaction(&mut producer, &mut consumer).unwrap();

    brokers.broker_down(LOST).unwrap();
    // What hangs for ever is to fail, not to hang this test.
    let (tell, told) = channel();
    std::thread::spawn(move || {
        let lost = transaction(&mut producer, &mut consumer);
        let _ = tell.send((lost, consumer));
    });
    let (lost, consumer) = told.recv_timeout(LONG).expect("a commit ends");
    let Err(TxnError::Failed { doing: "sending positions", reason }) = lost else { panic!("{lost:?}") };
    assert!(reason.contains("coordinator"), "{reason}");
    drop(consumer);

    brokers.coordinator(MockCoordinator::Group(GROUP.to_owned()), NEXT).unwrap();
    let (mut consumer, mut producer) = (member(&bus), bus.transactional(IDENTITY).unwrap());
    transaction(&mut producer, &mut consumer).unwrap();
}
