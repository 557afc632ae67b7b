//! Where the records that count were observed (docs/counting.md, "Observed where").
//!
//! Of each interface and direction one kind of observation counts at a time, the one that is complete: *in* what was observed on ingress of the interface
//! itself, and where nothing was, what was observed on egress of those that it left by; *out* what was observed on egress of it, and where nothing
//! was, what was observed on ingress of those that it came by. So nothing of what was sampled anywhere is left out, and nothing counts twice. Which one
//! it is follows from what is stored of the time and of a day before its end. Where the sampling of an interface began or ended within the time,
//! the other kind counts before and behind.

use super::field::Need;
use super::period::Window;
use super::read::{ends, within};
use super::reading::{Tables, tables};
use super::sql::{Cell, Statement, Tuple, Value};
use serde::Deserialize;
use std::collections::HashMap;

/// Times of a kind without the other one, at least, that show that it was sampled then and the other was not: a few are chance, where there is
/// little traffic.
const SHOWN: u32 = 24;
/// Seconds that so many times last, at least. Rows are what is counted, and a slot has several of a side: by family and rate, and one an insert until
/// they are merged.
const LASTING: u32 = SHOWN * 300;
/// Seconds up to the end of a time that show it, at least.
const LEAST: u32 = 86_400;
/// Ends that are not known better lie on whole hours, of which there are few, and which tables have.
const HOUR: u32 = 3600;
/// Rows that are named to ClickHouse in one value, at most: it takes 128 KiB, and the longest of them have 82 bytes.
const NAMED: usize = 1500;

/// A side of which one kind of observation was seen: how often, from when to when, and its 24th time from either end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
struct Seen {
    times: u64,
    first: u32,
    end: u32,
    early: u32,
    late: u32,
}

/// A side on which egress was seen.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct SideRow {
    exporter: String,
    if_index: u32,
    direction: String,
    ingress: Seen,
    egress: Seen,
}

/// A side, and a time in which what was observed on egress counts.
#[derive(Clone, Debug, PartialEq, Eq)]
struct OnEgress {
    exporter: String,
    if_index: u32,
    direction: String,
    from: u32,
    to: u32,
}

/// Where what was observed on egress counts; everywhere else, what was observed on ingress does.
#[derive(Clone, Debug, Default)]
pub struct Chosen(Vec<OnEgress>);

impl Chosen {
    /// What was seen of a time, and up to its end.
    pub(super) fn asked(database: &str, of: &Tables, time: Window) -> Option<Statement> {
        let begin = time.from.min(time.to.saturating_sub(LEAST));
        // Behind the last minute that can be written there is no whole slot.
        let to = time.to.checked_next_multiple_of(300).unwrap_or(time.to);
        let whole = Window { from: begin / 300 * 300, to };
        let mut parts =
            [whole, time].into_iter().filter_map(|time| of.parts(time, Need::Interfaces, &[], &[]));
        let parts = parts.next()?;
        let rows = tables(&parts).into_iter().map(|table| {
            format!(
                "SELECT exporter, if_index, direction, observation, toUInt32(time) AS begins, begins + {} AS ends FROM {database}.{} AS t WHERE {}",
                table.slot,
                table.name,
                within(table, &parts)
            )
        });
        let rows = rows.collect::<Vec<_>>().join(" UNION ALL ");
        let seen = |kind: &str| {
            let of = format!("observation = '{kind}'");
            format!(
                "(countIf({of}), minIf(begins, {of}), maxIf(ends, {of}), groupArraySortedIf({SHOWN})(begins, {of})[{SHOWN}], \
                 toUInt32(-groupArraySortedIf({SHOWN})(-toInt64(begins), {of})[{SHOWN}])) AS {kind}"
            )
        };
        let sql = format!(
            "SELECT toString(exporter) AS exporter, if_index, toString(direction) AS direction, {}, {} FROM ({rows}) \
             WHERE direction != 'unknown' GROUP BY exporter, if_index, direction HAVING countIf(observation = 'egress') > 0",
            seen("ingress"),
            seen("egress")
        );
        Some(Statement::of(sql, ends(&parts)))
    }

    pub(super) fn of(rows: Vec<SideRow>) -> Self {
        let ranges = rows.into_iter().flat_map(|row| {
            let SideRow { exporter, if_index, direction, ingress, egress } = row;
            let times = if direction == "in" {
                without(own(ingress, egress))
            } else {
                own(egress, ingress).into_iter().collect()
            };
            times.into_iter().map(move |(from, to)| OnEgress {
                exporter: exporter.clone(),
                if_index,
                direction: direction.clone(),
                from,
                to,
            })
        });
        Self(ranges.collect())
    }

    /// Times within one at which another kind begins to count, in order.
    pub(super) fn changes(&self, window: &Window) -> Vec<u32> {
        let mut all: Vec<_> = self.0.iter().flat_map(|one| [one.from, one.to]).collect();
        all.retain(|at| (window.from + 1..window.to).contains(at));
        all.sort_unstable();
        all.dedup();
        all
    }

    /// The test of tables' rows of whatever interfaces, with what its names stand for.
    pub(super) fn test(&self, window: &Window) -> Test {
        let spans = self.spans(window);
        let mut sides = Vec::new();
        for one in &self.0 {
            let side: [Cell; 3] =
                [one.exporter.as_str().into(), one.if_index.into(), one.direction.as_str().into()];
            sides.extend(spans.iter().filter(|span| one.covers(**span)).map(|span| (side.to_vec(), *span)));
        }
        if sides.is_empty() {
            return ("t.observation = 'ingress'".to_owned(), Vec::new());
        }
        let (on_egress, values) = among(SIDE, sides, &spans);
        (format!("(t.observation = 'egress') = {on_egress} AND t.observation != 'unknown'"), values)
    }

    /// The test of tables' rows whether they are of these interfaces and count: each is looked up once, and not for either. Nothing where they are
    /// too many for one value, as a change of one side counts for those of all others.
    pub(super) fn test_of(&self, interfaces: &[&(String, u32)], window: &Window) -> Option<Test> {
        const DIRECTIONS: [&str; 2] = ["in", "out"];
        let spans = self.spans(window);
        if interfaces.len() * DIRECTIONS.len() * spans.len() > NAMED {
            return None;
        }
        let mut on_egress: HashMap<_, Vec<&OnEgress>> = HashMap::new();
        for one in &self.0 {
            let side = (one.exporter.as_str(), one.if_index, one.direction.as_str());
            on_egress.entry(side).or_default().push(one);
        }
        let mut rows = Vec::new();
        for (exporter, if_index) in interfaces {
            for direction in DIRECTIONS {
                let times = on_egress.get(&(exporter.as_str(), *if_index, direction));
                rows.extend(spans.iter().map(|span| {
                    let on_egress = times.is_some_and(|times| times.iter().any(|one| one.covers(*span)));
                    let observation = if on_egress { "egress" } else { "ingress" };
                    let exporter = exporter.as_str();
                    let row: [Cell; 4] =
                        [exporter.into(), (*if_index).into(), direction.into(), observation.into()];
                    (row.to_vec(), *span)
                }));
            }
        }
        Some(among(&[SIDE, &[("t.observation", "String")]].concat(), rows, &spans))
    }

    /// Where the spans of a time begin in which the same counts.
    fn spans(&self, window: &Window) -> Vec<u32> {
        [window.from].into_iter().chain(self.changes(window)).collect()
    }
}

impl OnEgress {
    fn covers(&self, at: u32) -> bool {
        (self.from..self.to).contains(&at)
    }
}

/// SQL that is true of rows, and what its names stand for.
pub(super) type Test = (String, Vec<(String, Value)>);

/// What a side is told by, with the types that it has in parameters.
const SIDE: &[(&str, &str)] = &[("t.exporter", "IPv6"), ("t.if_index", "UInt32"), ("t.direction", "String")];

/// Whether rows are among those of which these columns are named, each in a span: the one of its time, where there are several.
fn among(columns: &[(&str, &str)], rows: Vec<(Vec<Cell>, u32)>, spans: &[u32]) -> Test {
    let (mut columns, mut values) = (columns.to_vec(), Vec::new());
    let changing = spans.len() > 1;
    if changing {
        columns.push(("roundDown(toUInt32(t.time), {observed_spans:Array(UInt32)})", "UInt32"));
        values.push(("observed_spans".to_owned(), Value::Numbers(spans.to_vec())));
    }
    let (row, kinds): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
    let mut tuples = rows.into_iter().map(|(mut cells, span)| {
        cells.extend(changing.then(|| span.into()));
        debug_assert_eq!(cells.len(), row.len(), "a cell for each column");
        Tuple(cells)
    });
    let (named, kinds) = (row.join(", "), kinds.join(", "));
    let mut tests = Vec::new();
    loop {
        let some: Vec<_> = tuples.by_ref().take(NAMED).collect();
        if some.is_empty() {
            break;
        }
        let name = format!("among{}", tests.len());
        tests.push(format!("({named}) IN {{{name}:Array(Tuple({kinds}))}}"));
        values.push((name, Value::Tuples(some)));
    }
    // No row is among none.
    let test = if tests.is_empty() { "0".to_owned() } else { tests.join(" OR ") };
    (format!("({test})"), values)
}

/// From when to when the kind of the interface itself counts: all the time, unless the other one was there for long without it.
fn own(own: Seen, other: Seen) -> Option<(u32, u32)> {
    if own.times == 0 {
        return None;
    }
    let shown = other.times >= u64::from(SHOWN);
    let (before, behind) = (own.first.saturating_sub(other.first), other.end.saturating_sub(own.end));
    let from = if shown && other.early < own.first && before >= LASTING {
        // As long as both are there, it is all one where the border is.
        Some(own.first.next_multiple_of(HOUR)).filter(|hour| *hour <= other.end).unwrap_or(own.first)
    } else {
        0
    };
    let to = if shown && other.late >= own.end && behind >= LASTING {
        Some(own.end / HOUR * HOUR).filter(|hour| *hour >= other.first.max(from)).unwrap_or(own.end)
    } else {
        u32::MAX
    };
    (from < to).then_some((from, to))
}

/// All other times.
fn without(time: Option<(u32, u32)>) -> Vec<(u32, u32)> {
    let Some((from, to)) = time else { return vec![(0, u32::MAX)] };
    [(0, from), (to, u32::MAX)].into_iter().filter(|(from, to)| from < to).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::period::Kept;
    use std::collections::BTreeMap;

    const DAY: u32 = 86_400;

    /// Seen every five minutes.
    fn seen(first: u32, end: u32) -> Seen {
        let times = u64::from((end - first) / 300);
        let far = (SHOWN - 1) * 300;
        Seen { times, first, end, early: first + far, late: (end - 300).saturating_sub(far) }
    }

    fn on_egress(direction: &str, ingress: Seen, egress: Seen) -> Vec<(u32, u32)> {
        let (exporter, direction) = ("::ffff:192.0.2.1".to_owned(), direction.to_owned());
        let chosen = Chosen::of(vec![SideRow { exporter, if_index: 1, direction, ingress, egress }]);
        chosen.0.iter().map(|one| (one.from, one.to)).collect()
    }

    #[test]
    fn up_to_the_last_minute_that_can_be_written_it_is_asked_what_was_seen() {
        let (days, last) = (BTreeMap::new(), u32::MAX / 60 * 60);
        let tables = Tables::of(Kept::new(2 * DAY, &days));
        let asked = Chosen::asked("weir", &tables, Window { from: DAY, to: last }).unwrap();
        assert!(asked.sql.contains("FROM weir.interfaces_5m"), "{}", asked.sql);
    }

    #[test]
    fn what_was_observed_on_the_interface_itself_counts_and_else_what_was_on_the_others() {
        let (none, day, always) = (Seen::default(), seen(DAY, 2 * DAY), vec![(0, u32::MAX)]);
        assert_eq!(on_egress("in", day, day), []);
        assert_eq!(on_egress("in", none, day), always, "it is not sampled on ingress");
        assert_eq!(on_egress("out", day, day), always);
        assert_eq!(on_egress("out", none, day), always);
    }

    #[test]
    fn before_the_sampling_of_an_interface_began_and_behind_its_end_the_other_kind_counts() {
        let day = seen(DAY, 2 * DAY);
        let noon = DAY + DAY / 2;
        assert_eq!(on_egress("out", day, seen(noon + 300, 2 * DAY)), [(noon + HOUR, u32::MAX)]);
        assert_eq!(on_egress("out", day, seen(DAY, noon + 300)), [(0, noon)]);
        assert_eq!(on_egress("in", seen(noon + 300, 2 * DAY), day), [(0, noon + HOUR)]);
        // One kind in the place of the other: no hour has both.
        assert_eq!(
            on_egress("out", seen(DAY, noon + 300), seen(noon + 600, 2 * DAY)),
            [(noon + 600, u32::MAX)]
        );
        assert_eq!(
            on_egress("in", seen(DAY, noon + 300), seen(noon + 600, 2 * DAY)),
            [(noon + 300, u32::MAX)]
        );
    }

    #[test]
    fn a_few_times_without_it_are_chance() {
        let few = seen(DAY, DAY + 23 * 300);
        assert_eq!(on_egress("out", few, seen(DAY + 3 * HOUR, 2 * DAY)), [(0, u32::MAX)]);
        assert_eq!(on_egress("out", seen(DAY, 2 * DAY), seen(DAY + 300, 2 * DAY - 600)), [(0, u32::MAX)]);
    }

    #[test]
    fn many_rows_of_a_slot_are_one_time() {
        let day = seen(DAY, 2 * DAY);
        let rows = Seen { times: 9 * day.times, early: day.first, late: day.end - 300, ..day };
        assert_eq!(on_egress("out", rows, seen(DAY + 300, 2 * DAY - 300)), [(0, u32::MAX)]);
        assert_eq!(on_egress("out", rows, seen(DAY + 3 * HOUR, 2 * DAY)), [(DAY + 3 * HOUR, u32::MAX)]);
    }

    #[test]
    fn rows_are_tested_by_their_sides_and_where_something_changes_by_the_time() {
        let of = |from, to| OnEgress {
            exporter: "::1".to_owned(),
            if_index: 7,
            direction: "out".to_owned(),
            from,
            to,
        };
        let (test, values) = Chosen(vec![of(0, u32::MAX)]).test(&Window { from: 0, to: 60 });
        assert!(test.contains("t.direction) IN {among0") && !test.contains("roundDown"), "{test}");
        let side = || [Cell::from("::1"), 7.into(), "out".into()];
        assert_eq!(values[0].1, Value::Tuples(vec![Tuple(side().to_vec())]));
        let chosen = Chosen(vec![of(120, 240)]);
        let window = Window { from: 60, to: 300 };
        assert_eq!(chosen.changes(&window), [120, 240]);
        let (test, values) = chosen.test(&window);
        assert!(test.contains("roundDown"), "{test}");
        assert_eq!(values[0].1, Value::Numbers(vec![60, 120, 240]));
        let in_span = side().into_iter().chain([120.into()]).collect();
        assert_eq!(values[1].1, Value::Tuples(vec![Tuple(in_span)]));
        assert_eq!(chosen.test(&Window { from: 0, to: 120 }).0, "t.observation = 'ingress'");
        let many =
            Chosen((0..NAMED as u32 + 1).map(|n| OnEgress { if_index: n, ..of(0, u32::MAX) }).collect());
        assert_eq!(many.test(&window).1.len(), 2, "a value has so many");
    }

    #[test]
    fn rows_of_some_interfaces_that_count_are_found_by_one_look_up() {
        let on_egress = OnEgress {
            exporter: "::1".to_owned(),
            if_index: 7,
            direction: "out".to_owned(),
            from: 120,
            to: u32::MAX,
        };
        let (seventh, eighth) = (("::1".to_owned(), 7), ("::1".to_owned(), 8));
        let chosen = Chosen(vec![on_egress]);
        let shown = |of: &[&(String, u32)], from| {
            let (test, values) = chosen.test_of(of, &Window { from, to: 180 }).unwrap();
            let values: Vec<_> = values
                .iter()
                .map(|(name, value)| format!("{name} = {}", serde_json::to_string(value).unwrap()))
                .collect();
            format!("{test}\n{}", values.join("\n"))
        };
        insta::assert_snapshot!([shown(&[&seventh, &eighth], 120), shown(&[&seventh], 60), shown(&[], 120)].join("\n"), @r#"
        ((t.exporter, t.if_index, t.direction, t.observation) IN {among0:Array(Tuple(IPv6, UInt32, String, String))})
        among0 = [["::1",7,"in","ingress"],["::1",7,"out","egress"],["::1",8,"in","ingress"],["::1",8,"out","ingress"]]
        ((t.exporter, t.if_index, t.direction, t.observation, roundDown(toUInt32(t.time), {observed_spans:Array(UInt32)})) IN {among0:Array(Tuple(IPv6, UInt32, String, String, UInt32))})
        observed_spans = [60,120]
        among0 = [["::1",7,"in","ingress",60],["::1",7,"in","ingress",120],["::1",7,"out","ingress",60],["::1",7,"out","egress",120]]
        (0)
        "#);
        let many: Vec<_> = (0..NAMED as u32 / 2 + 1).map(|index| ("::1".to_owned(), index)).collect();
        let many: Vec<_> = many.iter().collect();
        let window = Window { from: 120, to: 180 };
        assert!(chosen.test_of(&many, &window).is_none() && chosen.test_of(&many[1..], &window).is_some());
        assert!(chosen.test_of(&many[NAMED / 4..], &Window { from: 60, to: 180 }).is_none(), "in two spans");
    }
}
