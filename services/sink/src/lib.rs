//! The sink: `weir.flows` to ClickHouse, every flow once, in `flows` and in every rollup.
//!
//! It plans a batch, commits the plan, inserts under tokens made of the plan, and commits the end. After a crash the same batch is
//! made again and ClickHouse drops what it has (docs/exactly-once.md, rules 7 to 13).

pub mod batch;
mod config;
mod dead;
pub mod difference;
mod follow;
mod insert;
pub mod inventory;
mod keys;
pub mod lane;
pub mod metrics;
pub mod pipeline;
pub mod plan;
mod question;
pub mod rollup;
pub mod spread;
mod sums;

pub use config::{Config, LostBatch};

use pipeline::Worker;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use tokio::runtime::Handle;
use weir_bus::{Bus, TopicSpec, Topics};
use weir_runtime::{Readiness, Repeats, Stop, Workers};
use weir_schemas::rollup::tables;
use weir_store::{Store, StoreError};

/// Why the sink can't start or go on.
#[derive(Debug, Error)]
pub enum Error {
    /// A key can't be used.
    #[error("{0}")]
    Config(String),
    /// The bus can't be used.
    #[error(transparent)]
    Bus(#[from] weir_bus::Error),
    /// ClickHouse can't be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A plan can't be carried out.
    #[error(transparent)]
    Plan(#[from] plan::PlanError),
    /// A message of a later release.
    #[error(
        "{topic}/{partition}: offset {offset} was written with schema {schema:016x}, which this release doesn't know: upgrade the sink before the decoder"
    )]
    Schema {
        /// Topic.
        topic: String,
        /// Partition.
        partition: i32,
        /// Offset.
        offset: i64,
        /// Fingerprint of the schema.
        schema: u64,
    },
    /// Another process has this identity.
    #[error("{identity} was taken over by another process of the same identity (sink.instance): {reason}")]
    Fenced {
        /// The identity.
        identity: String,
        /// The bus's words.
        reason: String,
    },
    /// The topic is another one than at the start.
    #[error(
        "topic {topic} was deleted or created again while the sink ran; start the sink again when the topic is there"
    )]
    Recreated {
        /// Topic.
        topic: String,
    },
    /// A thread could not be started or ended badly.
    #[error("worker {0} ended without a word: a defect; what it had not stored is read again")]
    Worker(usize),
}

/// Runs the sink until told to stop, then stores what it holds and returns.
pub async fn run<B: Bus>(
    config: Config,
    bus: B,
    topics: Topics,
    specs: Vec<TopicSpec>,
    store: Store,
    ready: Readiness,
    stop: Stop,
) -> Result<(), Error> {
    config.validate().map_err(Error::Config)?;
    let config = Arc::new(config);
    let Some(incarnation) = wait_for_bus(&bus, specs, &topics, &ready, &stop).await? else { return Ok(()) };
    wait_for_store(&store, &ready, &stop).await?;
    if stop.is_cancelled() {
        return Ok(());
    }
    let recreated = Stop::new();
    let watch =
        tokio::spawn(watch_topic(bus.clone(), topics.flows.clone(), incarnation.clone(), recreated.clone()));
    let mut workers = Workers::new(&stop);
    for number in 0..config.worker_count() {
        let (bus, topics, config, incarnation) =
            (bus.clone(), topics.clone(), Arc::clone(&config), incarnation.clone());
        let (store, stop, runtime) = (store.clone(), stop.clone(), Handle::current());
        let recreated = recreated.clone();
        let work = move |opened: weir_runtime::Opened<Error>| {
            let at = (incarnation.as_str(), &recreated);
            let mut opened = Some(opened);
            let life = || {
                let worker = Worker::open(&bus, &topics, at, &config, &store, &runtime, number)?;
                if let Some(opened) = opened.take() {
                    opened.open();
                }
                worker.run(&stop)
            };
            let done = weir_runtime::live(life, |error| matches!(error, Error::Fenced { .. }), &stop);
            match done {
                Err(Error::Bus(error)) if stop.is_cancelled() && error.is_away() => {
                    tracing::warn!("{error}; what was not stored is read again at the next start");
                    Ok(())
                }
                done => done,
            }
        };
        workers
            .start(format!("sink-{number}"), Error::Worker(number), work)
            .map_err(|_| Error::Worker(number))?;
    }
    let outcome = workers.ended(|| ready.ready()).await;
    watch.abort();
    outcome
}

/// Tells the workers when `weir.flows` was deleted or created again. They would read the new one from the old position on, without
/// a word, and under the tokens of the old one.
async fn watch_topic<B: Bus>(bus: B, topic: String, incarnation: String, recreated: Stop) {
    loop {
        tokio::time::sleep(Duration::from_secs(5)).await;
        let (bus, topic, incarnation) = (bus.clone(), topic.clone(), incarnation.clone());
        let same = move || pipeline::is_same(&bus, &topic, &incarnation);
        if let Ok(false) = tokio::task::spawn_blocking(same).await {
            return recreated.cancel();
        }
    }
}

/// Waits for a bus that is away, with its sentence in the log; topics that are wrong end it. Gives the incarnation of `weir.flows`.
async fn wait_for_bus<B: Bus>(
    bus: &B,
    specs: Vec<TopicSpec>,
    topics: &Topics,
    ready: &Readiness,
    stop: &Stop,
) -> Result<Option<String>, Error> {
    let mut told = Repeats::default();
    while !stop.is_cancelled() {
        let (bus, specs) = (bus.clone(), specs.clone());
        let checked = tokio::task::spawn_blocking(move || bus.check(&specs));
        let checked = tokio::select! {
            () = stop.cancelled() => break,
            checked = checked => checked.map_err(|_| Error::Worker(0))?,
        };
        match checked {
            Ok(found) => {
                return Ok(found
                    .into_iter()
                    .find(|topic| topic.name == topics.flows)
                    .map(|topic| topic.incarnation));
            }
            Err(error) if error.is_lasting() => return Err(error.into()),
            Err(error) => wait(&error, &mut told, ready, stop).await,
        }
    }
    Ok(None)
}

/// Lets a second pass, unless told to stop, and says why.
async fn wait(error: &(dyn std::error::Error + Sync), told: &mut Repeats, ready: &Readiness, stop: &Stop) {
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

/// Waits for ClickHouse, with its sentence in the log; without tables there is nothing to wait for.
async fn wait_for_store(store: &Store, ready: &Readiness, stop: &Stop) -> Result<(), Error> {
    let (mut unseen, mut told) = (tables(), Repeats::default());
    let mut next = unseen.next();
    while let Some(table) = next.filter(|_| !stop.is_cancelled()) {
        // Reads nothing, and fails where a column or the table is not there.
        let columns: Vec<_> = table.all_columns().map(|column| column.name).collect();
        let ask = format!("SELECT {} FROM {}.{} WHERE 0", columns.join(", "), store.database(), table.name);
        let answer = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            answer = store.execute(&ask) => answer,
        };
        match answer {
            Ok(()) => next = unseen.next(),
            Err(error) if error.is_transient() => {
                wait(&error, &mut told, ready, stop).await;
            }
            Err(StoreError::Refused { url, what, reason }) if lacks_table(&reason) => {
                let reason = format!("{reason}; `weir migrate` makes the tables");
                return Err(StoreError::Refused { url, what, reason }.into());
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// No such database, table or column.
fn lacks_table(reason: &str) -> bool {
    ["Code: 81.", "Code: 60.", "Code: 47."].iter().any(|code| reason.contains(code))
}
