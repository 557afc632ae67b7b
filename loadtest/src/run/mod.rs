//! Runs a scenario: sends, looks, lets things go wrong, waits, compares, judges.
//!
//! Three threads: one sends, one looks, and this one does what goes wrong. Nothing is compared before the last row has come, so that
//! comparing costs the run nothing.

pub mod faults;
pub mod judge;
pub mod kept;
pub mod sample;
mod stack;

pub use stack::clear;

use crate::freshness;
use crate::generate::{Bounds, Generator, Load, Options as Sending, now_ns};
use crate::ledger::Ledger;
use crate::network::{Exporter, network};
use crate::raw::Received;
use crate::report::{self, Report, Step};
use crate::scenario::{Event, Phase, Scenario};
use crate::verify::{self, Cause, Excuse, MissedByRaw, Patience, Verdict, against_raw, by_minute};
use crate::world::World;
use anyhow::{Context, Result, anyhow, bail, ensure};
use faults::Done;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sample::{Processes, Sample, Seen, Watch};
use stack::Machine;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
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
}

/// First address of exporters on loopback.
const FIRST: Ipv4Addr = Ipv4Addr::new(127, 64, 0, 1);
/// Exporters whose newest row is asked for.
const PROBES: usize = 32;
/// Samples kept in a report.
const SAMPLES: usize = 240;
/// Between two samples, at least.
const EVERY: Duration = Duration::from_secs(1);
/// Nothing more comes where no row has come for so long.
const QUIET: Duration = Duration::from_secs(45);
/// Nothing more is waited for then.
const MOST: Duration = Duration::from_secs(900);

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
    if let Some(after) = scenario.network.templates_after {
        exporters.iter_mut().for_each(|one| one.templates_after = after);
    }
    let mut machine = match &options.place {
        Place::Local { dir, weir } => {
            clear(dir)?;
            Some(Machine::up(scenario, dir, weir.clone(), &world, &exporters)?)
        }
        Place::Target(_) => {
            let acts = !scenario.events.is_empty() || scenario.kills_ingest();
            ensure!(!acts, "{} acts on processes, which only --local has", scenario.name);
            None
        }
    };
    let run = Run::new(options, machine.as_ref(), &world, &exporters)?;
    let mut report = run.go(machine.as_mut(), stop)?;
    if let Some(Err(error)) = machine.map(|machine| machine.stack.down()) {
        report.reasons.push(format!("the stack did not end in order: {error}"));
    }
    Ok(report)
}

/// What is needed of wherever it runs.
struct Run<'w> {
    scenario: &'w Scenario,
    exporters: &'w [Exporter],
    store: Store,
    bus: Option<weir_bus::Config>,
    metrics: Arc<Mutex<Vec<String>>>,
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
                    target.bus.clone(),
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
            outages: scenario.kills_ingest(),
            journal: true,
            ..Sending::default()
        };
        Ok(Self {
            scenario,
            exporters,
            store: Store::new(&clickhouse)?,
            bus,
            metrics,
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
                (None, Some(bus)) => Received::read(&KafkaBus::new(bus.clone())?).map(Some),
                (None, None) => Ok(None),
            },
            &runtime,
        )?;
        let mut report = self.report(over, compared, stop.load(Ordering::Relaxed));
        if let Some(machine) = machine {
            // A result is not thrown away because its last figures can't be had.
            match runtime.block_on(kept::tables(&self.store)) {
                Ok(tables) => report.tables = tables,
                Err(error) => report.reasons.push(format!("what the tables keep is not known: {error:#}")),
            }
            report.topics = kept::topics(&machine.topics());
        }
        Ok(report)
    }

    /// Sends everything, and waits until all of it is stored or nothing more comes.
    fn send(&mut self, mut machine: Option<&mut Machine>, stop: &AtomicBool) -> Result<Over> {
        let runtime = tokio::runtime::Runtime::new().context("no threads")?;
        let before = runtime.block_on(sample::rows(&self.store))?;
        let latest = Arc::new(Mutex::new(Sample::default()));
        let (begun, begun_ns) = (Instant::now(), now_ns());
        let step = (self.exporters.len() / PROBES).max(1);
        let watch = Watch {
            store: self.store.clone(),
            metrics: Arc::clone(&self.metrics),
            processes: Arc::clone(&self.processes),
            progress: self.generator.progress(),
            probes: self.exporters.iter().step_by(step).map(|one| one.address).collect(),
            latest: Arc::clone(&latest),
            begun,
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
            let steps = sending.join().map_err(|_| anyhow!("the generator panicked"))?;
            let (faults, excuses, mut broken) = done;
            let steps = steps?;
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

/// Sets the flag when it goes out of scope.
pub struct Ends<'a>(pub &'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Sends phase after phase.
fn phases(
    generator: &mut Generator<'_>,
    scenario: &Scenario,
    latest: &Mutex<Sample>,
    stop: &AtomicBool,
) -> Result<Vec<Step>> {
    let told = || stop.load(Ordering::Relaxed);
    let now = || latest.lock().unwrap_or_else(PoisonError::into_inner).clone();
    // The first look is before the first packet.
    let waiting = Instant::now();
    while now().at_s == 0.0 && !told() && waiting.elapsed() < QUIET {
        std::thread::sleep(Duration::from_millis(50));
    }
    let mut steps = Vec::new();
    'all: for phase in &scenario.phases {
        if phase.restarts {
            generator.restart_exporters();
        }
        for number in 0..phase.steps {
            let Phase { rate, step, garbage, for_s, .. } = phase;
            let load = Load { rate: rate + step * number as f64, garbage: *garbage };
            let bounds = Bounds { duration: Some(Duration::from_secs_f64(*for_s)), ..Bounds::default() };
            let (from, begun, before) = (now(), Instant::now(), generator.ledger().total().flows);
            generator.send(load, bounds, stop)?;
            let sent = (generator.ledger().total().flows - before, begun.elapsed().as_secs_f64());
            // So that the sample at the end is one.
            std::thread::sleep(EVERY);
            let done = judge::step(load.rate, sent, &from, &now());
            let goes_on = done.kept_up || phase.steps == 1;
            steps.push(done);
            if !goes_on || told() {
                break 'all;
            }
        }
    }
    generator.finish()?;
    Ok(steps)
}

/// Does what goes wrong, when it is due, until all is done, nothing is sent any more, or the stack does not do as it is told: gives what was
/// done, when nobody received, and what did not work.
fn events(
    machine: &mut Machine,
    scenario: &Scenario,
    begun: Instant,
    over: impl Fn() -> bool,
) -> (Vec<Done>, Vec<Excuse>, Vec<String>) {
    let mut random = StdRng::seed_from_u64(scenario.network.seed);
    let (mut done, mut excuses) = (Vec::new(), Vec::new());
    let sleep_until = |at: f64| {
        while begun.elapsed().as_secs_f64() < at && !over() {
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    let mut events: Vec<&Event> = scenario.events.iter().collect();
    events.sort_by(|a, b| a.at_s.total_cmp(&b.at_s));
    for event in events {
        sleep_until(event.at_s);
        for number in 0..event.times {
            if over() {
                break;
            }
            let [least, most] = event.every_s;
            if number > 0 {
                sleep_until(begun.elapsed().as_secs_f64() + random.random_range(least..=most));
            }
            let at_s = begun.elapsed().as_secs_f64();
            let outcome = match faults::inflict(machine, event, &mut random) {
                Ok(outcome) => outcome,
                Err(error) => {
                    let what = format!("{:?} {:?} at {at_s:.1} s: {error:#}", event.act, event.part);
                    return (done, excuses, vec![what]);
                }
            };
            machine.tell_processes();
            excuses.extend(outcome.excuse);
            done.push(Done {
                at_s,
                what: outcome.what,
                took_s: begun.elapsed().as_secs_f64() - at_s,
                kill: event.act == crate::scenario::Act::Kill,
            });
        }
    }
    (done, excuses, Vec::new())
}

/// Waits until as many rows are there as flows were sent, or no more come.
fn wait(latest: &Mutex<Sample>) {
    let begun = Instant::now();
    let (mut last, mut grown) = (0, Instant::now());
    loop {
        let now = latest.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if now.stored > last {
            (last, grown) = (now.stored, Instant::now());
        }
        if now.stored >= now.sent || grown.elapsed() > QUIET || begun.elapsed() > MOST {
            // One more look, so that what the last batch cost is in the sums.
            std::thread::sleep(EVERY + EVERY);
            return;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// What the comparison came to.
struct Compared {
    verified: verify::Report,
    missed: MissedByRaw,
    minutes: verify::ByMinute,
    /// Something was missed, so what lies in `weir.raw` decided.
    raw: bool,
}

/// Compares all that was sent where none of it was missed; else what lies in `weir.raw`.
fn compare(
    ledger: &Ledger,
    store: &Store,
    over: &Over,
    read: impl FnOnce() -> Result<Option<Received>>,
    runtime: &tokio::runtime::Runtime,
) -> Result<Compared> {
    // All has come that comes: this is for rollups, which follow their flows.
    let patience = Patience { quiet: Duration::from_secs(20), most: Duration::from_secs(60) };
    let last = over.seen.samples.last().cloned().unwrap_or_default();
    let complete = ledger.ingest.is_some_and(|counted| {
        counted.received >= ledger.all_datagrams()
            && counted.acknowledged >= ledger.all_datagrams()
            && counted.kernel_drops + counted.dropped == 0
    });
    let received = if complete { None } else { read()? };
    let (verified, missed) = match &received {
        Some(received) => {
            let excuses = [over.excuses.clone(), excuses(&over.seen.samples, over.begun_ns)].concat();
            runtime.block_on(against_raw(ledger, received, &excuses, store, patience))?
        }
        None => {
            let verified = runtime.block_on(verify::verify(ledger, store, patience))?;
            let mut missed = MissedByRaw::default();
            if !complete {
                // Nobody can tell which: whatever is not there counts as missed without a cause.
                missed.datagrams.insert(Cause::Unexplained, last.sent - last.stored.min(last.sent));
            }
            (verified, missed)
        }
    };
    let minutes = runtime.block_on(by_minute(ledger, received.as_ref(), store, &verified.exporters))?;
    Ok(Compared { verified, missed, minutes, raw: received.is_some() })
}

/// Drops that were counted, with the time in which they happened: between two samples, and for ingest's own up to two minutes before,
/// since what it gives up may have waited.
fn excuses(samples: &[Sample], begun_ns: i64) -> Vec<Excuse> {
    const WAITED: i64 = 120_000_000_000;
    const LOOK: i64 = 2_000_000_000;
    let at = |sample: &Sample| begun_ns + (sample.at_s * 1e9) as i64;
    let mut all = Vec::new();
    for pair in samples.windows(2) {
        let (from, to) = (at(&pair[0]) - LOOK, at(&pair[1]) + LOOK);
        for (cause, count, before) in [
            (Cause::Kernel, pair[1].kernel_drops.saturating_sub(pair[0].kernel_drops), 0),
            (Cause::Ingest, pair[1].dropped.saturating_sub(pair[0].dropped), WAITED),
        ] {
            if count > 0 {
                all.push(Excuse { from: from - before, to, cause, most: count });
            }
        }
    }
    all
}

impl Run<'_> {
    fn report(&self, over: Over, compared: Compared, stopped: bool) -> Report {
        let Compared { verified, missed, minutes, raw } = compared;
        let ledger = self.generator.ledger();
        let sending_s = over.steps.last().map_or(0.0, |step| step.to_s);
        let delays = self.delays(&over, !raw);
        let (sent, last) = (ledger.total().flows, over.seen.samples.last().cloned().unwrap_or_default());
        let address = |number: u32| self.exporters[number as usize].address.to_string();
        let mut by_minute: BTreeMap<(u32, i64), report::Minute> = BTreeMap::new();
        let mut exporters: Vec<report::Exporter> = verified.exporters.into_iter().map(exporter).collect();
        let mut all = BTreeMap::new();
        let empty = |number, minute| report::Minute {
            exporter: address(number),
            minute,
            lost: 0,
            doubled: 0,
            missed: BTreeMap::new(),
        };
        for ((number, minute, cause), flows) in &missed.flows {
            let line = by_minute.entry((*number, *minute)).or_insert_with(|| empty(*number, *minute));
            *line.missed.entry(*cause).or_default() += flows;
            *exporters[*number as usize].missed.entry(*cause).or_default() += flows;
            *all.entry(*cause).or_default() += flows;
        }
        if missed.flows.is_empty() {
            all.extend(missed.datagrams);
        }
        for ((number, minute), (lost, doubled)) in minutes {
            let line = by_minute.entry((number, minute)).or_insert_with(|| empty(number, minute));
            (line.lost, line.doubled) = (lost, doubled);
        }
        let mut report = Report {
            scenario: self.scenario.clone(),
            verdict: Verdict::Invalid,
            reasons: over.broken,
            compared: if raw { report::Compared::Raw } else { report::Compared::Sums },
            stopped,
            machine: report::Machine::this(),
            started: over.begun_ns / 1_000_000_000,
            sending_s,
            sent,
            missed: all,
            stored: verified.rows,
            lost: verified.lost,
            doubled: verified.doubled,
            garbage: ledger.garbage_datagrams,
            dead: last.dead,
            freshness: (!delays.is_empty()).then(|| freshness::freshness(&delays)),
            checks: Vec::new(),
            steps: over.steps,
            faults: over.faults,
            parts: judge::parts(&over.seen.samples, sent, sending_s),
            threads: over.seen.threads,
            exporters,
            minutes: by_minute.into_values().collect(),
            rollups: verified.rollups,
            tables: Vec::new(),
            topics: BTreeMap::new(),
            samples: judge::thinned(over.seen.samples, SAMPLES),
            delays: judge::delays_by_time(&delays, over.begun_ns, SAMPLES / 2),
        };
        judge::judge(&mut report);
        report
    }

    /// Of a ramp, freshness is that of the steps that were kept up with.
    fn delays(&self, over: &Over, all: bool) -> Vec<(i64, u32, f64)> {
        let ledger = self.generator.ledger();
        let addresses: Vec<Ipv4Addr> = self.exporters.iter().map(|one| one.address).collect();
        let ramp = self.scenario.phases.iter().any(|phase| phase.steps > 1);
        let end =
            over.steps.iter().take_while(|step| step.kept_up || !ramp).last().map_or(0.0, |step| step.to_s);
        let end = over.begun_ns + (end * 1e9) as i64;
        let mut delays = freshness::delays(&addresses, &ledger.journal, &over.seen.looks, all);
        delays.retain(|(at, ..)| *at <= end);
        delays
    }
}

fn exporter(one: verify::Exporter) -> report::Exporter {
    report::Exporter {
        address: one.address,
        name: one.name,
        protocol: one.protocol,
        sent: one.sent,
        stored: one.rows,
        lost: one.lost,
        doubled: one.doubled,
        missed: BTreeMap::new(),
        faults: one.faults,
    }
}
