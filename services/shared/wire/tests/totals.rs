//! Counters that run on (IE 85, 86 and their like): docs/counting.md, "Bytes".
#![allow(missing_docs, reason = "tests read as sentences")]

mod build;

use build::*;
use weir_wire::{Own, Reason, TotalCounters};

const SECOND: i64 = 1_000_000_000;
/// A flow's addresses, ports, interfaces, start and end, and totals.
const FIELDS: &[F] =
    &[f(8, 4), f(12, 4), f(7, 2), f(10, 4), f(14, 4), f(152, 8), f(153, 8), f(85, 8), f(86, 8), f(199, 8)];

fn cumulative() -> Router {
    let mut router = Router::default();
    router.options.total_counters = TotalCounters::Cumulative;
    router.send(&ipfix(1, &[set(2, template(256, FIELDS))]));
    router
}

/// Milliseconds at so many seconds after the first export.
fn at(seconds: i64) -> u64 {
    u64::try_from((i64::from(EXPORTED) + seconds) * 1000).expect("it is after 1970")
}

/// A record of a flow from a port, which began and ended so many seconds after the first export.
fn record(port: u16, (start, end): (i64, i64), bytes_: u64, packets: u64) -> Vec<u8> {
    let head = bytes().raw([10, 0, 0, 1, 10, 0, 0, 2]).u16(port).u32(3).u32(7).u64(at(start)).u64(at(end));
    head.u64(bytes_).u64(packets).u64(bytes_ * bytes_ / packets.max(1)).0
}

/// Sends records so many seconds after the first export.
fn send(router: &mut Router, seconds: i64, records: &[Vec<u8>]) -> Sink {
    let mut message = ipfix(1, &[set(256, records.concat())]);
    let exported = u32::try_from(i64::from(EXPORTED) + seconds).expect("it is before 2106");
    message[4..8].copy_from_slice(&exported.to_be_bytes());
    let mut out = Sink::default();
    router.at(RECEIVED + seconds * SECOND, 1000, &message, &mut out);
    out
}

fn counted(out: &Sink) -> Vec<(u64, u64)> {
    out.flows.iter().map(|flow| (flow.bytes.expect("the template has totals"), flow.packets)).collect()
}

#[test]
fn totals_count_as_deltas_unless_the_exporter_is_configured_as_cumulative() {
    let mut router = Router::default();
    router.send(&ipfix(1, &[set(2, template(256, FIELDS))]));
    let records = |n: u64| [record(1, (-60, 0), n * 1000, n)];
    assert_eq!(counted(&send(&mut router, 0, &records(4))), [(4000, 4)]);
    assert_eq!(counted(&send(&mut router, 60, &records(6))), [(6000, 6)]);
    assert_eq!(router.dump().len(), 1, "nothing is kept for it");
    router.exporter.configure(Own { total_counters: Some(TotalCounters::Cumulative), ..Own::default() });
    assert_eq!(counted(&send(&mut router, 120, &records(6))), [(6000, 6)], "its first record counts whole");
    assert_eq!(counted(&send(&mut router, 180, &records(9))), [(3000, 3)]);
    router.options.total_counters = TotalCounters::Cumulative;
    router.exporter.configure(Own { total_counters: Some(TotalCounters::Deltas), ..Own::default() });
    assert_eq!(counted(&send(&mut router, 240, &records(10))), [(10_000, 10)]);
}

#[test]
fn of_a_flow_that_runs_on_each_record_is_worth_what_it_adds_since_the_one_before() {
    let mut router = cumulative();
    let first = send(&mut router, 0, &[record(1, (-60, 0), 4000, 4), record(2, (-60, 0), 500, 5)]);
    assert_eq!(counted(&first), [(4000, 4), (500, 5)]);
    let next = send(&mut router, 60, &[record(1, (-60, 55), 10_000, 8), record(2, (-60, 58), 500, 5)]);
    assert_eq!(counted(&next), [(6000, 4), (0, 0)], "each flow by itself");
    let flow = &next.flows[0];
    assert_eq!(
        (flow.spread_start.0, flow.spread_end.0),
        (RECEIVED, RECEIVED + 55 * SECOND),
        "from the end of the record before"
    );
    assert_eq!(flow.flow_start.0, RECEIVED - 60 * SECOND, "what was exported is kept");
    assert_eq!(flow.q, Some(12_500_000 - 4_000_000), "squares run on as well");
    // One that began days ago is as plausible as its last part is.
    let mut router = cumulative();
    let days = -3 * 86_400;
    assert!(
        flags(&send(&mut router, 0, &[record(1, (days, 0), 9, 9)]).flows[0]).contains(&"time_implausible")
    );
    let next = send(&mut router, 60, &[record(1, (days, 60), 10, 10)]);
    assert_eq!((counted(&next), flags(&next.flows[0]).contains(&"time_implausible")), (vec![(1, 1)], false));
}

#[test]
fn what_comes_late_adds_nothing_and_what_begins_anew_counts_whole() {
    let mut router = cumulative();
    let flow = |n: u64| [record(1, (-60, 0), n * 100, n)];
    for (seconds, n, wanted) in
        [(0, 4, 4), (60, 9, 5), (30, 6, 0), (60, 9, 0), (61, 10, 1), (120, 3, 3), (180, 5, 2)]
    {
        assert_eq!(
            counted(&send(&mut router, seconds, &flow(n))),
            [(wanted * 100, wanted)],
            "{n} at {seconds}"
        );
    }
    let other = send(&mut router, 181, &[record(1, (170, 180), 700, 7)]);
    assert_eq!(counted(&other), [(700, 7)], "another flow of the same addresses began later");
}

#[test]
fn flows_are_told_apart_by_session_and_by_what_an_aggregate_is_of() {
    let fields = [f(16, 4), f(17, 4), f(14, 4), f(85, 8), f(86, 8)];
    let record =
        |asn: u32, interface: u32, n: u64| bytes().u32(asn).u32(64_500).u32(interface).u64(n * 10).u64(n).0;
    let mut router = cumulative();
    let mut out = Sink::default();
    let mut of = |port, domain, record: Vec<u8>| {
        out.flows.clear();
        router.from(port, &ipfix(domain, &[set(2, template(300, &fields)), set(300, record)]), &mut out);
        out.flows[0].packets
    };
    assert_eq!(of(1, 1, record(1, 7, 5)), 5);
    for (port, domain, asn, interface) in [(1, 1, 2, 7), (1, 1, 1, 8), (1, 2, 1, 7), (2, 1, 1, 7)] {
        assert_eq!(of(port, domain, record(asn, interface, 5)), 5, "{port}, {domain}, {asn}, {interface}");
    }
    assert_eq!(of(1, 1, record(1, 7, 8)), 3);
    let nine = v9(1, &[set(0, template(300, &fields)), set(300, record(1, 7, 5))]);
    let mut out = Sink::default();
    router.from(1, &nine, &mut out);
    assert_eq!(out.flows[0].packets, 5, "of another protocol");
    let by_source = [&[f(8, 4)], &fields[..]].concat();
    let sources = [1, 2].map(|asn| bytes().raw([10, 0, 0, 1]).raw(record(asn, 7, 5)).0);
    let message = ipfix(1, &[set(2, template(302, &by_source)), set(302, sources.concat())]);
    let packets: Vec<_> = router.send(&message).flows.iter().map(|flow| flow.packets).collect();
    assert_eq!(packets, [5, 5], "an address alone is an aggregate too");
    // Of a flow with addresses the way out and the ASes may change with the route.
    let fields = [&[f(8, 4), f(12, 4)], &fields[..]].concat();
    let mut of = |record: Vec<u8>| {
        let record = bytes().raw([10, 0, 0, 1, 10, 0, 0, 2]).raw(record).0;
        let sets = [set(2, template(301, &fields)), set(301, record)];
        router.send(&ipfix(1, &sets)).flows[0].packets
    };
    assert_eq!([of(record(1, 7, 5)), of(record(2, 8, 6))], [5, 1]);
}

#[test]
fn both_directions_and_layer_2_run_on_too() {
    let back = |id, length| F(id, length, 29_305);
    let fields = [f(8, 4), f(12, 4), f(85, 4), f(86, 4), f(353, 4), f(429, 4), back(85, 4), back(86, 4)];
    let record = |n: u32| {
        let head = bytes().raw([10, 0, 0, 1, 10, 0, 0, 2]).u32(n * 100).u32(n).u32(n * 118);
        head.u32(n * 118 * 118).u32(n * 50).u32(n).0
    };
    let mut router = cumulative();
    router.send(&ipfix(1, &[set(2, template(300, &fields))]));
    let of = |router: &mut Router, n| {
        let out = router.send(&ipfix(1, &[set(300, record(n))]));
        let flows = out.flows.iter();
        flows.map(|flow| (flow.bytes, flow.packets, flow.bytes_l2, flow.q_l2)).collect::<Vec<_>>()
    };
    of(&mut router, 3);
    let square = 118 * 118;
    assert_eq!(of(&mut router, 5), [(Some(200), 2, Some(236), Some(2 * square)), (Some(100), 2, None, None)]);
    assert_eq!(of(&mut router, 5), [(Some(0), 0, Some(0), Some(0))], "nothing more came");
    // A delta beside a total is a delta.
    let fields = [f(8, 4), f(12, 4), f(1, 4), f(2, 4), f(85, 4)];
    let record = bytes().raw([10, 0, 0, 1, 10, 0, 0, 2]).u32(70).u32(1).u32(900).0;
    let message = ipfix(1, &[set(2, template(301, &fields)), set(301, record)]);
    for _ in 0..2 {
        assert_eq!(counted(&router.send(&message)), [(70, 1)]);
    }
}

#[test]
fn what_flows_had_come_to_survives_a_restart_and_is_bounded() {
    let mut router = cumulative();
    // An odd number, of which no half is whole.
    router.options.options_rows = 7;
    send(&mut router, 0, &[record(1, (-60, 0), 400, 4), record(2, (-60, 0), 500, 5)]);
    assert_eq!(
        send(&mut router, 30, &[record(2, (-60, 0), 500, 5)]).state_writes,
        1,
        "when it was seen is news"
    );
    let mut again = router.restarted(&router.dump());
    assert_eq!((again.dump(), &again.budget), (router.dump(), &router.budget));
    assert_eq!(counted(&send(&mut again, 60, &[record(1, (-60, 60), 900, 9)])), [(500, 5)]);

    // Those that were silent for longest go; what is kept and what was written stay the same.
    let mut out = Sink { state: router.dump(), ..Sink::default() };
    for n in 10..1000_u16 {
        let records = [record(n, (-60, 60), 100, 1), record(1, (-60, 60), 400 + u64::from(n), 4)];
        let message = ipfix(1, &[set(256, records.concat())]);
        router.from(1000, &message, &mut out);
        assert!(router.dump().len() <= 1 + 8 && out.faults.is_empty());
    }
    assert_eq!(out.state, router.dump());
    let again = router.restarted(&out.state);
    assert_eq!((again.dump(), &again.budget), (router.dump(), &router.budget));
    let flows =
        out.state.iter().filter(|(key, _)| key[0] == b'c').map(|(key, value)| (key.clone(), value.clone()));
    let mut alone = router.restarted(&flows.collect());
    assert!(!alone.exporter.is_empty());
    for key in alone.dump().keys() {
        alone.exporter.restore(key, None, &alone.options, &mut alone.budget).unwrap();
    }
    assert_eq!((alone.exporter.is_empty(), alone.budget.state), (true, 0));
    assert!(
        out.flows.iter().skip(1).step_by(2).skip(1).all(|flow| flow.bytes == Some(1)),
        "one that goes on stays"
    );
}

#[test]
fn who_goes_back_in_time_takes_no_total_for_a_late_one() {
    let mut router = cumulative();
    let state = router.budget.state;
    router.options.options_rows = 4;
    send(&mut router, 0, &[record(1, (-60, 0), 400, 4)]);
    send(&mut router, 60, &[2, 3, 4, 1].map(|port| record(port, (-60, 60), 900, 9)));
    router.exporter.rewind(&mut router.budget);
    assert_eq!(router.budget.state, state);
    assert_eq!(counted(&send(&mut router, 0, &[record(1, (-60, 0), 400, 4)])), [(400, 4)]);
    assert_eq!(counted(&send(&mut router, 60, &[record(1, (-60, 60), 900, 9)])), [(500, 5)]);
}

#[test]
fn a_flow_for_which_there_is_no_room_is_a_fault_and_counts_as_it_is() {
    let mut router = cumulative();
    router.budget.state_limit = router.budget.state + 200;
    let mut out = Sink { state: router.dump(), ..Sink::default() };
    for n in 1..=5 {
        router.from(1000, &ipfix(1, &[set(256, record(n, (-60, 60), 100, 1))]), &mut out);
    }
    assert_eq!(
        (counted(&out), out.faults.len()),
        (vec![(100, 1); 5], 0),
        "the latest takes the other's place"
    );
    assert_eq!(out.state, router.dump());
    router.budget.state_limit = 0;
    let none = send(&mut router, 60, &[record(5, (-60, 60), 300, 3)]);
    assert_eq!((counted(&none), none.faults[0].reason), (vec![(200, 2)], Reason::StateLimit));
    let none = send(&mut router, 61, &[record(5, (-60, 61), 400, 4)]);
    assert_eq!(counted(&none), [(400, 4)]);
}
