//! NetFlow without templates: versions 1, 5, 7 and 8, each a header and records of one layout.

use crate::call::Call;
use crate::element::SLICES;
use crate::exporter::Exporter;
use crate::identity::Said;
use crate::layouts::{self, LAYOUTS};
use crate::netflow::{is_padding, u16_at, u32_at};
use crate::output::{Output, Reason};
use crate::packet::LABELS;
use crate::plan::{Field, Plan};
use crate::record::{Setting, Shape};
use crate::resolve::Resolver;
use crate::time::{Clock, Plausible};
use std::sync::OnceLock;
use weir_schemas::{Flow, Protocol};

const SECOND: i64 = 1_000_000_000;

/// All layouts, compiled like templates.
fn compiled() -> &'static [(Plan, Shape)] {
    static COMPILED: OnceLock<Vec<(Plan, Shape)>> = OnceLock::new();
    COMPILED.get_or_init(|| {
        let compile = |layout: &layouts::Layout| {
            let field = |(id, length): &layouts::Part| Field { id: *id, enterprise: 0, length: *length };
            let fields: Vec<_> = layout.record.iter().map(field).collect();
            let plan = Plan::compile(layout.protocol, &fields, 0);
            let shape = Shape::of(&plan);
            (plan, shape)
        };
        LAYOUTS.iter().map(compile).collect()
    })
}

impl Exporter {
    /// A datagram of a version without templates.
    pub(crate) fn netflow_fixed<O: Output>(
        &mut self,
        (version, protocol): (u16, Protocol),
        call: &mut Call<'_, O>,
    ) {
        let payload = call.datagram.payload;
        call.protocol = protocol;
        let no_header =
            || format!("NetFlow v{version} datagram of {} bytes has no whole header", payload.len());
        let Some(place) = layouts::of(version, payload) else {
            return match payload.get(layouts::SCHEME_AT..) {
                Some([scheme, of, ..]) => {
                    let sentence = format!(
                        "NetFlow v{version} with scheme {scheme} of aggregation in version {of} is not decoded"
                    );
                    call.dead(Reason::UnsupportedVersion, sentence)
                }
                _ => call.dead(Reason::Truncated, no_header()),
            };
        };
        let (layout, (plan, shape)) = (&LAYOUTS[place], &compiled()[place]);
        let Some(header) = payload.get(..layout.header) else {
            return call.dead(Reason::Truncated, no_header());
        };
        let word = |at: usize| u32_at(header, at).unwrap_or_default();
        let half = |at: usize| u16_at(header, at).unwrap_or_default();
        let count = usize::from(half(2));
        // Aggregates by several schemes are of the same packets: the domain tells them apart.
        call.domain = u32::from(layout.scheme) << 16 | layout.engine_at.map_or(0, |at| half(at).into());
        let exported = i64::from(word(8)) * SECOND + i64::from(word(12));
        let clock = Clock { exported, uptime: Some(word(4)) };
        let interval = layout.sampling_at.map_or(0, |at| half(at) & 0x3fff);
        let whole = ((payload.len() - layout.header) / plan.min_length).min(count);
        if whole == 0 && count > 0 {
            let sentence = format!(
                "NetFlow v{version} datagram of {} bytes has none of the {count} records its header names",
                payload.len()
            );
            return call.dead(Reason::Truncated, sentence);
        }
        let mut words = [0; 256];
        let mut slices = [(0, 0); SLICES];
        let mut labels = [0; LABELS];
        let mut resolver =
            Resolver::header(&self.learned.rates, interval, call.options.max_sampling_interval);
        let mut bad_rate = false;
        // None of them knows another family, and some aggregates have no address that would tell.
        let base = Flow { family: 4, ..call.base(exported) };
        let setting = Setting {
            base,
            clock,
            plausible: Plausible::of(call.options),
            tunnels: call.options.tunnels,
            identity: call.identity,
            said: Said::default(),
            since: None,
        };
        for at in (0..whole).map(|n| layout.header + n * plan.min_length) {
            if plan.read(payload, at, payload.len(), &mut words, &mut slices).is_none() {
                break;
            }
            let mut flow: Flow<'_> = setting.base;
            flow.record_index = call.record_index;
            let (read, sums) = ((&words, (payload, &slices)), &mut self.checking.sums);
            bad_rate |= shape.fill(&mut flow, &setting, read, &mut resolver, &mut labels, sums);
            call.record_index += 1;
            call.counts.flows += 1;
            call.out.flow(&flow);
        }
        call.counts.sets += 1;
        call.counts.sets_decoded += 1;
        if bad_rate {
            let sentence = format!("the header's sampling interval of {interval} is beyond what is believed");
            call.fault(Reason::BadRate, 0, header, sentence);
        }
        let end = layout.header + whole * plan.min_length;
        if whole < count {
            call.counts.records_dead += (count - whole) as u64;
            let sentence = format!("the header names {count} records, the datagram has {whole} whole ones");
            call.fault(Reason::Truncated, end, &payload[end..], sentence);
        } else if !is_padding(&payload[end..]) || (end < payload.len() && !layout.padded) {
            let sentence =
                format!("{} bytes follow after the {count} records the header names", payload.len() - end);
            call.fault(Reason::TrailingBytes, end, &payload[end..], sentence);
        }
    }
}
