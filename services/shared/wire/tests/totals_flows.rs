//! Which flow a record is of, where counters run on: docs/counting.md, "Bytes".
#![allow(missing_docs, reason = "tests read as sentences")]

mod build;

use build::running::*;
use build::*;

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
