//! What flows whose counters run on had come to (docs/counting.md, "Bytes").
//!
//! IE 85 and its like count from a flow's beginning (RFC 7011 calls them totalCounter); in NetFlow v9 they are those of Cisco's permanent caches. Most
//! exporters send them of flows that they report once, so that they count as deltas; of one that is configured as cumulative a record is worth what
//! it adds. What must stay true: nothing counts twice, and nothing from before this was looked at; where it can't be known what had been counted,
//! the record counts as nothing, and says so. What flows had come to is state, so that a restart changes nothing, and it is bounded.

use crate::growth::{Next, Record, SLACK, TOTALS, Values, Widths, next};
use crate::learned::{give, has_room};
use crate::options::{Budget, Options};
use crate::output::{Counts, Output};
use crate::plan::{Present, Words};
use crate::state;
use ahash::AHashMap;
use std::collections::{BTreeMap, BTreeSet};
use weir_schemas::columns::flag;

/// Bytes of memory that a flow takes, roughly, with its places in both tables.
const COST: usize = 320;
/// Kinds of flows that are told apart, by the fields that make their number.
const KINDS: usize = 64;
/// No kind: what holds for all of them.
const ALL: u32 = 0;

/// Which flow a record is of: its kind, and its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Flow {
    pub kind: u32,
    pub number: u128,
}

/// What a flow had come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Last {
    pub record: Record,
    /// Whether one came since that did not fit.
    pub odd: bool,
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
    /// By kind, since when flows are known: one that began later and is not here has not been counted.
    from: BTreeMap<u32, i64>,
    /// Whether that of all kinds has changed and was not put out.
    untold: bool,
}

impl Totals {
    pub(crate) fn is_empty(&self) -> bool {
        self.flows.is_empty() && self.from.is_empty()
    }

    /// All flows, for dumping.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&u128, &Last)> {
        self.flows.iter()
    }

    /// Since when flows are known, by kind.
    pub(crate) fn from(&self) -> impl Iterator<Item = (&u32, &i64)> {
        self.from.iter()
    }

    /// Puts in place of a record's totals what it is worth.
    pub(crate) fn difference(
        &mut self,
        flow: Flow,
        (mut now, widths): (Record, &Widths),
        (present, words): (&Present, &mut Words),
        (options, budget, counted): (&Options, &mut Budget, &mut Counts),
        out: &mut impl Output,
    ) -> Worth {
        self.meet(flow.kind, now.heard, out);
        now.counts = TOTALS.map(|slot| if present.has(slot) { words[slot as usize] } else { 0 });
        let before = self.flows.get(&flow.number).copied();
        let (worth, counts, last) = match before {
            None if self.began_since(flow.kind, &now) => (Worth::Whole, now.counts, now.into()),
            None => (Worth::Unknown, Values::default(), now.into()),
            Some(last) => {
                let before = last.record;
                match next(&now, &before, widths) {
                    Next::Another => (Worth::Whole, now.counts, now.into()),
                    Next::Grown(grown) => {
                        now.heard = now.heard.max(before.heard);
                        (Worth::Since(before.ended), grown, now.into())
                    }
                    Next::Late => (Worth::Since(now.ended), Values::default(), last),
                    // Two in a row are no accident.
                    Next::Odd if last.odd => (Worth::Unknown, Values::default(), now.into()),
                    Next::Odd => (Worth::Unknown, Values::default(), Last { odd: true, ..last }),
                }
            }
        };
        counted.totals_unknown += u64::from(worth == Worth::Unknown);
        for (slot, count) in TOTALS.into_iter().zip(counts) {
            words[slot as usize] = count;
        }
        self.keep(flow.number, before, last, (options, budget, counted), out);
        worth
    }

    /// Of a kind that was not met before nothing is known until now.
    fn meet(&mut self, kind: u32, now: i64, out: &mut impl Output) {
        if self.from.contains_key(&kind) {
            return;
        }
        let kinds = self.from.iter().filter(|(kind, _)| **kind != ALL);
        let latest = kinds.clone().max_by_key(|(kind, from)| (**from, **kind)).map(|(kind, _)| *kind);
        if let Some(latest) = latest.filter(|_| kinds.count() >= KINDS) {
            self.from.remove(&latest);
            out.state(&state::from_key(latest), None);
        }
        self.from.insert(kind, now);
        out.state(&state::from_key(kind), Some(&state::from_value(now)));
    }

    fn began_since(&self, kind: u32, now: &Record) -> bool {
        let known = [kind, ALL].iter().filter_map(|kind| self.from.get(kind)).max();
        now.started.zip(known).is_some_and(|(started, known)| started.anchored >= *known)
    }

    fn keep(
        &mut self,
        number: u128,
        before: Option<Last>,
        now: Last,
        (options, budget, counted): (&Options, &mut Budget, &mut Counts),
        out: &mut impl Output,
    ) {
        let heard = now.record.heard;
        match before {
            Some(before) if before == now => return,
            Some(before) => {
                self.by_age.remove(&(before.record.heard, number));
            }
            None => {
                let idle = heard.saturating_sub(i64::from(options.total_idle_s) * 1_000_000_000);
                let is_idle = |totals: &Self| totals.by_age.first().is_some_and(|(heard, _)| *heard < idle);
                while is_idle(self) || self.flows.len() >= options.total_flows || !room(budget) {
                    counted.totals_forgotten += 1;
                    let Some(oldest) = self.drop_oldest(budget) else {
                        // Others have all the room: it is forgotten as soon as it came.
                        return self.forgotten(heard);
                    };
                    out.state(&state::totals_key(oldest), None);
                }
                occupy(budget);
            }
        }
        self.by_age.insert((heard, number));
        self.flows.insert(number, now);
        out.state(&state::totals_key(number), Some(&state::totals_value(&now)));
    }

    fn drop_oldest(&mut self, budget: &mut Budget) -> Option<u128> {
        let (heard, oldest) = self.by_age.pop_first()?;
        self.flows.remove(&oldest);
        release(budget);
        self.forgotten(heard);
        Some(oldest)
    }

    /// A flow that was heard then is known no more.
    fn forgotten(&mut self, heard: i64) {
        let from = self.from.entry(ALL).or_insert(i64::MIN);
        let later = heard.saturating_add(SLACK);
        self.untold |= *from < later;
        *from = later.max(*from);
    }

    /// Puts out what was changed for all flows: once a datagram, since any of its records may do it.
    pub(crate) fn tell(&mut self, out: &mut impl Output) {
        if std::mem::take(&mut self.untold)
            && let Some(from) = self.from.get(&ALL)
        {
            out.state(&state::from_key(ALL), Some(&state::from_value(*from)));
        }
    }

    /// Knows nothing any more.
    pub(crate) fn clear(&mut self, budget: &mut Budget) {
        self.flows.keys().for_each(|_| release(budget));
        *self = Self::default();
    }

    /// Knows nothing any more, and says so: the exporter's counters are deltas.
    #[cold]
    pub(crate) fn give_up(&mut self, budget: &mut Budget, out: &mut impl Output) {
        self.flows.keys().for_each(|number| out.state(&state::totals_key(*number), None));
        self.from.keys().for_each(|kind| out.state(&state::from_key(*kind), None));
        self.clear(budget);
    }

    /// Takes back since when flows of a kind are known.
    pub(crate) fn restore_from(&mut self, kind: u32, from: Option<i64>) {
        match from {
            // What was forgotten while others were restored stays so.
            Some(from) => {
                let known = self.from.entry(kind).or_insert(from);
                *known = from.max(*known);
            }
            None => {
                self.from.remove(&kind);
            }
        }
    }

    /// Takes back what was kept of a flow; false where there was no room for all of them.
    pub(crate) fn restore(
        &mut self,
        number: u128,
        last: Option<Last>,
        options: &Options,
        budget: &mut Budget,
    ) -> bool {
        if let Some(before) = self.flows.remove(&number) {
            self.by_age.remove(&(before.record.heard, number));
            release(budget);
        }
        let Some(last) = last else { return true };
        let fits = self.flows.len() < options.total_flows && room(budget);
        self.flows.insert(number, last);
        self.by_age.insert((last.record.heard, number));
        occupy(budget);
        if !fits {
            self.drop_oldest(budget);
        }
        fits
    }
}

impl From<Record> for Last {
    fn from(record: Record) -> Self {
        Self { record, odd: false }
    }
}

fn room(budget: &Budget) -> bool {
    budget.totals.saturating_add(COST) <= budget.state_limit / 4 && has_room(budget, COST)
}

fn occupy(budget: &mut Budget) {
    budget.totals += COST;
    budget.state += COST;
}

fn release(budget: &mut Budget) {
    budget.totals = budget.totals.saturating_sub(COST);
    give(budget, COST);
}
