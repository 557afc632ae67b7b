//! An answer as a table for people: aligned, with units, and with words where a number would mislead.

use super::{Answer, Question, Row, Scope};
use std::fmt::Write;

/// Samples below which no normal interval is claimed (COUNTING.md, "Error of an estimate").
const FEW: u64 = 300;

/// Bits a second with an SI prefix.
fn rate(bytes: u64, seconds: f64) -> String {
    let mut value = bytes as f64 * 8.0 / seconds;
    for unit in ["bit/s", "kbit/s", "Mbit/s", "Gbit/s"] {
        if value < 1000.0 {
            return format!("{value:.1} {unit}");
        }
        value /= 1000.0;
    }
    format!("{value:.1} Tbit/s")
}

/// Bytes with an SI prefix.
fn size(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "kB", "MB", "GB", "TB"] {
        if value < 1000.0 {
            return format!("{value:.1} {unit}");
        }
        value /= 1000.0;
    }
    format!("{value:.1} PB")
}

fn error(row: &Row) -> String {
    let bytes = (row.bytes_in + row.bytes_out) as f64;
    // Below this the normal interval is too narrow to be shown.
    if row.error_in + row.error_out > 0.0 && row.samples < FEW {
        return "few samples".to_owned();
    }
    // In and out of one sum can be the same packets (COUNTING.md), so the bound adds half-widths.
    if bytes == 0.0 {
        String::new()
    } else {
        format!("±{:.1} %", 100.0 * (row.error_in + row.error_out) / bytes)
    }
}

/// The table.
pub fn text(question: &Question, answer: &Answer) -> String {
    let seconds = f64::from(answer.to - answer.from);
    let all = (answer.total.bytes_in + answer.total.bytes_out).max(1) as f64;
    let mut heads = answer.by.clone();
    heads.extend(["in", "out", "share", "95 %"].map(str::to_owned));
    let line = |keys: Vec<String>, row: &Row| {
        let mut cells = keys;
        cells.push(rate(row.bytes_in, seconds));
        cells.push(rate(row.bytes_out, seconds));
        cells.push(format!("{:.1} %", 100.0 * (row.bytes_in + row.bytes_out) as f64 / all));
        cells.push(error(row));
        cells
    };
    let mut lines: Vec<Vec<String>> = answer.rows.iter().map(|row| line(row.keys.clone(), row)).collect();
    let mut keys = vec![String::new(); answer.by.len()];
    if let Some(first) = keys.first_mut() {
        "total".clone_into(first);
    }
    lines.push(line(keys, &answer.total));
    let width = |column: usize| {
        lines.iter().chain([&heads]).map(|cells| cells[column].chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..heads.len()).map(width).collect();
    let mut out = String::new();
    for (number, cells) in [&heads].into_iter().chain(&lines).enumerate() {
        for (column, (cell, width)) in cells.iter().zip(&widths).enumerate() {
            let pad = " ".repeat(width - cell.chars().count());
            let _ = if column < answer.by.len() {
                write!(out, "{cell}{pad}  ")
            } else {
                write!(out, "{pad}{cell}  ")
            };
        }
        out.truncate(out.trim_end().len());
        out.push('\n');
        if number == 0 || number == lines.len() - 1 {
            let _ = writeln!(out, "{}", "─".repeat(widths.iter().sum::<usize>() + 2 * (widths.len() - 1)));
        }
    }
    let minutes = (answer.to - answer.from) / 60;
    let _ = writeln!(
        out,
        "\nAverages over {minutes} minutes, scaled by the sampling rate, from {}.",
        answer.table
    );
    if answer.total.bytes_late_rate > 0 {
        let _ = writeln!(
            out,
            "{} of it came before its exporter announced a sampling rate, and is scaled by the one announced later.",
            size(answer.total.bytes_late_rate)
        );
    }
    if answer.total.bytes_unknown_rate > 0 {
        let _ = writeln!(
            out,
            "{} as sampled are not in: their exporters have announced no sampling rate.",
            size(answer.total.bytes_unknown_rate)
        );
    }
    if answer.rows.is_empty() && question.scope == Scope::Boundary {
        out.push_str("No traffic on transit, IX or PNI links. Classify links in decoder.enrich.links, or ask with --scope all.\n");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::{Counted, Dimension};

    fn row(keys: &[&str], bytes_in: u64, bytes_out: u64) -> Row {
        Row {
            keys: keys.iter().map(|key| (*key).to_owned()).collect(),
            bytes_in,
            bytes_out,
            packets: 10,
            flows: 5,
            samples: bytes_in / 1000,
            error_in: bytes_in as f64 / 100.0,
            error_out: 0.0,
            bytes_late_rate: 0,
            bytes_unknown_rate: 0,
        }
    }

    #[test]
    fn an_answer_reads_well() {
        let question = Question {
            by: vec![Dimension::As, Dimension::Link],
            from: 0,
            to: 3600,
            top: 2,
            scope: Scope::Boundary,
            observation: Counted::Ingress,
            provider: None,
            connectivity: None,
            exporter: None,
            asn: None,
        };
        let answer = Answer {
            table: "links_1h",
            from: 0,
            to: 3600,
            by: vec!["as".into(), "link".into()],
            rows: vec![
                row(&["AS3320 Deutsche Telekom", "transit-A"], 900_000_000_000, 100_000_000_000),
                row(&["AS174 Cogent", "LAN-IX"], 45_000, 0),
            ],
            total: Row {
                bytes_unknown_rate: 5000,
                bytes_late_rate: 7_000_000,
                ..row(&[], 900_045_000_000, 100_000_000_000)
            },
        };
        insta::assert_snapshot!(text(&question, &answer));
    }
}
