//! What of a partition of `weir.raw` was read when it was decoded again, and so which rows new ones take the place of.
//!
//! No I/O. What must stay true: an offset of which nothing was read is never in it, wherever it lies, because rows that lie there can't be made
//! again and those that are taken away are gone.

use serde::{Deserialize, Serialize};
use std::fmt::Write;

/// What of a partition of `weir.raw` was decoded again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bound {
    /// The partition.
    pub partition: i32,
    /// The first offset that the log had.
    pub begin: i64,
    /// The end of what was read, not included.
    pub end: i64,
    /// Earliest receive time in it, ns: a row that is older is of a topic of this name that was there before.
    pub earliest: i64,
    /// Half-open ranges in it of which nothing was read, in their order. A disk that lost a part of the log leaves such, and what was stored of
    /// it cannot be made again; a broker's markers of transactions too, and nothing is stored of those.
    #[serde(default)]
    pub holes: Vec<(i64, i64)>,
}

impl Bound {
    /// Nothing read yet of a partition whose log ends there.
    pub fn new(partition: i32, end: i64) -> Self {
        Self { partition, begin: end, end, earliest: 0, holes: Vec::new() }
    }

    /// The next record was read.
    pub fn read(&mut self, offset: i64) {
        if self.begin == self.end {
            self.begin = offset;
        } else if self.end < offset {
            self.holes.push((self.end, offset));
        }
        self.end = offset + 1;
    }

    /// Whether a record that was read may lie there.
    pub fn holds(&self, offset: i64) -> bool {
        let at = self.holes.partition_point(|(_, end)| *end <= offset);
        let lost = self.holes.get(at).is_some_and(|(begin, _)| *begin <= offset);
        (self.begin..self.end).contains(&offset) && !lost
    }

    /// Its rows, in SQL. However many holes there are, each row is looked up once.
    pub fn sql(&self) -> String {
        let Self { partition, begin, end, earliest, holes } = self;
        let mut sql = format!(
            "(raw_partition = {partition} AND raw_offset >= {begin} AND raw_offset < {end} AND {}",
            since(*earliest)
        );
        if let Some((first, _)) = holes.first() {
            let edges = holes.iter().flat_map(|(begin, end)| [begin, end]).map(i64::to_string);
            let begins = holes.iter().map(|(begin, _)| begin.to_string());
            let (edges, begins) = (Vec::from_iter(edges).join(", "), Vec::from_iter(begins).join(", "));
            let _ = write!(
                sql,
                " AND (raw_offset < {first} OR roundDown(raw_offset, [{edges}]) NOT IN ({begins}))"
            );
        }
        sql.push(')');
        sql
    }
}

/// What was received then or later.
pub fn since(ns: i64) -> String {
    format!("received >= fromUnixTimestamp64Nano(toInt64({ns}))")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_log_with_holes_only_what_was_read_is_replaced() {
        let mut bound = Bound::new(2, 30);
        assert!(!bound.holds(29), "nothing was read yet");
        let read = [3, 4, 6, 9, 10];
        read.into_iter().for_each(|offset| bound.read(offset));
        assert_eq!((bound.begin, bound.end, bound.holes.as_slice()), (3, 11, &[(5, 6), (7, 9)][..]));
        for offset in 0..40 {
            assert_eq!(bound.holds(offset), read.contains(&offset), "{offset}");
        }
        assert_eq!(
            bound.sql(),
            "(raw_partition = 2 AND raw_offset >= 3 AND raw_offset < 11 AND received >= fromUnixTimestamp64Nano(toInt64(0)) \
             AND (raw_offset < 5 OR roundDown(raw_offset, [5, 6, 7, 9]) NOT IN (5, 7)))"
        );
    }

    #[test]
    fn what_was_noted_by_a_release_that_knew_no_holes_has_none() {
        let noted = r#"{"partition":1,"begin":2,"end":5,"earliest":3}"#;
        let bound: Bound = serde_json::from_str(noted).unwrap();
        assert_eq!(bound, Bound { begin: 2, earliest: 3, ..Bound::new(1, 5) });
    }
}
