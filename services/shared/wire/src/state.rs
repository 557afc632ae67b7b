//! The form in which state is kept: keys and values of `weir.state`, without the exporter's address that the caller puts in front.
//!
//! A key names everything that tells two pieces of state apart, so that neither two ports' templates nor several samplers under
//! one scope compact into one. Values begin with a version. Kept state is read as carefully as wire input.

use crate::growth::{Record, Start};
use crate::identity::Said;
use crate::interval::{Announced, Ratio};
use crate::learned::Known;
use crate::parked::{Place, Set};
use crate::rates::{Announcement, By, RateKey, Scope};
use crate::template::{Group, Template};
use crate::totals::Last;
use smallvec::SmallVec;
use thiserror::Error;
use weir_schemas::{Ip, SamplingKind};

/// Version of the values that this build writes.
pub(crate) const VERSION: u8 = 1;

/// Why a record of kept state can't be used. What it held is learned again when the exporter resends it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StateError {
    /// The key is none that this build writes.
    #[error("state key of kind {kind:?} and {length} bytes is not known")]
    Key {
        /// First byte of the key.
        kind: Option<u8>,
        /// Length of the key.
        length: usize,
    },
    /// The value is of another version.
    #[error("state value has version {found:?}, this build reads {VERSION}")]
    Version {
        /// First byte of the value.
        found: Option<u8>,
    },
    /// The value contradicts itself.
    #[error("state value can't be used: {0}")]
    Value(String),
    /// The value is right, and beyond a limit.
    #[error("state is beyond a limit: {0}")]
    Limit(String),
}

/// What a key names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    Template(Group, u16),
    Rate(RateKey, By),
    Interface(u32),
    Init(u32),
    Lag(u32),
    Totals(u128),
    TotalsFrom(u32),
    Parked(Place),
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(head)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*head)
    }

    fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[n]| n)
    }
    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }
    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }
    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }
    fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_be_bytes)
    }
    fn u128(&mut self) -> Option<u128> {
        self.array().map(u128::from_be_bytes)
    }

    fn end<T>(self, value: T) -> Option<T> {
        self.0.is_empty().then_some(value)
    }
}

/// A key of a number behind its kind, or a value of one behind its version.
fn headed(head: u8, number: &[u8]) -> Vec<u8> {
    [&[head], number].concat()
}

pub(crate) fn template_key(group: &Group, port: u16) -> Vec<u8> {
    let mut key = vec![b't', group.version];
    key.extend_from_slice(&group.domain.to_be_bytes());
    key.extend_from_slice(&port.to_be_bytes());
    key.extend_from_slice(&group.id.to_be_bytes());
    key
}

pub(crate) fn rate_key(rate: &RateKey, by: By) -> Vec<u8> {
    let mut key = vec![b'r', rate.version];
    key.extend_from_slice(&rate.domain.to_be_bytes());
    key.push(rate.scope as u8);
    key.extend_from_slice(&rate.id.to_be_bytes());
    key.extend_from_slice(&by.beside.to_be_bytes());
    key.extend_from_slice(&by.port.to_be_bytes());
    key
}

pub(crate) fn interface_key(index: u32) -> Vec<u8> {
    headed(b'i', &index.to_be_bytes())
}

pub(crate) fn init_key(domain: u32) -> Vec<u8> {
    headed(b'u', &domain.to_be_bytes())
}

pub(crate) fn lag_key(port: u32) -> Vec<u8> {
    headed(b'l', &port.to_be_bytes())
}

/// Key of the time since when flows of a kind are known whose counters run on.
pub(crate) fn from_key(kind: u32) -> Vec<u8> {
    headed(b'c', &kind.to_be_bytes())
}

pub(crate) fn totals_key(flow: u128) -> Vec<u8> {
    headed(b'c', &flow.to_be_bytes())
}

pub(crate) fn parked_key(place: &Place) -> Vec<u8> {
    let mut key = vec![b'p'];
    key.extend_from_slice(&place.0.to_be_bytes());
    key.extend_from_slice(&place.1.to_be_bytes());
    key.extend_from_slice(&place.2.to_be_bytes());
    key
}

/// Where a set lies that waits for its template, and when it was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Waits {
    /// Offset in `weir.raw`.
    pub raw_offset: u64,
    /// Index of the datagram in its frame.
    pub frame_index: u32,
    /// Receive time, ns; 0 where the value is gone or can't be read.
    pub received: i64,
}

/// What a record of state says of a set that waits; `None`: it is of something else.
pub fn waits(key: &[u8], value: Option<&[u8]>) -> Option<Waits> {
    let Ok(Key::Parked((raw_offset, frame_index, _))) = read_key(key) else { return None };
    let received = value.and_then(|value| read_parked(value).ok()).map_or(0, |set| set.received);
    Some(Waits { raw_offset, frame_index, received })
}

pub(crate) fn read_key(key: &[u8]) -> Result<Key, StateError> {
    let mut input = Reader(key);
    let mut read = || {
        let found = match input.u8()? {
            b't' => {
                let (version, domain) = (input.u8()?, input.u32()?);
                let (port, id) = (input.u16()?, input.u16()?);
                Key::Template(Group { version, domain, id }, port)
            }
            b'r' => {
                let (version, domain) = (input.u8()?, input.u32()?);
                let scope = input.u8()?;
                let scope = Scope::ALL.into_iter().find(|known| *known as u8 == scope)?;
                let (id, beside, port) = (input.u64()?, input.u64()?, input.u16()?);
                Key::Rate(RateKey { version, domain, scope, id }, By { port, beside })
            }
            b'i' => Key::Interface(input.u32()?),
            b'u' => Key::Init(input.u32()?),
            b'l' => Key::Lag(input.u32()?),
            b'c' if input.0.len() == 4 => Key::TotalsFrom(input.u32()?),
            b'c' => Key::Totals(input.u128()?),
            b'p' => Key::Parked((input.u64()?, input.u32()?, input.u32()?)),
            _ => return None,
        };
        input.0.is_empty().then_some(found)
    };
    read().ok_or(StateError::Key { kind: key.first().copied(), length: key.len() })
}

/// Reads a value of this version to its end.
fn value<'a, T>(
    bytes: &'a [u8],
    what: &str,
    read: impl FnOnce(&mut Reader<'a>) -> Option<T>,
) -> Result<T, StateError> {
    let mut input = Reader(bytes);
    match input.u8() {
        Some(VERSION) => {}
        found => return Err(StateError::Version { found }),
    }
    read(&mut input).and_then(|value| input.end(value)).ok_or_else(|| {
        StateError::Value(format!("{what} of {} bytes is cut off or contradicts itself", bytes.len()))
    })
}

pub(crate) fn template_value(template: &Template) -> Vec<u8> {
    let mut value = vec![VERSION, u8::from(template.options)];
    value.extend_from_slice(&template.plan.scopes.to_be_bytes());
    value.extend_from_slice(&template.learned.to_be_bytes());
    value.extend_from_slice(&template.body);
    value
}

/// Options, scopes, when learned, body.
pub(crate) fn read_template(bytes: &[u8]) -> Result<(bool, u16, i64, &[u8]), StateError> {
    value(bytes, "a template", |input| {
        let options = match input.u8()? {
            0 => false,
            1 => true,
            _ => return None,
        };
        let (scopes, learned) = (input.u16()?, input.i64()?);
        Some((options, scopes, learned, input.take(input.0.len())?))
    })
}

pub(crate) fn rate_value(announcement: &Announcement) -> Vec<u8> {
    let mut value = vec![VERSION];
    match announcement {
        Announcement::Rate(announced) => {
            value.push(0);
            value.extend_from_slice(&announced.ratio.num.to_be_bytes());
            value.extend_from_slice(&announced.ratio.den.to_be_bytes());
            value.push(announced.kind as u8);
            value.extend_from_slice(&announced.flags.to_be_bytes());
            value.push(u8::from(announced.inferred));
        }
        Announcement::Chain(selectors) => {
            value.push(1);
            selectors.iter().for_each(|id| value.extend_from_slice(&id.to_be_bytes()));
        }
        Announcement::Identity(Said { process, original, original_domain }) => {
            value.push(2);
            value.extend_from_slice(&process.0);
            value.extend_from_slice(&original.0);
            original_domain.iter().for_each(|domain| value.extend_from_slice(&domain.to_be_bytes()));
        }
    }
    value
}

pub(crate) fn read_rate(bytes: &[u8], bound: u64) -> Result<Announcement, StateError> {
    value(bytes, "a sampling rate", |input| match input.u8()? {
        0 => {
            let ratio = Ratio::new(input.u128()?, input.u128()?, bound)?;
            let kind = SamplingKind::ALL.get(usize::from(input.u8()?)).copied()?;
            let (flags, inferred) = (input.u32()?, input.u8()? != 0);
            Some(Announcement::Rate(Announced { ratio, kind, flags, inferred }))
        }
        1 => {
            let mut selectors = SmallVec::new();
            while !input.0.is_empty() && selectors.len() < 8 {
                selectors.push(input.u64()?);
            }
            Some(Announcement::Chain(selectors))
        }
        2 => {
            let (process, original) = (Ip(input.array()?), Ip(input.array()?));
            let original_domain = if input.0.is_empty() { None } else { Some(input.u32()?) };
            Some(Announcement::Identity(Said { process, original, original_domain }))
        }
        _ => None,
    })
}

pub(crate) fn interface_value(known: &Known) -> Vec<u8> {
    let mut value = vec![VERSION];
    value.extend_from_slice(&known.learned.to_be_bytes());
    value.extend_from_slice(&known.speed.to_be_bytes());
    for text in [&known.name, &known.description] {
        // Text is cut to a configured length when it is learned; beyond 65535 bytes there is none.
        let bytes = &text.as_bytes()[..text.len().min(usize::from(u16::MAX))];
        value.extend_from_slice(&(bytes.len() as u16).to_be_bytes());
        value.extend_from_slice(bytes);
    }
    value
}

pub(crate) fn read_interface(bytes: &[u8]) -> Result<Known, StateError> {
    value(bytes, "an interface", |input| {
        let (learned, speed) = (input.i64()?, input.u64()?);
        let mut text = || {
            let length = usize::from(input.u16()?);
            Some(std::str::from_utf8(input.take(length)?).ok()?.to_owned())
        };
        Some(Known { name: text()?, description: text()?, speed, learned })
    })
}

pub(crate) fn init_value(init: u64) -> Vec<u8> {
    headed(VERSION, &init.to_be_bytes())
}

pub(crate) fn read_init(bytes: &[u8]) -> Result<u64, StateError> {
    value(bytes, "a start time", Reader::u64)
}

pub(crate) fn lag_value(lag: u32) -> Vec<u8> {
    headed(VERSION, &lag.to_be_bytes())
}

pub(crate) fn read_lag(bytes: &[u8]) -> Result<u32, StateError> {
    value(bytes, "an aggregate", Reader::u32)
}

/// What else a flow's totals have, as bits.
const STARTED: u8 = 1;
const ODD: u8 = 2;

/// Counters that are 0 take no room: this is written for each record.
pub(crate) fn totals_value(last: &Last) -> Vec<u8> {
    let Last { record, odd } = last;
    let told = record.counts.iter().enumerate().filter(|(_, count)| **count != 0);
    let mask = told.clone().fold(0_u8, |mask, (at, _)| mask | 1 << at);
    let started = if record.started.is_some() { STARTED } else { 0 };
    let mut value = vec![VERSION, mask, started | if *odd { ODD } else { 0 }];
    let start = record.started.iter().flat_map(|start| [start.exported, start.anchored]);
    for time in [record.heard, record.ended].into_iter().chain(start) {
        value.extend_from_slice(&time.to_be_bytes());
    }
    told.for_each(|(_, count)| value.extend_from_slice(&count.to_be_bytes()));
    value
}

pub(crate) fn read_totals(bytes: &[u8]) -> Result<Last, StateError> {
    value(bytes, "a flow's totals", |input| {
        let (mask, bits) = (input.u8()?, input.u8()?);
        if bits & !(STARTED | ODD) != 0 {
            return None;
        }
        let mut record = Record { heard: input.i64()?, ended: input.i64()?, ..Record::default() };
        if bits & STARTED != 0 {
            record.started = Some(Start { exported: input.i64()?, anchored: input.i64()? });
        }
        for (_, count) in record.counts.iter_mut().enumerate().filter(|(at, _)| mask & 1 << at != 0) {
            *count = input.u64()?;
        }
        Some(Last { record, odd: bits & ODD != 0 })
    })
}

pub(crate) fn from_value(from: i64) -> Vec<u8> {
    headed(VERSION, &from.to_be_bytes())
}

pub(crate) fn read_from(bytes: &[u8]) -> Result<i64, StateError> {
    value(bytes, "a time since when totals are known", Reader::i64)
}

pub(crate) fn parked_value(set: &Set) -> Vec<u8> {
    let mut value = Vec::with_capacity(48 + set.buffer.len());
    value.extend_from_slice(&[VERSION, set.group.version]);
    value.extend_from_slice(&set.group.domain.to_be_bytes());
    value.extend_from_slice(&set.group.id.to_be_bytes());
    value.extend_from_slice(&set.port.to_be_bytes());
    value.extend_from_slice(&set.received.to_be_bytes());
    value.extend_from_slice(&set.exported.to_be_bytes());
    value.push(u8::from(set.uptime.is_some()));
    value.extend_from_slice(&set.uptime.unwrap_or_default().to_be_bytes());
    value.extend_from_slice(&set.record_index.to_be_bytes());
    value.extend_from_slice(&set.offset.to_be_bytes());
    value.extend_from_slice(set.bytes());
    value
}

pub(crate) fn read_parked(bytes: &[u8]) -> Result<Set, StateError> {
    value(bytes, "a waiting set", |input| {
        let (version, domain, id) = (input.u8()?, input.u32()?, input.u16()?);
        if !matches!(version, 9 | 10) {
            return None;
        }
        let (port, received, exported) = (input.u16()?, input.i64()?, input.i64()?);
        let (has_uptime, uptime) = (input.u8()? != 0, input.u32()?);
        let (record_index, offset) = (input.u32()?, input.u32()?);
        let set = input.take(input.0.len()).filter(|set| (4..=usize::from(u16::MAX)).contains(&set.len()))?;
        let mut buffer = vec![0; 4];
        buffer.extend_from_slice(set);
        Some(Set {
            group: Group { version, domain, id },
            port,
            received,
            exported,
            uptime: has_uptime.then_some(uptime),
            record_index,
            offset,
            buffer,
        })
    })
}
