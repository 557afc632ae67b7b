//! A token that stands without its part is removed before the engine serves: a process of its own, because it boots twice.
#![allow(clippy::unwrap_used)]

mod support;

use serde::Deserialize;
use std::time::Duration;
use weir_schemas::rollup::FLOWS;
use weir_schemas::*;
use weir_store::Store;
use weir_store::migrate::migrate;

async fn offsets(store: &Store) -> Vec<u64> {
    #[derive(Deserialize)]
    struct Row {
        raw_offset: u64,
    }
    let rows: Vec<Row> =
        store.query("SELECT raw_offset FROM weir.flows ORDER BY raw_offset", &[]).await.unwrap();
    rows.into_iter().map(|row| row.raw_offset).collect()
}

async fn insert(store: &mut Store, offset: u64) {
    let mut rows = Vec::new();
    Batch::default().put_row(&mut rows);
    Flow { raw_offset: offset, received: Time(1_790_000_000_000_000_000), ..Flow::default() }
        .put_row(&mut rows);
    store.insert(&FLOWS, rows.into(), &format!("token {offset}")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_whose_part_is_missing_does_not_swallow_the_retry() {
    let folder = tempfile::tempdir().unwrap();
    let served = support::start(folder.path()).await;
    let mut store = served.store();
    migrate(&store).await.unwrap();
    store.execute("ALTER TABLE weir.flows REMOVE TTL").await.unwrap();
    store.execute("SYSTEM STOP MERGES weir.flows").await.unwrap();
    for offset in 0..3 {
        insert(&mut store, offset).await;
    }
    #[derive(Deserialize)]
    struct Part {
        path: String,
    }
    let parts: Vec<Part> = store
        .query(
            "SELECT path FROM system.parts WHERE active AND table = 'flows' ORDER BY min_block_number",
            &[],
        )
        .await
        .unwrap();
    assert_eq!(parts.len(), 3);
    // A statement whose client has gone goes on, and the engine with it: the end waits for it.
    let gone = store.execute("SELECT sleep(1)");
    tokio::time::timeout(Duration::from_millis(200), gone).await.unwrap_err();
    served.stop().await;
    std::fs::remove_dir_all(&parts[1].path).unwrap();

    let served = support::start(folder.path()).await;
    let mut store = served.store();
    assert_eq!(offsets(&store).await, [0, 2]);
    for offset in 0..3 {
        insert(&mut store, offset).await;
    }
    assert_eq!(offsets(&store).await, [0, 1, 2]);
    served.stop().await;
}
