//! Everything in one process, killed again and again: exactly once from its own log on, and what the dead missed is told.
#![allow(clippy::unwrap_used)]

mod support;
#[path = "support/up.rs"]
mod up;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use support::alone;
use up::{block_on, store, up};
use weir_bus::EmbeddedBus;
use weir_loadtest::generate::{Bounds, Generator, Options, now_ns};
use weir_loadtest::network::{Exporter, links_toml, network};
use weir_loadtest::raw::Received;
use weir_loadtest::run::Ends;
use weir_loadtest::run::faults::last_look;
use weir_loadtest::run::sample::{Counters, children};
use weir_loadtest::verify::{Cause, Excuse, Patience, Verdict, against_raw, verify};
use weir_loadtest::world::World;
use weir_stack::{Local, Signal, local, scrape};

const SEED: u64 = 5;
const PARTITIONS: usize = 4;
const LONG: Duration = Duration::from_secs(60);

fn stack(dir: &Path, world: &World, exporters: &[Exporter]) -> Local {
    let options =
        local::Options { standalone: true, partitions: Some(PARTITIONS), ..local::Options::new(dir) };
    up(options, world, &["[sink]\nbatch_ms = 700\n", &links_toml(exporters)])
}

/// The engine's process: the only child of the standalone one.
fn engine(stack: &mut Local) -> u32 {
    let parent = stack.service("standalone").unwrap().id().unwrap();
    let begun = Instant::now();
    loop {
        if let Some(child) = children(parent).into_iter().next_back() {
            return child;
        }
        assert!(begun.elapsed() < LONG, "process {parent} has no child");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_standalone_killed_ten_times_stores_all_of_its_log_once_and_tells_what_the_dead_missed() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let world = World::synthetic(SEED);
    let exporters = network(&world, 8, Ipv4Addr::new(127, 75, 0, 1));
    let mut stack = stack(dir.path(), &world, &exporters);
    // At this rate the sockets' buffers hold whatever comes while the process is busy; templates come again soon after each kill.
    let options = Options {
        ports: stack.ingest().1,
        rate: 8000.0,
        seed: SEED,
        refresh: 20,
        outages: true,
        journal: true,
        ..Options::default()
    };
    let mut generator = Generator::new(&options, &world, &exporters).unwrap();
    let (stop, mut outages, mut most) = (AtomicBool::new(false), Vec::new(), Duration::ZERO);
    let counters = Mutex::new(Counters::default());
    counters.lock().unwrap().look(stack.service("standalone").unwrap().admin()).unwrap();
    std::thread::scope(|scope| {
        let sending = scope.spawn(|| {
            let bounds = Bounds { duration: Some(Duration::from_secs(300)), ..Bounds::default() };
            generator.run(bounds, &stop).map_err(|error| format!("{error:#}"))
        });
        let _ends = Ends(&stop);
        let mut random = StdRng::seed_from_u64(SEED);
        for _ in 0..10 {
            std::thread::sleep(Duration::from_millis(random.random_range(400..3500)));
            let (_, ports) = stack.ingest();
            let service = stack.service("standalone").unwrap();
            service.expect_alive().unwrap_or_else(|error| panic!("{error}"));
            let last = last_look(&counters, service, ports).unwrap();
            service.kill().unwrap();
            counters.lock().unwrap().ended(service.admin());
            std::thread::sleep(Duration::from_millis(random.random_range(0..400)));
            let begun = Instant::now();
            service.start().unwrap();
            while !scrape::Metrics::of(service.admin())
                .is_ok_and(|metrics| metrics.sum("weir_ingest_datagrams_total") > 0.0)
            {
                assert!(begun.elapsed() < LONG, "it does not receive");
                std::thread::sleep(Duration::from_millis(10));
            }
            most = most.max(begun.elapsed());
            outages.extend(Excuse::dead(last, now_ns()));
        }
        stack.service("standalone").unwrap().wait_ready(LONG).unwrap_or_else(|error| panic!("{error}"));
        std::thread::sleep(Duration::from_secs(2));
        stop.store(true, Ordering::Relaxed);
        sending.join().unwrap().unwrap_or_else(|error| panic!("{error}"));
    });
    println!("received again after {most:?} at most");

    // Its log has one reader, so it ends before the log is read, and stores the rest when it is started again.
    let service = stack.service("standalone").unwrap();
    service.stop(Duration::from_secs(40)).unwrap();
    let received = {
        let path = dir.path().join("bus");
        let embedded = weir_bus::EmbeddedConfig { path, partitions: PARTITIONS, ..Default::default() };
        let config = weir_bus::Config { embedded, ..Default::default() };
        Received::read(&EmbeddedBus::open(config).unwrap()).unwrap()
    };
    service.start().unwrap();
    service.wait_ready(LONG).unwrap_or_else(|error| panic!("{error}"));
    let acknowledged = counters.lock().unwrap().sum("weir_ingest_datagrams_acked_total");
    assert!(
        (1000..=received.datagrams()).contains(&acknowledged),
        "{acknowledged} acknowledged until the last kill, {} there",
        received.datagrams()
    );
    let patience = Patience { quiet: Duration::from_secs(15), most: LONG, ..Patience::default() };
    let (report, missed) =
        block_on(against_raw(generator.ledger(), &received, &outages, &store(&stack), patience)).unwrap();
    println!("{report}\nmissed: {missed:?}");
    assert!(report.sent > 100_000, "{report}");
    assert_eq!((report.lost, report.doubled, missed.of(Cause::Unexplained)), (0, 0, 0), "{report}");
    assert_eq!(report.verdict, Verdict::Pass, "{report}");
    assert!(missed.of(Cause::Dead) > 0, "ten kills took nothing: nothing was proven");
    stack.down().unwrap();
}

#[test]
fn an_engine_that_is_killed_under_load_is_started_again_and_nothing_is_lost() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let world = World::synthetic(SEED);
    let exporters = network(&world, 8, Ipv4Addr::new(127, 76, 0, 1));
    let mut stack = stack(dir.path(), &world, &exporters);
    let options = Options {
        ports: stack.ingest().1,
        ingest_metrics: stack.description().ingest_metrics().map(str::to_owned),
        rate: 8000.0,
        seed: SEED,
        ..Options::default()
    };
    let mut generator = Generator::new(&options, &world, &exporters).unwrap();
    let (stop, mut kills) = (AtomicBool::new(false), 0);
    std::thread::scope(|scope| {
        let sending = scope.spawn(|| {
            let bounds = Bounds { duration: Some(Duration::from_secs(300)), ..Bounds::default() };
            generator.run(bounds, &stop).map_err(|error| format!("{error:#}"))
        });
        let _ends = Ends(&stop);
        let mut random = StdRng::seed_from_u64(SEED);
        // At least five times, and until one of them has met a batch that was in some tables and not in others: `flows` goes first.
        let met_a_batch = |stack: &mut Local| {
            let log = std::fs::read_to_string(stack.service("standalone").unwrap().log()).unwrap();
            log.lines().any(|line| line.contains("an insert failed") && !line.contains(" into flows: "))
        };
        let inserted = |stack: &mut Local| {
            stack.service("standalone").unwrap().metrics().unwrap().sum("weir_store_insert_seconds_count")
        };
        while kills < 5 || !met_a_batch(&mut stack) {
            assert!(kills < 20, "no kill met a batch");
            kills += 1;
            std::thread::sleep(Duration::from_millis(random.random_range(1500..4000)));
            let killed = engine(&mut stack);
            // As soon as one insert of a batch has ended, others of it are under way.
            let inserts = inserted(&mut stack);
            let begun = Instant::now();
            while inserted(&mut stack) == inserts && begun.elapsed() < LONG {
                std::thread::sleep(Duration::from_millis(2));
            }
            weir_stack::signal(killed, Signal::Kill).unwrap();
            let begun = Instant::now();
            while engine(&mut stack) == killed {
                assert!(begun.elapsed() < LONG, "it was not started again");
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        stack.service("standalone").unwrap().wait_ready(LONG).unwrap_or_else(|error| panic!("{error}"));
        stop.store(true, Ordering::Relaxed);
        sending.join().unwrap().unwrap_or_else(|error| panic!("{error}"));
    });
    let patience = Patience { quiet: Duration::from_secs(15), most: LONG, ..Patience::default() };
    let report = block_on(verify(generator.ledger(), &store(&stack), patience)).unwrap();
    println!("{report}");
    assert_eq!(report.verdict, Verdict::Pass, "{report}");
    let restarts = stack.service("standalone").unwrap().metrics().unwrap().sum("weir_engine_restarts_total");
    assert_eq!(restarts as u32, kills);
    let answer: serde_json::Value =
        serde_json::from_slice(&stack.weir("query", &["--format", "json"]).unwrap()).unwrap();
    assert!(!answer["rows"].as_array().unwrap().is_empty(), "{answer}");
    assert_eq!(over_http(&stack)["total"]["flows"], 2 * report.sent, "each flow has two sides");
    stack.down().unwrap();
}

/// The answer of the API for all interfaces and the hour around now.
fn over_http(stack: &Local) -> serde_json::Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() / 60 * 60;
    let time = |seconds: u64| {
        humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(seconds)).to_string()
    };
    let question = serde_json::json!({"from": time(now - 3600), "to": time(now + 600), "scope": "all", "by": ["exporter"]}).to_string();
    let mut client = TcpStream::connect(stack.api()).unwrap();
    let (host, length) = (stack.api(), question.len());
    write!(
        client,
        "POST /api/v1/query HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{question}"
    )
    .unwrap();
    let mut reply = String::new();
    client.read_to_string(&mut reply).unwrap();
    let (head, body) = reply.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{reply}");
    serde_json::from_str(body).unwrap()
}
