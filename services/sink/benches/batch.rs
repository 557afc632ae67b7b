//! The sink from `weir.flows` to rows on the wire: Avro read, rows of `flows` and of every rollup made and sorted.
#![allow(missing_docs, reason = "a benchmark has no users to document for")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::hint::black_box;
use weir_schemas::avro::BatchWriter;
use weir_schemas::{Flow, Ip, Time};
use weir_sink::batch::Batch;

/// As in the binary.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const MESSAGES: u32 = 2_000;
const FLOWS: u32 = 25;

/// Messages of a border router: a few interfaces, ASes and prefixes with a heavy tail, flows of up to a minute.
fn messages() -> Vec<Vec<u8>> {
    let mut random = StdRng::seed_from_u64(1);
    (0..MESSAGES)
        .map(|n| {
            let (mut writer, mut out) = (BatchWriter::default(), Vec::new());
            for i in 0..FLOWS {
                let received = Time(1_790_000_000_000_000_000 + i64::from(n) * 1_500_000);
                let duration = random.random_range(0..60_000_000_000_i64);
                let heavy = (3_000.0 * random.random::<f64>().powi(4)) as u32;
                let packets = random.random_range(1..40_u64);
                writer.push(&Flow {
                    raw_offset: u64::from(n),
                    record_index: i,
                    received,
                    spread_start: Time(received.0 - duration),
                    spread_end: received,
                    in_if: random.random_range(1..9),
                    out_if: random.random_range(20..24),
                    family: 4,
                    src_addr: Ip::v4(
                        (0x5000_0000 + heavy * 4096 + random.random_range(0..512)).to_be_bytes(),
                    ),
                    dst_addr: Ip::v4((0x6440_0000 + random.random_range(0..100_000_u32)).to_be_bytes()),
                    src_port: 443,
                    dst_port: random.random_range(49_152..65_535),
                    src_prefix_len: 20,
                    dst_prefix_len: 10,
                    src_as: 1_000 + heavy,
                    proto: 6,
                    bytes: Some(1_000 * packets),
                    packets,
                    q: Some(u128::from(packets) * 1_000_000),
                    sampling_interval: 1_000_000,
                    ..Flow::default()
                });
            }
            writer.finish(
                &weir_schemas::Batch { exporter: Ip::v4([192, 0, 2, 1]), ..Default::default() },
                0,
                &mut out,
            );
            out
        })
        .collect()
}

fn batch(c: &mut Criterion) {
    let messages = messages();
    let mut group = c.benchmark_group("sink");
    group.sample_size(20);
    group.throughput(Throughput::Elements(u64::from(MESSAGES * FLOWS)));
    group.bench_function("weir.flows to rows", |b| {
        // As a partition does it: one batch after another.
        let mut batch = Batch::default();
        b.iter(|| {
            for (offset, message) in messages.iter().enumerate() {
                batch.add(offset as i64, None, black_box(message)).expect("it was just written");
            }
            batch.finish(None).map(|ready| ready.bytes())
        });
    });
    group.finish();
}

criterion_group!(benches, batch);
criterion_main!(benches);
