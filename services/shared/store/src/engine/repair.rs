//! Removes insert tokens whose part is gone, before the engine serves.
//!
//! The engine writes a token to a table's deduplication log *before* it renames the part. A crash between the two leaves a token
//! for rows that don't exist, and the sink's retry under that token would be dropped silently (tried: 6 of 9 rows were). So
//! every entry whose part is neither active nor covered by an active part goes. Logic only; the engine does the I/O.

use std::collections::HashMap;

/// A part's name, taken apart: partition, first and last block, level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    partition: String,
    first: u64,
    last: u64,
}

impl Part {
    /// Parses `partition_first_last_level[_mutation]`.
    pub fn parse(name: &str) -> Option<Self> {
        let mut fields = name.split('_');
        let partition = fields.next()?.to_owned();
        let first = fields.next()?.parse().ok()?;
        let last = fields.next()?.parse().ok()?;
        let _level: u64 = fields.next()?.parse().ok()?;
        Some(Self { partition, first, last })
    }

    fn covers(&self, other: &Self) -> bool {
        self.partition == other.partition && self.first <= other.first && other.last <= self.last
    }
}

/// What is left of a deduplication log (lines of operation, part and token, tab-separated), and how many entries went.
///
/// A line that can't be read is kept: the engine judges it.
pub fn keep(log: &str, active: &[Part]) -> (String, usize) {
    let mut by_partition: HashMap<&str, Vec<&Part>> = HashMap::new();
    for part in active {
        by_partition.entry(&part.partition).or_default().push(part);
    }
    let mut kept = String::with_capacity(log.len());
    let mut removed = 0;
    for line in log.lines() {
        let part = line.split('\t').nth(1).and_then(Part::parse);
        let stands = part.is_none_or(|part| {
            by_partition
                .get(part.partition.as_str())
                .is_some_and(|all| all.iter().any(|active| active.covers(&part)))
        });
        if stands {
            kept.push_str(line);
            kept.push('\n');
        } else {
            removed += 1;
        }
    }
    (kept, removed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_whose_part_is_gone_is_removed_and_one_in_a_merged_part_stays() {
        let active = ["20261123_1_4_1", "20261124_7_7_0"].map(|name| Part::parse(name).unwrap());
        let log = "1\t20261123_2_2_0\ta\n1\t20261123_5_5_0\tb\n1\t20261124_7_7_0\tc\n1\t20261124_8_8_0\td\nodd line\n";
        let (kept, removed) = keep(log, &active);
        assert_eq!(kept, "1\t20261123_2_2_0\ta\n1\t20261124_7_7_0\tc\nodd line\n");
        assert_eq!(removed, 2);
    }

    #[test]
    fn names_that_are_no_parts_are_not_parsed() {
        for name in ["", "tmp_insert_all_1_1_0", "all_1", "all_x_1_0"] {
            assert_eq!(Part::parse(name), None, "{name}");
        }
        assert!(Part::parse("all_1_1_0_5").is_some());
    }
}
