//! The compiled decoder against the plain walker: each flow record has the columns that its fields say, by their names in IANA's registry.
#![allow(missing_docs, reason = "tests read as sentences")]
#![allow(clippy::unwrap_used, reason = "a test that meets no value has failed")]

#[path = "../../wire/tests/build/mod.rs"]
mod build;
mod support;

use proptest::prelude::*;
use support::columns::agree;
use support::{captures, rows};
use weir_wire::names;

/// Whether an element may have a length: no more than its data type has (RFC 7011 section 6.2). The milliseconds of a start after the year 9999
/// are not printed.
fn fits(id: u16, length: u16) -> bool {
    if id == 160 && length > 5 {
        return false;
    }
    let bits = names::named(0, id).and_then(|named| named.data_type.strip_prefix("unsigned")?.parse().ok());
    bits.is_none_or(|bits: u16| length * 8 <= bits)
}

#[test]
fn flows_of_every_capture_are_what_their_fields_say() {
    let Some(folder) = captures() else { return };
    let (mut flows, mut columns) = (0, 0);
    for row in rows(&folder) {
        let path = row.cell("path");
        let (some, _, compared) = agree(path, &std::fs::read(folder.join(path)).unwrap());
        flows += some;
        columns += compared;
    }
    println!("{flows} flow records, {columns} columns agree");
    assert!(flows > 9000 && columns > 100_000, "{flows} flow records, {columns} columns");
}

#[test]
fn flows_of_our_own_datagrams_are_what_their_fields_say() {
    for (name, templates, data) in build::bench_datagrams() {
        // A raw file is one datagram of v9, and many of IPFIX: a template and its data are in one.
        let (.., compared) = match (templates.get(..2), data.get(..2)) {
            (Some([0, 9]), Some([0, 9])) => agree(name, &[&templates[..], &data[20..]].concat()),
            _ => agree(name, &[templates, data].concat()),
        };
        assert!(compared > 0, "{name}");
    }
    for (n, record) in build::aggregate::records().into_iter().enumerate() {
        let datagram = build::without_templates(8, n as u8 + 1, &[record]);
        assert!(agree(&format!("v8, scheme {}", n + 1), &datagram).2 > 0);
    }
}

/// Elements that a record of two packets has twice, with their lengths.
const TWICE: [(u16, u16); 8] = [(4, 1), (6, 1), (7, 2), (8, 4), (11, 2), (12, 4), (27, 16), (28, 16)];

proptest! {
    /// Elements in any order and of any length that they may have, some of them twice, with others among them.
    #[test]
    fn flows_of_any_template_are_what_their_fields_say(
        picks in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..8_u8), 1..40),
        layers in prop::collection::vec(0..TWICE.len(), 0..12),
        filling in any::<u8>(),
        ipfix in any::<bool>(),
        records in 1..4_usize,
    ) {
        let elements: Vec<_> = weir_wire::elements().collect();
        let mut fields = vec![build::f(1, 4)];
        fields.extend(layers.into_iter().map(|at| TWICE[at]).map(|(id, length)| build::f(id, length)));
        for (element, length, kind) in picks {
            let (pen, id, lengths) = *element.get(&elements);
            let known = lengths.get(length.index(lengths.len().max(1))).copied().filter(|length| fits(id, *length));
            fields.push(match (kind, known) {
                (0, _) => build::f(2000 + u16::from(kind), 3),
                (1, _) if ipfix => build::F(id, 2, 9),
                (_, Some(length)) if !fields.iter().any(|field| (field.0, field.2) == (id, pen)) && (ipfix || pen == 0) => build::F(id, length, pen),
                _ => continue,
            });
        }
        let length: usize = fields.iter().map(|field| usize::from(field.1)).sum();
        let body: Vec<u8> = (0..length * records).map(|n| (n as u8).wrapping_mul(filling) ^ (n >> 8) as u8).collect();
        let sets = |id| [build::set(id, build::template(256, &fields)), build::set(256, body.clone())];
        let datagram = if ipfix { build::ipfix(1, &sets(2)) } else { build::v9(1, &sets(0)) };
        let (flows, others, _) = agree("made", &datagram);
        prop_assert_eq!(flows - others, records);
    }
}
