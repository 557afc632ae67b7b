//! Frames: how records lie in a log file, a header and a body of records that were appended at once.
//!
//! No I/O. What must stay true: a frame says everything about itself (place, length, checksums), so that a file can be read without
//! the index, and no bytes whatsoever make reading panic.

use crate::Message;
use std::sync::Arc;

/// What a frame begins with.
const MAGIC: u32 = u32::from_le_bytes(*b"WFR1");
/// Length of a header, bytes.
pub(super) const HEADER: usize = 44;
/// A body is closed when it is this long, bytes: what a reader holds at a time.
pub(super) const FULL: usize = 1 << 20;
/// The largest record, bytes: far above what any topic carries, far below what lengths can say.
pub(super) const MOST: usize = 64 << 20;
/// Stands for the length of a value that is not there: a tombstone.
const NONE: u32 = u32::MAX;

/// The fixed part of a frame, all little-endian: magic, then these, then a checksum of all that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Bytes of the body as it lies there.
    pub stored: u32,
    /// Bytes of the body uncompressed; the same number where it is not compressed.
    pub plain: u32,
    /// Offsets that the frame takes; those of its records lie in it.
    pub span: u32,
    /// Partition.
    pub partition: u32,
    /// First offset.
    pub base: u64,
    /// When it was appended, ms since the epoch.
    pub appended: u64,
    /// CRC-32 of the body as it lies there.
    pub body_crc: u32,
}

impl Header {
    pub(super) fn bytes(&self) -> [u8; HEADER] {
        let mut out = [0; HEADER];
        let fields: [&[u8]; 8] = [
            &MAGIC.to_le_bytes(),
            &self.stored.to_le_bytes(),
            &self.plain.to_le_bytes(),
            &self.span.to_le_bytes(),
            &self.partition.to_le_bytes(),
            &self.base.to_le_bytes(),
            &self.appended.to_le_bytes(),
            &self.body_crc.to_le_bytes(),
        ];
        let mut at = 0;
        for field in fields {
            out[at..at + field.len()].copy_from_slice(field);
            at += field.len();
        }
        let crc = crc32fast::hash(&out[..at]);
        out[at..at + 4].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// `None`: these bytes are no header.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut from = Cursor(bytes.get(..HEADER)?);
        let (magic, stored, plain) = (from.u32()?, from.u32()?, from.u32()?);
        let (span, partition) = (from.u32()?, from.u32()?);
        let (base, appended, body_crc) = (from.u64()?, from.u64()?, from.u32()?);
        let whole = crc32fast::hash(&bytes[..HEADER - 4]) == from.u32()?;
        (magic == MAGIC && whole).then_some(Self { stored, plain, span, partition, base, appended, body_crc })
    }
}

struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn u16(&mut self) -> Option<u16> {
        self.take(2).map(|bytes| u16::from_le_bytes([bytes[0], bytes[1]]))
    }

    fn u32(&mut self) -> Option<u32> {
        self.take(4).map(|bytes| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    fn u64(&mut self) -> Option<u64> {
        let (low, high) = (self.u32()?, self.u32()?);
        Some(u64::from(low) | u64::from(high) << 32)
    }
}

/// A record as it lies in a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stored<'a> {
    /// Its offset less the frame's first.
    pub delta: u32,
    /// When it was appended, ms since the epoch; 0: with its frame.
    pub appended: u64,
    pub key: &'a [u8],
    /// `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// Names and values as [`header`] reads them.
    pub headers: &'a [u8],
}

/// The record that begins at `at`, and where the next one does.
pub(super) fn record(body: &[u8], at: usize) -> Option<(Stored<'_>, usize)> {
    let mut from = Cursor(body.get(at..)?);
    let (delta, appended) = (from.u32()?, from.u64()?);
    let (key, value, headers) = (from.u32()?, from.u32()?, from.u32()?);
    let key = from.take(key as usize)?;
    let value = if value == NONE { None } else { Some(from.take(value as usize)?) };
    let headers = from.take(headers as usize)?;
    Some((Stored { delta, appended, key, value, headers }, body.len() - from.0.len()))
}

/// The last header of that name.
pub(crate) fn header<'a>(headers: &'a [u8], wanted: &str) -> Option<&'a [u8]> {
    let mut from = Cursor(headers);
    let mut found = None;
    while !from.0.is_empty() {
        let length = from.u16()?;
        let name = from.take(usize::from(length))?;
        let length = from.u32()?;
        let value = from.take(length as usize)?;
        if name == wanted.as_bytes() {
            found = Some(value);
        }
    }
    found
}

/// Records that will be a frame.
#[derive(Clone, Debug, Default)]
pub(super) struct Body {
    bytes: Vec<u8>,
    records: u32,
}

impl Body {
    /// Adds a record, at the offset after the last one.
    pub(super) fn push(&mut self, message: &Message<'_>) {
        let headers: usize = message.headers.iter().map(|(name, value)| 6 + name.len() + value.len()).sum();
        self.begin(self.records, 0, message.key, message.value, headers);
        for (name, value) in message.headers {
            self.bytes.extend_from_slice(&(name.len() as u16).to_le_bytes());
            self.bytes.extend_from_slice(name.as_bytes());
            self.bytes.extend_from_slice(&(value.len() as u32).to_le_bytes());
            self.bytes.extend_from_slice(value);
        }
    }

    /// Adds a record that was stored before, at an offset of its own after all that are there.
    pub(super) fn push_stored(&mut self, delta: u32, stored: &Stored<'_>) {
        self.begin(delta, stored.appended, stored.key, stored.value, stored.headers.len());
        self.bytes.extend_from_slice(stored.headers);
    }

    fn begin(&mut self, delta: u32, appended: u64, key: &[u8], value: Option<&[u8]>, headers: usize) {
        self.bytes.extend_from_slice(&delta.to_le_bytes());
        self.bytes.extend_from_slice(&appended.to_le_bytes());
        let length = value.map_or(NONE, |value| value.len() as u32);
        for number in [key.len() as u32, length, headers as u32] {
            self.bytes.extend_from_slice(&number.to_le_bytes());
        }
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(value.unwrap_or_default());
        self.records = delta + 1;
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn fit(&mut self) {
        self.bytes.shrink_to_fit();
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Compresses and sums up: all of the work that needs no place in a log yet.
    pub(super) fn close(self, compress: bool) -> Closed {
        let packed = compress
            .then(|| lz4_flex::block::compress(&self.bytes))
            .filter(|packed| packed.len() < self.bytes.len());
        let crc = crc32fast::hash(packed.as_ref().unwrap_or(&self.bytes));
        Closed { plain: Arc::new(self.bytes), packed, span: self.records, crc }
    }
}

/// A body that is ready to be given its place.
#[derive(Clone, Debug)]
pub(super) struct Closed {
    plain: Arc<Vec<u8>>,
    packed: Option<Vec<u8>>,
    span: u32,
    crc: u32,
}

impl Closed {
    /// Bytes as they lie in the file.
    pub(super) fn stored(&self) -> &[u8] {
        self.packed.as_ref().unwrap_or(&self.plain)
    }

    pub(super) fn span(&self) -> u32 {
        self.span
    }

    pub(super) fn header(&self, partition: u32, base: u64, appended: u64) -> Header {
        Header {
            stored: self.stored().len() as u32,
            plain: self.plain.len() as u32,
            span: self.span,
            partition,
            base,
            appended,
            body_crc: self.crc,
        }
    }

    /// As a reader has it.
    pub(super) fn frame(&self, base: i64, appended: i64) -> Frame {
        Frame { base, end: base + i64::from(self.span), appended, body: Arc::clone(&self.plain) }
    }
}

/// A frame in memory.
#[derive(Debug)]
pub(super) struct Frame {
    /// First offset.
    pub base: i64,
    /// Where the next frame's offsets may begin. Not all offsets before it are records.
    pub end: i64,
    /// When it was appended, ms since the epoch.
    pub appended: i64,
    /// Records, one after another.
    pub body: Arc<Vec<u8>>,
}

impl Frame {
    /// Records that say themselves when they were appended.
    pub(super) fn new(base: i64, end: i64, body: Vec<u8>) -> Self {
        Self { base, end, appended: 0, body: Arc::new(body) }
    }

    /// Reads header and body as they lie in a file. `None`: they are no frame, or not whole.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let header = Header::parse(bytes)?;
        let stored = bytes.get(HEADER..HEADER + header.stored as usize)?;
        if crc32fast::hash(stored) != header.body_crc {
            return None;
        }
        let body = if header.stored == header.plain {
            stored.to_vec()
        } else {
            lz4_flex::block::decompress(stored, header.plain as usize).ok()?
        };
        let base = i64::try_from(header.base).ok()?;
        let appended = i64::try_from(header.appended).ok()?;
        Some(Self { base, end: base.checked_add(i64::from(header.span))?, appended, body: Arc::new(body) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message<'a>(
        key: &'a [u8],
        value: Option<&'a [u8]>,
        headers: &'a [(&'a str, &'a [u8])],
    ) -> Message<'a> {
        Message { topic: "t", partition: 3, key, value, headers }
    }

    fn file(body: Body, compress: bool) -> Vec<u8> {
        let closed = body.close(compress);
        let mut bytes = closed.header(3, 70, 1_790_000_000_000).bytes().to_vec();
        bytes.extend_from_slice(closed.stored());
        bytes
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            records in proptest::collection::vec(
                (any::<Vec<u8>>(), any::<Option<Vec<u8>>>(), proptest::collection::vec(any::<Vec<u8>>(), 0..3)), 0..20),
            compress: bool,
        ) {
            let mut body = Body::default();
            for (key, value, headers) in &records {
                let headers: Vec<(&str, &[u8])> = headers.iter().map(|value| ("name", value.as_slice())).collect();
                body.push(&message(key, value.as_deref(), &headers));
            }
            let frame = Frame::parse(&file(body, compress)).unwrap();
            prop_assert_eq!((frame.base, frame.end), (70, 70 + records.len() as i64));
            let mut at = 0;
            for (number, (key, value, headers)) in records.iter().enumerate() {
                let (stored, next) = record(&frame.body, at).unwrap();
                at = next;
                prop_assert_eq!(stored.delta as usize, number);
                prop_assert_eq!((stored.key, stored.value), (key.as_slice(), value.as_deref()));
                prop_assert_eq!(header(stored.headers, "name"), headers.last().map(Vec::as_slice));
                prop_assert_eq!(header(stored.headers, "other"), None);
            }
            prop_assert_eq!(at, frame.body.len());
        }

        #[test]
        fn no_bytes_make_reading_panic(bytes: Vec<u8>, at in 0_usize..100) {
            let _ = (Frame::parse(&bytes), record(&bytes, at), header(&bytes, "n"));
        }

        #[test]
        fn a_frame_that_is_cut_or_changed_is_none(cut in 0_usize..200, flip in 0_usize..200) {
            let mut body = Body::default();
            body.push(&message(b"key", Some(&[7; 90]), &[("a", b"b")]));
            let bytes = file(body, false);
            prop_assert!(Frame::parse(&bytes[..cut.min(bytes.len() - 1)]).is_none());
            let mut changed = bytes.clone();
            let at = flip % bytes.len();
            changed[at] ^= 0x10;
            prop_assert!(Frame::parse(&changed).is_none(), "byte {}", at);
        }
    }
}
