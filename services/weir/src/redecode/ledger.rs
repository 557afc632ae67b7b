//! What is kept of a redecode in the table `redecodes`: enough to carry it through after any crash.
//!
//! No I/O. Which rows of `flows` are the old ones is said here once, as a condition that holds for the same rows until they are deleted.

use super::bound::{Bound, since};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use weir_decoder::replay::Window;
use weir_schemas::Ip;

/// How far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// New rows are being staged; a crash throws them away.
    Decoding,
    /// They are staged whole; rollups are being corrected, step by step.
    Staged,
    /// Rollups are corrected; flows are being swapped.
    Summed,
    /// All done.
    Swapped,
    /// Thrown away.
    GivenUp,
}

impl Phase {
    const ALL: [(Self, &'static str); 5] = [
        (Self::Decoding, "decoding"),
        (Self::Staged, "staged"),
        (Self::Summed, "summed"),
        (Self::Swapped, "swapped"),
        (Self::GivenUp, "given_up"),
    ];

    /// Its word in the table.
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(phase, _)| *phase == self).map_or("", |(_, word)| word)
    }

    /// The phase of a word.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == word).map(|(phase, _)| *phase)
    }
}

/// A sum of rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sum {
    /// Rows.
    pub flows: u64,
    /// Their bytes of layer 3, as sampled.
    pub bytes: u64,
    /// Their packets, as sampled.
    pub packets: u64,
}

/// A part of the window of which the rollups are corrected at once: half-open ranges of receive time, ns, each read by itself.
pub type Step = Vec<(i64, i64)>;

/// What else has to be known to go on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Details {
    /// The table of staged rows.
    pub staging: String,
    /// Exporters; empty: all.
    pub exporters: BTreeSet<String>,
    /// What was decoded again.
    pub bounds: Vec<Bound>,
    /// Datagrams (partition, offset, index in the frame) with sets that wait for their template: theirs to decode later, so left alone.
    pub left: BTreeSet<(i32, u64, u32)>,
    /// Steps of the correction.
    pub steps: Vec<Step>,
    /// Steps that are done.
    pub done: usize,
    /// The latest block of each rollup when the step under way began; empty between two steps.
    pub blocks: BTreeMap<String, u64>,
    /// Staged rows, by partition of `flows`.
    pub staged: BTreeMap<String, u64>,
    /// Old rows.
    pub before: Sum,
    /// New rows.
    pub after: Sum,
    /// Rows of the window that are no longer in the log, or wait, and stay as they are.
    pub untouched: u64,
    /// What would be dead letters, by reason.
    pub dead: BTreeMap<String, u64>,
}

/// A redecode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Decode generation of its rows.
    pub generation: u32,
    /// Receive times, ns.
    pub from: i64,
    /// Their end.
    pub to: i64,
    /// How far it has come.
    pub phase: Phase,
    /// What else has to be known.
    pub details: Details,
    /// Version of the row that says this.
    pub version: u64,
}

impl Entry {
    /// The window as it was asked for.
    pub fn window(&self) -> Window {
        let exporters = self.details.exporters.iter().filter_map(|text| text.parse().ok());
        Window {
            received: self.from..self.to,
            exporters: exporters.map(|address: std::net::IpAddr| Ip::from(address)).collect(),
        }
    }

    /// Whether a datagram (partition, offset, index in the frame) is decoded by this, so that what it gives has its rows. Of one whose bounds
    /// are not known yet all of the window is.
    pub fn has(&self, exporter: Option<Ip>, place: (i32, i64, u32), received: i64) -> bool {
        let (window, (partition, offset, frame_index)) = (self.window(), place);
        let holds =
            |bound: &Bound| bound.partition == partition && bound.holds(offset) && received >= bound.earliest;
        window.received.contains(&received)
            && (window.exporters.is_empty()
                || exporter.is_some_and(|exporter| window.exporters.contains(&exporter)))
            && (self.phase == Phase::Decoding || self.details.bounds.iter().any(holds))
            && !self.details.left.contains(&(partition, offset.unsigned_abs(), frame_index))
    }

    /// Rows of `flows` that were received in the window and are of earlier generations.
    pub fn in_window(&self) -> String {
        let mut sql = format!("{} AND generation < {}", received(self.from, self.to), self.generation);
        if !self.details.exporters.is_empty() {
            let all: Vec<_> =
                self.details.exporters.iter().map(|exporter| format!("toIPv6('{exporter}')")).collect();
            let _ = write!(sql, " AND exporter IN ({})", all.join(", "));
        }
        sql
    }

    /// Those that new rows take the place of.
    pub fn old(&self) -> String {
        let mut sql = self.in_window();
        let bounds: Vec<_> =
            self.details.bounds.iter().filter(|bound| bound.begin < bound.end).map(Bound::sql).collect();
        let _ =
            write!(sql, " AND ({})", if bounds.is_empty() { "0".to_owned() } else { bounds.join(" OR ") });
        if !self.details.left.is_empty() {
            let _ = write!(sql, " AND NOT ({})", self.left());
        }
        sql
    }

    /// Rows of datagrams that are left alone.
    pub fn left(&self) -> String {
        let all: Vec<_> = self.details.left.iter().map(|place| format!("{place:?}")).collect();
        format!("(raw_partition, raw_offset, frame_index) IN ({})", all.join(", "))
    }
}

/// How the names of tables of staged rows begin.
pub const STAGING: &str = "flows_redecoded_";

/// Rows that were received from `from` on and before `to`, ns.
pub fn received(from: i64, to: i64) -> String {
    format!("{} AND received < fromUnixTimestamp64Nano(toInt64({to}))", since(from))
}

/// Rows that one read gives, about.
const READ_ROWS: u64 = 200_000;
/// Rows that one step corrects, about: what the sums of is held in memory, and one insert a table.
const STEP_ROWS: u64 = 1_000_000;

/// Cuts the window into steps, by how many rows, old and new, were received in each second. The same counts always make the same steps.
pub fn steps(seconds: impl IntoIterator<Item = (i64, u64)>) -> Vec<Step> {
    const SECOND: i64 = 1_000_000_000;
    let (mut steps, mut step, mut step_rows) = (Vec::new(), Step::new(), 0);
    let mut read: Option<(i64, i64, u64)> = None;
    let mut end_read = |read: &mut Option<(i64, i64, u64)>, last: bool| {
        if let Some((from, to, rows)) = read.take() {
            step.push((from * SECOND, to * SECOND));
            step_rows += rows;
        }
        if !step.is_empty() && (last || step_rows >= STEP_ROWS) {
            steps.push(std::mem::take(&mut step));
            step_rows = 0;
        }
    };
    for (second, rows) in seconds {
        if read.is_some_and(|(_, _, before)| before + rows > READ_ROWS) {
            end_read(&mut read, false);
        }
        read = Some(
            read.map_or((second, second + 1, rows), |(from, _, before)| (from, second + 1, before + rows)),
        );
    }
    end_read(&mut read, true);
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry {
        let bound = |partition, begin, end| Bound { begin, earliest: 5, ..Bound::new(partition, end) };
        Entry {
            generation: 3,
            from: 10,
            to: 20,
            phase: Phase::Staged,
            details: Details { bounds: vec![bound(0, 0, 9), bound(1, 4, 4)], ..Details::default() },
            version: 1,
        }
    }

    #[test]
    fn old_rows_are_of_earlier_generations_and_of_what_the_log_has() {
        let at = |ns| format!("fromUnixTimestamp64Nano(toInt64({ns}))");
        let window = format!("received >= {} AND received < {} AND generation < 3", at(10), at(20));
        assert_eq!(entry().in_window(), window);
        let of =
            format!("(raw_partition = 0 AND raw_offset >= 0 AND raw_offset < 9 AND received >= {})", at(5));
        assert_eq!(entry().old(), format!("{window} AND ({of})"));
        let nothing = Entry { details: Details::default(), ..entry() };
        assert_eq!(nothing.old(), format!("{window} AND (0)"));
    }

    #[test]
    fn datagrams_that_wait_and_other_exporters_are_left_alone() {
        let mut entry = entry();
        entry.details.left = [(0, 7, 1), (0, 8, 0)].into();
        entry.details.exporters = ["::ffff:192.0.2.1".to_owned()].into();
        let old = entry.old();
        assert!(
            old.ends_with(" AND NOT ((raw_partition, raw_offset, frame_index) IN ((0, 7, 1), (0, 8, 0)))"),
            "{old}"
        );
        assert!(old.contains(" AND exporter IN (toIPv6('::ffff:192.0.2.1'))"), "{old}");
        assert_eq!(entry.window().exporters.first(), Some(&Ip::v4([192, 0, 2, 1])));
    }

    #[test]
    fn a_datagram_is_decoded_by_a_redecode_of_its_window_exporter_and_place() {
        let entry = entry();
        let other = Some(Ip::v4([192, 0, 2, 1]));
        assert!(entry.has(None, (0, 8, 0), 10) && entry.has(other, (0, 0, 3), 19));
        for (place, received) in
            [((0, 9, 0), 10), ((1, 4, 0), 10), ((2, 0, 0), 10), ((0, 8, 0), 9), ((0, 8, 0), 20)]
        {
            assert!(!entry.has(None, place, received), "{place:?} {received}");
        }
        let details = Details { left: [(0, 7, 1)].into(), ..entry.details.clone() };
        let left = Entry { details, ..entry.clone() };
        assert!(!left.has(None, (0, 7, 1), 10) && left.has(None, (0, 7, 0), 10));
        let details = Details { exporters: ["::ffff:192.0.2.1".to_owned()].into(), ..Details::default() };
        // Which places it decodes is not known yet.
        let decoding = Entry { phase: Phase::Decoding, details, ..entry };
        assert!(decoding.has(other, (5, 5, 0), 10) && !decoding.has(None, (5, 5, 0), 10));
    }

    #[test]
    fn every_second_with_rows_is_in_one_read_of_one_step() {
        let seconds: Vec<(i64, u64)> = (0..500).map(|n| (n * 3, 7_000 + n as u64 % 5 * 40_000)).collect();
        let steps = steps(seconds.iter().copied());
        let reads: Vec<_> = steps.iter().flatten().copied().collect();
        for (second, _) in &seconds {
            let ns = second * 1_000_000_000;
            assert_eq!(reads.iter().filter(|(from, to)| (*from..*to).contains(&ns)).count(), 1, "{second}");
        }
        assert!(reads.windows(2).all(|pair| pair[0].1 <= pair[1].0));
        assert!(steps.len() > 10 && steps.iter().all(|step| (1..=30).contains(&step.len())));
        assert!(super::steps([]).is_empty());
        // A second with more rows than a read should give is a read of its own.
        assert_eq!(super::steps([(1, 5), (2, 900_000), (3, 5)]).concat().len(), 3);
    }

    #[test]
    fn phases_are_read_as_they_were_written() {
        for (phase, word) in Phase::ALL {
            assert_eq!((Phase::of(word), phase.word()), (Some(phase), word));
        }
        assert_eq!(Phase::of("else"), None);
    }
}
