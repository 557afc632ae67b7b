//! Which of several announcements holds for a record: the order of precedence of docs/counting.md ("Sampling rate").
//!
//! Where announcements disagree the search ends: what is said of more than that, say the whole system, is not what holds.

use crate::element::Slot;
use crate::interval::{Announced, BadRate, PARAMETERS, Ratio, announced};
use crate::plan::{Present, Words};
use crate::rates::{Announcement, Asked, Found, Rates, SELECTORS, Scope};
use weir_schemas::{RateSource, SamplingKind};

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
    fn found((found, source): (Found<Announced>, RateSource)) -> Self {
        let Found::Agreed(announced) = found else { return Self::default() };
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
/// the one before costs a comparison, and one that names none nothing.
#[derive(Debug)]
pub(crate) struct Resolver<'a> {
    rates: &'a Rates,
    asked: Asked,
    bound: u64,
    present: Present,
    in_record: bool,
    names: bool,
    /// What holds where the record says nothing: cache, template, domain or system.
    wide: (Found<Announced>, RateSource),
    /// The same, for records that name nothing.
    alone: Resolved,
    last: Option<([u64; 4 + SELECTORS.len()], Resolved)>,
}

/// What of levels from the closest to the widest counts: the first that is known and not merely inferred, else the first that is inferred, and nothing from
/// where they disagree.
fn closest<'l>(
    levels: impl IntoIterator<Item = (&'l dyn Fn() -> Found<Announced>, RateSource)>,
) -> (Found<Announced>, RateSource) {
    let mut inferred = (Found::Absent, RateSource::Unknown);
    for (level, source) in levels {
        match level() {
            Found::Agreed(announced) if announced.inferred => {
                if inferred.0 == Found::Absent {
                    inferred = (Found::Agreed(announced), source);
                }
            }
            Found::Absent => {}
            found => return (found, source),
        }
    }
    inferred
}

/// Elements by which a record names its sampler.
const NAMES: Present = Present::of(&[Slot::Sampler, Slot::Sequence, Slot::Selector1, Slot::LineCard]);

impl<'a> Resolver<'a> {
    pub(crate) fn new(rates: &'a Rates, asked: Asked, present: Present, bound: u64) -> Self {
        let one = |scope, id| at(rates, &asked, scope, id);
        let system = || match one(Scope::System, 0) {
            // Domain 0 of IPFIX is the whole exporting process (RFC 7011 section 3.1).
            Found::Absent if asked.version == 10 => {
                at(rates, &Asked { domain: 0, ..asked }, Scope::System, 0)
            }
            found => found,
        };
        let wide = closest([
            (&(|| one(Scope::Cache, 0)) as &dyn Fn() -> _, RateSource::Cache),
            (&|| one(Scope::Template, u64::from(asked.template)), RateSource::Template),
            (&|| one(Scope::Domain, u64::from(asked.domain)), RateSource::Domain),
            (&system, RateSource::System),
        ]);
        let in_record = present.any(PARAMETERS);
        let names = present.any(NAMES)
            || [Scope::Interface, Scope::Ingress, Scope::Egress].into_iter().any(|scope| rates.any(scope));
        let alone = Resolved::found(wide);
        Self { rates, asked, bound, present, in_record, names, wide, alone, last: None }
    }

    /// What the header of a datagram without templates says: 0 is unknown, as where it says nothing.
    pub(crate) fn header(rates: &'a Rates, interval: u16, bound: u64) -> Self {
        let ratio = Ratio::new(u128::from(interval), 1, bound);
        let wide = ratio.filter(|_| interval > 0).map_or(Found::Absent, |ratio| {
            Found::Agreed(Announced { ratio, kind: SamplingKind::Packet, flags: 0, inferred: false })
        });
        let wide = (wide, RateSource::Header);
        Self {
            rates,
            asked: Asked { version: 5, domain: 0, port: 0, template: 0 },
            bound,
            present: Present::default(),
            in_record: false,
            names: false,
            wide,
            alone: Resolved { bad: u64::from(interval) > bound, ..Resolved::found(wide) },
            last: None,
        }
    }

    /// The interval of a record that was observed on a side of an interface: [`Scope::Ingress`] or [`Scope::Egress`], and its number.
    #[inline]
    pub(crate) fn resolve(&mut self, words: &Words, observed: (Scope, u32)) -> Resolved {
        if !self.in_record {
            if !self.names {
                return self.alone;
            }
            let word = |slot: Slot| words[slot as usize];
            let mut named = [0; 4 + SELECTORS.len()];
            named[0] = u64::from(observed.1) << 8 | observed.0 as u64;
            named[1] = word(Slot::Sampler);
            named[2] = word(Slot::Sequence);
            named[3] = word(Slot::LineCard);
            for (to, slot) in named[4..].iter_mut().zip(SELECTORS) {
                *to = word(slot);
            }
            if let Some((of, resolved)) = &self.last
                && *of == named
            {
                return *resolved;
            }
            let resolved = self.look_up(words, observed);
            self.last = Some((named, resolved));
            return resolved;
        }
        // One number in the record is what most send, and needs no ratio unless flows are sampled after packets.
        let n = words[Slot::Interval as usize];
        if n > 0 && n <= self.bound && !self.present.has(Slot::FlowInterval) {
            return Resolved {
                interval: n * 1000,
                kind: SamplingKind::Packet,
                source: RateSource::Record,
                ..Resolved::default()
            };
        }
        self.look_up(words, observed)
    }

    fn look_up(&self, words: &Words, (side, interface): (Scope, u32)) -> Resolved {
        let own = if self.in_record { announced(&self.present, words, self.bound) } else { Ok(None) };
        let bad = own == Err(BadRate);
        let own = own.ok().flatten().map_or(Found::Absent, Found::Agreed);
        let one = |scope, id| at(self.rates, &self.asked, scope, id);
        let on_interface = || match u64::from(interface) {
            0 => Found::Absent,
            index => one(Scope::Interface, index).and(one(side, index)),
        };
        let on_card = || match self.present.has(Slot::LineCard) {
            true => one(Scope::LineCard, words[Slot::LineCard as usize]),
            false => Found::Absent,
        };
        let found = closest([
            (&(|| own) as &dyn Fn() -> _, RateSource::Record),
            (&|| self.named(words), RateSource::Sampler),
            (&on_interface, RateSource::Interface),
            (&on_card, RateSource::LineCard),
            (&|| self.wide.0, self.wide.1),
        ]);
        Resolved { bad, ..Resolved::found(found) }
    }

    /// By the sampler, selectors or selection sequence that the record names.
    fn named(&self, words: &Words) -> Found<Announced> {
        let word = |slot: Slot| self.present.has(slot).then(|| words[slot as usize]);
        let by_sampler =
            word(Slot::Sampler).map_or(Found::Absent, |id| at(self.rates, &self.asked, Scope::Sampler, id));
        if by_sampler != Found::Absent {
            return by_sampler;
        }
        // Of selectors beyond those that are read, the product is not theirs.
        if self.present.has(Slot::Beyond) {
            return Found::Disagreed;
        }
        let selectors = SELECTORS.iter().map_while(|slot| word(*slot));
        let by_selectors = self.rates.chain(&self.asked, selectors, self.bound);
        if by_selectors != Found::Absent {
            return by_selectors;
        }
        let Some(sequence) = word(Slot::Sequence) else { return Found::Absent };
        match self.rates.find(&self.asked.key(Scope::Sequence, sequence), self.asked.port) {
            Found::Agreed(Announcement::Rate(announced)) => Found::Agreed(*announced),
            Found::Agreed(Announcement::Chain(ids)) => {
                self.rates.chain(&self.asked, ids.iter().copied(), self.bound)
            }
            Found::Agreed(Announcement::Identity(_)) | Found::Absent => Found::Absent,
            Found::Disagreed => Found::Disagreed,
        }
    }
}

/// What is announced for one, where anything is for such.
fn at(rates: &Rates, asked: &Asked, scope: Scope, id: u64) -> Found<Announced> {
    if rates.any(scope) { rates.rate(&asked.key(scope, id), asked.port) } else { Found::Absent }
}
