//! sFlow version 5: samples, their records, and what is broken in them.
#![allow(missing_docs, reason = "tests read as sentences")]

mod build;

use build::*;
use weir_schemas::{FlowKind, Ip, Mac, Observation, Protocol, Time, Tunnel};
use weir_wire::Reason;

fn expanded(
    source: (u32, u32),
    rate: u32,
    input: (u32, u32),
    output: (u32, u32),
    records: &[Vec<u8>],
) -> Vec<u8> {
    let head = bytes().u32(1).u32(source.0).u32(source.1).u32(rate).u32(1000).u32(0);
    let head = head.u32(input.0).u32(input.1).u32(output.0).u32(output.1);
    tagged(3, head.u32(records.len() as u32).raw(records.concat()).0)
}

fn gateway(segments: &[(u32, &[u32])]) -> Vec<u8> {
    let mut body =
        bytes().u32(1).raw([192, 0, 2, 99]).u32(64496).u32(64500).u32(64501).u32(segments.len() as u32);
    for (kind, path) in segments {
        body = path.iter().fold(body.u32(*kind).u32(path.len() as u32), |body, asn| body.u32(*asn));
    }
    tagged(1003, body.u32(1).u32(0xfde8_0001).u32(100).0)
}

#[test]
fn a_raw_header_fills_the_flow() {
    let flow = one(&sflow(&[flow_sample(3, 2000, 3, 7, &[raw_header(1418, 4, &tcp4(1400))])]));
    assert_eq!((flow.protocol, flow.flow_kind, flow.family), (Protocol::SflowV5, FlowKind::Sample, 4));
    assert_eq!((flow.exporter_id, flow.observation_domain), (Ip::v4([192, 0, 2, 9]), 4));
    assert_eq!((flow.exported, flow.flow_start, flow.flow_end), (Time(0), Time(0), Time(0)));
    assert_eq!((flow.spread_start, flow.spread_end), (Time(RECEIVED), Time(RECEIVED)));
    assert_eq!((flow.in_if, flow.out_if, flow.observation), (3, 7, Observation::Ingress));
    assert_eq!((flow.src_addr, flow.dst_addr), (Ip::v4([192, 0, 2, 10]), Ip::v4([198, 51, 100, 20])));
    assert_eq!((flow.src_port, flow.dst_port, flow.proto, flow.tcp_flags), (50000, 443, 6, 0x18));
    assert_eq!((flow.src_mac, flow.dst_mac), (Mac([2, 0, 0, 0, 0, 2]), Mac([2, 0, 0, 0, 0, 1])));
    assert_eq!((flow.ethertype, flow.ttl), (0x0800, Some(64)));
    assert_eq!((flow.bytes, flow.bytes_l2, flow.packets), (Some(1400), Some(1418), 1));
    assert_eq!((flow.q, flow.q_l2), (Some(1400 * 1400), Some(1418 * 1418)));
    assert_eq!((flow.sampling_interval, flags(&flow)), (2_000_000, vec![]));
}

#[test]
fn observation_is_the_data_source_where_it_is_one_of_the_interfaces() {
    let of = |source, input, output| {
        let flow = one(&sflow(&[flow_sample(source, 1, input, output, &[])]));
        (flow.observation, flags(&flow).contains(&"observation_assumed"))
    };
    assert_eq!(of(3, 3, 7), (Observation::Ingress, false));
    assert_eq!(of(7, 3, 7), (Observation::Egress, false));
    assert_eq!(of(5, 3, 7), (Observation::Unknown, true));
    assert_eq!(of(1 << 24 | 3, 3, 7), (Observation::Unknown, true), "a VLAN is no interface");
    assert_eq!(of(0, 0, 7), (Observation::Unknown, true));
}

#[test]
fn a_data_source_and_an_interface_are_one_where_one_is_the_aggregate_of_the_other() {
    // Ports 11 and 12 are attached to aggregate 3, port 7 to none.
    let attached = |port: u32, lag: u32| {
        let record = tagged(7, bytes().raw([0; 16]).u32(lag).raw([0; 36]).0);
        tagged(2, bytes().u32(1).u32(port).u32(1).raw(record).0)
    };
    let lags = sflow(&[attached(11, 3), attached(12, 3), attached(7, 0), attached(8, 8)]);
    let mut router = Router::default();
    let of = |router: &mut Router, source, input, output| {
        router.send(&sflow(&[flow_sample(source, 1, input, output, &[])])).flows[0].observation
    };
    assert_eq!(of(&mut router, 11, 3, 7), Observation::Unknown, "nothing is known of it yet");
    let written = router.send(&lags).state_writes;
    assert_eq!((written, router.send(&lags).state_writes), (2, 0));
    for (source, input, output, wanted) in [
        (11, 3, 7, Observation::Ingress),
        (12, 7, 3, Observation::Egress),
        (3, 11, 7, Observation::Ingress),
        (3, 7, 12, Observation::Egress),
        (11, 7, 11, Observation::Egress),
        (11, 12, 7, Observation::Unknown),
        (7, 0, 8, Observation::Unknown),
        (0, 0, 0, Observation::Unknown),
        (8, 3, 7, Observation::Unknown),
        (1 << 24 | 11, 3, 7, Observation::Unknown),
    ] {
        assert_eq!(of(&mut router, source, input, output), wanted, "{source}: {input} to {output}");
    }
    let mut again = router.restarted(&router.dump());
    assert_eq!((again.dump(), &again.budget), (router.dump(), &router.budget));
    assert_eq!(of(&mut again, 11, 3, 7), Observation::Ingress);
    router.send(&sflow(&[attached(11, 0)]));
    assert_eq!(of(&mut router, 11, 3, 7), Observation::Unknown, "it was taken out");
    assert_eq!(router.dump().len(), 1);
    router.options.options_rows = 1;
    let full = router.send(&sflow(&[attached(13, 3)]));
    assert_eq!((full.faults[0].reason, router.dump().len()), (Reason::StateLimit, 1));
}

#[test]
fn the_two_top_bits_of_an_interface_are_its_format() {
    let of = |input, output| {
        let flow = one(&sflow(&[flow_sample(3, 1, input, output, &[])]));
        (flow.in_if, flow.out_if, flags(&flow))
    };
    assert_eq!(of(3, 7), (3, 7, vec![]));
    assert_eq!(of(3, 1 << 30 | 258), (3, 0, vec!["discarded"]));
    assert_eq!(of(3, 2 << 30 | 4), (3, 0, vec!["multiple_outputs"]));
    assert_eq!(of(3, 0x3fff_ffff), (3, 0x3fff_ffff, vec![]), "the device itself");
    assert_eq!(of(3, 0), (3, 0, vec![]));
}

#[test]
fn an_expanded_sample_says_the_same_at_length() {
    let record = raw_header(1418, 4, &tcp4(1400));
    let short = one(&sflow(&[flow_sample(3, 2000, 3, 7, std::slice::from_ref(&record))]));
    let long = one(&sflow(&[expanded((0, 3), 2000, (0, 3), (0, 7), std::slice::from_ref(&record))]));
    assert_eq!(short, long);
    let wide = one(&sflow(&[expanded((0, 1 << 25), 1, (0, 1 << 25), (1, 2), &[])]));
    assert_eq!((wide.in_if, wide.out_if, wide.observation), (1 << 25, 0, Observation::Ingress));
    assert_eq!(flags(&wide), ["discarded"]);
}

#[test]
fn padding_of_a_short_frame_is_not_layer_3() {
    let flow = one(&sflow(&[flow_sample(3, 1, 3, 7, &[raw_header(64, 4, &tcp4(40))])]));
    assert_eq!((flow.bytes, flow.bytes_l2, flags(&flow)), (Some(40), Some(64), vec!["padded"]));
    let fits = one(&sflow(&[flow_sample(3, 1, 3, 7, &[raw_header(64, 4, &tcp4(46))])]));
    assert_eq!((fits.bytes, flags(&fits)), (Some(46), vec![]));
}

#[test]
fn what_was_stripped_is_layer_2_and_neither_padding_nor_layer_3() {
    // A tag and the FCS were taken away, and are in the frame's length.
    let of = |frame, stripped, ip| {
        let flow = one(&sflow(&[flow_sample(3, 1, 3, 7, &[raw_header(frame, stripped, &tcp4(ip))])]));
        (flow.bytes, flow.bytes_l2, flags(&flow).contains(&"padded"))
    };
    assert_eq!(of(1422, 8, 1400), (Some(1400), Some(1422), false));
    assert_eq!(of(1422, 4, 1400), (Some(1400), Some(1422), true), "a tag that nobody speaks of is padding");
    assert_eq!(of(1422, 8, 0), (Some(1400), Some(1422), false));
    assert_eq!(of(68, 8, 46), (Some(46), Some(68), false));
    assert_eq!(of(68, 8, 45), (Some(45), Some(68), true));
    assert_eq!(
        of(1418, 0, 1400),
        (Some(1400), Some(1418), false),
        "the FCS is gone, whoever forgets to say it"
    );
}

#[test]
fn a_packet_whose_header_leaves_its_length_open_has_that_of_the_frame() {
    let flow = one(&sflow(&[flow_sample(3, 1, 3, 7, &[raw_header(9018, 4, &tcp4(0))])]));
    assert_eq!((flow.bytes, flow.bytes_l2), (Some(9000), Some(9018)));
}

#[test]
fn a_header_cut_off_before_its_ports_is_flagged() {
    let flow = one(&sflow(&[flow_sample(3, 1, 3, 7, &[raw_header(1418, 4, &tcp4(1400)[..36])])]));
    assert_eq!((flow.bytes, flow.src_port, flags(&flow)), (Some(1400), 0, vec!["header_truncated"]));
}

#[test]
fn an_ip_header_gives_no_more_octets_than_its_frame_has() {
    let of = |frame: u32, length: u16| {
        let flow = one(&sflow(&[flow_sample(3, 1, 3, 7, &[raw_header(frame, 4, &tcp4(length))])]));
        (flow.bytes, flow.bytes_l2, flags(&flow))
    };
    assert_eq!(of(64, 65_535), (Some(46), Some(64), vec!["length_contradicted"]));
    assert_eq!(of(1414, 1400), (Some(1400), Some(1414), vec![]), "an agent that leaves out the FCS");
    assert_eq!(of(1413, 1400), (Some(1395), Some(1413), vec!["length_contradicted"]));
}

#[test]
fn a_frame_of_a_kind_that_is_not_read_has_its_length() {
    for (protocol, wanted) in [(5, Some(900)), (2, Some(900)), (10, None)] {
        let raw = tagged(1, bytes().u32(protocol).u32(900).u32(0).u32(4).raw([1; 4]).0);
        let flow = one(&sflow(&[flow_sample(3, 1, 3, 7, &[raw])]));
        assert_eq!((flow.bytes_l2, flow.bytes, flow.family), (wanted, None, 0), "{protocol}");
    }
}

#[test]
fn a_header_that_begins_with_ip_leaves_what_a_sampled_frame_says() {
    let ethernet =
        tagged(2, bytes().u32(1418).raw([2, 0, 0, 0, 0, 2, 0, 0, 2, 0, 0, 0, 0, 1, 0, 0]).u32(0x0800).0);
    let packet = &tcp4(1400)[14..];
    let raw = tagged(1, bytes().u32(11).u32(1400).u32(0).u32(packet.len() as u32).raw(packet).0);
    let flow = one(&sflow(&[flow_sample(3, 1, 3, 7, &[ethernet, raw])]));
    assert_eq!((flow.src_mac, flow.ethertype, flow.dst_port), (Mac([2, 0, 0, 0, 0, 2]), 0x0800, 443));
}

#[test]
fn what_lies_behind_the_records_that_a_sample_names_is_a_fault_and_loses_nothing() {
    let records = [
        raw_header(1418, 4, &tcp4(1400)),
        tagged(1002, bytes().u32(1).raw([192, 0, 2, 99]).u32(24).u32(16).0),
    ];
    let mut sample = flow_sample(3, 1, 3, 7, &records);
    // Of two records the header names one.
    sample[39] = 1;
    let out = decode(&sflow(&[sample, flow_sample(3, 1, 3, 7, &records)]));
    assert_eq!((out.flows.len(), out.faults.len(), out.faults[0].reason), (2, 1, Reason::BadSample));
    assert!(
        out.faults[0].sentence.contains("24 bytes follow after the 1 records"),
        "{}",
        out.faults[0].sentence
    );
    let counters = tagged(2, bytes().u32(1).u32(3).u32(0).raw(tagged(1, [0; 88])).0);
    // Zeros are padding.
    assert!(decode(&sflow(&[tagged(2, [&[0; 12][..], &[0; 28]].concat())])).faults.is_empty());
    let out = decode(&sflow(&[counters]));
    assert_eq!((out.faults.len(), out.faults[0].reason), (1, Reason::BadSample));
}

#[test]
fn headers_that_begin_with_ip_have_no_layer_2() {
    let packet = &tcp4(1400)[14..];
    let record = tagged(1, bytes().u32(11).u32(1400).u32(0).u32(packet.len() as u32).raw(packet).0);
    let flow = one(&sflow(&[flow_sample(3, 1, 3, 7, &[record])]));
    assert_eq!((flow.bytes, flow.bytes_l2, flow.dst_port), (Some(1400), None, 443));
}

#[test]
fn a_frame_that_is_not_ip_has_layer_2_only() {
    let arp = bytes().raw([0xff; 6]).raw([2, 0, 0, 0, 0, 2, 8, 6]).raw([0; 28]).0;
    let flow = one(&sflow(&[flow_sample(3, 1, 3, 7, &[raw_header(64, 4, &arp)])]));
    assert_eq!((flow.family, flow.bytes, flow.bytes_l2, flow.ethertype), (0, None, Some(64), 0x0806));
    assert_eq!((flow.q, flow.q_l2), (None, Some(64 * 64)));
}

#[test]
fn sampled_ethernet_ipv4_and_ipv6_records_fill_the_flow() {
    let ethernet =
        tagged(2, bytes().u32(1414).raw([2, 0, 0, 0, 0, 2, 0, 0]).raw([2, 0, 0, 0, 0, 1, 0, 0]).u32(0x800).0);
    let four = bytes()
        .u32(1400)
        .u32(6)
        .raw([192, 0, 2, 10, 198, 51, 100, 20])
        .u32(50000)
        .u32(443)
        .u32(0x18)
        .u32(0x20);
    let flow = one(&sflow(&[flow_sample(3, 1, 3, 7, &[ethernet, tagged(3, &four.0)])]));
    assert_eq!((flow.family, flow.src_addr, flow.src_port), (4, Ip::v4([192, 0, 2, 10]), 50000));
    assert_eq!((flow.proto, flow.tcp_flags, flow.tos, flow.ethertype), (6, 0x18, 0x20, 0x800));
    assert_eq!((flow.bytes, flow.bytes_l2, flow.src_mac), (Some(1400), Some(1414), Mac([2, 0, 0, 0, 0, 2])));
    let six = bytes().u32(1400).u32(17).raw([0x20; 16]).raw([0x30; 16]).u32(53).u32(99).u32(0).u32(0);
    let flow = one(&sflow(&[flow_sample(3, 1, 3, 7, &[tagged(4, &six.0)])]));
    assert_eq!((flow.family, flow.dst_addr, flow.dst_port, flow.bytes), (6, Ip([0x30; 16]), 99, Some(1400)));
}

#[test]
fn switch_and_router_records_fill_the_flow() {
    let switch = tagged(1001, bytes().u32(100).u32(0).u32(200).u32(0).0);
    let router = tagged(1002, bytes().u32(2).raw([0x20; 16]).u32(48).u32(32).0);
    let mut frame = tcp4(1400);
    frame.splice(12..12, [0x81, 0, 0, 5]);
    let records = [switch, raw_header(1422, 4, &frame), router];
    let flow = one(&sflow(&[flow_sample(3, 1, 3, 7, &records)]));
    assert_eq!((flow.src_vlan, flow.dst_vlan), (100, 200), "the switch knows better than the tag");
    assert_eq!((flow.next_hop, flow.src_prefix_len, flow.dst_prefix_len), (Ip([0x20; 16]), 48, 32));
    // What is no VLAN is not known.
    for (src, dst, wanted) in [
        (u32::MAX, 200, (5, 200)),
        (100, u32::MAX, (100, 0)),
        (4096, 0xffff, (5, 0)),
        (4095, 4094, (4095, 4094)),
    ] {
        let switch = tagged(1001, bytes().u32(src).u32(0).u32(dst).u32(0).0);
        let flow = one(&sflow(&[flow_sample(3, 1, 3, 7, &[switch, records[1].clone()])]));
        assert_eq!((flow.src_vlan, flow.dst_vlan), wanted, "{src}, {dst}");
    }
    let untold = one(&sflow(&[flow_sample(3, 1, 3, 7, &records[1..2])]));
    assert_eq!((untold.src_vlan, untold.dst_vlan, untold.bytes), (5, 0, Some(1400)));
}

#[test]
fn a_gateway_record_gives_path_neighbours_and_ases() {
    let flow = one(&sflow(&[flow_sample(3, 1, 3, 7, &[gateway(&[(2, &[64502, 64503, 64504])])])]));
    assert_eq!(flow.path, [64502, 64503, 64504]);
    assert_eq!((flow.src_as_exported, flow.dst_as_exported), (64500, 64504));
    assert_eq!((flow.src_neighbour_as, flow.dst_neighbour_as), (64501, 64502));
    assert_eq!(flow.bgp_next_hop, Ip::v4([192, 0, 2, 99]));

    let flow = one(&sflow(&[flow_sample(3, 1, 3, 7, &[gateway(&[(2, &[1, 2]), (1, &[3, 4]), (2, &[5])])])]));
    assert_eq!((&flow.path[..], flow.dst_as_exported, flow.dst_neighbour_as), (&[1, 2, 3, 4, 5][..], 5, 1));
    // Who is next of a set, nobody knows.
    for (path, wanted) in [
        (&[(1, &[3, 4][..]), (2, &[5])][..], (0, 5)),
        (&[(1, &[3]), (2, &[5])], (3, 5)),
        (&[(2, &[]), (2, &[6, 5])], (6, 5)),
    ] {
        let flow = one(&sflow(&[flow_sample(3, 1, 3, 7, &[gateway(path)])]));
        assert_eq!((flow.dst_neighbour_as, flow.dst_as_exported), wanted, "{path:?}");
    }
    let own = one(&sflow(&[flow_sample(3, 1, 3, 7, &[gateway(&[])])]));
    assert_eq!((&own.path[..], own.dst_as_exported, own.dst_neighbour_as), (&[][..], 0, 0));
    let twice = one(&sflow(&[flow_sample(3, 1, 3, 7, &[gateway(&[(2, &[1])]), gateway(&[(2, &[9, 9])])])]));
    assert_eq!(twice.path, [1], "of several the first counts");
}

#[test]
fn a_set_of_ases_gives_no_origin_unless_it_has_one_member_and_a_gateway_gives_communities_and_preference() {
    let flow = |segments| one(&sflow(&[flow_sample(3, 1, 3, 7, &[gateway(segments)])]));
    let set = flow(&[(2, &[1, 2]), (1, &[3, 4])]);
    assert_eq!((&set.path[..], set.dst_as_exported, set.dst_neighbour_as), (&[1, 2, 3, 4][..], 0, 1));
    assert_eq!(flow(&[(2, &[1, 2]), (1, &[3])]).dst_as_exported, 3);
    assert_eq!(flow(&[(1, &[3, 4])]).dst_as_exported, 0);
    assert_eq!((set.communities.iter().collect::<Vec<_>>(), set.local_pref), (vec![0xfde8_0001], Some(100)));
}

#[test]
fn what_was_taken_off_before_the_header_was_sampled_is_told_beside_it() {
    let mut frame = tcp4(1400);
    frame.splice(12..12, [0x81, 0, 0, 5]);
    let header = raw_header(1422, 4, &frame);
    let flow = |records: &[Vec<u8>]| {
        let records = [std::slice::from_ref(&header), records].concat();
        one(&sflow(&[flow_sample(3, 1, 3, 7, &records)]))
    };
    let vlans = flow(&[tagged(1012, bytes().u32(1).u32(0x88a8_0064).0)]);
    assert_eq!((vlans.src_vlan, vlans.customer_vlan), (100, 5));
    let vlans = flow(&[tagged(1012, bytes().u32(2).u32(0x88a8_0064).u32(0x8100_0007).0)]);
    assert_eq!((vlans.src_vlan, vlans.customer_vlan), (100, 7));

    let tunnel = |proto: u32, port: u32, last: u8| {
        let head = bytes().u32(1450).u32(proto).raw([203, 0, 113, last, 203, 0, 113, 99]);
        head.u32(5000).u32(port).u32(0).u32(0).0
    };
    let vxlan = flow(&[
        tagged(1023, tunnel(47, 0, 1)),
        tagged(1024, tunnel(17, 4789, 2)),
        tagged(1030, [0, 0, 0, 42]),
    ]);
    assert_eq!((vxlan.src_addr, vxlan.outer_src_addr), (Ip::v4([192, 0, 2, 10]), Ip::v4([203, 0, 113, 2])));
    assert_eq!((vxlan.tunnel, vxlan.tunnel_id), (Tunnel::Vxlan, Some(42)));
    let gre = flow(&[tagged(1023, tunnel(47, 0, 1))]);
    assert_eq!(
        (gre.tunnel, gre.outer_dst_addr, gre.tunnel_id),
        (Tunnel::Gre, Ip::v4([203, 0, 113, 99]), None)
    );
    assert_eq!(flow(&[tagged(1029, [0, 0, 0, 9])]).tunnel, Tunnel::Vxlan);

    let mpls = bytes().u32(1).raw([203, 0, 113, 5]).u32(2).u32(0x0001_0040).u32(0x0002_0140).u32(0).0;
    let labelled = flow(&[tagged(1006, &mpls)]);
    assert_eq!((&labelled.labels[..], labelled.next_hop), (&[0x10, 0x20][..], Ip::v4([203, 0, 113, 5])));
    let nat = bytes().u32(1).raw([203, 0, 113, 7]).u32(1).raw([203, 0, 113, 8]).0;
    let nat = flow(&[tagged(1007, &nat), tagged(1020, bytes().u32(6000).u32(8443).0)]);
    assert_eq!((nat.nat_src_addr, nat.nat_dst_port), (Ip::v4([203, 0, 113, 7]), 8443));
}

#[test]
fn counter_samples_tell_the_name_and_speed_of_an_interface_once() {
    let counters = |index: u32, gigabits: u64| {
        tagged(1, bytes().u32(index).u32(6).u64(gigabits * 1_000_000_000).raw([0; 72]).0)
    };
    let name = |text: &[u8]| tagged(1005, bytes().u32(text.len() as u32).raw(text).0);
    let sample = |source: u32, records: &[Vec<u8>]| {
        tagged(2, bytes().u32(1).u32(source).u32(records.len() as u32).raw(records.concat()).0)
    };
    let mut router = Router::default();
    let out =
        router.send(&sflow(&[sample(3, &[counters(3, 10), name(b"eth3")]), sample(4, &[name(b"eth4")])]));
    assert_eq!(out.interfaces, [(3, "eth3".into(), String::new()), (4, "eth4".into(), String::new())]);
    let known: Vec<_> = router.exporter.interfaces().map(|one| (one.index, one.speed)).collect();
    assert!(known.contains(&(3, 10_000_000_000)) && known.contains(&(4, 0)), "{known:?}");
    let again = router.send(&sflow(&[sample(3, &[counters(3, 10), name(b"eth3")])]));
    assert_eq!((again.interfaces.len(), again.state_writes), (0, 0), "nothing is new");
    let faster = router.send(&sflow(&[sample(3, &[counters(3, 100)])]));
    assert_eq!(faster.interfaces, [(3, "eth3".into(), String::new())]);
    let long = bytes().u32(1).u32(0).u32(3).u32(1).raw(counters(9, 1)).0;
    assert_eq!(router.send(&sflow(&[tagged(4, long)])).interfaces.len(), 1);
    let vlan = router.send(&sflow(&[sample(1 << 24 | 3, &[name(b"vlan")])]));
    assert_eq!(vlan.interfaces.len(), 0, "a VLAN is no interface");
    let cut = router.send(&sflow(&[tagged(2, bytes().u32(1).u32(8).u32(2).raw(name(b"eth8")).0)]));
    assert_eq!(cut.faults.iter().map(|fault| fault.reason).collect::<Vec<_>>(), [Reason::BadSample]);
    assert_eq!(cut.interfaces, [(8, "eth8".into(), String::new())], "what lies before the cut counts");
    let restarted = router.restarted(&router.dump());
    assert!(
        restarted
            .exporter
            .interfaces()
            .any(|one| (one.index, one.speed, one.name) == (3, 100_000_000_000, "eth3"))
    );
}

#[test]
fn why_a_packet_was_discarded_is_kept() {
    let head = bytes().u32(1).u32(0).u32(3).u32(0).u32(3).u32(0).u32(262).u32(0);
    assert_eq!(one(&sflow(&[tagged(5, head.0)])).drop_reason, Some(262));
    let by_output = one(&sflow(&[flow_sample(3, 1, 3, 1 << 30 | 258, &[])]));
    assert_eq!((by_output.drop_reason, by_output.out_if), (Some(258), 0));
    assert_eq!(one(&sflow(&[flow_sample(3, 1, 3, 7, &[])])).drop_reason, None);
}

#[test]
fn counter_samples_and_samples_of_vendors_are_counted() {
    let mut router = Router::default();
    let sample = flow_sample(3, 1, 3, 7, &[]);
    let vendor = 8800 << 12 | 1;
    let samples = [tagged(2, [0; 40]), tagged(4, [0; 44]), tagged(vendor, [0; 8]), sample];
    let out = router.send(&sflow(&samples));
    assert_eq!((out.flows.len(), out.faults.len()), (1, 0));
    let c = router.counts;
    assert_eq!((c.counter_samples, c.other_samples, c.flow_samples, c.sets), (2, 1, 1, 4));
}

#[test]
fn a_discarded_packet_is_a_flow_of_its_own_kind_without_a_rate() {
    let head = bytes().u32(1).u32(0).u32(3).u32(0).u32(3).u32(0).u32(262).u32(1);
    let sample = tagged(5, head.raw(raw_header(1418, 4, &tcp4(1400))).0);
    let flow = one(&sflow(&[sample]));
    assert_eq!((flow.flow_kind, flow.in_if, flow.bytes), (FlowKind::Discard, 3, Some(1400)));
    assert_eq!((flow.sampling_interval, flags(&flow)), (0, vec!["discarded"]));
}

#[test]
fn one_broken_sample_or_record_loses_no_other() {
    let good = || flow_sample(3, 1, 3, 7, &[raw_header(1418, 4, &tcp4(1400))]);
    let cut = tagged(1, [0; 12]);
    let out = decode(&sflow(&[good(), cut, good()]));
    assert_eq!(out.flows.len(), 2);
    assert_eq!(out.faults.iter().map(|f| f.reason).collect::<Vec<_>>(), [Reason::BadSample]);

    let mut record = raw_header(1418, 4, &tcp4(1400));
    record[20..24].copy_from_slice(&9999_u32.to_be_bytes());
    let out = decode(&sflow(&[flow_sample(3, 1, 3, 7, &[record, gateway(&[(2, &[7])])]), good()]));
    assert_eq!(
        (out.flows.len(), out.flows[0].path[..].to_vec(), out.flows[1].bytes),
        (2, vec![7], Some(1400))
    );
    assert_eq!(out.faults.iter().map(|f| f.reason).collect::<Vec<_>>(), [Reason::BadSample]);

    let whole = sflow(&[good(), good()]);
    let out = decode(&whole[..whole.len() - 20]);
    assert_eq!((out.flows.len(), out.faults[0].reason), (1, Reason::Truncated));
    assert_eq!(out.faults[0].offset, 28 + good().len());
}

#[test]
fn agents_of_every_address_family_are_read() {
    let sample = flow_sample(3, 1, 3, 7, &[]);
    let tail = bytes().u32(4).u32(77).u32(UPTIME).u32(1).raw(&sample).0;
    let six = one(&bytes().u32(5).u32(2).raw([0x20; 16]).raw(&tail).0);
    assert_eq!(six.exporter_id, Ip([0x20; 16]));
    let unknown = one(&bytes().u32(5).u32(0).raw(&tail).0);
    assert_eq!(unknown.exporter_id, Ip::v4([192, 0, 2, 1]));
    assert_eq!(decode(&bytes().u32(5).u32(3).raw(&tail).0).faults[0].reason, Reason::Truncated);
}
