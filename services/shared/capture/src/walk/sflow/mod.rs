//! sFlow version 5, walked field by field: samples and their records, of every structure in the table.

mod layouts;

pub use layouts::{Layout, Part, RECORDS, SAMPLES, Samples};

use super::value::{hex, number};
use super::{Header, Kind, Out, Record};
use serde_json::{Map, Value as Json, json};
use std::net::{Ipv4Addr, Ipv6Addr};
use weir_schemas::{Ip, Mac, Protocol};

/// A cursor over XDR. What it takes it has taken, also where what follows is cut off.
#[derive(Clone, Copy)]
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(head)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take(4)?.first_chunk().map(|b| u32::from_be_bytes(*b))
    }

    /// Opaque data behind its length, padded to four bytes; the last one's padding may be missing.
    fn opaque(&mut self) -> Option<&'a [u8]> {
        let length = self.u32()? as usize;
        self.padded(length)
    }

    fn padded(&mut self, length: usize) -> Option<&'a [u8]> {
        let data = self.take(length)?;
        let padding = (length.wrapping_neg() % 4).min(self.0.len());
        self.take(padding)?;
        Some(data)
    }

    fn address(&mut self) -> Option<Option<Ip>> {
        match self.u32()? {
            0 => Some(None),
            1 => self.take(4)?.first_chunk().map(|b| Some(Ip::v4(*b))),
            2 => self.take(16)?.first_chunk().map(|b| Some(Ip(*b))),
            _ => None,
        }
    }

    /// Numbers behind their count.
    fn numbers(&mut self) -> Option<Vec<Json>> {
        let count = self.u32()? as usize;
        let bytes = self.take(count.checked_mul(4)?)?;
        Some(bytes.chunks_exact(4).filter_map(number).map(Json::from).collect())
    }

    fn part(&mut self, part: Part) -> Option<Json> {
        Some(match part {
            Part::U32 => self.u32()?.into(),
            Part::U64 => number(self.take(8)?)?.into(),
            Part::Signed => (self.u32()? as i32).into(),
            Part::Float => {
                let n = f64::from(f32::from_bits(self.u32()?));
                serde_json::Number::from_f64(n).map_or_else(|| n.to_string().into(), Json::Number)
            }
            Part::Ipv4 => Ipv4Addr::from(*self.take(4)?.first_chunk::<4>()?).to_string().into(),
            Part::Ipv6 => Ipv6Addr::from(*self.take(16)?.first_chunk::<16>()?).to_string().into(),
            Part::Address => self.address()?.map_or(Json::Null, |address| address.to_string().into()),
            Part::Mac => Mac(*self.take(8)?.first_chunk::<6>()?).to_string().into(),
            Part::Bytes(length) => hex(self.padded(length)?),
            Part::Opaque => hex(self.opaque()?),
            Part::Text => {
                let bytes = self.opaque()?;
                std::str::from_utf8(bytes).map_or_else(|_| hex(bytes), Json::from)
            }
            Part::Numbers => self.numbers()?.into(),
            Part::Path => {
                let segments = self.u32()?;
                let mut path = Vec::new();
                for _ in 0..segments {
                    let kind = match self.u32()? {
                        1 => "set".into(),
                        2 => "sequence".into(),
                        other => Json::from(other),
                    };
                    path.push(json!({"kind": kind, "asns": self.numbers()?}));
                }
                path.into()
            }
            Part::Adapters => {
                let count = self.u32()?;
                let mut adapters = Vec::new();
                for _ in 0..count {
                    let (index, macs) = (self.u32()?, self.u32()?);
                    let mut addresses = Vec::new();
                    for _ in 0..macs {
                        addresses.push(self.part(Part::Mac)?);
                    }
                    adapters.push(json!({"if_index": index, "mac_addresses": addresses}));
                }
                adapters.into()
            }
        })
    }

    /// The parts of a structure. What it has beyond is given as `rest`; whether it is cut off is told beside.
    fn parts(&mut self, parts: &[(&str, Part)]) -> (Vec<Json>, bool) {
        let mut fields = Vec::new();
        for (name, part) in parts {
            match self.part(*part) {
                Some(value) => fields.push(json!({"name": name, "value": value})),
                None => return (fields, true),
            }
        }
        (fields, false)
    }
}

/// A datagram.
pub(super) fn datagram(mut header: Header, payload: &[u8], out: Out<'_>) {
    header.protocol = Protocol::SflowV5;
    let mut input = Input(payload);
    let mut head = || {
        input.u32()?;
        header.agent = input.address()?;
        header.domain = input.u32()?;
        header.sequence = Some(input.u32()?);
        header.uptime = Some(input.u32()?);
        input.u32()
    };
    let Some(samples) = head() else {
        return out(Record::fault(&header, 0, "the header is cut off"));
    };
    for n in 0..samples {
        let at = payload.len() - input.0.len();
        let mut sample = || {
            let format = input.u32()?;
            let length = input.u32()? as usize;
            Some((format, input.take(length)?))
        };
        let Some((format, body)) = sample() else {
            let error = format!("the header names {samples} samples, the datagram has {n} whole ones");
            return out(Record::fault(&header, at, error));
        };
        out(self::sample(&header, format, body, at));
    }
}

fn sample(header: &Header, format: u32, body: &[u8], at: usize) -> Record {
    let known = SAMPLES.iter().find(|sample| sample.format == format);
    let mut record = Record::new(header, known.map_or(Kind::OtherSample, |known| known.kind), at);
    let mut put = |name: &str, value: Json| record.fields.push(json!({"name": name, "value": value}));
    put("enterprise", (format >> 12).into());
    put("format", (format & 0xfff).into());
    let Some(known) = known else {
        put("bytes", hex(body));
        return record;
    };
    let mut input = Input(body);
    let (fields, cut_off) = input.parts(known.parts);
    record.fields.extend(fields);
    let count = if cut_off { None } else { input.u32() };
    let Some(count) = count else {
        record.note.insert("error".into(), "the sample is shorter than its layout".into());
        return record;
    };
    for n in 0..count {
        let place = at + 8 + body.len() - input.0.len();
        let mut next = || {
            let format = input.u32()?;
            Some((format, input.opaque()?))
        };
        let Some((format, body)) = next() else {
            let error = format!("record {n} of {count} runs over the end of the sample");
            record.note.insert("error".into(), error.into());
            break;
        };
        record.records.push(of_sample(known.kind, format, body, place));
    }
    record
}

fn of_sample(kind: Kind, format: u32, body: &[u8], at: usize) -> Json {
    let (enterprise, format) = (format >> 12, format & 0xfff);
    let counters = kind == Kind::CounterSample;
    let layout =
        RECORDS.iter().find(|layout| (layout.counters, 0, layout.format) == (counters, enterprise, format));
    let mut record = Map::new();
    record.insert("enterprise".into(), enterprise.into());
    record.insert("format".into(), format.into());
    record.insert(
        "name".into(),
        layout.map_or_else(|| format!("{enterprise}/{format}").into(), |layout| layout.name.into()),
    );
    record.insert("at".into(), at.into());
    let Some(layout) = layout else {
        record.insert("bytes".into(), hex(body));
        return record.into();
    };
    let mut input = Input(body);
    let (mut fields, cut_off) = input.parts(layout.parts);
    if cut_off {
        record.insert("error".into(), "the record is shorter than its layout".into());
    }
    if !input.0.is_empty() {
        fields.push(json!({"name": "rest", "value": hex(input.0)}));
    }
    record.insert("fields".into(), fields.into());
    record.into()
}
