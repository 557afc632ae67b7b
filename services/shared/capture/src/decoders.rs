//! The exporters of a capture, each with a decoder of its own.
//!
//! Each source address is an exporter, as in the decoder's service. No data waits in vain for a template: all bytes of the capture may wait until
//! its end.

use crate::Captured;
use std::collections::BTreeMap;
use weir_schemas::Ip;
use weir_schemas::frame::Datagram;
use weir_wire::{Budget, Context, Counts, Exporter, Options, Output, Own};

/// How exporters are decoded, as the decoder's service is configured.
#[derive(Clone, Debug, Default)]
pub struct How {
    /// All of them.
    pub options: Options,
    /// Some of them otherwise, by source address.
    pub exporters: BTreeMap<Ip, Own>,
}

/// All of them.
pub(crate) struct Decoders {
    how: How,
    budget: Budget,
    exporters: BTreeMap<Ip, Exporter>,
    stream: bool,
    /// Place of the next datagram: its number.
    raw_offset: u64,
}

impl Decoders {
    /// Of a capture without a datagram yet; of a stream, where withdrawals hold.
    pub fn new(how: &How, stream: bool) -> Self {
        let mut how = how.clone();
        (how.options.parked_bytes, how.options.parked_age_s) = (usize::MAX, u32::MAX);
        Self {
            how,
            budget: Budget::new(usize::MAX, usize::MAX),
            exporters: BTreeMap::new(),
            stream,
            raw_offset: 0,
        }
    }

    fn context(&self, exporter: Ip) -> Context {
        Context { exporter, raw_offset: self.raw_offset, frame_index: 0 }
    }

    /// Decodes the next datagram.
    pub fn decode(&mut self, captured: &Captured<'_>, out: &mut impl Output) -> Counts {
        let context = self.context(captured.source);
        self.raw_offset += 1;
        let new = if self.stream { Exporter::over_stream } else { Exporter::default };
        let exporter = self.exporters.entry(captured.source).or_insert_with(|| {
            let mut exporter = new();
            exporter.configure(self.how.exporters.get(&captured.source).copied().unwrap_or_default());
            exporter
        });
        let datagram = Datagram {
            received: captured.time,
            listener: captured.destination_port,
            source_port: captured.source_port,
            payload: &captured.payload,
        };
        exporter.decode(&context, &datagram, &self.how.options, &mut self.budget, out)
    }

    /// Those that sent something, in order.
    pub fn sources(&self) -> Vec<Ip> {
        self.exporters.keys().copied().collect()
    }

    /// Gives up what still waits of one of them, and gives it back.
    pub fn finish(&mut self, source: Ip, out: &mut impl Output) -> (Counts, Exporter) {
        let context = self.context(source);
        let mut exporter = self.exporters.remove(&source).unwrap_or_default();
        let counts = exporter.finish(&context, &self.how.options, &mut self.budget, out);
        (counts, exporter)
    }
}
