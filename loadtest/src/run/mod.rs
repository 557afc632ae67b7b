//! Runs a scenario: sends, looks, lets things go wrong, waits, compares, judges.
//!
//! Three threads: one sends, one looks, and this one does what goes wrong. Nothing is compared before the last row has come, so that
//! comparing costs the run nothing.

mod course;
pub mod faults;
pub mod judge;
pub mod kept;
mod outcome;
pub mod sample;
mod stack;

pub use stack::{clear, keep_logs};

use crate::generate::{Generator, Options as Sending, now_ns};
use crate::network::{Exporter, network};
use crate::raw::{Begin, Received};
use crate::report::{self, Report, Step};
use crate::scenario::Scenario;
use crate::verify::Excuse;
use crate::world::World;
use anyhow::{Context, Result, anyhow, bail, ensure};
use course::{events, phases, wait};
use faults::Done;
use outcome::compare;
use sample::{Counters, Processes, Sample, Seen, Watch};
use stack::Machine;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use weir_bus::KafkaBus;
use weir_store::Store;

/// Where it runs.
#[derive(Clone, Debug)]
pub enum Place {
    /// On a stack that is started for it.
    Local {
        /// Folder for the stack; what was there of an earlier run is removed.
        dir: PathBuf,
        /// The program `weir`.
        weir: Option<PathBuf>,
    },
    /// On a stack that is there.
    Target(Box<Target>),
}

/// A stack that is there.
#[derive(Clone, Debug)]
pub struct Target {
    /// Address of ingest.
    pub address: IpAddr,
    /// Its ports: NetFlow, IPFIX, sFlow.
    pub ports: [u16; 3],
    /// `host:port` of ingest's metrics.
    pub ingest_metrics: String,
    /// Those of other services.
    pub metrics: Vec<String>,
    /// ClickHouse.
    pub clickhouse: weir_store::Config,
    /// Kafka: what of the datagrams lies in `weir.raw` is only asked where some are missed.
    pub bus: Option<weir_bus::Config>,
    /// Addresses of this machine to send from, an exporter each; none: those of loopback.
    pub addresses: Vec<Ipv4Addr>,
}

/// What to run, where.
#[derive(Clone, Debug)]
pub struct Options {
    /// The scenario.
    pub scenario: Scenario,
    /// Where.
    pub place: Place,
    /// Files of lines `first,last,asn,name`: the ASes that there is traffic with; none: two hundred made-up ones.
    pub asn: Vec<PathBuf>,
    /// How much longer than its file says the scenario is.
    pub stretch: f64,
}

/// First address of exporters on loopback: others than those of `make run`'s own traffic, which may come at the same time.
const FIRST: Ipv4Addr = Ipv4Addr::new(127, 80, 0, 1);
/// Exporters whose newest row is asked for.
const PROBES: usize = 32;

/// Those of so many that are asked for: an odd step, as eight kinds of routers follow each other again and again.
fn probes(exporters: usize) -> impl Iterator<Item = usize> {
    (0..exporters).step_by((exporters / PROBES).max(1) | 1)
}
/// Samples kept in a report.
const SAMPLES: usize = 240;
/// Between two samples, at least.
const EVERY: Duration = Duration::from_secs(1);

/// Runs it and judges it. `stop` ends sending early; what was sent is judged all the same.
///
/// # Errors
/// Where it can't be run: a part is missing or does not come up, or an answer is none.
pub fn run(options: &Options, stop: &AtomicBool) -> Result<Report> {
    let scenario = &options.scenario;
    let files: Vec<_> = options.asn.iter().map(PathBuf::as_path).collect();
    let seed = scenario.network.seed;
    let world = if files.is_empty() {
        World::synthetic(seed)
    } else {
        World::read(&files, scenario.network.ases, seed)?
    };
    let mut exporters = match &options.place {
        Place::Target(target) if !target.addresses.is_empty() => {
            let mut all = network(&world, target.addresses.len(), FIRST);
            all.iter_mut().zip(&target.addresses).for_each(|(one, address)| one.address = *address);
            all
        }
        _ => network(&world, scenario.network.exporters, FIRST),
    };
    let options =
        &Options { scenario: as_run(scenario, exporters.len(), world.ases().len()), ..options.clone() };
    let scenario = &options.scenario;
    if let Some(after) = scenario.network.templates_after {
        exporters.iter_mut().for_each(|one| one.templates_after = after);
    }
    let mut machine = match &options.place {
        Place::Local { dir, weir } => {
            clear(dir)?;
            Some(Machine::up(scenario, dir, weir.clone(), &world, &exporters)?)
        }
        Place::Target(target) => {
            let acts = !scenario.events.is_empty() || scenario.kills_ingest();
            ensure!(!acts, "{} acts on processes, which only --local has", scenario.name);
            ensure!(
                !scenario.sends_garbage() || target.address.is_loopback(),
                "{} sends under strange addresses, which only loopback lets it do",
                scenario.name
            );
            None
        }
    };
    let run = Run::new(options, machine.as_ref(), &world, &exporters)?;
    let mut report = run.go(machine.as_mut(), stop)?;
    if let Some(Err(error)) = machine.map(|machine| machine.stack.down()) {
        report.fails(format!("the stack did not end in order: {error}"));
    }
    Ok(report)
}

/// The scenario as it is run: where it is about other numbers than there are, it has those that there are, and its words say so.
fn as_run(scenario: &Scenario, exporters: usize, ases: usize) -> Scenario {
    let mut run = scenario.clone();
    let network = &mut run.network;
    for (what, said, is) in
        [("routers", &mut network.exporters, exporters), ("ASes", &mut network.ases, ases)]
    {
        if *said != is {
            run.about += &format!(" Run with {is} {what} in the place of {said}.");
            *said = is;
        }
    }
    run
}

/// What is needed of wherever it runs.
struct Run<'w> {
    scenario: &'w Scenario,
    stretch: f64,
    place: report::Place,
    /// What the program that is measured says of itself.
    weir: String,
    exporters: &'w [Exporter],
    store: Store,
    /// Kafka of a stack that is there, and where `weir.raw` ended before anything was sent.
    bus: Option<(KafkaBus, Begin)>,
    metrics: Arc<Mutex<Vec<String>>>,
    counters: Arc<Mutex<Counters>>,
    processes: Processes,
    generator: Generator<'w>,
}

/// What was seen of a run that is over.
struct Over {
    seen: Seen,
    steps: Vec<Step>,
    faults: Vec<Done>,
    excuses: Vec<Excuse>,
    /// What is wrong with the stack, in sentences.
    broken: Vec<String>,
    /// When sending began, ns since the epoch: what the seconds of samples count from.
    begun_ns: i64,
}

impl<'w> Run<'w> {
    fn new(
        options: &'w Options,
        machine: Option<&Machine>,
        world: &'w World,
        exporters: &'w [Exporter],
    ) -> Result<Self> {
        let scenario = &options.scenario;
        let (target, ports, ingest, clickhouse, bus, metrics, processes) = match (&options.place, machine) {
            (Place::Target(target), _) => {
                let mut metrics = target.metrics.clone();
                metrics.push(target.ingest_metrics.clone());
                (
                    target.address,
                    target.ports,
                    Some(target.ingest_metrics.clone()),
                    target.clickhouse.clone(),
                    target.bus.clone().map(before).transpose()?,
                    Arc::new(Mutex::new(metrics)),
                    Processes::default(),
                )
            }
            (Place::Local { .. }, Some(machine)) => {
                let (address, ports) = machine.stack.ingest();
                let clickhouse = weir_store::Config { url: machine.stack.clickhouse(), ..Default::default() };
                let ingest = machine.stack.description().ingest_metrics().map(str::to_owned);
                let (metrics, processes) = (Arc::clone(&machine.metrics), Arc::clone(&machine.processes));
                (address.into(), ports, ingest, clickhouse, None, metrics, processes)
            }
            (Place::Local { .. }, None) => bail!("no stack was started"),
        };
        let sending = Sending {
            target,
            ports,
            ingest_metrics: ingest.filter(|_| scenario.traffic.paced),
            window: scenario.traffic.window,
            seed: scenario.network.seed,
            refresh: scenario.traffic.refresh,
            domains: if machine.is_some() { 0 } else { domains(now_ns()) },
            outages: scenario.kills_ingest(),
            journal: true,
            ..Sending::default()
        };
        Ok(Self {
            scenario,
            stretch: options.stretch,
            place: match options.place {
                Place::Local { .. } => report::Place::Local,
                Place::Target(_) => report::Place::Target,
            },
            weir: machine.map_or_else(|| Ok("not known".to_owned()), Machine::version)?,
            exporters,
            store: Store::new(&clickhouse)?,
            bus,
            metrics,
            counters: machine.map_or_else(Arc::default, |machine| Arc::clone(&machine.counters)),
            processes,
            generator: Generator::new(&sending, world, exporters)?,
        })
    }

    fn go(mut self, mut machine: Option<&mut Machine>, stop: &AtomicBool) -> Result<Report> {
        let over = self.send(machine.as_deref_mut(), stop)?;
        let ledger = self.generator.ledger();
        let runtime = tokio::runtime::Runtime::new().context("no threads")?;
        let compared = compare(
            ledger,
            &self.store,
            &over,
            || match (machine.as_deref_mut(), &self.bus) {
                (Some(machine), _) => machine.received().map(Some),
                (None, Some((bus, begin))) => {
                    Received::since(bus, begin, self.exporters.iter().map(|one| one.address)).map(Some)
                }
                (None, None) => Ok(None),
            },
            &runtime,
        )?;
        let mut report = self.report(over, compared, stop.load(Ordering::Relaxed));
        if let Some(machine) = machine {
            for why in std::mem::take(&mut machine.broken) {
                if !report.reasons.contains(&why) {
                    report.fails(why);
                }
            }
            // A result is not thrown away because its last figures can't be had.
            match runtime.block_on(kept::tables(&self.store)) {
                Ok(tables) => report.tables = tables,
                Err(error) => report.fails(format!("what the tables keep is not known: {error:#}")),
            }
            report.topics = kept::topics(&machine.topics());
        }
        Ok(report)
    }

    /// Sends everything, and waits until all of it is stored or nothing more comes.
    fn send(&mut self, mut machine: Option<&mut Machine>, stop: &AtomicBool) -> Result<Over> {
        let runtime = tokio::runtime::Runtime::new().context("no threads")?;
        // Strangers' rows are not ours, and only where there are some is it worth the question.
        let strangers = self.place == report::Place::Target || self.scenario.sends_garbage();
        let own = self.exporters.iter().map(|one| one.address).filter(|_| strangers).collect();
        let rows = sample::Rows::of(self.store.clone(), own);
        let before = runtime.block_on(rows.count())?;
        let latest = Arc::new(Mutex::new(Sample::default()));
        let (begun, begun_ns) = (Instant::now(), now_ns());
        let watch = Watch {
            store: self.store.clone(),
            metrics: Arc::clone(&self.metrics),
            processes: Arc::clone(&self.processes),
            counters: Arc::clone(&self.counters),
            progress: self.generator.progress(),
            probes: probes(self.exporters.len()).map(|number| self.exporters[number].address).collect(),
            latest: Arc::clone(&latest),
            begun,
            rows,
            before,
            every: EVERY.max(self.scenario.sending() / (4 * SAMPLES as u32)),
        };
        let (scenario, generator) = (self.scenario, &mut self.generator);
        let ends = AtomicBool::new(false);
        let (seen, steps, faults, excuses, broken) = std::thread::scope(|scope| -> Result<_> {
            let looking = scope.spawn(|| watch.run(&ends));
            // Whatever goes wrong below, the one who looks ends.
            let _ends = Ends(&ends);
            let sending = scope.spawn(|| phases(generator, scenario, &latest, stop));
            let done = match machine.as_deref_mut() {
                Some(machine) => events(machine, scenario, begun, || sending.is_finished()),
                None => (Vec::new(), Vec::new(), Vec::new()),
            };
            let (steps, unsent) = sending.join().map_err(|_| anyhow!("the generator panicked"))?;
            let (faults, excuses, mut broken) = done;
            broken.extend(unsent.map(|error| format!("sending ended early: {error:#}")));
            let ready = machine.as_deref_mut().map_or(Ok(()), Machine::wait_ready);
            wait(&latest);
            let alive = machine.map_or(Ok(()), |machine| Ok(machine.stack.expect_alive()?));
            broken.extend(ready.and(alive).err().map(|error: anyhow::Error| format!("{error:#}")));
            ends.store(true, Ordering::Relaxed);
            let seen = looking.join().map_err(|_| anyhow!("the sampler panicked"))??;
            Ok((seen, steps, faults, excuses, broken))
        })?;
        Ok(Over { seen, steps, faults, excuses, broken, begun_ns })
    }
}

/// Observation domains of a run against an installation, which still knows what those of an earlier run announced: of each second others.
fn domains(now_ns: i64) -> u32 {
    // Some more than the exporters of the largest scenario, and as many seconds as find room.
    const EACH: u32 = 20_000;
    let seconds = now_ns.div_euclid(1_000_000_000).rem_euclid(i64::from(u32::MAX / EACH - 1));
    EACH * (1 + seconds as u32)
}

/// A bus that can't be asked is told of before anything is sent, and not an hour later.
fn before(config: weir_bus::Config) -> Result<(KafkaBus, Begin)> {
    let servers = config.bootstrap_servers.clone();
    let bus = KafkaBus::new(config)?;
    let begin = Begin::now(&bus).with_context(|| format!("--bootstrap-servers {servers}"))?;
    Ok((bus, begin))
}

/// Sets the flag when it goes out of scope.
pub struct Ends<'a>(pub &'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_scenario_that_is_run_with_other_numbers_than_it_says_says_both() {
        let scenario = Scenario::load("many-exporters").unwrap();
        assert_eq!(as_run(&scenario, 10_000, 4000), scenario);
        let run = as_run(&scenario, 1, 4000);
        assert_eq!((run.network.exporters, run.network.ases), (1, 4000));
        assert!(
            run.about.ends_with("has its own. Run with 1 routers in the place of 10000."),
            "{}",
            run.about
        );
    }

    #[test]
    fn routers_of_every_kind_are_asked_for_their_newest_row() {
        for exporters in [1, 7, 12, 64, 256, 500, 10_000, 10_240] {
            let some: Vec<usize> = probes(exporters).collect();
            assert!(some.len() <= 2 * PROBES, "{exporters}: {}", some.len());
            let kinds: BTreeSet<usize> = some.iter().map(|number| number % 8).collect();
            assert_eq!(kinds.len(), exporters.min(8), "{exporters}");
        }
    }
}
