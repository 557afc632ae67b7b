//! The codecs of a flow: Avro as the decoder writes and the sink reads it, RowBinary as the sink makes rows, and the block of columns that it sends.
#![allow(missing_docs, reason = "a benchmark has no users to document for")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use weir_schemas::avro::{BatchWriter, read_batch};
use weir_schemas::native;
use weir_schemas::{Batch, Flow, Ip, Time};

/// Flows of a message: what a datagram of NetFlow v9 brings.
const FLOWS: u32 = 25;

/// As a border router's flow comes out of the decoder: names, ASes and times set, link layer unknown.
fn flow(n: u32) -> Flow<'static> {
    let received = Time(1_790_000_000_000_000_000 + i64::from(n) * 1_000_003);
    let at = |ms: i64| Time(received.0 - ms * 1_000_000);
    Flow {
        raw_offset: 123_456_789,
        record_index: n,
        received,
        exported: at(3),
        flow_start: at(61_000),
        flow_end: at(1_200),
        spread_start: at(61_000),
        spread_end: at(1_200),
        exporter_name: "edge1.example.net",
        in_if: 17,
        out_if: 403,
        in_if_name: "HundredGigE0/0/0/17",
        out_if_name: "Bundle-Ether403",
        in_if_description: "Transit: Example-A AS64496",
        out_if_description: "Core: p1.example.net",
        in_if_speed: 100_000_000_000,
        out_if_speed: 400_000_000_000,
        in_provider: "Example-A",
        family: 4,
        src_addr: Ip::v4([203, 0, 113, n as u8]),
        dst_addr: Ip::v4([198, 51, 100, n as u8]),
        src_port: 443,
        dst_port: 50_000 + n as u16,
        src_prefix_len: 24,
        dst_prefix_len: 22,
        src_as: 15_169,
        dst_as: 64_500,
        proto: 6,
        tcp_flags: 0x1b,
        bytes: Some(1_400 * u64::from(n + 1)),
        packets: u64::from(n + 1),
        q: Some(1_960_000 * u128::from(n + 1)),
        sampling_interval: 1_000_000,
        ..Flow::default()
    }
}

fn message(flows: &[Flow<'_>]) -> Vec<u8> {
    let (mut writer, mut out) = (BatchWriter::default(), Vec::new());
    flows.iter().for_each(|flow| writer.push(flow));
    writer.finish(&Batch::default(), 0, &mut out);
    out
}

fn codec(c: &mut Criterion) {
    let flows: Vec<Flow<'_>> = (0..FLOWS).map(flow).collect();
    let written = message(&flows);
    let mut group = c.benchmark_group("codec");
    group.throughput(Throughput::Elements(u64::from(FLOWS)));
    group.bench_function("avro encode", |b| {
        let (mut writer, mut out) = (BatchWriter::default(), Vec::new());
        b.iter(|| {
            out.clear();
            black_box(&flows).iter().for_each(|flow| writer.push(flow));
            writer.finish(&Batch::default(), 0, &mut out);
            out.len()
        });
    });
    group.bench_function("avro decode", |b| {
        b.iter(|| {
            let (_, flows) = read_batch(black_box(&written)).expect("it was just written");
            flows.flatten().map(|flow| flow.packets).sum::<u64>()
        });
    });
    group.bench_function("rowbinary", |b| {
        let mut out = Vec::new();
        b.iter(|| {
            out.clear();
            for flow in black_box(&flows) {
                Batch::default().put_row(&mut out);
                flow.put_row(&mut out);
            }
            out.len()
        });
    });
    group.bench_function("native block", |b| {
        let mut rows = Vec::new();
        for flow in &flows {
            Batch::default().put_row(&mut rows);
            flow.put_row(&mut rows);
        }
        b.iter(|| {
            native::block(weir_schemas::rollup::FLOWS.all_columns(), black_box(&rows))
                .map(|block| block.len())
        });
    });
    group.finish();
}

criterion_group!(benches, codec);
criterion_main!(benches);
