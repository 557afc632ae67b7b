//! Where tables begin that reach back less far than they are configured to.
//!
//! What was dropped by a retention that has been raised since does not come back, and a table that is new has nothing of before. Another one may still
//! have that time in longer slots. What must stay true: a time is not read from a table that has nothing of it while another one has; and where none
//! reaches further back, there was nothing, and that is what all of them say.

use super::ask::{AskError, rows};
use super::sql::Statement;
use serde::Deserialize;
use weir_schemas::rollup::{ROLLUPS, Shape, Table};
use weir_store::Store;

/// The first slot of each rollup, seconds since the epoch, where another one of the same traffic has earlier ones; else 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Begins([u32; ROLLUPS.len()]);

#[derive(Deserialize)]
struct Ends {
    first: Vec<u32>,
    last: Vec<u32>,
}

impl Begins {
    /// By the first and last slots that tables have, in the order of [`ROLLUPS`]; 0: they have none. One that has none begins where others end, since
    /// that may be long ago.
    pub fn of(first: &[u32], last: &[u32]) -> Self {
        let end = |of: &[u32], at: usize| {
            let time = of.get(at).filter(|time| **time != 0);
            time.map(|time| time.saturating_add(ROLLUPS[at].slot))
        };
        let mut begins = [0; ROLLUPS.len()];
        for (at, begin) in begins.iter_mut().enumerate() {
            let same = || (0..ROLLUPS.len()).filter(|other| is_same(&ROLLUPS[*other], &ROLLUPS[at]));
            let own = first.get(at).copied().filter(|time| *time != 0);
            let own = own.or_else(|| same().filter_map(|other| end(last, other)).max()).unwrap_or(0);
            if same().filter_map(|other| end(first, other)).any(|end| end <= own) {
                *begin = own;
            }
        }
        Self(begins)
    }

    /// As it is now.
    ///
    /// # Errors
    /// What ClickHouse says.
    pub async fn ask(store: &Store) -> Result<Self, AskError> {
        // Partitions know their first and last times, so nothing is read.
        let all = |end: &str| {
            let of = |table: &Table| {
                format!("(SELECT toUnixTimestamp({end}(time)) FROM {}.{})", store.database(), table.name)
            };
            ROLLUPS.iter().map(of).collect::<Vec<_>>().join(", ")
        };
        let sql = format!("SELECT [{}] AS first, [{}] AS last", all("min"), all("max"));
        let ends = rows::<Ends>(store, Statement::of(sql, [])).await?;
        Ok(ends.first().map(|Ends { first, last }| Self::of(first, last)).unwrap_or_default())
    }

    /// Of a table; 0 where no other reaches further back.
    pub(super) fn table(&self, table: &Table) -> u32 {
        let at = ROLLUPS.iter().position(|other| other.name == table.name);
        at.and_then(|at| self.0.get(at)).copied().unwrap_or_default()
    }
}

/// Whether both have all traffic of the same.
fn is_same(a: &Table, b: &Table) -> bool {
    let sides = |table: &Table| matches!(table.shape, Shape::Links | Shape::Interfaces);
    a.shape == b.shape || sides(a) && sides(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u32 = 86_400;
    const NOW: u32 = 2000 * DAY + 45_000;

    /// Where tables begin of which some have these first and last slots, and others none.
    fn begins(ends: &[(&'static str, u32, u32)]) -> Vec<(&'static str, u32)> {
        let (mut first, mut last) = ([0; ROLLUPS.len()], [0; ROLLUPS.len()]);
        for (name, from, to) in ends {
            let at = ROLLUPS.iter().position(|table| table.name == *name).unwrap();
            (first[at], last[at]) = (*from, *to);
        }
        let begins = Begins::of(&first, &last);
        let each = ROLLUPS.iter().map(|table| (table.name, begins.table(table)));
        each.filter(|(_, begin)| *begin != 0).collect()
    }

    /// All tables, from the slot on that each has of a time.
    fn since(time: u32) -> Vec<(&'static str, u32, u32)> {
        let slot = |table: &Table, time: u32| time / table.slot * table.slot;
        ROLLUPS.iter().map(|table| (table.name, slot(table, time), slot(table, NOW))).collect()
    }

    #[test]
    fn where_all_tables_begin_together_none_begins_late() {
        assert_eq!(begins(&[]), []);
        for time in [NOW, NOW - 60, NOW - 3600, NOW - DAY, NOW / DAY * DAY, 170 * DAY + 30_120] {
            assert_eq!(begins(&since(time)), [], "{time}");
        }
    }

    #[test]
    fn a_table_begins_late_where_another_of_the_same_traffic_reaches_further_back() {
        let mut all = since(170 * DAY);
        for (name, first, _) in &mut all {
            match *name {
                "links_1m" | "interfaces_1m" => *first = 1965 * DAY,
                "links_5m" | "interfaces_5m" => *first = 1600 * DAY,
                // All pairs and prefixes: what they have is not what others have.
                "pairs_5m" | "pairs_1h" | "prefixes_1h" => *first = 1900 * DAY,
                _ => {}
            }
        }
        let late = |days: u32| days * DAY;
        let wanted = [("links_1m", late(1965)), ("links_5m", late(1600))];
        let sides = [("interfaces_1m", late(1965)), ("interfaces_5m", late(1600))];
        assert_eq!(begins(&all), [wanted, sides].concat());
    }

    #[test]
    fn a_table_that_has_nothing_begins_where_others_end() {
        // It is new.
        let new = [("pairs_1h", 1999 * DAY, NOW / 3600 * 3600)];
        assert_eq!(begins(&new), [("pairs_5m", (NOW / 3600 + 1) * 3600)]);
        // Nothing came for longer than it keeps.
        assert_eq!(begins(&[("pairs_1h", 1000 * DAY, 1100 * DAY)]), [("pairs_5m", 1100 * DAY + 3600)]);
    }
}
