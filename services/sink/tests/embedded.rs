//! The sink on the bus of one process, against a ClickHouse by hand: what must end, go on, or be taken anew in time.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use weir_bus::{Bus, EmbeddedBus, Event, GroupConsumer, Message, Position, Reader, TopicSpec, Writer};
use weir_runtime::{Health, Stop};
use weir_schemas::avro::{BatchWriter, FINGERPRINT_HEADER, fingerprint};
use weir_schemas::inventory::{Entry, Record};
use weir_schemas::{Batch, Flow, Ip};
use weir_sink::plan::{FORMAT, Metadata, Plan};
use weir_store::{SETTINGS_VERSION, Store};

/// What asks with another password than this is refused; nothing is kept of what is taken.
struct Server {
    url: String,
    password: Arc<Mutex<String>>,
    /// Statements and inserts that were taken.
    taken: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = Self { url, password: Arc::default(), taken: Arc::default() };
        let (password, taken) = (Arc::clone(&server.password), Arc::clone(&server.taken));
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // Whoever goes away in the middle has asked nothing.
                let _ = answer(client, &password, &taken);
            }
        });
        server
    }
}

fn answer(
    mut client: TcpStream,
    password: &Mutex<String>,
    taken: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut input = BufReader::new(client.try_clone()?);
    let (mut head, mut body) = (String::new(), Vec::new());
    while input.read_line(&mut head)? > 2 {}
    let head = head.to_lowercase();
    let value = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    match value("content-length:") {
        Some(length) => {
            body.resize(length.parse().unwrap(), 0);
            input.read_exact(&mut body)?;
        }
        None => {
            while !body.ends_with(b"0\r\n\r\n") {
                let more = input.fill_buf()?;
                let count = more.len();
                body.extend_from_slice(more);
                input.consume(count);
            }
        }
    }
    let word = if value("x-clickhouse-key:").unwrap_or_default() == *password.lock().unwrap() {
        taken.lock().unwrap().push(head.lines().next().unwrap_or_default().to_owned());
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_owned()
    } else {
        let why = "Code: 516. DB::Exception: Authentication failed";
        format!("HTTP/1.1 403 Forbidden\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{why}", why.len())
    };
    client.write_all(word.as_bytes())
}

/// A bus of two partitions in a folder of its own.
fn bus(name: &str) -> EmbeddedBus {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("sink-{name}"));
    let _ = std::fs::remove_dir_all(&folder);
    let mut config = weir_bus::Config::default();
    (config.embedded.path, config.embedded.partitions) = (folder, 2);
    let bus = EmbeddedBus::open(config.clone()).unwrap();
    for spec in TopicSpec::all(&config, 2) {
        bus.create(&spec).unwrap();
    }
    bus
}

fn put(bus: &EmbeddedBus, topic: &str, partition: i32, key: &[u8], value: &[u8]) {
    let mut writer = bus.writer(4 << 20).unwrap();
    let fingerprint = fingerprint().to_le_bytes();
    let headers: &[(&str, &[u8])] = &[(FINGERPRINT_HEADER, &fingerprint)];
    writer.try_send(&Message { topic, partition, key, value: Some(value), headers }, 1).unwrap().unwrap();
    assert!(writer.flush(Duration::from_secs(10)));
}

fn put_flow(bus: &EmbeddedBus, partition: i32) {
    let (mut writer, mut value) = (BatchWriter::default(), Vec::new());
    writer.push(&Flow::default());
    writer.finish(&Batch::default(), 0, &mut value);
    put(bus, &bus.topics().flows, partition, &[1; 16], &value);
}

fn committed(bus: &EmbeddedBus, partition: i32) -> i64 {
    let found = bus.reader().unwrap().committed("weir-sink", &bus.topics().flows, &[partition]).unwrap();
    found[0].1.as_ref().map_or(0, |committed| committed.offset)
}

struct Running {
    stop: Stop,
    thread: JoinHandle<Result<(), weir_sink::Error>>,
}

fn start(
    bus: &EmbeddedBus,
    server: &Server,
    password_file: Option<PathBuf>,
    config: weir_sink::Config,
) -> Running {
    let stop = Stop::new();
    let settings =
        weir_store::Config { url: server.url.clone(), password_file, ..weir_store::Config::default() };
    let store = Store::new(&settings).unwrap();
    let (bus, stopped) = (bus.clone(), stop.clone());
    let thread = std::thread::spawn(move || {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let specs = TopicSpec::all(&weir_bus::Config::default(), 2);
        let (topics, ready) = (bus.topics(), Health::default().condition("bus"));
        runtime.block_on(weir_sink::run(config, bus, topics, specs, store, ready, stopped))
    });
    Running { stop, thread }
}

fn config() -> weir_sink::Config {
    weir_sink::Config { workers: 1, batch_ms: 100, ..weir_sink::Config::default() }
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(20), "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

impl Running {
    fn end(self) {
        self.stop.cancel();
        until("its end", || self.thread.is_finished());
        self.thread.join().unwrap().unwrap();
    }
}

#[test]
fn an_end_does_not_wait_for_the_rest_of_a_plan_that_a_power_cut_took() {
    let (bus, server) = (bus("cut"), Server::start());
    let flows = bus.topics().flows;
    // Of a batch of three messages the last one is gone, and nothing comes behind it.
    (0..2).for_each(|_| put_flow(&bus, 0));
    let incarnation = bus.describe(&[&flows]).unwrap().remove(0).unwrap().incarnation;
    let plan = Plan {
        format: FORMAT,
        settings: SETTINGS_VERSION,
        first: 0,
        last: 2,
        records: 3,
        checksum: 1,
        pieces: 1,
        lost: 0,
    };
    let metadata = Metadata { incarnation, plan: Some(plan) }.text();
    let mut before = bus.join("weir-sink", &flows, "before").unwrap();
    let mut held = 0;
    while held < 2 {
        if let Event::Assigned(partitions) = before.poll(Duration::from_millis(100)).unwrap() {
            held += partitions.len();
        }
    }
    before.commit(&[Position { partition: 0, offset: 0, metadata: metadata.clone() }]).unwrap();
    before.leave().unwrap();
    let sink = start(&bus, &server, None, config());
    put_flow(&bus, 1);
    until("what is not concerned", || committed(&bus, 1) == 1);
    sink.end();
    let left = bus.reader().unwrap().committed("weir-sink", &flows, &[0]).unwrap().remove(0).1.unwrap();
    assert_eq!((left.offset, left.metadata), (0, metadata), "the plan is there for the next start");
}

#[test]
fn dead_letters_that_fill_their_room_are_written_before_any_batch_is_due() {
    let (bus, server) = (bus("letters"), Server::start());
    let topics = bus.topics();
    for _ in 0..20 {
        put(&bus, &topics.flows, 0, &[1; 16], &vec![7; 990_000]);
    }
    // Their own batch is not due for long: it is somebody else's where the partition moves.
    let sink = start(&bus, &server, None, weir_sink::Config { batch_ms: 600_000, batch_rows: 2, ..config() });
    let mut letters = 0;
    until("the letters", || {
        let mut reader = bus.reader().unwrap();
        letters = reader.restore(&topics.deadletter, &[0], &mut |_| {}).unwrap()[0].records;
        letters > 0
    });
    (0..2).for_each(|_| put_flow(&bus, 1));
    until("flows of another partition", || committed(&bus, 1) == 2);
    sink.end();
    let restored = bus.reader().unwrap().restore(&topics.deadletter, &[0], &mut |_| {}).unwrap();
    assert_eq!(restored[0].records, 20);
}

#[test]
fn inventory_is_stored_with_the_password_as_it_is_now() {
    let (bus, server) = (bus("rotated"), Server::start());
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sink-rotated-password");
    std::fs::write(&file, "first").unwrap();
    "first".clone_into(&mut server.password.lock().unwrap());
    let sink = start(&bus, &server, Some(file.clone()), config());
    let say = |name: &str, learned| {
        let (exporter, record) = (Ip::v4([192, 0, 2, 1]), Record::Exporter { name: name.to_owned() });
        let key = record.key(&exporter);
        put(&bus, &bus.topics().inventory, 0, &key, &Entry::new(record, learned).value());
    };
    let stored = || server.taken.lock().unwrap().iter().filter(|line| line.contains("exporters")).count();
    // Before it runs its tables are asked for.
    put_flow(&bus, 0);
    until("its first flows", || committed(&bus, 0) == 1);
    let before = stored();
    say("edge1", 1);
    until("the first word", || stored() == before + 1);
    "second".clone_into(&mut server.password.lock().unwrap());
    say("edge2", 2);
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(stored(), before + 1);
    std::fs::write(&file, "second").unwrap();
    until("the second word", || stored() == before + 2);
    say("edge3", 3);
    until("the third word", || stored() == before + 3);
    sink.end();
}
