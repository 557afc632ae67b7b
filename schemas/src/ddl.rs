//! ClickHouse DDL made from the tables of columns.
//!
//! Released migrations are frozen as files in `schemas/clickhouse`; this says what the tables look like after all of them. Tests
//! hold the two together. Engines are placeholders (`{engine}`) so that one text serves a server and a cluster.

use crate::record::{Column, Role, Unit};
use crate::rollup::{Lie, Shape, Table, tables};
use std::fmt::Write;

/// How many insert tokens each table remembers: enough for the longest outage promised (docs/exactly-once.md, rule 10).
pub const DEDUPLICATION_WINDOW: u32 = 10_000;
/// How long replicated tables remember them: a week.
pub const DEDUPLICATION_SECONDS: u32 = 604_800;

/// Parts that are smaller, uncompressed, have one file for all columns. A file for each column of each part that is soon merged away costs more
/// than all the rest of an insert: 200 files made and removed, twice a second for each table (measured: 5 of 8 µs a row of `flows`).
pub const WIDE_PART: u64 = 256 << 20;
/// Rows of a granule where rows lie by AS: with ClickHouse's 8192, a question about 25 ASes of a week read four rows for each of theirs. Smaller ones
/// than these save nothing more, and these take 2 % more of a disk.
const GRANULE: u32 = 2048;
/// Bytes of a column that are compressed together there, at least: what a column of 8 bytes has in a granule.
const BLOCK: u32 = 8 * GRANULE;

/// How many times the largest of them parts must be together to be merged, as long as there are few. With ClickHouse's 5 a rollup that its
/// merges have made small is written again for every nine inserts, each of which adds next to nothing (measured, at 40 000 flows/s: with 30 the
/// engine writes 171 bytes a flow in the place of 273, and takes 9.2 µs of CPU in that of 12.5; a table has some twenty parts more).
pub const MERGE_BASE: u32 = 30;

/// A numbered change of the store. Once released, its text never changes.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// Its number; migrations are applied in this order.
    pub number: u32,
    /// Name, as in the file's name.
    pub name: &'static str,
    /// Statements, each ended by a semicolon at the end of a line.
    pub sql: &'static str,
}

/// All migrations in order.
pub const MIGRATIONS: &[Migration] = &[
    Migration { number: 1, name: "tables", sql: include_str!("../clickhouse/0001_tables.sql") },
    Migration { number: 2, name: "classified", sql: include_str!("../clickhouse/0002_classified.sql") },
    Migration { number: 3, name: "quality", sql: include_str!("../clickhouse/0003_quality.sql") },
];

/// Tables that came after the first migration, with the migration that makes them.
const LATER: &[(&str, u32)] =
    &[("classified", 2), ("arrivals", 3), ("sessions", 3), ("faults", 3), ("checks", 3)];

/// `CREATE TABLE` of one table. `{replacing}`, `{summing}` and `{plain}` stand for the engine's family, `{on_cluster}` for the cluster.
pub fn create_table(table: &Table) -> String {
    let mut sql = format!("CREATE TABLE IF NOT EXISTS {}{{on_cluster}}\n(\n", table.name);
    let columns: Vec<String> = table
        .all_columns()
        .map(|column| {
            let codec = codec(table, column);
            format!("    {} {} COMMENT {}{codec}", column.name, (column.clickhouse)(), quoted(column.doc))
        })
        .collect();
    let _ = writeln!(sql, "{}\n)", columns.join(",\n"));
    let _ = match table.shape {
        Shape::Flows => writeln!(sql, "ENGINE = {{plain}}"),
        Shape::Latest => writeln!(sql, "ENGINE = {{replacing}}(version)"),
        _ => {
            let sums: Vec<_> = table.measures().map(|column| column.name).collect();
            writeln!(sql, "ENGINE = {{summing}}(({}))", sums.join(", "))
        }
    };
    if !table.partition_by.is_empty() {
        let _ = writeln!(sql, "PARTITION BY {}", table.partition_by);
    }
    let _ = writeln!(sql, "ORDER BY ({})", table.order_by);
    if table.days > 0 {
        let _ = writeln!(sql, "TTL {} + toIntervalDay({})", table.age, table.days);
    }
    let _ = write!(
        sql,
        "SETTINGS non_replicated_deduplication_window = {DEDUPLICATION_WINDOW}, replicated_deduplication_window = \
         {DEDUPLICATION_WINDOW}, replicated_deduplication_window_seconds = {DEDUPLICATION_SECONDS}, \
         min_bytes_for_wide_part = {WIDE_PART}, merge_selector_base = {MERGE_BASE}"
    );
    if matches!(table.lie, Lie::ByAs(_)) {
        // Few of its rows are of one AS, and what is read around them is thrown away.
        let _ = write!(sql, ", index_granularity = {GRANULE}, min_compress_block_size = {BLOCK}");
    }
    if table.days > 0 {
        // Whole parts go, so a changed retention is reckoned again from their rows' times, and nothing is rewritten.
        let _ = write!(sql, ", ttl_only_drop_parts = 1, materialize_ttl_recalculate_only = 1");
    }
    sql.push('\n');
    sql
}

/// Text of the migration of this number, as far as it makes tables.
pub fn migration(number: u32) -> String {
    let mut sql = String::from(
        "-- Weir's tables (docs/columns.md). Made from the table of columns (weir-schemas); frozen once released.\n",
    );
    let made_by = |table: &Table| LATER.iter().find(|(name, _)| *name == table.name).map_or(1, |(_, by)| *by);
    for table in tables().filter(|table| made_by(table) == number) {
        let _ = write!(sql, "\n{};\n", create_table(table).trim_end());
    }
    sql
}

/// How a column is packed (docs/benchmarks.md has what it takes and gives).
fn codec(table: &Table, column: &Column) -> &'static str {
    let summed = !matches!(table.shape, Shape::Flows | Shape::Latest);
    let by_as = table.shape == Shape::Links && matches!(table.lie, Lie::ByAs(_));
    match (column.unit, column.role, column.name) {
        // Most routers tell the times of flows in milliseconds.
        (_, Role::Time, "flow_start" | "flow_end") => " CODEC(GCD, ZSTD(1))",
        (Unit::Nanoseconds, Role::Time, _) => " CODEC(Delta(8), ZSTD(1))",
        (_, Role::Time, _) => " CODEC(Delta(4), ZSTD(1))",
        (_, Role::Provenance, "raw_offset") => " CODEC(Delta(8), ZSTD(1))",
        (_, Role::Provenance, "frame_index" | "record_index") => " CODEC(T64, ZSTD(1))",
        // Most amounts are small: bits that none of a block has are left out. Questions sum up these, and unpacking was half of what they took.
        (_, Role::Measure, "bytes" | "packets" | "flows") if summed => " CODEC(T64, LZ4)",
        (Unit::Bytes | Unit::Packets | Unit::Flows, Role::Measure, _) => " CODEC(T64, ZSTD(1))",
        // Where rows lie by AS, and not by prefix below it, these come in long runs, which are packed as well so, and unpacked sooner. Columns of a byte
        // would take four times the room.
        (.., "exporter" | "if_index" | "asn" | "neighbour_as" | "sampling_interval") if by_as => {
            " CODEC(LZ4)"
        }
        _ => " CODEC(ZSTD(1))",
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}
