//! `docs/columns.md`, made from the tables of columns.

use crate::checks::Checks;
use crate::columns::{flag, flow_columns};
use crate::record::{Column, Role, Unit};
use crate::rollup::{JOINED, REDECODES, ROLLUPS, Shape};
use std::fmt::Write;

fn rows<'c>(out: &mut String, columns: impl Iterator<Item = &'c Column>) {
    out.push_str("| column | ClickHouse | unit | role | what it is |\n|---|---|---|---|---|\n");
    for column in columns {
        let unit = match column.unit {
            Unit::None => "",
            Unit::Bytes => "bytes",
            Unit::SquareBytes => "bytes²",
            Unit::Packets => "packets",
            Unit::Flows => "flows",
            Unit::Nanoseconds => "ns",
            Unit::BitsPerSecond => "bit/s",
            Unit::Thousandths => "1/1000",
            Unit::Bits => "bits",
        };
        let role = match column.role {
            Role::Dimension => "dimension",
            Role::Measure => "measure",
            Role::Time => "time",
            Role::Provenance => "provenance",
        };
        let clickhouse = (column.clickhouse)().replace('|', "\\|");
        let _ = writeln!(out, "| `{}` | `{clickhouse}` | {unit} | {role} | {} |", column.name, column.doc);
    }
}

/// The text of `docs/columns.md`.
pub fn columns_markdown() -> String {
    let mut out = String::from(
        "# Columns\n\nMade from the table of columns in `schemas/src/columns.rs`; a test holds it to the code. The Avro fields of \
         `weir.flows` have the same names; a batch carries the first three once for all of its flows. Counters are as exported: \
         multiply by `sampling_interval / 1000` to scale, and leave out rows where it is 0 (unknown).\n\n## flows and weir.flows\n\n",
    );
    rows(&mut out, flow_columns());
    out.push_str("\n### Flags\n\n| bit | word | what it says |\n|---|---|---|\n");
    for (bit, word, doc) in flag::ALL {
        let _ = writeln!(out, "| {} | `{word}` | {doc} |", bit.trailing_zeros());
    }
    let shapes = [
        (Shape::Links, "Sides by AS"),
        (Shape::Interfaces, "Sides by interface"),
        (Shape::Pairs, "AS pairs"),
        (Shape::Prefixes, "Sides by prefix"),
    ];
    for (shape, title) in shapes {
        let tables: Vec<_> = ROLLUPS.iter().filter(|table| table.shape == shape).collect();
        let names: Vec<_> = tables.iter().map(|table| format!("`{}`", table.name)).collect();
        let _ = writeln!(out, "\n## {title}: {}\n", names.join(", "));
        rows(&mut out, tables.iter().take(1).flat_map(|table| table.columns));
    }
    for table in JOINED.iter().chain([&REDECODES]) {
        let _ = writeln!(out, "\n## {}\n", table.name);
        rows(&mut out, table.columns.iter());
        if table.name == "checks" {
            out.push_str("\n| sum | what it is |\n|---|---|\n");
            for (name, doc, _) in Checks::default().all() {
                let _ = writeln!(out, "| `{name}` | {doc} |");
            }
        }
    }
    out
}
