//! The insert of one batch: every table in order, each insert under its own token, for as long as the batch's plan holds.
//!
//! A batch is stored when all tables have acknowledged. After a failure everything is sent again under the same tokens; what was
//! stored already is dropped by ClickHouse, for as long as its deduplication window lasts. So no insert may begin late: a commit of the
//! plan says that the partition is still this process's (docs/exactly-once.md, rule 7), and says it for a short while only. What was not sent
//! by then waits for another commit.

use crate::batch::{Ready, token};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::OwnedSemaphorePermit;
use weir_runtime::Stop;
use weir_store::{Store, StoreError};

/// How long after a plan's commit was asked for its inserts may begin: longer than the commit may take, and much shorter than the
/// deduplication window lasts.
const HOLDS: Duration = Duration::from_secs(60);

/// Where batches come from, for their tokens.
#[derive(Clone, Debug)]
pub struct Origin {
    /// Topic.
    pub topic: String,
    /// Its incarnation.
    pub incarnation: String,
}

/// The right to insert what was planned.
#[derive(Clone, Debug)]
pub struct Lease {
    asked: Instant,
    /// A machine that was suspended wakes with an [`Instant`] that knows nothing of it.
    at: SystemTime,
    given_up: Stop,
}

impl Lease {
    /// Begins with the question whether the plan is taken: an answer may lie unread for as long as a process sleeps.
    /// `given_up` is cancelled when the partition is no longer held.
    pub fn begin(given_up: &Stop) -> Self {
        Self { asked: Instant::now(), at: SystemTime::now(), given_up: given_up.clone() }
    }

    /// Cancelled when the partition is no longer held.
    pub fn given_up(&self) -> &Stop {
        &self.given_up
    }

    /// Whether an insert may begin. A clock that was set back says nothing.
    fn holds(&self) -> bool {
        let slept = self.at.elapsed().is_ok_and(|since| since >= HOLDS);
        !self.given_up.is_cancelled() && !slept && self.asked.elapsed() < HOLDS
    }
}

/// What an insert came to.
#[derive(Debug)]
pub enum Outcome {
    /// Every table has acknowledged.
    Stored,
    /// The plan held no longer; that many pieces are stored.
    Expired {
        /// Pieces that ClickHouse has acknowledged.
        stored: usize,
    },
    /// ClickHouse did not take it.
    Failed(StoreError),
}

/// Inserts a batch from its piece `from` on. Also gives the client that it used, which after a failure has a new connection.
///
/// What has begun is not broken off: a body that ends early may be stored in part, under a token that then drops the whole (rule 11).
pub async fn insert(
    mut store: Store,
    ready: Arc<Ready>,
    origin: Origin,
    (partition, from): (i32, usize),
    lease: Lease,
    _permit: OwnedSemaphorePermit,
) -> (Outcome, Store) {
    for (stored, piece) in ready.pieces.iter().enumerate().skip(from) {
        let token = token(&origin.topic, &origin.incarnation, partition, &ready.plan, piece);
        if !lease.holds() {
            return (Outcome::Expired { stored }, store);
        }
        if let Err(error) = store.insert(piece.table, piece.rows.clone(), &token).await {
            return (Outcome::Failed(error), store);
        }
    }
    (Outcome::Stored, store)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Batch;
    use std::io::Read;
    use std::net::TcpListener;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::sync::Semaphore;
    use weir_schemas::Flow;
    use weir_schemas::avro::BatchWriter;

    fn ready() -> Arc<Ready> {
        let (mut writer, mut message, mut batch) = (BatchWriter::default(), Vec::new(), Batch::default());
        writer.push(&Flow::default());
        writer.finish(&weir_schemas::Batch::default(), 0, &mut message);
        batch.add(0, None, &message).unwrap();
        Arc::new(batch.finish(None).unwrap())
    }

    /// What becomes of a batch under a lease, and how many connections ClickHouse sees; it answers none.
    async fn tried(lease: Lease, from: usize) -> (Outcome, usize) {
        let (listener, came) = (TcpListener::bind("127.0.0.1:0").unwrap(), Arc::new(AtomicUsize::new(0)));
        let (url, counted) = (format!("http://{}", listener.local_addr().unwrap()), Arc::clone(&came));
        std::thread::spawn(move || {
            for mut client in listener.incoming().flatten() {
                let _ = client.read(&mut [0; 100]);
                counted.fetch_add(1, Ordering::Relaxed);
            }
        });
        let store = Store::new(&weir_store::Config { url, ..Default::default() }).unwrap();
        let origin = Origin { topic: "weir.flows".to_owned(), incarnation: "one".to_owned() };
        let permit = Arc::new(Semaphore::new(1)).acquire_owned().await.unwrap();
        let (outcome, _) = insert(store, ready(), origin, (0, from), lease, permit).await;
        (outcome, came.load(Ordering::Relaxed))
    }

    #[tokio::test]
    async fn a_plan_that_was_committed_long_ago_or_before_a_sleep_is_not_inserted() {
        let fresh = Lease::begin(&Stop::new());
        let long_ago = Lease { asked: Instant::now() - HOLDS, ..fresh.clone() };
        // Suspended: the monotonic clock stood still.
        let slept = Lease { at: SystemTime::now() - HOLDS, ..fresh.clone() };
        let given_up = fresh.clone();
        given_up.given_up.cancel();
        for lease in [long_ago, slept, given_up] {
            assert!(matches!(tried(lease, 2).await, (Outcome::Expired { stored: 2 }, 0)));
        }
        let fresh = Lease::begin(&Stop::new());
        assert!(matches!(tried(fresh, 0).await, (Outcome::Failed(_), 1..)));
    }
}
