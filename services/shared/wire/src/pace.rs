//! Whether records come as evenly as no traffic does: then their export is cut off at a rate, and what is beyond it is missing without a gap in any number.
//!
//! Flows end by chance, so of as many as come in a second the variance is their mean at the least, and much more where traffic is bursty. A limit lets
//! through the same number second by second. What must stay true: a minute counts only where the one before was seen, so that it is whole.

use weir_schemas::checks::Checks;

const SECOND: i64 = 1_000_000_000;
const MINUTE: i64 = 60;
/// Fewer records a second than this are too few to tell: a datagram has thirty.
const BUSY: u64 = 1000;
/// By how much chance is undercut, as a divisor of the variance.
const EVEN: u128 = 4;
/// Nor may a limit's own hitches tell against it: as parts of the mean, one of so many.
const HITCH: u128 = 333;

/// Records by second, of the minute that goes on.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pace {
    /// The second that goes on, since the epoch; none before the first record.
    second: Option<i64>,
    records: u64,
    /// Whether the minute was seen from its start.
    whole: bool,
    sum: u64,
    squares: u128,
}

impl Pace {
    /// Takes in the flow records of a datagram, by its receive time, ns since the epoch.
    pub(crate) fn see(&mut self, received: i64, records: u64, checks: &mut Checks) {
        let second = received.div_euclid(SECOND);
        let now = *self.second.get_or_insert(second);
        if second > now {
            self.sum += self.records;
            self.squares += u128::from(self.records).pow(2);
            self.records = 0;
            self.second = Some(second);
            if second.div_euclid(MINUTE) > now.div_euclid(MINUTE) {
                self.end(checks);
            }
        }
        self.records += records;
    }

    /// A minute ends. Seconds without a record are zeros, and need no counting.
    fn end(&mut self, checks: &mut Checks) {
        let seconds = MINUTE.unsigned_abs();
        if self.whole && self.sum >= BUSY * seconds {
            let (n, sum) = (u128::from(seconds), u128::from(self.sum));
            // Both times n².
            let variance = n * self.squares - sum * sum;
            let hitch = (sum / HITCH).pow(2);
            checks.minutes_busy += 1;
            // Of very many, chance itself is as small a part as a hitch.
            if variance < (n * sum / EVEN).max(hitch.min(n * sum / 2)) {
                checks.minutes_even += 1;
                checks.flows_of_even_minutes += self.sum;
            }
        }
        (self.whole, self.sum, self.squares) = (true, 0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found of minutes in which each second has as many records as `of` says.
    fn minutes(seconds: i64, of: impl Fn(i64) -> u64) -> (u64, u64, u64) {
        let (mut pace, mut checks) = (Pace::default(), Checks::default());
        for second in 0..seconds {
            // In ten datagrams.
            for part in 0..10 {
                let records = of(second) * (part + 1) / 10 - of(second) * part / 10;
                pace.see(second * SECOND + part as i64 * SECOND / 10, records, &mut checks);
            }
        }
        (checks.minutes_busy, checks.minutes_even, checks.flows_of_even_minutes)
    }

    /// Numbers that are spread as chance spreads them: 400 throws, of which one in two counts, have a variance of 100.
    fn chance(second: i64) -> u64 {
        let throw = |n: u64| (second as u64 * 977 + n).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (0..400)
            .map(|n| throw(n) ^ throw(n) >> 29)
            .filter(|n| n.wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 63 == 1)
            .count() as u64
    }

    #[test]
    fn minutes_of_even_seconds_are_told_from_those_of_chance() {
        // Beside what is sure, a fifth of the variance that chance would give 2000 records; at ten times as many, half of it.
        assert_eq!(minutes(241, |_| 2000), (3, 3, 360_000));
        assert_eq!(minutes(241, |second| 1800 + 5 * chance(second)).1, 0, "2500 where chance gives 2800");
        assert_eq!(minutes(241, |second| 1800 + chance(second)).1, 3, "100 where chance gives 2000");
        assert_eq!(minutes(241, |second| 100_000 + if second % 2 == 0 { 250 } else { 0 }).1, 3, "hitches");
        assert_eq!(minutes(241, |second| 100_000 + if second % 2 == 0 { 900 } else { 0 }).1, 0);
        assert_eq!(
            minutes(601, |second| 130_000 + 36 * chance(second)).1,
            0,
            "129 600 where chance gives 137 200"
        );
    }

    #[test]
    fn a_minute_of_few_records_or_one_that_was_not_seen_from_its_start_says_nothing() {
        assert_eq!(minutes(241, |_| 999), (0, 0, 0));
        assert_eq!(minutes(241, |_| 1000).0, 3);
        assert_eq!(minutes(119, |_| 2000), (0, 0, 0), "the first minute, and one that goes on");
        assert_eq!(minutes(121, |_| 2000), (1, 1, 120_000));
    }

    #[test]
    fn silence_counts_as_seconds_without_records() {
        assert_eq!(minutes(241, |second| if second % 2 == 0 { 4000 } else { 0 }), (3, 0, 0));
        let (mut pace, mut checks) = (Pace::default(), Checks::default());
        for second in [0, 60, 61, 7200, 7260] {
            pace.see(second * SECOND, 60_000, &mut checks);
        }
        assert_eq!((checks.minutes_busy, checks.minutes_even), (2, 0));
    }
}
