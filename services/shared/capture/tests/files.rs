//! Capture files of our own making: formats, link types, fragments, and what is broken in them.
#![allow(missing_docs, reason = "tests read as sentences")]

use proptest::prelude::*;
use weir_capture::How;
use weir_capture::{CaptureError, Captured, decode::decode, read};
use weir_schemas::Ip;

/// A v5 datagram of one record, from 10.0.0.1 port 1024 to 10.0.0.2 port 443.
fn v5() -> Vec<u8> {
    let mut datagram =
        vec![0, 5, 0, 1, 0, 0x36, 0xee, 0x80, 0x65, 0x53, 0xf1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 2, 0, 100];
    datagram.extend([10, 0, 0, 1, 10, 0, 0, 2, 10, 0, 0, 254, 0, 3, 0, 7, 0, 0, 0, 3, 0, 0, 0x0b, 0xb8]);
    datagram.extend([
        0, 0x36, 0xc7, 0x70, 0, 0x36, 0xea, 0x98, 4, 0, 1, 187, 0, 0x1b, 6, 0, 0xfb, 0xf4, 0xfb, 0xf5, 24,
        16, 0, 0,
    ]);
    datagram
}

fn udp(payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u16 + 8).to_be_bytes();
    [&[0xc3, 0x50, 8, 7, length[0], length[1], 0, 0], payload].concat()
}

/// An IPv4 packet from 192.0.2.1; `flags` are flags and fragment offset.
fn ipv4(id: u16, flags: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x45, 0];
    packet.extend((payload.len() as u16 + 20).to_be_bytes());
    packet.extend(id.to_be_bytes());
    packet.extend(flags.to_be_bytes());
    packet.extend([64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2]);
    packet.extend(payload);
    packet
}

fn ethernet(ip: &[u8]) -> Vec<u8> {
    [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0], ip].concat()
}

/// A pcap of these packets, a second apart from 1 700 000 000 s.
fn pcap(magic: u32, big_endian: bool, link: u32, packets: &[Vec<u8>]) -> Vec<u8> {
    let word = |n: u32| if big_endian { n.to_be_bytes() } else { n.to_le_bytes() };
    let half = |n: u16| if big_endian { n.to_be_bytes() } else { n.to_le_bytes() };
    let mut file =
        [&word(magic)[..], &half(2), &half(4), &word(0), &word(0), &word(65_535), &word(link)].concat();
    for (n, packet) in packets.iter().enumerate() {
        let length = word(packet.len() as u32);
        file.extend([word(1_700_000_000 + n as u32), word(250), length, length].concat());
        file.extend(packet);
    }
    file
}

/// A pcapng block.
fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    let padding = vec![0; body.len().wrapping_neg() % 4];
    let length = (body.len() + padding.len() + 12) as u32;
    [&kind.to_le_bytes()[..], &length.to_le_bytes(), body, &padding, &length.to_le_bytes()].concat()
}

/// A pcapng of these packets on an interface with this resolution.
fn pcapng(resolution: u8, packets: &[(u64, Vec<u8>)]) -> Vec<u8> {
    let section = [&0x1a2b_3c4d_u32.to_le_bytes()[..], &[1, 0, 0, 0], &[0xff; 8]].concat();
    let interface = [1, 0, 0, 0, 0xff, 0xff, 0, 0, 9, 0, 1, 0, resolution, 0, 0, 0, 0, 0, 0, 0];
    let mut file = [block(0x0a0d_0d0a, &section), block(1, &interface)].concat();
    for (stamp, packet) in packets {
        let length = (packet.len() as u32).to_le_bytes();
        let stamp = [((stamp >> 32) as u32).to_le_bytes(), (*stamp as u32).to_le_bytes()].concat();
        file.extend(block(6, &[&[0; 4][..], &stamp, &length, &length, packet].concat()));
    }
    file
}

fn all(file: &[u8]) -> Vec<Result<Captured<'_>, CaptureError>> {
    read(file).expect("it is a capture").collect()
}

/// Time and payload of each datagram of a file without errors.
fn datagrams(file: &[u8]) -> Vec<(i64, Vec<u8>)> {
    all(file)
        .into_iter()
        .map(|next| next.map(|c| (c.time, c.payload.into_owned())).expect("no error"))
        .collect()
}

#[test]
fn pcap_of_either_byte_order_and_resolution_is_read() {
    let packet = ethernet(&ipv4(1, 0, &udp(b"hello")));
    for (magic, unit) in [(0xa1b2_c3d4, 250_000), (0xa1b2_3c4d, 250)] {
        for big_endian in [false, true] {
            let file = pcap(magic, big_endian, 1, &[packet.clone(), packet.clone()]);
            let wanted = |second: i64| ((1_700_000_000 + second) * 1_000_000_000 + unit, b"hello".to_vec());
            assert_eq!(datagrams(&file), [wanted(0), wanted(1)]);
        }
    }
    let file = pcap(0xa1b2_c3d4, false, 1, &[packet]);
    let captured = all(&file).remove(0).unwrap();
    assert_eq!(
        (captured.source, captured.source_port, captured.destination_port),
        (Ip::v4([192, 0, 2, 1]), 50_000, 2055)
    );
    assert_eq!(captured.at, 24);
}

#[test]
fn pcapng_of_every_resolution_is_read() {
    let packet = ethernet(&ipv4(1, 0, &udp(b"hello")));
    for (resolution, stamp) in [(6, 1_500_000), (9, 1_500_000_000), (3, 1500), (0x80 | 1, 3)] {
        let file = pcapng(resolution, &[(stamp, packet.clone())]);
        assert_eq!(datagrams(&file), [(1_500_000_000, b"hello".to_vec())], "resolution {resolution:#x}");
    }
}

#[test]
fn fragments_are_put_together_in_any_order_and_a_missing_one_is_reported_with_its_place() {
    let datagram = udp(&[7; 4000]);
    let part = |id, from: usize, to: usize| {
        let more = if to < datagram.len() { 0x2000 } else { 0 };
        ethernet(&ipv4(id, more | (from / 8) as u16, &datagram[from..to]))
    };
    let parts = |id| [part(id, 0, 1480), part(id, 1480, 2960), part(id, 2960, 4008)];
    let [a, b, c] = parts(1);
    for order in [[&a, &b, &c], [&c, &a, &b], [&b, &c, &a]] {
        let file = pcap(0xa1b2_c3d4, false, 1, &order.map(Clone::clone));
        assert_eq!(
            datagrams(&file).into_iter().map(|(_, payload)| payload).collect::<Vec<_>>(),
            [vec![7; 4000]]
        );
    }
    let whole = ethernet(&ipv4(9, 0, &udp(b"whole")));
    let file = pcap(0xa1b2_c3d4, false, 1, &[a, whole, c]);
    let found = all(&file);
    assert_eq!(found[0].as_ref().map(|c| &c.payload[..]), Ok(&b"whole"[..]));
    assert_eq!(found[1], Err(CaptureError::Fragment { at: 24, source_address: Ip::v4([192, 0, 2, 1]) }));
    assert_eq!(found.len(), 2);
}

#[test]
fn a_packet_that_was_snapped_is_an_error_and_the_next_one_is_read() {
    let packet = ethernet(&ipv4(1, 0, &udp(&[7; 100])));
    let file = pcap(0xa1b2_c3d4, false, 1, &[packet[..92].to_vec(), packet.clone()]);
    let found = all(&file);
    assert_eq!(found[0], Err(CaptureError::Snapped { at: 24, has: 50, wanted: 100 }));
    assert_eq!(found[1].as_ref().map(|c| c.payload.len()), Ok(100));
}

#[test]
fn a_file_that_ends_early_gives_what_is_whole_and_then_the_place() {
    let packet = ethernet(&ipv4(1, 0, &udp(b"hello")));
    let legacy = pcap(0xa1b2_c3d4, false, 1, &[packet.clone(), packet.clone()]);
    let found = all(&legacy[..legacy.len() - 3]);
    assert_eq!(found.len(), 2);
    let at = 24 + 16 + packet.len();
    assert_eq!(found[1], Err(CaptureError::CutOff { at, needed: "3 bytes are missing".into() }));
    let next = pcapng(6, &[(0, packet.clone()), (0, packet)]);
    let found = all(&next[..next.len() - 3]);
    assert_eq!(found.len(), 2);
    assert!(matches!(found[1], Err(CaptureError::CutOff { .. })), "{:?}", found[1]);
}

#[test]
fn a_block_that_is_shorter_than_what_is_around_its_content_is_broken() {
    let mut file = pcapng(6, &[]);
    let at = file.len();
    // A block of process information, which the parser takes from four bytes on.
    file.extend([1, 0, 0, 0x80, 8, 0, 0, 0, 0, 0, 0, 0]);
    let why = "its length is less than the 12 bytes around its content".into();
    assert_eq!(all(&file), [Err(CaptureError::Broken { at, why })]);
}

#[test]
fn what_is_no_capture_is_refused_in_words() {
    assert_eq!(read(b"").err(), Some(CaptureError::Empty));
    let error = read(b"PK\x03\x04 a zip").err().map(|error| error.to_string());
    let wanted =
        "the file is no pcap, no pcapng, and begins with 504b0304: no NetFlow, IPFIX or sFlow either";
    assert_eq!(error.as_deref(), Some(wanted));
    let file = pcap(0xa1b2_c3d4, false, 147, &[vec![1, 2, 3]]);
    assert_eq!(all(&file), [Err(CaptureError::LinkType { at: 24, link: 147 })]);
}

#[test]
fn packets_that_are_no_udp_are_counted() {
    let mut tcp = ipv4(1, 0, &udp(b"hello"));
    tcp[9] = 6;
    let file = pcap(0xa1b2_c3d4, false, 1, &[ethernet(&tcp), ethernet(&ipv4(1, 0, &udp(b"hello")))]);
    let mut capture = read(&file).unwrap();
    assert_eq!(capture.by_ref().count(), 1);
    assert_eq!(capture.others(), 1);
}

#[test]
fn a_line_has_all_columns_that_are_not_empty_and_the_summary_says_what_was_there() {
    let garbage = ethernet(&ipv4(2, 0, &udp(b"not netflow")));
    let file = pcap(0xa1b2_c3d4, false, 1, &[ethernet(&ipv4(1, 0, &udp(&v5()))), garbage]);
    let mut lines = Vec::new();
    let summary = decode(read(&file).unwrap(), &How::default(), &mut lines).unwrap();
    insta::assert_snapshot!("line", String::from_utf8(lines).unwrap());
    insta::assert_snapshot!("summary", summary.to_string());
}

#[test]
fn data_whose_template_never_comes_is_reported_and_never_dropped_for_its_age_or_size() {
    // A v9 datagram of 60 kB of data, twice in a year.
    let mut datagram =
        vec![0, 9, 0, 1, 0, 0, 0, 1, 0x65, 0x53, 0xf1, 0, 0, 0, 0, 1, 0, 0, 0, 5, 1, 0, 0xea, 0x60];
    datagram.resize(20 + 60_000, 1);
    let packets = (0..40)
        .map(|n| (n * 31_536_000_000, ethernet(&ipv4(n as u16, 0, &udp(&datagram)))))
        .collect::<Vec<_>>();
    let file = pcapng(3, &packets);
    let mut template = vec![0, 9, 0, 1, 0, 0, 0, 1, 0x65, 0x53, 0xf1, 0, 0, 0, 0, 1, 0, 0, 0, 5];
    template.extend([0, 0, 0, 16, 1, 0, 0, 2, 0, 8, 0, 4, 0, 1, 0, 4]);
    let without = decode(read(&file).unwrap(), &How::default(), &mut Vec::new()).unwrap();
    assert_eq!((without.counts.flows, without.sets_without_template, without.faults.len()), (0, 40, 1));
    let late = [packets, vec![(0, ethernet(&ipv4(99, 0, &udp(&template))))]].concat();
    let with = decode(read(&pcapng(3, &late)).unwrap(), &How::default(), &mut Vec::new()).unwrap();
    assert_eq!((with.counts.flows, with.sets_without_template), (40 * ((60_000 - 4) / 8), 0));
}

proptest! {
    #[test]
    fn any_changed_file_ends_with_datagrams_and_errors(edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8), next: bool, cut in any::<prop::sample::Index>()) {
        let packet = ethernet(&ipv4(1, 0, &udp(&v5())));
        let fragment = ethernet(&ipv4(2, 0x2000, &udp(&v5())));
        let packets = [packet.clone(), fragment, packet];
        let mut file = if next {
            pcapng(6, &packets.map(|packet| (7, packet)))
        } else {
            pcap(0xa1b2_c3d4, false, 1, &packets)
        };
        for (at, byte) in edits {
            let at = at.index(file.len());
            file[at] = byte;
        }
        file.truncate(cut.index(file.len()) + 1);
        if let Ok(capture) = read(&file) {
            let summary = decode(capture, &How::default(), &mut Vec::new()).expect("memory takes all");
            prop_assert!(summary.counts.datagrams + summary.capture_errors <= 100);
        }
    }

    #[test]
    fn any_bytes_after_a_magic_number_end(magic in 0..3_usize, bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let magic = [&[0x0a, 0x0d, 0x0d, 0x0a][..], &[0xd4, 0xc3, 0xb2, 0xa1], &[0xa1, 0xb2, 0xc3, 0xd4]][magic];
        if let Ok(capture) = read(&[magic, &bytes].concat()) {
            prop_assert!(capture.count() < 1000);
        }
    }
}
