//! NetGauze's messages: every field of each record in order, under the element's name.

use super::{Compared, Golden};
use crate::support::walked;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::path::Path;
use weir_capture::walk::{Kind, Record};

const CAPTURES: &[&str] = &[
    "100-IPFIXv10-CISCO/traffic-00",
    "101-NFv9-CISCO-cust_primitives/traffic-00",
    "106-IPFIXv10-HUAWEI-vrf_name/traffic-00",
    "111-IPFIXv10-NFv9-IPv6-IPv4-mix_sources/traffic-00",
    "111-IPFIXv10-NFv9-IPv6-IPv4-mix_sources/traffic-01",
    "400-IPFIXv10-BMP-CISCO-SRv6-multiple-sources/traffic-00",
    "500-IPFIXv10-BGP-CISCO-SRv6/traffic-00",
];

/// Its words for values of IANA's registries, by element.
const WORDS: &[(&str, &str, u64)] = &[
    ("protocolIdentifier", "ICMP", 1),
    ("protocolIdentifier", "IPv4", 4),
    ("protocolIdentifier", "TCP", 6),
    ("protocolIdentifier", "UDP", 17),
    ("protocolIdentifier", "IPv6", 41),
    ("protocolIdentifier", "IPv6ICMP", 58),
    ("protocolIdentifier", "VRRP", 112),
    ("flowDirection", "ingress", 0),
    ("flowDirection", "egress", 1),
    ("flowEndReason", "idletimeout", 1),
    ("flowEndReason", "activetimeout", 2),
    ("flowEndReason", "endofFlowdetected", 3),
    ("selectorAlgorithm", "RandomnoutofNSampling", 3),
    ("mplsTopLabelType", "Unknown", 0),
    ("mplsTopLabelType", "BGP", 4),
    ("mplsTopLabelType", "LDP", 5),
];
const FLAGS: [&str; 8] = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"];
const FORWARDING: [&str; 4] = ["Unknown", "Forwarded", "Dropped", "Consumed"];

/// A value of theirs as ours would be.
fn alike(name: &str, theirs: &Json, ours: &Json) -> Json {
    let word = |text: &str| {
        WORDS.iter().find(|(of, word, _)| *of == name && *word == text).map(|(_, _, n)| json!(n))
    };
    match theirs {
        Json::String(text) => word(text).unwrap_or_else(|| theirs.clone()),
        Json::Array(bytes) => {
            let bytes: Vec<u8> = bytes.iter().filter_map(|byte| byte.as_u64()?.try_into().ok()).collect();
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            if bytes.is_empty() {
                return Json::Null;
            }
            // A number of 32 bytes of which fewer were sent.
            let (high, low) = bytes.split_at(bytes.len().saturating_sub(8));
            if ours.is_u64() && high.iter().all(|byte| *byte == 0) {
                return low.iter().fold(0, |n, byte| n << 8 | u64::from(*byte)).into();
            }
            match ours.as_str() {
                Some(text) if text.contains(':') => {
                    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":").into()
                }
                _ => format!("0x{hex}").into(),
            }
        }
        Json::Object(object) => match (object.iter().next(), object.len()) {
            (Some((key, value)), 1) if FORWARDING.contains(&&key[..]) && name == "forwardingStatus" => {
                let status = FORWARDING.iter().position(|word| word == key).unwrap() << 6;
                let reason = match value {
                    Json::String(word) if word == "Unknown" => Some(0),
                    Json::String(word) if word == "Forus" => Some(3),
                    value => value["Unassigned"].as_u64().map(|n| n as usize),
                };
                reason.map_or_else(|| theirs.clone(), |reason| json!(status | reason))
            }
            (Some((_, Json::Number(n))), 1) => n.clone().into(),
            (Some((_, Json::Object(inner))), 1) => alike(name, &inner["value"], ours),
            _ if name == "tcpControlBits" => {
                let bits =
                    FLAGS.iter().enumerate().filter(|(_, flag)| object.get(**flag) == Some(&json!(true)));
                json!(bits.map(|(bit, _)| 1 << bit).sum::<u64>())
            }
            _ => theirs.clone(),
        },
        other => other.clone(),
    }
}

/// Name and value of each field of a record.
type Fields = Vec<(String, Json)>;

fn records(message: &Json) -> Vec<Fields> {
    let sets = message["sets"].as_array().into_iter().flatten();
    let records = sets.filter_map(|set| set.get("Data")).flat_map(|data| data["records"].as_array().unwrap());
    let fields = |record: &Json| {
        let of = |name: &str| record[name].as_array().cloned().unwrap_or_default();
        let all = [of("scope_fields"), of("fields")].concat();
        all.into_iter().flat_map(|field| field.as_object().unwrap().clone()).collect::<Vec<_>>()
    };
    records.map(fields).collect()
}

pub fn read(folder: &Path) -> Golden {
    let mut golden = Golden { name: "NetGauze", files: 0, records: 0, fields: Vec::new() };
    for capture in CAPTURES {
        let file = format!("NetGauze+NetGauze/assets/pcaps/pmacct-tests/{capture}.pcap");
        let text = std::fs::read_to_string(folder.join(file.replace(".pcap", "-flow.json"))).unwrap();
        let ours = walked(&std::fs::read(folder.join(&file)).unwrap());
        golden.files += 1;
        // Messages are told apart by domain and sequence number; it prints those of one exporter after another.
        let mut by_message: BTreeMap<(u64, u64), Vec<&Record>> = BTreeMap::new();
        for record in ours.iter().filter(|record| matches!(record.kind, Kind::Flow | Kind::Options)) {
            let sequence = record.header.sequence.unwrap_or_default();
            by_message.entry((record.header.domain.into(), sequence.into())).or_default().push(record);
        }
        let mut theirs: BTreeMap<(u64, u64), Vec<Fields>> = BTreeMap::new();
        for line in text.lines() {
            let message: Json = serde_json::from_str(line).unwrap();
            let message = message.as_object().unwrap().values().next().unwrap();
            let domain =
                message.get("observation_domain_id").or(message.get("source_id")).and_then(Json::as_u64);
            let key = (domain.unwrap(), message["sequence_number"].as_u64().unwrap());
            theirs.entry(key).or_default().extend(records(message));
        }
        for ((domain, sequence), theirs) in &theirs {
            let place = format!("domain {domain}, sequence {sequence}");
            let ours = by_message.get(&(*domain, *sequence)).cloned().unwrap_or_default();
            let mut push = |record: &str, field: &str, theirs: Json, ours: Json| {
                let (file, record, field) = (file.clone(), record.to_owned(), field.to_owned());
                golden.fields.push(Compared { file, record, field, theirs, ours });
            };
            push(&place, "records", theirs.len().into(), ours.len().into());
            for (theirs, ours) in theirs.iter().zip(&ours) {
                golden.records += 1;
                push(&place, "fields", theirs.len().into(), ours.fields.len().into());
                for ((name, value), field) in theirs.iter().zip(&ours.fields) {
                    let ours = field["value"].clone();
                    // Elements of an enterprise stand under its name.
                    if field["pen"] == 0 {
                        push(&place, "name", name.clone().into(), field["name"].clone());
                    }
                    push(&place, name, alike(name, value, &ours), ours);
                }
            }
        }
    }
    golden
}
