//! IP fragments put together again.
//!
//! Bounded in datagrams and bytes; what does not become whole is reported with the place of its first fragment.

use crate::link::Packet;
use std::collections::{BTreeMap, HashMap};
use weir_schemas::Ip;

/// Datagrams that may be incomplete at a time.
const OPEN: usize = 1024;
/// Longest IP payload.
const LONGEST: usize = 65_535;

type Key = (Ip, Ip, u32, u8);

#[derive(Debug)]
struct Open<'a> {
    at: usize,
    parts: BTreeMap<usize, &'a [u8]>,
    held: usize,
    total: Option<usize>,
}

/// Datagrams of which fragments are missing.
#[derive(Debug, Default)]
pub(crate) struct Fragments<'a> {
    open: HashMap<Key, Open<'a>>,
}

/// What is given up: where its first fragment lies, and where it came from.
pub(crate) type Lost = (usize, Ip);

impl<'a> Fragments<'a> {
    /// Takes a fragment. Gives the payload of the datagram that it completes, or what had to be given up for it.
    pub(crate) fn push(&mut self, at: usize, packet: &Packet<'a>) -> (Option<Vec<u8>>, Option<Lost>) {
        let Some((id, offset, more)) = packet.fragment else { return (None, None) };
        let key = (packet.source, packet.destination, id, packet.protocol);
        let mut lost = None;
        if !self.open.contains_key(&key) && self.open.len() >= OPEN {
            let oldest = self.open.iter().min_by_key(|(_, open)| open.at).map(|(key, _)| *key);
            lost = oldest.and_then(|key| self.open.remove(&key).map(|open| (open.at, key.0)));
        }
        let open =
            self.open.entry(key).or_insert_with(|| Open { at, parts: BTreeMap::new(), held: 0, total: None });
        if offset + packet.payload.len() <= LONGEST && !open.parts.contains_key(&offset) {
            open.parts.insert(offset, packet.payload);
            open.held += packet.payload.len();
            if !more {
                open.total = Some(offset + packet.payload.len());
            }
        }
        if open.total != Some(open.held) {
            return (None, lost);
        }
        let mut whole = Vec::with_capacity(open.held);
        for (offset, part) in &open.parts {
            if *offset != whole.len() {
                return (None, lost);
            }
            whole.extend_from_slice(part);
        }
        self.open.remove(&key);
        (Some(whole), lost)
    }

    /// Gives up what is still incomplete, first come first.
    pub(crate) fn finish(&mut self) -> Vec<Lost> {
        let mut lost: Vec<Lost> = self.open.drain().map(|(key, open)| (open.at, key.0)).collect();
        lost.sort_unstable_by_key(|(at, _)| std::cmp::Reverse(*at));
        lost
    }
}
