//! Records that count both directions of a flow: one flow each way (RFC 5103; IE 231 and 232, 298 and 299).
#![allow(missing_docs, reason = "tests read as sentences")]

mod build;

use build::*;
use weir_schemas::value::MAX_COUNT;
use weir_schemas::{FlowKind, Ip, Observation};
use weir_wire::Unit;

/// RFC 5103 section 6.1.
const REVERSE: u32 = 29_305;

const fn back(id: u16, length: u16) -> F {
    F(id, length, REVERSE)
}

const FIELDS: &[F] = &[
    f(8, 4),
    f(12, 4),
    f(7, 2),
    f(11, 2),
    f(10, 2),
    f(14, 2),
    f(16, 4),
    f(17, 4),
    f(6, 1),
    f(1, 4),
    f(2, 4),
    back(1, 4),
    back(2, 4),
    back(6, 1),
];

fn record(octets: u32, reverse: u32) -> Vec<u8> {
    let head =
        bytes().raw([10, 0, 0, 1, 10, 0, 0, 2]).u16(40_000).u16(443).u16(3).u16(7).u32(64_500).u32(64_501);
    head.u8(2).u32(octets).u32(octets.div_ceil(1000)).u32(reverse).u32(reverse.div_ceil(1000)).u8(0x12).0
}

#[test]
fn a_record_of_both_directions_is_two_flows_with_source_and_destination_exchanged() {
    let out = decode(&ipfix(
        1,
        &[set(2, template(256, FIELDS)), set(256, [record(9000, 5000), record(7, 0)].concat())],
    ));
    assert_eq!(out.flows.len(), 3, "where nothing came back there is one flow");
    let (there, back) = (&out.flows[0], &out.flows[1]);
    assert_eq!((there.src_addr, there.bytes, there.packets), (Ip::v4([10, 0, 0, 1]), Some(9000), 9));
    assert_eq!((back.src_addr, back.dst_addr), (there.dst_addr, there.src_addr));
    assert_eq!((back.bytes, back.packets, back.tcp_flags), (Some(5000), 5, 0x12));
    assert_eq!((back.src_port, back.dst_port, back.in_if, back.out_if), (443, 40_000, 7, 3));
    assert_eq!((back.src_as_exported, back.dst_as_exported), (64_501, 64_500));
    assert_eq!((there.record_index, back.record_index, out.flows[2].record_index), (0, 1, 2));
    assert_eq!((back.received, back.spread_end, back.family), (there.received, there.spread_end, 4));
    assert_eq!(back.observation, Observation::Unknown, "it came in where the other one left");
    assert!(back.q.unwrap() >= 5000 * 1000);
}

#[test]
fn times_of_the_reverse_direction_are_its_own_where_they_are_told() {
    let now = u64::from(EXPORTED) * 1000;
    let fields = [f(152, 8), f(153, 8), back(152, 8), back(153, 8), f(1, 4), back(1, 4)];
    let record = bytes().u64(now - 9000).u64(now - 2000).u64(now - 8000).u64(now - 1000).u32(100).u32(200).0;
    let flows = decode(&ipfix(1, &[set(2, template(256, &fields)), set(256, record)])).flows;
    assert_eq!(
        (flows[0].flow_start.0, flows[1].flow_start.0),
        ((now as i64 - 9000) * 1_000_000, (now as i64 - 8000) * 1_000_000)
    );
    assert_eq!(flows[1].spread_end.0, RECEIVED - 1_000_000_000);
    let same = [f(152, 8), f(153, 8), f(1, 4), back(1, 4)];
    let record = bytes().u64(now - 9000).u64(now - 2000).u32(100).u32(200).0;
    let flows = decode(&ipfix(1, &[set(2, template(256, &same)), set(256, record)])).flows;
    assert_eq!(flows[1].spread_start, flows[0].spread_start);
}

#[test]
fn times_of_the_reverse_direction_have_all_forms_that_others_have() {
    let seconds = u64::from(EXPORTED);
    let ntp = |ago: u64| ((seconds - ago + 2_208_988_800) << 32).to_be_bytes().to_vec();
    let millis = |ago: u64| (seconds * 1000 - ago * 1000).to_be_bytes().to_vec();
    let four = |n: u64| (n as u32).to_be_bytes().to_vec();
    let up = |ago: u64| four(u64::from(UPTIME) - ago * 1000);
    // Elements of start and end, or of one and a duration, with their values for 8 and for 1 second before the export.
    type Case = (&'static str, [u16; 2], [Vec<u8>; 2]);
    let cases: Vec<Case> = vec![
        ("seconds", [150, 151], [four(seconds - 8), four(seconds - 1)]),
        ("milliseconds", [152, 153], [millis(8), millis(1)]),
        ("microseconds", [154, 155], [ntp(8), ntp(1)]),
        ("nanoseconds", [156, 157], [ntp(8), ntp(1)]),
        ("deltas", [158, 159], [four(8_000_000), four(1_000_000)]),
        ("uptimes", [22, 21], [up(8), up(1)]),
        ("a duration in milliseconds", [152, 161], [millis(8), four(7000)]),
        ("a duration in microseconds", [162, 151], [four(7_000_000), four(seconds - 1)]),
    ];
    for (name, [start, end], [first, last]) in cases {
        let times = [(start, &first), (end, &last)];
        let times = times.map(|(id, value)| back(id, value.len() as u16));
        let fields = [&[f(150, 4), f(151, 4), f(1, 4), back(1, 4), f(160, 8)], &times[..]].concat();
        let init = seconds * 1000 - u64::from(UPTIME);
        let record =
            bytes().u32(EXPORTED - 10).u32(EXPORTED - 2).u32(100).u32(200).u64(init).raw(&first).raw(&last).0;
        let flows = decode(&ipfix(1, &[set(2, template(256, &fields)), set(256, record)])).flows;
        let ago = |flow: &Kept| {
            [flow.flow_start, flow.flow_end].map(|at| i64::from(EXPORTED) - at.0 / 1_000_000_000)
        };
        assert_eq!([ago(&flows[0]), ago(&flows[1])], [[10, 2], [8, 1]], "{name}");
    }
}

#[test]
fn counters_of_either_direction_are_clamped_and_flagged_for_themselves() {
    // With as many packets as bytes Q is within its own bound, which the same flag is for.
    let fields = [f(1, 8), f(2, 8), back(1, 8), back(2, 8)];
    const MOST: u64 = MAX_COUNT;
    for (counts, clamped) in [
        ([MOST; 4], [false, false]),
        ([MOST + 1, MOST, MOST, MOST], [true, false]),
        ([MOST, MOST + 1, MOST, MOST], [true, false]),
        ([MOST, MOST, MOST + 1, MOST], [false, true]),
        ([MOST, MOST, MOST, u64::MAX], [false, true]),
    ] {
        let record: Vec<u8> = counts.into_iter().flat_map(u64::to_be_bytes).collect();
        let flows = decode(&ipfix(1, &[set(2, template(256, &fields)), set(256, record)])).flows;
        let flagged: Vec<_> = flows.iter().map(|flow| flags(flow).contains(&"counter_clamped")).collect();
        assert_eq!(flagged, clamped, "{counts:?}");
        assert!(flows.iter().all(|flow| (flow.bytes, flow.packets) == (Some(MOST), MOST)), "{counts:?}");
    }
}

#[test]
fn a_firewalls_initiator_and_responder_are_both_counted() {
    let fields = [f(8, 4), f(12, 4), f(233, 1), f(231, 4), f(232, 4)];
    let record = bytes().raw([10, 0, 0, 1, 10, 0, 0, 2]).u8(2).u32(100).u32(300).0;
    let flows = decode(&v9(1, &[set(0, template(256, &fields)), set(256, record)])).flows;
    assert_eq!(flows.iter().map(|flow| flow.bytes).collect::<Vec<_>>(), [Some(100), Some(300)]);
    assert!(flows.iter().all(|flow| flow.flow_kind == FlowKind::Event));
    assert_eq!(flows[1].src_addr, Ip::v4([10, 0, 0, 2]));
}

#[test]
fn the_other_direction_is_counted_by_the_family_that_counts_the_forward_one() {
    // Fields, and what each direction has of bytes, packets and bytes of layer 2, where each field counts its place.
    type Sums = (Option<u64>, u64, Option<u64>);
    let cases: &[(&[F], Sums, Option<Sums>)] = &[
        (&[f(1, 4), back(1, 4), f(231, 4), f(232, 4)], (Some(1), 0, None), Some((Some(2), 0, None))),
        (&[f(231, 4), f(232, 4), back(1, 4)], (Some(1), 0, None), Some((Some(2), 0, None))),
        (&[f(231, 4), f(232, 4), f(1, 4)], (Some(3), 0, None), None),
        (&[f(85, 4), back(1, 4), back(85, 4)], (Some(1), 0, None), Some((Some(3), 0, None))),
        (&[f(85, 4), f(23, 4), f(231, 4), f(232, 4)], (Some(1), 0, None), None),
        (&[f(231, 4), f(232, 4), f(23, 4)], (Some(3), 0, None), None),
        (&[f(2, 4), f(298, 4), f(299, 4), back(2, 4)], (None, 1, None), Some((None, 4, None))),
        (&[f(299, 4), f(298, 4), back(86, 4)], (None, 2, None), Some((None, 1, None))),
        (&[f(353, 4), back(352, 4), back(353, 4)], (None, 0, Some(1)), Some((None, 0, Some(3)))),
        // Each kind for itself, and one that counts the other direction alone.
        (&[f(1, 4), back(1, 4), f(298, 4), f(299, 4)], (Some(1), 3, None), Some((Some(2), 4, None))),
        (&[f(2, 4), f(232, 4)], (None, 1, None), Some((Some(2), 0, None))),
    ];
    for (fields, there, back) in cases {
        let record: Vec<u8> = (1..=fields.len() as u32).flat_map(u32::to_be_bytes).collect();
        let flows = decode(&ipfix(1, &[set(2, template(256, fields)), set(256, record)])).flows;
        let sums: Vec<Sums> = flows.iter().map(|flow| (flow.bytes, flow.packets, flow.bytes_l2)).collect();
        let wanted: Vec<Sums> = std::iter::once(*there).chain(*back).collect();
        assert_eq!(sums, wanted, "{fields:?}");
    }
}

#[test]
fn two_flows_of_a_record_are_one_in_the_sequence_and_have_indexes_of_their_own_when_they_waited() {
    let mut router = Router::default();
    let message = |number: u32, sets: &[Vec<u8>]| {
        let mut message = ipfix(1, sets);
        message[8..12].copy_from_slice(&number.to_be_bytes());
        message
    };
    router.send(&message(0, &[set(2, template(256, FIELDS))]));
    for n in 0..6 {
        router.send(&message(n * 2, &[set(256, [record(9000, 5000), record(1, 1)].concat())]));
    }
    let session = &router.exporter.sessions()[0];
    assert_eq!(
        (session.unit, session.received, session.missing, session.restarts),
        (Unit::Records, 12, 0, 0)
    );
    assert_eq!((router.counts.flows, router.counts.reverse_flows), (24, 12));

    // A record of one byte that counts backwards only has one index to itself, and waits for it.
    let short = [back(1, 1)];
    let sets = [set(300, [7, 8, 9]), set(256, record(9000, 5000)), set(2, template(300, &short))];
    let out = router.send(&message(12, &sets));
    let indexes: Vec<_> = out.flows.iter().map(|flow| flow.record_index).collect();
    let mut once = indexes.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), indexes.len(), "{indexes:?}");
}
