//! Sampling intervals: from parameters to N, and which of several announcements holds for a record.
//!
//! COUNTING.md ("Sampling rate") is the law. An interval is a ratio until it is stored, so that chains multiply exactly and it is
//! rounded once. What is not known is 0, never 1.

use crate::element::Slot;
use crate::plan::{Present, Words};
use ahash::AHashMap;
use smallvec::SmallVec;
use weir_schemas::columns::flag;
use weir_schemas::{RateSource, SamplingKind};

/// Announcements kept under one scope, over ports and samplers: the oldest makes room.
const ENTRIES: usize = 64;

/// An interval as a ratio, at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ratio {
    pub num: u128,
    pub den: u128,
}

impl Ratio {
    /// None unless `num / den` is from 1 to `bound`.
    pub(crate) fn new(num: u128, den: u128, bound: u64) -> Option<Self> {
        if den == 0 || num < den || num / den > u128::from(bound) {
            return None;
        }
        let divisor = gcd(num, den);
        Some(Self { num: num / divisor, den: den / divisor })
    }

    /// 1 / p, where p is in ]0, 1] and 1 / p within the bound.
    fn inverse(p: f64, bound: u64) -> Option<Self> {
        if !(p > 0.0 && p <= 1.0 && 1.0 / p <= bound as f64) {
            return None;
        }
        // A float is mantissa · 2^exponent exactly. With p from 2^-40 to 1 the exponent is from -92 to -52.
        let bits = p.to_bits();
        let exponent = (bits >> 52 & 0x7ff) as i64 - 1075;
        let mantissa = u128::from(bits & ((1 << 52) - 1) | 1 << 52);
        let shift = u32::try_from(-exponent).ok().filter(|shift| *shift < 120)?;
        Self::new(1 << shift, mantissa, bound)
    }

    fn times(&self, other: &Self, bound: u64) -> Option<Self> {
        let (a, b) = (gcd(self.num, other.den), gcd(other.num, self.den));
        let num = (self.num / a).checked_mul(other.num / b)?;
        let den = (self.den / b).checked_mul(other.den / a)?;
        Self::new(num, den, bound)
    }

    /// Thousandths, rounded half up.
    pub(crate) fn thousandths(&self) -> u64 {
        let (whole, rest) = (self.num / self.den, self.num % self.den);
        // A denominator below 2^116 times 2000 still fits; a larger one can be shortened without harm to the thousandths.
        let shift = (128 - self.den.leading_zeros()).saturating_sub(116);
        let (rest, den) = (rest >> shift, (self.den >> shift).max(1));
        let thousandths = (rest * 2000 + den) / (2 * den);
        u64::try_from(whole.saturating_mul(1000).saturating_add(thousandths)).unwrap_or(u64::MAX)
    }
}

fn gcd(mut a: u128, mut b: u128) -> u128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a.max(1)
}

/// An interval with what is said of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Announced {
    pub ratio: Ratio,
    pub kind: SamplingKind,
    /// Bits of the column `flags`.
    pub flags: u32,
    /// From IE 305 alone: below any other evidence.
    pub inferred: bool,
}

/// The parameters are there and give no interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadRate;

/// Elements that say something about an interval by themselves.
pub(crate) const PARAMETERS: Present = Present::of(&[
    Slot::Interval,
    Slot::RandomInterval,
    Slot::PacketInterval,
    Slot::PacketSpace,
    Slot::TimeInterval,
    Slot::TimeSpace,
    Slot::SampleSize,
    Slot::Population,
    Slot::Probability32,
    Slot::Probability64,
    Slot::HashOutMin,
    Slot::HashOutMax,
    Slot::HashSelectedMin,
    Slot::HashSelectedMax,
    Slot::FlowInterval,
    Slot::FlowSpacing,
]);

/// A family of parameters, one row of COUNTING.md's table.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    Plain,
    Count,
    Size,
    Probability,
    Time,
    Hash,
    Flow,
}

/// The interval that a record's parameters give: the first family of the table that is there and not zero.
pub(crate) fn announced(present: &Present, words: &Words, bound: u64) -> Result<Option<Announced>, BadRate> {
    let get = |slot: Slot| present.has(slot).then(|| words[slot as usize]);
    let both = |a: Slot, b: Slot| get(a).zip(get(b)).map(|(a, b)| (u128::from(a), u128::from(b)));
    let plain = get(Slot::Interval).filter(|n| *n > 0).or(get(Slot::RandomInterval).filter(|n| *n > 0));
    let probability = get(Slot::Probability64)
        .filter(|bits| *bits != 0)
        .map(f64::from_bits)
        .or(get(Slot::Probability32).map(|bits| f64::from(f32::from_bits(bits as u32))))
        .or(get(Slot::Probability64).map(f64::from_bits));
    let hash =
        both(Slot::HashOutMin, Slot::HashOutMax).zip(both(Slot::HashSelectedMin, Slot::HashSelectedMax));
    let ratio = |num, den| Ratio::new(num, den, bound).ok_or(BadRate);
    let (family, ratio) = if let Some(n) = plain {
        (Family::Plain, ratio(u128::from(n), 1)?)
    } else if let Some((interval, space)) = both(Slot::PacketInterval, Slot::PacketSpace) {
        (Family::Count, ratio(interval + space, interval)?)
    } else if let Some((size, population)) = both(Slot::SampleSize, Slot::Population) {
        (Family::Size, ratio(population, size)?)
    } else if let Some(p) = probability {
        (Family::Probability, Ratio::inverse(p, bound).ok_or(BadRate)?)
    } else if let Some((interval, space)) = both(Slot::TimeInterval, Slot::TimeSpace) {
        (Family::Time, ratio(interval + space, interval)?)
    } else if let Some(((out_min, out_max), (min, max))) = hash {
        let range = |min: u128, max: u128| max.checked_sub(min).map(|n| n + 1).ok_or(BadRate);
        (Family::Hash, ratio(range(out_min, out_max)?, range(min, max)?)?)
    } else if let Some((interval, spacing)) = both(Slot::FlowInterval, Slot::FlowSpacing) {
        (Family::Flow, ratio(interval + spacing, interval)?)
    } else {
        // An interval without a space says little, but exporters do send their N in it.
        let inferred = get(Slot::PacketInterval).filter(|n| *n > 1);
        return Ok(inferred.and_then(|n| Ratio::new(u128::from(n), 1, bound)).map(|ratio| Announced {
            ratio,
            kind: SamplingKind::Packet,
            flags: 0,
            inferred: true,
        }));
    };
    let mut flags = if family == Family::Time { flag::RATE_APPROXIMATE } else { 0 };
    if contradicts(family, get(Slot::SelectorAlgorithm), get(Slot::Algorithm).or(get(Slot::SamplerMode))) {
        flags |= flag::RATE_CONTRADICTED;
    }
    let kind = if family == Family::Flow { SamplingKind::Flow } else { SamplingKind::Packet };
    Ok(Some(Announced { ratio, kind, flags, inferred: false }))
}

/// Whether the algorithm that is named is another than the one whose parameters are there (RFC 5477 section 8.2.1 for IE 304;
/// 1 deterministic, 2 random for IE 35 and 49).
fn contradicts(family: Family, selector: Option<u64>, mode: Option<u64>) -> bool {
    use Family::*;
    let selector = match selector {
        None | Some(0) => false,
        _ if family == Plain => false,
        Some(1) => family != Count,
        Some(2) => family != Time,
        Some(3) => family != Size,
        Some(4) => family != Probability,
        Some(6..=8) => family != Hash,
        Some(_) => false,
    };
    let mode = match mode {
        Some(1) => matches!(family, Size | Probability),
        Some(2) => matches!(family, Count | Time),
        _ => false,
    };
    selector || mode
}

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
}

impl Scope {
    pub(crate) const ALL: [Self; 9] = [
        Self::Sampler,
        Self::Selector,
        Self::Sequence,
        Self::Interface,
        Self::LineCard,
        Self::Cache,
        Self::Template,
        Self::Domain,
        Self::System,
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

/// An interval, or the selectors whose intervals multiply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Announcement {
    Rate(Announced),
    Chain(SmallVec<[u64; 8]>),
}

/// All announcements of an exporter.
#[derive(Debug, Default)]
pub(crate) struct Rates {
    map: AHashMap<RateKey, SmallVec<[Entry; 1]>>,
    entries: usize,
    by_scope: [u32; 10],
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
    fn any(&self, scope: Scope) -> bool {
        self.by_scope[scope as usize] != 0
    }

    /// The announcement for `key`: the port's own, where all of its samplers agree; else what all ports agree on.
    fn find(&self, key: &RateKey, port: u16) -> Option<&Announcement> {
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

    fn rate(&self, key: &RateKey, port: u16) -> Option<Announced> {
        match self.find(key, port)? {
            Announcement::Rate(announced) => Some(*announced),
            Announcement::Chain(_) => None,
        }
    }

    /// Multiplies the intervals of selectors; unknown where one is unknown.
    fn chain(&self, of: &Asked, selectors: impl Iterator<Item = u64>, bound: u64) -> Option<Announced> {
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
    fn key(&self, scope: Scope, id: u64) -> RateKey {
        RateKey { version: self.version, domain: self.domain, scope, id }
    }
}

/// The interval of a record, as its columns say it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Resolved {
    pub interval: u64,
    pub kind: SamplingKind,
    pub source: RateSource,
    pub flags: u32,
    pub bad: bool,
}

impl Resolved {
    fn of(announced: &Announced, source: RateSource) -> Self {
        Self {
            interval: announced.ratio.thousandths(),
            kind: announced.kind,
            source: if announced.inferred { RateSource::Inferred } else { source },
            flags: announced.flags,
            bad: false,
        }
    }
}

/// Resolves the records of one set: what is the same for all is looked up once, and a record that names the same sampler as
/// the one before costs a comparison.
#[derive(Debug)]
pub(crate) struct Resolver<'a> {
    rates: &'a Rates,
    asked: Asked,
    bound: u64,
    present: Present,
    in_record: bool,
    names: bool,
    /// What holds where the record says nothing: cache, template, domain or system.
    wide: Option<(Announced, RateSource)>,
    last: Option<([u64; 12], Resolved)>,
}

/// Elements by which a record names its sampler.
const NAMES: Present = Present::of(&[Slot::Sampler, Slot::Sequence, Slot::Selector1, Slot::LineCard]);
const SELECTORS: [Slot; 8] = [
    Slot::Selector1,
    Slot::Selector2,
    Slot::Selector3,
    Slot::Selector4,
    Slot::Selector5,
    Slot::Selector6,
    Slot::Selector7,
    Slot::Selector8,
];

impl<'a> Resolver<'a> {
    pub(crate) fn new(rates: &'a Rates, asked: Asked, present: Present, bound: u64) -> Self {
        let one =
            |scope, id| rates.any(scope).then(|| rates.rate(&asked.key(scope, id), asked.port)).flatten();
        let whole_process = || {
            // Domain 0 of IPFIX is the whole exporting process (RFC 7011 section 3.1).
            let key = RateKey { domain: 0, ..asked.key(Scope::System, 0) };
            (asked.version == 10 && rates.any(Scope::System)).then(|| rates.rate(&key, asked.port)).flatten()
        };
        let candidates = [
            (one(Scope::Cache, 0), RateSource::Cache),
            (one(Scope::Template, u64::from(asked.template)), RateSource::Template),
            (one(Scope::Domain, u64::from(asked.domain)), RateSource::Domain),
            (one(Scope::System, 0).or_else(whole_process), RateSource::System),
        ];
        let known = candidates.iter().filter_map(|(rate, source)| rate.map(|rate| (rate, *source)));
        let wide = known.clone().find(|(rate, _)| !rate.inferred).or_else(|| known.clone().next());
        let in_record = present.any(PARAMETERS);
        let names = present.any(NAMES) || rates.any(Scope::Interface);
        Self { rates, asked, bound, present, in_record, names, wide, last: None }
    }

    /// What the header of a v5 datagram says: 0 is unknown.
    pub(crate) fn header(rates: &'a Rates, interval: u16) -> Self {
        let ratio = Ratio::new(u128::from(interval), 1, u64::MAX).filter(|_| interval > 0);
        let rate =
            ratio.map(|ratio| Announced { ratio, kind: SamplingKind::Packet, flags: 0, inferred: false });
        Self {
            rates,
            asked: Asked { version: 5, domain: 0, port: 0, template: 0 },
            bound: u64::MAX,
            present: Present::default(),
            in_record: false,
            names: false,
            wide: rate.map(|rate| (rate, RateSource::Header)),
            last: None,
        }
    }

    /// The interval of a record on the interface where it was observed.
    #[inline]
    pub(crate) fn resolve(&mut self, words: &Words, interface: u64) -> Resolved {
        if !self.in_record {
            let mut named = [
                interface,
                words[Slot::Sampler as usize],
                words[Slot::Sequence as usize],
                0,
                0,
                0,
                0,
                0,
                0,
                0,
                0,
                0,
            ];
            if self.names {
                named[3] = words[Slot::LineCard as usize];
                for (to, slot) in named[4..].iter_mut().zip(SELECTORS) {
                    *to = words[slot as usize];
                }
            } else {
                named = [0; 12];
            }
            if let Some((of, resolved)) = &self.last
                && *of == named
            {
                return *resolved;
            }
            let resolved = self.look_up(words, interface);
            self.last = Some((named, resolved));
            return resolved;
        }
        // One number in the record is what most send, and needs no ratio.
        let n = words[Slot::Interval as usize];
        if n > 0 && n <= self.bound && !self.present.has(Slot::SelectorAlgorithm) {
            return Resolved {
                interval: n * 1000,
                kind: SamplingKind::Packet,
                source: RateSource::Record,
                ..Resolved::default()
            };
        }
        self.look_up(words, interface)
    }

    fn look_up(&self, words: &Words, interface: u64) -> Resolved {
        let mut bad = false;
        let mut inferred = None;
        let own = if self.in_record {
            announced(&self.present, words, self.bound).unwrap_or_else(|BadRate| {
                bad = true;
                None
            })
        } else {
            None
        };
        let named = || self.named(words);
        let at = |scope, id| {
            self.rates
                .any(scope)
                .then(|| self.rates.rate(&self.asked.key(scope, id), self.asked.port))
                .flatten()
        };
        let on_interface = || if interface == 0 { None } else { at(Scope::Interface, interface) };
        let on_card = || {
            let card = self.present.has(Slot::LineCard).then(|| words[Slot::LineCard as usize])?;
            at(Scope::LineCard, card)
        };
        let wide = || self.wide.map(|(announced, _)| announced);
        let wide_source = self.wide.map_or(RateSource::Unknown, |(_, source)| source);
        let levels: [(&dyn Fn() -> Option<Announced>, RateSource); 5] = [
            (&|| own, RateSource::Record),
            (&named, RateSource::Sampler),
            (&on_interface, RateSource::Interface),
            (&on_card, RateSource::LineCard),
            (&wide, wide_source),
        ];
        for (level, source) in levels {
            match level() {
                Some(announced) if announced.inferred => inferred = inferred.or(Some(announced)),
                Some(announced) => return Resolved { bad, ..Resolved::of(&announced, source) },
                None => {}
            }
        }
        let resolved = inferred.map(|announced| Resolved::of(&announced, RateSource::Inferred));
        Resolved { bad, ..resolved.unwrap_or_default() }
    }

    /// By the sampler, selectors or selection sequence that the record names.
    fn named(&self, words: &Words) -> Option<Announced> {
        let word = |slot: Slot| self.present.has(slot).then(|| words[slot as usize]);
        if let Some(id) = word(Slot::Sampler)
            && let Some(found) = self.rates.rate(&self.asked.key(Scope::Sampler, id), self.asked.port)
        {
            return Some(found);
        }
        let selectors = SELECTORS.iter().map_while(|slot| word(*slot));
        if let Some(found) = self.rates.chain(&self.asked, selectors, self.bound) {
            return Some(found);
        }
        let sequence = word(Slot::Sequence)?;
        match self.rates.find(&self.asked.key(Scope::Sequence, sequence), self.asked.port)? {
            Announcement::Rate(announced) => Some(*announced),
            Announcement::Chain(ids) => self.rates.chain(&self.asked, ids.iter().copied(), self.bound),
        }
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
