//! What `weir-loadtest size` computes with is what the reports in docs/loadtests say.
//!
//! Each figure of costs.toml that a report has is computed from it again; the others (`BY_HAND`) docs/benchmarks.md says how to measure.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::path::Path;
use weir_loadtest::report::{self, Report};
use weir_loadtest::size::{Costs, Question};

/// The last five are of tables that came after the reports: of the week that docs/benchmarks.md asks questions about.
const BY_HAND: [&str; 7] = [
    "bytes.datagram",
    "bytes.inserted",
    "row_bytes.links_1d",
    "row_bytes.interfaces_1m",
    "row_bytes.interfaces_5m",
    "rows.interfaces.0.0",
    "rows.interfaces.0.1",
];
/// How long before a flow is sent it may have begun, at most.
const BEFORE_S: f64 = 255.0;
/// Figures are rounded, and a report of another day is another one.
const NEAR: f64 = 0.03;

struct Reports(Vec<Report>);

impl Reports {
    fn committed() -> Self {
        Self(report::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/loadtests")).unwrap())
    }

    fn of(&self, name: &str) -> &Report {
        let found = self.0.iter().find(|report| report.scenario.name == name);
        found.unwrap_or_else(|| panic!("no report of {name}"))
    }

    fn part(&self, name: &str, part: &str) -> &report::Part {
        let found = self.of(name).parts.iter().find(|one| one.name == part);
        found.unwrap_or_else(|| panic!("{name}: no part {part}"))
    }

    fn cpu_us(&self, name: &str, part: &str) -> f64 {
        self.part(name, part).cpu_s_per_million
    }

    fn memory_mb(&self, name: &str, part: &str) -> f64 {
        self.part(name, part).memory_most as f64 / f64::from(1 << 20)
    }

    fn rows(&self, name: &str, table: &str) -> f64 {
        self.of(name).tables.iter().find(|one| one.table == table).unwrap().rows as f64
    }
}

/// Flows a second that were stored, and inserts a second where none waits for another.
fn pace(report: &Report) -> (f64, f64) {
    let partitions = report.scenario.stack.partitions.unwrap_or(weir_bus::Config::default().partitions);
    // Those that have an exporter.
    let key = |address: &str| address.parse::<Ipv4Addr>().unwrap().to_ipv6_mapped().octets();
    let used: BTreeSet<_> =
        report.exporters.iter().map(|one| weir_bus::partition(&key(&one.address), partitions)).collect();
    // Those that there were then.
    let is_inserted =
        |name: &str| name == "flows" || weir_schemas::rollup::ROLLUPS.iter().any(|one| one.name == name);
    let tables = report.tables.iter().filter(|table| is_inserted(&table.table)).count() as f64;
    let stored =
        report.samples.iter().find(|sample| sample.stored >= report.stored).or(report.samples.last());
    (report.stored as f64 / stored.unwrap().at_s, used.len() as f64 * tables / every_s())
}

/// Seconds between two inserts of a partition into a table.
fn every_s() -> f64 {
    weir_sink::Config::default().batch_ms as f64 / 1e3
}

/// Every figure that a report has, by its path in costs.toml.
fn measured() -> BTreeMap<String, f64> {
    let reports = Reports::committed();
    let (busy, calm, one, many) = ("steady-100k", "smoke", "steady-200k-standalone", "many-exporters");
    let mut out = BTreeMap::new();
    let mut put = |path: &str, value: f64| out.insert(path.to_owned(), value);
    for part in ["ingest", "decoder", "sink", "kafka"] {
        put(&format!("cpu_us.{part}"), reports.cpu_us(busy, part));
    }
    put("cpu_us.standalone", reports.cpu_us(one, "standalone"));
    // Two runs tell what a row costs from what an insert does: one with little in each, and one with much.
    let engine = [calm, busy].map(|name| reports.cpu_us(name, "engine"));
    let each = [calm, busy].map(|name| {
        let (flows_s, inserts_s) = pace(reports.of(name));
        inserts_s / flows_s
    });
    let insert_us = (engine[0] - engine[1]) / (each[0] - each[1]);
    put("inserts.every_s", every_s());
    put("inserts.cpu_ms", insert_us / 1e3);
    put("cpu_us.clickhouse", engine[1] - each[1] * insert_us);
    for topic in ["raw", "flows"] {
        let report = reports.of(busy);
        put(&format!("bytes.{topic}"), report.topics[&format!("weir.{topic}")] as f64 / report.sent as f64);
    }
    for part in ["ingest", "decoder", "sink"] {
        put(&format!("memory_mb.{part}"), reports.memory_mb(busy, part));
    }
    for part in ["standalone", "engine"] {
        put(&format!("memory_mb.{part}"), reports.memory_mb(one, part));
    }
    let exporters = [calm, many].map(|name| reports.of(name).exporters.len() as f64);
    let decoder = [calm, many].map(|name| reports.memory_mb(name, "decoder"));
    put(
        "memory_mb.decoder_per_1000_exporters",
        (decoder[1] - decoder[0]) / (exporters[1] - exporters[0]) * 1e3,
    );
    for table in &reports.of(busy).tables {
        if table.table == "flows" || weir_schemas::rollup::ROLLUPS.iter().any(|one| one.name == table.table) {
            put(&format!("row_bytes.{}", table.table), table.bytes as f64 / table.rows as f64);
        }
    }
    // All of each within one hour, so that an exporter has one slot: flows began up to some minutes before they were sent.
    for (n, name) in [many, calm, "exporter-restart", "burst-10x", busy].into_iter().enumerate() {
        let report = reports.of(name);
        let exporters = report.exporters.len() as f64;
        let hour = |at: f64| (at / 3600.0).floor();
        let (begun, last) = (report.started as f64, report.samples.last().unwrap().at_s);
        assert!(hour(begun - BEFORE_S) == hour(begun + last), "{name} lies in two hours");
        for shape in ["links", "pairs", "prefixes"] {
            put(&format!("rows.{shape}.{n}.0"), report.sent as f64 / exporters);
            put(&format!("rows.{shape}.{n}.1"), reports.rows(name, &format!("{shape}_1h")) / exporters);
        }
    }
    out
}

/// Numbers of a table, by their path.
fn numbers(path: &str, value: &toml::Value, out: &mut BTreeMap<String, f64>) {
    let inner = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match value {
        toml::Value::Table(table) => table.iter().for_each(|(name, value)| numbers(&inner(name), value, out)),
        toml::Value::Array(all) => {
            all.iter().enumerate().for_each(|(n, value)| numbers(&inner(&n.to_string()), value, out));
        }
        toml::Value::Integer(number) => drop(out.insert(path.to_owned(), *number as f64)),
        toml::Value::Float(number) => drop(out.insert(path.to_owned(), *number)),
        _ => {}
    }
}

#[test]
fn costs_are_those_of_the_reports() {
    let mut written = BTreeMap::new();
    numbers("", &include_str!("../costs.toml").parse::<toml::Table>().unwrap().into(), &mut written);
    for path in BY_HAND {
        assert!(written.remove(path).is_some(), "{path} is gone");
    }
    let measured = measured();
    let off: Vec<_> = measured
        .iter()
        .filter(|(path, is)| {
            let near = |written: &f64| (written - **is).abs() <= NEAR * is.abs();
            !written.get(*path).is_some_and(near)
        })
        .map(|(path, is)| format!("{path} = {is:.4}"))
        .collect();
    assert!(off.is_empty(), "by the reports:\n{}", off.join("\n"));
    let unknown: Vec<_> = written.keys().filter(|path| !measured.contains_key(*path)).collect();
    assert!(unknown.is_empty(), "no report has {unknown:?}");
}

#[test]
fn an_hour_comes_to_the_rows_of_shorter_slots_that_are_computed_for_it() {
    let (reports, name) = (Reports::committed(), "soak");
    let report = reports.of(name);
    let (exporters, flows_s) = (report.exporters.len() as u64, report.sent as f64 / report.sending_s);
    let ask = Question { exporters, daily_average: 1.0, ..Question::of(flows_s) };
    let answer = Costs::measured().unwrap().answer(&ask).unwrap();
    for table in ["links_1m", "links_5m", "pairs_5m"] {
        let computed =
            answer.tables.iter().find(|one| one.0 == table).unwrap().1 / 86_400.0 * report.sending_s;
        let ratio = computed / reports.rows(name, table);
        assert!((0.8..1.25).contains(&ratio), "{table}: {ratio:.2} of what came");
    }
}
