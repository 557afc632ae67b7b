//! The SQL of a question: fixed pieces, chosen by what is asked; every value is a bound parameter.
//!
//! Links, names and late rates are joined here, when asked, never frozen into rows (docs/counting.md). Scaling is done in 128 bits, sums
//! of it in 256, and what leaves as 64 bits stops at their ends. Rows may be negative: what a window was decoded to wrongly is taken
//! back by rows of its own, and keys of which nothing is left are no rows of the answer.

use super::condition::condition;
use super::field::{EXPORTER, NEIGHBOUR, column};
use super::{Question, Scope};
use serde::Deserialize;

/// Sums of a group, as they are asked for.
#[derive(Clone, Debug, Deserialize)]
pub struct Sums {
    /// Values of the dimensions.
    pub keys: Vec<String>,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub packets: u64,
    pub flows: u64,
    pub samples_in: u64,
    pub samples_out: u64,
    /// Samples of what is sampled at all, at more than 1 in 1.
    pub drawn_in: u64,
    pub drawn_out: u64,
    /// Estimate of it, and its variance.
    pub moments_in: [f64; 2],
    pub moments_out: [f64; 2],
    /// Of packet sampling: the largest interval, squares and bytes as sampled.
    pub packet_interval: f64,
    pub packet_squares: f64,
    pub packet_bytes: f64,
    /// Of flow sampling: the largest interval, squares.
    pub flow_interval: f64,
    pub flow_squares: f64,
    pub bytes_late_rate: u64,
    pub bytes_unknown_rate_in: u64,
    pub bytes_unknown_rate_out: u64,
}

/// A wide sum as 64 bits.
fn narrow(sum: &str) -> String {
    format!("toUInt64(least(greatest({sum}, toInt256(0)), toInt256(18446744073709551615)))")
}

/// Amounts times the interval, which is in thousandths.
fn scaled(amount: &str, condition: &str) -> String {
    format!("intDiv(sumIf(toInt256(toInt128({amount}) * toInt128(rate)), {condition}), 1000)")
}

/// `rate` is N in thousandths: as announced with the flows, else the first that was announced later, else 0. The variance is N(N−1)·Q
/// (docs/counting.md, "Error of an estimate").
fn measures() -> String {
    const SAMPLES: &str = "toInt256(if(s.sampling_kind = 'flow', s.flows, s.packets))";
    let mut all = vec![
        format!("{} AS packets", narrow(&scaled("s.packets", "1"))),
        // A flow count is scaled where whole flows are sampled, and nowhere else.
        format!(
            "{} AS flows",
            narrow(
                "intDiv(sum(toInt256(s.flows) * toInt256(if(s.sampling_kind = 'flow' AND rate > 0, rate, 1000))), 1000)"
            )
        ),
        format!("{} AS bytes_late_rate", narrow(&scaled("s.bytes", "s.sampling_interval = 0"))),
    ];
    for side in ["in", "out"] {
        let of = format!("s.direction = '{side}'");
        all.extend([
            format!("{} AS bytes_{side}", narrow(&scaled("s.bytes", &of))),
            format!("{} AS samples_{side}", narrow(&format!("sumIf({SAMPLES}, {of} AND rate > 0)"))),
            format!("{} AS drawn_{side}", narrow(&format!("sumIf({SAMPLES}, {of} AND rate > 1000)"))),
            format!(
                "[sumIf(toFloat64(s.bytes) * rate / 1000, {of} AND rate > 1000), \
                 sumIf(toFloat64(s.q) * (rate / 1000) * (rate / 1000 - 1), {of} AND rate > 1000)] AS moments_{side}"
            ),
            format!(
                "{} AS bytes_unknown_rate_{side}",
                narrow(&format!("sumIf(toInt256(s.bytes), {of} AND rate = 0)"))
            ),
        ]);
    }
    let packets = "s.sampling_kind != 'flow' AND rate > 1000";
    let flows = "s.sampling_kind = 'flow' AND rate > 1000";
    all.extend([
        format!("maxIf(rate, {packets}) / 1000 AS packet_interval"),
        format!("sumIf(toFloat64(s.q), {packets}) AS packet_squares"),
        format!("sumIf(toFloat64(s.bytes), {packets}) AS packet_bytes"),
        format!("maxIf(rate, {flows}) / 1000 AS flow_interval"),
        format!("sumIf(toFloat64(s.q), {flows}) AS flow_squares"),
    ]);
    all.join(", ")
}

/// What is left of a key that was taken back is nothing.
const SOMETHING: &str =
    "sum(toInt256(s.flows)) != 0 OR sum(toInt256(s.packets)) != 0 OR sum(toInt256(s.bytes)) != 0";

const OBSERVED: &str = "s.observation = {observation:String}";

/// What all of a question's statements have in common.
pub struct Query<'q> {
    database: &'q str,
    question: &'q Question,
    filter: Option<String>,
    /// Values of the question, by the names that its statements have for them.
    pub parameters: Vec<(String, String)>,
}

impl<'q> Query<'q> {
    /// Of a question to this database.
    pub fn of(database: &'q str, question: &'q Question) -> Self {
        let fixed = [
            ("from", question.period.from.to_string()),
            ("to", question.period.to.to_string()),
            ("top", question.top.to_string()),
            ("observation", question.observation.word().to_owned()),
        ];
        let mut parameters: Vec<_> = fixed.map(|(name, value)| (name.to_owned(), value)).into();
        let filter = question.filter.as_ref().map(|filter| condition(filter, &mut parameters));
        Self { database, question, filter, parameters }
    }

    /// The top rows.
    pub fn top(&self) -> String {
        let keys: Vec<_> = self.question.by.iter().map(|dimension| dimension.expression()).collect();
        let (measures, body) = (measures(), self.body(OBSERVED));
        format!(
            "SELECT [{}] AS keys, {measures} {body} GROUP BY keys HAVING {SOMETHING} ORDER BY {} DESC, keys LIMIT {{top:UInt32}}",
            keys.join(", "),
            scaled("s.bytes", "s.direction IN ('in', 'out')"),
        )
    }

    /// Everything that the question covers.
    pub fn total(&self) -> String {
        format!("SELECT CAST([], 'Array(String)') AS keys, {} {}", measures(), self.body(OBSERVED))
    }

    /// Bytes of unknown rate among the records that count.
    pub fn unknown_rate(&self) -> String {
        self.not_in(&format!("{OBSERVED} AND rate = 0"))
    }

    /// Bytes of the records that don't count because of where they were observed.
    pub fn other_observation(&self) -> String {
        self.not_in(&format!("NOT ({OBSERVED})"))
    }

    /// Bytes that are not in, by exporter. Where nothing picks sides, every flow has both, and one of them stands for it.
    fn not_in(&self, which: &str) -> String {
        let mut tests = self.question.filter.iter().flat_map(|filter| filter.tests());
        let picks_sides = self.question.scope == Scope::Boundary
            || tests.any(|test| column(test.field).is_none_or(|column| column.of_side));
        let side = if picks_sides { "1" } else { "s.direction = 'in'" };
        format!(
            "SELECT {EXPORTER} AS exporter, toString(s.observation) AS observation, {} AS bytes, {} AS bytes_unknown_rate {} \
             GROUP BY exporter, observation HAVING bytes + bytes_unknown_rate > 0 \
             ORDER BY bytes DESC, bytes_unknown_rate DESC, exporter",
            narrow(&scaled("s.bytes", "1")),
            narrow("sumIf(toInt256(s.bytes), rate = 0)"),
            self.body(&format!("{side} AND {which}")),
        )
    }

    fn body(&self, which: &str) -> String {
        let mut conditions = vec![
            "s.time >= toDateTime({from:UInt32}, 'UTC')".to_owned(),
            "s.time < toDateTime({to:UInt32}, 'UTC')".to_owned(),
            which.to_owned(),
        ];
        if self.question.scope == Scope::Boundary {
            conditions.push("l.connectivity IN ('transit', 'ix', 'pni')".to_owned());
        }
        conditions.extend(self.filter.clone());
        let (database, slots) = (self.database, self.question.period.table.name);
        let late = late_rates(database);
        // A slot in which the first rate was announced counts as before it: its flows without a rate are those that came earlier.
        format!(
            "FROM {database}.{slots} AS s \
             LEFT JOIN (SELECT * FROM {database}.links FINAL) AS l ON l.exporter = s.exporter AND l.if_index = s.if_index \
                 AND s.time >= l.valid_from AND s.time < l.valid_to \
             LEFT JOIN (SELECT exporter, name FROM {database}.exporters FINAL) AS e ON e.exporter = s.exporter \
             LEFT JOIN (SELECT exporter, if_index, name, description FROM {database}.interfaces FINAL) AS i \
                 ON i.exporter = s.exporter AND i.if_index = s.if_index \
             LEFT JOIN (SELECT asn, name FROM {database}.asns FINAL) AS n ON n.asn = s.asn \
             LEFT JOIN (SELECT asn, name FROM {database}.asns FINAL) AS m ON m.asn = {NEIGHBOUR} \
             LEFT JOIN ({late}) AS r ON r.exporter = s.exporter \
             ARRAY JOIN [multiIf(s.sampling_interval > 0, s.sampling_interval, s.time <= r.since, r.late, 0)] AS rate \
             WHERE {}",
            conditions.join(" AND ")
        )
    }
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
    use crate::query::Counted;
    use crate::query::field::{Dimension, FIELDS};
    use crate::query::period::Period;
    use weir_filter::parse;
    use weir_schemas::rollup::ROLLUPS;

    fn question(filter: &str) -> Question {
        let period =
            Period { table: &ROLLUPS[0], from: 60, to: 120, asked_from: 60, seconds: 60, incomplete: 0 };
        let filter = Some(parse(filter, FIELDS).unwrap());
        Question {
            by: vec![Dimension::As],
            period,
            top: 3,
            scope: Scope::All,
            observation: Counted::Ingress,
            filter,
        }
    }

    #[test]
    fn no_value_of_a_question_is_part_of_its_sql() {
        let hostile = "'; DROP TABLE weir.flows --";
        let question = question(&format!("provider = \"{hostile}\" OR NOT exporter IN (\"{hostile}\", a)"));
        let query = Query::of("weir", &question);
        for sql in [query.top(), query.total(), query.unknown_rate(), query.other_observation()] {
            assert!(!sql.contains("DROP"), "{sql}");
            assert!(sql.contains("l.provider = {f4:String}"), "{sql}");
        }
        assert_eq!(query.parameters.iter().filter(|(_, value)| value == hostile).count(), 2);
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
                query.parameters[4..].iter().map(|(name, value)| format!("  {name} = {value}\n")).collect();
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
            let sql = Query::of("weir", &question).unknown_rate();
            assert_eq!(sql.contains("s.direction = 'in' AND s.observation"), once, "{filter}: {sql}");
        }
    }
}
