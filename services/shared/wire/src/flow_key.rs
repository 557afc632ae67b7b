//! Which flow a record is of, where its counters run on: a number made of the fields that tell flows apart, as they lie on the wire.
//!
//! RFC 7011 leaves it to the exporter which fields are its flow key, and few say (IE 173). What changes while a flow goes on must not be part of the
//! number, and what tells two flows apart must be: of a record that has both addresses the route to them is no part of it, of an aggregate
//! it is what it is of. The number is kept as state, so that it must be the same in every build.

use crate::element::Slot;
use crate::plan::{Field, Words};
use crate::template::Template;
use crate::totals::{COUNTERS, Widths};
use siphasher::sip128::{Hasher128, SipHasher13};
use smallvec::SmallVec;
use std::hash::Hasher;
use std::ops::RangeInclusive;
use weir_schemas::Protocol;

/// IANA's elements, and v9's types, that tell flows apart: protocol and type of service; ports, ICMP's and IGMP's types; addresses, prefixes and flow
/// labels; the way in; MAC address of the source and VLANs; version and direction; who observed it and a flow's own number; VRFs; EtherType; segments.
const FLOW: &[RangeInclusive<u16>] = &[
    4..=5,
    7..=8,
    10..=12,
    27..=28,
    31..=33,
    44..=45,
    56..=56,
    58..=58,
    60..=61,
    138..=139,
    141..=144,
    148..=149,
    170..=170,
    176..=183,
    193..=193,
    195..=196,
    234..=234,
    236..=236,
    243..=243,
    245..=245,
    252..=252,
    256..=256,
    351..=351,
    368..=368,
];
/// The way out: of packets that were observed there it tells flows apart.
const WAY_OUT: &[RangeInclusive<u16>] = &[14..=14, 235..=235, 253..=253];
/// What aggregates are of, beside both: masks, next hops, ASes, labels, what packets became, and what application or user they are of.
const AGGREGATE: &[RangeInclusive<u16>] = &[
    9..=9,
    13..=13,
    15..=18,
    29..=30,
    46..=47,
    55..=55,
    57..=57,
    59..=59,
    62..=63,
    70..=81,
    90..=91,
    95..=95,
    128..=129,
    225..=228,
    254..=255,
    281..=282,
    369..=369,
    371..=371,
];
/// Addresses of source and of destination, by either family.
const SOURCES: [u16; 2] = [8, 27];
const DESTINATIONS: [u16; 2] = [12, 28];

/// What IE 61 says of packets that were observed where they leave.
const EGRESS: u64 = 1;

/// When a field is part of the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tells {
    Always,
    AtEgress,
    Never,
}

/// What the fields of a template are to it.
pub(crate) struct FlowKey {
    fields: SmallVec<[(Tells, Field); 32]>,
    head: [u8; 5],
    /// Bytes of each counter that runs on.
    pub widths: Widths,
}

impl FlowKey {
    /// That of the records of a template.
    pub(crate) fn of(protocol: Protocol, domain: u32, template: &Template) -> Self {
        let iana = |ids: [u16; 2]| {
            template.fields(protocol).any(|field| field.enterprise == 0 && ids.contains(&field.id))
        };
        let whole = iana(SOURCES) && iana(DESTINATIONS);
        let within = |table: &[RangeInclusive<u16>], id| table.iter().any(|ids| ids.contains(&id));
        let tells = |field: Field| match field.id {
            _ if field.enterprise != 0 => Tells::Never,
            id if within(FLOW, id) => Tells::Always,
            id if within(WAY_OUT, id) && whole => Tells::AtEgress,
            id if !whole && (within(AGGREGATE, id) || within(WAY_OUT, id)) => Tells::Always,
            _ => Tells::Never,
        };
        let fields = template.fields(protocol).map(|field| (tells(field), field)).collect();
        let widths = COUNTERS.map(|(id, enterprise)| {
            let counter = |field: &Field| (field.id, field.enterprise) == (id, enterprise);
            // One of a variable length may be of any.
            template.fields(protocol).find(counter).map_or(8, |field| field.length.min(8) as u8)
        });
        let [a, b, c, d] = domain.to_be_bytes();
        Self { fields, head: [u8::from(protocol == Protocol::Ipfix), a, b, c, d], widths }
    }

    /// The number of a record, which was read.
    pub(crate) fn number(&self, record: &[u8], words: &Words) -> u128 {
        let egress = words[Slot::Direction as usize] == EGRESS;
        let mut hasher = SipHasher13::new();
        hasher.write(&self.head);
        let mut rest = record;
        for (tells, field) in &self.fields {
            let length = match (field.length, rest) {
                // RFC 7011 section 7: one byte below 255, or 255 and two bytes.
                (u16::MAX, [255, high, low, after @ ..]) => {
                    rest = after;
                    u16::from_be_bytes([*high, *low])
                }
                (u16::MAX, [length, after @ ..]) => {
                    rest = after;
                    u16::from(*length)
                }
                (length, _) => length,
            };
            let Some((value, after)) = rest.split_at_checked(length.into()) else { break };
            rest = after;
            if *tells == Tells::Always || (*tells == Tells::AtEgress && egress) {
                hasher.write(&field.id.to_be_bytes());
                hasher.write(&length.to_be_bytes());
                hasher.write(value);
            }
        }
        hasher.finish128().as_u128()
    }
}
