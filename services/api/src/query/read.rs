//! Where the rows of a statement are read, what of them is summed up before anything else, and what is joined to it.
//!
//! Links, names and late rates are joined here, when asked, never frozen into rows (docs/counting.md). Tables are summed up before anything is joined:
//! by what the statement names, and by the spans of time in which what is joined stays as it is. So a join meets a row for each interface and AS, and not
//! one for each of their slots; where nothing is joined and numbers tell rows apart, they are summed up once, with all else. What a filter says of the columns of tables alone is tested where they are read.

use super::Counted;
use super::changes::{Interfaces, late_rates, members_at_first};
use super::field::Need;
use super::observed::Test;
use super::period::Window;
use super::reading::{self, Gone, Part};
use super::slots::Slot;
use super::sql::{Statement, Value, names};
use super::sums::Query;
use super::taken::unclassified;
use crate::links::members::members;
use std::fmt::Write;
use weir_schemas::rollup::{A_DAY, Shape, Table};

impl Query<'_> {
    /// Whether a few ASes are all that is asked about.
    fn names_ases(&self) -> bool {
        self.taken.stored.iter().any(|test| names(test, "t.asn"))
    }

    /// A test of tables' rows: whether this is so of their link all the time.
    fn of_link(&self, test: &str) -> String {
        let at_first = members_at_first(self.database);
        let members = |test: &str| format!("(SELECT exporter, if_index {at_first} AND {test})");
        let interface = "(t.exporter, t.if_index)";
        let (those, all) = (members(test), members("1"));
        format!("({interface} IN {those} OR ({} AND {interface} NOT IN {all}))", unclassified(test))
    }

    /// The test of tables' rows by where they were observed.
    fn counts(&self, window: &Window) -> Test {
        if let Counted::Chosen = self.question.observation {
            return self.changes.chosen.test(window);
        }
        let word = self.question.observation.word().to_owned();
        (
            "t.observation = {observation:String}".to_owned(),
            vec![("observation".to_owned(), Value::One(word))],
        )
    }

    /// The same, and whether a row is of these interfaces, where that is one test.
    fn of_these_and_counts(&self, known: &[Interfaces], window: &Window) -> Option<Test> {
        if self.question.observation != Counted::Chosen {
            return None;
        }
        self.changes.chosen.test_of(&Interfaces::of_all(known)?, window)
    }

    /// A statement about one or more times, one behind the other; `from` in it is the start of the last.
    pub(super) fn statement(
        &self,
        times: &[Window],
        borders: &[u32],
        select: &str,
        body: &Body<'_>,
        rest: &str,
    ) -> Result<Statement, Gone> {
        let window = &hull(times);
        let changing = self.changes.links(window);
        let (mut tested, mut conditions) = (self.taken.stored.clone(), self.taken.joined.clone());
        let known = self.changes.interfaces(window, self.taken.links.len());
        let at_once = known.filter(|_| !body.all).and_then(|known| self.of_these_and_counts(known, window));
        let mut interfaces = Vec::new();
        if at_once.is_some() {
            // It tells interfaces as well.
        } else if let Some(known) = known {
            for (n, known) in known.iter().enumerate() {
                let name = format!("interfaces{n}");
                let (test, value) = known.test(&name);
                tested.push(test);
                interfaces.push((name, value));
            }
        } else if changing.is_empty() {
            // Nothing changes, so it follows from the interface which rows count, and nothing needs to be joined to them.
            tested.extend(self.taken.links.iter().map(|test| self.of_link(test)));
        } else {
            conditions.extend(self.taken.links.iter().cloned());
        }
        let condition = if conditions.is_empty() { "1".to_owned() } else { conditions.join(" AND ") };
        let tested: String = tested.iter().map(|test| format!(" AND {test}")).collect();
        let need = Need::of(body.ases || self.names_ases(), |column| {
            let (side, stored) = (format!("s.{column}"), format!("t.{column}"));
            (body.ases && column == "asn")
                || names(select, &side)
                || names(&condition, &side)
                || names(&tested, &stored)
        });
        let spans = self.changes.spans(window);
        let (counts, observed) = at_once.unwrap_or_else(|| self.counts(window));
        // A fleet of exporters that all announced their rates within the time would take it apart into thousands.
        let apart = if spans.len() <= APART { spans.get(1..).unwrap_or_default() } else { changing };
        let mut apart = [apart, &self.changes.chosen.changes(window)].concat();
        apart.sort_unstable();
        apart.dedup();
        let read = |window: &Window| self.question.tables.read(*window, need, borders, &apart);
        let parts = times.iter().map(read).collect::<Result<Vec<_>, _>>()?.concat();
        let read = Read {
            parts: &parts,
            counts: &counts,
            tested: &tested,
            spanned: !spans.is_empty(),
            late: self.changes.late_rates(window),
        };
        let sql = body.sql(self.database, &read, select, &condition);
        let statement = Statement::of(format!("{sql} {rest}"), interfaces)
            .all(&self.taken.parameters)
            .values(observed)
            .with("from", times.last().map_or(0, |now| now.from))
            .bound("spans", Value::Numbers(spans))
            .values(ends(&parts));
        Ok(Statement { tables: reading::names(&parts), ..statement })
    }
}

/// Spans of time that are read apart, at most, for the sake of late rates.
const APART: usize = 100;

/// A table's rows as sides: a row of two ASes is both of its flows' sides.
fn sides(database: &str, table: &Table) -> String {
    if table.shape != Shape::Pairs {
        return format!("{database}.{}", table.name);
    }
    format!(
        "(SELECT time, exporter, observation, family, sampling_interval, sampling_kind, bytes, packets, flows, q, side.1 AS direction, \
         side.2 AS if_index, side.3 AS asn, side.4 AS other_as, side.5 AS country FROM {database}.{} \
         ARRAY JOIN [('in', in_if, src_as, dst_as, src_country), ('out', out_if, dst_as, src_as, dst_country)] AS side)",
        table.name
    )
}

/// The test of a table's rows, `t`, for the parts of a time that are read from it. [`ends`] are what its names stand for.
pub(super) fn within(table: &Table, parts: &[Part]) -> String {
    let parts = parts.iter().enumerate().filter(|(_, part)| part.table.name == table.name);
    let within = parts.map(|(n, part)| {
        let ends = ["begin", "end"].map(|end| format!("toDateTime({{{end}{n}:UInt32}}, 'UTC')"));
        let mut within = format!("t.time >= {} AND t.time < {}", ends[0], ends[1]);
        if part.table.lie == A_DAY {
            // ClickHouse does not find days by the time itself, which lies behind the AS.
            let _ = write!(
                within,
                " AND toDate(t.time) >= toDate({}) AND toDate(t.time) <= toDate({})",
                ends[0], ends[1]
            );
        }
        within
    });
    within.collect::<Vec<_>>().join(" OR ")
}

/// Where parts of a time begin and end, by the names that they have in [`within`].
pub(super) fn ends(parts: &[Part]) -> Vec<(String, Value)> {
    let named = |(n, part): (usize, &Part)| {
        [("begin", part.from), ("end", part.to)]
            .map(|(name, at)| (format!("{name}{n}"), Value::One(at.to_string())))
    };
    parts.iter().enumerate().flat_map(named).collect()
}

/// What is read and what is joined to it.
#[derive(Clone, Copy, Default)]
pub(super) struct Body<'a> {
    /// Whether rows that don't count because of where they were observed are read as well: `counts` tells.
    pub all: bool,
    /// What follows from a row alone, by which they are told apart.
    pub slots: &'a [Slot],
    /// Whether there is nothing to gain by summing up rows before anything else is done with them.
    pub fine: bool,
    /// Whether only some ASes are read.
    pub ases: bool,
}

/// From the first start to the last end.
fn hull(times: &[Window]) -> Window {
    let from = times.iter().map(|time| time.from).min().unwrap_or_default();
    Window { from, to: times.iter().map(|time| time.to).max().unwrap_or(from) }
}

/// Where it is read.
struct Read<'a> {
    parts: &'a [Part],
    /// Whether a row counts by where it was observed.
    counts: &'a str,
    /// What else is tested of rows.
    tested: &'a str,
    /// Whether what is joined changes within the time.
    spanned: bool,
    /// Whether a rate that was announced late may be the one of some of it.
    late: bool,
}

/// Columns of a side that are keys only where a statement names them.
const PRUNED: &[&str] = &[
    "asn",
    "neighbour_as",
    "family",
    "observation",
    "exporter",
    "if_index",
    "other_as",
    "country",
    "prefix",
    "prefix_len",
];
/// Those of them by which something is joined, besides late rates.
const BY_INTERFACE: &[&str] = &["exporter", "if_index"];
/// Measures, summed up in as many bits as they may need.
const SUMMED: &[(&str, &str)] = &[
    ("bytes", "sum(toInt128(t.bytes))"),
    ("packets", "sum(toInt128(t.packets))"),
    ("flows", "sum(toInt128(t.flows))"),
    ("q", "sum(toFloat64(t.q))"),
];

impl Body<'_> {
    fn sql(&self, database: &str, read: &Read<'_>, select: &str, condition: &str) -> String {
        let named = |what: &str| names(select, what) || names(condition, what);
        let joins: String = [
            ("i.", format!("LEFT JOIN (SELECT exporter, if_index, name, description FROM {database}.interfaces FINAL) AS i \
                            ON i.exporter = s.exporter AND i.if_index = s.if_index ")),
            ("e.", format!("LEFT JOIN (SELECT exporter, name FROM {database}.exporters FINAL) AS e ON e.exporter = s.exporter ")),
            ("l.", format!("LEFT JOIN ({}) AS l ON l.exporter = s.exporter AND l.if_index = s.if_index \
                            AND s.span >= l.valid_from AND s.span < l.valid_to ", members(database))),
        ]
        .into_iter()
        .filter_map(|(alias, join)| named(alias).then_some(join))
        .collect();
        // A slot in which the first rate was announced counts as before it: its flows without a rate are those that came earlier.
        let (late, rate) = if read.late {
            let late = format!("LEFT JOIN ({}) AS r ON r.exporter = s.exporter", late_rates(database));
            (late, "multiIf(s.sampling_interval > 0, s.sampling_interval, s.span <= r.since, r.late, 0)")
        } else {
            (String::new(), "s.sampling_interval")
        };
        let sums = self.read(database, read, !joins.is_empty(), &named);
        format!("WITH {rate} AS rate SELECT {select} FROM ({sums}) AS s {joins}{late} WHERE {condition}")
    }

    /// What is read of each table: sums, or, where there is nothing to gain by them and nothing is joined, rows.
    fn read(&self, database: &str, read: &Read<'_>, joined: bool, named: &impl Fn(&str) -> bool) -> String {
        let span =
            if read.spanned { "roundDown(toUInt32(t.time), {spans:Array(UInt32)})" } else { "{from:UInt32}" };
        let mut columns =
            "t.direction AS direction, t.sampling_interval AS sampling_interval, t.sampling_kind AS sampling_kind".to_owned();
        let named = |column: &&str| named(&format!("s.{column}"));
        let by_interface = |column: &&str| joined && BY_INTERFACE.contains(column);
        for column in PRUNED.iter().filter(|column| named(column) || by_interface(column)) {
            let _ = write!(columns, ", t.{column} AS {column}");
        }
        let _ = match (joined, read.late) {
            (true, _) => write!(columns, ", toDateTime({span}, 'UTC') AS span"),
            // What has a rate needs no other, whoever exported it, and when.
            (false, true) if named(&"exporter") => {
                write!(
                    columns,
                    ", toDateTime(if(t.sampling_interval = 0, {span}, {{from:UInt32}}), 'UTC') AS span"
                )
            }
            (false, true) => write!(
                columns,
                ", if(t.sampling_interval = 0, t.exporter, toIPv6('::')) AS exporter, \
                 toDateTime(if(t.sampling_interval = 0, {span}, {{from:UInt32}}), 'UTC') AS span"
            ),
            (false, false) => Ok(()),
        };
        for Slot { name, sql } in self.slots {
            let _ = write!(columns, ", {sql} AS {name}");
        }
        let counts = read.counts;
        let which = if self.all {
            let _ = write!(columns, ", {counts} AS counts");
            String::new()
        } else {
            format!(" AND {counts}")
        };
        let as_they_are = self.fine && !joined && (self.ases || !read.late);
        for (column, sum) in SUMMED.iter().filter(|(column, _)| named(column)) {
            let _ = if as_they_are {
                write!(columns, ", t.{column} AS {column}")
            } else {
                write!(columns, ", {sum} AS {column}")
            };
        }
        let summed = if as_they_are { "" } else { " GROUP BY ALL" };
        let ases = if self.ases { " AND t.asn IN {ases:Array(UInt32)}" } else { "" };
        let of_table = |table: &Table| {
            let sides = sides(database, table);
            let within = within(table, read.parts);
            let Read { tested, .. } = read;
            format!("SELECT {columns} FROM {sides} AS t WHERE ({within}){which}{ases}{tested}{summed}")
        };
        reading::tables(read.parts).into_iter().map(of_table).collect::<Vec<_>>().join(" UNION ALL ")
    }
}
