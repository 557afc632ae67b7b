//! An answer as CSV (RFC 4180), for spreadsheets.
//!
//! What must stay true: a name that a router or a database made up is text in a spreadsheet, and never a formula.

use crate::body::media_type;
use crate::problem::Problem;
use crate::query::{Answer, Row};
use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use csv::{QuoteStyle, WriterBuilder};

/// As OpenAPI and answers name it.
pub(crate) const CSV: &str = "text/csv";

/// Whether somebody who accepts this asks for CSV.
pub(crate) fn wanted(headers: &HeaderMap) -> bool {
    let accepts =
        headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).flat_map(|all| all.split(','));
    accepts
        .map(media_type)
        .find(|kind| matches!(kind.as_str(), CSV | "application/json" | "*/*"))
        .is_some_and(|kind| kind == CSV)
}

/// The answer's rows with a line of names above them.
pub(crate) fn response(answer: &Answer) -> Result<Response, Problem> {
    let text = text(answer).map_err(|error| Problem::defect(&error))?;
    Ok(([(CONTENT_TYPE, "text/csv; charset=utf-8; header=present")], text).into_response())
}

fn text(answer: &Answer) -> Result<String, csv::Error> {
    let mut out = WriterBuilder::new().quote_style(QuoteStyle::Necessary).from_writer(Vec::new());
    let heads = amounts(&Row::default());
    out.write_record(answer.by.iter().chain(heads.keys()))?;
    for row in &answer.rows {
        let names = row.keys.iter().map(|name| harmless(name));
        out.write_record(names.chain(amounts(row).values().map(ToString::to_string)))?;
    }
    let bytes = out.into_inner().map_err(|error| error.into_error())?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// All of a row but its names, in the order in which JSON has them.
fn amounts(row: &Row) -> serde_json::Map<String, serde_json::Value> {
    let Ok(serde_json::Value::Object(mut all)) = serde_json::to_value(row) else {
        return serde_json::Map::new();
    };
    all.shift_remove("keys");
    all
}

/// What a spreadsheet takes for a formula begins with a quote here, by which it knows text (OWASP, CSV Injection).
fn harmless(name: &str) -> String {
    if name.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{name}") } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(keys: &[&str]) -> Answer {
        let row = |key: &&str| Row {
            keys: vec![(*key).to_owned(), "L".to_owned()],
            bytes_in: u64::MAX,
            low_in: 0.5,
            ..Row::default()
        };
        Answer {
            table: "links_1h",
            from: 0,
            to: 3600,
            asked_from: 0,
            seconds: 3600,
            incomplete_seconds: 0,
            observation: "ingress",
            by: vec!["as".into(), "link".into()],
            rows: keys.iter().map(row).collect(),
            total: Row::default(),
            unknown_rate: Vec::new(),
            other_observation: Vec::new(),
        }
    }

    #[test]
    fn rows_lie_below_their_names_and_no_name_is_a_formula() {
        let names = [
            "AS174 Cogent",
            "=HYPERLINK(\"http://example.org\")",
            "+1",
            "-1",
            "@SUM(A1)",
            "\t=1",
            "a, \"b\"\nc",
            "AS1 Söhne",
        ];
        insta::assert_snapshot!(text(&answer(&names)).unwrap());
    }

    #[test]
    fn of_what_is_accepted_the_first_counts() {
        for (accept, csv) in [
            ("text/csv", true),
            ("TEXT/CSV; charset=utf-8", true),
            ("application/json, text/csv", false),
            ("text/html, text/csv;q=0.9, */*;q=0.8", true),
            ("*/*", false),
            ("text/html", false),
        ] {
            assert_eq!(wanted(&HeaderMap::from_iter([(ACCEPT, accept.parse().unwrap())])), csv, "{accept}");
        }
        assert!(!wanted(&HeaderMap::new()));
    }
}
