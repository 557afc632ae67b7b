//! One call of the decoder: what came in, what may be used, and where the outcome goes.

use crate::options::{Budget, Identity, Options, TotalCounters};
use crate::output::{Context, Counts, Fault, Output, Reason};
use weir_schemas::frame::Datagram;
use weir_schemas::{Flow, Protocol, Time};

pub(crate) struct Call<'c, O> {
    pub context: Context,
    pub datagram: Datagram<'c>,
    pub options: &'c Options,
    pub budget: &'c mut Budget,
    pub out: &'c mut O,
    pub counts: Counts,
    /// Which address says who the exporter is.
    pub identity: Identity,
    /// What the exporter's total counters count.
    pub total_counters: TotalCounters,
    pub protocol: Protocol,
    pub domain: u32,
    /// Index of the next flow record.
    pub record_index: u32,
}

impl<'c, O: Output> Call<'c, O> {
    /// Reports what could not be decoded: `bytes` lie at `offset` of the datagram.
    pub(crate) fn fault(&mut self, reason: Reason, offset: usize, bytes: &[u8], sentence: String) {
        self.counts.faults += 1;
        self.out.fault(Fault {
            reason,
            context: self.context,
            received: self.datagram.received,
            source_port: self.datagram.source_port,
            protocol: self.protocol,
            observation_domain: self.domain,
            offset,
            bytes,
            sentence,
        });
    }

    /// Reports that nothing of the datagram could be decoded.
    pub(crate) fn dead(&mut self, reason: Reason, sentence: String) {
        self.counts.datagrams_dead += 1;
        self.fault(reason, 0, self.datagram.payload, sentence);
    }

    /// The columns that all flows of the datagram share.
    pub(crate) fn base(&self, exported: i64) -> Flow<'static> {
        Flow {
            raw_offset: self.context.raw_offset,
            frame_index: self.context.frame_index,
            received: Time(self.datagram.received),
            exported: Time(exported),
            protocol: self.protocol,
            exporter_id: self.context.exporter,
            observation_domain: self.domain,
            ..Flow::default()
        }
    }
}
