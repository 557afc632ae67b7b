//! A question that is worked on: its turn, and what ends its statements when whoever asked has gone, or one of them failed.
//!
//! What must stay true: a turn is given back when ClickHouse has been told that nobody waits any more, and not before.

use crate::metrics;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use weir_store::Store;

/// Times between which ClickHouse is told, again: a statement that was on its way when it was told first begins after that.
const AGAIN: [Duration; 3] = [Duration::from_millis(200), Duration::from_secs(2), Duration::from_secs(8)];

/// From when it begins until there is an answer, or nobody who waits for one.
pub struct Asked {
    store: Store,
    label: String,
    turn: Option<Turn>,
}

impl Asked {
    /// Begins it.
    pub fn begin(store: &Store, permit: OwnedSemaphorePermit) -> Self {
        let mut random = [0; 16];
        // Without randomness, which no system is without, one question would end others' statements: then none is ended.
        let label = match getrandom::fill(&mut random) {
            Ok(()) => format!("weir-api-{:032x}", u128::from_le_bytes(random)),
            Err(_) => String::new(),
        };
        ::metrics::gauge!(metrics::QUERIES).increment(1);
        Self { store: store.clone().labelled(&label), label, turn: Some(Turn { _permit: permit }) }
    }

    /// What its statements are put to.
    pub fn store(&self) -> Store {
        self.store.clone()
    }

    /// There is an answer, so none of its statements is worked on any more.
    pub fn answered(mut self) {
        self.turn = None;
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        let (Some(turn), Ok(runtime)) = (self.turn.take(), tokio::runtime::Handle::try_current()) else {
            return;
        };
        if self.label.is_empty() {
            return;
        }
        ::metrics::counter!(metrics::ABANDONED).increment(1);
        let (store, label) = (self.store.clone(), std::mem::take(&mut self.label));
        runtime.spawn(async move {
            end(&store, &label).await;
            drop(turn);
            for pause in AGAIN {
                tokio::time::sleep(pause).await;
                end(&store, &label).await;
            }
        });
    }
}

async fn end(store: &Store, label: &str) {
    if let Err(error) = store.end(label).await {
        tracing::debug!(%error, "statements that nobody waits for go on for up to api.query_timeout_s");
    }
}

/// Its place among those that may be worked on.
struct Turn {
    _permit: OwnedSemaphorePermit,
}

impl Drop for Turn {
    fn drop(&mut self) {
        ::metrics::gauge!(metrics::QUERIES).decrement(1);
    }
}
