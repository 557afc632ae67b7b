//! Bytes of an element to what is printed of it, by its data type.
//!
//! Numbers are numbers; addresses, MAC addresses and text are text; times are RFC 3339 in UTC with as many digits as they have; bytes
//! and what has not the length of its type are hexadecimal digits behind `0x`; lists (RFC 6313) are walked to a bounded depth.

use super::netflow::{Field, Template};
use serde_json::{Value as Json, json};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::rc::Rc;
use std::time::{Duration, UNIX_EPOCH};
use weir_schemas::Mac;
use weir_wire::names::Kind;

/// Seconds at which the year has five digits.
const YEAR_10000: u64 = 253_402_300_800;
/// Seconds from 1900, where NTP's era 0 begins, to 1970.
const NTP_TO_UNIX: u64 = 2_208_988_800;

/// What reading values needs beside their bytes.
pub(super) struct Reading<'t> {
    /// Finds the template of an id for the records of a list.
    pub template: &'t dyn Fn(u16) -> Option<Rc<Template>>,
    /// How many fields may still be given.
    pub left: usize,
    /// How deep lists may lie in lists.
    pub list_depth: usize,
    /// Whether fields are v9's.
    pub v9: bool,
}

pub(super) fn hex(bytes: &[u8]) -> Json {
    use std::fmt::Write;
    let mut text = String::with_capacity(2 + 2 * bytes.len());
    text.push_str("0x");
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text.into()
}

/// A number of up to eight bytes; none where there are none or more.
pub(super) fn number(bytes: &[u8]) -> Option<u64> {
    (1..=8).contains(&bytes.len()).then(|| bytes.iter().fold(0, |n, byte| n << 8 | u64::from(*byte)))
}

/// A time in UTC with so many digits behind the second; beyond the year 9999 the seconds as a number.
pub(super) fn time(seconds: u64, nanos: u32, digits: usize) -> Json {
    if seconds >= YEAR_10000 || nanos >= 1_000_000_000 {
        return seconds.into();
    }
    let at = UNIX_EPOCH + Duration::new(seconds, nanos);
    match digits {
        0 => humantime::format_rfc3339_seconds(at).to_string(),
        3 => humantime::format_rfc3339_millis(at).to_string(),
        6 => humantime::format_rfc3339_micros(at).to_string(),
        _ => humantime::format_rfc3339_nanos(at).to_string(),
    }
    .into()
}

/// NTP's format (RFC 7011 sections 6.1.9 and 6.1.10); before 1970 it is the era after 2036.
fn ntp(n: u64, digits: usize) -> Json {
    let (seconds, fraction) = (n >> 32, n & 0xffff_ffff);
    let seconds =
        if seconds >= NTP_TO_UNIX { seconds - NTP_TO_UNIX } else { seconds + (1 << 32) - NTP_TO_UNIX };
    time(seconds, ((fraction * 1_000_000_000) >> 32) as u32, digits)
}

fn float(n: f64) -> Json {
    serde_json::Number::from_f64(n).map_or_else(|| n.to_string().into(), Json::Number)
}

/// What is printed of an element's bytes.
pub(super) fn value(kind: Kind, bytes: &[u8], depth: usize, reading: &mut Reading<'_>) -> Json {
    if bytes.is_empty() && !matches!(kind, Kind::Text) {
        return Json::Null;
    }
    let of_number = |make: &dyn Fn(u64) -> Json| number(bytes).map(make);
    let made = match kind {
        Kind::Octets => None,
        Kind::Unsigned => of_number(&|n| n.into()),
        Kind::Signed => of_number(&|n| {
            let unused = 64 - 8 * bytes.len() as u32;
            ((n << unused) as i64 >> unused).into()
        }),
        Kind::Float => match *bytes {
            [a, b, c, d] => Some(float(f32::from_be_bytes([a, b, c, d]).into())),
            _ => bytes.first_chunk::<8>().filter(|_| bytes.len() == 8).map(|b| float(f64::from_be_bytes(*b))),
        },
        Kind::Boolean => match *bytes {
            [1] => Some(true.into()),
            [2] => Some(false.into()),
            _ => None,
        },
        Kind::Mac => {
            bytes.first_chunk::<6>().filter(|_| bytes.len() == 6).map(|b| Mac(*b).to_string().into())
        }
        Kind::Text => {
            let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            std::str::from_utf8(&bytes[..end]).ok().map(Json::from)
        }
        Kind::Seconds => of_number(&|n| time(n, 0, 0)),
        Kind::Millis => of_number(&|n| time(n / 1000, (n % 1000) as u32 * 1_000_000, 3)),
        Kind::Micros => (bytes.len() == 8).then(|| of_number(&|n| ntp(n, 6))).flatten(),
        Kind::Nanos => (bytes.len() == 8).then(|| of_number(&|n| ntp(n, 9))).flatten(),
        Kind::Ipv4 => bytes
            .first_chunk::<4>()
            .filter(|_| bytes.len() == 4)
            .map(|b| Ipv4Addr::from(*b).to_string().into()),
        Kind::Ipv6 => bytes
            .first_chunk::<16>()
            .filter(|_| bytes.len() == 16)
            .map(|b| Ipv6Addr::from(*b).to_string().into()),
        _ if depth >= reading.list_depth => None,
        Kind::BasicList => basic_list(bytes, depth, reading),
        Kind::SubTemplateList => sub_template_list(bytes, depth, reading),
        Kind::SubTemplateMultiList => sub_template_multi_list(bytes, depth, reading),
    };
    made.unwrap_or_else(|| hex(bytes))
}

/// How the elements of a list belong together (RFC 6313 section 4.4).
fn semantic(byte: u8) -> Json {
    match byte {
        0 => "noneOf".into(),
        1 => "exactlyOneOf".into(),
        2 => "oneOrMoreOf".into(),
        3 => "allOf".into(),
        4 => "ordered".into(),
        255 => "undefined".into(),
        other => other.into(),
    }
}

fn basic_list(bytes: &[u8], depth: usize, reading: &mut Reading<'_>) -> Option<Json> {
    let (first, rest) = bytes.split_first()?;
    let (field, used) = Field::read(rest, true)?;
    let mut rest = rest.get(used..)?;
    let mut values = Vec::new();
    while !rest.is_empty() {
        let (value, used) = field.value(rest, depth + 1, reading)?;
        if used == 0 {
            return None;
        }
        values.push(value);
        rest = &rest[used..];
    }
    let (id, pen, name) = (field.id, field.enterprise, field.name(reading.v9));
    Some(json!({"semantic": semantic(*first), "id": id, "pen": pen, "name": name, "values": values}))
}

fn sub_template_list(bytes: &[u8], depth: usize, reading: &mut Reading<'_>) -> Option<Json> {
    let ([first, t0, t1], rest) = bytes.split_first_chunk()?;
    let id = u16::from_be_bytes([*t0, *t1]);
    let records = records(id, rest, depth, reading)?;
    Some(json!({"semantic": semantic(*first), "template": id, "records": records}))
}

fn sub_template_multi_list(bytes: &[u8], depth: usize, reading: &mut Reading<'_>) -> Option<Json> {
    let (first, mut rest) = bytes.split_first()?;
    let mut lists = Vec::new();
    while !rest.is_empty() {
        let [t0, t1, l0, l1] = *rest.first_chunk()?;
        let (id, length) = (u16::from_be_bytes([t0, t1]), usize::from(u16::from_be_bytes([l0, l1])));
        let body = rest.get(4..length)?;
        let list = match records(id, body, depth, reading) {
            Some(records) => json!({"template": id, "records": records}),
            None => json!({"template": id, "bytes": hex(body)}),
        };
        lists.push(list);
        rest = &rest[length..];
    }
    Some(json!({"semantic": semantic(*first), "lists": lists}))
}

/// The records of a list; none where their template is unknown or they are cut off.
fn records(id: u16, bytes: &[u8], depth: usize, reading: &mut Reading<'_>) -> Option<Vec<Json>> {
    let template = (reading.template)(id)?;
    let mut records = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let (fields, used) = template.record(rest, depth + 1, reading)?;
        if used == 0 {
            return None;
        }
        records.push(fields.into());
        rest = &rest[used..];
    }
    Some(records)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEPTH: usize = 4;

    fn printed(kind: Kind, bytes: &[u8]) -> Json {
        value(kind, bytes, 0, &mut Reading { template: &|_| None, left: 100, list_depth: DEPTH, v9: false })
    }

    #[test]
    fn a_value_is_printed_by_its_data_type_and_as_bytes_where_it_has_not_its_length() {
        for (kind, bytes, wanted) in [
            (Kind::Unsigned, &[1, 0][..], json!(256)),
            (Kind::Unsigned, &[255; 8], json!(u64::MAX)),
            (Kind::Unsigned, &[1; 9], json!("0x010101010101010101")),
            (Kind::Unsigned, &[], Json::Null),
            (Kind::Signed, &[255, 254], json!(-2)),
            (Kind::Float, &[0x3f, 0xc0, 0, 0], json!(1.5)),
            (Kind::Float, &[0x7f, 0xc0, 0, 0], json!("NaN")),
            (Kind::Boolean, &[2], json!(false)),
            (Kind::Boolean, &[3], json!("0x03")),
            (Kind::Mac, &[2, 0, 0, 0, 0, 1], json!("02:00:00:00:00:01")),
            (Kind::Text, b"ge-0/0/1\0\0", json!("ge-0/0/1")),
            (Kind::Text, &[0xff, 0], json!("0xff00")),
            (Kind::Seconds, &[0x65, 0x53, 0xf1, 0], json!("2023-11-14T22:13:20Z")),
            (Kind::Millis, &[0, 0, 1, 0x8b, 0xcf, 0xe5, 0x68, 7], json!("2023-11-14T22:13:20.007Z")),
            (Kind::Millis, &[255; 8], json!(u64::MAX / 1000)),
            (Kind::Micros, &[0x83, 0xaa, 0x7e, 0x81, 0x80, 0, 0, 0], json!("1970-01-01T00:00:01.500000Z")),
            (Kind::Nanos, &[0, 0, 0, 0, 0, 0, 0, 0], json!("2036-02-07T06:28:16.000000000Z")),
            (Kind::Ipv4, &[192, 0, 2, 1], json!("192.0.2.1")),
            (Kind::Ipv4, &[192, 0, 2], json!("0xc00002")),
            (Kind::Ipv6, &[0; 16], json!("::")),
        ] {
            assert_eq!(printed(kind, bytes), wanted, "{kind:?} {bytes:?}");
        }
    }

    #[test]
    fn lists_within_lists_are_walked_until_they_lie_too_deep() {
        let mut list = vec![3, 0, 7, 0, 2, 0, 80, 1, 187];
        assert_eq!(printed(Kind::BasicList, &list)["values"], json!([80, 443]));
        for _ in 0..6 {
            let length = list.len() as u8;
            list = [&[3, 1, 35, 255, 255, length][..], &list].concat();
        }
        let mut inner = &printed(Kind::BasicList, &list);
        let mut depth = 0;
        while inner.is_object() {
            inner = &inner["values"][0];
            depth += 1;
        }
        assert_eq!(depth, DEPTH);
        assert!(inner.as_str().is_some_and(|bytes| bytes.starts_with("0x03")));
    }
}
