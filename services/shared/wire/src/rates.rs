//! What an exporter announced of its sampling, and of who it is, and for whom.
//!
//! The same scope may be announced by several ports, for several samplers, and by rows that name other things beside it, such as several metering processes
//! of one system; neither replaces the other, and where they disagree nothing is known. An announcement is replaced, or taken back, only by a row that names
//! the same; one that is no longer made goes (`outlived.rs`).

use crate::element::Slot;
use crate::identity::Said;
use crate::interval::{Announced, BadRate, PLAIN, announced};
use crate::outlived::Heard;
use crate::plan::{Plan, Present, Words};
use ahash::AHashMap;
use siphasher::sip::SipHasher13;
use smallvec::SmallVec;
use std::hash::Hasher;
use weir_schemas::RateSource;

/// Announcements kept under one scope, over ports and what is named beside it: one that says the same makes room, else the oldest.
const ENTRIES: usize = 64;

/// Elements by which selectors are named, first to last.
pub(crate) const SELECTORS: [Slot; 8] = [
    Slot::Selector1,
    Slot::Selector2,
    Slot::Selector3,
    Slot::Selector4,
    Slot::Selector5,
    Slot::Selector6,
    Slot::Selector7,
    Slot::Selector8,
];

/// Elements by which a row names, outside its scope, what it is of.
const PLACES: [Slot; 8] = [
    Slot::InIf,
    Slot::OutIf,
    Slot::InPhysical,
    Slot::OutPhysical,
    Slot::LineCard,
    Slot::Direction,
    Slot::Sampler,
    Slot::Sequence,
];

/// Scopes of the whole system: an interface that is 0 is one.
const SYSTEM: Present =
    Present::of(&[Slot::ScopeSystem, Slot::ScopeInterface, Slot::ScopeIngress, Slot::ScopeEgress]);

/// What an announcement is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub(crate) enum Scope {
    Sampler = 1,
    Selector = 2,
    Sequence = 3,
    /// An interface, for packets in either direction.
    Interface = 4,
    LineCard = 5,
    Cache = 6,
    Template = 7,
    Domain = 8,
    System = 9,
    /// No rate: who the exporter is.
    Identity = 10,
    /// An interface, for packets that come in there.
    Ingress = 11,
    /// An interface, for packets that leave there.
    Egress = 12,
}

impl Scope {
    pub(crate) const ALL: [Self; 12] = [
        Self::Sampler,
        Self::Selector,
        Self::Sequence,
        Self::Interface,
        Self::LineCard,
        Self::Cache,
        Self::Template,
        Self::Domain,
        Self::System,
        Self::Identity,
        Self::Ingress,
        Self::Egress,
    ];

    /// The column `rate_source` of a rate found by it.
    pub(crate) fn source(self) -> RateSource {
        match self {
            Self::Sampler | Self::Selector | Self::Sequence => RateSource::Sampler,
            Self::Interface | Self::Ingress | Self::Egress => RateSource::Interface,
            Self::LineCard => RateSource::LineCard,
            Self::Cache => RateSource::Cache,
            Self::Template => RateSource::Template,
            Self::Domain => RateSource::Domain,
            Self::System => RateSource::System,
            Self::Identity => RateSource::Unknown,
        }
    }
}

/// Whom an announcement is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RateKey {
    /// Version of the protocol: 9 or 10.
    pub version: u8,
    pub domain: u32,
    pub scope: Scope,
    pub id: u64,
}

/// Who announces, and of what beside the key: announcements that differ in it don't replace each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct By {
    /// Port it came from.
    pub port: u16,
    /// A number made of all that its row names: scopes, samplers, interfaces. 0 of who the exporter is, which rows say together.
    pub beside: u64,
}

/// One announcement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub by: By,
    pub value: Announcement,
    pub heard: Heard,
}

/// An interval, or the selectors whose intervals multiply, or who the exporter is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Announcement {
    Rate(Announced),
    Chain(SmallVec<[u64; 8]>),
    Identity(Said),
}

/// All announcements of an exporter.
#[derive(Debug, Default)]
pub(crate) struct Rates {
    map: AHashMap<RateKey, SmallVec<[Entry; 1]>>,
    entries: usize,
    by_scope: [u32; 13],
}

/// What [`Rates::put`] did.
pub(crate) enum Put {
    /// It was known.
    Known,
    /// It is new or has changed. The entry by this one had to go for it, if any.
    Changed(Option<By>),
    /// There is no room.
    Full,
}

/// What announcements come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found<T> {
    /// There is none.
    Absent,
    Agreed(T),
    /// There are some, and which of them holds can't be told: nothing is known, and what is said of more than this does not make up for it.
    Disagreed,
}

impl Found<Announced> {
    /// What both come to.
    pub(crate) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Absent, found) | (found, Self::Absent) => found,
            (Self::Agreed(a), Self::Agreed(b)) if a.agrees(&b) => {
                Self::Agreed(Announced { flags: a.flags | b.flags, inferred: a.inferred && b.inferred, ..a })
            }
            _ => Self::Disagreed,
        }
    }
}

impl Rates {
    /// Announcements kept.
    pub(crate) fn len(&self) -> usize {
        self.entries
    }

    /// Keeps an announcement, where `room` says that a new one may be kept. `pause`: see [`Heard::again`].
    pub(crate) fn put(&mut self, key: RateKey, entry: Entry, room: bool, pause: i64) -> Put {
        let entries = self.map.entry(key).or_default();
        if let Some(known) = entries.iter_mut().find(|known| known.by == entry.by) {
            if known.value == entry.value {
                known.heard.again(entry.heard, pause);
                return Put::Known;
            }
            *known = entry;
            return Put::Changed(None);
        }
        if !room {
            if entries.is_empty() {
                self.map.remove(&key);
            }
            return Put::Full;
        }
        // One that says the same for the port goes first, so that a disagreement is not forgotten.
        let same = |known: &Entry| known.by.port == entry.by.port && known.value == entry.value;
        let evicted = (entries.len() >= ENTRIES)
            .then(|| entries.iter().position(same).unwrap_or_default())
            .map(|at| entries.remove(at).by);
        entries.push(entry);
        if evicted.is_none() {
            self.entries += 1;
            self.by_scope[key.scope as usize] += 1;
        }
        Put::Changed(evicted)
    }

    /// Forgets an announcement.
    pub(crate) fn remove(&mut self, key: &RateKey, by: By) -> bool {
        let Some(entries) = self.map.get_mut(key) else { return false };
        let Some(at) = entries.iter().position(|known| known.by == by) else { return false };
        entries.remove(at);
        if entries.is_empty() {
            self.map.remove(key);
        }
        self.entries -= 1;
        self.by_scope[key.scope as usize] -= 1;
        true
    }

    /// All, for dumping.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&RateKey, &Entry)> {
        self.map.iter().flat_map(|(key, entries)| entries.iter().map(move |entry| (key, entry)))
    }

    /// When each was heard.
    pub(crate) fn heard(&mut self) -> impl Iterator<Item = &mut Heard> {
        self.map.values_mut().flatten().map(|entry| &mut entry.heard)
    }

    /// Whether anything is announced for such.
    #[inline]
    pub(crate) fn any(&self, scope: Scope) -> bool {
        self.by_scope[scope as usize] != 0
    }

    /// The announcements for `key` that hold for a port: its own, else those of all ports.
    fn holding(&self, key: &RateKey, port: u16) -> impl Iterator<Item = &Announcement> {
        let entries = self.map.get(key).map_or(&[][..], |entries| &entries[..]);
        let own = entries.iter().any(|entry| entry.by.port == port);
        entries.iter().filter(move |entry| !own || entry.by.port == port).map(|entry| &entry.value)
    }

    /// The announcement for `key`, where all that hold are the same.
    pub(crate) fn find(&self, key: &RateKey, port: u16) -> Found<&Announcement> {
        let mut holding = self.holding(key, port);
        match holding.next() {
            None => Found::Absent,
            Some(first) if holding.all(|other| other == first) => Found::Agreed(first),
            Some(_) => Found::Disagreed,
        }
    }

    /// What was announced for `key` by one.
    pub(crate) fn own(&self, key: &RateKey, by: By) -> Option<&Announcement> {
        self.map.get(key)?.iter().find(|entry| entry.by == by).map(|entry| &entry.value)
    }

    /// The rate of `key`, where all that hold come to the same.
    pub(crate) fn rate(&self, key: &RateKey, port: u16) -> Found<Announced> {
        let rates = self.holding(key, port).filter_map(|value| match value {
            Announcement::Rate(announced) => Some(Found::Agreed(*announced)),
            Announcement::Chain(_) | Announcement::Identity(_) => None,
        });
        rates.fold(Found::Absent, Found::and)
    }

    /// Multiplies the intervals of selectors; absent where one is.
    pub(crate) fn chain(
        &self,
        of: &Asked,
        selectors: impl Iterator<Item = u64>,
        bound: u64,
    ) -> Found<Announced> {
        let mut product: Option<Announced> = None;
        let mut absent = false;
        for id in selectors {
            let next = match self.rate(&of.key(Scope::Selector, id), of.port) {
                Found::Agreed(next) => next,
                Found::Disagreed => return Found::Disagreed,
                Found::Absent => {
                    absent = true;
                    continue;
                }
            };
            // Beyond the bound nothing is believed, whatever else is said.
            let Some(so_far) = product.map_or(Some(next), |so_far| so_far.times(&next, bound)) else {
                return Found::Disagreed;
            };
            product = Some(so_far);
        }
        product.filter(|_| !absent).map_or(Found::Absent, Found::Agreed)
    }
}

/// Where a record comes from, as far as rates depend on it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    pub version: u8,
    pub domain: u32,
    pub port: u16,
    pub template: u16,
}

impl Asked {
    pub(crate) fn key(&self, scope: Scope, id: u64) -> RateKey {
        RateKey { version: self.version, domain: self.domain, scope, id }
    }

    /// Of whom a row of options data speaks: the domain that it names need not be the one that sends it. None where it can be none.
    pub(crate) fn of_row(&self, present: &Present, words: &Words) -> Option<Self> {
        if !present.has(Slot::ScopeDomain) {
            return Some(*self);
        }
        let domain = u32::try_from(words[Slot::ScopeDomain as usize]).ok()?;
        Some(Self { domain, ..*self })
    }
}

/// What a row says: of what, by what it names, and the announcement, or none where it takes back the one before.
type Row = SmallVec<[(RateKey, u64, Option<Announcement>); 2]>;

/// A number made of all that a row names; of a chain the selectors are what it says, not of what.
fn beside(scope: u64, present: &Present, words: &Words, selectors: &[u64]) -> u64 {
    let mut hasher = SipHasher13::new();
    hasher.write(&scope.to_be_bytes());
    for (at, slot) in PLACES.into_iter().enumerate().filter(|(_, slot)| present.has(*slot)) {
        hasher.write(&[at as u8]);
        hasher.write(&words[slot as usize].to_be_bytes());
    }
    selectors.iter().for_each(|id| hasher.write(&id.to_be_bytes()));
    // 0 is of who the exporter is.
    hasher.finish().max(1)
}

/// What an options record, which lies at `start` of the buffer, announces, and for whom. One whose parameters give no interval takes back what a row of the
/// same said before: 0 of an element that is an interval by itself (IE 34, 50), and what is an error beside.
pub(crate) fn announcements(
    plan: &Plan,
    (buffer, start): (&[u8], usize),
    words: &Words,
    asked: &Asked,
    bound: u64,
) -> (Row, Result<(), BadRate>) {
    let present = &plan.present;
    let word = |slot: Slot| present.has(slot).then(|| words[slot as usize]);
    let selectors: SmallVec<[u64; 8]> = SELECTORS.iter().map_while(|slot| word(*slot)).collect();
    let mut row = Row::new();
    let sequence = word(Slot::Sequence);
    let announced = announced(present, words, bound);
    let outcome = announced.map(|_| ());
    let Some(asked) = asked.of_row(present, words) else { return (row, outcome) };
    let value = match announced {
        Ok(Some(announced)) => Some(Announcement::Rate(announced)),
        Ok(None) if !selectors.is_empty() && sequence.is_some() => {
            // Of selectors beyond those that are read, the product is not the chain's.
            let chain = (!present.has(Slot::Beyond)).then_some(Announcement::Chain(selectors));
            let beside = beside(plan.scope(buffer, start), present, words, &[]);
            row.extend(sequence.map(|id| (asked.key(Scope::Sequence, id), beside, chain)));
            return (row, outcome);
        }
        Ok(None) if !present.any(PLAIN) => return (row, outcome),
        Ok(None) | Err(BadRate) => None,
    };
    let beside = beside(plan.scope(buffer, start), present, words, &selectors);
    let of = |scope: Scope, id: u64| (asked.key(scope, id), beside, value.clone());
    let interfaces = [
        (Slot::ScopeInterface, Scope::Interface),
        (Slot::ScopeIngress, Scope::Ingress),
        (Slot::ScopeEgress, Scope::Egress),
    ];
    let interface = interfaces.into_iter().find_map(|(slot, scope)| {
        let index = word(slot).filter(|index| *index != 0)?;
        // What the row says of a direction itself counts before what its scope is called.
        let scope = match word(Slot::Direction) {
            Some(0) => Scope::Ingress,
            Some(1) => Scope::Egress,
            _ => scope,
        };
        Some((scope, index))
    });
    let place = interface.or_else(|| word(Slot::ScopeLineCard).map(|card| (Scope::LineCard, card)));
    // A row that names a sampler is that sampler's, wherever it names it, and never the system's; of several selectors it is none's alone.
    let sampler = word(Slot::Sampler).map(|id| (Scope::Sampler, id)).or_else(|| match selectors[..] {
        [id] => Some((Scope::Selector, id)),
        _ => sequence.map(|id| (Scope::Sequence, id)),
    });
    if sampler.is_some() || !selectors.is_empty() {
        row.extend(sampler.map(|(scope, id)| of(scope, id)));
        row.extend(place.map(|(scope, id)| of(scope, id)));
        return (row, outcome);
    }
    let scope = place
        .or_else(|| word(Slot::ScopeCache).map(|_| (Scope::Cache, 0)))
        .or_else(|| word(Slot::ScopeTemplate).map(|id| (Scope::Template, id)))
        .or_else(|| word(Slot::ScopeDomain).map(|id| (Scope::Domain, id)))
        .or_else(|| present.any(SYSTEM).then_some((Scope::System, 0)));
    row.extend(scope.map(|(scope, id)| of(scope, id)));
    (row, outcome)
}
