//! Any bytes: no panic, no loop, no memory beyond the limits, nothing lost without a count.
#![allow(missing_docs, reason = "tests read as sentences")]

mod build;

use build::*;
use proptest::prelude::*;
use std::time::Instant;
use weir_wire::{Budget, Options};

/// A router with limits so small that all of them are reached.
fn cramped() -> Router {
    Router {
        options: Options {
            templates: 8,
            template_fields: 20,
            parked_bytes: 2000,
            options_rows: 4,
            ..Options::default()
        },
        budget: Budget::new(3000, 20_000),
        ..Router::default()
    }
}

/// Datagrams as routers send them: templates, options, data, versions without templates, sFlow.
fn real() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = Vec::new();
    for (_, templates, data) in bench_datagrams() {
        all.extend([templates, data].into_iter().filter(|datagram| !datagram.is_empty()));
    }
    for (scheme, record) in (1..).zip(aggregate::records()) {
        all.push(without_templates(8, scheme, &[record.clone(), record]));
    }
    all.push(without_templates(1, 0, &[vec![1; 48]]));
    all.push(without_templates(7, 0, &[vec![7; 52]]));
    let variable = [f(1, 4), f(82, VARIABLE), f(8, 4), f(315, VARIABLE)];
    let record = bytes().u32(9).u8(4).raw(b"name").raw([10, 0, 0, 1]).u8(54).raw(tcp4(600)).0;
    let chain = ipfix_options_template(301, &[f(301, 8)], &[f(302, 8), f(302, 8), f(305, 4), f(306, 4)]);
    all.push(ipfix(
        1,
        &[
            set(2, template(400, &variable)),
            set(400, record),
            set(3, chain),
            set(301, bytes().u64(9).u64(1).u64(2).u32(1).u32(9).0),
            set(999, [1; 40]),
        ],
    ));
    // Who the exporter is; ports of an aggregate.
    let identity = ipfix_options_template(302, &[f(130, 4), f(149, 4)], &[f(404, 16), f(405, 4)]);
    all.push(ipfix(
        1,
        &[set(3, identity), set(302, bytes().raw([10, 0, 0, 9]).u32(1).raw([0x20; 16]).u32(4).0)],
    ));
    let attached = |port: u32| {
        let record = tagged(7, bytes().raw([0; 16]).u32(3).raw([0; 36]).0);
        tagged(2, bytes().u32(1).u32(port).u32(1).raw(record).0)
    };
    all.push(sflow(&[attached(11), attached(12), flow_sample(11, 1, 3, 7, &[])]));
    all
}

/// What must hold after every datagram.
fn check(router: &Router, out: &Sink) {
    let c = &router.counts;
    assert_eq!(c.sets, c.sets_decoded + c.sets_parked + c.sets_dead, "sets are conserved");
    assert_eq!(
        c.sets_parked,
        c.released + c.expired + router.exporter.parked().0 as u64,
        "waiting sets are conserved"
    );
    assert_eq!((c.flows as usize, c.faults as usize), (out.flows.len(), out.faults.len()));
    assert!(router.exporter.parked().1 <= router.options.parked_bytes);
    assert_eq!(router.budget.parked, router.exporter.parked().1);
    assert!(router.budget.state <= router.budget.state_limit);
    assert_eq!(router.dump(), out.state, "what was put out is what is known");
}

fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let edits = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6);
    (prop::sample::select(real()), edits, any::<prop::sample::Index>(), any::<bool>()).prop_map(
        |(mut datagram, edits, cut, whole)| {
            for (at, byte) in edits {
                let at = at.index(datagram.len());
                datagram[at] = byte;
            }
            if !whole {
                datagram.truncate(cut.index(datagram.len()) + 1);
            }
            datagram
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_give_flows_or_faults(version in 0..8_usize, tail in prop::collection::vec(any::<u8>(), 0..600)) {
        let head: &[u8] = [&[0, 5][..], &[0, 9], &[0, 10], &[0, 0, 0, 5], &[0, 1], &[0, 7], &[0, 8], &[]][version];
        let mut router = cramped();
        let mut out = Sink::default();
        router.from(1, &[head, &tail].concat(), &mut out);
        check(&router, &out);
    }

    #[test]
    fn real_datagrams_with_bytes_changed_give_flows_or_faults(all in prop::collection::vec((mutated(), 1..4_u16), 1..12)) {
        let mut router = cramped();
        let mut out = Sink::default();
        for (n, (datagram, port)) in all.iter().enumerate() {
            router.at(RECEIVED + n as i64 * 300_000_000_000, *port, datagram, &mut out);
            check(&router, &out);
        }
        let restarted = router.restarted(&out.state);
        prop_assert_eq!(restarted.dump(), router.dump());
        prop_assert_eq!(restarted.budget, router.budget);
    }

    #[test]
    fn any_sets_give_flows_or_faults(sets in prop::collection::vec((prop_oneof![0..4_u16, 254..300_u16], prop::collection::vec(prop_oneof![0..4_u8, any::<u8>()], 0..80)), 1..12), nine: bool) {
        let sets: Vec<_> = sets.into_iter().map(|(id, body)| set(id, body)).collect();
        let mut router = cramped();
        let mut out = Sink::default();
        router.from(1, &if nine { v9(1, &sets) } else { ipfix(1, &sets) }, &mut out);
        check(&router, &out);
    }

    #[test]
    fn any_kept_state_is_taken_or_refused(key in prop::collection::vec(any::<u8>(), 0..30), value in prop::collection::vec(any::<u8>(), 0..100), which in any::<prop::sample::Index>(), edit in any::<prop::sample::Index>(), byte: u8) {
        let mut router = cramped();
        let mut out = Sink::default();
        for datagram in real() {
            router.from(1, &datagram, &mut out);
        }
        let _ = router.exporter.restore(&key, Some(&value), &router.options, &mut router.budget);
        let (key, value) = out.state.iter().nth(which.index(out.state.len())).expect("there is state");
        let (mut key, mut value) = (key.clone(), value.clone());
        let at = edit.index(key.len() + value.len());
        match at.checked_sub(key.len()) {
            None => key[at] = byte,
            Some(at) => value[at] = byte,
        }
        let _ = router.exporter.restore(&key, Some(&value), &router.options, &mut router.budget);
        for datagram in real() {
            router.from(2, &datagram, &mut Sink::default());
        }
    }

    #[test]
    fn templates_and_data_in_any_order_give_the_same_flows(order in Just((0..8_usize).collect::<Vec<_>>()).prop_shuffle()) {
        let record = |n: u32| bytes().raw([10, 0, 0, 1]).u32(n).0;
        let datagrams: Vec<_> = (0..4_u16).flat_map(|n| {
            let id = 256 + n;
            [v9(1, &[set(0, template(id, &[f(8, 4), f(1, 4)]))]), v9(1, &[set(id, record(u32::from(n)))])]
        }).collect();
        let mut router = Router::default();
        let mut out = Sink::default();
        for n in order {
            router.from(1, &datagrams[n], &mut out);
        }
        let mut octets: Vec<_> = out.flows.iter().map(|flow| flow.bytes).collect();
        octets.sort();
        prop_assert_eq!(octets, [Some(0), Some(1), Some(2), Some(3)]);
        prop_assert!(out.faults.is_empty());
    }
}

#[test]
fn the_worst_datagrams_of_64_kb_take_no_time_to_speak_of() {
    let templates: Vec<u8> = (256..8000).flat_map(|id| template(id, &[f(1, 4)])).collect();
    let fields = template(256, &vec![f(1, 1); 16_000]);
    let sets: Vec<u8> = (0..15_000_u16).flat_map(|n| set(256 + n, [])).collect();
    let ones = [set(2, template(256, &[f(4, 1)])), set(256, vec![6; 64_000])].concat();
    let flip = |n: u16| template(256, &[f(1, 4), f(7 + n % 2, 2 + n % 2 * 2)]);
    let flips: Vec<u8> = (0..5000).flat_map(flip).collect();
    let withdrawals: Vec<u8> = (0..16_000).flat_map(|_| [1, 0, 0, 0]).chain([0, 0, 0, 1]).collect();
    let zeros: Vec<u8> = vec![0; 64_000].into_iter().chain([1]).collect();
    let bodies = [
        set(2, templates),
        set(2, fields),
        sets,
        ones,
        set(2, flips),
        set(2, withdrawals),
        set(2, zeros.clone()),
        set(3, zeros),
    ];
    let sflow: Vec<Vec<u8>> = (0..1200).map(|_| flow_sample(3, 1, 3, 7, &[])).collect();
    let mut all: Vec<Vec<u8>> = bodies.map(|body| ipfix(1, &[body])).into();
    all.push(build::sflow(&sflow));
    let mut router = Router::default();
    let start = Instant::now();
    for (port, datagram) in (0..300_u16).zip(all.iter().cycle()) {
        router.from(port, datagram, &mut Sink::default());
    }
    // 300 of them are 20 MB, in which linear work takes well below a second; quadratic work would take minutes.
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
}

#[test]
fn templates_that_come_and_go_cost_no_look_at_all_that_waits_for_each() {
    let message = |uptime: u32, sets: &[Vec<u8>]| {
        let mut message = v9(1, sets);
        message[4..8].copy_from_slice(&uptime.to_be_bytes());
        message
    };
    let (mut router, mut out) = (Router::default(), Sink::default());
    let of_many_fields = set(0, template(256, &vec![f(1, 1); 1000]));
    for port in 1..=12 {
        router.at(RECEIVED, port, &message(10_000_000, std::slice::from_ref(&of_many_fields)), &mut out);
    }
    // It was restarted, so data waits for its templates to be sent again.
    router.at(RECEIVED + 1, 1, &message(5, &[]), &mut out);
    for _ in 0..10 {
        router.at(RECEIVED + 2, 999, &message(5, &vec![set(256, [7]); 400]), &mut out);
    }
    let waiting = router.exporter.parked().0;
    assert!(waiting > 3000, "{waiting}");
    let come_and_go = [template(256, &[f(2, 1)]), template(256, &[f(2, 0)])].concat();
    let start = Instant::now();
    for n in 0..20 {
        router.at(RECEIVED + 3 + n, 40, &message(5, &[set(0, come_and_go.repeat(4000))]), &mut out);
    }
    assert_eq!(router.exporter.parked().0, waiting, "all wait still");
    // Well below a second where they are looked at once a datagram, and more than a minute where it is once a template.
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
}

#[test]
fn neither_sets_nor_withdrawals_cost_a_look_at_all_templates() {
    let message = |port: u16, sets: &[Vec<u8>], router: &mut Router| {
        let mut out = Sink::default();
        router.from(port, &ipfix(1, sets), &mut out);
        out
    };
    // Sets without records of a port that borrows the template on which 64 others agree.
    let mut lent = Router::default();
    let wide = set(2, template(256, &vec![f(1, 8); 1000]));
    for port in 1..=64 {
        message(port, std::slice::from_ref(&wide), &mut lent);
    }
    // A stream in which one template comes and goes beside those of another domain, of another port, and of another kind.
    let mut stream = Router { exporter: weir_wire::Exporter::over_stream(), ..Router::default() };
    stream.options.templates = 100_000;
    let many: Vec<u8> = (256..8000).flat_map(|id| template(id, &[f(1, 4)])).collect();
    let options = |id| ipfix_options_template(id, &[f(149, 4)], &[f(34, 4)]);
    for domain in 2..8 {
        stream.from(1, &ipfix(domain, &[set(2, &many)]), &mut Sink::default());
    }
    message(2, &[set(2, &many)], &mut stream);
    message(1, &[set(3, (8000..12_000).flat_map(options).collect::<Vec<_>>())], &mut stream);
    let known = stream.exporter.known_templates();
    assert_eq!((lent.exporter.known_templates(), known), (64, 7 * 7744 + 4000));

    let (sets, flips) = (vec![set(256, []); 16_000], [template(256, &[f(1, 4)]), template(2, &[])].concat());
    let start = Instant::now();
    for _ in 0..600 {
        assert_eq!(message(65, &sets, &mut lent).faults.len(), 0);
    }
    for _ in 0..100 {
        message(1, &[set(2, flips.repeat(5000))], &mut stream);
    }
    assert_eq!(stream.exporter.known_templates(), known);
    // A few seconds, and a minute or more where each is a look at all of them.
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
}

#[test]
fn state_and_waiting_data_of_a_flood_stay_within_the_limits() {
    let mut router = Router { budget: Budget::new(200_000, 400_000), ..Router::default() };
    let mut out = Sink::default();
    for n in 0..400_u16 {
        let sets = [
            set(
                2,
                (0..60)
                    .flat_map(|id| template(256 + id + n * 60, &[f(1, 4), f(n % 400, 4)]))
                    .collect::<Vec<_>>(),
            ),
            set(60_000 + n, vec![7; 1200]),
        ];
        router.from(n, &ipfix(u32::from(n), &sets), &mut out);
    }
    assert!(router.budget.state <= 400_000 && router.budget.parked <= 200_000);
    check(&router, &out);
}
