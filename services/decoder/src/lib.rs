//! The decoder: `weir.raw` to `weir.flows`, exactly once.
//!
//! Reads frames of datagrams, decodes and enriches them, and writes flow batches, state, inventory and dead letters in one
//! transaction with the offsets of what it read. It keeps nothing that a restart, a rebalance or a scale-out would lose.

mod config;
mod cycle;
pub mod enrich;
pub mod metrics;
pub mod partition;
pub mod pipeline;
mod restore;

pub use config::Config;

use enrich::Enricher;
use pipeline::Worker;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use weir_bus::{Bus, TopicSpec, Topics};
use weir_runtime::{Readiness, Stop};

/// Why the decoder can't start or go on.
#[derive(Debug, Error)]
pub enum Error {
    /// A key or a file it names can't be used.
    #[error("{0}")]
    Config(String),
    /// The bus can't be used.
    #[error(transparent)]
    Bus(#[from] weir_bus::Error),
    /// Another process has this identity.
    #[error("{identity} was taken over by another process of the same identity (decoder.instance): {reason}")]
    Fenced {
        /// The identity.
        identity: String,
        /// The bus's words.
        reason: String,
    },
    /// A thread could not be started or ended badly.
    #[error(
        "worker {0} ended without a word: a defect; its partitions are read again from their committed offsets"
    )]
    Worker(usize),
}

/// Runs the decoder until told to stop, then ends its cycles and returns.
pub async fn run<B: Bus>(
    config: Config,
    bus: B,
    topics: Topics,
    specs: Vec<TopicSpec>,
    ready: Readiness,
    stop: Stop,
) -> Result<(), Error> {
    config.validate().map_err(Error::Config)?;
    let config = Arc::new(config);
    let enrich = config.enrich.clone();
    let enricher = tokio::task::spawn_blocking(move || Enricher::new(&enrich)).await;
    let enricher = Arc::new(enricher.map_err(|_| Error::Worker(0))?.map_err(Error::Config)?);
    wait_for_bus(&bus, specs, &ready, &stop).await?;
    let mut workers = Vec::new();
    for number in 0..config.worker_count() {
        let (bus, topics, config, enricher, stop) =
            (bus.clone(), topics.clone(), Arc::clone(&config), Arc::clone(&enricher), stop.clone());
        let (told, ended) = tokio::sync::oneshot::channel();
        std::thread::Builder::new()
            .name(format!("decoder-{number}"))
            .spawn(move || {
                let done = Worker::open(&bus, &topics, &config, &enricher, number, &stop)
                    .and_then(|worker| worker.run(&stop));
                let _ = told.send(done);
            })
            .map_err(|_| Error::Worker(number))?;
        workers.push((number, ended));
    }
    ready.ready();
    let reloading = tokio::spawn(reload(Arc::clone(&enricher), config.enrich.reload_s, stop.clone()));
    let mut outcome = Ok(());
    for (number, ended) in workers {
        let done = ended.await.unwrap_or(Err(Error::Worker(number)));
        if done.is_err() {
            stop.cancel();
        }
        outcome = outcome.and(done);
    }
    stop.cancel();
    let _ = reloading.await;
    outcome
}

/// Waits for a bus that is away, with its sentence in the log; topics that are wrong end it.
async fn wait_for_bus<B: Bus>(
    bus: &B,
    specs: Vec<TopicSpec>,
    ready: &Readiness,
    stop: &Stop,
) -> Result<(), Error> {
    while !stop.is_cancelled() {
        let (bus, specs) = (bus.clone(), specs.clone());
        match tokio::task::spawn_blocking(move || bus.check(&specs)).await {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(error @ weir_bus::Error::Unreachable { .. })) => {
                tracing::warn!("{error}");
                ready.not_ready(&error.to_string());
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            Ok(Err(error)) => return Err(error.into()),
            Err(_) => return Err(Error::Worker(0)),
        }
    }
    Ok(())
}

/// Looks at the databases' files now and then.
async fn reload(enricher: Arc<Enricher>, every_s: u64, stop: Stop) {
    if every_s == 0 {
        return;
    }
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(Duration::from_secs(every_s)) => {}
        }
        let enricher = Arc::clone(&enricher);
        let result = match tokio::task::spawn_blocking(move || enricher.reload()).await {
            Ok(Ok(false)) => continue,
            Ok(Ok(true)) => "taken",
            Ok(Err(error)) => {
                tracing::warn!("{error}; the databases read before stay in force");
                "refused"
            }
            Err(_) => "failed",
        };
        ::metrics::counter!(metrics::DATABASE_RELOADS, "result" => result).increment(1);
    }
}
