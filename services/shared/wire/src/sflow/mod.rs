//! sFlow version 5 (sflow.org, "sFlow Version 5"): flow samples, expanded ones, discarded packets.
//!
//! A sample is one packet. Its frame length is layer 2 with FCS; layer 3's length is the IP header's. Everything is XDR: numbers
//! of four bytes, big-endian, and opaque data padded to four.

mod counters;
mod records;
mod source;
mod xdr;

use crate::call::Call;
use crate::exporter::Exporter;
use crate::netflow::is_padding;
use crate::options::Identity;
use crate::output::{Output, Reason};
use crate::packet::{LABELS, Packet};
use crate::record;
use ahash::AHashMap;
pub(crate) use records::Path;
use records::{Found, flow_record, gateway};
use source::Counted;
pub(crate) use source::Sources;
pub use source::{Source, SourceId};
use weir_schemas::columns::flag;
use weir_schemas::{Flow, FlowKind, Observation, Protocol, RateSource, SamplingKind, Time};
use xdr::Xdr;

/// An interface number that means the device itself.
const INTERNAL: u32 = 0x3fff_ffff;
/// Bytes of the frame check sequence.
const FCS: u64 = 4;

/// What a sample says before its records.
#[derive(Clone, Copy, Debug, Default)]
struct Sample {
    class: u32,
    index: u32,
    counted: Counted,
    input: (u32, u32),
    output: (u32, u32),
    records: u32,
    discard: bool,
    /// Why it was discarded, where that is told.
    reason: Option<u32>,
}

/// Format and value of an interface in compact form: two bits and thirty.
fn compact(interface: u32) -> (u32, u32) {
    (interface >> 30, interface & INTERNAL)
}

/// Rate, pool and drops.
fn counted(input: &mut Xdr<'_>) -> Option<Counted> {
    Some(Counted { rate: input.u32()?, pool: input.u32()?, drops: input.u32()?, ..Counted::default() })
}

fn flow_sample(input: &mut Xdr<'_>) -> Option<Sample> {
    let sequence = input.u32()?;
    let source = input.u32()?;
    let counted = Counted { sequence, ..counted(input)? };
    let (from, to) = (input.u32()?, input.u32()?);
    Some(Sample {
        class: source >> 24,
        index: source & 0xff_ffff,
        counted,
        input: compact(from),
        output: compact(to),
        records: input.u32()?,
        ..Sample::default()
    })
}

fn expanded_flow_sample(input: &mut Xdr<'_>) -> Option<Sample> {
    let sequence = input.u32()?;
    let (class, index) = (input.u32()?, input.u32()?);
    let counted = Counted { sequence, ..counted(input)? };
    let from = (input.u32()?, input.u32()?);
    let to = (input.u32()?, input.u32()?);
    let records = input.u32()?;
    Some(Sample { class, index, counted, input: from, output: to, records, ..Sample::default() })
}

/// sFlow Dropped Packet Notification Structures: every discard, or as many as a limit allows, so no rate.
fn discarded_packet(input: &mut Xdr<'_>) -> Option<Sample> {
    let _sequence = input.u32()?;
    let (class, index) = (input.u32()?, input.u32()?);
    let _drops = input.u32()?;
    let (from, to) = (input.u32()?, input.u32()?);
    let reason = Some(input.u32()?);
    let (input_if, output_if, records) = ((0, from), (0, to), input.u32()?);
    let (discard, counted) = (true, Counted::default());
    Some(Sample { class, index, counted, input: input_if, output: output_if, records, discard, reason })
}

impl Sample {
    fn interfaces(&self, lags: &AHashMap<u32, u32>, flow: &mut Flow<'_>) {
        flow.in_if = if self.input.0 == 0 { self.input.1 } else { 0 };
        match self.output.0 {
            0 => flow.out_if = self.output.1,
            1 => {
                flow.flags |= flag::DISCARDED;
                flow.drop_reason = Some(self.output.1);
            }
            _ => flow.flags |= flag::MULTIPLE_OUTPUTS,
        }
        if self.discard {
            flow.flags |= flag::DISCARDED;
            flow.drop_reason = self.reason;
        }
        // A data source of class 0 is an ifIndex; of others (VLAN, entity) it names no interface. Of source and interface one may be the aggregate
        // and the other a port of it.
        let source = if self.class == 0 { self.index } else { 0 };
        let of = |port: u32, lag: u32| lag != 0 && lags.get(&port) == Some(&lag);
        let through = |interface: u32| of(source, interface) || of(interface, source);
        flow.observation = match source {
            0 => Observation::Unknown,
            _ if source == flow.in_if => Observation::Ingress,
            _ if source == flow.out_if => Observation::Egress,
            _ if through(flow.in_if) => Observation::Ingress,
            _ if through(flow.out_if) => Observation::Egress,
            _ => Observation::Unknown,
        };
        if flow.observation == Observation::Unknown {
            flow.flags |= flag::OBSERVATION_ASSUMED;
        }
    }
}

impl Exporter {
    /// A datagram of sFlow version 5.
    pub(crate) fn sflow_v5<O: Output>(&mut self, call: &mut Call<'_, O>) {
        call.protocol = Protocol::SflowV5;
        let payload = call.datagram.payload;
        let mut input = Xdr(payload);
        let mut header = || {
            input.u32()?;
            let agent = input.address()?;
            let sub_agent = input.u32()?;
            let (_sequence, _uptime) = (input.u32()?, input.u32()?);
            Some((agent, sub_agent, input.u32()?))
        };
        let Some((agent, sub_agent, samples)) = header() else {
            let sentence = format!(
                "sFlow datagram of {} bytes has no whole header, or an agent whose address is neither IPv4 nor IPv6",
                payload.len()
            );
            return call.dead(Reason::Truncated, sentence);
        };
        call.domain = sub_agent;
        let mut base = call.base(0);
        if !agent.is_none() && matches!(call.identity, Identity::Told | Identity::Agent) {
            base.exporter_id = agent;
        }
        for _ in 0..samples {
            let at = payload.len() - input.0.len();
            let mut rest = input;
            let sample = (|| {
                let format = rest.u32()?;
                let length = rest.u32()? as usize;
                Some((format, rest.take(length)?))
            })();
            call.counts.sets += 1;
            let Some((format, body)) = sample else {
                call.counts.sets_dead += 1;
                let sentence = format!("the sample at byte {at} is cut off: the header names {samples}");
                return call.fault(Reason::Truncated, at, &payload[at..], sentence);
            };
            input = rest;
            let end = payload.len() - input.0.len();
            call.counts.sets_decoded += 1;
            let mut body = Xdr(body);
            let parsed = match format {
                1 => flow_sample(&mut body),
                3 => expanded_flow_sample(&mut body),
                5 => discarded_packet(&mut body),
                2 | 4 => {
                    call.counts.counter_samples += 1;
                    self.counter_sample(format == 4, body.0, (at, end), call);
                    continue;
                }
                _ => {
                    call.counts.other_samples += 1;
                    continue;
                }
            };
            let Some(sample) = parsed else {
                call.counts.sets_decoded -= 1;
                call.counts.sets_dead += 1;
                let sentence =
                    format!("the sample of format {format} at byte {at} is shorter than its layout");
                call.fault(Reason::BadSample, at, &payload[at..end], sentence);
                continue;
            };
            if sample.discard {
                call.counts.discard_samples += 1;
            } else {
                call.counts.flow_samples += 1;
                let Sample { class, index, counted, .. } = sample;
                let id = SourceId { agent, sub_agent, class, index };
                self.sources.see(id, &counted, call.datagram.received, &mut self.checking.sums);
            }
            self.sample(&sample, body, &base, (at, end), call);
        }
        if !input.0.is_empty() {
            let at = payload.len() - input.0.len();
            let sentence =
                format!("{} bytes follow after the {samples} samples the header names", input.0.len());
            call.fault(Reason::TrailingBytes, at, &payload[at..], sentence);
        }
    }

    /// Takes an interface's name, speed and aggregate from a counter sample.
    fn counter_sample<O: Output>(
        &mut self,
        expanded: bool,
        body: &[u8],
        (at, end): (usize, usize),
        call: &mut Call<'_, O>,
    ) {
        let bytes = &call.datagram.payload[at..end];
        let (told, whole) = counters::counters(body, expanded);
        if !whole {
            call.counts.sets_decoded -= 1;
            call.counts.sets_dead += 1;
            let sentence = format!("the counter sample at byte {at} is not as long as its layout");
            call.fault(Reason::BadSample, at, bytes, sentence);
        }
        let learned = self.learned.told(
            told.index,
            told.name,
            told.speed,
            call.datagram.received,
            call.options,
            call.budget,
            call.out,
        );
        let attached = told.lag.map_or(Ok(()), |lag| {
            self.learned.attached(told.index, lag, call.options, call.budget, call.out)
        });
        if learned.is_err() || attached.is_err() {
            let sentence = format!(
                "there is no room left for interface {} of the counter sample at byte {at}",
                told.index
            );
            call.fault(Reason::StateLimit, at, bytes, sentence);
        }
    }

    fn sample<O: Output>(
        &mut self,
        sample: &Sample,
        mut body: Xdr<'_>,
        base: &Flow<'static>,
        (at, end): (usize, usize),
        call: &mut Call<'_, O>,
    ) {
        let mut stack = [0; LABELS];
        let mut flow: Flow<'_> = *base;
        let mut found = Found::default();
        let mut cut_off = None;
        flow.flow_kind = if sample.discard { FlowKind::Discard } else { FlowKind::Sample };
        flow.packets = 1;
        flow.spread_start = Time(call.datagram.received);
        flow.spread_end = flow.spread_start;
        let believed = u64::from(sample.counted.rate) <= call.options.max_sampling_interval;
        if sample.counted.rate != 0 && believed {
            flow.sampling_interval = u64::from(sample.counted.rate) * 1000;
            flow.sampling_kind = SamplingKind::Packet;
            flow.rate_source = RateSource::Record;
        }
        let mut path = Some(&mut self.path);
        for n in 0..sample.records {
            let record = (|| {
                let format = body.u32()?;
                let length = body.u32()? as usize;
                Some((format, body.opaque(length)?))
            })();
            let Some((format, record)) = record else {
                cut_off = Some(format!("record {n} of {} runs over the end of the sample", sample.records));
                break;
            };
            let done = match (format, path.take()) {
                // Extended gateway. The flow borrows its path, so of several the first counts.
                (1003, Some(path)) => gateway(Xdr(record), &mut flow, path),
                (1003, None) => Some(()),
                (_, unused) => {
                    path = unused;
                    flow_record(format, Xdr(record), &mut flow, &mut found, &mut self.checking.sums)
                }
            };
            if done.is_none() {
                cut_off = Some(format!("record {n} of format {format} is shorter than its layout"));
            }
        }
        if cut_off.is_none() && !is_padding(body.0) {
            cut_off =
                Some(format!("{} bytes follow after the {} records it names", body.0.len(), sample.records));
        }
        if let Some(packet) = &found.packet {
            packet.fill(call.options.tunnels, &mut flow);
        }
        let own = found.packet.as_ref().and_then(Packet::stack);
        flow.mpls_labels = own.unwrap_or_else(|| found.stack(&mut stack));
        found.put(&mut flow);
        sample.interfaces(&self.learned.lags, &mut flow);
        record::set_q(&mut flow, (None, None), None, None);
        flow.record_index = call.record_index;
        call.record_index += 1;
        call.counts.flows += 1;
        call.out.flow(&flow);
        if !believed {
            let sentence = format!(
                "the sample at byte {at} has a sampling rate of {}, beyond what is believed",
                sample.counted.rate
            );
            call.fault(Reason::BadRate, at, &call.datagram.payload[at..end], sentence);
        }
        if let Some(what) = cut_off {
            call.counts.records_dead += 1;
            let sentence = format!("in the sample at byte {at}, {what}");
            call.fault(Reason::BadSample, at, &call.datagram.payload[at..end], sentence);
        }
    }
}
