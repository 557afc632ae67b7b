//! A partition that librdkafka stopped, which it tells once and without saying which: it is found also where a leader does not answer
//! just then. librdkafka's own cluster plays the brokers, because they must be away exactly when that is told.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use rdkafka::mocking::{MockCluster, MockCoordinator};
use rdkafka::producer::DefaultProducerContext;
use std::time::{Duration, Instant};
use weir_bus::{Bus, Config, Error, Event, GroupConsumer, KafkaBus, Reader};

type Consumer = <KafkaBus as Bus>::Consumer;

const TOPIC: &str = "weir.raw";
const IDENTITY: &str = "decoder-0";
const GROUP: &str = "decoders";
/// Coordinates the group and is never away, and who leads each of the two partitions.
const ALWAYS: i32 = 1;
const LEADERS: [i32; 2] = [2, 3];
const LONG: Duration = Duration::from_secs(60);
/// Nothing was ever written, so that it is in no log.
const NOWHERE: i64 = 100;

fn brokers() -> MockCluster<'static, DefaultProducerContext> {
    let brokers = MockCluster::new(3).unwrap();
    brokers.create_topic(TOPIC, 2, 1).unwrap();
    for (partition, leader) in (0..).zip(LEADERS) {
        brokers.partition_leader(TOPIC, partition, Some(leader)).unwrap();
    }
    brokers.coordinator(MockCoordinator::Group(GROUP.to_owned()), ALWAYS).unwrap();
    brokers
}

fn member(brokers: &MockCluster<'static, DefaultProducerContext>) -> Consumer {
    let bus = KafkaBus::new(Config {
        bootstrap_servers: brokers.bootstrap_servers(),
        session_timeout_ms: 6_000,
        heartbeat_interval_ms: 300,
        request_timeout_ms: 1_000,
        ..Config::default()
    })
    .unwrap();
    let mut consumer = bus.join(GROUP, TOPIC, IDENTITY).unwrap();
    let begun = Instant::now();
    while !matches!(consumer.poll(Duration::from_millis(100)).unwrap(), Event::Assigned(_)) {
        assert!(begun.elapsed() < LONG, "nothing was assigned");
    }
    consumer
}

/// Polls until a partition is said to be out of range. All else that is said meanwhile ends nothing, as with whoever polls.
fn found(consumer: &mut Consumer, limit: Duration) -> Option<i32> {
    let begun = Instant::now();
    while begun.elapsed() < limit {
        if let Err(Error::OffsetOutOfRange { partition, wanted: NOWHERE, begin: 0, end: 0, .. }) =
            consumer.poll(Duration::from_millis(100))
        {
            return Some(partition);
        }
    }
    None
}

#[test]
fn a_partition_that_is_out_of_range_is_found_though_anothers_leader_is_away() {
    let brokers = brokers();
    let mut consumer = member(&brokers);
    brokers.broker_down(LEADERS[0]).unwrap();
    consumer.start(0, 0).unwrap();
    consumer.start(1, NOWHERE).unwrap();
    assert_eq!(found(&mut consumer, LONG), Some(1));
}

#[test]
fn a_partition_that_is_out_of_range_is_found_when_its_leader_is_back() {
    let brokers = brokers();
    let mut consumer = member(&brokers);
    consumer.start(0, 0).unwrap();
    consumer.start(1, NOWHERE).unwrap();
    // What librdkafka has to tell waits for the next poll.
    std::thread::sleep(Duration::from_secs(2));
    brokers.broker_down(LEADERS[1]).unwrap();
    assert_eq!(found(&mut consumer, Duration::from_secs(5)), None);
    brokers.broker_up(LEADERS[1]).unwrap();
    assert_eq!(found(&mut consumer, LONG), Some(1));
    assert_eq!(found(&mut consumer, Duration::from_secs(2)), None, "it is told once");
}

#[test]
fn what_is_started_while_it_is_not_known_which_one_stopped_is_read() {
    let brokers = brokers();
    let mut consumer = member(&brokers);
    brokers.broker_down(LEADERS[0]).unwrap();
    consumer.start(0, 0).unwrap();
    consumer.start(1, NOWHERE).unwrap();
    std::thread::sleep(Duration::from_secs(2));
    brokers.broker_down(LEADERS[1]).unwrap();
    assert_eq!(found(&mut consumer, Duration::from_secs(2)), None);
    // A seek would be refused: librdkafka does not read it.
    consumer.start(1, NOWHERE + 1).unwrap();
    consumer.start(1, NOWHERE).unwrap();
    brokers.broker_up(LEADERS[1]).unwrap();
    assert_eq!(found(&mut consumer, LONG), Some(1));
}

#[test]
fn a_partition_that_is_out_of_range_is_found_by_the_leader_that_it_has_now() {
    let brokers = brokers();
    let mut consumer = member(&brokers);
    consumer.start(0, 0).unwrap();
    consumer.start(1, NOWHERE).unwrap();
    std::thread::sleep(Duration::from_secs(2));
    brokers.broker_down(LEADERS[1]).unwrap();
    // Asked for in vain, the leader that died is the one that is known.
    assert_eq!(found(&mut consumer, Duration::from_secs(5)), None);
    brokers.partition_leader(TOPIC, 1, Some(ALWAYS)).unwrap();
    assert_eq!(found(&mut consumer, LONG), Some(1));
}

#[test]
fn a_tail_that_is_out_of_range_says_so_and_waits_for_no_leader() {
    let brokers = brokers();
    let bus = KafkaBus::new(Config { bootstrap_servers: brokers.bootstrap_servers(), ..Config::default() })
        .unwrap();
    let mut reader = bus.reader().unwrap();
    brokers.broker_down(LEADERS[0]).unwrap();
    reader.tail(TOPIC, &[(0, 0), (1, NOWHERE)]).unwrap();
    let (begun, tick) = (Instant::now(), Duration::from_millis(100));
    let said = loop {
        assert!(begun.elapsed() < LONG, "nothing was said");
        let polled = Instant::now();
        let said = reader.poll_tail(tick).map(|record| record.is_none());
        assert!(polled.elapsed() < Duration::from_secs(5), "{:?}", polled.elapsed());
        match said {
            Ok(none) => assert!(none),
            Err(error) => break error.to_string(),
        }
    };
    assert!(said.contains("following topics"), "{said}");
}
