//! Sums by key and slot: a look-up finds the key, and at it hangs a chain of slots.
//!
//! Flows come about in the order of time, so the newest slot is the head of its chain, and what is wanted is there or next to it. What
//! leaves is sorted as its table is, whatever order it came in (docs/exactly-once.md, rule 9).

use crate::keys::{Contexts, Key, Rank};
use crate::spread::{Amounts, slot_of, spread};
use ahash::AHashMap;
use weir_schemas::rollup::Lie;

/// What a rollup row sums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    pub amounts: Amounts,
    pub flows: u64,
}

impl Sums {
    #[inline]
    fn add(&mut self, amounts: &Amounts, flows: u64) {
        self.amounts.add(amounts);
        self.flows += flows;
    }
}

/// The end of a chain.
const NONE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Link {
    time: u32,
    /// Where the slot before it is.
    next: u32,
    sums: Sums,
}

/// Sums of slots of `SLOT` seconds.
#[derive(Debug)]
pub(crate) struct Table<K, const SLOT: u32> {
    /// Where the newest slot of each key is.
    heads: AHashMap<K, u32>,
    links: Vec<Link>,
    /// Heads of the flows that are being added.
    found: Vec<u32>,
}

impl<K, const SLOT: u32> Default for Table<K, SLOT> {
    fn default() -> Self {
        Self { heads: AHashMap::default(), links: Vec::new(), found: Vec::new() }
    }
}

/// What a flow adds: from when to when it was, in ns, and how much it is.
pub(crate) type Added<'a> = ((i64, i64), &'a Amounts);

impl<K: Key, const SLOT: u32> Table<K, SLOT> {
    /// Adds flows to the keys beside them, each spread over the slots from its start to its end.
    ///
    /// A table is larger than the processor's caches. All look-ups come first, and then all sums, so that the processor waits for many
    /// of them at once.
    pub fn add<'a, const KEYS: usize>(
        &mut self,
        flows: impl Iterator<Item = ([K; KEYS], Added<'a>)> + Clone,
    ) {
        let Self { heads, links, found } = self;
        found.clear();
        for (keys, ((_, end), _)) in flows.clone() {
            found.extend(keys.map(|key| {
                *heads.entry(key).or_insert_with(|| {
                    links.push(Link { time: slot_of::<SLOT>(end), next: NONE, sums: Sums::default() });
                    links.len() as u32 - 1
                })
            }));
        }
        std::hint::black_box(found.iter().map(|head| links[*head as usize].time).max());
        for (heads, (_, ((start, end), whole))) in found.chunks_exact(KEYS).zip(flows) {
            spread::<SLOT>(start, end, whole, |time, share, is_end| {
                heads.iter().for_each(|head| at(*head, links, time).add(share, u64::from(is_end)));
            });
        }
    }

    /// Adds sums of a slot of other lengths, which lies within one of these.
    pub fn add_sums(&mut self, key: K, time: u32, sums: &Sums) {
        let Self { heads, links, .. } = self;
        let time = time / SLOT * SLOT;
        let head = *heads.entry(key).or_insert_with(|| {
            links.push(Link { time, next: NONE, sums: Sums::default() });
            links.len() as u32 - 1
        });
        at(head, links, time).add(&sums.amounts, sums.flows);
    }

    /// Rows that it has.
    pub fn rows(&self) -> usize {
        self.links.len()
    }

    /// About how many bytes its rows take.
    pub fn bytes(&self) -> usize {
        self.heads.len() * size_of::<(K, u32)>() + self.links.len() * size_of::<Link>()
    }

    /// Bytes of the room that it has for rows, taken or not.
    pub fn room(&self) -> usize {
        self.heads.capacity() * size_of::<(K, u32)>() + self.links.capacity() * size_of::<Link>()
    }

    #[cfg(test)]
    pub fn sums(&self) -> impl Iterator<Item = &Sums> {
        self.links.iter().map(|link| &link.sums)
    }

    /// Sorts the keys; the table is empty when they are gone, and keeps its room.
    pub fn sorted(&mut self, ranks: &[Rank]) -> Sorted<'_, K> {
        let mut keys: Vec<_> = self.heads.drain().map(|(key, head)| (key.order(ranks), key, head)).collect();
        keys.sort_unstable_by(|(a, ..), (b, ..)| a.cmp(b));
        let keys = keys.into_iter().map(|(_, key, head)| (key, head)).collect();
        Sorted { keys, links: &mut self.links, slot: SLOT }
    }
}

/// The sums of a slot in the chain that begins at `head`, and always will.
#[inline]
fn at(head: u32, links: &mut Vec<Link>, time: u32) -> &mut Sums {
    let (mut before, mut here) = (NONE, head);
    while let Some(link) = links.get(here as usize).filter(|link| link.time > time) {
        (before, here) = (here, link.next);
    }
    if links.get(here as usize).is_none_or(|link| link.time != time) {
        here = insert(before, here, links, time);
    }
    &mut links[here as usize].sums
}

/// Makes a slot between two others of its chain; the newest takes the place of the one that was.
#[inline(never)]
fn insert(before: u32, behind: u32, links: &mut Vec<Link>, time: u32) -> u32 {
    let new = links.len() as u32;
    if let Some(link) = links.get_mut(before as usize) {
        link.next = new;
        links.push(Link { time, next: behind, sums: Sums::default() });
        return new;
    }
    links.push(links[behind as usize]);
    links[behind as usize] = Link { time, next: new, sums: Sums::default() };
    behind
}

/// Sums in the order in which they are written.
pub(crate) struct Sorted<'t, K> {
    keys: Vec<(K, u32)>,
    links: &'t mut Vec<Link>,
    /// Seconds of a slot.
    slot: u32,
}

impl<K> Drop for Sorted<'_, K> {
    fn drop(&mut self) {
        self.links.clear();
    }
}

impl<K: Key> Sorted<'_, K> {
    /// Sums slots up to longer ones, of `slot` seconds.
    pub fn lengthen(&mut self, slot: u32) {
        if std::mem::replace(&mut self.slot, slot) == slot {
            return;
        }
        for (_, head) in &self.keys {
            let mut here = *head;
            while here != NONE {
                let Link { time, mut next, mut sums } = self.links[here as usize];
                let time = time / slot * slot;
                while let Some(link) = self.links.get(next as usize).filter(|link| link.time >= time) {
                    sums.add(&link.sums.amounts, link.sums.flows);
                    next = link.next;
                }
                self.links[here as usize] = Link { time, next, sums };
                here = next;
            }
        }
    }

    /// Each key with its slots, the newest first.
    pub fn sums(&self) -> impl Iterator<Item = (&K, u32, &Sums)> {
        self.keys.iter().flat_map(|(key, head)| {
            let slots = std::iter::successors(self.links.get(*head as usize), |link| {
                self.links.get(link.next as usize)
            });
            slots.map(move |link| (key, link.time, &link.sums))
        })
    }

    /// The rows, lying as they should, in RowBinary, in so many pieces. A row's piece follows from its time and key alone: it is the same one
    /// whatever else was summed.
    pub fn rows(&self, contexts: &Contexts, lie: Lie, pieces: usize) -> Vec<Vec<u8>> {
        let mut order: Vec<_> = self.sums().collect();
        // Stable: keys are in order, and of a key the slots, once they are turned round.
        match lie {
            Lie::ByTime => order.sort_by_key(|(_, time, _)| *time),
            Lie::ByAs(seconds) => {
                order.chunk_by_mut(|(a, ..), (b, ..)| std::ptr::eq(*a, *b)).for_each(<[_]>::reverse);
                order.sort_by_key(|(_, time, _)| time / seconds);
            }
        }
        let room = order.len() * 160 / pieces;
        let mut out: Vec<Vec<u8>> = (0..pieces).map(|_| Vec::with_capacity(room)).collect();
        let mut unsummed = Vec::new();
        for (key, time, sums) in order {
            let mut piece = 0;
            if pieces > 1 {
                unsummed.clear();
                key.put_row(contexts, time, &Sums::default(), &mut unsummed);
                piece = crc32fast::hash(&unsummed) as usize % pieces;
            }
            key.put_row(contexts, time, sums, &mut out[piece]);
        }
        out
    }
}
