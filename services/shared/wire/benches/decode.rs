//! Flow records decoded per second and core: v9 and IPFIX of 22 fields, v5, sFlow raw headers.
#![allow(missing_docs, reason = "a benchmark has no users to document for")]

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use weir_schemas::frame::Datagram;
use weir_schemas::{Flow, Ip};
use weir_wire::{Budget, Context, Exporter, Fault, Interface, Options, Output, Rate};

#[path = "../tests/build/mod.rs"]
mod build;

/// Looks at each flow, so that none is optimised away, and keeps none.
#[derive(Default)]
struct Sum {
    flows: u64,
    bytes: u64,
}

impl Output for Sum {
    fn flow(&mut self, flow: &Flow<'_>) {
        let flow = black_box(flow);
        self.flows += 1;
        self.bytes += flow.bytes.unwrap_or_default();
    }
    fn fault(&mut self, fault: Fault<'_>) {
        panic!("{}", fault.sentence);
    }
    fn state(&mut self, _: &[u8], _: Option<&[u8]>) {}
    fn interface(&mut self, _: Interface<'_>) {}
    fn rate(&mut self, _: Rate) {}
}

fn decode(c: &mut Criterion) {
    let context = Context { exporter: Ip::v4([192, 0, 2, 1]), raw_offset: 0, frame_index: 0 };
    let mut group = c.benchmark_group("decode");
    for (name, template, data) in build::bench_datagrams() {
        let at =
            |payload| Datagram { received: build::RECEIVED, listener: 2055, source_port: 50_000, payload };
        let mut exporter = Exporter::default();
        let mut budget = Budget::default();
        let options = Options::default();
        if !template.is_empty() {
            exporter.decode(&context, &at(&template), &options, &mut budget, &mut Sum::default());
        }
        let datagram = at(&data);
        let flows = {
            let mut sum = Sum::default();
            exporter.decode(&context, &datagram, &options, &mut budget, &mut sum);
            sum.flows
        };
        assert!(flows > 0, "{name}: nothing is decoded");
        group.throughput(Throughput::Elements(flows));
        group.bench_function(name, |b| {
            b.iter_batched_ref(
                Sum::default,
                |sum| exporter.decode(&context, black_box(&datagram), &options, &mut budget, sum),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, decode);
criterion_main!(benches);
