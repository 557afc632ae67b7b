//! Small IPFIX messages and frames, and what became of them.
#![allow(clippy::unwrap_used, dead_code)]

use weir_schemas::frame::{Datagram, FrameWriter};

/// Receive time of all datagrams, ns.
pub const NOW: i64 = 1_800_000_000_000_000_000;

fn set(id: u16, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len() + 4).unwrap();
    [&id.to_be_bytes()[..], &length.to_be_bytes(), body].concat()
}

/// An IPFIX message (RFC 7011 §3.1) of one set.
pub fn message(domain: u32, set: &[u8]) -> Vec<u8> {
    let length = u16::try_from(set.len() + 16).unwrap();
    let mut out = vec![0, 10];
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(&1_800_000_000u32.to_be_bytes());
    out.extend_from_slice(&0u32.to_be_bytes());
    out.extend_from_slice(&domain.to_be_bytes());
    out.extend_from_slice(set);
    out
}

/// Source and destination address, bytes, packets, both interfaces.
pub fn template(id: u16) -> Vec<u8> {
    let fields: [(u16, u16); 6] = [(8, 4), (12, 4), (1, 8), (2, 8), (10, 4), (14, 4)];
    let mut body = id.to_be_bytes().to_vec();
    body.extend_from_slice(&(fields.len() as u16).to_be_bytes());
    for (element, length) in fields {
        body.extend_from_slice(&element.to_be_bytes());
        body.extend_from_slice(&length.to_be_bytes());
    }
    message(1, &set(2, &body))
}

/// Records of that template, one for each number of packets.
pub fn data(id: u16, packets: &[u64]) -> Vec<u8> {
    let mut body = Vec::new();
    for n in packets {
        body.extend_from_slice(&[192, 0, 2, 1, 198, 51, 100, 1]);
        body.extend_from_slice(&(n * 100).to_be_bytes());
        body.extend_from_slice(&n.to_be_bytes());
        body.extend_from_slice(&3u32.to_be_bytes());
        body.extend_from_slice(&4u32.to_be_bytes());
    }
    message(1, &set(id, &body))
}

/// Options data that names an interface (IE 10 as scope, 82, 83): template and row in one.
pub fn interface_options(index: u32, name: &str, description: &str) -> Vec<Vec<u8>> {
    let mut body = 300u16.to_be_bytes().to_vec();
    for number in [3u16, 1, 10, 4, 82, 65535, 83, 65535] {
        body.extend_from_slice(&number.to_be_bytes());
    }
    let mut row = index.to_be_bytes().to_vec();
    for text in [name, description] {
        row.push(u8::try_from(text.len()).unwrap());
        row.extend_from_slice(text.as_bytes());
    }
    vec![message(1, &set(3, &body)), message(1, &set(300, &row))]
}

/// Options data that announces an interval of selectors (IE 302, 34), each; 0 takes it back.
pub fn rate_options(selectors: std::ops::Range<u32>, interval: u32) -> Vec<Vec<u8>> {
    let body: Vec<u8> = [301u16, 2, 1, 302, 4, 34, 4].into_iter().flat_map(u16::to_be_bytes).collect();
    let rows = selectors.flat_map(|id| [id, interval]).flat_map(u32::to_be_bytes).collect::<Vec<_>>();
    vec![message(1, &set(3, &body)), message(1, &set(301, &rows))]
}

/// A frame of these datagrams.
pub fn frame(payloads: &[Vec<u8>]) -> Vec<u8> {
    frame_at(NOW, payloads)
}

/// A frame that was received at `received`, ns.
#[allow(dead_code)]
pub fn frame_at(received: i64, payloads: &[Vec<u8>]) -> Vec<u8> {
    let mut writer = FrameWriter::default();
    for payload in payloads {
        assert!(writer.push(&Datagram { received, listener: 4739, source_port: 5000, payload }));
    }
    writer.as_bytes().to_vec()
}
