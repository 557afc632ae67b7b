//! Longest-prefix match over address ranges: what the AS and country look-ups stand on.
//!
//! Ranges are flattened once into sorted, disjoint pieces, the narrowest range winning. Above them lies a tree of tables: each is indexed
//! by the next few bits of the address, as many as the pieces below it are worth, until few pieces are left to look through. So it costs
//! about the same wherever the address space is crowded.

use std::collections::BTreeMap;

/// Pieces that are looked through without a table.
const FEW: usize = 8;
/// Most bits that index a table.
const MOST_BITS: u32 = 18;
/// Marks an entry of a table that is another table.
const DEEPER: u32 = 1 << 31;

/// Values by address range, both families. Value 0 means "nothing known".
#[derive(Debug, Default, Clone)]
pub struct Ranges {
    v4: Pieces<u32>,
    v6: Pieces<u128>,
}

#[derive(Debug, Default, Clone)]
struct Pieces<A> {
    /// First address of each piece, and its value; a piece ends where the next begins.
    pieces: Vec<(A, u32)>,
    tables: Vec<Table>,
    /// What the tables hold: the piece that the first address of an entry lies in, or a table.
    entries: Vec<u32>,
}

/// A table that is indexed by some bits of an address.
#[derive(Debug, Default, Clone, Copy)]
struct Table {
    /// Where its entries begin.
    at: u32,
    /// Bits of the address to the right of its own.
    shift: u8,
    /// Its own.
    bits: u8,
}

impl Table {
    #[inline]
    fn entry<A: Address>(&self, address: A) -> usize {
        self.at as usize + (address.bits_at(self.shift.into()) & ((1 << self.bits) - 1))
    }
}

/// An address as a number.
trait Address: Copy + Ord {
    const BITS: u32;
    /// The address without so many bits on the right, of which it has more; of what is left the lowest bits.
    fn bits_at(self, shift: u32) -> usize;
}

impl Address for u32 {
    const BITS: u32 = Self::BITS;
    #[inline]
    fn bits_at(self, shift: u32) -> usize {
        (self >> shift) as usize
    }
}

impl Address for u128 {
    const BITS: u32 = Self::BITS;
    #[inline]
    fn bits_at(self, shift: u32) -> usize {
        (self >> shift) as usize
    }
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
            v4: Pieces::new(flatten(self.v4, 0, |a| a.checked_add(1))),
            v6: Pieces::new(flatten(self.v6, 0, |a| a.checked_add(1))),
        }
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

impl<A: Address> Pieces<A> {
    fn new(pieces: Vec<(A, u32)>) -> Self {
        let to = pieces.len();
        let mut all = Self { pieces, tables: Vec::new(), entries: Vec::new() };
        all.table(0, to, A::BITS);
        all
    }

    /// Makes the table of the pieces that start at `from..to`, which agree in all but the last `width` bits.
    fn table(&mut self, from: usize, to: usize, width: u32) -> u32 {
        let bits = ((to - from).max(1).ilog2() + 1).min(MOST_BITS).min(width);
        let (number, at, shift) = (self.tables.len() as u32, self.entries.len(), width - bits);
        let table = Table { at: at as u32, shift: shift as u8, bits: bits as u8 };
        self.tables.push(table);
        self.entries.resize(at + (1 << bits), 0);
        let mut first = from;
        for entry in at..at + (1 << bits) {
            let after =
                first + self.pieces[first..to].partition_point(|(start, _)| table.entry(*start) == entry);
            self.entries[entry] = if after - first > FEW && shift > 0 {
                DEEPER | self.table(first, after, shift)
            } else {
                // The first piece may begin within the slot; what lies in front of it belongs to the one before.
                first.saturating_sub(1) as u32
            };
            first = after;
        }
        number
    }

    #[inline]
    fn get(&self, address: A) -> u32 {
        let mut entry = DEEPER;
        while entry & DEEPER != 0 {
            let Some(table) = self.tables.get((entry & !DEEPER) as usize) else { return 0 };
            entry = self.entries[table.entry(address)];
        }
        let mut found = 0;
        for (start, value) in self.pieces.get(entry as usize..).unwrap_or_default() {
            if *start > address {
                break;
            }
            found = *value;
        }
        found
    }
}

impl Ranges {
    /// The value of an address; 0 where nothing is known.
    #[inline]
    pub fn get(&self, address: &weir_schemas::Ip) -> u32 {
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
