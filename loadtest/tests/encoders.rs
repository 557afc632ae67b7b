//! What the generator encodes, the decoder reads back: two implementations of the standards that share nothing.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use weir_loadtest::encode::{Clock, Encoder, Told};
use weir_loadtest::network::{Exporter, Protocol, network};
use weir_loadtest::traffic::{Flow, Traffic};
use weir_loadtest::world::World;
use weir_schemas::frame::Datagram;
use weir_schemas::{Ip, RateSource};
use weir_wire::{Budget, Context, Fault, Interface, Options, Output, Rate};

const NOW: i64 = 1_700_000_000_123_456_789;
const BOOTED: i64 = NOW - 30 * 86_400 * 1_000_000_000;

/// What was decoded, with every borrowed text as JSON.
#[derive(Default)]
struct Decoded {
    flows: Vec<serde_json::Value>,
    columns: Vec<Columns>,
    faults: Vec<String>,
    interfaces: BTreeMap<u32, (String, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Columns {
    interfaces: (u32, u32),
    addresses: (Ip, Ip),
    ports: (u16, u16),
    lengths: (u8, u8),
    ases: (u32, u32),
    next_hop: Ip,
    bytes: Option<u64>,
    packets: u64,
    proto: u8,
    tos: u8,
    tcp_flags: u16,
    times: (i64, i64, i64),
    interval: u64,
}

impl Output for Decoded {
    fn flow(&mut self, f: &weir_schemas::Flow<'_>) {
        self.columns.push(Columns {
            interfaces: (f.in_if, f.out_if),
            addresses: (f.src_addr, f.dst_addr),
            ports: (f.src_port, f.dst_port),
            lengths: (f.src_prefix_len, f.dst_prefix_len),
            ases: (f.src_as_exported, f.dst_as_exported),
            next_hop: f.next_hop,
            bytes: f.bytes,
            packets: f.packets,
            proto: f.proto,
            tos: f.tos,
            tcp_flags: f.tcp_flags,
            times: (f.exported.0, f.flow_start.0, f.flow_end.0),
            interval: f.sampling_interval,
        });
        self.flows.push(serde_json::to_value(f).unwrap());
        assert_eq!(f.rate_source == RateSource::Unknown, f.sampling_interval == 0);
    }
    fn fault(&mut self, fault: Fault<'_>) {
        self.faults.push(fault.sentence);
    }
    fn state(&mut self, _: &[u8], _: Option<&[u8]>) {}
    fn interface(&mut self, one: Interface<'_>) {
        self.interfaces.insert(one.index, (one.name.to_owned(), one.description.to_owned()));
    }
    fn rate(&mut self, _: Rate) {}
}

fn expected(exporter: &Exporter, flow: &Flow, told: &Told) -> Columns {
    let ip = |address: IpAddr| Ip::from(address);
    Columns {
        interfaces: flow.interfaces,
        addresses: (ip(flow.addresses.0), ip(flow.addresses.1)),
        ports: flow.ports,
        lengths: flow.lengths,
        ases: told.ases,
        next_hop: ip(flow.next_hop),
        bytes: Some(flow.bytes),
        packets: flow.packets,
        proto: flow.proto,
        tos: flow.tos,
        tcp_flags: flow.tcp_flags.into(),
        times: (told.exported_ns, told.start_ns, told.end_ns),
        interval: if told.interval == 0 { 0 } else { u64::from(exporter.interval) * 1000 },
    }
}

/// Sends so many datagrams of an exporter to a decoder.
fn exchange(
    exporter: &Exporter,
    number: usize,
    world: &World,
    datagrams: u64,
) -> (Vec<(Flow, Told)>, Decoded) {
    let (mut traffic, mut encoder) =
        (Traffic::new(exporter, number, 5), Encoder::new(exporter, number, 20, 0));
    let mut decoder = weir_wire::Exporter::default();
    let (options, mut budget) = (Options::default(), Budget::new(1 << 20, 1 << 20));
    let (mut sent, mut decoded, mut told) = (Vec::new(), Decoded::default(), Vec::new());
    for n in 0..datagrams {
        let clock = Clock { now_ns: NOW + n as i64 * 1_000_000, booted_ns: BOOTED };
        let mut payloads: Vec<_> =
            encoder.control(exporter, clock).into_iter().map(|(_, bytes)| bytes).collect();
        let flows: Vec<Flow> = (0..encoder.capacity()).map(|_| traffic.next(world, exporter)).collect();
        payloads.push(encoder.data(exporter, &flows, clock, &mut told));
        sent.extend(flows.into_iter().zip(told.iter().copied()));
        for (index, payload) in payloads.iter().enumerate() {
            assert!(payload.len() <= 1472, "{} bytes would be fragmented", payload.len());
            let context = Context {
                exporter: Ip::from(IpAddr::from(exporter.address)),
                raw_offset: n,
                frame_index: index as u32,
            };
            let datagram = Datagram { received: clock.now_ns, listener: 2055, source_port: 7, payload };
            decoder.decode(&context, &datagram, &options, &mut budget, &mut decoded);
        }
    }
    (sent, decoded)
}

#[test]
fn every_flow_of_every_kind_of_exporter_is_decoded_as_it_was_meant() {
    let world = World::synthetic(1);
    for (number, exporter) in network(&world, 8, Ipv4Addr::new(127, 64, 0, 1)).iter().enumerate() {
        let exporter = Exporter { rate_after: exporter.rate_after / 10, ..exporter.clone() };
        let (sent, decoded) = exchange(&exporter, number, &world, 60);
        assert_eq!(decoded.faults, Vec::<String>::new(), "{exporter:?}");
        let key = |columns: &Columns| (columns.addresses, columns.ports);
        let mut wanted: Vec<Columns> =
            sent.iter().map(|(flow, told)| expected(&exporter, flow, told)).collect();
        let mut found = decoded.columns.clone();
        wanted.sort_by_key(key);
        found.sort_by_key(key);
        assert_eq!(found.len(), wanted.len(), "{} {:?}", exporter.name, exporter.protocol);
        for (found, wanted) in found.iter().zip(&wanted) {
            assert_eq!(found, wanted, "{} {:?}", exporter.name, exporter.protocol);
        }
        if exporter.protocol.tells_interfaces() {
            for one in &exporter.interfaces {
                let (name, description) = &decoded.interfaces[&one.index];
                assert_eq!((name, description), (&one.name, &one.description));
            }
        }
        if exporter.protocol == Protocol::Sflow {
            let (flow, row) = (&sent[0].0, &decoded.flows[0]);
            let around = if exporter.tagged { 22 } else { 18 };
            assert_eq!(row["bytes_l2"], flow.bytes + around);
            assert_eq!(row["observation"], "ingress");
            assert_eq!(row["src_vlan"], if exporter.tagged { 101 } else { 0 });
            assert_eq!(row["src_neighbour_as"], if flow.inbound { flow.neighbour } else { 0 });
        }
    }
}

#[test]
fn a_rate_announced_late_is_unknown_before_and_known_after() {
    let world = World::synthetic(1);
    let exporters = network(&world, 8, Ipv4Addr::new(127, 64, 0, 1));
    let late = Exporter { rate_after: 10, ..exporters[4].clone() };
    let (sent, _) = exchange(&late, 4, &world, 20);
    let known = sent.iter().filter(|(_, told)| told.interval != 0).count();
    assert!(known > 0 && known < sent.len(), "{known} of {}", sent.len());
    let (sent, _) = exchange(&exporters[5], 5, &world, 5);
    assert!(sent.iter().all(|(_, told)| told.interval == 0));
}
