//! The decoder: `weir.raw` to `weir.flows`, exactly once.
//!
//! Reads frames of datagrams, decodes and enriches them, and writes flow batches, state, inventory and dead letters in one
//! transaction with the offsets of what it read. It keeps nothing that a restart, a rebalance or a scale-out would lose.

mod config;
mod cycle;
pub mod enrich;
mod listen;
pub mod metrics;
pub mod partition;
pub mod pipeline;
mod quality;
pub mod replay;
mod restore;

pub use config::Config;

use enrich::Enricher;
use pipeline::Worker;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use weir_bus::{Bus, TopicSpec, Topics};
use weir_runtime::{Opened, Readiness, Repeats, Stop, Workers};

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
    if !wait_for_bus(&bus, specs, &ready, &stop).await? {
        return Ok(());
    }
    let mut workers = Workers::new(&stop);
    for number in 0..config.worker_count() {
        let (bus, topics, config, enricher, stop) =
            (bus.clone(), topics.clone(), Arc::clone(&config), Arc::clone(&enricher), stop.clone());
        let work = move |opened: Opened<Error>| {
            let mut opened = Some(opened);
            let life = || {
                let worker = Worker::open(&bus, &topics, &config, &enricher, number, &stop)?;
                if let Some(opened) = opened.take() {
                    opened.open();
                }
                worker.run(&stop)
            };
            let done = weir_runtime::live(life, |error| matches!(error, Error::Fenced { .. }), &stop);
            in_order(done, &stop)
        };
        workers
            .start(format!("decoder-{number}"), Error::Worker(number), work)
            .map_err(|_| Error::Worker(number))?;
    }
    let reloading = tokio::spawn(reload(Arc::clone(&enricher), config.enrich.reload_s, stop.clone()));
    let outcome = workers.ended(|| ready.ready()).await;
    stop.cancel();
    let _ = reloading.await;
    outcome
}

/// Told to end, a worker need not wait for a bus that is away: what it had not committed is read again.
fn in_order(done: Result<(), Error>, stop: &Stop) -> Result<(), Error> {
    match done {
        Err(Error::Bus(error)) if stop.is_cancelled() && !error.is_lasting() => {
            tracing::warn!("{error}; what was not committed is read again at the next start");
            Ok(())
        }
        other => other,
    }
}

/// Waits for a bus that is away, with its sentence in the log; topics that are wrong end it. `false`: it was told to stop before.
async fn wait_for_bus<B: Bus>(
    bus: &B,
    specs: Vec<TopicSpec>,
    ready: &Readiness,
    stop: &Stop,
) -> Result<bool, Error> {
    let mut told = Repeats::default();
    while !stop.is_cancelled() {
        let (bus, specs) = (bus.clone(), specs.clone());
        let checked = tokio::task::spawn_blocking(move || bus.check(&specs));
        let checked = tokio::select! {
            () = stop.cancelled() => break,
            checked = checked => checked.map_err(|_| Error::Worker(0))?,
        };
        match checked {
            Ok(_) => return Ok(true),
            Err(error) if error.is_lasting() => return Err(error.into()),
            Err(error) => {
                let words = error.to_string();
                if told.says(&words) {
                    tracing::warn!("{words}");
                }
                ready.not_ready(&words);
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = tokio::time::sleep(Duration::from_secs(1)) => {}
                }
            }
        }
    }
    Ok(false)
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

#[cfg(test)]
mod tests {
    use super::*;
    use weir_bus::Error as BusError;

    #[test]
    fn a_bus_that_is_away_at_the_end_is_no_failure_and_everything_else_is() {
        let away = || {
            Err(Error::Bus(BusError::Timeout { doing: "opening a producer".into(), waited: Duration::ZERO }))
        };
        let missing = || Err(Error::Bus(BusError::TopicMissing { topic: "weir.raw".into() }));
        let stop = Stop::new();
        assert!(in_order(away(), &stop).is_err(), "nobody told it to end");
        stop.cancel();
        in_order(away(), &stop).unwrap();
        assert!(in_order(missing(), &stop).is_err());
        assert!(in_order(Err(Error::Worker(1)), &stop).is_err());
    }
}
