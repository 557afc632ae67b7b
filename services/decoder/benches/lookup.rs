//! AS look-up over as many ranges as the Internet has: 412 000 of IPv4, 103 000 of IPv6.
#![allow(missing_docs, reason = "a benchmark has no users to document for")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::hint::black_box;
use weir_decoder::enrich::ranges::Builder;
use weir_schemas::Ip;

const ASKED: usize = 4096;

fn lookup(c: &mut Criterion) {
    let mut random = StdRng::seed_from_u64(1);
    let mut builder = Builder::default();
    let mut first = 0_u32;
    for value in 1..412_000 {
        let last = first.saturating_add(random.random_range(0..16_000));
        builder.v4(first, last, value);
        first = last.saturating_add(random.random_range(1..4_000));
    }
    for value in 1..103_000_u32 {
        let first = (0x2000_u128 << 112) | u128::from(value) << 92;
        builder.v6(first, first | ((1 << 88) - 1), value);
    }
    let ranges = builder.build();
    let v4: Vec<Ip> = (0..ASKED).map(|_| Ip::v4(random.random::<u32>().to_be_bytes())).collect();
    let v6: Vec<Ip> = (0..ASKED)
        .map(|_| {
            let first = (0x2000_u128 << 112) | u128::from(random.random_range(1..103_000_u32)) << 92;
            Ip((first | u128::from(random.random::<u64>())).to_be_bytes())
        })
        .collect();
    let mut group = c.benchmark_group("AS look-up");
    group.throughput(Throughput::Elements(ASKED as u64));
    for (name, asked) in [("IPv4", &v4), ("IPv6", &v6)] {
        let found = asked.iter().filter(|ip| ranges.get(ip) != 0).count();
        assert!(found > ASKED / 10, "{found} of {ASKED} are known");
        group.bench_function(name, |b| {
            b.iter(|| black_box(asked).iter().fold(0_u32, |sum, ip| sum.wrapping_add(ranges.get(ip))));
        });
    }
    group.finish();
}

criterion_group!(benches, lookup);
criterion_main!(benches);
