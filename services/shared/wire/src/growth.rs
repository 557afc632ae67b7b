//! What a record of a flow whose counters run on adds to the one before.
//!
//! What must stay true: what was counted of a flow is never more than the largest totals that it had. A record that does not fit to the one before
//! (counters that went back, another flow under the same number) adds nothing; the second such in a row is where counting begins anew.

use crate::element::Slot;

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

pub(crate) type Values = [u64; TOTALS.len()];
/// Bytes of each on the wire.
pub(crate) type Widths = [u8; TOTALS.len()];

const SECOND: i64 = 1_000_000_000;
/// How far apart one start may come out by the exporter's clock, ns: some make it anew from its uptime.
const ALIKE: i64 = SECOND;
/// And by the clock of receive times, ns: export times are of whole seconds, and datagrams take their time.
pub(crate) const SLACK: i64 = 5 * SECOND;
/// Where an uptime of milliseconds wraps, ns.
const WRAP: i64 = (1 << 32) * 1_000_000;

/// When a flow began, ns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Start {
    /// By the exporter's clock, which may be put right.
    pub exported: i64,
    /// By the clock of receive times.
    pub anchored: i64,
}

impl Start {
    /// Whether both are one start: by either clock, and by an uptime that has wrapped since.
    fn is(&self, other: &Self) -> bool {
        let apart = self.anchored.saturating_sub(other.anchored).rem_euclid(WRAP);
        self.exported.saturating_sub(other.exported).saturating_abs() <= ALIKE
            || apart.min(WRAP - apart) <= SLACK
    }
}

/// A record of a flow: what it had come to, and when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Record {
    pub counts: Values,
    /// Receive time, ns.
    pub heard: i64,
    /// Where that is told and not ahead of us.
    pub started: Option<Start>,
    /// Until when its bytes are spread, ns by the clock of receive times.
    pub ended: i64,
}

/// What a record is, beside the one before of the same flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Another flow, which began when that one had ended.
    Another,
    /// What it adds.
    Grown(Values),
    /// Older than that one, which has counted it.
    Late,
    /// Nobody knows.
    Odd,
}

/// What a record is, of which counters have so many bytes.
pub(crate) fn next(now: &Record, before: &Record, widths: &Widths) -> Next {
    let same = now.started.zip(before.started).map(|(now, before)| now.is(&before));
    if same == Some(false) {
        let after = |started: Start| started.anchored >= before.ended.saturating_sub(SLACK);
        return if now.started.is_some_and(after) { Next::Another } else { old(now, before) };
    }
    let (mut grown, mut back, mut wraps) = (Values::default(), 0, true);
    let pairs = || now.counts.into_iter().zip(before.counts);
    for ((grown, (now, before)), width) in grown.iter_mut().zip(pairs()).zip(widths) {
        let most = u64::MAX >> (64 - 8 * u32::from((*width).clamp(1, 8)));
        *grown = now.wrapping_sub(before) & most;
        if now < before {
            back += 1;
            wraps &= *width < 8 && before <= most;
        }
    }
    let ahead = pairs().any(|(now, before)| now > before);
    // Counters that go on beside it say that one has wrapped; where it is alone, that the flow is the same and the record no older.
    let alone = pairs().filter(|(_, before)| *before > 0).count() == 1;
    let goes_on =
        ahead || (alone && same == Some(true) && now.ended >= before.ended && now.heard >= before.heard);
    if back == 0 || (wraps && goes_on) { Next::Grown(grown) } else { old(now, before) }
}

fn old(now: &Record, before: &Record) -> Next {
    if now.heard < before.heard || now.ended < before.ended { Next::Late } else { Next::Odd }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WIDE: Widths = [8; TOTALS.len()];

    fn record(octets: u64, packets: u64, at: i64) -> Record {
        let mut counts = Values::default();
        (counts[0], counts[1]) = (octets, packets);
        Record { counts, heard: at * SECOND, started: None, ended: at * SECOND }
    }

    fn began(record: Record, exported: i64, anchored: i64) -> Record {
        let started = Start { exported: exported * SECOND, anchored: anchored * SECOND };
        Record { started: Some(started), ..record }
    }

    fn grown(octets: u64, packets: u64) -> Next {
        Next::Grown(record(octets, packets, 0).counts)
    }

    #[test]
    fn a_start_is_one_by_either_clock_and_behind_a_wrap_of_the_uptime() {
        let before = began(record(1000, 10, 100), 7000, 50);
        for (what, exported, anchored, wanted) in [
            ("the same", 7000, 50, grown(500, 5)),
            ("made anew from the uptime", 7001, 50, grown(500, 5)),
            ("the clock was put back, and with it all that is made from it", 3400, 50, grown(500, 5)),
            ("the clock was put back, and the flow keeps its start", 7000, 140, grown(500, 5)),
            ("a slow datagram", 9000, 55, grown(500, 5)),
            ("the uptime has wrapped", 9_000_000, 50 + WRAP / SECOND, grown(500, 5)),
            ("the uptime has wrapped twice", 9_000_000, 50 + 2 * WRAP / SECOND, grown(500, 5)),
            ("later by more than a wrap", 9_000_000, 50 + 60 * 86_400, Next::Another),
            ("later, before that one had ended", 9000, 80, Next::Odd),
            ("later, when that one had ended", 9000, 96, Next::Another),
            ("earlier", 5000, 20, Next::Odd),
        ] {
            let now = began(record(1500, 15, 160), exported, anchored);
            assert_eq!(next(&now, &before, &WIDE), wanted, "{what}");
        }
        let late = began(record(1500, 15, 99), 5000, 20);
        assert_eq!(next(&late, &before, &WIDE), Next::Late);
    }

    #[test]
    fn counters_that_went_back_are_late_or_odd_unless_narrow_ones_have_wrapped() {
        let narrow: Widths = [4, 4, 8, 8, 8, 8, 8, 8];
        let big = 3_000_000_000;
        for (what, before, now, widths, wanted) in [
            ("all of them", record(1000, 10, 100), record(600, 6, 101), WIDE, Next::Odd),
            ("and late", record(1000, 10, 100), record(600, 6, 99), WIDE, Next::Late),
            (
                "and received sooner",
                record(1000, 10, 100),
                Record { heard: 99 * SECOND, ..record(600, 6, 101) },
                WIDE,
                Next::Late,
            ),
            (
                "and overtaken",
                record(1000, 10, 100),
                Record { heard: 101 * SECOND, ..record(600, 6, 99) },
                WIDE,
                Next::Late,
            ),
            (
                "higher, by a clock that is behind",
                record(1000, 10, 100),
                record(1900, 19, 99),
                WIDE,
                grown(900, 9),
            ),
            ("one of two wide ones", record(1000, 10, 100), record(600, 11, 101), WIDE, Next::Odd),
            (
                "one of two narrow ones",
                record(big, 10, 100),
                record(big * 2 - (1 << 32), 20, 160),
                narrow,
                grown(big, 10),
            ),
            ("two narrow ones", record(big, 10, 100), record(600, 6, 160), narrow, Next::Odd),
            (
                "a narrow one beside one that stays",
                record(big, 10, 100),
                record(600, 10, 160),
                narrow,
                Next::Odd,
            ),
            ("a narrow one alone", record(big, 0, 100), record(600, 0, 160), narrow, Next::Odd),
            ("beyond what it can hold", record(1 << 33, 10, 100), record(600, 11, 160), narrow, Next::Odd),
        ] {
            assert_eq!(next(&now, &before, &widths), wanted, "{what}");
        }
        let same = |record| began(record, 7000, 50);
        let (before, wrapped) = (same(record(big, 0, 100)), grown((1 << 32) - big + 600, 0));
        assert_eq!(next(&same(record(600, 0, 160)), &before, &narrow), wrapped, "alone, of one start");
        assert_eq!(next(&same(record(600, 0, 100)), &before, &WIDE), Next::Odd);
        let older = Record { ended: 99 * SECOND, ..same(record(600, 0, 160)) };
        assert_eq!(next(&older, &before, &narrow), Next::Late, "that ended sooner");
        let sooner = Record { heard: 99 * SECOND, ..same(record(600, 0, 160)) };
        assert_eq!(next(&sooner, &before, &narrow), Next::Late, "that was received sooner");
    }

    proptest! {
        /// In whatever order records of a flow come, and however often.
        #[test]
        fn no_more_is_counted_of_a_flow_than_the_largest_totals_it_had(
            order in prop::collection::vec(0..20_usize, 1..60),
            steps in prop::collection::vec(0..1000_u64, 20),
            started: bool,
            ended: bool,
        ) {
            let totals: Vec<u64> = steps.iter().scan(0, |sum, step| { *sum += step; Some(*sum) }).collect();
            let of = |at: usize, heard: usize| {
                let record = record(totals[at] * 100, totals[at], at as i64 * 60);
                let heard = heard as i64 * 60 * SECOND;
                let record = Record { heard, ended: if ended { record.ended } else { heard }, ..record };
                if started { began(record, 7000, -10) } else { record }
            };
            let (mut before, mut odd) = (of(order[0], 0), false);
            let (mut counted, mut most) = (0, totals[order[0]]);
            for (heard, at) in order.iter().enumerate().skip(1) {
                let now = of(*at, heard);
                most = most.max(totals[*at]);
                match next(&now, &before, &WIDE) {
                    Next::Grown(grown) => {
                        counted += grown[1];
                        (before, odd) = (now, false);
                    }
                    // The second in a row is where counting begins anew: nothing tells that it came late.
                    Next::Odd if odd => {
                        prop_assert!(!ended, "its end tells");
                        return Ok(());
                    }
                    Next::Odd => odd = true,
                    Next::Late => {}
                    Next::Another => prop_assert!(false, "it is one flow"),
                }
                prop_assert!(counted <= most - totals[order[0]], "{counted} of {most}");
            }
        }
    }
}
