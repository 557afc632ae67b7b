//! What an exporter announced of its sampling, and of who it is, and for whom.
//!
//! The same scope may be announced by several ports and for several samplers; neither replaces the other, and where they
//! disagree nothing is known.

use crate::element::Slot;
use crate::identity::Said;
use crate::interval::{Announced, BadRate, announced};
use crate::plan::{Present, Words};
use ahash::AHashMap;
use smallvec::SmallVec;
use weir_schemas::{RateSource, SamplingKind};

/// Announcements kept under one scope, over ports and samplers: the oldest makes room.
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

/// What an announcement is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub(crate) enum Scope {
    Sampler = 1,
    Selector = 2,
    Sequence = 3,
    Interface = 4,
    LineCard = 5,
    Cache = 6,
    Template = 7,
    Domain = 8,
    System = 9,
    /// No rate: who the exporter is.
    Identity = 10,
}

impl Scope {
    pub(crate) const ALL: [Self; 10] = [
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
    ];

    /// The column `rate_source` of a rate found by it.
    pub(crate) fn source(self) -> RateSource {
        match self {
            Self::Sampler | Self::Selector | Self::Sequence => RateSource::Sampler,
            Self::Interface => RateSource::Interface,
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

/// One announcement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Port it came from.
    pub port: u16,
    /// The sampler it names beside its scope, else 0: two samplers of one interface don't replace each other.
    pub sampler: u64,
    pub value: Announcement,
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
    by_scope: [u32; 11],
}

/// What [`Rates::put`] did.
pub(crate) enum Put {
    /// It was known.
    Known,
    /// It is new or has changed. The entry of this port and sampler had to go for it, if any.
    Changed(Option<(u16, u64)>),
    /// There is no room.
    Full,
}

impl Rates {
    /// Announcements kept.
    pub(crate) fn len(&self) -> usize {
        self.entries
    }

    /// Keeps an announcement, where `room` says that a new one may be kept.
    pub(crate) fn put(&mut self, key: RateKey, entry: Entry, room: bool) -> Put {
        let entries = self.map.entry(key).or_default();
        if let Some(known) = entries.iter_mut().find(|e| e.port == entry.port && e.sampler == entry.sampler) {
            if known.value == entry.value {
                return Put::Known;
            }
            known.value = entry.value;
            return Put::Changed(None);
        }
        if !room {
            if entries.is_empty() {
                self.map.remove(&key);
            }
            return Put::Full;
        }
        let evicted = (entries.len() >= ENTRIES).then(|| entries.remove(0)).map(|e| (e.port, e.sampler));
        entries.push(entry);
        if evicted.is_none() {
            self.entries += 1;
            self.by_scope[key.scope as usize] += 1;
        }
        Put::Changed(evicted)
    }

    /// Forgets an announcement.
    pub(crate) fn remove(&mut self, key: &RateKey, port: u16, sampler: u64) -> bool {
        let Some(entries) = self.map.get_mut(key) else { return false };
        let Some(at) = entries.iter().position(|e| e.port == port && e.sampler == sampler) else {
            return false;
        };
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

    #[inline]
    pub(crate) fn any(&self, scope: Scope) -> bool {
        self.by_scope[scope as usize] != 0
    }

    /// The announcement for `key`: the port's own, where all of its samplers agree; else what all ports agree on.
    pub(crate) fn find(&self, key: &RateKey, port: u16) -> Option<&Announcement> {
        let entries = self.map.get(key)?;
        let agreed = |own: bool| {
            let mut of = entries.iter().filter(move |entry| !own || entry.port == port);
            let first = &of.next()?.value;
            of.all(|entry| entry.value == *first).then_some(first)
        };
        agreed(true).or_else(|| {
            let none_of_its_own = entries.iter().all(|entry| entry.port != port);
            if none_of_its_own { agreed(false) } else { None }
        })
    }

    /// What a port announced for `key` and no sampler.
    pub(crate) fn own(&self, key: &RateKey, port: u16) -> Option<&Announcement> {
        let entry = self.map.get(key)?.iter().find(|entry| entry.port == port && entry.sampler == 0)?;
        Some(&entry.value)
    }

    pub(crate) fn rate(&self, key: &RateKey, port: u16) -> Option<Announced> {
        match self.find(key, port)? {
            Announcement::Rate(announced) => Some(*announced),
            Announcement::Chain(_) | Announcement::Identity(_) => None,
        }
    }

    /// Multiplies the intervals of selectors; unknown where one is unknown.
    pub(crate) fn chain(
        &self,
        of: &Asked,
        selectors: impl Iterator<Item = u64>,
        bound: u64,
    ) -> Option<Announced> {
        let mut product: Option<Announced> = None;
        for id in selectors {
            let next = self.rate(&of.key(Scope::Selector, id), of.port)?;
            product = Some(match product {
                None => next,
                Some(so_far) => Announced {
                    ratio: so_far.ratio.times(&next.ratio, bound)?,
                    kind: if next.kind == SamplingKind::Flow { next.kind } else { so_far.kind },
                    flags: so_far.flags | next.flags,
                    inferred: so_far.inferred || next.inferred,
                },
            });
        }
        product
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
}

/// Announcements of a row: for whom, by which sampler, what.
type Row = SmallVec<[(RateKey, u64, Announcement); 2]>;

/// What an options record announces, and for whom.
pub(crate) fn announcements(
    present: &Present,
    words: &Words,
    asked: &Asked,
    bound: u64,
) -> Result<Row, BadRate> {
    let word = |slot: Slot| present.has(slot).then(|| words[slot as usize]);
    let selectors: SmallVec<[u64; 8]> = SELECTORS.iter().map_while(|slot| word(*slot)).collect();
    let mut found = SmallVec::new();
    let sequence = word(Slot::Sequence);
    let Some(announced) = announced(present, words, bound)? else {
        if let Some(id) = sequence
            && !selectors.is_empty()
        {
            found.push((asked.key(Scope::Sequence, id), 0, Announcement::Chain(selectors)));
        }
        return Ok(found);
    };
    let rate = Announcement::Rate(announced);
    let interface = word(Slot::ScopeInterface).filter(|index| *index != 0);
    let place = interface
        .map(|index| (Scope::Interface, index))
        .or_else(|| word(Slot::ScopeLineCard).map(|card| (Scope::LineCard, card)));
    // A row that names a sampler is that sampler's, wherever it names it, and never the system's.
    let sampler = word(Slot::Sampler).map(|id| (Scope::Sampler, id)).or_else(|| match selectors[..] {
        [id] => Some((Scope::Selector, id)),
        _ => sequence.map(|id| (Scope::Sequence, id)),
    });
    if let Some((scope, id)) = sampler {
        found.push((asked.key(scope, id), 0, rate.clone()));
        if let Some((scope, place)) = place {
            found.push((asked.key(scope, place), id, rate));
        }
        return Ok(found);
    }
    let domain = word(Slot::ScopeDomain);
    let scope = place
        .or_else(|| word(Slot::ScopeCache).map(|_| (Scope::Cache, 0)))
        .or_else(|| word(Slot::ScopeTemplate).map(|id| (Scope::Template, id)))
        .or_else(|| domain.map(|id| (Scope::Domain, id)))
        .or_else(|| {
            let system = present.any(Present::of(&[Slot::ScopeSystem, Slot::ScopeInterface]));
            system.then_some((Scope::System, 0))
        });
    if let Some((scope, id)) = scope {
        let mut key = asked.key(scope, id);
        // The domain that is announced need not be the one that announces it.
        if scope == Scope::Domain
            && let Ok(domain) = u32::try_from(id)
        {
            key.domain = domain;
        }
        found.push((key, 0, rate));
    }
    Ok(found)
}
