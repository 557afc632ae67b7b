//! XDR (RFC 4506), in which all of sFlow is written: numbers of four bytes, big-endian, and opaque data padded to four.

use weir_schemas::{Ip, Mac};

/// A cursor over XDR.
#[derive(Clone, Copy)]
pub(super) struct Xdr<'a>(pub &'a [u8]);

impl<'a> Xdr<'a> {
    pub(super) fn u32(&mut self) -> Option<u32> {
        let (head, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*head))
    }

    pub(super) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(head)
    }

    /// Opaque data of a length that is given, with its padding. The last one's padding may be missing.
    pub(super) fn opaque(&mut self, length: usize) -> Option<&'a [u8]> {
        let data = self.take(length)?;
        let padding = length.wrapping_neg() % 4;
        self.0 = self.0.get(padding..).unwrap_or_default();
        Some(data)
    }

    pub(super) fn address(&mut self) -> Option<Ip> {
        match self.u32()? {
            0 => Some(Ip::default()),
            1 => self.take(4)?.first_chunk().map(|b| Ip::v4(*b)),
            2 => self.take(16)?.first_chunk().map(|b| Ip(*b)),
            _ => None,
        }
    }

    /// A list of numbers, as its bytes.
    pub(super) fn u32s(&mut self) -> Option<&'a [u8]> {
        let count = self.u32()? as usize;
        self.take(count.checked_mul(4)?)
    }

    pub(super) fn mac(&mut self) -> Option<Mac> {
        self.take(8)?.first_chunk::<6>().map(|b| Mac(*b))
    }
}
