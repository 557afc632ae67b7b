//! Templates: when they come late, from another port, again, changed, broken, or too many; and what waits for them.
#![allow(missing_docs, reason = "tests read as sentences")]

mod build;

use build::*;
use std::collections::BTreeSet;
use weir_schemas::{Ip, Protocol};
use weir_wire::{Budget, Reason};

const TWO: &[F] = &[f(8, 4), f(1, 4)];
const OTHER: &[F] = &[f(1, 4), f(8, 4)];

fn record(octets: u32) -> Vec<u8> {
    bytes().raw([10, 0, 0, 1]).u32(octets).0
}

fn octets(out: &Sink) -> Vec<u64> {
    out.flows.iter().map(|flow| flow.bytes.expect("the template has IE 1")).collect()
}

fn reasons(out: &Sink) -> Vec<Reason> {
    out.faults.iter().map(|fault| fault.reason).collect()
}

/// The same in both protocols.
fn both(run: impl Fn(u16, fn(u32, &[Vec<u8>]) -> Vec<u8>)) {
    run(0, v9);
    run(2, ipfix);
}

#[test]
fn a_template_that_arrives_late_decodes_what_waited_in_order_and_before_what_follows() {
    both(|id, message| {
        let mut router = Router::default();
        let mut out = Sink::default();
        router.at(RECEIVED, 1, &message(5, &[set(256, [record(1), record(2)].concat())]), &mut out);
        router.at(RECEIVED + 1, 1, &message(5, &[set(256, record(3))]), &mut out);
        assert_eq!((octets(&out), router.exporter.parked().0), (vec![], 2));
        let late = [set(id, template(256, TWO)), set(256, record(4))];
        let counts = router.at(RECEIVED + 2, 1, &message(5, &late), &mut out);
        assert_eq!(octets(&out), [1, 2, 3, 4]);
        assert_eq!((counts.released, router.exporter.parked()), (2, (0, 0)));
        assert_eq!(router.budget.parked, 0);
        let late: Vec<_> = out.flows.iter().map(|flow| flags(flow).contains(&"template_late")).collect();
        assert_eq!(late, [true, true, true, false]);
        assert!(out.state.keys().all(|key| key[0] != b'p'), "what waited is no longer kept");
    });
}

#[test]
fn what_waited_keeps_the_place_and_time_of_its_own_datagram() {
    let mut router = Router::default();
    let mut out = Sink::default();
    router.at(RECEIVED, 1, &ipfix(5, &[set(256, record(1))]), &mut out);
    router.at(RECEIVED + 9, 1, &ipfix(5, &[set(2, template(256, TWO))]), &mut out);
    let flow = &out.flows[0];
    assert_eq!((flow.raw_offset, flow.frame_index, flow.received.0), (0, 3, RECEIVED));
    assert_eq!((flow.spread_end.0, flow.observation_domain, flow.protocol), (RECEIVED, 5, Protocol::Ipfix));
}

#[test]
fn no_two_records_of_a_datagram_get_the_same_index_whenever_they_are_decoded() {
    let mut router = Router::default();
    let mut out = Sink::default();
    let narrow = [f(4, 1)];
    let sets = [
        set(2, template(256, TWO)),
        set(256, record(1)),
        set(257, [6; 12]),
        set(256, record(2)),
        set(258, record(3)),
        set(256, record(4)),
    ];
    router.from(1, &ipfix(5, &sets), &mut out);
    router.from(1, &ipfix(5, &[set(2, [template(258, TWO), template(257, &narrow)].concat())]), &mut out);
    assert_eq!(out.flows.len(), 3 + 12 + 1);
    let indexes: BTreeSet<_> =
        out.flows.iter().map(|f| (f.raw_offset, f.frame_index, f.record_index)).collect();
    assert_eq!(indexes.len(), out.flows.len());
}

#[test]
fn an_unknown_set_between_known_ones_loses_nothing_and_comes_out_from_another_port() {
    both(|id, message| {
        let mut router = Router::default();
        let mut out = Sink::default();
        router.from(1, &message(5, &[set(id, [template(256, TWO), template(258, TWO)].concat())]), &mut out);
        let mixed = [set(256, record(1)), set(257, record(2)), set(258, record(3))];
        let counts = router.from(1, &message(5, &mixed), &mut out);
        assert_eq!((octets(&out), counts.sets_parked), (vec![1, 3], 1));
        router.from(2, &message(5, &[set(id, template(257, TWO))]), &mut out);
        assert_eq!(octets(&out), [1, 3, 2]);
        assert_eq!(
            flags(&out.flows[2]),
            ["observation_assumed", "template_late", "template_borrowed", "q_bound"]
        );
        assert!(out.faults.is_empty());
    });
}

#[test]
fn another_ports_template_serves_only_while_all_ports_agree() {
    let mut router = Router::default();
    let mut out = Sink::default();
    router.from(1, &ipfix(5, &[set(2, template(256, TWO))]), &mut out);
    router.from(2, &ipfix(5, &[set(2, template(256, TWO))]), &mut out);
    router.from(9, &ipfix(5, &[set(256, record(1))]), &mut out);
    assert_eq!(octets(&out), [1]);
    assert!(flags(&out.flows[0]).contains(&"template_borrowed"));
    router.from(2, &ipfix(5, &[set(2, template(256, OTHER))]), &mut out);
    router.from(9, &ipfix(5, &[set(256, record(2))]), &mut out);
    assert_eq!((octets(&out), router.exporter.parked().0), (vec![1], 1), "it waits for its own");
    router.from(2, &ipfix(5, &[set(2, template(256, TWO))]), &mut out);
    assert_eq!(octets(&out), [1, 2], "they agree again");
}

/// Fuzzing found that it waited until a restart of the decoder.
#[test]
fn what_waited_because_ports_disagreed_comes_out_when_one_of_them_has_none_left() {
    let mut router = Router::default();
    let mut out = Sink::default();
    router.from(1, &ipfix(5, &[set(2, template(256, TWO))]), &mut out);
    router.from(2, &ipfix(5, &[set(2, template(256, OTHER))]), &mut out);
    router.from(9, &ipfix(5, &[set(256, record(2))]), &mut out);
    assert_eq!(router.exporter.parked().0, 1);
    // What breaks its format takes the one of before with it.
    router.from(2, &ipfix(5, &[set(2, template(256, &[f(8, 0)]))]), &mut out);
    assert_eq!((octets(&out), router.exporter.known_templates()), (vec![2], 1));
    assert!(flags(&out.flows[0]).contains(&"template_late"));
}

#[test]
fn two_ports_may_mean_different_things_by_one_id() {
    let mut router = Router::default();
    let mut out = Sink::default();
    router.from(1, &v9(5, &[set(0, template(256, TWO))]), &mut out);
    router.from(2, &v9(5, &[set(0, template(256, OTHER))]), &mut out);
    router.from(1, &v9(5, &[set(256, record(7))]), &mut out);
    router.from(2, &v9(5, &[set(256, bytes().u32(8).raw([10, 0, 0, 1]).0)]), &mut out);
    assert_eq!(octets(&out), [7, 8]);
    assert_eq!(out.flows[0].src_addr, out.flows[1].src_addr);
    assert_eq!(router.dump().len(), 2, "neither is compacted into the other");
}

#[test]
fn a_template_is_of_its_domain_and_protocol_only() {
    let mut router = Router::default();
    let mut out = Sink::default();
    router.from(1, &v9(5, &[set(0, template(256, TWO))]), &mut out);
    router.from(1, &v9(6, &[set(256, record(1))]), &mut out);
    router.from(1, &ipfix(5, &[set(256, record(1))]), &mut out);
    assert_eq!((out.flows.len(), router.exporter.parked().0), (0, 2));
}

#[test]
fn a_changed_template_holds_from_then_on_and_a_resent_one_costs_no_state() {
    let mut router = Router::default();
    let mut out = Sink::default();
    let define = |fields| set(2, template(256, fields));
    let data = set(256, bytes().u32(16).u32(32).0);
    let counts =
        router.from(1, &ipfix(5, &[define(TWO), data.clone(), define(OTHER), data.clone()]), &mut out);
    assert_eq!(octets(&out), [32, 16]);
    assert_eq!((counts.templates, counts.templates_compiled, out.state_writes), (2, 2, 2));
    let again = router.from(1, &ipfix(5, &[define(OTHER), define(OTHER), data]), &mut out);
    assert_eq!((again.templates, again.templates_compiled, out.state_writes), (2, 0, 2));
}

#[test]
fn withdrawals_over_udp_are_ignored_and_counted() {
    let mut router = Router::default();
    let mut out = Sink::default();
    router.from(1, &ipfix(5, &[set(2, template(256, TWO))]), &mut out);
    let withdrawals = [set(2, template(256, &[])), set(2, template(2, &[])), set(3, template(3, &[]))];
    let counts = router.from(1, &ipfix(5, &withdrawals), &mut out);
    router.from(1, &ipfix(5, &[set(256, record(1))]), &mut out);
    assert_eq!((counts.withdrawals_ignored, octets(&out), out.faults.len()), (3, vec![1], 0));
}

#[test]
fn withdrawals_in_a_stream_are_followed() {
    let mut router = Router { exporter: weir_wire::Exporter::over_stream(), ..Router::default() };
    let options = ipfix_options_template(400, &[f(149, 4)], &[f(34, 4)]);
    let sets = [set(2, [template(256, TWO), template(257, TWO)].concat()), set(3, options)];
    router.send(&ipfix(5, &sets));
    router.send(&ipfix(6, &sets));
    assert_eq!(router.exporter.known_templates(), 6);
    let out = router.send(&ipfix(5, &[set(2, template(256, &[])), set(256, record(1)), set(257, record(2))]));
    assert_eq!(
        (octets(&out), router.counts.sets_parked),
        (vec![2], 1),
        "what it described waits for another"
    );
    router.send(&ipfix(5, &[set(2, template(2, &[]))]));
    assert_eq!(router.exporter.known_templates(), 4, "options templates and other domains stay");
    router.send(&ipfix(5, &[set(3, template(3, &[])), set(3, template(999, &[]))]));
    assert_eq!((router.exporter.known_templates(), router.counts.withdrawals), (3, 4));
    assert_eq!(router.dump().len(), 3 + 1, "state says the same: three templates, and what waits");
}

/// A v9 datagram of an uptime, in ms.
fn up(uptime: u32, sets: &[Vec<u8>]) -> Vec<u8> {
    let mut datagram = v9(5, sets);
    datagram[4..8].copy_from_slice(&uptime.to_be_bytes());
    datagram
}

const SECOND: i64 = 1_000_000_000;

#[test]
fn after_an_exporters_restart_data_waits_until_its_template_is_sent_again() {
    let mut router = Router::default();
    let mut out = Sink::default();
    let known = set(0, template(256, TWO));
    router.at(RECEIVED, 1, &up(1_000_000, &[known.clone(), set(256, record(1))]), &mut out);
    let counts = router.at(RECEIVED + SECOND, 1, &up(5000, &[set(256, record(2))]), &mut out);
    assert_eq!((octets(&out), counts.sets_parked, counts.sets_decoded), (vec![1], 1, 0));
    let same = router.at(RECEIVED + 2 * SECOND, 1, &up(6000, &[known, set(256, record(3))]), &mut out);
    assert_eq!((octets(&out), same.released, out.faults.len()), (vec![1, 2, 3], 1, 0));
    let late: Vec<_> = out.flows.iter().map(|flow| flags(flow).contains(&"template_late")).collect();
    assert_eq!(late, [false, true, false]);

    // One that has changed is not taken for the old one.
    let turned = bytes().u32(4).raw([10, 0, 0, 1]).0;
    router.at(RECEIVED + 99 * SECOND, 1, &up(5000, &[set(256, turned)]), &mut out);
    router.at(RECEIVED + 100 * SECOND, 1, &up(6000, &[set(0, template(256, OTHER))]), &mut out);
    assert_eq!((octets(&out), out.flows[3].src_addr), (vec![1, 2, 3, 4], Ip::v4([10, 0, 0, 1])));
}

/// As `weir deadletter retry` does it, and a spool that was full of what others have long passed.
#[test]
fn what_comes_again_from_before_a_restart_is_none() {
    let mut router = Router::default();
    let mut out = Sink::default();
    let (known, restarted) = (set(0, template(256, TWO)), RECEIVED + 3600 * SECOND);
    router.at(RECEIVED, 1, &up(1_000_000, std::slice::from_ref(&known)), &mut out);
    router.at(restarted, 1, &up(5000, &[known, set(256, record(1))]), &mut out);
    router.at(RECEIVED + SECOND, 1, &up(1_001_000, &[set(256, record(2))]), &mut out);
    router.at(restarted + SECOND, 1, &up(6000, &[set(256, record(3))]), &mut out);
    assert_eq!((octets(&out), router.exporter.parked().0), (vec![1, 2, 3], 0));
    assert!(out.flows.iter().all(|flow| !flags(flow).contains(&"template_suspect")));
}

#[test]
fn a_template_that_is_not_sent_again_in_time_or_room_is_believed_and_its_records_are_flagged() {
    let mut router = Router::default();
    let mut out = Sink::default();
    router.at(RECEIVED, 1, &up(1_000_000, &[set(0, template(256, TWO))]), &mut out);
    router.at(RECEIVED + SECOND, 1, &up(5000, &[set(256, record(2))]), &mut out);
    assert_eq!(octets(&out), Vec::<u64>::new());
    let restored = router.restarted(&router.dump());
    router.at(RECEIVED + 62 * SECOND, 1, &up(66_000, &[set(256, record(3))]), &mut out);
    assert_eq!((octets(&out), out.faults.len()), (vec![2, 3], 0));
    assert!(out.flows.iter().all(|flow| flags(flow).contains(&"template_suspect")));
    // A decoder that took over knows of no restart, and lets nothing wait for longer either.
    let (mut restored, mut out) = (restored, Sink::default());
    restored.at(RECEIVED + 62 * SECOND, 1, &up(66_000, &[set(256, record(3))]), &mut out);
    assert_eq!((octets(&out), out.faults.len()), (vec![2, 3], 0));

    let mut full = Router::default();
    full.options.parked_bytes = 0;
    let mut out = Sink::default();
    full.at(RECEIVED, 1, &up(1_000_000, &[set(0, template(256, TWO))]), &mut out);
    full.at(RECEIVED + SECOND, 1, &up(5000, &[set(256, record(2))]), &mut out);
    assert_eq!((octets(&out), out.faults.len()), (vec![2], 0), "where nothing more may wait");
    assert!(flags(&out.flows[0]).contains(&"template_suspect"));
}

#[test]
fn sessions_that_restart_one_after_another_wait_each_for_its_own_time() {
    let mut router = Router::default();
    let mut out = Sink::default();
    let from = |domain: u32, uptime: u32, sets: &[Vec<u8>]| {
        let mut datagram = up(uptime, sets);
        datagram[16..20].copy_from_slice(&domain.to_be_bytes());
        datagram
    };
    for domain in [1, 2] {
        router.at(RECEIVED, 1, &from(domain, 1_000_000, &[set(0, template(256, TWO))]), &mut out);
    }
    router.at(RECEIVED, 1, &from(1, 0, &[set(256, record(10))]), &mut out);
    router.at(RECEIVED + 30 * SECOND, 1, &from(2, 0, &[set(256, record(20))]), &mut out);
    router.at(RECEIVED + 60 * SECOND, 1, &from(2, 30_000, &[set(256, record(21))]), &mut out);
    assert_eq!(octets(&out), [10], "the second session's time is not over");
    router.at(RECEIVED + 89 * SECOND, 1, &from(2, 59_000, &[set(256, record(22))]), &mut out);
    assert_eq!(octets(&out), [10]);
    router.at(RECEIVED + 90 * SECOND, 1, &from(1, 90_000, &[]), &mut out);
    assert_eq!((octets(&out), router.exporter.parked().0), (vec![10, 20, 21, 22], 0));
}

#[test]
fn suspects_leave_room_for_data_that_has_no_template() {
    let mut router = Router::default();
    router.options.parked_bytes = 2000;
    let mut out = Sink::default();
    router.at(RECEIVED, 1, &up(1_000_000, &[set(0, template(256, TWO))]), &mut out);
    for n in 0..20 {
        router.at(RECEIVED + SECOND, 1, &up(5000 + n, &[set(256, record(n))]), &mut out);
    }
    assert!((1..20).contains(&octets(&out).len()), "some wait, and the others are decoded at once");
    router.at(RECEIVED + SECOND, 1, &up(6000, &[set(300, record(7))]), &mut out);
    assert_eq!((router.counts.sets_dead, out.faults.len()), (0, 0));
}

#[test]
fn what_waits_for_a_suspect_template_when_input_ends_is_decoded() {
    let mut router = Router::default();
    let mut out = Sink::default();
    router.at(RECEIVED, 1, &up(1_000_000, &[set(0, template(256, TWO))]), &mut out);
    router.at(RECEIVED + SECOND, 1, &up(5000, &[set(256, record(2))]), &mut out);
    let context = router.context();
    router.exporter.finish(&context, &router.options, &mut router.budget, &mut out);
    assert_eq!((octets(&out), out.faults.len(), router.exporter.parked().0), (vec![2], 0, 0));
}

#[test]
fn an_ipfix_session_that_numbers_anew_makes_its_templates_suspect() {
    let mut router = Router::default();
    let message = |number: u32, sets: &[Vec<u8>]| {
        let mut message = ipfix(5, sets);
        message[8..12].copy_from_slice(&number.to_be_bytes());
        message
    };
    router.send(&message(1_000_000, &[set(2, template(256, TWO)), set(256, record(1))]));
    for (at, number) in [(1, 1_000_001), (2, 5), (3, 6)] {
        let mut out = Sink::default();
        router.at(RECEIVED + at * SECOND, 1000, &message(number, &[set(256, record(2))]), &mut out);
        assert_eq!(octets(&out), [2], "two that follow each other are a restart, not one");
    }
    let mut out = Sink::default();
    router.at(RECEIVED + 4 * SECOND, 1000, &message(7, &[set(256, record(3))]), &mut out);
    assert_eq!((octets(&out), router.exporter.parked().0), (vec![], 1));
    router.at(RECEIVED + 5 * SECOND, 1000, &message(8, &[set(2, template(256, TWO))]), &mut out);
    assert_eq!(octets(&out), [3]);
}

#[test]
fn templates_of_the_message_that_begins_a_session_anew_are_of_it() {
    let mut router = Router::default();
    let message = |number: u32, sets: &[Vec<u8>]| {
        let mut message = ipfix(5, sets);
        message[8..12].copy_from_slice(&number.to_be_bytes());
        message
    };
    let known = set(2, template(256, TWO));
    router.send(&message(1_000_000, &[known.clone(), set(256, record(1))]));
    let mut out = Sink::default();
    for (at, number, sets) in [
        (1, 0, vec![known, set(256, record(2))]),
        (2, 1, vec![set(256, record(3))]),
        (3, 2, vec![set(256, record(4))]),
    ] {
        router.at(RECEIVED + at * SECOND, 1000, &message(number, &sets), &mut out);
    }
    assert_eq!((octets(&out), router.exporter.parked().0), (vec![2, 3, 4], 0));
}

#[test]
fn what_waited_since_before_a_restart_is_given_up_where_its_template_came_after() {
    let old = || set(256, record(7));
    let of = |fields: &[F]| set(0, template(256, fields));
    let (up_long, anew) = (36_000_000, 50_000);
    // Seconds, port, uptime and sets of each datagram, and what comes of it.
    type Case<'c> = (&'c str, Vec<(i64, u16, u32, Vec<Vec<u8>>)>, &'c [u64], &'c [Reason]);
    let given_up = [Reason::ParkedRestart];
    let cases: [Case<'_>; 7] = [
        (
            "its session began anew between",
            vec![(0, 1, up_long, vec![old()]), (300, 1, anew, vec![of(OTHER)])],
            &[],
            &given_up,
        ),
        (
            "which was known before its template came",
            vec![
                (0, 1, up_long, vec![old()]),
                (300, 1, anew, vec![]),
                (310, 1, anew + 10_000, vec![of(TWO)]),
            ],
            &[],
            &given_up,
        ),
        (
            "the template came from another port of the exporter",
            vec![(0, 1, up_long, vec![old()]), (300, 1, anew, vec![]), (310, 2, anew, vec![of(TWO)])],
            &[],
            &given_up,
        ),
        (
            "it was not restarted",
            vec![(0, 1, up_long, vec![old()]), (300, 1, up_long + 300_000, vec![of(TWO)])],
            &[7],
            &[],
        ),
        (
            "another session was",
            vec![
                (0, 2, up_long, vec![]),
                (0, 1, up_long, vec![old()]),
                (300, 2, anew, vec![]),
                (300, 1, up_long + 300_000, vec![of(TWO)]),
            ],
            &[7],
            &[],
        ),
        (
            "it came in the datagram that showed the restart",
            vec![
                (0, 1, up_long, vec![]),
                (300, 1, anew, vec![old()]),
                (310, 1, anew + 10_000, vec![of(TWO)]),
            ],
            &[7],
            &[],
        ),
        (
            "it waited for a template that is the same since before",
            vec![
                (0, 1, up_long, vec![of(TWO)]),
                (300, 1, anew, vec![old()]),
                (340, 1, 0, vec![]),
                (350, 1, 10_000, vec![of(TWO)]),
            ],
            &[7],
            &[],
        ),
    ];
    for (what, sent, flows, faults) in cases {
        let (mut router, mut out) = (Router::default(), Sink::default());
        for (at, port, uptime, sets) in sent {
            router.at(RECEIVED + at * SECOND, port, &up(uptime, &sets), &mut out);
        }
        assert_eq!((&octets(&out)[..], &reasons(&out)[..]), (flows, faults), "{what}");
        let counts = &router.counts;
        assert_eq!((counts.released, counts.expired), (flows.len() as u64, faults.len() as u64), "{what}");
        assert_eq!((router.exporter.parked().0, router.budget.parked), (0, 0), "{what}");
        assert_eq!(out.state, router.dump(), "{what}");
        assert!(out.faults.iter().all(|fault| fault.bytes == old() && fault.offset == 20), "{what}");
    }
    let (mut router, mut out) = (Router::default(), Sink::default());
    router.options.template_suspect_s = 0;
    router.at(RECEIVED, 1, &up(up_long, &[old()]), &mut out);
    router.at(RECEIVED + 300 * SECOND, 1, &up(anew, &[of(TWO)]), &mut out);
    assert_eq!(octets(&out), [7], "where restarts are not looked at");
}

#[test]
fn templates_in_use_are_not_idle_to_a_decoder_that_took_over() {
    let mut router = Router::default();
    router.options.templates = 1;
    let mut out = Sink::default();
    let define = |id| ipfix(5, &[set(2, template(id, TWO))]);
    for minute in 0..=200 {
        router.at(RECEIVED + minute * 60 * SECOND, 1, &define(256), &mut out);
    }
    let mut restored = router.restarted(&out.state);
    for router in [&mut router, &mut restored] {
        let mut out = Sink::default();
        router.at(RECEIVED + 201 * 60 * SECOND, 1, &define(257), &mut out);
        assert_eq!((reasons(&out), out.state_writes), (vec![Reason::TemplateLimit], 0));
        // Who is never heard again is idle in the end.
        router.at(RECEIVED + 322 * 60 * SECOND, 1, &define(257), &mut out);
        assert_eq!((out.faults.len(), router.dump().len()), (1, 1));
    }
}

#[test]
fn all_templates_that_are_kept_are_taken_back_whatever_the_limits_are_by_now() {
    let mut router = Router::default();
    let mut out = Sink::default();
    for id in 256..260 {
        let hours = i64::from(id - 256) * 3 * 3600 * SECOND;
        router.at(RECEIVED + hours, 1, &ipfix(5, &[set(2, template(id, TWO))]), &mut out);
    }
    router.options.templates = 2;
    let mut restored = router.restarted(&out.state);
    assert_eq!(restored.dump(), out.state);
    router.at(RECEIVED + 24 * 3600 * SECOND, 1, &ipfix(5, &[set(2, template(300, TWO))]), &mut out);
    assert_eq!((out.state.len(), out.faults.len()), (4, 0), "one makes room for another");
    assert_eq!(restored.restarted(&out.state).dump(), router.dump());
    restored.at(RECEIVED + 10 * 3600 * SECOND, 1, &ipfix(5, &[set(256, record(1))]), &mut out);
    assert_eq!(octets(&out), [1]);
}

#[test]
fn what_makes_room_for_a_template_is_taken_out_of_state_before_that_comes_in() {
    let mut router = Router::default();
    router.options.templates = 1;
    let mut out = Sink::default();
    let define = |id| ipfix(5, &[set(2, template(id, TWO))]);
    router.at(RECEIVED, 1, &define(256), &mut out);
    let budget = router.budget.state;
    router.at(RECEIVED + 3 * 3600 * SECOND, 1, &define(257), &mut out);
    let written: Vec<_> = out.written.iter().map(|(key, value)| (key[9], value.is_some())).collect();
    assert_eq!(written, [(0, true), (0, false), (1, true)]);
    // So there is room for all that is read on the way.
    let mut restored = Router { budget: Budget::new(usize::MAX, budget), ..Router::default() };
    for (key, value) in &out.written {
        let value = value.as_deref();
        restored.exporter.restore(key, value, &router.options, &mut restored.budget).unwrap();
    }
    assert_eq!(restored.dump(), router.dump());
}

#[test]
fn everything_survives_a_restart() {
    let mut router = Router::default();
    let mut out = Sink::default();
    let sets = [
        set(0, [template(256, &[TWO, &[f(48, 1)]].concat()), template(258, FIELDS_22)].concat()),
        set(1, v9_options_template(300, &[f(1, 4)], &[f(48, 1), f(50, 4)])),
        set(1, v9_options_template(301, &[f(2, 4)], &[f(82, 8), f(83, 8)])),
        set(300, bytes().u32(0).u8(1).u32(100).u32(0).u8(2).u32(200).0),
        set(301, bytes().u32(3).raw(b"et-0/0/0").raw(b"IX DE-CI").0),
        set(257, record(1)),
    ];
    router.from(1, &v9(5, &sets), &mut out);
    router.from(2, &v9(5, &[set(0, template(256, OTHER))]), &mut out);
    let init = ipfix_options_template(302, &[f(149, 4)], &[f(160, 8)]);
    let chain = ipfix_options_template(303, &[f(301, 4)], &[f(302, 4), f(302, 4)]);
    router.from(
        1,
        &ipfix(
            5,
            &[
                set(3, [init, chain].concat()),
                set(302, bytes().u32(5).u64(1_699_000_000_000).0),
                set(303, bytes().u32(4).u32(1).u32(2).0),
            ],
        ),
        &mut out,
    );
    assert_eq!(out.interfaces, [(3, "et-0/0/0".to_owned(), "IX DE-CI".to_owned())]);

    // What was put out, what is dumped, and what is dumped after a restart are the same.
    assert_eq!(out.state, router.dump());
    let mut again = router.restarted(&out.state);
    assert_eq!(again.dump(), router.dump());
    assert_eq!(again.exporter.parked(), router.exporter.parked());
    assert_eq!(again.exporter.high_water(), RECEIVED);
    assert_eq!(again.budget, router.budget);

    // Both go on in the same way: known templates, rates by sampler, and what waited.
    let next = v9(5, &[set(256, bytes().raw(record(9)).u8(2).0), set(0, template(257, TWO))]);
    let (mut a, mut b) = (Sink::default(), Sink::default());
    assert_eq!(router.from(1, &next, &mut a), again.from(1, &next, &mut b));
    assert_eq!(a.flows, b.flows);
    assert_eq!((octets(&b), b.flows[0].sampling_interval, b.flows[1].raw_offset), (vec![9, 1], 200_000, 0));
    assert_eq!((b.interfaces.len(), b.rates.len()), (0, 0));
}

#[test]
fn a_tombstone_takes_state_back() {
    let mut router = Router::default();
    let mut out = Sink::default();
    let interfaces = v9_options_template(301, &[f(2, 4)], &[f(82, 8), f(34, 4)]);
    router.from(
        1,
        &v9(
            5,
            &[
                set(0, template(256, TWO)),
                set(1, interfaces),
                set(301, bytes().u32(3).raw(b"et-0/0/0").u32(10).0),
                set(999, record(1)),
            ],
        ),
        &mut out,
    );
    assert_eq!(router.dump().len(), 5);
    assert!(!router.exporter.is_empty());
    for key in out.state.keys() {
        router.exporter.restore(key, None, &router.options, &mut router.budget).unwrap();
    }
    assert_eq!(router.dump().len(), 0);
    assert!(router.exporter.is_empty());
    assert_eq!((router.budget.state, router.budget.parked), (0, 0));
}

#[test]
fn state_that_is_not_ours_is_refused_with_its_reason() {
    let mut router = Router::default();
    let mut out = Sink::default();
    router.from(1, &v9(5, &[set(0, template(256, TWO)), set(999, record(1))]), &mut out);
    let mut restore = |key: &[u8], value: &[u8]| {
        let mut budget = Budget::default();
        router.exporter.restore(key, Some(value), &router.options, &mut budget).map_err(|e| e.to_string())
    };
    assert_eq!(restore(b"zebra", b""), Err("state key of kind Some(122) and 5 bytes is not known".into()));
    for (key, value) in &out.state {
        let newer = [&[9], &value[1..]].concat();
        assert_eq!(restore(key, &newer), Err("state value has version Some(9), this build reads 1".into()));
        assert!(restore(key, &value[..9]).is_err());
        assert!(restore(&key[..key.len() - 1], value).is_err());
    }
}

#[test]
fn broken_templates_are_faults_and_their_neighbours_live() {
    let good = [set(2, template(256, TWO)), set(256, record(1))];
    for (broken, reason) in [
        (set(2, template(255, TWO)), Reason::BadTemplate),
        (set(2, template(300, &[f(1, 0), f(2, 0)])), Reason::BadTemplate),
        (set(2, bytes().u16(300).u16(9).u16(1).u16(4).0), Reason::BadTemplate),
        (set(3, bytes().u16(300).u16(1).u16(2).u16(1).u16(4).0), Reason::BadTemplate),
        (set(2, template(300, &vec![f(1, 4); 1025])), Reason::TemplateLimit),
        (set(2, template(300, &[f(1, 4), f(210, 16_384)])), Reason::TemplateLimit),
        (set(1, record(1)), Reason::ReservedSet),
        (set(77, record(1)), Reason::ReservedSet),
        (set(256, [1, 2, 3]), Reason::BadRecord),
    ] {
        let out =
            decode(&ipfix(5, &[&good[..], std::slice::from_ref(&broken), &[set(256, record(2))]].concat()));
        assert_eq!((octets(&out), reasons(&out)), (vec![1, 2], vec![reason]), "{:?}", out.faults);
        assert!(!out.faults[0].bytes.is_empty() && out.faults[0].offset > 16);
    }
}

#[test]
fn a_set_whose_length_is_impossible_ends_the_datagram_there_and_says_where() {
    let good = [set(2, template(256, TWO)), set(256, record(1))];
    for length in [0_u16, 3, 200] {
        let broken = bytes().u16(256).u16(length).raw([9; 8]).0;
        let out = decode(&ipfix(5, &[&good[..], std::slice::from_ref(&broken)].concat()));
        assert_eq!((octets(&out), reasons(&out)), (vec![1], vec![Reason::BadSetLength]));
        assert_eq!((out.faults[0].offset, &out.faults[0].bytes), (44, &broken));
    }
}

#[test]
fn the_least_heard_of_idle_templates_makes_room_and_those_in_use_do_not() {
    let hour = 3_600_000_000_000;
    let mut router = Router::default();
    router.options.templates = 3;
    let mut out = Sink::default();
    let define = |id| ipfix(5, &[set(2, template(id, TWO))]);
    for id in 256..259 {
        router.at(RECEIVED, 1, &define(id), &mut out);
    }
    router.at(RECEIVED + 1, 1, &define(300), &mut out);
    assert_eq!(reasons(&out), [Reason::TemplateLimit]);
    router.at(RECEIVED + hour, 1, &define(256), &mut out);
    router.at(RECEIVED + 3 * hour, 1, &define(300), &mut out);
    assert_eq!(out.faults.len(), 1, "257 was idle for long enough");
    let ids: Vec<_> = router.dump().into_keys().map(|key| u16::from_be_bytes([key[8], key[9]])).collect();
    assert_eq!(ids.len(), 3);
    assert!(ids.contains(&256) && ids.contains(&300));
    assert_eq!(out.state, router.dump());
}

#[test]
fn an_exporter_that_takes_a_new_port_at_every_restart_does_not_fill_up() {
    let mut router = Router::default();
    router.options.templates = 100;
    let mut out = Sink::default();
    for port in 1..=1000 {
        let data = ipfix(5, &[set(2, template(256, TWO)), set(256, record(1))]);
        router.at(RECEIVED + i64::from(port), port, &data, &mut out);
    }
    assert_eq!((out.flows.len(), out.faults.len()), (1000, 0));
    assert!(router.dump().len() <= 64);
    assert_eq!(out.state, router.dump());
}

#[test]
fn what_waits_is_bounded_by_bytes_of_the_exporter_and_the_rest_is_a_fault() {
    let mut router = Router::default();
    router.options.parked_bytes = 2000;
    let mut out = Sink::default();
    for n in 0..20 {
        router.from(1, &ipfix(5, &[set(256, record(n))]), &mut out);
    }
    let (waiting, bytes) = router.exporter.parked();
    assert!(waiting > 5 && bytes <= 2000, "{waiting} sets, {bytes} bytes");
    assert_eq!(out.faults.len(), 20 - waiting);
    assert!(reasons(&out).iter().all(|reason| *reason == Reason::ParkedLimit));
    assert_eq!(router.counts.sets, router.counts.sets_parked + router.counts.sets_dead);
    router.from(1, &ipfix(5, &[set(2, template(256, TWO))]), &mut out);
    assert_eq!(octets(&out), (0..waiting as u64).collect::<Vec<_>>(), "first come, first kept");
}

#[test]
fn what_waits_is_bounded_by_the_budget_of_the_partition() {
    let mut router = Router { budget: Budget::new(400, usize::MAX), ..Router::default() };
    let mut other = Router::default();
    let mut out = Sink::default();
    router.from(1, &ipfix(5, &[set(256, record(1))]), &mut out);
    router.from(1, &ipfix(5, &[set(256, record(2))]), &mut out);
    std::mem::swap(&mut router.budget, &mut other.budget);
    other.from(1, &ipfix(5, &[set(256, record(3))]), &mut out);
    assert_eq!(reasons(&out), [Reason::ParkedLimit]);
    other.from(1, &ipfix(5, &[set(2, template(256, TWO))]), &mut out);
    assert_eq!(other.budget.parked, router.exporter.parked().1, "what the first one holds");
}

#[test]
fn a_budget_that_is_used_up_refuses_templates_with_a_fault() {
    let mut router = Router { budget: Budget::new(usize::MAX, 1500), ..Router::default() };
    let mut out = Sink::default();
    for id in 256..300 {
        router.from(1, &ipfix(5, &[set(2, template(id, TWO))]), &mut out);
    }
    assert!(router.budget.state <= 1500);
    assert!(!out.state.is_empty() && out.faults.iter().all(|f| f.reason == Reason::StateLimit));
    assert_eq!(out.state, router.dump());
    assert_eq!(out.state.len() + out.faults.len(), 44);
}

#[test]
fn what_waits_too_long_by_the_exporters_own_clock_is_a_fault_with_its_bytes() {
    let mut router = Router::default();
    let mut out = Sink::default();
    let age = i64::from(router.options.parked_age_s) * 1_000_000_000;
    router.at(RECEIVED, 7, &v9(5, &[set(256, record(1))]), &mut out);
    router.at(RECEIVED + age, 7, &v9(5, &[set(257, record(2))]), &mut out);
    assert_eq!((out.faults.len(), router.exporter.parked().0), (0, 2));
    let counts = router.at(RECEIVED + age + 1, 7, &v9(5, &[]), &mut out);
    assert_eq!((counts.expired, reasons(&out)), (1, vec![Reason::ParkedExpired]));
    let fault = &out.faults[0];
    assert_eq!((fault.context.raw_offset, fault.offset, &fault.bytes), (0, 20, &set(256, record(1))));
    assert_eq!(out.state, router.dump());
    router.at(RECEIVED + age + 2, 7, &v9(5, &[set(0, template(256, TWO))]), &mut out);
    assert_eq!(octets(&out), Vec::<u64>::new(), "a later template does not decode it once more");

    let context = router.context();
    let counts = router.exporter.finish(&context, &router.options, &mut router.budget, &mut out);
    assert_eq!((counts.expired, reasons(&out).last()), (1, Some(&Reason::ParkedAtEnd)));
    assert_eq!((router.exporter.parked(), router.budget.parked), ((0, 0), 0));
}

#[test]
fn padding_between_and_behind_records_is_stepped_over() {
    let padded = set(256, [record(1), vec![0; 3]].concat());
    let out = decode(&ipfix(5, &[set(2, [template(256, TWO), vec![0; 4]].concat()), padded]));
    assert_eq!((octets(&out), out.faults.len()), (vec![1], 0));
    let out = decode(&[v9(5, &[set(0, template(256, TWO)), set(256, record(1))]), vec![0; 3]].concat());
    assert_eq!((octets(&out), out.faults.len()), (vec![1], 0));
    let out = decode(&[v9(5, &[set(0, template(256, TWO)), set(256, record(1))]), vec![0; 8]].concat());
    assert_eq!((octets(&out), out.faults.len()), (vec![1], 0));
}

#[test]
fn variable_length_records_of_both_forms_are_decoded_and_one_that_runs_over_is_a_fault() {
    let fields = [f(1, 4), f(82, VARIABLE), f(8, 4)];
    let name = |bytes: Bytes, long: bool, text: &[u8]| {
        let head = if long { bytes.u8(255).u16(text.len() as u16) } else { bytes.u8(text.len() as u8) };
        head.raw(text)
    };
    let record = |n: u32, long| name(bytes().u32(n), long, b"some-name").raw([10, 0, 0, 1]).0;
    let bad = bytes().u32(3).u8(200).raw([0; 20]).0;
    let sets = [set(2, template(256, &fields)), set(256, [record(1, false), record(2, true), bad].concat())];
    let out = decode(&ipfix(5, &[&sets[..], &[set(256, record(4, false))]].concat()));
    assert_eq!((octets(&out), reasons(&out)), (vec![1, 2, 4], vec![Reason::BadRecord]));
    assert!(out.flows.iter().all(|flow| flow.src_addr == out.flows[0].src_addr));
}

#[test]
fn enterprise_elements_are_stepped_over() {
    let fields = [f(8, 4), F(1, 8, 29_304), F(12_345, VARIABLE, 6871), f(1, 4)];
    let record = bytes().raw([10, 0, 0, 1]).u64(99).u8(3).raw(b"abc").u32(7).0;
    let out = decode(&ipfix(5, &[set(2, template(256, &fields)), set(256, record)]));
    assert_eq!((octets(&out), out.faults.len()), (vec![7], 0));
}
