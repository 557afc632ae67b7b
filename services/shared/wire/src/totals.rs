//! Counters that run on: what a flow's totals have grown by since the record before (docs/counting.md, "Bytes").
//!
//! IE 85 and its like count from a flow's beginning (RFC 7011 calls them totalCounter). Many exporters send them of flows that they report once, so
//! that they count as deltas; of an exporter that is configured as cumulative each record is worth what it adds. What a flow had come to is state:
//! without it a restart would count everything once more. Flows that were silent for longest are forgotten when there are many.

use crate::element::Slot;
use crate::learned::{give, take};
use crate::options::{Budget, Options};
use crate::output::Output;
use crate::plan::{Present, Words};
use crate::rates::Asked;
use crate::state;
use ahash::AHashMap;

/// Counters that run on.
pub(crate) const TOTALS: [Slot; 7] = [
    Slot::OctetsTotal,
    Slot::PacketsTotal,
    Slot::SumSquaresTotal,
    Slot::L2OctetsTotal,
    Slot::L2SumSquaresTotal,
    Slot::ReverseOctetsTotal,
    Slot::ReversePacketsTotal,
];
pub(crate) const ANY_TOTAL: Present = Present::of(&TOTALS);
/// What tells flows apart where addresses are exported.
const FLOW: &[Slot] = &[
    Slot::SrcV4,
    Slot::DstV4,
    Slot::SrcV6,
    Slot::SrcV6Low,
    Slot::DstV6,
    Slot::DstV6Low,
    Slot::Proto,
    Slot::NextHeader,
    Slot::SrcPort,
    Slot::DstPort,
    Slot::UdpSrcPort,
    Slot::UdpDstPort,
    Slot::TcpSrcPort,
    Slot::TcpDstPort,
    Slot::Tos,
    Slot::InIf,
    Slot::InPhysical,
    Slot::Vlan,
    Slot::Dot1q,
    Slot::SrcMac,
    Slot::Direction,
    Slot::UptimeStart,
    Slot::StartSeconds,
    Slot::StartMillis,
    Slot::StartMicros,
    Slot::StartNanos,
];
/// What tells aggregates apart, beside that. Of a flow with addresses these change with the route to them, and are no key.
const AGGREGATE: &[Slot] = &[
    Slot::OutIf,
    Slot::OutPhysical,
    Slot::SrcAs,
    Slot::DstAs,
    Slot::PrevAs,
    Slot::NextAs,
    Slot::SrcMaskV4,
    Slot::DstMaskV4,
    Slot::SrcMaskV6,
    Slot::DstMaskV6,
    Slot::DstMac,
    Slot::PostVlan,
    Slot::PostDot1q,
    Slot::NextHopV4,
    Slot::BgpHopV4,
];
const SOURCES: Present = Present::of(&[Slot::SrcV4, Slot::SrcV6]);
const DESTINATIONS: Present = Present::of(&[Slot::DstV4, Slot::DstV6]);
/// Bytes of memory that a flow takes, roughly.
const COST: usize = 192;
/// FNV-1a of 128 bits: what is kept has to be found by another build.
const FNV_BASIS: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
const FNV_PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;

/// What a flow had come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Last {
    pub counts: [u64; TOTALS.len()],
    /// Export time of the record, ns.
    pub exported: i64,
    /// Flow's end by the exporter's clock, ns; 0 where it was not exported.
    pub ended: i64,
}

/// There is no room to remember a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

/// What the flows of an exporter had come to. When `young` has half of what may be kept, `old` is forgotten and `young` takes its place; a flow that
/// goes on is young again.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    young: AHashMap<u128, Last>,
    old: AHashMap<u128, Last>,
}

/// How many flows may be young.
fn half(options: &Options) -> usize {
    options.options_rows.div_ceil(2)
}

/// Which flow a record is of.
pub(crate) fn key(present: &Present, words: &Words, asked: &Asked) -> u128 {
    let whole = present.any(SOURCES) && present.any(DESTINATIONS);
    let slots = FLOW.iter().chain(if whole { &[] } else { AGGREGATE });
    let head = u64::from(asked.version) << 48 | u64::from(asked.port) << 32 | u64::from(asked.domain);
    let named = slots.filter(|slot| present.has(**slot)).map(|slot| (*slot as u8, words[*slot as usize]));
    std::iter::once((u8::MAX, head)).chain(named).fold(FNV_BASIS, |hash, (slot, word)| {
        let bytes = word.to_be_bytes();
        std::iter::once(slot)
            .chain(bytes)
            .fold(hash, |hash, byte| (hash ^ u128::from(byte)).wrapping_mul(FNV_PRIME))
    })
}

impl Totals {
    pub(crate) fn is_empty(&self) -> bool {
        self.young.is_empty() && self.old.is_empty()
    }

    /// All, for dumping.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&u128, &Last)> {
        self.young.iter().chain(&self.old)
    }

    /// Puts in place of a record's totals what they have grown by, and gives the end of the record before, 0 where there was none or it had no end; an
    /// error where there is no room to remember the flow. Its first record counts whole, and so does one whose totals went back: the exporter began anew.
    pub(crate) fn difference(
        &mut self,
        (key, words): (u128, &mut Words),
        present: &Present,
        (exported, ended): (i64, i64),
        options: &Options,
        budget: &mut Budget,
        out: &mut impl Output,
    ) -> Result<i64, Full> {
        let counts = TOTALS.map(|slot| if present.has(slot) { words[slot as usize] } else { 0 });
        let (mut now, mut since) = (Last { counts, exported, ended }, 0);
        let before = self.remove(key, budget);
        if let Some(before) = before {
            let grew = counts.iter().zip(before.counts).all(|(now, before)| *now >= before);
            // One that was sent before the latest was, and arrives now, adds nothing to it.
            let late = !grew && exported <= before.exported;
            if late {
                now = before;
            }
            if grew || late {
                for (slot, before) in TOTALS.into_iter().zip(before.counts) {
                    words[slot as usize] = words[slot as usize].saturating_sub(before);
                }
                since = before.ended;
            }
        }
        // Where the budget is short, the young make way as well.
        for _ in 0..2 {
            let many = self.young.len() >= half(options);
            if many || budget.state.saturating_add(COST) > budget.state_limit {
                let forgotten = std::mem::replace(&mut self.old, std::mem::take(&mut self.young));
                give(budget, COST * forgotten.len());
                forgotten.keys().for_each(|key| out.state(&state::total_key(*key), None));
            }
        }
        if !take(budget, COST) {
            if before.is_some() {
                out.state(&state::total_key(key), None);
            }
            return Err(Full);
        }
        self.young.insert(key, now);
        if before != Some(now) {
            out.state(&state::total_key(key), Some(&state::total_value(&now)));
        }
        Ok(since)
    }

    fn remove(&mut self, key: u128, budget: &mut Budget) -> Option<Last> {
        let last = self.young.remove(&key).or_else(|| self.old.remove(&key));
        give(budget, if last.is_some() { COST } else { 0 });
        last
    }

    /// Forgets all, and writes nothing of it.
    pub(crate) fn clear(&mut self, budget: &mut Budget) {
        give(budget, COST * (self.young.len() + self.old.len()));
        *self = Self::default();
    }

    /// Takes back what was kept of a flow; false where there is no room.
    pub(crate) fn restore(
        &mut self,
        key: u128,
        last: Option<Last>,
        options: &Options,
        budget: &mut Budget,
    ) -> bool {
        self.remove(key, budget);
        let Some(last) = last else { return true };
        if self.young.len() + self.old.len() >= 2 * half(options) || !take(budget, COST) {
            return false;
        }
        self.young.insert(key, last);
        true
    }
}
