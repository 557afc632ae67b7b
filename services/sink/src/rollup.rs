//! The rollup rows of a batch: sides, pairs and prefixes, aggregated while its flows pass.
//!
//! Only the shortest slot of each shape is aggregated per flow; longer ones are sums of it, exactly (see [`spread`](crate::spread)), and sides
//! by interface are sums of those by AS. Rows leave sorted by key, so that the same batch always makes the same bytes (docs/exactly-once.md, rule 9).

use crate::keys::{Context, Contexts, InterfaceKey, Key, LinkKey, PairKey, PrefixKey};
use crate::spread::Amounts;
use crate::sums::{Added, Sorted, Table};
use weir_schemas::rollup::{ROLLUPS, Shape, Table as Rows};
use weir_schemas::value::MAX_Q;
use weir_schemas::{Direction, Flow, FlowKind, Ip, ProtocolClass, SamplingKind};

/// Aggregates of a batch.
#[derive(Debug, Default)]
pub struct Rollup {
    contexts: Contexts,
    links: Table<LinkKey, 60>,
    /// Made of `links` when the batch ends.
    interfaces: Table<InterfaceKey, 60>,
    pairs: Table<PairKey, 300>,
    prefixes: Table<PrefixKey, 3600>,
}

/// What a flow adds to a rollup, taken from it and not yet added.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    sides: [LinkKey; 2],
    pair: PairKey,
    prefixes: [PrefixKey; 2],
    time: (i64, i64),
    whole: Amounts,
}

/// Bytes of an Ethernet header and FCS: what a layer 3 count leaves out.
const ETHERNET: u64 = 18;
/// Bytes of a VLAN tag.
const VLAN: u64 = 4;

/// What a flow adds up: layer 2 filled where the exporter gave none (docs/counting.md, "Bytes" and "Error of an estimate").
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

/// The prefix of the far address: as exported, else of a length that is routed everywhere. What has no address has none.
fn prefix(address: &Ip, length: u8, family: u8) -> (Ip, u8) {
    if address.is_none() {
        return (Ip::default(), 0);
    }
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
    /// Adds a flow: both of its sides, its pair, both of its prefixes.
    pub fn add(&mut self, exporter: Ip, flow: &Flow<'_>) {
        if let Some(part) = self.part(exporter, flow) {
            self.add_parts(&[part]);
        }
    }

    /// What a flow adds. What never left the router is no traffic over a link: it stays in `flows` alone. An event counts with the
    /// bytes it carries: firewalls report their ordinary flows so.
    #[inline]
    pub(crate) fn part(&mut self, exporter: Ip, flow: &Flow<'_>) -> Option<Part> {
        if flow.flow_kind == FlowKind::Discard {
            return None;
        }
        let context = self.contexts.number(&Context {
            exporter,
            observation: flow.observation,
            family: flow.family,
            sampling_interval: flow.sampling_interval,
            sampling_kind: flow.sampling_kind,
        });
        let far = |direction, if_index, address, length, asn| {
            let (prefix, prefix_len) = prefix(address, length, flow.family);
            PrefixKey { context, if_index, direction, prefix, prefix_len, asn }
        };
        let (r#in, out) = (Direction::In, Direction::Out);
        let (in_if, out_if, src_as, dst_as) = (flow.in_if, flow.out_if, flow.src_as, flow.dst_as);
        let (source, destination) = (flow.src_neighbour_as, flow.dst_neighbour_as);
        Some(Part {
            sides: [
                LinkKey { context, if_index: in_if, direction: r#in, asn: src_as, neighbour_as: source },
                LinkKey { context, if_index: out_if, direction: out, asn: dst_as, neighbour_as: destination },
            ],
            pair: PairKey {
                context,
                in_if,
                out_if,
                src_as,
                dst_as,
                src_country: flow.src_country,
                dst_country: flow.dst_country,
                protocol_class: protocol_class(flow),
            },
            prefixes: [
                far(r#in, in_if, &flow.src_addr, flow.src_prefix_len, src_as),
                far(out, out_if, &flow.dst_addr, flow.dst_prefix_len, dst_as),
            ],
            time: (flow.spread_start.0, flow.spread_end.0),
            whole: amounts(flow),
        })
    }

    /// Adds what [`part`](Self::part) took.
    pub(crate) fn add_parts(&mut self, parts: &[Part]) {
        fn added(part: &Part) -> Added<'_> {
            (part.time, &part.whole)
        }
        self.links.add(parts.iter().map(|part| (part.sides, added(part))));
        self.pairs.add(parts.iter().map(|part| ([part.pair], added(part))));
        self.prefixes.add(parts.iter().map(|part| (part.prefixes, added(part))));
    }

    /// Rows of the largest table.
    pub fn rows(&self) -> usize {
        self.links.rows().max(self.pairs.rows()).max(self.prefixes.rows())
    }

    /// About how many bytes its rows take.
    pub fn bytes(&self) -> usize {
        self.links.bytes() + self.pairs.bytes() + self.prefixes.bytes()
    }

    /// Bytes of the room that it has for rows, taken or not.
    pub(crate) fn room(&self) -> usize {
        self.links.room() + self.interfaces.room() + self.pairs.room() + self.prefixes.room()
    }

    /// The rows of every rollup table, sorted, in RowBinary, in so many pieces, of which some may be empty. A row's piece follows from
    /// what it is a sum for, whatever else was added.
    pub fn finish(mut self, pieces: usize) -> Vec<(&'static Rows, Vec<Vec<u8>>)> {
        self.drain(pieces)
    }

    /// The same; it is empty then, and keeps room for as much again.
    pub(crate) fn drain(&mut self, pieces: usize) -> Vec<(&'static Rows, Vec<Vec<u8>>)> {
        let Self { contexts, links, interfaces, pairs, prefixes } = self;
        let contexts = std::mem::take(contexts);
        let ranks = contexts.ranks();
        let mut out = Vec::with_capacity(ROLLUPS.len());
        let of = |wanted| move |table: &&Rows| table.shape == wanted;
        let links = links.sorted(&ranks);
        for (key, time, sums) in links.sums() {
            interfaces.add_sums(key.into(), time, sums);
        }
        write(links, of(Shape::Links), &contexts, pieces, &mut out);
        write(interfaces.sorted(&ranks), of(Shape::Interfaces), &contexts, pieces, &mut out);
        write(pairs.sorted(&ranks), of(Shape::Pairs), &contexts, pieces, &mut out);
        write(prefixes.sorted(&ranks), of(Shape::Prefixes), &contexts, pieces, &mut out);
        out
    }
}

/// Writes the tables of a shape, which are in the order of their slots' lengths.
fn write<K: Key>(
    mut sums: Sorted<'_, K>,
    wanted: impl Fn(&&'static Rows) -> bool,
    contexts: &Contexts,
    pieces: usize,
    out: &mut Vec<(&'static Rows, Vec<Vec<u8>>)>,
) {
    for table in ROLLUPS.iter().filter(wanted) {
        sums.lengthen(table.slot);
        out.push((table, sums.rows(contexts, table.lie, pieces)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sums::Sums;
    use weir_schemas::Time;
    use weir_schemas::from_row::RowReader;
    use weir_schemas::rollup::{InterfaceSumRow, Lie, LinkRow, PairRow, PrefixRow};

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
            sum(rollup.links.sums().collect()),
            sum(rollup.pairs.sums().collect()),
            sum(rollup.prefixes.sums().collect()),
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
        assert_eq!(rollup.links.rows(), 6);
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
            rollup.finish(5).into_iter().map(|(table, rows)| (table.name, rows)).collect::<Vec<_>>()
        };
        let all = rows(&mut flows.iter());
        assert_eq!(all, rows(&mut flows.iter().rev()));
        assert_eq!(
            all.iter().map(|(name, _)| *name).collect::<Vec<_>>(),
            ROLLUPS.iter().map(|t| t.name).collect::<Vec<_>>()
        );
    }

    /// What a row is sorted by, in the words of its table.
    type Place = (u32, u32, (Ip, u8), (Ip, u32), [u32; 4], u32);

    fn places(table: &Rows, rows: &[u8]) -> Vec<Place> {
        let mut input = RowReader::new(rows);
        let mut places = Vec::new();
        while !input.is_empty() {
            let (time, within, far, interface, side) = match table.shape {
                Shape::Links => {
                    let row = LinkRow::get_row(&mut input).unwrap();
                    let side =
                        [row.direction as u32, row.observation as u32, row.family.into(), row.neighbour_as];
                    (row.time.0, row.asn, (Ip::default(), 0), (row.exporter, row.if_index), side)
                }
                Shape::Interfaces => {
                    let row = InterfaceSumRow::get_row(&mut input).unwrap();
                    let side = [row.direction as u32, row.observation as u32, row.family.into(), 0];
                    (row.time.0, 0, (Ip::default(), 0), (row.exporter, row.if_index), side)
                }
                Shape::Prefixes => {
                    let row = PrefixRow::get_row(&mut input).unwrap();
                    let side = [row.direction as u32, row.observation as u32, row.family.into(), 0];
                    (row.time.0, row.asn, (row.prefix, row.prefix_len), (row.exporter, row.if_index), side)
                }
                _ => {
                    let row = PairRow::get_row(&mut input).unwrap();
                    let rest = [row.out_if, row.observation as u32, row.src_as, row.dst_as];
                    (row.time.0, 0, (Ip::default(), 0), (row.exporter, row.in_if), rest)
                }
            };
            let (first, last) = match table.lie {
                Lie::ByTime => (time, 0),
                Lie::ByAs(seconds) => (time / seconds, time),
            };
            places.push((first, within, far, interface, side, last));
        }
        places
    }

    #[test]
    fn rows_lie_in_the_order_of_their_tables_so_that_no_insert_sorts_them() {
        let mut rollup = Rollup::default();
        for n in 0..600_u32 {
            let later = i64::from(n % 7) * 9_000 * 1_000_000_000;
            let flow = Flow {
                src_as: n * 7 % 31,
                src_addr: Ip::v4([192, 0, (n % 5) as u8, 1]),
                in_if: n % 3,
                spread_start: Time(flow().spread_start.0 + later),
                spread_end: Time(flow().spread_end.0 + later),
                ..flow()
            };
            rollup.add(Ip::v4([10, 0, 0, (n % 4) as u8]), &flow);
        }
        for (table, rows) in rollup.finish(1) {
            let places = places(table, &rows[0]);
            assert!(places.len() > 20 && places.is_sorted(), "{}: {places:?}", table.name);
        }
    }

    #[test]
    fn sides_by_interface_are_sums_of_those_by_as() {
        let mut rollup = Rollup::default();
        for n in 0..40_u32 {
            rollup.add(Ip::default(), &Flow { src_as: n, dst_neighbour_as: n % 2, ..flow() });
        }
        let all = rollup.finish(1);
        let start = 1_800_000_000;
        let seen = |name: &str| {
            let (_, rows) = all.iter().find(|(table, _)| table.name == name).unwrap();
            let mut input = RowReader::new(&rows[0]);
            let mut seen = Vec::new();
            while !input.is_empty() {
                let row = InterfaceSumRow::get_row(&mut input).unwrap();
                seen.push((row.if_index, row.time.0 - start, row.bytes, row.flows));
            }
            seen
        };
        // 40 flows of 1000 bytes from the 30th second on, over 100 seconds.
        assert_eq!(seen("interfaces_5m"), [(1, 0, 40_000, 40), (2, 0, 40_000, 40)]);
        let minutes = [(0, 12_000, 0), (60, 24_000, 0), (120, 4_000, 40)];
        let both = minutes.map(|(time, bytes, flows)| [1, 2].map(|if_index| (if_index, time, bytes, flows)));
        assert_eq!(seen("interfaces_1m"), both.concat()[..]);
    }

    #[test]
    fn pieces_are_the_whole_together_and_each_row_is_in_the_same_one_whatever_else_is_there() {
        let rows = |sources: std::ops::Range<u32>, pieces| {
            let mut rollup = Rollup::default();
            for n in sources {
                let flow = Flow { src_as: n, dst_as: n, in_if: n, out_if: n, ..flow() };
                rollup.add(Ip::default(), &flow);
            }
            rollup.finish(pieces)
        };
        let part = rows(40..300, 3);
        for (((table, whole), (_, pieces)), (_, part)) in
            rows(0..300, 1).into_iter().zip(rows(0..300, 3)).zip(part)
        {
            assert_eq!((whole.len(), pieces.len(), part.len()), (1, 3, 3), "{}", table.name);
            let sides = if table.shape == Shape::Pairs { 1 } else { 2 };
            let count = 300 * sides * if table.slot == 60 { 3 } else { 1 };
            // All rows of a rollup are of one length.
            let row = whole[0].len() / count;
            let split = |rows: &[u8]| rows.chunks(row).map(<[u8]>::to_vec).collect::<Vec<_>>();
            let mut left = split(&whole[0]);
            for (piece, part) in pieces.iter().zip(part) {
                let (piece, part) = (split(piece), split(&part));
                assert!(piece.len() > count / 6, "{}: {} rows", table.name, piece.len());
                let of_piece: Vec<_> = left.extract_if(.., |row| piece.contains(row)).collect();
                assert_eq!(of_piece, piece, "{}: in the order of the whole", table.name);
                assert!(!part.is_empty() && part.iter().all(|row| piece.contains(row)), "{}", table.name);
            }
            assert!(left.is_empty(), "{}", table.name);
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
