//! Avro binary of a `FlowBatch`, the value of `weir.flows`.
//!
//! A message is Confluent's wire format: a zero byte, the schema's id (0 without a registry; then the header
//! [`FINGERPRINT_HEADER`] says which schema wrote it), and the datum. The codec is made for our own schema: it borrows text from the
//! message and allocates nothing. Foreign readers use the schema in `schemas/avro`, and tests hold both together.

use crate::columns::{Batch, Flow};
use crate::record::Column;
use crate::room::{VARINT, append, get_varint, put_varint};
use serde_json::{Value as Json, json};
use std::collections::HashSet;
use std::sync::LazyLock;
use thiserror::Error;

/// Kafka header that names the writer's schema: its CRC-64-AVRO fingerprint, 8 bytes little-endian.
pub const FINGERPRINT_HEADER: &str = "weir-schema-crc64";
/// A batch is cut before its datum gets larger than this (docs/exactly-once.md, rule 5).
pub const MAX_BATCH_BYTES: usize = 512_000;

/// Why a message can't be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AvroError {
    /// Ends in the middle of a value.
    #[error("message ends in the middle of a value at byte {at}")]
    Truncated {
        /// Byte offset in the datum.
        at: usize,
    },
    /// A number that doesn't fit its column, or a symbol that the schema doesn't have.
    #[error("value at byte {at} is out of range for its column")]
    OutOfRange {
        /// Byte offset in the datum.
        at: usize,
    },
    /// Text that is not UTF-8.
    #[error("text at byte {at} is not UTF-8")]
    Utf8 {
        /// Byte offset in the datum.
        at: usize,
    },
    /// A list in several blocks: legal Avro, never written by Weir.
    #[error("list at byte {at} comes in several blocks, which Weir never writes")]
    ManyBlocks {
        /// Byte offset in the datum.
        at: usize,
    },
    /// Not Confluent's wire format.
    #[error("message doesn't start with the wire format's zero byte and a schema id")]
    Framing,
    /// Written with a schema that this build doesn't know.
    #[error(
        "message was written with schema {0:016x}, which this build doesn't know: upgrade the reader first"
    )]
    UnknownSchema(u64),
}

/// Puts a zigzag varint: Avro's `int` and `long`.
#[inline(always)]
pub(crate) fn put_long(room: &mut [u8], number: i64) -> &mut [u8] {
    put_varint(room, ((number << 1) ^ (number >> 63)) as u64)
}

/// A place in Avro binary.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    all: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Starts at the front.
    pub fn new(all: &'a [u8]) -> Self {
        Self { all, at: 0 }
    }

    /// Byte offset of the next value.
    #[inline]
    pub fn position(&self) -> usize {
        self.at
    }

    /// What has not been read.
    #[inline]
    pub fn rest(&self) -> &'a [u8] {
        self.all.get(self.at..).unwrap_or_default()
    }

    /// Reads an `int` or `long`.
    #[inline(always)]
    pub fn long(&mut self) -> Result<i64, AvroError> {
        let (number, length) = match self.rest() {
            [number @ ..0x80, ..] => (u64::from(*number), 1),
            rest => get_varint(rest),
        };
        if length == 0 {
            return Err(self.no_long());
        }
        self.at += length;
        Ok((number >> 1) as i64 ^ -((number & 1) as i64))
    }

    #[cold]
    fn no_long(&self) -> AvroError {
        let at = self.at;
        if self.rest().len() < VARINT { AvroError::Truncated { at } } else { AvroError::OutOfRange { at } }
    }

    #[inline]
    fn take(&mut self, length: usize) -> Result<&'a [u8], AvroError> {
        let bytes = self.rest().get(..length).ok_or(AvroError::Truncated { at: self.at })?;
        self.at += length;
        Ok(bytes)
    }

    /// Reads a `fixed`.
    #[inline]
    pub fn fixed<const N: usize>(&mut self) -> Result<[u8; N], AvroError> {
        let at = self.at;
        self.take(N)?.try_into().map_err(|_| AvroError::Truncated { at })
    }

    /// Reads `bytes`.
    #[inline]
    pub fn bytes(&mut self) -> Result<&'a [u8], AvroError> {
        let at = self.at;
        let length = usize::try_from(self.long()?).map_err(|_| AvroError::OutOfRange { at })?;
        self.take(length)
    }

    /// Reads a `string`.
    #[inline]
    pub fn string(&mut self) -> Result<&'a str, AvroError> {
        let at = self.at;
        match self.bytes()? {
            [] => Ok(""),
            text => std::str::from_utf8(text).map_err(|_| AvroError::Utf8 { at }),
        }
    }

    /// Reads the start of an array's next block: its count, or nothing at the array's end.
    #[inline]
    pub fn array_block(&mut self) -> Result<Option<usize>, AvroError> {
        let at = self.at;
        let count = self.long()?;
        if count < 0 {
            self.long()?;
        }
        let count = usize::try_from(count.unsigned_abs()).map_err(|_| AvroError::OutOfRange { at })?;
        // Every item is at least a byte, so a larger count can't be true, and nobody should make room for it.
        if count > self.rest().len() {
            return Err(AvroError::Truncated { at });
        }
        Ok((count > 0).then_some(count))
    }
}

/// Writes the flows of one exporter as messages of `weir.flows`.
#[derive(Debug, Default)]
pub struct BatchWriter {
    flows: Vec<u8>,
    count: u32,
}

/// Bytes that a batch keeps for the next flows.
const KEPT_BYTES: usize = 64 * 1024;

impl BatchWriter {
    /// Appends a flow. Ask [`is_full`](Self::is_full) after each.
    #[inline]
    pub fn push(&mut self, flow: &Flow<'_>) {
        flow.put_avro(&mut self.flows);
        self.count += 1;
    }

    /// True when one more flow could take the batch above its bound.
    #[inline]
    pub fn is_full(&self) -> bool {
        // Text and lists are bounded by the decoder, so a flow is far below the margin.
        self.flows.len() > MAX_BATCH_BYTES - 64 * 1024
    }

    /// Flows in it.
    pub fn len(&self) -> u32 {
        self.count
    }

    /// True where there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Writes the message into `out` (cleared before) and starts anew.
    pub fn finish(&mut self, batch: &Batch<'_>, schema_id: u32, out: &mut Vec<u8>) {
        out.clear();
        out.push(0);
        out.extend_from_slice(&schema_id.to_be_bytes());
        batch.put_avro(out);
        if self.count > 0 {
            append(out, VARINT, |room| put_long(room, i64::from(self.count)));
            out.extend_from_slice(&self.flows);
        }
        out.push(0);
        self.clear();
    }

    /// Throws away what was pushed.
    pub fn clear(&mut self) {
        self.flows.clear();
        self.count = 0;
    }

    /// Gives back what a burst needed: there is one of these for each exporter.
    pub fn shrink(&mut self) {
        self.flows.shrink_to(KEPT_BYTES);
    }
}

/// Reads a message of `weir.flows`: its batch, then each flow in order. An error of a flow ends the iterator.
pub fn read_batch(message: &[u8]) -> Result<(Batch<'_>, Flows<'_>), AvroError> {
    let Some((&[0, _, _, _, _], datum)) = message.split_first_chunk::<5>() else {
        return Err(AvroError::Framing);
    };
    let mut input = Reader::new(datum);
    let batch = Batch::get_avro(&mut input)?;
    Ok((batch, Flows { input, left: 0, done: false }))
}

/// Iterator of the flows of a message.
#[derive(Clone, Debug)]
pub struct Flows<'a> {
    input: Reader<'a>,
    left: usize,
    done: bool,
}

impl<'a> Iterator for Flows<'a> {
    type Item = Result<Flow<'a>, AvroError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        if self.left == 0 {
            match self.input.array_block() {
                Ok(Some(count)) => self.left = count,
                Ok(None) => {
                    self.done = true;
                    return None;
                }
                Err(error) => {
                    self.done = true;
                    return Some(Err(error));
                }
            }
        }
        self.left -= 1;
        let flow = Flow::get_avro(&mut self.input);
        self.done = flow.is_err();
        Some(flow)
    }
}

/// The schema of a `FlowBatch`, made from the table of columns.
pub fn schema() -> Json {
    let mut named = HashSet::new();
    let mut batch_fields = fields(Batch::COLUMNS, &mut named);
    let flow_fields = fields(Flow::COLUMNS, &mut named);
    batch_fields.push(json!({
        "name": "flows",
        "doc": "Flows of one or more datagrams of the exporter, in the order received.",
        "type": {"type": "array", "items": {
            "type": "record", "name": "Flow", "doc": "One flow record or packet sample; counters as exported, unscaled.",
            "fields": flow_fields,
        }},
        "default": [],
    }));
    json!({"type": "record", "name": "FlowBatch", "namespace": "net.weir", "fields": batch_fields,
        "doc": "Flows of one exporter, decoded and enriched. Made from the table of columns; see docs/columns.md."})
}

fn fields(columns: &[Column], named: &mut HashSet<String>) -> Vec<Json> {
    let field = |column: &Column| {
        let mut schema = (column.avro)();
        define_once(&mut schema, named);
        json!({"name": column.name, "doc": column.doc, "type": schema, "default": (column.avro_default)()})
    };
    columns.iter().map(field).collect()
}

/// Avro defines a named type once; later uses say just its name.
fn define_once(schema: &mut Json, named: &mut HashSet<String>) {
    if let Json::Array(branches) = schema {
        branches.iter_mut().for_each(|branch| define_once(branch, named));
    } else if let Some(name) = schema.get("name").and_then(Json::as_str).map(str::to_owned)
        && !named.insert(name.clone())
    {
        *schema = json!(name);
    }
}

/// Leaves the types that logical ones are of. The canonical form has those as a bare word ("Transforming into Parsing Canonical Form", PRIMITIVES
/// and STRIP); apache-avro 0.22 leaves an object around them, which gives a fingerprint that nobody else comes to.
fn without_logical_types(schema: &mut Json) {
    match schema {
        Json::Array(all) => all.iter_mut().for_each(without_logical_types),
        Json::Object(object) => {
            object.values_mut().for_each(without_logical_types);
            let bare = object.remove("logicalType").is_some() && object.len() == 1;
            if bare && let Some(of) = object.remove("type") {
                *schema = of;
            }
        }
        _ => {}
    }
}

/// The schema as committed in `schemas/avro`.
pub fn schema_text() -> String {
    format!("{:#}\n", schema())
}

/// CRC-64-AVRO fingerprint of the schema's parsing canonical form, as the header carries it.
pub fn fingerprint() -> u64 {
    static FINGERPRINT: LazyLock<u64> = LazyLock::new(|| {
        let mut plain = schema();
        without_logical_types(&mut plain);
        let schema = apache_avro::Schema::parse(&plain).expect("the table of columns makes a valid schema");
        let rabin = schema.fingerprint::<apache_avro::rabin::Rabin>();
        rabin.bytes.iter().rev().fold(0, |n, byte| n << 8 | u64::from(*byte))
    });
    *FINGERPRINT
}
