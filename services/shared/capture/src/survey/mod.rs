//! Does my exporter tell the truth: all that a capture says of each exporter in it, and what is amiss (`weir decode --summary`).
//!
//! Each source address is an exporter, as in the decoder, and data may wait until the capture's end. What is amiss is said by the same rules as
//! on the page of exporters (`weir_schemas::checks`). Nothing is guessed: what a capture can't show is not said.

mod text;

use crate::decoders::{Decoders, How};
use crate::{Capture, Captured};
use std::collections::{BTreeMap, BTreeSet};
use weir_schemas::checks::Checks;
use weir_schemas::columns::flag;
use weir_schemas::{Flow, FlowKind, Ip, Observation, Protocol, RateSource, SamplingKind, Tunnel};
use weir_wire::{Counts, Fault, Interface, KnownTemplate, Output, Rate, Reason, Session, Source, SourceId};

/// Announcements, faults and errors that are kept of an exporter; beyond they are counted.
const KEPT: usize = 64;

/// Flow records and what they count, unscaled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// Flow records, samples too.
    pub flows: u64,
    /// Bytes of layer 3; where these are not known, of layer 2.
    pub bytes: u128,
    /// Packets.
    pub packets: u128,
}

impl Sum {
    fn add(&mut self, flow: &Flow<'_>) {
        self.flows += 1;
        self.bytes += u128::from(flow.bytes.or(flow.bytes_l2).unwrap_or_default());
        self.packets += u128::from(flow.packets);
    }
}

/// What a capture says of an exporter.
#[derive(Clone, Debug, Default)]
pub struct OfExporter {
    /// Datagrams and their bytes, by protocol.
    pub protocols: BTreeMap<Protocol, (u64, u64)>,
    /// UDP ports that they came from.
    pub ports: BTreeSet<u16>,
    /// When the first and the last were captured, ns since the epoch.
    pub time: Option<(i64, i64)>,
    /// How far the exporter's clock is ahead of the capture's, ns, of each datagram that says.
    offsets: Vec<i64>,
    /// Export time of the datagram at hand, as its flows have it.
    exported: Option<i64>,
    /// Who it says it is, where that is not the address.
    pub identities: BTreeSet<Ip>,
    /// What the decoder counted.
    pub counts: Counts,
    /// Flow records by kind.
    pub kinds: BTreeMap<FlowKind, Sum>,
    /// By the sampling interval (thousandths), its kind, and where it came from.
    pub sampling: BTreeMap<(RateSource, SamplingKind, u64), Sum>,
    /// By where packets were observed.
    pub observed: BTreeMap<Observation, Sum>,
    /// By what packets were wrapped in.
    pub tunnels: BTreeMap<Tunnel, Sum>,
    /// By address family.
    pub families: BTreeMap<u8, Sum>,
    /// Records that name an AS of either side.
    pub with_as: u64,
    /// Records that name neither interface.
    pub without_interface: u64,
    /// Input and output interfaces.
    pub interfaces: (BTreeSet<u32>, BTreeSet<u32>),
    /// Interfaces of which a name or description was learned.
    pub names: BTreeMap<u32, String>,
    /// The longest flow, ns.
    pub longest: i64,
    /// Announced sampling intervals, the first of them.
    pub announced: Vec<Rate>,
    /// How many more there were.
    pub more_announced: u64,
    /// What could not be decoded: how often, and the first of each kind in words.
    pub faults: BTreeMap<Reason, (u64, String)>,
    /// Templates at the capture's end.
    pub templates: Vec<KnownTemplate>,
    /// What came and what is missing.
    pub sessions: Vec<Session>,
    /// sFlow's samplers.
    pub samplers: BTreeMap<SourceId, Source>,
    /// Sums by which it is judged.
    pub checks: Checks,
}

/// What a capture says.
#[derive(Clone, Debug, Default)]
pub struct Survey {
    /// By source address.
    pub exporters: BTreeMap<Ip, OfExporter>,
    /// Packets that were no UDP datagrams.
    pub other_packets: u64,
    /// Errors of the capture itself: how many, and the first of them in words.
    pub errors: (u64, Vec<String>),
}

impl OfExporter {
    fn see(&mut self, captured: &Captured<'_>) {
        let of = self.protocols.entry(protocol(&captured.payload)).or_default();
        *of = (of.0 + 1, of.1 + captured.payload.len() as u64);
        self.ports.insert(captured.source_port);
        if captured.time != 0 {
            let (first, last) = self.time.unwrap_or((captured.time, captured.time));
            self.time = Some((first.min(captured.time), last.max(captured.time)));
        }
    }

    /// The median of how far its clock is ahead of the capture's, ns. None: it says no time, or the capture has none of its own.
    pub fn clock_offset(&self) -> Option<i64> {
        let mut offsets = self.offsets.clone();
        let middle = offsets.len().checked_sub(1)? / 2;
        Some(*offsets.select_nth_unstable(middle).1)
    }
}

fn protocol(payload: &[u8]) -> Protocol {
    match payload {
        [0, 0, 0, 5, ..] => Protocol::SflowV5,
        [0, 1, ..] => Protocol::NetflowV1,
        [0, 5, ..] => Protocol::NetflowV5,
        [0, 7, ..] => Protocol::NetflowV7,
        [0, 8, ..] => Protocol::NetflowV8,
        [0, 9, ..] => Protocol::NetflowV9,
        [0, 10, ..] => Protocol::Ipfix,
        _ => Protocol::Unknown,
    }
}

impl Output for OfExporter {
    fn flow(&mut self, flow: &Flow<'_>) {
        self.exported = self.exported.or(Some(flow.exported.0).filter(|time| *time != 0));
        self.identities.insert(flow.exporter_id);
        self.kinds.entry(flow.flow_kind).or_default().add(flow);
        let rate = (flow.rate_source, flow.sampling_kind, flow.sampling_interval);
        self.sampling.entry(rate).or_default().add(flow);
        self.observed.entry(flow.observation).or_default().add(flow);
        self.tunnels.entry(flow.tunnel).or_default().add(flow);
        self.families.entry(flow.family).or_default().add(flow);
        self.with_as += u64::from(flow.src_as_exported | flow.dst_as_exported != 0);
        self.without_interface += u64::from(flow.in_if == 0 && flow.out_if == 0);
        let (input, output) = &mut self.interfaces;
        input.extend(Some(flow.in_if).filter(|index| *index != 0));
        output.extend(Some(flow.out_if).filter(|index| *index != 0));
        if flow.flow_start.0 > 0 && flow.flags & flag::TIME_IMPLAUSIBLE == 0 {
            self.longest = self.longest.max(flow.flow_end.0 - flow.flow_start.0);
        }
    }

    fn fault(&mut self, fault: Fault<'_>) {
        let place = format!("datagram {}: {}", fault.context.raw_offset, fault.sentence);
        self.faults.entry(fault.reason).or_insert((0, place)).0 += 1;
    }

    fn state(&mut self, _: &[u8], _: Option<&[u8]>) {}

    fn interface(&mut self, interface: Interface<'_>) {
        let name = if interface.name.is_empty() { interface.description } else { interface.name };
        self.names.insert(interface.index, name.to_owned());
    }

    fn rate(&mut self, rate: Rate) {
        if self.announced.len() < KEPT {
            self.announced.push(rate);
        } else {
            self.more_announced += 1;
        }
    }
}

/// Looks at a whole capture.
pub fn survey(mut capture: Capture<'_>, how: &How) -> Survey {
    let mut survey = Survey::default();
    let stream = capture.is_stream();
    let mut decoders = Decoders::new(how, stream);
    for next in capture.by_ref() {
        let captured = match next {
            Ok(captured) => captured,
            Err(error) => {
                let (count, first) = &mut survey.errors;
                *count += 1;
                if first.len() < KEPT {
                    first.push(error.to_string());
                }
                continue;
            }
        };
        let one = survey.exporters.entry(captured.source).or_default();
        one.see(&captured);
        one.exported = None;
        let counts = decoders.decode(&captured, one);
        one.counts += counts;
        let exported = one.exported.filter(|_| captured.time != 0 && !stream);
        one.offsets.extend(exported.map(|exported| exported - captured.time));
    }
    for source in decoders.sources() {
        let one = survey.exporters.entry(source).or_default();
        let (counts, exporter) = decoders.finish(source, one);
        one.counts += counts;
        one.templates = exporter.templates();
        one.sessions = exporter.sessions().to_vec();
        one.samplers = exporter.sources().map(|(id, source)| (*id, *source)).collect();
        one.checks = *exporter.checks();
    }
    survey.other_packets = capture.others();
    survey
}
