//! A value of `weir.deadletter`: bytes that could not be used, whole, with where they came from and why.
//!
//! A version byte, the length of a JSON description (two bytes, big-endian), the description, then the bytes. Everything that
//! decoding them again needs is in it, so that a mended decoder can be fed from here.

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

/// Writes a dead letter.
pub fn write(about: &About, bytes: &[u8]) -> Vec<u8> {
    let mut description = serde_json::to_vec(about).expect("a description has string keys and plain values");
    if description.len() > usize::from(u16::MAX) {
        let short = About { sentence: String::new(), ..about.clone() };
        description = serde_json::to_vec(&short).expect("a description has string keys and plain values");
    }
    let length = u16::try_from(description.len()).expect("words, numbers and a topic's name are short");
    let mut out = vec![VERSION];
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(&description);
    out.extend_from_slice(bytes);
    out
}

/// Reads a dead letter: what is known of it, and its bytes.
pub fn read(value: &[u8]) -> Result<(About, &[u8]), DeadLetterError> {
    let Some((&[VERSION, high, low], rest)) = value.split_first_chunk::<3>() else {
        return Err(DeadLetterError::Framing);
    };
    let length = usize::from(u16::from_be_bytes([high, low]));
    let (description, bytes) = rest.split_at_checked(length).ok_or(DeadLetterError::Framing)?;
    Ok((serde_json::from_slice(description)?, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_letter_keeps_its_bytes_and_its_story() {
        let about = About {
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
        };
        let written = write(&about, &[1, 2, 3]);
        assert_eq!(read(&written).unwrap(), (about.clone(), &[1, 2, 3][..]));
        assert!(read(&written[..10]).is_err());
        let long = About { sentence: "x".repeat(70_000), ..about };
        assert_eq!(read(&write(&long, &[9])).unwrap().1, [9]);
    }
}
