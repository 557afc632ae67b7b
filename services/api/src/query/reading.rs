//! Which tables a time is read from: days where whole days lie in it, hours at their ends, minutes at the ends of those.
//!
//! What must stay true: parts lie side by side and cover the time once; none is read from a table that has dropped it; and a slot in which a
//! link changes is read from shorter ones, as long as there are any, so that what is joined to it holds for all of it.

use super::field::Need;
use super::period::{Kept, Window};
use thiserror::Error;
use weir_schemas::rollup::{A_DAY, ROLLUPS, Table};

/// Seconds of a day from which on they are worth finding one's way among its ASes.
const WORTH: u32 = 3 * 3600;

/// All rollups, and the first slot that each still has.
#[derive(Clone, Debug)]
pub struct Tables(Vec<(&'static Table, u32)>);

/// A statement asks for a time of which no table has all that it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("no table has all of the time from {} to {} of what a statement needs ({need:?})", window.from, window.to)]
pub struct Gone {
    window: Window,
    need: Need,
}

/// A part of a time and the table that it is read from.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    /// Table.
    pub table: &'static Table,
    /// Start, seconds since the epoch, on a border of its slots.
    pub from: u32,
    /// End, not included.
    pub to: u32,
}

impl Tables {
    /// As configured and by now.
    pub fn of(kept: Kept<'_>) -> Self {
        let mut all: Vec<_> = ROLLUPS.iter().map(|table| (table, kept.from(table))).collect();
        all.sort_by_key(|(table, _)| std::cmp::Reverse(table.slot));
        Self(all)
    }

    /// Where a time is read of which tables have all, as questions ask for no other.
    ///
    /// # Errors
    /// [`Gone`], which is a defect of whoever settled the time.
    pub fn read(
        &self,
        window: Window,
        need: Need,
        borders: &[u32],
        changes: &[u32],
    ) -> Result<Vec<Part>, Gone> {
        self.parts(window, need, borders, changes).ok_or(Gone { window, need })
    }

    /// Where a time is read: each part where it has fewest rows. `borders` are those that lie between slots; at `changes` links change.
    /// Nothing where the tables don't have all of it. Where all ASes are read, a little of a day is not looked for among rows that lie by AS.
    pub fn parts(&self, window: Window, need: Need, borders: &[u32], changes: &[u32]) -> Option<Vec<Part>> {
        let of_slots = |table: &Table| borders.iter().all(|border| border.is_multiple_of(table.slot));
        // Of the shapes that will do the first has fewest rows, in slots of any length.
        let of_shape =
            |shape| self.0.iter().filter(move |(table, _)| table.shape == shape && of_slots(table));
        let fitting: Vec<_> = need.shapes().iter().flat_map(|shape| of_shape(*shape)).collect();
        let (mut parts, mut gaps) = (Vec::new(), vec![(window.from, window.to)]);
        // What only tables with longer slots still have is joined to what held when each began.
        for (changes, sparing) in [(changes, need.all_ases()), (changes, false), (&[][..], false)] {
            for (table, first) in &fitting {
                let left = std::mem::take(&mut gaps);
                for gap in left {
                    let mut whole = whole(gap, table.slot, *first, changes);
                    if sparing && table.lie == A_DAY {
                        whole.retain(|(from, to)| to - from >= WORTH);
                    }
                    gaps.extend(between(gap, &whole));
                    parts.extend(whole.into_iter().map(|(from, to)| Part { table, from, to }));
                }
            }
        }
        parts.sort_by_key(|part| part.from);
        gaps.is_empty().then_some(parts)
    }
}

/// The runs of whole slots of a time from `first` on, without those in which something changes.
fn whole((from, to): (u32, u32), slot: u32, first: u32, changes: &[u32]) -> Vec<(u32, u32)> {
    let Some(mut begin) = from.max(first).checked_next_multiple_of(slot) else { return Vec::new() };
    let end = to / slot * slot;
    let mut runs = Vec::new();
    for change in changes.iter().filter(|change| !change.is_multiple_of(slot)) {
        let changing = change / slot * slot;
        if (begin..end).contains(&changing) {
            runs.push((begin, changing));
            begin = changing + slot;
        }
    }
    runs.push((begin, end));
    runs.retain(|(from, to)| from < to);
    runs
}

/// What lies in a time beside runs of it.
fn between((from, to): (u32, u32), runs: &[(u32, u32)]) -> Vec<(u32, u32)> {
    let begins = [from].into_iter().chain(runs.iter().map(|(_, to)| *to));
    let ends = runs.iter().map(|(from, _)| *from).chain([to]);
    begins.zip(ends).filter(|(from, to)| from < to).collect()
}

/// Tables, each once, in the order in which they are read first.
pub fn tables(parts: &[Part]) -> Vec<&'static Table> {
    let mut tables: Vec<&'static Table> = Vec::new();
    for Part { table, .. } in parts {
        if tables.iter().all(|other| other.name != table.name) {
            tables.push(table);
        }
    }
    tables
}

/// Their names.
pub fn names(parts: &[Part]) -> Vec<&'static str> {
    tables(parts).into_iter().map(|table| table.name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    const DAY: u32 = 86_400;
    /// No border of any slot.
    const NOW: u32 = 20_717 * DAY + 50_000 + 77;
    const MIDNIGHT: u32 = 20_717 * DAY;

    fn all_tables() -> Tables {
        Tables::of(Kept::new(NOW, &BTreeMap::new()))
    }

    fn shown(from: u32, to: u32, need: Need, borders: &[u32], changes: &[u32]) -> Vec<(&'static str, u32)> {
        let parts = all_tables().parts(Window { from, to }, need, borders, changes).unwrap();
        parts.into_iter().map(|part| (part.table.name, part.to - part.from)).collect()
    }

    #[test]
    fn whole_days_are_read_as_days_and_their_ends_in_shorter_slots() {
        let (from, to) = (MIDNIGHT - 3 * DAY + 7200 + 360, MIDNIGHT + 3600 + 60);
        assert_eq!(
            shown(from, to, Need::Ases, &[], &[]),
            [
                ("links_1m", 240),
                ("links_5m", 3000),
                ("links_1h", 21 * 3600),
                ("links_1d", 2 * DAY),
                ("links_1h", 3600),
                ("links_1m", 60)
            ]
        );
        let all = [("links_1m", 3240), ("links_1h", 21 * 3600), ("links_1d", 2 * DAY), ("links_1m", 3660)];
        assert_eq!(shown(from, to, Need::AllAses, &[], &[]), all, "of all ASes");
        let inner = to - from - 240 - 60;
        let all = [("interfaces_1m", 240), ("interfaces_5m", inner), ("interfaces_1m", 60)];
        assert_eq!(shown(from, to, Need::Interfaces, &[], &[]), all, "whatever the AS");
        let (from, to) = (MIDNIGHT - 7200 - 300, MIDNIGHT + 7200);
        assert_eq!(shown(from, to, Need::Pairs, &[], &[]), [("pairs_5m", 300), ("pairs_1h", 14_400)]);
        assert_eq!(shown(from + 300, to, Need::Prefixes, &[], &[]), [("prefixes_1h", 14_400)]);
        assert!(all_tables().parts(Window { from, to }, Need::Prefixes, &[], &[]).is_none());
    }

    #[test]
    fn borders_lie_between_slots() {
        let hours: Vec<_> = (1..48).map(|hour| MIDNIGHT - 2 * DAY + hour * 3600).collect();
        assert_eq!(shown(MIDNIGHT - 2 * DAY, MIDNIGHT, Need::Ases, &hours, &[]), [("links_1h", 2 * DAY)]);
        let minute = MIDNIGHT - 60;
        assert_eq!(shown(minute - 600, minute, Need::Ases, &[minute - 300], &[]), [("links_1m", 600)]);
    }

    #[test]
    fn a_slot_in_which_a_link_changes_is_read_in_shorter_ones() {
        let change = MIDNIGHT - DAY + 3600 + 90;
        let parts = shown(MIDNIGHT - 2 * DAY, MIDNIGHT, Need::Ases, &[], &[change, MIDNIGHT - DAY]);
        assert_eq!(
            parts,
            [
                ("links_1d", DAY),
                ("links_1h", 3600),
                ("links_1m", 60),
                // The minute itself: nothing is shorter.
                ("links_1m", 60),
                ("links_1m", 180),
                ("links_5m", 3300),
                ("links_1h", 22 * 3600)
            ]
        );
        // Long ago there are hours alone.
        let then = MIDNIGHT - 1000 * DAY;
        assert_eq!(
            shown(then, then + 7200, Need::Ases, &[], &[then + 60]),
            [("links_1h", 3600), ("links_1h", 3600)]
        );
    }

    #[test]
    fn what_no_table_has_any_more_is_nothing() {
        let then = MIDNIGHT - 1000 * DAY;
        assert!(all_tables().parts(Window { from: then, to: then + 60 }, Need::Ases, &[], &[]).is_none());
        assert!(
            all_tables()
                .parts(Window { from: then, to: then + 7200 }, Need::Ases, &[then + 300], &[])
                .is_none()
        );
    }

    proptest! {
        #[test]
        fn parts_cover_a_time_once_whatever_changes(
            begin in 0..100_u32 * 1440,
            minutes in 1..40_u32 * 1440,
            by_interface: bool,
            changes in prop::collection::vec(0..NOW, 0..5),
            near in prop::collection::vec(0..100_u32 * DAY, 0..9),
        ) {
            let from = MIDNIGHT - 100 * DAY + begin * 60;
            let to = (from + minutes * 60).min(MIDNIGHT);
            prop_assume!(from < to);
            let mut changes: Vec<_> = changes.into_iter().chain(near.iter().map(|at| MIDNIGHT - at)).collect();
            changes.sort_unstable();
            changes.dedup();
            if let Some(parts) = all_tables().parts(Window { from, to }, if by_interface { Need::Interfaces } else { Need::Ases }, &[], &changes) {
                let mut at = from;
                for part in &parts {
                    let slot = part.table.slot;
                    prop_assert_eq!(part.from, at);
                    prop_assert!(part.from.is_multiple_of(slot) && part.to.is_multiple_of(slot) && part.from < part.to);
                    at = part.to;
                }
                prop_assert_eq!(at, to);
            } else {
                prop_assert!(from < NOW - 35 * DAY, "minutes are kept");
            }
        }
    }
}
