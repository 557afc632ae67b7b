//! A report as Markdown.

use super::Report;
use super::content::{Block, blocks, word};
use std::fmt::Write;

/// The report as Markdown; pictures are left to the page.
pub fn markdown(report: &Report) -> String {
    let mut out = String::new();
    for block in blocks(report) {
        let _ = match block {
            Block::Title(name, verdict) => write!(out, "# {name}: {}\n\n", word(verdict)),
            Block::Text(text) => write!(out, "{text}\n\n"),
            Block::List(lines) => write!(out, "- {}\n\n", lines.join("\n- ")),
            Block::Table(head, rows) => table(&mut out, &head, &rows),
            Block::Picture(_) => Ok(()),
        };
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

fn table(out: &mut String, head: &[String], rows: &[Vec<String>]) -> std::fmt::Result {
    let escaped =
        |cells: &[String]| cells.iter().map(|cell| cell.replace('|', "\\|")).collect::<Vec<_>>().join(" | ");
    writeln!(out, "| {} |\n|{}", escaped(head), "---|".repeat(head.len()))?;
    rows.iter().try_for_each(|row| writeln!(out, "| {} |", escaped(row)))?;
    writeln!(out)
}
