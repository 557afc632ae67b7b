//! docs/protocols.md: what is supported, by protocol, element and record, made from the tables in the code. What columns an element or a record is
//! for, the decoder itself says: it decodes a record with it and one without, and what differs is named.
#![allow(missing_docs, reason = "tests read as sentences")]
#![allow(clippy::unwrap_used, reason = "a test that meets no value has failed")]

#[path = "../../wire/tests/build/mod.rs"]
mod build;
mod support;

use build::{F, bytes, f, set, template};
use serde_json::Value as Json;
use std::collections::BTreeSet;
use std::fmt::Write;
use support::{decoded, root};
use weir_capture::walk::sflow::{Part, RECORDS, SAMPLES};
use weir_schemas::{Flow, Protocol};
use weir_wire::names;

/// Columns that follow from others.
const DERIVED: &[&str] = &[
    "q",
    "q_l2",
    "flags",
    "spread_start",
    "spread_end",
    "family",
    "flow_kind",
    "record_index",
    "received",
    "exported",
];

fn line(datagram: &[u8]) -> Json {
    decoded(datagram).1.into_iter().next().unwrap()
}

/// Columns that differ in the flow of the other direction; where there is none without, what it counts.
fn differing_back(with: &[u8], without: &[u8]) -> BTreeSet<&'static str> {
    let [with, without] = [with, without].map(|datagram| decoded(datagram).1.into_iter().nth(1));
    match (with, without) {
        (Some(with), Some(without)) => differing(&with, &without),
        (Some(with), None) => {
            let counts = |name: &&str| with.get(*name).is_some_and(|n| *n != 0);
            ["bytes", "packets", "bytes_l2"].into_iter().filter(counts).collect()
        }
        _ => BTreeSet::new(),
    }
}

/// Columns that differ, in their order; derived ones only where there are no others.
fn differing(with: &Json, without: &Json) -> BTreeSet<&'static str> {
    let differ = |name: &str| with.get(name) != without.get(name);
    let all: BTreeSet<_> =
        Flow::COLUMNS.iter().map(|column| column.name).filter(|name| differ(name)).collect();
    let own: BTreeSet<_> = all.iter().copied().filter(|name| !DERIVED.contains(name)).collect();
    let follow: BTreeSet<_> =
        all.into_iter().filter(|name| ["q", "q_l2", "flow_kind"].contains(name)).collect();
    if own.is_empty() { follow } else { own }
}

/// Records to which an element is added: of TCP, ICMP and IPv6's ICMP, one without counters, and some that make sense of certain elements.
fn records() -> Vec<Vec<(F, Vec<u8>)>> {
    let counters = |n: u8| vec![(f(1, 4), vec![0, 0, n, 0]), (f(2, 4), vec![0, 0, 0, 8])];
    let v4 = |proto: u8| [counters(9), vec![(f(8, 4), vec![10, 0, 0, 1]), (f(4, 1), vec![proto])]].concat();
    let six = vec![
        (f(27, 16), [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7].to_vec()),
        (f(4, 1), vec![58]),
    ];
    let frame = build::tcp4(60);
    let others = [
        // A start without an end, for a duration.
        vec![(f(152, 8), 1_699_999_000_000_u64.to_be_bytes().to_vec())],
        // Bytes of layer 2, for their squares.
        [counters(9), vec![(f(352, 4), vec![0, 0, 10, 0])]].concat(),
        // A sampled frame, for its length.
        vec![(f(315, frame.len() as u16), frame)],
        // Octets of the other direction, for what else is said of it.
        [counters(9), vec![(F(1, 4, names::REVERSE), vec![0, 0, 1, 0])]].concat(),
        // Addresses of both families, for the version that says which counts.
        vec![(f(8, 4), vec![10, 0, 0, 1]), six[0].clone()],
    ];
    let plain = [v4(6), v4(1), [counters(9), six].concat(), vec![(f(210, 1), vec![0])]];
    plain.into_iter().chain(others).collect()
}

fn datagram(ipfix: bool, fields: &[(F, Vec<u8>)]) -> Vec<u8> {
    let specified: Vec<F> = fields.iter().map(|(field, _)| *field).collect();
    let record: Vec<u8> = fields.iter().flat_map(|(_, value)| value.clone()).collect();
    let sets = |id| [set(id, template(256, &specified)), set(256, record.clone())];
    if ipfix { build::ipfix(1, &sets(2)) } else { build::v9(1, &sets(0)) }
}

/// The columns for which an element is, of the flow and of that of the other direction.
fn columns(pen: u32, id: u16, lengths: &[u16]) -> [BTreeSet<&'static str>; 2] {
    let width =
        names::named(0, id).and_then(|named| named.data_type.strip_prefix("unsigned")?.parse::<u16>().ok());
    let length = match width {
        Some(bits) if lengths.contains(&(bits / 8)) => bits / 8,
        _ => lengths.first().copied().unwrap_or(54),
    };
    // Sampled frames and packets are real ones.
    let frame = build::tcp4(60);
    let small = |n: u8| (0..length).rev().map(|byte| u8::from(byte == 0) * n).collect();
    let values: Vec<Vec<u8>> = match (lengths.is_empty(), id) {
        (true, 313) => vec![frame[14..].to_vec()],
        (true, _) => vec![frame],
        // A time of this exporter: a minute ago.
        _ if pen == 0 && (21..=22).contains(&id) => vec![(build::UPTIME - 60_000).to_be_bytes().to_vec()],
        // Squares that packets of those octets can have.
        _ if [198, 199, 428, 429].contains(&id) => vec![1_000_000_u64.to_be_bytes().to_vec()],
        _ => [1, 5, 6].map(small).to_vec(),
    };
    let back = pen != 0 || [232, 299].contains(&id);
    let (mut found, mut of_back) = (BTreeSet::new(), BTreeSet::new());
    for record in records() {
        let without: Vec<_> =
            record.iter().filter(|(field, _)| (field.0, field.2) != (id, pen)).cloned().collect();
        if without.is_empty() {
            continue;
        }
        // What stands beside a frame comes before it, or hides it.
        if id != 312 && record.iter().any(|(field, _)| field.0 == 315) {
            continue;
        }
        // An address of the other family would change of which the record is.
        if id == 12 && record.iter().any(|(field, _)| field.0 == 27) {
            continue;
        }
        for value in &values {
            let with = [without.clone(), vec![(F(id, value.len() as u16, pen), value.clone())]].concat();
            // v9 has no enterprises.
            let plain = with.iter().all(|(field, _)| field.2 == 0);
            for ipfix in [false, true].into_iter().filter(|ipfix| *ipfix || plain) {
                let (with, without) = (datagram(ipfix, &with), datagram(ipfix, &without));
                found.extend(differing(&line(&with), &line(&without)));
                if back {
                    of_back.extend(differing_back(&with, &without));
                }
            }
        }
    }
    [found, of_back]
}

fn table(text: &mut String, head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) {
    writeln!(text, "| {} |\n|{}", head.join(" | "), "---|".repeat(head.len())).unwrap();
    for row in rows {
        writeln!(text, "| {} |", row.join(" | ")).unwrap();
    }
    text.push('\n');
}

fn code<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    names.into_iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn elements(text: &mut String) {
    let mut options = Vec::new();
    let mut rows = Vec::new();
    for (pen, id, lengths) in weir_wire::elements() {
        let named = names::named(pen, id).unwrap();
        let span = match lengths {
            [] => "any".to_owned(),
            [one] => one.to_string(),
            [4, 8] => "4, 8".to_owned(),
            [first, .., last] => format!("{first} to {last}"),
        };
        let row = vec![
            if pen == 0 { id.to_string() } else { format!("{pen}/{id}") },
            named.name.to_string(),
            named.data_type.to_owned(),
            span,
        ];
        let [columns, back] = columns(pen, id, lengths);
        let mut cell = code(columns);
        if !back.is_empty() {
            cell = format!("{cell} of the other direction {}", code(back)).trim().to_owned();
        }
        if cell.is_empty() {
            options.push(row);
        } else {
            rows.push([row, vec![cell]].concat());
        }
    }
    let head = ["id", "name", "data type", "bytes", "columns"];
    table(text, &head, rows);
    text.push_str("Others matter in options data, where they say rates, what a rate is of, and when the system started; some of them beside others in flow records too:\n\n");
    table(text, &head[..4], options);
}

fn fixed(text: &mut String) {
    let name = |id: u16| match id {
        0 => "–".to_owned(),
        _ => names::named(0, id).unwrap().name.to_string(),
    };
    let rows = weir_wire::layouts().iter().map(|layout| {
        let fields: Vec<_> =
            layout.record.iter().map(|(id, length)| format!("{} {length}", name(*id))).collect();
        let scheme = if layout.scheme == 0 { String::new() } else { layout.scheme.to_string() };
        vec![
            layout.version.to_string(),
            scheme,
            layout.header.to_string(),
            layout.record_length().to_string(),
            fields.join(", "),
        ]
    });
    table(text, &["version", "scheme", "header", "record", "fields and their bytes (–: no column)"], rows);
}

fn scopes(text: &mut String) {
    let rows = weir_wire::scopes().map(|(protocol, id, what)| {
        let name = match protocol {
            Protocol::NetflowV9 => "scope type (RFC 3954)".to_owned(),
            _ => names::named(0, id).unwrap().name.to_string(),
        };
        let whose = if protocol == Protocol::NetflowV9 { "v9" } else { "IPFIX, v9" };
        vec![whose.to_owned(), id.to_string(), name, what.to_owned()]
    });
    table(text, &["protocol", "id", "name", "scope"], rows);
}

/// The columns for which a record of a flow sample is.
fn of_record(format: u32) -> BTreeSet<&'static str> {
    let body = match format {
        1 => build::raw_header(64, 4, &build::tcp4(46)),
        _ => {
            let words = (0..16).fold(bytes(), |bytes, _| bytes.u32(1));
            build::tagged(format, words.0)
        }
    };
    let sample = |records: &[Vec<u8>]| line(&build::sflow(&[build::flow_sample(3, 1000, 3, 5, records)]));
    let mut found = differing(&sample(&[body]), &sample(&[]));
    found.remove("flow_kind");
    found
}

fn sflow(text: &mut String) {
    let rows = SAMPLES.iter().map(|sample| {
        let fields = code(sample.parts.iter().map(|(name, _)| *name));
        vec![sample.format.to_string(), sample.name.to_owned(), fields]
    });
    table(text, &["format", "sample", "fields"], rows);
    let rows = RECORDS.iter().map(|layout| {
        let columns = if layout.counters { BTreeSet::new() } else { of_record(layout.format) };
        let part = |(name, part): &(&str, Part)| match part {
            Part::U32 => (*name).to_owned(),
            other => format!("{name} ({})", format!("{other:?}").to_lowercase()),
        };
        let fields = layout.parts.iter().map(part).collect::<Vec<_>>().join(", ");
        let whose = if layout.counters { "counters" } else { "flow" };
        vec![whose.to_owned(), layout.format.to_string(), layout.name.to_owned(), fields, code(columns)]
    });
    table(
        text,
        &["sample", "format", "record", "fields (four bytes where nothing is said)", "columns"],
        rows,
    );
}

fn vendors(text: &mut String) {
    let rows = names::enterprises().iter().map(|enterprise| {
        let number = if enterprise.number == 0 { String::new() } else { enterprise.number.to_string() };
        vec![
            number,
            enterprise.name.to_owned(),
            enterprise.elements.to_string(),
            enterprise.source.to_owned(),
        ]
    });
    table(text, &["enterprise", "name", "elements", "from"], rows);
}

#[test]
fn every_record_of_a_flow_sample_that_makes_columns_has_a_layout() {
    let known = |format: u32| RECORDS.iter().any(|layout| !layout.counters && layout.format == format);
    let read: Vec<u32> = (0..4096).filter(|format| !of_record(*format).is_empty()).collect();
    let without: Vec<_> = read.iter().filter(|format| !known(**format)).collect();
    assert!(read.contains(&1020) && without.is_empty(), "{without:?} of {read:?}");
}

#[test]
fn the_document_of_protocols_is_what_the_tables_say() {
    let mut text = String::new();
    for part in include_str!("protocols.md").split_inclusive("\n\n") {
        match part.trim() {
            "{elements}" => elements(&mut text),
            "{fixed}" => fixed(&mut text),
            "{scopes}" => scopes(&mut text),
            "{sflow}" => sflow(&mut text),
            "{vendors}" => vendors(&mut text),
            _ => text.push_str(part),
        }
    }
    let made = format!("{}\n", text.trim_end());
    let path = root().join("docs/protocols.md");
    if std::env::var_os("WEIR_BLESS").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    assert!(std::fs::read_to_string(&path).unwrap_or_default() == made, "run this test with WEIR_BLESS=1");
}
