//! What records of counters that run on (IE 85, 86 and their like) count: docs/counting.md, "Bytes".
#![allow(missing_docs, reason = "tests read as sentences")]

mod build;

use build::running::*;
use build::*;
use weir_wire::{Own, TotalCounters};

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
