//! A question as it comes over HTTP, and what it is made into.

use super::field::{Dimension, FIELDS};
use super::period::{self, Kept, PeriodError};
use super::{Counted, Question, Scope};
use jiff::Timestamp;
use serde::Deserialize;
use thiserror::Error;
use utoipa::ToSchema;
use weir_filter::{Expr, Fault, parse};

/// Most rows that are given.
pub const MOST: u32 = 10_000;
/// Most dimensions at once.
const DIMENSIONS: usize = 4;

/// A question: the top of what, over which time.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Request {
    /// The last so much time, such as `30m`, `24h` or `7d`. It ends two minutes ago, because flows come after they end. Without it and without
    /// `from` and `to`, the last hour.
    pub last: Option<String>,
    /// Start, in whole minutes (RFC 3339). With `to`, in the place of `last`.
    #[schema(format = DateTime)]
    pub from: Option<String>,
    /// End, not included.
    #[schema(format = DateTime)]
    pub to: Option<String>,
    /// What to group by; without it `as` and `link`.
    #[schema(min_items = 1, max_items = 4)]
    pub by: Option<Vec<Dimension>>,
    /// How many rows; without it ten.
    #[schema(minimum = 1, maximum = 10_000)]
    pub top: Option<u32>,
    /// Which interfaces count; without it the boundary, unless the filter names a connectivity.
    pub scope: Option<Scope>,
    /// Where the records that count were observed; without it on ingress.
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
    /// The time can't be asked for.
    #[error(transparent)]
    Period(#[from] PeriodError),
    /// Too few or too many rows.
    #[error("top {0} is not between 1 and {MOST}")]
    Top(u32),
    /// Too few or too many dimensions.
    #[error("rows are grouped by one to {DIMENSIONS} dimensions, each of them once, and not by {0}")]
    Dimensions(String),
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
        let period = match (&self.last, &self.from, &self.to) {
            (None, Some(from), Some(to)) => {
                period::between(seconds("from", from)?, seconds("to", to)?, kept)?
            }
            (Some(_), None, None) | (None, None, None) => {
                period::last(self.last.as_deref().unwrap_or("1h"), kept)?
            }
            (Some(_), _, _) => return Err(RequestError::Both),
            (None, from, _) => {
                return Err(RequestError::Half { missing: if from.is_none() { "from" } else { "to" } });
            }
        };
        let by = self.by.clone().unwrap_or_else(|| vec![Dimension::As, Dimension::Link]);
        let top = self.top.unwrap_or(10);
        rows(&by, top)?;
        let filter = self.filter.as_deref().unwrap_or_default();
        let wrong = |fault| RequestError::Filter { fault, filter: filter.to_owned() };
        let filter = read(filter).map_err(wrong)?;
        let scope = self.scope.unwrap_or_else(|| Scope::of(filter.as_ref()));
        Ok(Question {
            by,
            period,
            top,
            scope,
            observation: self.observation.unwrap_or(Counted::Ingress),
            filter,
        })
    }
}

/// Reads a filter; one of nothing but spaces is none.
///
/// # Errors
/// What is wrong with it.
pub fn read(filter: &str) -> Result<Option<Expr>, Fault> {
    if filter.trim().is_empty() { Ok(None) } else { parse(filter, FIELDS).map(Some) }
}

/// Checks what rows are asked for.
///
/// # Errors
/// [`RequestError::Dimensions`], [`RequestError::Top`].
pub fn rows(by: &[Dimension], top: u32) -> Result<(), RequestError> {
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

fn seconds(key: &'static str, text: &str) -> Result<u32, RequestError> {
    let wrong = || RequestError::Time { key, text: text.chars().take(40).collect() };
    let time: Timestamp = text.parse().map_err(|_| wrong())?;
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
        request.question(Kept { now: 1_790_000_000, days: &days }).map_err(|error| error.to_string())
    }

    #[test]
    fn an_empty_question_asks_for_the_last_hour_by_as_and_link() {
        let question = asked("{}").unwrap();
        assert_eq!((question.by, question.top), (vec![Dimension::As, Dimension::Link], 10));
        assert_eq!(
            (question.period.seconds, question.scope, question.observation),
            (3600, Scope::Boundary, Counted::Ingress)
        );
    }

    #[test]
    fn times_are_read_in_any_zone() {
        let json = r#"{"from": "2026-09-21T10:00:00+02:00", "to": "2026-09-21T09:00:00Z", "by": ["neighbour"], "filter": "connectivity = ix"}"#;
        let question = asked(json).unwrap();
        assert_eq!(
            (question.period.to, question.period.seconds, question.scope),
            (1_789_981_200, 3600, Scope::All)
        );
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
        ]
        .iter()
        .map(|json| format!("{json}\n  {}", asked(json).unwrap_err()))
        .collect();
        insta::assert_snapshot!(shown.join("\n"));
    }
}
