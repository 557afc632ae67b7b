//! Counters that run on: what a flow's totals have grown by since the record before (docs/counting.md, "Bytes").
//!
//! IE 85 and its like count from a flow's beginning (RFC 7011 calls them totalCounter); in NetFlow v9 they are those of Cisco's permanent caches. Most
//! exporters send them of flows that they report once, so that they count as deltas; of one that is configured as cumulative a record is worth what
//! it adds. What must stay true: nothing counts twice, and nothing from before this was looked at; where it can't be known what had been counted,
//! the record counts as nothing, and says so. What flows had come to is state, so that a restart changes nothing.

use crate::element::Slot;
use crate::options::{Budget, Options};
use crate::output::{Counts, Output};
use crate::plan::{Present, Words};
use crate::state;
use ahash::AHashMap;
use std::collections::BTreeSet;
use weir_schemas::columns::flag;

/// Counters that run on.
pub(crate) const TOTALS: [Slot; 8] = [
    Slot::OctetsTotal,
    Slot::PacketsTotal,
    Slot::SumSquaresTotal,
    Slot::L2OctetsTotal,
    Slot::L2SumSquaresTotal,
    Slot::ReverseOctetsTotal,
    Slot::ReversePacketsTotal,
    Slot::ReverseL2OctetsTotal,
];
/// Their elements and enterprises.
pub(crate) const COUNTERS: [(u16, u32); TOTALS.len()] =
    [(85, 0), (86, 0), (199, 0), (353, 0), (429, 0), (85, 29_305), (86, 29_305), (353, 29_305)];
/// Bytes of memory that a flow takes, roughly, with its places in both tables.
const COST: usize = 256;
/// Export times are of whole seconds in most protocols, so that one time comes out up to so much apart from record to record, ns.
const SLACK: i64 = 1_000_000_000;

pub(crate) type Values = [u64; TOTALS.len()];
pub(crate) type Widths = [u8; TOTALS.len()];

/// What a flow had come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Last {
    pub counts: Values,
    /// Receive time of the record, ns.
    pub heard: i64,
    /// Until when its bytes were spread, ns by the clock of receive times.
    pub ended: i64,
}

/// What a record says of when its flow was, ns by the clock of receive times.
#[derive(Clone, Copy, Debug)]
pub(crate) struct When {
    pub received: i64,
    /// Where that is told and plausible.
    pub started: Option<i64>,
    pub ended: i64,
}

/// What a record's totals are worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Worth {
    /// All that they say.
    Whole,
    /// What they have grown by since this time.
    Since(i64),
    /// Nothing: what had been counted before is not known.
    Unknown,
}

impl Worth {
    pub(crate) fn since(self) -> Option<i64> {
        if let Self::Since(since) = self { Some(since) } else { None }
    }

    pub(crate) fn flags(self) -> u32 {
        if self == Self::Unknown { flag::TOTALS_UNKNOWN } else { 0 }
    }
}

/// What the flows of an exporter had come to. Those that were silent for longest make room.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    flows: AHashMap<u128, Last>,
    /// By when they were heard, so that what makes room does not depend on anything else.
    by_age: BTreeSet<(i64, u128)>,
    /// A flow that began later and is not here has not been counted.
    from: Option<i64>,
}

impl Totals {
    pub(crate) fn is_empty(&self) -> bool {
        self.flows.is_empty() && self.from.is_none()
    }

    /// All, for dumping.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&u128, &Last)> {
        self.flows.iter()
    }

    /// Since when flows are known.
    pub(crate) fn from(&self) -> Option<i64> {
        self.from
    }

    /// Puts in place of a record's totals what it is worth.
    pub(crate) fn difference(
        &mut self,
        flow: u128,
        (widths, when): (&Widths, When),
        (present, words): (&Present, &mut Words),
        (options, budget, counted): (&Options, &mut Budget, &mut Counts),
        out: &mut impl Output,
    ) -> Worth {
        if self.from.is_none() {
            self.known_from(when.received, out);
        }
        let counts = TOTALS.map(|slot| if present.has(slot) { words[slot as usize] } else { 0 });
        let mut put = |counts: Values| {
            for (slot, count) in TOTALS.into_iter().zip(counts) {
                words[slot as usize] = count;
            }
        };
        let before = self.flows.get(&flow).copied();
        let worth = match before {
            // What came since has counted it.
            Some(before) if when.received < before.heard => {
                put(Values::default());
                return Worth::Since(when.ended);
            }
            Some(before)
                if when.started.is_some_and(|started| started >= before.ended.saturating_add(SLACK)) =>
            {
                Worth::Whole
            }
            Some(before) => {
                // Where a counter went back, all began anew.
                grown(&counts, &before.counts, widths).into_iter().for_each(&mut put);
                Worth::Since(before.ended)
            }
            None if when.started.zip(self.from).is_some_and(|(started, from)| started >= from) => {
                Worth::Whole
            }
            None => {
                counted.totals_unknown += 1;
                put(Values::default());
                Worth::Unknown
            }
        };
        let now = Last { counts, heard: when.received, ended: when.ended };
        self.keep(flow, before, now, (options, budget, counted), out);
        worth
    }

    fn keep(
        &mut self,
        flow: u128,
        before: Option<Last>,
        now: Last,
        (options, budget, counted): (&Options, &mut Budget, &mut Counts),
        out: &mut impl Output,
    ) {
        match before {
            Some(before) => {
                self.by_age.remove(&(before.heard, flow));
            }
            None => {
                while self.flows.len() >= options.total_flows || !room(budget) {
                    let Some((heard, oldest)) = self.by_age.pop_first() else {
                        // Others have all the room: it is forgotten as soon as it came.
                        counted.totals_forgotten += 1;
                        return self.known_from(now.heard.saturating_add(SLACK), out);
                    };
                    self.flows.remove(&oldest);
                    release(budget);
                    counted.totals_forgotten += 1;
                    out.state(&state::totals_key(oldest), None);
                    self.known_from(heard.saturating_add(SLACK), out);
                }
                occupy(budget);
            }
        }
        self.by_age.insert((now.heard, flow));
        self.flows.insert(flow, now);
        if before != Some(now) {
            out.state(&state::totals_key(flow), Some(&state::totals_value(&now)));
        }
    }

    fn known_from(&mut self, from: i64, out: &mut impl Output) {
        if self.from.is_none_or(|known| known < from) {
            self.from = Some(from);
            out.state(state::TOTALS_FROM, Some(&state::totals_from_value(from)));
        }
    }

    /// Knows nothing any more.
    pub(crate) fn forget(&mut self, budget: &mut Budget) {
        self.flows.keys().for_each(|_| release(budget));
        *self = Self::default();
    }

    /// Takes back since when flows are known.
    pub(crate) fn restore_from(&mut self, from: i64) {
        self.from = self.from.max(Some(from));
    }

    /// Takes back what was kept of a flow; false where there was no room for all of them.
    pub(crate) fn restore(
        &mut self,
        flow: u128,
        last: Option<Last>,
        options: &Options,
        budget: &mut Budget,
    ) -> bool {
        if let Some(before) = self.flows.remove(&flow) {
            self.by_age.remove(&(before.heard, flow));
            release(budget);
        }
        let Some(last) = last else { return true };
        self.flows.insert(flow, last);
        self.by_age.insert((last.heard, flow));
        let fits = self.flows.len() <= options.total_flows && room(budget);
        occupy(budget);
        if !fits && let Some((heard, oldest)) = self.by_age.pop_first() {
            self.flows.remove(&oldest);
            release(budget);
            self.restore_from(heard.saturating_add(SLACK));
        }
        fits
    }
}

/// What totals have grown by, of which each has so many bytes; none where one went back and that is no wrap.
fn grown(now: &Values, before: &Values, widths: &Widths) -> Option<Values> {
    let mut grown = Values::default();
    for (at, growth) in grown.iter_mut().enumerate() {
        let bits = 8 * u32::from(widths[at].clamp(1, 8));
        let most = u64::MAX >> (64 - bits);
        let ahead = now[at].wrapping_sub(before[at]) & most;
        let wraps = bits < 64 && before[at] <= most && ahead <= most / 2;
        if now[at] < before[at] && !wraps {
            return None;
        }
        *growth = ahead;
    }
    Some(grown)
}

fn room(budget: &Budget) -> bool {
    budget.totals.saturating_add(COST) <= budget.state_limit / 4
        && budget.state.saturating_add(COST) <= budget.state_limit
}

fn occupy(budget: &mut Budget) {
    budget.totals += COST;
    budget.state += COST;
}

fn release(budget: &mut Budget) {
    budget.totals = budget.totals.saturating_sub(COST);
    budget.state = budget.state.saturating_sub(COST);
}
