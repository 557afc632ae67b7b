//! Counters that run on (IE 85, 86 and their like): docs/counting.md, "Bytes".
#![allow(missing_docs, reason = "tests read as sentences")]

mod build;

use build::*;
use weir_wire::{Own, TotalCounters};

const SECOND: i64 = 1_000_000_000;
/// Bytes that a flow takes of the room.
const COST: usize = 320;
/// A flow's addresses, port, way in, start and end, and totals.
const FIELDS: &[F] =
    &[f(8, 4), f(12, 4), f(7, 2), f(10, 4), f(152, 8), f(153, 8), f(85, 8), f(86, 8), f(199, 8)];

/// A router whose first flow is known, so that what begins now is not from before.
fn cumulative() -> Router {
    let mut router = Router::default();
    router.options.total_counters = TotalCounters::Cumulative;
    router.send(&ipfix(1, &[set(2, template(256, FIELDS))]));
    send(&mut router, 0, &[record(9999, (-600, 0), 1, 1)]);
    router
}

/// Milliseconds at so many seconds after the first export.
fn at(seconds: i64) -> u64 {
    u64::try_from((i64::from(EXPORTED) + seconds) * 1000).expect("a time")
}

/// A record of a flow from a port, which began and ended so many seconds after the first export.
fn record(port: u16, (start, end): (i64, i64), octets: u64, packets: u64) -> Vec<u8> {
    let head = bytes().raw([10, 0, 0, 1, 10, 0, 0, 2]).u16(port).u32(3).u64(at(start)).u64(at(end));
    head.u64(octets).u64(packets).u64(octets * 1600).0
}

/// Sends sets so many seconds after the first export; they take five seconds to arrive, and the exporter's clock is an hour ahead of ours.
fn sets(router: &mut Router, seconds: i64, sets: &[Vec<u8>]) -> Sink {
    let mut message = ipfix(1, sets);
    message[4..8]
        .copy_from_slice(&u32::try_from(i64::from(EXPORTED) + seconds).expect("a time").to_be_bytes());
    let mut out = Sink::default();
    router.at(RECEIVED + seconds * SECOND, 1000, &message, &mut out);
    out
}

fn send(router: &mut Router, seconds: i64, records: &[Vec<u8>]) -> Sink {
    sets(router, seconds, &[set(256, records.concat())])
}

fn counted(out: &Sink) -> Vec<(u64, u64)> {
    out.flows.iter().map(|flow| (flow.bytes.expect("octets"), flow.packets)).collect()
}

fn spread(flow: &Kept) -> (i64, i64) {
    let after = |time: weir_schemas::Time| (time.0 - RECEIVED) / SECOND;
    (after(flow.spread_start), after(flow.spread_end))
}

#[test]
fn totals_count_as_deltas_unless_the_exporter_is_configured_as_cumulative() {
    let mut router = Router::default();
    router.send(&ipfix(1, &[set(2, template(256, FIELDS))]));
    let records = |n: u64| [record(1, (-60, 0), n * 1000, n)];
    assert_eq!(counted(&send(&mut router, 0, &records(4))), [(4000, 4)]);
    assert_eq!(counted(&send(&mut router, 60, &records(6))), [(6000, 6)]);
    assert_eq!(router.dump().len(), 1, "nothing is kept for it");
    let own = |total_counters| Own { total_counters: Some(total_counters), ..Own::default() };
    router.exporter.configure(own(TotalCounters::Cumulative));
    assert_eq!(counted(&send(&mut router, 120, &records(7))), [(0, 0)], "six of them were counted before");
    assert_eq!(counted(&send(&mut router, 180, &records(9))), [(2000, 2)]);
    router.options.total_counters = TotalCounters::Cumulative;
    router.exporter.configure(own(TotalCounters::Deltas));
    assert_eq!(counted(&send(&mut router, 240, &records(10))), [(10_000, 10)]);
}

#[test]
fn of_a_flow_that_runs_on_each_record_is_worth_what_it_adds_since_the_one_before() {
    let mut router = cumulative();
    let first = send(&mut router, 60, &[record(1, (10, 55), 4000, 4), record(2, (20, 50), 500, 5)]);
    assert_eq!(counted(&first), [(4000, 4), (500, 5)], "they began since, and are worth all they say");
    assert_eq!(spread(&first.flows[0]), (10, 55));
    let next = send(&mut router, 120, &[record(1, (10, 110), 10_000, 8), record(2, (20, 50), 500, 5)]);
    assert_eq!(counted(&next), [(6000, 4), (0, 0)], "each flow by itself");
    assert_eq!(spread(&next.flows[0]), (55, 110), "from the end of the record before");
    assert_eq!(next.flows[0].flow_start.0, at(10) as i64 * 1_000_000, "what was exported is kept");
    assert_eq!(next.flows[0].q, Some(6000 * 1600), "squares run on as well");
    assert_eq!(next.flows[1].q, Some(0));
    assert_eq!(router.counts.totals_unknown, 1);
}

#[test]
fn what_was_counted_before_is_unknown_and_such_a_record_counts_as_nothing() {
    let mut router = cumulative();
    for (port, start, wanted) in [(1, -1, false), (2, -86_400 * 40, false), (3, 0, true), (4, 30, true)] {
        let out = send(&mut router, 60, &[record(port, (start, 50), 900, 9)]);
        assert_eq!(counted(&out), [if wanted { (900, 9) } else { (0, 0) }], "{start}");
        assert_eq!(flags(&out.flows[0]).contains(&"totals_unknown"), !wanted, "{start}");
        let next = send(&mut router, 120, &[record(port, (start, 110), 1000, 10)]);
        assert_eq!(
            (counted(&next), flags(&next.flows[0])),
            (vec![(100, 1)], flags(&one_of(50, 1))),
            "{start}"
        );
        assert_eq!(spread(&next.flows[0]), (50, 110), "{start}");
    }
    assert_eq!(router.counts.totals_unknown, 3);
    // Where no start is told, none is known to be later.
    let fields = [f(8, 4), f(12, 4), f(85, 8), f(86, 8)];
    sets(&mut router, 130, &[set(2, template(300, &fields))]);
    let of = |router: &mut Router, seconds, n: u64| {
        let record = bytes().raw([10, 0, 0, 1, 10, 0, 0, 2]).u64(n * 10).u64(n).0;
        sets(router, seconds, &[set(300, record)])
    };
    assert_eq!(counted(&of(&mut router, 140, 5)), [(0, 0)]);
    let next = of(&mut router, 200, 7);
    assert_eq!((counted(&next), spread(&next.flows[0])), (vec![(20, 2)], (140, 200)), "from one to the next");
    // By a clock of ours that is behind; what lies between the two is late nevertheless.
    let late = [(150, 9), (180, 8)].map(|(seconds, n)| of(&mut router, seconds, n));
    assert_eq!(late.each_ref().map(counted), [[(20, 2)], [(0, 0)]]);
    assert!(!flags(&late[1].flows[0]).contains(&"totals_unknown"));
    assert_eq!(spread(&late[0].flows[0]), (150, 150), "it is spread over no time that has not been");
    // A start that is ahead of us is none.
    let ahead = send(&mut router, 210, &[record(5, (1_000_000, 1_000_060), 900, 9)]);
    assert_eq!(counted(&ahead), [(0, 0)]);
}

/// A plain record of a flow, for its flags.
fn one_of(octets: u64, packets: u64) -> Kept {
    let mut router = Router::default();
    router.send(&ipfix(1, &[set(2, template(256, FIELDS))]));
    send(&mut router, 120, &[record(1, (10, 110), octets, packets)]).flows[0].clone()
}

#[test]
fn what_comes_late_adds_nothing_and_what_begins_anew_counts_whole() {
    let mut router = cumulative();
    for (seconds, span, n, wanted) in [
        (60, (10, 55), 4, 4),
        (120, (10, 115), 9, 5),
        (90, (10, 85), 6, 0),
        (120, (10, 115), 9, 0),
        (121, (10, 121), 10, 1),
        // Another flow of the same addresses, which counted more than the one before had.
        (300, (237, 295), 50, 50),
        // Export times are of whole seconds: the same flow's start a second later is the same.
        (360, (238, 355), 51, 1),
        // A record of the one before, which was longer on its way.
        (361, (10, 175), 12, 0),
        // And one that counted less.
        (420, (370, 415), 2, 2),
    ] {
        let out = send(&mut router, seconds, &[record(1, span, n * 100, n)]);
        assert_eq!(counted(&out), [(wanted * 100, wanted)], "{n} at {seconds}");
        assert!(!flags(&out.flows[0]).contains(&"totals_unknown"), "{n} at {seconds}");
    }
}

#[test]
fn a_counter_that_went_back_counts_as_nothing_and_twice_in_a_row_it_is_where_counting_begins_anew() {
    let mut router = cumulative();
    for (seconds, n, wanted) in [
        (60, 9, Some(9)),
        (120, 6, None),
        (180, 10, Some(1)),
        (240, 3, None),
        (300, 5, None),
        (360, 6, Some(1)),
        (420, 8, Some(2)),
    ] {
        let out = send(&mut router, seconds, &[record(1, (10, seconds), n * 100, n)]);
        let wanted_n = wanted.unwrap_or_default();
        assert_eq!(counted(&out), [(wanted_n * 100, wanted_n)], "{n} at {seconds}");
        assert_eq!(flags(&out.flows[0]).contains(&"totals_unknown"), wanted.is_none(), "{n} at {seconds}");
        router = router.restarted(&router.dump());
    }
}

#[test]
fn the_exporters_clock_may_be_put_back_and_nothing_counts_twice() {
    let mut router = cumulative();
    send(&mut router, 60, &[record(1, (10, 55), 4000, 4)]);
    // An hour back, with times that are made from the uptime; then the other way, with a start that stays as it was.
    for (seconds, ahead, start, total, wanted) in
        [(120, -3600, 10 - 3600, 9000, 5000), (180, 90, 10 - 3600, 9500, 500)]
    {
        let end = seconds + ahead - 10;
        let mut message = ipfix(1, &[set(256, record(1, (start, end), total, total / 1000))]);
        let exported = i64::from(EXPORTED) + seconds + ahead;
        message[4..8].copy_from_slice(&u32::try_from(exported).expect("a time").to_be_bytes());
        let mut out = Sink::default();
        router.at(RECEIVED + seconds * SECOND, 1000, &message, &mut out);
        assert_eq!(counted(&out)[0].0, wanted, "{ahead}");
        assert_eq!(spread(&out.flows[0]), (if seconds == 120 { 55 } else { 110 }, seconds - 10), "{ahead}");
    }
}

#[test]
fn a_counter_of_few_bytes_wraps() {
    let mut router = cumulative();
    let mut of = |fields: &[F], seconds, record: Vec<u8>| {
        let fields = [&[f(8, 4), f(12, 4)], fields].concat();
        let record = bytes().raw([10, 0, 0, 1, 10, 0, 0, 2]).raw(record).0;
        counted(&sets(&mut router, seconds, &[set(2, template(300, &fields)), set(300, record)]))[0]
    };
    let narrow = [f(85, 4), f(86, 2)];
    let record = |octets: u32, packets: u16| bytes().u32(octets).u16(packets).0;
    of(&narrow, 1, record(u32::MAX - 100, 7));
    assert_eq!(of(&narrow, 2, record(899, 8)), (1000, 1));
    assert_eq!(of(&narrow, 3, record(1899, 65_530)), (1000, 65_522));
    assert_eq!(of(&narrow, 4, record(2899, 2)), (1000, 8), "each by its own length");
    assert_eq!(
        of(&narrow, 5, record(u32::MAX - 100, 8)),
        (u64::from(u32::MAX) - 2999, 6),
        "by more than half"
    );
    let wide = |octets: u64, packets: u64| bytes().u64(octets).u64(packets).0;
    let fields = [f(85, 8), f(86, 8)];
    of(&fields, 6, wide(1 << 40, 1 << 36));
    assert_eq!(of(&fields, 7, wide((1 << 41) + 5, (1 << 36) + 5)), ((1 << 40) + 5, 5));
    assert_eq!(of(&fields, 8, wide(7, (1 << 36) + 6)), (0, 0), "wide ones do not wrap");
    // Of a variable length, and behind a narrow one of the other direction.
    let variable = |octets: u64| bytes().u8(8).u64(octets).u64(1).0;
    of(&[f(85, VARIABLE), f(86, 8), f(32, 2)], 9, [variable(1), vec![8, 0]].concat());
    let next = of(&[f(85, VARIABLE), f(86, 8), f(32, 2)], 10, [variable(1 << 40), vec![8, 0]].concat());
    assert_eq!(next, ((1 << 40) - 1, 0));
    let other = |octets: u64| bytes().u32(0).u64(octets).u64(1).u16(9).0;
    let fields = [F(85, 4, 29_305), f(85, 8), f(86, 8), f(32, 2)];
    of(&fields, 11, other(1));
    assert_eq!(of(&fields, 12, other(1 << 40)), ((1 << 40) - 1, 0));
}

/// Whether records of these fields beside the totals are of two flows.
fn told_apart(fields: &[F], first: &[u8], second: &[u8]) -> bool {
    let mut router = cumulative();
    let fields = [&[f(86, 4)][..], fields, &[f(85, 4)]].concat();
    sets(&mut router, 1, &[set(2, template(300, &fields))]);
    let mut of = |n: u32, record: &[u8]| {
        let record = bytes().u32(n).raw(record).u32(10 * n).0;
        sets(&mut router, 1, &[set(300, record)]).flows[0].packets
    };
    of(100, first);
    of(300, second);
    assert_eq!(of(310, second), 10, "whichever it is, it goes on");
    // Of one flow the counter went back, of two each goes on.
    of(101, first) == 1
}

#[test]
fn flows_are_told_apart_by_what_they_are_of_and_not_by_where_they_are_routed() {
    let flow = |fields: &[F], first: &[u8], second: &[u8]| {
        let four = |rest: &[u8]| [&[10, 0, 0, 1, 10, 0, 0, 2], rest].concat();
        told_apart(&[&[f(8, 4), f(12, 4)], fields].concat(), &four(first), &four(second))
    };
    let aggregate = |fields: &[F], first: &[u8], second: &[u8]| told_apart(fields, first, second);
    let (one, two) = ([0, 0, 0, 1], [0, 0, 0, 2]);
    let always = [
        4, 5, 7, 8, 10, 11, 12, 27, 28, 31, 32, 33, 44, 45, 48, 56, 58, 60, 130, 131, 138, 139, 141, 142,
        143, 144, 148, 149, 169, 170, 176, 177, 178, 179, 180, 181, 182, 183, 193, 195, 196, 234, 236, 243,
        245, 252, 256, 302, 351, 368, 403, 404, 405,
    ];
    for id in always {
        assert!(flow(&[f(id, 4)], &one, &two) && aggregate(&[f(id, 4)], &one, &two), "{id}");
    }
    let routed = [
        9, 13, 14, 15, 16, 17, 18, 29, 30, 46, 47, 55, 57, 59, 62, 63, 70, 71, 72, 73, 74, 75, 76, 77, 78,
        79, 80, 81, 90, 91, 95, 96, 128, 129, 140, 225, 226, 227, 228, 235, 253, 254, 255, 281, 282, 369,
        371,
    ];
    for id in routed {
        assert!(!flow(&[f(id, 4)], &one, &two) && aggregate(&[f(id, 4)], &one, &two), "{id}");
    }
    // Flags, lengths, hops, reasons, and what else changes while a flow goes on.
    for id in [6, 25, 26, 40, 52, 53, 54, 64, 88, 89, 92, 93, 136, 184, 185, 192, 206] {
        assert!(!flow(&[f(id, 4)], &one, &two) && !aggregate(&[f(id, 4)], &one, &two), "{id}");
    }
    for out in [14, 235, 253] {
        let of = |way: u8, out: u8| [way, 0, 0, 0, out];
        assert!(flow(&[f(61, 1), f(out, 4)], &of(1, 7), &of(1, 8)), "{out}, observed where it leaves");
        assert!(!flow(&[f(61, 1), f(out, 4)], &of(0, 7), &of(0, 8)), "{out}, observed where it came in");
    }
    assert!(flow(&[f(61, 1)], &[0], &[1]));
    assert!(flow(&[f(236, VARIABLE)], &[1, 65], &[2, 65, 66]), "a name");
    assert!(flow(&[f(236, VARIABLE)], &[255, 0, 1, 65], &[255, 0, 1, 66]), "and one of the long form");
    assert!(
        flow(&[f(82, VARIABLE), f(7, 2)], &[2, 1, 1, 0, 1], &[2, 1, 1, 0, 2]),
        "behind what is stepped over"
    );
    assert!(
        !flow(&[f(82, VARIABLE), f(7, 2)], &[2, 1, 1, 0, 1], &[255, 0, 2, 1, 1, 0, 1]),
        "a length is no key"
    );
    assert!(!flow(&[F(7, 2, 9)], &[7, 7], &[8, 8]), "what a vendor says");
    assert!(flow(&[f(7, 2), f(11, 2)], &[0, 1, 0, 2], &[0, 2, 0, 1]), "one way and the other");
    assert!(
        flow(&[f(236, VARIABLE), f(245, 4)], &[1, 65, 1, 0, 245, 2], &[4, 65, 0, 245, 1, 0, 0, 0, 2]),
        "where one ends and the next begins"
    );
    let wide = |last: u8| [[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], [last; 16]].concat();
    let six = [f(27, 16), f(28, 16), f(17, 4)];
    assert!(told_apart(&six, &[wide(1), vec![0; 4]].concat(), &[wide(2), vec![0; 4]].concat()));
    assert!(!told_apart(&six, &[wide(1), vec![1; 4]].concat(), &[wide(1), vec![2; 4]].concat()));
    assert!(
        told_apart(&[f(8, 4), f(17, 4)], &[10, 0, 0, 1, 0, 0, 0, 1], &[10, 0, 0, 1, 0, 0, 0, 2]),
        "of one address"
    );
    // A record without addresses is an aggregate, whatever its template has.
    let none = [f(8, 4), f(12, 4), f(80, 4)];
    assert!(told_apart(
        &none,
        &[[0; 8].to_vec(), vec![1; 4]].concat(),
        &[[0; 8].to_vec(), vec![2; 4]].concat()
    ));
}

#[test]
fn a_flow_is_the_same_whatever_the_order_and_lengths_of_its_fields_and_unknown_where_they_are_others() {
    let mut router = cumulative();
    let mut of = |seconds, fields: &[F], record: Vec<u8>, n: u64| {
        let fields = [&[f(152, 8), f(85, 8)], fields].concat();
        let record = bytes().u64(at(10)).u64(n).raw(record).0;
        let out = sets(&mut router, seconds, &[set(2, template(300, &fields)), set(300, record)]);
        (out.flows[0].bytes, flags(&out.flows[0]).contains(&"totals_unknown"))
    };
    let (src, dst) = ([10, 0, 0, 1], [10, 0, 0, 2]);
    let flow = [src, dst].concat();
    of(5, &[f(8, 4), f(12, 4), f(10, 4)], [&flow[..], &[0, 0, 0, 3]].concat(), 1);
    assert_eq!(
        of(60, &[f(8, 4), f(12, 4), f(10, 4)], [&flow[..], &[0, 0, 0, 3]].concat(), 500),
        (Some(499), false)
    );
    assert_eq!(
        of(120, &[f(12, 4), f(10, 2), f(8, 4)], [&dst[..], &[0, 3], &src].concat(), 900),
        (Some(400), false)
    );
    let empty = [f(12, 4), f(58, 0), f(10, 2), f(8, 4)];
    assert_eq!(
        of(150, &empty, [&dst[..], &[0, 3], &src].concat(), 950),
        (Some(50), false),
        "what is not there"
    );
    let more = [f(12, 4), f(10, 2), f(8, 4), f(58, 2)];
    let record = [&dst[..], &[0, 3], &src, &[0, 7]].concat();
    assert_eq!(of(180, &more, record.clone(), 1000), (Some(0), true), "by other fields it may be another");
    assert_eq!(of(240, &more, record, 1100), (Some(100), false));
}

#[test]
fn each_kind_of_total_runs_on_alone() {
    let back = |id| F(id, 4, 29_305);
    // The total, and what it is a column of, beside another counter that is a delta.
    for (total, beside) in [
        (f(85, 4), f(2, 4)),
        (f(86, 4), f(1, 4)),
        (f(353, 4), f(2, 4)),
        (back(85), f(2, 4)),
        (back(86), f(1, 4)),
        (back(353), f(2, 4)),
    ] {
        let mut router = cumulative();
        let fields = [f(8, 4), f(12, 4), beside, total];
        sets(&mut router, 1, &[set(2, template(300, &fields))]);
        let mut of = |n: u32| {
            let record = bytes().raw([10, 0, 0, 1, 10, 0, 0, 2]).u32(1).u32(n).0;
            let out = sets(&mut router, 1, &[set(300, record)]);
            let flow = out.flows.last().expect("a flow");
            [flow.bytes, Some(flow.packets), flow.bytes_l2].into_iter().flatten().collect::<Vec<_>>()
        };
        of(500);
        assert!(of(507).contains(&7), "{total:?} beside {beside:?}");
    }
    // Squares that run on beside deltas.
    for (squares, octets) in [(199, 1), (429, 352)] {
        let mut router = cumulative();
        let fields = [f(8, 4), f(12, 4), f(octets, 4), f(2, 4), f(squares, 4)];
        sets(&mut router, 1, &[set(2, template(300, &fields))]);
        let mut of = |n: u32| {
            let record = bytes().raw([10, 0, 0, 1, 10, 0, 0, 2]).u32(100).u32(2).u32(n).0;
            let out = sets(&mut router, 1, &[set(300, record)]);
            out.flows[0].q.or(out.flows[0].q_l2)
        };
        of(6000);
        assert_eq!(of(11_500), Some(5500), "{squares}");
    }
}

#[test]
fn the_port_is_no_part_of_a_flow_and_its_domain_is() {
    let mut router = cumulative();
    let mut of = |port, domain, n: u64| {
        let mut out = Sink::default();
        let sets = [set(2, template(256, FIELDS)), set(256, record(1, (-60, 0), n * 100, n))];
        router.from(port, &ipfix(domain, &sets), &mut out);
        out.flows[0].packets
    };
    assert_eq!([of(1, 1, 5), of(2, 1, 6), of(1, 2, 9), of(2, 2, 11), of(3, 1, 8)], [0, 1, 0, 2, 2]);
    let mut out = Sink::default();
    router.from(1, &v9(1, &[set(0, template(256, FIELDS)), set(256, record(1, (-60, 0), 900, 9))]), &mut out);
    assert_eq!(out.flows[0].packets, 0, "another protocol is another process");
}

#[test]
fn permanent_flows_of_version_9_run_on() {
    let mut router = cumulative();
    let fields = [f(8, 4), f(12, 4), f(22, 4), f(21, 4), f(85, 4), f(86, 4)];
    router.send(&v9(1, &[set(0, template(300, &fields))]));
    let mut of = |seconds: u32, n: u32| {
        let uptime = UPTIME + seconds * 1000;
        let record = bytes().raw([10, 0, 0, 1, 10, 0, 0, 2]).u32(5).u32(uptime - 500).u32(n * 100).u32(n).0;
        let mut message = v9(1, &[set(300, record)]);
        message[4..8].copy_from_slice(&uptime.to_be_bytes());
        message[8..12].copy_from_slice(&(EXPORTED + seconds).to_be_bytes());
        let mut out = Sink::default();
        router.at(RECEIVED + i64::from(seconds) * SECOND, 1000, &message, &mut out);
        (counted(&out)[0], out.flows[0].spread_start.0 - RECEIVED, out.flows[0].spread_end.0 - RECEIVED)
    };
    assert_eq!(of(0, 1_000_000).0, (0, 0), "it began when the router did");
    assert_eq!(of(60, 1_000_007), ((700, 7), -SECOND / 2, 60 * SECOND - SECOND / 2));
}

#[test]
fn both_directions_and_layer_2_run_on_too() {
    let back = |id, length| F(id, length, 29_305);
    let fields =
        [f(8, 4), f(12, 4), f(85, 4), f(86, 4), f(353, 4), f(429, 4), back(85, 4), back(86, 4), back(353, 4)];
    let record = |n: u32| {
        let head = bytes().raw([10, 0, 0, 1, 10, 0, 0, 2]).u32(n * 100).u32(n).u32(n * 118);
        head.u32(n * 118 * 118).u32(n * 50).u32(n).u32(n * 68).0
    };
    let mut router = cumulative();
    router.send(&ipfix(1, &[set(2, template(300, &fields))]));
    let of = |router: &mut Router, n| {
        let out = router.send(&ipfix(1, &[set(300, record(n))]));
        let flows = out.flows.iter();
        flows.map(|flow| (flow.bytes, flow.packets, flow.bytes_l2, flow.q_l2)).collect::<Vec<_>>()
    };
    assert_eq!(of(&mut router, 3), [(Some(0), 0, Some(0), Some(0))], "of neither direction it is known");
    let (square, back) = (118 * 118, 68 * 68);
    let next = of(&mut router, 5);
    assert_eq!(next[0], (Some(200), 2, Some(236), Some(2 * square)));
    assert_eq!((next[1].0, next[1].1, next[1].2), (Some(100), 2, Some(136)));
    assert!(next[1].3.expect("an error term") >= 2 * back);
    assert_eq!(of(&mut router, 5), [(Some(0), 0, Some(0), Some(0))], "nothing more came");
    // A delta beside a total is a delta.
    let fields = [f(8, 4), f(12, 4), f(1, 4), f(2, 4), f(85, 4)];
    let record = bytes().raw([10, 0, 0, 1, 10, 0, 0, 2]).u32(70).u32(1).u32(900).0;
    let message = ipfix(1, &[set(2, template(301, &fields)), set(301, record)]);
    let kept = router.dump().len();
    for _ in 0..2 {
        assert_eq!(counted(&router.send(&message)), [(70, 1)]);
    }
    assert_eq!(router.dump().len(), kept + 1, "of the template alone there is more");
}

#[test]
fn data_that_waited_for_its_template_adds_nothing_to_what_came_since() {
    let mut router = Router::default();
    router.options.total_counters = TotalCounters::Cumulative;
    let port = |router: &mut Router, port, seconds: i64, message: &[u8]| {
        let mut out = Sink::default();
        router.at(RECEIVED + seconds * SECOND, port, message, &mut out);
        out
    };
    let data = |n: u64| ipfix(1, &[set(256, record(1, (-60, 0), n * 100, n))]);
    // Two ports disagree, so that the third one's data waits; the first port's does not.
    port(&mut router, 1, 0, &ipfix(1, &[set(2, template(256, FIELDS))]));
    port(&mut router, 2, 0, &ipfix(1, &[set(2, template(256, &[f(8, 4)]))]));
    port(&mut router, 1, 1, &data(3));
    assert!(port(&mut router, 3, 2, &data(5)).flows.is_empty());
    assert_eq!(counted(&port(&mut router, 1, 3, &data(9))), [(600, 6)]);
    let late = port(&mut router, 3, 4, &ipfix(1, &[set(2, template(256, FIELDS))]));
    assert_eq!((counted(&late), flags(&late.flows[0]).contains(&"template_late")), (vec![(0, 0)], true));
    assert_eq!(counted(&port(&mut router, 1, 5, &data(10))), [(100, 1)]);
}

#[test]
fn what_flows_had_come_to_survives_a_restart() {
    let mut router = cumulative();
    let mut out = Sink { state: router.dump(), ..Sink::default() };
    for seconds in [60, 120, 180] {
        let records = [record(1, (10, seconds), 400, 4), record(2, (10, seconds), 500, 5)];
        let message = ipfix(1, &[set(256, records.concat())]);
        router.at(RECEIVED + seconds * SECOND, 1000, &message, &mut out);
    }
    assert_eq!(out.state, router.dump());
    let mut again = router.restarted(&out.state);
    assert_eq!((again.dump(), &again.budget), (router.dump(), &router.budget));
    for router in [&mut router, &mut again] {
        let records =
            [record(1, (10, 240), 900, 9), record(3, (200, 240), 70, 1), record(4, (-5, 240), 70, 1)];
        assert_eq!(counted(&send(router, 240, &records)), [(500, 5), (70, 1), (0, 0)]);
    }
}

#[test]
fn flows_that_were_silent_for_longest_make_room_and_count_as_nothing_when_they_come_back() {
    let mut router = cumulative();
    router.options.total_flows = 8;
    let mut out = Sink { state: router.dump(), ..Sink::default() };
    for n in 10..500_u16 {
        // One goes on beside others that come once.
        let seconds = i64::from(n);
        let records = [record(n, (seconds - 1, seconds), 100, 1), record(1, (2, seconds), u64::from(n), 1)];
        let mut message = ipfix(1, &[set(256, records.concat())]);
        message[4..8].copy_from_slice(&(EXPORTED + u32::from(n)).to_be_bytes());
        router.at(RECEIVED + seconds * SECOND, 1000, &message, &mut out);
        assert_eq!((router.dump().len() <= 1 + 2 + 8, out.faults.len()), (true, 0));
    }
    assert_eq!(out.state, router.dump());
    assert!(
        out.flows.iter().step_by(2).all(|flow| flow.bytes == Some(100)),
        "each began since the last was forgotten"
    );
    assert!(out.flows.iter().skip(3).step_by(2).all(|flow| flow.bytes == Some(1)), "one that goes on stays");
    assert_eq!(router.counts.totals_forgotten, 490 + 2 - 8);
    // In whatever order state is read, the same make room.
    let dump = router.dump();
    let mut again = router.restarted(&dump);
    let mut router = router.restarted(&dump.clone().into_iter().rev().collect());
    for router in [&mut router, &mut again] {
        let back = send(router, 500, &[record(12, (11, 500), 300, 3), record(495, (494, 500), 300, 3)]);
        assert_eq!(counted(&back), [(0, 0), (200, 2)]);
        router.options.total_flows = 3;
    }
    let [fewer, other] = [dump.iter().collect::<Vec<_>>(), dump.iter().rev().collect()].map(|state| {
        let mut fewer = Router { options: router.options.clone(), ..Router::default() };
        for (key, value) in state {
            let _ = fewer.exporter.restore(key, Some(value), &fewer.options, &mut fewer.budget);
        }
        (fewer.dump(), fewer.budget)
    });
    assert_eq!(fewer, other);
    assert_eq!(fewer.0.len(), 1 + 2 + 3);
}

#[test]
fn flows_that_are_silent_for_long_are_forgotten_when_others_come() {
    let mut router = cumulative();
    router.options.total_idle_s = 100;
    let kept = |router: &Router| router.dump().keys().filter(|key| key.len() == 17).count();
    send(&mut router, 10, &[record(1, (5, 10), 100, 1), record(2, (5, 10), 100, 1)]);
    send(&mut router, 100, &[record(1, (5, 100), 200, 2)]);
    assert_eq!(kept(&router), 3);
    assert_eq!(counted(&send(&mut router, 150, &[record(3, (140, 150), 100, 1)])), [(100, 1)]);
    assert_eq!(kept(&router), 2, "it and the one that went on");
    let back = [
        record(1, (5, 160), 300, 3),
        record(2, (5, 160), 300, 3),
        record(4, (14, 160), 7, 1),
        record(5, (16, 160), 7, 1),
    ];
    assert_eq!(
        counted(&send(&mut router, 160, &back)),
        [(100, 1), (0, 0), (0, 0), (7, 1)],
        "what is forgotten ended by then"
    );
}

#[test]
fn an_exporter_that_is_configured_back_keeps_nothing_and_begins_anew_when_it_is_cumulative_again() {
    let mut router = cumulative();
    let mut out = Sink { state: router.dump(), ..Sink::default() };
    send(&mut router, 60, &[record(1, (10, 60), 400, 4)]);
    out.state = router.dump();
    let mut again = router.restarted(&out.state);
    again.options.total_counters = TotalCounters::Deltas;
    let message = ipfix(1, &[set(256, record(1, (10, 120), 900, 9))]);
    again.at(RECEIVED + 120 * SECOND, 1000, &message, &mut out);
    assert_eq!((counted(&out), again.budget.totals), (vec![(900, 9)], 0));
    assert_eq!((&out.state, out.state.len()), (&again.dump(), 1));
    again.options.total_counters = TotalCounters::Cumulative;
    let records = [record(1, (10, 180), 1000, 10), record(2, (100, 180), 800, 8)];
    assert_eq!(counted(&send(&mut again, 180, &records)), [(0, 0), (0, 0)]);
    assert_eq!(counted(&send(&mut again, 240, &[record(1, (10, 240), 1100, 11)])), [(100, 1)]);
}

#[test]
fn templates_of_ever_other_fields_keep_few_kinds_and_the_first_stays_known() {
    let mut router = cumulative();
    let mut out = Sink { state: router.dump(), ..Sink::default() };
    for n in 1..500_u16 {
        let fields: Vec<F> = [4, 5, 58, 60, 61, 138, 148, 177, 243]
            .into_iter()
            .enumerate()
            .filter(|(bit, _)| n & 1 << bit != 0)
            .map(|(_, id)| f(id, 1))
            .collect();
        let record = vec![1; fields.len() + 8];
        let sets = [set(2, template(300, &[&fields[..], &[f(85, 8)]].concat())), set(300, record)];
        router.at(RECEIVED + SECOND, 1000, &ipfix(1, &sets), &mut out);
        assert!(router.dump().keys().filter(|key| key[0] == b'c' && key.len() == 5).count() <= 64);
    }
    assert_eq!((&out.state, out.faults.len()), (&router.dump(), 0));
    assert_eq!(counted(&send(&mut router, 60, &[record(1, (2, 60), 400, 4)])), [(400, 4)]);
}

#[test]
fn a_record_writes_its_flow_and_what_makes_room_is_told_once_a_datagram() {
    let mut router = cumulative();
    router.options.total_flows = 4;
    let records =
        |seconds: i64| (0..40).map(|port| record(port, (seconds, seconds), 10, 1)).collect::<Vec<_>>();
    let first = send(&mut router, 1, &records(1));
    assert_eq!(
        first.state_writes,
        40 + 37 + 1,
        "flows, those that made room, and since when flows are known"
    );
    assert_eq!(send(&mut router, 1, &[record(39, (1, 1), 10, 1)]).state_writes, 0, "nothing is new");
    assert_eq!(send(&mut router, 2, &[record(39, (1, 2), 20, 2)]).state_writes, 1);
}

#[test]
fn flows_of_cumulative_counters_take_a_quarter_of_the_room_and_none_from_others() {
    let mut router = cumulative();
    router.budget.state_limit = 4 * COST * 5;
    let mut out = Sink { state: router.dump(), ..Sink::default() };
    for n in 1..=50 {
        router.at(RECEIVED + SECOND, 1000, &ipfix(1, &[set(256, record(n, (1, 1), 100, 1))]), &mut out);
        assert!(router.budget.totals <= router.budget.state_limit / 4);
    }
    assert_eq!((out.faults.len(), router.budget.totals), (0, 5 * COST));
    assert_eq!(out.state, router.dump());
    // Another exporter of the partition finds no room: its flows are not kept, are flows nevertheless, and nothing counts twice.
    let mut other = Router { options: router.options.clone(), budget: router.budget, ..Router::default() };
    let mut out = Sink::default();
    other.from(1000, &ipfix(1, &[set(2, template(256, FIELDS))]), &mut out);
    for (seconds, start, wanted) in [(1, -9, 0), (60, 30, 100), (120, 30, 0), (180, 150, 100)] {
        let mut message = ipfix(1, &[set(256, record(1, (start, seconds), 100, 1))]);
        message[4..8].copy_from_slice(&(EXPORTED + seconds as u32).to_be_bytes());
        out.flows.clear();
        other.at(RECEIVED + seconds * SECOND, 1000, &message, &mut out);
        assert_eq!(counted(&out), [(wanted, wanted / 100)], "{seconds}");
    }
    assert_eq!((out.state, out.faults.len()), (other.dump(), 0));
    assert_eq!(other.budget.totals, router.budget.totals);
    assert_eq!((other.counts.totals_unknown, other.counts.totals_forgotten), (2, 4));
    assert!(!other.exporter.is_empty(), "since when flows are known is known");
    // Nor where what they are decoded by has taken all.
    let mut full = cumulative();
    full.budget.state = full.budget.state_limit - COST + 1;
    assert_eq!(counted(&send(&mut full, 60, &[record(1, (9, 60), 100, 1)])), [(100, 1)]);
    assert_eq!(full.budget.state, full.budget.state_limit - COST + 1, "what was there made room");
}

#[test]
fn what_is_restored_again_takes_its_own_place_and_no_more_than_there_is() {
    let mut router = cumulative();
    send(&mut router, 60, &[record(1, (10, 60), 400, 4)]);
    let before = router.dump();
    send(&mut router, 120, &[record(1, (10, 120), 500, 5)]);
    let mut again = router.restarted(&before);
    for (key, value) in &router.dump() {
        again
            .exporter
            .restore(key, Some(value), &again.options, &mut again.budget)
            .expect("kept state is readable");
    }
    assert_eq!((again.dump(), again.budget), (router.dump(), router.budget));
    again.options.total_flows = 2;
    send(&mut again, 180, &[record(2, (130, 180), 100, 1)]);
    let kept = send(&mut again, 240, &[record(1, (10, 240), 700, 7), record(2, (130, 240), 300, 3)]);
    assert_eq!(counted(&kept), [(200, 2), (200, 2)], "none was taken for older than it is");
    let mut small = Router { options: router.options.clone(), ..Router::default() };
    small.budget.state_limit = 4 * (COST + 9);
    let fits = |key: &Vec<u8>, value: &Vec<u8>, small: &mut Router| {
        small.exporter.restore(key, Some(value), &small.options, &mut small.budget).is_ok()
    };
    let flows = router.dump().into_iter().filter(|(key, _)| key.len() == 17);
    assert_eq!(flows.map(|(key, value)| fits(&key, &value, &mut small)).collect::<Vec<_>>(), [true, false]);
    assert_eq!(small.budget.totals, COST);
}

#[test]
fn kept_totals_that_make_no_sense_are_refused() {
    let mut router = Router::default();
    let key = [&b"c"[..], &[7; 16]].concat();
    for (key, value) in [
        (&key[..], &[1, 3][..]),
        (&key, &[1, 0]),
        (&key, &[2]),
        (&key, &[&[1, 0, 4][..], &[0; 16]].concat()),
        (b"c", &[1]),
        (&key[..9], &[1]),
    ] {
        assert!(router.exporter.restore(key, Some(value), &router.options, &mut router.budget).is_err());
    }
    assert_eq!((router.dump().len(), router.budget.state), (0, 0));
}
