//! A question as it comes over HTTP, and what it is made into.

use super::field::{Dimension, FIELDS, Needs};
use super::interval::{Interval, IntervalError};
use super::period::{self, Kept, Period, PeriodError};
use super::reading::Tables;
use super::{Counted, Detail, Order, Question, Scope};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::Deserialize;
use thiserror::Error;
use utoipa::ToSchema;
use weir_filter::{Expr, Fault, parse};

/// Most rows that are given.
pub const MOST: u32 = 10_000;
/// Most rows about which more than their sums is asked.
pub const MOST_DETAILED: u32 = 200;
/// Most dimensions at once.
const DIMENSIONS: usize = 4;

/// A question: the top of what, over which time.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Request {
    /// The last so much time, such as `30m`, `24h` or `7d`. It ends two minutes ago, because flows come after they end. Without it and without
    /// `from` and `to`, the last hour.
    pub last: Option<String>,
    /// Start, in whole minutes (RFC 3339; without an offset, in `zone`). With `to`, in the place of `last`.
    pub from: Option<String>,
    /// End, not included.
    pub to: Option<String>,
    /// Time zone (IANA) in which times without an offset are read, and days begin; without it UTC.
    #[schema(example = "Europe/Berlin")]
    pub zone: Option<String>,
    /// What to group by; without it `as` and `link`.
    #[schema(min_items = 1, max_items = 4)]
    pub by: Option<Vec<Dimension>>,
    /// How many rows; without it ten.
    #[schema(minimum = 1, maximum = 10_000)]
    pub top: Option<u32>,
    /// By what the top is chosen; without it bytes in and out.
    pub order: Option<Order>,
    /// Whether what is not in the rows is wanted as a row of its own.
    pub other: bool,
    /// How long slots are of which bytes are wanted too, such as `5m`, `1h` or `1d`; `auto`: as long as a chart needs.
    #[schema(example = "auto")]
    pub interval: Option<String>,
    /// Whether the largest and the 95th of the slots of five minutes are wanted too.
    pub peaks: bool,
    /// Whether sums of as long a time before are wanted too.
    pub previous: bool,
    /// Which interfaces count; without it the boundary, unless the filter names a connectivity.
    pub scope: Option<Scope>,
    /// Where the records that count were observed; without it, of each interface and direction, where they are complete.
    pub observation: Option<Counted>,
    /// Only what this says, such as `connectivity = transit AND as IN (15169, 2906)`.
    pub filter: Option<String>,
}

/// Why a question makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RequestError {
    /// `last` beside `from` and `to`.
    #[error("last goes without from and to")]
    Both,
    /// One end alone.
    #[error("from and to go together, and {missing} is missing")]
    Half {
        /// The other one.
        missing: &'static str,
    },
    /// No time.
    #[error("'{text}' is no time that can be asked for: write it such as 2026-11-27T08:00:00Z")]
    Time {
        /// The key.
        key: &'static str,
        /// What it says.
        text: String,
    },
    /// No time zone.
    #[error("there is no time zone '{0}': write a name of IANA's, such as Europe/Berlin")]
    Zone(String),
    /// There is no such series.
    #[error(transparent)]
    Interval(#[from] IntervalError),
    /// Too many rows to say more about.
    #[error(
        "top {0} is above {MOST_DETAILED}, and of so many rows there are sums alone: ask without interval, peaks and previous, or for fewer"
    )]
    Detailed(u32),
    /// The time can't be asked for.
    #[error(transparent)]
    Period(#[from] PeriodError),
    /// Too few or too many rows.
    #[error("top {0} is not between 1 and {MOST}")]
    Top(u32),
    /// Too few or too many dimensions.
    #[error("rows are grouped by one to {DIMENSIONS} dimensions, each of them once, and not by {0}")]
    Dimensions(String),
    /// No table has all of it.
    #[error(
        "prefix, neighbour, and other_as with country are kept in different tables: ask for one of the three at a time"
    )]
    Apart,
    /// The filter can't be read.
    #[error("{fault}")]
    Filter {
        /// What is wrong with it.
        fault: Fault,
        /// The filter.
        filter: String,
    },
}

impl Request {
    /// The question, if it makes sense.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn question(&self, kept: Kept<'_>) -> Result<Question, RequestError> {
        let filter = self.filter.as_deref().unwrap_or_default();
        let wrong = |fault| RequestError::Filter { fault, filter: filter.to_owned() };
        let filter = read(filter).map_err(wrong)?;
        self.about(filter, kept)
    }

    /// The question about what this filter says, in the place of the one that is written.
    ///
    /// # Errors
    /// The first thing that is wrong besides the filter.
    pub fn about(&self, filter: Option<Expr>, kept: Kept<'_>) -> Result<Question, RequestError> {
        let kept = kept.with(self.needs(filter.as_ref())?);
        let zone = self.zone()?;
        let period = match (&self.last, &self.from, &self.to) {
            (None, Some(from), Some(to)) => {
                period::between(seconds("from", from, &zone)?, seconds("to", to, &zone)?, kept)?
            }
            (Some(_), None, None) | (None, None, None) => {
                period::last(self.last.as_deref().unwrap_or("1h"), kept)?
            }
            (Some(_), _, _) => return Err(RequestError::Both),
            (None, from, _) => {
                return Err(RequestError::Half { missing: if from.is_none() { "from" } else { "to" } });
            }
        };
        self.over(period, filter, kept)
    }

    fn by(&self) -> &[Dimension] {
        self.by.as_deref().unwrap_or(&[Dimension::As, Dimension::Link])
    }

    fn needs(&self, filter: Option<&Expr>) -> Result<Needs, RequestError> {
        Needs::of(self.by(), filter).ok_or(RequestError::Apart)
    }

    /// The same about the last minutes, those included that can still grow.
    ///
    /// # Errors
    /// As those of [`about`](Self::about).
    pub fn until_now(&self, filter: Option<Expr>, kept: Kept<'_>) -> Result<Question, RequestError> {
        let kept = kept.with(self.needs(filter.as_ref())?);
        self.over(period::recent(kept)?, filter, kept)
    }

    fn over(&self, period: Period, filter: Option<Expr>, kept: Kept<'_>) -> Result<Question, RequestError> {
        let by = self.by().to_vec();
        let top = self.top.unwrap_or(10);
        rows(&by, top)?;
        if top > MOST_DETAILED && (self.interval.is_some() || self.peaks || self.previous) {
            return Err(RequestError::Detailed(top));
        }
        let detail = Detail {
            other: self.other,
            series: match &self.interval {
                Some(interval) => Some(Interval::read(interval)?.slots(&period, &self.zone()?, kept)?),
                None => None,
            },
            peaks: if self.peaks { kept.peaks(&period) } else { None },
            previous: if self.previous { period.before(kept) } else { None },
        };
        Ok(Question {
            by,
            period,
            top,
            order: self.order.unwrap_or_default(),
            scope: self.scope.unwrap_or_else(|| Scope::of(filter.as_ref())),
            observation: self.observation.unwrap_or_default(),
            filter,
            detail,
            tables: Tables::of(kept),
        })
    }

    fn zone(&self) -> Result<TimeZone, RequestError> {
        let Some(name) = &self.zone else { return Ok(TimeZone::UTC) };
        TimeZone::get(name).map_err(|_| RequestError::Zone(name.chars().take(40).collect()))
    }
}

/// Reads a filter; one of nothing but spaces is none.
///
/// # Errors
/// What is wrong with it.
pub fn read(filter: &str) -> Result<Option<Expr>, Fault> {
    if filter.trim().is_empty() { Ok(None) } else { parse(filter, FIELDS).map(Some) }
}

fn rows(by: &[Dimension], top: u32) -> Result<(), RequestError> {
    let twice = by.iter().enumerate().any(|(n, one)| by[..n].contains(one));
    if !(1..=DIMENSIONS).contains(&by.len()) || twice {
        let names: Vec<_> = by.iter().take(2 * DIMENSIONS).map(|one| one.name()).collect();
        return Err(RequestError::Dimensions(if names.is_empty() {
            "none".to_owned()
        } else {
            names.join(", ")
        }));
    }
    if !(1..=MOST).contains(&top) {
        return Err(RequestError::Top(top));
    }
    Ok(())
}

/// Seconds since the epoch of a time as it is written under this key.
fn seconds(key: &'static str, text: &str, zone: &TimeZone) -> Result<u32, RequestError> {
    let wrong = || RequestError::Time { key, text: text.chars().take(40).collect() };
    let time = match text.parse::<Timestamp>() {
        Ok(time) => time,
        Err(_) => {
            let local: DateTime = text.parse().map_err(|_| wrong())?;
            zone.to_timestamp(local).map_err(|_| wrong())?
        }
    };
    if time.subsec_nanosecond() != 0 {
        return Err(wrong());
    }
    u32::try_from(time.as_second()).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn asked(json: &str) -> Result<Question, String> {
        let request: Request = serde_json::from_str(json).map_err(|error| error.to_string())?;
        let days = BTreeMap::new();
        // 2026-09-21T14:13:20Z
        request.question(Kept::new(1_790_000_000, &days)).map_err(|error| error.to_string())
    }

    #[test]
    fn an_empty_question_asks_for_the_last_hour_by_as_and_link() {
        let question = asked("{}").unwrap();
        assert_eq!((question.by, question.top), (vec![Dimension::As, Dimension::Link], 10));
        assert_eq!(
            (question.period.seconds, question.scope, question.observation),
            (3600, Scope::Boundary, Counted::Chosen)
        );
    }

    #[test]
    fn times_are_read_in_any_zone() {
        let json = r#"{"from": "2026-09-21T10:00:00+02:00", "to": "2026-09-21T09:00:00Z", "by": ["neighbour"], "filter": "connectivity = ix"}"#;
        let question = asked(json).unwrap();
        assert_eq!(
            (question.period.window.to, question.period.seconds, question.scope),
            (1_789_981_200, 3600, Scope::All)
        );
    }

    #[test]
    fn a_time_without_an_offset_is_the_zones() {
        let json = r#"{"from": "2026-09-21T10:00", "to": "2026-09-21T11:00:00", "zone": "Europe/Berlin"}"#;
        let window = asked(json).unwrap().period.window;
        assert_eq!((window.from, window.to), (1_789_977_600, 1_789_981_200));
    }

    #[test]
    fn more_than_sums_is_asked_from_tables_that_have_it() {
        let json = r#"{"last": "24h", "interval": "1h", "peaks": true, "previous": true, "other": true}"#;
        let Detail { other, series, peaks, previous } = asked(json).unwrap().detail;
        let (series, peaks, previous) = (series.unwrap(), peaks.unwrap(), previous.unwrap());
        assert_eq!((other, series.starts.len(), peaks), (true, 25, series.window));
        assert_eq!((previous.to - previous.from, previous.to), (86_400, peaks.from));
        // Hours alone are kept of a time so long ago, and no five minutes.
        let json = r#"{"from": "2025-01-01T00:00:00Z", "to": "2025-01-02T00:00:00Z", "peaks": true}"#;
        assert!(asked(json).unwrap().detail.peaks.is_none());
    }

    #[test]
    fn what_is_kept_in_longer_slots_is_asked_for_in_them() {
        let of = |json: &str| {
            let question = asked(json).unwrap();
            (question.period.window.from % 3600, question.period.seconds, question.detail.peaks.is_some())
        };
        assert_eq!(of(r#"{"by": ["prefix"], "last": "90m", "peaks": true}"#), (0, 7200, false));
        assert_eq!(of(r#"{"by": ["as", "other_as"], "last": "1h", "peaks": true}"#).1, 3600);
        assert!(of(r#"{"filter": "country = DE", "last": "24h", "peaks": true}"#).2);
    }

    #[test]
    fn what_makes_no_sense_is_said() {
        let many = format!("{{\"by\": [{}]}}", ["\"as\""; 5].join(","));
        let shown: Vec<_> = [
            r#"{"last": "1h", "from": "2026-09-21T08:00:00Z"}"#,
            r#"{"from": "2026-09-21T08:00:00Z"}"#,
            r#"{"from": "yesterday", "to": "2026-09-21T09:00:00Z"}"#,
            r#"{"from": "2026-09-21T08:00:00.5Z", "to": "2026-09-21T09:00:00Z"}"#,
            r#"{"from": "1969-09-21T08:00:00Z", "to": "2026-09-21T09:00:00Z"}"#,
            r#"{"from": "2026-09-21T08:00:30Z", "to": "2026-09-21T09:00:00Z"}"#,
            r#"{"from": "2026-09-21T09:00:00Z", "to": "2026-09-21T08:00:00Z"}"#,
            r#"{"from": "2027-09-21T09:00:00Z", "to": "2027-09-22T08:00:00Z"}"#,
            r#"{"last": "1w"}"#,
            r#"{"top": 0}"#,
            r#"{"top": -1}"#,
            r#"{"by": []}"#,
            r#"{"by": ["as", "as"]}"#,
            &many,
            r#"{"by": ["asx"]}"#,
            r#"{"by": ["colour"]}"#,
            r#"{"filter": "conectivity = transit"}"#,
            r#"{"bye": []}"#,
            r#"{"zone": "Europe/Bonn"}"#,
            r#"{"interval": "7m"}"#,
            r#"{"last": "7d", "interval": "1m"}"#,
            r#"{"top": 201, "peaks": true}"#,
            r#"{"by": ["prefix", "country"]}"#,
            r#"{"by": ["prefix"], "filter": "neighbour = 174"}"#,
            r#"{"by": ["prefix"], "from": "2026-09-21T08:00:00Z", "to": "2026-09-21T09:30:00Z"}"#,
            r#"{"by": ["prefix"], "interval": "5m", "last": "6h"}"#,
        ]
        .iter()
        .map(|json| format!("{json}\n  {}", asked(json).unwrap_err()))
        .collect();
        insta::assert_snapshot!(shown.join("\n"));
    }
}
