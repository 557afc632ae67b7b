//! Who an exporter says it is, where its datagrams come from another address (RFC 7119 of mediators, RFC 7011 section 4 of proxies).
//!
//! A record says it itself, or options data says it of the whole system or a domain; of each element the record's word counts first. It is a
//! column and nothing else: templates, rates and partitions go by the transport source address, whatever anybody says.

use crate::element::Slot;
use crate::options::Identity;
use crate::plan::{Present, Words};
use crate::rates::{Announcement, Asked, Found, RateKey, Rates, Scope};
use crate::record::{v4, v6};
use weir_schemas::{Flow, Ip};

/// Elements that say it: IE 130, 131, 403, 404, 405.
pub(crate) const IDENTITY: Present = Present::of(&[
    Slot::ExporterV4,
    Slot::ExporterV6,
    Slot::OriginalV4,
    Slot::OriginalV6,
    Slot::OriginalDomain,
]);
/// Scopes of which a row may say it.
const WHOLE: [Slot; 2] = [Slot::ScopeSystem, Slot::ScopeDomain];

/// What is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Said {
    /// Address of the exporting process, behind a proxy; none where it is not said.
    pub process: Ip,
    /// Address of the original exporter, behind a mediator; none where it is not said.
    pub original: Ip,
    /// Observation domain of the original exporter.
    pub original_domain: Option<u32>,
}

impl Said {
    /// What a record says.
    pub(crate) fn of(present: &Present, words: &Words) -> Self {
        let address = |four: Slot, six: Slot| match words[four as usize] {
            0 => v6(words, six),
            word => v4(word),
        };
        Self {
            process: address(Slot::ExporterV4, Slot::ExporterV6),
            original: address(Slot::OriginalV4, Slot::OriginalV6),
            original_domain: present
                .has(Slot::OriginalDomain)
                .then(|| u32::try_from(words[Slot::OriginalDomain as usize]).ok())
                .flatten(),
        }
    }

    /// Of each element what this says, or else the other.
    pub(crate) fn or(self, other: Self) -> Self {
        let either = |own: Ip, other: Ip| if own.is_none() { other } else { own };
        Self {
            process: either(self.process, other.process),
            original: either(self.original, other.original),
            original_domain: self.original_domain.or(other.original_domain),
        }
    }

    /// Puts it into the columns, as far as it is to be believed.
    pub(crate) fn put(&self, identity: Identity, flow: &mut Flow<'_>) {
        let address = match identity {
            Identity::Source | Identity::Agent => Ip::default(),
            Identity::ExportingProcess => self.process,
            Identity::OriginalExporter => self.original,
            Identity::Told if self.original.is_none() => self.process,
            Identity::Told => self.original,
        };
        if !address.is_none() {
            flow.exporter_id = address;
        }
        flow.original_domain = self.original_domain;
    }

    /// What a row of options data says, and of whom; `scopes` are the scope fields it has. None where it is not of a system or a domain, or says nothing.
    pub(crate) fn row(
        present: &Present,
        words: &Words,
        scopes: u16,
        asked: &Asked,
    ) -> Option<(RateKey, Self)> {
        let whole = WHOLE.iter().filter(|slot| present.has(**slot)).count();
        if !present.any(IDENTITY) || whole == 0 || whole != usize::from(scopes) {
            return None;
        }
        let said = Self::of(present, words);
        let key = key(&asked.of_row(present, words)?);
        (said != Self::default()).then_some((key, said))
    }

    /// What options data said for records of a session: its own domain's, else of IPFIX the whole process's.
    pub(crate) fn known(rates: &Rates, asked: &Asked) -> Self {
        if !rates.any(Scope::Identity) {
            return Self::default();
        }
        let of = |key: &RateKey| match rates.find(key, asked.port) {
            Found::Agreed(Announcement::Identity(said)) => *said,
            _ => Self::default(),
        };
        let own = of(&key(asked));
        // Domain 0 of IPFIX is the whole exporting process (RFC 7011 section 3.1).
        if asked.version == 10 { own.or(of(&RateKey { domain: 0, ..key(asked) })) } else { own }
    }
}

fn key(asked: &Asked) -> RateKey {
    asked.key(Scope::Identity, 0)
}
