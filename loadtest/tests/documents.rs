//! Documents that are made by code are what the code makes.
#![allow(clippy::unwrap_used)]

use std::fmt::Write;
use std::path::{Path, PathBuf};
use weir_loadtest::report;
use weir_loadtest::scenario::{NAMES, Scenario};
use weir_loadtest::size::{Costs, Question};
use weir_loadtest::verify::Verdict;

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs")
}

/// Compares a committed file with what the code makes; `WEIR_BLESS=1` writes it instead.
fn committed(path: &Path, made: &str) {
    if std::env::var_os("WEIR_BLESS").is_some() {
        std::fs::write(path, made).unwrap();
    }
    let is = std::fs::read_to_string(path).unwrap_or_default();
    assert!(is == made, "{} is not what the code makes; run the test with WEIR_BLESS=1", path.display());
}

/// They fall short of something, as docs/benchmarks.md says: 200 000 flows/s on two cores; bytes written a flow at 20 000 flows/s.
/// Nothing is lost or doubled all the same.
const SHORT: [&str; 2] = ["steady-200k-standalone", "soak"];

#[test]
fn every_scenario_has_a_report_in_which_nothing_was_lost_or_doubled() {
    let folder = docs().join("loadtests");
    let reports = report::read(&folder).unwrap();
    let names: Vec<_> = reports.iter().map(|report| report.scenario.name.as_str()).collect();
    assert_eq!(names, NAMES);
    for report in &reports {
        let name = report.scenario.name.as_str();
        assert_eq!(report.scenario, Scenario::load(name).unwrap(), "{name} is another scenario now");
        assert!(!report.stopped, "{name}");
        let commit = report.machine.weir.strip_suffix(')').and_then(|weir| weir.split_once(" ("));
        let commit = commit.map_or("", |(_, commit)| commit);
        let whole = commit.len() >= 7 && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
        assert!(whole, "{name}: {} is no commit that anybody can build", report.machine.weir);
        assert_eq!((report.lost, report.doubled), (0, 0), "{name}");
        let passes = report.verdict == Verdict::Pass && report.reasons.is_empty();
        assert_eq!(passes, !SHORT.contains(&name), "{name}: {:?}", report.reasons);
        assert!(report.missed.keys().all(|cause| report.scenario.expect.missed.contains(cause)), "{name}");
        committed(&folder.join(format!("{name}.md")), &report::markdown(report));
        committed(&folder.join(format!("{name}.html")), &report::page(report));
    }
    committed(&folder.join("index.md"), &report::index(&reports));
}

#[test]
fn the_documented_sizes_are_computed_from_the_measured_costs() {
    let path = docs().join("sizing.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let mark = "<!-- What follows is made by `weir-loadtest size`. -->\n";
    let (head, _) = text.split_once(mark).unwrap();
    let costs = Costs::measured().unwrap();
    for source in costs.sources() {
        assert!(NAMES.contains(&source), "costs.toml: there is no load test {source}");
    }
    let mut made = format!("{head}{mark}");
    for (words, flows) in [("5k", 5e3), ("20k", 2e4), ("100k", 1e5), ("300k", 3e5), ("1M", 1e6)] {
        let ask = Question { exporters: 400, retention_days: 90.0, ..Question::of(flows) };
        writeln!(
            made,
            "\n## {words} flows/s\n\n`weir-loadtest size --flows {words} --exporters 400 --retention 90d`\n"
        )
        .unwrap();
        made += &costs.told(&ask).unwrap();
    }
    committed(&path, &made);
}
