//! Writing into room that was made before: what both encodings of a row stand on.
//!
//! A row is written column by column, most of them a byte or a few. Room for all of them is made once ([`append`]), and each column
//! takes its bytes from the front and hands on the rest, so that nothing is looked up or stored between columns but the bytes themselves.

/// What a number or a piece of text may write beyond its end, to be overwritten by what comes next.
const SLACK: usize = 16;

/// Most bytes of a number of 64 bits in groups of seven.
pub const VARINT: usize = 10;

/// Appends what `write` puts into room of `most` bytes; it gives back what it has left over.
#[inline]
pub fn append(out: &mut Vec<u8>, most: usize, write: impl FnOnce(&mut [u8]) -> &mut [u8]) {
    let start = out.len();
    out.resize(start + most + SLACK, 0);
    let left = write(&mut out[start..]).len();
    out.truncate(out.len() - left);
}

/// Puts bytes.
#[inline(always)]
pub fn put<'r>(room: &'r mut [u8], bytes: &[u8]) -> &'r mut [u8] {
    let (here, rest) = room.split_at_mut(bytes.len());
    here.copy_from_slice(bytes);
    rest
}

/// Puts the first `length` of bytes whose number the compiler knows, which is quicker than to copy only those.
#[inline(always)]
pub fn put_first<const N: usize>(room: &mut [u8], bytes: [u8; N], length: usize) -> &mut [u8] {
    room[..N].copy_from_slice(&bytes);
    &mut room[length..]
}

/// Puts an unsigned LEB128 number: groups of seven bits, the lowest first, each but the last marked by its top bit.
#[inline(always)]
pub fn put_varint(room: &mut [u8], number: u64) -> &mut [u8] {
    if number < 0x80 { put_first(room, [number as u8], 1) } else { put_groups(room, number) }
}

const GROUPS: u64 = (1 << 56) - 1;
const MARKS: u64 = 0x8080_8080_8080_8080;

/// The same, of any number, without a branch for each group.
fn put_groups(room: &mut [u8], number: u64) -> &mut [u8] {
    let mut groups = number & GROUPS;
    groups = (groups & 0x0000_0000_0fff_ffff) | ((groups & 0x00ff_ffff_f000_0000) << 4);
    groups = (groups & 0x0000_3fff_0000_3fff) | ((groups & 0x0fff_c000_0fff_c000) << 2);
    groups = (groups & 0x007f_007f_007f_007f) | ((groups & 0x3f80_3f80_3f80_3f80) << 1);
    let length = (number | 1).ilog2() as usize / 7 + 1;
    if length <= 8 {
        let last = 0x80 << (8 * (length - 1));
        return put_first(room, ((groups | MARKS) ^ last).to_le_bytes(), length);
    }
    let room = put(room, &(groups | MARKS).to_le_bytes());
    let rest = number >> 56;
    if length == 9 { put(room, &[rest as u8]) } else { put(room, &[rest as u8 | 0x80, 1]) }
}

/// Reads the first groups of a LEB128 number of at most 64 bits, and says how many bytes they took; 0: it is cut off or too large.
pub fn get_varint(bytes: &[u8]) -> (u64, usize) {
    let Some(first) = bytes.first_chunk::<8>().map(|first| u64::from_le_bytes(*first)) else {
        return get_short(bytes);
    };
    let ends = !first & MARKS;
    // All bits up to and with the mark of the last group; where no group of these is the last, all of them.
    let mut groups = first & !MARKS & (ends ^ ends.wrapping_sub(1));
    groups = (groups & 0x007f_007f_007f_007f) | ((groups & 0x7f00_7f00_7f00_7f00) >> 1);
    groups = (groups & 0x0000_3fff_0000_3fff) | ((groups & 0x3fff_0000_3fff_0000) >> 2);
    groups = (groups & 0x0000_0000_0fff_ffff) | ((groups & 0x0fff_ffff_0000_0000) >> 4);
    if ends != 0 {
        return (groups, ends.trailing_zeros() as usize / 8 + 1);
    }
    match bytes[8..] {
        [last @ ..0x80, ..] => (groups | u64::from(last) << 56, 9),
        [next, last @ ..2, ..] => (groups | u64::from(next & 0x7f) << 56 | u64::from(last) << 63, 10),
        _ => (0, 0),
    }
}

/// The same near the end of a message.
fn get_short(bytes: &[u8]) -> (u64, usize) {
    let mut number = 0;
    for (byte, length) in bytes.iter().zip(1..) {
        number |= u64::from(byte & 0x7f) << (7 * (length - 1));
        if byte & 0x80 == 0 {
            return (number, length);
        }
    }
    (0, 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn group_by_group(mut number: u64) -> Vec<u8> {
        let mut out = Vec::new();
        while number >= 0x80 {
            out.push(number as u8 | 0x80);
            number >>= 7;
        }
        out.push(number as u8);
        out
    }

    proptest! {
        #[test]
        fn a_number_is_written_group_by_group_and_read_again(number: u64, shift in 0..64_u32, behind: Vec<u8>) {
            let (number, mut out) = (number >> shift, vec![7]);
            append(&mut out, VARINT, |room| put_varint(room, number));
            prop_assert_eq!(&out[1..], &group_by_group(number));
            let length = out.len() - 1;
            out.extend(behind);
            prop_assert_eq!(get_varint(&out[1..]), (number, length));
        }

        #[test]
        fn bytes_of_any_kind_are_a_number_or_none(bytes in prop::collection::vec(prop_oneof![Just(0xff), Just(0x80), any::<u8>()], 0..12)) {
            let groups = bytes.iter().take_while(|byte| **byte >= 0x80).count();
            let is_number = groups < bytes.len() && (groups < 9 || (groups == 9 && bytes[9] < 2));
            let (number, length) = get_varint(&bytes);
            prop_assert_eq!(length, if is_number { groups + 1 } else { 0 });
            let value = bytes.iter().take(length).zip(0..).fold(0, |n, (byte, at)| n | u64::from(byte & 0x7f) << (7 * at));
            prop_assert_eq!(number, value);
        }
    }
}
