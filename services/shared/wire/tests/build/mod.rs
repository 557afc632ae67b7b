//! Builds datagrams of every protocol, field by field, for tests and benchmarks.
#![allow(dead_code, unused_imports, missing_docs, reason = "each test uses some of it")]

pub mod running;
mod sink;
pub use sink::*;

/// Receive time of the datagrams: 2023-11-14T22:13:20Z, in ns.
pub const RECEIVED: i64 = 1_700_000_000_000_000_000;
/// Export time in their headers, in s.
pub const EXPORTED: u32 = 1_700_000_000;
/// Uptime in their headers, in ms.
pub const UPTIME: u32 = 3_600_000;
/// A length that means variable.
pub const VARIABLE: u16 = u16::MAX;

/// Bytes, big-endian, appended one after another.
#[derive(Clone, Debug, Default)]
pub struct Bytes(pub Vec<u8>);

impl Bytes {
    pub fn u8(mut self, n: u8) -> Self {
        self.0.push(n);
        self
    }
    pub fn u16(mut self, n: u16) -> Self {
        self.0.extend(n.to_be_bytes());
        self
    }
    pub fn u32(mut self, n: u32) -> Self {
        self.0.extend(n.to_be_bytes());
        self
    }
    pub fn u64(mut self, n: u64) -> Self {
        self.0.extend(n.to_be_bytes());
        self
    }
    pub fn raw(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.0.extend_from_slice(bytes.as_ref());
        self
    }
}

pub fn bytes() -> Bytes {
    Bytes::default()
}

/// A field of a template: element, length, enterprise where it is not 0.
#[derive(Clone, Copy, Debug)]
pub struct F(pub u16, pub u16, pub u32);

/// A field of IANA's.
pub const fn f(id: u16, length: u16) -> F {
    F(id, length, 0)
}

/// A set with its header.
pub fn set(id: u16, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    bytes().u16(id).u16(body.len() as u16 + 4).raw(body).0
}

fn specifiers(fields: &[F]) -> Vec<u8> {
    let one = |F(id, length, enterprise): &F| match enterprise {
        0 => bytes().u16(*id).u16(*length).0,
        pen => bytes().u16(*id | 0x8000).u16(*length).u32(*pen).0,
    };
    fields.iter().flat_map(one).collect()
}

/// A template record, of v9 or IPFIX.
pub fn template(id: u16, fields: &[F]) -> Vec<u8> {
    bytes().u16(id).u16(fields.len() as u16).raw(specifiers(fields)).0
}

/// An options template record of v9.
pub fn v9_options_template(id: u16, scopes: &[F], fields: &[F]) -> Vec<u8> {
    let lengths = bytes().u16(id).u16(scopes.len() as u16 * 4).u16(fields.len() as u16 * 4);
    lengths.raw(specifiers(scopes)).raw(specifiers(fields)).0
}

/// An options template record of IPFIX.
pub fn ipfix_options_template(id: u16, scopes: &[F], fields: &[F]) -> Vec<u8> {
    let counts = bytes().u16(id).u16((scopes.len() + fields.len()) as u16).u16(scopes.len() as u16);
    counts.raw(specifiers(scopes)).raw(specifiers(fields)).0
}

/// A v9 datagram of sets.
pub fn v9(domain: u32, sets: &[Vec<u8>]) -> Vec<u8> {
    let header = bytes().u16(9).u16(sets.len() as u16).u32(UPTIME).u32(EXPORTED).u32(1).u32(domain);
    header.raw(sets.concat()).0
}

/// An IPFIX message of sets.
pub fn ipfix(domain: u32, sets: &[Vec<u8>]) -> Vec<u8> {
    let body = sets.concat();
    bytes().u16(10).u16(body.len() as u16 + 16).u32(EXPORTED).u32(1).u32(domain).raw(body).0
}

/// A v5 record from 10.0.0.1 port 1024 to 10.0.0.2 port 443.
pub fn v5_record(packets: u32, octets: u32, first: u32, last: u32) -> Vec<u8> {
    bytes()
        .raw([10, 0, 0, 1, 10, 0, 0, 2, 10, 0, 0, 254])
        .u16(3)
        .u16(7)
        .u32(packets)
        .u32(octets)
        .u32(first)
        .u32(last)
        .u16(1024)
        .u16(443)
        .u8(0)
        .u8(0x1b)
        .u8(6)
        .u8(0x20)
        .u16(64500)
        .u16(64501)
        .u8(24)
        .u8(16)
        .u16(0)
        .0
}

/// A v5 datagram. `sampling` is the header's last field as it is.
pub fn v5(sampling: u16, records: &[Vec<u8>]) -> Vec<u8> {
    bytes()
        .u16(5)
        .u16(records.len() as u16)
        .u32(UPTIME)
        .u32(EXPORTED)
        .u32(500_000_000)
        .u32(1)
        .u8(1)
        .u8(2)
        .u16(sampling)
        .raw(records.concat())
        .0
}

/// A datagram of version 1, 7 or 8, of engine 0x0102 where it has one. `scheme` is of version 8.
pub fn without_templates(version: u16, scheme: u8, records: &[Vec<u8>]) -> Vec<u8> {
    let header = bytes().u16(version).u16(records.len() as u16).u32(UPTIME).u32(EXPORTED).u32(500_000_000);
    let header = match version {
        1 => header,
        7 => header.u32(1).u8(1).u8(2).u16(0x4064),
        _ => header.u32(1).u8(1).u8(2).u8(scheme).u8(2).u32(0),
    };
    header.raw(records.concat()).0
}

/// The parts of records of version 8: addresses 10.1.0.0/16 and 10.2.0.0/24, ASes 64500 and 64501, interfaces 3 and 7, ports 53 and 5353, UDP,
/// type of service 0x20.
pub mod aggregate {
    use super::{Bytes, UPTIME, bytes};

    /// 9 flows.
    pub fn flows() -> Bytes {
        bytes().u32(9)
    }

    /// 40 packets, 4000 bytes, from ten seconds ago to one second ago.
    pub fn sums(before: Bytes) -> Bytes {
        before.u32(40).u32(4000).u32(UPTIME - 10_000).u32(UPTIME - 1000)
    }

    /// Records of schemes 1 to 14.
    pub fn records() -> [Vec<u8>; 14] {
        let (src, dst, router) = ([10, 1, 0, 0], [10, 2, 0, 0], [10, 9, 9, 9]);
        let head = || sums(flows());
        let ases = |before: Bytes| before.u16(64_500).u16(64_501);
        let interfaces = |before: Bytes| before.u16(3).u16(7);
        let ports = |before: Bytes| before.u16(53).u16(5353);
        let prefixes = || head().raw(src).raw(dst).u8(24).u8(16);
        [
            interfaces(ases(head())),
            ports(head().u8(17).u8(0).u16(0)),
            head().raw(src).u8(16).u8(0).u16(64_500).u16(3).u16(0),
            head().raw(dst).u8(24).u8(0).u16(64_501).u16(7).u16(0),
            interfaces(ases(prefixes().u16(0))),
            sums(bytes().raw(dst)).u16(7).u8(0x20).u8(1).u32(2).raw(router),
            sums(bytes().raw(dst).raw(src)).u16(7).u16(3).u8(0x20).u8(1).u16(0).u32(2).raw(router),
            sums(bytes().raw(dst).raw(src).u16(5353).u16(53))
                .u16(7)
                .u16(3)
                .u8(0x20)
                .u8(17)
                .u8(1)
                .u8(0)
                .u32(2)
                .raw(router),
            interfaces(ases(head())).u8(0x20).u8(0).u16(0),
            interfaces(ports(head().u8(17).u8(0x20).u16(0))),
            head().raw(src).u8(16).u8(0x20).u16(64_500).u16(3).u16(0),
            head().raw(dst).u8(24).u8(0x20).u16(64_501).u16(7).u16(0),
            interfaces(ases(prefixes().u8(0x20).u8(0))),
            interfaces(ports(prefixes().u8(0x20).u8(17))),
        ]
        .map(|record| record.0)
    }
}

/// A record or sample of sFlow: format, length, body padded to four.
pub fn tagged(format: u32, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let padding = body.len().wrapping_neg() % 4;
    bytes().u32(format).u32(body.len() as u32).raw(body).raw(vec![0; padding]).0
}

/// An sFlow datagram of agent 192.0.2.9, sub-agent 4.
pub fn sflow(samples: &[Vec<u8>]) -> Vec<u8> {
    let header =
        bytes().u32(5).u32(1).raw([192, 0, 2, 9]).u32(4).u32(77).u32(UPTIME).u32(samples.len() as u32);
    header.raw(samples.concat()).0
}

/// A flow sample: data source, rate, input, output as they are on the wire.
pub fn flow_sample(source: u32, rate: u32, input: u32, output: u32, records: &[Vec<u8>]) -> Vec<u8> {
    let head = bytes().u32(1).u32(source).u32(rate).u32(1000).u32(0).u32(input).u32(output);
    tagged(1, head.u32(records.len() as u32).raw(records.concat()).0)
}

/// A raw packet header record of Ethernet.
pub fn raw_header(frame_length: u32, stripped: u32, header: &[u8]) -> Vec<u8> {
    tagged(1, bytes().u32(1).u32(frame_length).u32(stripped).u32(header.len() as u32).raw(header).0)
}

/// An Ethernet frame of TCP over IPv4, of which `length` is the IP length, without what follows the TCP header.
pub fn tcp4(length: u16) -> Vec<u8> {
    bytes()
        .raw([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0])
        .raw([0x45, 0])
        .u16(length)
        .raw([0, 1, 0x40, 0, 64, 6, 0, 0, 192, 0, 2, 10, 198, 51, 100, 20])
        .u16(50000)
        .u16(443)
        .raw([0; 8])
        .raw([0x50, 0x18, 0, 0, 0, 0, 0, 0])
        .0
}

/// The 22 fields that routers commonly export.
pub const FIELDS_22: &[F] = &[
    f(8, 4),
    f(12, 4),
    f(15, 4),
    f(10, 4),
    f(14, 4),
    f(2, 4),
    f(1, 4),
    f(22, 4),
    f(21, 4),
    f(7, 2),
    f(11, 2),
    f(16, 4),
    f(17, 4),
    f(18, 4),
    f(4, 1),
    f(6, 1),
    f(5, 1),
    f(9, 1),
    f(13, 1),
    f(48, 2),
    f(61, 1),
    f(89, 1),
];

/// The same with IPFIX's times.
pub const FIELDS_22_IPFIX: &[F] = &[
    f(8, 4),
    f(12, 4),
    f(15, 4),
    f(10, 4),
    f(14, 4),
    f(2, 8),
    f(1, 8),
    f(152, 8),
    f(153, 8),
    f(7, 2),
    f(11, 2),
    f(16, 4),
    f(17, 4),
    f(18, 4),
    f(4, 1),
    f(6, 1),
    f(5, 1),
    f(9, 1),
    f(13, 1),
    f(48, 2),
    f(61, 1),
    f(89, 1),
];

/// A record of [`FIELDS_22`], or of [`FIELDS_22_IPFIX`], whose numbers follow from `n`.
pub fn record_22(n: u32, ipfix: bool) -> Vec<u8> {
    let packets = 1 + n % 13;
    let octets = packets * (60 + n * 97 % 1400);
    let head = bytes().u32(0x0a00_0000 + n).u32(0xc633_6400 + n % 256).u32(0xc000_0201).u32(3).u32(7 + n % 4);
    let counted = if ipfix {
        let now = u64::from(EXPORTED) * 1000;
        head.u64(packets.into()).u64(octets.into()).u64(now - 30_000).u64(now - u64::from(n % 1000))
    } else {
        head.u32(packets).u32(octets).u32(UPTIME - 30_000).u32(UPTIME - n % 1000)
    };
    counted
        .u16(1024 + n as u16 % 60000)
        .u16(443)
        .u32(64500)
        .u32(64501 + n % 100)
        .u32(0xc000_0202)
        .raw([6, 0x1b, 0, 24, 16])
        .u16(1)
        .raw([0, 64])
        .0
}

/// Name, datagram of templates (may be empty) and datagram of data, of each benchmark.
pub fn bench_datagrams() -> Vec<(&'static str, Vec<u8>, Vec<u8>)> {
    let records = |ipfix: bool| (0..22).flat_map(|n| record_22(n * 7919, ipfix)).collect::<Vec<_>>();
    let sampler = v9_options_template(300, &[f(1, 4)], &[f(48, 2), f(49, 1), f(50, 4)]);
    let sampler_row = bytes().u32(0).u16(1).u8(2).u32(1000).0;
    let v9_templates = v9(1, &[set(0, template(256, FIELDS_22)), set(1, sampler), set(300, sampler_row)]);
    let v5_records: Vec<_> = (1..=30).map(|n| v5_record(n, n * 700, UPTIME - 9000, UPTIME - n)).collect();
    let gateway = bytes()
        .u32(1)
        .raw([192, 0, 2, 1])
        .u32(64496)
        .u32(64500)
        .u32(64501)
        .u32(1)
        .u32(2)
        .u32(3)
        .u32(64502)
        .u32(64503)
        .u32(64504)
        .u32(0)
        .u32(100);
    let router = bytes().u32(1).raw([192, 0, 2, 1]).u32(24).u32(16);
    let sample = |n: u32, extended: bool| {
        let mut header = tcp4(1400);
        header.resize(128, 0);
        let mut records = vec![raw_header(1418 + n, 4, &header)];
        if extended {
            records.push(tagged(1002, &router.0));
            records.push(tagged(1003, &gateway.0));
        }
        flow_sample(3, 2000, 3, 7, &records)
    };
    let samples = |extended| sflow(&(0..6).map(|n| sample(n, extended)).collect::<Vec<_>>());
    vec![
        ("v9 of 22 fields", v9_templates, v9(1, &[set(256, records(false))])),
        (
            "IPFIX of 22 fields",
            ipfix(1, &[set(2, template(256, FIELDS_22_IPFIX))]),
            ipfix(1, &[set(256, records(true))]),
        ),
        ("v5", Vec::new(), v5(100, &v5_records)),
        ("sFlow raw header", Vec::new(), samples(false)),
        ("sFlow raw header, router, gateway", Vec::new(), samples(true)),
    ]
}
