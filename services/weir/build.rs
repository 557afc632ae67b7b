//! Puts the commit into what `weir --version` says, so that a measurement can tell what was measured.
//!
//! What must stay true: it builds where there is no git too, with the version alone, and a build of the same sources at the same commit is
//! taken from the cache.

use std::path::Path;
use std::process::Command;

/// The crates that the program is made of, and what else it is: `-dirty` is said anew when any of it changes.
const CRATES: [&str; 12] = [
    ".",
    "../api",
    "../decoder",
    "../ingest",
    "../sink",
    "../shared/bus",
    "../shared/capture",
    "../shared/filter",
    "../shared/runtime",
    "../shared/store",
    "../shared/wire",
    "../../schemas",
];
const OTHERS: [&str; 4] = ["build.rs", "../../schemas/clickhouse", "../../Cargo.toml", "../../Cargo.lock"];

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let said = String::from_utf8(output.stdout).ok()?;
    Some(said.trim().to_owned()).filter(|said| output.status.success() && !said.is_empty())
}

fn main() {
    // Each commit and each switch is noted in the log of HEAD. Cargo takes a path that is not there for one that has changed.
    let noted = ["HEAD", "logs/HEAD"].into_iter().filter_map(|name| git(&["rev-parse", "--git-path", name]));
    let sources = CRATES.iter().flat_map(|name| ["src", "Cargo.toml"].map(|part| format!("{name}/{part}")));
    for path in noted.chain(sources).chain(OTHERS.map(str::to_owned)).filter(|path| Path::new(path).exists())
    {
        println!("cargo::rerun-if-changed={path}");
    }
    let version = env!("CARGO_PKG_VERSION");
    let built = match git(&["describe", "--always", "--exclude=*", "--dirty"]) {
        Some(commit) => format!("{version} ({commit})"),
        None => version.to_owned(),
    };
    println!("cargo::rustc-env=WEIR_BUILT={built}");
}
