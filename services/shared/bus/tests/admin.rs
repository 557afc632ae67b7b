//! Questions about topics, on a real broker: over how many connections, and what becomes of them when it does not answer.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use rdkafka::mocking::MockCluster;
use std::io::{Write, copy};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use weir_bus::{Bus, Cleanup, Config, Error, KafkaBus, TopicSpec};
use weir_stack::Kafka;
use weir_stack::kafka::Options;

fn broker() -> &'static Kafka {
    static BROKER: OnceLock<Kafka> = OnceLock::new();
    BROKER.get_or_init(|| {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bus-admin");
        let _ = std::fs::remove_dir_all(&dir);
        Kafka::start(&dir, Options::test()).unwrap_or_else(|error| panic!("{error}"))
    })
}

/// Stands before the broker and counts who comes. Each client comes here once, and learns from the answer where the broker is.
fn door() -> (String, Arc<AtomicUsize>) {
    let (listener, came) = (TcpListener::bind("127.0.0.1:0").unwrap(), Arc::new(AtomicUsize::new(0)));
    let (address, counted) = (listener.local_addr().unwrap().to_string(), Arc::clone(&came));
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            counted.fetch_add(1, Ordering::Relaxed);
            let server = TcpStream::connect(broker().bootstrap()).unwrap();
            let ways = [(client.try_clone(), server.try_clone()), (Ok(server), Ok(client))];
            for (from, to) in ways {
                let (mut from, mut to) = (from.unwrap(), to.unwrap());
                std::thread::spawn(move || {
                    let _ = copy(&mut from, &mut to).and_then(|_| to.flush());
                    let _ = to.shutdown(Shutdown::Both);
                });
            }
        }
    });
    (address, came)
}

#[test]
fn questions_go_over_one_client_however_often_they_are_asked() {
    let (address, came) = door();
    let bus = KafkaBus::new(Config { bootstrap_servers: address, ..Config::default() }).unwrap();
    let spec = TopicSpec::new("often", 2, 1, Cleanup::Delete { retention_ms: 86_400_000 });
    bus.create(&spec).unwrap();
    let first = came.load(Ordering::Relaxed);
    for _ in 0..10 {
        assert_eq!(bus.clone().check(std::slice::from_ref(&spec)).unwrap()[0].partitions, 2);
    }
    assert!(came.load(Ordering::Relaxed) <= first + 1, "{first}, then {}", came.load(Ordering::Relaxed));
}

#[test]
fn no_answer_in_time_is_a_timeout_that_can_be_waited_out() {
    // Of a broker that is there, and slow.
    let slow = MockCluster::new(1).unwrap();
    slow.broker_round_trip_time(1, Duration::from_millis(400)).unwrap();
    let config =
        Config { bootstrap_servers: slow.bootstrap_servers(), request_timeout_ms: 100, ..Config::default() };
    let error = KafkaBus::new(config).unwrap().describe(&["anything"]).unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }) && !error.is_lasting(), "{error}");
}
