//! The types a column can have, and how each is written in Avro and in RowBinary.
//!
//! Each type knows its Avro schema, its ClickHouse type and both encodings, side by side, so that a column needs only to name
//! its type. All are `Copy`: text and lists borrow from the datagram, the message or the enrichment table they came from.

use crate::avro::{AvroError, Reader, put_long};
use crate::room::{VARINT, put, put_first, put_varint};
use serde::{Serialize, Serializer};
use serde_json::{Value as Json, json};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How a value lies in a row of ClickHouse's RowBinary, from which follows how a column of them lies in its Native format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// So many bytes.
    Fixed(usize),
    /// A byte that is 1 where there is no value, else so many bytes behind it.
    Nullable(usize),
    /// Its length as a varint, then the text.
    Text,
    /// Their count as a varint, then four bytes each.
    Numbers,
}

impl Layout {
    /// That of a value which may be none.
    const fn or_none(self) -> Self {
        match self {
            Self::Fixed(width) => Self::Nullable(width),
            _ => panic!("only numbers can be none"),
        }
    }
}

/// A type that a column can have.
pub trait Value<'a>: Sized {
    /// How [`put_row`](Self::put_row) lays it out.
    const LAYOUT: Layout;
    /// ClickHouse type.
    fn clickhouse() -> String;
    /// Avro type.
    fn avro() -> Json;
    /// Avro default, for readers of data written before the column existed.
    fn avro_default() -> Json;
    /// Most bytes that either encoding takes.
    fn most(&self) -> usize;
    /// Puts the Avro binary encoding (Avro 1.12, "Binary Encoding") in front of the room, and gives what is left of it.
    fn put_avro<'r>(&self, room: &'r mut [u8]) -> &'r mut [u8];
    /// Reads the Avro binary encoding.
    fn get_avro(input: &mut Reader<'a>) -> Result<Self, AvroError>;
    /// Puts the RowBinary encoding in front of the room, and gives what is left of it.
    fn put_row<'r>(&self, room: &'r mut [u8]) -> &'r mut [u8];
}

macro_rules! unsigned {
    ($($ty:ty, $clickhouse:literal, $avro:literal;)*) => {$(
        impl Value<'_> for $ty {
            const LAYOUT: Layout = Layout::Fixed(size_of::<Self>());
            fn clickhouse() -> String { $clickhouse.into() }
            fn avro() -> Json { json!($avro) }
            fn avro_default() -> Json { json!(0) }
            #[inline]
            fn most(&self) -> usize { VARINT }
            #[inline]
            fn put_avro<'r>(&self, room: &'r mut [u8]) -> &'r mut [u8] {
                put_long(room, i64::try_from(*self).unwrap_or(i64::MAX))
            }
            #[inline]
            fn get_avro(input: &mut Reader<'_>) -> Result<Self, AvroError> {
                let at = input.position();
                Self::try_from(input.long()?).map_err(|_| AvroError::OutOfRange { at })
            }
            #[inline]
            fn put_row<'r>(&self, room: &'r mut [u8]) -> &'r mut [u8] { put(room, &self.to_le_bytes()) }
        }
    )*};
}

unsigned! {
    u8, "UInt8", "int";
    u16, "UInt16", "int";
    u32, "UInt32", "long";
    u64, "UInt64", "long";
}

impl Value<'_> for i64 {
    const LAYOUT: Layout = Layout::Fixed(8);
    fn clickhouse() -> String {
        "Int64".into()
    }
    fn avro() -> Json {
        json!("long")
    }
    fn avro_default() -> Json {
        json!(0)
    }
    #[inline]
    fn most(&self) -> usize {
        VARINT
    }
    #[inline]
    fn put_avro<'r>(&self, room: &'r mut [u8]) -> &'r mut [u8] {
        put_long(room, *self)
    }
    #[inline]
    fn get_avro(input: &mut Reader<'_>) -> Result<Self, AvroError> {
        input.long()
    }
    #[inline]
    fn put_row<'r>(&self, room: &'r mut [u8]) -> &'r mut [u8] {
        put(room, &self.to_le_bytes())
    }
}

impl Value<'_> for i128 {
    const LAYOUT: Layout = Layout::Fixed(16);
    fn clickhouse() -> String {
        "Int128".into()
    }
    fn avro() -> Json {
        u128::avro()
    }
    fn avro_default() -> Json {
        u128::avro_default()
    }
    #[inline]
    fn most(&self) -> usize {
        1 + size_of::<Self>()
    }
    #[inline]
    fn put_avro<'r>(&self, room: &'r mut [u8]) -> &'r mut [u8] {
        put(put_long(room, 16), &self.to_be_bytes())
    }
    #[inline]
    fn get_avro(input: &mut Reader<'_>) -> Result<Self, AvroError> {
        let at = input.position();
        let bytes = input.bytes()?;
        if bytes.len() > 16 {
            return Err(AvroError::OutOfRange { at });
        }
        let sign = if bytes.first().is_some_and(|b| b & 0x80 != 0) { -1 } else { 0 };
        Ok(bytes.iter().fold(sign, |n, b| n << 8 | Self::from(*b)))
    }
    #[inline]
    fn put_row<'r>(&self, room: &'r mut [u8]) -> &'r mut [u8] {
        put(room, &self.to_le_bytes())
    }
}

/// The largest counter a record carries: Avro's `long` is signed. The decoder clamps to it and flags the record.
pub const MAX_COUNT: u64 = i64::MAX as u64;

/// The largest Q a record carries. A share of Q is Q·t/T with t below 2^43 ns, in 128 bits (docs/counting.md, "Time").
pub const MAX_Q: u128 = 1 << 84;

impl Value<'_> for u128 {
    const LAYOUT: Layout = Layout::Fixed(16);
    fn clickhouse() -> String {
        "UInt128".into()
    }
    fn avro() -> Json {
        json!({"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 0})
    }
    fn avro_default() -> Json {
        json!("\u{0}")
    }
    #[inline]
    fn most(&self) -> usize {
        1 + size_of::<Self>()
    }
    #[inline]
    fn put_avro<'r>(&self, room: &'r mut [u8]) -> &'r mut [u8] {
        // Two's complement, big-endian, shortest form: a zero byte in front where the top bit would read as a sign.
        let value = (*self).min(i128::MAX as u128);
        let skip = (value.leading_zeros().saturating_sub(1) / 8).min(15);
        let length = 16 - skip as usize;
        let room = put_long(room, length as i64);
        put_first(room, (value << (8 * skip)).to_be_bytes(), length)
    }
    #[inline]
    fn get_avro(input: &mut Reader<'_>) -> Result<Self, AvroError> {
        let at = input.position();
        let bytes = input.bytes()?;
        if bytes.len() > 16 || bytes.first().is_some_and(|b| b & 0x80 != 0) {
            return Err(AvroError::OutOfRange { at });
        }
        Ok(bytes.iter().fold(0, |n, b| n << 8 | u128::from(*b)))
    }
    #[inline]
    fn put_row<'r>(&self, room: &'r mut [u8]) -> &'r mut [u8] {
        put(room, &self.to_le_bytes())
    }
}

impl<'a, V: Value<'a>> Value<'a> for Option<V> {
    const LAYOUT: Layout = V::LAYOUT.or_none();
    fn clickhouse() -> String {
        format!("Nullable({})", V::clickhouse())
    }
    fn avro() -> Json {
        json!(["null", V::avro()])
    }
    fn avro_default() -> Json {
        Json::Null
    }
    #[inline]
    fn most(&self) -> usize {
        1 + self.as_ref().map_or(0, V::most)
    }
    #[inline]
    fn put_avro<'r>(&self, room: &'r mut [u8]) -> &'r mut [u8] {
        match self {
            None => put(room, &[0]),
            Some(value) => value.put_avro(put(room, &[2])),
        }
    }
    #[inline]
    fn get_avro(input: &mut Reader<'a>) -> Result<Self, AvroError> {
        let at = input.position();
        match input.long()? {
            0 => Ok(None),
            1 => V::get_avro(input).map(Some),
            _ => Err(AvroError::OutOfRange { at }),
        }
    }
    #[inline]
    fn put_row<'r>(&self, room: &'r mut [u8]) -> &'r mut [u8] {
        match self {
            None => put(room, &[1]),
            Some(value) => value.put_row(put(room, &[0])),
        }
    }
}

/// Nanoseconds since 1970-01-01 UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Time(pub i64);

impl Value<'_> for Time {
    const LAYOUT: Layout = Layout::Fixed(8);
    fn clickhouse() -> String {
        "DateTime64(9, 'UTC')".into()
    }
    fn avro() -> Json {
        json!({"type": "long", "logicalType": "timestamp-nanos"})
    }
    fn avro_default() -> Json {
        json!(0)
    }
    #[inline]
    fn most(&self) -> usize {
        VARINT
    }
    #[inline]
    fn put_avro<'r>(&self, room: &'r mut [u8]) -> &'r mut [u8] {
        put_long(room, self.0)
    }
    #[inline]
    fn get_avro(input: &mut Reader<'_>) -> Result<Self, AvroError> {
        input.long().map(Self)
    }
    #[inline]
    fn put_row<'r>(&self, room: &'r mut [u8]) -> &'r mut [u8] {
        put(room, &self.0.to_le_bytes())
    }
}

/// Seconds since 1970-01-01 UTC: the slot of a rollup.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Slot(pub u32);

impl Value<'_> for Slot {
    const LAYOUT: Layout = Layout::Fixed(4);
    fn clickhouse() -> String {
        "DateTime('UTC')".into()
    }
    fn avro() -> Json {
        json!("long")
    }
    fn avro_default() -> Json {
        json!(0)
    }
    #[inline]
    fn most(&self) -> usize {
        VARINT
    }
    fn put_avro<'r>(&self, room: &'r mut [u8]) -> &'r mut [u8] {
        self.0.put_avro(room)
    }
    fn get_avro(input: &mut Reader<'_>) -> Result<Self, AvroError> {
        u32::get_avro(input).map(Self)
    }
    #[inline]
    fn put_row<'r>(&self, room: &'r mut [u8]) -> &'r mut [u8] {
        self.0.put_row(room)
    }
}

/// An address: IPv6, or IPv4 mapped into it (RFC 4291 §2.5.5.2). All zeros is "none known".
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ip(pub [u8; 16]);

impl Ip {
    /// Maps an IPv4 address into IPv6.
    #[inline]
    pub const fn v4(octets: [u8; 4]) -> Self {
        let [a, b, c, d] = octets;
        Self([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d])
    }

    /// True for a mapped IPv4 address.
    #[inline]
    pub fn is_v4(&self) -> bool {
        self.0[..12] == [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]
    }

    /// True where no address is known.
    #[inline]
    pub fn is_none(&self) -> bool {
        self.0 == [0; 16]
    }

    /// The address with all but the first `length` bits cleared. `length` counts bits of the address's own family.
    pub fn prefix(&self, length: u8) -> Self {
        let bits = if self.is_v4() { u32::from(length.min(32)) + 96 } else { u32::from(length.min(128)) };
        let mask = if bits == 0 { 0 } else { u128::MAX << (128 - bits) };
        Self((u128::from_be_bytes(self.0) & mask).to_be_bytes())
    }

    /// The usual form: IPv4 where mapped.
    pub fn addr(&self) -> IpAddr {
        Ipv6Addr::from(self.0).to_canonical()
    }
}

impl From<IpAddr> for Ip {
    fn from(addr: IpAddr) -> Self {
        match addr {
            IpAddr::V4(v4) => v4.into(),
            IpAddr::V6(v6) => Self(v6.octets()),
        }
    }
}

impl From<Ipv4Addr> for Ip {
    fn from(addr: Ipv4Addr) -> Self {
        Self::v4(addr.octets())
    }
}

impl fmt::Display for Ip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.addr().fmt(f)
    }
}

impl fmt::Debug for Ip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.addr().fmt(f)
    }
}

impl Serialize for Ip {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.is_none() { serializer.serialize_none() } else { serializer.collect_str(self) }
    }
}

impl Value<'_> for Ip {
    const LAYOUT: Layout = Layout::Fixed(16);
    fn clickhouse() -> String {
        "IPv6".into()
    }
    fn avro() -> Json {
        json!({"type": "fixed", "name": "Ip", "size": 16,
            "doc": "IPv6 address; IPv4 mapped into it as ::ffff:a.b.c.d; all zeros: none known"})
    }
    fn avro_default() -> Json {
        json!("\u{0}".repeat(16))
    }
    #[inline]
    fn most(&self) -> usize {
        self.0.len()
    }
    #[inline]
    fn put_avro<'r>(&self, room: &'r mut [u8]) -> &'r mut [u8] {
        put(room, &self.0)
    }
    #[inline]
    fn get_avro(input: &mut Reader<'_>) -> Result<Self, AvroError> {
        input.fixed().map(Self)
    }
    #[inline]
    fn put_row<'r>(&self, room: &'r mut [u8]) -> &'r mut [u8] {
        put(room, &self.0)
    }
}

/// An Ethernet address. All zeros is "none known".
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Mac {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0 == [0; 6] { serializer.serialize_none() } else { serializer.collect_str(self) }
    }
}

impl Value<'_> for Mac {
    const LAYOUT: Layout = Layout::Fixed(8);
    fn clickhouse() -> String {
        // The type of ClickHouse's MACNumToString and MACStringToNum.
        "UInt64".into()
    }
    fn avro() -> Json {
        json!({"type": "fixed", "name": "Mac", "size": 6, "doc": "Ethernet address; all zeros: none known"})
    }
    fn avro_default() -> Json {
        json!("\u{0}".repeat(6))
    }
    #[inline]
    fn most(&self) -> usize {
        size_of::<u64>()
    }
    #[inline]
    fn put_avro<'r>(&self, room: &'r mut [u8]) -> &'r mut [u8] {
        put(room, &self.0)
    }
    #[inline]
    fn get_avro(input: &mut Reader<'_>) -> Result<Self, AvroError> {
        input.fixed().map(Self)
    }
    #[inline]
    fn put_row<'r>(&self, room: &'r mut [u8]) -> &'r mut [u8] {
        let [a, b, c, d, e, f] = self.0;
        put(room, &[f, e, d, c, b, a, 0, 0])
    }
}

/// An ISO 3166-1 alpha-2 code in capitals. Two zero bytes are "none known".
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Country(pub [u8; 2]);

impl Country {
    /// Takes two ASCII letters; anything else is "none known".
    pub fn new(code: &str) -> Self {
        match code.as_bytes() {
            [a, b] if a.is_ascii_alphabetic() && b.is_ascii_alphabetic() => {
                Self([a.to_ascii_uppercase(), b.to_ascii_uppercase()])
            }
            _ => Self::default(),
        }
    }

    /// The code, or nothing.
    pub fn as_str(&self) -> &str {
        if self.0 == [0; 2] { "" } else { std::str::from_utf8(&self.0).unwrap_or_default() }
    }
}

impl fmt::Debug for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Country {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl Value<'_> for Country {
    const LAYOUT: Layout = Layout::Text;
    fn clickhouse() -> String {
        "LowCardinality(String)".into()
    }
    fn avro() -> Json {
        json!("string")
    }
    fn avro_default() -> Json {
        json!("")
    }
    #[inline]
    fn most(&self) -> usize {
        VARINT + self.0.len()
    }
    #[inline]
    fn put_avro<'r>(&self, room: &'r mut [u8]) -> &'r mut [u8] {
        self.as_str().put_avro(room)
    }
    #[inline]
    fn get_avro(input: &mut Reader<'_>) -> Result<Self, AvroError> {
        Ok(Self::new(input.string()?))
    }
    #[inline]
    fn put_row<'r>(&self, room: &'r mut [u8]) -> &'r mut [u8] {
        self.as_str().put_row(room)
    }
}

impl<'a> Value<'a> for &'a str {
    const LAYOUT: Layout = Layout::Text;
    fn clickhouse() -> String {
        "LowCardinality(String)".into()
    }
    fn avro() -> Json {
        json!("string")
    }
    fn avro_default() -> Json {
        json!("")
    }
    #[inline]
    fn most(&self) -> usize {
        VARINT + self.len()
    }
    #[inline]
    fn put_avro<'r>(&self, room: &'r mut [u8]) -> &'r mut [u8] {
        put(put_long(room, self.len() as i64), self.as_bytes())
    }
    #[inline]
    fn get_avro(input: &mut Reader<'a>) -> Result<Self, AvroError> {
        input.string()
    }
    #[inline]
    fn put_row<'r>(&self, room: &'r mut [u8]) -> &'r mut [u8] {
        put(put_varint(room, self.len() as u64), self.as_bytes())
    }
}

/// A list of 32-bit numbers (AS path, MPLS labels) that stays where it was found.
#[derive(Clone, Copy)]
pub enum U32s<'a> {
    /// In memory.
    Native(&'a [u32]),
    /// Big-endian, four bytes each, as routers send them.
    Wire(&'a [u8]),
    /// Little-endian, four bytes each, as RowBinary has them.
    Row(&'a [u8]),
    /// The items of an Avro array: `count` zigzag varints, already checked to be in range.
    Avro {
        /// How many.
        count: usize,
        /// Their encoding.
        items: &'a [u8],
    },
}

impl Default for U32s<'_> {
    fn default() -> Self {
        Self::Native(&[])
    }
}

impl<'a> U32s<'a> {
    /// How many numbers there are.
    #[inline]
    pub fn len(&self) -> usize {
        match self {
            Self::Native(list) => list.len(),
            Self::Wire(bytes) | Self::Row(bytes) => bytes.len() / 4,
            Self::Avro { count, .. } => *count,
        }
    }

    /// True where there is none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The numbers in order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + use<'a> {
        let (mut list, count) = (*self, self.len());
        (0..count).map(move |_| match &mut list {
            Self::Native(rest) => {
                let (first, tail) = rest.split_first().map_or((0, &[][..]), |(n, tail)| (*n, tail));
                *rest = tail;
                first
            }
            Self::Wire(rest) => {
                let (first, tail) =
                    rest.split_first_chunk().map_or((0, &[][..]), |(n, tail)| (u32::from_be_bytes(*n), tail));
                *rest = tail;
                first
            }
            Self::Row(rest) => {
                let (first, tail) =
                    rest.split_first_chunk().map_or((0, &[][..]), |(n, tail)| (u32::from_le_bytes(*n), tail));
                *rest = tail;
                first
            }
            Self::Avro { items, .. } => {
                let mut input = Reader::new(items);
                let first = input.long().ok().and_then(|n| u32::try_from(n).ok()).unwrap_or_default();
                *items = input.rest();
                first
            }
        })
    }
}

impl fmt::Debug for U32s<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl PartialEq for U32s<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl Serialize for U32s<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'a> Value<'a> for U32s<'a> {
    const LAYOUT: Layout = Layout::Numbers;
    fn clickhouse() -> String {
        "Array(UInt32)".into()
    }
    fn avro() -> Json {
        json!({"type": "array", "items": "long"})
    }
    fn avro_default() -> Json {
        json!([])
    }
    #[inline]
    fn most(&self) -> usize {
        VARINT * (self.len() + 2)
    }
    #[inline]
    fn put_avro<'r>(&self, room: &'r mut [u8]) -> &'r mut [u8] {
        if self.is_empty() {
            return put(room, &[0]);
        }
        let items = put_long(room, self.len() as i64);
        put(self.iter().fold(items, |room, n| n.put_avro(room)), &[0])
    }
    #[inline]
    fn get_avro(input: &mut Reader<'a>) -> Result<Self, AvroError> {
        let Some(count) = input.array_block()? else { return Ok(Self::default()) };
        let start = input.rest();
        for _ in 0..count {
            u32::get_avro(input)?;
        }
        let items = &start[..start.len() - input.rest().len()];
        let at = input.position();
        match input.array_block()? {
            None => Ok(Self::Avro { count, items }),
            Some(_) => Err(AvroError::ManyBlocks { at }),
        }
    }
    #[inline]
    fn put_row<'r>(&self, room: &'r mut [u8]) -> &'r mut [u8] {
        self.iter().fold(put_varint(room, self.len() as u64), |room, n| n.put_row(room))
    }
}
