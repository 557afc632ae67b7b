//! The piece that an address lies in, below a tree of tables.
//!
//! A table is indexed by the next few bits of the address, as many as the pieces below it are worth, until few pieces are left to look
//! through. So a look-up waits for memory a few times, wherever the address space is crowded.

/// Pieces that are looked through without a table.
const FEW: usize = 8;
/// Most bits that index a table.
const MOST_BITS: u32 = 18;
/// Marks an entry of a table that is another table.
const DEEPER: u32 = 1 << 31;

#[derive(Debug, Default, Clone)]
pub(super) struct Pieces<A, V> {
    /// First address of each piece, and its value; a piece ends where the next begins.
    pieces: Vec<(A, V)>,
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

/// What a range stands for.
pub trait Value: Copy + Default + PartialEq {}

impl<V: Copy + Default + PartialEq> Value for V {}

/// An address as a number.
pub(super) trait Address: Copy + Ord {
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

impl<A: Address, V: Value> Pieces<A, V> {
    pub fn new(pieces: Vec<(A, V)>) -> Self {
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
    pub fn get(&self, address: A) -> V {
        let mut entry = DEEPER;
        while entry & DEEPER != 0 {
            let Some(table) = self.tables.get((entry & !DEEPER) as usize) else { return V::default() };
            entry = self.entries[table.entry(address)];
        }
        let mut found = V::default();
        for (start, value) in self.pieces.get(entry as usize..).unwrap_or_default() {
            if *start > address {
                break;
            }
            found = *value;
        }
        found
    }
}
