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
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use tokio::process::Command;
use tokio::sync::watch;
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
    /// The API.
    #[error(transparent)]
    Api(#[from] weir_api::Error),
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
        command.args(["engine", "--child"]);
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
    weir_api::metrics::describe();
    weir_store::metrics::describe();
    weir_bus::metrics::describe();
}

/// What stands between it and being ready.
struct Conditions {
    ingest: Readiness,
    decoder: Readiness,
    sink: Readiness,
    engine: Readiness,
    api: Readiness,
}

impl Conditions {
    fn new(health: &Health) -> Self {
        let of = |name| health.condition(name);
        let (ingest, decoder, sink) = (of("ingest"), of("decoder"), of("sink"));
        Self { ingest, decoder, sink, engine: of("engine"), api: of("API") }
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
    let api = weir_api::Bound::bind(config.api.clone()).await?;
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
    let (own, listening) = watch::channel(false);
    let supervised = tokio::spawn({
        let (address, store, stop) = (config.engine.listen.clone(), store.clone(), engine_stop.clone());
        async move {
            let Some(listener) = engine::listen(&address, &conditions.engine, &stop).await else {
                return Ok(());
            };
            own.send_replace(true);
            engine::supervise(engine, listener, store, engine::SILENT, conditions.engine, stop).await
        }
    });
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
    let handler = crate::reach::handler(
        bus.clone(),
        config.clone(),
        tokio::runtime::Handle::current(),
        listening.clone(),
    );
    let (folder, control_stop) = (config.bus.embedded.path.clone(), stop.clone());
    spawn(&mut services, &stop, async move {
        let served =
            crate::control::serve(folder.clone(), handler, crate::control::PATIENCE, control_stop).await;
        served.map_err(|error| Error::Control(folder, error))
    });
    let (asked, api_listening, api_stop) = (store.clone(), listening.clone(), stop.clone());
    let inventory = Arc::new(weir_api::inventory::OfBus::new(bus.clone()));
    spawn(&mut services, &stop, async move {
        if listens(api_listening, &api_stop).await {
            api.run(asked, inventory, conditions.api, api_stop).await
        } else {
            Ok(())
        }
    });
    let (ready, sink_stop) = (conditions.sink, stop.clone());
    let sink = async move {
        if !listens(listening, &sink_stop).await {
            return Ok(());
        }
        if made(&config, &ready, &sink_stop).await? {
            let said = ready.clone();
            let sink = |stop| weir_sink::run(config.sink.clone(), bus, topics, specs, store, said, stop);
            stored(sink, &ready, &sink_stop).await?;
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

/// Runs the sink. A plan that can't be repeated waits for a person's word, and so do its flows, in the log: what is received must not
/// be missed for it.
async fn stored<F>(
    sink: impl FnOnce(Stop) -> F,
    ready: &Readiness,
    stop: &Stop,
) -> std::result::Result<(), weir_sink::Error>
where
    F: Future<Output = std::result::Result<(), weir_sink::Error>>,
{
    // The end of a worker cancels what it was given.
    let done = sink(stop.child_token()).await;
    if let Err(error @ weir_sink::Error::Plan(_)) = &done {
        ready.not_ready(&error.to_string());
        tracing::error!(
            "the sink ended: {error}; all else goes on until it is told to stop, and what is received waits in the log"
        );
        stop.cancelled().await;
    }
    done
}

/// Waits until the engine's socket is this process's: before that another may answer there. `false`: told to stop before.
async fn listens(mut listening: watch::Receiver<bool>, stop: &Stop) -> bool {
    tokio::select! {
        _ = listening.wait_for(|listens| *listens) => true,
        () = stop.cancelled() => false,
    }
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
pub mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// A server and the configuration of its store. It answers with status and words for each question in turn, as long as there is one, and
    /// takes connections for ever.
    pub fn server(
        mut answer: impl FnMut(usize) -> Option<(&'static str, &'static str)> + Send + 'static,
    ) -> weir_store::Config {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            let mut held = Vec::new();
            for (number, mut client) in listener.incoming().flatten().enumerate() {
                let Some((status, words)) = answer(number) else {
                    held.push(client);
                    continue;
                };
                let _ = client.read(&mut [0; 4096]);
                let length = words.len();
                let _ = write!(
                    client,
                    "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{words}"
                );
            }
        });
        weir_store::Config { url, ..weir_store::Config::default() }
    }

    /// An engine that answers everything with these words.
    fn refusing(words: &'static str) -> Config {
        Config { clickhouse: server(move |_| Some(("500 no", words))), ..Config::default() }
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

    #[tokio::test(flavor = "multi_thread")]
    async fn whoever_else_answers_where_the_engine_is_to_listen_is_asked_nothing() {
        let (asked, folder) = (Arc::new(AtomicUsize::new(0)), tempfile::tempdir().unwrap());
        let other = server({
            let asked = Arc::clone(&asked);
            move |number| {
                asked.store(number + 1, Ordering::Relaxed);
                Some(("200 OK", ""))
            }
        });
        let mut config = Config { clickhouse: other, ..Config::default() };
        config.engine.listen = config.clickhouse.url.trim_start_matches("http://").to_owned();
        config.bus.embedded.path = folder.path().to_owned();
        config.ingest.ports = vec![0];
        config.api.listen = "127.0.0.1:0".into();
        let (health, stop) = (Health::default(), Stop::new());
        let engine = || -> Command { panic!("an engine is started") };
        let runs = tokio::spawn(run(config, engine, Conditions::new(&health), stop.clone()));
        let refused = async {
            loop {
                let taken = health.missing().get("engine").is_some_and(|why| why.contains("can't listen"));
                match crate::control::connect(folder.path()) {
                    Some(standalone) if taken => break standalone,
                    _ => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        };
        let standalone = tokio::time::timeout(Duration::from_secs(30), refused).await.expect("it hangs");
        let task = serde_json::json!({"deadletter": {"show": {"place": [0, 0]}}});
        let answer = tokio::task::spawn_blocking(move || crate::control::ask(standalone, &task, |_| {}));
        let words = answer.await.unwrap().unwrap_err().to_string();
        assert!(words.contains("engine.listen"), "{words}");
        stop.cancel();
        runs.await.unwrap().unwrap();
        assert_eq!(asked.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn a_plan_that_cannot_be_repeated_ends_the_sink_alone_and_any_other_error_ends_all() {
        let format = weir_sink::plan::PlanError::Format {
            topic: "weir.flows".into(),
            partition: 3,
            format: 9,
            settings: 9,
        };
        let (health, stop) = (Health::default(), Stop::new());
        let mut services = JoinSet::new();
        let mut run = |error: weir_sink::Error, stop: &Stop| {
            let (ready, sink_stop) = (health.condition("sink"), stop.clone());
            ready.ready();
            spawn(&mut services, stop, async move {
                let sink = |stop: Stop| async move {
                    stop.cancel();
                    Err(error)
                };
                stored(sink, &ready, &sink_stop).await
            });
        };
        run(format.into(), &stop);
        let goes_on = tokio::time::timeout(Duration::from_millis(300), stop.cancelled()).await.is_err();
        assert!(goes_on && health.missing()["sink"].contains("weir.flows/3"), "{:?}", health.missing());
        let other = Stop::new();
        run(weir_sink::Error::Worker(0), &other);
        tokio::time::timeout(Duration::from_secs(20), other.cancelled()).await.expect("it hangs");
        stop.cancel();
        let ended = services.join_all().await;
        let is_plan = |ended: &_| matches!(ended, Err(Error::Sink(weir_sink::Error::Plan(_))));
        assert_eq!(ended.iter().filter(|ended| is_plan(ended)).count(), 1, "{ended:?}");
    }
}
