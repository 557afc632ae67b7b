//! Telegraf's metrics: line protocol, with names of its own for elements and for fields of samples.

use super::{Compared, Golden};
use crate::support::walked;
use serde_json::{Value as Json, json};
use std::path::Path;
use weir_capture::walk::{Kind, Record};
use weir_schemas::Protocol;

/// Captures, and the folders of what Telegraf makes of them.
const CAPTURES: &[(&str, &str)] = &[
    ("_sequences/telegraf/netflow_v5_example.pcap", "netflow_v5_example"),
    ("_sequences/telegraf/netflow_v9_example.pcap", "netflow_v9_example"),
    ("_sequences/telegraf/ipfix_example.pcap", "ipfix_example"),
    ("_sequences/telegraf/sflow_v5_example.pcap", "sflow_v5_example"),
    ("_sequences/telegraf/sflow_issue_15918.pcap", "sflow_issue_15918"),
];

/// Its names, and the elements that they may be.
#[rustfmt::skip]
const NAMES: &[(&str, &[u16])] = &[
    ("protocol", &[4]), ("src_tos", &[5]), ("tcp_flags", &[6]), ("src_port", &[7]), ("dst_port", &[11]), ("src", &[8, 27]), ("dst", &[12, 28]),
    ("in_bytes", &[1]), ("in_packets", &[2]), ("in_total_bytes", &[85]), ("in_total_packets", &[86]), ("in_snmp", &[10]), ("out_snmp", &[14]),
    ("next_hop", &[15, 62]), ("bgp_src_as", &[16]), ("bgp_dst_as", &[17]), ("src_mask", &[9, 29]), ("dst_mask", &[13, 30]),
    ("first_switched", &[22]), ("last_switched", &[21]), ("flow_start_ms", &[152]), ("flow_end_ms", &[153]), ("flow_end_reason", &[136]),
    ("vlan_src", &[58]), ("fwd_status", &[89]), ("engine_type", &[38]), ("engine_id", &[39]),
    ("dropped_packets_total", &[135]), ("event_time", &[322]), ("exporter", &[130, 131]), ("exporting_pid", &[144]), ("ignored_packet_total", &[164]),
    ("notsent_packet_total", &[167]), ("observation_domain_id", &[149]), ("system_init_ms", &[160]), ("total_flows_exported", &[42]), ("padding", &[210]),
];
/// Its names for fields of samples and their records.
const SAMPLES: &[(&str, &str)] = &[
    ("in_bytes", "ifInOctets"),
    ("in_unicast_packets_total", "ifInUcastPkts"),
    ("in_mcast_packets_total", "ifInMulticastPkts"),
    ("in_broadcast_packets_total", "ifInBroadcastPkts"),
    ("in_dropped_packets", "ifInDiscards"),
    ("in_errors", "ifInErrors"),
    ("in_unknown_protocol", "ifInUnknownProtos"),
    ("out_bytes", "ifOutOctets"),
    ("out_unicast_packets_total", "ifOutUcastPkts"),
    ("out_mcast_packets_total", "ifOutMulticastPkts"),
    ("out_broadcast_packets_total", "ifOutBroadcastPkts"),
    ("out_dropped_packets", "ifOutDiscards"),
    ("out_errors", "ifOutErrors"),
    ("promiscuous", "ifPromiscuousMode"),
    ("interface", "ifIndex"),
    ("interface_type", "ifType"),
    ("speed", "ifSpeed"),
    ("port_name", "name"),
    ("errors_alignment", "dot3StatsAlignmentErrors"),
    ("errors_fcs", "dot3StatsFCSErrors"),
    ("collision_frames_single", "dot3StatsSingleCollisionFrames"),
    ("collision_frames_multi", "dot3StatsMultipleCollisionFrames"),
    ("errors_sqetest", "dot3StatsSQETestErrors"),
    ("deferred", "dot3StatsDeferredTransmissions"),
    ("collisions_late", "dot3StatsLateCollisions"),
    ("collisions_excessive", "dot3StatsExcessiveCollisions"),
    ("errors_internal_mac_tx", "dot3StatsInternalMacTransmitErrors"),
    ("errors_carrier_sense", "dot3StatsCarrierSenseErrors"),
    ("errors_frame_too_long", "dot3StatsFrameTooLongs"),
    ("errors_internal_mac_rx", "dot3StatsInternalMacReceiveErrors"),
    ("errors_symbols", "dot3StatsSymbolErrors"),
    ("l2_bytes", "frame_length"),
    ("sampling_interval", "sampling_rate"),
    ("sampling_drops", "drops"),
    ("in_total_packets", "sample_pool"),
    ("out_snmp", "output"),
    // It calls the source of a sample its input interface (docs/captures.md).
    ("in_snmp", "source_id"),
    ("seq_number", "sequence_number"),
    ("vlan_src", "src_vlan"),
    ("vlan_dst", "dst_vlan"),
    ("vlan_src_priority", "src_priority"),
    ("vlan_dst_priority", "dst_priority"),
];
/// Names of what stands in a datagram's header.
const HEADER: &[(&str, &str)] =
    &[("sys_uptime", "uptime"), ("agent_ip", "agent"), ("agent_subid", "domain"), ("seq_number", "sequence")];
/// What it reads of a sampled frame, which we print as bytes, and words without numbers.
const OF_FRAMES: &[&str] = &[
    "datalink_frame_type",
    "direction",
    "dst",
    "dst_port",
    "fragment_flags",
    "fragment_offset",
    "in_src_mac",
    "ip_total_len",
    "ipv4_id",
    "ipv4_inet_header_len",
    "ipv4_total_len",
    "ipv6_total_len",
    "l2_protocol",
    "out_dst_mac",
    "protocol",
    "src",
    "src_port",
    "src_tos",
    "ttl",
    "ip_version",
    "status",
    "type",
];

/// Fields of a line.
fn fields(line: &str) -> Vec<(&str, &str)> {
    let (_, rest) = line.split_once(' ').unwrap();
    let (mut fields, mut start, mut quoted) = (Vec::new(), 0, false);
    for (at, letter) in rest.char_indices() {
        match letter {
            '"' => quoted = !quoted,
            ',' | ' ' if !quoted => {
                fields.extend(rest[start..at].split_once('='));
                start = at + 1;
                if letter == ' ' {
                    break;
                }
            }
            _ => {}
        }
    }
    fields
}

/// A value as ours would be.
fn alike(name: &str, value: &str, ours: &Json) -> Json {
    if let Some(number) = value.strip_suffix('u').and_then(|digits| digits.parse::<u64>().ok()) {
        let millis = humantime_millis(ours);
        let in_millis = match name {
            "event_time" => Some(number * 1000),
            _ => Some(number).filter(|_| name.ends_with("_ms")),
        };
        return if millis.is_some() && millis == in_millis { ours.clone() } else { number.into() };
    }
    let text = value.trim_matches('"');
    let word = match (name, text) {
        ("protocol", "tcp") => Some(6),
        ("protocol", "udp") => Some(17),
        ("protocol", "icmp") => Some(1),
        ("flow_end_reason", "idle timeout") => Some(1),
        ("flow_end_reason", "active timeout") => Some(2),
        ("flow_end_reason", "end of flow") => Some(3),
        ("flow_end_reason", "forced end") => Some(4),
        ("tcp_flags", _) => {
            let bits = text.chars().rev().enumerate().filter(|(_, letter)| *letter != '.');
            Some(bits.map(|(bit, _)| 1 << bit).sum())
        }
        ("engine_type", _) => text.parse().ok(),
        ("fwd_status", "unknown") => Some(0),
        _ => None,
    };
    if let Some(n) = word {
        return json!(n);
    }
    match text.strip_prefix("0x").and_then(|hex| u64::from_str_radix(hex, 16).ok()) {
        Some(n) if ours.is_u64() => json!(n),
        _ => text.into(),
    }
}

fn humantime_millis(ours: &Json) -> Option<u64> {
    let at = humantime::parse_rfc3339(ours.as_str()?).ok()?;
    at.duration_since(std::time::UNIX_EPOCH).ok()?.as_millis().try_into().ok()
}

/// An element whose number is all that Telegraf knows: `type_6871_40`, and `type_6871_rev_40` of its reverse, which has a bit set.
fn numbered(name: &str) -> Option<(u32, u16)> {
    let (pen, id) = name.strip_prefix("type_")?.split_once('_')?;
    let id = match id.strip_prefix("rev_") {
        Some(id) => id.parse::<u16>().ok()? | 0x4000,
        None => id.parse().ok()?,
    };
    // In options templates it leaves the bit that says that an enterprise follows.
    Some((pen.parse().ok()?, id & 0x7fff))
}

fn ours(record: &Record, name: &str) -> Json {
    let find = |pen: u32, ids: &[u16]| {
        let mut all = record.fields.iter().filter(|f| f["pen"] == pen);
        all.find(|f| ids.iter().any(|id| f["id"] == *id)).map(|f| f["value"].clone())
    };

    let icmp = |shift: u32| Some(json!((find(0, &[32, 139])?.as_u64()? >> shift) & 0xff));
    match name {
        "engine_type" if record.header.protocol == Protocol::NetflowV5 => {
            return json!(record.header.domain >> 8);
        }
        "engine_id" if record.header.protocol == Protocol::NetflowV5 => {
            return json!(record.header.domain & 0xff);
        }
        "icmp_type" => return icmp(8).unwrap_or_default(),
        "icmp_code" => return icmp(0).unwrap_or_default(),
        _ => {}
    }
    let of_header =
        HEADER.iter().find(|(known, _)| *known == name).map(|(_, ours)| record.to_json()[*ours].clone());
    if record.kind == Kind::Flow || record.kind == Kind::Options {
        let named = NAMES.iter().find(|(known, _)| *known == name).and_then(|(_, ids)| find(0, ids));
        return named
            .or_else(|| numbered(name).and_then(|(pen, id)| find(pen, &[id])))
            .or(of_header)
            .unwrap_or_default();
    }
    let inner = record.records.iter().flat_map(|inner| inner["fields"].as_array().into_iter().flatten());
    let all: Vec<&Json> = record.fields.iter().chain(inner).collect();
    let named = SAMPLES.iter().find(|(known, _)| *known == name);
    named
        .and_then(|(_, ours)| all.iter().find(|f| f["name"] == *ours))
        .map(|f| f["value"].clone())
        .or(of_header)
        .unwrap_or_default()
}

pub fn read(folder: &Path) -> Golden {
    let mut golden = Golden { name: "Telegraf", files: 0, records: 0, fields: Vec::new() };
    for (file, expected) in CAPTURES {
        let path = format!("influxdata+telegraf/plugins/inputs/netflow/testcases/{expected}/expected.out");
        let text = std::fs::read_to_string(folder.join(path)).unwrap();
        let records = walked(&std::fs::read(folder.join(file)).unwrap());
        golden.files += 1;
        let mut push = |record: usize, field: &str, theirs: Json, ours: Json| {
            let record = format!("line {record}");
            golden.fields.push(Compared { file: (*file).into(), record, field: field.into(), theirs, ours });
        };
        push(0, "records", text.lines().count().into(), records.len().into());
        for (n, (line, record)) in text.lines().zip(&records).enumerate() {
            golden.records += 1;
            let sampled = !matches!(record.kind, Kind::Flow | Kind::Options);
            for (name, value) in fields(line) {
                if sampled && OF_FRAMES.contains(&name) || ["flows", "fwd_reason"].contains(&name) {
                    continue;
                }
                let ours = ours(record, name);
                push(n, name, alike(name, value, &ours), ours);
            }
        }
    }
    golden
}
