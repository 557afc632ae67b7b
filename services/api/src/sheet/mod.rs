//! Answers as CSV (RFC 4180), for spreadsheets.
//!
//! What must stay true: a name that a router or a database made up is text in a spreadsheet, and never a formula.

mod lists;

use crate::body::media_type;
use crate::problem::Problem;
use crate::query::{Answer, Row, Series};
use axum::Json;
use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use csv::{QuoteStyle, Writer, WriterBuilder};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

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

/// What can be lines, with a line of names above them.
pub(crate) trait Lines {
    /// Writes them. None of the errors of writing can happen: the library can't tell that memory takes everything.
    fn write(&self, out: &mut Writer<Vec<u8>>) -> Result<(), csv::Error>;
}

/// The answer in the form that is accepted first.
pub(crate) fn response<A: Lines + Serialize>(headers: &HeaderMap, answer: A) -> Result<Response, Problem> {
    if !wanted(headers) {
        return Ok(Json(answer).into_response());
    }
    let text = written(&answer).map_err(|error| Problem::defect(&error))?;
    Ok(([(CONTENT_TYPE, "text/csv; charset=utf-8; header=present")], text).into_response())
}

fn written(answer: &impl Lines) -> Result<String, csv::Error> {
    let mut out = WriterBuilder::new().quote_style(QuoteStyle::Necessary).from_writer(Vec::new());
    answer.write(&mut out)?;
    let bytes = out.into_inner().map_err(|error| error.into_error())?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The rows as CSV with a line of names above them: one a row; where there is a series, one a row and slot.
///
/// # Errors
/// None that can happen: the library can't tell that memory takes everything.
pub fn text(answer: &Answer) -> Result<String, csv::Error> {
    written(answer)
}

impl Lines for Answer {
    fn write(&self, out: &mut Writer<Vec<u8>>) -> Result<(), csv::Error> {
        match &self.series {
            Some(series) => slots(self, series, out),
            None => sums(self, out),
        }
    }
}

fn sums(answer: &Answer, out: &mut Writer<Vec<u8>>) -> Result<(), csv::Error> {
    let head = amounts(answer.rows.first().or(answer.other.as_ref()).unwrap_or(&Row::default()));
    out.write_record(answer.by.iter().map(String::as_str).chain(head.iter().map(|(name, _)| name.as_str())))?;
    for (keys, row) in named(answer) {
        // What is beyond the rows has no peaks of its own: their places stay empty.
        let mut amounts: BTreeMap<_, _> = amounts(row).into_iter().collect();
        out.write_record(keys.chain(head.iter().map(|(name, _)| amounts.remove(name).unwrap_or_default())))?;
    }
    Ok(())
}

fn slots(answer: &Answer, series: &Series, out: &mut Writer<Vec<u8>>) -> Result<(), csv::Error> {
    let columns = answer.by.iter().map(String::as_str);
    out.write_record(["start"].into_iter().chain(columns).chain(["bytes_in", "bytes_out"]))?;
    for (keys, row) in named(answer) {
        let (keys, Some(bytes)) = (keys.collect::<Vec<_>>(), &row.series) else { continue };
        for ((start, bytes_in), bytes_out) in series.starts.iter().zip(&bytes.bytes_in).zip(&bytes.bytes_out)
        {
            let start = time(*start);
            let amounts = [bytes_in.to_string(), bytes_out.to_string()];
            out.write_record([start].into_iter().chain(keys.iter().cloned()).chain(amounts))?;
        }
    }
    Ok(())
}

fn time(seconds: u32) -> String {
    Timestamp::from_second(i64::from(seconds)).unwrap_or_default().to_string()
}

/// Rows by their names, and what is not in them by the name of other.
fn named(answer: &Answer) -> impl Iterator<Item = (impl Iterator<Item = String>, &Row)> {
    let other = answer.other.iter().map(|row| {
        let mut keys = vec![String::new(); answer.by.len()];
        keys.iter_mut().take(1).for_each(|key| "other".clone_into(key));
        (keys, row)
    });
    let rows = answer.rows.iter().map(|row| (row.keys.iter().map(|name| harmless(name)).collect(), row));
    rows.chain(other).map(|(keys, row)| (keys.into_iter(), row))
}

/// All of a row but its names, number and series, in the order in which JSON has them; what lies within another has both names.
fn amounts(row: &Row) -> Vec<(String, String)> {
    let Ok(Value::Object(all)) = serde_json::to_value(row) else { return Vec::new() };
    let fields = all.into_iter().filter(|(name, _)| !matches!(name.as_str(), "keys" | "asn" | "series"));
    let flat = fields.flat_map(|(name, value)| match value {
        Value::Object(inner) => {
            inner.into_iter().map(|(part, value)| (format!("{name}_{part}"), value.to_string())).collect()
        }
        value => vec![(name, value.to_string())],
    });
    flat.collect()
}

/// What a spreadsheet takes for the begin of a formula.
const FORMULA: [char; 8] = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];
/// What some spreadsheet, somewhere, ends a cell at, whatever this file ends them at.
const CELL: [char; 6] = [',', ';', '|', '\t', '\r', '\n'];

/// Wherever a spreadsheet could take what follows for a formula a quote stands, by which it knows text (OWASP, CSV Injection).
fn harmless(name: &str) -> String {
    let mut text = String::with_capacity(name.len() + 1);
    if name.starts_with(['\t', '\r']) {
        text.push('\'');
    }
    let mut cell = Some(text.len());
    for character in name.chars() {
        if let Some(begin) = cell
            && FORMULA.contains(&character)
        {
            text.insert(begin, '\'');
        }
        text.push(character);
        if CELL.contains(&character) {
            cell = Some(text.len());
        } else if !character.is_whitespace() {
            cell = None;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::{Bytes, Peaks, Previous};

    fn answer(keys: &[&str]) -> Answer {
        let row = |key: &&str| Row {
            keys: vec![(*key).to_owned(), "L".to_owned()],
            bytes_in: u64::MAX,
            low_in: 0.5,
            ..Row::default()
        };
        let by = vec!["as".into(), "link".into()];
        Answer { by, rows: keys.iter().map(row).collect(), ..Answer::default() }
    }

    #[test]
    fn what_else_is_asked_lies_beside_sums_and_a_series_has_a_line_a_slot() {
        let mut answer = answer(&["AS174 Cogent"]);
        let row = Row {
            peaks: Some(Peaks::default()),
            previous: Some(Previous::default()),
            ..answer.rows[0].clone()
        };
        answer.other = Some(Row { keys: Vec::new(), peaks: None, ..row.clone() });
        answer.rows = vec![row];
        let beside = text(&answer).unwrap();
        let starts = vec![1_790_000_000, 1_790_000_060];
        answer.series = Some(Series { interval: 60, starts, tables: vec!["links_1m"] });
        answer.rows[0].series = Some(Bytes { bytes_in: vec![1, 2], bytes_out: vec![3, 4] });
        insta::assert_snapshot!(beside + "\n" + &text(&answer).unwrap());
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
            " =1",
            "Transit; =1, -1",
            "edge-1 a=b",
            "＝1",
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
