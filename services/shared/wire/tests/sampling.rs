//! docs/counting.md, "Sampling rate": each row of the table, and who wins.
#![allow(missing_docs, reason = "tests read as sentences")]

mod build;

use build::*;
use weir_schemas::{RateSource, SamplingKind};
use weir_wire::Reason;

/// A flow record's fields and value, on interfaces 3 to 7.
const FLOW: &[F] = &[f(8, 4), f(12, 4), f(10, 4), f(14, 4), f(2, 4), f(1, 4)];

fn flow() -> Bytes {
    bytes().raw([10, 0, 0, 1, 10, 0, 0, 2]).u32(3).u32(7).u32(2).u32(3000)
}

/// What a flow's columns say of its rate.
fn rate(flow: &Kept) -> (u64, SamplingKind, RateSource) {
    (flow.sampling_interval, flow.sampling_kind, flow.rate_source)
}

const UNKNOWN: (u64, SamplingKind, RateSource) = (0, SamplingKind::Unknown, RateSource::Unknown);

fn packet(thousandths: u64, source: RateSource) -> (u64, SamplingKind, RateSource) {
    (thousandths, SamplingKind::Packet, source)
}

/// A flow whose own record has these fields beside its usual ones.
fn in_record(fields: &[F], values: &[u8]) -> Sink {
    let all = [FLOW, fields].concat();
    decode(&ipfix(1, &[set(2, template(256, &all)), set(256, flow().raw(values).0)]))
}

/// Name, fields, value, interval in thousandths, kind, flags.
type Row = (&'static str, Vec<F>, Vec<u8>, u64, SamplingKind, Vec<&'static str>);

/// Each row of the table.
fn rows() -> Vec<Row> {
    use SamplingKind::{Flow, Packet};
    vec![
        ("IE 34", vec![f(34, 4)], bytes().u32(1000).0, 1_000_000, Packet, vec![]),
        ("IE 50", vec![f(50, 2)], bytes().u16(512).0, 512_000, Packet, vec![]),
        ("IE 34 of 1 is 1", vec![f(34, 4)], bytes().u32(1).0, 1000, Packet, vec![]),
        (
            "IE 34 of 0 says nothing",
            vec![f(34, 4), f(50, 2)],
            bytes().u32(0).u16(512).0,
            512_000,
            Packet,
            vec![],
        ),
        (
            "IE 34 and 50 of 0 say nothing",
            vec![f(34, 4), f(50, 2), f(309, 4), f(310, 4)],
            bytes().u32(0).u16(0).u32(1).u32(9).0,
            9000,
            Packet,
            vec![],
        ),
        (
            "311 of either length where it varies: 4",
            vec![f(311, VARIABLE)],
            bytes().u8(4).u32(0.25_f32.to_bits()).0,
            4000,
            Packet,
            vec![],
        ),
        (
            "311 of either length where it varies: 8",
            vec![f(311, VARIABLE)],
            bytes().u8(8).u64(0.125_f64.to_bits()).0,
            8000,
            Packet,
            vec![],
        ),
        ("305 and 306", vec![f(305, 4), f(306, 4)], bytes().u32(10).u32(990).0, 100_000, Packet, vec![]),
        ("305 and 306, rounded", vec![f(305, 4), f(306, 4)], bytes().u32(3).u32(7).0, 3333, Packet, vec![]),
        ("309 and 310", vec![f(309, 4), f(310, 4)], bytes().u32(7).u32(1000).0, 142_857, Packet, vec![]),
        ("311 of float64", vec![f(311, 8)], bytes().u64(0.001_f64.to_bits()).0, 1_000_000, Packet, vec![]),
        ("311 of float32", vec![f(311, 4)], bytes().u32(0.001_f32.to_bits()).0, 1_000_000, Packet, vec![]),
        ("311 of 1", vec![f(311, 8)], bytes().u64(1_f64.to_bits()).0, 1000, Packet, vec![]),
        (
            "307 and 308",
            vec![f(307, 4), f(308, 4)],
            bytes().u32(100).u32(400).0,
            5000,
            Packet,
            vec!["rate_approximate"],
        ),
        (
            "329 to 332",
            vec![f(329, 8), f(330, 8), f(331, 8), f(332, 8)],
            bytes().u64(0).u64(u64::MAX).u64(0).u64((1 << 56) - 1).0,
            256_000,
            Packet,
            vec![],
        ),
        (
            "329 to 332 of few values",
            vec![f(329, 1), f(330, 1), f(331, 1), f(332, 1)],
            vec![1, 100, 11, 20],
            10_000,
            Packet,
            vec![],
        ),
        ("396 and 397", vec![f(396, 4), f(397, 4)], bytes().u32(1).u32(9).0, 10_000, Flow, vec![]),
    ]
}

#[test]
fn each_row_of_the_table_gives_its_interval_in_the_record() {
    for (name, fields, values, interval, kind, words) in rows() {
        let out = in_record(&fields, &values);
        assert_eq!(rate(&out.flows[0]), (interval, kind, RateSource::Record), "{name}");
        let told: Vec<_> = flags(&out.flows[0]).into_iter().filter(|word| word.starts_with("rate")).collect();
        assert_eq!(told, words, "{name}");
    }
}

#[test]
fn each_row_of_the_table_gives_its_interval_from_options_data() {
    for (name, fields, values, interval, kind, words) in rows() {
        let options = ipfix_options_template(300, &[f(144, 4)], &fields);
        let row = bytes().u32(1).raw(&values).0;
        let sets = [set(3, options), set(2, template(256, FLOW)), set(300, row), set(256, flow().0)];
        let out = decode(&ipfix(1, &sets));
        assert_eq!(rate(&out.flows[0]), (interval, kind, RateSource::System), "{name}");
        assert_eq!((out.rates.len(), out.rates[0].interval), (1, interval), "{name}");
        let told: Vec<_> = flags(&out.flows[0]).into_iter().filter(|word| word.starts_with("rate")).collect();
        assert_eq!(told, words, "{name}");
    }
}

#[test]
fn an_unknown_interval_is_0_and_never_1() {
    let sets = [set(2, template(256, FLOW)), set(256, flow().0)];
    assert_eq!(rate(&one(&ipfix(1, &sets))), UNKNOWN);
    assert_eq!(rate(&one(&v5(0, &[v5_record(1, 60, 0, 0)]))), UNKNOWN);
    assert_eq!(rate(&in_record(&[f(34, 4)], &bytes().u32(0).0).flows[0]), UNKNOWN);
    assert_eq!(rate(&one(&sflow(&[flow_sample(3, 0, 3, 7, &[])]))), UNKNOWN);
}

#[test]
fn a_v5_header_gives_its_low_14_bits() {
    let of = |sampling| rate(&one(&v5(sampling, &[v5_record(1, 60, 0, 0)])));
    assert_eq!(of(0x4000 | 100), packet(100_000, RateSource::Header));
    assert_eq!(of(0xc000 | 0x3fff), packet(16_383_000, RateSource::Header));
    assert_eq!(of(1), packet(1000, RateSource::Header));
    assert_eq!(of(0x8000), UNKNOWN);
}

#[test]
fn an_sflow_sample_gives_its_rate() {
    let flow = one(&sflow(&[flow_sample(3, 2048, 3, 7, &[])]));
    assert_eq!(rate(&flow), packet(2_048_000, RateSource::Record));
}

#[test]
fn parameters_that_give_no_interval_are_a_fault_and_the_flow_stays() {
    for (fields, values) in [
        (vec![f(311, 8)], bytes().u64(0_f64.to_bits()).0),
        (vec![f(311, 8)], bytes().u64((-0.5_f64).to_bits()).0),
        (vec![f(311, 8)], bytes().u64(1.5_f64.to_bits()).0),
        (vec![f(311, 8)], bytes().u64(f64::NAN.to_bits()).0),
        (vec![f(311, 8)], bytes().u64(1e-300_f64.to_bits()).0),
        (vec![f(311, 8)], bytes().u64(1e300_f64.to_bits()).0),
        (vec![f(311, 8)], bytes().u64(f64::INFINITY.to_bits()).0),
        (vec![f(311, 4)], bytes().u32((-0.5_f32).to_bits()).0),
        (vec![f(311, 4)], bytes().u32(f32::NAN.to_bits()).0),
        (vec![f(311, 8)], bytes().u64(f64::MIN_POSITIVE.to_bits() - 1).0),
        (vec![f(305, 4), f(306, 4)], bytes().u32(0).u32(10).0),
        (vec![f(309, 4), f(310, 4)], bytes().u32(10).u32(5).0),
        (vec![f(329, 4), f(330, 4), f(331, 4), f(332, 4)], bytes().u32(9).u32(1).u32(0).u32(1).0),
        (vec![f(34, 8)], bytes().u64(1 << 50).0),
    ] {
        let out = in_record(&fields, &values);
        assert_eq!(out.faults.iter().map(|f| f.reason).collect::<Vec<_>>(), [Reason::BadRate], "{fields:?}");
        assert_eq!(rate(&out.flows[0]), UNKNOWN, "{fields:?}");
    }
}

#[test]
fn parameters_count_where_the_algorithm_contradicts_them() {
    for (fields, values, contradicted) in [
        (vec![f(304, 2), f(309, 4), f(310, 4)], bytes().u16(1).u32(1).u32(64).0, true),
        (vec![f(304, 2), f(309, 4), f(310, 4)], bytes().u16(3).u32(1).u32(64).0, false),
        (vec![f(304, 2), f(305, 4), f(306, 4)], bytes().u16(3).u32(1).u32(63).0, true),
        (vec![f(304, 2), f(305, 4), f(306, 4)], bytes().u16(1).u32(1).u32(63).0, false),
        (vec![f(35, 1), f(309, 4), f(310, 4)], bytes().u8(1).u32(1).u32(64).0, true),
        (vec![f(49, 1), f(305, 4), f(306, 4)], bytes().u8(2).u32(1).u32(63).0, true),
        (vec![f(35, 1), f(34, 4)], bytes().u8(2).u32(64).0, false),
    ] {
        let out = in_record(&fields, &values);
        assert_eq!(rate(&out.flows[0]), packet(64_000, RateSource::Record), "{fields:?}");
        assert_eq!(flags(&out.flows[0]).contains(&"rate_contradicted"), contradicted, "{fields:?}");
    }
}

#[test]
fn each_record_of_a_set_has_its_own_interval_and_one_that_gives_none_has_the_announced_one() {
    let fields = [FLOW, &[f(309, 4), f(310, 4)]].concat();
    let record = |size: u32, population: u32| flow().u32(size).u32(population).0;
    let [options, row] = announce(300, f(144, 4), &[0, 0, 0, 1], 64);
    let sets = [
        options,
        row,
        set(2, template(256, &fields)),
        set(256, [record(1, 10), record(1, 20), record(0, 9), record(1, 10)].concat()),
    ];
    let out = decode(&ipfix(1, &sets));
    let own = |interval| packet(interval, RateSource::Record);
    assert_eq!(
        out.flows.iter().map(rate).collect::<Vec<_>>(),
        [own(10_000), own(20_000), packet(64_000, RateSource::System), own(10_000)]
    );
    assert_eq!(out.faults.iter().map(|fault| fault.reason).collect::<Vec<_>>(), [Reason::BadRate]);
}

#[test]
fn each_algorithm_contradicts_the_parameters_of_all_others() {
    // Selector algorithms of RFC 5477 (IE 304) that fit each family, and of IE 35 and 49 (1 deterministic, 2 random) those that don't.
    type Family<'f> = (Vec<F>, Vec<u8>, &'f [u16], &'f [u8]);
    let families: [Family<'_>; 6] = [
        (vec![f(34, 4)], bytes().u32(2).0, &[1, 2, 3, 4, 6, 7, 8], &[]),
        (vec![f(305, 4), f(306, 4)], bytes().u32(1).u32(1).0, &[1], &[2]),
        (vec![f(307, 4), f(308, 4)], bytes().u32(1).u32(1).0, &[2], &[2]),
        (vec![f(309, 4), f(310, 4)], bytes().u32(1).u32(2).0, &[3], &[1]),
        (vec![f(311, 8)], bytes().u64(0.5_f64.to_bits()).0, &[4], &[1]),
        (vec![f(329, 1), f(330, 1), f(331, 1), f(332, 1)], vec![0, 1, 0, 0], &[6, 7, 8], &[]),
    ];
    for (fields, values, fitting, opposite) in families {
        let contradicted = |algorithm: F, value: &[u8]| {
            let out = in_record(&[&fields[..], &[algorithm]].concat(), &[&values[..], value].concat());
            assert_eq!(out.flows[0].sampling_interval, 2000, "the parameters count: {fields:?}");
            flags(&out.flows[0]).contains(&"rate_contradicted")
        };
        for algorithm in [1_u16, 2, 3, 4, 6, 7, 8] {
            let wanted = !fitting.contains(&algorithm);
            assert_eq!(contradicted(f(304, 2), &algorithm.to_be_bytes()), wanted, "{algorithm}: {fields:?}");
        }
        for unknown in [0_u16, 5, 9, 200] {
            assert!(
                !contradicted(f(304, 2), &unknown.to_be_bytes()),
                "{unknown} is none of them: {fields:?}"
            );
        }
        for mode in [0_u8, 1, 2, 3] {
            for element in [35, 49] {
                let wanted = opposite.contains(&mode);
                assert_eq!(contradicted(f(element, 1), &[mode]), wanted, "IE {element} = {mode}: {fields:?}");
            }
        }
    }
}

#[test]
fn a_packet_interval_alone_is_inferred_and_below_any_other_evidence() {
    let alone = in_record(&[f(305, 4)], &bytes().u32(100).0);
    assert_eq!(rate(&alone.flows[0]), packet(100_000, RateSource::Inferred));
    let one = in_record(&[f(305, 4)], &bytes().u32(1).0);
    assert_eq!(rate(&one.flows[0]), UNKNOWN);

    let fields = [FLOW, &[f(305, 4)]].concat();
    let options = ipfix_options_template(300, &[f(144, 4)], &[f(34, 4)]);
    let sets = [
        set(3, options),
        set(2, template(256, &fields)),
        set(300, bytes().u32(1).u32(64).0),
        set(256, flow().u32(100).0),
    ];
    assert_eq!(rate(&decode(&ipfix(1, &sets)).flows[0]), packet(64_000, RateSource::System));
}

/// A row of options data that gives this interval under this scope.
fn announce(id: u16, scope: F, value: &[u8], interval: u32) -> [Vec<u8>; 2] {
    let row = bytes().raw(value).u32(interval).0;
    [set(3, ipfix_options_template(id, &[scope], &[f(34, 4)])), set(id, row)]
}

#[test]
fn the_closest_announcement_wins() {
    // From the widest to the closest: each that comes beats all before it.
    let ladder = [
        (RateSource::System, announce(300, f(144, 4), &bytes().u32(0).0, 10)),
        (RateSource::Domain, announce(301, f(149, 4), &bytes().u32(1).0, 20)),
        (RateSource::Template, announce(302, f(145, 2), &bytes().u16(256).0, 30)),
        (RateSource::LineCard, announce(303, f(141, 4), &bytes().u32(5).0, 40)),
        (RateSource::Interface, announce(304, f(10, 4), &bytes().u32(3).0, 50)),
        (RateSource::Sampler, announce(305, f(302, 8), &bytes().u64(77).0, 60)),
    ];
    let fields = [FLOW, &[f(141, 4), f(302, 8)]].concat();
    let record = flow().u32(5).u64(77).0;
    let mut router = Router::default();
    router.send(&ipfix(1, &[set(2, template(256, &fields))]));
    for (n, (source, sets)) in ladder.into_iter().enumerate() {
        router.send(&ipfix(1, &sets));
        let flow = &router.send(&ipfix(1, &[set(256, record.clone())])).flows[0];
        assert_eq!(rate(flow), packet((n as u64 + 1) * 10_000, source));
    }
    for (own, value) in
        [(vec![f(34, 4)], bytes().u32(70).0), (vec![f(309, 4), f(310, 4)], bytes().u32(1).u32(70).0)]
    {
        let with_own = [&fields[..], &own].concat();
        let sets = [set(2, template(257, &with_own)), set(257, bytes().raw(&record).raw(value).0)];
        assert_eq!(
            rate(&router.send(&ipfix(1, &sets)).flows[0]),
            packet(70_000, RateSource::Record),
            "{own:?}"
        );
    }
}

#[test]
fn the_closest_announcement_wins_whichever_came_first() {
    let scope = |kind, source, value: u32| (source, kind, bytes().u32(value).0);
    // From the widest to the closest, as version 9 has them all: a cache too.
    let ladder = [
        scope(1, RateSource::System, 0),
        scope(149, RateSource::Domain, 9),
        scope(5, RateSource::Template, 256),
        scope(4, RateSource::Cache, 0),
        scope(3, RateSource::LineCard, 5),
        scope(2, RateSource::Interface, 3),
        scope(48, RateSource::Sampler, 77),
    ];
    let fields = [FLOW, &[f(141, 4), f(48, 4)]].concat();
    let data = || v9(9, &[set(256, flow().u32(5).u32(77).0)]);
    let announced = |router: &mut Router, n: usize| {
        let (_, kind, value) = &ladder[n];
        let id = 300 + n as u16;
        let row = bytes().raw(value).u32(10 * (n as u32 + 1)).0;
        router.send(&v9(9, &[set(1, v9_options_template(id, &[f(*kind, 4)], &[f(34, 4)])), set(id, row)]));
    };
    for up in [true, false] {
        let mut router = Router::default();
        router.send(&v9(9, &[set(0, template(256, &fields))]));
        for step in 0..ladder.len() {
            let n = if up { step } else { ladder.len() - 1 - step };
            announced(&mut router, n);
            let best = if up { n } else { ladder.len() - 1 };
            let wanted = packet(10_000 * (best as u64 + 1), ladder[best].0);
            assert_eq!(rate(&router.send(&data()).flows[0]), wanted, "{:?} came, up: {up}", ladder[n].0);
        }
    }
}

#[test]
fn an_inferred_interval_of_a_close_scope_gives_way_to_any_other_of_a_wide_one() {
    let inferred = ipfix_options_template(300, &[f(302, 8)], &[f(305, 4)]);
    let system = ipfix_options_template(301, &[f(144, 4)], &[f(34, 4)]);
    let fields = [FLOW, &[f(302, 8)]].concat();
    let mut router = Router::default();
    let templates = [set(2, template(256, &fields)), set(3, [inferred, system].concat())];
    router.send(&ipfix(1, &templates));
    let data = ipfix(1, &[set(256, flow().u64(7).0)]);
    let told = router.send(&ipfix(1, &[set(300, bytes().u64(7).u32(100).0)])).rates;
    assert_eq!((told[0].interval, told[0].source), (100_000, RateSource::Inferred));
    assert_eq!(rate(&router.send(&data).flows[0]), packet(100_000, RateSource::Inferred));
    router.send(&ipfix(1, &[set(301, bytes().u32(1).u32(64).0)]));
    assert_eq!(rate(&router.send(&data).flows[0]), packet(64_000, RateSource::System));
    // Of wide scopes as well: the template's is inferred, the system's is not.
    let inferred = ipfix_options_template(302, &[f(145, 2)], &[f(305, 4)]);
    router.send(&ipfix(1, &[set(3, inferred), set(302, bytes().u16(256).u32(5).0)]));
    assert_eq!(rate(&router.send(&data).flows[0]), packet(64_000, RateSource::System));
}

#[test]
fn a_sampler_counts_before_a_selector_and_both_before_a_selection_sequence() {
    let fields = [FLOW, &[f(48, 1), f(302, 8), f(301, 8)]].concat();
    let mut router = Router::default();
    router.send(&ipfix(1, &[set(2, template(256, &fields))]));
    let data = ipfix(1, &[set(256, flow().u8(4).u64(5).u64(6).0)]);
    for (n, (scope, value)) in
        [(f(301, 8), bytes().u64(6).0), (f(302, 8), bytes().u64(5).0), (f(48, 1), vec![4])].iter().enumerate()
    {
        let interval = 10 * (n as u32 + 1);
        router.send(&ipfix(1, &announce(300 + n as u16, *scope, value, interval)));
        let wanted = packet(u64::from(interval) * 1000, RateSource::Sampler);
        assert_eq!(rate(&router.send(&data).flows[0]), wanted, "{scope:?}");
    }
}

#[test]
fn announcements_for_others_are_not_taken() {
    let others = [
        announce(301, f(149, 4), &bytes().u32(2).0, 20),
        announce(302, f(145, 2), &bytes().u16(257).0, 30),
        announce(303, f(141, 4), &bytes().u32(6).0, 40),
        announce(304, f(10, 4), &bytes().u32(4).0, 50),
        announce(305, f(302, 8), &bytes().u64(78).0, 60),
    ];
    let fields = [FLOW, &[f(141, 4), f(302, 8)]].concat();
    let mut router = Router::default();
    router.send(&ipfix(1, &[set(2, template(256, &fields))]));
    others.iter().for_each(|sets| {
        router.send(&ipfix(1, sets));
    });
    let flow = &router.send(&ipfix(1, &[set(256, flow().u32(5).u64(77).0)])).flows[0];
    assert_eq!(rate(flow), UNKNOWN);
    assert_eq!(flow.sampler, 77);
}

#[test]
fn v9_scopes_are_known_by_their_types() {
    for (scope, value, source) in [
        (1, 0, RateSource::System),
        (2, 3, RateSource::Interface),
        (4, 0, RateSource::Cache),
        (5, 256, RateSource::Template),
    ] {
        let sets = [
            set(0, template(256, FLOW)),
            set(1, v9_options_template(300, &[f(scope, 4)], &[f(34, 4), f(35, 1)])),
            set(300, bytes().u32(value).u32(128).u8(2).0),
            set(256, flow().0),
        ];
        let out = decode(&v9(9, &sets));
        assert_eq!(rate(&out.flows[0]), packet(128_000, source), "scope {scope}");
        assert_eq!((out.rates[0].source, out.rates[0].scope), (source, u64::from(value)));
    }
}

#[test]
fn an_interface_scope_counts_where_the_packet_was_observed() {
    let fields = [FLOW, &[f(61, 1)]].concat();
    let sets = [
        set(0, template(256, &fields)),
        set(1, v9_options_template(300, &[f(2, 4)], &[f(34, 4)])),
        set(300, bytes().u32(3).u32(100).u32(7).u32(200).0),
        set(256, flow().u8(0).raw(flow().u8(1).0).0),
    ];
    let out = decode(&v9(9, &sets));
    assert_eq!(rate(&out.flows[0]), packet(100_000, RateSource::Interface));
    assert_eq!(rate(&out.flows[1]), packet(200_000, RateSource::Interface));
}

#[test]
fn a_row_that_names_a_sampler_outside_its_scope_is_that_samplers_and_never_the_systems() {
    let with_sampler = [FLOW, &[f(48, 1)]].concat();
    let sets = [
        set(0, [template(256, FLOW), template(257, &with_sampler)].concat()),
        set(1, v9_options_template(300, &[f(1, 4)], &[f(48, 1), f(49, 1), f(50, 4)])),
        set(300, bytes().u32(0).u8(1).u8(2).u32(100).u32(0).u8(2).u8(2).u32(1000).0),
        set(256, flow().0),
        set(257, flow().u8(1).raw(flow().u8(2).0).raw(flow().u8(3).0).0),
    ];
    let out = decode(&v9(9, &sets));
    let rates: Vec<_> = out.flows.iter().map(rate).collect();
    let sampler = |interval| packet(interval, RateSource::Sampler);
    assert_eq!(rates, [UNKNOWN, sampler(100_000), sampler(1_000_000), UNKNOWN]);
}

#[test]
fn a_selector_outside_the_scope_is_as_little_the_systems_as_a_sampler_is() {
    for (field, value) in [(f(302, 8), bytes().u64(5).0), (f(301, 8), bytes().u64(5).0)] {
        let options = ipfix_options_template(300, &[f(144, 4)], &[field, f(34, 4)]);
        let with = [FLOW, &[field]].concat();
        let sets = [
            set(2, [template(256, FLOW), template(257, &with)].concat()),
            set(3, options),
            set(300, bytes().u32(1).raw(&value).u32(100).0),
            set(256, flow().0),
            set(257, flow().raw(&value).0),
        ];
        let rates: Vec<_> = decode(&ipfix(1, &sets)).flows.iter().map(rate).collect();
        assert_eq!(rates, [UNKNOWN, packet(100_000, RateSource::Sampler)], "{field:?}");
    }
}

#[test]
fn two_samplers_of_one_interface_do_not_replace_each_other() {
    let sets = [
        set(0, template(256, FLOW)),
        set(1, v9_options_template(300, &[f(2, 4)], &[f(48, 1), f(34, 4)])),
        set(300, bytes().u32(3).u8(1).u32(100).0),
        set(256, flow().0),
        set(300, bytes().u32(3).u8(2).u32(200).0),
        set(256, flow().0),
    ];
    let out = decode(&v9(9, &sets));
    assert_eq!(rate(&out.flows[0]), packet(100_000, RateSource::Interface));
    assert_eq!(rate(&out.flows[1]), UNKNOWN, "which of the two is not known");
    assert_eq!(out.state.keys().filter(|key| key[0] == b'r').count(), 4);
}

#[test]
fn records_before_the_options_row_keep_what_was_known_then() {
    let row = |interval| set(300, bytes().u32(0).u32(interval).0);
    let sets = [
        set(0, template(256, FLOW)),
        set(1, v9_options_template(300, &[f(1, 4)], &[f(34, 4)])),
        set(256, flow().0),
        row(100),
        set(256, flow().0),
        row(200),
        set(256, flow().0),
    ];
    let intervals: Vec<_> = decode(&v9(9, &sets)).flows.iter().map(|f| f.sampling_interval).collect();
    assert_eq!(intervals, [0, 100_000, 200_000]);
}

#[test]
fn options_from_another_port_of_the_exporter_hold_unless_ports_disagree() {
    let row = |interval| {
        let template = v9_options_template(300, &[f(1, 4)], &[f(34, 4)]);
        v9(9, &[set(1, template), set(300, bytes().u32(0).u32(interval).0)])
    };
    let data = v9(9, &[set(0, template(256, FLOW)), set(256, flow().0)]);
    let mut router = Router::default();
    let mut out = Sink::default();
    router.from(2000, &row(100), &mut out);
    router.from(1000, &data, &mut out);
    router.from(3000, &row(200), &mut out);
    router.from(1000, &data, &mut out);
    router.from(3000, &data, &mut out);
    router.from(1000, &row(300), &mut out);
    router.from(1000, &data, &mut out);
    let intervals: Vec<_> = out.flows.iter().map(|f| f.sampling_interval).collect();
    assert_eq!(intervals, [100_000, 0, 200_000, 300_000]);
}

#[test]
fn selectors_of_a_chain_multiply_and_are_rounded_once() {
    // 10/3 and 10/3: each rounded first would give 11 108.889, which is not 100/9.
    let selector = ipfix_options_template(300, &[f(302, 8)], &[f(305, 4), f(306, 4)]);
    let chain = ipfix_options_template(301, &[f(301, 8)], &[f(302, 8), f(302, 8)]);
    let fields = [FLOW, &[f(301, 8)]].concat();
    let mut router = Router::default();
    router.send(&ipfix(
        1,
        &[
            set(3, [selector, chain].concat()),
            set(2, template(256, &fields)),
            set(301, bytes().u64(9).u64(1).u64(2).0),
            set(300, bytes().u64(1).u32(3).u32(7).0),
        ],
    ));
    let data = ipfix(1, &[set(256, flow().u64(9).0)]);
    assert_eq!(rate(&router.send(&data).flows[0]), UNKNOWN, "one selector is not known yet");
    router.send(&ipfix(1, &[set(300, bytes().u64(2).u32(3).u32(7).0)]));
    assert_eq!(rate(&router.send(&data).flows[0]), packet(11_111, RateSource::Sampler));

    let direct = [FLOW, &[f(302, 8), f(302, 8)]].concat();
    // 9/5, which has a factor with 10/3 either way.
    router.send(&ipfix(1, &[set(2, template(257, &direct)), set(300, bytes().u64(3).u32(5).u32(4).0)]));
    for (a, b, wanted) in [(1, 2, 11_111), (1, 3, 6000), (3, 1, 6000), (3, 3, 3240)] {
        let data = ipfix(1, &[set(257, flow().u64(a).u64(b).0)]);
        assert_eq!(rate(&router.send(&data).flows[0]), packet(wanted, RateSource::Sampler), "{a}, {b}");
    }
}

#[test]
fn a_chain_with_a_flow_sampler_samples_flows_and_is_as_good_as_its_worst_selector() {
    let one = |id, fields: &[F]| ipfix_options_template(id, &[f(302, 8)], fields);
    let templates = [
        one(300, &[f(34, 4)]),
        one(301, &[f(396, 4), f(397, 4)]),
        one(302, &[f(307, 4), f(308, 4)]),
        one(303, &[f(305, 4)]),
        ipfix_options_template(304, &[f(301, 8)], &[f(302, 8), f(302, 8), f(302, 8)]),
    ];
    let rows = [
        set(300, bytes().u64(1).u32(10).0),
        set(301, bytes().u64(2).u32(1).u32(4).0),
        set(302, bytes().u64(3).u32(1).u32(1).0),
        set(303, bytes().u64(4).u32(7).0),
        set(300, bytes().u64(5).u32(u32::MAX).0),
    ];
    let fields = [FLOW, &[f(301, 8)]].concat();
    let mut router = Router::default();
    router.send(&ipfix(
        1,
        &[&[set(3, templates.concat()), set(2, template(256, &fields))], &rows[..]].concat(),
    ));
    let mut of = |chain: [u64; 3]| {
        let [a, b, c] = chain;
        let sets = [set(304, bytes().u64(9).u64(a).u64(b).u64(c).0), set(256, flow().u64(9).0)];
        let flow = router.send(&ipfix(1, &sets)).flows.remove(0);
        let approximate = flags(&flow).contains(&"rate_approximate");
        (rate(&flow), approximate)
    };
    let sampled = |interval, kind, source| (interval, kind, source);
    let (sampler, inferred) = (RateSource::Sampler, RateSource::Inferred);
    assert_eq!(of([1, 1, 1]), (packet(1_000_000, sampler), false));
    assert_eq!(of([1, 2, 1]), (sampled(500_000, SamplingKind::Flow, sampler), false));
    assert_eq!(of([2, 1, 3]), (sampled(100_000, SamplingKind::Flow, sampler), true));
    assert_eq!(of([1, 4, 1]), (packet(700_000, inferred), false));
    assert_eq!(of([1, 5, 1]), (UNKNOWN, false), "more than is believed is not known");
    assert_eq!(of([1, 8, 1]), (UNKNOWN, false), "and neither is a chain of which one is not");
}

#[test]
fn intervals_are_believed_up_to_the_bound_that_is_configured() {
    for (fields, at, above) in [
        (vec![f(34, 4)], bytes().u32(1000).0, bytes().u32(1001).0),
        (vec![f(305, 4), f(306, 4)], bytes().u32(2).u32(1998).0, bytes().u32(2).u32(1999).0),
        (vec![f(311, 8)], bytes().u64(0.001_f64.to_bits()).0, bytes().u64(0.000_999_f64.to_bits()).0),
    ] {
        for (values, wanted) in [(at, packet(1_000_000, RateSource::Record)), (above, UNKNOWN)] {
            let mut router = Router::default();
            router.options.max_sampling_interval = 1000;
            let all = [FLOW, &fields[..]].concat();
            let out = router.send(&ipfix(1, &[set(2, template(256, &all)), set(256, flow().raw(values).0)]));
            assert_eq!(
                (rate(&out.flows[0]), out.faults.len()),
                (wanted, usize::from(wanted == UNKNOWN)),
                "{fields:?}"
            );
        }
    }
}

#[test]
fn ipfix_domain_0_speaks_for_the_whole_process_and_v9_source_0_does_not() {
    let options = |id| ipfix_options_template(id, &[f(144, 4)], &[f(34, 4)]);
    let mut router = Router::default();
    router.send(&ipfix(0, &[set(3, options(300)), set(300, bytes().u32(1).u32(64).0)]));
    let data = ipfix(7, &[set(2, template(256, FLOW)), set(256, flow().0)]);
    assert_eq!(rate(&router.send(&data).flows[0]), packet(64_000, RateSource::System));

    let mut router = Router::default();
    let options = v9_options_template(300, &[f(1, 4)], &[f(34, 4)]);
    router.send(&v9(0, &[set(1, options), set(300, bytes().u32(1).u32(64).0)]));
    let data = v9(7, &[set(0, template(256, FLOW)), set(256, flow().0)]);
    assert_eq!(rate(&router.send(&data).flows[0]), UNKNOWN);
}

#[test]
fn a_rate_that_is_announced_again_is_written_once_and_one_that_changes_is_written_again() {
    let row = |interval: u32| bytes().u32(0).u32(interval).0;
    let mut router = Router::default();
    let mut out = Sink::default();
    router.from(1, &v9(9, &[set(1, v9_options_template(300, &[f(1, 4)], &[f(34, 4)]))]), &mut out);
    for interval in [100, 100, 100, 200] {
        router.from(1, &v9(9, &[set(300, row(interval))]), &mut out);
    }
    assert_eq!(out.rates.iter().map(|rate| rate.interval).collect::<Vec<_>>(), [100_000, 200_000]);
    assert_eq!(out.state_writes, 3, "one template and two rates");
}

#[test]
fn options_rows_are_bounded_and_what_is_refused_is_a_fault() {
    let mut router = Router::default();
    router.options.options_rows = 10;
    router.send(&v9(9, &[set(1, v9_options_template(300, &[f(2, 4)], &[f(34, 4)]))]));
    let rows: Vec<u8> = (1..=11).flat_map(|n| bytes().u32(n).u32(100).0).collect();
    let out = router.send(&v9(9, &[set(300, rows)]));
    assert_eq!(out.rates.len(), 10);
    assert_eq!(out.faults.iter().map(|f| f.reason).collect::<Vec<_>>(), [Reason::StateLimit]);
}

/// Options data of one template: version, scopes, fields, and the values of its rows.
type Options<'o> = (u8, &'o [F], &'o [F], &'o [Vec<u8>]);

/// A datagram of an options template with its rows.
fn options(domain: u32, id: u16, (version, scopes, fields, rows): Options<'_>) -> Vec<u8> {
    match version {
        9 => v9(domain, &[set(1, v9_options_template(id, scopes, fields)), set(id, rows.concat())]),
        _ => ipfix(domain, &[set(3, ipfix_options_template(id, scopes, fields)), set(id, rows.concat())]),
    }
}

/// A datagram of a data template with its records.
fn data(version: u8, domain: u32, fields: &[F], records: &[Vec<u8>]) -> Vec<u8> {
    let all = [FLOW, fields].concat();
    match version {
        9 => v9(domain, &[set(0, template(256, &all)), set(256, records.concat())]),
        _ => ipfix(domain, &[set(2, template(256, &all)), set(256, records.concat())]),
    }
}

#[test]
fn rows_that_name_different_things_under_one_scope_do_not_replace_each_other() {
    let two = |a: Bytes, b: Bytes| [a.u32(100).0, b.u32(1000).0];
    let of = |a: u32, b: u32| two(bytes().u32(a), bytes().u32(b));
    let text = |a: &str, b: &str| {
        let one = |name: &str| bytes().u8(name.len() as u8).raw(name);
        two(one(a).u32(1), one(b).u32(1))
    };
    let rate = [f(34, 4)];
    type Case = (&'static str, u8, Vec<F>, Vec<F>, [Vec<u8>; 2]);
    let cases: [Case; 9] = [
        ("metering processes", 10, vec![f(143, 4)], rate.to_vec(), of(1, 2)),
        ("exporting processes", 10, vec![f(144, 4)], rate.to_vec(), of(1, 2)),
        ("caches", 9, vec![f(4, 4)], rate.to_vec(), of(1, 2)),
        ("systems", 9, vec![f(1, 4)], rate.to_vec(), of(1, 2)),
        (
            "processes of long numbers",
            10,
            vec![f(143, 16)],
            rate.to_vec(),
            two(bytes().raw([1; 16]), bytes().raw([2; 16])),
        ),
        ("names beside a template", 10, vec![f(82, VARIABLE), f(145, 4)], rate.to_vec(), {
            let one = |name: &str| bytes().u8(name.len() as u8).raw(name).u32(256);
            two(one("a"), one("bc"))
        }),
        ("names beside a system", 10, vec![f(82, VARIABLE), f(143, 4)], rate.to_vec(), text("a", "b")),
        ("interfaces outside the scope", 10, vec![f(144, 4)], vec![f(10, 4), f(34, 4)], {
            two(bytes().u32(1).u32(3), bytes().u32(1).u32(4))
        }),
        ("directions of a system", 9, vec![f(1, 4)], vec![f(61, 1), f(34, 4)], {
            two(bytes().u32(1).u8(0), bytes().u32(1).u8(1))
        }),
    ];
    for (name, version, scopes, fields, rows) in cases {
        let mut router = Router::default();
        let mut out = Sink::default();
        let first = options(1, 300, (version, &scopes, &fields, &rows[..1]));
        let both = options(1, 300, (version, &scopes, &fields, &rows));
        router.from(1000, &first, &mut out);
        router.from(1000, &data(version, 1, &[], &[flow().0]), &mut out);
        router.from(1000, &both, &mut out);
        let writes = out.state_writes;
        (0..3).for_each(|_| {
            router.from(1000, &both, &mut out);
        });
        assert_eq!(out.state_writes, writes, "nothing is new: {name}");
        assert_eq!(router.dump(), out.state, "{name}");
        let again = data(version, 1, &[], &[flow().0]);
        router.restarted(&out.state).from(1000, &again, &mut out);
        router.from(1000, &again, &mut out);
        let intervals: Vec<_> = out.flows.iter().map(|flow| flow.sampling_interval).collect();
        assert_eq!(intervals, [100_000, 0, 0], "which of the two is not known: {name}");
        let told: Vec<_> = out.rates.iter().map(|rate| (rate.interval, rate.sampling)).collect();
        assert_eq!(told, [(100_000, SamplingKind::Packet), (0, SamplingKind::Unknown)], "{name}");
    }
}

#[test]
fn a_disagreement_is_not_forgotten_however_many_rows_there_are() {
    let row = |process: u32, interval: u32| bytes().u32(process).u32(interval).0;
    for odd in [1, 64, 65, 70] {
        let mut router = Router::default();
        let mut out = Sink::default();
        let of = |process| row(process, if process == odd { 100 } else { 1000 });
        let rows: Vec<_> = (1..=70).map(of).collect();
        for _ in 0..3 {
            router.from(1000, &options(1, 300, (10, &[f(143, 4)], &[f(34, 4)], &rows)), &mut out);
            router.from(1000, &data(10, 1, &[], &[flow().0]), &mut out);
            assert_eq!(router.dump(), out.state, "process {odd}");
        }
        assert!(out.flows.iter().all(|flow| rate(flow) == UNKNOWN), "process {odd}");
        assert_eq!(out.state.keys().filter(|key| key[0] == b'r').count(), 64, "process {odd}");
    }
}

#[test]
fn different_kinds_of_scopes_that_are_one_system_do_not_replace_each_other() {
    let row = |interval| bytes().u32(1).u32(interval).0;
    let of = |scope, interval| options(1, 300, (10, &[f(scope, 4)], &[f(34, 4)], &[row(interval)]));
    for (other, interval, wanted) in [
        (143, 1000, UNKNOWN),
        (143, 100, packet(100_000, RateSource::System)),
        (144, 1000, { packet(1_000_000, RateSource::System) }),
    ] {
        let mut router = Router::default();
        router.send(&of(144, 100));
        router.send(&of(other, interval));
        let flow = &router.send(&data(10, 1, &[], &[flow().0])).flows[0];
        assert_eq!(rate(flow), wanted, "scope {other} of {interval}");
    }
}

#[test]
fn a_rate_of_a_direction_is_for_what_was_observed_in_it() {
    let ways = |a: u16, b: u16| {
        vec![
            (10, vec![f(a, 4)], vec![f(34, 4)], bytes().u32(3).u32(100).0),
            (10, vec![f(b, 4)], vec![f(34, 4)], bytes().u32(3).u32(1000).0),
        ]
    };
    let told = |version, scopes: &[F], fields: &[F]| {
        let row = |way, interval| {
            (version, scopes.to_vec(), fields.to_vec(), bytes().u32(3).u8(way).u32(interval).0)
        };
        vec![row(0, 100), row(1, 1000)]
    };
    // Records from interface 3 and to it: observed on the way in, on the way out, and not known where.
    let to = |way: u8| bytes().raw([10, 0, 0, 1, 10, 0, 0, 2]).u32(7).u32(3).u32(2).u32(3000).u8(way).0;
    let records = [flow().u8(0).0, to(1), flow().u8(255).0, to(0), flow().u8(1).0];
    for (name, rows) in [
        ("10 and 14", ways(10, 14)),
        ("252 and 253", ways(252, 253)),
        ("61 beside v9's interface", told(9, &[f(2, 4)], &[f(61, 1), f(34, 4)])),
        ("61 as a scope", told(9, &[f(2, 4), f(61, 1)], &[f(34, 4)])),
        ("61 beside 10", told(10, &[f(10, 4)], &[f(61, 1), f(34, 4)])),
    ] {
        for back in [false, true] {
            let mut router = Router::default();
            let order: Vec<_> = if back { rows.iter().rev().collect() } else { rows.iter().collect() };
            let mut out = Sink::default();
            for (n, (version, scopes, fields, row)) in order.iter().enumerate() {
                let datagram =
                    options(1, 300 + n as u16, (*version, scopes, fields, std::slice::from_ref(row)));
                router.from(1000, &datagram, &mut out);
            }
            let sent = data(rows[0].0, 1, &[f(61, 1)], &records);
            router.from(1000, &sent, &mut out);
            router.restarted(&out.state).from(1000, &sent, &mut out);
            let on = |interval| packet(interval, RateSource::Interface);
            let wanted = [on(100_000), on(1_000_000), on(100_000), UNKNOWN, UNKNOWN];
            let found: Vec<_> = out.flows.iter().map(rate).collect();
            assert_eq!(found, [wanted, wanted].concat(), "{name}, backwards: {back}");
        }
    }
}

#[test]
fn a_rate_of_an_interface_that_names_no_direction_holds_beside_one_that_does_where_they_agree() {
    for (interval, wanted) in [(100, packet(100_000, RateSource::Interface)), (1000, UNKNOWN)] {
        let mut router = Router::default();
        router.send(&options(1, 300, (9, &[f(2, 4)], &[f(34, 4)], &[bytes().u32(3).u32(100).0])));
        router.send(&options(1, 301, (9, &[f(10, 4)], &[f(34, 4)], &[bytes().u32(3).u32(interval).0])));
        router.send(&options(1, 302, (9, &[f(1, 4)], &[f(34, 4)], &[bytes().u32(3).u32(7).0])));
        assert_eq!(rate(&router.send(&data(9, 1, &[], &[flow().0])).flows[0]), wanted, "{interval}");
    }
}

#[test]
fn a_domain_among_several_scopes_is_the_one_that_is_spoken_of() {
    let of = |domain: u32| bytes().u32(domain);
    for (name, scope, value, fields, record, source) in [
        ("selector", f(302, 8), bytes().u64(7), vec![f(302, 8)], flow().u64(7), RateSource::Sampler),
        ("sampler", f(48, 4), bytes().u32(7), vec![f(48, 4)], flow().u32(7), RateSource::Sampler),
        ("interface", f(10, 4), bytes().u32(3), vec![], flow(), RateSource::Interface),
        ("line card", f(141, 4), bytes().u32(5), vec![f(141, 4)], flow().u32(5), RateSource::LineCard),
        ("template", f(145, 4), bytes().u32(256), vec![], flow(), RateSource::Template),
        ("process", f(143, 4), bytes().u32(1), vec![], flow(), RateSource::Domain),
    ] {
        let rows = [(5, 100), (6, 1000)].map(|(domain, n)| of(domain).raw(&value.0).u32(n).0);
        let mut router = Router::default();
        let told = router.send(&options(0, 300, (10, &[f(149, 4), scope], &[f(34, 4)], &rows))).rates;
        assert_eq!(told.iter().map(|rate| rate.observation_domain).collect::<Vec<_>>(), [5, 6], "{name}");
        for (domain, wanted) in [(5, packet(100_000, source)), (6, packet(1_000_000, source)), (0, UNKNOWN)] {
            let flow = &router.send(&data(10, domain, &fields, std::slice::from_ref(&record.0))).flows[0];
            assert_eq!(rate(flow), wanted, "{name}, domain {domain}");
        }
    }
    // More than any domain's number is of none.
    let row = bytes().u64(1 << 32).u64(7).u32(100).0;
    let out = decode(&options(0, 300, (10, &[f(149, 8), f(302, 8)], &[f(34, 4)], &[row])));
    assert_eq!((out.rates.len(), out.faults.len()), (0, 0));
}

#[test]
fn where_announcements_disagree_a_wider_scope_does_not_make_up_for_it() {
    // The value of a scope, and of the records' own field for it.
    let cases: [(&str, F, u32, Vec<F>); 7] = [
        ("sampler", f(48, 4), 7, vec![f(48, 4)]),
        ("selector", f(302, 4), 7, vec![f(302, 4)]),
        ("sequence", f(301, 4), 7, vec![f(301, 4)]),
        ("interface", f(2, 4), 3, vec![]),
        ("line card", f(141, 4), 7, vec![f(141, 4)]),
        ("cache", f(4, 4), 7, vec![]),
        ("template", f(5, 4), 256, vec![]),
    ];
    for (name, scope, value, fields) in cases {
        let mut router = Router::default();
        let mut out = Sink::default();
        let row = |interval| bytes().u32(value).u32(interval).0;
        let of = |interval| options(1, 300, (9, &[scope], &[f(34, 4)], &[row(interval)]));
        let record = if fields.is_empty() { flow() } else { flow().u32(value) };
        let sent = data(9, 1, &fields, &[record.0]);
        router.from(3, &options(1, 301, (9, &[f(1, 4)], &[f(34, 4)], &[row(10)])), &mut out);
        router.from(3, &sent, &mut out);
        router.from(1, &of(20), &mut out);
        router.from(3, &sent, &mut out);
        router.from(2, &of(30), &mut out);
        router.from(3, &sent, &mut out);
        router.from(2, &of(20), &mut out);
        router.from(3, &sent, &mut out);
        let intervals: Vec<_> = out.flows.iter().map(|flow| flow.sampling_interval).collect();
        assert_eq!(intervals, [10_000, 20_000, 0, 20_000], "{name}");
        assert_eq!(rate(&out.flows[2]), UNKNOWN, "{name}");
    }
}

#[test]
fn where_announcements_disagree_what_is_inferred_does_not_make_up_for_it() {
    let mut router = Router::default();
    let rows = [bytes().u32(1).u32(10).0, bytes().u32(2).u32(20).0];
    let sent = data(10, 1, &[f(305, 4)], &[flow().u32(100).0]);
    router.send(&options(1, 300, (10, &[f(143, 4)], &[f(34, 4)], &rows[..1])));
    assert_eq!(rate(&router.send(&sent).flows[0]), packet(10_000, RateSource::System));
    router.send(&options(1, 300, (10, &[f(143, 4)], &[f(34, 4)], &rows)));
    assert_eq!(rate(&router.send(&sent).flows[0]), UNKNOWN);
}

#[test]
fn a_chain_of_which_a_selector_is_disputed_or_beyond_belief_is_unknown_whatever_the_system_has() {
    let mut router = Router::default();
    let mut out = Sink::default();
    let of = |selector: u64, interval: u32| {
        let row = bytes().u64(selector).u32(interval).0;
        options(1, 300, (10, &[f(302, 8)], &[f(34, 4)], &[row]))
    };
    router.from(3, &options(1, 301, (10, &[f(144, 4)], &[f(34, 4)], &[bytes().u32(1).u32(10).0])), &mut out);
    for (port, selector, interval) in [(1, 1, 20), (2, 1, 30), (1, 2, 4), (1, 3, u32::MAX)] {
        router.from(port, &of(selector, interval), &mut out);
    }
    let chain = |a: u64, b: u64| flow().u64(a).u64(b).0;
    let records = [chain(2, 2), chain(1, 2), chain(2, 1), chain(2, 3), chain(2, 9)];
    router.from(3, &data(10, 1, &[f(302, 8), f(302, 8)], &records), &mut out);
    let intervals: Vec<_> = out.flows.iter().map(|flow| flow.sampling_interval).collect();
    assert_eq!(intervals, [16_000, 0, 0, 0, 10_000], "what is not announced at all is the system's");
}

#[test]
fn rows_that_name_several_selectors_and_no_sequence_are_not_the_systems() {
    let row = bytes().u32(1).u64(7).u64(8).u32(100).0;
    let mut router = Router::default();
    let fields = [f(302, 8), f(302, 8), f(34, 4)];
    let told = router.send(&options(1, 300, (10, &[f(144, 4)], &fields, &[row])));
    assert_eq!((told.rates.len(), told.faults.len()), (0, 0));
    assert_eq!(rate(&router.send(&data(10, 1, &[], &[flow().0])).flows[0]), UNKNOWN);
}

#[test]
fn more_selectors_than_are_read_are_no_chain() {
    let selector = |id: u64| bytes().u64(id).u32(2).0;
    let rows: Vec<_> = (1..=9).map(selector).collect();
    for (many, wanted) in [(8, packet(256_000, RateSource::Sampler)), (9, UNKNOWN)] {
        let ids: Vec<u8> = (1..=many).flat_map(|id: u64| id.to_be_bytes()).collect();
        let fields = vec![f(302, 8); many as usize];
        let mut router = Router::default();
        router.send(&options(1, 300, (10, &[f(302, 8)], &[f(34, 4)], &rows)));
        let named = flow().raw(&ids).0;
        assert_eq!(rate(&router.send(&data(10, 1, &fields, &[named])).flows[0]), wanted, "named: {many}");
        let chain = bytes().u64(9).raw(&ids).0;
        router.send(&options(1, 301, (10, &[f(301, 8)], &fields, &[chain])));
        let sequence = flow().u64(9).0;
        let flow = &router.send(&data(10, 1, &[f(301, 8)], &[sequence])).flows[0];
        assert_eq!(rate(flow), wanted, "announced: {many}");
    }
}

#[test]
fn packets_and_then_flows_that_are_sampled_multiply_and_are_rounded_once() {
    use SamplingKind::{Flow, Packet};
    let flows = [f(396, 4), f(397, 4)];
    for (name, fields, values, interval, kind) in [
        ("305, 306", vec![f(305, 4), f(306, 4)], bytes().u32(1).u32(99), 1_000_000, Flow),
        ("34", vec![f(34, 4)], bytes().u32(100), 1_000_000, Flow),
        ("34 with an algorithm", vec![f(304, 2), f(34, 4)], bytes().u16(1).u32(100), 1_000_000, Flow),
        ("309, 310", vec![f(309, 4), f(310, 4)], bytes().u32(3).u32(10), 33_333, Flow),
        ("none", vec![], bytes(), 10_000, Flow),
    ] {
        let all = [&fields[..], &flows].concat();
        let values = values.u32(1).u32(9).0;
        assert_eq!(rate(&in_record(&all, &values).flows[0]), (interval, kind, RateSource::Record), "{name}");
        let row = bytes().u32(1).raw(&values).0;
        let mut router = Router::default();
        router.send(&options(1, 300, (10, &[f(144, 4)], &all, &[row])));
        let flow = &router.send(&data(10, 1, &[], &[flow().0])).flows[0];
        assert_eq!(rate(flow), (interval, kind, RateSource::System), "{name}, announced");
    }
    let both = [f(305, 4), f(306, 4), f(396, 4), f(397, 4)];
    // 10/3 and 10/3, rounded once; of flows of which none is left out packets are sampled, and flow counts stay.
    for (values, wanted) in [([3, 7, 3, 7], (11_111, Flow)), ([1, 99, 1, 0], (100_000, Packet))] {
        let record: Vec<u8> = values.into_iter().flat_map(u32::to_be_bytes).collect();
        let flow = in_record(&both, &record).flows.remove(0);
        assert_eq!((flow.sampling_interval, flow.sampling_kind), wanted, "{values:?}");
    }
    // Beyond the bound together, and nothing selected by either of both.
    for values in [[1, 99_999, 1, 99_999], [1, 9, 0, 9], [0, 9, 1, 9]] {
        let record: Vec<u8> = values.into_iter().flat_map(u32::to_be_bytes).collect();
        let out = in_record(&both, &record);
        assert_eq!(rate(&out.flows[0]), UNKNOWN, "{values:?}");
        assert_eq!(out.faults.iter().map(|f| f.reason).collect::<Vec<_>>(), [Reason::BadRate], "{values:?}");
    }
}

#[test]
fn several_ranges_of_a_hash_that_are_selected_count_together() {
    // Of values from 0 to 255, in ranges of one-byte ends.
    let of = |ranges: &[(u8, u8)]| {
        let mut fields = vec![f(329, 1), f(330, 1)];
        let mut values = vec![0, 255];
        for (min, max) in ranges {
            fields.extend([f(331, 1), f(332, 1)]);
            values.extend([*min, *max]);
        }
        (fields, values)
    };
    let eight: Vec<_> = (0..8).map(|n| (n * 16, n * 16)).collect();
    let nine: Vec<_> = (0..9).map(|n| (n * 16, n * 16)).collect();
    let mut cases = vec![
        ("one", of(&[(0, 15)]), 16_000),
        ("two", of(&[(0, 15), (128, 143)]), 8000),
        ("two that touch", of(&[(16, 31), (0, 15)]), 8000),
        ("all", of(&[(0, 127), (128, 255)]), 1000),
        ("eight", of(&eight), 32_000),
        ("more than are read", of(&nine), 0),
        ("two that overlap", of(&[(0, 15), (15, 31)]), 0),
        ("one within another", of(&[(0, 63), (8, 15)]), 0),
        ("the same twice", of(&[(8, 15), (8, 15)]), 0),
        ("one from its end to its begin", of(&[(0, 15), (31, 16)]), 0),
    ];
    let (mut fields, mut values) = of(&[(0, 15), (128, 143)]);
    fields.pop();
    values.pop();
    cases.push(("one without an end", (fields, values), 0));
    for (name, (fields, values), interval) in cases {
        let wanted = if interval == 0 { UNKNOWN } else { packet(interval, RateSource::Record) };
        let out = in_record(&fields, &values);
        assert_eq!((rate(&out.flows[0]), out.faults.len()), (wanted, usize::from(interval == 0)), "{name}");
        assert!(out.faults.iter().all(|fault| fault.reason == Reason::BadRate), "{name}");
        let row = bytes().u32(1).raw(&values).0;
        let out = decode(&options(1, 300, (10, &[f(144, 4)], &fields, &[row])));
        assert_eq!(out.rates.iter().map(|rate| rate.interval).sum::<u64>(), interval, "{name}, announced");
    }
}

#[test]
fn what_a_header_or_a_sample_says_is_believed_up_to_the_bound_that_is_configured() {
    let sample = |rate: u32| sflow(&[flow_sample(3, rate, 3, 7, &[])]);
    let header = |sampling: u16| v5(sampling, &[v5_record(1, 60, 0, 0)]);
    for (payload, wanted) in [
        (sample(10_000), packet(10_000_000, RateSource::Record)),
        (sample(10_001), UNKNOWN),
        (sample(u32::MAX), UNKNOWN),
        (header(10_000), packet(10_000_000, RateSource::Header)),
        (header(10_001), UNKNOWN),
    ] {
        let mut router = Router::default();
        router.options.max_sampling_interval = 10_000;
        let out = router.send(&payload);
        assert_eq!(rate(&out.flows[0]), wanted);
        let faults: Vec<_> = out.faults.iter().map(|fault| fault.reason).collect();
        assert_eq!(faults, if wanted == UNKNOWN { vec![Reason::BadRate] } else { vec![] });
    }
}

#[test]
fn a_row_that_gives_no_interval_takes_back_the_one_of_before() {
    let nothing = (0, SamplingKind::Unknown);
    let known = |interval: u64| (interval * 1000, SamplingKind::Packet);
    for (name, wide, fields, good, bad, faults) in [
        ("34 of 0", false, vec![f(34, 4)], bytes().u32(100), bytes().u32(0), 0),
        ("50 of 0", false, vec![f(50, 4)], bytes().u32(100), bytes().u32(0), 0),
        ("34 of 0 where the system has one", true, vec![f(34, 4)], bytes().u32(100), bytes().u32(0), 0),
        ("34 of too much", false, vec![f(34, 8)], bytes().u64(100), bytes().u64(1 << 40), 1),
        ("309 of 0", false, vec![f(309, 4), f(310, 4)], bytes().u32(1).u32(100), bytes().u32(0).u32(100), 1),
    ] {
        let mut router = Router::default();
        let mut out = Sink::default();
        if wide {
            let row = bytes().u32(0).u32(7).0;
            router.from(1000, &options(1, 301, (9, &[f(1, 4)], &[f(34, 4)], &[row])), &mut out);
            out.rates.clear();
        }
        let of = |values: &Bytes| {
            let row = bytes().u32(3).u8(5).raw(&values.0).0;
            options(1, 300, (9, &[f(2, 4)], &[&[f(48, 1)], &fields[..]].concat(), &[row]))
        };
        let sent = data(9, 1, &[f(48, 1)], &[flow().u8(5).0]);
        for values in [&good, &bad, &bad, &good] {
            router.from(1000, &of(values), &mut out);
            router.from(1000, &sent, &mut out);
            assert_eq!(router.dump(), out.state, "{name}");
        }
        let (mut empty, mut now) = (Router::default(), Router::default());
        empty.send(&of(&bad));
        [&good, &bad].into_iter().for_each(|values| {
            now.send(&of(values));
        });
        assert_eq!(now.budget.state, empty.budget.state, "it takes no room any more: {name}");
        let intervals: Vec<_> = out.flows.iter().map(|flow| flow.sampling_interval).collect();
        let other = if wide { 7000 } else { 0 };
        assert_eq!(intervals, [100_000, other, other, 100_000], "{name}");
        // Of the sampler, and of the interface.
        let told: Vec<_> = out.rates.iter().map(|rate| (rate.interval, rate.sampling)).collect();
        let wanted = [known(100), known(100), nothing, nothing, known(100), known(100)];
        assert_eq!(told, wanted, "{name}");
        assert_eq!(out.faults.len(), 2 * faults, "{name}");
    }
}

#[test]
fn a_chain_that_changes_replaces_the_one_of_before() {
    let mut router = Router::default();
    let rows = [(1, 2), (2, 3), (3, 5)].map(|(id, n)| bytes().u64(id).u32(n).0);
    router.send(&options(1, 300, (10, &[f(302, 8)], &[f(34, 4)], &rows)));
    for (chain, wanted) in [([1, 2], 6000), ([1, 3], 10_000), ([2, 3], 15_000)] {
        let row = bytes().u64(9).u64(chain[0]).u64(chain[1]).0;
        router.send(&options(1, 301, (10, &[f(301, 8)], &[f(302, 8), f(302, 8)], &[row])));
        let flow = &router.send(&data(10, 1, &[f(301, 8)], &[flow().u64(9).0])).flows[0];
        assert_eq!(rate(flow), packet(wanted, RateSource::Sampler), "{chain:?}");
    }
}
