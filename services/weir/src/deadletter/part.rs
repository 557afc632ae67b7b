//! What of a letter goes back into `weir.raw`, and why of some nothing does. No I/O.
//!
//! What must stay true: what was decoded already never goes back; of a datagram only the part that gave nothing, with the header that it
//! came under.

use super::letters::Letter;
use weir_schemas::frame::{self, Datagram, FrameWriter};

/// What of the record that a letter is of goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it, as it lay in `weir.raw`.
    Frame,
    /// The letter's bytes are a datagram.
    Datagram,
    /// They are a part of one, and go under its header.
    Set,
}

/// What goes back, by reason; or why nothing does.
pub fn part(letter: &Letter) -> Result<Part, String> {
    let about = &letter.about;
    if letter.cut_from.is_some() {
        return Err("it was too large for a message, and only its beginning is here".into());
    }
    if letter.bytes.is_empty() {
        return Err("it holds no bytes: what is missing never came".into());
    }
    match about.reason.as_str() {
        "poison" | "too_many_exporters" if about.protocol == "frame" => Ok(Part::Frame),
        "unreadable_batch" => {
            Err("it is a batch of flows that the sink could not read; `weir redecode` makes it anew from weir.raw".into())
        }
        "bad_frame" => Err("it is a frame that can't be read, whose readable datagrams were decoded".into()),
        "bad_key" => Err("it has no exporter's address for a key".into()),
        "bad_rate" | "bad_sample" => {
            Err("its flows may be stored already; `weir redecode` decodes the whole window again".into())
        }
        "trailing_bytes" => Err("it is what followed behind a datagram's end".into()),
        "parked_restart" => Err("its exporter restarted before it said what such a set means".into()),
        "unknown_version" | "unsupported_version" => Ok(Part::Datagram),
        "truncated" | "bad_set_length" if about.byte_offset == 0 => Ok(Part::Datagram),
        "truncated" => Err("what is missing of it never came".into()),
        "parked_limit" | "parked_expired" | "parked_at_end" | "bad_set_length" | "reserved_set" | "bad_template"
        | "template_limit" | "bad_record" | "state_limit" => Ok(Part::Set),
        other => Err(format!("this release doesn't know what to do with {other}")),
    }
}

/// The frame that goes back for a letter; `original` is the record of `weir.raw` that it is a part of, where there still is one.
///
/// # Errors
/// A sentence that says why there is none.
pub fn frame(letter: &Letter, original: Option<&[u8]>) -> Result<Vec<u8>, String> {
    let about = &letter.about;
    let (listener, payload) = match part(letter)? {
        Part::Frame => return Ok(letter.bytes.clone()),
        Part::Datagram => (0, letter.bytes.clone()),
        Part::Set => {
            let original = original
                .and_then(|value| frame::datagrams(value).nth(about.frame_index as usize)?.ok())
                .ok_or("weir.raw no longer has its datagram, and so not the header that it came under")?;
            let lies =
                original.payload.get(about.byte_offset..).is_some_and(|rest| rest.starts_with(&letter.bytes));
            let alone =
                weir_wire::alone(original.payload, about.byte_offset, letter.bytes.len()).filter(|_| lies);
            (original.listener, alone.ok_or("its bytes are not where weir.raw should have them")?)
        }
    };
    let mut writer = FrameWriter::default();
    let datagram =
        Datagram { received: about.received, listener, source_port: about.source_port, payload: &payload };
    if writer.push(&datagram) {
        Ok(writer.as_bytes().to_vec())
    } else {
        Err("it is longer than a datagram".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deadletter::letters::tests::letter;

    fn set(id: u16, body: &[u8]) -> Vec<u8> {
        [&id.to_be_bytes()[..], &(body.len() as u16 + 4).to_be_bytes(), body].concat()
    }

    fn message(sets: &[Vec<u8>]) -> Vec<u8> {
        let sets = sets.concat();
        [&[0, 10][..], &(sets.len() as u16 + 16).to_be_bytes(), &[7; 12], &sets].concat()
    }

    fn of(reason: &str, byte_offset: usize, bytes: &[u8]) -> Letter {
        let mut letter = letter(reason, 77);
        letter.about.byte_offset = byte_offset;
        letter.length = bytes.len();
        letter.bytes = bytes.to_vec();
        letter
    }

    #[test]
    fn of_a_datagram_only_the_set_that_gave_nothing_goes_back_under_its_own_time_and_port() {
        let (decoded, waited) = (set(300, &[1; 8]), set(301, &[2; 8]));
        let whole = message(&[decoded, waited.clone()]);
        let mut frames = FrameWriter::default();
        for payload in [&[0, 5][..], &whole] {
            frames.push(&Datagram { received: 77, listener: 4739, source_port: 2055, payload });
        }
        let original = Some(frames.as_bytes());
        let frame = frame(&of("parked_expired", 28, &waited), original).unwrap();
        let alone = message(std::slice::from_ref(&waited));
        let expected = Datagram { received: 77, listener: 4739, source_port: 2055, payload: &alone };
        assert_eq!(frame::datagrams(&frame).collect::<Vec<_>>(), [Ok(expected)]);
        // Other bytes than the letter's, or none at all, are nobody's to guess.
        assert!(
            super::frame(&of("parked_expired", 16, &waited), original).unwrap_err().contains("not where")
        );
        let gone = super::frame(&of("parked_expired", 28, &waited), None).unwrap_err();
        assert!(gone.starts_with("weir.raw no longer has"), "{gone}");
    }

    #[test]
    fn what_can_not_be_put_back_is_said_so() {
        let refused = |letter: Letter| frame(&letter, None).unwrap_err();
        for reason in [
            "unreadable_batch",
            "bad_frame",
            "bad_key",
            "bad_rate",
            "bad_sample",
            "trailing_bytes",
            "of_a_later_release",
        ] {
            assert!(!refused(of(reason, 0, &[1])).is_empty(), "{reason}");
        }
        assert!(refused(of("truncated", 24, &[1])).contains("never came"));
        assert!(refused(of("parked_restart", 24, &[1])).contains("restarted"));
        assert!(refused(of("parked_expired", 24, &[])).contains("no bytes"));
        let cut = Letter { cut_from: Some(1_000_000), ..of("poison", 0, &[1]) };
        assert!(refused(cut).contains("too large"));
    }

    #[test]
    fn whole_records_and_datagrams_need_nothing_else() {
        let mut poison = of("poison", 0, &[1, 2, 3]);
        poison.about.protocol = "frame".to_owned();
        assert_eq!(frame(&poison, None), Ok(vec![1, 2, 3]));
        let back = frame(&of("unsupported_version", 0, &[0, 1, 9]), None).unwrap();
        let expected = Datagram { received: 77, listener: 0, source_port: 2055, payload: &[0, 1, 9] };
        assert_eq!(frame::datagrams(&back).collect::<Vec<_>>(), [Ok(expected)]);
    }

    /// Every reason that the decoder has is decided on.
    #[test]
    fn every_reason_of_the_decoder_is_known() {
        for reason in weir_wire::Reason::ALL {
            let known = part(&of(reason.word(), 24, &[1]));
            assert!(
                !known.clone().is_err_and(|why| why.contains("this release")),
                "{}: {known:?}",
                reason.word()
            );
        }
    }
}
