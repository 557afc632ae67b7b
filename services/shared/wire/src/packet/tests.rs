//! Headers by hand, each layer as its document draws it.

use super::*;
use proptest::prelude::*;
use weir_schemas::Ip;

const V4_TCP: [u8; 40] = [
    0x45, 0x28, 0, 60, 0, 7, 0x40, 0, 63, 6, 0x4f, 0x56, 192, 0, 2, 1, 198, 51, 100, 2, // IPv4
    0x1f, 0x90, 1, 187, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x12, 0, 0, 0, 0, 0, 0, // TCP
];

fn ethernet_with(tags: &[[u8; 4]], ethertype: [u8; 2], payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    frame.extend(tags.iter().flatten());
    frame.extend(ethertype);
    frame.extend(payload);
    frame
}

#[test]
fn a_frame_of_two_tags_gives_the_outer_vlan_and_the_packet() {
    let frame = ethernet_with(&[[0x88, 0xa8, 0x20, 7], [0x81, 0, 0, 9]], [8, 0], &V4_TCP);
    let packet = parse(Link::Ethernet, &frame);
    let ip = packet.ip.unwrap();
    assert_eq!((packet.vlan, packet.customer_vlan, packet.tags), (7, 9, 2));
    assert_eq!((packet.ethertype, packet.l3), (0x800, 22));
    assert_eq!((ip.src, ip.dst), (Ip::v4([192, 0, 2, 1]), Ip::v4([198, 51, 100, 2])));
    assert_eq!((ip.proto, ip.ports, ip.tcp_flags, ip.length), (6, Some((8080, 443)), 0x12, 60));
    assert_eq!((ip.tos, ip.ttl, ip.truncated), (0x28, 63, false));
}

#[test]
fn a_packet_behind_mpls_labels_is_found() {
    let mut payload = vec![0, 0x01, 0x00, 64, 0x00, 0x02, 0x01, 64];
    payload.extend(V4_TCP);
    let packet = parse(Link::Ethernet, &ethernet_with(&[], [0x88, 0x47], &payload));
    assert_eq!(packet.labels[..packet.label_count], [0x10, 0x20]);
    assert_eq!((packet.l3, packet.ip.unwrap().ports), (22, Some((8080, 443))));
}

#[test]
fn ports_behind_ipv6_extension_headers_are_found_and_those_of_later_fragments_are_none() {
    let mut base = vec![0x62, 0x81, 0x23, 0x45, 0, 36, 0, 64];
    base.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    base.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
    let with = |offset: u16| {
        let [high, low] = (offset << 3 | 1).to_be_bytes();
        let mut bytes = base.clone();
        bytes.extend([44, 0, 1, 4, 0, 0, 0, 0]); // hop-by-hop
        bytes.extend([17, 0, high, low, 0, 0, 0, 5]); // fragment
        bytes.extend([0, 53, 0x30, 0x39, 0, 20, 0, 0]);
        parse(Link::Ip, &bytes).ip.unwrap()
    };
    let first = with(0);
    assert_eq!((first.proto, first.ports, first.fragment), (17, Some((53, 12345)), Some((5, 0))));
    assert_eq!((first.flow_label, first.tos, first.length), (Some(0x12345), 0x28, 76));
    let later = with(100);
    assert_eq!((later.proto, later.ports, later.fragment), (17, None, Some((5, 100))));
    assert!(!later.truncated);
}

#[test]
fn a_header_cut_off_before_its_ports_says_so() {
    let ip = parse(Link::Ip, &V4_TCP[..22]).ip.unwrap();
    assert!(ip.truncated && ip.ports.is_none());
}

/// IPv4 of twenty bytes, from 203.0.113.1 to 203.0.113.2.
fn around(proto: u8, payload: &[u8]) -> Vec<u8> {
    let length = (20 + payload.len() as u16).to_be_bytes();
    let mut packet = vec![0x45, 0, length[0], length[1], 0, 0, 0, 0, 64, proto, 0, 0];
    packet.extend([203, 0, 113, 1, 203, 0, 113, 2]);
    packet.extend(payload);
    packet
}

fn around_six(next: u8, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u16).to_be_bytes();
    let mut packet = vec![0x60, 0, 0, 0, length[0], length[1], next, 64];
    packet.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xa]);
    packet.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xb]);
    packet.extend(payload);
    packet
}

fn udp(port: u16, payload: &[u8]) -> Vec<u8> {
    let ([high, low], length) = (port.to_be_bytes(), (8 + payload.len() as u16).to_be_bytes());
    let mut datagram = vec![0xc0, 0, high, low, length[0], length[1], 0, 0];
    datagram.extend(payload);
    around(17, &datagram)
}

/// ERSPAN III's header of session 3, without its platform's, for a type of frame; with a group and a port that are not part of that.
fn erspan_3_of(frame: u8) -> [u8; 12] {
    [0x10, 1, 0xc, 3, 0, 0, 0, 0, 0x12, 0x34, 0x80 | frame << 2 | 3, 0xf0]
}

fn join(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

#[test]
fn every_tunnel_gives_the_packet_around_and_the_one_within() {
    let frame = ethernet_with(&[], [8, 0], &V4_TCP);
    let srh = [4, 2, 4, 0, 0, 0, 0, 0, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9];
    let mut frame_header = srh;
    frame_header[0] = 143;
    let labels = [0, 0x01, 0x01, 64];
    let erspan_3 = [&erspan_3_of(0)[..11], &[1], &[0; 8]].concat();
    let cases: Vec<(&str, Vec<u8>, Tunnel, Option<u32>)> = vec![
        ("GRE", around(47, &join(&[&[0, 0, 8, 0], &V4_TCP])), Tunnel::Gre, None),
        (
            "GRE with checksum, key and sequence number",
            around(47, &join(&[&[0xb0, 0, 8, 0, 1, 2, 0, 0, 0, 0, 0, 77, 0, 0, 0, 1], &V4_TCP])),
            Tunnel::Gre,
            Some(77),
        ),
        ("NVGRE", around(47, &join(&[&[0x20, 0, 0x65, 0x58, 0, 0, 1, 2], &frame])), Tunnel::Gre, Some(0x102)),
        ("MPLS in GRE", around(47, &join(&[&[0, 0, 0x88, 0x47], &labels, &V4_TCP])), Tunnel::Gre, None),
        (
            "PPTP",
            around(
                47,
                &join(&[
                    &[0x30, 0x81, 0x88, 0x0b, 0, 44, 0, 5, 0, 0, 0, 1, 0, 0, 0, 0, 0xff, 3, 0, 0x21],
                    &V4_TCP,
                ]),
            ),
            Tunnel::Gre,
            Some(5),
        ),
        ("ERSPAN I", around(47, &join(&[&[0, 0, 0x88, 0xbe], &frame])), Tunnel::Erspan, None),
        (
            "ERSPAN II",
            around(47, &join(&[&[0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 1, 0xc, 3, 0, 0, 0, 0], &frame])),
            Tunnel::Erspan,
            Some(3),
        ),
        (
            "ERSPAN III with its platform's header",
            around(47, &join(&[&[0x10, 0, 0x22, 0xeb, 0, 0, 0, 1], &erspan_3, &frame])),
            Tunnel::Erspan,
            Some(3),
        ),
        (
            "ERSPAN III with a packet",
            around(47, &join(&[&[0x10, 0, 0x22, 0xeb, 0, 0, 0, 1], &erspan_3_of(2), &V4_TCP])),
            Tunnel::Erspan,
            Some(3),
        ),
        ("IP in IP", around(4, &V4_TCP), Tunnel::IpInIp, None),
        ("IPv4 in IPv6", around_six(4, &V4_TCP), Tunnel::IpInIp, None),
        ("SRv6", around_six(43, &join(&[&srh, &V4_TCP])), Tunnel::Srv6, None),
        ("Ethernet in SRv6", around_six(43, &join(&[&frame_header, &frame])), Tunnel::Srv6, None),
        ("Ethernet in SRv6 without a routing header", around_six(143, &frame), Tunnel::Srv6, None),
        ("VXLAN", udp(4789, &join(&[&[8, 0, 0, 0, 0, 0x12, 0x34, 0], &frame])), Tunnel::Vxlan, Some(0x1234)),
        ("VXLAN-GPE", udp(4790, &join(&[&[0xc, 0, 0, 1, 0, 0, 9, 0], &V4_TCP])), Tunnel::Vxlan, Some(9)),
        (
            "Geneve with an option",
            udp(6081, &join(&[&[2, 0, 0x65, 0x58, 0, 0, 7, 0, 1, 2, 3, 4, 5, 6, 7, 8], &frame])),
            Tunnel::Geneve,
            Some(7),
        ),
        ("GTP-U", udp(2152, &join(&[&[0x30, 255, 0, 40, 0, 0, 0, 99], &V4_TCP])), Tunnel::GtpU, Some(99)),
        (
            "GTP-U with a PDU session container",
            udp(2152, &join(&[&[0x34, 255, 0, 48, 0, 0, 0, 99, 0, 0, 0, 0x85, 1, 0, 1, 0], &V4_TCP])),
            Tunnel::GtpU,
            Some(99),
        ),
        ("EtherIP", around(97, &join(&[&[0x30, 0], &frame])), Tunnel::EtherIp, None),
        ("MPLS in IP", around(137, &join(&[&labels, &V4_TCP])), Tunnel::MplsInIp, None),
        ("MPLS in UDP", udp(6635, &join(&[&labels, &V4_TCP])), Tunnel::MplsInIp, None),
    ];
    for (name, bytes, tunnel, id) in cases {
        let packet = parse(Link::Ip, &bytes);
        let inner = packet.inner.unwrap_or_else(|| panic!("{name}: nothing is found within"));
        assert_eq!((packet.tunnel, packet.tunnel_id), (tunnel, id), "{name}");
        assert_eq!((inner.src, inner.ports), (Ip::v4([192, 0, 2, 1]), Some((8080, 443))), "{name}");
        assert_eq!(
            (packet.l3, packet.label_count, packet.tags),
            (0, 0, 0),
            "{name}: what is around it stays"
        );
        let outer = packet.ip.unwrap();
        assert!(outer.dst == Ip::v4([203, 0, 113, 2]) || outer.six, "{name}");

        let (mut out, mut within) = (Flow::default(), Flow::default());
        packet.fill(Tunnels::Outer, &mut out);
        packet.fill(Tunnels::Inner, &mut within);
        assert_eq!(
            (out.src_addr, out.inner_src_addr, out.outer_src_addr),
            (outer.src, inner.src, Ip::default())
        );
        assert_eq!((within.dst_addr, within.outer_dst_addr, within.dst_port), (inner.dst, outer.dst, 443));
        assert_eq!((within.proto, out.proto, within.tunnel), (6, outer.proto, tunnel), "{name}");
    }
}

#[test]
fn what_looks_like_a_tunnel_and_is_none_stays_a_packet() {
    let frame = ethernet_with(&[], [8, 0], &V4_TCP);
    let cases: Vec<(&str, Vec<u8>, Tunnel)> = vec![
        ("VXLAN without a VNI", udp(4789, &join(&[&[0; 8], &frame])), Tunnel::Unknown),
        (
            "GTP-U's echo",
            udp(2152, &join(&[&[0x32, 1, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0], &V4_TCP])),
            Tunnel::Unknown,
        ),
        ("GTP prime", udp(2152, &join(&[&[0x20, 255, 0, 4, 0, 0, 0, 0], &V4_TCP])), Tunnel::Unknown),
        (
            "Geneve of another version",
            udp(6081, &join(&[&[0x40, 0, 0x65, 0x58, 0, 0, 7, 0], &frame])),
            Tunnel::Unknown,
        ),
        ("GRE with a source route", around(47, &join(&[&[0x40, 0, 8, 0, 0, 0, 0, 0], &V4_TCP])), Tunnel::Gre),
        (
            "an extension header of no length",
            udp(2152, &[0x34, 255, 0, 8, 0, 0, 0, 99, 0, 0, 0, 0x85, 0, 0, 0, 0]),
            Tunnel::GtpU,
        ),
        (
            "ERSPAN III with what is neither frame nor packet",
            around(47, &join(&[&[0x10, 0, 0x22, 0xeb, 0, 0, 0, 1], &erspan_3_of(1), &frame])),
            Tunnel::Erspan,
        ),
        ("a tunnel cut off", around(47, &[0, 0]), Tunnel::Unknown),
        (
            "a reply to VXLAN's port",
            udp(4789, &[0x0a, 0x1b, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0, 3, b'w', b'w', b'w', 0x45]),
            Tunnel::Unknown,
        ),
        (
            "a reply to VXLAN-GPE's",
            udp(4790, &[0x48, 0x1b, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0, 3, b'w', b'w', b'w', 0x45]),
            Tunnel::Unknown,
        ),
        (
            "a reply to Geneve's",
            udp(6081, &[0x0a, 0x1b, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0, 3, b'w', b'w', b'w', 0x45]),
            Tunnel::Unknown,
        ),
        (
            "a reply to that of MPLS",
            udp(6635, &join(&[&[0x0a, 0x1b, 0x81, 0x80, 0, 1, 0, 1], &[0x45; 40]])),
            Tunnel::Unknown,
        ),
        ("a reply to GTP-U's", udp(2152, &[0x3a, 0x1b, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]), Tunnel::Unknown),
        ("another port", udp(4791, &join(&[&[8, 0, 0, 0, 0, 0, 9, 0], &frame])), Tunnel::Unknown),
    ];
    for (name, bytes, tunnel) in cases {
        let packet = parse(Link::Ip, &bytes);
        assert_eq!(
            (packet.tunnel, packet.inner.is_some(), packet.ip.is_some()),
            (tunnel, false, true),
            "{name}"
        );
    }
}

#[test]
fn a_frame_behind_labels_is_found_with_and_without_a_control_word_and_ip_is_not_taken_for_one() {
    const BOTTOM: [u8; 4] = [0, 0x01, 0x01, 64];
    let frame = |first: u8| {
        let mut frame = ethernet_with(&[[0x81, 0, 0, 9]], [8, 0], &V4_TCP);
        frame[0] = first;
        frame
    };
    let outer = |payload: &[u8]| ethernet_with(&[], [0x88, 0x47], &join(&[&BOTTOM, payload]));
    for (name, payload, tunnel) in [
        ("a control word", join(&[&[0; 4], &frame(2)]), Tunnel::Eompls),
        ("none", frame(0), Tunnel::Eompls),
        ("none, and an address that begins as IPv4 does", frame(0x44), Tunnel::Eompls),
        ("none, and an address that begins as IPv6 does", frame(0x62), Tunnel::Eompls),
        ("IPv4", V4_TCP.to_vec(), Tunnel::Unknown),
    ] {
        let packet = parse(Link::Ethernet, &outer(&payload));
        assert_eq!(
            (packet.tunnel, packet.ip.map(|ip| ip.ports)),
            (tunnel, Some(Some((8080, 443)))),
            "{name}"
        );
        assert_eq!(
            (packet.vlan, packet.src_mac, packet.label_count),
            (0, Mac([2, 0, 0, 0, 0, 2]), 1),
            "{name}"
        );
        assert!(packet.inner.is_none(), "{name}: there is one packet only");
    }
    // Addresses of either family whose bytes lie where a frame has a VLAN tag.
    let mut four = V4_TCP;
    (four[12], four[13]) = (0x81, 0);
    (four[10], four[11]) = (0, 0);
    let sum: u32 = four[..20].chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let checksum = !((sum & 0xffff) + (sum >> 16)) as u16;
    four[10..12].copy_from_slice(&checksum.to_be_bytes());
    let mut six = around_six(6, &V4_TCP[20..]);
    six[12..14].copy_from_slice(&[0x81, 0]);
    for packet in [four.to_vec(), six] {
        let found = parse(Link::Ethernet, &outer(&packet));
        assert_eq!((found.tunnel, found.ip.map(|ip| ip.ports)), (Tunnel::Unknown, Some(Some((8080, 443)))));
    }
    let nothing = parse(Link::Ethernet, &outer(&[0x10; 40]));
    assert_eq!((nothing.tunnel, nothing.ip.is_none()), (Tunnel::Unknown, true));
}

#[test]
fn ip_is_found_behind_llc_ppp_and_pppoe() {
    let llc = |header: &[u8]| ethernet_with(&[], [0, 48], &join(&[header, &V4_TCP]));
    for (name, link, bytes) in [
        ("SNAP", Link::Ethernet, llc(&[0xaa, 0xaa, 3, 0, 0, 0, 8, 0])),
        ("SNAP, bridged", Link::Ethernet, llc(&[0xaa, 0xaa, 3, 0, 0, 0xf8, 8, 0])),
        ("SAP", Link::Ethernet, llc(&[6, 6, 3])),
        (
            "SNAP in a jumbo frame",
            Link::Ethernet,
            ethernet_with(&[], [0x88, 0x70], &join(&[&[0xaa, 0xaa, 3, 0, 0, 0, 8, 0], &V4_TCP])),
        ),
        (
            "PPPoE",
            Link::Ethernet,
            ethernet_with(
                &[[0x81, 0, 0, 7]],
                [0x88, 0x64],
                &join(&[&[0x11, 0, 0, 1, 0, 62, 0, 0x21], &V4_TCP]),
            ),
        ),
        ("PPP in HDLC", Link::Ppp, join(&[&[0xff, 3, 0, 0x21], &V4_TCP])),
        ("PPP, compressed", Link::Ppp, join(&[&[0x21], &V4_TCP])),
        ("PPP with labels", Link::Ppp, join(&[&[0xff, 3, 2, 0x81, 0, 1, 1, 64], &V4_TCP])),
    ] {
        let packet = parse(link, &bytes);
        let ip = packet.ip.unwrap_or_else(|| panic!("{name}: no packet is found"));
        assert_eq!((ip.ports, packet.l3), (Some((8080, 443)), bytes.len() - V4_TCP.len()), "{name}");
        assert_eq!(packet.tunnel, Tunnel::Unknown, "{name}");
    }
    let spanning_tree = ethernet_with(&[], [0, 38], &[0x42, 0x42, 3, 0, 0, 0]);
    assert!(parse(Link::Ethernet, &spanning_tree).ip.is_none());
}

#[test]
fn packets_in_packets_in_packets_give_the_first_and_the_last() {
    let deep =
        around(4, &udp(4789, &join(&[&[8, 0, 0, 0, 0, 0, 9, 0], &ethernet_with(&[], [8, 0], &V4_TCP)])));
    let packet = parse(Link::Ip, &deep);
    assert_eq!((packet.tunnel, packet.tunnel_id), (Tunnel::IpInIp, None));
    assert_eq!(packet.inner.unwrap().ports, Some((8080, 443)));
}

proptest! {
    #[test]
    fn any_bytes_are_a_packet_or_none(bytes in prop::collection::vec(any::<u8>(), 0..200), mut frame in prop::collection::vec(any::<u8>(), 0..120), kind in 0..4_usize) {
        for link in [Link::Ethernet, Link::Ppp, Link::Mpls, Link::Ip] {
            prop_assert!(parse(link, &bytes).l3 <= bytes.len().max(22));
        }
        if frame.len() > 14 {
            frame[12..14].copy_from_slice(&[[8, 0], [0x86, 0xdd], [0x88, 0x47], [0x81, 0]][kind]);
            parse(Link::Ethernet, &frame);
        }
    }
}
