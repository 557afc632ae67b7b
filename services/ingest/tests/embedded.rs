//! Datagrams from real sockets through ingest into a real bus that needs no broker, and that can be away.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use weir_bus::embedded::{EmbeddedConsumer, EmbeddedProducer, EmbeddedReader, EmbeddedWriter};
use weir_bus::{
    Bus, Count, Delivered, Description, EmbeddedBus, EmbeddedConfig, Full, Message, Reader, Result,
    TopicSpec, Topics, Writer,
};
use weir_ingest::{Config, Error, Ingest, Snapshot, SpoolConfig, Totals};
use weir_schemas::frame;

/// The embedded bus; while it is away its writers take what their buffer holds, acknowledge nothing, and refuse the rest.
#[derive(Clone)]
struct Moody {
    bus: EmbeddedBus,
    away: Arc<AtomicBool>,
}

impl Moody {
    fn open(folder: &Path, away: bool) -> Self {
        let embedded = EmbeddedConfig {
            path: folder.into(),
            partitions: 3,
            reserve_bytes: 0,
            ..EmbeddedConfig::default()
        };
        let config = weir_bus::Config { embedded, ..weir_bus::Config::default() };
        let raw = TopicSpec::all(&config, 3).remove(0);
        let bus = EmbeddedBus::open(config).unwrap();
        bus.create(&raw).unwrap();
        Self { bus, away: Arc::new(away.into()) }
    }

    fn away(&self, is: bool) {
        self.away.store(is, Ordering::SeqCst);
    }

    /// The numbers of all datagrams by source, in the order of their partition.
    fn numbers(&self) -> BTreeMap<IpAddr, Vec<u32>> {
        let mut all = BTreeMap::<IpAddr, Vec<u32>>::new();
        let mut each = |record: &weir_bus::Record<'_>| {
            let key: [u8; 16] = record.key().unwrap().try_into().unwrap();
            for datagram in frame::datagrams(record.value().unwrap()) {
                let number = datagram.unwrap().payload[..4].try_into().unwrap();
                all.entry(IpAddr::from(key).to_canonical()).or_default().push(u32::from_be_bytes(number));
            }
        };
        self.reader().unwrap().restore(&self.topics().raw, &[0, 1, 2], &mut each).unwrap();
        all
    }
}

/// A record: topic, partition, key, value, units.
type Taken = (String, i32, Vec<u8>, Vec<u8>, u32);

struct MoodyWriter {
    writer: EmbeddedWriter,
    away: Arc<AtomicBool>,
    buffer_bytes: usize,
    /// Taken while away.
    taken: VecDeque<Taken>,
    given_up: Count,
}

impl MoodyWriter {
    fn pass_on(&mut self) {
        while !self.away.load(Ordering::SeqCst)
            && let Some((topic, partition, key, value, units)) = self.taken.front()
        {
            let message = Message { topic, partition: *partition, key, value: Some(value), headers: &[] };
            if self.writer.try_send(&message, *units).unwrap().is_err() {
                return;
            }
            self.taken.pop_front();
        }
    }
}

impl Writer for MoodyWriter {
    fn try_send(&mut self, message: &Message<'_>, units: u32) -> Result<std::result::Result<(), Full>> {
        self.pass_on();
        if self.taken.is_empty() && !self.away.load(Ordering::SeqCst) {
            return self.writer.try_send(message, units);
        }
        let value = message.value.unwrap();
        if self.taken.iter().map(|taken| taken.3.len()).sum::<usize>() + value.len() > self.buffer_bytes {
            return Ok(Err(Full));
        }
        let (topic, key) = (message.topic.to_owned(), message.key.to_vec());
        self.taken.push_back((topic, message.partition, key, value.to_vec(), units));
        Ok(Ok(()))
    }
    fn poll(&mut self, timeout: Duration) {
        self.pass_on();
        self.writer.poll(timeout);
    }
    fn in_flight(&self) -> usize {
        self.taken.len() + self.writer.in_flight()
    }
    fn delivered(&self) -> Delivered {
        let mut delivered = self.writer.delivered();
        if self.given_up.records > 0 {
            delivered.failed.push(("given up".to_owned(), self.given_up));
        }
        delivered
    }
    fn flush(&mut self, timeout: Duration) -> bool {
        let until = Instant::now() + timeout;
        while !self.taken.is_empty() && Instant::now() < until {
            self.poll(Duration::from_millis(5));
        }
        let all = self.taken.is_empty();
        for (_, _, key, value, units) in self.taken.drain(..) {
            self.given_up.records += 1;
            self.given_up.units += u64::from(units);
            self.given_up.bytes += (key.len() + value.len()) as u64;
        }
        self.writer.flush(Duration::from_secs(10)) && all
    }
}

impl Bus for Moody {
    type Consumer = EmbeddedConsumer;
    type Producer = EmbeddedProducer;
    type Reader = EmbeddedReader;
    type Writer = MoodyWriter;

    fn topics(&self) -> Topics {
        self.bus.topics()
    }
    fn partitions(&self) -> usize {
        self.bus.partitions()
    }
    fn reach(&self) -> Result<()> {
        self.bus.reach()
    }
    fn join(&self, group: &str, topic: &str, instance: &str) -> Result<EmbeddedConsumer> {
        self.bus.join(group, topic, instance)
    }
    fn transactional(&self, id: &str) -> Result<EmbeddedProducer> {
        self.bus.transactional(id)
    }
    fn reader(&self) -> Result<EmbeddedReader> {
        self.bus.reader()
    }
    fn writer(&self, buffer_bytes: usize) -> Result<MoodyWriter> {
        let (writer, away) = (self.bus.writer(buffer_bytes)?, Arc::clone(&self.away));
        Ok(MoodyWriter { writer, away, buffer_bytes, taken: VecDeque::new(), given_up: Count::default() })
    }
    fn describe(&self, topics: &[&str]) -> Result<Vec<Option<Description>>> {
        self.bus.describe(topics)
    }
    fn create(&self, spec: &TopicSpec) -> Result<bool> {
        self.bus.create(spec)
    }
    fn delete(&self, topic: &str) -> Result<bool> {
        self.bus.delete(topic)
    }
}

fn config(spool: Option<&Path>, workers: usize) -> Config {
    Config {
        addresses: vec![IpAddr::from([127, 0, 0, 1])],
        ports: vec![0],
        workers,
        frame_age_ms: 5,
        frame_bytes: 8_000,
        buffer_bytes: workers << 20,
        drain_timeout_ms: 300,
        spool: SpoolConfig { path: spool.map(Into::into), bytes: 64 << 20, segment_bytes: 1 << 20 },
        ..Config::default()
    }
}

struct Running {
    to: SocketAddr,
    totals: Arc<Totals>,
    stop: CancellationToken,
    task: JoinHandle<std::result::Result<(), Error>>,
}

impl Running {
    fn start(config: Config, bus: Moody) -> Self {
        let ingest = Ingest::bind(config).unwrap();
        let (to, totals) = (ingest.addresses()[0], ingest.totals());
        let stop = CancellationToken::new();
        let task = tokio::spawn(ingest.run(bus, stop.clone()));
        Self { to, totals, stop, task }
    }

    async fn until(&self, what: &str, reached: impl Fn(&Snapshot) -> bool) {
        let begun = Instant::now();
        while !reached(&self.totals.snapshot()) {
            assert!(begun.elapsed() < Duration::from_secs(60), "{what}: {:?}", self.totals.snapshot());
            assert!(!self.task.is_finished(), "it ended");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Sends these numbers from every source, and waits until they are received.
    async fn send(&self, sources: &[UdpSocket], numbers: std::ops::Range<u32>) {
        let mut sent = self.totals.snapshot().datagrams;
        for number in numbers {
            for source in sources {
                source.send_to(&payload(number), self.to).unwrap();
                sent += 1;
                if sent.is_multiple_of(100) {
                    self.until("received", |now| now.datagrams >= sent).await;
                }
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

fn payload(number: u32) -> Vec<u8> {
    let mut payload = vec![0; 1000];
    payload[..4].copy_from_slice(&number.to_be_bytes());
    payload
}

fn sources(count: u8) -> Vec<UdpSocket> {
    (1..=count).map(|host| UdpSocket::bind((IpAddr::from([127, 0, 8, host]), 0)).unwrap()).collect()
}

/// Every datagram has an end that is known, or lies in the spool.
fn conserved(now: &Snapshot) {
    assert_eq!((now.datagrams + now.spool.found.units, now.buffered), (now.accounted(), 0), "{now:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_wait_on_disk_while_the_bus_is_away_and_come_in_order_when_it_is_back() {
    let (folder, spool) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let bus = Moody::open(folder.path(), false);
    let running = Running::start(config(Some(spool.path()), 2), bus.clone());
    let from = sources(5);
    running.send(&from, 0..100).await;
    running.until("acknowledged", |now| now.acked.units == 500).await;
    assert_eq!(
        running.totals.snapshot().spool.spooled.records,
        0,
        "the disk is not asked while the bus takes all"
    );
    bus.away(true);
    running.send(&from, 100..2100).await;
    running.until("spooled", |now| now.spool.waiting.units > 7_000).await;
    assert!(running.totals.snapshot().spool_bytes > 7_000_000);
    bus.away(false);
    // Frames go on coming, and the way past the disk is free in the end.
    running.send(&from, 2100..2600).await;
    running.until("drained", |now| now.spool_bytes == 0 && now.acked.units == 13_000).await;
    let spooled = running.totals.snapshot().spool.spooled;
    running.send(&from, 2600..2700).await;
    let end = running.stop().await;
    assert_eq!(end.spool.spooled, spooled);
    assert_eq!(end.spool.drained, spooled);
    assert!(end.dropped.is_empty() && end.failed.is_empty(), "{end:?}");
    conserved(&end);
    for (source, numbers) in bus.numbers() {
        assert!(numbers.into_iter().eq(0..2700), "{source}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_lies_in_the_spool_at_the_end_is_sent_at_the_next_start_first_by_any_number_of_workers() {
    let (folder, spool) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let bus = Moody::open(folder.path(), true);
    let from = sources(5);
    let mut left = 0;
    for (round, workers) in [2, 3, 1].into_iter().enumerate() {
        bus.away(round < 2);
        let running = Running::start(config(Some(spool.path()), workers), bus.clone());
        let round = round as u32;
        running.send(&from, round * 1000..(round + 1) * 1000).await;
        if round == 2 {
            running.until("drained", |now| now.spool.waiting.units == 0).await;
        }
        let end = running.stop().await;
        conserved(&end);
        assert_eq!(end.spool.found.units, left, "all that was left");
        assert!(end.dropped.is_empty(), "{end:?}");
        left = end.spool.waiting.units;
    }
    assert_eq!(left, 0);
    let stored = bus.numbers();
    assert_eq!(stored.len(), 5);
    for (source, numbers) in stored {
        assert!(numbers.is_sorted_by(|a, b| a < b), "{source}: in order, once");
        // The first 2 MiB were in memory when the first one ended.
        assert!(numbers.len() > 2400 && numbers.ends_with(&(1000..3000).collect::<Vec<_>>()), "{source}");
    }
}

/// The process that is killed: ingest on a bus that is away.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the next test runs it in a process of its own"]
async fn ingest_on_a_bus_that_is_away_until_it_is_killed() {
    let folder = std::env::var("INGEST_TEST_FOLDER").unwrap();
    let folder = Path::new(&folder);
    let bus = Moody::open(&folder.join("another bus"), true);
    let running = Running::start(config(Some(&folder.join("spool")), 1), bus);
    std::fs::write(folder.join("port.new"), running.to.port().to_string()).unwrap();
    std::fs::rename(folder.join("port.new"), folder.join("port")).unwrap();
    tokio::time::sleep(Duration::from_secs(120)).await;
}

fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_spool_that_was_killed_is_sent_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "ingest_on_a_bus_that_is_away_until_it_is_killed"])
        .env("INGEST_TEST_FOLDER", folder.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let port: u16 = eventually("it listens", || {
        std::fs::read_to_string(folder.path().join("port")).ok().and_then(|port| port.parse().ok())
    });
    let from = sources(1);
    for number in 0..4000 {
        from[0].send_to(&payload(number), (IpAddr::from([127, 0, 0, 1]), port)).unwrap();
        if number % 50 == 0 {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
    let spool = folder.path().join("spool");
    let bytes = || -> u64 {
        let files = std::fs::read_dir(&spool).unwrap();
        files.map(|file| file.unwrap().metadata().unwrap().len()).sum()
    };
    eventually("it spools", || (bytes() > 2_800_000).then_some(()));
    child.kill().unwrap();
    child.wait().unwrap();

    let bus = Moody::open(&folder.path().join("bus"), false);
    let running = Running::start(config(Some(&spool), 1), bus.clone());
    running.send(&from, 4000..4100).await;
    running.until("drained", |now| now.spool.waiting.units == 0 && now.spool_bytes == 0).await;
    let end = running.stop().await;
    conserved(&end);
    assert!(end.spool.found.units > 2_700, "{end:?}");
    let numbers = bus.numbers().into_values().next().unwrap();
    assert_eq!(numbers.len() as u64, end.acked.units);
    assert!(numbers.is_sorted_by(|a, b| a < b), "in order, once: nothing of it was sent before");
    assert!(numbers[0] < 1200, "from where memory was full: {}", numbers[0]);
    assert!(numbers.ends_with(&(4000..4100).collect::<Vec<_>>()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_and_who_sends_too_much_are_counted_and_what_is_left_arrives() {
    let folder = tempfile::tempdir().unwrap();
    let bus = Moody::open(folder.path(), false);
    let limits = Config {
        sources: vec!["127.0.8.0/31".to_owned(), "127.0.8.3".to_owned()],
        exporter_rate: Some(1),
        exporter_burst: Some(50),
        ..config(None, 1)
    };
    let running = Running::start(limits, bus.clone());
    let from = sources(3);
    running.send(&from[..2], 0..40).await;
    running.send(&from[2..], 0..200).await;
    let end = running.stop().await;
    conserved(&end);
    assert_eq!(end.dropped["not allowed"].units, 40);
    // The burst, and one for each second that the test took.
    assert!((120..=150).contains(&end.dropped["rate limit"].units), "{end:?}");
    let stored = bus.numbers();
    let of = |host| &stored[&IpAddr::from([127, 0, 8, host])];
    assert!(of(1).iter().copied().eq(0..40));
    assert!(of(3)[..50].iter().copied().eq(0..50));
    assert_eq!(stored.len(), 2);
}
