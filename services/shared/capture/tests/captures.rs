//! Every capture of counts.tsv, decoded and compared with what an independent walker counted.
//!
//! The captures lie beside the project, not in it: where the folder is missing the tests say so and pass. Each disagreement
//! stands in [`EXCEPTIONS`] and, with its reason, in docs/captures.md; one that does not fails the test, and so does an
//! exception that is none any more.
#![allow(clippy::unwrap_used, reason = "a test that meets no value has failed")]

use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use weir_capture::How;
use weir_capture::decode::{Summary, decode};
use weir_wire::Reason;

/// File, column of counts.tsv, what we count there. Reasons are in docs/captures.md.
const EXCEPTIONS: &[(&str, &str, &str)] =
    &[("_sequences/logstash/IPFIX_Netscaler_with_variable_length_fields.pcap", "flow_records", "6")];

/// Files that give other faults than sets without template, with the words of these faults. Explained there too.
const FAULTS: &[(&str, &[&str])] = &[
    (
        "CESNET+ipfixcol/base/tests/ipfixcol_test/tests/ipfix_data/bad-length-in-set.ipfix",
        &["truncated", "bad_set_length", "bad_template"],
    ),
    ("Cistern+sflow/_test/flow_samples_2.dump", &["trailing_bytes"]),
    (
        "_from_source/cloudflare+goflow/utils/sflow_test.go.L00023.return.sflow.bin",
        &["trailing_bytes", "bad_sample"],
    ),
];

fn captures() -> Option<PathBuf> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../..");
    let path = root.join("../shared/captures");
    let found = path.join("counts.tsv").is_file();
    if !found {
        println!("skipped: no captures at {}", path.display());
    }
    found.then_some(path)
}

fn decoded(bytes: &[u8]) -> (Summary, String) {
    let mut lines = Vec::new();
    let capture = weir_capture::read(bytes).unwrap_or_else(|error| panic!("{error}"));
    let summary = decode(capture, &How::default(), &mut lines).unwrap();
    (summary, String::from_utf8(lines).unwrap())
}

fn file(path: &str) -> Option<(Summary, String)> {
    let bytes = std::fs::read(captures()?.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    Some(decoded(&bytes))
}

/// What we count, by column of counts.tsv.
fn counted(summary: &Summary) -> BTreeMap<&'static str, String> {
    let c = &summary.counts;
    BTreeMap::from([
        ("datagrams", c.datagrams.to_string()),
        ("flow_records", (c.flows - c.reverse_flows - c.flow_samples - c.discard_samples).to_string()),
        ("option_records", c.option_records.to_string()),
        ("templates", c.templates.to_string()),
        ("options_templates", c.options_templates.to_string()),
        ("sets_without_template", c.sets_parked.to_string()),
        ("sets_before_template", c.released.to_string()),
        ("withdrawals", (c.withdrawals + c.withdrawals_ignored).to_string()),
        ("sflow_samples", sflow(c.flow_samples, c.counter_samples, c.discard_samples)),
    ])
}

fn sflow(flow: u64, counter: u64, discard: u64) -> String {
    format!("{flow} flow {counter} counter {discard} discard")
}

/// `1counter+6flow_exp` as we write it.
fn sflow_expected(cell: &str) -> String {
    let of = |kind: &str| -> u64 {
        cell.split('+')
            .filter_map(|part| {
                let digits = part.find(|c: char| !c.is_ascii_digit())?;
                let (n, name) = part.split_at(digits);
                (name.trim_end_matches("_exp") == kind).then(|| n.parse::<u64>().unwrap())
            })
            .sum()
    };
    sflow(of("flow"), of("counter"), of("discard"))
}

/// `5 v5+4 v9` in all.
fn datagrams_expected(cell: &str) -> String {
    let number = |part: &str| part.split(' ').next().and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
    cell.split('+').map(number).sum::<u64>().to_string()
}

#[test]
fn every_capture_gives_what_was_counted_or_stands_in_the_list_with_its_reason() {
    let Some(folder) = captures() else { return };
    let table = std::fs::read_to_string(folder.join("counts.tsv")).unwrap();
    let mut rows = table.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    let header = rows.next().unwrap();
    let mut disagreements = Vec::new();
    let mut files = 0;
    for row in rows {
        let cell = |name: &str| {
            header.iter().position(|h| *h == name).and_then(|at| row.get(at)).map_or("", |s| s.trim())
        };
        let path = cell("path");
        let bytes = std::fs::read(folder.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        let (summary, lines) = decoded(&bytes);
        files += 1;
        assert_eq!(lines.lines().count() as u64, summary.counts.flows, "{path}: a line for each flow");
        for line in lines.lines() {
            serde_json::from_str::<serde_json::Value>(line)
                .unwrap_or_else(|error| panic!("{path}: {error}: {line}"));
        }
        let c = &summary.counts;
        assert_eq!(c.sets, c.sets_decoded + c.sets_parked + c.sets_dead, "{path}: sets are conserved");
        assert_eq!(c.sets_parked, c.released + c.expired, "{path}: nothing waits at the end");
        let faults: Vec<_> =
            summary.faults.keys().map(|reason| reason.word()).filter(|w| *w != "parked_at_end").collect();
        let explained = FAULTS.iter().find(|(file, _)| *file == path).map_or(&[][..], |(_, words)| words);
        assert_eq!(faults, explained, "{path}: {:?}", summary.sentences);
        assert_eq!(summary.faults.get(&Reason::ParkedAtEnd).copied().unwrap_or(0), c.expired, "{path}");
        assert_eq!(summary.capture_errors, 0, "{path}: {:?}", summary.sentences);
        for (column, ours) in counted(&summary) {
            let theirs = match column {
                "sflow_samples" => sflow_expected(cell(column)),
                "datagrams" => datagrams_expected(cell(column)),
                _ if cell(column).is_empty() => "0".to_owned(),
                _ => cell(column).to_owned(),
            };
            if ours != theirs {
                disagreements.push((path.to_owned(), column, theirs, ours));
            }
        }
    }
    assert!(files >= 129, "counts.tsv has {files} files");
    let explained = |path: &str, column: &str, ours: &str| {
        EXCEPTIONS.iter().any(|(p, c, n)| (*p, *c, *n) == (path, column, ours))
    };
    let unexplained: Vec<_> = disagreements.iter().filter(|(p, c, _, ours)| !explained(p, c, ours)).collect();
    for (path, column, theirs, ours) in &unexplained {
        println!("{path}: {column}: counts.tsv {theirs}, ours {ours}");
    }
    let vanished: Vec<_> = EXCEPTIONS
        .iter()
        .filter(|(p, c, n)| {
            !disagreements
                .iter()
                .any(|(path, column, _, ours)| (&path[..], *column, &ours[..]) == (*p, *c, *n))
        })
        .collect();
    assert!(unexplained.is_empty(), "{} disagreements without a reason", unexplained.len());
    assert!(vanished.is_empty(), "no longer so: {vanished:?}");
}

/// The flow records of a file as JSON.
fn flows(path: &str) -> Option<Vec<Json>> {
    let (_, lines) = file(path)?;
    Some(lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

/// Checks columns of a line.
fn has(line: &Json, columns: Json) {
    for (column, wanted) in columns.as_object().unwrap() {
        assert_eq!(&line[column], wanted, "{column} of {line}");
    }
}

/// Filebeat's name of a field, and ours.
const FILEBEAT: &[(&str, &str)] = &[
    ("source_ipv4_address", "src_addr"),
    ("source_ipv6_address", "src_addr"),
    ("destination_ipv4_address", "dst_addr"),
    ("destination_ipv6_address", "dst_addr"),
    ("source_transport_port", "src_port"),
    ("destination_transport_port", "dst_port"),
    ("protocol_identifier", "proto"),
    ("octet_delta_count", "bytes"),
    ("packet_delta_count", "packets"),
    ("ingress_interface", "in_if"),
    ("egress_interface", "out_if"),
    ("bgp_source_as_number", "src_as_exported"),
    ("bgp_destination_as_number", "dst_as_exported"),
    ("tcp_control_bits", "tcp_flags"),
    ("ip_class_of_service", "tos"),
    ("source_ipv4_prefix_length", "src_prefix_len"),
    ("destination_ipv4_prefix_length", "dst_prefix_len"),
    ("ip_next_hop_ipv4_address", "next_hop"),
    ("bgp_next_hop_ipv4_address", "bgp_next_hop"),
    ("source_mac_address", "src_mac"),
    ("vlan_id", "src_vlan"),
    ("forwarding_status", "forwarding_status"),
    ("sampler_id", "sampler"),
];

/// Values that stand for "none" there and are left out here.
fn is_none(value: &Json) -> bool {
    [json!(0), json!("0.0.0.0"), json!("::"), json!("00:00:00:00:00:00")].contains(value)
}

#[test]
fn every_field_that_filebeat_decodes_is_decoded_alike() {
    let Some(folder) = captures() else { return };
    let golden = folder.join("andrewkroh+beats/x-pack/filebeat/input/netflow/testdata/golden");
    let (mut files, mut fields) = (0, 0);
    for entry in std::fs::read_dir(golden).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap().replace(".golden.json", "");
        let golden: Json = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let theirs: Vec<&Json> = golden["events"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|event| &event["Fields"]["netflow"])
            .filter(|record| record["type"] == "netflow_flow")
            .collect();
        // The sequences are named after the goldens, with every separator as an underscore.
        let ours = flows(&format!("_sequences/beats/{}.pcap", name.replace('-', "_"))).unwrap();
        if theirs.is_empty() {
            continue;
        }
        assert_eq!(theirs.len(), ours.len(), "{name}");
        files += 1;
        for (theirs, ours) in theirs.iter().zip(&ours) {
            for (field, column) in FILEBEAT {
                let Some(wanted) = theirs.get(*field) else { continue };
                let wanted = wanted
                    .as_str()
                    .map_or(wanted.clone(), |text| json!(text.to_lowercase().replace('-', ":")));
                fields += 1;
                let ours = ours.get(*column);
                // What is none there is left out here; a template for both families has an empty address beside the other.
                let alike = ours == Some(&wanted)
                    || is_none(&wanted) && (ours.is_none() || field.ends_with("address"));
                assert!(alike, "{name}: {field} is {wanted} there and {ours:?} here");
            }
        }
    }
    println!("{files} files, {fields} fields agree");
    assert!(files >= 17 && fields > 2500, "{files} files, {fields} fields");
}

#[test]
fn v5_records_are_those_of_telegraf() {
    let Some(lines) = flows("_sequences/telegraf/netflow_v5_example.pcap") else { return };
    assert_eq!(lines.len(), 8);
    has(
        &lines[0],
        json!({
            "protocol": "netflow_v5", "src_addr": "140.82.121.3", "dst_addr": "192.168.119.100",
            "src_port": 443, "dst_port": 55516, "proto": 6, "bytes": 87477, "packets": 78, "tcp_flags": 24,
            // Uptime 90 003 000 ms at 1 666 354 081 s; first switched at 86 400 660, last at 86 403 316.
            "flow_start": 1_666_350_478_660_000_000_i64, "flow_end": 1_666_350_481_316_000_000_i64,
            "observation_domain": 0x1356,
        }),
    );
    has(&lines[1], json!({"src_addr": "140.82.121.6", "dst_port": 36408, "bytes": 5009, "packets": 21}));
    assert_eq!(lines[0].get("sampling_interval"), None, "a header of 0 is unknown");
}

#[test]
fn v9_records_are_those_of_netgauze() {
    let path = "NetGauze+NetGauze/assets/pcaps/pmacct-tests/101-NFv9-CISCO-cust_primitives/traffic-00.pcap";
    let Some(lines) = flows(path) else { return };
    assert_eq!(lines.len(), 51);
    has(
        &lines[0],
        json!({
            "protocol": "netflow_v9", "exporter": "138.187.57.55", "src_addr": "138.187.58.13", "dst_addr": "138.187.57.33",
            "src_port": 10000, "dst_port": 58779, "proto": 6, "tcp_flags": 16, "bytes": 60, "packets": 1, "q": 3600,
            "in_if": 143, "out_if": 142, "mpls_labels": [0x3ec1, 0x3ea1], "sampler": 1, "observation": "ingress",
            "in_vrf": 1_610_612_736, "out_vrf": 1_610_612_736, "forwarding_status": 64,
            // Uptime 328 882 689 ms at 1 677 577 615 s; both switched at 328 866 242.
            "flow_start": 1_677_577_598_553_000_000_i64, "flow_end": 1_677_577_598_553_000_000_i64,
        }),
    );
}

#[test]
fn ipfix_records_are_those_of_netgauze() {
    let path = "NetGauze+NetGauze/assets/pcaps/pmacct-tests/100-IPFIXv10-CISCO/traffic-00.pcap";
    let Some(lines) = flows(path) else { return };
    assert_eq!(lines.len(), 12);
    has(
        &lines[0],
        json!({
            "protocol": "ipfix", "observation_domain": 851_968, "src_addr": "10.231.65.56", "dst_addr": "10.192.12.213",
            "src_port": 17000, "dst_port": 17000, "proto": 17, "tos": 184, "ttl": 254, "bytes": 220, "packets": 2,
            "in_if": 995, "out_if": 841, "next_hop": "138.187.10.46", "mpls_labels": [0x45, 0x5ef1],
            "src_as_exported": 4_294_967_295_u32, "dst_as_exported": 4_294_967_295_u32,
            "flow_start": 1_677_577_561_088_000_000_i64, "flow_end": 1_677_577_572_352_000_000_i64,
        }),
    );
    assert_eq!(lines[0].get("observation"), None, "IE 61 is 255 there");

    let path = "NetGauze+NetGauze/assets/pcaps/pmacct-tests/400-IPFIXv10-BMP-CISCO-SRv6-multiple-sources/traffic-00.pcap";
    let Some((summary, _)) = file(path) else { return };
    assert_eq!(
        summary.rate_sources.iter().map(|(source, n)| (source.word(), *n)).collect::<Vec<_>>(),
        [("sampler", 657)]
    );
    assert!(summary.interfaces > 0 && summary.rates > 0);
}

#[test]
fn sflow_samples_are_those_of_telegraf() {
    let Some(lines) = flows("_sequences/telegraf/sflow_issue_15918.pcap") else { return };
    assert_eq!(lines.len(), 6);
    has(
        &lines[0],
        json!({
            "protocol": "sflow_v5", "exporter_id": "192.168.227.2", "observation": "ingress", "in_if": 96, "out_if": 95,
            "src_addr": "192.168.227.2", "dst_addr": "192.168.101.2", "src_port": 49469, "dst_port": 2055, "proto": 17,
            "src_mac": "00:09:0f:09:00:01", "dst_mac": "48:21:0b:3b:76:59", "src_vlan": 154, "dst_vlan": 154, "ttl": 63,
            "bytes": 1268, "bytes_l2": 1286, "packets": 1, "sampling_interval": 200_000, "rate_source": "record",
        }),
    );
    // Telegraf calls the data source the input interface; the sample's input is 101, and its source the output.
    has(&lines[1], json!({"observation": "egress", "out_if": 60, "bytes": 545, "bytes_l2": 563, "ttl": 51}));
}
