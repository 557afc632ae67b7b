//! An API that listens, over a store and a bus of its own, asked as programs ask it.
#![allow(clippy::unwrap_used, dead_code)]

use serde_json::Value as Json;
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use weir_api::inventory::OfBus;
use weir_api::{Bound, Config};
use weir_bus::{Bus, EmbeddedBus, EmbeddedConfig, TopicSpec};
use weir_runtime::Health;
use weir_store::Store;

/// A bus in a folder, with its topics.
pub fn bus(folder: &Path) -> EmbeddedBus {
    let config = bus_config(folder);
    let bus = EmbeddedBus::open(config.clone()).unwrap();
    for spec in TopicSpec::all(&config, bus.partitions()) {
        bus.create(&spec).unwrap();
    }
    bus
}

pub fn bus_config(folder: &Path) -> weir_bus::Config {
    let embedded = EmbeddedConfig { path: folder.join("bus"), ..EmbeddedConfig::default() };
    weir_bus::Config { embedded, partitions: 2, ..weir_bus::Config::default() }
}

/// An API, and where it is.
pub struct Served {
    pub base: String,
    stop: CancellationToken,
    done: tokio::task::JoinHandle<Result<(), weir_api::Error>>,
    _folder: TempDir,
}

impl Served {
    pub async fn over(store: Store) -> Self {
        Self::with(Config::default(), store).await
    }

    pub async fn with(config: Config, store: Store) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let bus = bus(folder.path());
        Self::on(config, store, &bus, folder).await
    }

    pub async fn on(config: Config, store: Store, bus: &EmbeddedBus, folder: TempDir) -> Self {
        let config = Config { listen: "127.0.0.1:0".into(), ..config };
        let bound = Bound::bind(config).await.unwrap();
        let base = format!("http://{}", bound.address().unwrap());
        let stop = CancellationToken::new();
        let inventory = Arc::new(OfBus::new(bus.clone()));
        let ready = Health::default().condition("API");
        let done = tokio::spawn(bound.run(store, inventory, ready, stop.clone()));
        Self { base, stop, done, _folder: folder }
    }

    pub async fn end(self) {
        self.stop.cancel();
        self.done.await.unwrap().unwrap();
    }

    pub fn post(&self, body: &Json) -> Reply {
        self.send("POST", "/api/v1/query", &[("content-type", "application/json")], &body.to_string())
    }

    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(std::time::Duration::from_secs(30)))
            .build()
            .into();
        let mut request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut response =
            tokio::task::block_in_place(|| agent.run(request.body(body.to_owned()).unwrap())).unwrap();
        let header =
            |name: &str| response.headers().get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
        let (kind, retry) = (header("content-type"), header("retry-after"));
        let status = response.status().as_u16();
        Reply { status, kind, retry, text: response.body_mut().read_to_string().unwrap() }
    }
}

#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub kind: String,
    pub retry: String,
    pub text: String,
}

impl Reply {
    pub fn json(&self) -> Json {
        serde_json::from_str(&self.text).unwrap()
    }
}
