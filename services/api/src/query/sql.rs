//! The SQL of a question: fixed pieces, chosen by what is asked; every value is a bound parameter.
//!
//! Links, names and late rates are joined here, when asked, never frozen into rows (docs/counting.md). Rows may be negative: what a window
//! was decoded to wrongly is taken back by rows of its own, and keys of which nothing is left are no rows of the answer.
//!
//! A table is summed up before anything is joined: by what the statement names, and by the spans of time in which what is joined stays as it
//! is. So a join meets a row for each interface and AS, and not one for each of their slots.

use super::condition::condition;
use super::field::{Dimension, EXPORTER, NEIGHBOUR, column};
use super::measures::{all, of_side, scaled};
use super::period::{PEAK_SLOT, Window};
use super::{Question, Scope};
use crate::links::members::members;
use crate::pieces::narrow;
use serde::Serialize;
use std::fmt::Write;

/// What is left of a key that was taken back is nothing.
const SOMETHING: &str = "sum(s.flows) != 0 OR sum(s.packets) != 0 OR sum(s.bytes) != 0";

const OBSERVED: &str = "t.observation = {observation:String}";

/// A statement with the values that its names stand for.
pub struct Statement {
    /// It.
    pub sql: String,
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
    fn with(self, name: &str, value: impl ToString) -> Self {
        self.bound(name, Value::One(value.to_string()))
    }

    fn bound(mut self, name: &str, value: Value) -> Self {
        self.parameters.push((name.to_owned(), value));
        self
    }

    /// What is selected from this one.
    fn wrapped(self, select: &str, rest: &str) -> Self {
        Self { sql: format!("{select} FROM ({}) {rest}", self.sql), ..self }
    }
}

impl Of<'_> {
    /// Whether the ASes of its rows are all that has to be read.
    fn ases(self) -> bool {
        matches!(self, Self::Rows(_, ases) if !ases.is_empty())
    }

    fn bound(self, statement: Statement) -> Statement {
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
    filter: Option<String>,
    parameters: Vec<(String, String)>,
}

impl<'q> Query<'q> {
    /// Of a question to this database.
    pub fn of(database: &'q str, question: &'q Question) -> Self {
        let mut parameters = vec![("observation".to_owned(), question.observation.word().to_owned())];
        let filter = question.filter.as_ref().map(|filter| condition(filter, &mut parameters));
        Self { database, question, filter, parameters }
    }

    /// The top rows.
    pub fn top(&self, window: &Window) -> Statement {
        let by = &self.question.by;
        let asn = if by.contains(&Dimension::As) { "any(s.asn)" } else { "0" };
        let select = format!("[{}] AS keys, toUInt32({asn}) AS asn, {}", keys(by), all());
        let order = scaled("s.bytes", &format!("s.direction IN ({})", self.question.order.directions()));
        let rest =
            format!("GROUP BY keys HAVING {SOMETHING} ORDER BY {order} DESC, keys LIMIT {{top:UInt32}}");
        let body = Body { which: OBSERVED, ..Body::default() };
        self.statement(window, &select, &body, &rest).with("top", self.question.top)
    }

    /// All sums of these rows over a time.
    pub fn sums(&self, window: &Window, of: Of<'_>) -> Statement {
        let select = format!("{} AS row, {}", self.row(of), all());
        let body = Body { which: OBSERVED, ases: of.ases(), ..Body::default() };
        // A sum over nothing is a row as well, where it is not by anything.
        let rest = if matches!(of, Of::Total) { "" } else { "GROUP BY row HAVING row > 0" };
        of.bound(self.statement(window, &select, &body, rest))
    }

    /// Bytes in and out in slots that begin at these times.
    pub fn series(&self, window: &Window, starts: &[u32], of: Of<'_>) -> Statement {
        let slot = "roundDown(toUInt32(t.time), {starts:Array(UInt32)})";
        let slots = self.slots(window, slot, of, "rate > 0");
        let wrapped = slots.wrapped(
            "SELECT row, groupArray((slot, bytes_in, bytes_out)) AS slots",
            "WHERE row > 0 GROUP BY row",
        );
        wrapped.bound("starts", Value::Numbers(starts.to_vec()))
    }

    /// The largest slot and that of this rank, with the samples of each.
    pub fn peaks(&self, window: &Window, rank: u32, of: Of<'_>) -> Statement {
        let slot = format!("toUInt32(intDiv(toUInt32(t.time) - {{from:UInt32}}, {PEAK_SLOT}))");
        let sorted =
            |side| format!("arrayReverseSort(groupArray((bytes_{side}, samples_{side}))) AS slots_{side}");
        let inner = format!("SELECT row, {}, {}", sorted("in"), sorted("out"));
        // Slots of nothing are no rows, and a rank behind the last one is theirs: the default of an array is zero.
        let outer = "SELECT row, slots_in[1] AS max_in, slots_out[1] AS max_out, \
                     slots_in[{rank:UInt32}] AS p95_in, slots_out[{rank:UInt32}] AS p95_out";
        let slots = self.slots(window, &slot, of, "rate > 1000");
        slots.wrapped(&inner, "WHERE row > 0 GROUP BY row").wrapped(outer, "").with("rank", rank)
    }

    /// What is left of each provider's slots where rows are taken out of them, one at a time: the largest and that of a rank, with and without. A link
    /// without a provider is one of its own.
    pub fn without(&self, window: &Window, rank: u32, slots: u32, rows: Of<'_>) -> Statement {
        const PROVIDER: &str = "if(l.provider = '', l.link, l.provider)";
        let slot = format!("toUInt32(intDiv(toUInt32(t.time) - {{from:UInt32}}, {PEAK_SLOT}))");
        let sides = ["in", "out"].map(|side| of_side(side, "rate > 1000")).join(", ");
        let dense = |side| {
            format!(
                "groupArrayInsertAt(0, {slots})(bytes_{side}, slot) AS bytes_{side}, \
                 groupArrayInsertAt(0, {slots})(samples_{side}, slot) AS samples_{side}"
            )
        };
        let per_provider = |of: Of<'_>| {
            let select = format!("{} AS row, {PROVIDER} AS provider, s.slot AS slot, {sides}", self.row(of));
            let body = Body { which: OBSERVED, slot: Some(&slot), ases: of.ases() };
            let slots = of.bound(self.statement(window, &select, &body, "GROUP BY row, provider, slot"));
            let select = format!("SELECT row, provider, {}, {}", dense("in"), dense("out"));
            slots.wrapped(&select, "WHERE row > 0 GROUP BY row, provider")
        };
        let (all, of_rows) = (per_provider(Of::Total), per_provider(rows));
        let ranked = |side: &str| {
            format!(
                "arrayReverseSort(arrayZip(t.bytes_{side}, t.samples_{side})) AS all_{side}, \
                 arrayReverseSort(arrayMap((t, m) -> t - least(t, m), t.bytes_{side}, m.bytes_{side})) AS left_{side}"
            )
        };
        let sql = format!(
            "SELECT row, provider, all_in[{{rank:UInt32}}] AS p95_in, all_out[{{rank:UInt32}}] AS p95_out, \
             left_in[{{rank:UInt32}}] AS left_p95_in, left_out[{{rank:UInt32}}] AS left_p95_out, bytes_in, bytes_out \
             FROM (SELECT m.row AS row, m.provider AS provider, arraySum(m.bytes_in) AS bytes_in, arraySum(m.bytes_out) AS bytes_out, \
             {}, {} FROM ({}) AS m INNER JOIN ({}) AS t ON t.provider = m.provider) ORDER BY row, provider",
            ranked("in"),
            ranked("out"),
            of_rows.sql,
            all.sql
        );
        Statement { sql, ..of_rows }.with("rank", rank)
    }

    /// Bytes and samples in slots; samples are those of flows with such a rate.
    fn slots(&self, window: &Window, slot: &str, of: Of<'_>, sampled: &str) -> Statement {
        let sides = ["in", "out"].map(|side| of_side(side, sampled)).join(", ");
        let select = format!("{} AS row, s.slot AS slot, {sides}", self.row(of));
        let body = Body { which: OBSERVED, slot: Some(slot), ases: of.ases() };
        of.bound(self.statement(window, &select, &body, "GROUP BY row, slot"))
    }

    /// Bytes of unknown rate among the records that count.
    pub fn unknown_rate(&self, window: &Window) -> Statement {
        self.not_in(window, OBSERVED, "rate = 0")
    }

    /// Bytes of the records that don't count because of where they were observed.
    pub fn other_observation(&self, window: &Window) -> Statement {
        self.not_in(window, &format!("NOT ({OBSERVED})"), "1")
    }

    /// Bytes that are not in, by exporter. Where nothing picks sides, every flow has both, and one of them stands for it.
    fn not_in(&self, window: &Window, which: &str, counted: &str) -> Statement {
        let mut tests = self.question.filter.iter().flat_map(|filter| filter.tests());
        let picks_sides = self.question.scope == Scope::Boundary
            || tests.any(|test| column(test.field).is_none_or(|column| column.of_side));
        let side = if picks_sides { "1" } else { "t.direction = 'in'" };
        let select = format!(
            "{EXPORTER} AS exporter, toString(s.observation) AS observation, {} AS bytes, {} AS bytes_unknown_rate",
            narrow(&scaled("s.bytes", counted)),
            narrow("sumIf(toInt256(s.bytes), rate = 0)"),
        );
        let which = format!("{side} AND {which}");
        let rest = "GROUP BY exporter, observation HAVING bytes + bytes_unknown_rate > 0 \
                    ORDER BY bytes DESC, bytes_unknown_rate DESC, exporter";
        self.statement(window, &select, &Body { which: &which, ..Body::default() }, rest)
    }

    fn row(&self, of: Of<'_>) -> String {
        match of {
            Of::Total => "1".to_owned(),
            Of::Rows(..) => format!("indexOf({{rows:Array(Array(String))}}, [{}])", keys(&self.question.by)),
        }
    }

    fn statement(&self, window: &Window, select: &str, body: &Body<'_>, rest: &str) -> Statement {
        let mut conditions: Vec<_> = self.filter.iter().cloned().collect();
        if self.question.scope == Scope::Boundary {
            conditions.push("l.connectivity IN ('transit', 'ix', 'pni')".to_owned());
        }
        let condition = if conditions.is_empty() { "1".to_owned() } else { conditions.join(" AND ") };
        let sql = body.sql(self.database, window.table.name, select, &condition);
        let shared = self.parameters.iter().map(|(name, value)| (name.clone(), Value::One(value.clone())));
        Statement { sql: format!("SELECT {select} {sql} {rest}"), parameters: shared.collect() }
            .with("from", window.from)
            .with("to", window.to)
    }
}

/// What is read and what is joined to it.
#[derive(Default)]
struct Body<'a> {
    /// Which rows of the table count.
    which: &'a str,
    /// What slots they are told apart by.
    slot: Option<&'a str>,
    /// Whether only some ASes are read.
    ases: bool,
}

/// Columns of a side that are keys only where a statement names them.
const PRUNED: &[&str] = &["asn", "neighbour_as", "family", "observation"];

impl Body<'_> {
    fn sql(&self, database: &str, table: &str, select: &str, condition: &str) -> String {
        let named = |what: &str| names(select, what) || names(condition, what);
        let mut by =
            "t.exporter AS exporter, t.if_index AS if_index, t.direction AS direction, t.sampling_interval AS sampling_interval, \
             t.sampling_kind AS sampling_kind"
                .to_owned();
        for column in PRUNED.iter().filter(|column| named(&format!("s.{column}"))) {
            let _ = write!(by, ", t.{column} AS {column}");
        }
        if let Some(slot) = self.slot {
            let _ = write!(by, ", {slot} AS slot");
        }
        let ases = if self.ases { " AND t.asn IN {ases:Array(UInt32)}" } else { "" };
        let (members, late, which) = (members(database), late_rates(database), self.which);
        let joins: String = [
            ("i.", format!("LEFT JOIN (SELECT exporter, if_index, name, description FROM {database}.interfaces FINAL) AS i \
                            ON i.exporter = s.exporter AND i.if_index = s.if_index ")),
            ("e.", format!("LEFT JOIN (SELECT exporter, name FROM {database}.exporters FINAL) AS e ON e.exporter = s.exporter ")),
            ("n.", format!("LEFT JOIN (SELECT asn, name FROM {database}.asns FINAL) AS n ON n.asn = s.asn ")),
            ("m.", format!("LEFT JOIN (SELECT asn, name FROM {database}.asns FINAL) AS m ON m.asn = {NEIGHBOUR} ")),
        ]
        .into_iter()
        .filter_map(|(alias, join)| named(alias).then_some(join))
        .collect();
        // A slot in which the first rate was announced counts as before it: its flows without a rate are those that came earlier.
        format!(
            "FROM (SELECT {by}, toDateTime(roundDown(toUInt32(t.time), ({spans})), 'UTC') AS span, \
             sum(toInt128(t.bytes)) AS bytes, sum(toInt128(t.packets)) AS packets, sum(toInt128(t.flows)) AS flows, \
             sum(toFloat64(t.q)) AS q \
             FROM {database}.{table} AS t \
             WHERE t.time >= toDateTime({{from:UInt32}}, 'UTC') AND t.time < toDateTime({{to:UInt32}}, 'UTC') AND {which}{ases} \
             GROUP BY ALL) AS s \
             LEFT JOIN ({members}) AS l ON l.exporter = s.exporter AND l.if_index = s.if_index \
             AND s.span >= l.valid_from AND s.span < l.valid_to \
             {joins}LEFT JOIN ({late}) AS r ON r.exporter = s.exporter \
             ARRAY JOIN [multiIf(s.sampling_interval > 0, s.sampling_interval, s.span <= r.since, r.late, 0)] AS rate \
             WHERE {condition}",
            spans = spans(&members, &late),
        )
    }
}

/// Starts of the spans of time in which links and late rates stay as they are.
fn spans(members: &str, late: &str) -> String {
    format!(
        "SELECT arraySort(groupUniqArray(at)) FROM (SELECT toUInt32({{from:UInt32}}) AS at \
         UNION ALL SELECT arrayJoin([toUInt32(valid_from), toUInt32(valid_to)]) FROM ({members}) \
         UNION ALL SELECT toUInt32(toUnixTimestamp(since) + 1) FROM ({late})) \
         WHERE at >= {{from:UInt32}} AND at < {{to:UInt32}}"
    )
}

/// The rate that an exporter announced first, from its options data: for what came before, and only where it can't be another's.
/// That is where one source was announced, for all of the exporter, in one observation domain, and not merely inferred. Whole flows
/// that were sampled are left out, because the squares of the flows before were not kept as theirs.
fn late_rates(database: &str) -> String {
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
    use crate::query::field::FIELDS;
    use crate::query::period::Period;
    use crate::query::{Counted, Detail, Order};
    use weir_filter::parse;
    use weir_schemas::rollup::ROLLUPS;

    const WINDOW: Window = Window { table: &ROLLUPS[0], from: 60, to: 120 };

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
        }
    }

    /// All statements that there are of a question.
    fn all(query: &Query<'_>) -> Vec<Statement> {
        let keys = [vec!["'; DROP TABLE weir.flows --".to_owned()]];
        let some = Of::Rows(&keys, &[174]);
        [Of::Total, some]
            .into_iter()
            .flat_map(|of| {
                [query.sums(&WINDOW, of), query.series(&WINDOW, &[60], of), query.peaks(&WINDOW, 1, of)]
            })
            .chain([query.top(&WINDOW), query.unknown_rate(&WINDOW), query.other_observation(&WINDOW)])
            .collect()
    }

    #[test]
    fn no_value_of_a_question_is_part_of_its_sql() {
        let hostile = "'; DROP TABLE weir.flows --";
        let question = question(&format!("provider = \"{hostile}\" OR NOT exporter IN (\"{hostile}\", a)"));
        let query = Query::of("weir", &question);
        for Statement { sql, parameters } in all(&query) {
            assert!(!sql.contains("DROP"), "{sql}");
            assert!(sql.contains("l.provider = {f1:String}"), "{sql}");
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
            let query = Query::of("weir", &question);
            let values: Vec<_> =
                query.parameters[1..].iter().map(|(name, value)| format!("  {name} = {value}\n")).collect();
            format!("{filter}\n  {}\n{}", query.filter.unwrap(), values.concat())
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
            let sql = Query::of("weir", &question).unknown_rate(&WINDOW).sql;
            assert_eq!(sql.contains("t.direction = 'in' AND t.observation"), once, "{filter}: {sql}");
        }
    }

    #[test]
    fn a_statement_reads_and_joins_what_it_names_and_no_more() {
        let question = question("provider = a");
        let query = Query::of("weir", &question);
        let total = query.sums(&WINDOW, Of::Total).sql;
        for absent in ["t.asn", "t.family", "weir.asns", "weir.interfaces", "weir.exporters"] {
            assert!(!total.contains(absent), "{absent}: {total}");
        }
        let top = query.top(&WINDOW).sql;
        assert!(
            top.contains("t.asn AS asn") && top.contains("weir.asns") && !top.contains("weir.exporters"),
            "{top}"
        );
        assert!(names("a(n.name)", "n.") && !names("l.cn.x", "n.") && !names("in.x", "n."));
    }
}
