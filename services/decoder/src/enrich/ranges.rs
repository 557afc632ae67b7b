//! Longest-prefix match over address ranges: what the AS and country look-ups stand on.
//!
//! Ranges are flattened once into sorted, disjoint pieces, the narrowest range winning, and a table over the first bits of the
//! address says where to search. A look-up is one table access and a search among a few pieces.

use std::collections::BTreeMap;

/// Bits of the address that index the table.
const V4_BITS: u32 = 16;
/// 2000::/3 is all of the global unicast space, so three bits say nothing (RFC 4291 §2.4).
const V6_BITS: u32 = 20;
const V6_SKIP: u32 = 3;

/// Values by address range, both families. Value 0 means "nothing known".
#[derive(Debug, Default, Clone)]
pub struct Ranges {
    v4: Pieces<u32>,
    v6: Pieces<u128>,
}

#[derive(Debug, Default, Clone)]
struct Pieces<A> {
    /// First address of each piece; a piece ends where the next begins.
    starts: Vec<A>,
    values: Vec<u32>,
    /// For each value of the index bits, the first piece that can hold such an address.
    index: Vec<u32>,
}

/// Collects ranges.
#[derive(Debug, Default)]
pub struct Builder {
    v4: Vec<(u32, u32, u32)>,
    v6: Vec<(u128, u128, u32)>,
}

impl Builder {
    /// Adds an IPv4 range, both ends included.
    pub fn v4(&mut self, first: u32, last: u32, value: u32) {
        if first <= last {
            self.v4.push((first, last, value));
        }
    }

    /// Adds an IPv6 range, both ends included.
    pub fn v6(&mut self, first: u128, last: u128, value: u32) {
        if first <= last {
            self.v6.push((first, last, value));
        }
    }

    /// Number of ranges so far.
    pub fn len(&self) -> usize {
        self.v4.len() + self.v6.len()
    }

    /// True where there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Flattens and indexes.
    pub fn build(self) -> Ranges {
        Ranges {
            v4: Pieces::new(
                flatten(self.v4, 0, |a| a.checked_add(1)),
                |a| (a >> (32 - V4_BITS)) as usize,
                1 << V4_BITS,
            ),
            v6: Pieces::new(flatten(self.v6, 0, |a| a.checked_add(1)), v6_slot, (1 << V6_BITS) + 2),
        }
    }
}

/// Slot 0 is below 2000::/3, the last one above it.
fn v6_slot(address: u128) -> usize {
    match address >> 125 {
        0 => 0,
        1 => 1 + ((address << V6_SKIP) >> (128 - V6_BITS)) as usize,
        _ => (1 << V6_BITS) + 1,
    }
}

/// Disjoint pieces from ranges that may overlap: widest first, each painted over what lies below it.
fn flatten<A: Copy + Ord + std::ops::Sub<Output = A>>(
    mut ranges: Vec<(A, A, u32)>,
    zero: A,
    next: impl Fn(A) -> Option<A>,
) -> Vec<(A, u32)> {
    // Stable, so that of equals the last one added counts.
    ranges.sort_by_key(|(first, last, _)| std::cmp::Reverse(*last - *first));
    let mut pieces = BTreeMap::from([(zero, 0)]);
    for (first, last, value) in ranges {
        if let Some(after) = next(last)
            && !pieces.contains_key(&after)
        {
            let below = pieces.range(..after).next_back().map_or(0, |(_, value)| *value);
            pieces.insert(after, below);
        }
        let covered: Vec<A> = pieces.range(first..=last).map(|(start, _)| *start).collect();
        covered.iter().for_each(|start| {
            pieces.remove(start);
        });
        pieces.insert(first, value);
    }
    pieces.into_iter().collect()
}

impl<A: Copy + Ord> Pieces<A> {
    fn new(pieces: Vec<(A, u32)>, slot: impl Fn(A) -> usize, slots: usize) -> Self {
        let (starts, values): (Vec<_>, Vec<_>) = pieces.into_iter().unzip();
        // A slot begins in the last piece that starts at or before its first address.
        let mut index = vec![0u32; slots + 1];
        let mut at = 0;
        for (piece, start) in starts.iter().enumerate() {
            let slot = slot(*start);
            while at <= slot {
                index[at] = (piece as u32).saturating_sub(1);
                at += 1;
            }
        }
        let last = (starts.len() as u32).saturating_sub(1);
        index[at..].fill(last);
        Self { starts, values, index }
    }

    #[inline]
    fn get(&self, address: A, slot: usize) -> u32 {
        if self.starts.is_empty() {
            return 0;
        }
        let (low, high) = (self.index[slot] as usize, self.index[slot + 1] as usize);
        let within = &self.starts[low..=high];
        let piece = low + within.partition_point(|start| *start <= address).saturating_sub(1);
        self.values[piece]
    }
}

impl Ranges {
    /// The value of an address; 0 where nothing is known.
    #[inline]
    pub fn get(&self, address: &weir_schemas::Ip) -> u32 {
        if address.is_v4() {
            let [.., a, b, c, d] = address.0;
            let address = u32::from_be_bytes([a, b, c, d]);
            self.v4.get(address, (address >> (32 - V4_BITS)) as usize)
        } else {
            let address = u128::from_be_bytes(address.0);
            self.v6.get(address, v6_slot(address))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use weir_schemas::Ip;

    fn v4(address: u32) -> Ip {
        Ip::v4(address.to_be_bytes())
    }

    #[test]
    fn the_narrowest_range_counts_and_gaps_are_nothing() {
        let mut builder = Builder::default();
        builder.v4(0x0a00_0000, 0x0aff_ffff, 1);
        builder.v4(0x0a01_0000, 0x0a01_ffff, 2);
        builder.v4(0x0a01_0100, 0x0a01_01ff, 3);
        builder.v4(0xffff_ff00, 0xffff_ffff, 4);
        let ranges = builder.build();
        let expect = [
            (0x09ff_ffff, 0),
            (0x0a00_0000, 1),
            (0x0a01_0000, 2),
            (0x0a01_0100, 3),
            (0x0a01_01ff, 3),
            (0x0a01_0200, 2),
            (0x0a02_0000, 1),
            (0x0b00_0000, 0),
            (0xffff_feff, 0),
            (0xffff_ffff, 4),
        ];
        for (address, value) in expect {
            assert_eq!(ranges.get(&v4(address)), value, "{address:08x}");
        }
    }

    #[test]
    fn an_empty_table_knows_nothing() {
        assert_eq!(Builder::default().build().get(&v4(1)), 0);
        assert_eq!(Ranges::default().get(&v4(1)), 0);
    }

    /// Nested or disjoint, as prefixes are.
    fn prefixes() -> impl Strategy<Value = Vec<(u128, u32, u32)>> {
        let top = prop_oneof![
            Just(0x2001u128),
            Just(0x2a00),
            Just(0x3fff),
            Just(0x4000),
            Just(0x1fff),
            Just(0),
            Just(0xffff)
        ];
        prop::collection::vec((top, any::<u128>(), 0u32..=64, 1u32..1000), 0..40).prop_map(|all| {
            all.into_iter()
                .map(|(top, rest, length, value)| {
                    let address = top << 112 | rest >> 16 & !(0xff << 100);
                    let mask = if length == 0 { 0 } else { u128::MAX << (128 - length) };
                    (address & mask, length, value)
                })
                .collect()
        })
    }

    proptest! {
        #[test]
        fn it_answers_as_a_linear_search_does(all in prefixes(), probes: Vec<u128>) {
            let mut seen = std::collections::HashMap::new();
            for (first, length, value) in all {
                seen.insert((first, length), value);
            }
            let mut builder = Builder::default();
            for ((first, length), value) in &seen {
                let last = first | u128::MAX.checked_shr(*length).unwrap_or(0);
                builder.v6(*first, last, *value);
            }
            let ranges = builder.build();
            let borders = seen.keys().flat_map(|(first, length)| {
                let last = first | u128::MAX.checked_shr(*length).unwrap_or(0);
                [*first, last, first.wrapping_sub(1), last.wrapping_add(1)]
            });
            for probe in probes.into_iter().chain(borders) {
                // An address mapped from IPv4 is looked up among IPv4.
                if probe >> 32 == 0xffff {
                    continue;
                }
                let best = seen.iter().filter(|((first, length), _)| {
                    *length == 0 || probe >> (128 - length) == first >> (128 - length)
                }).max_by_key(|((_, length), _)| *length).map_or(0, |(_, value)| *value);
                prop_assert_eq!(ranges.get(&Ip(probe.to_be_bytes())), best);
            }
        }
    }
}
