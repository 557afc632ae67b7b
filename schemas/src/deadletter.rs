//! A value of `weir.deadletter`: bytes that could not be used, whole, with where they came from and why.
//!
//! A version byte, the length of a JSON description (two bytes, big-endian), the description, then the bytes. A mended decoder can be fed
//! from here; the header that a part of a datagram came under lies in `weir.raw`, at the place that is named. Only what is too large for a
//! message is cut, and the letter says so: one that could not be written would hold up everything behind it.
//!
//! Beside letters there are marks: a letter that was put back into `weir.raw` is named by one, on its own partition, that was written with
//! what was put back in one transaction. And what was put back says where it lay before, so that decoding the log again decodes it once.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Version of the format.
pub const VERSION: u8 = 1;

/// What is known of a dead letter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// Why, as a stable word.
    pub reason: String,
    /// Why, as a sentence.
    pub sentence: String,
    /// Topic of the record that held it.
    pub topic: String,
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Index of the datagram in its frame.
    pub frame_index: u32,
    /// Byte offset of the bytes in the datagram.
    pub byte_offset: usize,
    /// Receive time of the datagram, ns.
    pub received: i64,
    /// UDP port it came from.
    pub source_port: u16,
    /// Protocol, as far as it was recognised.
    pub protocol: String,
    /// Observation domain, as far as it was read.
    pub observation_domain: u32,
}

/// Most bytes of a letter. Kafka's clients refuse messages of more than 1 000 000 bytes, key and headers included.
pub const MAX_BYTES: usize = 900_000;

/// Bytes of a key that a letter has.
const MAX_KEY: usize = 1024;

/// The key of a letter: that of its record. An exporter's has 16 bytes; more than some is nobody's, and must not make the letter too large to
/// write.
pub fn key(of_record: &[u8]) -> &[u8] {
    &of_record[..of_record.len().min(MAX_KEY)]
}

/// The description as it is written: where bytes were cut off, with how many there were.
#[derive(Serialize, Deserialize)]
struct Description<A> {
    #[serde(flatten)]
    about: A,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cut_from: Option<usize>,
}

/// First byte of a mark.
const MARK: u8 = 0x80;

/// The value that says that the letter at this offset of the same partition was put back.
pub fn mark(offset: i64) -> Vec<u8> {
    let mut out = vec![MARK];
    out.extend_from_slice(&offset.to_be_bytes());
    out
}

/// The offset that a mark names; `None`: it is a letter.
pub fn marked(value: &[u8]) -> Option<i64> {
    let (&MARK, offset) = value.split_first()? else { return None };
    Some(i64::from_be_bytes(offset.try_into().ok()?))
}

/// Header of a record of `weir.raw` that was put back: its [`Origin`].
pub const ORIGIN_HEADER: &str = "weir-origin";

/// What a letter was made of: a part of a record on the partition that it was put back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    /// Offset of the record.
    pub offset: i64,
    /// Index of the datagram in its frame; of a whole record, 0.
    pub frame_index: u32,
    /// Byte offset in the datagram.
    pub byte_offset: u64,
    /// Receive time of that datagram, ns; 0 where it can't be read. A topic that was created anew has other records at the same offsets.
    pub received: i64,
}

impl Origin {
    /// As the header has it.
    pub fn bytes(&self) -> Vec<u8> {
        let Self { offset, frame_index, byte_offset, received } = self;
        [
            &offset.to_be_bytes()[..],
            &frame_index.to_be_bytes(),
            &byte_offset.to_be_bytes(),
            &received.to_be_bytes(),
        ]
        .concat()
    }

    /// Reads it; `None`: it is none.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let (offset, rest) = bytes.split_first_chunk()?;
        let (frame_index, rest) = rest.split_first_chunk()?;
        let (byte_offset, received) = rest.split_first_chunk()?;
        Some(Self {
            offset: i64::from_be_bytes(*offset),
            frame_index: u32::from_be_bytes(*frame_index),
            byte_offset: u64::from_be_bytes(*byte_offset),
            received: i64::from_be_bytes(received.try_into().ok()?),
        })
    }
}

/// Why a dead letter can't be read.
#[derive(Debug, Error)]
pub enum DeadLetterError {
    /// Cut off or of another version.
    #[error("dead letter is cut off or not of version {VERSION}")]
    Framing,
    /// Its description is not what this build knows.
    #[error("description of the dead letter can't be read: {0}")]
    About(#[from] serde_json::Error),
}

/// Writes a dead letter of at most [`MAX_BYTES`]: of bytes that are more, the beginning, and how many they were.
pub fn write(about: &About, bytes: &[u8]) -> Vec<u8> {
    let describe = |about: &About, cut_from| {
        let description = Description { about, cut_from };
        serde_json::to_vec(&description).expect("a description has string keys and plain values")
    };
    let fits = |description: &[u8]| description.len() <= usize::from(u16::MAX);
    let mut short = about.clone();
    let mut description = describe(&short, None);
    if !fits(&description) {
        short.sentence.clear();
        description = describe(&short, None);
    }
    let mut room = MAX_BYTES.saturating_sub(3 + description.len());
    if bytes.len() > room {
        description = describe(&short, Some(bytes.len()));
        if !fits(&description) {
            short.sentence.clear();
            description = describe(&short, Some(bytes.len()));
        }
        room = MAX_BYTES.saturating_sub(3 + description.len());
    }
    let kept = &bytes[..bytes.len().min(room)];
    let length = u16::try_from(description.len()).expect("words, numbers and a topic's name are short");
    let mut out = vec![VERSION];
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(&description);
    out.extend_from_slice(kept);
    out
}

fn parts(value: &[u8]) -> Result<(&[u8], &[u8]), DeadLetterError> {
    let Some((&[VERSION, high, low], rest)) = value.split_first_chunk::<3>() else {
        return Err(DeadLetterError::Framing);
    };
    let length = usize::from(u16::from_be_bytes([high, low]));
    rest.split_at_checked(length).ok_or(DeadLetterError::Framing)
}

/// Reads a dead letter: what is known of it, and its bytes.
pub fn read(value: &[u8]) -> Result<(About, &[u8]), DeadLetterError> {
    let (description, bytes) = parts(value)?;
    Ok((serde_json::from_slice(description)?, bytes))
}

/// How many bytes there were, where a letter has only the first of them.
pub fn cut_from(value: &[u8]) -> Result<Option<usize>, DeadLetterError> {
    let description: Description<About> = serde_json::from_slice(parts(value)?.0)?;
    Ok(description.cut_from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about() -> About {
        About {
            reason: "truncated".into(),
            sentence: "set ends before its length".into(),
            topic: "weir.raw".into(),
            partition: 3,
            offset: 9,
            frame_index: 1,
            byte_offset: 20,
            received: 5,
            source_port: 2055,
            protocol: "ipfix".into(),
            observation_domain: 7,
        }
    }

    #[test]
    fn a_dead_letter_keeps_its_bytes_and_its_story() {
        let about = about();
        let written = write(&about, &[1, 2, 3]);
        assert_eq!(read(&written).unwrap(), (about.clone(), &[1, 2, 3][..]));
        assert!(read(&written[..10]).is_err());
        assert_eq!((marked(&written), marked(&mark(7)), marked(&[])), (None, Some(7), None));
        assert!(read(&mark(7)).is_err());
        let long = About { sentence: "x".repeat(70_000), ..about };
        assert_eq!(read(&write(&long, &[9])).unwrap().1, [9]);
        assert_eq!(cut_from(&written).unwrap(), None);
    }

    #[test]
    fn an_origin_is_read_as_it_was_written() {
        let origin = Origin {
            offset: 1 << 40,
            frame_index: 7,
            byte_offset: 1400,
            received: 1_790_000_000_000_000_001,
        };
        let bytes = origin.bytes();
        assert_eq!(Origin::read(&bytes), Some(origin));
        assert!((0..bytes.len()).all(|length| Origin::read(&bytes[..length]).is_none()));
        assert_eq!(Origin::read(&[&bytes[..], &[0]].concat()), None);
    }

    #[test]
    fn a_letter_fits_a_message_whatever_is_in_it_and_says_what_was_cut() {
        let large = vec![7; 1_000_000];
        // The longest sentences that a description still holds, without and with the length beside it.
        let bare = write(&About { sentence: String::new(), ..about() }, &[]).len() - 3;
        let sentences = (0..25).map(|less| usize::from(u16::MAX) - bare - less).chain([0, 70_000]);
        for length in sentences {
            let about = About { sentence: "x".repeat(length), ..about() };
            let letter = write(&about, &large);
            assert_eq!(letter.len(), MAX_BYTES);
            let (told, bytes) = read(&letter).unwrap();
            assert_eq!((told.reason, told.offset), (about.reason, about.offset));
            assert!(large.starts_with(bytes) && bytes.len() > 800_000);
            assert_eq!(cut_from(&letter).unwrap(), Some(large.len()));
        }
    }
}
