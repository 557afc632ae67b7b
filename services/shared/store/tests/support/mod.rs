//! Starts the real engine in the test's process.
#![allow(clippy::unwrap_used, dead_code)]

use std::path::{Path, PathBuf};
use tokio_util::sync::CancellationToken;
use weir_store::engine::{Engine, serve};
use weir_store::{Config, EngineConfig, Store};

/// Where `make setup` puts it.
fn library() -> PathBuf {
    let part = weir_stack::Home::find().part(
        "engine/libchdb.so",
        "the ClickHouse engine",
        "scripts/fetch-engine.sh",
    );
    part.unwrap_or_else(|error| panic!("{error}"))
}

pub struct Served {
    pub url: String,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

/// Boots the engine on `data` behind HTTP on a free port.
pub async fn start(data: &Path) -> Served {
    let config = EngineConfig { library: library(), data: data.to_owned(), ..EngineConfig::default() };
    let engine = tokio::task::spawn_blocking(move || Engine::start(&config).unwrap()).await.unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let stop = CancellationToken::new();
    let task = tokio::spawn({
        let stop = stop.clone();
        async move { serve(engine, listener, 1 << 30, stop).await.unwrap() }
    });
    Served { url, stop, task }
}

impl Served {
    pub fn store(&self) -> Store {
        Store::new(&Config { url: self.url.clone(), ..Config::default() }).unwrap()
    }

    pub async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}
