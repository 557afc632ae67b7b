//! Where the bus is that a command is about: with a running standalone, on this machine's disk, or Kafka.

use crate::config::Config;
use crate::{control, deadletter, redecode};
use anyhow::{Context, Result};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tokio::runtime::Handle;
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

/// Does it, wherever the bus is. Without a word about that it is the embedded one where there is one.
pub fn run(config: &Config, which: Option<Which>, task: &Task) -> Result<()> {
    let folder = &config.bus.embedded.path;
    let print = |line: &str| println!("{line}");
    if which != Some(Which::Kafka) {
        if let Some(standalone) = control::connect(folder) {
            return control::ask(standalone, task, print);
        }
        if which == Some(Which::Embedded) || folder.is_dir() {
            let bus = EmbeddedBus::open(config.bus.clone())?;
            return here(&bus, config, task, &print);
        }
    }
    here(&KafkaBus::new(config.bus.clone())?, config, task, &print)
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
    match task {
        Task::Deadletter(request) => deadletter::run(bus, config, request, say, stop),
        Task::Redecode(request) => {
            redecode::run(&mut redecode::Work::new(bus, config, runtime, say, stop)?, request)
        }
    }
}

/// What a running standalone does of what it is asked.
pub fn handler(bus: EmbeddedBus, config: Config, runtime: Handle) -> Arc<control::Handler> {
    Arc::new(move |request: &str, say: &dyn Fn(&str), stop: &Stop| {
        let task: Task = serde_json::from_str(request).context("this standalone is of another release")?;
        work(&bus, &config, &runtime, &task, say, stop)
    })
}
