//! What statements say: no values, what they name and no more.

use super::changes::Changes;
use super::field::{Dimension, FIELDS};
use super::interval::Slots;
use super::period::{Kept, Period, Window};
use super::reading::Tables;
use super::slots::InSlots;
use super::sql::{Of, Statement, Value, names};
use super::sums::{Query, Times};
use super::{Counted, Detail, Order, Question, Scope};
use std::collections::BTreeMap;
use std::sync::LazyLock;
use weir_filter::parse;

const WINDOW: Window = Window { from: 60, to: 120 };
const TIMES: Times = Times { now: WINDOW, before: None };
/// Nothing changes.
static NONE: LazyLock<Changes> = LazyLock::new(Changes::default);

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
        .flat_map(|of| [query.sums(&TIMES, of), query.slots(&InSlots::of(&in_slots()).unwrap(), of)])
        .chain([
            query.top(&WINDOW, false),
            query.top(&WINDOW, true),
            query.total(&TIMES),
            query.without(&WINDOW, some, query),
        ])
        .map(Result::unwrap)
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
        let picks = Query::of("weir", &question, &NONE).picks_sides();
        assert_eq!(!picks, once, "{filter}");
    }
}

#[test]
fn a_statement_reads_and_joins_what_it_names_and_no_more() {
    let question = question("provider = a");
    let query = Query::of("weir", &question, &NONE);
    let total = query.sums(&TIMES, Of::Total).unwrap().sql;
    for absent in ["t.asn", "t.family", "weir.asns", "weir.interfaces FINAL", "weir.exporters"] {
        assert!(!total.contains(absent), "{absent}: {total}");
    }
    let top = query.top(&WINDOW, false).unwrap().sql;
    assert!(top.contains("t.asn AS asn") && !top.contains("weir.exporters"), "{top}");
    let peaks = query.slots(&InSlots::of(&in_slots()).unwrap(), Of::Total).unwrap().sql;
    assert!(peaks.contains("t.packets AS packets") && !peaks.contains("t.q"), "{peaks}");
    assert!(names("a(n.name)", "n.") && !names("l.cn.x", "n.") && !names("in.x", "n."));
}

#[test]
fn a_row_is_looked_up_once_where_the_interfaces_of_links_are_known() {
    let changes = |index: u32| -> Changes {
        let tests = serde_json::json!([{"unclassified": false, "others": [["::1", index]]}]);
        let none: [u32; 0] = [];
        serde_json::from_value(serde_json::json!({"begin": 60, "links": none, "rates": none, "tests": tests}))
            .unwrap()
    };
    let question = Question { observation: Counted::Chosen, ..question("connectivity = transit") };
    let (of_rows, of_all) = (changes(7), changes(8));
    let query = Query::of("weir", &question, &of_rows);
    const AT_ONCE: &str = "(t.exporter, t.if_index, t.direction, t.observation) IN {among0:";
    let top = query.top(&WINDOW, false).unwrap();
    assert!(top.sql.contains(AT_ONCE) && !top.sql.contains("interfaces0"), "{}", top.sql);
    // What doesn't count is told, too.
    let total = query.total(&TIMES).unwrap();
    assert!(total.sql.contains("(t.exporter, t.if_index) IN {interfaces0:") && !total.sql.contains(AT_ONCE));
    let carried = Query::of("weir", &question, &of_all);
    let keys = [vec!["174".to_owned()]];
    let without = query.without(&WINDOW, Of::Rows(&keys, &[174]), &carried).unwrap();
    let named = |name: &str| {
        let found = without.parameters.iter().find(|(other, _)| other == name);
        serde_json::to_string(&found.unwrap().1).unwrap()
    };
    assert!(without.sql.contains("IN {among0:") && without.sql.contains("IN {beside_among0:"));
    assert_eq!(named("among0"), r#"[["::1",7,"in","ingress"],["::1",7,"out","ingress"]]"#);
    assert_eq!(named("beside_among0"), r#"[["::1",8,"in","ingress"],["::1",8,"out","ingress"]]"#);
    let by_hand = Question { observation: Counted::Egress, ..question.clone() };
    let by_hand = Query::of("weir", &by_hand, &of_rows).top(&WINDOW, false).unwrap().sql;
    assert!(by_hand.contains("IN {interfaces0:") && by_hand.contains("t.observation = {observation:String}"));
}

#[test]
fn of_two_statements_in_one_each_has_the_values_of_its_own_names() {
    let of = |asn: &str| {
        let parameters = [("f0", asn), ("from", "60")];
        let parameters = parameters.map(|(name, value)| (name.to_owned(), Value::One(value.to_owned())));
        Statement::of("SELECT {f0:UInt64} + {from:UInt32} + {f01:UInt32}".to_owned(), parameters)
    };
    let other = of("3320").beside(&of("174"));
    assert_eq!(other.sql, "SELECT {beside_f0:UInt64} + {from:UInt32} + {f01:UInt32}");
    let names: Vec<_> = other.parameters.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["beside_f0", "from"]);
}
