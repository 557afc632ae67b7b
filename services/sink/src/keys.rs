//! Keys of rollup rows while they are being summed: small, quick to hash, and sorted as their tables are.
//!
//! What nearly all flows of an exporter share is a [`Context`] with a number, and keys hold the number. Numbers are given out as
//! flows come and say nothing about order, so what leaves is sorted by what they stand for ([`Rank`]).

use crate::sums::Sums;
use ahash::AHashMap;
use std::hash::{Hash, Hasher};
use weir_schemas::rollup::{InterfaceSumRow, LinkRow, PairRow, PrefixRow};
use weir_schemas::value::Slot;
use weir_schemas::{Country, Direction, Ip, Observation, ProtocolClass, SamplingKind};

/// What most flows of an exporter have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Context {
    pub exporter: Ip,
    pub observation: Observation,
    pub family: u8,
    pub sampling_interval: u64,
    pub sampling_kind: SamplingKind,
}

/// Contexts by number.
#[derive(Debug, Default)]
pub(crate) struct Contexts {
    all: Vec<Context>,
    numbers: AHashMap<Context, u32>,
    latest: u32,
}

/// Where a context's parts come among those of all contexts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rank {
    exporter: u32,
    observation: Observation,
    family: u8,
    sampling: u32,
}

impl Contexts {
    /// The number of a context.
    #[inline]
    pub fn number(&mut self, context: &Context) -> u32 {
        if self.all.get(self.latest as usize) != Some(context) {
            let next = self.all.len() as u32;
            self.latest = *self.numbers.entry(*context).or_insert(next);
            if self.latest == next {
                self.all.push(*context);
            }
        }
        self.latest
    }

    fn get(&self, number: u32) -> &Context {
        &self.all[number as usize]
    }

    /// Ranks by number.
    pub fn ranks(&self) -> Vec<Rank> {
        fn ranked<T: Ord + Copy>(all: impl Iterator<Item = T> + Clone) -> impl Fn(T) -> u32 {
            let mut sorted: Vec<T> = all.collect();
            sorted.sort_unstable();
            sorted.dedup();
            move |one| sorted.partition_point(|other| *other < one) as u32
        }
        let sampling = |context: &Context| (context.sampling_interval, context.sampling_kind);
        let exporter_rank = ranked(self.all.iter().map(|context| context.exporter));
        let sampling_rank = ranked(self.all.iter().map(sampling));
        let rank = |context: &Context| Rank {
            exporter: exporter_rank(context.exporter),
            observation: context.observation,
            family: context.family,
            sampling: sampling_rank(sampling(context)),
        };
        self.all.iter().map(rank).collect()
    }
}

/// A key of a rollup's rows, but for their time.
pub(crate) trait Key: Copy + Eq + Hash {
    /// Compares as the columns do in the table's order.
    type Order: Ord;

    /// Its place among others.
    fn order(&self, ranks: &[Rank]) -> Self::Order;

    /// Appends a row.
    fn put_row(&self, contexts: &Contexts, time: u32, sums: &Sums, out: &mut Vec<u8>);
}

/// Several numbers of up to 32 bits as one, the first in front.
fn join<const N: usize>(parts: [u32; N]) -> u128 {
    parts.iter().fold(0, |all, part| all << 32 | u128::from(*part))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LinkKey {
    pub context: u32,
    pub if_index: u32,
    pub direction: Direction,
    pub asn: u32,
    pub neighbour_as: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InterfaceKey {
    pub context: u32,
    pub if_index: u32,
    pub direction: Direction,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PairKey {
    pub context: u32,
    pub in_if: u32,
    pub out_if: u32,
    pub src_as: u32,
    pub dst_as: u32,
    pub src_country: Country,
    pub dst_country: Country,
    pub protocol_class: ProtocolClass,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PrefixKey {
    pub context: u32,
    pub if_index: u32,
    pub direction: Direction,
    pub prefix: Ip,
    pub prefix_len: u8,
    pub asn: u32,
}

// Field by field a hash costs several times as much.

impl Hash for LinkKey {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        let side = self.context << 2 | self.direction as u32;
        state.write_u128(join([side, self.if_index, self.asn, self.neighbour_as]));
    }
}

impl Hash for InterfaceKey {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        let side = self.context << 2 | self.direction as u32;
        state.write_u64(join([side, self.if_index]) as u64);
    }
}

impl Hash for PairKey {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        let class = self.context << 3 | self.protocol_class as u32;
        state.write_u128(join([class, self.in_if, self.out_if, countries(self)]));
        state.write_u64(join([self.src_as, self.dst_as]) as u64);
    }
}

impl Hash for PrefixKey {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        let side = self.context << 2 | self.direction as u32;
        state.write_u128(u128::from_ne_bytes(self.prefix.0));
        state.write_u128(join([side, self.if_index, self.asn, self.prefix_len.into()]));
    }
}

fn countries(key: &PairKey) -> u32 {
    let ([a, b], [c, d]) = (key.src_country.0, key.dst_country.0);
    u32::from_be_bytes([a, b, c, d])
}

fn seen(direction: Direction, rank: &Rank) -> u32 {
    u32::from_be_bytes([0, direction as u8, rank.observation as u8, rank.family])
}

/// A sum as its column has it; one that is beyond is no measurement.
fn signed(sum: u64) -> i64 {
    i64::try_from(sum).unwrap_or(i64::MAX)
}

fn wide(sum: u128) -> i128 {
    i128::try_from(sum).unwrap_or(i128::MAX)
}

macro_rules! put_row {
    ($Row:ident, $contexts:ident, $time:ident, $sums:ident, $out:ident, $key:ident, $($field:ident)*) => {{
        let Context { exporter, observation, family, sampling_interval, sampling_kind } =
            *$contexts.get($key.context);
        let Sums { amounts, flows } = *$sums;
        $Row {
            time: Slot($time),
            exporter,
            observation,
            family,
            $($field: $key.$field,)*
            sampling_interval,
            sampling_kind,
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
        .put_row($out);
    }};
}

impl From<&LinkKey> for InterfaceKey {
    fn from(of: &LinkKey) -> Self {
        let LinkKey { context, if_index, direction, neighbour_as: _, asn: _ } = *of;
        Self { context, if_index, direction }
    }
}

impl Key for LinkKey {
    type Order = (u64, u64, u64);

    fn order(&self, ranks: &[Rank]) -> Self::Order {
        let rank = &ranks[self.context as usize];
        (
            join([self.asn, rank.exporter]) as u64,
            join([self.if_index, seen(self.direction, rank)]) as u64,
            join([self.neighbour_as, rank.sampling]) as u64,
        )
    }

    fn put_row(&self, contexts: &Contexts, time: u32, sums: &Sums, out: &mut Vec<u8>) {
        put_row!(LinkRow, contexts, time, sums, out, self, if_index direction asn neighbour_as);
    }
}

impl Key for InterfaceKey {
    type Order = (u64, u64);

    fn order(&self, ranks: &[Rank]) -> Self::Order {
        let rank = &ranks[self.context as usize];
        (
            join([rank.exporter, self.if_index]) as u64,
            join([seen(self.direction, rank), rank.sampling]) as u64,
        )
    }

    fn put_row(&self, contexts: &Contexts, time: u32, sums: &Sums, out: &mut Vec<u8>) {
        put_row!(InterfaceSumRow, contexts, time, sums, out, self, if_index direction);
    }
}

impl Key for PairKey {
    type Order = (u64, u64, u64, u64, u32);

    fn order(&self, ranks: &[Rank]) -> Self::Order {
        let rank = &ranks[self.context as usize];
        (
            join([rank.exporter, self.in_if]) as u64,
            join([self.out_if, seen(Direction::Unknown, rank)]) as u64,
            join([self.src_as, self.dst_as]) as u64,
            join([countries(self), self.protocol_class as u32]) as u64,
            rank.sampling,
        )
    }

    fn put_row(&self, contexts: &Contexts, time: u32, sums: &Sums, out: &mut Vec<u8>) {
        put_row!(PairRow, contexts, time, sums, out, self,
            in_if out_if src_as dst_as src_country dst_country protocol_class);
    }
}

impl Key for PrefixKey {
    type Order = (u32, u128, u64, u64, u32);

    fn order(&self, ranks: &[Rank]) -> Self::Order {
        let rank = &ranks[self.context as usize];
        (
            self.asn,
            u128::from_be_bytes(self.prefix.0),
            join([self.prefix_len.into(), rank.exporter]) as u64,
            join([self.if_index, seen(self.direction, rank)]) as u64,
            rank.sampling,
        )
    }

    fn put_row(&self, contexts: &Contexts, time: u32, sums: &Sums, out: &mut Vec<u8>) {
        put_row!(PrefixRow, contexts, time, sums, out, self, if_index direction prefix prefix_len asn);
    }
}
