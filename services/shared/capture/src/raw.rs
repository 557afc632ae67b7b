//! Messages without a capture around them: one datagram, or messages of NetFlow without templates or of IPFIX one after another.

use crate::{CaptureError, Captured};
use std::borrow::Cow;
use weir_schemas::Ip;

/// Messages by the lengths that they give.
#[derive(Debug)]
pub(crate) struct Messages<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// Length of the message that these bytes begin with, and its export time in ns; all of them where it gives no length that fits.
fn message(bytes: &[u8]) -> Option<(usize, i64)> {
    let u16_at = |at: usize| bytes.get(at..)?.first_chunk().map(|b| usize::from(u16::from_be_bytes(*b)));
    let seconds = |at: usize| {
        let word = bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |b| u32::from_be_bytes(*b));
        i64::from(word) * 1_000_000_000
    };
    let all = bytes.len();
    match *bytes {
        [0, 1 | 5 | 7 | 8, ..] => {
            let length = weir_wire::netflow_length(bytes).filter(|length| *length <= all);
            Some((length.unwrap_or(all), seconds(8)))
        }
        [0, 10, ..] => {
            let length = u16_at(2).filter(|length| (16..=all).contains(length)).unwrap_or(all);
            Some((length, seconds(4)))
        }
        [0, 9, ..] => Some((all, seconds(8))),
        [0, 0, 0, 2 | 4 | 5, ..] => Some((all, 0)),
        _ => None,
    }
}

impl<'a> Messages<'a> {
    /// Checks that the bytes begin like a message.
    pub(crate) fn open(bytes: &'a [u8]) -> Result<Self, CaptureError> {
        match message(bytes) {
            Some(_) => Ok(Self { bytes, at: 0 }),
            None => {
                let first = bytes.iter().take(4).map(|b| format!("{b:02x}")).collect();
                Err(CaptureError::Unknown { first })
            }
        }
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Captured<'a>;

    fn next(&mut self) -> Option<Captured<'a>> {
        let rest = self.bytes.get(self.at..).filter(|rest| !rest.is_empty())?;
        // What is no message is given whole: the decoder says what is wrong with it.
        let (length, time) = message(rest).unwrap_or((rest.len(), 0));
        let at = self.at;
        self.at += length;
        Some(Captured {
            source: Ip::v4([127, 0, 0, 1]),
            source_port: 0,
            destination_port: 0,
            time,
            at,
            payload: Cow::Borrowed(&rest[..length]),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lengths(bytes: &[u8]) -> Vec<usize> {
        Messages::open(bytes).unwrap().map(|message| message.payload.len()).collect()
    }

    #[test]
    fn messages_one_after_another_are_split_by_their_own_lengths() {
        let mut v5 = vec![0, 5, 0, 1];
        v5.resize(72, 0);
        assert_eq!(lengths(&[&v5[..], &v5[..]].concat()), [72, 72]);
        let mut v1 = vec![0, 1, 0, 2];
        v1.resize(112, 0);
        assert_eq!(lengths(&[&v1[..], &v5[..]].concat()), [112, 72]);
        let mut ipfix = vec![0, 10, 0, 20, 0, 0, 0, 7];
        ipfix.resize(20, 0);
        assert_eq!(lengths(&[&ipfix[..], &ipfix[..], &ipfix[..5]].concat()), [20, 20, 5]);
        assert_eq!(Messages::open(&ipfix).unwrap().next().map(|m| m.time), Some(7_000_000_000));
    }

    #[test]
    fn a_message_that_gives_too_great_a_length_is_all_that_is_left() {
        assert_eq!(lengths(&[0, 10, 1, 0, 0, 0]), [6]);
        assert_eq!(lengths(&[0, 5, 0, 30, 0]), [5]);
        assert_eq!(lengths(&[0, 9, 0, 1, 0]), [5]);
    }

    proptest! {
        #[test]
        fn no_byte_is_lost_or_given_twice(mut bytes in prop::collection::vec(any::<u8>(), 4..300), version in prop::sample::select(vec![1_u8, 5, 7, 8, 9, 10])) {
            bytes[0] = 0;
            bytes[1] = version;
            prop_assert_eq!(lengths(&bytes).iter().sum::<usize>(), bytes.len());
        }
    }
}
