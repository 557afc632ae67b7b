//! A value of `weir.raw`: datagrams of one exporter, as received.
//!
//! Ingest understands nothing of what it carries, so a frame is nothing but datagrams with what the kernel told of them. The
//! first byte is the format's version; readers refuse what they don't know instead of guessing. Numbers are big-endian.

use thiserror::Error;

/// Version of the format that [`FrameWriter`] writes.
pub const VERSION: u8 = 1;
/// Bytes before a datagram: receive time 8, listener port 2, source port 2, length 2.
const HEADER: usize = 14;

/// A datagram as received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// Kernel receive time, ns since the epoch.
    pub received: i64,
    /// Local UDP port it came to.
    pub listener: u16,
    /// Remote UDP port it came from.
    pub source_port: u16,
    /// UDP payload.
    pub payload: &'a [u8],
}

/// Why a frame can't be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FrameError {
    /// Nothing in it.
    #[error("frame is empty")]
    Empty,
    /// Written by something newer, or not a frame.
    #[error("frame has format version {0}, this build reads version {VERSION}")]
    Version(u8),
    /// Ends in the middle of a datagram.
    #[error("frame is cut off in the datagram that starts at byte {at}")]
    Truncated {
        /// Byte offset of the datagram's header in the frame.
        at: usize,
    },
}

/// Collects datagrams of one exporter into a frame.
#[derive(Debug, Default)]
pub struct FrameWriter {
    bytes: Vec<u8>,
    datagrams: u32,
}

impl FrameWriter {
    /// Appends a datagram. Payloads are UDP's, so at most 65 535 bytes; a longer one is refused with `false`.
    pub fn push(&mut self, datagram: &Datagram<'_>) -> bool {
        let Ok(length) = u16::try_from(datagram.payload.len()) else { return false };
        if self.bytes.is_empty() {
            self.bytes.push(VERSION);
        }
        self.bytes.extend_from_slice(&datagram.received.to_be_bytes());
        self.bytes.extend_from_slice(&datagram.listener.to_be_bytes());
        self.bytes.extend_from_slice(&datagram.source_port.to_be_bytes());
        self.bytes.extend_from_slice(&length.to_be_bytes());
        self.bytes.extend_from_slice(datagram.payload);
        self.datagrams += 1;
        true
    }

    /// The frame so far, empty where nothing was pushed.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Datagrams in it.
    pub fn datagrams(&self) -> u32 {
        self.datagrams
    }

    /// Makes it empty and keeps its memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.datagrams = 0;
    }
}

/// The datagrams of a frame in order. After an error the iterator ends.
pub fn datagrams(frame: &[u8]) -> Datagrams<'_> {
    Datagrams { frame, at: 0 }
}

/// Iterator of [`datagrams`].
#[derive(Clone, Debug)]
pub struct Datagrams<'a> {
    frame: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Datagrams<'a> {
    type Item = Result<Datagram<'a>, FrameError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at == 0 {
            match self.frame.first() {
                Some(&VERSION) => self.at = 1,
                first => {
                    let error = first.map_or(FrameError::Empty, |version| FrameError::Version(*version));
                    (self.frame, self.at) = (&[], 1);
                    return Some(Err(error));
                }
            }
        }
        let rest = self.frame.get(self.at..).filter(|rest| !rest.is_empty())?;
        let read = || {
            let (header, rest) = rest.split_first_chunk::<HEADER>()?;
            let [r0, r1, r2, r3, r4, r5, r6, r7, l0, l1, s0, s1, n0, n1] = *header;
            let payload = rest.get(..usize::from(u16::from_be_bytes([n0, n1])))?;
            Some(Datagram {
                received: i64::from_be_bytes([r0, r1, r2, r3, r4, r5, r6, r7]),
                listener: u16::from_be_bytes([l0, l1]),
                source_port: u16::from_be_bytes([s0, s1]),
                payload,
            })
        };
        let datagram = read().ok_or(FrameError::Truncated { at: self.at });
        match datagram {
            Ok(d) => self.at += HEADER + d.payload.len(),
            Err(_) => self.at = self.frame.len(),
        }
        Some(datagram)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_was_pushed_is_what_is_read(
            all in prop::collection::vec((any::<i64>(), any::<u16>(), any::<u16>(), prop::collection::vec(any::<u8>(), 0..300)), 1..20)
        ) {
            let mut writer = FrameWriter::default();
            let pushed: Vec<_> = all.iter().map(|(received, listener, source_port, payload)| Datagram {
                received: *received, listener: *listener, source_port: *source_port, payload,
            }).collect();
            assert!(pushed.iter().all(|d| writer.push(d)));
            let read: Result<Vec<_>, _> = datagrams(writer.as_bytes()).collect();
            prop_assert_eq!(read.unwrap(), pushed);
            prop_assert_eq!(writer.datagrams() as usize, all.len());
        }

        #[test]
        fn any_bytes_end_with_datagrams_or_one_error(bytes in prop::collection::vec(any::<u8>(), 0..500)) {
            let read: Vec<_> = datagrams(&bytes).collect();
            prop_assert!(read.iter().rev().skip(1).all(Result::is_ok));
        }
    }

    #[test]
    fn a_frame_of_another_version_is_refused_by_its_number() {
        assert_eq!(datagrams(&[7, 0, 0]).collect::<Vec<_>>(), [Err(FrameError::Version(7))]);
        assert_eq!(datagrams(&[]).collect::<Vec<_>>(), [Err(FrameError::Empty)]);
    }

    #[test]
    fn a_cut_off_frame_yields_what_is_whole_and_then_the_place() {
        let mut writer = FrameWriter::default();
        let whole = Datagram { received: 1, listener: 2055, source_port: 9, payload: b"whole" };
        writer.push(&whole);
        writer.push(&Datagram { payload: b"cut", ..whole });
        let bytes = &writer.as_bytes()[..writer.as_bytes().len() - 1];
        assert_eq!(datagrams(bytes).collect::<Vec<_>>(), [Ok(whole), Err(FrameError::Truncated { at: 20 })]);
    }
}
