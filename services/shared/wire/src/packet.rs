//! The header of a sampled packet: Ethernet, VLAN tags, MPLS labels, IPv4, IPv6, transport.
//!
//! A sampled header is cut off somewhere; what lies before the cut is used, and the cut is flagged only where it hides the
//! transport ports. Nothing is read twice, so time is linear in the header's length.

use weir_schemas::columns::flag;
use weir_schemas::{Flow, Ip, Mac};

/// Most labels kept.
pub(crate) const LABELS: usize = 10;

/// What a header begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    Ethernet,
    Mpls,
    /// IPv4 or IPv6, by the version in its first four bits.
    Ip,
}

/// What a sampled header says.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Packet {
    pub src_mac: Mac,
    pub dst_mac: Mac,
    pub vlan: u16,
    pub tags: u8,
    pub ethertype: u16,
    pub labels: [u32; LABELS],
    pub label_count: usize,
    pub ip: Option<Header>,
    /// Offset at which layer 3 begins.
    pub l3: usize,
}

/// What its IP header and the transport header behind it say.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Header {
    pub six: bool,
    pub src: Ip,
    pub dst: Ip,
    pub proto: u8,
    pub tos: u8,
    pub ttl: u8,
    pub flow_label: Option<u32>,
    pub fragment: Option<(u32, u16)>,
    /// Bytes of the packet, IP header included; 0 where the header leaves it open (segmentation offload, jumbograms).
    pub length: u64,
    pub ports: Option<(u16, u16)>,
    pub tcp_flags: u16,
    pub icmp: Option<(u8, u8)>,
    /// Cut off before the transport header's ports.
    pub truncated: bool,
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|b| u16::from_be_bytes(*b))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|b| u32::from_be_bytes(*b))
}

/// Reads as much as there is.
pub(crate) fn parse(link: Link, bytes: &[u8]) -> Packet {
    let mut packet = Packet::default();
    match link {
        Link::Ethernet => ethernet(bytes, &mut packet),
        Link::Mpls => mpls(bytes, 0, &mut packet),
        Link::Ip => ip(bytes, 0, &mut packet),
    }
    packet
}

fn ethernet(bytes: &[u8], packet: &mut Packet) {
    let Some(([d @ .., s0, s1, s2, s3, s4, s5], _)) = bytes.split_first_chunk::<12>() else { return };
    packet.dst_mac = Mac(*d);
    packet.src_mac = Mac([*s0, *s1, *s2, *s3, *s4, *s5]);
    let mut at = 12;
    let mut kind = u16_at(bytes, at);
    // 802.1Q, 802.1ad, and the tags that came before them.
    while let Some(0x8100 | 0x88a8 | 0x9100 | 0x9200 | 0x9300) = kind {
        let Some(tag) = u16_at(bytes, at + 2) else { return };
        if packet.tags == 0 {
            packet.vlan = tag & 0xfff;
        }
        packet.tags = packet.tags.saturating_add(1);
        at += 4;
        kind = u16_at(bytes, at);
    }
    let Some(mut ethertype) = kind else { return };
    at += 2;
    if ethertype < 0x600 {
        // 802.3: a length, then LLC; SNAP has the ethertype behind it.
        let snap =
            bytes.get(at..at + 6).is_some_and(|llc| llc[..3] == [0xaa, 0xaa, 3] && llc[3..] == [0, 0, 0]);
        let Some(inner) = u16_at(bytes, at + 6).filter(|_| snap) else { return };
        ethertype = inner;
        at += 8;
    }
    packet.ethertype = ethertype;
    packet.l3 = at;
    match ethertype {
        0x0800 | 0x86dd => ip(bytes, at, packet),
        0x8847 | 0x8848 => mpls(bytes, at, packet),
        _ => {}
    }
}

fn mpls(bytes: &[u8], mut at: usize, packet: &mut Packet) {
    while let Some(entry) = u32_at(bytes, at) {
        at += 4;
        if packet.label_count < LABELS {
            packet.labels[packet.label_count] = entry >> 12;
            packet.label_count += 1;
        }
        if entry & 0x100 != 0 {
            // What follows is not named. A first nibble of 4 or 6 is IP by convention (RFC 4928).
            if bytes.get(at).is_some_and(|first| matches!(first >> 4, 4 | 6)) {
                ip(bytes, at, packet);
            }
            return;
        }
    }
}

fn ip(bytes: &[u8], at: usize, packet: &mut Packet) {
    packet.l3 = at;
    packet.ip = match bytes.get(at).map(|first| first >> 4) {
        Some(4) => ipv4(&bytes[at..]),
        Some(6) => ipv6(&bytes[at..]),
        _ => None,
    };
}

fn ipv4(bytes: &[u8]) -> Option<Header> {
    let head = bytes.first_chunk::<20>()?;
    let length = usize::from(head[0] & 0xf) * 4;
    if length < 20 {
        return None;
    }
    let fragment = u16::from_be_bytes([head[6], head[7]]);
    let mut header = Header {
        src: Ip::v4([head[12], head[13], head[14], head[15]]),
        dst: Ip::v4([head[16], head[17], head[18], head[19]]),
        proto: head[9],
        tos: head[1],
        ttl: head[8],
        length: u64::from(u16::from_be_bytes([head[2], head[3]])),
        ..Header::default()
    };
    if fragment & 0x3fff != 0 {
        header.fragment = Some((u32::from(u16::from_be_bytes([head[4], head[5]])), fragment & 0x1fff));
    }
    if fragment & 0x1fff == 0 {
        transport(bytes.get(length..).unwrap_or_default(), &mut header);
    }
    Some(header)
}

fn ipv6(bytes: &[u8]) -> Option<Header> {
    let head = bytes.first_chunk::<40>()?;
    let first = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
    let payload = u64::from(u16::from_be_bytes([head[4], head[5]]));
    let address = |at: usize| head[at..].first_chunk().map_or(Ip::default(), |b| Ip(*b));
    let mut header = Header {
        six: true,
        src: address(8),
        dst: address(24),
        proto: head[6],
        tos: (first >> 20) as u8,
        ttl: head[7],
        flow_label: Some(first & 0xf_ffff),
        length: if payload == 0 { 0 } else { payload + 40 },
        ..Header::default()
    };
    let mut at = 40;
    loop {
        // Extension headers: hop-by-hop, routing, destination, mobility, HIP, shim6 in units of eight bytes, AH in units of four.
        let length = match header.proto {
            0 | 43 | 60 | 135 | 139 | 140 => bytes.get(at + 1).map(|n| (usize::from(*n) + 1) * 8),
            51 => bytes.get(at + 1).map(|n| (usize::from(*n) + 2) * 4),
            44 => {
                if let (Some(offset), Some(id)) = (u16_at(bytes, at + 2), u32_at(bytes, at + 4)) {
                    header.fragment = Some((id, offset >> 3));
                    if offset >> 3 != 0 {
                        header.proto = bytes.get(at).copied().unwrap_or(header.proto);
                        return Some(header);
                    }
                }
                Some(8)
            }
            _ => break,
        };
        let (Some(next), Some(length)) = (bytes.get(at), length) else {
            header.truncated = true;
            return Some(header);
        };
        header.proto = *next;
        at += length;
    }
    transport(bytes.get(at..).unwrap_or_default(), &mut header);
    Some(header)
}

fn transport(bytes: &[u8], header: &mut Header) {
    match header.proto {
        // TCP, UDP, DCCP, SCTP, UDP-Lite: ports first.
        6 | 17 | 33 | 132 | 136 => match (u16_at(bytes, 0), u16_at(bytes, 2)) {
            (Some(src), Some(dst)) => {
                header.ports = Some((src, dst));
                if header.proto == 6 {
                    header.tcp_flags = u16_at(bytes, 12).unwrap_or_default() & 0xfff;
                }
            }
            _ => header.truncated = true,
        },
        1 | 58 => match bytes {
            [kind, code, ..] => header.icmp = Some((*kind, *code)),
            _ => header.truncated = true,
        },
        _ => {}
    }
}

impl Packet {
    /// Writes what the header says into a flow. `labels` is where the flow's labels stay.
    pub(crate) fn fill<'a>(&self, flow: &mut Flow<'a>, labels: &'a mut [u32; LABELS]) {
        flow.src_mac = self.src_mac;
        flow.dst_mac = self.dst_mac;
        flow.src_vlan = self.vlan;
        flow.ethertype = self.ethertype;
        if self.label_count > 0 {
            *labels = self.labels;
            flow.mpls_labels = weir_schemas::U32s::Native(&labels[..self.label_count]);
        }
        let Some(ip) = &self.ip else { return };
        flow.family = if ip.six { 6 } else { 4 };
        flow.src_addr = ip.src;
        flow.dst_addr = ip.dst;
        flow.proto = ip.proto;
        flow.tos = ip.tos;
        flow.ttl = Some(ip.ttl);
        flow.flow_label = ip.flow_label;
        flow.fragment_id = ip.fragment.map(|(id, _)| id);
        flow.fragment_offset = ip.fragment.map(|(_, offset)| offset);
        (flow.src_port, flow.dst_port) = ip.ports.unwrap_or_default();
        flow.tcp_flags = ip.tcp_flags;
        flow.icmp_type = ip.icmp.map(|(kind, _)| kind);
        flow.icmp_code = ip.icmp.map(|(_, code)| code);
        if ip.truncated {
            flow.flags |= flag::HEADER_TRUNCATED;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const V4_TCP: [u8; 40] = [
        0x45, 0x28, 0, 60, 0, 7, 0x40, 0, 63, 6, 0, 0, 192, 0, 2, 1, 198, 51, 100, 2, // IPv4
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
        assert_eq!((packet.vlan, packet.tags, packet.ethertype, packet.l3), (7, 2, 0x800, 22));
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

    proptest! {
        #[test]
        fn any_bytes_are_a_packet_or_none(bytes in prop::collection::vec(any::<u8>(), 0..200), mut frame in prop::collection::vec(any::<u8>(), 0..120), kind in 0..4_usize) {
            for link in [Link::Ethernet, Link::Mpls, Link::Ip] {
                prop_assert!(parse(link, &bytes).l3 <= bytes.len().max(22));
            }
            if frame.len() > 14 {
                frame[12..14].copy_from_slice(&[[8, 0], [0x86, 0xdd], [0x88, 0x47], [0x81, 0]][kind]);
                parse(Link::Ethernet, &frame);
            }
        }
    }
}
