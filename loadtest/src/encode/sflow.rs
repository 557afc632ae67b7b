//! sFlow version 5 (sflow.org): flow samples with raw headers, gateway, router and switch records; counters now and then.

use super::{Clock, Put, Told};
use crate::network::Exporter;
use crate::traffic::Flow;
use std::net::IpAddr;

/// Samples of a datagram.
pub const CAPACITY: usize = 4;
/// Bytes of a header that are sampled.
const HEADER: usize = 128;
const FCS: u32 = 4;
/// AS of the network itself: private use.
const OWN_AS: u32 = 4_200_000_001;
/// VLANs of a tagged exporter.
const VLANS: (u32, u32) = (101, 102);

/// Sequences of datagrams and samples, and how many packets there were to choose from.
#[derive(Debug, Default)]
pub struct Process {
    datagrams: u32,
    samples: u32,
    pool: u32,
}

impl Process {
    pub fn data(
        &mut self,
        exporter: &Exporter,
        flows: &[Flow],
        clock: Clock,
        told: &mut Vec<Told>,
    ) -> Vec<u8> {
        let mut out = Vec::with_capacity(1500);
        let counters = self.datagrams % 50 == 49;
        self.datagrams = self.datagrams.wrapping_add(1);
        out.u32(5);
        out.u32(1);
        out.address(exporter.address.into());
        out.u32(0);
        out.u32(self.datagrams);
        out.u32(clock.uptime_ms());
        out.u32(flows.len() as u32 + u32::from(counters));
        for flow in flows {
            self.sample(&mut out, exporter, flow);
            told.push(Told { ases: flow.ases, ..Told::default() });
        }
        if counters {
            counter_sample(&mut out, exporter, self.datagrams);
        }
        out
    }

    fn sample(&mut self, out: &mut Vec<u8>, exporter: &Exporter, flow: &Flow) {
        self.samples = self.samples.wrapping_add(1);
        self.pool = self.pool.wrapping_add(exporter.interval);
        let (input, output) = flow.interfaces;
        opaque(out, if exporter.tagged { 3 } else { 1 }, |out| {
            out.u32(self.samples);
            if exporter.tagged {
                out.u32(0);
            }
            // Data source: class 0, the interface that samples. Interfaces have a format beside them, in two bits or a word.
            out.u32(if flow.egress { output } else { input });
            out.u32(exporter.interval);
            out.u32(self.pool);
            out.u32(0);
            for interface in [input, output] {
                if exporter.tagged {
                    out.u32(0);
                }
                out.u32(interface);
            }
            out.u32(if exporter.tagged { 4 } else { 3 });
            opaque(out, 1, |out| raw_header(out, exporter, flow));
            if exporter.tagged {
                opaque(out, 1001, |out| {
                    for word in [VLANS.0, 0, VLANS.1, 0] {
                        out.u32(word);
                    }
                });
            }
            opaque(out, 1002, |out| {
                hop(out, flow.next_hop);
                out.u32(flow.lengths.0.into());
                out.u32(flow.lengths.1.into());
            });
            opaque(out, 1003, |out| gateway(out, flow));
        });
    }
}

/// Format, length and a body.
fn opaque(out: &mut Vec<u8>, format: u32, body: impl FnOnce(&mut Vec<u8>)) {
    out.u32(format);
    let at = out.len();
    out.u32(0);
    body(out);
    let length = (out.len() - at - 4) as u32;
    out[at..at + 4].copy_from_slice(&length.to_be_bytes());
}

fn hop(out: &mut Vec<u8>, address: IpAddr) {
    out.u32(if address.is_ipv4() { 1 } else { 2 });
    out.address(address);
}

fn raw_header(out: &mut Vec<u8>, exporter: &Exporter, flow: &Flow) {
    let mut frame = Vec::with_capacity(HEADER);
    frame.extend_from_slice(&[0x02, 0, 0, 0, 1, flow.interfaces.1 as u8]);
    frame.extend_from_slice(&[0x02, 0, 0, 0, 2, flow.interfaces.0 as u8]);
    if exporter.tagged {
        frame.u16(0x8100);
        frame.u16(VLANS.0 as u16);
    }
    let six = flow.addresses.0.is_ipv6();
    let l3 = flow.bytes as u16;
    if six {
        frame.u16(0x86dd);
        frame.u32(6 << 28 | u32::from(flow.tos) << 20);
        frame.u16(l3 - 40);
        frame.u8(flow.proto);
        frame.u8(60);
    } else {
        frame.u16(0x0800);
        frame.u8(0x45);
        frame.u8(flow.tos);
        frame.u16(l3);
        frame.u32(0x4000);
        frame.u8(60);
        frame.u8(flow.proto);
        frame.u16(0);
    }
    frame.address(flow.addresses.0);
    frame.address(flow.addresses.1);
    frame.u16(flow.ports.0);
    frame.u16(flow.ports.1);
    if flow.proto == 6 {
        frame.u64(0);
        frame.u8(0x50);
        frame.u8(flow.tcp_flags);
        frame.u32(0);
        frame.u16(0);
    } else {
        frame.u16(l3 - if six { 40 } else { 20 });
        frame.u16(0);
    }
    let around = if exporter.tagged { 18 } else { 14 };
    let captured = HEADER.min(around + flow.bytes as usize);
    frame.resize(captured, 0);
    out.u32(1);
    out.u32(around as u32 + flow.bytes as u32 + FCS);
    out.u32(FCS);
    out.u32(captured as u32);
    out.extend_from_slice(&frame);
    out.resize(out.len().next_multiple_of(4), 0);
}

fn gateway(out: &mut Vec<u8>, flow: &Flow) {
    hop(out, flow.next_hop);
    out.u32(OWN_AS);
    out.u32(flow.ases.0);
    out.u32(if flow.inbound { flow.neighbour } else { 0 });
    if flow.inbound {
        out.u32(0);
    } else {
        let path: &[u32] =
            if flow.neighbour == flow.ases.1 { &[flow.ases.1] } else { &[flow.neighbour, flow.ases.1] };
        out.u32(1);
        out.u32(2);
        out.u32(path.len() as u32);
        path.iter().for_each(|asn| out.u32(*asn));
    }
    // No communities; local preference.
    out.u32(0);
    out.u32(100);
}

fn counter_sample(out: &mut Vec<u8>, exporter: &Exporter, sequence: u32) {
    let index = exporter.interfaces.first().map_or(0, |one| one.index);
    opaque(out, 2, |out| {
        out.u32(sequence);
        out.u32(index);
        out.u32(1);
        opaque(out, 1, |out| {
            out.u32(index);
            out.u32(6);
            out.u64(100_000_000_000);
            // Full duplex, up, then octets, packets, errors of both directions.
            [1, 3].into_iter().for_each(|word| out.u32(word));
            for _ in 0..2 {
                out.u64(u64::from(sequence) * 1_000_000);
                (0..6).for_each(|_| out.u32(sequence));
            }
            out.u32(0);
        });
    });
}
