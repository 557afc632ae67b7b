//! Where the bus is that a command is about: with a running standalone, on this machine's disk, or Kafka.
//!
//! What must stay true: which of them is never guessed. A log that somebody left here once says nothing of where the rows are from that lie in
//! ClickHouse, and a redecode of the wrong one takes away the right one's.

use crate::config::Config;
use crate::{control, deadletter, redecode};
use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::sync::watch;
use weir_bus::{Bus, EmbeddedBus, KafkaBus};
use weir_runtime::Stop;

/// A bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Which {
    /// That of `weir standalone`, in bus.embedded.path.
    Embedded,
    /// Kafka, at bus.bootstrap_servers.
    Kafka,
}

/// Something to do on a bus.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// `weir redecode`.
    Redecode(redecode::Request),
    /// `weir deadletter`.
    Deadletter(deadletter::Request),
}

/// Does it, wherever the bus is. Without a word about that it is that of a standalone that runs here, or Kafka where there is no other.
pub fn run(config: &Config, which: Option<Which>, task: &Task) -> Result<()> {
    let folder = &config.bus.embedded.path;
    let print = |line: &str| println!("{line}");
    if which != Some(Which::Kafka) {
        if let Some(standalone) = control::connect(folder) {
            return control::ask(standalone, task, print);
        }
        if which == Some(Which::Embedded) {
            return here(&there(config)?, config, task, &print);
        }
        if folder.is_dir() {
            bail!(
                "no `weir standalone` runs here, but there is a log of one in {} (bus.embedded.path): say which bus is meant, --bus embedded \
                 or --bus kafka",
                folder.display()
            );
        }
    }
    here(&KafkaBus::new(config.bus.clone())?, config, task, &print)
}

/// The log that lies in the folder. Opening makes one where there is none, and from then on that one is asked for the rows of another.
fn there(config: &Config) -> Result<EmbeddedBus> {
    let folder = config.bus.embedded.path.display();
    let none = || {
        format!(
            "there is no log of a `weir standalone` in {folder} (bus.embedded.path): name the folder that it uses"
        )
    };
    if !config.bus.embedded.path.join("index").is_dir() {
        bail!(none());
    }
    let bus = EmbeddedBus::open(config.bus.clone())?;
    // One that was only ever opened so has no topics.
    if bus.describe(&[&bus.topics().raw])?.iter().all(Option::is_none) {
        bail!(none());
    }
    Ok(bus)
}

/// Does it in this process.
fn here<B: Bus>(bus: &B, config: &Config, task: &Task, say: &dyn Fn(&str)) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .context("no threads")?;
    work(bus, config, runtime.handle(), task, say, &Stop::new())
}

fn work<B: Bus>(
    bus: &B,
    config: &Config,
    runtime: &Handle,
    task: &Task,
    say: &dyn Fn(&str),
    stop: &Stop,
) -> Result<()> {
    let mut work = redecode::Work::new(bus, config, runtime, say, stop)?;
    match task {
        Task::Deadletter(request) => deadletter::run(&mut work, request),
        Task::Redecode(request) => redecode::run(&mut work, request),
    }
}

/// What a running standalone does of what it is asked, once the place is its own engine's where its rows lie.
pub fn handler(
    bus: EmbeddedBus,
    config: Config,
    runtime: Handle,
    listens: watch::Receiver<bool>,
) -> Arc<control::Handler> {
    Arc::new(move |request: &str, say: &dyn Fn(&str), stop: &Stop| {
        if !*listens.borrow() {
            bail!(
                "the engine of this standalone does not have {} (engine.listen) yet, and whoever is there is asked nothing: its log says why",
                config.engine.listen
            );
        }
        let task: Task = serde_json::from_str(request).context("this standalone is of another release")?;
        work(&bus, &config, &runtime, &task, say, stop)
    })
}
