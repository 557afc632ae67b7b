//! The flows that an exporter sees, one after another: heavy-tailed in size, mostly inbound, some of them minutes long.
//!
//! Each exporter has random numbers of its own, so its flows are the same whatever others do and however fast all is sent.

use crate::network::{Exporter, Interface, Protocol};
use crate::tag;
use crate::world::World;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A flow, before any protocol's words for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flow {
    /// Unique within its exporter.
    pub tag: u64,
    /// Input and output ifIndex.
    pub interfaces: (u32, u32),
    /// Source and destination.
    pub addresses: (IpAddr, IpAddr),
    /// Ports.
    pub ports: (u16, u16),
    /// Lengths of the prefixes routed.
    pub lengths: (u8, u8),
    /// Origin AS of source and destination; 0: the network's own.
    pub ases: (u32, u32),
    /// AS at the other end of the link to the outside.
    pub neighbour: u32,
    /// True where it comes into the network.
    pub inbound: bool,
    /// True where it was observed as it left the router.
    pub egress: bool,
    /// 6 or 17.
    pub proto: u8,
    /// TOS byte.
    pub tos: u8,
    /// TCP flags.
    pub tcp_flags: u8,
    /// Next hop.
    pub next_hop: IpAddr,
    /// Layer 3 bytes.
    pub bytes: u64,
    /// Packets.
    pub packets: u64,
    /// How long before its export it ended, ms.
    pub ended_ms: u32,
    /// How long it took, ms.
    pub lasted_ms: u32,
}

/// Makes the flows of one exporter.
#[derive(Debug)]
pub struct Traffic {
    random: StdRng,
    next_tag: u64,
    six: f64,
}

/// Longest flow, ms: what an active time-out of four minutes allows.
const LONGEST_MS: f64 = 240_000.0;

impl Traffic {
    /// Of the exporter of this number.
    pub fn new(exporter: &Exporter, number: usize, seed: u64) -> Self {
        let random = StdRng::seed_from_u64(seed ^ (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let six = if exporter.protocol == Protocol::NetflowV5 { 0.0 } else { 0.3 };
        Self { random, next_tag: 0, six }
    }

    /// The next flow.
    pub fn next(&mut self, world: &World, exporter: &Exporter) -> Flow {
        let random = &mut self.random;
        let rank = world.pick(random);
        let far = &world.ases()[rank];
        let six = random.random_bool(self.six) && far.has_v6();
        let (outside, share) = exporter.towards(rank, random);
        let inbound = random.random_bool(share);
        let choices = exporter.inside(outside).count();
        let choice = random.random_range(0..choices);
        let within: &Interface = exporter.inside(outside).nth(choice).unwrap_or(outside);
        let tag = self.next_tag % tag::COUNT;
        self.next_tag += 1;

        let (near, near_port) = tag::inside(tag, six);
        let near_length = if six { tag::OWN_LENGTH.1 } else { tag::OWN_LENGTH.0 };
        let (address, length) = far.address(six, random);
        let (proto, port) = match random.random_range(0..100) {
            0..55 => (6, 443),
            55..80 => (17, 443),
            80..85 => (6, 80),
            85..90 => (17, 53),
            90..94 => (6, 25),
            _ => (17, random.random_range(1024..tag::FIRST_PORT)),
        };
        // Pareto: most flows have a packet or two, a few have most of the packets.
        let luck: f64 = random.random_range(exporter.rarest..1.0);
        let packets = luck.powf(-1.0 / 1.3) as u64;
        // What is fetched is larger than what asks for it; it mostly comes from the side that sends most.
        let is_fetched = inbound == (share >= 0.5);
        let size = if is_fetched { random.random_range(200..=1500) } else { random.random_range(52..=700) };
        let (packets, bytes) = match exporter.protocol {
            Protocol::Sflow => (1, size.max(64)),
            _ => (packets, packets * size + random.random_range(0..packets.max(2))),
        };
        let lasted_ms = if packets == 1 {
            0
        } else {
            (random.random_range(0.001..1.0_f64).powi(-1) * 400.0 * (packets as f64).sqrt()).min(LONGEST_MS)
                as u32
        };
        let neighbour = if outside.neighbour == 0 { far.number } else { outside.neighbour };
        let next_hop = if six {
            Ipv6Addr::from(0xfd57_4549_5200_ffff_u128 << 64 | u128::from(outside.index)).into()
        } else {
            Ipv4Addr::from(0x647f_ff00 | (outside.index & 0xff)).into()
        };
        let pair = |outer: u32, inner: u32| if inbound { (outer, inner) } else { (inner, outer) };
        Flow {
            tag,
            interfaces: pair(outside.index, within.index),
            addresses: if inbound { (address, near) } else { (near, address) },
            ports: if inbound { (port, near_port) } else { (near_port, port) },
            lengths: if inbound { (length, near_length) } else { (near_length, length) },
            ases: pair(far.number, 0),
            neighbour,
            inbound,
            egress: exporter.egress && random.random_bool(0.5),
            proto,
            tos: if random.random_bool(0.1) { 0x20 } else { 0 },
            tcp_flags: if proto == 6 { random.random_range(0x10..0x20) } else { 0 },
            next_hop,
            bytes,
            packets,
            ended_ms: random.random_range(0..15_000),
            lasted_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::network;

    #[test]
    fn flows_are_the_same_for_the_same_seed_and_heavy_tailed() {
        let world = World::synthetic(1);
        let exporters = network(&world, 8, Ipv4Addr::new(127, 64, 0, 1));
        let flows = |seed| {
            let mut traffic = Traffic::new(&exporters[0], 0, seed);
            (0..5000).map(|_| traffic.next(&world, &exporters[0])).collect::<Vec<_>>()
        };
        let all = flows(7);
        assert_eq!(all, flows(7));
        assert_ne!(all, flows(8));
        let mut bytes: Vec<u64> = all.iter().map(|flow| flow.bytes).collect();
        bytes.sort_unstable_by(|a, b| b.cmp(a));
        let (top, total): (u64, u64) = (bytes[..250].iter().sum(), bytes.iter().sum());
        assert!(top * 3 > total, "the largest 5 % have {top} of {total}");
        assert!(
            all.iter().any(|flow| flow.lasted_ms > 120_000) && all.iter().any(|flow| flow.lasted_ms == 0)
        );
        assert!(all.iter().all(|flow| flow.bytes <= flow.packets * 1502 && flow.bytes >= flow.packets * 20));
    }
}
