//! Records of `weir.inventory`: what is known about exporters, interfaces, links and rates, for decoder and store.
//!
//! A key starts with the exporter's transport address, so that partitioning and compaction both work; a value is JSON with a
//! version, small and readable, because people look at it and volumes are low. A tombstone takes the word back.

use crate::enums::{Connectivity, RateSource, SamplingKind};
use crate::quality::Quality;
use crate::value::Ip;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Version of the values that this build writes.
pub const VERSION: u32 = 1;

/// What the key of a [`Record::Classified`] has behind its exporter.
const CLASSIFIED: u8 = b'k';

/// Whether a key is that of a [`Record::Classified`]: of a person's word, which no service takes back.
pub fn is_classified(key: &[u8]) -> bool {
    key.get(size_of::<Ip>()) == Some(&CLASSIFIED)
}

/// Something known about an exporter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Record {
    /// The exporter itself.
    Exporter {
        /// Its name.
        name: String,
    },
    /// One of its interfaces.
    Interface {
        /// ifIndex.
        index: u32,
        /// Name.
        name: String,
        /// Description.
        description: String,
        /// Speed in bit/s; 0 where not known.
        speed: u64,
    },
    /// An interface's membership in a link.
    Link {
        /// ifIndex.
        index: u32,
        /// Seconds since the epoch from which it is a member.
        valid_from: u32,
        /// Seconds since the epoch until which it is a member.
        valid_to: u32,
        /// Name of the link; empty: on no link.
        link: String,
        /// Provider.
        provider: String,
        /// What the link is for.
        connectivity: Connectivity,
        /// AS at the other end; 0: unknown or many.
        neighbour_as: u32,
        /// Capacity in bit/s; 0: unknown.
        capacity: u64,
    },
    /// A link as a person classified it, with its members on this exporter. It beats what rules say of their interfaces, and replaces what was
    /// said of the same link and exporter before.
    Classified(Classified),
    /// An announced sampling interval.
    Rate {
        /// Observation domain.
        observation_domain: u32,
        /// What kind of announcement.
        source: RateSource,
        /// Interface, line card, sampler or template it is for.
        scope: u64,
        /// Interval in thousandths.
        interval: u64,
        /// Kind of sampling.
        sampling: SamplingKind,
        /// Receive time (ns) from which it applies.
        valid_from: i64,
    },
    /// How well its telemetry arrives.
    Quality(Box<Quality>),
}

/// A link as a person classified it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Classified {
    /// What it is called for good, whatever its name is.
    pub id: String,
    /// Name.
    pub name: String,
    /// Provider.
    pub provider: String,
    /// What it is for.
    pub connectivity: Connectivity,
    /// AS at the other end; 0: unknown or many.
    pub neighbour_as: u32,
    /// Capacity in bit/s; 0: unknown.
    pub capacity: u64,
    /// Rate in bit/s that is paid for whether it is used or not; 0: none.
    pub commit_rate: u64,
    /// Price of a Mbit/s for a month, in thousandths of the currency's unit; 0: unknown, or free.
    pub price: u64,
    /// Currency of the price (ISO 4217); empty: none.
    pub currency: String,
    /// Interfaces of this exporter; none: it has no part in the link any more.
    pub members: Vec<Member>,
}

/// An interface's membership in a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// ifIndex.
    pub index: u32,
    /// Seconds since the epoch from which it is a member.
    pub valid_from: u32,
    /// Seconds since the epoch until which it is a member.
    pub valid_to: u32,
}

/// A record with the time at which it was learned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Version of the format.
    pub v: u32,
    /// When it was learned, ns since the epoch. The latest wins.
    pub learned: u64,
    /// What was learned.
    #[serde(flatten)]
    pub record: Record,
}

/// Why a record of `weir.inventory` can't be read.
#[derive(Debug, Error)]
pub enum InventoryError {
    /// The key has no exporter address in front.
    #[error("key of {0} bytes is too short for an exporter's address")]
    Key(usize),
    /// The value is not what this build knows.
    #[error("value can't be read: {0}")]
    Value(#[from] serde_json::Error),
    /// The value is of a newer format.
    #[error("value has format version {0}, this build reads up to {VERSION}")]
    Version(u32),
}

impl Record {
    /// The record's key: exporter, kind, and what tells records of a kind apart.
    pub fn key(&self, exporter: &Ip) -> Vec<u8> {
        let mut key = exporter.0.to_vec();
        match self {
            Self::Exporter { .. } => key.push(b'e'),
            Self::Interface { index, .. } => {
                key.push(b'i');
                key.extend_from_slice(&index.to_be_bytes());
            }
            Self::Link { index, valid_from, .. } => {
                key.push(b'l');
                key.extend_from_slice(&index.to_be_bytes());
                key.extend_from_slice(&valid_from.to_be_bytes());
            }
            Self::Classified(Classified { id, .. }) => {
                key.push(CLASSIFIED);
                key.extend_from_slice(id.as_bytes());
            }
            // Without the time: the topic keeps the last rate of each scope, the store all of them.
            Self::Rate { observation_domain, source, scope, .. } => {
                key.push(b'r');
                key.extend_from_slice(&observation_domain.to_be_bytes());
                key.push(*source as u8);
                key.extend_from_slice(&scope.to_be_bytes());
            }
            // Sums: the topic keeps the last, the store all of them.
            Self::Quality(_) => key.push(b'q'),
        }
        key
    }
}

impl Entry {
    /// Makes an entry of this build's version.
    pub fn new(record: Record, learned: u64) -> Self {
        Self { v: VERSION, learned, record }
    }

    /// The value as written.
    pub fn value(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("an entry has string keys and finite numbers only")
    }

    /// Reads key and value.
    pub fn read(key: &[u8], value: &[u8]) -> Result<(Ip, Self), InventoryError> {
        let exporter = key.first_chunk::<16>().ok_or(InventoryError::Key(key.len()))?;
        let entry: Self = serde_json::from_slice(value)?;
        if entry.v > VERSION {
            return Err(InventoryError::Version(entry.v));
        }
        Ok((Ip(*exporter), entry))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written_under_its_exporter() {
        let exporter = Ip::v4([192, 0, 2, 7]);
        let record =
            Record::Interface { index: 3, name: "et-0/0/3".into(), description: "IX".into(), speed: 1 };
        let entry = Entry::new(record.clone(), 5);
        let key = record.key(&exporter);
        assert_eq!(Entry::read(&key, &entry.value()).unwrap(), (exporter, entry));
        let other = Record::Interface { index: 4, name: String::new(), description: String::new(), speed: 0 };
        assert_ne!(other.key(&exporter), key);
        let said = Record::Classified(Classified { id: "a".into(), ..Classified::default() });
        assert_eq!([is_classified(&key), is_classified(&said.key(&exporter))], [false, true]);
    }

    #[test]
    fn a_newer_format_is_refused_by_its_version() {
        let entry = Entry { v: 9, ..Entry::new(Record::Exporter { name: "r".into() }, 1) };
        assert!(matches!(Entry::read(&[0; 17], &entry.value()), Err(InventoryError::Version(9))));
    }
}
