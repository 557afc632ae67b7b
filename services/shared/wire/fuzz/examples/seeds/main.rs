//! Writes the first inputs of each target, made with the builders of our tests: `seeds DIRECTORY` fills `DIRECTORY/<target>`.

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use weir_fuzz::bodies::{Sent, wrap};

#[path = "../../../tests/build/mod.rs"]
mod build;
mod captures;

use build::*;

type Seeds = Vec<(&'static str, Vec<Vec<u8>>)>;

fn sent(payload: Vec<u8>) -> Sent {
    Sent { port: 1000, payload, ..Sent::default() }
}

/// A session in each mode.
fn sessions(all: &[Sent]) -> Vec<Vec<u8>> {
    (0..4).map(|mode| wrap(mode, all)).collect()
}

fn without_templates_of_all_versions() -> Vec<Vec<u8>> {
    let mut all = vec![
        (0, without_templates(1, 0, &[vec![1; 48], vec![2; 48]])),
        (1, v5(100, &[v5_record(3, 700, UPTIME - 9000, UPTIME - 1)])),
        (2, without_templates(7, 0, &[vec![7; 52]])),
    ];
    all.extend(
        (1..)
            .zip(aggregate::records())
            .map(|(scheme, record)| (3, without_templates(8, scheme, &[record.clone(), record]))),
    );
    all.into_iter()
        .flat_map(|(spare, payload)| {
            [wrap(0, &[Sent { spare, ..sent(payload.clone()) }]), wrap(2, &[Sent { spare, ..sent(payload) }])]
        })
        .collect()
}

/// Templates, options and data of v9 or IPFIX: data early, late, from another port, after a restart, after its time.
fn with_templates(nine: bool) -> Vec<Vec<u8>> {
    let message = |sets: &[Vec<u8>]| if nine { v9(1, sets) } else { ipfix(1, sets) };
    let (id, options_id) = if nine { (0, 1) } else { (2, 3) };
    let fields = if nine { FIELDS_22 } else { FIELDS_22_IPFIX };
    let template = message(&[set(id, template(256, fields))]);
    let data = message(&[set(256, [record_22(1, !nine), record_22(2, !nine)].concat())]);
    let options = |scopes: &[F], fields: &[F]| {
        let record = if nine {
            v9_options_template(257, scopes, fields)
        } else {
            ipfix_options_template(257, scopes, fields)
        };
        set(options_id, record)
    };
    let scope = if nine { f(1, 4) } else { f(144, 4) };
    let sampler = message(&[
        options(&[scope], &[f(48, 2), f(49, 1), f(50, 4)]),
        set(257, bytes().u32(0).u16(1).u8(2).u32(1000).0),
    ]);
    let interface = if nine { f(2, 4) } else { f(10, 4) };
    let names = message(&[
        options(&[interface], &[f(82, 8), f(83, 4)]),
        set(257, bytes().u32(3).raw(b"et-0/0/0core").0),
    ]);
    let interval =
        message(&[options(&[scope], &[f(34, 4), f(35, 1)]), set(257, bytes().u32(0).u32(100).u8(1).0)]);
    let again = |around: Sent, payload: &Vec<u8>| Sent { payload: payload.clone(), ..around };
    let here = sent(Vec::new());
    let other = Sent { port: 1001, ..here.clone() };
    let restarted = Sent { restart: true, ..here.clone() };
    let later = Sent { later: 1801, ..here.clone() };
    let much_later = Sent { later: 7201, ..here.clone() };
    // Counters that run on, of more flows than are kept where limits are small.
    let totals =
        [f(8, 4), f(12, 4), f(22, 4), f(21, 4), f(85, 4), f(86, 2), F(85, if nine { 2 } else { 4 }, 29_305)];
    let totals = if nine { &totals[..6] } else { &totals[..] };
    let running = |flows: std::ops::Range<u8>, n: u32| {
        let record = |flow| {
            let of = bytes().raw([10, 0, 0, flow, 10, 0, 0, 9]).u32(UPTIME).u32(UPTIME + n);
            let counted = of.u32(n * 100).u16(n as u16);
            if nine { counted } else { counted.u32(n * 7) }.0
        };
        message(&[
            set(id, build::template(320, totals)),
            set(320, flows.flat_map(record).collect::<Vec<_>>()),
        ])
    };
    // As many as are kept where limits are small, after which one more makes one go.
    let one = |id| build::template(id, &[f(1, 4)]);
    let all_kept = message(&[set(id, (300..308).flat_map(one).collect::<Vec<_>>())]);
    let one_more = message(&[set(id, one(308))]);
    let mut all = Vec::new();
    for session in [
        vec![again(here.clone(), &template), again(here.clone(), &data)],
        vec![again(here.clone(), &data), again(restarted.clone(), &template)],
        vec![again(other.clone(), &template), again(here.clone(), &data), again(restarted.clone(), &data)],
        vec![again(here.clone(), &data), again(later, &data), again(much_later.clone(), &template)],
        vec![again(here.clone(), &template), again(here.clone(), &sampler), again(restarted.clone(), &data)],
        vec![
            again(other, &names),
            again(restarted.clone(), &interval),
            again(here.clone(), &template),
            again(here.clone(), &data),
        ],
        vec![
            again(here.clone(), &message(&[set(id, build::template(257, fields))])),
            again(here.clone(), &message(&[set(256, record_22(1, !nine)), set(257, record_22(2, !nine))])),
            again(here.clone(), &template),
        ],
        vec![
            again(here.clone(), &running(0..5, 3)),
            again(restarted.clone(), &running(1..4, 5)),
            again(here.clone(), &running(0..5, 4)),
        ],
        vec![again(here.clone(), &all_kept), again(much_later.clone(), &one_more)],
        vec![again(here, &message(&[set(256, [1; 40]), set(id, [0; 9]), set(7, [1; 4])]))],
    ] {
        all.extend(sessions(&session));
    }
    if !nine {
        let variable = [f(1, 4), f(82, VARIABLE), f(8, 4), f(315, VARIABLE), F(9, 4, 9)];
        let record = bytes().u32(9).u8(4).raw(b"name").raw([10, 0, 0, 1]).u8(54).raw(tcp4(600)).u32(1).0;
        let chain = ipfix_options_template(301, &[f(301, 8)], &[f(302, 8), f(302, 8), f(305, 4), f(306, 4)]);
        let row = bytes().u64(9).u64(1).u64(2).u32(1).u32(9).0;
        let sets = [
            set(2, build::template(400, &variable)),
            set(400, record),
            set(3, chain),
            set(301, row),
            set(2, [1, 0, 0, 0]),
        ];
        all.extend(sessions(&[sent(ipfix(1, &sets))]));
    }
    all
}

fn frames() -> Vec<Vec<u8>> {
    let ip4 = tcp4(600)[14..].to_vec();
    let ip6 = |next: u8, rest: &[u8]| {
        let head = bytes().u32(0x6000_0000).u16(rest.len() as u16).u8(next).u8(64);
        head.raw([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1])
            .raw([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2])
            .raw(rest)
            .0
    };
    let around = |tags: &[u8], ethertype: u16, packet: &[u8]| {
        bytes().raw([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2]).raw(tags).u16(ethertype).raw(packet).0
    };
    let udp = bytes().u16(53).u16(5353).u16(20).u16(0).raw([7; 12]).0;
    let icmp = bytes().u8(128).u8(1).raw([0; 6]).0;
    let fragment = bytes().u8(17).u8(0).u16(8).u32(77).raw(&udp).0;
    vec![
        tcp4(600),
        around(&[0x81, 0, 0x20, 7], 0x0800, &ip4),
        around(&[0x88, 0xa8, 0, 7, 0x81, 0, 0, 9], 0x86dd, &ip6(17, &udp)),
        around(&[], 0x86dd, &ip6(58, &icmp)),
        around(&[], 0x86dd, &ip6(44, &fragment)),
        around(&[], 0x86dd, &ip6(0, &[6, 0, 0, 0, 0, 0, 0, 0, 0, 80, 1, 187])),
        around(&[], 0x8847, &bytes().u32(0x0001_0040).u32(0x0002_0140).raw(&ip4).0),
        around(&[], 0x8864, &bytes().raw([0x11, 0, 0, 1]).u16(42).u16(0x21).raw(&ip4).0),
        around(&[], 0x0806, &[0; 28]),
        ip4,
        ip6(6, &tcp4(60)[34..]),
    ]
}

/// Pseudo-random bytes, for targets whose bytes are choices and not what is on the wire.
fn choices() -> Vec<Vec<u8>> {
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..48).map(|n| (0..40 + n * 16).map(|_| next()).collect()).collect()
}

fn seeds() -> Seeds {
    let bench = |name: &str| {
        bench_datagrams()
            .into_iter()
            .filter(|(known, _, _)| known.starts_with(name))
            .map(|(_, _, data)| data)
            .collect::<Vec<_>>()
    };
    let mut sflows: Vec<_> = bench("sFlow").into_iter().flat_map(|data| sessions(&[sent(data)])).collect();
    let records = |records: &[Vec<u8>]| sessions(&[sent(sflow(&[flow_sample(3, 2000, 3, 7, records)]))]);
    sflows.extend(records(&[tagged(2, bytes().u32(600).raw([2; 16]).u32(0x0800).0), tagged(1001, [0; 16])]));
    sflows
        .extend(records(&[tagged(3, bytes().u32(600).u32(6).raw([10; 8]).u32(80).u32(443).u32(2).u32(0).0)]));
    sflows.extend(records(&[tagged(
        4,
        bytes().u32(600).u32(6).raw([32; 32]).u32(80).u32(443).u32(2).u32(0).0,
    )]));
    let expanded = bytes().u32(1).u32(0).u32(3).u32(2000).u32(9).u32(0).u32(0).u32(3).u32(0).u32(7).u32(0).0;
    let discarded = bytes().u32(1).u32(0).u32(3).u32(0).u32(3).u32(0).u32(256).u32(0).0;
    sflows.extend(sessions(&[sent(sflow(&[
        tagged(3, expanded),
        tagged(5, discarded),
        tagged(2, [0; 12]),
        tagged(99, [0; 4]),
    ]))]));
    let headers = frames()
        .into_iter()
        .flat_map(|frame| (0..4).map(move |link| [&[link, 4, 0, 0, 3, 0], &frame[..]].concat()));
    let payloads = [bench("v9"), bench("IPFIX"), bench("v5")].concat();
    vec![
        ("netflow_fixed", without_templates_of_all_versions()),
        ("netflow_v9", with_templates(true)),
        ("ipfix", with_templates(false)),
        ("sflow", sflows),
        ("templates_then_data", choices()),
        ("sampled_headers", headers.collect()),
        ("options_then_data", choices()),
        ("capture", captures::files(&payloads)),
    ]
}

fn main() -> ExitCode {
    let Some(directory) = std::env::args().nth(1) else {
        eprintln!("seeds: name the directory to fill");
        return ExitCode::FAILURE;
    };
    for (target, seeds) in seeds() {
        let directory = Path::new(&directory).join(target);
        let written = fs::create_dir_all(&directory).and_then(|()| {
            seeds
                .iter()
                .enumerate()
                .try_for_each(|(n, seed)| fs::write(directory.join(format!("seed-{n:03}")), seed))
        });
        if let Err(error) = written {
            eprintln!("seeds: {}: {error}", directory.display());
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
