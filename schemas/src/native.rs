//! ClickHouse's Native format: rows turned into columns, as the server keeps them.
//!
//! Rows are collected as RowBinary, one after another, because that is how they come; they are sent as one block of columns, because that is
//! how they are stored. The server takes a row of `flows` for a seventh of the CPU that it takes for RowBinary (docs/benchmarks.md), most of which
//! goes into finding each text in its column's dictionary again; here that is once for each different text.
//!
//! The layout is that of ClickHouse's `NativeWriter` without a protocol version, as it is over HTTP: counts of columns and rows, then name, type
//! and values of each column (`SerializationLowCardinality`, `SerializationNullable`, `SerializationArray` for what is not plain numbers). The
//! server finds columns by name; with the settings of Weir's inserts one that it lacks or that has another type is an error, so a drift between
//! code and table never shifts or shortens a value.

use crate::from_row::{RowError, RowReader};
use crate::record::Column;
use crate::room::{VARINT, append, put, put_varint};
use crate::value::Layout;
use ahash::AHashMap;

/// One block of rows that were written by [`put_row`](crate::Flow::put_row), columns in the same order.
///
/// # Errors
/// Where the rows are not those of the columns.
pub fn block<'c>(
    columns: impl Iterator<Item = &'c Column> + Clone,
    rows: &[u8],
) -> Result<Vec<u8>, RowError> {
    let mut values: Vec<Values<'_>> = columns.clone().map(|column| Values::new(column.layout)).collect();
    let (mut input, mut count) = (RowReader::new(rows), 0);
    while !input.is_empty() {
        for column in &mut values {
            column.take(&mut input)?;
        }
        count += 1;
    }
    let heads = columns.clone().map(|column| 2 * VARINT + column.name.len() + (column.clickhouse)().len());
    let most = heads.chain(values.iter().map(Values::most)).sum::<usize>() + 2 * VARINT;
    let mut out = Vec::with_capacity(most);
    varint(&mut out, values.len() as u64);
    varint(&mut out, count);
    for (column, values) in columns.zip(&values) {
        text(&mut out, column.name.as_bytes());
        text(&mut out, (column.clickhouse)().as_bytes());
        if count > 0 {
            values.put(&mut out);
        }
    }
    debug_assert!(out.len() <= most, "{} bytes in room for {most}", out.len());
    Ok(out)
}

/// The values of one column.
enum Values<'r> {
    Fixed { width: usize, values: Vec<u8> },
    Nullable { width: usize, none: Vec<u8>, values: Vec<u8> },
    Text { keys: Vec<&'r [u8]>, numbers: AHashMap<&'r [u8], u32>, of_rows: Vec<u32>, last: u32 },
    Numbers { ends: Vec<u64>, values: Vec<u8> },
}

impl<'r> Values<'r> {
    fn new(layout: Layout) -> Self {
        match layout {
            Layout::Fixed(width) => Self::Fixed { width, values: Vec::new() },
            Layout::Nullable(width) => Self::Nullable { width, none: Vec::new(), values: Vec::new() },
            Layout::Text => {
                Self::Text { keys: Vec::new(), numbers: AHashMap::new(), of_rows: Vec::new(), last: 0 }
            }
            Layout::Numbers => Self::Numbers { ends: Vec::new(), values: Vec::new() },
        }
    }

    /// Takes the next row's value.
    #[inline]
    fn take(&mut self, input: &mut RowReader<'r>) -> Result<(), RowError> {
        match self {
            Self::Fixed { width, values } => fixed(*width, values, input)?,
            Self::Nullable { width, none, values } => {
                let [is_none] = input.fixed()?;
                none.push(is_none);
                if is_none == 0 {
                    fixed(*width, values, input)?;
                } else {
                    values.resize(values.len() + *width, 0);
                }
            }
            Self::Text { keys, numbers, of_rows, last } => {
                let length = input.length()?;
                let key = input.take(length)?;
                // Flows that follow each other often have the same.
                if keys.get(*last as usize) != Some(&key) {
                    let next = keys.len() as u32;
                    *last = *numbers.entry(key).or_insert(next);
                    if *last == next {
                        keys.push(key);
                    }
                }
                of_rows.push(*last);
            }
            Self::Numbers { ends, values } => {
                let count = input.length()?;
                let bytes = count.checked_mul(4).ok_or(RowError::OutOfRange { at: input.position() })?;
                values.extend_from_slice(input.take(bytes)?);
                ends.push(values.len() as u64 / 4);
            }
        }
        Ok(())
    }

    /// Most bytes that it takes in a block.
    fn most(&self) -> usize {
        match self {
            Self::Fixed { values, .. } => values.len(),
            Self::Nullable { none, values, .. } => none.len() + values.len(),
            Self::Numbers { ends, values } => 8 * ends.len() + values.len(),
            Self::Text { keys, of_rows, .. } => {
                let text: usize = keys.iter().map(|key| VARINT + key.len()).sum();
                4 * 8 + text + 4 * of_rows.len()
            }
        }
    }

    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Fixed { values, .. } => out.extend_from_slice(values),
            Self::Nullable { none, values, .. } => {
                out.extend_from_slice(none);
                out.extend_from_slice(values);
            }
            Self::Numbers { ends, values } => {
                ends.iter().for_each(|end| number(out, *end));
                out.extend_from_slice(values);
            }
            Self::Text { keys, of_rows, .. } => put_texts(out, keys, of_rows),
        }
    }
}

/// `SharedDictionariesWithAdditionalKeys`, the only version of a LowCardinality column's keys.
const KEYS_VERSION: u64 = 1;
/// The block brings its own keys, and they are all that it has.
const OWN_KEYS: u64 = 1 << 9 | 1 << 10;

fn put_texts(out: &mut Vec<u8>, keys: &[&[u8]], of_rows: &[u32]) {
    // Indexes are as wide as the number of keys needs: 1, 2 or 4 bytes, by its logarithm.
    let width = match keys.len() {
        0..=0x100 => 0,
        0x101..=0x1_0000 => 1,
        _ => 2,
    };
    number(out, KEYS_VERSION);
    number(out, OWN_KEYS | width);
    number(out, keys.len() as u64);
    keys.iter().for_each(|key| text(out, key));
    number(out, of_rows.len() as u64);
    match width {
        0 => out.extend(of_rows.iter().map(|n| *n as u8)),
        1 => of_rows.iter().for_each(|n| out.extend_from_slice(&(*n as u16).to_le_bytes())),
        _ => of_rows.iter().for_each(|n| out.extend_from_slice(&n.to_le_bytes())),
    }
}

/// Copies of lengths that the compiler knows are much quicker than others.
#[inline]
fn fixed(width: usize, values: &mut Vec<u8>, input: &mut RowReader<'_>) -> Result<(), RowError> {
    match width {
        1 => values.extend_from_slice(&input.fixed::<1>()?),
        2 => values.extend_from_slice(&input.fixed::<2>()?),
        4 => values.extend_from_slice(&input.fixed::<4>()?),
        8 => values.extend_from_slice(&input.fixed::<8>()?),
        _ => {
            debug_assert_eq!(width, 16);
            values.extend_from_slice(&input.fixed::<16>()?);
        }
    }
    Ok(())
}

fn number(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(&number.to_le_bytes());
}

fn varint(out: &mut Vec<u8>, number: u64) {
    append(out, VARINT, |room| put_varint(room, number));
}

fn text(out: &mut Vec<u8>, text: &[u8]) {
    append(out, VARINT + text.len(), |room| put(put_varint(room, text.len() as u64), text));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::columns::{Batch, Flow};
    use crate::rollup::{FLOWS, tables};
    use crate::value::U32s;

    #[test]
    fn rows_that_are_cut_off_are_refused_with_their_place_and_none_are_a_block_of_none() {
        let mut rows = Vec::new();
        Batch::default().put_row(&mut rows);
        Flow { as_path: U32s::Native(&[64500, 64501]), in_if_name: "et-0/0/0", ..Flow::default() }
            .put_row(&mut rows);
        assert_eq!(block(FLOWS.all_columns(), &rows).unwrap()[1], 1, "rows");
        for cut in 1..rows.len() {
            let refused = block(FLOWS.all_columns(), &rows[..cut]).unwrap_err();
            assert!(matches!(refused, RowError::Truncated { at } if at <= cut), "{cut}: {refused}");
        }
        let none = block(FLOWS.all_columns(), &[]).unwrap();
        assert_eq!(none[..2], [FLOWS.all_columns().count() as u8, 0], "columns and rows");
    }

    #[test]
    fn values_lie_as_the_columns_type_says() {
        for column in tables().flat_map(|table| table.all_columns().collect::<Vec<_>>()) {
            let name = (column.clickhouse)();
            let width = |name: &str| match name {
                "UInt16" => 2,
                "UInt32" | "DateTime('UTC')" => 4,
                "UInt64" | "Int64" | "DateTime64(9, 'UTC')" => 8,
                "UInt128" | "Int128" | "IPv6" => 16,
                _ => {
                    assert!(name == "UInt8" || name.starts_with("Enum8("), "{name}");
                    1
                }
            };
            let wanted = match name.as_str() {
                "LowCardinality(String)" => Layout::Text,
                "Array(UInt32)" => Layout::Numbers,
                name => match name.strip_prefix("Nullable(").and_then(|rest| rest.strip_suffix(')')) {
                    Some(inner) => Layout::Nullable(width(inner)),
                    None => Layout::Fixed(width(name)),
                },
            };
            assert_eq!(column.layout, wanted, "{} {name}", column.name);
        }
    }

    #[test]
    fn each_different_text_is_there_once_and_indexes_are_as_wide_as_they_must_be() {
        for (different, width) in [(1, 1), (256, 1), (257, 2), (65_536, 2), (65_537, 4)] {
            let texts: Vec<_> = (0..different).map(|n| format!("{n:05}")).collect();
            let keys: Vec<_> = texts.iter().map(String::as_bytes).collect();
            let of_rows: Vec<u32> = (0..different).chain([0, 0]).collect();
            let mut out = Vec::new();
            put_texts(&mut out, &keys, &of_rows);
            assert_eq!(out.len(), 4 * 8 + different as usize * 6 + of_rows.len() * width, "{different}");
        }
    }
}
