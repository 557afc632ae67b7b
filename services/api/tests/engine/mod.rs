//! The ClickHouse engine in the test's process, with Weir's tables: one a process.
#![allow(clippy::unwrap_used)]

use tokio_util::sync::CancellationToken;
use weir_stack::Home;
use weir_store::engine::{Engine, EngineError, serve};
use weir_store::{EngineConfig, Store};

/// Runs `test` with a store, and with what ends the engine.
pub async fn with(test: impl AsyncFnOnce(Store, Ending)) {
    let folder = tempfile::tempdir().unwrap();
    let library = Home::find().part("engine/libchdb.so", "the engine", "scripts/fetch-engine.sh").unwrap();
    let config = EngineConfig { library, data: folder.path().to_owned(), ..EngineConfig::default() };
    let engine = tokio::task::spawn_blocking(move || Engine::start(&config).unwrap()).await.unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let stop = CancellationToken::new();
    let serving = tokio::spawn(serve(engine, listener, 1 << 30, stop.clone()));
    let store = Store::new(&weir_store::Config { url, ..weir_store::Config::default() }).unwrap();
    weir_store::migrate::migrate(&store).await.unwrap();
    test(store, Ending { stop, serving }).await;
}

/// Ends the engine.
pub struct Ending {
    stop: CancellationToken,
    serving: tokio::task::JoinHandle<Result<(), EngineError>>,
}

impl Ending {
    /// Ends it, and waits until it has.
    pub async fn end(self) {
        self.stop.cancel();
        self.serving.await.unwrap().unwrap();
    }
}
