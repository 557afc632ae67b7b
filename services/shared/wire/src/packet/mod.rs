//! The header of a sampled packet: frames, tags, labels, IP and transport, and what tunnels have within.
//!
//! A sampled header is cut off somewhere; what lies before the cut is used, and the cut is flagged only where it hides the
//! transport ports. Each layer names the one behind it and where that begins, which is always further on: nothing is read twice, and time
//! is linear in the header's length, however deep packets lie in packets.

mod ip;
mod link;
mod tunnel;

use crate::netflow::{u16_at, u32_at};
use crate::options::Tunnels;
pub(crate) use ip::{Header, tunnel_of};
use weir_schemas::columns::flag;
use weir_schemas::{Flow, Mac, Tunnel, U32s};

/// Most labels kept.
pub(crate) const LABELS: usize = 10;

/// What a header begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    Ethernet,
    /// PPP, in HDLC-like framing or without.
    Ppp,
    Mpls,
    /// IPv4 or IPv6, by the version in its first four bits.
    Ip,
}

/// What comes behind a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layer {
    Link(Link),
    Gre,
    MplsInIp,
    MplsInUdp,
    EtherIp,
    Vxlan,
    VxlanGpe,
    Geneve,
    GtpU,
}

/// A layer, and the byte where it begins.
type Next = Option<(Layer, usize)>;

const ETHERNET: Layer = Layer::Link(Link::Ethernet);
const PPP: Layer = Layer::Link(Link::Ppp);
const MPLS: Layer = Layer::Link(Link::Mpls);
const IP: Layer = Layer::Link(Link::Ip);

/// What a sampled header says.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Packet {
    pub src_mac: Mac,
    pub dst_mac: Mac,
    /// Of the first tag.
    pub vlan: u16,
    /// Of the second.
    pub customer_vlan: u16,
    pub tags: u8,
    pub ethertype: u16,
    pub labels: [u32; LABELS],
    pub label_count: usize,
    /// The first IP header.
    pub ip: Option<Header>,
    /// The last one, where there are several.
    pub inner: Option<Header>,
    pub tunnel: Tunnel,
    pub tunnel_id: Option<u32>,
    /// Offset at which the first IP header, or else the payload of the first frame, begins.
    pub l3: usize,
    /// Frames so far.
    frames: u8,
}

/// Reads as much as there is.
pub(crate) fn parse(link: Link, bytes: &[u8]) -> Packet {
    let mut packet = Packet::default();
    let mut next = Some((Layer::Link(link), 0));
    while let Some((layer, at)) = next {
        next = match layer {
            Layer::Link(Link::Ethernet) => link::ethernet(bytes, at, &mut packet),
            Layer::Link(Link::Ppp) => link::ppp(bytes, at),
            Layer::Link(Link::Mpls) => link::mpls(bytes, at, &mut packet),
            Layer::Link(Link::Ip) => ip::ip(bytes, at, &mut packet),
            Layer::Gre => tunnel::gre(bytes, at, &mut packet),
            Layer::MplsInIp => packet.entered(Tunnel::MplsInIp, None, Some((MPLS, at))),
            Layer::MplsInUdp => tunnel::mpls_in_udp(bytes, at, &mut packet),
            Layer::EtherIp => tunnel::etherip(bytes, at, &mut packet),
            Layer::Vxlan => tunnel::vxlan(bytes, at, &mut packet),
            Layer::VxlanGpe => tunnel::vxlan_gpe(bytes, at, &mut packet),
            Layer::Geneve => tunnel::geneve(bytes, at, &mut packet),
            Layer::GtpU => tunnel::gtp_u(bytes, at, &mut packet),
        };
    }
    packet
}

/// What an ethertype says comes next (IEEE 802 numbers).
fn ethertype(kind: u16, at: usize) -> Next {
    match kind {
        0x0800 | 0x86dd => Some((IP, at)),
        0x8847 | 0x8848 => Some((MPLS, at)),
        // PPPoE session: version, type, code, session, length (RFC 2516 section 4).
        0x8864 => Some((PPP, at + 6)),
        0x6558 => Some((ETHERNET, at)),
        0x880b => Some((PPP, at)),
        _ => None,
    }
}

impl Packet {
    /// A tunnel begins: of several the first is told. Gives back what is in it.
    fn entered(&mut self, tunnel: Tunnel, id: Option<u32>, next: Next) -> Next {
        if self.tunnel == Tunnel::Unknown {
            (self.tunnel, self.tunnel_id) = (tunnel, id);
        }
        next
    }

    /// Octets of layer 3 in a frame of a length, of which so many behind the packet are no part of what was parsed; and flags. The IP header says it, but no
    /// more than the frame can hold: whoever sends a packet can write any length into it. What the header leaves open has the rest of the frame.
    pub(crate) fn length(&self, frame: u64, behind: u64) -> (Option<u64>, u32) {
        let Some(ip) = &self.ip else { return (None, 0) };
        let most = frame.saturating_sub(self.l3 as u64);
        let room = most.saturating_sub(behind);
        match ip.length {
            0 => (Some(room), 0),
            length if length > most => (Some(room), flag::LENGTH_CONTRADICTED),
            length if length < room => (Some(length), flag::PADDED),
            length => (Some(length), 0),
        }
    }

    /// Labels of the header; none where it has none.
    pub(crate) fn stack(&self) -> Option<U32s<'_>> {
        (self.label_count > 0).then(|| U32s::Native(&self.labels[..self.label_count]))
    }

    /// Writes what the header says into a flow, but for labels; what it does not have stays.
    pub(crate) fn fill(&self, tunnels: Tunnels, flow: &mut Flow<'_>) {
        if self.frames > 0 {
            (flow.src_mac, flow.dst_mac) = (self.src_mac, self.dst_mac);
        }
        if self.tags > 0 {
            (flow.src_vlan, flow.customer_vlan) = (self.vlan, self.customer_vlan);
        }
        if self.ethertype != 0 {
            flow.ethertype = self.ethertype;
        }
        let Some(outer) = &self.ip else {
            flow.tunnel = self.tunnel;
            return;
        };
        let mut ip = outer;
        if self.tunnel != Tunnel::Unknown {
            (flow.tunnel, flow.tunnel_id) = (self.tunnel, self.tunnel_id);
            if let Some(inner) = &self.inner {
                match tunnels {
                    Tunnels::Outer => (flow.inner_src_addr, flow.inner_dst_addr) = (inner.src, inner.dst),
                    Tunnels::Inner => {
                        (flow.outer_src_addr, flow.outer_dst_addr) = (outer.src, outer.dst);
                        ip = inner;
                    }
                }
            }
        }
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
mod tests;
