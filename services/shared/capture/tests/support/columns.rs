//! The columns of a flow as its fields say they are, and the comparison of both.

use super::{decoded, is_flow, walked};
use serde_json::{Value as Json, json};
use std::time::UNIX_EPOCH;
use weir_capture::walk::{Kind, Record};
use weir_schemas::Protocol;
use weir_wire::names;

/// How the elements of a column are chosen.
#[derive(Clone, Copy, Debug)]
enum By {
    /// The first that the record has.
    First,
    /// The first that is there and not zero.
    NotZero,
}

/// Column, elements that it is made of, and which of them counts (docs/columns.md).
const COLUMNS: &[(&str, By, &[&str])] = &[
    ("bytes", By::First, &["octetDeltaCount", "octetTotalCount", "postOctetDeltaCount", "initiatorOctets"]),
    (
        "packets",
        By::First,
        &["packetDeltaCount", "packetTotalCount", "postPacketDeltaCount", "initiatorPackets"],
    ),
    ("bytes_l2", By::First, &["layer2OctetDeltaCount", "layer2OctetTotalCount"]),
    ("proto", By::First, &["protocolIdentifier", "nextHeaderIPv6"]),
    ("tcp_flags", By::First, &["tcpControlBits"]),
    ("src_port", By::First, &["sourceTransportPort"]),
    ("dst_port", By::First, &["destinationTransportPort"]),
    ("in_if", By::NotZero, &["ingressInterface", "ingressPhysicalInterface"]),
    ("out_if", By::NotZero, &["egressInterface", "egressPhysicalInterface"]),
    ("src_as_exported", By::First, &["bgpSourceAsNumber"]),
    ("dst_as_exported", By::First, &["bgpDestinationAsNumber"]),
    ("src_neighbour_as", By::First, &["bgpPrevAdjacentAsNumber"]),
    ("dst_neighbour_as", By::First, &["bgpNextAdjacentAsNumber"]),
    ("sampler", By::First, &["samplerId", "selectorId"]),
    ("src_mac", By::NotZero, &["sourceMacAddress", "postSourceMacAddress"]),
    ("dst_mac", By::NotZero, &["destinationMacAddress", "postDestinationMacAddress"]),
    ("src_vlan", By::NotZero, &["vlanId", "dot1qVlanId"]),
    ("dst_vlan", By::NotZero, &["postVlanId", "postDot1qVlanId"]),
    ("customer_vlan", By::First, &["dot1qCustomerVlanId"]),
    ("nat_src_addr", By::NotZero, &["postNATSourceIPv4Address", "postNATSourceIPv6Address"]),
    ("nat_dst_addr", By::NotZero, &["postNATDestinationIPv4Address", "postNATDestinationIPv6Address"]),
    ("nat_src_port", By::First, &["postNAPTSourceTransportPort"]),
    ("nat_dst_port", By::First, &["postNAPTDestinationTransportPort"]),
    ("forwarding_status", By::First, &["forwardingStatus"]),
    ("in_vrf", By::First, &["ingressVRFID"]),
    ("out_vrf", By::First, &["egressVRFID"]),
    ("ethertype", By::First, &["ethernetType"]),
    ("fragment_id", By::First, &["fragmentIdentification"]),
    ("fragment_offset", By::First, &["fragmentOffset"]),
    ("ttl", By::First, &["ipTTL", "minimumTTL", "maximumTTL"]),
];

/// Columns that are told of either packet, where a record tells of two.
const OF_EITHER: &[&str] = &[
    "src_addr",
    "dst_addr",
    "src_prefix_len",
    "dst_prefix_len",
    "proto",
    "tcp_flags",
    "src_port",
    "dst_port",
];

/// Starts and ends of flows.
const TIMES: [u16; 12] = [21, 22, 150, 151, 152, 153, 154, 155, 156, 157, 158, 159];

const SECOND: i128 = 1_000_000_000;

fn id(name: &str) -> u16 {
    (0..=512).find(|id| names::named(0, *id).is_some_and(|named| named.name == name)).unwrap()
}

/// The value of an element of a direction, by its enterprise, that has the length of its type: what has not is left out by the decoder.
fn told<'r>(record: &'r Record, pen: u32, name: &str) -> Option<&'r Json> {
    record
        .values(pen, id(name))
        .next()
        .filter(|value| !value.is_null() && !value.as_str().is_some_and(|text| text.starts_with("0x")))
}

fn value<'r>(record: &'r Record, name: &str) -> Option<&'r Json> {
    told(record, 0, name)
}

fn number(record: &Record, name: &str) -> Option<i128> {
    value(record, name).and_then(Json::as_u64).map(i128::from)
}

fn is_zero(value: &Json) -> bool {
    [json!(0), json!("0.0.0.0"), json!("::"), json!("00:00:00:00:00:00")].contains(value)
}

/// Nanoseconds since 1970 of a time as the walker prints it.
fn nanos(value: &Json) -> i128 {
    let Some(text) = value.as_str() else { return i128::from(value.as_u64().unwrap()) * SECOND };
    let at = humantime::parse_rfc3339(text).unwrap();
    at.duration_since(UNIX_EPOCH).unwrap().as_nanos() as i128
}

/// Start or end of a direction of a flow: the finest of what it says.
fn time(record: &Record, pen: u32, end: bool) -> Option<i128> {
    let pick = |start: &'static str, other: &'static str| if end { other } else { start };
    let exported = record.header.exported.map(|(s, n)| i128::from(s) * SECOND + i128::from(n))?;
    let of = |name: &str| told(record, pen, name).map(nanos);
    let number = |name: &str| told(record, pen, name).and_then(Json::as_u64).map(i128::from);
    let uptime = || {
        let up = match record.header.uptime {
            Some(up) => i128::from(up),
            None => exported / 1_000_000 - started(record)?,
        };
        let ago = (up - number(pick("flowStartSysUpTime", "flowEndSysUpTime"))?) as u32 as i32;
        Some(exported - i128::from(ago) * 1_000_000)
    };
    let observed = [
        "observationTimeNanoseconds",
        "observationTimeMicroseconds",
        "observationTimeMilliseconds",
        "observationTimeSeconds",
    ];
    // Microseconds are printed with six digits, and believed with nine.
    of(pick("flowStartNanoseconds", "flowEndNanoseconds"))
        .or_else(|| of(pick("flowStartMicroseconds", "flowEndMicroseconds")))
        .or_else(|| of(pick("flowStartMilliseconds", "flowEndMilliseconds")))
        .or_else(|| {
            let delta = number(pick("flowStartDeltaMicroseconds", "flowEndDeltaMicroseconds"))?;
            Some(exported - delta * 1000)
        })
        .or_else(|| of(pick("flowStartSeconds", "flowEndSeconds")))
        .or_else(uptime)
        .or_else(|| observed.into_iter().filter(|_| end && pen == 0).find_map(of))
}

/// When the exporter started, ms since 1970.
fn started(record: &Record) -> Option<i128> {
    value(record, "systemInitTimeMilliseconds")
        .map(|value| nanos(value) / 1_000_000)
        .filter(|millis| *millis != 0)
}

/// What the walker's record says the columns of a flow are; columns that it says nothing of are not there.
fn expected(record: &Record) -> Vec<(&'static str, Json)> {
    let mut columns = Vec::new();
    for (column, by, elements) in COLUMNS {
        let found: Vec<&Json> = elements.iter().filter_map(|name| value(record, name)).collect();
        let chosen = match by {
            By::First => found.first(),
            By::NotZero => found.iter().find(|value| !is_zero(value)).or(found.first()),
        };
        columns.extend(chosen.map(|value| (*column, (*value).clone())));
    }
    addresses(record, &mut columns);
    if let Some(tos) = number(record, "ipClassOfService") {
        columns.push(("tos", json!(tos as u64)));
    }
    for (column, end) in [("flow_start", false), ("flow_end", true)] {
        columns.extend(time(record, 0, end).map(|at| (column, json!(at.clamp(0, i64::MAX.into()) as u64))));
    }
    for (column, value) in &mut columns {
        // IANA gives it four bytes since 2024, of which the lowest has what RFC 7270 gave it.
        if let ("forwarding_status", Some(n)) = (*column, value.as_u64()) {
            *value = json!(n & 0xff);
        }
        // Counters end at what Avro can hold.
        if let ("bytes" | "packets" | "bytes_l2", Some(n)) = (*column, value.as_u64()) {
            *value = json!(n.min(i64::MAX as u64));
        }
        // An IPv4 address mapped into IPv6 is an IPv4 address to Weir.
        if let Some(short) =
            value.as_str().and_then(|text| text.strip_prefix("::ffff:")).filter(|rest| rest.contains('.'))
        {
            *value = json!(short);
        }
    }
    if let Some(direction) = number(record, "flowDirection") {
        let word = ["ingress", "egress"].get(direction as usize).copied().unwrap_or("unknown");
        columns.push(("observation", json!(word)));
    }
    columns
}

/// The counter of the other direction: that of the family by which the forward one is counted, or where it is not the first that there is.
fn of_family<'r>(record: &Record, families: &[(&str, Option<&'r Json>)]) -> Option<&'r Json> {
    let counted = families.iter().find(|(forward, _)| value(record, forward).is_some());
    counted.map_or_else(|| families.iter().find_map(|(_, back)| *back), |(_, back)| *back)
}

/// What the flow of the other direction is, where the record counts both (RFC 5103; responders): source and destination are exchanged.
fn reverse(record: &Record) -> Option<Vec<(&'static str, Json)>> {
    const EXCHANGED: &[(&str, &str)] = &[
        ("src_addr", "dst_addr"),
        ("src_port", "dst_port"),
        ("src_prefix_len", "dst_prefix_len"),
        ("src_as_exported", "dst_as_exported"),
        ("src_neighbour_as", "dst_neighbour_as"),
        ("in_if", "out_if"),
        ("in_vrf", "out_vrf"),
        ("src_mac", "dst_mac"),
        ("src_vlan", "dst_vlan"),
    ];
    let of = |pen: u32, name: &str| record.values(pen, id(name)).next().filter(|value| value.is_u64());
    let back = |name: &str| of(names::REVERSE, name);
    let counted = |column, found: Option<&Json>| {
        found.map(|value| (column, json!(value.as_u64().unwrap().min(i64::MAX as u64))))
    };
    let octets = of_family(
        record,
        &[
            ("octetDeltaCount", back("octetDeltaCount")),
            ("octetTotalCount", back("octetTotalCount")),
            ("postOctetDeltaCount", None),
            ("initiatorOctets", of(0, "responderOctets")),
        ],
    );
    let packets = of_family(
        record,
        &[
            ("packetDeltaCount", back("packetDeltaCount")),
            ("packetTotalCount", back("packetTotalCount")),
            ("postPacketDeltaCount", None),
            ("initiatorPackets", of(0, "responderPackets")),
        ],
    );
    let octets_l2 = of_family(
        record,
        &[
            ("layer2OctetDeltaCount", back("layer2OctetDeltaCount")),
            ("layer2OctetTotalCount", back("layer2OctetTotalCount")),
        ],
    );
    let counters = [counted("bytes", octets), counted("packets", packets), counted("bytes_l2", octets_l2)];
    if counters.iter().flatten().all(|(_, value)| is_zero(value)) {
        return None;
    }
    let mut columns: Vec<_> = counters.into_iter().flatten().collect();
    for (column, value) in expected(record) {
        let other = EXCHANGED.iter().find_map(|(a, b)| match column {
            _ if column == *a => Some(*b),
            _ if column == *b => Some(*a),
            _ => None,
        });
        let same = ["proto", "ethertype", "sampler"].contains(&column).then_some(column);
        columns.extend(other.or(same).map(|column| (column, value)));
    }
    // Its own times, or those of the forward direction.
    let own = TIMES.iter().any(|id| record.values(names::REVERSE, *id).next().is_some());
    for (column, end) in [("flow_start", false), ("flow_end", true)] {
        let at = time(record, if own { names::REVERSE } else { 0 }, end);
        columns.extend(at.map(|at| (column, json!(at.clamp(0, i64::MAX.into()) as u64))));
    }
    columns.extend(back("tcpControlBits").map(|value| ("tcp_flags", value.clone())));
    columns.extend(back("ipClassOfService").map(|value| ("tos", value.clone())));
    Some(columns)
}

/// Source and destination of either family.
const WAYS: [[&str; 2]; 2] =
    [["sourceIPv4Address", "destinationIPv4Address"], ["sourceIPv6Address", "destinationIPv6Address"]];

/// The families of the packet around, where a record tells of two packets: those of the addresses before the other's. These begin where an address comes
/// again, and the other of its family too; or with two protocols where another family begins, which counts first if the first protocol is before it.
fn around(record: &Record) -> Option<[bool; 2]> {
    let family = |name: &str| WAYS.iter().position(|names| names.contains(&name));
    let own = record.fields.iter().filter(|field| field["pen"] == 0 && field.get("scope").is_none());
    let names: Vec<&str> = own.filter_map(|field| field["name"].as_str()).collect();
    let first = names.iter().position(|name| family(name).is_some())?;
    let protocols = || names.iter().enumerate().filter(|(_, name)| **name == "protocolIdentifier");
    let begins =
        names.iter().position(|name| family(name).is_some_and(|of| Some(of) != family(names[first])));
    let other = begins.filter(|_| protocols().count() > 1);
    let behind = other.filter(|at| protocols().any(|(place, _)| (first..*at).contains(&place)));
    let again =
        (0..names.len()).find(|at| family(names[*at]).is_some() && names[..*at].contains(&names[*at]));
    let times = |name: &str| names.iter().filter(|other| **other == name).count();
    let again = again.filter(|_| WAYS.iter().any(|ways| ways.iter().all(|name| times(name) > 1)));
    let end = behind.or(again).or(other)?;
    Some([0, 1].map(|n| names[..end].iter().any(|name| family(name) == Some(n))))
}

/// Source and destination of the packet within, of the family that it is of.
fn within(record: &Record, around: [bool; 2]) -> Option<[Option<Json>; 2]> {
    let of = |n: usize| {
        WAYS[n].map(|name| record.values(0, id(name)).nth(around[n].into()).filter(|value| !is_zero(value)))
    };
    let found = [0, 1].map(of).into_iter().find(|ways| ways.iter().any(Option::is_some))?;
    Some(found.map(|value| value.cloned()))
}

/// Source and destination as columns have them.
fn said(columns: &[(&'static str, Json)]) -> [Option<Json>; 2] {
    ["src_addr", "dst_addr"].map(|wanted| {
        let found = columns.iter().find(|(column, _)| *column == wanted);
        found.map(|(_, value)| value.clone()).filter(|value| !is_zero(value))
    })
}

/// Prefixes of source and destination of either family: the addresses of a side that has no others.
const PREFIXES: [[&str; 2]; 2] =
    [["sourceIPv4Prefix", "destinationIPv4Prefix"], ["sourceIPv6Prefix", "destinationIPv6Prefix"]];

/// Columns of the family that the record is of, and the addresses of the packet within.
fn addresses(record: &Record, columns: &mut Vec<(&'static str, Json)>) {
    let layers = around(record);
    let any = |n: usize| {
        layers.is_none_or(|around| around[n]) && WAYS[n].iter().any(|name| value(record, name).is_some())
    };
    let aggregate = !any(0) && !any(1);
    let any = |n: usize| {
        if aggregate { PREFIXES[n].iter().any(|name| value(record, name).is_some()) } else { any(n) }
    };
    let (four, six) = (any(0), any(1));
    let shorts = if aggregate { PREFIXES[0] } else { WAYS[0] };
    let is_six = match number(record, "ipVersion") {
        _ if !(four && six) => six,
        Some(4) => false,
        Some(6) => true,
        _ => shorts.iter().all(|name| value(record, name).is_none_or(is_zero)),
    };
    if four || six {
        let of = |short: &str, long: &str| value(record, if is_six { long } else { short }).cloned();
        let side = |n: usize| {
            let own = WAYS.iter().any(|names| value(record, names[n]).is_some());
            let names = if own { WAYS } else { PREFIXES };
            of(names[0][n], names[1][n])
        };
        let all = [
            ("src_addr", side(0)),
            ("dst_addr", side(1)),
            ("src_prefix_len", of("sourceIPv4PrefixLength", "sourceIPv6PrefixLength")),
            ("dst_prefix_len", of("destinationIPv4PrefixLength", "destinationIPv6PrefixLength")),
        ];
        columns.extend(all.into_iter().filter_map(|(column, value)| Some((column, value?))));
        let alone = columns
            .iter()
            .all(|(column, value)| !["src_addr", "dst_addr"].contains(column) || is_zero(value));
        match layers.and_then(|around| within(record, around)) {
            // Nothing is around the other packet, which is the flow.
            // One that is told twice.
            Some(ways) if ways == said(columns) => {}
            Some(_) if alone => columns.retain(|(column, _)| !OF_EITHER.contains(column)),
            Some([src, dst]) => {
                let found = [("inner_src_addr", src), ("inner_dst_addr", dst)];
                columns.extend(found.map(|(column, value)| (column, value.unwrap_or("::".into()))));
            }
            None => {}
        }
    }
    for (column, short, long) in [
        ("next_hop", "ipNextHopIPv4Address", "ipNextHopIPv6Address"),
        ("bgp_next_hop", "bgpNextHopIPv4Address", "bgpNextHopIPv6Address"),
    ] {
        let order = if is_six { [long, short] } else { [short, long] };
        let found: Vec<_> = order.iter().filter_map(|name| value(record, name)).collect();
        columns.extend(
            found
                .iter()
                .find(|value| !is_zero(value))
                .or(found.last())
                .map(|value| (column, (*value).clone())),
        );
    }
}

/// What a sample of sFlow says: interfaces, rate, and what its records say in plain words.
fn expected_of_sample(record: &Record) -> Vec<(&'static str, Json)> {
    fn field<'r>(fields: &'r [Json], name: &str) -> Option<&'r Json> {
        fields.iter().find(|field| field["name"] == name).map(|field| &field["value"])
    }
    let of = |name: &str| field(&record.fields, name).and_then(Json::as_u64);
    let mut columns = Vec::new();
    let interface = |compact: &str, expanded: [&str; 2]| match (of(compact), of(expanded[0]), of(expanded[1]))
    {
        (Some(n), ..) if record.kind == Kind::DiscardSample => Some(n),
        (Some(n), ..) => (n >> 30 == 0).then_some(n),
        (_, Some(0), Some(n)) => Some(n),
        _ => None,
    };
    let (input, output) = (
        interface("input", ["input_format", "input_value"]),
        interface("output", ["output_format", "output_value"]),
    );
    columns.extend(input.map(|n| ("in_if", json!(n))));
    columns.extend(output.map(|n| ("out_if", json!(n))));
    columns.extend(of("sampling_rate").map(|rate| ("sampling_interval", json!(rate * 1000))));
    for inner in &record.records {
        let fields = inner["fields"].as_array().map_or(&[][..], |fields| fields);
        let mut put = |column: &'static str, name: &str| {
            columns.extend(
                field(fields, name).filter(|value| !value.is_null()).map(|value| (column, value.clone())),
            );
        };
        match inner["name"].as_str().unwrap() {
            "extended_switch" if inner.get("error").is_none() => {
                put("src_vlan", "src_vlan");
                put("dst_vlan", "dst_vlan");
            }
            "extended_router" => {
                put("next_hop", "nexthop");
                put("src_prefix_len", "src_mask_len");
                put("dst_prefix_len", "dst_mask_len");
            }
            "extended_gateway" => {
                put("bgp_next_hop", "nexthop");
                put("src_as_exported", "src_as");
                put("src_neighbour_as", "src_peer_as");
                let path = field(fields, "dst_as_path").and_then(Json::as_array).into_iter().flatten();
                let asns: Vec<_> =
                    path.flat_map(|segment| segment["asns"].as_array().unwrap().clone()).collect();
                columns.push(("as_path", asns.into()));
            }
            "raw_packet_header" if field(fields, "header_protocol") == Some(&json!(1)) => {
                put("bytes_l2", "frame_length");
                columns.extend(frame(field(fields, "header").and_then(Json::as_str).unwrap_or_default()));
            }
            _ => {}
        }
    }
    columns
}

/// Addresses, protocol and length of an IPv4 packet in Ethernet without or with one tag, of which no more is read.
fn frame(hex: &str) -> Vec<(&'static str, Json)> {
    let byte = |at: usize| hex.get(2 + 2 * at..4 + 2 * at).and_then(|two| u8::from_str_radix(two, 16).ok());
    let bytes: Vec<u8> = (0..).map_while(byte).collect();
    let l3 = match bytes.get(12..14) {
        Some([8, 0]) => 14,
        Some([0x81, 0]) if bytes.get(16..18) == Some(&[8, 0]) => 18,
        _ => return Vec::new(),
    };
    let Some(ip) = bytes.get(l3..l3 + 20) else { return Vec::new() };
    let address = |at: usize| json!(format!("{}.{}.{}.{}", ip[at], ip[at + 1], ip[at + 2], ip[at + 3]));
    vec![
        ("src_addr", address(12)),
        ("dst_addr", address(16)),
        ("proto", json!(ip[9])),
        ("tos", json!(ip[1])),
        ("ttl", json!(ip[8])),
    ]
}

/// Compares, and says how many columns were compared. What stands for none is left out of the decoder's lines.
fn compare(line: &Json, record: &Record, columns: &[(&str, Json)]) -> Result<usize, String> {
    let sampled = line["flow_kind"] == "sample" && record.kind == Kind::Flow;
    let mut compared = 0;
    for (column, wanted) in columns {
        // A sampled frame says all of this better.
        if sampled && !["flow_start", "flow_end", "in_if", "out_if", "sampler"].contains(column) {
            continue;
        }
        let given = line.get(*column);
        let none = is_zero(wanted) || *wanted == json!("unknown") || *wanted == json!([]);
        // Microseconds of NTP's format have more digits than are printed.
        let near = column.starts_with("flow_")
            && given.and_then(Json::as_u64).zip(wanted.as_u64()).is_some_and(|(a, b)| a / 1000 == b / 1000);
        compared += 1;
        if given != Some(wanted) && !(none && given.is_none()) && !near {
            return Err(format!(
                "{column} should be {wanted} and is {given:?} in {line}\nof {}",
                record.to_json()
            ));
        }
    }
    Ok(compared)
}

/// Compares all flows of a capture; says how many there are, how many of them of the other direction, and how many columns were compared.
pub fn agree(what: &str, bytes: &[u8]) -> (usize, usize, usize) {
    let (_, lines) = decoded(bytes);
    let records = walked(bytes);
    let (mut fields, mut others, mut left) = (0, 0, lines.iter());
    for record in records.iter().filter(|record| is_flow(record)) {
        let (columns, other) = match record.header.protocol {
            Protocol::SflowV5 => (expected_of_sample(record), None),
            _ => (expected(record), reverse(record)),
        };
        others += usize::from(other.is_some());
        for columns in std::iter::once(columns).chain(other) {
            let line = left.next().unwrap_or_else(|| panic!("{what}: no flow for {}", record.to_json()));
            fields += compare(line, record, &columns).unwrap_or_else(|error| panic!("{what}: {error}"));
        }
    }
    assert!(left.next().is_none(), "{what}: more flows than records");
    (lines.len(), others, fields)
}
