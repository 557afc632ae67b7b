//! Messages that can't be read go to the dead letters, whole as far as a message can hold them, and are acknowledged there before their
//! batch is planned.
//!
//! They are held until then and written again where a write failed, so one may be there twice, also after a crash in between; it
//! is never lost.

use crate::metrics as names;
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
    waiting: Vec<Letter>,
    bytes: usize,
}

struct Letter {
    partition: i32,
    key: Vec<u8>,
    value: Vec<u8>,
}

impl<B: Bus> Letters<B> {
    /// Opens nothing until there is something to write.
    pub fn new(bus: &B, topics: &Topics) -> Self {
        Self { bus: bus.clone(), topic: topics.deadletter.clone(), waiting: Vec::new(), bytes: 0 }
    }

    /// Puts a message aside.
    pub fn bury(&mut self, record: &Record<'_>, sentence: &str) {
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
        self.bytes += value.len();
        let key = deadletter::key(record.key().unwrap_or_default()).to_vec();
        self.waiting.push(Letter { partition: record.partition(), key, value });
    }

    /// True where so much waits that it must be written before anything more is read.
    pub fn is_full(&self) -> bool {
        self.bytes >= BUFFER
    }

    /// Writes what waits, and waits for the acknowledgement. After an error all of it still waits.
    pub fn settle(&mut self) -> weir_bus::Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        // Opened for the occasion: there should be none of these, and a writer that has failed once counts that for ever.
        let mut writer = self.bus.writer(2 * BUFFER)?;
        let timeout = || weir_bus::Error::Timeout {
            doing: format!("writing dead letters to {}", self.topic),
            waited: PATIENCE,
        };
        for Letter { partition, key, value } in &self.waiting {
            let message = Message {
                topic: &self.topic,
                partition: *partition,
                key,
                value: Some(value),
                headers: &[("weir-reason", b"unreadable_batch")],
            };
            if writer.try_send(&message, 1)?.is_err()
                && !(writer.flush(PATIENCE) && writer.try_send(&message, 1)?.is_ok())
            {
                return Err(timeout());
            }
        }
        if !writer.flush(PATIENCE) || writer.delivered().acked.records < self.waiting.len() as u64 {
            return Err(timeout());
        }
        self.waiting.clear();
        self.bytes = 0;
        Ok(())
    }
}
