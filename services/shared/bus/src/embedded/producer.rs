//! Transactions: gathered in memory, and committed at once. What was not committed was never in the log.

use super::consumer::EmbeddedConsumer;
use super::frame::{Body, FULL, MOST};
use super::log::{Batch, Core, Log, Offers, Refusal, State};
use crate::{Compression, Message, Position, Transactions, TxnError, metrics};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Records for partitions, as they are gathered.
#[derive(Default)]
pub(super) struct Gathered {
    parts: BTreeMap<(u32, i32), (Arc<Log>, Vec<Body>)>,
    pub bytes: usize,
}

impl Gathered {
    /// Adds a record. An error is one that never will be taken.
    pub(super) fn push(&mut self, log: &Arc<Log>, message: &Message<'_>) -> Result<(), String> {
        let size = message.key.len() + message.value.map_or(0, <[u8]>::len);
        let place = || format!("{}/{}", message.topic, message.partition);
        if size > MOST {
            return Err(format!("a record of {size} bytes for {} is larger than {MOST}", place()));
        }
        if log.ends(message.partition).is_none() {
            return Err(format!("there is no partition {}", place()));
        }
        let key = (log.topic.id, message.partition);
        let (_, bodies) = self.parts.entry(key).or_insert_with(|| (Arc::clone(log), Vec::new()));
        if bodies.last().is_none_or(|body| body.len() >= FULL) {
            bodies.push(Body::default());
        }
        if let Some(body) = bodies.last_mut() {
            body.push(message);
        }
        self.bytes += size;
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Gives back room that nothing is in: it may wait for long.
    pub(super) fn fit(&mut self) {
        self.parts.values_mut().flat_map(|(_, bodies)| bodies).for_each(Body::fit);
    }

    /// Takes all of it, compressed.
    pub(super) fn take(&mut self, compression: Compression) -> Vec<Batch> {
        self.bytes = 0;
        let compress = compression != Compression::None;
        std::mem::take(&mut self.parts)
            .into_iter()
            .map(|((_, partition), (log, bodies))| Batch {
                log,
                partition,
                bodies: bodies.into_iter().map(|body| body.close(compress)).collect(),
            })
            .collect()
    }
}

/// [`Transactions`] on the embedded bus.
pub struct EmbeddedProducer {
    core: Arc<Core>,
    identity: String,
    epoch: u64,
    gathered: Gathered,
    /// Topics as they were found.
    logs: BTreeMap<String, Arc<Log>>,
    /// The outcome of a commit is not known: only another producer of the same identity can tell.
    unknown: Option<String>,
}

impl std::fmt::Debug for EmbeddedProducer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmbeddedProducer").field("identity", &self.identity).finish_non_exhaustive()
    }
}

/// Ends what an identity has under way, where it still is this epoch's.
fn end(state: &mut State, identity: &str, epoch: u64) {
    if let Some(found) = state.identities.get_mut(identity).filter(|found| found.epoch == epoch) {
        found.open.clear();
        found.ended += 1;
    }
}

impl EmbeddedProducer {
    pub(super) fn open(core: &Arc<Core>, identity: &str) -> crate::Result<Self> {
        let epoch = core.exclusively(|state| {
            let epoch = state.count();
            let found = state.identities.entry(identity.to_owned()).or_default();
            found.epoch = epoch;
            found.open.clear();
            epoch
        })?;
        Ok(Self {
            core: Arc::clone(core),
            identity: identity.to_owned(),
            epoch,
            gathered: Gathered::default(),
            logs: BTreeMap::new(),
            unknown: None,
        })
    }

    fn fenced(&self) -> TxnError {
        metrics::transaction("fenced");
        let reason = "a later producer of this identity was opened".to_owned();
        TxnError::Fenced { identity: self.identity.clone(), reason }
    }

    fn own(&self, state: &State) -> bool {
        state.identities.get(&self.identity).is_some_and(|found| found.epoch == self.epoch)
    }

    fn usable(&self) -> Result<(), TxnError> {
        if let Some(reason) = &self.unknown {
            return Err(TxnError::Unknown { waited: Duration::ZERO, reason: reason.clone() });
        }
        if self.own(&self.core.state()) { Ok(()) } else { Err(self.fenced()) }
    }

    fn forget(&mut self) {
        self.gathered = Gathered::default();
        end(&mut self.core.state(), &self.identity, self.epoch);
        self.core.tell();
    }

    fn aborted(&mut self, reason: String, refused: bool) -> TxnError {
        self.forget();
        metrics::transaction("aborted");
        TxnError::Aborted { reason, refused }
    }

    fn log(&mut self, topic: &str) -> crate::Result<Arc<Log>> {
        if let Some(log) = self.logs.get(topic) {
            return Ok(Arc::clone(log));
        }
        let log = self.core.log(topic)?;
        self.logs.insert(topic.to_owned(), Arc::clone(&log));
        Ok(log)
    }
}

impl Transactions for EmbeddedProducer {
    type Consumer = EmbeddedConsumer;

    fn begin(&mut self) -> Result<(), TxnError> {
        self.usable()?;
        self.gathered = Gathered::default();
        // Topics that were deleted meanwhile are found to be so.
        self.logs.clear();
        Ok(())
    }

    fn send(&mut self, message: &Message<'_>) -> Result<(), TxnError> {
        let log = match self.log(message.topic) {
            Ok(log) => log,
            Err(error) => return Err(self.aborted(error.to_string(), false)),
        };
        if self.gathered.bytes > self.core.config.send_buffer_bytes {
            let most = self.core.config.send_buffer_bytes;
            let reason = format!("a transaction of more than bus.send_buffer_bytes ({most})");
            return Err(self.aborted(reason, true));
        }
        if let Err(reason) = self.gathered.push(&log, message) {
            return Err(self.aborted(reason, true));
        }
        let mut state = self.core.state();
        match state.identities.get_mut(&self.identity).filter(|found| found.epoch == self.epoch) {
            Some(found) => {
                found.open.insert((log.topic.id, message.partition));
                Ok(())
            }
            None => {
                drop(state);
                Err(self.fenced())
            }
        }
    }

    fn commit(&mut self, consumer: &mut EmbeddedConsumer, offsets: &[Position]) -> Result<(), TxnError> {
        self.usable()?;
        if offsets.is_empty() {
            self.forget();
            metrics::transaction("aborted");
            return Err(TxnError::NoOffsets);
        }
        let batches = self.gathered.take(self.core.config.compression);
        let membership = consumer.membership();
        let check = |state: &mut State| {
            if !self.own(state) {
                return Err(None);
            }
            membership.refuse(state, offsets).map_or(Ok(()), |reason| Err(Some(reason)))
        };
        let offers = Offers { group: &membership.group, topic: &membership.topic, positions: offsets };
        match self.core.commit(&batches, None, Some(offers), check) {
            Ok(()) => {
                self.forget();
                metrics::transaction("committed");
                Ok(())
            }
            Err(Refusal::Denied(None)) => Err(self.fenced()),
            Err(Refusal::Denied(Some(reason)) | Refusal::Gone(reason) | Refusal::No(reason)) => {
                Err(self.aborted(reason, false))
            }
            Err(Refusal::Unknown(reason)) => {
                metrics::transaction("unknown");
                self.unknown = Some(reason.clone());
                Err(TxnError::Unknown { waited: Duration::ZERO, reason })
            }
        }
    }

    fn abort(&mut self) -> Result<(), TxnError> {
        self.usable()?;
        self.forget();
        metrics::transaction("aborted");
        Ok(())
    }
}

impl Drop for EmbeddedProducer {
    fn drop(&mut self) {
        end(&mut self.core.state(), &self.identity, self.epoch);
        self.core.tell();
    }
}
