//! The command line of `weir-loadtest`.
#![allow(clippy::unwrap_used)]

use std::process::Command;
use weir_loadtest::ledger::Ledger;

#[test]
fn without_an_as_database_nothing_is_run_with_made_up_ones() {
    let folder = tempfile::tempdir().unwrap();
    for place in [&["--local"][..], &["--target", "127.0.0.1", "--clickhouse", "http://127.0.0.1:1"]] {
        let output = Command::new(env!("CARGO_BIN_EXE_weir-loadtest"))
            .args(["run", "smoke", "--out"])
            .arg(folder.path())
            .args(place)
            .env("WEIR_HOME", folder.path().join("empty"))
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(error.contains("scripts/fetch-asn.sh, or give files with --asn"), "{error}");
        assert_eq!(output.status.code(), Some(3), "{error}");
    }
}

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
