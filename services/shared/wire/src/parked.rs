//! Data sets that wait for their template, with the headers that they came under.
//!
//! Bounded by bytes, of the exporter and of the partition, and by age. Released in the order in which they came, which is
//! the order of their place in `weir.raw`.

use crate::options::{Budget, Options};
use crate::output::Context;
use crate::template::Group;
use crate::time::Clock;
use ahash::AHashMap;
use std::collections::{BTreeMap, BTreeSet};

/// What a waiting set costs beside its bytes: its headers and its places in the indexes.
const OVERHEAD: usize = 160;

/// Where a set lies: offset in `weir.raw`, index of the datagram in its frame, index of the set in its datagram.
pub(crate) type Place = (u64, u32, u32);

/// A set that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Set {
    pub group: Group,
    pub port: u16,
    pub received: i64,
    pub exported: i64,
    pub uptime: Option<u32>,
    /// Index that its first record gets. As many are kept free after it as it has bytes.
    pub record_index: u32,
    /// Byte offset of the set in its datagram.
    pub offset: u32,
    /// Four bytes of nothing, then the set with its header: records begin where a plan wants them to.
    pub buffer: Vec<u8>,
}

impl Set {
    pub(crate) fn cost(&self) -> usize {
        self.buffer.len() + OVERHEAD
    }

    pub(crate) fn clock(&self) -> Clock {
        Clock { exported: self.exported, uptime: self.uptime }
    }

    /// The set as it was sent.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.buffer.get(4..).unwrap_or_default()
    }

    pub(crate) fn context(&self, place: &Place, of: &Context) -> Context {
        Context { exporter: of.exporter, raw_offset: place.0, frame_index: place.1 }
    }
}

/// All that waits of an exporter.
#[derive(Debug, Default)]
pub(crate) struct Parked {
    sets: BTreeMap<Place, Set>,
    groups: AHashMap<Group, BTreeMap<u16, BTreeSet<Place>>>,
    bytes: usize,
}

impl Parked {
    pub(crate) fn is_empty(&self) -> bool {
        self.sets.is_empty()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn len(&self) -> usize {
        self.sets.len()
    }

    /// True where so many more bytes may wait in the first of so many parts of the room.
    pub(crate) fn fits(&self, bytes: usize, parts: usize, options: &Options, budget: &Budget) -> bool {
        let cost = bytes + 4 + OVERHEAD;
        self.bytes.saturating_add(cost) <= options.parked_bytes / parts
            && budget.parked.saturating_add(cost) <= budget.parked_limit / parts
    }

    /// Lets a set wait. Gives back the one that was at the same place.
    pub(crate) fn push(&mut self, place: Place, set: Set, budget: &mut Budget) -> Option<Set> {
        let before = self.remove(&place, budget);
        self.bytes += set.cost();
        budget.parked += set.cost();
        self.groups.entry(set.group).or_default().entry(set.port).or_default().insert(place);
        self.sets.insert(place, set);
        before
    }

    pub(crate) fn remove(&mut self, place: &Place, budget: &mut Budget) -> Option<Set> {
        let set = self.sets.remove(place)?;
        self.bytes -= set.cost();
        budget.parked = budget.parked.saturating_sub(set.cost());
        if let Some(ports) = self.groups.get_mut(&set.group) {
            if let Some(places) = ports.get_mut(&set.port) {
                places.remove(place);
                if places.is_empty() {
                    ports.remove(&set.port);
                }
            }
            if ports.is_empty() {
                self.groups.remove(&set.group);
            }
        }
        Some(set)
    }

    /// Whether anything waits for a template.
    pub(crate) fn has(&self, group: &Group) -> bool {
        self.groups.contains_key(group)
    }

    /// Places of what waits for a template: of one port, or of all, in order.
    pub(crate) fn waiting(&self, group: &Group, port: Option<u16>) -> Vec<Place> {
        let Some(ports) = self.groups.get(group) else { return Vec::new() };
        let mut places: Vec<Place> = match port {
            Some(port) => ports.get(&port).into_iter().flatten().copied().collect(),
            None => ports.values().flatten().copied().collect(),
        };
        places.sort_unstable();
        places
    }

    /// What the set at a place waits for: its template's group, and the port that it came from.
    pub(crate) fn of(&self, place: &Place) -> Option<(Group, u16)> {
        self.sets.get(place).map(|set| (set.group, set.port))
    }

    /// The first one.
    pub(crate) fn first(&self) -> Option<Place> {
        self.sets.first_key_value().map(|(place, _)| *place)
    }

    /// The first one, if it came before a time.
    pub(crate) fn first_before(&self, time: i64) -> Option<Place> {
        self.sets.first_key_value().filter(|(_, set)| set.received < time).map(|(place, _)| *place)
    }

    /// All, in order.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&Place, &Set)> {
        self.sets.iter()
    }
}
