//! tshark's dissection of NetFlow and IPFIX, where it is installed: each field under its name, with its bytes, which must be the bytes of our value.

use super::{Compared, Golden};
use crate::support::{Row, walked};
use serde_json::Value as Json;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::UNIX_EPOCH;
use weir_capture::walk::{Kind, Record};
use weir_wire::names;

/// Ports of the captures.
const PORTS: [u16; 5] = [2055, 4739, 6343, 9991, 9992];

/// Its names behind `cflow.`, and those of the elements.
#[rustfmt::skip]
const NAMES: &[(&str, &[&str])] = &[
    ("aaa_username", &["NF_F_USERNAME"]), ("abstimestart", &["flowStartSeconds", "flowStartMilliseconds", "flowStartMicroseconds"]),
    ("abstimeend", &["flowEndSeconds", "flowEndMilliseconds", "flowEndMicroseconds"]), ("bgpnexthop", &["bgpNextHopIPv4Address"]),
    ("bgpnexthopv6", &["bgpNextHopIPv6Address"]), ("delta_octets_squared", &["octetDeltaSumOfSquares"]), ("direction", &["flowDirection"]),
    ("dot1q_customer_vlan_id", &["dot1qCustomerVlanId"]), ("dot1q_priority", &["dot1qPriority"]), ("dot1q_vlan_id", &["dot1qVlanId"]),
    ("drop_total_packets", &["droppedPacketTotalCount"]), ("dstaddr", &["destinationIPv4Address"]), ("dstaddrv6", &["destinationIPv6Address"]),
    ("dstas", &["bgpDestinationAsNumber"]), ("dstmac", &["destinationMacAddress"]), ("dstmask", &["destinationIPv4PrefixLength"]),
    ("dstmaskv6", &["destinationIPv6PrefixLength"]), ("dstport", &["destinationTransportPort"]), ("egress_acl_id", &["NF_F_EGRESS_ACL_ID"]),
    ("egress_physical_interface", &["egressPhysicalInterface"]), ("egress_vrfid", &["egressVRFID"]), ("engine_id", &["engineId"]),
    ("engine_type", &["engineType"]), ("ethernet_type", &["ethernetType"]), ("exporter_addr", &["exporterIPv4Address"]),
    ("firewall_event", &["firewallEvent", "NF_F_FW_EVENT"]), ("flow_active_timeout", &["flowActiveTimeout"]), ("flow_end_reason", &["flowEndReason"]),
    ("flow_exporter", &["exportingProcessId"]), ("flow_id", &["flowId"]), ("flow_inactive_timeout", &["flowIdleTimeout"]), ("flows", &["deltaFlowCount"]),
    ("flowsexp", &["exportedFlowRecordTotalCount"]), ("frag_ident", &["fragmentIdentification"]), ("fw_ext_event", &["NF_F_FW_EXT_EVENT"]),
    ("icmp_ipv4_code", &["icmpCodeIPv4"]), ("icmp_ipv4_type", &["icmpTypeIPv4"]), ("icmp_ipv6_code", &["icmpCodeIPv6"]),
    ("icmp_ipv6_type", &["icmpTypeIPv6"]), ("icmp_type_code_ipv4", &["icmpTypeCodeIPv4"]), ("if_descr", &["interfaceDescription"]),
    ("if_name", &["interfaceName"]), ("ignore_packets", &["ignoredPacketTotalCount"]), ("ingress_acl_id", &["NF_F_INGRESS_ACL_ID"]),
    ("ingress_physical_interface", &["ingressPhysicalInterface"]), ("ingress_vrfid", &["ingressVRFID"]), ("inputint", &["ingressInterface"]),
    ("ip_version", &["ipVersion"]), ("ipv6_exthdr", &["ipv6ExtensionHeaders"]), ("ipv6flowlabel", &["flowLabelIPv6"]), ("layer2_segment_id", &["layer2SegmentId"]),
    ("mp_id", &["meteringProcessId"]), ("mpls_label_length", &["mplsLabelStackLength"]), ("mpls_top_label_prefix_length", &["mplsTopLabelPrefixLength"]),
    ("mpls_vpn_rd", &["mplsVpnRouteDistinguisher"]), ("nexthop", &["ipNextHopIPv4Address"]), ("nexthopv6", &["ipNextHopIPv6Address"]),
    ("notsent_packets", &["notSentPacketTotalCount"]), ("observation_point_id", &["observationPointId"]),
    ("observation_time_milliseconds", &["observationTimeMilliseconds"]), ("observation_time_seconds", &["observationTimeSeconds"]),
    ("octets", &["octetDeltaCount"]), ("octetsexp", &["exportedOctetTotalCount"]), ("od_id", &["observationDomainId"]), ("outputint", &["egressInterface"]),
    ("packets", &["packetDeltaCount"]), ("packetsexp", &["exportedMessageTotalCount"]), ("padding", &["paddingOctets", "other"]),
    ("permanent_octets", &["octetTotalCount"]), ("permanent_packets", &["packetTotalCount"]), ("post_dstmac", &["postDestinationMacAddress"]),
    ("post_naptdestination_transport_port", &["postNAPTDestinationTransportPort", "NF_F_XLATE_DST_PORT"]),
    ("post_naptsource_transport_port", &["postNAPTSourceTransportPort", "NF_F_XLATE_SRC_PORT"]),
    ("post_natdestination_ipv4_address", &["postNATDestinationIPv4Address", "NF_F_XLATE_DST_ADDR_IPV4"]),
    ("post_natsource_ipv4_address", &["postNATSourceIPv4Address", "NF_F_XLATE_SRC_ADDR_IPV4"]), ("post_octets", &["postOctetDeltaCount"]),
    ("post_packets", &["postPacketDeltaCount"]), ("post_srcmac", &["postSourceMacAddress"]), ("post_vlanid", &["postVlanId"]),
    ("protocol", &["protocolIdentifier"]), ("responder_octets", &["responderOctets"]), ("sampler_id", &["samplerId"]), ("sampler_mode", &["samplerMode"]),
    ("sampler_name", &["samplerName"]), ("sampler_random_interval", &["samplerRandomInterval"]), ("sampling_algorithm", &["samplingAlgorithm"]),
    ("sampling_interval", &["samplingInterval"]), ("sampling_packet_interval", &["samplingPacketInterval"]),
    ("sampling_packet_space", &["samplingPacketSpace"]), ("sampling_population", &["samplingPopulation"]), ("sampling_size", &["samplingSize"]),
    ("scope_system", &["system"]), ("selector_algorithm", &["selectorAlgorithm"]), ("selector_id", &["selectorId"]), ("selector_name", &["selectorName"]),
    ("srcaddr", &["sourceIPv4Address"]), ("srcaddrv6", &["sourceIPv6Address"]), ("srcas", &["bgpSourceAsNumber"]), ("srcmac", &["sourceMacAddress"]),
    ("srcmask", &["sourceIPv4PrefixLength"]), ("srcmaskv6", &["sourceIPv6PrefixLength"]), ("srcport", &["sourceTransportPort"]),
    ("sys_init_time", &["systemInitTimeMilliseconds"]), ("tcp_option_map", &["tcpOptions"]), ("tcpflags", &["tcpControlBits"]),
    ("timeend", &["flowEndSysUpTime", "flowEndSeconds", "flowEndMilliseconds", "flowEndMicroseconds"]),
    ("timestart", &["flowStartSysUpTime", "flowStartSeconds", "flowStartMilliseconds", "flowStartMicroseconds"]), ("toplabeladdr", &["mplsTopLabelIPv4Address"]),
    ("toplabeladdr_v6", &["mplsTopLabelIPv6Address"]), ("toplabeltype", &["mplsTopLabelType"]), ("tos", &["ipClassOfService"]),
    ("ttl_max", &["maximumTTL"]), ("ttl_min", &["minimumTTL"]), ("vlanid", &["vlanId"]), ("vrfname", &["VRFname"]),
];
/// Fields of which it knows no more than that they are there: ours may have any name.
const UNNAMED: [&str; 2] = ["unknown_field_type", "enterprise_private_entry"];

/// A field as it shows it: its name and its bytes, as hexadecimal digits.
type Field = (String, String);

/// The version of tshark, where there is one.
pub fn version() -> Option<String> {
    let out = Command::new("tshark").arg("--version").stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8(out.stdout).ok()?;
    let words = text.lines().next()?.split([' ', '(', ')']).map(str::to_owned);
    words.skip(1).find(|word| word.starts_with(|letter: char| letter.is_ascii_digit()))
}

fn attribute<'l>(line: &'l str, name: &str) -> &'l str {
    let start = line.find(&format!(" {name}=\"")).map(|at| at + name.len() + 3);
    start.map_or("", |start| line[start..].split('"').next().unwrap_or_default())
}

/// The records of a dissection, each with its fields: those that lie directly in it, and both times, which lie in their difference.
fn dissected(pdml: &str) -> Vec<Vec<Field>> {
    let mut records: Vec<Vec<Field>> = Vec::new();
    let (mut depth, mut inside) = (0, None);
    for line in pdml.lines().map(str::trim) {
        if line == "</field>" {
            depth -= 1;
            inside = inside.filter(|at| *at < depth);
        } else if line.starts_with("<packet") {
            (depth, inside) = (0, None);
        } else if line.starts_with("<field ") {
            let (name, show) = (attribute(line, "name"), attribute(line, "show"));
            let is_open = !line.ends_with("/>");
            if name.is_empty() && (show.starts_with("Flow ") || show.starts_with("pdu ")) {
                records.push(Vec::new());
                inside = Some(depth).filter(|_| is_open);
            } else if let (Some(at), Some(name), Some(record)) =
                (inside, name.strip_prefix("cflow."), records.last_mut())
            {
                let is_own =
                    depth == at + 1 && name != "timedelta" || ["timestart", "timeend"].contains(&name);
                // What lies within a vendor's element, and within an application's id.
                let is_part = depth == at + 2 && (name.starts_with("pie.") || name.starts_with("appl_id."));
                if (is_own || is_part)
                    && !attribute(line, "value").is_empty()
                    && attribute(line, "hide") != "yes"
                {
                    record.push((name.to_owned(), attribute(line, "value").to_owned()));
                }
            }
            depth += usize::from(is_open);
        }
    }
    records
}

/// Whether these bytes are those of our value.
fn is_of(value: &Json, hex: &str) -> bool {
    let number = u64::from_str_radix(hex, 16).ok();
    let byte = |at: usize| hex.get(at..at + 2).and_then(|two| u8::from_str_radix(two, 16).ok());
    let bytes: Vec<u8> = (0..hex.len()).step_by(2).map_while(byte).collect();
    let text = match value {
        // No bytes: what it shows is their length.
        Json::Null => return number == Some(0),
        Json::String(text) => text,
        other => return other.as_u64().is_some() && other.as_u64() == number,
    };
    let as_time = || {
        let since = humantime::parse_rfc3339(text).ok()?.duration_since(UNIX_EPOCH).ok()?;
        let ntp =
            number.map(|n| ((n >> 32).wrapping_sub(2_208_988_800), ((n & 0xffff_ffff) * 1_000_000) >> 32));
        let is_ntp = ntp == Some((since.as_secs(), since.subsec_micros().into()));
        Some(number == Some(since.as_secs()) || number.map(u128::from) == Some(since.as_millis()) || is_ntp)
    };
    let as_address = || {
        let four = bytes[..].try_into().map(|b: [u8; 4]| Ipv4Addr::from(b).to_string());
        let six = bytes[..].try_into().map(|b: [u8; 16]| Ipv6Addr::from(b).to_string());
        four.is_ok_and(|four| four == *text) || six.is_ok_and(|six| six == *text)
    };
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    text.strip_prefix("0x") == Some(hex)
        || text.replace(':', "") == hex
        || bytes[..end] == *text.as_bytes()
        || as_address()
        || as_time() == Some(true)
}

/// Our values of a field; of an application's id its two parts.
fn ours(record: &Record, name: &str) -> Vec<Json> {
    let plain =
        |name: &str| name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
    if let Some(part) = name.strip_prefix("appl_id.") {
        let ids = record
            .values(0, 95)
            .filter_map(|value| value.as_str().map(|text| text.trim_start_matches("0x").to_owned()));
        let cut =
            |text: String| if part == "selector_id" { text[2..].to_owned() } else { text[..2].to_owned() };
        return ids.map(|id| format!("0x{}", cut(id)).into()).collect();
    }
    // Type and code of IPv6's ICMP may be one element.
    let icmp = |shift: u32| {
        let both =
            record.values(0, 139).filter_map(Json::as_u64).map(move |both| (both >> shift & 0xff).into());
        both.collect::<Vec<Json>>()
    };
    match name {
        "icmp_ipv6_type" if record.values(0, 139).next().is_some() => return icmp(8),
        "icmp_ipv6_code" if record.values(0, 139).next().is_some() => return icmp(0),
        _ => {}
    }
    let known = NAMES.iter().find(|(known, _)| *known == name).map(|(_, elements)| *elements);
    let is_it = |field: &&Json| {
        let element = field["name"].as_str().unwrap();
        // The reverse of an element it names as the element.
        let is_reverse =
            |of: &&str| field["pen"] == names::REVERSE && plain(element) == format!("reverse{}", plain(of));
        match (known, name.strip_prefix("pie.")) {
            (Some(elements), _) => elements.contains(&element) || elements.iter().any(is_reverse),
            (None, Some(vendors)) => plain(vendors) == plain(element),
            _ => UNNAMED.contains(&name),
        }
    };
    record.fields.iter().filter(is_it).map(|field| field["value"].clone()).collect()
}

pub fn read(folder: &Path, rows: &[Row]) -> Golden {
    let mut golden = Golden { name: "tshark", files: 0, records: 0, fields: Vec::new() };
    for row in rows.iter().filter(|row| row.cell("kind") == "pcap") {
        let file = row.cell("path");
        let walked = walked(&std::fs::read(folder.join(file)).unwrap());
        let records: Vec<_> =
            walked.iter().filter(|r| matches!(r.kind, Kind::Flow | Kind::Options)).collect();
        if records.is_empty() {
            continue;
        }
        let mut command = Command::new("tshark");
        command.arg("-r").arg(folder.join(file)).args(["-Y", "cflow", "-T", "pdml"]);
        for port in PORTS {
            command.args(["-d", &format!("udp.port=={port},cflow")]);
        }
        let out = command.env("TZ", "UTC").stderr(Stdio::null()).output().unwrap();
        let theirs = dissected(&String::from_utf8_lossy(&out.stdout));
        golden.files += 1;
        let mut push = |record: usize, field: &str, theirs: Json, ours: Json| {
            let record = format!("record {record}");
            golden.fields.push(Compared {
                file: file.to_owned(),
                record,
                field: field.to_owned(),
                theirs,
                ours,
            });
        };
        push(0, "records", theirs.len().into(), records.len().into());
        if theirs.len() != records.len() {
            continue;
        }
        for (n, (theirs, record)) in theirs.iter().zip(&records).enumerate() {
            golden.records += 1;
            for (name, hex) in theirs {
                let ours = ours(record, name);
                let like = ours.iter().any(|value| is_of(value, hex));
                let theirs = Json::from(format!("0x{hex}"));
                push(n, name, theirs.clone(), if like { theirs } else { ours.into() });
            }
        }
    }
    golden
}
