//! Longest-prefix match over address ranges: what the AS and country look-ups stand on.
//!
//! Ranges are flattened once into sorted, disjoint pieces, the narrowest range winning; a tree finds the piece of an address
//! ([`pieces`](super::pieces)).

use super::pieces::{Pieces, Value};
use std::collections::BTreeMap;

/// Values by address range, both families. The default value means "nothing known".
#[derive(Debug, Default, Clone)]
pub struct Ranges<V> {
    v4: Pieces<u32, V>,
    v6: Pieces<u128, V>,
}

/// Collects ranges.
#[derive(Debug, Default, Clone)]
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
    pub fn build(self) -> Ranges<u32> {
        let (v4, v6) = self.flatten();
        Ranges { v4: Pieces::new(v4), v6: Pieces::new(v6) }
    }

    /// The same for the values of two that are always asked together: a look-up waits for memory, and one waits half as long as two.
    pub fn build_with<V: Value>(self, other: Self, both: impl Fn(u32, u32) -> V) -> Ranges<V> {
        let ((a4, a6), (b4, b6)) = (self.flatten(), other.flatten());
        Ranges { v4: Pieces::new(join(a4, b4, &both)), v6: Pieces::new(join(a6, b6, &both)) }
    }

    fn flatten(self) -> (Flat<u32>, Flat<u128>) {
        (flatten(self.v4, 0, |a| a.checked_add(1)), flatten(self.v6, 0, |a| a.checked_add(1)))
    }
}

/// Disjoint pieces by their first address.
type Flat<A> = Vec<(A, u32)>;

/// Pieces of both, each with the values of both. The first of each begins at the first address of all.
fn join<A: Copy + Ord, V: Value>(a: Flat<A>, b: Flat<A>, both: impl Fn(u32, u32) -> V) -> Vec<(A, V)> {
    let mut pieces: Vec<(A, V)> = Vec::with_capacity(a.len() + b.len());
    let (mut a, mut b) = (a.into_iter().peekable(), b.into_iter().peekable());
    let mut values = (0, 0);
    while let Some(start) = a.peek().into_iter().chain(b.peek()).map(|(start, _)| *start).min() {
        let begins = |(first, _): &(A, u32)| *first == start;
        values.0 = a.next_if(begins).map_or(values.0, |(_, value)| value);
        values.1 = b.next_if(begins).map_or(values.1, |(_, value)| value);
        let value = both(values.0, values.1);
        if pieces.last().is_none_or(|(_, before)| *before != value) {
            pieces.push((start, value));
        }
    }
    pieces
}

/// Disjoint pieces from ranges that may overlap: widest first, each painted over what lies below it.
fn flatten<A: Copy + Ord + std::ops::Sub<Output = A>>(
    mut ranges: Vec<(A, A, u32)>,
    zero: A,
    next: impl Fn(A) -> Option<A>,
) -> Flat<A> {
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

impl<V: Value> Ranges<V> {
    /// The value of an address; the default where nothing is known.
    #[inline]
    pub fn get(&self, address: &weir_schemas::Ip) -> V {
        let number = u128::from_be_bytes(address.0);
        if address.is_v4() { self.v4.get(number as u32) } else { self.v6.get(number) }
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
        assert_eq!(Ranges::<u32>::default().get(&v4(1)), 0);
    }

    #[test]
    fn two_that_are_asked_together_answer_as_each_of_them_does() {
        let (mut one, mut other) = (Builder::default(), Builder::default());
        one.v4(10, 19, 1);
        one.v4(30, 39, 2);
        other.v4(15, 34, 7);
        one.v6(1 << 125, 1 << 126, 3);
        let (first, second) = (one.clone().build(), other.clone().build());
        let both = one.build_with(other, |a, b| (a, b));
        for address in
            (0..50).map(v4).chain([1 << 120, 1 << 125, 1 << 127].map(|n: u128| Ip(n.to_be_bytes())))
        {
            assert_eq!(both.get(&address), (first.get(&address), second.get(&address)), "{address}");
        }
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
