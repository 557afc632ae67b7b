//! Since when anything is stored: before that nothing was measured, which is not the same as no traffic.

use super::ask::{AskError, rows};
use super::sql::Statement;
use serde::Deserialize;
use weir_store::Store;

#[derive(Deserialize)]
struct Slot {
    begins: u32,
}

/// When the first slot begins that is stored of any exporter, seconds since the epoch. Rows lie by time, so one page of the disk is read.
pub(super) async fn stored_from(store: &Store) -> Result<Option<u32>, AskError> {
    let sql = format!(
        "SELECT toUInt32(time) AS begins FROM {}.interfaces_5m ORDER BY time LIMIT 1",
        store.database()
    );
    let first = rows::<Slot>(store, Statement::of(sql, [])).await?;
    Ok(first.into_iter().next().map(|slot| slot.begins))
}
