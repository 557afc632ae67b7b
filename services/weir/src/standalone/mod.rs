//! Every service in one process, on the embedded bus, with the embedded engine as a child.
//!
//! The same services as anywhere else: this only hands them a bus and a store. Datagrams are taken from the first moment, whatever
//! the engine does: what can't be stored yet lies in the log.

pub mod engine;

use crate::config::Config;
use crate::places::tables;
use anyhow::{Result, bail};
use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;
use thiserror::Error;
use tokio::process::Command;
use tokio::task::JoinSet;
use weir_bus::{Bus, EmbeddedBus, TopicSpec};
use weir_runtime::{Health, Readiness, Repeats, Stop};
use weir_store::{Store, StoreError};

/// Why it can't start or go on.
#[derive(Debug, Error)]
pub enum Error {
    /// The bus.
    #[error(transparent)]
    Bus(#[from] weir_bus::Error),
    /// Ingest.
    #[error(transparent)]
    Ingest(#[from] weir_ingest::Error),
    /// The decoder.
    #[error(transparent)]
    Decoder(#[from] weir_decoder::Error),
    /// The sink.
    #[error(transparent)]
    Sink(#[from] weir_sink::Error),
    /// The store's tables.
    #[error("{0:#}")]
    Tables(anyhow::Error),
    /// The engine's process.
    #[error("the engine can't be started: {0}")]
    Engine(std::io::Error),
    /// The socket for commands.
    #[error("no socket for commands in {0} (bus.embedded.path): {1}")]
    Control(PathBuf, std::io::Error),
    /// A defect.
    #[error("a service ended without a word: a defect; {0}")]
    Lost(tokio::task::JoinError),
}

/// How this process was configured, for its child.
pub struct Given {
    /// `--config`.
    pub file: Option<PathBuf>,
    /// `--set`.
    pub set: Vec<String>,
}

impl Given {
    fn engine(&self, program: &std::path::Path) -> Command {
        let mut command = Command::new(program);
        if let Some(file) = &self.file {
            command.arg("--config").arg(file);
        }
        command.args(self.set.iter().flat_map(|set| ["--set", set]));
        command.args(["engine", "--end-with-input"]);
        command
    }
}

/// `weir standalone`.
pub fn standalone(mut config: Config, given: Given) -> Result<()> {
    let own = format!("http://{}", config.engine.listen);
    if config.clickhouse.url != own || config.clickhouse.cluster.is_some() {
        bail!(
            "clickhouse.url: is {}, and the engine of `weir standalone` is {own} (engine.listen), without a cluster; make them the same",
            config.clickhouse.url
        );
    }
    config.bus.replication = 1;
    let program = std::env::current_exe()?;
    let admin = config.runtime.admin.standalone.clone();
    let runtime = config.clone();
    crate::services::run("standalone", &runtime, &admin, describe, |health, stop| {
        run(config, move || given.engine(&program), Conditions::new(&health), stop)
    })
}

fn describe() {
    weir_ingest::metrics::describe();
    weir_decoder::metrics::describe();
    weir_sink::metrics::describe();
    weir_store::metrics::describe();
    weir_bus::metrics::describe();
}

/// What stands between it and being ready.
struct Conditions {
    ingest: Readiness,
    decoder: Readiness,
    sink: Readiness,
    engine: Readiness,
}

impl Conditions {
    fn new(health: &Health) -> Self {
        let of = |name| health.condition(name);
        Self { ingest: of("ingest"), decoder: of("decoder"), sink: of("sink"), engine: of("engine") }
    }
}

/// All services until told to stop, or until one of them ends.
async fn run(
    config: Config,
    engine: impl FnMut() -> Command + Send + 'static,
    conditions: Conditions,
    stop: Stop,
) -> std::result::Result<(), Error> {
    // First of all, so that the kernel keeps what comes.
    let ingest = weir_ingest::Ingest::bind(config.ingest.clone())?;
    let store = Store::new(&config.clickhouse).map_err(|error| Error::Tables(error.into()))?;
    let (bus_config, mut told) = (config.bus.clone(), Repeats::default());
    let opened = loop {
        let bus_config = bus_config.clone();
        let opened = blocking(move || {
            let bus = EmbeddedBus::open(bus_config.clone())?;
            let specs = TopicSpec::all(&bus_config, bus.partitions());
            specs.iter().try_for_each(|spec| bus.create(spec).map(drop))?;
            bus.check(&specs)?;
            Ok((bus, specs))
        });
        match opened.await {
            // A full disk, or a predecessor that is not gone yet.
            Err(Error::Bus(error)) if error.is_away() => {
                let words = error.to_string();
                conditions.decoder.not_ready(&words);
                if told.says(&words) {
                    tracing::error!("{words}; it is tried again");
                }
            }
            other => break other?,
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
    };
    let (bus, specs) = opened;
    let topics = config.bus.topics();

    // The engine ends last: the sink still stores what it holds.
    let engine_stop = Stop::new();
    let supervised = tokio::spawn(engine::supervise(
        engine,
        store.clone(),
        engine::SILENT,
        conditions.engine,
        engine_stop.clone(),
    ));
    let mut services = JoinSet::new();
    conditions.ingest.ready();
    spawn(&mut services, &stop, ingest.run(bus.clone(), stop.clone()));
    let decoder = weir_decoder::run(
        config.decoder.clone(),
        bus.clone(),
        topics.clone(),
        specs.clone(),
        conditions.decoder,
        stop.clone(),
    );
    spawn(&mut services, &stop, decoder);
    let handler = crate::reach::handler(bus.clone(), config.clone(), tokio::runtime::Handle::current());
    let (folder, control_stop) = (config.bus.embedded.path.clone(), stop.clone());
    spawn(&mut services, &stop, async move {
        let served =
            crate::control::serve(folder.clone(), handler, crate::control::PATIENCE, control_stop).await;
        served.map_err(|error| Error::Control(folder, error))
    });
    let (ready, sink_stop) = (conditions.sink, stop.clone());
    let sink = async move {
        if made(&config, &ready, &sink_stop).await? {
            weir_sink::run(config.sink.clone(), bus, topics, specs, store, ready, sink_stop).await?;
        }
        Ok::<_, Error>(())
    };
    spawn(&mut services, &stop, sink);

    let mut outcome = Ok(());
    while let Some(ended) = services.join_next().await {
        outcome = outcome.and(ended.unwrap_or_else(|lost| Err(Error::Lost(lost))));
    }
    engine_stop.cancel();
    let engine = supervised.await.map_err(Error::Lost).and_then(|done| done.map_err(Error::Engine));
    outcome.and(engine)
}

/// Runs a service; its end is the end of all.
fn spawn<E>(
    services: &mut JoinSet<std::result::Result<(), Error>>,
    stop: &Stop,
    service: impl Future<Output = std::result::Result<(), E>> + Send + 'static,
) where
    Error: From<E>,
    E: Send + 'static,
{
    let ends = stop.clone().drop_guard();
    services.spawn(async move {
        let _ends = ends;
        Ok(service.await?)
    });
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> weir_bus::Result<T> + Send + 'static,
) -> std::result::Result<T, Error> {
    Ok(tokio::task::spawn_blocking(work).await.map_err(Error::Lost)??)
}

/// Makes the tables, as soon as the engine answers. `false`: told to stop before.
async fn made(config: &Config, ready: &Readiness, stop: &Stop) -> std::result::Result<bool, Error> {
    let mut told = Repeats::default();
    loop {
        let done = tokio::select! {
            () = stop.cancelled() => return Ok(false),
            done = tables(config, |words| tracing::info!("{words}")) => done,
        };
        let Err(error) = done else { return Ok(true) };
        let of = error.downcast_ref::<StoreError>();
        if !of.is_some_and(StoreError::is_transient) {
            return Err(Error::Tables(error));
        }
        let words = format!("{error:#}");
        ready.not_ready(&words);
        if told.says(&words) {
            match of {
                // That it is away for a while is how each start begins.
                Some(StoreError::Unreachable { .. }) => tracing::debug!("{words}"),
                _ => tracing::error!("the tables can't be made: {words}; it is tried again"),
            }
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    /// A ClickHouse that answers everything with these words.
    fn refusing(words: &'static str) -> Config {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for mut client in listener.incoming().flatten() {
                let _ = client.read(&mut [0; 4096]);
                let length = words.len();
                let _ = write!(
                    client,
                    "HTTP/1.1 500 no\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{words}"
                );
            }
        });
        let clickhouse = weir_store::Config { url, ..weir_store::Config::default() };
        Config { clickhouse, ..Config::default() }
    }

    #[tokio::test]
    async fn tables_that_are_refused_for_good_are_an_error_and_what_passes_is_tried_again() {
        let (health, stop) = (Health::default(), Stop::new());
        let ready = health.condition("sink");
        for lasting in
            ["Code: 62. DB::Exception: Syntax error", "Code: 497. DB::Exception: Not enough privileges"]
        {
            let error = made(&refusing(lasting), &ready, &stop).await.unwrap_err().to_string();
            assert!(error.contains(lasting), "{error}");
        }
        let config = refusing("Code: 241. DB::Exception: Memory limit exceeded");
        let trying = made(&config, &ready, &stop);
        let end = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            assert!(health.missing()["sink"].contains("Memory limit"), "{:?}", health.missing());
            stop.cancel();
        };
        let (made, ()) = tokio::join!(trying, end);
        assert!(!made.unwrap());
    }
}
