//! When what is joined to flows changes: links their members, and exporters the rate that was announced late.
//!
//! It is asked before anything is read, so that the time can be read in parts within which nothing changes; and so is which interfaces are on links
//! that a question is about, so that none of its statements has to find out by itself.

use super::observed::Chosen;
use super::period::Window;
use super::sql::{Statement, Tuple, Value};
use super::taken::{Taken, unclassified};
use crate::links::members::members;
use serde::Deserialize;
use std::collections::HashSet;
use std::sync::Arc;

/// Interfaces that are named to ClickHouse, at most: it takes 128 KiB of a parameter, and the longest of them have 55 bytes.
const NAMED: usize = 2300;

/// Times at which something changes, seconds since the epoch, in order.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Changes {
    /// They are asked for from then on.
    begin: u32,
    links: Vec<u32>,
    rates: Vec<u32>,
    tests: Vec<Interfaces>,
    /// Which observations count.
    #[serde(skip)]
    pub(super) chosen: Arc<Chosen>,
}

/// Of which interfaces a condition on links is true at first.
#[derive(Clone, Debug, Deserialize)]
pub struct Interfaces {
    /// Whether it is of those that are on no link.
    unclassified: bool,
    /// Those of which it is as of no such one: exporters and indexes.
    others: Vec<(String, u32)>,
}

impl Interfaces {
    /// The test of rows of tables, with what the name stands for.
    pub fn test(&self, name: &str) -> (String, Value) {
        let not = if self.unclassified { "NOT " } else { "" };
        let test = format!("(t.exporter, t.if_index) {not}IN {{{name}:Array(Tuple(IPv6, UInt32))}}");
        let tuple =
            |(exporter, if_index): &(String, u32)| Tuple(vec![exporter.as_str().into(), (*if_index).into()]);
        (test, Value::Tuples(self.others.iter().map(tuple).collect()))
    }

    /// The interfaces of which all of these are true; nothing where those that are on no link may be.
    pub fn of_all(tests: &[Self]) -> Option<Vec<&(String, u32)>> {
        let first = tests.iter().find(|test| !test.unclassified)?;
        let mut named: Vec<_> = first.others.iter().collect();
        for test in tests {
            let others: HashSet<_> = test.others.iter().collect();
            named.retain(|interface| others.contains(interface) != test.unclassified);
        }
        Some(named)
    }
}

impl Changes {
    /// Asks for those behind a time, and for the interfaces of a filter's links.
    pub(super) fn behind(database: &str, from: u32, taken: &Taken) -> Statement {
        let behind = |times: &str| format!("arraySort(arrayFilter(at -> at > {{from:UInt32}}, {times}))");
        let links = behind("groupUniqArrayArray([toUInt32(l.valid_from), toUInt32(l.valid_to)])");
        let rates = format!(
            "(SELECT {} FROM ({}))",
            behind("groupUniqArray(toUInt32(toUnixTimestamp(since) + 1))"),
            late_rates(database)
        );
        let test = |test: &String| {
            let unclassified = unclassified(test);
            format!(
                "(toBool({unclassified}), groupArrayIf({})((toString(l.exporter), l.if_index), {AT_FIRST} AND toBool({test}) != toBool({unclassified})))",
                NAMED + 1
            )
        };
        let tests: Vec<_> = taken.links.iter().map(test).collect();
        // An array of nothing has no type that ClickHouse could give it.
        let tests = format!(
            "CAST([{}], 'Array(Tuple(unclassified Bool, others Array(Tuple(String, UInt32))))')",
            tests.join(", ")
        );
        let sql = format!(
            "SELECT {{from:UInt32}} AS begin, {links} AS links, {rates} AS rates, {tests} AS tests FROM ({}) AS l",
            members(database)
        );
        Statement::of(sql, [("from".to_owned(), Value::One(from.to_string()))]).all(&taken.parameters)
    }

    /// Of which interfaces each of so many conditions on links is true, where that is so until the end of a part of the time, and where they are few
    /// enough.
    pub fn interfaces(&self, window: &Window, conditions: usize) -> Option<&[Interfaces]> {
        let still = within(&self.links, &Window { from: self.begin, to: window.to }).is_empty();
        let few = self.tests.iter().all(|test| test.others.len() <= NAMED);
        (still && few && self.tests.len() == conditions).then_some(&self.tests)
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

/// Whether a member of a link, `l`, is one when a time begins.
const AT_FIRST: &str =
    "l.valid_from <= toDateTime({from:UInt32}, 'UTC') AND l.valid_to > toDateTime({from:UInt32}, 'UTC')";

/// Members of links, as `l`, as they are when a time begins.
pub(super) fn members_at_first(database: &str) -> String {
    format!("FROM ({}) AS l WHERE {AT_FIRST}", members(database))
}

fn within<'a>(all: &'a [u32], window: &Window) -> &'a [u32] {
    let begin = all.partition_point(|at| *at <= window.from);
    let end = all.partition_point(|at| *at < window.to);
    all.get(begin..end).unwrap_or_default()
}

/// When a rate by configuration ends: behind every time that can be asked for.
const ALWAYS: &str = "toDateTime64('2106-02-07 06:28:14', 9, 'UTC')";

/// The rate that an exporter announced first, from its options data: for what came before, and only where it can't be another's.
/// That is where one source was announced, for all of the exporter, in one observation domain, and not merely inferred. Whole flows
/// that were sampled are left out, because the squares of the flows before were not kept as theirs. Where it announced none, or none that is surely
/// theirs, the one of the configuration is that of all flows that came without one, at any time.
pub(super) fn late_rates(database: &str) -> String {
    let announced = "rate_source NOT IN ('inferred', 'default')";
    let surely = format!(
        "uniqExactIf((rate_source, scope), {announced}) = 1 AND uniqExactIf(observation_domain, rate_source != 'default') = 1 \
         AND countIf(rate_source NOT IN ('inferred', 'default', 'header', 'system', 'domain', 'sampler')) = 0 \
         AND argMinIf(sampling_kind, valid_from, {announced}) != 'flow'"
    );
    format!(
        "SELECT exporter, if({surely}, argMinIf(sampling_interval, valid_from, {announced}), \
         maxIf(sampling_interval, rate_source = 'default')) AS late, if({surely}, minIf(valid_from, {announced}), {ALWAYS}) AS since \
         FROM {database}.rates FINAL GROUP BY exporter HAVING late > 0"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_of_all_conditions_are_named_unless_those_on_no_link_are_among_them() {
        let of = |unclassified, indexes: &[u32]| Interfaces {
            unclassified,
            others: indexes.iter().map(|index| ("::1".to_owned(), *index)).collect(),
        };
        let all = |tests: &[Interfaces]| {
            Interfaces::of_all(tests).map(|all| all.iter().map(|(_, index)| *index).collect::<Vec<_>>())
        };
        assert_eq!(all(&[of(false, &[1, 2, 3]), of(false, &[2, 3, 4]), of(true, &[3])]), Some(vec![2]));
        assert_eq!(all(&[of(true, &[3]), of(false, &[4, 3])]), Some(vec![4]));
        assert_eq!((all(&[of(true, &[3])]), all(&[])), (None, None));
    }

    #[test]
    fn spans_begin_with_a_time_and_wherever_something_changes_in_it() {
        let changes = Changes { links: vec![100, 200, 300], rates: vec![150, 200], ..Changes::default() };
        let window = |from, to| Window { from, to };
        assert_eq!(changes.links(&window(100, 300)), [200]);
        assert_eq!(changes.spans(&window(100, 300)), [100, 150, 200]);
        assert!(changes.spans(&window(200, 300)).is_empty() && changes.spans(&window(400, 500)).is_empty());
        // All of a time before the announcement, too.
        assert!(changes.late_rates(&window(10, 20)) && !changes.late_rates(&window(200, 300)));
    }
}
