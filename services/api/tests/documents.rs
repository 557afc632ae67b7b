//! docs/query.md names all that can be asked for, and schemas/openapi.json is what the pages are built against.
#![allow(clippy::unwrap_used)]

use std::fmt::Write;
use std::path::Path;
use weir_api::query::field::{Dimension, FIELDS};

#[test]
fn the_document_has_all_fields_and_dimensions() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/query.md");
    let is = std::fs::read_to_string(&path).unwrap();
    let mark = "<!-- What follows is made by the test services/api/tests/documents.rs. -->\n";
    let (head, _) = is.split_once(mark).unwrap();
    let mut made =
        format!("{head}{mark}\n## What filters name\n\n| name | values | what it is |\n|---|---|---|\n");
    for field in FIELDS {
        writeln!(made, "| `{}` | {} | {} |", field.name, field.kind.wanted(), field.doc).unwrap();
    }
    made += "\n## What rows are grouped by\n\n| name | what it is |\n|---|---|\n";
    for dimension in Dimension::ALL {
        writeln!(made, "| `{}` | {} |", dimension.name(), dimension.doc()).unwrap();
    }
    if std::env::var_os("WEIR_BLESS").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    assert!(std::fs::read_to_string(&path).unwrap() == made, "run this test with WEIR_BLESS=1");
}

#[test]
fn the_committed_description_of_the_api_is_the_one_it_serves() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas/openapi.json");
    let made = weir_api::tree().1.to_pretty_json().unwrap() + "\n";
    if std::env::var_os("WEIR_BLESS").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    assert!(std::fs::read_to_string(&path).unwrap_or_default() == made, "run this test with WEIR_BLESS=1");
}
