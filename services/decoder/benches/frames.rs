//! The decoder from frames of `weir.raw` to Avro batches: decoded, enriched with interfaces, links, ASes and countries, encoded.
#![allow(missing_docs, reason = "a benchmark has no users to document for")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::fmt::Write;
use std::hint::black_box;
use std::net::Ipv4Addr;
use weir_decoder::Config;
use weir_decoder::enrich::links::{ExporterConfig, InterfaceConfig, LinkRule};
use weir_decoder::enrich::{Enricher, database};
use weir_decoder::partition::{Emit, Partition, RawRecord, Shared, Tally, To};
use weir_schemas::Ip;
use weir_schemas::frame::{Datagram, FrameWriter};

/// As in the binary.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[path = "../../shared/wire/tests/build/mod.rs"]
mod build;

/// Frames of a cycle.
const FRAMES: usize = 100;
const DATAGRAMS: u32 = 20;
const RECORDS: u32 = 22;
/// Ranges of the AS database, as many as IPv4 has.
const RANGES: usize = 412_000;
const EXPORTER: Ip = Ip::v4([192, 0, 2, 1]);

/// A bus that swallows.
#[derive(Default)]
struct Swallowed {
    bytes: usize,
}

impl Emit for Swallowed {
    fn emit(&mut self, to: To, _: &[u8], value: Option<&[u8]>, _: &[(&str, &[u8])]) {
        assert_ne!(to, To::DeadLetter);
        self.bytes += value.map_or(0, <[u8]>::len);
    }
}

fn frame(payloads: &[Vec<u8>]) -> Vec<u8> {
    let mut writer = FrameWriter::default();
    for payload in payloads {
        let datagram = Datagram { received: build::RECEIVED, listener: 2055, source_port: 50_000, payload };
        assert!(writer.push(&datagram), "a frame has room for it");
    }
    writer.as_bytes().to_vec()
}

/// Templates and the sampler, and frames of data with addresses all over the database's ranges, some far more often than others.
fn frames(random: &mut StdRng) -> (Vec<u8>, Vec<Vec<u8>>) {
    let (_, templates, _) = build::bench_datagrams().swap_remove(0);
    let mut datagram = |_| {
        let heavy = |part: f64| (40_000_000.0 * part.powi(4)) as u32;
        let records = (0..RECORDS).flat_map(|_| build::record_22(heavy(random.random()), false));
        build::v9(1, &[build::set(256, records.collect::<Vec<_>>())])
    };
    let frames = (0..FRAMES).map(|_| frame(&(0..DATAGRAMS).map(&mut datagram).collect::<Vec<_>>()));
    let frames = frames.collect();
    (frame(&[templates]), frames)
}

fn databases(folder: &std::path::Path, random: &mut StdRng) -> database::Config {
    let (mut ases, mut countries) = (String::new(), String::new());
    let mut first = 0x0a00_0000_u32;
    for n in 1..RANGES {
        let last = first + random.random_range(16..160);
        let (from, to) = (Ipv4Addr::from(first), Ipv4Addr::from(last));
        writeln!(ases, "{from},{to},{},AS of a network", n % 60_000 + 1).expect("memory takes all");
        writeln!(countries, "{from},{to},{}", ["DE", "FR", "US", "JP"][n % 4]).expect("memory takes all");
        first = last + random.random_range(1..16);
    }
    let write = |name: &str, text: String| {
        let path = folder.join(name);
        std::fs::write(&path, text).expect("a folder of its own can be written to");
        vec![path]
    };
    database::Config { asn: write("asn.csv", ases), country: write("country.csv", countries) }
}

fn config(databases: database::Config) -> Config {
    let interface = |index: u32, description: &str| InterfaceConfig {
        index,
        name: format!("HundredGigE0/0/0/{index}"),
        description: description.to_owned(),
        speed: 100_000_000_000,
    };
    let exporter = ExporterConfig {
        address: "192.0.2.1".into(),
        name: "edge1.example.net".into(),
        interfaces: vec![
            interface(3, "Transit: Example-A AS64496"),
            interface(7, "Core: p1.example.net"),
            interface(8, "Core: p2.example.net"),
            interface(9, "Core: p3.example.net"),
            interface(10, "Core: p4.example.net"),
        ],
        ..ExporterConfig::default()
    };
    let rule = LinkRule {
        description: r"^Transit: (?P<provider>[\w-]+) AS(?P<asn>\d+)".into(),
        provider: "$provider".into(),
        connectivity: "transit".into(),
        ..LinkRule::default()
    };
    let mut config = Config::default();
    config.enrich.databases = databases;
    config.enrich.exporters = vec![exporter];
    config.enrich.links = vec![rule];
    config
}

fn decode(c: &mut Criterion) {
    let mut random = StdRng::seed_from_u64(1);
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let config = config(databases(folder.path(), &mut random));
    let enricher = Enricher::new(&config.enrich).expect("the configuration is right");
    let databases = enricher.databases();
    let shared =
        Shared { config: &config, enricher: &enricher, databases: &databases, raw_topic: "weir.raw" };
    let (templates, frames) = frames(&mut random);
    let mut partition = Partition::new(0, &config);
    let mut offset = 0;
    let mut cycle = |frames: &[Vec<u8>]| {
        let (mut tally, mut out) = (Tally::default(), Swallowed::default());
        for value in frames {
            let record = RawRecord { offset, key: Some(&EXPORTER.0), value: Some(value) };
            partition.frame(&record, &shared, &mut tally, &mut out);
            offset += 1;
        }
        partition.flush(&shared, &mut tally, &mut out);
        (tally, out.bytes)
    };
    cycle(&[templates]);
    let (tally, bytes) = cycle(&frames);
    let flows = FRAMES as u64 * u64::from(DATAGRAMS * RECORDS);
    assert_eq!((tally.flows, tally.without_rate, tally.without_interface), (flows, 0, 0));
    assert!(tally.without_as < flows / 5 && bytes as u64 > flows * 200, "{tally:?}, {bytes} bytes");
    let mut group = c.benchmark_group("decoder");
    group.sample_size(20);
    group.throughput(Throughput::Elements(flows));
    group.bench_function("weir.raw to weir.flows", |b| b.iter(|| cycle(black_box(&frames))));
    group.finish();
}

criterion_group!(benches, decode);
criterion_main!(benches);
