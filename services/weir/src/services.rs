//! Each service: its configuration, its handles, its life.

use crate::config::Config;
use anyhow::{Context, Result, anyhow};
use std::error::Error;
use std::future::Future;
use std::sync::Arc;
use weir_bus::{Bus, KafkaBus, TopicSpec};
use weir_runtime::{Health, Stop};
use weir_store::Store;
use weir_store::engine::{Engine, EngineError, serve};

/// Runs a service under the common lifecycle.
pub fn run<E, F, Fut>(name: &str, config: &Config, admin: &str, describe: fn(), service: F) -> Result<()>
where
    E: Error + Send + Sync + 'static,
    F: FnOnce(Health, Stop) -> Fut,
    Fut: Future<Output = Result<(), E>>,
{
    weir_runtime::logs::init(&config.runtime).map_err(|error| anyhow!("{error}"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no threads")?;
    let done = runtime.block_on(weir_runtime::run(name, &config.runtime, admin, describe, service));
    // What did not drain in time is left, not waited for.
    runtime.shutdown_background();
    Ok(done?)
}

/// `weir ingest`.
pub fn ingest(config: Config) -> Result<()> {
    let bus = KafkaBus::new(config.bus.clone())?;
    let ingest = config.ingest.clone();
    let describe = || {
        weir_ingest::metrics::describe();
        weir_bus::metrics::describe();
    };
    run("ingest", &config, &config.runtime.admin.ingest, describe, |health, stop| {
        let ready = health.condition("listening");
        async move {
            let bound = weir_ingest::Ingest::bind(ingest)?;
            ready.ready();
            bound.run(bus, stop).await
        }
    })
}

/// `weir decoder`.
pub fn decoder(config: Config) -> Result<()> {
    let bus = KafkaBus::new(config.bus.clone())?;
    let (topics, specs) = (config.bus.topics(), TopicSpec::all(&config.bus, bus.partitions()));
    let decoder = config.decoder.clone();
    let describe = || {
        weir_decoder::metrics::describe();
        weir_bus::metrics::describe();
    };
    run("decoder", &config, &config.runtime.admin.decoder, describe, |health, stop| {
        weir_decoder::run(decoder, bus, topics, specs, health.condition("bus"), stop)
    })
}

/// `weir sink`.
pub fn sink(config: Config) -> Result<()> {
    let bus = KafkaBus::new(config.bus.clone())?;
    let (topics, specs) = (config.bus.topics(), TopicSpec::all(&config.bus, bus.partitions()));
    let store = Store::new(&config.clickhouse)?;
    let sink = config.sink.clone();
    let describe = || {
        weir_sink::metrics::describe();
        weir_store::metrics::describe();
        weir_bus::metrics::describe();
    };
    run("sink", &config, &config.runtime.admin.sink, describe, |health, stop| {
        weir_sink::run(sink, bus, topics, specs, store, health.condition("bus and ClickHouse"), stop)
    })
}

/// `weir api`.
pub fn api(config: Config) -> Result<()> {
    let store = Store::new(&config.clickhouse)?;
    let inventory = Arc::new(weir_api::inventory::OfBus::new(KafkaBus::new(config.bus.clone())?));
    let api = config.api.clone();
    let describe = || {
        weir_api::metrics::describe();
        weir_bus::metrics::describe();
    };
    run("api", &config, &config.runtime.admin.api, describe, |health, stop| {
        let ready = health.condition("listening");
        async move { weir_api::Bound::bind(api).await?.run(store, inventory, ready, stop).await }
    })
}

/// `weir engine`. As a child of `weir standalone` it listens on the socket that its parent holds, and ends with its parent.
pub fn engine(config: Config, child: bool) -> Result<()> {
    let engine = config.engine.clone();
    run("engine", &config, &config.runtime.admin.engine, weir_store::metrics::describe, |health, stop| {
        let ready = health.condition("engine");
        async move {
            let listen = |error: std::io::Error| EngineError::Listen {
                address: engine.listen.clone(),
                reason: error.to_string(),
            };
            let listener = if child {
                crate::standalone::engine::handed_down(stop.clone())
            } else {
                tokio::net::TcpListener::bind(&engine.listen).await
            };
            let listener = listener.map_err(listen)?;
            let max_body = engine.max_body_bytes;
            let address = engine.listen.clone();
            let started = tokio::task::spawn_blocking(move || Engine::start(&engine)).await;
            let started = started.map_err(|error| EngineError::Statement(error.to_string()))??;
            tracing::info!(%address, "the engine answers");
            ready.ready();
            serve(started, listener, max_body, stop).await
        }
    })
}
