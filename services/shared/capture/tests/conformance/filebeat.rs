//! Filebeat's events: every field of each record under a name in snake case.

use super::{Compared, Golden};
use crate::support::walked;
use serde_json::Value as Json;
use std::path::Path;
use weir_capture::walk::{Kind, Record};

/// Names that are not those of the elements. Scopes of v9 it takes for elements of the same number.
const OTHER: &[(&str, &str)] = &[
    ("ingressaclid", "nffingressaclid"),
    ("egressaclid", "nffegressaclid"),
    ("fwextevent", "nfffwextevent"),
    ("asausername", "nffusername"),
    ("asafwevent", "nfffwevent"),
    ("asaxlatesrcaddripv4", "nffxlatesrcaddripv4"),
    ("asaxlatedstaddripv4", "nffxlatedstaddripv4"),
    ("asaxlatesrcport", "nffxlatesrcport"),
    ("asaxlatedstport", "nffxlatedstport"),
];
const SCOPES: &[(&str, &str)] =
    &[("octetdeltacount", "system"), ("packetdeltacount", "interface"), ("deltaflowcount", "linecard")];

fn plain(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase()
}

/// The name of an element, also where it calls a vendor's by the vendor first or has no name for it.
fn is_named(field: &Json, wanted: &str) -> bool {
    let unknown = wanted.strip_prefix("netscalerunknown").and_then(|id| id.parse::<u16>().ok());
    let name = plain(field["name"].as_str().unwrap());
    name == wanted
        || wanted.strip_prefix("vmware") == Some(&name)
        || unknown.is_some_and(|id| field["pen"] == 5951 && field["id"] == id)
}

/// The value of ours that is like theirs, or the first of that name.
fn ours(record: &Record, name: &str, scope: bool, theirs: &Json) -> Json {
    let name = plain(name);
    let other = if scope { SCOPES } else { OTHER };
    let wanted = other.iter().find(|(from, _)| *from == name).map_or(&name[..], |(_, to)| to);
    let all = record.fields.iter().filter(|field| field.get("scope").is_some() == scope);
    let named = all.filter(|field| is_named(field, wanted));
    let values: Vec<Json> = named.map(|field| alike(&field["value"], theirs)).collect();
    values.iter().find(|value| super::same(theirs, value)).or(values.first()).cloned().unwrap_or_default()
}

/// Hexadecimal digits as base64.
fn base64(hex: &str) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits: Vec<u8> = hex
        .chars()
        .filter_map(|digit| digit.to_digit(16))
        .flat_map(|digit| (0..4).rev().map(move |bit| (digit >> bit & 1) as u8))
        .collect();
    let letter = |bits: &[u8]| {
        let n = bits.iter().fold(0, |n, bit| n << 1 | usize::from(*bit)) << (6 - bits.len());
        char::from(LETTERS[n])
    };
    let mut text: String = bits.chunks(6).map(letter).collect();
    while !text.len().is_multiple_of(4) {
        text.push('=');
    }
    text
}

/// Our value as Filebeat would print it.
fn alike(ours: &Json, theirs: &Json) -> Json {
    let digits = ours.as_str().and_then(|text| text.strip_prefix("0x"));
    if let (Some(digits), true) = (digits, theirs.is_u64()) {
        return u64::from_str_radix(digits, 16).map_or(Json::Null, Json::from);
    }
    let (Some(text), Some(other)) = (ours.as_str(), theirs.as_str()) else { return ours.clone() };
    if let Some(hex) = text.strip_prefix("0x")
        && (other.replace('-', "").to_lowercase() == hex || base64(hex) == other)
    {
        return theirs.clone();
    }
    if text.len() == 17 && text.replace(':', "-") == other.to_lowercase() {
        return theirs.clone();
    }
    ours.clone()
}

pub fn read(folder: &Path) -> Golden {
    let mut golden = Golden { name: "Filebeat", files: 0, records: 0, fields: Vec::new() };
    let path = folder.join("andrewkroh+beats/x-pack/filebeat/input/netflow/testdata/golden");
    let mut paths: Vec<_> = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap().replace(".golden.json", "");
        let file = format!("_sequences/beats/{}.pcap", name.replace('-', "_"));
        let events: Json = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let records = walked(&std::fs::read(folder.join(&file)).unwrap());
        golden.files += 1;
        for (kind, word) in [(Kind::Flow, "netflow_flow"), (Kind::Options, "netflow_options")] {
            let theirs = events["events"].as_array().into_iter().flatten();
            let theirs: Vec<&Json> =
                theirs.map(|event| &event["Fields"]["netflow"]).filter(|r| r["type"] == word).collect();
            let records: Vec<_> = records.iter().filter(|record| record.kind == kind).collect();
            let mut push = |record: String, field: &str, theirs: Json, ours: Json| {
                golden.fields.push(Compared {
                    file: file.clone(),
                    record,
                    field: field.into(),
                    theirs,
                    ours,
                });
            };
            push(word.into(), "records", theirs.len().into(), records.len().into());
            for (n, (theirs, record)) in theirs.iter().zip(&records).enumerate() {
                golden.records += 1;
                let place = format!("{word} {n}");
                for (name, value) in theirs.as_object().unwrap() {
                    let inner = |scope: bool| {
                        let fields = value.as_object().into_iter().flatten();
                        fields.map(move |(name, value)| (name, value, ours(record, name, scope, value)))
                    };
                    let found: Vec<_> = match &name[..] {
                        "type" => continue,
                        "exporter" => {
                            let header = record.to_json();
                            let of = [
                                ("source_id", "domain"),
                                ("uptime_millis", "uptime"),
                                ("timestamp", "exported"),
                            ];
                            // It gives IPFIX, which has none, an uptime of 0.
                            let of = of.into_iter().filter(|(_, ours)| header.get(*ours).is_some());
                            of.map(|(name, ours)| {
                                (name.to_owned(), value[name].clone(), header[ours].clone())
                            })
                            .collect()
                        }
                        "options" | "scope" => {
                            let fields = inner(name == "scope");
                            fields.map(|(name, value, ours)| (name.clone(), value.clone(), ours)).collect()
                        }
                        _ => vec![(name.clone(), value.clone(), ours(record, name, false, value))],
                    };
                    for (name, theirs, ours) in found {
                        push(place.clone(), &name, theirs, ours);
                    }
                }
            }
        }
    }
    golden
}
