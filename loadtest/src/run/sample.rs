//! What is looked at while a scenario runs: what processes use, what ingest counts, how many rows there are, and how new the newest are.
//!
//! CPU, memory and disk come from /proc, of this machine's processes alone. A process that dies keeps what it had used until it was last
//! looked at; what it had counted is looked at by whoever kills it, right before.

use crate::freshness::{Look, Looking};
use crate::generate::Progress;
use crate::pace::{ACKNOWLEDGED, DROPPED, KERNEL_DROPS, RECEIVED};
use crate::verify::{self, OF_EXPORTERS};
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use weir_stack::Metrics;
use weir_store::Store;

/// What one part had used and had at a moment, or in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Used {
    /// CPU, seconds since it was started, all its processes together.
    pub cpu_s: f64,
    /// Resident memory, bytes.
    pub memory: u64,
    /// Bytes written to disk.
    pub written: u64,
}

/// A moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Seconds since sending began.
    pub at_s: f64,
    /// Flows sent until then.
    pub sent: u64,
    /// Rows of `flows` that a query sees.
    pub stored: u64,
    /// Datagrams that ingest has received, and the bus acknowledged.
    pub received: u64,
    /// Datagrams that the bus has acknowledged.
    pub acknowledged: u64,
    /// Datagrams that the kernel dropped.
    pub kernel_drops: u64,
    /// Datagrams that ingest dropped.
    pub dropped: u64,
    /// Dead letters.
    pub dead: u64,
    /// By part.
    pub parts: BTreeMap<String, Used>,
    /// CPU of threads by the first part of their name, of processes that have several services in one, seconds.
    #[serde(skip)]
    pub threads: BTreeMap<String, f64>,
}

/// Processes that there are: names of parts and process ids, kept up to date by whoever starts and ends them.
pub type Processes = Arc<Mutex<Vec<(String, u32)>>>;

/// Where to look.
pub struct Watch {
    /// ClickHouse.
    pub store: Store,
    /// Addresses of the metrics of all services.
    pub metrics: Arc<Mutex<Vec<String>>>,
    /// Processes.
    pub processes: Processes,
    /// What services count, looked at by whoever kills one too.
    pub counters: Arc<Mutex<Counters>>,
    /// What was sent.
    pub progress: Arc<Progress>,
    /// Exporters whose newest row is asked for.
    pub probes: Vec<Ipv4Addr>,
    /// The last sample, for others.
    pub latest: Arc<Mutex<Sample>>,
    /// When sending began.
    pub begun: Instant,
    /// Counts rows.
    pub rows: Rows,
    /// Rows that were there before.
    pub before: u64,
    /// Between two samples.
    pub every: Duration,
}

/// A service that is frozen is not waited for: others are looked at meanwhile, and the newest rows.
const PATIENCE: Duration = Duration::from_millis(200);

/// Between two looks at the newest rows.
const LOOK: Duration = Duration::from_millis(500);

/// Everything that was seen.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// One after another.
    pub samples: Vec<Sample>,
    /// How new the newest rows were.
    pub looks: Vec<Look>,
}

impl Watch {
    /// Looks until it is told to stop.
    ///
    /// # Errors
    /// Where no runtime can be had. Whoever does not answer is asked again later.
    pub fn run(self, stop: &AtomicBool) -> Result<Seen> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (mut seen, mut usage) = (Seen::default(), Usage::default());
        let mut looking = Looking::at(self.probes);
        let mut next = Instant::now();
        let mut stored = 0;
        while !stop.load(Ordering::Relaxed) {
            if let Ok(look) = runtime.block_on(looking.look(&self.store)) {
                seen.looks.push(look);
            }
            if Instant::now() >= next {
                next = (next + self.every).max(Instant::now());
                if let Ok(rows) = runtime.block_on(self.rows.count()) {
                    stored = rows.saturating_sub(self.before);
                }
                // Read together, however long a service then takes to answer.
                let (at_s, sent) =
                    (self.begun.elapsed().as_secs_f64(), self.progress.flows.load(Ordering::Relaxed));
                let addresses = locked(&self.metrics).clone();
                for address in &addresses {
                    locked(&self.counters).look(address);
                }
                let processes = locked(&self.processes).clone();
                let parts = usage.look(&processes);
                let counters = locked(&self.counters);
                let sample = Sample {
                    at_s,
                    sent,
                    stored,
                    received: counters.sum(RECEIVED),
                    acknowledged: counters.sum(ACKNOWLEDGED),
                    kernel_drops: counters.sum(KERNEL_DROPS),
                    dropped: DROPPED.iter().map(|name| counters.sum(name)).sum(),
                    dead: counters.sum(DEAD),
                    parts,
                    threads: usage.threads(),
                };
                drop(counters);
                sample.clone_into(&mut locked(&self.latest));
                seen.samples.push(sample);
            }
            std::thread::sleep(LOOK);
        }
        Ok(seen)
    }
}

/// Counts rows of `flows`: those of some exporters, or all, which costs ClickHouse nothing.
pub struct Rows {
    store: Store,
    sql: String,
    /// Those that each question names.
    exporters: Vec<String>,
}

impl Rows {
    /// Those of `exporters`; of none: all.
    pub fn of(store: Store, exporters: Vec<Ipv4Addr>) -> Self {
        let only = if exporters.is_empty() { String::new() } else { format!(" WHERE {OF_EXPORTERS}") };
        let sql = format!("SELECT count() AS count FROM {}.flows{only}", store.database());
        let named = exporters.chunks(verify::NAMED).map(|some| verify::exporters(some.iter().copied()));
        let all = exporters.is_empty().then(String::new);
        Self { store, sql, exporters: named.chain(all).collect() }
    }

    /// How many there are now.
    ///
    /// # Errors
    /// Where ClickHouse does not answer.
    pub async fn count(&self) -> Result<u64> {
        #[derive(Deserialize)]
        struct Count {
            count: u64,
        }
        let mut sum = 0;
        for exporters in &self.exporters {
            let rows: Vec<Count> = self.store.query(&self.sql, &[("exporters", exporters.clone())]).await?;
            sum += rows.first().map_or(0, |row| row.count);
        }
        Ok(sum)
    }
}

const DEAD: &str = "weir_decoder_dead_letters_total";
const COUNTED: [&str; 6] = [RECEIVED, ACKNOWLEDGED, KERNEL_DROPS, DROPPED[0], DROPPED[1], DEAD];

/// What one that receives has counted since it was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// Datagrams received.
    pub received: u64,
    /// Those whose end is known: acknowledged by the bus, or dropped.
    pub settled: u64,
}

/// Counters over restarts: what a service had counted when it was last seen, and what its successors counted since. An answer is entered before
/// the next question is put, by whomever: it never seems that one counts backwards.
#[derive(Debug, Default)]
pub struct Counters {
    now: HashMap<(String, &'static str), u64>,
    past: HashMap<&'static str, u64>,
    first: HashMap<(String, &'static str), u64>,
}

impl Counters {
    /// Asks the service at `address`; nothing where it does not answer.
    pub fn look(&mut self, address: &str) -> Option<Counted> {
        let metrics = Metrics::within(address, PATIENCE).ok()?;
        let count = |name: &str| metrics.sum(name) as u64;
        for name in COUNTED {
            self.enter(address, name, count(name));
        }
        let settled = count(ACKNOWLEDGED) + DROPPED.iter().map(|name| count(name)).sum::<u64>();
        Some(Counted { received: count(RECEIVED), settled })
    }

    /// The service at `address` has ended; the next one there counts from 0.
    pub fn ended(&mut self, address: &str) {
        for ((_, name), now) in self.now.iter_mut().filter(|((one, _), _)| one == address) {
            let first = self.first.insert((address.to_owned(), *name), 0).unwrap_or(0);
            *self.past.entry(*name).or_default() += std::mem::take(now) - first;
        }
    }

    fn enter(&mut self, address: &str, name: &'static str, count: u64) {
        let key = (address.to_owned(), name);
        // What was counted before the first look is of no concern.
        let first = *self.first.entry(key.clone()).or_insert(count);
        let last = self.now.insert(key.clone(), count).unwrap_or(count);
        if count < last {
            *self.past.entry(name).or_default() += last - first;
            self.first.insert(key, 0);
        }
    }

    /// Of all services, since the first look.
    pub fn sum(&self, name: &str) -> u64 {
        let now = self.now.iter().filter(|((_, one), _)| *one == name);
        let since: u64 = now.map(|(key, count)| count - self.first.get(key).unwrap_or(&0)).sum();
        since + self.past.get(name).copied().unwrap_or_default()
    }
}

/// A value that is shared; whoever panicked with it has left it whole.
pub(super) fn locked<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A process: its id and its start, so that an id given out again is another one.
type Key = (u32, u64);

/// What processes used, over their deaths.
#[derive(Default)]
struct Usage {
    last: HashMap<Key, (String, Used)>,
    first: HashMap<Key, Used>,
    /// Those that were there at the last look.
    living: HashSet<Key>,
    /// Parents of those that have not ended before them.
    parents: HashMap<Key, Key>,
    /// What children had written that ended before their parent: from then on Linux counts it as the parent's.
    inherited: HashMap<Key, u64>,
    /// Those that are met from here on were started meanwhile, and all that they used counts.
    looked: bool,
    threads: HashMap<(u32, u32), (String, f64, f64)>,
}

impl Usage {
    /// Looks at each process, and at the children of those that have some; gives what each part has used since the first look.
    fn look(&mut self, processes: &[(String, u32)]) -> BTreeMap<String, Used> {
        self.begin();
        for (part, pid) in processes {
            // Asked first: one that ends between two questions has no children, and they have not ended.
            let children = if part == "standalone" { children(*pid) } else { Vec::new() };
            let Some(parent) = self.process(part, *pid, None) else { continue };
            if part == "standalone" {
                self.count_threads(*pid);
            }
            for child in children {
                self.process("engine", child, Some(parent));
            }
        }
        self.sums()
    }

    fn begin(&mut self) {
        self.living.clear();
        self.last.values_mut().for_each(|(_, used)| used.memory = 0);
    }

    fn process(&mut self, part: &str, pid: u32, parent: Option<Key>) -> Option<Key> {
        let (started, mut used, written) = proc(Path::new(&format!("/proc/{pid}")))?;
        let key = (pid, started);
        // Of one that has ended and that nobody has taken note of it can't be had.
        used.written = written.or_else(|| Some(self.last.get(&key)?.1.written)).unwrap_or_default();
        if pid == std::process::id() {
            // It writes nothing by itself, and is the parent of all.
            used.written = 0;
        }
        self.enter(part, key, used, parent);
        Some(key)
    }

    fn enter(&mut self, part: &str, key: Key, used: Used, parent: Option<Key>) {
        let before = if self.looked { Used::default() } else { used };
        self.first.entry(key).or_insert(before);
        self.last.insert(key, (part.to_owned(), used));
        self.living.insert(key);
        self.parents.extend(parent.map(|parent| (key, parent)));
    }

    fn sums(&mut self) -> BTreeMap<String, Used> {
        self.looked = true;
        for (child, parent) in &self.parents {
            if self.living.contains(parent) && !self.living.contains(child) {
                let written = self.last.get(child).map_or(0, |(_, used)| used.written);
                *self.inherited.entry(*parent).or_default() += written;
            }
        }
        let (living, inherited) = (&self.living, &self.inherited);
        self.parents.retain(|child, parent| living.contains(child) || !living.contains(parent));
        let mut parts: BTreeMap<String, Used> = BTreeMap::new();
        for (key, (part, used)) in &self.last {
            let first = self.first.get(key).copied().unwrap_or_default();
            let sum = parts.entry(part.clone()).or_default();
            sum.cpu_s += used.cpu_s - first.cpu_s;
            sum.memory += used.memory;
            let others = first.written + inherited.get(key).copied().unwrap_or_default();
            sum.written += used.written.saturating_sub(others);
        }
        parts
    }

    fn count_threads(&mut self, pid: u32) {
        let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return };
        for task in tasks.flatten() {
            let id = task.file_name().to_string_lossy().parse().unwrap_or(0);
            let Some(stat) = Stat::read(&task.path().join("stat")) else { continue };
            let first = if self.looked { 0.0 } else { stat.cpu_s };
            let entry = self.threads.entry((pid, id)).or_insert((String::new(), first, 0.0));
            // A thread has its name a moment after its start.
            (entry.0, entry.2) = (stat.name, stat.cpu_s);
        }
    }

    fn threads(&self) -> BTreeMap<String, f64> {
        let mut sums = BTreeMap::new();
        for (name, first, last) in self.threads.values() {
            let part = ["ingest", "decoder", "sink", "bus"].into_iter().find(|part| name.starts_with(part));
            *sums.entry(part.unwrap_or("rest").to_owned()).or_insert(0.0) += last - first;
        }
        sums
    }
}

/// Processes that were started by any thread of this one.
pub fn children(pid: u32) -> Vec<u32> {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let lists = tasks.flatten().filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_whitespace().filter_map(|id| id.parse().ok()).collect::<Vec<_>>())
        .collect()
}

/// Seconds of CPU that a process has used, without its children.
pub fn cpu_s(pid: u32) -> Option<f64> {
    Stat::read(Path::new(&format!("/proc/{pid}/stat"))).map(|stat| stat.cpu_s)
}

struct Stat {
    name: String,
    /// Its own: what its children used stands elsewhere.
    cpu_s: f64,
    started: u64,
    resident_pages: u64,
}

/// Clock ticks a second as /proc counts them (proc(5); 100 on every Linux that Rust runs on), and the size of a page.
const TICKS: f64 = 100.0;
const PAGE: u64 = 4096;

impl Stat {
    fn read(path: &Path) -> Option<Self> {
        let text = std::fs::read_to_string(path).ok()?;
        // The name stands in brackets and may have brackets and spaces of its own.
        let (head, rest) = text.rsplit_once(") ")?;
        let fields: Vec<&str> = rest.split(' ').collect();
        let number = |n: usize| fields.get(n).and_then(|field| field.parse::<u64>().ok());
        Some(Self {
            name: head.split_once('(')?.1.to_owned(),
            cpu_s: (number(11)? + number(12)?) as f64 / TICKS,
            started: number(19)?,
            resident_pages: number(21)?,
        })
    }
}

/// When a process was started, what it has used but for what it has written, and that, where it can be had.
fn proc(path: &Path) -> Option<(u64, Used, Option<u64>)> {
    let stat = Stat::read(&path.join("stat"))?;
    let io = std::fs::read_to_string(path.join("io")).unwrap_or_default();
    let field = |name: &str| io.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok());
    let cancelled = field("cancelled_write_bytes:").unwrap_or(0);
    let written = field("write_bytes:").map(|written| written.saturating_sub(cancelled));
    let used = Used { cpu_s: stat.cpu_s, memory: stat.resident_pages * PAGE, written: 0 };
    Some((stat.started, used, written))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_go_on_over_a_restart_and_begin_at_the_first_look() {
        let mut counters = Counters::default();
        for count in [100, 150, 20, 25] {
            counters.enter("a", RECEIVED, count);
        }
        counters.enter("b", RECEIVED, 7);
        counters.enter("b", RECEIVED, 9);
        assert_eq!(counters.sum(RECEIVED), 50 + 25 + 2);
        assert_eq!(counters.sum(DEAD), 0);
    }

    #[test]
    fn one_that_was_killed_keeps_its_count_however_far_its_successor_has_come_when_it_is_looked_at() {
        let mut counters = Counters::default();
        for count in [100, 150] {
            counters.enter("a", RECEIVED, count);
        }
        counters.ended("a");
        assert_eq!(counters.sum(RECEIVED), 50);
        counters.enter("a", RECEIVED, 160);
        assert_eq!(counters.sum(RECEIVED), 50 + 160);
        counters.ended("nobody");
        assert_eq!(counters.sum(RECEIVED), 50 + 160);
    }

    #[test]
    fn what_a_child_had_written_is_not_its_parents_once_it_has_ended() {
        let (parent, engine, next) = ((7, 0), (8, 0), (9, 0));
        let written = |written| Used { written, ..Used::default() };
        let mut usage = Usage::default();
        let mut look = |seen: &[(&str, Key, u64, Option<Key>)]| {
            usage.begin();
            seen.iter().for_each(|(part, key, bytes, of)| usage.enter(part, *key, written(*bytes), *of));
            let parts = usage.sums();
            ["standalone", "engine"].map(|part| parts[part].written)
        };
        let seen =
            |own, child, bytes| [("standalone", parent, own, None), ("engine", child, bytes, Some(parent))];
        assert_eq!(look(&seen(10, engine, 5)), [0, 0]);
        assert_eq!(look(&seen(20, engine, 105)), [10, 100]);
        // It wrote 3 more before it was killed; then 2 are its parent's own.
        assert_eq!(look(&seen(20 + 108 + 2, next, 1)), [10 + 3 + 2, 101]);
        assert_eq!(look(&seen(20 + 108 + 4, next, 2)), [10 + 3 + 4, 102]);
        // Whose parent ends first is not counted as its parent's.
        let other = (10, 0);
        assert_eq!(look(&[("standalone", other, 1, None)]), [17 + 1, 102]);
    }

    #[test]
    fn this_process_has_used_something() {
        let own = std::process::id();
        let mut usage = Usage::default();
        usage.look(&[("tests".to_owned(), own)]);
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(60) {
            std::hint::black_box(0);
        }
        let parts = usage.look(&[("tests".to_owned(), own), ("gone".to_owned(), u32::MAX)]);
        assert_eq!(parts.len(), 1);
        assert!(parts["tests"].memory > 1 << 20 && parts["tests"].cpu_s > 0.0, "{parts:?}");
        let mut usage = Usage { looked: true, ..Usage::default() };
        let late = usage.look(&[("tests".to_owned(), own)]);
        assert!(late["tests"].cpu_s >= 0.05, "all that it used since its start: {late:?}");
    }
}
