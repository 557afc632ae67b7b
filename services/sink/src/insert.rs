//! The insert of one batch: every table in order, each insert under its own token.
//!
//! A batch is stored when all tables have acknowledged. After a failure everything is sent again under the same tokens; what was
//! stored already is dropped by ClickHouse.

use crate::batch::{Ready, token};
use std::sync::Arc;
use tokio::sync::Semaphore;
use weir_store::{Store, StoreError};

/// Where batches come from, for their tokens.
#[derive(Clone, Debug)]
pub struct Origin {
    /// Topic.
    pub topic: String,
    /// Its incarnation.
    pub incarnation: String,
}

/// Inserts a batch.
pub async fn insert(
    mut store: Store,
    ready: Arc<Ready>,
    origin: Origin,
    partition: i32,
    permits: Arc<Semaphore>,
) -> Result<(), StoreError> {
    // Never closed, so a permit always comes.
    let _permit = permits.acquire().await;
    for piece in &ready.pieces {
        let token = token(&origin.topic, &origin.incarnation, partition, &ready.plan, piece);
        store.insert(piece.table, piece.rows.clone(), &token).await?;
    }
    Ok(())
}
