//! All that is known of one exporter, and the way of a datagram through it.

use crate::options::{Budget, Options};
use crate::output::{Context, Counts, Output};
use thiserror::Error;
use weir_schemas::frame::Datagram;

/// Why a record of kept state can't be read back. The state it held is lost: it is learned again when the exporter resends it.
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
    #[error("state value has version {found:?}, this build reads {known}")]
    Version {
        /// First byte of the value.
        found: Option<u8>,
        /// What this build reads.
        known: u8,
    },
    /// The value contradicts itself, or is beyond a limit.
    #[error("state value can't be used: {0}")]
    Value(String),
}

/// Everything known of one exporter, that is, of one transport source address: compiled templates, sampling rates, interfaces,
/// and data that waits for its template.
#[derive(Debug, Default)]
pub struct Exporter {}

impl Exporter {
    /// Decodes a datagram: flows, faults and state go to `out`. No bytes can make it panic, loop, or keep more than `options` and
    /// `budget` allow.
    pub fn decode(
        &mut self,
        _context: &Context,
        _datagram: &Datagram<'_>,
        _options: &Options,
        _budget: &mut Budget,
        _out: &mut impl Output,
    ) -> Counts {
        Counts::default()
    }

    /// Gives up what waits longer than `options` allow, by the exporter's own latest receive time. [`decode`](Self::decode) does
    /// it too.
    pub fn expire(&mut self, _options: &Options, _budget: &mut Budget, _out: &mut impl Output) -> Counts {
        Counts::default()
    }

    /// Gives up all that still waits, because no more input will come.
    pub fn finish(&mut self, _budget: &mut Budget, _out: &mut impl Output) -> Counts {
        Counts::default()
    }

    /// Takes back a record of state: the inverse of [`Output::state`]. A missing value is a tombstone.
    pub fn restore(
        &mut self,
        _key: &[u8],
        _value: Option<&[u8]>,
        _options: &Options,
        _budget: &mut Budget,
    ) -> Result<(), StateError> {
        Ok(())
    }

    /// All state as keys and values, in the order of keys: what [`Output::state`] would have left in a compacted topic.
    pub fn dump(&self, _out: impl FnMut(&[u8], &[u8])) {}
}
