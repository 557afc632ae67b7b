//! NetFlow version 5, as Cisco's "NetFlow Export Datagram Format" has it.

use super::{Clock, Put, Told};
use crate::network::{Exporter, ExportsAs};
use crate::traffic::Flow;
use std::net::{IpAddr, Ipv4Addr};

/// Records of a datagram: the format's own limit.
pub const CAPACITY: usize = 30;
/// Stands for an AS number that does not fit in 16 bits (RFC 6793).
const AS_TRANS: u16 = 23_456;

/// Sequence: flows sent.
#[derive(Debug, Default)]
pub struct Process(u32);

impl Process {
    pub fn data(
        &mut self,
        exporter: &Exporter,
        flows: &[Flow],
        clock: Clock,
        told: &mut Vec<Told>,
    ) -> Vec<u8> {
        let mut out = Vec::with_capacity(24 + 48 * flows.len());
        let uptime = clock.uptime_ms();
        out.u16(5);
        out.u16(flows.len() as u16);
        out.u32(uptime);
        out.u32(clock.seconds());
        out.u32((clock.now_ns % 1_000_000_000) as u32);
        out.u32(self.0);
        out.u8(0);
        out.u8(0);
        // Mode 1: deterministic.
        out.u16(1 << 14 | (exporter.interval as u16 & 0x3fff));
        self.0 = self.0.wrapping_add(flows.len() as u32);
        for flow in flows {
            let four = |address| match address {
                IpAddr::V4(a) => a,
                IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
            };
            let short = |asn: u32| {
                if exporter.exports_as == ExportsAs::Origin {
                    u16::try_from(asn).unwrap_or(AS_TRANS)
                } else {
                    0
                }
            };
            let (ended, began) = (flow.ended_ms, flow.ended_ms + flow.lasted_ms);
            out.address(four(flow.addresses.0).into());
            out.address(four(flow.addresses.1).into());
            out.address(four(flow.next_hop).into());
            out.u16(flow.interfaces.0 as u16);
            out.u16(flow.interfaces.1 as u16);
            out.u32(flow.packets as u32);
            out.u32(flow.bytes as u32);
            out.u32(uptime.wrapping_sub(began));
            out.u32(uptime.wrapping_sub(ended));
            out.u16(flow.ports.0);
            out.u16(flow.ports.1);
            out.u8(0);
            out.u8(flow.tcp_flags);
            out.u8(flow.proto);
            out.u8(flow.tos);
            out.u16(short(flow.ases.0));
            out.u16(short(flow.ases.1));
            out.u8(flow.lengths.0);
            out.u8(flow.lengths.1);
            out.u16(0);
            let ago = |ms: u32| clock.now_ns - i64::from(ms) * 1_000_000;
            told.push(Told {
                exported_ns: clock.now_ns,
                start_ns: ago(began),
                end_ns: ago(ended),
                ases: (short(flow.ases.0).into(), short(flow.ases.1).into()),
                interval: 0,
            });
        }
        out
    }
}
