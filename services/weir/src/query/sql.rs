//! The SQL of a question: fixed pieces, chosen by what is asked; every value is a bound parameter.
//!
//! Links, names and late rates are joined here, when asked, never frozen into rows (COUNTING.md). Scaling is done in 128 bits.

use super::{Counted, Dimension, Question, Scope};
use weir_schemas::rollup::{ROLLUPS, Shape, Table};

/// Name of a dimension in answers.
pub fn name(dimension: Dimension) -> &'static str {
    match dimension {
        Dimension::As => "as",
        Dimension::Neighbour => "neighbour",
        Dimension::Link => "link",
        Dimension::Provider => "provider",
        Dimension::Connectivity => "connectivity",
        Dimension::Exporter => "exporter",
        Dimension::Interface => "interface",
        Dimension::Family => "family",
    }
}

fn expression(dimension: Dimension) -> &'static str {
    match dimension {
        Dimension::As => "if(s.asn = 0, 'own or unknown', concat('AS', toString(s.asn), ' ', n.name))",
        Dimension::Neighbour => {
            "if(s.neighbour_as = 0, 'unknown', concat('AS', toString(s.neighbour_as), ' ', m.name))"
        }
        Dimension::Link => "if(l.link = '', 'not classified', l.link)",
        Dimension::Provider => "if(l.provider = '', 'no provider', l.provider)",
        Dimension::Connectivity => "toString(l.connectivity)",
        Dimension::Exporter => {
            "if(e.name = '', replaceRegexpOne(IPv6NumToString(s.exporter), '^::ffff:', ''), e.name)"
        }
        Dimension::Interface => {
            "concat(if(e.name = '', replaceRegexpOne(IPv6NumToString(s.exporter), '^::ffff:', ''), e.name), ' ', \
             if(i.name = '', concat('ifIndex ', toString(s.if_index)), i.name))"
        }
        Dimension::Family => "if(s.family = 0, 'not IP', concat('IPv', toString(s.family)))",
    }
}

/// The coarsest table whose slots fit the question's ends.
pub fn table(question: &Question) -> &'static Table {
    let fits = |table: &&Table| {
        table.shape == Shape::Links
            && question.from.is_multiple_of(table.slot)
            && question.to.is_multiple_of(table.slot)
    };
    ROLLUPS.iter().filter(fits).max_by_key(|table| table.slot).unwrap_or(&ROLLUPS[0])
}

/// Values of the question, by the names that the SQL has for them.
pub fn parameters(question: &Question) -> Vec<(&'static str, String)> {
    let mut all = vec![
        ("from", question.from.to_string()),
        ("to", question.to.to_string()),
        ("top", question.top.to_string()),
    ];
    let optional = [
        ("provider", question.provider.clone()),
        ("connectivity", question.connectivity.clone()),
        ("exporter", question.exporter.clone()),
        ("asn", question.asn.map(|asn| asn.to_string())),
    ];
    all.extend(optional.into_iter().filter_map(|(name, value)| Some((name, value?))));
    all
}

/// The top rows.
pub fn top(database: &str, table: &Table, question: &Question) -> String {
    let keys: Vec<_> = question.by.iter().map(|dimension| expression(*dimension)).collect();
    let body = body(database, table, question);
    format!(
        "SELECT [{}] AS keys, {MEASURES} {body} GROUP BY keys ORDER BY bytes_in + bytes_out DESC, keys LIMIT {{top:UInt32}}",
        keys.join(", ")
    )
}

/// Everything that the question covers.
pub fn total(database: &str, table: &Table, question: &Question) -> String {
    format!("SELECT CAST([], 'Array(String)') AS keys, {MEASURES} {}", body(database, table, question))
}

/// `rate` is N in thousandths: as announced with the flows, else as announced later, else 0. Bernoulli variance is N(N−1)·Q
/// (COUNTING.md, "Error of an estimate").
const MEASURES: &str = "\
    toUInt64(intDiv(sumIf(toUInt128(s.bytes) * rate, s.direction = 'in'), 1000)) AS bytes_in, \
    toUInt64(intDiv(sumIf(toUInt128(s.bytes) * rate, s.direction = 'out'), 1000)) AS bytes_out, \
    toUInt64(intDiv(sum(toUInt128(s.packets) * rate), 1000)) AS packets, \
    toUInt64(sum(s.flows)) AS flows, \
    toUInt64(sumIf(s.packets, rate > 0)) AS samples, \
    1.96 * sqrt(sumIf(toFloat64(s.q) * (rate / 1000) * greatest(rate / 1000 - 1, 0), s.direction = 'in')) AS error_in, \
    1.96 * sqrt(sumIf(toFloat64(s.q) * (rate / 1000) * greatest(rate / 1000 - 1, 0), s.direction = 'out')) AS error_out, \
    toUInt64(intDiv(sumIf(toUInt128(s.bytes) * rate, s.sampling_interval = 0), 1000)) AS bytes_late_rate, \
    toUInt64(sumIf(s.bytes, rate = 0)) AS bytes_unknown_rate";

fn body(database: &str, table: &Table, question: &Question) -> String {
    let observation = match question.observation {
        Counted::Ingress => "ingress",
        Counted::Egress => "egress",
    };
    let mut conditions = vec![
        "s.time >= toDateTime({from:UInt32}, 'UTC')".to_owned(),
        "s.time < toDateTime({to:UInt32}, 'UTC')".to_owned(),
        format!("s.observation = '{observation}'"),
    ];
    if question.scope == Scope::Boundary {
        conditions.push("l.connectivity IN ('transit', 'ix', 'pni')".to_owned());
    }
    let optional = [
        (question.provider.is_some(), "l.provider = {provider:String}"),
        (question.connectivity.is_some(), "toString(l.connectivity) = {connectivity:String}"),
        (
            question.exporter.is_some(),
            "(e.name = {exporter:String} OR s.exporter = toIPv6OrDefault({exporter:String}))",
        ),
        (question.asn.is_some(), "s.asn = {asn:UInt32}"),
    ];
    conditions
        .extend(optional.into_iter().filter(|(asked, _)| *asked).map(|(_, condition)| condition.to_owned()));
    let slots = table.name;
    // A late rate counts where the exporter has announced just one: which of several it would be is not known.
    format!(
        "FROM {database}.{slots} AS s \
         LEFT JOIN (SELECT * FROM {database}.links FINAL) AS l ON l.exporter = s.exporter AND l.if_index = s.if_index \
             AND s.time >= l.valid_from AND s.time < l.valid_to \
         LEFT JOIN (SELECT exporter, name FROM {database}.exporters FINAL) AS e ON e.exporter = s.exporter \
         LEFT JOIN (SELECT exporter, if_index, name FROM {database}.interfaces FINAL) AS i \
             ON i.exporter = s.exporter AND i.if_index = s.if_index \
         LEFT JOIN (SELECT asn, name FROM {database}.asns FINAL) AS n ON n.asn = s.asn \
         LEFT JOIN (SELECT asn, name FROM {database}.asns FINAL) AS m ON m.asn = s.neighbour_as \
         LEFT JOIN (SELECT exporter, any(sampling_interval) AS late FROM {database}.rates FINAL GROUP BY exporter \
             HAVING uniqExact(sampling_interval) = 1) AS r ON r.exporter = s.exporter \
         ARRAY JOIN [if(s.sampling_interval > 0, s.sampling_interval, r.late)] AS rate \
         WHERE {}",
        conditions.join(" AND ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question() -> Question {
        Question {
            by: vec![Dimension::As],
            from: 3600,
            to: 7200,
            top: 3,
            scope: Scope::All,
            observation: Counted::Ingress,
            provider: None,
            connectivity: None,
            exporter: None,
            asn: None,
        }
    }

    #[test]
    fn the_coarsest_table_that_answers_exactly_is_read() {
        let of = |from, to| table(&Question { from, to, ..question() }).name;
        assert_eq!(of(3600, 7200), "links_1h");
        assert_eq!(of(3600, 7500), "links_5m");
        assert_eq!(of(3660, 7200), "links_1m");
    }

    #[test]
    fn no_value_of_a_question_is_part_of_its_sql() {
        let hostile = "'; DROP TABLE weir.flows --";
        let question = Question {
            provider: Some(hostile.into()),
            connectivity: Some(hostile.into()),
            exporter: Some(hostile.into()),
            ..question()
        };
        for sql in [top("weir", table(&question), &question), total("weir", table(&question), &question)] {
            assert!(!sql.contains("DROP"), "{sql}");
            assert!(sql.contains("{provider:String}"), "{sql}");
        }
        assert_eq!(parameters(&question).iter().filter(|(_, value)| value == hostile).count(), 3);
    }
}
