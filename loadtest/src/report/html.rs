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
th,td{padding:.25rem .75rem;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap}\
th{color:var(--soft);font-weight:500}th:first-child,td:first-child{text-align:left}td:last-child{white-space:normal}\
svg{max-width:100%;height:auto;margin:.5rem 0;background:#fff;border-radius:4px}li{color:var(--bad)}";

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
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
            Block::Text(text) => writeln!(out, "<p>{}</p>", escaped(&text)),
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
    let line = |cells: &[String], tag: &str| -> String {
        let cells: String = cells.iter().map(|cell| format!("<{tag}>{}</{tag}>", escaped(cell))).collect();
        format!("<tr>{cells}</tr>")
    };
    let body: String = rows.iter().map(|row| line(row, "td") + "\n").collect();
    writeln!(
        out,
        "<div class=\"scroll\"><table><thead>{}</thead><tbody>\n{body}</tbody></table></div>",
        line(head, "th")
    )
}
