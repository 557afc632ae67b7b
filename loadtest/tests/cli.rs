//! The command line of `weir-loadtest`.
#![allow(clippy::unwrap_used)]

use std::process::Command;
use weir_loadtest::ledger::Ledger;

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ledger.json");
    Ledger::new(&[], 1, 0).save(&file).unwrap();
    let ledger = ["--ledger", file.to_str().unwrap()];
    let top = [&["top"][..], &ledger].concat();
    let json = [&["top", "--json"][..], &ledger].concat();
    for arguments in [&top[..], &json, &["links", "--synthetic"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let program = env!("CARGO_BIN_EXE_weir-loadtest");
        let output = Command::new(program).args(arguments).stdout(writer).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && error.is_empty(), "{arguments:?}: {error}");
    }
}
