//! Frames onto the bus, and what became of them into the totals.

use crate::frames::Frame;
use crate::metrics::Totals;
use std::sync::Arc;
use std::time::Duration;
use weir_bus::{Bus, Count, Delivered, Full, Message, Result, Writer, partition};

/// Why a frame was not taken.
const BUFFER_FULL: &str = "buffer full";
const REFUSED: &str = "refused by the bus";

pub(crate) struct Outlet<B: Bus> {
    bus: B,
    buffer_bytes: usize,
    topic: String,
    partitions: usize,
    writer: B::Writer,
    counted: Delivered,
    totals: Arc<Totals>,
}

impl<B: Bus> Outlet<B> {
    pub(crate) fn open(bus: B, buffer_bytes: usize, totals: Arc<Totals>) -> Result<Self> {
        let (topic, partitions) = (bus.topics().raw, bus.partitions());
        let writer = bus.writer(buffer_bytes)?;
        Ok(Self { bus, buffer_bytes, topic, partitions, writer, counted: Delivered::default(), totals })
    }

    /// Takes a frame, or drops it and counts it: nothing here waits.
    pub(crate) fn send(&mut self, frame: &Frame<'_>) {
        let message = Message {
            topic: &self.topic,
            partition: partition(frame.exporter, self.partitions),
            key: frame.exporter,
            value: Some(frame.bytes),
            headers: &[],
        };
        let bytes = (message.key.len() + frame.bytes.len()) as u64;
        let count = Count { records: 1, units: u64::from(frame.datagrams), bytes };
        match self.writer.try_send(&message, frame.datagrams) {
            Ok(Ok(())) => self.totals.taken(bytes),
            Ok(Err(Full)) => self.totals.dropped(BUFFER_FULL, count),
            Err(error) => {
                tracing::error!(%error, "a frame was refused; opening a new producer");
                self.totals.dropped(REFUSED, count);
                self.reopen();
            }
        }
    }

    /// Takes acknowledgements.
    pub(crate) fn settle(&mut self) {
        self.writer.poll(Duration::ZERO);
        self.count();
    }

    /// Waits for the acknowledgement of all that was taken; what has none by then is given up and counted.
    pub(crate) fn finish(&mut self, timeout: Duration) {
        if !self.writer.flush(timeout) {
            tracing::warn!(?timeout, "the broker did not acknowledge everything before the end");
        }
        self.count();
    }

    fn count(&mut self) {
        let now = self.writer.delivered();
        if now != self.counted {
            self.totals.delivered(&self.counted, &now);
            self.counted = now;
        }
    }

    /// A producer that failed for good takes nothing more; what it still has is given up and counted.
    fn reopen(&mut self) {
        match self.bus.writer(self.buffer_bytes) {
            Ok(writer) => {
                self.finish(Duration::ZERO);
                self.writer = writer;
                self.counted = Delivered::default();
            }
            Err(error) => tracing::error!(%error, "no new producer"),
        }
    }
}
