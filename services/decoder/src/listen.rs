//! What people say of links while flows are decoded: `weir.inventory`, followed from where the restore ended.
//!
//! It is listened to between cycles, so that all flows of a transaction are told the same, and a busy decoder asks once a cycle. Nothing is
//! committed for it: what was heard is in the topic, and whoever restores the partition hears all of it (docs/exactly-once.md, rule 2).

use crate::cycle::Failure;
use crate::metrics as names;
use crate::pipeline::Worker;
use std::time::Duration;
use weir_bus::{Bus, Reader};
use weir_schemas::inventory::is_classified;

/// Most records between two cycles; the others are heard behind the next one.
const MOST: usize = 1000;

impl<B: Bus> Worker<B> {
    /// Follows the partitions that are held, each from what it has heard.
    pub(crate) fn follow(&mut self) -> Result<(), Failure> {
        let from: Vec<(i32, i64)> =
            self.held.iter().map(|(partition, held)| (*partition, held.heard)).collect();
        Ok(self.reader.tail(&self.topics.inventory, &from)?)
    }

    /// Hears what has come, unless a cycle is open. Where the log does not have what comes next, memory is of no more use.
    pub(crate) fn listen(&mut self) -> Result<(), Failure> {
        if self.cycle.is_open() || self.held.is_empty() {
            return Ok(());
        }
        for _ in 0..MOST {
            let Some(record) = self.reader.poll_tail(Duration::ZERO)? else { break };
            let Some(held) = self.held.get_mut(&record.partition()) else { continue };
            held.heard = record.offset() + 1;
            let key = record.key().unwrap_or_default();
            if !is_classified(key) {
                continue;
            }
            metrics::counter!(names::HEARD).increment(1);
            if let Err(why) = held.state.hear(key, record.value()) {
                tracing::warn!(
                    topic = record.topic(),
                    partition = record.partition(),
                    offset = record.offset(),
                    why,
                    "what was said of a link can't be read; what was said before holds"
                );
                metrics::counter!(names::STATE_FAULTS).increment(1);
            }
        }
        Ok(())
    }
}
