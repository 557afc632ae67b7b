//! A part of a NetFlow v9 or IPFIX datagram as a datagram of its own, with the header that it came under: what could not be decoded is
//! tried again without its neighbours, which were.

use crate::netflow::SET_HEADER;

/// The first byte of the set that has byte `offset`.
fn set_of(datagram: &[u8], header: usize, offset: usize) -> Option<usize> {
    let mut at = header;
    while let Some(&[_, _, high, low]) = datagram.get(at..)?.first_chunk::<SET_HEADER>() {
        let length = usize::from(u16::from_be_bytes([high, low]));
        // A set whose length can't be true takes the rest.
        let end =
            if length < SET_HEADER || length > datagram.len() - at { datagram.len() } else { at + length };
        if (at..end).contains(&offset) {
            return Some(at);
        }
        at = end;
    }
    None
}

/// Header and the `length` bytes at `offset`: a whole set, or a template or the last records of one. `None` where there is no such part, it
/// begins within a set's own header, or there is no header that sets have.
pub fn alone(datagram: &[u8], offset: usize, length: usize) -> Option<Vec<u8>> {
    let header = match datagram {
        [0, 9, ..] => 20,
        [0, 10, ..] => 16,
        _ => return None,
    };
    let begin = set_of(datagram, header, offset)?;
    if offset > begin && offset < begin + SET_HEADER {
        return None;
    }
    let part = datagram.get(offset..offset.checked_add(length)?).filter(|part| !part.is_empty())?;
    let mut out = datagram.get(..header)?.to_vec();
    if offset > begin {
        let length = u16::try_from(part.len() + SET_HEADER).ok()?;
        out.extend_from_slice(datagram.get(begin..begin + 2)?);
        out.extend_from_slice(&length.to_be_bytes());
    }
    out.extend_from_slice(part);
    // v9 counts records, of which nobody knows how many a set of data has; IPFIX has the message's length.
    let told = if header == 16 { u16::try_from(out.len()).ok()? } else { 1 };
    out.get_mut(2..4)?.copy_from_slice(&told.to_be_bytes());
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn set(id: u16, body: &[u8]) -> Vec<u8> {
        [&id.to_be_bytes()[..], &(body.len() as u16 + 4).to_be_bytes(), body].concat()
    }

    fn message(sets: &[Vec<u8>]) -> Vec<u8> {
        let sets = sets.concat();
        let length = (sets.len() as u16 + 16).to_be_bytes();
        [&[0, 10][..], &length, &[7; 12], &sets].concat()
    }

    #[test]
    fn a_set_is_taken_out_with_its_header_and_nothing_else() {
        let (first, second) = (set(300, &[1, 2, 3, 4]), set(301, &[5, 6]));
        let whole = message(&[first.clone(), second.clone()]);
        assert_eq!(alone(&whole, 16, 8), Some(message(&[first])));
        assert_eq!(alone(&whole, 24, 6), Some(message(&[second])));
        assert_eq!(alone(&whole, 30, 1), None);
        assert_eq!(alone(&whole, 24, 7), None);
        assert_eq!(alone(&whole, 18, 6), None, "a set's header is no part of it");
    }

    #[test]
    fn a_part_of_a_set_is_a_set_of_the_same_id() {
        let whole = message(&[set(2, &[9; 8]), set(301, &[1, 2, 3, 4, 5, 6])]);
        assert_eq!(
            alone(&whole, 36, 2),
            Some(message(&[set(301, &[5, 6])])).filter(|_| whole[36..] == [5, 6][..])
        );
        assert_eq!(alone(&whole, 20, 8), Some(message(&[set(2, &[9; 8])])));
    }

    #[test]
    fn a_header_of_version_9_stays_but_for_its_count() {
        let datagram = [&[0, 9, 0, 5][..], &[7; 16], &set(256, &[1, 2, 3, 4])].concat();
        let taken = alone(&datagram, 20, 8).unwrap();
        assert_eq!(taken[..4], [0, 9, 0, 1]);
        assert_eq!(taken[4..], datagram[4..]);
    }

    proptest! {
        #[test]
        fn any_bytes_give_a_datagram_that_is_no_longer_or_none(bytes: Vec<u8>, nine: bool, offset in 0..300usize, length in 0..300usize) {
            let datagram = [&[0, if nine { 9 } else { 10 }][..], &bytes].concat();
            if let Some(taken) = alone(&datagram, offset, length) {
                prop_assert!(taken.len() <= datagram.len());
            }
        }
    }
}
