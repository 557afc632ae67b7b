//! Time of each case in each decoder.
#![allow(missing_docs, reason = "a benchmark has no users to document for")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::time::Duration;
use weir_peers::cases::cases;
use weir_peers::decoders::{DECODERS, ready};

fn peers(c: &mut Criterion) {
    for case in cases() {
        let mut group = c.benchmark_group(format!("peers: {}", case.name));
        group.throughput(Throughput::Elements(case.units));
        for (name, make) in DECODERS {
            let Some(mut decoder) = ready(*make, name, &case) else { continue };
            let mut datagrams = case.datagrams.iter().cycle();
            group.bench_function(*name, |b| {
                b.iter(|| datagrams.by_ref().take(1).for_each(|datagram| decoder.decode(datagram)));
            });
        }
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3));
    targets = peers
}
criterion_main!(benches);
