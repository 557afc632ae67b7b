//! What a scenario came to: one value, told as JSON, Markdown or a page.

mod content;
mod folder;
mod html;
mod index;
mod markdown;
mod plot;

pub use folder::{read, remove, write};
pub use html::page;
pub use index::index;
pub use markdown::markdown;

use crate::freshness::Freshness;
use crate::run::faults::Done;
use crate::run::kept::Table;
use crate::run::sample::Sample;
use crate::scenario::Scenario;
use crate::verify::{Cause, Rollup, Verdict};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// All of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// The scenario, as it was run.
    pub scenario: Scenario,
    /// How much longer than its file says it was sent; what went wrong moved with it.
    pub stretch: f64,
    /// Where the stack was.
    pub place: Place,
    /// What it comes to.
    pub verdict: Verdict,
    /// Why it does not pass, in sentences; empty: it passes.
    pub reasons: Vec<String>,
    /// What could be held against what was sent.
    pub compared: Compared,
    /// It was stopped before all was sent.
    pub stopped: bool,
    /// Where it ran.
    pub machine: Machine,
    /// When sending began, seconds since the epoch.
    pub started: i64,
    /// For how long was sent, seconds.
    pub sending_s: f64,
    /// Flows sent.
    pub sent: u64,
    /// Flows sent that were missed: they never reached `weir.raw`, by cause.
    pub missed: BTreeMap<Cause, u64>,
    /// Rows stored of them.
    pub stored: u64,
    /// Flows that lay in `weir.raw` and are not stored.
    pub lost: u64,
    /// Rows beyond the first of a flow.
    pub doubled: u64,
    /// Datagrams that ingest said the bus had, beyond those that lie in `weir.raw`; where that was read.
    pub unkept: u64,
    /// Datagrams of bytes that mean nothing.
    pub garbage: u64,
    /// Those of them that nothing can come of but a dead letter.
    #[serde(default)]
    pub noise: u64,
    /// Dead letters.
    pub dead: u64,
    /// From packet to row.
    pub freshness: Option<Freshness>,
    /// What was asked for and seen.
    pub checks: Vec<Check>,
    /// Steps and phases.
    pub steps: Vec<Step>,
    /// What went wrong, as it was done.
    pub faults: Vec<Done>,
    /// What each part used.
    pub parts: Vec<Part>,
    /// CPU of threads of a process that has several services, by service, seconds.
    pub threads: BTreeMap<String, f64>,
    /// By exporter.
    pub exporters: Vec<Exporter>,
    /// Exporters and minutes in which flows were lost, doubled or missed.
    pub minutes: Vec<Minute>,
    /// Rollups against flows.
    pub rollups: Vec<Rollup>,
    /// What ClickHouse keeps, once it is merged.
    pub tables: Vec<Table>,
    /// Bytes of the topics at the end, as they lie on disk: one copy.
    pub topics: BTreeMap<String, u64>,
    /// The run by the clock.
    pub samples: Vec<Sample>,
    /// Freshness by the clock: seconds since sending began, median and 99th percentile of what was sent then, seconds.
    pub delays: Vec<(f64, f64, f64)>,
}

impl Report {
    /// It does not pass, for a reason that was met once it was judged.
    pub fn fails(&mut self, reason: String) {
        self.reasons.push(reason);
        self.verdict = Verdict::Fail;
    }
}

/// Where the stack of a run was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// On the machine of the generator, started for the run.
    Local,
    /// One that was there.
    Target,
}

/// What could be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compared {
    /// Everything that flows say, as nothing was missed.
    Sums,
    /// Each flow's number, and everything that flows say but for their sides, with what lies in `weir.raw`.
    Raw,
}

/// The machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Its processor.
    pub cpu: String,
    /// Cores that may be used.
    pub cores: usize,
    /// Memory, MB.
    pub memory_mb: u64,
    /// Its kernel.
    pub kernel: String,
    /// What `weir --version` says of the program that was measured.
    pub weir: String,
}

impl Machine {
    /// This one, with what the program that is measured says of itself.
    pub fn this(weir: String) -> Self {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        let (cpus, memory) = (read("/proc/cpuinfo"), read("/proc/meminfo"));
        let field = |text: &str, name: &str| {
            text.lines().find_map(|line| {
                line.strip_prefix(name)?.split_once(':').map(|(_, rest)| rest.trim().to_owned())
            })
        };
        let kilobytes =
            field(&memory, "MemTotal").and_then(|text| text.split(' ').next()?.parse::<u64>().ok());
        Self {
            cpu: field(&cpus, "model name").unwrap_or_else(|| "unknown".to_owned()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_mb: kilobytes.unwrap_or(0) / 1024,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            weir,
        }
    }
}

/// Something that had to hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// What, in words.
    pub what: String,
    /// What was asked for.
    pub wanted: String,
    /// What was seen.
    pub seen: String,
    /// Whether it holds; absent: nobody could see.
    pub holds: Option<bool>,
}

/// A phase, or a step of one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Flows a second asked for.
    pub asked: f64,
    /// Flows a second sent.
    pub offered: f64,
    /// Rows a second that became visible.
    pub stored: f64,
    /// Flows sent and not visible at its end.
    pub backlog: u64,
    /// Datagrams that the kernel and ingest dropped in it.
    pub dropped: u64,
    /// Of a ramp: whether the path kept up.
    pub kept_up: bool,
    /// Seconds since sending began at its start.
    pub from_s: f64,
    /// And at its end.
    pub to_s: f64,
}

/// What a part used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// CPU, seconds, until the last flow was stored.
    pub cpu_s: f64,
    /// CPU seconds for a million flows.
    pub cpu_s_per_million: f64,
    /// Most memory, bytes.
    pub memory_most: u64,
    /// Memory in the first and the last quarter of sending, on average, bytes.
    pub memory_early_late: [u64; 2],
    /// Bytes written to disk a flow.
    pub written_per_flow: f64,
}

/// An exporter's flows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Exporter {
    /// Its address.
    pub address: String,
    /// Its name.
    pub name: String,
    /// Its protocol.
    pub protocol: String,
    /// Flows sent.
    pub sent: u64,
    /// Rows stored.
    pub stored: u64,
    /// Flows lost.
    pub lost: u64,
    /// Rows doubled.
    pub doubled: u64,
    /// Flows missed, by cause.
    pub missed: BTreeMap<Cause, u64>,
    /// What else is wrong, in sentences.
    pub faults: Vec<String>,
}

/// Flows of an exporter in a minute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Minute {
    /// The exporter's address.
    pub exporter: String,
    /// Seconds since the epoch.
    pub minute: i64,
    /// Flows lost.
    pub lost: u64,
    /// Rows doubled.
    pub doubled: u64,
    /// Flows missed, by cause.
    pub missed: BTreeMap<Cause, u64>,
}

/// A date and time of day (UTC, RFC 3339), from seconds since the epoch.
fn date(seconds: i64) -> String {
    let since = std::time::Duration::from_secs(seconds.unsigned_abs());
    humantime::format_rfc3339_seconds(std::time::UNIX_EPOCH + since).to_string()
}

/// A time of day (UTC), from seconds since the epoch.
fn clock(seconds: i64) -> String {
    date(seconds).get(11..19).unwrap_or_default().to_owned()
}

/// A number with spaces between thousands.
fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

/// Megabytes, in words.
fn megabytes(bytes: u64) -> String {
    format!("{} MB", bytes / 1_000_000)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// What passed a scenario of this text without being asked for anything.
    pub(crate) fn passed(scenario: &str) -> Report {
        let scenario = Scenario::read(scenario).unwrap();
        Report {
            scenario,
            stretch: 1.0,
            place: Place::Local,
            verdict: Verdict::Pass,
            reasons: Vec::new(),
            compared: Compared::Sums,
            stopped: false,
            machine: Machine::default(),
            started: 0,
            sending_s: 30.0,
            sent: 1000,
            missed: BTreeMap::new(),
            stored: 1000,
            lost: 0,
            doubled: 0,
            unkept: 0,
            garbage: 0,
            noise: 0,
            dead: 0,
            freshness: None,
            checks: Vec::new(),
            steps: Vec::new(),
            faults: Vec::new(),
            parts: Vec::new(),
            threads: BTreeMap::new(),
            exporters: Vec::new(),
            minutes: Vec::new(),
            rollups: Vec::new(),
            tables: Vec::new(),
            topics: BTreeMap::new(),
            samples: Vec::new(),
            delays: Vec::new(),
        }
    }

    #[test]
    fn dates_and_numbers_are_written_as_people_read_them() {
        assert_eq!(
            (date(951_782_400), clock(86_399)),
            ("2000-02-29T00:00:00Z".to_owned(), "23:59:59".to_owned())
        );
        assert_eq!([0, 999, 1000, 1_234_567].map(thousands), ["0", "999", "1 000", "1 234 567"]);
    }

    #[test]
    fn what_goes_wrong_after_it_was_judged_fails_it_too() {
        let mut report = passed("name = 'a'\nabout = ''\n[[phase]]\nfor_s = 1\nrate = 1\n");
        report.fails("the stack did not end in order: sink-0 ended with exit status: 1".to_owned());
        assert_eq!((report.verdict, report.reasons.len()), (Verdict::Fail, 1));
    }

    #[test]
    fn this_machine_has_cores_and_memory() {
        let this = Machine::this("weir 0".to_owned());
        assert!(this.cores > 0 && this.memory_mb > 0, "{this:?}");
    }
}
