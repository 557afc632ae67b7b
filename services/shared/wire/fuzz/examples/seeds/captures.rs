//! Files of captured packets, of every form that weir-capture reads.

use crate::build::{Bytes, bytes};

/// An IPv4 packet of UDP, whole or as two fragments.
fn udp4(payload: &[u8], fragments: bool) -> Vec<Vec<u8>> {
    let datagram = bytes().u16(50_000).u16(2055).u16(payload.len() as u16 + 8).u16(0).raw(payload).0;
    let packet = |flags: u16, part: &[u8]| {
        bytes()
            .raw([0x45, 0])
            .u16(part.len() as u16 + 20)
            .u16(7)
            .u16(flags)
            .raw([64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 9])
            .raw(part)
            .0
    };
    match datagram.split_at_checked(64) {
        Some((first, second)) if fragments => vec![packet(0x2000, first), packet(8, second)],
        _ => vec![packet(0, &datagram)],
    }
}

fn udp6(payload: &[u8]) -> Vec<u8> {
    let length = payload.len() as u16 + 8;
    let head = bytes().u32(0x6000_0000).u16(length).u8(17).u8(64).raw([0x20; 16]).raw([0x21; 16]);
    head.u16(50_000).u16(2055).u16(length).u16(0).raw(payload).0
}

/// What a link type puts before a packet of IPv4.
const LINKS: [(u32, &[u8]); 6] = [
    (1, &[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0]),
    (1, &[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x81, 0, 0, 7, 8, 0]),
    (113, &[0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 8, 0]),
    (276, &[8, 0, 0, 0, 0, 0, 0, 2, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0]),
    (101, &[]),
    (0, &[2, 0, 0, 0]),
];

/// Numbers of a file, in its byte order.
fn number(bytes: Bytes, n: u32, little: bool) -> Bytes {
    bytes.raw(if little { n.to_le_bytes() } else { n.to_be_bytes() })
}

fn legacy(magic: u32, little: bool, link: u32, packets: &[Vec<u8>]) -> Vec<u8> {
    let version = if little { [2, 0, 4, 0] } else { [0, 2, 0, 4] };
    let mut file = number(bytes(), magic, little).raw(version);
    for n in [0, 0, 65_535, link] {
        file = number(file, n, little);
    }
    for packet in packets {
        for n in [1_700_000_000, 7, packet.len() as u32, packet.len() as u32] {
            file = number(file, n, little);
        }
        file = file.raw(packet);
    }
    file.0
}

fn block(kind: u32, little: bool, body: Bytes) -> Vec<u8> {
    let mut body = body.0;
    body.resize(body.len().next_multiple_of(4), 0);
    let length = body.len() as u32 + 12;
    let head = number(number(bytes(), kind, little), length, little);
    number(head.raw(body), length, little).0
}

fn next_generation(little: bool, link: u32, packets: &[Vec<u8>]) -> Vec<u8> {
    let section = number(bytes(), 0x1a2b_3c4d, little).raw(if little { [1, 0, 0, 0] } else { [0, 1, 0, 0] });
    let mut file = block(0x0a0d_0d0a, little, section.raw([0xff; 8]));
    let kind = if little { [link as u8, 0] } else { [0, link as u8] };
    // With a resolution in nanoseconds.
    let resolution: [u8; 12] =
        if little { [9, 0, 1, 0, 9, 0, 0, 0, 0, 0, 0, 0] } else { [0, 9, 0, 1, 9, 0, 0, 0, 0, 0, 0, 0] };
    file.extend(block(1, little, bytes().raw(kind).raw([0; 2]).raw([0; 4]).raw(resolution)));
    for packet in packets {
        let length = packet.len() as u32;
        let head =
            [0, 0x0617_8af0, 7, length, length].into_iter().fold(bytes(), |all, n| number(all, n, little));
        file.extend(block(6, little, head.raw(packet)));
        file.extend(block(3, little, number(bytes(), length, little).raw(packet)));
    }
    file
}

/// A file of each form with these datagrams.
pub fn files(payloads: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let few = |payload: &Vec<u8>| payload[..payload.len().min(240)].to_vec();
    let payloads: Vec<_> = payloads.iter().map(few).collect();
    let mut all = payloads.clone();
    all.push(payloads.concat());
    for (link, before) in LINKS {
        for fragments in [false, true] {
            let framed = |packet: Vec<u8>| [before, &packet[..]].concat();
            let mut packets: Vec<_> =
                payloads.iter().flat_map(|payload| udp4(payload, fragments)).map(framed).collect();
            if link == 101 {
                packets.push(udp6(&payloads[0]));
            }
            let (magic, little) = if fragments { (0xa1b2_3c4d, false) } else { (0xa1b2_c3d4, true) };
            all.push(legacy(magic, little, link, &packets));
            if link < 256 {
                all.push(next_generation(fragments, link, &packets[..1]));
            }
        }
    }
    all
}
