//! Two packets in one record: where a template has addresses and protocol twice, it tells of a packet and of the one within.
//!
//! Elements of one number are in the order of the packet, outermost first (RFC 7011 section 8). Which field is whose is settled when a template is
//! compiled: what is of the packet within has slots of its own, so that records of one packet cost nothing more. Huawei and Cisco send such records of
//! SRv6.

use crate::element::{self, Form, Slot};
use crate::options::Tunnels;
use crate::packet::tunnel_of;
use crate::plan::{Field, Present, Words};
use crate::record::{v4, v6};
use weir_schemas::{Flow, Ip, Tunnel};

/// What is told of either packet: its slot, and that of the packet within.
const WITHIN: &[(Slot, Slot)] = &[
    (Slot::Proto, Slot::InnerProto),
    (Slot::Tos, Slot::InnerTos),
    (Slot::TcpFlags, Slot::InnerTcpFlags),
    (Slot::SrcPort, Slot::InnerSrcPort),
    (Slot::DstPort, Slot::InnerDstPort),
    (Slot::FlowLabel, Slot::InnerFlowLabel),
    (Slot::SrcV4, Slot::InnerSrcV4),
    (Slot::DstV4, Slot::InnerDstV4),
    (Slot::SrcV6, Slot::InnerSrcV6),
    (Slot::DstV6, Slot::InnerDstV6),
];
/// Addresses of either family.
const FAMILIES: [Present; 2] =
    [Present::of(&[Slot::SrcV4, Slot::DstV4]), Present::of(&[Slot::SrcV6, Slot::DstV6])];
const WITHIN_V4: Present = Present::of(&[Slot::InnerSrcV4, Slot::InnerDstV4]);
const WITHIN_V6: Present = Present::of(&[Slot::InnerSrcV6, Slot::InnerDstV6]);
/// Addresses of a packet within: a template that has none of them tells of one packet.
pub(crate) const ANY: Present =
    Present::of(&[Slot::InnerSrcV4, Slot::InnerDstV4, Slot::InnerSrcV6, Slot::InnerDstV6]);

/// Whose fields a template has.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Layers {
    /// Whether it tells of two packets.
    two: bool,
    /// By family, whether its addresses are of the packet within alone.
    within: [bool; 2],
}

impl Layers {
    /// There are two packets where both addresses of a family occur again, or where addresses of both families go with two protocols: with one they are those
    /// of a template for both families, of which a record fills either.
    pub(crate) fn of(fields: &[Field]) -> Self {
        let (mut seen, mut twice) = (Present::default(), Present::default());
        let (mut protocols, mut between) = (0, false);
        // The addresses before the first that occurs again, and before the first of another family, which may come behind a protocol.
        let [mut again, mut other, mut behind] = [None; 3];
        for slot in fields.iter().filter_map(slot) {
            if slot == Slot::Proto {
                protocols += 1;
                between |= seen != Present::default();
            }
            let Some(family) = FAMILIES.iter().position(|addresses| addresses.has(slot)) else { continue };
            if seen.has(slot) {
                again.get_or_insert(seen);
                twice.add(slot as u8);
            } else if !seen.any(FAMILIES[family]) && seen.any(FAMILIES[1 - family]) {
                *(if between { &mut behind } else { &mut other }) = Some(seen);
            }
            seen.add(slot as u8);
        }
        let with_two = |addresses: Option<Present>| addresses.filter(|_| protocols > 1);
        let again = again.filter(|_| FAMILIES.iter().any(|addresses| twice.all(*addresses)));
        match with_two(behind).or(again).or(with_two(other)) {
            Some(around) => Self { two: true, within: FAMILIES.map(|addresses| !around.any(addresses)) },
            None => Self::default(),
        }
    }

    /// The slots that a field of an element may fill, the first that is free.
    pub(crate) fn slots(&self, slot: Slot) -> [Option<Slot>; 2] {
        if !self.two {
            return [Some(slot), None];
        }
        let within = WITHIN.iter().find(|(known, _)| *known == slot).map(|(_, within)| *within);
        let mut families = FAMILIES.iter().zip(self.within);
        let alone = families.any(|(addresses, alone)| alone && addresses.has(slot));
        [Some(slot).filter(|_| !alone), within]
    }
}

/// The slot of an element that has one, whatever its length: a field of a length that is not read fills it with nothing.
fn slot(field: &Field) -> Option<Slot> {
    match element::element(field.id, field.enterprise)?.form {
        Form::Exact(_, slot) | Form::Wide(slot) | Form::Number(slot) => Some(slot),
        _ => None,
    }
}

/// Puts what a record says of the packet within beside what it says of the one around, which is in the flow, or in its place. What is told once stays;
/// but for the length of prefixes, which are those of the addresses around. Where either has no addresses, or both have the same, there is one packet.
#[cold]
pub(crate) fn put(flow: &mut Flow<'_>, has: &Present, words: &Words, tunnels: Tunnels) {
    let get = |slot: Slot| has.has(slot).then(|| words[slot as usize]);
    let four = words[Slot::InnerSrcV4 as usize] | words[Slot::InnerDstV4 as usize];
    let six = has.any(WITHIN_V6) && (four == 0 || !has.any(WITHIN_V4));
    // What a template does not have is 0, which is no address of IPv6 and one of IPv4.
    let address = |short: Slot, long: Slot| {
        if six { v6(words, long) } else { get(short).map_or(Ip::default(), v4) }
    };
    let (src, dst) =
        (address(Slot::InnerSrcV4, Slot::InnerSrcV6), address(Slot::InnerDstV4, Slot::InnerDstV6));
    let none = if six { src.is_none() && dst.is_none() } else { four == 0 };
    let around = (flow.src_addr, flow.dst_addr);
    if none || around == (src, dst) {
        return;
    }
    let nothing = |ip: Ip| ip.is_none() || ip == v4(0);
    let alone = nothing(around.0) && nothing(around.1);
    if !alone {
        let routed = !v6(words, Slot::ActiveSegment).is_none();
        flow.tunnel = match tunnel_of(flow.proto, flow.dst_port) {
            Tunnel::IpInIp if routed => Tunnel::Srv6,
            tunnel => tunnel,
        };
        if tunnels == Tunnels::Outer {
            (flow.inner_src_addr, flow.inner_dst_addr) = (src, dst);
            return;
        }
        (flow.outer_src_addr, flow.outer_dst_addr) = around;
    }
    // A label that is told once is that of the packet that may have one.
    let label = get(Slot::InnerFlowLabel).or(get(Slot::FlowLabel).filter(|_| flow.family == 4));
    flow.flow_label = label.filter(|_| six).map(|label| label as u32 & 0xf_ffff);
    (flow.src_addr, flow.dst_addr) = (src, dst);
    (flow.family, flow.src_prefix_len, flow.dst_prefix_len) = (if six { 6 } else { 4 }, 0, 0);
    let or = |slot: Slot, told: u16| get(slot).map_or(told, |value| value as u16);
    flow.proto = or(Slot::InnerProto, flow.proto.into()) as u8;
    flow.tos = or(Slot::InnerTos, flow.tos.into()) as u8;
    flow.tcp_flags = or(Slot::InnerTcpFlags, flow.tcp_flags);
    flow.src_port = or(Slot::InnerSrcPort, flow.src_port);
    flow.dst_port = or(Slot::InnerDstPort, flow.dst_port);
}
