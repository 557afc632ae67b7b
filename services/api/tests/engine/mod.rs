//! The ClickHouse engine in the test's process, with Weir's tables: one a process.
#![allow(clippy::unwrap_used, dead_code)]

use tokio_util::sync::CancellationToken;
use weir_schemas::rollup::{LinkMemberRow, LinkRow, tables};
use weir_schemas::value::Slot;
use weir_schemas::{Connectivity, Direction, Ip, Observation, SamplingKind};
use weir_stack::Home;
use weir_stack::sides::rolled_up;
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

/// Stores rows of a table.
pub async fn put(store: &mut Store, name: &str, rows: Vec<u8>) {
    let table = tables().find(|table| table.name == name).unwrap();
    store.insert(table, rows.into(), name).await.unwrap();
}

/// Stores sides of flows in all tables that have them.
pub async fn put_sides(store: &mut Store, sides: &[LinkRow<'_>]) {
    for (table, rows) in rolled_up(sides) {
        store.insert(table, rows.into(), table.name).await.unwrap();
    }
}

/// Stores links of one interface each, as they always were.
pub async fn put_links(store: &mut Store, exporter: Ip, links: &[(u32, &str, Connectivity)]) {
    put(store, "links", link_rows(exporter, links)).await;
}

/// Rows of links of one interface each.
pub fn link_rows(exporter: Ip, links: &[(u32, &str, Connectivity)]) -> Vec<u8> {
    let (mut rows, valid_to) = (Vec::new(), Slot(u32::MAX));
    for (if_index, link, connectivity) in links {
        let (if_index, connectivity) = (*if_index, *connectivity);
        LinkMemberRow {
            exporter,
            if_index,
            link,
            connectivity,
            valid_to,
            version: 1,
            ..LinkMemberRow::default()
        }
        .put_row(&mut rows);
    }
    rows
}

/// A side of a flow: packets of 1000 bytes at 1 in 10, observed on ingress.
pub fn side(
    exporter: Ip,
    time: u32,
    asn: u32,
    if_index: u32,
    direction: Direction,
    packets: u64,
) -> LinkRow<'static> {
    LinkRow {
        time: Slot(time),
        exporter,
        if_index,
        direction,
        observation: Observation::Ingress,
        family: 4,
        asn,
        sampling_interval: 10_000,
        sampling_kind: SamplingKind::Packet,
        bytes: packets as i64 * 1000,
        packets: packets as i64,
        flows: 1,
        q: i128::from(packets) * 1_000_000,
        ..LinkRow::default()
    }
}
