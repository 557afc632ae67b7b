//! What people say goes to `weir.inventory`, as whatever else is known of exporters does: decoder and store learn it from there.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use thiserror::Error;
use weir_bus::{Bus, Message, Writer, partition};
use weir_schemas::Ip;
use weir_schemas::inventory::{Entry, Record};

/// How long the bus may take to acknowledge what was said.
const ACKNOWLEDGED: Duration = Duration::from_secs(10);
/// Bytes that may wait for that.
const BUFFER: usize = 8 << 20;

/// Why it was not written.
#[derive(Debug, Error)]
pub enum InventoryError {
    /// The bus refuses.
    #[error(transparent)]
    Bus(#[from] weir_bus::Error),
    /// More at once than the bus takes.
    #[error("so many members at once are more than the bus takes")]
    Full,
    /// No word of the bus. It may be written yet, and may be written again.
    #[error("the bus did not acknowledge it within {} s", ACKNOWLEDGED.as_secs())]
    Unacknowledged,
}

/// Writes what people say. It waits for the bus: not for a thread that others wait for.
pub trait Inventory: Send + Sync {
    /// Writes records of exporters, which were said at this time (ns).
    ///
    /// # Errors
    /// [`InventoryError`].
    fn write(&self, records: &[(Ip, Record)], said: u64) -> Result<(), InventoryError>;
}

/// The inventory of a bus.
pub struct OfBus<B: Bus> {
    bus: B,
    topic: String,
    /// Opened with the first word.
    writer: Mutex<Option<B::Writer>>,
}

impl<B: Bus> OfBus<B> {
    /// Nothing is opened yet.
    pub fn new(bus: B) -> Self {
        let topic = bus.topics().inventory;
        Self { bus, topic, writer: Mutex::default() }
    }

    fn send(
        &self,
        writer: &mut B::Writer,
        records: &[(Ip, Record)],
        said: u64,
    ) -> Result<(), InventoryError> {
        let before = writer.delivered().acked.records;
        for (exporter, record) in records {
            let (key, value) = (record.key(exporter), Entry::new(record.clone(), said).value());
            let partition = partition(&exporter.0, self.bus.partitions());
            let message =
                Message { topic: &self.topic, partition, key: &key, value: Some(&value), headers: &[] };
            writer.try_send(&message, 1)?.map_err(|_| InventoryError::Full)?;
        }
        writer.flush(ACKNOWLEDGED);
        let acknowledged = writer.delivered().acked.records - before;
        if acknowledged == records.len() as u64 { Ok(()) } else { Err(InventoryError::Unacknowledged) }
    }
}

impl<B: Bus> Inventory for OfBus<B> {
    fn write(&self, records: &[(Ip, Record)], said: u64) -> Result<(), InventoryError> {
        let mut held = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let mut writer = match held.take() {
            Some(writer) if !writer.is_broken() => writer,
            _ => self.bus.writer(BUFFER)?,
        };
        // A writer that failed is not used again: what it still holds would be counted among what is said next.
        self.send(&mut writer, records, said)?;
        *held = Some(writer);
        Ok(())
    }
}
