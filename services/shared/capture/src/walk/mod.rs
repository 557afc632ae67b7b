//! Every field of every record as it was sent, known or not: `weir decode --all-fields`.
//!
//! A plain walker: it reads one field after another by its template and leaves nothing out, and none of it is the decoder's code but
//! the tables of names and of the layouts without templates. So it is slow, and what the decoder says can be held against it. Data
//! sets wait for their template as they do in the decoder, until the capture ends. Input is hostile: each byte is read a bounded
//! number of times, and a datagram gives no more fields than its length allows.

mod netflow;
pub mod sflow;
mod value;

use crate::{Capture, CaptureError};
use serde_json::{Map, Value as Json, json};
use std::io;
use weir_schemas::{Ip, Protocol};

/// Fields that a datagram may give for each of its bytes: fields without length take none.
const FIELDS_PER_BYTE: usize = 4;

/// Where records go, one by one: what waited for a template may be much.
type Out<'o> = &'o mut dyn FnMut(Record);

/// What a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A flow record.
    Flow,
    /// A record of options data.
    Options,
    /// An sFlow flow sample.
    FlowSample,
    /// An sFlow counter sample.
    CounterSample,
    /// An sFlow discarded packet.
    DiscardSample,
    /// An sFlow sample of another format.
    OtherSample,
    /// A data set whose template is not in the capture.
    NoTemplate,
    /// Bytes that are not as their protocol says.
    Fault,
}

impl Kind {
    /// Its name in a line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Flow => "flow",
            Self::Options => "options",
            Self::FlowSample => "flow_sample",
            Self::CounterSample => "counter_sample",
            Self::DiscardSample => "discard_sample",
            Self::OtherSample => "other_sample",
            Self::NoTemplate => "no_template",
            Self::Fault => "fault",
        }
    }
}

/// What a datagram's header says, and where it is from.
#[derive(Clone, Copy, Debug)]
pub struct Header {
    /// Address it came from.
    pub exporter: Ip,
    /// Port it came from.
    port: u16,
    /// Number of the datagram in the capture, from 0.
    pub datagram: u64,
    /// Protocol.
    pub protocol: Protocol,
    /// Observation domain, source id, engine, or sub-agent.
    pub domain: u32,
    /// Sequence number as sent; NetFlow v1 has none.
    pub sequence: Option<u32>,
    /// Export time, seconds and nanoseconds since 1970; sFlow has none.
    pub exported: Option<(u32, u32)>,
    /// Milliseconds since the exporter started; IPFIX has none.
    pub uptime: Option<u32>,
    /// The agent's address, of sFlow.
    pub agent: Option<Ip>,
}

/// A record with all its fields.
#[derive(Clone, Debug)]
pub struct Record {
    /// Header of its datagram.
    pub header: Header,
    /// Template, or scheme of aggregation of NetFlow v8.
    pub template: Option<u16>,
    /// What it is.
    pub kind: Kind,
    /// Byte offset in the datagram.
    pub at: usize,
    /// `{id, pen, name, value}` of each field in the order in which they were sent; of sFlow `{name, value}`.
    pub fields: Vec<Json>,
    /// Of sFlow, the sample's records: `{enterprise, format, name, at, fields}`.
    pub records: Vec<Json>,
    /// What is wrong, and of a set without a template its bytes.
    pub note: Map<String, Json>,
}

impl Record {
    fn new(header: &Header, kind: Kind, at: usize) -> Self {
        let (fields, records, note) = (Vec::new(), Vec::new(), Map::new());
        Self { header: *header, template: None, kind, at, fields, records, note }
    }

    fn fault(header: &Header, at: usize, error: impl Into<String>) -> Self {
        let mut record = Self::new(header, Kind::Fault, at);
        record.note.insert("error".into(), error.into().into());
        record
    }

    /// The values of an element of IANA's or of an enterprise, in the order in which they were sent; scopes too where asked for.
    pub fn values(&self, pen: u32, id: u16) -> impl Iterator<Item = &Json> {
        self.fields
            .iter()
            .filter(move |field| field["pen"] == pen && field["id"] == id && field.get("scope").is_none())
            .map(|field| &field["value"])
    }

    /// The record as a line of `weir decode --all-fields` has it.
    pub fn to_json(&self) -> Json {
        let header = &self.header;
        let mut line = Map::new();
        line.insert("exporter".into(), header.exporter.to_string().into());
        line.insert("protocol".into(), header.protocol.word().into());
        line.insert("datagram".into(), header.datagram.into());
        line.insert("domain".into(), header.domain.into());
        let mut put = |name: &str, value: Option<Json>| {
            if let Some(value) = value {
                line.insert(name.into(), value);
            }
        };
        put("agent", header.agent.map(|agent| agent.to_string().into()));
        put("sequence", header.sequence.map(Json::from));
        let exported = |(seconds, nanos): (u32, u32)| value::time(seconds.into(), nanos, 9);
        put("exported", header.exported.map(exported));
        put("uptime", header.uptime.map(Json::from));
        put("template", self.template.map(Json::from));
        put("kind", Some(self.kind.word().into()));
        put("at", Some(self.at.into()));
        put("fields", (!self.fields.is_empty()).then(|| self.fields.clone().into()));
        put("records", (!self.records.is_empty()).then(|| self.records.clone().into()));
        line.extend(self.note.clone());
        Json::Object(line)
    }
}

/// Walks over a capture. `each` is called for every record, fault, and set without a template, or with the error of a packet or of the
/// file; it may end the walk with an error of its own. Lists lie so deep in lists at most; of others there are the bytes.
pub fn walk<E>(
    capture: Capture<'_>,
    list_depth: usize,
    mut each: impl FnMut(Result<Record, CaptureError>) -> Result<(), E>,
) -> Result<(), E> {
    let mut sets = netflow::Sets::of(capture.is_stream(), list_depth);
    let mut datagram = 0;
    for next in capture {
        let captured = match next {
            Ok(captured) => captured,
            Err(error) => {
                each(Err(error))?;
                continue;
            }
        };
        let header = Header {
            exporter: captured.source,
            port: captured.source_port,
            datagram,
            protocol: Protocol::Unknown,
            domain: 0,
            sequence: None,
            exported: None,
            uptime: None,
            agent: None,
        };
        datagram += 1;
        let mut failed = None;
        let mut out = |record| {
            if failed.is_none() {
                failed = each(Ok(record)).err();
            }
        };
        match *captured.payload {
            [0, 9, ..] | [0, 10, ..] => sets.message(header, &captured.payload, &mut out),
            [0, 0, 0, 5, ..] => sflow::datagram(header, &captured.payload, &mut out),
            _ => netflow::fixed(header, &captured.payload, &mut out),
        }
        if let Some(error) = failed {
            return Err(error);
        }
    }
    sets.rest().try_for_each(|record| each(Ok(record)))
}

/// Writes a JSON line for each record of a capture, and for each error one with `error`.
pub fn all_fields(capture: Capture<'_>, list_depth: usize, lines: &mut impl io::Write) -> io::Result<()> {
    walk(capture, list_depth, |record| {
        let line = match record {
            Ok(record) => record.to_json(),
            Err(error) => json!({"kind": "capture", "error": error.to_string()}),
        };
        writeln!(lines, "{line}")
    })
}
