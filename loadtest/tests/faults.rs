//! Exactly once through crashes: the whole path as separate processes over a real Kafka and the real engine.
//!
//! Where a part is missing the test fails with the sentence that says what fetches it.
#![allow(clippy::unwrap_used)]

mod support;
#[path = "support/up.rs"]
mod up;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};
use support::alone;
use up::{block_on, store, up};
use weir_loadtest::generate::{Bounds, Generator, Options};
use weir_loadtest::network::{Exporter, links_toml, network};
use weir_loadtest::run::Ends;
use weir_loadtest::verify::{Patience, Report, Verdict, verify};
use weir_loadtest::world::World;
use weir_stack::{Kind, Local, Signal, kafka, local};

const SEED: u64 = 4;
const PARTITIONS: usize = 6;
static NEVER: AtomicBool = AtomicBool::new(false);

/// Short time-outs, so that a member that stands still is soon given up.
const CONFIG: &str = "
[runtime]
log_filter = 'info'
[bus]
session_timeout_ms = 6000
heartbeat_interval_ms = 1500
transaction_timeout_ms = 8000
[decoder]
workers = 2
[sink]
workers = 2
batch_ms = 1000
";

/// A stack that knows the generated network's ASes and links.
fn stack(dir: &Path, world: &World, exporters: &[Exporter]) -> Local {
    let options = local::Options {
        partitions: Some(PARTITIONS),
        kafka: kafka::Options { heap_mb: 512, ..kafka::Options::load() },
        ..local::Options::new(dir)
    };
    up(options, world, &[CONFIG, &links_toml(exporters)])
}

fn options(stack: &Local, rate: f64) -> Options {
    Options {
        ports: stack.ingest().1,
        ingest_metrics: stack.description().ingest_metrics().map(str::to_owned),
        rate,
        seed: SEED,
        ..Options::default()
    }
}

fn compare(stack: &Local, generator: &Generator<'_>) -> Report {
    let patience =
        Patience { quiet: Duration::from_secs(25), most: Duration::from_secs(60), ..Patience::default() };
    block_on(verify(generator.ledger(), &store(stack), patience)).unwrap_or_else(|error| panic!("{error:#}"))
}

fn wait_until(what: &str, limit: Duration, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < limit, "{what}: not after {limit:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Kills a service at once and starts it again a moment later.
fn kill(stack: &mut Local, name: &str, pause: Duration) {
    let service = stack.service(name).unwrap();
    service.expect_alive().unwrap_or_else(|error| panic!("{error}"));
    service.kill().unwrap();
    std::thread::sleep(pause);
    service.start().unwrap();
}

/// Lets a service stand still until others have taken over all of its partitions, and go on in the belief that nothing happened.
fn zombie(stack: &mut Local, name: &str, other: &str, partitions: &str) {
    stack.service(name).unwrap().signal(Signal::Stop).unwrap();
    wait_until(&format!("{other} has all partitions"), Duration::from_secs(30), || {
        let metrics = stack.service(other).unwrap().metrics().unwrap();
        metrics.sum(partitions) as usize == PARTITIONS
    });
    // Long enough for what the dead left open to be aborted, and for the others to have gone on.
    std::thread::sleep(Duration::from_secs(4));
    stack.service(name).unwrap().signal(Signal::Continue).unwrap();
    std::thread::sleep(Duration::from_secs(3));
    // One that noticed that it was replaced may end; whoever runs it starts it again.
    let service = stack.service(name).unwrap();
    if let Err(error) = service.expect_alive() {
        println!("{name} ended after it was continued: {error}");
        service.start().unwrap();
    }
}

/// How often the first sink began with a batch that one before it had planned and not ended.
fn repeated(stack: &mut Local) -> usize {
    let log = std::fs::read_to_string(stack.service("sink-0").unwrap().log()).unwrap();
    log.matches("repeats=true").count()
}

#[test]
fn decoder_and_sink_killed_five_times_each_the_broker_once_and_a_zombie_of_each_lose_and_double_nothing() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let world = World::synthetic(SEED);
    let exporters = network(&world, 12, Ipv4Addr::new(127, 71, 0, 1));
    let mut stack = stack(dir.path(), &world, &exporters);
    let mut generator = Generator::new(&options(&stack, 4000.0), &world, &exporters).unwrap();
    let stop = AtomicBool::new(false);

    std::thread::scope(|scope| {
        let sending = scope.spawn(|| {
            let sent = generator
                .run(Bounds { duration: Some(Duration::from_secs(300)), ..Bounds::default() }, &stop);
            sent.map_err(|error| format!("{error:#}"))
        });
        // Whatever goes wrong below, the generator ends.
        let _ends = Ends(&stop);
        let mut random = StdRng::seed_from_u64(SEED);
        std::thread::sleep(Duration::from_secs(3));
        let mut left = [("decoder-0", 5), ("sink-0", 5)];
        while left.iter().any(|(_, times)| *times > 0) {
            let which = random.random_range(0..2);
            if left[which].1 > 0 {
                left[which].1 -= 1;
                kill(&mut stack, left[which].0, Duration::from_millis(random.random_range(0..1500)));
                std::thread::sleep(Duration::from_millis(random.random_range(300..5000)));
            }
        }
        // Until one of them was between a plan and its end: then tokens have kept a batch from being there twice.
        let mut more = 0;
        while repeated(&mut stack) == 0 {
            assert!(more < 12, "no kill met the sink between a plan and its end");
            more += 1;
            kill(&mut stack, "sink-0", Duration::ZERO);
            std::thread::sleep(Duration::from_millis(random.random_range(1500..4000)));
        }
        let broker = &mut stack.brokers()[0];
        broker.kill().unwrap();
        broker.restart().unwrap_or_else(|error| panic!("{error}"));
        for name in ["decoder-0", "sink-0"] {
            let service = stack.service(name).unwrap();
            service.wait_ready(Duration::from_secs(60)).unwrap_or_else(|error| panic!("{error}"));
        }
        for (kind, partitions) in
            [(Kind::Decoder, "weir_decoder_partitions"), (Kind::Sink, "weir_sink_partitions")]
        {
            let other = stack.add(kind).unwrap_or_else(|error| panic!("{error}"));
            std::thread::sleep(Duration::from_millis(random.random_range(3000..5000)));
            zombie(&mut stack, &format!("{}-0", kind.word()), &other, partitions);
        }
        std::thread::sleep(Duration::from_secs(2));
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        sending.join().unwrap().unwrap_or_else(|error| panic!("{error}"));
    });

    let report = compare(&stack, &generator);
    println!("{report}");
    println!("the sink repeated {} batches by their plan", repeated(&mut stack));
    stack.expect_alive().unwrap_or_else(|error| panic!("{error}"));
    assert!(report.sent > 100_000, "{report}");
    assert_eq!((report.lost, report.doubled), (0, 0), "{report}");
    assert_eq!(report.verdict, Verdict::Pass, "{report}");
    let taken_over = stack.service("decoder-1").unwrap().metrics().unwrap().sum("weir_decoder_flows_total");
    assert!(taken_over > 0.0, "the second decoder decoded nothing");
}

#[test]
fn a_new_decoder_decodes_data_whose_templates_are_deleted_from_raw() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let world = World::synthetic(SEED);
    // IPFIX with a selector, version 9 with a sampler: templates and rates, each sent once.
    let exporters = network(&world, 2, Ipv4Addr::new(127, 72, 0, 1));
    let mut stack = stack(dir.path(), &world, &exporters);
    let once = Options { refresh: 0, ..options(&stack, 2000.0) };
    let mut generator = Generator::new(&once, &world, &exporters).unwrap();
    let flows = |flows| Bounds { flows: Some(flows), ..Bounds::default() };
    generator.run(flows(2000), &NEVER).unwrap_or_else(|error| panic!("{error:#}"));
    let before = compare(&stack, &generator);
    assert_eq!(before.verdict, Verdict::Pass, "{before}");
    let control = generator.ledger().control_datagrams;
    assert!(control >= 4, "templates were sent");

    stack.service("decoder-0").unwrap().kill().unwrap();
    let deleted = delete_below_committed(&stack.bootstrap().unwrap());
    assert!(deleted > 0, "nothing of weir.raw was deleted");
    generator.run(flows(2000), &NEVER).unwrap_or_else(|error| panic!("{error:#}"));
    assert_eq!(generator.ledger().control_datagrams, control, "no template was sent again");
    // Nothing of the first one is left but its name: a decoder keeps nothing on disk, and this process has no memory of it.
    stack.service("decoder-0").unwrap().start().unwrap();

    let after = compare(&stack, &generator);
    assert_eq!(after.verdict, Verdict::Pass, "{after}");
    assert_eq!(after.rows, 4000);
}

#[test]
fn weir_query_shows_the_ledgers_top_ases_by_link() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let world = World::synthetic(SEED);
    let exporters = network(&world, 8, Ipv4Addr::new(127, 73, 0, 1));
    let mut stack = stack(dir.path(), &world, &exporters);
    let mut generator = Generator::new(&options(&stack, 6000.0), &world, &exporters).unwrap();
    // Enough for the exporter that announces its rate late to do so.
    generator.run(Bounds { flows: Some(50_000), ..Bounds::default() }, &NEVER).unwrap();
    let report = compare(&stack, &generator);
    assert_eq!(report.verdict, Verdict::Pass, "{report}");

    let ledger = generator.ledger();
    let mut wanted: BTreeMap<(String, String), [u64; 2]> = BTreeMap::new();
    for top in ledger.top().into_iter().filter(|top| top.bytes > 0) {
        let key = (format!("AS{} {}", top.asn, top.name), top.link);
        wanted.entry(key).or_default()[usize::from(top.direction == "out")] = top.bytes;
    }
    let minute = |ns: i64| (ns / 60_000_000_000 * 60).to_string();
    let (from, to) = (minute(ledger.started_ns - 900_000_000_000), minute(ledger.ended_ns + 120_000_000_000));
    let query = [
        "--by", "as,link", "--scope", "all", "--top", "10000", "--format", "json", "--from", &from, "--to",
        &to,
    ];
    // Names and links come to the store behind the flows.
    let mut found = BTreeMap::new();
    let begun = Instant::now();
    while found != wanted && begun.elapsed() < Duration::from_secs(60) {
        let answer: serde_json::Value =
            serde_json::from_slice(&stack.weir("query", &query).unwrap()).unwrap();
        found = answer["rows"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|row| {
                let [name, link] = [0, 1].map(|n| row["keys"][n].as_str().unwrap().to_owned());
                let bytes = ["bytes_in", "bytes_out"].map(|key| row[key].as_u64().unwrap());
                (name.starts_with("AS") && bytes != [0, 0]).then_some(((name, link), bytes))
            })
            .collect();
    }
    assert!(wanted.len() > 100, "{}", wanted.len());
    // Which ones differ, and not two maps of hundreds.
    let differ = |a: &BTreeMap<_, _>, b: &BTreeMap<_, _>| {
        a.iter().filter(|(key, bytes)| b.get(*key) != Some(*bytes)).map(|one| format!("{one:?}")).collect()
    };
    let [missing, unwanted]: [Vec<String>; 2] = [differ(&wanted, &found), differ(&found, &wanted)];
    assert_eq!((missing, unwanted), (vec![], vec![]), "of {} wanted", wanted.len());
    stack.expect_alive().unwrap_or_else(|error| panic!("{error}"));
}

/// Writes a batch as a later release would, and says what it comes to.
const LATER_RELEASE: &str = r#"
import io, json, sys, fastavro, fastavro.schema as avro
from confluent_kafka import Producer
from fastavro.utils import generate_one
old = json.load(open("schemas/avro/flow_batch.1.avsc"))
new = json.loads(json.dumps(old))
fields = next(field for field in new["fields"] if field["name"] == "flows")["type"]["items"]["fields"]
fields.insert(1, {"name": "added_later", "type": "string", "default": ""})
json.dump(new, open("schemas/avro/flow_batch.2.avsc", "w"))
batch = generate_one(avro.parse_schema(new))
for at, one in enumerate(batch["flows"]):
    one.update(added_later="later", bytes=1000 + at, packets=at)
out = io.BytesIO()
fastavro.schemaless_writer(out, new, batch)
crc = bytes.fromhex(avro.fingerprint(avro.to_parsing_canonical_form(new), "CRC-64-AVRO"))
producer = Producer({"bootstrap.servers": sys.argv[1]})
producer.produce("weir.flows", bytes(5) + out.getvalue(), headers={"weir-schema-crc64": crc})
assert producer.flush(30) == 0
flows = batch["flows"]
print(len(flows), sum(flow["bytes"] for flow in flows), sum(flow["packets"] for flow in flows))
"#;

#[test]
fn the_consumer_of_the_docs_sums_up_what_clickhouse_has() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let world = World::synthetic(SEED);
    let exporters = network(&world, 8, Ipv4Addr::new(127, 74, 0, 1));
    let stack = stack(dir.path(), &world, &exporters);
    let mut generator = Generator::new(&options(&stack, 4000.0), &world, &exporters).unwrap();
    generator.run(Bounds { flows: Some(20_000), ..Bounds::default() }, &NEVER).unwrap();
    let report = compare(&stack, &generator);
    assert_eq!(report.verdict, Verdict::Pass, "{report}");

    let docs = include_str!("../../docs/topics.md");
    let program = docs.split("```python\n").nth(1).unwrap().split("```").next().unwrap();
    let python = weir_stack::Home::find().part("python/bin/python", "Python", "scripts/fetch-python.sh");
    let (python, bootstrap) = (python.unwrap_or_else(|error| panic!("{error}")), stack.bootstrap().unwrap());
    let run = |program: &str, dir: &Path| {
        let output = std::process::Command::new(&python)
            .args(["-c", program, &bootstrap])
            .current_dir(dir)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
        said
    };
    let home = weir_stack::Home::workspace();
    let said = run(program, &home);

    #[derive(serde::Deserialize)]
    struct Sums {
        sums: String,
    }
    let sql = "SELECT concat(toString(count()), ' ', toString(sum(ifNull(bytes, 0))), ' ', toString(sum(packets))) AS sums FROM weir.flows";
    let stored: Vec<Sums> = block_on(store(&stack).query(sql, &[])).unwrap();
    assert_eq!(said, stored[0].sums);
    assert!(said.starts_with("20000 "), "{said}");

    // What a later release writes, with a field in the middle that this one does not have.
    let schemas = dir.path().join("later/schemas/avro");
    std::fs::create_dir_all(&schemas).unwrap();
    std::fs::copy(home.join("schemas/avro/flow_batch.1.avsc"), schemas.join("flow_batch.1.avsc")).unwrap();
    let later = dir.path().join("later");
    let written = run(LATER_RELEASE, &later);
    let sums = |said: &str| said.split(' ').map(|number| number.parse().unwrap()).collect::<Vec<u128>>();
    let wanted: Vec<_> = sums(&said).iter().zip(sums(&written)).map(|(now, more)| now + more).collect();
    assert!(sums(&written)[0] > 0, "{written}");
    // Another group: the first one's member is not missed yet.
    let program = program.replace("\"example\"", "\"another\"");
    assert_eq!(sums(&run(&program, &later)), wanted);
}

/// Deletes what the decoder has committed from `weir.raw`; gives the number of offsets.
fn delete_below_committed(bootstrap: &str) -> i64 {
    let patience = Duration::from_secs(10);
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap).set("group.id", "weir-decoder");
    let consumer: BaseConsumer = config.create().unwrap();
    let mut all = TopicPartitionList::new();
    all.add_partition_range("weir.raw", 0, PARTITIONS as i32 - 1);
    let committed = consumer.committed_offsets(all, patience).unwrap();
    let mut delete = TopicPartitionList::new();
    let mut count = 0;
    for one in committed.elements() {
        if let Offset::Offset(offset) = one.offset() {
            let (low, high) = consumer.fetch_watermarks("weir.raw", one.partition(), patience).unwrap();
            assert_eq!(offset, high, "everything sent is committed");
            count += offset - low;
            delete.add_partition_offset("weir.raw", one.partition(), one.offset()).unwrap();
        }
    }
    let admin: AdminClient<DefaultClientContext> = config.create().unwrap();
    let deleted = block_on(admin.delete_records(&delete, &AdminOptions::new())).unwrap();
    for one in deleted.elements() {
        one.error().unwrap();
        let (low, high) = consumer.fetch_watermarks("weir.raw", one.partition(), patience).unwrap();
        assert_eq!(low, high, "weir.raw {} is empty", one.partition());
    }
    count
}
