//! What the product makes of sampled packets: they are written as a router or a switch sends them, read by Weir's own decoder, and added up by
//! the sink's own function.
//!
//! What must stay true: no sum here is worked out by the test itself, above all not Q (docs/counting.md, "Error of an estimate").

#[path = "../../../../shared/wire/tests/build/mod.rs"]
mod build;

use super::link::{Link, Packet};
use build::{F, RECEIVED, bytes, f, flow_sample, ipfix, raw_header, set, sflow, tcp4, template};
use weir_schemas::frame::Datagram;
use weir_schemas::{Flow, Ip};
use weir_sink::rollup::amounts;
use weir_wire::{Budget, Context, Exporter, Fault, Interface, Options, Output, Rate};

/// One packet in so many is sampled.
pub const N: u64 = 100;

/// Records of a message.
const MESSAGE: usize = 1000;

/// Sums of an AS, as the rollups have them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Seen {
    pub records: u64,
    pub packets: u64,
    pub bytes: u64,
    pub q: u128,
}

impl Seen {
    fn add(&mut self, other: &Self) {
        self.records += other.records;
        self.packets += other.packets;
        self.bytes += other.bytes;
        self.q += other.q;
    }
}

impl Output for Seen {
    fn flow(&mut self, flow: &Flow<'_>) {
        assert_eq!(flow.sampling_interval, N * 1000);
        let all = amounts(flow);
        self.add(&Self { records: 1, packets: all.packets, bytes: all.bytes, q: all.q });
    }
    fn fault(&mut self, fault: Fault<'_>) {
        panic!("{}", fault.sentence);
    }
    fn state(&mut self, _: &[u8], _: Option<&[u8]>) {}
    fn interface(&mut self, _: Interface<'_>) {}
    fn rate(&mut self, _: Rate) {}
}

/// A record of a router's cache.
#[derive(Clone, Default)]
struct Record {
    packets: u32,
    bytes: u32,
    least: u16,
    most: u16,
}

impl Record {
    fn add(&mut self, length: u16) {
        let first = self.packets == 0;
        self.least = if first { length } else { self.least.min(length) };
        self.most = self.most.max(length);
        self.packets += 1;
        self.bytes += u32::from(length);
    }
}

/// An exporter, and what its packets come to.
pub struct Router {
    exporter: Exporter,
    options: Options,
    budget: Budget,
    /// What one packet comes to, by its length: as a record of IPFIX, and as a sample of sFlow.
    ipfix: Vec<Seen>,
    sflow: Vec<Seen>,
    /// The cache, by flow, and the flows that are in it.
    cache: Vec<Record>,
    cached: Vec<usize>,
}

impl Router {
    pub fn new() -> Self {
        let mut router = Self {
            exporter: Exporter::default(),
            options: Options::default(),
            budget: Budget::default(),
            ipfix: vec![Seen::default(); 1501],
            sflow: vec![Seen::default(); 1501],
            cache: Vec::new(),
            cached: Vec::new(),
        };
        for length in 40..=1500 {
            let record = Record { packets: 1, bytes: length.into(), least: length, most: length };
            router.ipfix[usize::from(length)] = router.messages(&[record], false);
            let frame = raw_header((u32::from(length) + 18).max(64), 4, &tcp4(length));
            router.sflow[usize::from(length)] =
                router.decode(&sflow(&[flow_sample(3, N as u32, 3, 7, &[frame])]));
        }
        router
    }

    fn decode(&mut self, payload: &[u8]) -> Seen {
        let context = Context { exporter: Ip::v4([192, 0, 2, 1]), raw_offset: 0, frame_index: 0 };
        let datagram = Datagram { received: RECEIVED, listener: 2055, source_port: 1000, payload };
        let mut seen = Seen::default();
        self.exporter.decode(&context, &datagram, &self.options, &mut self.budget, &mut seen);
        seen
    }

    /// IPFIX: packets and bytes, the rate in the record, and lengths where the router exports them.
    fn messages(&mut self, records: &[Record], lengths: bool) -> Seen {
        const FIELDS: [F; 5] = [f(34, 4), f(2, 4), f(1, 4), f(25, 2), f(26, 2)];
        let mut seen = Seen::default();
        let (id, fields) = if lengths { (256, &FIELDS[..]) } else { (257, &FIELDS[..3]) };
        for records in records.chunks(MESSAGE) {
            let body = records.iter().fold(bytes(), |body, record| {
                let body = body.u32(N as u32).u32(record.packets).u32(record.bytes);
                if lengths { body.u16(record.least).u16(record.most) } else { body }
            });
            seen.add(&self.decode(&ipfix(1, &[set(2, template(id, fields)), set(id, body.0)])));
        }
        seen
    }

    /// Each packet is a record of IPFIX.
    pub fn single(&self, link: &Link, taken: &[usize]) -> Seen {
        sum(&self.ipfix, link, taken)
    }

    /// Each packet is a sample of sFlow.
    pub fn samples(&self, link: &Link, taken: &[usize]) -> Seen {
        sum(&self.sflow, link, taken)
    }

    /// The packets of a flow are one record.
    pub fn aggregated(&mut self, link: &Link, taken: &[usize], lengths: bool) -> Seen {
        self.cache.resize(self.cache.len().max(link.flows), Record::default());
        for Packet { length, flow } in taken.iter().map(|place| &link.packets[*place]) {
            let record = &mut self.cache[*flow];
            if record.packets == 0 {
                self.cached.push(*flow);
            }
            record.add(*length);
        }
        let take = |flow| std::mem::take(&mut self.cache[flow]);
        let records: Vec<_> = self.cached.drain(..).map(take).collect();
        self.messages(&records, lengths)
    }
}

fn sum(one: &[Seen], link: &Link, taken: &[usize]) -> Seen {
    let mut seen = Seen::default();
    taken.iter().for_each(|place| seen.add(&one[usize::from(link.packets[*place].length)]));
    seen
}

#[test]
fn what_is_sampled_comes_to_the_sums_of_the_document() {
    let mut router = Router::new();
    for length in 40..=1500_u64 {
        let one = Seen { records: 1, packets: 1, bytes: length, q: u128::from(length * length) };
        assert_eq!((router.ipfix[length as usize], router.sflow[length as usize]), (one, one));
    }
    let mut flow = Record::default();
    [1500, 60, 60].into_iter().for_each(|length| flow.add(length));
    let q = |seen: Seen| (seen.packets, seen.bytes, seen.q);
    assert_eq!(q(router.messages(&[flow.clone()], false)), (3, 1620, 1540 * 1620 - 3 * 40 * 1500));
    assert_eq!(q(router.messages(&[flow], true)), (3, 1620, 1560 * 1620 - 3 * 60 * 1500));
}
