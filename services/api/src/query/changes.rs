//! When what is joined to flows changes: links their members, and exporters the rate that was announced late.
//!
//! It is asked before anything is read, so that the time can be read in parts within which nothing changes.

use super::period::Window;
use super::sql::{Statement, Value};
use crate::links::members::members;
use serde::Deserialize;

/// Times at which something changes, seconds since the epoch, in order.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Changes {
    links: Vec<u32>,
    rates: Vec<u32>,
}

impl Changes {
    /// Nothing changes.
    #[cfg(test)]
    pub const fn none() -> Self {
        Self { links: Vec::new(), rates: Vec::new() }
    }

    /// Asks for those behind a time.
    pub fn behind(database: &str, from: u32) -> Statement {
        let of = |at: &str, from: &str| {
            format!(
                "(SELECT arraySort(groupUniqArray(at)) FROM (SELECT {at} AS at FROM ({from})) WHERE at > {{from:UInt32}})"
            )
        };
        let links = of("arrayJoin([toUInt32(valid_from), toUInt32(valid_to)])", &members(database));
        let rates = of("toUInt32(toUnixTimestamp(since) + 1)", &late_rates(database));
        let from = ("from", Value::One(from.to_string()));
        Statement::of(format!("SELECT {links} AS links, {rates} AS rates"), [from])
    }

    /// Those of links within a part of the time.
    pub fn links(&self, window: &Window) -> &[u32] {
        within(&self.links, window)
    }

    /// Whether a rate that was announced late is the one of flows of a part of the time.
    pub fn late_rates(&self, window: &Window) -> bool {
        self.rates.last().is_some_and(|at| *at > window.from)
    }

    /// Starts of the spans of a part of the time in which everything stays as it is; none where it does all the time.
    pub fn spans(&self, window: &Window) -> Vec<u32> {
        let mut spans: Vec<_> =
            within(&self.links, window).iter().chain(within(&self.rates, window)).copied().collect();
        if !spans.is_empty() {
            spans.push(window.from);
        }
        spans.sort_unstable();
        spans.dedup();
        spans
    }
}

fn within<'a>(all: &'a [u32], window: &Window) -> &'a [u32] {
    let begin = all.partition_point(|at| *at <= window.from);
    let end = all.partition_point(|at| *at < window.to);
    all.get(begin..end).unwrap_or_default()
}

/// The rate that an exporter announced first, from its options data: for what came before, and only where it can't be another's.
/// That is where one source was announced, for all of the exporter, in one observation domain, and not merely inferred. Whole flows
/// that were sampled are left out, because the squares of the flows before were not kept as theirs.
pub(super) fn late_rates(database: &str) -> String {
    let announced = "rate_source != 'inferred'";
    format!(
        "SELECT exporter, argMinIf(sampling_interval, valid_from, {announced}) AS late, minIf(valid_from, {announced}) AS since \
         FROM {database}.rates FINAL GROUP BY exporter \
         HAVING uniqExactIf((rate_source, scope), {announced}) = 1 AND uniqExact(observation_domain) = 1 \
         AND countIf(rate_source NOT IN ('inferred', 'header', 'system', 'domain', 'sampler')) = 0 \
         AND argMinIf(sampling_kind, valid_from, {announced}) != 'flow'"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_begin_with_a_time_and_wherever_something_changes_in_it() {
        let changes = Changes { links: vec![100, 200, 300], rates: vec![150, 200] };
        let window = |from, to| Window { from, to };
        assert_eq!(changes.links(&window(100, 300)), [200]);
        assert_eq!(changes.spans(&window(100, 300)), [100, 150, 200]);
        assert!(changes.spans(&window(200, 300)).is_empty() && changes.spans(&window(400, 500)).is_empty());
        // All of a time before the announcement, too.
        assert!(changes.late_rates(&window(10, 20)) && !changes.late_rates(&window(200, 300)));
    }
}
