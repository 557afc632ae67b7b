//! Datagrams from real sockets through ingest into a real Kafka.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use weir_bus::{Bus, KafkaBus, Reader, TopicSpec, partition};
use weir_ingest::{Config, Error, Ingest, Snapshot, SpoolConfig, Totals};
use weir_schemas::frame;
use weir_stack::Kafka;
use weir_stack::kafka::Options;

fn start(name: &str) -> Kafka {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if dir.exists() {
        std::fs::remove_dir_all(&dir).unwrap();
    }
    Kafka::start(&dir, Options::test()).unwrap_or_else(|error| panic!("{error}"))
}

/// A bus with the raw topic of `prefix`.
fn bus(broker: &Kafka, prefix: &str, partitions: usize) -> KafkaBus {
    let config = weir_bus::Config {
        bootstrap_servers: broker.bootstrap(),
        topic_prefix: prefix.to_owned(),
        partitions,
        ..weir_bus::Config::default()
    };
    let raw = TopicSpec::all(&config, config.partitions).remove(0);
    let bus = KafkaBus::new(config).unwrap();
    bus.create(&raw).unwrap();
    bus
}

fn shared() -> &'static Kafka {
    static BROKER: OnceLock<Kafka> = OnceLock::new();
    BROKER.get_or_init(|| start("ingest-kafka"))
}

fn config(addresses: &[&str]) -> Config {
    let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
    Config { addresses, ports: vec![0], frame_age_ms: 20, ..Config::default() }
}

struct Running {
    addresses: Vec<SocketAddr>,
    totals: Arc<Totals>,
    stop: CancellationToken,
    task: JoinHandle<Result<(), Error>>,
}

impl Running {
    fn start(config: Config, bus: KafkaBus) -> Self {
        let ingest = Ingest::bind(config).unwrap();
        let (addresses, totals) = (ingest.addresses().to_vec(), ingest.totals());
        let stop = CancellationToken::new();
        let task = tokio::spawn(ingest.run(bus, stop.clone()));
        Self { addresses, totals, stop, task }
    }

    async fn until(&self, what: &str, reached: impl Fn(&Snapshot) -> bool) {
        let begun = Instant::now();
        while !reached(&self.totals.snapshot()) {
            assert!(begun.elapsed() < Duration::from_secs(40), "{what}: {:?}", self.totals.snapshot());
            assert!(!self.task.is_finished(), "it ended");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Sends and waits until it is received, so that the kernel need not drop any.
    async fn send(&self, sources: &[UdpSocket], to: SocketAddr, payloads: impl IntoIterator<Item = Vec<u8>>) {
        let mut sent = self.totals.snapshot().datagrams;
        for (n, payload) in payloads.into_iter().enumerate() {
            sources[n % sources.len()].send_to(&payload, to).unwrap();
            sent += 1;
            if sent.is_multiple_of(100) {
                self.until("received", |now| now.datagrams >= sent).await;
            }
        }
        self.until("received", |now| now.datagrams >= sent).await;
    }

    async fn stop(self) -> Snapshot {
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
        self.totals.snapshot()
    }
}

/// A datagram as it lies in Kafka.
#[derive(Debug)]
struct Stored {
    source_port: u16,
    listener: u16,
    received: i64,
    number: u32,
}

/// All datagrams in the raw topic by exporter, in the order of their partition; each exporter is on its own partition only.
fn stored(bus: &KafkaBus) -> BTreeMap<IpAddr, Vec<Stored>> {
    let mut all = BTreeMap::<IpAddr, Vec<Stored>>::new();
    for p in 0..bus.partitions() as i32 {
        let mut each = |record: &weir_bus::Record<'_>| {
            let key: [u8; 16] = record.key().unwrap().try_into().unwrap();
            assert_eq!(partition(&key, bus.partitions()), p);
            for datagram in frame::datagrams(record.value().unwrap()) {
                let datagram = datagram.unwrap();
                all.entry(IpAddr::from(key).to_canonical()).or_default().push(Stored {
                    source_port: datagram.source_port,
                    listener: datagram.listener,
                    received: datagram.received,
                    number: u32::from_be_bytes(datagram.payload[..4].try_into().unwrap()),
                });
            }
        };
        bus.reader().unwrap().restore(&bus.topics().raw, &[p], &mut each).unwrap();
    }
    all
}

fn numbered(numbers: std::ops::Range<u32>, size: usize) -> impl Iterator<Item = Vec<u8>> {
    numbers.map(move |number| {
        let mut payload = vec![0; size];
        payload[..4].copy_from_slice(&number.to_be_bytes());
        payload
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_exporter_lies_on_its_partition_in_order_whatever_ports_it_sends_from() {
    let bus = bus(shared(), "order", 5);
    let running = Running::start(Config { workers: 2, ..config(&["127.0.0.1", "::1"]) }, bus.clone());
    let [v4, v6] = running.addresses[..] else { panic!("{:?}", running.addresses) };
    let before = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as i64;
    // Thirty routers with three ports each; one over IPv6.
    let mut sources: Vec<(IpAddr, Vec<UdpSocket>)> = (1..=30)
        .map(|host| (IpAddr::from([127, 0, 3, host]), v4))
        .chain([("::1".parse().unwrap(), v6)])
        .map(|(ip, _)| (ip, (0..3).map(|_| UdpSocket::bind((ip, 0)).unwrap()).collect()))
        .collect();
    for round in 0..10 {
        for (ip, ports) in &mut sources {
            let to = if ip.is_ipv4() { v4 } else { v6 };
            running.send(ports, to, numbered(round * 20..(round + 1) * 20, 200)).await;
        }
    }
    let totals = running.stop().await;
    let total = 31 * 200;
    assert_eq!((totals.datagrams, totals.acked.units, totals.kernel_drops), (total, total, 0));
    assert_eq!(totals.bytes, total * 200);
    assert!(totals.acked.records < total / 5, "frames hold several datagrams: {}", totals.acked.records);
    assert!(totals.dropped.is_empty() && totals.failed.is_empty() && totals.buffered == 0, "{totals:?}");
    let stored = stored(&bus);
    assert_eq!(stored.len(), 31);
    for (ip, ports) in sources {
        let datagrams = &stored[&ip];
        assert!(datagrams.iter().map(|datagram| datagram.number).eq(0..200), "{ip}");
        let listener = if ip.is_ipv4() { v4 } else { v6 };
        for (n, datagram) in datagrams.iter().enumerate() {
            let port = ports[n % 20 % 3].local_addr().unwrap().port();
            assert_eq!((datagram.source_port, datagram.listener), (port, listener.port()));
            assert!((before..before + 60_000_000_000).contains(&datagram.received));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_forwards_what_was_received_before_it() {
    let bus = bus(shared(), "drain", 1);
    let running = Running::start(Config { frame_age_ms: 60_000, ..config(&["127.0.0.1"]) }, bus.clone());
    let from = [UdpSocket::bind("127.0.0.1:0").unwrap()];
    running.send(&from, running.addresses[0], numbered(0..50, 10)).await;
    assert_eq!(running.totals.snapshot().acked.units, 0, "the frame is young");
    assert_eq!(running.stop().await.acked.units, 50);
    assert!(stored(&bus).into_values().flatten().map(|datagram| datagram.number).eq(0..50));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_is_missing_or_partitioned_otherwise_ends_it_with_the_topics_name() {
    let _ = bus(shared(), "other", 3);
    for (prefix, words) in [
        ("other", "topic other.raw has 3 partitions, and 4 are expected"),
        ("absent", "topic absent.raw does not exist"),
    ] {
        let config_of = weir_bus::Config {
            bootstrap_servers: shared().bootstrap(),
            topic_prefix: prefix.to_owned(),
            partitions: 4,
            ..weir_bus::Config::default()
        };
        let bus = KafkaBus::new(config_of).unwrap();
        let run = weir_ingest::run(config(&["127.0.0.1"]), bus, CancellationToken::new());
        let error = tokio::time::timeout(Duration::from_secs(20), run).await.unwrap().unwrap_err();
        assert!(error.to_string().starts_with(words), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_broker_it_buffers_then_drops_and_counts_and_what_was_acknowledged_is_all_there() {
    let mut broker = start("ingest-kafka-killed");
    let bus = bus(&broker, "outage", 2);
    // It starts while the broker is away.
    broker.kill().unwrap();
    let running = Running::start(Config { buffer_bytes: 2 << 20, ..config(&["127.0.0.1"]) }, bus.clone());
    let to = running.addresses[0];
    let from = [UdpSocket::bind("127.0.4.1:0").unwrap()];
    running.send(&from, to, numbered(0..500, 1000)).await;
    running.until("buffered", |now| now.buffered > 400_000).await;
    assert_eq!(running.totals.snapshot().acked.units, 0);
    broker.restart().unwrap();
    running.until("acknowledged", |now| now.acked.units == 500).await;

    broker.kill().unwrap();
    running.send(&from, to, numbered(500..4500, 1000)).await;
    running.until("dropped", |now| now.dropped.contains_key("buffer full")).await;
    let full = running.totals.snapshot();
    assert!((1_800_000..=2 << 20).contains(&full.buffered), "{full:?}");
    broker.restart().unwrap();
    running.until("acknowledged", |now| now.buffered == 0).await;
    running.send(&from, to, numbered(4500..4600, 1000)).await;

    let totals = running.stop().await;
    let dropped = totals.dropped["buffer full"].units;
    assert_eq!((totals.datagrams, totals.kernel_drops), (4600, 0));
    assert_eq!(totals.acked.units + dropped, 4600, "{totals:?}");
    assert!(totals.failed.is_empty());
    let stored = stored(&bus);
    let numbers: Vec<u32> = stored.into_values().flatten().map(|datagram| datagram.number).collect();
    assert_eq!(numbers.len() as u64, totals.acked.units, "what was acknowledged, once");
    assert!(numbers.is_sorted_by(|a, b| a < b), "in order");
    // The newest was dropped: what had come first is there without a gap, until the buffer was nearly full.
    let kept = numbers.iter().zip(0..).take_while(|(number, expected)| **number == *expected).count() as u64;
    assert!(kept > 500 + 1_900, "{kept}");
    assert!(numbers.ends_with(&(4500..4600).collect::<Vec<_>>()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_spool_an_outage_of_the_broker_costs_nothing_and_doubles_nothing() {
    let mut broker = start("ingest-kafka-spool");
    let bus = bus(&broker, "spool", 2);
    let folder = tempfile::tempdir().unwrap();
    let spool = SpoolConfig { path: Some(folder.path().into()), bytes: 32 << 20, segment_bytes: 1 << 20 };
    let running =
        Running::start(Config { buffer_bytes: 2 << 20, spool, ..config(&["127.0.0.1"]) }, bus.clone());
    let (to, from) = (running.addresses[0], [UdpSocket::bind("127.0.4.2:0").unwrap()]);
    running.send(&from, to, numbered(0..100, 1000)).await;
    running.until("acknowledged", |now| now.acked.units == 100).await;
    broker.kill().unwrap();
    running.send(&from, to, numbered(100..9100, 1000)).await;
    running.until("spooled", |now| now.spool.waiting.units > 6_000).await;
    broker.restart().unwrap();
    running.send(&from, to, numbered(9100..9600, 1000)).await;
    running.until("drained", |now| now.acked.units == 9600 && now.spool_bytes == 0).await;
    let totals = running.stop().await;
    assert!(totals.dropped.is_empty() && totals.failed.is_empty(), "{totals:?}");
    assert_eq!((totals.accounted(), totals.spool.drained), (9600, totals.spool.spooled));
    let numbers = stored(&bus).into_values().flatten().map(|datagram| datagram.number);
    assert!(numbers.eq(0..9600), "in order, once");
}
