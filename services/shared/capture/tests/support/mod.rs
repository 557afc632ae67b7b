//! The captures beside the project, and what Weir makes of one: the decoder's lines, and the walker's records.
#![allow(dead_code, reason = "each test uses what it needs")]

pub mod columns;

use serde_json::Value as Json;
use std::path::PathBuf;
use weir_capture::How;
use weir_capture::decode::{Summary, decode};
use weir_capture::walk::{self, Kind, Record};
use weir_wire::Options;

/// The project's root.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../..")
}

/// The folder of captures; says so where it is missing.
pub fn captures() -> Option<PathBuf> {
    let path = root().join("../shared/captures");
    let found = path.join("counts.tsv").is_file();
    if !found {
        println!("skipped: no captures at {}", path.display());
    }
    found.then_some(path)
}

/// A row of counts.tsv.
#[derive(Clone, Debug)]
pub struct Row {
    header: Vec<String>,
    cells: Vec<String>,
}

impl Row {
    /// A cell; empty where there is none.
    pub fn cell(&self, name: &str) -> &str {
        let at = self.header.iter().position(|column| column == name);
        at.and_then(|at| self.cells.get(at)).map_or("", |cell| cell.trim())
    }
}

/// All rows of counts.tsv.
pub fn rows(folder: &std::path::Path) -> Vec<Row> {
    let table = std::fs::read_to_string(folder.join("counts.tsv")).unwrap();
    let cells = |line: &str| line.split('\t').map(str::to_owned).collect::<Vec<_>>();
    let mut lines = table.lines();
    let header = cells(lines.next().unwrap());
    lines.map(|line| Row { header: header.clone(), cells: cells(line) }).collect()
}

/// The decoder's lines, and its summary.
pub fn decoded(bytes: &[u8]) -> (Summary, Vec<Json>) {
    let mut lines = Vec::new();
    let summary = decode(weir_capture::read(bytes).unwrap(), &How::default(), &mut lines).unwrap();
    let lines = String::from_utf8(lines).unwrap();
    (summary, lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

/// The walker's records.
pub fn walked(bytes: &[u8]) -> Vec<Record> {
    let mut records = Vec::new();
    let each = |record: Result<Record, _>| {
        records.extend(record);
        Ok::<_, std::convert::Infallible>(())
    };
    let Ok(()) = walk::walk(weir_capture::read(bytes).unwrap(), Options::default().list_depth, each);
    records
}

/// Those that are flows to the decoder.
pub fn is_flow(record: &Record) -> bool {
    matches!(record.kind, Kind::Flow | Kind::FlowSample | Kind::DiscardSample)
}
