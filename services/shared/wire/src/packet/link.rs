//! What lies below IP: Ethernet with its tags, LLC, PPP, and MPLS with what has no name behind its labels.

use super::ip::{is_ipv4, is_ipv6};
use super::{ETHERNET, IP, LABELS, MPLS, Next, Packet, ethertype, u16_at, u32_at};
use weir_schemas::{Mac, Tunnel};

/// Destination and source of an Ethernet frame.
const ADDRESSES: usize = 12;

/// 802.1Q, 802.1ad, and the tags that came before them.
fn is_tag(kind: u16) -> bool {
    matches!(kind, 0x8100 | 0x88a8 | 0x9100 | 0x9200 | 0x9300)
}

/// IEEE 802.3: Ethernet II, or a length with LLC. The first frame's addresses and tags are kept.
pub(super) fn ethernet(bytes: &[u8], start: usize, packet: &mut Packet) -> Next {
    let ([d0, d1, d2, d3, d4, d5, s @ ..], _) = bytes.get(start..)?.split_first_chunk::<ADDRESSES>()?;
    let first = packet.frames == 0 && packet.label_count == 0 && packet.ip.is_none();
    packet.frames = packet.frames.saturating_add(1);
    if first {
        (packet.dst_mac, packet.src_mac) = (Mac([*d0, *d1, *d2, *d3, *d4, *d5]), Mac(*s));
    }
    let mut at = start + ADDRESSES;
    let mut kind = u16_at(bytes, at)?;
    while is_tag(kind) {
        let vlan = u16_at(bytes, at + 2)? & 0xfff;
        if first {
            match packet.tags {
                0 => packet.vlan = vlan,
                1 => packet.customer_vlan = vlan,
                _ => {}
            }
            packet.tags = packet.tags.saturating_add(1);
        }
        at += 4;
        kind = u16_at(bytes, at)?;
    }
    at += 2;
    // A length, or the ethertype that stands for one that is too long (IEEE 802.1AC): then LLC.
    if kind < 0x600 || kind == 0x8870 {
        (kind, at) = llc(bytes, at)?;
    }
    if first {
        (packet.ethertype, packet.l3) = (kind, at);
    }
    ethertype(kind, at)
}

/// The ethertype that LLC stands for, and what lies behind it: SNAP (RFC 1042, and 802.1H's bridged tunnel), or IP's own SAP.
fn llc(bytes: &[u8], at: usize) -> Option<(u16, usize)> {
    match bytes.get(at..)? {
        [0xaa, 0xaa, 3, 0, 0, 0 | 0xf8, high, low, ..] => Some((u16::from_be_bytes([*high, *low]), at + 8)),
        [6, 6, 3, ..] => Some((0x0800, at + 3)),
        _ => None,
    }
}

/// PPP (RFC 1661, 1662): address and control may be left out, and the first byte of the protocol.
pub(super) fn ppp(bytes: &[u8], mut at: usize) -> Next {
    if bytes.get(at..)?.starts_with(&[0xff, 3]) {
        at += 2;
    }
    let first = *bytes.get(at)?;
    let protocol = if first & 1 == 1 {
        at += 1;
        u16::from(first)
    } else {
        at += 2;
        u16_at(bytes, at - 2)?
    };
    match protocol {
        0x0021 | 0x0057 => Some((IP, at)),
        0x0281 | 0x0283 => Some((MPLS, at)),
        _ => None,
    }
}

/// A stack of labels (RFC 3032). What follows it is not named.
pub(super) fn mpls(bytes: &[u8], mut at: usize, packet: &mut Packet) -> Next {
    loop {
        let entry = u32_at(bytes, at)?;
        at += 4;
        if packet.label_count < LABELS && packet.ip.is_none() {
            packet.labels[packet.label_count] = entry >> 12;
            packet.label_count += 1;
        }
        if entry & 0x100 != 0 {
            return behind_labels(bytes, at, packet);
        }
    }
}

/// A first nibble of 4 or 6 is IP (RFC 4928), unless it is a frame without a control word whose destination begins so; one of 0 is a control
/// word (RFC 4385), or such a frame. A frame is known by the type that it names.
fn behind_labels(bytes: &[u8], at: usize, packet: &mut Packet) -> Next {
    let next = match bytes.get(at)? >> 4 {
        4 if is_ipv4(bytes, at) || !is_frame(bytes, at) => return Some((IP, at)),
        6 if is_ipv6(bytes, at) || !is_frame(bytes, at) => return Some((IP, at)),
        0 if is_frame(bytes, at + 4) => at + 4,
        _ if is_frame(bytes, at) => at,
        _ => return None,
    };
    packet.entered(Tunnel::Eompls, None, Some((ETHERNET, next)))
}

/// True where a packet or a frame is recognised where labels end.
pub(super) fn is_behind_labels(bytes: &[u8], at: usize) -> bool {
    let version = bytes.get(at).map(|first| first >> 4);
    is_ipv4(bytes, at)
        || (version == Some(6) && is_ipv6(bytes, at))
        || is_frame(bytes, at)
        || (version == Some(0) && is_frame(bytes, at + 4))
}

/// True where what begins here names a type that frames have where frames name it.
fn is_frame(bytes: &[u8], at: usize) -> bool {
    let Some(kind) = u16_at(bytes, at + ADDRESSES) else { return false };
    let version = || bytes.get(at + ADDRESSES + 2).map(|first| first >> 4);
    match kind {
        0x0800 => version() == Some(4),
        0x86dd => version() == Some(6),
        // ARP, MPLS, PPPoE, MACsec, LLDP.
        0x0806 | 0x8847 | 0x8848 | 0x8863 | 0x8864 | 0x88e5 | 0x88cc => true,
        _ => is_tag(kind),
    }
}
