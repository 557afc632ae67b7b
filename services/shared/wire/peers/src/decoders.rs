//! Who decodes: each by its documented way that costs it least, parsed into its own structures, with templates that it keeps itself.
//!
//! What is timed ends where the caller has the records: the structures are looked at as a whole and dropped.

use crate::build::RECEIVED;
use crate::cases::Sum;
use netflow_parser::variable_versions::{ipfix, v9};
use netflow_parser::{DataNumber, FieldValue, NetflowPacket, NetflowParser};
use netflow_parser::{IpfixField, V9Field};
use netgauze_flow_pkt::ie::Field;
use netgauze_flow_pkt::{ipfix as gauze_ipfix, netflow as gauze_v9};
use netgauze_parse_utils::reader::SliceReader;
use netgauze_parse_utils::traits::ParseFromWithOneInput;
use sflow_parser::models::{FlowData, SampleData};
use std::hint::black_box;
use std::sync::LazyLock;
use weir_schemas::frame::Datagram;
use weir_schemas::{Flow, FlowKind, Ip};
use weir_wire::{Budget, Context, Exporter, Fault, Interface, Options, Output, Rate};

/// A decoder of what one exporter sends.
pub trait Decoder {
    /// Decodes a datagram and drops what came of it. Panics where it can't.
    fn decode(&mut self, datagram: &[u8]);
    /// What a datagram gives; none where this decoder does not know the protocol.
    fn sum(&mut self, datagram: &[u8]) -> Option<Sum>;
}

/// Makes a decoder that knows nothing yet.
pub type Make = fn() -> Box<dyn Decoder>;

/// Name and maker of each, Weir first.
pub const DECODERS: &[(&str, Make)] = &[
    ("weir", || Box::<Weir>::default()),
    ("netflow_parser", || Box::<Parser>::default()),
    ("netgauze-flow-pkt", || Box::<Gauze>::default()),
    ("sflow-parser", || Box::new(Sflow)),
];

/// Weir.
#[derive(Debug, Default)]
struct Weir {
    exporter: Exporter,
    budget: Budget,
}

/// Looks at each flow, and keeps none.
#[derive(Default)]
struct Seen(Sum);

impl Output for Seen {
    fn flow(&mut self, flow: &Flow<'_>) {
        let flow = black_box(flow);
        let octets = if flow.flow_kind == FlowKind::Sample { flow.bytes_l2 } else { flow.bytes };
        self.0.records += 1;
        self.0.octets += octets.unwrap_or_default();
    }
    fn fault(&mut self, fault: Fault<'_>) {
        panic!("{}", fault.sentence);
    }
    fn state(&mut self, _: &[u8], _: Option<&[u8]>) {}
    fn interface(&mut self, _: Interface<'_>) {}
    fn rate(&mut self, _: Rate) {}
}

impl Weir {
    fn see(&mut self, payload: &[u8]) -> Sum {
        static OPTIONS: LazyLock<Options> = LazyLock::new(Options::default);
        let context = Context { exporter: Ip::v4([192, 0, 2, 1]), raw_offset: 0, frame_index: 0 };
        let datagram = Datagram { received: RECEIVED, listener: 2055, source_port: 50_000, payload };
        let mut seen = Seen::default();
        self.exporter.decode(&context, &datagram, &OPTIONS, &mut self.budget, &mut seen);
        seen.0
    }
}

impl Decoder for Weir {
    fn decode(&mut self, datagram: &[u8]) {
        black_box(self.see(datagram));
    }
    fn sum(&mut self, datagram: &[u8]) -> Option<Sum> {
        Some(self.see(datagram))
    }
}

/// `netflow_parser`, by `iter_packets`, which its README calls the way without allocation.
#[derive(Debug, Default)]
struct Parser(NetflowParser);

impl Parser {
    fn packet(&mut self, datagram: &[u8]) -> Option<NetflowPacket> {
        self.0.iter_packets(datagram).next()?.ok()
    }
}

fn number(value: &FieldValue) -> u64 {
    match value {
        FieldValue::DataNumber(DataNumber::U32(octets)) => u64::from(*octets),
        FieldValue::DataNumber(DataNumber::U64(octets)) => *octets,
        other => panic!("octets are {other:?}"),
    }
}

impl Decoder for Parser {
    fn decode(&mut self, datagram: &[u8]) {
        for packet in self.0.iter_packets(black_box(datagram)) {
            black_box(&packet.expect("it parses what it parsed before"));
        }
    }

    fn sum(&mut self, datagram: &[u8]) -> Option<Sum> {
        let octets: Vec<u64> = match self.packet(datagram)? {
            NetflowPacket::V5(packet) => packet.flowsets.iter().map(|flow| flow.d_octets.into()).collect(),
            NetflowPacket::V9(packet) => {
                let sets = packet.flowsets.iter().flat_map(|set| match &set.body {
                    v9::FlowSetBody::Data(data) => &data.fields[..],
                    _ => &[],
                });
                let one = |record: &v9::V9FlowRecord| {
                    record.iter().find(|f| f.0 == V9Field::InBytes).map(|f| number(&f.1))
                };
                sets.filter_map(one).collect()
            }
            NetflowPacket::IPFix(packet) => {
                let octets = IpfixField::IANA(ipfix::lookup::IANAIPFixField::OctetDeltaCount);
                let sets = packet.flowsets.iter().flat_map(|set| match &set.body {
                    ipfix::FlowSetBody::Data(data) => &data.fields[..],
                    _ => &[],
                });
                let one = |record: &ipfix::IPFixFlowRecord| {
                    record.iter().find(|f| f.0 == octets).map(|f| number(&f.1))
                };
                sets.filter_map(one).collect()
            }
            _ => return None,
        };
        Some(Sum { records: octets.len() as u64, octets: octets.iter().sum() })
    }
}

/// `netgauze-flow-pkt`, by `parse` of each packet with its map of templates, as its examples and its own benchmark have it. Its codec
/// does the same after copying the datagram into a buffer.
#[derive(Debug, Default)]
struct Gauze {
    v9: gauze_v9::TemplatesMap,
    ipfix: gauze_ipfix::TemplatesMap,
}

enum GauzePacket {
    V9(gauze_v9::NetFlowV9Packet),
    Ipfix(gauze_ipfix::IpfixPacket),
}

impl Gauze {
    fn packet(&mut self, datagram: &[u8]) -> Option<GauzePacket> {
        let mut reader = SliceReader::new(datagram);
        match datagram {
            [0, 9, ..] => {
                gauze_v9::NetFlowV9Packet::parse(&mut reader, &mut self.v9).ok().map(GauzePacket::V9)
            }
            [0, 10, ..] => {
                gauze_ipfix::IpfixPacket::parse(&mut reader, &mut self.ipfix).ok().map(GauzePacket::Ipfix)
            }
            _ => None,
        }
    }
}

impl Decoder for Gauze {
    fn decode(&mut self, datagram: &[u8]) {
        black_box(&self.packet(black_box(datagram)).expect("it parses what it parsed before"));
    }

    fn sum(&mut self, datagram: &[u8]) -> Option<Sum> {
        let octets = |fields: &[Field]| {
            fields.iter().find_map(|field| match field {
                Field::octetDeltaCount(octets) => Some(*octets),
                _ => None,
            })
        };
        let octets: Vec<u64> = match self.packet(datagram)? {
            GauzePacket::V9(packet) => {
                let records = packet.sets().iter().flat_map(|set| match set {
                    gauze_v9::Set::Data { records, .. } => &records[..],
                    _ => &[],
                });
                records.filter_map(|record| octets(record.fields())).collect()
            }
            GauzePacket::Ipfix(packet) => {
                let records = packet.sets().iter().flat_map(|set| match set {
                    gauze_ipfix::Set::Data { records, .. } => &records[..],
                    _ => &[],
                });
                records.filter_map(|record| octets(record.fields())).collect()
            }
        };
        Some(Sum { records: octets.len() as u64, octets: octets.iter().sum() })
    }
}

/// `sflow-parser`, which knows no templates. It gives a sampled header as bytes and leaves the packet in them to its caller.
struct Sflow;

impl Decoder for Sflow {
    fn decode(&mut self, datagram: &[u8]) {
        black_box(
            &sflow_parser::parse_datagram(black_box(datagram)).expect("it parses what it parsed before"),
        );
    }

    fn sum(&mut self, datagram: &[u8]) -> Option<Sum> {
        let datagram = sflow_parser::parse_datagram(datagram).ok()?;
        let records = datagram.samples.iter().flat_map(|sample| match &sample.sample_data {
            SampleData::FlowSample(sample) => &sample.flow_records[..],
            _ => &[],
        });
        let lengths: Vec<u64> = records
            .filter_map(|record| match &record.flow_data {
                FlowData::SampledHeader(header) => Some(header.frame_length.into()),
                _ => None,
            })
            .collect();
        Some(Sum { records: lengths.len() as u64, octets: lengths.iter().sum() })
    }
}

/// A decoder that knows what a case says before; none where it can't decode the case. Panics where it gives anything else than it must.
pub fn ready(make: Make, name: &str, case: &crate::cases::Case) -> Option<Box<dyn Decoder>> {
    let mut decoder = make();
    if !case.before.is_empty() {
        decoder.sum(&case.before)?;
    }
    let sum = decoder.sum(&case.probe)?;
    assert_eq!(sum, case.sum, "{name} gives something else of {}", case.name);
    Some(decoder)
}
