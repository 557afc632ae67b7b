//! A bench for sinks: one real broker and one real engine for the whole file, topics and a database for each test.

pub mod bus;
pub mod proxy;

use bus::{Faults, Faulty};
use proxy::Proxy;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::TopicPartitionList;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::runtime::Runtime;
use weir_bus::kafka::{KafkaReader, KafkaWriter};
use weir_bus::{Bus, KafkaBus, Message, Reader, TopicSpec, Topics, Writer};
use weir_runtime::{Health, Stop};
use weir_schemas::avro::{BatchWriter, FINGERPRINT_HEADER, fingerprint};
use weir_schemas::rollup::{ROLLUPS, Shape};
use weir_schemas::{Flow, Ip, Time};
use weir_sink::{Config, Error};
use weir_stack::bus::BentBus;
use weir_stack::kafka::Options;
use weir_stack::{Home, Kafka, Process, ports};
use weir_store::engine::{Engine, serve};
use weir_store::{EngineConfig, Store};

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&folder);
    folder
}

pub fn broker() -> &'static Kafka {
    static BROKER: OnceLock<Kafka> = OnceLock::new();
    BROKER.get_or_init(|| {
        Kafka::start(&folder("sink-kafka"), Options::test()).unwrap_or_else(|error| panic!("{error}"))
    })
}

/// Every metric of this process, as it is scraped.
pub fn metrics() -> String {
    recorded()()
}

type Render = Box<dyn Fn() -> String + Send + Sync>;

fn recorded() -> &'static Render {
    static RECORDER: OnceLock<Render> = OnceLock::new();
    RECORDER.get_or_init(|| {
        let handle = weir_runtime::admin::recorder().unwrap();
        Box::new(move || handle.render())
    })
}

/// What tests wait with.
fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
    })
}

/// Tells the engine's process where to listen.
const LISTEN: &str = "WEIR_TEST_ENGINE";

/// URL of the engine. It is a process of its own (this program again), because a process that ends with the engine in it may crash.
fn engine() -> &'static str {
    static ENGINE: OnceLock<(String, Mutex<Process>)> = OnceLock::new();
    let start = || {
        let listen = format!("127.0.0.1:{}", ports::free().unwrap());
        let folder = folder("sink-engine");
        std::fs::create_dir_all(&folder).unwrap();
        library();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--ignored", "--exact", "the_engine_of_the_others"]).env(LISTEN, &listen);
        let mut process = Process::start("the engine", command, &folder.join("engine.log")).unwrap();
        until("the engine", || {
            process.expect_alive().unwrap_or_else(|error| panic!("{error}"));
            TcpStream::connect(&listen).is_ok()
        });
        (format!("http://{listen}"), Mutex::new(process))
    };
    &ENGINE.get_or_init(start).0
}

fn library() -> PathBuf {
    Home::find()
        .part("engine/libchdb.so", "The ClickHouse engine", "scripts/fetch-engine.sh")
        .unwrap_or_else(|error| panic!("{error}"))
}

/// Is the engine until it is killed.
pub fn be_the_engine() {
    let listen = std::env::var(LISTEN).expect("only the other tests start this one, with where to listen");
    let data = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sink-engine/data");
    let config = EngineConfig { library: library(), data, ..EngineConfig::default() };
    let engine = Engine::start(&config).unwrap_or_else(|error| panic!("{error}"));
    runtime().block_on(async {
        let listener = tokio::net::TcpListener::bind(listen).await.unwrap();
        serve(engine, listener, 1 << 30, Stop::new()).await.unwrap();
    });
}

/// What tables add up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Sums {
    pub bytes: u64,
    pub packets: u64,
    pub flows: u64,
}

/// Messages of `weir.flows`, and what their flows add up to.
#[derive(Default)]
struct Written {
    sums: Sums,
    next: u64,
}

pub struct Bench {
    pub bus: KafkaBus,
    pub specs: Vec<TopicSpec>,
    pub topics: Topics,
    pub store: Store,
    writer: Mutex<KafkaWriter>,
    reader: Mutex<KafkaReader>,
    watch: BaseConsumer,
    written: Mutex<Written>,
}

/// How a bench differs from others.
pub struct Bent {
    pub partitions: usize,
    pub session_ms: u64,
    pub migrated: bool,
}

impl Default for Bent {
    fn default() -> Self {
        Self { partitions: 2, session_ms: 6000, migrated: true }
    }
}

pub fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as i64
}

/// Waits until `done`, two minutes at most: a machine may be busy with other things.
pub fn until(what: &str, mut done: impl FnMut() -> bool) {
    let limit = Instant::now() + Duration::from_secs(120);
    while !done() {
        assert!(Instant::now() < limit, "did not come: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

impl Bench {
    pub fn new(name: &str) -> Self {
        Self::bent(name, Bent::default())
    }

    pub fn bent(name: &str, bent: Bent) -> Self {
        let config = weir_bus::Config {
            bootstrap_servers: broker().bootstrap(),
            topic_prefix: name.to_owned(),
            partitions: bent.partitions,
            session_timeout_ms: bent.session_ms,
            poll_interval_ms: bent.session_ms,
            heartbeat_interval_ms: 500,
            ..weir_bus::Config::default()
        };
        let topics = config.topics();
        let mut specs = TopicSpec::all(&config, config.partitions);
        specs.retain(|spec| [&topics.flows, &topics.inventory, &topics.deadletter].contains(&&spec.name));
        let bus = KafkaBus::new(config).unwrap();
        for spec in &specs {
            bus.create(spec).unwrap();
        }
        let store = Store::new(&weir_store::Config {
            url: engine().to_owned(),
            database: name.to_owned(),
            ..weir_store::Config::default()
        })
        .unwrap();
        if bent.migrated {
            runtime().block_on(weir_store::migrate::migrate(&store)).unwrap();
        }
        recorded();
        let _ = weir_runtime::logs::init(&weir_runtime::Config::default());
        Self {
            writer: Mutex::new(bus.writer(64 << 20).unwrap()),
            reader: Mutex::new(bus.reader().unwrap()),
            // It asks for the group's positions and never subscribes, so it is never a member.
            watch: ClientConfig::new()
                .set("bootstrap.servers", broker().bootstrap())
                .set("group.id", format!("{name}-sink"))
                .create()
                .unwrap(),
            written: Mutex::default(),
            bus,
            specs,
            topics,
            store,
        }
    }

    pub fn partitions(&self) -> Vec<i32> {
        (0..self.bus.partitions() as i32).collect()
    }

    /// A message with that many flows, not counted yet, and their sums.
    pub fn message(&self, partition: i32, count: u64) -> (Vec<u8>, Sums) {
        let mut written = self.written.lock().unwrap();
        let (mut writer, mut sums, received) = (BatchWriter::default(), Sums::default(), now());
        for _ in 0..count {
            written.next += 1;
            let n = written.next;
            let flow = Flow {
                raw_offset: n / 100,
                record_index: (n % 100) as u32,
                received: Time(received),
                // Over up to three minutes, so that rollups share them out.
                spread_start: Time(received - (n as i64 % 180) * 1_000_000_000),
                spread_end: Time(received),
                in_if: (n % 3) as u32,
                out_if: 7,
                family: 4,
                src_addr: Ip::v4([192, 0, 2, n as u8]),
                dst_addr: Ip::v4([198, 51, 100, 1]),
                src_as: 64_500 + (n % 17) as u32,
                dst_as: 64_499,
                bytes: Some(1000 + n),
                packets: 1 + n % 10,
                q: Some(u128::from(n) * 1000),
                sampling_interval: 1_000_000,
                ..Flow::default()
            };
            sums.bytes += 1000 + n;
            sums.packets += flow.packets;
            sums.flows += 1;
            writer.push(&flow);
        }
        let mut out = Vec::new();
        let batch = weir_schemas::Batch {
            exporter: exporter(),
            raw_partition: partition as u32,
            ..weir_schemas::Batch::default()
        };
        writer.finish(&batch, 0, &mut out);
        (out, sums)
    }

    /// Counts flows as ones that must be stored.
    pub fn count(&self, sums: Sums) {
        let all = &mut self.written.lock().unwrap().sums;
        all.bytes += sums.bytes;
        all.packets += sums.packets;
        all.flows += sums.flows;
    }

    /// Writes anything anywhere.
    pub fn put(&self, topic: &str, partition: i32, key: &[u8], value: &[u8], headers: &[(&str, &[u8])]) {
        let mut writer = self.writer.lock().unwrap();
        let message = Message { topic, partition, key, value: Some(value), headers };
        writer.try_send(&message, 1).unwrap().unwrap();
        assert!(writer.flush(Duration::from_secs(10)));
    }

    /// Writes that many flows in one message.
    pub fn write(&self, partition: i32, count: u64) {
        let (value, sums) = self.message(partition, count);
        let fingerprint = fingerprint().to_le_bytes();
        self.put(&self.topics.flows, partition, &exporter().0, &value, &[(FINGERPRINT_HEADER, &fingerprint)]);
        self.count(sums);
    }

    /// Committed records of a partition: offset and value.
    pub fn read(&self, topic: &str, partition: i32) -> Vec<(i64, Vec<u8>)> {
        let mut all = Vec::new();
        let take = &mut |record: &weir_bus::Record<'_>| {
            all.push((record.offset(), record.value().unwrap_or_default().to_vec()));
        };
        self.reader.lock().unwrap().restore(topic, &[partition], take).unwrap();
        all
    }

    /// What the group has committed for a partition: offset and metadata.
    pub fn committed(&self, partition: i32) -> Option<(i64, String)> {
        let mut asked = TopicPartitionList::new();
        asked.add_partition(&self.topics.flows, partition);
        let committed = self.watch.committed_offsets(asked, Duration::from_secs(10)).unwrap();
        let element = committed.elements().pop()?;
        Some((element.offset().to_raw().filter(|offset| *offset >= 0)?, element.metadata().to_owned()))
    }

    /// Waits until everything that was written is committed as stored.
    pub fn settle(&self) {
        let flows = &self.topics.flows;
        let last: Vec<(i32, i64)> = self
            .partitions()
            .into_iter()
            .filter_map(|partition| Some((partition, self.read(flows, partition).last()?.0)))
            .collect();
        until("the commit of all flows", || {
            last.iter().all(|(partition, last)| {
                self.committed(*partition)
                    .is_some_and(|(offset, metadata)| offset == last + 1 && !metadata.contains("\"plan\""))
            })
        });
    }

    pub fn ask<T: DeserializeOwned>(&self, sql: &str) -> Vec<T> {
        runtime().block_on(self.store.query(sql, &[])).unwrap()
    }

    pub fn tell(&self, sql: &str) {
        runtime().block_on(self.store.execute(sql)).unwrap();
    }

    /// Flows and every rollup hold what was written, once.
    pub fn check(&self) {
        #[derive(Deserialize)]
        struct Side {
            #[serde(flatten)]
            sums: Sums,
        }
        let wanted = self.written.lock().unwrap().sums;
        let database = self.store.database();
        let flows: Vec<Sums> = self.ask(&format!(
            "SELECT sum(bytes) AS bytes, sum(packets) AS packets, count() AS flows FROM {database}.flows"
        ));
        assert_eq!(flows, [wanted], "flows");
        // Where a row came from tells it from every other.
        let origins: Vec<Sums> = self.ask(&format!(
            "SELECT 0 AS bytes, 0 AS packets, uniqExact(exporter, raw_partition, raw_offset, frame_index, record_index, generation) \
             AS flows FROM {database}.flows"
        ));
        assert_eq!(origins[0].flows, wanted.flows, "origins");
        for table in ROLLUPS {
            let (sides, side) = if table.shape == Shape::Pairs { (1, "") } else { (2, "GROUP BY direction") };
            let rows: Vec<Side> = self.ask(&format!(
                "SELECT sum(bytes) AS bytes, sum(packets) AS packets, sum(flows) AS flows FROM {database}.{} {side}",
                table.name
            ));
            let sums: Vec<Sums> = rows.into_iter().map(|row| row.sums).collect();
            assert_eq!(sums, vec![wanted; sides], "{}", table.name);
        }
    }

    pub fn sink(&self, instance: &str) -> Sink<'_> {
        let config = Config {
            group: format!("{}-sink", self.store.database()),
            instance: format!("{}-{instance}", self.store.database()),
            leave_on_stop: true,
            batch_ms: 200,
            ..Config::default()
        };
        Sink {
            bench: self,
            config,
            faults: Arc::default(),
            proxy: Proxy::start(engine()),
            password_file: None,
        }
    }
}

/// The transport address of all flows.
pub fn exporter() -> Ip {
    Ip::v4([192, 0, 2, 1])
}

/// A sink that does not run yet.
pub struct Sink<'a> {
    bench: &'a Bench,
    pub config: Config,
    pub faults: Arc<Faulty>,
    pub proxy: Proxy,
    pub password_file: Option<PathBuf>,
}

impl Sink<'_> {
    pub fn configured(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.config);
        self
    }

    pub fn with(self, change: impl FnOnce(&mut Faults, &Proxy)) -> Self {
        change(&mut self.faults.lock().unwrap(), &self.proxy);
        self
    }

    pub fn start(self) -> Running {
        let Self { bench, config, faults, proxy, password_file } = self;
        let (stop, health) = (Stop::new(), Health::default());
        let ready = health.condition("bus");
        let store = Store::new(&weir_store::Config {
            url: proxy.url.clone(),
            database: bench.store.database().to_owned(),
            password_file,
            ..weir_store::Config::default()
        })
        .unwrap();
        let bus = BentBus::new(bench.bus.clone(), Arc::clone(&faults));
        let (topics, specs, stopped) = (bench.topics.clone(), bench.specs.clone(), stop.clone());
        let thread = std::thread::spawn(move || {
            // Of its own, so that what is under way ends with the sink as it does with a process.
            let runtime =
                tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
            runtime.block_on(weir_sink::run(config, bus, topics, specs, store, ready, stopped))
        });
        Running { faults, proxy, health, stop, thread }
    }
}

/// A sink that runs.
pub struct Running {
    pub faults: Arc<Faulty>,
    pub proxy: Proxy,
    pub health: Health,
    stop: Stop,
    thread: std::thread::JoinHandle<Result<(), Error>>,
}

impl Running {
    /// Tells it to end, and takes its word.
    pub fn end(self) -> Result<(), Error> {
        self.stop.cancel();
        self.thread.join().unwrap()
    }

    /// Waits until it ends by itself.
    pub fn word(self) -> String {
        until("the end of the sink", || self.thread.is_finished());
        self.thread.join().unwrap().expect_err("it should not have ended in order").to_string()
    }

    /// Dies without another word.
    pub fn kill(self) {
        self.faults.lock().unwrap().dead = true;
        self.word();
    }
}
