//! In which slots a series is: how long, and where they begin.

use super::period::{Kept, Period, PeriodError, Window, duration};
use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use thiserror::Error;

/// Most slots of a series.
const MOST: usize = 2000;
/// Slots that are enough for a chart.
const ENOUGH: u32 = 300;
const DAY: u32 = 86_400;
/// What an interval is where it is left to Weir, in seconds.
const USUAL: &[u32] = &[60, 300, 600, 1800, 3600, 7200, 10_800, 21_600, DAY];

/// How long the slots of a series are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interval {
    /// As long as a chart needs.
    Auto,
    /// So many seconds, a part of a day; a day is one of the time zone's.
    Every(u32),
}

/// Slots of a series. Each ends where the next one begins, and the last one at the end of the time.
#[derive(Clone, Debug)]
pub struct Slots {
    /// Seconds of a whole one.
    pub interval: u32,
    /// Where they begin, seconds since the epoch; the first with the time itself.
    pub starts: Vec<u32>,
    /// From when to when they are.
    pub window: Window,
}

/// Why there is no such series.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum IntervalError {
    /// No length.
    #[error("interval {0} is none of auto and lengths that a day is made of, such as 1m, 5m, 1h, 6h or 1d")]
    Length(String),
    /// More slots than an answer has.
    #[error(
        "interval {interval}: the time has {slots} of them, and an answer at most {MOST}; ask for longer ones, or a shorter time"
    )]
    TooMany {
        /// As asked.
        interval: String,
        /// How many there would be.
        slots: u32,
    },
    /// Only coarser tables keep that time.
    #[error("interval {0}: no table keeps slots so short from then on; ask for longer ones, or a later time")]
    Gone(String),
}

impl Interval {
    /// Reads one.
    ///
    /// # Errors
    /// [`IntervalError::Length`].
    pub fn read(text: &str) -> Result<Self, IntervalError> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        let wrong = |_: PeriodError| IntervalError::Length(text.chars().take(40).collect());
        let seconds = duration(text).map_err(wrong)?;
        if DAY.is_multiple_of(seconds) {
            Ok(Self::Every(seconds))
        } else {
            Err(IntervalError::Length(text.to_owned()))
        }
    }

    /// The slots of a time. Those of less than a day begin at whole multiples of their length since 1970, days at midnight in the zone.
    ///
    /// # Errors
    /// [`IntervalError::TooMany`], [`IntervalError::Gone`].
    pub fn slots(self, period: &Period, zone: &TimeZone, kept: Kept<'_>) -> Result<Slots, IntervalError> {
        match self {
            Self::Every(seconds) => slots(seconds, period, zone, kept),
            Self::Auto => {
                let length = period.end() - period.window.from;
                let enough = |seconds: &&u32| length / **seconds <= ENOUGH;
                let mut fitting =
                    USUAL.iter().filter(enough).map(|seconds| slots(*seconds, period, zone, kept));
                // Where tables with short slots have dropped that time, longer ones are what there is.
                let found = fitting.find(|one| !matches!(one, Err(IntervalError::Gone(_))));
                found.unwrap_or_else(|| slots(DAY, period, zone, kept))
            }
        }
    }
}

fn slots(seconds: u32, period: &Period, zone: &TimeZone, kept: Kept<'_>) -> Result<Slots, IntervalError> {
    let (from, end) = (period.window.from, period.end());
    let count = (end - from).div_ceil(seconds);
    if count as usize > MOST {
        return Err(IntervalError::TooMany { interval: written(seconds), slots: count });
    }
    let later = if seconds == DAY { midnights(from, end, zone) } else { multiples(seconds, from, end) };
    let window =
        kept.window(from, period.window.to, &later).ok_or_else(|| IntervalError::Gone(written(seconds)))?;
    let starts = [from].into_iter().chain(later).collect();
    Ok(Slots { interval: seconds, starts, window })
}

fn multiples(seconds: u32, from: u32, end: u32) -> Vec<u32> {
    let first = (from / seconds + 1) * seconds;
    (first..end).step_by(seconds as usize).collect()
}

/// Midnights between two times; where a day begins later (a clock put forward at midnight), its first moment.
fn midnights(from: u32, end: u32, zone: &TimeZone) -> Vec<u32> {
    let Ok(at) = Timestamp::from_second(i64::from(from)) else { return Vec::new() };
    let days = (1_i32..).map_while(|days| {
        let date = zone.to_datetime(at).date().checked_add(days.days()).ok()?;
        let start = zone.to_timestamp(date.to_datetime(Time::midnight())).ok()?.as_second();
        u32::try_from(start).ok().filter(|start| *start < end)
    });
    days.collect()
}

fn written(seconds: u32) -> String {
    match seconds {
        DAY => "1d".to_owned(),
        _ if seconds.is_multiple_of(3600) => format!("{}h", seconds / 3600),
        _ => format!("{}m", seconds / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::field::{Need, Needs};
    use crate::query::period::{between, last};
    use crate::query::reading::{Tables, names};
    use std::collections::BTreeMap;

    /// 2026-09-21T14:13:20Z
    const NOW: u32 = 1_790_000_000;

    fn by_as(days: &BTreeMap<String, u32>) -> Kept<'_> {
        Kept::new(NOW, days).with(Needs::default().and(Need::Ases))
    }

    fn asked(interval: &str, from: u32, to: u32, zone: &str) -> Result<Slots, IntervalError> {
        let days = BTreeMap::new();
        let kept = by_as(&days);
        let zone = TimeZone::get(zone).unwrap();
        Interval::read(interval)?.slots(&between(from, to, kept).unwrap(), &zone, kept)
    }

    /// The tables that it is read from.
    fn read(slots: &Slots) -> Vec<&'static str> {
        let tables = Tables::of(Kept::new(NOW, &BTreeMap::new()));
        names(&tables.parts(slots.window, Need::Ases, &slots.starts[1..], &[]).unwrap())
    }

    #[test]
    fn slots_begin_at_whole_multiples_and_the_first_with_the_time() {
        let from = NOW / 3600 * 3600 - 7200 + 120;
        let slots = asked("5m", from, from + 1200, "UTC").unwrap();
        assert_eq!(slots.starts, [0, 180, 480, 780, 1080].map(|after| from + after));
        assert_eq!((read(&slots), slots.interval), (vec!["links_1m", "links_5m"], 300));
        let whole = asked("1h", from - 120, from - 120 + 7200, "UTC").unwrap();
        assert_eq!((whole.starts.len(), read(&whole)), (2, vec!["links_1h"]));
    }

    #[test]
    fn days_are_those_of_the_zone_also_where_a_clock_is_put_back() {
        // Central Europe put its clocks back on 2025-10-26.
        let at = |text: &str| text.parse::<Timestamp>().unwrap().as_second() as u32;
        let (from, to) = (at("2025-10-24T22:00:00Z"), at("2025-10-27T23:00:00Z"));
        let slots = asked("1d", from, to, "Europe/Berlin").unwrap();
        let hours: Vec<_> = slots.starts.windows(2).map(|pair| (pair[1] - pair[0]) / 3600).collect();
        assert_eq!((hours, read(&slots)), (vec![24, 25], vec!["links_1h"]));
        // India's midnight lies between hours of UTC.
        let day = NOW / DAY * DAY - 10 * DAY;
        assert_eq!(read(&asked("1d", day, day + 3 * DAY, "Asia/Kolkata").unwrap()), ["links_5m"]);
    }

    #[test]
    fn a_chart_has_enough_slots_and_no_more() {
        let days = BTreeMap::new();
        let kept = by_as(&days);
        for (time, interval) in
            [("1h", 60), ("24h", 300), ("7d", 3600), ("30d", 10_800), ("300d", DAY), ("600d", DAY)]
        {
            let period = last(time, kept).unwrap();
            assert_eq!(
                Interval::Auto.slots(&period, &TimeZone::UTC, kept).unwrap().interval,
                interval,
                "{time}"
            );
        }
    }

    #[test]
    fn what_cannot_be_is_said() {
        let day = NOW / DAY * DAY;
        for (interval, from, sentence) in [
            (
                "7m",
                day - DAY,
                "interval 7m is none of auto and lengths that a day is made of, such as 1m, 5m, 1h, 6h or 1d",
            ),
            (
                "",
                day - DAY,
                "interval  is none of auto and lengths that a day is made of, such as 1m, 5m, 1h, 6h or 1d",
            ),
            (
                "1m",
                day - 2 * DAY,
                "interval 1m: the time has 2880 of them, and an answer at most 2000; ask for longer ones, or a shorter time",
            ),
            (
                "5m",
                day - 500 * DAY,
                "interval 5m: no table keeps slots so short from then on; ask for longer ones, or a later time",
            ),
        ] {
            let to = if from < day - 100 * DAY { from + DAY } else { day };
            assert_eq!(asked(interval, from, to, "UTC").unwrap_err().to_string(), sentence);
        }
    }
}
