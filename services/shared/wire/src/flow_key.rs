//! Which flow a record is of, where its counters run on: a number made of the fields that tell flows apart.
//!
//! RFC 7011 leaves it to the exporter which fields are its flow key, and few say (IE 173). What changes while a flow goes on must not be part of the
//! number, and what tells two flows apart must be: of a record that has both addresses the route to them is no part of it, of an aggregate
//! it is what it is of. The number is kept as state, so that it is the same in every build, and whatever the order and lengths of a template's fields are.
//! What vendors' own elements say is no part of it, since many of them count.

use crate::element::Slot;
use crate::growth::{COUNTERS, Widths};
use crate::plan::{Field, Words, prefix};
use crate::totals::Flow;
use siphasher::sip128::{Hasher128, SipHasher13};
use smallvec::SmallVec;
use std::hash::Hasher;
use std::ops::RangeInclusive;
use weir_schemas::Protocol;

/// IANA's elements, and v9's types, that tell flows apart: protocol and type of service; ports, ICMP's and IGMP's types; addresses, prefixes and flow
/// labels; the way in; samplers; MAC address of the source and VLANs; version and direction; who observed or exported it, also first; a flow's own
/// number; VRFs; EtherType; segments.
const FLOW: &[RangeInclusive<u16>] = &[
    4..=5,
    7..=8,
    10..=12,
    27..=28,
    31..=33,
    44..=45,
    48..=48,
    56..=56,
    58..=58,
    60..=61,
    130..=131,
    138..=139,
    141..=144,
    148..=149,
    169..=170,
    176..=183,
    193..=193,
    195..=196,
    234..=234,
    236..=236,
    243..=243,
    245..=245,
    252..=252,
    256..=256,
    302..=302,
    351..=351,
    368..=368,
    403..=405,
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
    95..=96,
    128..=129,
    140..=140,
    225..=228,
    254..=255,
    281..=282,
    369..=369,
    371..=371,
];
/// Addresses of source and of destination, of either family.
const SOURCES: [usize; 3] = [Slot::SrcV4 as usize, Slot::SrcV6 as usize, Slot::SrcV6 as usize + 1];
const DESTINATIONS: [usize; 3] = [Slot::DstV4 as usize, Slot::DstV6 as usize, Slot::DstV6 as usize + 1];
/// What IE 61 says of packets that were observed where they leave.
const EGRESS: u64 = 1;

/// Of which records a field is part of the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Of {
    All,
    EgressAndAggregates,
    Aggregates,
}

/// What to do with the next bytes of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Skip(usize),
    SkipVariable,
    /// Field, and its length.
    Take(usize, usize),
    TakeVariable(usize),
}

/// How records of a template give their number.
#[derive(Clone, Debug)]
pub(crate) struct FlowKey {
    steps: Box<[Step]>,
    /// Elements, sorted.
    fields: Box<[(u16, Of)]>,
    head: u8,
    kind: u32,
    /// Bytes of each counter that runs on.
    pub widths: Widths,
}

impl FlowKey {
    /// That of a template of these fields.
    pub(crate) fn compile(protocol: Protocol, specified: &[Field]) -> Self {
        let mut keys: Vec<(u16, usize, Of)> = specified
            .iter()
            .enumerate()
            .filter(|(_, field)| field.length > 0)
            .filter_map(|(place, field)| Some((field.id, place, of(field)?)))
            .collect();
        keys.sort_by_key(|(id, place, _)| (*id, *place));
        let mut ranks = vec![None; specified.len()];
        keys.iter().enumerate().for_each(|(rank, (_, place, _))| ranks[*place] = Some(rank));
        let mut steps = Vec::new();
        for (field, rank) in specified.iter().zip(ranks) {
            let length = usize::from(field.length);
            match (rank, field.length) {
                (Some(rank), u16::MAX) => steps.push(Step::TakeVariable(rank)),
                (None, u16::MAX) => steps.push(Step::SkipVariable),
                (_, 0) => {}
                (Some(rank), _) => steps.push(Step::Take(rank, length)),
                (None, _) => match steps.last_mut() {
                    Some(Step::Skip(before)) => *before += length,
                    _ => steps.push(Step::Skip(length)),
                },
            }
        }
        let widths = COUNTERS.map(|(id, enterprise)| {
            let mut counters =
                specified.iter().filter(|field| (field.id, field.enterprise) == (id, enterprise));
            // One of a variable length may be of any.
            counters.next().map_or(8, |field| field.length.min(8) as u8)
        });
        let fields: Box<[_]> = keys.into_iter().map(|(id, _, of)| (id, of)).collect();
        let head = u8::from(protocol == Protocol::Ipfix);
        let mut hasher = SipHasher13::new();
        hasher.write(&[head]);
        fields.iter().for_each(|(id, _)| hasher.write(&id.to_be_bytes()));
        // 0 is no kind.
        let kind = (hasher.finish() as u32).max(1);
        Self { steps: steps.into(), fields, head, kind, widths }
    }

    /// Bytes of memory it takes, roughly: for the budget.
    pub(crate) fn memory(&self) -> usize {
        size_of::<Self>() + size_of_val(&*self.steps) + size_of_val(&*self.fields)
    }

    /// The flow of a record, which was read.
    pub(crate) fn flow(&self, domain: u32, record: &[u8], words: &Words) -> Flow {
        let mut values: SmallVec<[&[u8]; 32]> = SmallVec::from_elem(&[][..], self.fields.len());
        let mut rest = record;
        let mut put = |rank: usize, value| values.get_mut(rank).into_iter().for_each(|place| *place = value);
        for step in &self.steps {
            let lengths = match step {
                Step::Skip(length) | Step::Take(_, length) => Some((0, *length)),
                Step::SkipVariable | Step::TakeVariable(_) => prefix(rest),
            };
            let Some((head, length)) = lengths else { break };
            let Some(value) = rest.get(head..head + length) else { break };
            if let Step::Take(rank, _) | Step::TakeVariable(rank) = step {
                put(*rank, value);
            }
            rest = &rest[head + length..];
        }
        let any = |slots: [usize; 3]| slots.iter().any(|slot| words[*slot] != 0);
        let aggregate = !(any(SOURCES) && any(DESTINATIONS));
        let egress = words[Slot::Direction as usize] == EGRESS;
        let mut hasher = SipHasher13::new();
        hasher.write(&[self.head]);
        hasher.write(&domain.to_be_bytes());
        for ((id, of), value) in self.fields.iter().zip(values) {
            if match of {
                Of::All => true,
                Of::EgressAndAggregates => egress || aggregate,
                Of::Aggregates => aggregate,
            } {
                // A number of any length is the same number.
                let zeros = value.iter().take_while(|byte| **byte == 0).count();
                hasher.write(&id.to_be_bytes());
                hasher.write(&((value.len() - zeros) as u16).to_be_bytes());
                hasher.write(&value[zeros..]);
            }
        }
        Flow { kind: self.kind, number: hasher.finish128().as_u128() }
    }
}

fn of(field: &Field) -> Option<Of> {
    let within = |table: &[RangeInclusive<u16>]| table.iter().any(|ids| ids.contains(&field.id));
    match field.enterprise {
        0 if within(FLOW) => Some(Of::All),
        0 if within(WAY_OUT) => Some(Of::EgressAndAggregates),
        0 if within(AGGREGATE) => Some(Of::Aggregates),
        _ => None,
    }
}
