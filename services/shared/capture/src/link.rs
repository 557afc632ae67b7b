//! From a captured packet to the IP packet in it: Ethernet, VLAN tags, Linux cooked, raw IP, loopback.

use weir_schemas::Ip;

/// Link types (tcpdump.org/linktypes.html).
const NULL: i32 = 0;
const ETHERNET: i32 = 1;
const RAW: &[i32] = &[12, 14, 101, 228, 229];
const LOOP: i32 = 108;
const LINUX_SLL: i32 = 113;
const LINUX_SLL2: i32 = 276;

/// An IP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Packet<'a> {
    pub source: Ip,
    pub destination: Ip,
    pub protocol: u8,
    /// Identification, offset in bytes and whether more follow, of a fragment.
    pub fragment: Option<(u32, usize, bool)>,
    /// What lies behind the IP headers, without padding.
    pub payload: &'a [u8],
    /// How long that was before it was cut by the capture.
    pub length: usize,
}

/// What is in a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found<'a> {
    Ip(Packet<'a>),
    /// Something else than IP, or too little of it.
    Other,
    /// A link type that is not read.
    LinkType,
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|b| u16::from_be_bytes(*b))
}

/// Finds the IP packet.
pub(crate) fn find(link: i32, bytes: &[u8]) -> Found<'_> {
    let packet = match link {
        ETHERNET => u16_at(bytes, 12).and_then(|ethertype| tagged(bytes, 14, ethertype)),
        NULL | LOOP => bytes.get(4..).and_then(ip),
        LINUX_SLL => u16_at(bytes, 14).and_then(|ethertype| tagged(bytes, 16, ethertype)),
        LINUX_SLL2 => u16_at(bytes, 0).and_then(|ethertype| tagged(bytes, 20, ethertype)),
        link if RAW.contains(&link) => ip(bytes),
        _ => return Found::LinkType,
    };
    packet.map_or(Found::Other, Found::Ip)
}

fn tagged(bytes: &[u8], mut at: usize, mut ethertype: u16) -> Option<Packet<'_>> {
    while matches!(ethertype, 0x8100 | 0x88a8 | 0x9100) {
        ethertype = u16_at(bytes, at + 2)?;
        at += 4;
    }
    matches!(ethertype, 0x0800 | 0x86dd).then_some(())?;
    ip(bytes.get(at..)?)
}

fn ip(bytes: &[u8]) -> Option<Packet<'_>> {
    match bytes.first()? >> 4 {
        4 => ipv4(bytes),
        6 => ipv6(bytes),
        _ => None,
    }
}

/// The bytes from `at` to `end` of a packet as far as they were captured, and how many there were.
fn behind(bytes: &[u8], at: usize, end: usize) -> Option<(&[u8], usize)> {
    let length = end.checked_sub(at)?;
    let rest = bytes.get(at..).unwrap_or_default();
    Some((&rest[..length.min(rest.len())], length))
}

fn ipv4(bytes: &[u8]) -> Option<Packet<'_>> {
    let head = bytes.first_chunk::<20>()?;
    let header = usize::from(head[0] & 0xf) * 4;
    let total = usize::from(u16::from_be_bytes([head[2], head[3]]));
    // A length of 0 is what a host writes that leaves segmentation to its network card.
    let total = if total == 0 { bytes.len() } else { total };
    let (payload, length) = behind(bytes, header.max(20), total)?;
    let flags = u16::from_be_bytes([head[6], head[7]]);
    let fragment = (flags & 0x3fff != 0).then(|| {
        let id = u32::from(u16::from_be_bytes([head[4], head[5]]));
        (id, usize::from(flags & 0x1fff) * 8, flags & 0x2000 != 0)
    });
    Some(Packet {
        source: Ip::v4([head[12], head[13], head[14], head[15]]),
        destination: Ip::v4([head[16], head[17], head[18], head[19]]),
        protocol: head[9],
        fragment,
        payload,
        length,
    })
}

fn ipv6(bytes: &[u8]) -> Option<Packet<'_>> {
    let head = bytes.first_chunk::<40>()?;
    let payload = usize::from(u16::from_be_bytes([head[4], head[5]]));
    let end = if payload == 0 { bytes.len() } else { 40 + payload };
    let address = |at: usize| head[at..].first_chunk().map_or(Ip::default(), |b| Ip(*b));
    let (mut next, mut at) = (head[6], 40);
    let mut fragment = None;
    loop {
        let length = match next {
            0 | 43 | 60 | 135 => (usize::from(*bytes.get(at + 1)?) + 1) * 8,
            51 => (usize::from(*bytes.get(at + 1)?) + 2) * 4,
            44 => {
                let word = u16_at(bytes, at + 2)?;
                let id = bytes.get(at + 4..)?.first_chunk().map(|b| u32::from_be_bytes(*b))?;
                fragment = Some((id, usize::from(word & 0xfff8), word & 1 != 0));
                8
            }
            _ => break,
        };
        next = *bytes.get(at)?;
        at += length;
        if fragment.is_some_and(|(_, offset, _)| offset != 0) {
            break;
        }
    }
    let (payload, length) = behind(bytes, at, end)?;
    let fragment = fragment.filter(|(_, offset, more)| *offset != 0 || *more);
    Some(Packet { source: address(8), destination: address(24), protocol: next, fragment, payload, length })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn udp4() -> Vec<u8> {
        let mut packet = vec![0x45, 0, 0, 32, 0, 9, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2];
        packet.extend([0x30, 0x39, 0x08, 0x07, 0, 12, 0, 0, 1, 2, 3, 4]);
        packet
    }

    #[test]
    fn the_same_packet_is_found_behind_every_link_header() {
        let ip = udp4();
        let with = |head: &[u8]| [head, &ip[..], &[0; 6]].concat();
        let macs = [0; 12];
        for (link, bytes) in [
            (ETHERNET, with(&[&macs[..], &[8, 0]].concat())),
            (ETHERNET, with(&[&macs[..], &[0x81, 0, 0, 5, 8, 0]].concat())),
            (ETHERNET, with(&[&macs[..], &[0x88, 0xa8, 0, 5, 0x81, 0, 0, 6, 8, 0]].concat())),
            (LINUX_SLL, with(&[&[0; 14][..], &[8, 0]].concat())),
            (LINUX_SLL2, with(&[&[8, 0][..], &[0; 18]].concat())),
            (NULL, with(&[2, 0, 0, 0])),
            (LOOP, with(&[0, 0, 0, 2])),
            (101, with(&[])),
        ] {
            let Found::Ip(packet) = find(link, &bytes) else { panic!("link type {link}") };
            assert_eq!((packet.source, packet.protocol), (Ip::v4([192, 0, 2, 1]), 17));
            assert_eq!((packet.payload, packet.length), (&ip[20..], 12), "link type {link}");
        }
        assert_eq!(find(147, &ip), Found::LinkType);
    }

    #[test]
    fn an_ipv6_fragment_gives_its_place() {
        let mut packet = vec![0x60, 0, 0, 0, 0, 16, 44, 64];
        packet.extend([0; 32]);
        packet.extend([17, 0, 0x05, 0xa9, 0, 0, 0, 7]);
        packet.extend([9; 8]);
        let Found::Ip(found) = find(101, &packet) else { panic!("no packet") };
        assert_eq!((found.protocol, found.fragment), (17, Some((7, 1448, true))));
        assert_eq!(found.payload, [9; 8]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_packet_or_none(link in prop::sample::select(vec![0, 1, 101, 108, 113, 276]), bytes in prop::collection::vec(any::<u8>(), 0..120), four: bool) {
            let mut bytes = bytes;
            find(link, &bytes);
            if let Some(first) = bytes.first_mut() {
                *first = if four { 0x45 } else { 0x60 };
            }
            find(101, &bytes);
        }
    }
}
