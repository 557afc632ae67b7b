//! The language as people write it: what a filter is read as, and what is said of one that is wrong.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use weir_filter::{Compare, Expr, Field, Kind, MAX_BYTES, MAX_DEPTH, MAX_VALUES, Test, Value, parse};

const WORDS: &[&str] = &["transit", "ix", "pni", "customer", "core", "unknown"];
static FIELDS: [Field; 8] = [
    Field { name: "direction", kind: Kind::Word(&["in", "out"]), doc: "" },
    Field { name: "as", kind: Kind::Asn, doc: "" },
    Field { name: "connectivity", kind: Kind::Word(WORDS), doc: "" },
    Field { name: "exporter", kind: Kind::Text, doc: "" },
    Field { name: "provider", kind: Kind::Text, doc: "" },
    Field { name: "src_addr", kind: Kind::Address, doc: "" },
    Field { name: "dst_port", kind: Kind::Number(65_535), doc: "" },
    Field { name: "src_country", kind: Kind::Country, doc: "" },
];

#[test]
fn filters_are_read_as_they_are_meant() {
    for (filter, read) in [
        ("as = 15169", "as = 15169"),
        ("AS = as15169", "as = 15169"),
        ("connectivity = Transit", "connectivity = transit"),
        ("a", ""),
        ("as=1 or as=2 and as=3", "as = 1 OR (as = 2 AND as = 3)"),
        ("(as=1 or as=2) and not as=3", "(as = 1 OR as = 2) AND NOT as = 3"),
        ("not as=1 and as=2", "NOT as = 1 AND as = 2"),
        ("NOT NOT (as=1)", "NOT NOT as = 1"),
        ("as=1 AND as=2 AND as=3", "as = 1 AND as = 2 AND as = 3"),
        ("as in (AS1.10, 2906)", "as IN (65546, 2906)"),
        ("as not in (1)", "as NOT IN (1)"),
        ("as in 1", "as IN (1)"),
        ("direction = in and not direction in (in, OUT)", "direction = in AND NOT direction IN (in, out)"),
        ("dst_port>=1024 and dst_port<49152", "dst_port >= 1024 AND dst_port < 49152"),
        ("src_addr in 10.0.0.0/8", "src_addr IN (10.0.0.0/8)"),
        ("src_addr in (2001:db8::/32, 192.0.2.1)", "src_addr IN (2001:db8::/32, 192.0.2.1)"),
        ("exporter = xe-0/0/1.100", "exporter = \"xe-0/0/1.100\""),
        ("exporter = 'say \"hi\"'", "exporter = \"say \\\"hi\\\"\""),
        ("provider = \"Café & Söhne; --\"", "provider = \"Café & Söhne; --\""),
        ("src_country=de", "src_country = DE"),
        ("provider = \"not\"", "provider = \"not\""),
    ] {
        match parse(filter, &FIELDS) {
            Ok(expr) => assert_eq!(expr.to_string(), read, "{filter}"),
            Err(fault) => assert!(read.is_empty(), "{}", fault.shown(filter)),
        }
    }
}

#[test]
fn what_is_wrong_is_said_with_its_place_and_the_mend() {
    let deep = format!("{}as = 1", "NOT ".repeat(MAX_DEPTH + 1));
    let wrong = [
        "",
        "   ",
        "conectivity = transit",
        "zzz = 1",
        "connectivity = transet",
        "connectivity < transit",
        "as",
        "as = ",
        "as = google",
        "as = 4294967296",
        "as == 1",
        "as = 1 && as = 2",
        "as = 1 adn as = 2",
        "as = 1 as = 2",
        "as <> 1",
        "!as = 1",
        "as not 1",
        "as in (1 2)",
        "as in (1, ",
        "as in ()",
        "(as = 1",
        "as = 1)",
        "exporter = edge 1",
        "exporter = \"edge 1",
        "exporter = and",
        "exporter = a;b",
        "src_addr = 10.0.0.0/8",
        "src_addr != 10.0.0.0/8",
        "src_addr in 10.0.0.0/33",
        "dst_port = 65536",
        "Ärger = 1",
        "as = 1 and\n  dst_port = many",
        "and = 1",
        &deep,
    ];
    let shown: Vec<_> =
        wrong.iter().map(|filter| parse(filter, &FIELDS).unwrap_err().shown(filter)).collect();
    insta::assert_snapshot!(shown.join("\n\n"));
}

#[test]
fn what_is_suggested_brings_a_filter_further_when_it_is_written_there() {
    for (filter, mended) in [
        ("src_addr = 10.0.0.0/8", Ok("src_addr IN (10.0.0.0/8)")),
        ("src_addr!=10.0.0.0/8", Ok("src_addr NOT IN (10.0.0.0/8)")),
        ("!as=1", Ok("NOT as = 1")),
        ("as=1&&as=2", Ok("as = 1 AND as = 2")),
        ("as = 1 || as = 2", Ok("as = 1 OR as = 2")),
        ("as == 1", Ok("as = 1")),
        ("as = 1 adn as = 2", Ok("as = 1 AND as = 2")),
        ("conectivity=transit", Ok("connectivity = transit")),
        ("connectivity = transet", Ok("connectivity = transit")),
        ("exporter = edge 1", Ok("exporter = \"edge 1\"")),
        ("connectivity < 1", Err("1 is nothing that connectivity has")),
    ] {
        let fault = parse(filter, &FIELDS).unwrap_err();
        let mut written = filter.to_owned();
        written.replace_range(fault.span.clone(), fault.suggestion.as_ref().unwrap());
        match (parse(&written, &FIELDS), mended) {
            (Ok(expr), Ok(mended)) => assert_eq!(expr.to_string(), mended, "{written}"),
            (Err(fault), Err(sentence)) => assert!(fault.message.starts_with(sentence), "{fault}"),
            (other, _) => panic!("{written}: {other:?}"),
        }
    }
}

#[test]
fn a_place_is_counted_in_characters() {
    let filter = "provider = \"Söhne\" and zzz = 1";
    let fault = parse(filter, &FIELDS).unwrap_err();
    assert_eq!(&filter[fault.span.clone()], "zzz");
    let shown = fault.shown(filter);
    let mark = shown.lines().last().unwrap();
    assert_eq!(mark, format!("  {}^^^", " ".repeat(23)));
}

#[test]
fn nothing_is_longer_or_deeper_than_it_may_be() {
    let list = |count: usize| format!("as in ({})", vec!["1"; count].join(","));
    let nested = |depth: usize| format!("{}as = 1{}", "(".repeat(depth), ")".repeat(depth));
    for (fits, does_not) in [
        (list(MAX_VALUES), list(MAX_VALUES + 1)),
        (nested(MAX_DEPTH - 1), nested(MAX_DEPTH)),
        (format!("as = 1{}", " ".repeat(MAX_BYTES - 6)), format!("as = 1{}", " ".repeat(MAX_BYTES - 5))),
    ] {
        parse(&fits, &FIELDS).unwrap();
        assert!(parse(&does_not, &FIELDS).is_err());
    }
    // Deeper than any stack, were it read.
    assert!(parse(&"(".repeat(MAX_BYTES), &FIELDS).is_err());
}

#[test]
fn all_tests_of_a_filter_are_found() {
    let expr = parse("as = 1 or not (dst_port = 2 and as in (3))", &FIELDS).unwrap();
    let names: Vec<_> = expr.tests().iter().map(|test| test.field.name).collect();
    assert_eq!(names, ["as", "dst_port", "as"]);
}

fn value(field: &'static Field) -> BoxedStrategy<Value> {
    match field.kind {
        Kind::Number(most) => (0..=most).prop_map(Value::Number).boxed(),
        Kind::Asn => any::<u32>().prop_map(|asn| Value::Number(u64::from(asn))).boxed(),
        Kind::Text => ".*".prop_map(Value::Text).boxed(),
        Kind::Word(words) => prop::sample::select(words).prop_map(Value::Word).boxed(),
        Kind::Address => any::<std::net::IpAddr>().prop_map(Value::Address).boxed(),
        Kind::Country => {
            "[A-Z]{2}".prop_map(|text| Value::Country(text.as_bytes().try_into().unwrap())).boxed()
        }
    }
}

fn test() -> impl Strategy<Value = Expr> {
    prop::sample::select(&FIELDS[..]).prop_flat_map(|field| {
        let field = FIELDS.iter().find(|one| one.name == field.name).unwrap();
        let one = (
            prop::sample::select(&[Compare::Equal, Compare::Unequal][..]),
            prop::collection::vec(value(field), 1),
        );
        let many = (
            prop::sample::select(&[Compare::In, Compare::NotIn][..]),
            prop::collection::vec(value(field), 1..5),
        );
        prop_oneof![one, many].prop_map(move |(compare, values)| Expr::Test(Test { field, compare, values }))
    })
}

fn expr() -> impl Strategy<Value = Expr> {
    test().prop_recursive(5, 40, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(Expr::All),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Expr::Any),
            inner.prop_map(|inner| Expr::Not(Box::new(inner))),
        ]
    })
}

proptest! {
    #[test]
    fn a_tree_that_is_written_out_is_read_as_the_same_tree(expr in expr()) {
        let written = expr.to_string();
        let read = parse(&written, &FIELDS);
        prop_assert_eq!(read.as_ref(), Ok(&expr), "{}", written);
    }

    #[test]
    fn any_text_is_read_or_refused_at_a_place_of_it(filter in "[a-z0-9 ()=!<>,\"'./:\\\\äAND]{0,60}|.*") {
        if let Err(fault) = parse(&filter, &FIELDS) {
            prop_assert!(filter.get(fault.span.clone()).is_some(), "{:?}", fault);
            fault.shown(&filter);
        }
    }

    #[test]
    fn any_words_of_the_language_are_read_or_refused(words in prop::collection::vec(
        prop::sample::select(&["as", "connectivity", "=", "!=", "<", "in", "not", "and", "or", "(", ")", ",", "1", "transit", "10.0.0.0/8", "\"x\""][..]), 0..20)) {
        let filter = words.join(" ");
        if let Ok(expr) = parse(&filter, &FIELDS) {
            prop_assert_eq!(parse(&expr.to_string(), &FIELDS), Ok(expr));
        }
    }
}
