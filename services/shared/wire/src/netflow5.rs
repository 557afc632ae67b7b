//! NetFlow version 5: a header and records of one layout.

use crate::call::Call;
use crate::element::{SLICES, V5_RECORD};
use crate::exporter::Exporter;
use crate::netflow::u32_at;
use crate::output::{Output, Reason};
use crate::packet::LABELS;
use crate::plan::{Field, Plan};
use crate::record::{Setting, Shape};
use crate::resolve::Resolver;
use crate::time::{Clock, Plausible};
use std::sync::OnceLock;
use weir_schemas::Protocol;

const SECOND: i64 = 1_000_000_000;
const V5_HEADER: usize = 24;

/// The v5 record, compiled like a template.
fn v5() -> &'static (Plan, Shape) {
    static V5: OnceLock<(Plan, Shape)> = OnceLock::new();
    V5.get_or_init(|| {
        let fields: Vec<_> =
            V5_RECORD.iter().map(|(id, length)| Field { id: *id, enterprise: 0, length: *length }).collect();
        let plan = Plan::compile(Protocol::NetflowV5, &fields, 0);
        let shape = Shape::of(plan.present, plan.slices);
        (plan, shape)
    })
}

impl Exporter {
    /// NetFlow version 5: a header and records of one layout.
    pub(crate) fn netflow_v5<O: Output>(&mut self, call: &mut Call<'_, O>) {
        call.protocol = Protocol::NetflowV5;
        let payload = call.datagram.payload;
        let Some(header) = payload.first_chunk::<V5_HEADER>() else {
            let sentence = format!("NetFlow v5 datagram of {} bytes has no whole header", payload.len());
            return call.dead(Reason::Truncated, sentence);
        };
        let count = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let word = |at: usize| u32_at(header, at).unwrap_or_default();
        call.domain = u32::from(header[20]) << 8 | u32::from(header[21]);
        let exported = i64::from(word(8)) * SECOND + i64::from(word(12));
        let clock = Clock { exported, uptime: Some(word(4)) };
        let interval = u16::from_be_bytes([header[22], header[23]]) & 0x3fff;
        let (plan, shape) = v5();
        let whole = ((payload.len() - V5_HEADER) / plan.min_length).min(count);
        if whole == 0 && count > 0 {
            let sentence = format!(
                "NetFlow v5 datagram of {} bytes has none of the {count} records its header names",
                payload.len()
            );
            return call.dead(Reason::Truncated, sentence);
        }
        let mut words = [0; 256];
        let mut slices = [(0, 0); SLICES];
        let mut labels = [0; LABELS];
        let mut resolver = Resolver::header(&self.learned.rates, interval);
        let setting = Setting { base: call.base(exported), clock, plausible: Plausible::of(call.options) };
        for at in (0..whole).map(|n| V5_HEADER + n * plan.min_length) {
            if plan.read(payload, at, payload.len(), &mut words, &mut slices).is_none() {
                break;
            }
            let (mut flow, _) = shape.flow(&setting, &words, (payload, &slices), &mut resolver, &mut labels);
            flow.record_index = call.record_index;
            call.record_index += 1;
            call.counts.flows += 1;
            call.out.flow(flow);
        }
        call.counts.sets += 1;
        call.counts.sets_decoded += 1;
        let end = V5_HEADER + whole * plan.min_length;
        if whole < count {
            call.counts.records_dead += (count - whole) as u64;
            let sentence = format!("the header names {count} records, the datagram has {whole} whole ones");
            call.fault(Reason::Truncated, end, &payload[end..], sentence);
        } else if end < payload.len() {
            let sentence =
                format!("{} bytes follow after the {count} records the header names", payload.len() - end);
            call.fault(Reason::TrailingBytes, end, &payload[end..], sentence);
        }
    }
}
