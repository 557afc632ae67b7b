//! ClickHouse's RowBinaryWithNamesAndTypes, written without going through a row type of a client library.
//!
//! A header (column count, names, types) and then rows; see "RowBinaryWithNamesAndTypes" in ClickHouse's documentation. The server
//! checks names and types against the table, so a drift between code and table is an error, never a shifted column.

use crate::record::Column;

/// Appends an unsigned LEB128 number, as ClickHouse writes lengths.
#[inline]
pub fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Appends the header: how many columns, their names, their types.
pub fn put_header<'c>(out: &mut Vec<u8>, columns: impl Iterator<Item = &'c Column> + Clone) {
    put_varint(out, columns.clone().count() as u64);
    let mut text = |text: &str| {
        put_varint(out, text.len() as u64);
        out.extend_from_slice(text.as_bytes());
    };
    columns.clone().for_each(|column| text(column.name));
    columns.for_each(|column| text(&(column.clickhouse)()));
}
