//! A report as one page that needs nothing else: no script, no font, no request.

use super::Report;
use super::content::{Block, blocks, word};
use std::fmt::Write;

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1c2430;--paper:#fff;--line:#d7dce2;--soft:#5d6b7a;--good:#1a7f4b;--bad:#b3261e;--odd:#9a6700}\
@media(prefers-color-scheme:dark){:root{--ink:#e4e9ef;--paper:#12161c;--line:#303946;--soft:#9aa8b7;--good:#4cc38a;--bad:#ff8a80;--odd:#e3b341}}\
body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:var(--ink);background:var(--paper)}\
h1{font-size:1.6rem}h1 span{font-size:1rem;padding:.15rem .6rem;border-radius:1rem;border:2px solid;vertical-align:middle;margin-left:.5rem}\
.pass{color:var(--good)}.fail{color:var(--bad)}.invalid{color:var(--odd)}\
.scroll{overflow-x:auto}table{border-collapse:collapse;margin:1rem 0;font-variant-numeric:tabular-nums}\
th,td{padding:.25rem .75rem;border-bottom:1px solid var(--line);text-align:left;white-space:nowrap}\
th{color:var(--soft);font-weight:500}.n{text-align:right}td:last-child{white-space:normal}\
svg{max-width:100%;height:auto;margin:.5rem 0;background:#fff;border-radius:4px}li{color:var(--bad)}";

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A sentence; what stands between backticks is to be typed.
fn sentence(text: &str) -> String {
    let mut out = String::new();
    for (number, piece) in escaped(text).split('`').enumerate() {
        out += if number == 0 {
            ""
        } else if number % 2 == 1 {
            "<code>"
        } else {
            "</code>"
        };
        out += piece;
    }
    out
}

/// The page.
pub fn page(report: &Report) -> String {
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{}: {}</title><style>{STYLE}</style></head><body>\n",
        escaped(&report.scenario.name),
        word(report.verdict)
    );
    for block in blocks(report) {
        let _ = match block {
            Block::Title(name, verdict) => {
                let word = word(verdict);
                writeln!(out, "<h1>{} <span class=\"{word}\">{word}</span></h1>", escaped(&name))
            }
            Block::Text(text) => writeln!(out, "<p>{}</p>", sentence(&text)),
            Block::List(lines) => {
                let items: String = lines.iter().map(|line| format!("<li>{}</li>", escaped(line))).collect();
                writeln!(out, "<ul>{items}</ul>")
            }
            Block::Table(head, rows) => table(&mut out, &head, &rows),
            Block::Picture(svg) => writeln!(out, "<div>{svg}</div>"),
        };
    }
    out.push_str("</body></html>\n");
    out
}

fn table(out: &mut String, head: &[String], rows: &[Vec<String>]) -> std::fmt::Result {
    let number = |cell: &String| cell.is_empty() || cell.starts_with(|first: char| first.is_ascii_digit());
    let right: Vec<&str> =
        (0..head.len())
            .map(|n| {
                if n > 0 && rows.iter().filter_map(|row| row.get(n)).all(number) {
                    " class=\"n\""
                } else {
                    ""
                }
            })
            .collect();
    let line = |cells: &[String], tag: &str| -> String {
        let cell = |(cell, class): (&String, &&str)| format!("<{tag}{class}>{}</{tag}>", escaped(cell));
        format!("<tr>{}</tr>", cells.iter().zip(&right).map(cell).collect::<String>())
    };
    let body: String = rows.iter().map(|row| line(row, "td") + "\n").collect();
    writeln!(
        out,
        "<div class=\"scroll\"><table><thead>{}</thead><tbody>\n{body}</tbody></table></div>",
        line(head, "th")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_to_be_typed_is_set_apart_and_nothing_of_a_text_is_markup() {
        assert_eq!(sentence("a<b: `run x` and `y`."), "a&lt;b: <code>run x</code> and <code>y</code>.");
    }

    #[test]
    fn columns_of_numbers_stand_to_the_right() {
        let cells = |row: [&str; 3]| row.map(str::to_owned).to_vec();
        let mut out = String::new();
        let rows = [cells(["7", "1 000", "broker 0 killed"]), cells(["8", "", "3 engines"])];
        table(&mut out, &cells(["at", "flows", "what"]), &rows).unwrap();
        assert_eq!(out.matches("<td class=\"n\">").count(), 2, "{out}");
        assert!(out.contains("<th class=\"n\">flows</th><th>what</th>"), "{out}");
    }
}
