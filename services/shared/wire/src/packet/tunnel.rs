//! Headers of tunnels, each with the layer that it says is within.

use super::link::is_behind_labels;
use super::{ETHERNET, IP, Layer, MPLS, Next, Packet, ethertype, u16_at, u32_at};
use weir_schemas::Tunnel;

/// GRE: version 0 with its optional words (RFC 2784, 2890; routing of RFC 1701 is left alone), version 1 of PPTP (RFC 2637), and ERSPAN.
pub(super) fn gre(bytes: &[u8], at: usize, packet: &mut Packet) -> Next {
    const CHECKSUM: u16 = 0x8000;
    const ROUTING: u16 = 0x4000;
    const KEY: u16 = 0x2000;
    const SEQUENCE: u16 = 0x1000;
    const ACKNOWLEDGED: u16 = 0x0080;
    let (flags, kind) = (u16_at(bytes, at)?, u16_at(bytes, at + 2)?);
    let version = flags & 7;
    let words = |flag: u16| if flags & flag != 0 { 4 } else { 0 };
    let key = at + 4 + words(CHECKSUM);
    let id = (flags & KEY != 0).then(|| u32_at(bytes, key)).flatten();
    let end = key + words(KEY) + words(SEQUENCE);
    match (version, kind) {
        // Type II and III have a header before the frame, type I has none: it has no sequence number either (draft-foschiano-erspan).
        (0, 0x88be | 0x22eb) => {
            let session = u32_at(bytes, end).filter(|_| flags & SEQUENCE != 0);
            let next = match kind {
                _ if flags & SEQUENCE == 0 => Some((ETHERNET, end)),
                0x88be => Some((ETHERNET, end + 8)),
                _ => u32_at(bytes, end + 8).and_then(erspan_3).map(|(layer, header)| (layer, end + header)),
            };
            let id = session.map(|word| word & 0x3ff);
            packet.entered(Tunnel::Erspan, id, next)
        }
        (0, _) if flags & ROUTING == 0 => packet.entered(Tunnel::Gre, id, ethertype(kind, end)),
        // The key is the payload's length and the call's number.
        (1, 0x880b) => packet.entered(
            Tunnel::Gre,
            id.map(|key| key & 0xffff),
            ethertype(kind, end + words(ACKNOWLEDGED)),
        ),
        _ => packet.entered(Tunnel::Gre, id, None),
    }
}

/// What the last word of ERSPAN III's header says follows, and how long the header is (draft-foschiano-erspan): the frame's type in five
/// bits, and in the last one whether eight more bytes belong to it.
fn erspan_3(word: u32) -> Option<(Layer, usize)> {
    let layer = match word >> 10 & 0x1f {
        0 => ETHERNET,
        2 => IP,
        _ => return None,
    };
    Some((layer, 12 + 8 * (word as usize & 1)))
}

/// EtherIP: version 3 and twelve bits of nothing (RFC 3378 section 2).
pub(super) fn etherip(bytes: &[u8], at: usize, packet: &mut Packet) -> Next {
    let next = (u16_at(bytes, at)? >> 12 == 3).then_some((ETHERNET, at + 2));
    packet.entered(Tunnel::EtherIp, None, next)
}

/// VXLAN (RFC 7348 section 5), of which all but the I flag and the VNI is 0; with Linux' group policy extension there is a group. What is something else
/// went to its port by chance.
pub(super) fn vxlan(bytes: &[u8], at: usize, packet: &mut Packet) -> Next {
    let (flags, vni) = (u32_at(bytes, at)?, u32_at(bytes, at + 4)?);
    let is_vxlan = flags == 0x0800_0000 || flags >> 24 == 0x88;
    if !is_vxlan || vni & 0xff != 0 {
        return None;
    }
    packet.entered(Tunnel::Vxlan, Some(vni >> 8), Some((ETHERNET, at + 8)))
}

/// VXLAN's generic protocol extension (draft-ietf-nvo3-vxlan-gpe section 3): where the P flag is set, the last byte of the first word names
/// what follows.
pub(super) fn vxlan_gpe(bytes: &[u8], at: usize, packet: &mut Packet) -> Next {
    let (first, vni) = (u32_at(bytes, at)?, u32_at(bytes, at + 4)?);
    let (flags, next) = (first >> 24, first as u8);
    // Version 0, a VNI, and nothing where nothing is to be.
    if flags & 0xf8 != 8 || first & 0x00ff_ff00 != 0 || vni & 0xff != 0 {
        return None;
    }
    let layer = match (flags & 4, next) {
        (0, 0) | (4, 3) => ETHERNET,
        (4, 1 | 2) => IP,
        (4, 5) => MPLS,
        _ => return None,
    };
    packet.entered(Tunnel::Vxlan, Some(vni >> 8), Some((layer, at + 8)))
}

/// Geneve (RFC 8926 section 3.4): version 0, options in words.
pub(super) fn geneve(bytes: &[u8], at: usize, packet: &mut Packet) -> Next {
    let (first, kind, vni) = (u16_at(bytes, at)?, u16_at(bytes, at + 2)?, u32_at(bytes, at + 4)?);
    let options = usize::from(first >> 8 & 0x3f) * 4;
    let next = ethertype(kind, at + 8 + options)?;
    if first >> 14 != 0 || first & 0x3f != 0 || vni & 0xff != 0 {
        return None;
    }
    packet.entered(Tunnel::Geneve, Some(vni >> 8), Some(next))
}

/// MPLS in UDP (RFC 7510). Its port says it and nothing else, so what is behind the labels has to look like a packet or a frame.
pub(super) fn mpls_in_udp(bytes: &[u8], start: usize, packet: &mut Packet) -> Next {
    let mut at = start;
    while u32_at(bytes, at)? & 0x100 == 0 {
        at += 4;
    }
    is_behind_labels(bytes, at + 4).then_some(())?;
    packet.entered(Tunnel::MplsInIp, None, Some((MPLS, start)))
}

/// GTP-U (3GPP TS 29.281 section 5): version 1, of which message 255 has a user's packet. With any of three flags a word follows, whose last
/// byte names an extension header, and so does each extension header's last byte; their first is their length in words.
pub(super) fn gtp_u(bytes: &[u8], at: usize, packet: &mut Packet) -> Next {
    const G_PDU: u8 = 255;
    let (flags, message, id) = (*bytes.get(at)?, *bytes.get(at + 1)?, u32_at(bytes, at + 4)?);
    if flags >> 4 != 3 || message != G_PDU {
        return None;
    }
    let mut end = at + 8;
    if flags & 7 != 0 {
        end += 4;
        let mut extension = if flags & 4 != 0 { *bytes.get(end - 1)? } else { 0 };
        while extension != 0 {
            let words = usize::from(*bytes.get(end)?);
            if words == 0 {
                return packet.entered(Tunnel::GtpU, Some(id), None);
            }
            end += words * 4;
            extension = *bytes.get(end - 1)?;
        }
    }
    packet.entered(Tunnel::GtpU, Some(id), Some((IP, end)))
}
