//! Follows `weir.inventory` on the partitions held, and stores what it says. The worker's thread, which reads flows, never waits for it.

use crate::inventory::Rows;
use crate::lane::back_off;
use crate::metrics as names;
use crate::question::Questions;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use weir_bus::{Bus, Reader, Topics};
use weir_runtime::Repeats;
use weir_schemas::rollup::Table;
use weir_store::Store;

/// Most records taken at a turn.
const TURN: usize = 2000;
/// Records that may wait to be stored; reading stands still behind them.
const WAITING: u64 = 200_000;
/// Time between two inserts.
const EVERY: Duration = Duration::from_secs(1);

/// A reader of inventory beside a worker's flows.
pub struct Follower<B: Bus> {
    questions: Arc<Questions<B>>,
    reader: B::Reader,
    topic: String,
    store: Store,
    runtime: Handle,
    /// What is to be followed.
    wanted: BTreeSet<i32>,
    /// What is, and where each goes on.
    held: BTreeMap<i32, i64>,
    /// Where the others begin, being asked.
    asked: Option<Receiver<weir_bus::Result<(i32, i64)>>>,
    /// When to try again what failed, after how many tries.
    again: (Instant, u32),
    told: Repeats,
    told_asked: Repeats,
    rows: Rows,
    /// What is being stored; it gives the client back, with the password that it used last.
    storing: Option<JoinHandle<Store>>,
    stored: Instant,
}

impl<B: Bus> Follower<B> {
    /// Follows nothing yet.
    pub fn new(
        (bus, questions): (&B, &Arc<Questions<B>>),
        topics: &Topics,
        store: &Store,
        runtime: &Handle,
    ) -> weir_bus::Result<Self> {
        Ok(Self {
            questions: Arc::clone(questions),
            reader: bus.reader()?,
            topic: topics.inventory.clone(),
            store: store.clone(),
            runtime: runtime.clone(),
            wanted: BTreeSet::new(),
            held: BTreeMap::new(),
            asked: None,
            again: (Instant::now(), 0),
            told: Repeats::default(),
            told_asked: Repeats::default(),
            rows: Rows::default(),
            storing: None,
            stored: Instant::now(),
        })
    }

    /// Follows these partitions, the new ones from their beginning: the topic is compacted and small, and rows are upserts.
    pub fn follow(&mut self, partitions: impl Iterator<Item = i32>) {
        let wanted = partitions.collect();
        if self.wanted != wanted {
            // Which of them are asked about is another question now.
            (self.wanted, self.asked) = (wanted, None);
        }
        self.begin();
    }

    /// Follows of what is wanted all that has answered; the others are asked again, and keep none of these.
    fn begin(&mut self) {
        if self.asked.is_none() && self.held.keys().eq(&self.wanted) {
            return;
        }
        let (mut from, mut over) = (self.held.clone(), false);
        from.retain(|partition, _| self.wanted.contains(partition));
        while let Some(asked) = &self.asked {
            match asked.try_recv() {
                Ok(Ok((partition, begin))) => {
                    from.entry(partition).or_insert(begin);
                }
                Ok(Err(error)) => {
                    let words = error.to_string();
                    if self.told_asked.says(&words) {
                        tracing::warn!(
                            topic = self.topic,
                            "{words}; its inventory is not read until there is an answer"
                        );
                    }
                }
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => (self.asked, over) = (None, true),
            }
        }
        let missing: Vec<i32> = self.wanted.iter().filter(|p| !from.contains_key(p)).copied().collect();
        if missing.is_empty() {
            self.asked = None;
            self.told_asked.over();
        } else if over {
            self.again.0 = Instant::now() + EVERY;
        } else if self.asked.is_none() && Instant::now() >= self.again.0 {
            self.asked = Some(self.questions.ask(&self.topic, missing));
        }
        if from.keys().eq(self.held.keys()) {
            return;
        }
        match self.reader.tail(&self.topic, &Vec::from_iter(from.clone())) {
            Ok(()) => self.held = from,
            Err(error) => self.failed(&error),
        }
    }

    /// Whatever is followed begins anew, after a pause.
    fn failed(&mut self, error: &weir_bus::Error) {
        let words = error.to_string();
        if self.told.says(&words) {
            tracing::warn!(topic = self.topic, "{words}; inventory is read again from its beginning");
        }
        self.held.clear();
        self.asked = None;
        self.again = (Instant::now() + back_off(self.again.1), self.again.1 + 1);
    }

    /// Takes what has come, and stores it now and then.
    pub fn turn(&mut self) {
        self.begin();
        for _ in 0..TURN {
            if self.rows.len() >= WAITING {
                break;
            }
            match self.reader.poll_tail(Duration::ZERO) {
                Ok(Some(record)) => {
                    self.told.over();
                    self.again.1 = 0;
                    if let Some(next) = self.held.get_mut(&record.partition()) {
                        *next = record.offset() + 1;
                    }
                    if let Err(error) = self.rows.add(record.key().unwrap_or_default(), record.value()) {
                        tracing::warn!(topic = record.topic(), partition = record.partition(), offset = record.offset(), %error, "left out");
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    self.failed(&error);
                    break;
                }
            }
        }
        if self.storing.as_ref().is_some_and(|task| !task.is_finished()) {
            return;
        }
        // One that has ended gives its client at once.
        if let Some(Ok(store)) = self.storing.take().map(|task| self.runtime.block_on(task)) {
            self.store = store;
        }
        if self.rows.is_empty() || self.stored.elapsed() < EVERY {
            return;
        }
        self.stored = Instant::now();
        let (records, tables, store) = (self.rows.len(), self.rows.take(), self.store.clone());
        self.storing = Some(self.runtime.spawn(async move {
            let store = put(store, tables).await;
            metrics::counter!(names::INVENTORY).increment(records);
            store
        }));
    }
}

/// Stores rows, however often it takes.
async fn put(mut store: Store, tables: Vec<(&'static Table, Vec<u8>)>) -> Store {
    let mut told = Repeats::default();
    for (table, rows) in tables {
        let rows = bytes::Bytes::from(rows);
        // Upserts: a token of its own each time, so that nothing is taken for a repetition.
        let token = format!("inventory/{:?}", std::time::SystemTime::now());
        let mut tries = 0;
        while let Err(error) = store.insert(table, rows.clone(), &token).await {
            let words = error.to_string();
            if told.says(&words) {
                tracing::warn!("inventory was not stored and is tried again: {words}");
            }
            tokio::time::sleep(back_off(tries)).await;
            tries += 1;
            // With the password as it is now; where its file is away for a moment, with the one that is known.
            if let Ok(fresh) = Store::new(store.config()) {
                store = fresh;
            }
        }
    }
    store
}
