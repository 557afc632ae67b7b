//! What a column is, and the macro that turns a table of columns into a record with all its codecs.
//!
//! Columns are written once, in a [`record!`](crate::record::record) table. The macro makes the struct, its list of
//! [`Column`]s, its Avro fields, its RowBinary writer and reader from the same lines, so that they can't drift apart.

use crate::value::{Layout, Value};
use serde::Serialize;

/// What the numbers of a column count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// No unit: a name, an address, a code.
    None,
    /// Bytes.
    Bytes,
    /// Square bytes, the error term of docs/counting.md.
    SquareBytes,
    /// Packets.
    Packets,
    /// Flow records.
    Flows,
    /// Nanoseconds since 1970-01-01 UTC.
    Nanoseconds,
    /// Bits per second.
    BitsPerSecond,
    /// Thousandths: a sampling interval of 1 in 1000 is 1 000 000.
    Thousandths,
    /// Bits of an address.
    Bits,
}

/// What a column is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Something to group and filter by.
    Dimension,
    /// Something to sum.
    Measure,
    /// When it happened.
    Time,
    /// Where the record came from, so that a window can be decoded again and swapped.
    Provenance,
}

/// One column: the single definition from which schema, codec, table and documentation follow.
#[derive(Clone, Copy)]
pub struct Column {
    /// Name in Avro, ClickHouse, the API and the documentation.
    pub name: &'static str,
    /// What it means, in a sentence or two, with its source.
    pub doc: &'static str,
    /// What its numbers count.
    pub unit: Unit,
    /// What it is for.
    pub role: Role,
    /// ClickHouse type.
    pub clickhouse: fn() -> String,
    /// How its values lie in a row.
    pub layout: Layout,
    /// Avro type, as JSON.
    pub avro: fn() -> serde_json::Value,
    /// Avro default, as JSON: what a reader sees where an older writer had no such column.
    pub avro_default: fn() -> serde_json::Value,
}

impl std::fmt::Debug for Column {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.name, (self.clickhouse)())
    }
}

/// Makes a [`Column`] of a value type.
pub(crate) const fn column<'a, V: Value<'a>>(
    name: &'static str,
    doc: &'static str,
    unit: Unit,
    role: Role,
) -> Column {
    Column {
        name,
        doc,
        unit,
        role,
        clickhouse: V::clickhouse,
        layout: V::LAYOUT,
        avro: V::avro,
        avro_default: V::avro_default,
    }
}

macro_rules! record {
    (
        $(#[$meta:meta])*
        pub struct $Name:ident {
            $( #[doc = $doc:literal] $(#[doc = $more:literal])* $field:ident : $ty:ty, $unit:ident, $role:ident; )*
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Default, serde::Serialize)]
        pub struct $Name<'a> {
            $( #[doc = $doc] $(#[doc = $more])* pub $field: $ty, )*
            #[doc(hidden)]
            #[serde(skip)]
            pub borrowed: std::marker::PhantomData<&'a ()>,
        }

        impl<'a> $Name<'a> {
            /// Its columns, in the order in which every codec writes them.
            pub const COLUMNS: &'static [$crate::record::Column] = &[
                $( $crate::record::column::<$ty>(
                    stringify!($field),
                    concat!($doc $(, $more)*),
                    $crate::record::Unit::$unit,
                    $crate::record::Role::$role,
                ), )*
            ];

            /// Most bytes that either encoding takes.
            #[inline]
            fn most(&self) -> usize {
                0 $( + $crate::value::Value::most(&self.$field) )*
            }

            /// Appends the record as Avro binary, fields in column order.
            pub fn put_avro(&self, out: &mut Vec<u8>) {
                $crate::room::append(out, self.most(), |room| {
                    $( let room = $crate::value::Value::put_avro(&self.$field, room); )*
                    room
                });
            }

            /// Reads a record that [`put_avro`](Self::put_avro) wrote; text and lists stay in the input.
            #[inline]
            pub fn get_avro(input: &mut $crate::avro::Reader<'a>) -> Result<Self, $crate::avro::AvroError> {
                Ok(Self {
                    $( $field: <$ty as $crate::value::Value>::get_avro(input)?, )*
                    borrowed: std::marker::PhantomData,
                })
            }

            /// Appends the record in ClickHouse's RowBinary, columns in order.
            pub fn put_row(&self, out: &mut Vec<u8>) {
                $crate::room::append(out, self.most(), |room| {
                    $( let room = $crate::value::Value::put_row(&self.$field, room); )*
                    room
                });
            }

            /// Reads a row that [`put_row`](Self::put_row) or ClickHouse wrote; text and lists stay in the input.
            #[inline]
            pub fn get_row(
                input: &mut $crate::from_row::RowReader<'a>,
            ) -> Result<Self, $crate::from_row::RowError> {
                Ok(Self {
                    $( $field: <$ty as $crate::from_row::FromRow>::get_row(input)?, )*
                    borrowed: std::marker::PhantomData,
                })
            }
        }
    };
}
pub(crate) use record;
