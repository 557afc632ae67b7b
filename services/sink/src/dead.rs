//! Messages that can't be read go to the dead letters, whole, and are acknowledged there before their batch is planned.
//!
//! After a crash in between one may be written twice; it is never lost.

use crate::{Error, metrics as names};
use std::time::Duration;
use weir_bus::{Bus, Message, Record, Topics, Writer};
use weir_schemas::deadletter::{self, About};

/// Bytes of dead letters that may wait for their acknowledgement.
const BUFFER: usize = 16 << 20;
/// How long an acknowledgement may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where unreadable messages go.
pub struct Letters<B: Bus> {
    bus: B,
    topic: String,
    writer: Option<B::Writer>,
    failed: u64,
}

impl<B: Bus> Letters<B> {
    /// Opens nothing until there is something to write.
    pub fn new(bus: &B, topics: &Topics) -> Self {
        Self { bus: bus.clone(), topic: topics.deadletter.clone(), writer: None, failed: 0 }
    }

    /// Puts a message aside.
    pub fn bury(&mut self, record: &Record<'_>, sentence: &str) -> Result<(), Error> {
        tracing::warn!(
            topic = record.topic(),
            partition = record.partition(),
            offset = record.offset(),
            sentence,
            "put aside"
        );
        metrics::counter!(names::UNREADABLE).increment(1);
        let about = About {
            reason: "unreadable_batch".to_owned(),
            sentence: sentence.to_owned(),
            topic: record.topic().to_owned(),
            partition: record.partition(),
            offset: record.offset(),
            frame_index: 0,
            byte_offset: 0,
            received: 0,
            source_port: 0,
            protocol: "flow_batch".to_owned(),
            observation_domain: 0,
        };
        let value = deadletter::write(&about, record.value().unwrap_or_default());
        let writer = match &mut self.writer {
            Some(writer) => writer,
            none => none.insert(self.bus.writer(BUFFER)?),
        };
        let message = Message {
            topic: &self.topic,
            partition: record.partition(),
            key: record.key().unwrap_or_default(),
            value: Some(&value),
            headers: &[("weir-reason", b"unreadable_batch")],
        };
        while writer.try_send(&message, 1)?.is_err() {
            writer.poll(Duration::from_millis(100));
        }
        Ok(())
    }

    /// Waits until all of them are acknowledged.
    pub fn settle(&mut self) -> weir_bus::Result<()> {
        let Some(writer) = &mut self.writer else { return Ok(()) };
        let whole = writer.flush(PATIENCE);
        let failed: u64 = writer.delivered().failed.iter().map(|(_, count)| count.records).sum();
        if whole && failed == self.failed {
            return Ok(());
        }
        self.failed = failed;
        Err(weir_bus::Error::Timeout {
            doing: format!("writing dead letters to {}", self.topic),
            waited: PATIENCE,
        })
    }
}
