//! The rollup rows of a batch: sides, pairs and prefixes, aggregated while its flows pass.
//!
//! Only the shortest slot of each shape is aggregated per flow; longer ones are sums of it, exactly (see [`spread`](crate::spread)).
//! Rows leave sorted by key, so that the same batch always makes the same bytes (EXACTLY_ONCE.md, rule 9).

use crate::spread::{Amounts, spread};
use ahash::AHashMap;
use std::hash::Hash;
use weir_schemas::rollup::{LinkRow, PairRow, PrefixRow, ROLLUPS, Shape, Table};
use weir_schemas::value::{MAX_Q, Slot};
use weir_schemas::{Country, Direction, Flow, FlowKind, Ip, Observation, ProtocolClass, SamplingKind};

/// What a rollup row sums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sums {
    amounts: Amounts,
    flows: u64,
}

impl Sums {
    fn add(&mut self, other: &Self) {
        self.amounts.add(&other.amounts);
        self.flows += other.flows;
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct LinkKey {
    time: u32,
    exporter: Ip,
    if_index: u32,
    direction: Direction,
    observation: Observation,
    family: u8,
    asn: u32,
    neighbour_as: u32,
    sampling_interval: u64,
    sampling_kind: SamplingKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct PairKey {
    time: u32,
    exporter: Ip,
    in_if: u32,
    out_if: u32,
    observation: Observation,
    family: u8,
    src_as: u32,
    dst_as: u32,
    src_country: Country,
    dst_country: Country,
    protocol_class: ProtocolClass,
    sampling_interval: u64,
    sampling_kind: SamplingKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct PrefixKey {
    time: u32,
    exporter: Ip,
    if_index: u32,
    direction: Direction,
    observation: Observation,
    family: u8,
    prefix: Ip,
    prefix_len: u8,
    asn: u32,
    sampling_interval: u64,
    sampling_kind: SamplingKind,
}

/// A key whose slot can be made longer.
trait Key: Copy + Ord + Hash {
    fn time(&mut self) -> &mut u32;
    fn put_row(&self, sums: &Sums, out: &mut Vec<u8>);
}

/// A sum as its column has it; one that is beyond is no measurement.
fn signed(sum: u64) -> i64 {
    i64::try_from(sum).unwrap_or(i64::MAX)
}

fn wide(sum: u128) -> i128 {
    i128::try_from(sum).unwrap_or(i128::MAX)
}

macro_rules! key {
    ($Key:ident, $Row:ident, $($field:ident)*) => {
        impl Key for $Key {
            fn time(&mut self) -> &mut u32 {
                &mut self.time
            }
            fn put_row(&self, sums: &Sums, out: &mut Vec<u8>) {
                let Sums { amounts, flows } = *sums;
                $Row {
                    time: Slot(self.time),
                    $($field: self.$field,)*
                    bytes: signed(amounts.bytes),
                    bytes_l2: signed(amounts.bytes_l2),
                    bytes_l2_estimated: signed(amounts.bytes_l2_estimated),
                    packets: signed(amounts.packets),
                    flows: signed(flows),
                    q: wide(amounts.q),
                    q_l2: wide(amounts.q_l2),
                    q_packets: wide(amounts.q_packets),
                    ..$Row::default()
                }
                .put_row(out);
            }
        }
    };
}

key! { LinkKey, LinkRow, exporter if_index direction observation family asn neighbour_as sampling_interval sampling_kind }
key! { PairKey, PairRow, exporter in_if out_if observation family src_as dst_as src_country dst_country protocol_class
sampling_interval sampling_kind }
key! { PrefixKey, PrefixRow, exporter if_index direction observation family prefix prefix_len asn sampling_interval sampling_kind }

type Map<K> = AHashMap<K, Sums>;

/// Aggregates of a batch.
#[derive(Debug, Default)]
pub struct Rollup {
    links: Map<LinkKey>,
    pairs: Map<PairKey>,
    prefixes: Map<PrefixKey>,
}

const LINK_SLOT: u32 = 60;
const PAIR_SLOT: u32 = 300;
const PREFIX_SLOT: u32 = 3600;

/// Bytes of an Ethernet header and FCS: what a layer 3 count leaves out.
const ETHERNET: u64 = 18;
/// Bytes of a VLAN tag.
const VLAN: u64 = 4;

/// What a flow adds up: layer 2 filled where the exporter gave none (COUNTING.md, "Bytes" and "Error of an estimate").
pub fn amounts(flow: &Flow<'_>) -> Amounts {
    let overhead = ETHERNET + if flow.src_vlan != 0 || flow.dst_vlan != 0 { VLAN } else { 0 };
    let bytes = flow.bytes.unwrap_or(0);
    let q = flow.q.unwrap_or(0);
    let (h, b, p) = (u128::from(overhead), u128::from(bytes), u128::from(flow.packets));
    let sampled_whole = flow.sampling_kind == SamplingKind::Flow;
    let (bytes_l2, estimated, q_l2) = match (flow.bytes_l2, flow.bytes) {
        (Some(l2), _) => (l2, 0, flow.q_l2.unwrap_or(0)),
        (None, None) => (0, 0, 0),
        (None, Some(_)) => {
            let l2 = bytes.saturating_add(overhead.saturating_mul(flow.packets));
            // A flow that is sampled whole brings all of its bytes or none, so its error is that of one big packet.
            let q_l2 = if sampled_whole {
                (b + h * p).saturating_mul(b + h * p)
            } else {
                q.saturating_add(2 * h * b + h * h * p)
            };
            (l2, l2, q_l2)
        }
    };
    let q_packets = if sampled_whole { p * p } else { 0 };
    Amounts {
        bytes,
        bytes_l2,
        bytes_l2_estimated: estimated,
        packets: flow.packets,
        q: q.min(MAX_Q),
        q_l2: q_l2.min(MAX_Q),
        q_packets: q_packets.min(MAX_Q),
    }
}

/// Class of the transport protocol, by its number (IANA) and ports.
pub fn protocol_class(flow: &Flow<'_>) -> ProtocolClass {
    match flow.proto {
        6 => ProtocolClass::Tcp,
        17 if flow.src_port == 443 || flow.dst_port == 443 => ProtocolClass::Quic,
        17 => ProtocolClass::Udp,
        1 | 58 => ProtocolClass::Icmp,
        4 | 41 | 47 | 50 | 51 => ProtocolClass::Tunnel,
        _ => ProtocolClass::Other,
    }
}

/// The prefix of the far address: as exported, else of a length that is routed everywhere.
fn prefix(address: &Ip, length: u8, family: u8) -> (Ip, u8) {
    let length = match (family, length) {
        (4, 0) => 24,
        (6, 0) => 48,
        (4, length) => length.min(32),
        (6, length) => length.min(128),
        _ => return (Ip::default(), 0),
    };
    (address.prefix(length), length)
}

impl Rollup {
    /// Adds a flow: both of its sides, its pair, both of its prefixes. What never left the router is no traffic over a link: it stays
    /// in `flows` alone. An event counts with the bytes it carries: firewalls report their ordinary flows so.
    pub fn add(&mut self, exporter: Ip, flow: &Flow<'_>) {
        if flow.flow_kind == FlowKind::Discard {
            return;
        }
        let whole = amounts(flow);
        let link = |direction, if_index, asn, neighbour_as| LinkKey {
            time: 0,
            exporter,
            if_index,
            direction,
            observation: flow.observation,
            family: flow.family,
            asn,
            neighbour_as,
            sampling_interval: flow.sampling_interval,
            sampling_kind: flow.sampling_kind,
        };
        let mut sides = [
            link(Direction::In, flow.in_if, flow.src_as, flow.src_neighbour_as),
            link(Direction::Out, flow.out_if, flow.dst_as, flow.dst_neighbour_as),
        ];
        let mut pair = PairKey {
            time: 0,
            exporter,
            in_if: flow.in_if,
            out_if: flow.out_if,
            observation: flow.observation,
            family: flow.family,
            src_as: flow.src_as,
            dst_as: flow.dst_as,
            src_country: flow.src_country,
            dst_country: flow.dst_country,
            protocol_class: protocol_class(flow),
            sampling_interval: flow.sampling_interval,
            sampling_kind: flow.sampling_kind,
        };
        let far = |direction, if_index, address, length, asn| {
            let (prefix, prefix_len) = prefix(address, length, flow.family);
            PrefixKey {
                time: 0,
                exporter,
                if_index,
                direction,
                observation: flow.observation,
                family: flow.family,
                prefix,
                prefix_len,
                asn,
                sampling_interval: flow.sampling_interval,
                sampling_kind: flow.sampling_kind,
            }
        };
        let mut prefixes = [
            far(Direction::In, flow.in_if, &flow.src_addr, flow.src_prefix_len, flow.src_as),
            far(Direction::Out, flow.out_if, &flow.dst_addr, flow.dst_prefix_len, flow.dst_as),
        ];
        // Minutes of one longer slot are summed before they meet its map.
        let (mut pair_slot, mut prefix_slot) = (Pending::default(), Pending::default());
        spread(flow.spread_start.0, flow.spread_end.0, &whole, |minute, share, is_end| {
            let sums = Sums { amounts: *share, flows: u64::from(is_end) };
            for side in &mut sides {
                side.time = minute;
                self.links.entry(*side).or_default().add(&sums);
            }
            if let Some((time, sums)) = pair_slot.add(minute / PAIR_SLOT * PAIR_SLOT, &sums) {
                pair.time = time;
                self.pairs.entry(pair).or_default().add(&sums);
            }
            if let Some((time, sums)) = prefix_slot.add(minute / PREFIX_SLOT * PREFIX_SLOT, &sums) {
                for prefix in &mut prefixes {
                    prefix.time = time;
                    self.prefixes.entry(*prefix).or_default().add(&sums);
                }
            }
        });
        if let Some((time, sums)) = pair_slot.0 {
            pair.time = time;
            self.pairs.entry(pair).or_default().add(&sums);
        }
        if let Some((time, sums)) = prefix_slot.0 {
            for prefix in &mut prefixes {
                prefix.time = time;
                self.prefixes.entry(*prefix).or_default().add(&sums);
            }
        }
    }

    /// Rows of the largest table.
    pub fn rows(&self) -> usize {
        self.links.len().max(self.pairs.len()).max(self.prefixes.len())
    }

    /// About how many bytes of memory it takes.
    pub fn bytes(&self) -> usize {
        self.links.capacity() * size_of::<(LinkKey, Sums)>()
            + self.pairs.capacity() * size_of::<(PairKey, Sums)>()
            + self.prefixes.capacity() * size_of::<(PrefixKey, Sums)>()
    }

    /// The rows of every rollup table, sorted, in RowBinary, in pieces of at most `piece` rows; none where nothing was added.
    pub fn finish(self, piece: usize) -> Vec<(&'static Table, Vec<Vec<u8>>)> {
        let (links, pairs, prefixes) = (sorted(self.links), sorted(self.pairs), sorted(self.prefixes));
        ROLLUPS
            .iter()
            .map(|table| {
                let rows = match table.shape {
                    Shape::Pairs => put(&pairs, PAIR_SLOT, table.slot, piece),
                    Shape::Prefixes => put(&prefixes, PREFIX_SLOT, table.slot, piece),
                    _ => put(&links, LINK_SLOT, table.slot, piece),
                };
                (table, rows)
            })
            .collect()
    }
}

/// The slot that is being summed.
#[derive(Default)]
struct Pending(Option<(u32, Sums)>);

impl Pending {
    /// Adds a minute; gives the slot before when a new one begins.
    fn add(&mut self, slot: u32, sums: &Sums) -> Option<(u32, Sums)> {
        match &mut self.0 {
            Some((time, pending)) if *time == slot => {
                pending.add(sums);
                None
            }
            other => other.replace((slot, *sums)),
        }
    }
}

fn sorted<K: Key>(map: Map<K>) -> Vec<(K, Sums)> {
    let mut rows: Vec<_> = map.into_iter().collect();
    rows.sort_unstable_by_key(|(key, _)| *key);
    rows
}

fn put<K: Key>(rows: &[(K, Sums)], has: u32, wanted: u32, piece: usize) -> Vec<Vec<u8>> {
    if has == wanted {
        return pieces(rows, piece);
    }
    let mut longer: Map<K> = Map::default();
    for (key, sums) in rows {
        let mut key = *key;
        let time = key.time();
        *time = *time / wanted * wanted;
        longer.entry(key).or_default().add(sums);
    }
    pieces(&sorted(longer), piece)
}

fn pieces<K: Key>(rows: &[(K, Sums)], piece: usize) -> Vec<Vec<u8>> {
    rows.chunks(piece)
        .map(|rows| {
            let mut out = Vec::with_capacity(rows.len() * 128);
            rows.iter().for_each(|(key, sums)| key.put_row(sums, &mut out));
            out
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_schemas::Time;

    fn flow() -> Flow<'static> {
        Flow {
            spread_start: Time(1_800_000_030_000_000_000),
            spread_end: Time(1_800_000_130_000_000_000),
            in_if: 1,
            out_if: 2,
            family: 4,
            src_addr: Ip::v4([192, 0, 2, 77]),
            dst_addr: Ip::v4([198, 51, 100, 1]),
            dst_prefix_len: 22,
            src_as: 64500,
            dst_as: 64501,
            bytes: Some(1000),
            packets: 10,
            q: Some(100_000),
            proto: 17,
            dst_port: 443,
            ..Flow::default()
        }
    }

    fn total(rollup: &Rollup) -> [(u64, u64, u64); 3] {
        let sum = |all: Vec<&Sums>| {
            all.iter()
                .fold((0, 0, 0), |(b, p, f), s| (b + s.amounts.bytes, p + s.amounts.packets, f + s.flows))
        };
        [
            sum(rollup.links.values().collect()),
            sum(rollup.pairs.values().collect()),
            sum(rollup.prefixes.values().collect()),
        ]
    }

    #[test]
    fn every_flow_is_in_every_rollup_whole() {
        let mut rollup = Rollup::default();
        rollup.add(Ip::default(), &flow());
        // Two sides, one pair, two prefixes.
        assert_eq!(total(&rollup), [(2000, 20, 2), (1000, 10, 1), (2000, 20, 2)]);
        rollup.add(Ip::default(), &flow());
        assert_eq!(total(&rollup), [(4000, 40, 4), (2000, 20, 2), (4000, 40, 4)]);
        assert_eq!(rollup.links.len(), 6);
    }

    #[test]
    fn layer_2_is_filled_and_the_estimated_part_kept_apart() {
        let filled = amounts(&flow());
        assert_eq!((filled.bytes_l2, filled.bytes_l2_estimated), (1180, 1180));
        assert_eq!(filled.q_l2, 100_000 + 2 * 18 * 1000 + 18 * 18 * 10);
        let tagged = amounts(&Flow { src_vlan: 7, ..flow() });
        assert_eq!(tagged.bytes_l2, 1220);
        let exact = amounts(&Flow { bytes_l2: Some(1200), q_l2: Some(5), ..flow() });
        assert_eq!((exact.bytes_l2, exact.bytes_l2_estimated, exact.q_l2), (1200, 0, 5));
    }

    #[test]
    fn a_flow_that_is_sampled_whole_errs_by_its_filled_in_layer_2_bytes_squared() {
        let sampled = amounts(&Flow { sampling_kind: SamplingKind::Flow, q: Some(1_000_000), ..flow() });
        assert_eq!((sampled.q_packets, sampled.q_l2), (100, 1180 * 1180));
        let huge =
            Flow { sampling_kind: SamplingKind::Flow, bytes: Some(u64::MAX), packets: u64::MAX, ..flow() };
        assert_eq!(amounts(&huge).q_l2, MAX_Q);
        assert_eq!(amounts(&Flow { q: Some(u128::MAX), ..flow() }).q_l2, MAX_Q);
    }

    #[test]
    fn discarded_packets_are_no_traffic() {
        let mut rollup = Rollup::default();
        rollup.add(Ip::default(), &Flow { flow_kind: FlowKind::Discard, ..flow() });
        assert_eq!(total(&rollup), [(0, 0, 0); 3]);
        for flow_kind in [FlowKind::Unknown, FlowKind::Flow, FlowKind::Sample, FlowKind::Event] {
            rollup.add(Ip::default(), &Flow { flow_kind, ..flow() });
        }
        assert_eq!(total(&rollup)[1], (4000, 40, 4));
    }

    #[test]
    fn the_same_flows_in_any_order_make_the_same_bytes() {
        let flows: Vec<_> = (0..200u32)
            .map(|n| Flow { src_as: n % 17, in_if: n % 3, packets: u64::from(n), ..flow() })
            .collect();
        let rows = |flows: &mut dyn Iterator<Item = &Flow<'static>>| {
            let mut rollup = Rollup::default();
            flows.for_each(|flow| rollup.add(Ip::default(), flow));
            rollup.finish(50).into_iter().map(|(table, rows)| (table.name, rows)).collect::<Vec<_>>()
        };
        let all = rows(&mut flows.iter());
        assert_eq!(all, rows(&mut flows.iter().rev()));
        assert_eq!(
            all.iter().map(|(name, _)| *name).collect::<Vec<_>>(),
            ROLLUPS.iter().map(|t| t.name).collect::<Vec<_>>()
        );
    }

    #[test]
    fn pieces_are_cut_between_rows_and_are_the_whole_together() {
        let rows = |piece| {
            let mut rollup = Rollup::default();
            (0..50).for_each(|n| rollup.add(Ip::default(), &Flow { src_as: n, ..flow() }));
            rollup.finish(piece)
        };
        for ((table, whole), (_, pieces)) in rows(usize::MAX).into_iter().zip(rows(7)) {
            assert!(whole.len() == 1 && pieces.len() > 1, "{}", table.name);
            assert_eq!(whole[0], pieces.concat(), "{}", table.name);
            // All rows of a rollup are of one length.
            let (last, full) = pieces.split_last().unwrap();
            assert!(full.iter().all(|piece| piece.len() == full[0].len()), "{}", table.name);
            assert!(full[0].len().is_multiple_of(7) && last.len() <= full[0].len(), "{}", table.name);
        }
    }

    #[test]
    fn a_prefix_is_the_exported_one_or_one_that_is_routed_everywhere() {
        assert_eq!(prefix(&Ip::v4([192, 0, 2, 77]), 0, 4), (Ip::v4([192, 0, 2, 0]), 24));
        assert_eq!(prefix(&Ip::v4([192, 0, 3, 77]), 22, 4), (Ip::v4([192, 0, 0, 0]), 22));
        assert_eq!(prefix(&Ip([0xff; 16]), 0, 6).1, 48);
        assert_eq!(prefix(&Ip([0xff; 16]), 0, 0), (Ip::default(), 0));
    }
}
