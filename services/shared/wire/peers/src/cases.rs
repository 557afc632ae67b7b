//! What is decoded: datagrams of our own making, the same bytes for every decoder, and what must come out of them.

use crate::build::{
    F, FIELDS_22, FIELDS_22_IPFIX, UPTIME, bench_datagrams, bytes, f, ipfix, record_22, set, template, v5,
    v5_record, v9,
};
use std::ops::Range;

/// The six fields that a flow is least described by: addresses, ports, octets, packets.
const FIELDS_6: &[F] = &[f(8, 4), f(12, 4), f(7, 2), f(11, 2), f(1, 4), f(2, 4)];
/// Templates in the cases that are about templates, and of each exporter whose memory is counted.
pub const TEMPLATES: u16 = 20;

/// Records and the sum of their octets, or of sFlow's samples their frames' lengths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// Records or samples.
    pub records: u64,
    /// Octets.
    pub octets: u64,
}

/// Something to decode again and again.
#[derive(Clone, Debug)]
pub struct Case {
    /// What it is, for the table.
    pub name: &'static str,
    /// What is counted: record, sample, template.
    pub unit: &'static str,
    /// How many of them are in a datagram.
    pub units: u64,
    /// Datagram that a decoder is given once before.
    pub before: Vec<u8>,
    /// Datagrams that it is given in turn.
    pub datagrams: Vec<Vec<u8>>,
    /// Datagram of which it must give `sum` then.
    pub probe: Vec<u8>,
    /// What it must give.
    pub sum: Sum,
}

fn record_6(n: u32) -> Vec<u8> {
    bytes().u32(0x0a00_0000 + n).u32(0xc633_6400 + n % 256).u16(1024).u16(443).u32(60 + n % 1400).u32(1).0
}

/// A v9 datagram whose header counts records, as RFC 3954 has it.
fn v9_of(records: usize, sets: &[Vec<u8>]) -> Vec<u8> {
    let mut datagram = v9(1, sets);
    datagram[2..4].copy_from_slice(&(records as u16).to_be_bytes());
    datagram
}

/// `at` is where a record has its octets.
fn sum(records: &[Vec<u8>], at: Range<usize>) -> Sum {
    let octets = |record: &Vec<u8>| record[at.clone()].iter().fold(0, |n, byte| n << 8 | u64::from(*byte));
    Sum { records: records.len() as u64, octets: records.iter().map(octets).sum() }
}

fn records(name: &'static str, before: Vec<u8>, data: Vec<u8>, sum: Sum) -> Case {
    Case { name, unit: "record", units: sum.records, before, datagrams: vec![data.clone()], probe: data, sum }
}

/// Templates of 22 fields with [`TEMPLATES`] ids. In a `turned` one the last two fields, of one octet each, have changed places.
pub fn templates_22(turned: bool) -> Vec<u8> {
    let mut fields = FIELDS_22_IPFIX.to_vec();
    if turned {
        let last = fields.len() - 1;
        fields.swap(last - 1, last);
    }
    let all: Vec<u8> = (256..256 + TEMPLATES).flat_map(|id| template(id, &fields)).collect();
    ipfix(1, &[set(2, all)])
}

/// One record of each of [`TEMPLATES`] templates, each in a set of its own.
fn one_of_each(records: &[Vec<u8>]) -> Vec<u8> {
    let sets: Vec<_> = (256..).zip(records).map(|(id, record)| set(id, record)).collect();
    ipfix(1, &sets)
}

/// All cases.
pub fn cases() -> Vec<Case> {
    let of_22 = |ipfix| (0..22).map(|n| record_22(n * 7919, ipfix)).collect::<Vec<_>>();
    let (nine, ten) = (of_22(false), of_22(true));
    let small: Vec<_> = (0..66).map(|n| record_6(n * 7919)).collect();
    let few = &small[..usize::from(TEMPLATES)];
    let five: Vec<_> = (1..=30).map(|n| v5_record(n, n * 700, UPTIME - 9000, UPTIME - n)).collect();
    let each: Vec<_> = (0..u32::from(TEMPLATES)).map(|n| record_22(n * 7919, true)).collect();
    let small_templates: Vec<u8> = (256..256 + TEMPLATES).flat_map(|id| template(id, FIELDS_6)).collect();
    let small_before = ipfix(1, &[set(2, &small_templates)]);
    let templates = |name, datagrams| Case {
        name,
        unit: "template",
        units: TEMPLATES.into(),
        before: templates_22(false),
        datagrams,
        probe: one_of_each(&each),
        sum: sum(&each, 28..36),
    };
    let mut all = vec![
        records(
            "NetFlow v9, 22 fields",
            v9_of(1, &[set(0, template(256, FIELDS_22))]),
            v9_of(nine.len(), &[set(256, nine.concat())]),
            sum(&nine, 24..28),
        ),
        records(
            "NetFlow v9, 6 fields",
            v9_of(1, &[set(0, template(256, FIELDS_6))]),
            v9_of(small.len(), &[set(256, small.concat())]),
            sum(&small, 12..16),
        ),
        records(
            "IPFIX, 22 fields",
            ipfix(1, &[set(2, template(256, FIELDS_22_IPFIX))]),
            ipfix(1, &[set(256, ten.concat())]),
            sum(&ten, 28..36),
        ),
        records(
            "IPFIX, 6 fields",
            small_before.clone(),
            ipfix(1, &[set(256, small.concat())]),
            sum(&small, 12..16),
        ),
        records(
            "IPFIX, 6 fields, 20 records of one set",
            small_before.clone(),
            ipfix(1, &[set(256, few.concat())]),
            sum(few, 12..16),
        ),
        records("IPFIX, 6 fields, 20 sets of one record", small_before, one_of_each(few), sum(few, 12..16)),
        records("NetFlow v5", Vec::new(), v5(100, &five), sum(&five, 20..24)),
    ];
    let frames = Sum { records: 6, octets: (0..6).map(|n| 1418 + n).sum() };
    for (theirs, name) in [
        ("sFlow raw header", "sFlow, raw header"),
        ("sFlow raw header, router, gateway", "sFlow, raw header, router, gateway"),
    ] {
        let datagram = bench_datagrams().into_iter().find(|(known, _, _)| *known == theirs);
        let datagram = datagram.map(|(_, _, data)| data).expect("the builders have it");
        all.push(Case { unit: "sample", ..records(name, Vec::new(), datagram, frames) });
    }
    all.push(templates(
        "IPFIX, 20 templates of 22 fields, changed",
        vec![templates_22(true), templates_22(false)],
    ));
    all.push(templates("IPFIX, 20 templates of 22 fields, sent again", vec![templates_22(false)]));
    all
}
