//! The SQL of a question: fixed pieces, chosen by what is asked; every value is a bound parameter.
//!
//! Links, names and late rates are joined here, when asked, never frozen into rows (docs/counting.md). Rows may be negative: what a window
//! was decoded to wrongly is taken back by rows of its own, and keys of which nothing is left are no rows of the answer.
//!
//! Tables are summed up before anything is joined: by what the statement names, and by the spans of time in which what is joined stays as it
//! is. So a join meets a row for each interface and AS, and not one for each of their slots. What a filter says of the columns of tables alone is
//! tested where they are read.

use super::changes::{Changes, late_rates, members_at_first};
use super::field::{Dimension, EXPORTER, Need, column};
use super::measures::{ALL_PARTS, APART as PARTS_APART, PARTS, THOUSANDTHS};
use super::period::Window;
use super::reading::{self, Part};
use super::slots::Slot;
use super::taken::{Taken, unclassified};
use super::{Question, Scope};
use crate::links::members::members;
use serde::Serialize;
use std::fmt::Write;
use weir_schemas::rollup::{A_DAY, Shape, Table};

/// What is left of a key that was taken back is nothing.
const SOMETHING: &str = "sum(s.flows) != 0 OR sum(s.packets) != 0 OR sum(s.bytes) != 0";

pub(super) const OBSERVED: &str = "t.observation = {observation:String}";

/// A statement with the values that its names stand for.
pub struct Statement {
    /// It.
    pub sql: String,
    /// Tables that it reads.
    pub tables: Vec<&'static str>,
    /// Names and values.
    pub parameters: Vec<(String, Value)>,
}

/// A value that is bound.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// Text, or a number.
    One(String),
    /// Numbers.
    Numbers(Vec<u32>),
    /// Texts of several rows.
    Rows(Vec<Vec<String>>),
    /// Exporters and interface indexes.
    Interfaces(Vec<(String, u32)>),
}

/// Rows that were found and are asked about again.
#[derive(Clone, Copy)]
pub enum Of<'a> {
    /// All that the question covers, as one.
    Total,
    /// These, by their keys and ASes: the first is row 1.
    Rows(&'a [Vec<String>], &'a [u32]),
}

impl Statement {
    /// One of these values alone.
    pub fn of(sql: String, parameters: impl IntoIterator<Item = (String, Value)>) -> Self {
        Self { sql, tables: Vec::new(), parameters: parameters.into_iter().collect() }
    }

    /// All of these beside it.
    pub fn all(mut self, texts: &[(String, String)]) -> Self {
        self.parameters.extend(texts.iter().map(|(name, text)| (name.clone(), Value::One(text.clone()))));
        self
    }

    pub(super) fn with(self, name: &str, value: impl ToString) -> Self {
        self.bound(name, Value::One(value.to_string()))
    }

    pub(super) fn bound(mut self, name: &str, value: Value) -> Self {
        self.parameters.push((name.to_owned(), value));
        self
    }

    /// What is selected from this one.
    pub(super) fn wrapped(self, select: &str, rest: &str) -> Self {
        Self { sql: format!("{select} FROM ({}) {rest}", self.sql), ..self }
    }
}

impl Of<'_> {
    /// Whether the ASes of its rows are all that has to be read.
    pub(super) fn ases(self) -> bool {
        matches!(self, Self::Rows(_, ases) if !ases.is_empty())
    }

    pub(super) fn bound(self, statement: Statement) -> Statement {
        let Self::Rows(rows, ases) = self else { return statement };
        let statement = statement.bound("rows", Value::Rows(rows.to_vec()));
        if ases.is_empty() { statement } else { statement.bound("ases", Value::Numbers(ases.to_vec())) }
    }
}

fn keys(by: &[Dimension]) -> String {
    by.iter().map(|dimension| dimension.expression()).collect::<Vec<_>>().join(", ")
}

/// Whether a text of SQL has this name, and not one that ends like it.
fn names(sql: &str, name: &str) -> bool {
    let part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    sql.match_indices(name).any(|(at, _)| !sql.get(..at).unwrap_or_default().ends_with(part))
}

/// What all of a question's statements have in common.
pub struct Query<'q> {
    database: &'q str,
    question: &'q Question,
    changes: &'q Changes,
    taken: Taken,
}

impl<'q> Query<'q> {
    /// Of a question to this database.
    pub fn of(database: &'q str, question: &'q Question, changes: &'q Changes) -> Self {
        Self { database, question, changes, taken: Taken::of(question) }
    }

    /// Keys and ASes of the top rows. Their sums are asked for when they are known: to rank all there are takes but one.
    pub fn top(&self, window: &Window) -> Statement {
        self.ranked(window, false)
    }

    /// The top rows with their sums: so many that it would take longer to find them again.
    pub fn top_with_sums(&self, window: &Window) -> Statement {
        self.ranked(window, true)
    }

    /// The top rows by themselves, or with their sums.
    fn ranked(&self, window: &Window, sums: bool) -> Statement {
        let by = &self.question.by;
        let asn = if by.contains(&Dimension::As) { "any(s.asn)" } else { "0" };
        let keys = format!("[{}] AS keys, toUInt32({asn}) AS asn", keys(by));
        let counts = format!("IN ({})", self.question.order.directions());
        let body = Body { which: OBSERVED, ..Body::default() };
        let rest = "HAVING something ORDER BY ranked DESC, keys LIMIT {top:UInt32}";
        let statement = if sums {
            let parts = self.statement(
                window,
                &[],
                &format!("{keys}, {PARTS}"),
                &body,
                &format!("GROUP BY keys, {PARTS_APART}"),
            );
            parts.wrapped(
                &format!(
                    "SELECT keys, any(asn) AS asn, sumIf(bytes * toInt128(rate), direction {counts}) AS ranked, \
                     sum(flows) != 0 OR sum(packets) != 0 OR sum(bytes) != 0 AS something, {ALL_PARTS} AS said"
                ),
                &format!("GROUP BY keys {rest}"),
            )
        } else {
            let ranked = format!("sumIf({THOUSANDTHS}, s.direction {counts}) AS ranked");
            self.statement(
                window,
                &[],
                &format!("{keys}, {ranked}, ({SOMETHING}) AS something"),
                &body,
                &format!("GROUP BY keys {rest}"),
            )
        };
        statement.with("top", self.question.top)
    }

    /// All sums of these rows over a time, as [`Part`](super::measures::Part)s.
    pub fn sums(&self, window: &Window, of: Of<'_>) -> Statement {
        let select = format!("{} AS row, {PARTS}", self.row(of));
        let body = Body { which: OBSERVED, ases: of.ases(), ..Body::default() };
        let parts = self.statement(window, &[], &select, &body, &format!("GROUP BY row, {PARTS_APART}"));
        of.bound(parts)
            .wrapped(&format!("SELECT row, {ALL_PARTS} AS said"), &format!("{} GROUP BY row", self.these()))
    }

    /// Bytes by exporter and where they were observed, those of unknown rate apart. Where nothing picks sides, every flow has both, and one of them
    /// stands for it.
    pub fn by_observation(&self, window: &Window) -> Statement {
        let mut tests = self.question.filter.iter().flat_map(|filter| filter.tests());
        let picks_sides = self.question.scope == Scope::Boundary
            || tests.any(|test| column(test.field).is_none_or(|column| column.of_side));
        let which = if picks_sides { "1" } else { "t.direction = 'in'" };
        let select = format!(
            "{EXPORTER} AS exporter, s.observation AS observation, sum({THOUSANDTHS}) AS bytes, \
             sumIf(toInt128(s.bytes), rate = 0) AS bytes_unknown_rate"
        );
        let body = Body { which, ..Body::default() };
        self.statement(window, &[], &select, &body, "GROUP BY exporter, observation")
    }

    /// Whether a few ASes are all that is asked about.
    fn names_ases(&self) -> bool {
        self.taken.stored.iter().any(|test| names(test, "t.asn"))
    }

    /// Whether rows are named by their ASes alone; else by their places, from 1 on.
    pub fn named_by_as(&self) -> bool {
        self.question.by == [Dimension::As]
    }

    /// Which of the rows are meant, where others were read as well.
    pub(super) fn these(&self) -> &'static str {
        if self.named_by_as() { "" } else { "WHERE row > 0" }
    }

    pub(super) fn row(&self, of: Of<'_>) -> String {
        match of {
            Of::Total => "toUInt64(1)".to_owned(),
            Of::Rows(..) if self.named_by_as() => "toUInt64(s.asn)".to_owned(),
            Of::Rows(..) => format!("indexOf({{rows:Array(Array(String))}}, [{}])", keys(&self.question.by)),
        }
    }

    /// A test of tables' rows: whether this is so of their link all the time.
    fn of_link(&self, test: &str) -> String {
        let at_first = members_at_first(self.database);
        let members = |test: &str| format!("(SELECT exporter, if_index {at_first} AND {test})");
        let interface = "(t.exporter, t.if_index)";
        let (those, all) = (members(test), members("1"));
        format!("({interface} IN {those} OR ({} AND {interface} NOT IN {all}))", unclassified(test))
    }

    pub(super) fn statement(
        &self,
        window: &Window,
        borders: &[u32],
        select: &str,
        body: &Body<'_>,
        rest: &str,
    ) -> Statement {
        let changing = self.changes.links(window);
        let (mut tested, mut conditions) = (self.taken.stored.clone(), self.taken.joined.clone());
        let mut interfaces = Vec::new();
        if let Some(known) = self.changes.interfaces(window, self.taken.links.len()) {
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
        // A fleet of exporters that all announced their rates within the time would take it apart into thousands.
        let apart = if spans.len() <= APART { spans.get(1..).unwrap_or_default() } else { changing };
        let parts = self.question.tables.read(*window, need, borders, apart);
        let read = Read {
            parts: &parts,
            tested: &tested,
            spanned: !spans.is_empty(),
            late: self.changes.late_rates(window),
        };
        let sql = body.sql(self.database, &read, select, &condition);
        let statement = Statement::of(format!("{sql} {rest}"), interfaces)
            .all(&self.taken.parameters)
            .with("observation", self.question.observation.word())
            .with("from", window.from)
            .bound("spans", Value::Numbers(spans));
        let statement = Statement { tables: reading::names(&parts), ..statement };
        let [begin, end] = body.ends();
        parts.iter().enumerate().fold(statement, |statement, (n, part)| {
            statement.with(&format!("{begin}{n}"), part.from).with(&format!("{end}{n}"), part.to)
        })
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

/// What is read and what is joined to it.
#[derive(Default)]
pub(super) struct Body<'a> {
    /// Which rows of the tables count.
    pub which: &'a str,
    /// What slots they are told apart by.
    pub slots: &'a [Slot],
    /// Whether only some ASes are read.
    pub ases: bool,
    /// Whether it stands beside another one in the same statement.
    pub second: bool,
}

/// Where it is read.
struct Read<'a> {
    parts: &'a [Part],
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
    /// What the ends of the parts that it reads are called.
    fn ends(&self) -> [&'static str; 2] {
        if self.second { ["second_begin", "second_end"] } else { ["begin", "end"] }
    }

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

    /// What is read of each table: sums, or, where slots of a few ASes are told apart and so nearly each row is one of its own, rows.
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
        let as_they_are = self.ases && !self.slots.is_empty() && !joined;
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
            let parts = read.parts.iter().enumerate().filter(|(_, part)| part.table.name == table.name);
            let sides = sides(database, table);
            let [begin, end] = self.ends();
            let within = parts.map(|(n, part)| {
                let ends = [begin, end].map(|end| format!("toDateTime({{{end}{n}:UInt32}}, 'UTC')"));
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
            let within = within.collect::<Vec<_>>().join(" OR ");
            let Read { tested, .. } = read;
            let which = self.which;
            format!("SELECT {columns} FROM {sides} AS t WHERE ({within}) AND {which}{ases}{tested}{summed}")
        };
        reading::tables(read.parts).into_iter().map(of_table).collect::<Vec<_>>().join(" UNION ALL ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::field::FIELDS;
    use crate::query::interval::Slots;
    use crate::query::period::{Kept, Period};
    use crate::query::reading::Tables;
    use crate::query::slots::InSlots;
    use crate::query::{Counted, Detail, Order};
    use std::collections::BTreeMap;
    use weir_filter::parse;

    const WINDOW: Window = Window { from: 60, to: 120 };
    static NONE: Changes = Changes::none();

    fn question(filter: &str) -> Question {
        let period = Period { window: WINDOW, asked_from: 60, seconds: 60, incomplete: 0 };
        let filter = Some(parse(filter, FIELDS).unwrap());
        Question {
            by: vec![Dimension::As],
            period,
            top: 3,
            order: Order::Both,
            scope: Scope::All,
            observation: Counted::Ingress,
            filter,
            detail: Detail::default(),
            tables: Tables::of(Kept::new(240, &BTreeMap::new())),
        }
    }

    fn in_slots() -> Detail {
        let series = Slots { interval: 60, starts: vec![WINDOW.from], window: WINDOW };
        Detail { series: Some(series), peaks: Some(WINDOW), ..Detail::default() }
    }

    /// All statements that there are of a question.
    fn all(query: &Query<'_>) -> Vec<Statement> {
        let keys = [vec!["'; DROP TABLE weir.flows --".to_owned()]];
        let some = Of::Rows(&keys, &[174]);
        [Of::Total, some]
            .into_iter()
            .flat_map(|of| [query.sums(&WINDOW, of), query.slots(&InSlots::of(&in_slots()).unwrap(), of)])
            .chain([
                query.top(&WINDOW),
                query.top_with_sums(&WINDOW),
                query.by_observation(&WINDOW),
                query.without(&WINDOW, some),
            ])
            .collect()
    }

    #[test]
    fn no_value_of_a_question_is_part_of_its_sql() {
        let hostile = "'; DROP TABLE weir.flows --";
        let question = question(&format!("provider = \"{hostile}\" OR NOT exporter IN (\"{hostile}\", a)"));
        let query = Query::of("weir", &question, &NONE);
        for Statement { sql, parameters, .. } in all(&query) {
            assert!(!sql.contains("DROP"), "{sql}");
            assert!(sql.contains("l.provider = {f0:String}"), "{sql}");
            assert_eq!(
                parameters.iter().filter(|(_, value)| *value == Value::One(hostile.to_owned())).count(),
                2
            );
        }
    }

    #[test]
    fn conditions_say_what_the_filter_says() {
        let shown = [
            "as = 15169",
            "as IN (15169, 2906) AND connectivity = transit",
            "as NOT IN (1)",
            "NOT (link = \"\" OR family = 6) AND if_index >= 7",
            "exporter_address IN (192.0.2.1, 10.0.0.0/8)",
            "exporter_address NOT IN ::/0",
            "exporter_address IN ::ffff:10.0.0.0/104",
            "direction != in AND neighbour = 0",
        ]
        .map(|filter| {
            let question = question(filter);
            let query = Query::of("weir", &question, &NONE);
            let values: Vec<_> =
                query.taken.parameters.iter().map(|(name, value)| format!("  {name} = {value}\n")).collect();
            format!(
                "{filter}\n  {}\n{}",
                [&query.taken.stored[..], &query.taken.links, &query.taken.joined].concat().join(" AND "),
                values.concat()
            )
        });
        insta::assert_snapshot!(shown.join("\n"));
    }

    #[test]
    fn a_flow_of_which_nothing_picks_a_side_is_one() {
        for (filter, once) in [
            ("family = 4", true),
            ("exporter = a AND exporter_address = 192.0.2.1", true),
            ("family = 4 AND NOT as = 1", false),
            ("direction = in", false),
        ] {
            let question = question(filter);
            let sql = Query::of("weir", &question, &NONE).by_observation(&WINDOW).sql;
            assert_eq!(sql.contains("AND t.direction = 'in'"), once, "{filter}: {sql}");
        }
    }

    #[test]
    fn a_statement_reads_and_joins_what_it_names_and_no_more() {
        let question = question("provider = a");
        let query = Query::of("weir", &question, &NONE);
        let total = query.sums(&WINDOW, Of::Total).sql;
        for absent in ["t.asn", "t.family", "weir.asns", "weir.interfaces", "weir.exporters"] {
            assert!(!total.contains(absent), "{absent}: {total}");
        }
        let top = query.top(&WINDOW).sql;
        assert!(top.contains("t.asn AS asn") && !top.contains("weir.exporters"), "{top}");
        let peaks = query.slots(&InSlots::of(&in_slots()).unwrap(), Of::Total).sql;
        assert!(peaks.contains("sum(toInt128(t.packets))") && !peaks.contains("t.q"), "{peaks}");
        assert!(names("a(n.name)", "n.") && !names("l.cn.x", "n.") && !names("in.x", "n."));
    }
}
