//! IPv4, IPv6 with its extension headers, and the transport behind them.

use super::{ETHERNET, IP, Layer, Next, Packet, u16_at, u32_at};
use weir_schemas::{Ip, Tunnel};

/// What an IP header and the transport header behind it say.
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
    /// Behind a segment routing header.
    routed: bool,
}

/// IP's protocol numbers of which more than the number is told.
mod proto {
    pub(super) const ICMP: u8 = 1;
    pub(super) const IPV4: u8 = 4;
    pub(super) const TCP: u8 = 6;
    pub(super) const UDP: u8 = 17;
    pub(super) const IPV6: u8 = 41;
    pub(super) const ROUTING: u8 = 43;
    pub(super) const FRAGMENT: u8 = 44;
    pub(super) const GRE: u8 = 47;
    pub(super) const AH: u8 = 51;
    pub(super) const ICMPV6: u8 = 58;
    pub(super) const ETHERIP: u8 = 97;
    pub(super) const MPLS: u8 = 137;
    pub(super) const ETHERNET: u8 = 143;
}

/// UDP's destination ports of tunnels (IANA), and 8472, which Linux had for VXLAN before.
const TUNNELS: &[(u16, Layer)] = &[
    (2152, Layer::GtpU),
    (4789, Layer::Vxlan),
    (8472, Layer::Vxlan),
    (4790, Layer::VxlanGpe),
    (6081, Layer::Geneve),
    (6635, Layer::MplsInUdp),
];

/// The tunnel that an IP header of this protocol, and with UDP this destination port, is the outer header of.
pub(crate) fn tunnel_of(proto: u8, port: u16) -> Tunnel {
    match proto {
        proto::IPV4 | proto::IPV6 => Tunnel::IpInIp,
        proto::GRE => Tunnel::Gre,
        proto::ETHERIP => Tunnel::EtherIp,
        proto::MPLS => Tunnel::MplsInIp,
        proto::ETHERNET => Tunnel::Srv6,
        proto::UDP => match TUNNELS.iter().find(|(known, _)| *known == port) {
            Some((_, Layer::GtpU)) => Tunnel::GtpU,
            Some((_, Layer::Geneve)) => Tunnel::Geneve,
            Some((_, Layer::MplsInUdp)) => Tunnel::MplsInIp,
            Some(_) => Tunnel::Vxlan,
            None => Tunnel::Unknown,
        },
        _ => Tunnel::Unknown,
    }
}

/// Bytes of a UDP header.
const UDP_HEADER: usize = 8;

/// IPv4 or IPv6.
pub(super) fn ip(bytes: &[u8], at: usize, packet: &mut Packet) -> Next {
    let (header, end) = match bytes.get(at)? >> 4 {
        4 => ipv4(bytes, at)?,
        6 => ipv6(bytes, at)?,
        _ => return None,
    };
    if packet.ip.is_none() {
        (packet.ip, packet.l3) = (Some(header), at);
    } else {
        packet.inner = Some(header);
    }
    // What an extension header or a later fragment has behind it is not known.
    let end = end?;
    let next = |layer| Some((layer, end));
    let around = if header.routed { Tunnel::Srv6 } else { Tunnel::IpInIp };
    match header.proto {
        proto::IPV4 | proto::IPV6 => packet.entered(around, None, next(IP)),
        proto::ETHERNET => packet.entered(Tunnel::Srv6, None, next(ETHERNET)),
        proto::GRE => next(Layer::Gre),
        proto::ETHERIP => next(Layer::EtherIp),
        proto::MPLS => next(Layer::MplsInIp),
        proto::UDP => {
            let (_, port) = header.ports?;
            let (_, layer) = TUNNELS.iter().find(|(known, _)| *known == port)?;
            Some((*layer, end + UDP_HEADER))
        }
        _ => None,
    }
}

/// True where a whole IPv4 header lies here whose checksum is right.
pub(super) fn is_ipv4(bytes: &[u8], at: usize) -> bool {
    let Some(rest) = bytes.get(at..) else { return false };
    let length = rest.first().map_or(0, |first| usize::from(first & 0xf) * 4);
    let Some(header) = rest.get(..length.max(20)) else { return false };
    let words = header.chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
    let sum: u32 = words.sum();
    (sum & 0xffff) + (sum >> 16) == 0xffff
}

/// True where what lies here may well be an IPv6 header: of a length that frames have, with a payload that is common.
pub(super) fn is_ipv6(bytes: &[u8], at: usize) -> bool {
    const LONGEST: u16 = 9216;
    let payload = u16_at(bytes, at + 4);
    let next = bytes.get(at + 6);
    payload.is_some_and(|length| length <= LONGEST)
        && next
            .is_some_and(|next| matches!(next, 0 | 4 | 6 | 17 | 41 | 43 | 44 | 47 | 50 | 51 | 58 | 60 | 132))
}

/// A header, and where its payload begins, if that is known.
fn ipv4(bytes: &[u8], at: usize) -> Option<(Header, Option<usize>)> {
    let head = bytes.get(at..)?.first_chunk::<20>()?;
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
    if fragment & 0x1fff != 0 {
        return Some((header, None));
    }
    let end = at + length;
    transport(bytes.get(end..).unwrap_or_default(), &mut header);
    Some((header, Some(end)))
}

/// A header, and where its payload begins, if that is known.
fn ipv6(bytes: &[u8], start: usize) -> Option<(Header, Option<usize>)> {
    let head = bytes.get(start..)?.first_chunk::<40>()?;
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
    let mut at = start + 40;
    loop {
        // Extension headers: hop-by-hop, routing, destination, mobility, HIP, shim6 in units of eight bytes, AH in units of four.
        let length = match header.proto {
            0 | proto::ROUTING | 60 | 135 | 139 | 140 => bytes.get(at + 1).map(|n| (usize::from(*n) + 1) * 8),
            proto::AH => bytes.get(at + 1).map(|n| (usize::from(*n) + 2) * 4),
            proto::FRAGMENT => {
                if let (Some(offset), Some(id)) = (u16_at(bytes, at + 2), u32_at(bytes, at + 4)) {
                    header.fragment = Some((id, offset >> 3));
                    if offset >> 3 != 0 {
                        header.proto = bytes.get(at).copied().unwrap_or(header.proto);
                        return Some((header, None));
                    }
                }
                Some(8)
            }
            _ => break,
        };
        let (Some(next), Some(length)) = (bytes.get(at), length) else {
            header.truncated = true;
            return Some((header, None));
        };
        // Routing type 4 is segment routing (RFC 8754 section 2).
        header.routed |= header.proto == proto::ROUTING && bytes.get(at + 2) == Some(&4);
        header.proto = *next;
        at += length;
    }
    transport(bytes.get(at..).unwrap_or_default(), &mut header);
    Some((header, Some(at)))
}

fn transport(bytes: &[u8], header: &mut Header) {
    match header.proto {
        // TCP, UDP, DCCP, SCTP, UDP-Lite: ports first.
        proto::TCP | proto::UDP | 33 | 132 | 136 => match (u16_at(bytes, 0), u16_at(bytes, 2)) {
            (Some(src), Some(dst)) => {
                header.ports = Some((src, dst));
                if header.proto == proto::TCP {
                    header.tcp_flags = u16_at(bytes, 12).unwrap_or_default() & 0xfff;
                }
            }
            _ => header.truncated = true,
        },
        proto::ICMP | proto::ICMPV6 => match bytes {
            [kind, code, ..] => header.icmp = Some((*kind, *code)),
            _ => header.truncated = true,
        },
        _ => {}
    }
}
