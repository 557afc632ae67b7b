//! A part of `weir.raw` decoded again, by the very code that decoded it first. Nothing of it goes to a topic.
//!
//! No I/O: whoever reads the log hands frames in, in their order, and takes the flows of the window. What lies before the window teaches
//! templates, options and rates; what lies behind it releases what came to wait within. Where the log does not reach back to the
//! beginning, what is known now stands in for what was known then, except for what waits now: that lies in the log itself.

use crate::Config;
use crate::enrich::Enricher;
use crate::enrich::database::Databases;
use crate::partition::{Emit, Partition, RawRecord, Shared, Tally, To, split_key};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use weir_schemas::avro::{AvroError, read_batch};
use weir_schemas::{Batch, Flow, Ip, deadletter, frame};
use weir_wire::{Waits, waits};

/// Frames after which batches are taken out.
const FLUSH: u32 = 256;
const SECOND: i64 = 1_000_000_000;
/// How far receive times of one log may be out of order, ns.
const OUT_OF_ORDER: i64 = 60 * SECOND;

/// What is to be decoded again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// Receive times, ns.
    pub received: Range<i64>,
    /// Exporters; empty: all.
    pub exporters: BTreeSet<Ip>,
}

impl Window {
    fn has(&self, received: i64) -> bool {
        self.received.contains(&received)
    }

    fn wants(&self, key: Option<&[u8]>) -> bool {
        let exporter = || key.and_then(|key| <[u8; 16]>::try_from(key).ok()).map(Ip);
        self.exporters.is_empty() || exporter().is_some_and(|exporter| self.exporters.contains(&exporter))
    }
}

/// What came of a window, beside its flows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Datagrams of the window.
    pub datagrams: u64,
    /// What would be dead letters, by reason.
    pub dead: BTreeMap<String, u64>,
    /// Sets of the window that still wait for their template at the log's end.
    pub waiting: BTreeSet<Waits>,
    /// Earliest receive time of the whole log.
    pub earliest: Option<i64>,
}

/// A partition that is decoded again.
pub struct Replay {
    state: Partition,
    config: Config,
    enricher: Arc<Enricher>,
    databases: Arc<Databases>,
    topic: String,
    window: Window,
    tally: Tally,
    taken: Taken,
    frames: u32,
    outcome: Outcome,
}

/// Takes what the decoder would write.
#[derive(Default)]
struct Taken {
    batches: Vec<Vec<u8>>,
    waiting: BTreeMap<Vec<u8>, Waits>,
    dead: Vec<(i64, String)>,
}

impl Emit for Taken {
    fn emit(&mut self, to: To, key: &[u8], value: Option<&[u8]>, _: &[(&str, &[u8])]) {
        match (to, value) {
            (To::Flows, Some(value)) => self.batches.push(value.to_vec()),
            (To::State, value) => match (waiting(key, value), value) {
                (Some((_, waits)), Some(_)) => drop(self.waiting.insert(key.to_vec(), waits)),
                (Some(_), None) => drop(self.waiting.remove(key)),
                (None, _) => {}
            },
            (To::DeadLetter, Some(value)) => {
                if let Ok((about, _)) = deadletter::read(value) {
                    self.dead.push((about.received, about.reason));
                }
            }
            (To::Flows | To::DeadLetter, None) | (To::Inventory, _) => {}
        }
    }
}

/// What a record of `weir.state` says of a set that waits, and whose it is; `None`: it is of something else.
pub fn waiting(key: &[u8], value: Option<&[u8]>) -> Option<(Ip, Waits)> {
    let (kind, exporter, rest) = split_key(key)?;
    let own: Vec<u8> = std::iter::once(kind).chain(rest.iter().copied()).collect();
    waits(&own, value).map(|waits| (exporter, waits))
}

impl Replay {
    /// Knows nothing yet. Rows get `generation`.
    pub fn new(
        partition: i32,
        generation: u32,
        config: &Config,
        enricher: &Arc<Enricher>,
        topic: &str,
        window: &Window,
    ) -> Self {
        let config = Config { generation, ..config.clone() };
        Self {
            state: Partition::new(partition, &config),
            config,
            databases: enricher.databases(),
            enricher: Arc::clone(enricher),
            topic: topic.to_owned(),
            window: window.clone(),
            tally: Tally::default(),
            taken: Taken::default(),
            frames: 0,
            outcome: Outcome::default(),
        }
    }

    fn split(&mut self) -> (&mut Partition, Shared<'_>, &mut Tally, &mut Taken) {
        let Self { state, config, enricher, databases, topic, tally, taken, .. } = self;
        (state, Shared { config, enricher, databases, raw_topic: topic }, tally, taken)
    }

    /// Takes a record of `weir.state` as it is now. What can't be taken is learned from the log.
    pub fn restore_state(&mut self, key: &[u8], value: Option<&[u8]>) {
        if waiting(key, value).is_none() {
            let (state, shared, ..) = self.split();
            let _ = state.restore_state(key, value, &shared);
        }
    }

    /// Takes a record of `weir.inventory` as it is now.
    pub fn restore_inventory(&mut self, key: &[u8], value: Option<&[u8]>) {
        let _ = self.state.restore_inventory(key, value);
    }

    /// Ends what is restored.
    pub fn restored(&mut self) {
        let (state, shared, _, taken) = self.split();
        state.restored(&shared, 0, taken);
        state.rewind();
    }

    /// Decodes the next frame of the log; `each` gets the flows of the window.
    ///
    /// # Errors
    /// Where what the decoder wrote can't be read: a defect.
    pub fn frame(
        &mut self,
        record: &RawRecord<'_>,
        each: &mut dyn FnMut(&Batch<'_>, &Flow<'_>),
    ) -> Result<(), AvroError> {
        let (mut inside, mut earliest) = (0, i64::MAX);
        for datagram in frame::datagrams(record.value.unwrap_or_default()).map_while(Result::ok) {
            inside += u64::from(self.window.has(datagram.received));
            earliest = earliest.min(datagram.received);
        }
        if earliest < i64::MAX {
            self.outcome.earliest = Some(self.outcome.earliest.map_or(earliest, |known| known.min(earliest)));
        }
        // Nothing that came to wait in the window waits longer than this.
        let waits = i64::from(self.config.wire.parked_age_s) * SECOND;
        let over = self.window.received.end.saturating_add(waits).saturating_add(OUT_OF_ORDER);
        if !self.window.wants(record.key) || (earliest != i64::MAX && earliest > over) {
            return Ok(());
        }
        self.outcome.datagrams += inside;
        let (state, shared, tally, taken) = self.split();
        let decoded = catch_unwind(AssertUnwindSafe(|| state.frame(record, &shared, tally, taken)));
        if decoded.is_err() && inside > 0 {
            // What the decoder would bury after some tries.
            *self.outcome.dead.entry("poison".to_owned()).or_default() += 1;
        }
        for (received, reason) in self.taken.dead.drain(..) {
            // A whole record has no time of its own.
            if self.window.has(received) || (received == 0 && inside > 0) {
                *self.outcome.dead.entry(reason).or_default() += 1;
            }
        }
        self.frames += 1;
        if self.frames.is_multiple_of(FLUSH) { self.flush(each) } else { Ok(()) }
    }

    fn flush(&mut self, each: &mut dyn FnMut(&Batch<'_>, &Flow<'_>)) -> Result<(), AvroError> {
        let (state, shared, tally, taken) = self.split();
        state.flush(&shared, tally, taken);
        for message in self.taken.batches.drain(..) {
            let (batch, flows) = read_batch(&message)?;
            for flow in flows {
                let flow = flow?;
                if self.window.has(flow.received.0) {
                    each(&batch, &flow);
                }
            }
        }
        Ok(())
    }

    /// Ends the log.
    ///
    /// # Errors
    /// As [`frame`](Self::frame).
    pub fn finish(mut self, each: &mut dyn FnMut(&Batch<'_>, &Flow<'_>)) -> Result<Outcome, AvroError> {
        self.flush(each)?;
        let Self { window, taken, mut outcome, .. } = self;
        outcome.waiting = taken.waiting.into_values().filter(|waits| window.has(waits.received)).collect();
        Ok(outcome)
    }
}
