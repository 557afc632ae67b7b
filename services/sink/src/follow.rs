//! Follows `weir.inventory` on the partitions held, and stores what it says.

use crate::inventory::Rows;
use crate::metrics as names;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use weir_bus::{Bus, Reader, Topics};
use weir_store::Store;

/// Most records taken at a turn.
const TURN: usize = 2000;
/// Records that may wait to be stored; reading stands still behind them.
const WAITING: u64 = 200_000;
/// Time between two inserts.
const EVERY: Duration = Duration::from_secs(1);

/// A reader of inventory beside a worker's flows.
pub struct Follower<B: Bus> {
    reader: B::Reader,
    topic: String,
    store: Store,
    runtime: Handle,
    held: BTreeSet<i32>,
    rows: Rows,
    storing: Option<JoinHandle<()>>,
    stored: Instant,
}

impl<B: Bus> Follower<B> {
    /// Follows nothing yet.
    pub fn new(reader: B::Reader, topics: &Topics, store: &Store, runtime: &Handle) -> Self {
        Self {
            reader,
            topic: topics.inventory.clone(),
            store: store.clone(),
            runtime: runtime.clone(),
            held: BTreeSet::new(),
            rows: Rows::default(),
            storing: None,
            stored: Instant::now(),
        }
    }

    /// Follows these partitions, from their beginning: the topic is compacted and small, and rows are upserts.
    pub fn follow(&mut self, partitions: &[i32]) {
        let wanted: BTreeSet<i32> = partitions.iter().copied().collect();
        if wanted == self.held {
            return;
        }
        let mut from = Vec::new();
        for partition in partitions {
            match self.reader.bounds(&self.topic, *partition) {
                Ok((begin, _)) => from.push((*partition, begin)),
                Err(error) => tracing::warn!("{error}"),
            }
        }
        match self.reader.tail(&self.topic, &from) {
            Ok(()) => self.held = from.into_iter().map(|(partition, _)| partition).collect(),
            Err(error) => tracing::warn!("{error}"),
        }
    }

    /// Takes what has come, and stores it now and then.
    pub fn turn(&mut self) {
        for _ in 0..TURN {
            if self.rows.len() >= WAITING {
                break;
            }
            match self.reader.poll_tail(Duration::ZERO) {
                Ok(Some(record)) => {
                    if let Err(error) = self.rows.add(record.key().unwrap_or_default(), record.value()) {
                        tracing::warn!(topic = record.topic(), partition = record.partition(), offset = record.offset(), %error, "left out");
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    tracing::warn!("{error}");
                    break;
                }
            }
        }
        let busy = self.storing.as_ref().is_some_and(|task| !task.is_finished());
        if busy || self.rows.is_empty() || self.stored.elapsed() < EVERY {
            return;
        }
        self.stored = Instant::now();
        let (records, tables, mut store) = (self.rows.len(), self.rows.take(), self.store.clone());
        self.storing = Some(self.runtime.spawn(async move {
            for (table, rows) in tables {
                let rows = bytes::Bytes::from(rows);
                // Upserts: a token of its own each time, so that nothing is taken for a repetition.
                let token = format!("inventory/{:?}", std::time::SystemTime::now());
                while let Err(error) = store.insert(table, rows.clone(), &token).await {
                    tracing::warn!("inventory was not stored and is tried again: {error}");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
            metrics::counter!(names::INVENTORY).increment(records);
        }));
    }
}
