//! What the elements of NetFlow and IPFIX mean as columns: bytes, Q, times, observation, and everything else.
#![allow(missing_docs, reason = "tests read as sentences")]

mod build;

use build::*;
use weir_schemas::value::{MAX_COUNT, MAX_Q};
use weir_schemas::{Flow, FlowKind, Ip, Mac, Observation, Protocol, RateSource, Time, Tunnel};
use weir_wire::Reason;

const SECOND: i64 = 1_000_000_000;

/// The one flow of an IPFIX record of these fields.
fn ipfix_flow(fields: &[F], value: impl AsRef<[u8]>) -> Kept {
    one(&ipfix(1, &[set(2, template(256, fields)), set(256, value)]))
}

/// The one flow of a v9 record of these fields.
fn v9_flow(fields: &[F], value: impl AsRef<[u8]>) -> Kept {
    one(&v9(1, &[set(0, template(256, fields)), set(256, value)]))
}

fn v6(last: u8) -> [u8; 16] {
    let mut address = [0; 16];
    address[..4].copy_from_slice(&[0x20, 1, 0xd, 0xb8]);
    address[15] = last;
    address
}

#[test]
fn a_v5_record_fills_its_columns() {
    let first = UPTIME - 10_000;
    let flow = one(&v5(0x4000 | 64, &[v5_record(3, 3000, first, UPTIME - 1000)]));
    let exported = i64::from(EXPORTED) * SECOND + SECOND / 2;
    assert_eq!((flow.protocol, flow.flow_kind, flow.family), (Protocol::NetflowV5, FlowKind::Flow, 4));
    assert_eq!((flow.raw_offset, flow.frame_index, flow.record_index), (0, 3, 0));
    assert_eq!((flow.received, flow.exported), (Time(RECEIVED), Time(exported)));
    assert_eq!((flow.flow_start, flow.flow_end), (Time(exported - 10 * SECOND), Time(exported - SECOND)));
    assert_eq!((flow.spread_start, flow.spread_end), (Time(RECEIVED - 10 * SECOND), Time(RECEIVED - SECOND)));
    assert_eq!((flow.exporter_id, flow.observation_domain), (Ip::v4([192, 0, 2, 1]), 0x0102));
    assert_eq!((flow.src_addr, flow.dst_addr), (Ip::v4([10, 0, 0, 1]), Ip::v4([10, 0, 0, 2])));
    assert_eq!((flow.next_hop, flow.bgp_next_hop), (Ip::v4([10, 0, 0, 254]), Ip::default()));
    assert_eq!((flow.src_port, flow.dst_port, flow.in_if, flow.out_if), (1024, 443, 3, 7));
    assert_eq!((flow.proto, flow.tcp_flags, flow.tos), (6, 0x1b, 0x20));
    assert_eq!((flow.src_as_exported, flow.dst_as_exported), (64500, 64501));
    assert_eq!((flow.src_prefix_len, flow.dst_prefix_len), (24, 16));
    assert_eq!((flow.bytes, flow.packets, flow.bytes_l2, flow.q_l2), (Some(3000), 3, None, None));
    assert_eq!(flow.q, Some(1540 * 3000 - 3 * 40 * 1500));
    assert_eq!(flags(&flow), ["observation_assumed", "q_bound"]);
    // What enrichment fills is left alone.
    assert_eq!((flow.src_as, flow.dst_as, flow.in_if_name, flow.src_country.as_str()), (0, 0, "", ""));
}

#[test]
fn records_of_versions_1_and_7_say_what_those_of_version_5_do() {
    let first = UPTIME - 10_000;
    let record = v5_record(3, 3000, first, UPTIME - 1000);
    // Up to the ports all are alike.
    let (ways, rest) = record.split_at(36);
    let of_1 = bytes().raw(ways).u16(0).u8(6).u8(0x20).u8(0x1b).raw([0xee; 7]).0;
    let of_7 = bytes().raw(ways).raw(rest).raw([10, 9, 9, 9]).0;
    let five = one(&v5(0, std::slice::from_ref(&record)));
    let one_ = one(&without_templates(1, 0, &[of_1]));
    let seven = one(&without_templates(7, 0, &[of_7]));
    let like_five = |protocol| Flow { protocol, ..*five };
    assert_eq!(
        *seven,
        like_five(Protocol::NetflowV7),
        "and what stands where version 5 has its sampling is nothing"
    );
    let none = Flow {
        observation_domain: 0,
        src_as_exported: 0,
        dst_as_exported: 0,
        src_prefix_len: 0,
        dst_prefix_len: 0,
        ..like_five(Protocol::NetflowV1)
    };
    assert_eq!(*one_, none);
}

#[test]
fn records_of_all_versions_lie_one_behind_the_other() {
    for (version, scheme, length, octets_at) in
        [(1, 0, 48, 20), (7, 0, 52, 20), (8, 1, 28, 8), (8, 8, 44, 16)]
    {
        let record = |octets: u32| {
            let mut record = vec![0; length];
            record[octets_at..octets_at + 4].copy_from_slice(&octets.to_be_bytes());
            record
        };
        let whole = without_templates(version, scheme, &[record(7), record(70_000), record(9)]);
        let bytes = |datagram: &[u8]| {
            let out = decode(datagram);
            let bytes: Vec<_> = out.flows.iter().map(|flow| flow.bytes.unwrap()).collect();
            (bytes, out.faults.iter().map(|fault| fault.reason).collect::<Vec<_>>())
        };
        assert_eq!(bytes(&whole), (vec![7, 70_000, 9], vec![]), "v{version}, {scheme}");
        assert_eq!(bytes(&whole[..whole.len() - 1]), (vec![7, 70_000], vec![Reason::Truncated]));
        // The Catalyst's are filled up with zeros, and with nothing else.
        let behind = |last: u8| bytes(&[&whole[..], &[0, 0, last]].concat()).1;
        let trailing = vec![Reason::TrailingBytes];
        assert_eq!(behind(0), if scheme == 8 { vec![] } else { trailing.clone() }, "v{version}, {scheme}");
        assert_eq!(behind(1), trailing, "v{version}, {scheme}");
        let mut many = whole.clone();
        many[2..4].copy_from_slice(&u16::MAX.to_be_bytes());
        assert_eq!(bytes(&many), (vec![7, 70_000, 9], vec![Reason::Truncated]));
    }
    for length in 2..28 {
        let short = &without_templates(8, 1, &[])[..length];
        assert_eq!(decode(short).faults[0].reason, Reason::Truncated, "{length}");
    }
}

#[test]
fn aggregates_of_version_8_fill_what_their_scheme_knows() {
    let (src, dst) = (Ip::v4([10, 1, 0, 0]), Ip::v4([10, 2, 0, 0]));
    let exported = i64::from(EXPORTED) * SECOND + SECOND / 2;
    for (scheme, record) in (1..).zip(aggregate::records()) {
        let flow = one(&without_templates(8, scheme, &[record]));
        assert_eq!((flow.protocol, flow.family), (Protocol::NetflowV8, 4));
        assert_eq!(flow.observation_domain, u32::from(scheme) << 16 | 0x0102);
        assert_eq!((flow.sampling_interval, flow.rate_source), (0, RateSource::Unknown), "{scheme}");
        assert_eq!((flow.bytes, flow.packets), (Some(4000), 40), "{scheme}");
        assert_eq!((flow.flow_start, flow.flow_end), (Time(exported - 10 * SECOND), Time(exported - SECOND)));
        let has = |schemes: &[u8]| schemes.contains(&scheme);
        let (by_src, by_dst) = (has(&[3, 5, 7, 8, 11, 13, 14]), has(&[4, 5, 6, 7, 8, 12, 13, 14]));
        assert_eq!(flow.src_addr, if by_src { src } else { Ip::default() }, "{scheme}");
        assert_eq!(flow.dst_addr, if by_dst { dst } else { Ip::default() }, "{scheme}");
        let if_any = |schemes: &[u8], value: u32| if has(schemes) { value } else { 0 };
        assert_eq!(u32::from(flow.src_prefix_len), if_any(&[3, 5, 11, 13, 14], 16), "{scheme}");
        assert_eq!(u32::from(flow.dst_prefix_len), if_any(&[4, 5, 12, 13, 14], 24), "{scheme}");
        assert_eq!(flow.src_as_exported, if_any(&[1, 3, 5, 9, 11, 13], 64_500), "{scheme}");
        assert_eq!(flow.dst_as_exported, if_any(&[1, 4, 5, 9, 12, 13], 64_501), "{scheme}");
        assert_eq!(flow.in_if, if_any(&[1, 3, 5, 7, 8, 9, 10, 11, 13, 14], 3), "{scheme}");
        assert_eq!(flow.out_if, if_any(&[1, 4, 5, 6, 7, 8, 9, 10, 12, 13, 14], 7), "{scheme}");
        assert_eq!(u32::from(flow.src_port), if_any(&[2, 8, 10, 14], 53), "{scheme}");
        assert_eq!(u32::from(flow.dst_port), if_any(&[2, 8, 10, 14], 5353), "{scheme}");
        assert_eq!(u32::from(flow.proto), if_any(&[2, 8, 10, 14], 17), "{scheme}");
        assert_eq!(u32::from(flow.tos), if_any(&[6, 7, 8, 9, 10, 11, 12, 13, 14], 0x20), "{scheme}");
    }
    let mut other_version = without_templates(8, 1, &[vec![0; 28]]);
    other_version[23] = 3;
    for (datagram, says) in [
        (without_templates(8, 15, &[vec![0; 40]]), "scheme 15 of aggregation in version 2"),
        (other_version, "scheme 1 of aggregation in version 3"),
    ] {
        let out = decode(&datagram);
        assert_eq!((out.flows.len(), out.faults[0].reason), (0, Reason::UnsupportedVersion));
        assert!(out.faults[0].sentence.contains(says), "{}", out.faults[0].sentence);
    }
}

#[test]
fn a_v5_datagram_that_lacks_records_gives_the_whole_ones_and_a_fault() {
    let whole = v5(0, &[v5_record(1, 60, 0, 0), v5_record(2, 120, 0, 0)]);
    let out = decode(&whole[..whole.len() - 1]);
    assert_eq!((out.flows.len(), out.faults.len()), (1, 1));
    assert_eq!((out.faults[0].reason, out.faults[0].offset), (Reason::Truncated, 72));
    let out = decode(&[&whole[..], &[1, 2, 3]].concat());
    assert_eq!((out.flows.len(), out.faults[0].reason), (2, Reason::TrailingBytes));
    let out = decode(&whole[..30]);
    assert_eq!(
        (out.flows.len(), out.faults[0].reason, out.faults[0].bytes.len()),
        (0, Reason::Truncated, 30)
    );
}

#[test]
fn a_record_of_22_fields_fills_its_columns_in_both_protocols() {
    let n = 0x1234;
    let v9 = v9_flow(FIELDS_22, record_22(n, false));
    let ipfix = ipfix_flow(FIELDS_22_IPFIX, record_22(n, true));
    for flow in [&v9, &ipfix] {
        assert_eq!(
            (flow.src_addr, flow.dst_addr),
            (Ip::v4([10, 0, 0x12, 0x34]), Ip::v4([198, 51, 100, 0x34]))
        );
        assert_eq!((flow.next_hop, flow.bgp_next_hop), (Ip::v4([192, 0, 2, 1]), Ip::v4([192, 0, 2, 2])));
        assert_eq!((flow.in_if, flow.out_if), (3, 7 + n % 4));
        assert_eq!((flow.src_port, flow.dst_port, flow.proto), (1024 + n as u16, 443, 6));
        assert_eq!((flow.tcp_flags, flow.tos), (0x1b, 0));
        assert_eq!((flow.src_as_exported, flow.dst_as_exported), (64500, 64501 + n % 100));
        assert_eq!((flow.src_prefix_len, flow.dst_prefix_len, flow.sampler), (24, 16, 1));
        assert_eq!((flow.observation, flow.forwarding_status), (Observation::Ingress, Some(64)));
        let packets = u64::from(1 + n % 13);
        assert_eq!((flow.packets, flow.bytes), (packets, Some(packets * u64::from(60 + n * 97 % 1400))));
        assert_eq!(flow.spread_end.0 - flow.spread_start.0, 30 * SECOND - i64::from(n % 1000) * 1_000_000);
        assert_eq!(flow.spread_end.0, RECEIVED - i64::from(n % 1000) * 1_000_000);
    }
    assert_eq!((v9.protocol, ipfix.protocol), (Protocol::NetflowV9, Protocol::Ipfix));
}

#[test]
fn ipv6_records_and_records_of_templates_for_both_families_are_told_apart() {
    let six = [f(27, 16), f(28, 16), f(29, 1), f(30, 1), f(31, 3), f(62, 16), f(63, 16), f(139, 2), f(4, 1)];
    let value = bytes().raw(v6(1)).raw(v6(2)).raw([48, 64]).raw([1, 2, 3]).raw(v6(3)).raw(v6(4));
    let flow = ipfix_flow(&six, value.raw([128, 0, 58]).0);
    assert_eq!((flow.family, flow.src_addr, flow.dst_addr), (6, Ip(v6(1)), Ip(v6(2))));
    assert_eq!((flow.src_prefix_len, flow.dst_prefix_len, flow.flow_label), (48, 64, Some(0x0001_0203)));
    assert_eq!((flow.next_hop, flow.bgp_next_hop), (Ip(v6(3)), Ip(v6(4))));
    assert_eq!((flow.icmp_type, flow.icmp_code), (Some(128), Some(0)));

    let both = [f(8, 4), f(12, 4), f(27, 16), f(28, 16), f(31, 4)];
    let four = v9_flow(&both, bytes().raw([10, 0, 0, 1, 10, 0, 0, 2]).raw([0; 36]).0);
    assert_eq!((four.family, four.src_addr, four.flow_label), (4, Ip::v4([10, 0, 0, 1]), None));
    let six = v9_flow(&both, bytes().raw([0; 8]).raw(v6(1)).raw(v6(2)).u32(5).0);
    assert_eq!((six.family, six.src_addr, six.flow_label), (6, Ip(v6(1)), Some(5)));
    let none = v9_flow(&[f(56, 6), f(1, 4)], [2, 0, 0, 0, 0, 1, 0, 0, 0, 64]);
    assert_eq!((none.family, none.src_addr, none.src_mac), (0, Ip::default(), Mac([2, 0, 0, 0, 0, 1])));
}

#[test]
fn layer_2_columns_come_from_their_elements() {
    let fields = [
        f(56, 6),
        f(80, 6),
        f(58, 2),
        f(59, 2),
        f(256, 2),
        f(70, 3),
        f(71, 3),
        f(72, 3),
        f(234, 4),
        f(235, 4),
    ];
    let value = bytes()
        .raw([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2])
        .u16(100)
        .u16(200)
        .u16(0x0800)
        .raw([0x00, 0x06, 0x40, 0x00, 0x0c, 0x81, 0, 0, 0])
        .u32(5)
        .u32(6);
    let flow = ipfix_flow(&fields, value.0);
    assert_eq!((flow.src_mac, flow.dst_mac), (Mac([2, 0, 0, 0, 0, 1]), Mac([2, 0, 0, 0, 0, 2])));
    assert_eq!((flow.src_vlan, flow.dst_vlan, flow.ethertype), (100, 200, 0x0800));
    assert_eq!(flow.labels, [100, 200]);
    assert_eq!((flow.in_vrf, flow.out_vrf), (Some(5), Some(6)));
    let post = ipfix_flow(
        &[f(81, 6), f(57, 6), f(243, 2), f(254, 2)],
        [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0, 7, 0, 8],
    );
    assert_eq!((post.src_mac, post.dst_mac), (flow.src_mac, flow.dst_mac));
    assert_eq!((post.src_vlan, post.dst_vlan), (7, 8));
}

#[test]
fn the_rest_of_the_columns_come_from_their_elements() {
    let fields = [f(128, 4), f(129, 4), f(54, 4), f(88, 2), f(52, 1), f(302, 8), f(89, 1)];
    let value = bytes().u32(64510).u32(64511).u32(99).u16(185).u8(63).u64(1 << 40).u8(0x82);
    let flow = ipfix_flow(&fields, value.0);
    assert_eq!((flow.dst_neighbour_as, flow.src_neighbour_as), (64510, 64511));
    assert_eq!((flow.fragment_id, flow.fragment_offset, flow.ttl), (Some(99), Some(185), Some(63)));
    assert_eq!((flow.sampler, flow.forwarding_status), (1 << 40, Some(0x82)));
    assert!(flags(&flow).contains(&"discarded"));
    let ports = ipfix_flow(&[f(180, 2), f(181, 2), f(182, 2), f(183, 2)], bytes().u16(53).u16(99).u32(0).0);
    assert_eq!((ports.src_port, ports.dst_port), (53, 99));
}

#[test]
fn the_physical_port_is_the_interface_where_the_logical_one_is_not_exported() {
    let physical = ipfix_flow(&[f(252, 4), f(253, 4)], bytes().u32(11).u32(12).0);
    assert_eq!((physical.in_if, physical.out_if), (11, 12));
    let fields = [f(10, 4), f(14, 4), f(252, 4), f(253, 4)];
    let of = |a: u32, b: u32| {
        let flow = ipfix_flow(&fields, bytes().u32(a).u32(b).u32(11).u32(12).0);
        (flow.in_if, flow.out_if)
    };
    assert_eq!([of(1, 2), of(0, 2), of(1, 0)], [(1, 2), (11, 2), (1, 12)]);
}

#[test]
fn icmp_type_and_code_come_from_their_own_elements_or_in_netflow_from_the_port() {
    let own = ipfix_flow(&[f(4, 1), f(32, 2)], [1, 3, 4]);
    assert_eq!((own.icmp_type, own.icmp_code), (Some(3), Some(4)));
    let apart = ipfix_flow(&[f(4, 1), f(178, 1), f(179, 1)], [58, 135, 0]);
    assert_eq!((apart.icmp_type, apart.icmp_code), (Some(135), Some(0)));
    let port = v9_flow(&[f(4, 1), f(11, 2)], [1, 8, 0]);
    assert_eq!((port.icmp_type, port.icmp_code, port.dst_port), (Some(8), Some(0), 0x0800));
    let not_icmp = v9_flow(&[f(4, 1), f(11, 2), f(32, 2)], [6, 8, 0, 0, 0]);
    assert_eq!((not_icmp.icmp_type, not_icmp.icmp_code), (None, None));
    let ipfix = ipfix_flow(&[f(4, 1), f(11, 2)], [1, 8, 0]);
    assert_eq!(ipfix.icmp_type, None, "IPFIX has elements of its own for it");
    // Type 32 of v9 is of either family (RFC 3954); what is of the record's own counts before it.
    for (fields, record, wanted) in [
        (&[f(4, 1), f(32, 2)][..], &[58, 128, 1][..], (Some(128), Some(1))),
        (&[f(4, 1), f(139, 2)], &[1, 8, 2], (Some(8), Some(2))),
        (&[f(4, 1), f(32, 2), f(139, 2)], &[58, 8, 2, 128, 1], (Some(128), Some(1))),
        (&[f(4, 1), f(139, 2), f(32, 2)], &[1, 128, 1, 8, 2], (Some(8), Some(2))),
        (&[f(4, 1), f(32, 2), f(178, 1)], &[58, 8, 2, 128], (Some(128), None)),
        (&[f(4, 1), f(32, 2), f(179, 1)], &[58, 8, 2, 3], (None, Some(3))),
        (&[f(4, 1), f(176, 1), f(139, 2)], &[1, 11, 128, 1], (Some(11), None)),
    ] {
        for flow in [v9_flow(fields, record), ipfix_flow(fields, record)] {
            assert_eq!((flow.icmp_type, flow.icmp_code), wanted, "{fields:?}");
        }
    }
}

#[test]
fn prefixes_are_the_addresses_of_an_aggregate_and_count_behind_those_of_packets() {
    let four = |last: u8| vec![10, 0, 0, last];
    let six = |last: u8| v6(last).to_vec();
    let (own4, own6) = (|last| Ip::v4([10, 0, 0, last]), |last| Ip(v6(last)));
    let none = Ip::default();
    // Fields with their values, the family, addresses and lengths.
    type Case<'t> = (&'t [(u16, Vec<u8>)], u8, (Ip, Ip), (u8, u8));
    let cases: [Case<'_>; 14] = [
        (&[(44, four(1)), (9, vec![24]), (45, four(2)), (13, vec![16])], 4, (own4(1), own4(2)), (24, 16)),
        (&[(170, six(1)), (29, vec![48]), (169, six(2)), (30, vec![32])], 6, (own6(1), own6(2)), (48, 32)),
        (&[(44, four(1)), (9, vec![24])], 4, (own4(1), none), (24, 0)),
        (&[(169, six(2)), (30, vec![32])], 6, (none, own6(2)), (0, 32)),
        (&[(44, four(1)), (8, four(3)), (12, four(4)), (45, four(2))], 4, (own4(3), own4(4)), (0, 0)),
        (&[(8, four(3)), (12, four(4)), (44, four(1)), (45, four(2))], 4, (own4(3), own4(4)), (0, 0)),
        (&[(170, six(1)), (27, six(3)), (28, six(4)), (169, six(2))], 6, (own6(3), own6(4)), (0, 0)),
        (&[(44, four(1)), (27, six(3)), (28, six(4)), (45, four(2))], 6, (own6(3), own6(4)), (0, 0)),
        (&[(8, four(3)), (45, four(2)), (13, vec![16])], 4, (own4(3), own4(2)), (0, 16)),
        (&[(27, six(3)), (45, four(2)), (169, six(2))], 6, (own6(3), own6(2)), (0, 0)),
        (
            &[(44, four(1)), (45, four(2)), (170, vec![0; 16]), (169, vec![0; 16])],
            4,
            (own4(1), own4(2)),
            (0, 0),
        ),
        (&[(44, vec![0; 4]), (45, vec![0; 4]), (170, six(1)), (169, six(2))], 6, (own6(1), own6(2)), (0, 0)),
        (&[(60, vec![6]), (44, four(1)), (170, six(1)), (30, vec![32])], 6, (own6(1), none), (0, 32)),
        (&[(60, vec![4]), (44, vec![0; 4]), (170, six(1)), (13, vec![8])], 4, (Ip::v4([0; 4]), none), (0, 8)),
    ];
    for (told, family, addresses, lengths) in cases {
        let fields: Vec<F> = told.iter().map(|(id, value)| f(*id, value.len() as u16)).collect();
        let record: Vec<u8> = told.iter().flat_map(|(_, value)| value.clone()).collect();
        for flow in [v9_flow(&fields, &record), ipfix_flow(&fields, &record)] {
            assert_eq!(flow.family, family, "{fields:?}");
            assert_eq!((flow.src_addr, flow.dst_addr), addresses, "{fields:?}");
            assert_eq!((flow.src_prefix_len, flow.dst_prefix_len), lengths, "{fields:?}");
        }
    }
    let hops = [f(15, 4), f(62, 16), f(169, 16)];
    let flow = v9_flow(&hops, [four(9), six(9), six(2)].concat());
    assert_eq!(flow.next_hop, own6(9), "a next hop is of the prefix's family");
}

#[test]
fn observation_is_as_exported_and_else_assumed() {
    for (value, wanted, assumed) in [
        (0, Observation::Ingress, false),
        (1, Observation::Egress, false),
        (255, Observation::Unknown, true),
        (7, Observation::Unknown, true),
    ] {
        let flow = v9_flow(&[f(61, 1), f(1, 4), f(2, 4)], bytes().u8(value).u32(60).u32(1).0);
        assert_eq!(flow.observation, wanted, "IE 61 = {value}");
        assert_eq!(flags(&flow).contains(&"observation_assumed"), assumed, "IE 61 = {value}");
    }
}

#[test]
fn times_of_every_form_are_anchored_at_the_receive_time() {
    let seconds = u64::from(EXPORTED);
    let ntp = |ms: u64| ((seconds + 2_208_988_800) << 32) - (ms << 32) / 1000;
    let forms: &[(&str, [F; 2], u64, u64)] = &[
        ("seconds", [f(150, 4), f(151, 4)], seconds - 10, seconds - 2),
        ("milliseconds", [f(152, 8), f(153, 8)], seconds * 1000 - 10_000, seconds * 1000 - 2000),
        ("microseconds", [f(154, 8), f(155, 8)], ntp(10_000), ntp(2000)),
        ("nanoseconds", [f(156, 8), f(157, 8)], ntp(10_000), ntp(2000)),
        ("deltas", [f(158, 4), f(159, 4)], 10_000_000, 2_000_000),
    ];
    for (name, fields, start, end) in forms {
        let put = |bytes: Bytes, F(_, length, _): F, n: u64| {
            if length == 4 { bytes.u32(n as u32) } else { bytes.u64(n) }
        };
        let value = put(put(bytes(), fields[0], *start), fields[1], *end);
        let flow = ipfix_flow(fields, value.0);
        assert_eq!(flow.spread_start.0, RECEIVED - 10 * SECOND, "{name}");
        assert_eq!(flow.spread_end.0, RECEIVED - 2 * SECOND, "{name}");
        assert_eq!(flow.flow_end.0, (i64::from(EXPORTED) - 2) * SECOND, "{name}");
    }
}

#[test]
fn uptimes_of_ipfix_need_the_systems_start_from_the_record_or_from_options_data() {
    let init = u64::from(EXPORTED) * 1000 - u64::from(UPTIME);
    let uptimes = bytes().u32(UPTIME - 10_000).u32(UPTIME - 2000);
    let own = ipfix_flow(&[f(22, 4), f(21, 4), f(160, 8)], uptimes.clone().u64(init).0);
    assert_eq!((own.spread_start.0, own.spread_end.0), (RECEIVED - 10 * SECOND, RECEIVED - 2 * SECOND));

    let mut router = Router::default();
    let data = ipfix(1, &[set(2, template(256, &[f(22, 4), f(21, 4)])), set(256, uptimes.0)]);
    let without = router.send(&data).flows[0].clone();
    assert_eq!(
        (without.spread_end.0, without.flow_end.0, flags(&without)),
        (RECEIVED, 0, vec!["observation_assumed"])
    );
    let options = ipfix_options_template(300, &[f(149, 4)], &[f(160, 8)]);
    router.send(&ipfix(1, &[set(3, options), set(300, bytes().u32(1).u64(init).0)]));
    let with = &router.send(&data).flows[0];
    assert_eq!((with.spread_start.0, with.spread_end.0), (RECEIVED - 10 * SECOND, RECEIVED - 2 * SECOND));
}

#[test]
fn what_ipfix_domain_0_says_of_the_systems_start_is_of_every_domain_that_has_none_of_its_own() {
    let init = u64::from(EXPORTED) * 1000 - u64::from(UPTIME);
    let options = set(3, ipfix_options_template(300, &[f(149, 4)], &[f(160, 8)]));
    let start = |of: u32, ago: u64| set(300, bytes().u32(of).u64(init - ago * 1000).0);
    let described = set(2, template(256, &[f(21, 4)]));
    let data = set(256, bytes().u32(UPTIME - 2000).0);
    // Rows that a domain sends, what is sent for, and how long ago the flow of domain 1 ended.
    for (what, domain, rows, wanted) in [
        ("none", 1, vec![], None),
        ("of the process", 0, vec![start(0, 0)], Some(2)),
        ("of the process, and of the domain", 0, vec![start(0, 50), start(1, 0)], Some(2)),
        ("of the domain, and of the process", 0, vec![start(1, 0), start(0, 50)], Some(2)),
        ("of another domain, by the process", 0, vec![start(7, 0)], None),
        ("of another domain", 7, vec![start(7, 0)], None),
        ("of the domain, by another", 7, vec![start(1, 0)], Some(2)),
    ] {
        let said = ipfix(domain, &[vec![options.clone()], rows].concat());
        let ago = |flow: &Kept| {
            (flow.flow_end.0 != 0).then(|| (i64::from(EXPORTED) * SECOND - flow.flow_end.0) / SECOND)
        };
        let mut router = Router::default();
        router.send(&said);
        let now = router.send(&ipfix(1, &[described.clone(), data.clone()]));
        assert_eq!(now.flows.iter().map(ago).collect::<Vec<_>>(), [wanted], "{what}");
        // So too where the data waited, and came before.
        let mut late = Router::default();
        late.send(&ipfix(1, std::slice::from_ref(&data)));
        late.send(&said);
        let late = late.send(&ipfix(1, std::slice::from_ref(&described)));
        assert_eq!(late.flows.iter().map(ago).collect::<Vec<_>>(), [wanted], "{what}, late");
    }
}

#[test]
fn the_time_of_an_observation_counts_where_no_end_is_told_or_can_be_placed() {
    let (seconds, init) = (u64::from(EXPORTED), u64::from(EXPORTED) * 1000 - u64::from(UPTIME));
    let ntp = ((seconds - 3 + 2_208_988_800) << 32).to_be_bytes();
    let millis = (seconds * 1000 - 3000).to_be_bytes();
    let whole = (EXPORTED - 3).to_be_bytes();
    let observed: [(F, &[u8]); 4] =
        [(f(322, 4), &whole), (f(323, 8), &millis), (f(324, 8), &ntp), (f(325, 8), &ntp)];
    for (field, value) in observed {
        let uptime = bytes().u32(UPTIME - 5000).raw(value);
        let after = |flow: &Kept| (flow.spread_end.0 - RECEIVED) / SECOND;
        let name = field.0;
        assert_eq!(after(&ipfix_flow(&[field], value)), -3, "{name} alone");
        assert_eq!(
            after(&ipfix_flow(&[f(21, 4), field], &uptime.0)),
            -3,
            "{name} without a start of the system"
        );
        assert_eq!(
            after(&v9_flow(&[f(21, 4), field], &uptime.0)),
            -5,
            "{name}, and the header has an uptime"
        );
        let placed = ipfix_flow(&[f(21, 4), field, f(160, 8)], uptime.clone().u64(init).0);
        assert_eq!(after(&placed), -5, "{name}, and the record says when the system started");
        let unknown = ipfix_flow(&[f(21, 4), field, f(160, 8)], uptime.u64(0).0);
        assert_eq!(after(&unknown), -3, "{name}, and the record does not");
    }
}

#[test]
fn a_duration_stands_in_for_a_missing_start_or_end() {
    let ms = u64::from(EXPORTED) * 1000;
    let ended = ipfix_flow(&[f(153, 8), f(161, 4)], bytes().u64(ms - 2000).u32(8000).0);
    assert_eq!((ended.spread_start.0, ended.spread_end.0), (RECEIVED - 10 * SECOND, RECEIVED - 2 * SECOND));
    let started = ipfix_flow(&[f(152, 8), f(162, 4)], bytes().u64(ms - 10_000).u32(8_000_000).0);
    assert_eq!(
        (started.spread_start.0, started.spread_end.0),
        (RECEIVED - 10 * SECOND, RECEIVED - 2 * SECOND)
    );
    let only_end = ipfix_flow(&[f(153, 8)], bytes().u64(ms - 2000).0);
    assert_eq!(
        (only_end.spread_start, only_end.spread_end),
        (Time(RECEIVED - 2 * SECOND), Time(RECEIVED - 2 * SECOND))
    );
}

#[test]
fn implausible_times_are_kept_flagged_and_spread_at_the_receive_time() {
    let ms = u64::from(EXPORTED) * 1000;
    let flow = ipfix_flow(&[f(152, 8), f(153, 8)], bytes().u64(ms - 10 * 3_600_000).u64(ms).0);
    assert_eq!((flow.spread_start, flow.spread_end), (Time(RECEIVED), Time(RECEIVED)));
    assert_eq!(flow.flow_start.0, (ms as i64 - 10 * 3_600_000) * 1_000_000);
    assert!(flags(&flow).contains(&"time_implausible"));
    let never = ipfix_flow(&[f(152, 8), f(153, 8)], bytes().u64(u64::MAX).u64(u64::MAX).0);
    assert!(flags(&never).contains(&"time_implausible"));

    let mut router = Router::default();
    router.options.past_s = 100_000;
    let out = router.send(&ipfix(
        1,
        &[
            set(2, template(256, &[f(152, 8), f(153, 8)])),
            set(256, bytes().u64(ms - 10 * 3_600_000).u64(ms).0),
        ],
    ));
    assert!(!flags(&out.flows[0]).contains(&"time_implausible"), "the window is configurable");
}

#[test]
fn bytes_are_layer_3_or_layer_2_by_their_element() {
    let l3 = ipfix_flow(&[f(1, 8), f(2, 8)], bytes().u64(500).u64(1).0);
    assert_eq!((l3.bytes, l3.bytes_l2, l3.packets, l3.q, l3.q_l2), (Some(500), None, 1, Some(250_000), None));
    assert!(!flags(&l3).contains(&"q_bound"), "one packet is exact");
    let l2 = ipfix_flow(&[f(352, 8), f(2, 8)], bytes().u64(518).u64(1).0);
    assert_eq!((l2.bytes, l2.bytes_l2, l2.q, l2.q_l2), (None, Some(518), None, Some(518 * 518)));
    let both = ipfix_flow(&[f(1, 4), f(352, 4), f(2, 4)], bytes().u32(2000).u32(2036).u32(2).0);
    let q = 1540 * 2000 - 2 * 40 * 1500;
    assert_eq!((both.q, both.q_l2), (Some(q), Some(q + 2 * 18 * 2000 + 18 * 18 * 2)));
    let total = ipfix_flow(&[f(85, 8), f(86, 8)], bytes().u64(500).u64(2).0);
    assert_eq!((total.bytes, total.packets), (Some(500), 2));
    let delta =
        ipfix_flow(&[f(85, 8), f(86, 8), f(1, 8), f(2, 8)], bytes().u64(500).u64(5).u64(100).u64(1).0);
    assert_eq!((delta.bytes, delta.packets), (Some(100), 1), "a delta is a delta");
    let out = ipfix_flow(&[f(23, 4), f(24, 4)], bytes().u32(60).u32(1).0);
    assert_eq!((out.bytes, out.packets), (Some(60), 1));
    let none = ipfix_flow(&[f(8, 4)], [10, 0, 0, 1]);
    assert_eq!((none.bytes, none.packets, none.q), (None, 0, None));
}

#[test]
fn records_with_totals_count_as_deltas_and_nothing_is_kept_for_them() {
    let fields = [f(8, 4), f(12, 4), f(85, 8), f(86, 8)];
    let mut router = Router::default();
    router.send(&ipfix(1, &[set(2, template(256, &fields))]));
    let known = router.dump();
    for n in [4_u64, 6, 6, 3] {
        let record = bytes().raw([10, 0, 0, 1, 10, 0, 0, 2]).u64(n * 1000).u64(n).0;
        let out = router.send(&ipfix(1, &[set(256, record)]));
        assert_eq!((out.flows[0].bytes, out.flows[0].packets), (Some(n * 1000), n));
    }
    assert_eq!(router.dump(), known, "nothing is kept for it");
}

#[test]
fn q_is_exact_where_it_is_exported_and_bounded_by_the_lengths_that_are() {
    let exact =
        ipfix_flow(&[f(1, 4), f(2, 4), f(198, 8)], bytes().u32(1600).u32(2).u64(2_250_000 + 10_000).0);
    assert_eq!((exact.q, flags(&exact)), (Some(2_260_000), vec!["observation_assumed"]));
    let total = ipfix_flow(&[f(85, 4), f(86, 4), f(199, 8)], bytes().u32(1600).u32(2).u64(1_280_000).0);
    assert_eq!(total.q, Some(1_280_000));
    let l2 = ipfix_flow(&[f(352, 4), f(2, 4), f(428, 8)], bytes().u32(1600).u32(2).u64(2_560_000).0);
    assert_eq!((l2.q_l2, flags(&l2)), (Some(2_560_000), vec!["observation_assumed"]));
    // No two packets of 1600 octets have less than twice 800 squared, or more than one that has all.
    for (octets, squares, elsewise) in [(1, 198, 1560), (352, 428, 1578)] {
        for impossible in [7, 1_279_999, 2_560_001] {
            let fields = [f(octets, 4), f(2, 4), f(squares, 8)];
            let flow = ipfix_flow(&fields, bytes().u32(1600).u32(2).u64(impossible).0);
            let q = flow.q.or(flow.q_l2).unwrap();
            assert!(
                q > 1_280_000 && q < 2_560_000 && flags(&flow).contains(&"q_bound"),
                "{impossible} of {elsewise}: {q}"
            );
        }
    }
    let lengths =
        ipfix_flow(&[f(1, 4), f(2, 4), f(25, 2), f(26, 2)], bytes().u32(1000).u32(4).u16(100).u16(600).0);
    assert_eq!(lengths.q, Some(700 * 1000 - 4 * 100 * 600));
    assert!(flags(&lengths).contains(&"q_bound"));
    let small = v9_flow(&[f(1, 4), f(2, 4)], bytes().u32(60).u32(2).0);
    assert_eq!(small.q, Some((30 + 1500) * 60 - 2 * 30 * 1500), "no packet is above the mean below 40");
    let jumbo = v9_flow(&[f(1, 4), f(2, 4)], bytes().u32(18_000).u32(2).0);
    assert_eq!(jumbo.q, Some((40 + 9000) * 18_000 - 2 * 40 * 9000));
}

#[test]
fn the_lengths_that_bound_q_are_those_exported_or_40_and_1500_and_never_beyond_the_mean() {
    // 1000 bytes in 4 packets: 250 each; in 3: 333 and one third.
    for (packets, min, max, least, most) in [
        (4, None, None, 40, 1500),
        (4, Some(100), None, 100, 1500),
        (4, None, Some(600), 40, 600),
        (4, Some(100), Some(600), 100, 600),
        (4, Some(300), Some(600), 250, 600),
        (4, Some(100), Some(200), 100, 250),
        (3, Some(400), Some(200), 333, 334),
        (4, Some(250), Some(200), 250, 250),
        // Not filled in.
        (4, Some(0), Some(0), 40, 1500),
        (4, Some(250), Some(0), 250, 1500),
    ] {
        let mut fields = vec![f(1, 4), f(2, 4)];
        let mut value = bytes().u32(1000).u32(packets);
        for (id, length) in [(25, min), (26, max)] {
            if let Some(length) = length {
                fields.push(f(id, 2));
                value = value.u16(length);
            }
        }
        let flow = ipfix_flow(&fields, value.0);
        let wanted = (least + most) * 1000 - u128::from(packets) * least * most;
        assert_eq!(flow.q, Some(wanted), "{packets} packets of {min:?} to {max:?}");
        assert!(flags(&flow).contains(&"q_bound"));
    }
    // Of layer 2 alone the lengths have 18 bytes more, or 22 with a tag.
    let l2 = ipfix_flow(&[f(352, 4), f(2, 4)], bytes().u32(2000).u32(4).0);
    assert_eq!(l2.q_l2, Some((58 + 1518) * 2000 - 4 * 58 * 1518));
    let tag =
        ipfix_flow(&[f(352, 4), f(2, 4), f(58, 2), f(25, 2)], bytes().u32(2000).u32(4).u16(5).u16(60).0);
    assert_eq!(tag.q_l2, Some((82 + 1522) * 2000 - 4 * 82 * 1522));
}

#[test]
fn a_frames_size_is_layer_2_of_a_record_of_one_packet() {
    let of = |packets: u32| ipfix_flow(&[f(312, 2), f(2, 4)], bytes().u16(118).u32(packets).0).bytes_l2;
    assert_eq!([of(1), of(2)], [Some(118), None]);
    let both = ipfix_flow(&[f(312, 2), f(352, 4), f(2, 4)], bytes().u16(118).u32(500).u32(1).0);
    assert_eq!(both.bytes_l2, Some(500), "a count of bytes counts first");
}

#[test]
fn under_flow_sampling_q_is_the_square_of_the_records_bytes() {
    let fields = [f(1, 4), f(2, 4), f(352, 4), f(396, 4), f(397, 4)];
    let flow = ipfix_flow(&fields, bytes().u32(3000).u32(3).u32(3054).u32(1).u32(9).0);
    assert_eq!((flow.q, flow.q_l2), (Some(9_000_000), Some(3054 * 3054)));
    assert!(!flags(&flow).contains(&"q_bound"));
}

#[test]
fn counters_and_q_are_clamped_and_flagged() {
    let flow = ipfix_flow(&[f(1, 8), f(2, 8), f(352, 8)], bytes().u64(u64::MAX).u64(1).u64(u64::MAX).0);
    assert_eq!((flow.bytes, flow.bytes_l2), (Some(MAX_COUNT), Some(MAX_COUNT)));
    assert_eq!((flow.q, flow.q_l2), (Some(MAX_Q), Some(MAX_Q)));
    assert!(flags(&flow).contains(&"counter_clamped"));
    let fine = ipfix_flow(&[f(1, 8), f(2, 8)], bytes().u64(1 << 40).u64(1).0);
    assert_eq!((fine.q, flags(&fine)), (Some(1 << 80), vec!["observation_assumed"]));
}

#[test]
fn what_is_left_of_a_set_is_padding_where_it_is_zeros_or_short_and_else_a_fault() {
    for (fields, record) in
        [(&[f(8, 4), f(1, 4), f(2, 4)][..], 12), (&[f(8, 4), f(1, 4), f(82, VARIABLE), f(2, 4)], 13)]
    {
        for (rest, faults) in [(&[][..], 0), (&[0; 11], 0), (&[9; 3], 0), (&[0, 0, 0, 9], 1), (&[9; 11], 1)] {
            let mut body = vec![1; record];
            if record == 13 {
                body[8] = 0;
            }
            let out =
                decode(&ipfix(1, &[set(2, template(256, fields)), set(256, [&body[..], rest].concat())]));
            assert_eq!((out.flows.len(), out.faults.len()), (1, faults), "{record}, {rest:?}");
            for fault in &out.faults {
                assert_eq!(
                    (fault.reason, &fault.bytes[..]),
                    (Reason::TrailingBytes, rest),
                    "{}",
                    fault.sentence
                );
            }
        }
    }
}

#[test]
fn a_sampled_header_in_ipfix_fills_the_flow() {
    let frame = tcp4(1400);
    let fields = [f(10, 4), f(14, 4), f(312, 2), f(315, VARIABLE)];
    let value = bytes().u32(3).u32(7).u16(1418).u8(frame.len() as u8).raw(&frame).0;
    let flow = ipfix_flow(&fields, value);
    assert_eq!((flow.flow_kind, flow.family, flow.packets), (FlowKind::Sample, 4, 1));
    assert_eq!((flow.src_addr, flow.dst_port, flow.tcp_flags), (Ip::v4([192, 0, 2, 10]), 443, 0x18));
    assert_eq!((flow.bytes, flow.bytes_l2), (Some(1400), Some(1418)));
    assert_eq!((flow.q, flow.q_l2), (Some(1400 * 1400), Some(1418 * 1418)));
    assert_eq!((flow.src_mac, flow.in_if), (Mac([2, 0, 0, 0, 0, 2]), 3));

    let packet = &frame[14..];
    let flow = ipfix_flow(&[f(313, packet.len() as u16)], packet);
    assert_eq!((flow.src_port, flow.bytes, flow.bytes_l2), (50000, Some(1400), None));
}

#[test]
fn what_a_record_says_itself_stays_whatever_its_sampled_header_has() {
    let frame = tcp4(1400);
    let (macs, packet) = (bytes().raw([2, 0, 0, 0, 0, 8, 2, 0, 0, 0, 0, 9]).0, &frame[14..]);
    // Layer 2 beside a section that begins with IP.
    let fields = [f(56, 6), f(80, 6), f(58, 2), f(245, 2), f(256, 2), f(70, 3), f(313, packet.len() as u16)];
    let record = bytes().raw(&macs).u16(100).u16(7).u16(0x8847).raw([0, 1, 0x71]).raw(packet).0;
    let flow = ipfix_flow(&fields, record);
    assert_eq!((flow.src_mac, flow.dst_mac), (Mac([2, 0, 0, 0, 0, 8]), Mac([2, 0, 0, 0, 0, 9])));
    assert_eq!((flow.src_vlan, flow.customer_vlan, flow.ethertype), (100, 7, 0x8847));
    assert_eq!((&flow.labels[..], flow.dst_port, flow.bytes), (&[23][..], 443, Some(1400)));
    // A tag that was taken off before the frame was sampled.
    let fields = [f(58, 2), f(315, VARIABLE)];
    let flow = ipfix_flow(&fields, bytes().u16(100).u8(frame.len() as u8).raw(&frame).0);
    assert_eq!((flow.src_vlan, flow.src_mac), (100, Mac([2, 0, 0, 0, 0, 2])));
    let nothing = ipfix_flow(&fields, bytes().u16(100).u8(0).0);
    assert_eq!((nothing.src_vlan, nothing.family), (100, 0));
    // Its own addresses, and what it does not say of their packet.
    let fields = [f(8, 4), f(12, 4), f(5, 1), f(313, packet.len() as u16)];
    let flow = ipfix_flow(&fields, bytes().raw([10, 0, 0, 1, 10, 0, 0, 2, 0xb8]).raw(packet).0);
    assert_eq!(
        (flow.src_addr, flow.dst_addr, flow.tos),
        (Ip::v4([10, 0, 0, 1]), Ip::v4([10, 0, 0, 2]), 0xb8)
    );
    assert_eq!((flow.proto, flow.src_port, flow.dst_port, flow.ttl), (6, 50000, 443, Some(64)));
    // Lengths of prefixes, of addresses that the header has.
    let fields = [f(9, 1), f(13, 1), f(29, 1), f(313, packet.len() as u16)];
    let flow = ipfix_flow(&fields, bytes().raw([24, 16, 48]).raw(packet).0);
    assert_eq!((flow.src_prefix_len, flow.dst_prefix_len, flow.src_addr), (24, 16, Ip::v4([192, 0, 2, 10])));
}

#[test]
fn an_ip_header_gives_no_more_octets_than_its_frame_has() {
    let of = |size: u16, length: u16| {
        let frame = tcp4(length);
        let flow =
            ipfix_flow(&[f(312, 2), f(315, VARIABLE)], bytes().u16(size).u8(frame.len() as u8).raw(&frame).0);
        (flow.bytes, flow.bytes_l2, flags(&flow).contains(&"length_contradicted"))
    };
    assert_eq!(of(1414, 1400), (Some(1400), Some(1414), false));
    assert_eq!(of(64, 65_535), (Some(50), Some(64), true));
    assert_eq!(of(9014, 0), (Some(9000), Some(9014), false), "left open, as of segments that a card cuts");
}

#[test]
fn a_sampled_packet_in_a_tunnel_gives_both_packets_and_options_say_which_is_the_flow() {
    let inner = &tcp4(1400)[14..];
    let packet = bytes().raw([0x45, 0]).u16(1420).raw([0, 1, 0, 0, 64, 4, 0, 0]);
    let packet = packet.raw([203, 0, 113, 1, 203, 0, 113, 2]).raw(inner).0;
    let fields = [f(313, packet.len() as u16)];
    let message = ipfix(1, &[set(2, template(256, &fields)), set(256, &packet)]);
    let around = decode(&message).flows.remove(0);
    assert_eq!((around.src_addr, around.proto, around.dst_port), (Ip::v4([203, 0, 113, 1]), 4, 0));
    assert_eq!((around.inner_src_addr, around.tunnel), (Ip::v4([192, 0, 2, 10]), Tunnel::IpInIp));
    assert_eq!((around.bytes, around.outer_src_addr), (Some(1420), Ip::default()));
    let mut router = Router::default();
    router.options.tunnels = weir_wire::Tunnels::Inner;
    let within = router.send(&message).flows.remove(0);
    assert_eq!((within.src_addr, within.proto, within.dst_port), (Ip::v4([192, 0, 2, 10]), 6, 443));
    assert_eq!((within.outer_src_addr, within.tunnel), (Ip::v4([203, 0, 113, 1]), Tunnel::IpInIp));
    assert_eq!(
        (within.bytes, within.inner_src_addr),
        (Some(1420), Ip::default()),
        "bytes are what the link carried"
    );
    // A record that names its addresses itself keeps them.
    let fields = [f(8, 4), f(12, 4), f(313, packet.len() as u16)];
    let record = bytes().raw([10, 0, 0, 1, 10, 0, 0, 2]).raw(&packet).0;
    let named = ipfix_flow(&fields, record);
    assert_eq!((named.src_addr, named.tunnel), (Ip::v4([10, 0, 0, 1]), Tunnel::IpInIp));
    assert_eq!(named.inner_dst_addr, Ip::v4([198, 51, 100, 20]));
}

#[test]
fn translated_addresses_and_the_customers_vlan_come_from_their_elements() {
    let fields = [f(225, 4), f(226, 4), f(227, 2), f(228, 2), f(245, 2)];
    let record = bytes().raw([192, 0, 2, 1, 192, 0, 2, 2]).u16(1025).u16(8443).u16(77).0;
    let flow = ipfix_flow(&fields, record);
    assert_eq!((flow.nat_src_addr, flow.nat_dst_addr), (Ip::v4([192, 0, 2, 1]), Ip::v4([192, 0, 2, 2])));
    assert_eq!((flow.nat_src_port, flow.nat_dst_port, flow.customer_vlan), (1025, 8443, 77));
    let six = ipfix_flow(&[f(281, 16), f(282, 16)], bytes().raw(v6(1)).raw(v6(2)).0);
    assert_eq!((six.nat_src_addr, six.nat_dst_addr), (Ip(v6(1)), Ip(v6(2))));
}

#[test]
fn firewall_and_nat_records_are_events() {
    assert_eq!(v9_flow(&[f(8, 4), f(233, 1)], [10, 0, 0, 1, 2]).flow_kind, FlowKind::Event);
    assert_eq!(ipfix_flow(&[f(8, 4), f(230, 1)], [10, 0, 0, 1, 1]).flow_kind, FlowKind::Event);
    let nsel = v9_flow(&[f(8, 4), f(231, 4), f(298, 4), f(233, 1)], bytes().u32(9).u32(640).u32(4).u8(2).0);
    assert_eq!((nsel.bytes, nsel.packets), (Some(640), 4));
}

#[test]
fn garbage_and_other_versions_are_faults_with_the_whole_datagram() {
    for (payload, reason) in [
        (&b""[..], Reason::Truncated),
        (b"\0", Reason::Truncated),
        (b"GET / HTTP/1.1", Reason::UnknownVersion),
        (b"\0\x0b\0\0", Reason::UnknownVersion),
        (b"\0\x01\0\x01", Reason::Truncated),
        (b"\0\x06\0\x01", Reason::UnsupportedVersion),
        (b"\0\x07\0\x01", Reason::Truncated),
        (b"\0\x08\0\x01", Reason::Truncated),
        (b"\0\0\0\x04\0\0\0\x01", Reason::UnsupportedVersion),
        (b"\0\x05\0\x01", Reason::Truncated),
        (b"\0\x09\0\x01", Reason::Truncated),
        (b"\0\x0a\0\x10", Reason::Truncated),
        (b"\0\0\0\x05\0\0\0\x01", Reason::Truncated),
    ] {
        let mut router = Router::default();
        let out = router.send(payload);
        assert_eq!(out.faults.len(), 1, "{payload:?}");
        assert_eq!((out.faults[0].reason, &out.faults[0].bytes[..]), (reason, payload), "{payload:?}");
        assert_eq!((router.counts.datagrams, router.counts.datagrams_dead), (1, 1), "{payload:?}");
        assert!(!out.faults[0].sentence.is_empty());
    }
}

#[test]
fn an_ipfix_message_shorter_or_longer_than_its_datagram_gives_what_is_whole_and_a_fault() {
    let whole = ipfix(1, &[set(2, template(256, &[f(1, 4)])), set(256, [0, 0, 0, 7])]);
    let mut longer = whole.clone();
    longer[2..4].copy_from_slice(&500_u16.to_be_bytes());
    let out = decode(&longer);
    assert_eq!((out.flows.len(), out.faults[0].reason), (1, Reason::Truncated));
    let out = decode(&[&whole[..], b"tail"].concat());
    assert_eq!(
        (out.flows.len(), out.faults[0].reason, &out.faults[0].bytes[..]),
        (1, Reason::TrailingBytes, &b"tail"[..])
    );
    let mut shorter = whole;
    shorter[2..4].copy_from_slice(&3_u16.to_be_bytes());
    assert_eq!(decode(&shorter).faults[0].reason, Reason::BadSetLength);
}

#[test]
fn interface_names_are_learned_from_options_data_of_every_shape() {
    let mut router = Router::default();
    let mut out = Sink::default();
    // By interface scope, and by a system-scoped row whose value is the interface (IOS XR).
    let shapes = [
        v9_options_template(300, &[f(2, 4)], &[f(82, 8)]),
        v9_options_template(301, &[f(1, 4)], &[f(10, 4), f(83, 8)]),
    ];
    router.from(
        1,
        &v9(
            5,
            &[
                set(1, shapes.concat()),
                set(300, bytes().u32(3).raw(b"xe-0/0/1").u32(4).raw(b"xe-0/0/2").0),
                set(301, bytes().u32(9).u32(3).raw(b"transit\0").0),
                set(300, bytes().u32(3).raw(b"xe-0/0/1").0),
            ],
        ),
        &mut out,
    );
    let text = |index, name: &str, description: &str| (index, name.to_owned(), description.to_owned());
    assert_eq!(
        out.interfaces,
        [text(3, "xe-0/0/1", ""), text(4, "xe-0/0/2", ""), text(3, "xe-0/0/1", "transit")],
        "a table of names does not take the description back, and what is known is not told again"
    );
}
