//! ClickHouse's RowBinaryWithNamesAndTypes, written without going through a row type of a client library.
//!
//! A header (column count, names, types) and then rows; see "RowBinaryWithNamesAndTypes" in ClickHouse's documentation. The server
//! checks names and types against the table, so a drift between code and table is an error, never a shifted column.

use crate::record::Column;
use crate::room::{VARINT, append, put_varint};
use crate::value::Value;

/// Appends the header: how many columns, their names, their types.
pub fn put_header<'c>(out: &mut Vec<u8>, columns: impl Iterator<Item = &'c Column> + Clone) {
    append(out, VARINT, |room| put_varint(room, columns.clone().count() as u64));
    let mut text = |text: &str| append(out, text.most(), |room| text.put_row(room));
    columns.clone().for_each(|column| text(column.name));
    columns.for_each(|column| text(&(column.clickhouse)()));
}
