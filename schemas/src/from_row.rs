//! ClickHouse's RowBinary, read: the mirror of what [`Value::put_row`](crate::value::Value::put_row) writes.
//!
//! What a window was decoded to before is read back from the store with this, so that the sink's own code can sum it. A row that is not
//! what the table of columns says is an error with its place, never a shifted column. Text and lists stay where they lie.

use crate::value::{Country, Ip, Mac, Slot, Time, U32s};
use thiserror::Error;

/// Why rows can't be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RowError {
    /// They end in the middle of a value.
    #[error("rows end in the middle of a value at byte {at}")]
    Truncated {
        /// Byte offset.
        at: usize,
    },
    /// A value that its column can't have.
    #[error("value at byte {at} is out of range for its column")]
    OutOfRange {
        /// Byte offset.
        at: usize,
    },
    /// Text that is not UTF-8.
    #[error("text at byte {at} is not UTF-8")]
    Utf8 {
        /// Byte offset.
        at: usize,
    },
}

/// A place in RowBinary.
#[derive(Clone, Debug)]
pub struct RowReader<'a> {
    all: &'a [u8],
    at: usize,
}

impl<'a> RowReader<'a> {
    /// Starts at the front of rows without a header.
    pub fn new(all: &'a [u8]) -> Self {
        Self { all, at: 0 }
    }

    /// Byte offset of the next value.
    #[inline]
    pub fn position(&self) -> usize {
        self.at
    }

    /// True behind the last row.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.at >= self.all.len()
    }

    #[inline]
    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], RowError> {
        let truncated = RowError::Truncated { at: self.at };
        let end = self.at.checked_add(length).ok_or(truncated)?;
        let bytes = self.all.get(self.at..end).ok_or(truncated)?;
        self.at = end;
        Ok(bytes)
    }

    /// Reads so many bytes.
    #[inline]
    pub fn fixed<const N: usize>(&mut self) -> Result<[u8; N], RowError> {
        let at = self.at;
        self.take(N)?.try_into().map_err(|_| RowError::Truncated { at })
    }

    /// Reads a length: an unsigned LEB128 number.
    #[inline]
    pub(crate) fn length(&mut self) -> Result<usize, RowError> {
        let start = self.at;
        let mut number = 0u64;
        for shift in (0..70).step_by(7) {
            let [byte] = self.fixed().map_err(|_| RowError::Truncated { at: start })?;
            if shift == 63 && byte > 1 {
                break;
            }
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return usize::try_from(number).map_err(|_| RowError::OutOfRange { at: start });
            }
        }
        Err(RowError::OutOfRange { at: start })
    }
}

/// A type of column that can be read from a row.
pub trait FromRow<'a>: Sized {
    /// Reads the RowBinary encoding.
    fn get_row(input: &mut RowReader<'a>) -> Result<Self, RowError>;
}

macro_rules! numbers {
    ($($ty:ty)*) => {$(
        impl FromRow<'_> for $ty {
            #[inline]
            fn get_row(input: &mut RowReader<'_>) -> Result<Self, RowError> {
                input.fixed().map(Self::from_le_bytes)
            }
        }
    )*};
}

numbers! { u8 u16 u32 u64 u128 i64 i128 }

impl<'a, V: FromRow<'a>> FromRow<'a> for Option<V> {
    #[inline]
    fn get_row(input: &mut RowReader<'a>) -> Result<Self, RowError> {
        let at = input.position();
        match input.fixed()? {
            [0] => V::get_row(input).map(Some),
            [1] => Ok(None),
            _ => Err(RowError::OutOfRange { at }),
        }
    }
}

impl FromRow<'_> for Time {
    #[inline]
    fn get_row(input: &mut RowReader<'_>) -> Result<Self, RowError> {
        i64::get_row(input).map(Self)
    }
}

impl FromRow<'_> for Slot {
    #[inline]
    fn get_row(input: &mut RowReader<'_>) -> Result<Self, RowError> {
        u32::get_row(input).map(Self)
    }
}

impl FromRow<'_> for Ip {
    #[inline]
    fn get_row(input: &mut RowReader<'_>) -> Result<Self, RowError> {
        input.fixed().map(Self)
    }
}

impl FromRow<'_> for Mac {
    #[inline]
    fn get_row(input: &mut RowReader<'_>) -> Result<Self, RowError> {
        let at = input.position();
        match input.fixed()? {
            [f, e, d, c, b, a, 0, 0] => Ok(Self([a, b, c, d, e, f])),
            _ => Err(RowError::OutOfRange { at }),
        }
    }
}

impl FromRow<'_> for Country {
    #[inline]
    fn get_row(input: &mut RowReader<'_>) -> Result<Self, RowError> {
        Ok(Self::new(<&str>::get_row(input)?))
    }
}

impl<'a> FromRow<'a> for &'a str {
    #[inline]
    fn get_row(input: &mut RowReader<'a>) -> Result<Self, RowError> {
        let length = input.length()?;
        let at = input.position();
        std::str::from_utf8(input.take(length)?).map_err(|_| RowError::Utf8 { at })
    }
}

impl<'a> FromRow<'a> for U32s<'a> {
    #[inline]
    fn get_row(input: &mut RowReader<'a>) -> Result<Self, RowError> {
        let at = input.position();
        let bytes = input.length()?.checked_mul(4).ok_or(RowError::OutOfRange { at })?;
        input.take(bytes).map(Self::Row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Value;

    fn written<'a>(value: &impl Value<'a>) -> Vec<u8> {
        let mut out = Vec::new();
        crate::room::append(&mut out, value.most(), |room| value.put_row(room));
        out
    }

    #[test]
    fn what_a_column_can_not_have_is_refused_with_its_place() {
        let refused = RowError::OutOfRange { at: 0 };
        assert_eq!(crate::Direction::get_row(&mut RowReader::new(&[3])), Err(refused));
        assert_eq!(Option::<u8>::get_row(&mut RowReader::new(&[2, 0])), Err(refused));
        assert_eq!(Mac::get_row(&mut RowReader::new(&[0, 0, 0, 0, 0, 0, 0, 1])), Err(refused));
        assert_eq!(<&str>::get_row(&mut RowReader::new(&[1, 0xff])), Err(RowError::Utf8 { at: 1 }));
        // Lengths of which no memory could hold what they promise.
        let endless = [&[0xff; 9][..], &[1]].concat();
        assert!(<&str>::get_row(&mut RowReader::new(&endless)).is_err());
        assert!(U32s::get_row(&mut RowReader::new(&endless)).is_err());
    }

    #[test]
    fn negative_numbers_are_read_as_they_were_written() {
        for n in [i64::MIN, -1, 0, 1, i64::MAX] {
            assert_eq!(i64::get_row(&mut RowReader::new(&written(&n))), Ok(n));
            let wide = i128::from(n) << 63;
            assert_eq!(i128::get_row(&mut RowReader::new(&written(&wide))), Ok(wide));
            let mut avro = Vec::new();
            crate::room::append(&mut avro, wide.most(), |room| wide.put_avro(room));
            assert_eq!(i128::get_avro(&mut crate::avro::Reader::new(&avro)), Ok(wide));
        }
    }
}
