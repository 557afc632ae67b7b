//! A load test as a file: which network sends what to which stack, what goes wrong meanwhile, and what must hold.
//!
//! A scenario says everything that its result depends on, but for the machine. It is refused with the path of the key where it
//! contradicts itself, before anything starts.

mod catalogue;

pub use catalogue::{NAMES, builtin};

use crate::verify::Cause;
use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::time::Duration;

/// A load test.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Its name: of the file, of the report.
    pub name: String,
    /// What it shows, in a sentence or two.
    pub about: String,
    /// Who sends.
    #[serde(default)]
    pub network: Network,
    /// How it is sent.
    #[serde(default)]
    pub traffic: Traffic,
    /// What is started, with `--local`.
    #[serde(default)]
    pub stack: Stack,
    /// What is sent, one after another.
    #[serde(rename = "phase")]
    pub phases: Vec<Phase>,
    /// What goes wrong meanwhile.
    #[serde(default, rename = "event")]
    pub events: Vec<Event>,
    /// What must hold.
    #[serde(default)]
    pub expect: Expect,
}

/// The network that sends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Network {
    /// Routers, of eight kinds in turn.
    pub exporters: usize,
    /// ASes that there is traffic with.
    pub ases: usize,
    /// Data datagrams that each router sends before its templates; absent: as its kind has it.
    pub templates_after: Option<u64>,
    /// Seed of all that is random.
    pub seed: u64,
}

impl Default for Network {
    fn default() -> Self {
        Self { exporters: 24, ases: 4000, templates_after: None, seed: 1 }
    }
}

/// How datagrams are sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Traffic {
    /// Sending waits while more than `window` datagrams are not received yet, so that sockets never overflow by the generator's doing.
    /// False: as routers do, whatever happens.
    pub paced: bool,
    /// Most datagrams on the way, where it is paced.
    pub window: u64,
    /// Data datagrams after which a router sends its templates and options again; 0: never.
    pub refresh: u64,
}

impl Default for Traffic {
    fn default() -> Self {
        Self { paced: true, window: 4000, refresh: crate::encode::REFRESH }
    }
}

/// The stack on this machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Stack {
    /// One process on the embedded bus; false: Kafka, and processes of each service.
    pub standalone: bool,
    /// Brokers: 1 or 3; with 3 every partition has three copies, of which two must have a record.
    pub brokers: usize,
    /// Processes of the decoder at the start.
    pub decoders: usize,
    /// Processes of the sink at the start.
    pub sinks: usize,
    /// Partitions of the topics; absent: Weir's default, 12 over Kafka and 4 in one process.
    pub partitions: Option<usize>,
    /// The embedded bus lies on a disk of so many MB (a tmpfs: needs root); absent: in the stack's folder.
    pub bus_disk_mb: Option<u64>,
    /// Configuration that is laid over the stack's own.
    pub config: toml::Table,
}

impl Default for Stack {
    fn default() -> Self {
        Self {
            standalone: false,
            brokers: 1,
            decoders: 1,
            sinks: 1,
            partitions: None,
            bus_disk_mb: None,
            config: toml::Table::new(),
        }
    }
}

/// Sending at a rate for a time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Phase {
    /// Seconds.
    pub for_s: f64,
    /// Flows a second.
    pub rate: f64,
    /// Added to the rate in each further step of a ramp, flows a second.
    #[serde(default)]
    pub step: f64,
    /// Steps; `for_s` is the length of each. A ramp of several ends early at the first step that is not kept up with.
    #[serde(default = "one")]
    pub steps: usize,
    /// Datagrams a second of bytes that mean nothing, from addresses of their own and from those of routers.
    #[serde(default)]
    pub garbage: f64,
    /// All routers restart before it: sequence numbers and uptime begin anew, and template ids mean something else.
    #[serde(default)]
    pub restarts: bool,
}

fn one() -> usize {
    1
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// Seconds after sending began.
    pub at_s: f64,
    /// What is done.
    pub act: Act,
    /// To what: `ingest`, `decoder`, `sink`, `engine`, `standalone`, `broker`, `bus-disk`.
    pub part: Part,
    /// Seconds that it lasts: until the part is started again, goes on, or has room.
    #[serde(default)]
    pub for_s: f64,
    /// Number of processes, of `scale`; number of the broker from 0 on.
    #[serde(default)]
    pub to: usize,
    /// How often it is done.
    #[serde(default = "one")]
    pub times: usize,
    /// Seconds between two times, drawn between these.
    #[serde(default)]
    pub every_s: [f64; 2],
}

/// What is done to a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Act {
    /// SIGKILL, and started again after `for_s`.
    Kill,
    /// SIGTERM, and started again after `for_s`.
    Stop,
    /// SIGSTOP, and SIGCONT after `for_s`: what believes that nothing happened.
    Freeze,
    /// As many processes as `to`.
    Scale,
    /// The disk has no room for `for_s`.
    Fill,
}

/// A part of the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// `weir ingest`.
    Ingest,
    /// A process of the decoder.
    Decoder,
    /// A process of the sink.
    Sink,
    /// The engine; of `weir standalone` its child.
    Engine,
    /// `weir standalone`.
    Standalone,
    /// A broker.
    Broker,
    /// The disk of the embedded bus.
    BusDisk,
}

/// What must hold beyond: all that was asked for is sent, every fault is done, lost 0, doubled 0, and what is missed has a cause that the scenario asked for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Expect {
    /// Causes for which datagrams may be missed; any other makes the run invalid.
    pub missed: Vec<Cause>,
    /// Most seconds from packet to row, of 99 of 100 flows.
    pub freshness_p99_s: Option<f64>,
    /// Most growth of the memory of any service from the first quarter of the run to the last, as a share (0.1: 10 %).
    pub memory_growth: Option<f64>,
    /// Dead letters at least: so many were provoked.
    pub min_dead: u64,
    /// Flows that ingest drops and counts at least: so many were provoked.
    pub min_dropped: u64,
    /// Most bytes written to disk a flow, by all parts.
    pub max_bytes_per_flow: Option<f64>,
}

impl Scenario {
    /// The built-in one of this name, or that of a file.
    ///
    /// # Errors
    /// Where it is neither, or is wrong; with the path of the key.
    pub fn load(name: &str) -> Result<Self> {
        let text = match builtin(name) {
            Some(text) => text.to_owned(),
            None => std::fs::read_to_string(Path::new(name)).with_context(|| {
                format!("{name} is no file and none of the built-in scenarios: {}", NAMES.join(", "))
            })?,
        };
        Self::read(&text).with_context(|| format!("scenario {name}"))
    }

    /// Reads and checks one.
    ///
    /// # Errors
    /// With the path of the key.
    pub fn read(text: &str) -> Result<Self> {
        let scenario: Self = toml::from_str(text)?;
        scenario.check()?;
        Ok(scenario)
    }

    fn check(&self) -> Result<()> {
        let name = |c: char| c.is_ascii_alphanumeric() || c == '-';
        ensure!(!self.name.is_empty() && self.name.chars().all(name), "name: letters, digits and - only");
        ensure!(self.name != "index", "name: index is that of the page about all reports");
        ensure!(!self.phases.is_empty(), "phase: at least one [[phase]]");
        ensure!((1..=20_000).contains(&self.network.exporters), "network.exporters: 1 to 20000");
        ensure!(matches!(self.stack.brokers, 1 | 3), "stack.brokers: 1 or 3");
        for (n, phase) in self.phases.iter().enumerate() {
            let lasts = phase.for_s.is_finite() && phase.for_s > 0.0;
            ensure!(lasts, "phase[{n}].for_s: more than 0");
            ensure!(phase.rate.is_finite() && phase.rate > 0.0, "phase[{n}].rate: more than 0");
            ensure!(phase.steps > 0, "phase[{n}].steps: at least 1");
            ensure!((0.0..=1e6).contains(&phase.garbage), "phase[{n}].garbage: 0 to 1000000");
        }
        for (n, event) in self.events.iter().enumerate() {
            ensure!(
                (0.0..=self.sending().as_secs_f64()).contains(&event.at_s),
                "event[{n}].at_s: within the phases"
            );
            ensure!((0.0..=3600.0).contains(&event.for_s), "event[{n}].for_s: 0 to 3600");
            let [least, most] = event.every_s;
            ensure!(0.0 <= least && least <= most, "event[{n}].every_s: [least, most]");
            self.check_event(event).with_context(|| format!("event[{n}]"))?;
        }
        // Pacing asks ingest what it has received, and its counters die with it.
        ensure!(
            !(self.traffic.paced && self.kills_ingest()),
            "traffic.paced: false where ingest is killed or stopped"
        );
        Ok(())
    }

    fn check_event(&self, event: &Event) -> Result<()> {
        let standalone = self.stack.standalone;
        let there = match event.part {
            Part::Engine => true,
            Part::Standalone => standalone,
            Part::BusDisk => standalone && self.stack.bus_disk_mb.is_some(),
            Part::Broker => !standalone && event.to < self.stack.brokers,
            Part::Ingest | Part::Decoder | Part::Sink => !standalone,
        };
        ensure!(there, "part: the stack of this scenario has no {:?}", event.part);
        let scales = matches!(event.part, Part::Decoder | Part::Sink) && event.to > 0;
        ensure!(event.act != Act::Scale || scales, "act: scale is for decoders and sinks, `to` at least 1");
        let disk = event.part == Part::BusDisk;
        ensure!((event.act == Act::Fill) == disk, "act: fill is for the bus-disk, which knows nothing else");
        // A child of another process is only killed: standalone starts it again.
        let child = standalone && event.part == Part::Engine;
        ensure!(
            !child || matches!(event.act, Act::Kill | Act::Freeze),
            "act: standalone's engine is killed or frozen"
        );
        Ok(())
    }

    /// The same, longer or shorter: rates, and how long what goes wrong lasts, stay. What is provoked all the while is expected in proportion.
    pub fn stretched(mut self, factor: f64) -> Self {
        self.expect.min_dead = (self.expect.min_dead as f64 * factor) as u64;
        self.phases.iter_mut().for_each(|phase| phase.for_s *= factor);
        self.events.iter_mut().for_each(|event| event.at_s *= factor);
        self
    }

    /// How long it sends.
    pub fn sending(&self) -> Duration {
        Duration::from_secs_f64(self.phases.iter().map(|phase| phase.for_s * phase.steps as f64).sum())
    }

    /// Whether it looks for a limit.
    pub fn is_ramp(&self) -> bool {
        self.phases.iter().any(|phase| phase.steps > 1)
    }

    /// Whether datagrams come that mean nothing, some of them from strangers.
    pub fn sends_garbage(&self) -> bool {
        self.phases.iter().any(|phase| phase.garbage > 0.0)
    }

    /// Whether the generator is told by anything but ingest's counters what ingest received: where ingest dies, they die with it.
    pub fn kills_ingest(&self) -> bool {
        self.events.iter().any(|event| {
            matches!(event.part, Part::Ingest | Part::Standalone)
                && matches!(event.act, Act::Kill | Act::Stop)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_scenario_is_valid_and_named_as_its_file() {
        for name in NAMES {
            let scenario = Scenario::load(name).unwrap_or_else(|error| panic!("{error:#}"));
            assert_eq!(scenario.name, *name);
            assert!(scenario.about.ends_with('.'), "{name}: {}", scenario.about);
        }
    }

    #[test]
    fn a_scenario_that_is_run_for_a_tenth_of_its_time_expects_a_tenth_of_the_dead_letters() {
        let short = Scenario::load("garbage-flood").unwrap().stretched(0.1);
        assert_eq!(
            (short.sending().as_secs(), short.phases[0].garbage, short.expect.min_dead),
            (12, 2000.0, 10_000)
        );
    }

    #[test]
    fn what_contradicts_itself_is_refused_with_the_path_of_the_key() {
        let with = |rest: &str| format!("name = 'a'\nabout = 'b'\n{rest}");
        let phase = "[[phase]]\nfor_s = 1\nrate = 1\n";
        let event = |rest: &str| format!("{phase}[[event]]\nat_s = 0\n{rest}");
        for (text, told) in [
            (with("[[phase]]\nfor_s = 0\nrate = 1\n"), "phase[0].for_s"),
            (with("[[phase]]\nfor_s = 1\nrate = 1\nrite = 2\n"), "rite"),
            (with("[stack]\nbrokers = 2\n[[phase]]\nfor_s = 1\nrate = 1\n"), "stack.brokers"),
            (with(&event("act = 'kill'\npart = 'standalone'\n")), "has no Standalone"),
            (with(&event("act = 'scale'\npart = 'decoder'\n")), "`to` at least 1"),
            (with(&event("act = 'fill'\npart = 'decoder'\n")), "fill is for the bus-disk"),
            (with(&event("act = 'kill'\npart = 'ingest'\n")), "traffic.paced"),
            (
                with(&event("act = 'kill'\npart = 'decoder'\nat_s = 9\n").replace("at_s = 0\n", "")),
                "at_s: within",
            ),
        ] {
            let error = format!("{:#}", Scenario::read(&text).unwrap_err());
            assert!(error.contains(told), "{told}: {error}");
        }
    }
}
