//! Which of several announcements holds for a record: the order of precedence of docs/counting.md ("Sampling rate").

use crate::element::Slot;
use crate::interval::{Announced, BadRate, PARAMETERS, Ratio, announced};
use crate::plan::{Present, Words};
use crate::rates::{Announcement, Asked, RateKey, Rates, SELECTORS, Scope};
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
    fn of(announced: &Announced, source: RateSource) -> Self {
        Self {
            interval: announced.ratio.thousandths(),
            kind: announced.kind,
            source: if announced.inferred { RateSource::Inferred } else { source },
            flags: announced.flags,
            bad: false,
        }
    }

    fn wide(known: Option<(Announced, RateSource)>) -> Self {
        known.map_or_else(Self::default, |(announced, source)| Self::of(&announced, source))
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
    wide: Option<(Announced, RateSource)>,
    /// The same, for records that name nothing.
    alone: Resolved,
    last: Option<([u64; 4 + SELECTORS.len()], Resolved)>,
}

/// Elements by which a record names its sampler.
const NAMES: Present = Present::of(&[Slot::Sampler, Slot::Sequence, Slot::Selector1, Slot::LineCard]);

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
        let alone = Resolved::wide(wide);
        Self { rates, asked, bound, present, in_record, names, wide, alone, last: None }
    }

    /// What the header of a datagram without templates says: 0 is unknown, as where it says nothing.
    pub(crate) fn header(rates: &'a Rates, interval: u16, bound: u64) -> Self {
        let ratio = Ratio::new(u128::from(interval), 1, bound).filter(|_| interval > 0);
        let rate =
            ratio.map(|ratio| Announced { ratio, kind: SamplingKind::Packet, flags: 0, inferred: false });
        Self {
            rates,
            asked: Asked { version: 5, domain: 0, port: 0, template: 0 },
            bound,
            present: Present::default(),
            in_record: false,
            names: false,
            wide: None,
            alone: Resolved {
                bad: u64::from(interval) > bound,
                ..Resolved::wide(rate.map(|rate| (rate, RateSource::Header)))
            },
            last: None,
        }
    }

    /// The interval of a record on the interface where it was observed.
    #[inline]
    pub(crate) fn resolve(&mut self, words: &Words, interface: u64) -> Resolved {
        if !self.in_record {
            if !self.names {
                return self.alone;
            }
            let word = |slot: Slot| words[slot as usize];
            let mut named = [0; 4 + SELECTORS.len()];
            named[0] = interface;
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
            let resolved = self.look_up(words, interface);
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
            Announcement::Identity(_) => None,
        }
    }
}
