//! The stack of a scenario on this machine: started as the scenario says, ended with the value.

use super::sample::{Counters, Processes, locked};
use crate::network::{Exporter, links_toml};
use crate::raw::Received;
use crate::scenario::Scenario;
use crate::world::World;
use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use weir_bus::{EmbeddedBus, EmbeddedConfig, KafkaBus};
use weir_stack::local::Ports;
use weir_stack::{Local, kafka, local};

/// Time that parts may take to be ready.
const READY: Duration = Duration::from_secs(120);

/// A running stack.
pub struct Machine {
    /// It.
    pub stack: Local,
    /// Its processes, for the sampler.
    pub processes: Processes,
    /// Addresses of its services' metrics.
    pub metrics: Arc<Mutex<Vec<String>>>,
    /// What they count.
    pub counters: Arc<Mutex<Counters>>,
    /// What did not end in order, in sentences.
    pub broken: Vec<String>,
    standalone: bool,
    _disk: Option<Disk>,
}

/// A disk of its own, in memory.
struct Disk(PathBuf);

impl Disk {
    fn mount(at: &Path, megabytes: u64) -> Result<Self> {
        std::fs::create_dir_all(at).with_context(|| format!("creating {}", at.display()))?;
        let size = format!("size={megabytes}m");
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(at);
        let output = command.output().context("starting mount")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "a tmpfs at {} (needs root): {}", at.display(), said.trim());
        Ok(Self(at.to_owned()))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Whatever still uses it was killed a moment ago; what is left then is left to whoever runs this.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// A file that says whose folder it is.
const MARK: &str = "weir-loadtest.stack";

/// Removes what an earlier run has left: nothing else.
///
/// # Errors
/// Where the folder holds anything that is not a stack's.
pub fn clear(dir: &Path) -> Result<()> {
    let Ok(mut entries) = std::fs::read_dir(dir) else { return Ok(()) };
    if entries.next().is_none() {
        return Ok(());
    }
    let own = dir.join(MARK).exists();
    ensure!(own, "{} is not empty and no load test's: give another folder with --dir", dir.display());
    // One that was killed has left its disk.
    let bus = dir.canonicalize()?.join("bus");
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    if mounts.lines().any(|line| line.split(' ').nth(1) == bus.to_str()) {
        drop(Disk(bus));
    }
    std::fs::remove_dir_all(dir).with_context(|| format!("removing {}", dir.display()))
}

/// Copies the logs of a stack, each under the name of its folders and its own: what a failed run is looked into with.
///
/// # Errors
/// With the path that can't be read or written.
pub fn keep_logs(dir: &Path, to: &Path) -> Result<()> {
    /// Folders of the stack, of its brokers, and of one broker.
    const DEPTH: usize = 3;
    std::fs::create_dir_all(to).with_context(|| format!("creating {}", to.display()))?;
    let mut folders = vec![(dir.to_owned(), String::new(), DEPTH)];
    while let Some((folder, prefix, depth)) = folders.pop() {
        let entries = std::fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))?;
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = entry.path();
            // Segments of topics are called .log too.
            if path.is_dir() && depth > 1 && !["data", "engine", "bus"].contains(&name.as_str()) {
                folders.push((path, format!("{prefix}{name}-"), depth - 1));
            } else if path.is_file() && name.ends_with(".log") {
                let copy = to.join(format!("{prefix}{name}"));
                std::fs::copy(&path, &copy).with_context(|| format!("copying {}", path.display()))?;
            }
        }
    }
    Ok(())
}

impl Machine {
    /// Starts it in `dir`, which is empty or not there.
    ///
    /// # Errors
    /// Where a part is missing or does not come up.
    pub fn up(
        scenario: &Scenario,
        dir: &Path,
        weir: Option<PathBuf>,
        world: &World,
        exporters: &[Exporter],
    ) -> Result<Self> {
        let wanted = &scenario.stack;
        std::fs::create_dir_all(dir).with_context(|| format!("creating {}", dir.display()))?;
        let dir = dir.canonicalize()?;
        let mark = dir.join(MARK);
        std::fs::write(&mark, "").with_context(|| format!("writing {}", mark.display()))?;
        let asn = dir.join("asn.csv");
        std::fs::write(&asn, world.csv()).with_context(|| format!("writing {}", asn.display()))?;
        let databases = format!("[decoder.enrich.databases]\nasn = [{:?}]\n", asn.display().to_string());
        let disk = wanted.bus_disk_mb.map(|size| Disk::mount(&dir.join("bus"), size)).transpose()?;
        let options = local::Options {
            weir,
            standalone: wanted.standalone,
            brokers: wanted.brokers,
            decoders: wanted.decoders,
            sinks: wanted.sinks,
            partitions: wanted.partitions,
            ports: Ports::free()?,
            kafka: kafka::Options {
                heap_mb: if wanted.brokers > 1 { 384 } else { 1024 },
                ..kafka::Options::load()
            },
            config: vec![databases.parse()?, links_toml(exporters).parse()?, wanted.config.clone()],
            patience: READY,
            ..local::Options::new(&dir)
        };
        let stack = Local::up(options)?;
        let machine = Self {
            stack,
            processes: Processes::default(),
            metrics: Arc::default(),
            counters: Arc::default(),
            broken: Vec::new(),
            standalone: wanted.standalone,
            _disk: disk,
        };
        machine.tell_processes();
        Ok(machine)
    }

    /// What its program says of itself.
    ///
    /// # Errors
    /// Where it says nothing.
    pub fn version(&self) -> Result<String> {
        let said = self.stack.weir("--version", &[])?;
        Ok(String::from_utf8_lossy(&said).trim().to_owned())
    }

    /// Whether it is one process.
    pub fn standalone(&self) -> bool {
        self.standalone
    }

    /// Folder of the embedded bus.
    pub fn bus_dir(&self) -> PathBuf {
        self.stack.dir().join("bus")
    }

    /// Folder with a folder for each topic, or for each partition of one.
    pub fn topics(&self) -> PathBuf {
        let kafka = self.stack.dir().join("kafka");
        if self.standalone {
            self.bus_dir()
        } else if kafka.join("data").exists() {
            kafka.join("data")
        } else {
            kafka.join("broker-1/data")
        }
    }

    /// Tells the sampler which processes there are now.
    pub fn tell_processes(&self) {
        let description = self.stack.description();
        // Numbers of processes are of no interest to a reader: `decoder-1` is a decoder.
        let part = |name: &str| name.split('-').next().unwrap_or(name).to_owned();
        let own = ("generator".to_owned(), std::process::id());
        let processes = description.services.iter().filter_map(|one| Some((part(&one.name), one.pid?)));
        *locked(&self.processes) = processes.chain([own]).collect();
        let metrics = description.services.iter().filter(|one| !one.admin.is_empty());
        *locked(&self.metrics) = metrics.map(|one| one.admin.clone()).collect();
    }

    /// Waits until every service is ready.
    ///
    /// # Errors
    /// With what it waits for.
    pub fn wait_ready(&mut self) -> Result<()> {
        let names: Vec<String> = self.stack.services().iter().map(|one| one.name().to_owned()).collect();
        for name in names {
            self.stack.service(&name)?.wait_ready(READY)?;
        }
        Ok(())
    }

    /// Which datagrams lie in `weir.raw`. The embedded log has one reader, so the one process ends for it, and is started again.
    ///
    /// # Errors
    /// Where the bus can't be read.
    pub fn received(&mut self) -> Result<Received> {
        let config = weir_bus::Config::default();
        if let Some(bootstrap_servers) = self.stack.bootstrap() {
            return Received::read(&KafkaBus::new(weir_bus::Config { bootstrap_servers, ..config })?);
        }
        let embedded = EmbeddedConfig { path: self.bus_dir(), ..EmbeddedConfig::default() };
        let service = self.stack.service("standalone")?;
        // What it left is read however it ended.
        let ended = service.stop(Duration::from_secs(40));
        self.broken.extend(ended.err().map(|error| error.to_string()));
        let received = Received::read(&EmbeddedBus::open(weir_bus::Config { embedded, ..config })?);
        service.start()?;
        service.wait_ready(READY)?;
        received
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_are_kept_under_names_of_their_own_and_topics_are_not() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let write = |path: &str| {
            let path = from.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "said").unwrap();
        };
        for path in [
            "sink-0.log",
            "stack.json",
            "kafka/broker-1/kafka.log",
            "kafka/broker-1/data/weir.raw-0/00000000000000000000.log",
            "kafka/kafka.log",
            "bus/00.log",
        ] {
            write(path);
        }
        let logs = to.path().join("smoke-logs");
        keep_logs(from.path(), &logs).unwrap();
        let mut kept: Vec<_> = std::fs::read_dir(&logs)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        kept.sort();
        assert_eq!(kept, ["kafka-broker-1-kafka.log", "kafka-kafka.log", "sink-0.log"]);
    }
}
