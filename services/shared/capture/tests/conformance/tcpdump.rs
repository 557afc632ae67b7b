//! tcpdump's reading of sFlow counters: text, with its numbers in the order of the fields.

use super::{Compared, Golden};
use crate::support::walked;
use serde_json::{Value as Json, json};
use std::path::Path;
use weir_capture::walk::Kind;

const CAPTURE: &str = "the-tcpdump-group+tcpdump/tests/sflow_multiple_counter_30_pdus.pcap";

/// The last number of a phrase such as `unicast pkts 9601`; none of a word such as `adminstatus: up`.
fn number(phrase: &str) -> Option<u64> {
    phrase.split(' ').rfind(|word| !word.starts_with('('))?.parse().ok()
}

/// A record of a sample: its name there and its numbers.
type Numbers = (String, Vec<u64>);

/// Samples of the text, each with sequence number, index of its source, and records.
fn samples(text: &str) -> Vec<(u64, u64, Vec<Numbers>)> {
    let mut samples: Vec<(u64, u64, Vec<Numbers>)> = Vec::new();
    for line in text.lines() {
        let phrases: Vec<&str> = line.trim().split(", ").collect();
        let of =
            |name: &str| phrases.iter().find_map(|phrase| phrase.strip_prefix(name)?.trim().parse().ok());
        if line.contains("counter sample (") {
            samples.push((of("seqnum").unwrap(), of("idx").unwrap(), Vec::new()));
        } else if line.trim().starts_with("enterprise ") {
            let name = phrases[1].split(" (").next().unwrap().to_owned();
            samples.last_mut().unwrap().2.push((name, Vec::new()));
        } else if let Some((_, numbers)) = samples.last_mut().and_then(|sample| sample.2.last_mut())
            && line.starts_with("\t      ")
        {
            numbers.extend(phrases.iter().filter_map(|phrase| number(phrase)));
        }
    }
    samples
}

pub fn read(folder: &Path) -> Golden {
    let mut golden = Golden { name: "tcpdump", files: 1, records: 0, fields: Vec::new() };
    let theirs = samples(&std::fs::read_to_string(folder.join(CAPTURE.replace(".pcap", ".out"))).unwrap());
    let records = walked(&std::fs::read(folder.join(CAPTURE)).unwrap());
    let records: Vec<_> = records.iter().filter(|record| record.kind == Kind::CounterSample).collect();
    let mut push = |record: String, field: &str, theirs: Json, ours: Json| {
        golden.fields.push(Compared { file: CAPTURE.into(), record, field: field.into(), theirs, ours });
    };
    push("all".into(), "samples", theirs.len().into(), records.len().into());
    for (n, ((sequence, index, inner), record)) in theirs.iter().zip(&records).enumerate() {
        golden.records += 1;
        let place = format!("sample {n}");
        let of = |names: [&str; 2]| {
            record
                .fields
                .iter()
                .find(|f| names.contains(&f["name"].as_str().unwrap()))
                .map_or(Json::Null, |f| f["value"].clone())
        };
        push(place.clone(), "seqnum", json!(sequence), of(["sequence_number", ""]));
        let source = of(["source_id_index", "source_id"]);
        push(
            place.clone(),
            "idx",
            json!(index),
            source.as_u64().map_or(Json::Null, |n| json!(n & 0xff_ffff)),
        );
        push(place.clone(), "records", inner.len().into(), record.records.len().into());
        for ((name, numbers), ours) in inner.iter().zip(&record.records) {
            if numbers.is_empty() {
                continue;
            }
            let fields = ours["fields"].as_array().unwrap();
            push(format!("{place}, {name}"), "fields", numbers.len().into(), fields.len().into());
            for (number, field) in numbers.iter().zip(fields) {
                push(
                    format!("{place}, {name}"),
                    field["name"].as_str().unwrap(),
                    json!(number),
                    field["value"].clone(),
                );
            }
        }
    }
    golden
}
