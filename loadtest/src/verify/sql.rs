//! The questions put to ClickHouse: what it holds of each exporter, and what its rollups should hold by the flows they were made of.
//!
//! The spreading of a flow over slots (docs/counting.md, "Time") is written here in ClickHouse's own words, in 256 bits, by slots of any
//! length directly. The sink computes minutes, in Rust, and adds them up. Both must give the same numbers.

use crate::ledger;
use crate::tag;

/// What a rollup's key is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Links,
    Interfaces,
    Pairs,
    Prefixes,
}

/// A rollup table.
#[derive(Clone, Copy, Debug)]
pub struct Rollup {
    /// Its name.
    pub table: &'static str,
    shape: Shape,
    slot_s: u32,
}

/// All of them.
pub const ROLLUPS: [Rollup; 9] = [
    Rollup { table: "links_1m", shape: Shape::Links, slot_s: 60 },
    Rollup { table: "links_5m", shape: Shape::Links, slot_s: 300 },
    Rollup { table: "links_1h", shape: Shape::Links, slot_s: 3600 },
    Rollup { table: "links_1d", shape: Shape::Links, slot_s: 86_400 },
    Rollup { table: "interfaces_1m", shape: Shape::Interfaces, slot_s: 60 },
    Rollup { table: "interfaces_5m", shape: Shape::Interfaces, slot_s: 300 },
    Rollup { table: "pairs_5m", shape: Shape::Pairs, slot_s: 300 },
    Rollup { table: "pairs_1h", shape: Shape::Pairs, slot_s: 3600 },
    Rollup { table: "prefixes_1h", shape: Shape::Prefixes, slot_s: 3600 },
];

/// Rows of one exporter that were received while the ledger was kept.
const OF_RUN: &str = "exporter = toIPv6({exporter:String}) AND received BETWEEN fromUnixTimestamp64Nano({from:Int64}) AND \
                      fromUnixTimestamp64Nano({to:Int64})";
const RECEIVED: &str =
    "received BETWEEN fromUnixTimestamp64Nano({from:Int64}) AND fromUnixTimestamp64Nano({to:Int64})";
/// Rows of exporters, of whatever run.
pub const OF_EXPORTERS: &str = "exporter IN (SELECT toIPv6(arrayJoin(splitByChar(',', {exporters:String}))))";

/// Rows that are there of all exporters, for waiting.
pub fn count(database: &str) -> String {
    format!("SELECT count() AS count FROM {database}.flows WHERE {OF_EXPORTERS} AND {RECEIVED}")
}

/// Flows that end in slots that are compared. Rollups are kept for longer than flows, so they are held against each other from a while before
/// the run on, and from a border of their slots.
const RECENT: &str = "spread_end >= fromUnixTimestamp64Nano({since:Int64})";

/// Rows of each exporter, of whatever run, of which rollups are compared.
pub fn count_by_exporter(database: &str) -> String {
    format!(
        "SELECT toString(exporter) AS address, count() AS count FROM {database}.flows WHERE {OF_EXPORTERS} AND {RECENT} \
         GROUP BY exporter"
    )
}

/// What a router's clock and the receive time make of a flow's times (docs/counting.md, "Time").
const WRONG_TIMES: &str = "\
    toUnixTimestamp64Nano(received) AS r, toUnixTimestamp64Nano(flow_start) AS f, toUnixTimestamp64Nano(flow_end) AS l, \
    r - toUnixTimestamp64Nano(exported) AS shift, \
    if(f = 0 AND l = 0, r, if(f = 0, l, f) + shift) AS first, if(f = 0 AND l = 0, r, if(l = 0, f, l) + shift) AS last, \
    first <= last AND last <= r + 300000000000 AND first >= r - 7200000000000 AS plausible, \
    (toUnixTimestamp64Nano(spread_start), toUnixTimestamp64Nano(spread_end)) != if(plausible, (first, last), (r, r)) AS wrong_times";

/// Of exporters: rows, distinct flow numbers and places, sums, checksum. `sent` has how many flows each sent, in their order.
pub fn flows(database: &str) -> String {
    format!(
        "SELECT toString(exporter) AS address, count() AS rows, uniqExactIf(tag, tag < sent) AS known, countIf(tag >= sent) AS alien, \
         uniqExact(place) AS places, toString(sum(toUInt64(ifNull(bytes, 0)))) AS sum_bytes, toString(sum(packets)) AS sum_packets, \
         toString({checksum}) AS checksum, countIf(wrong_times) AS wrong_times \
         FROM (SELECT *, {tag} AS tag, (raw_partition, raw_offset, frame_index, record_index, generation) AS place, \
         transform(toString(exporter), splitByChar(',', {{exporters:String}}), \
         arrayMap(one -> toUInt64(one), splitByChar(',', {{sent:String}})), toUInt64(0)) AS sent, {WRONG_TIMES} \
         FROM {database}.flows WHERE {OF_EXPORTERS} AND {RECEIVED}) GROUP BY exporter",
        checksum = ledger::checksum_sql(),
        tag = tag::sql(),
    )
}

/// Numbers of the first flows that are not there.
pub fn lost(database: &str) -> String {
    format!(
        "SELECT number AS tag FROM numbers({{sent:UInt64}}) WHERE number NOT IN (SELECT {tag} FROM {database}.flows WHERE {OF_RUN}) \
         ORDER BY number LIMIT 5",
        tag = tag::sql()
    )
}

/// The first flows that are there more than once, with the places they came from.
pub fn doubled(database: &str) -> String {
    format!(
        "SELECT {tag} AS tag, toString(groupArray(5)((raw_partition, raw_offset, frame_index, record_index))) AS places \
         FROM {database}.flows WHERE {OF_RUN} GROUP BY tag HAVING count() > 1 ORDER BY tag LIMIT 5",
        tag = tag::sql()
    )
}

/// Rows of one exporter beyond the first of a flow, by the minute of the first.
pub fn doubled_by_minute(database: &str) -> String {
    format!(
        "SELECT minute, sum(times - 1) AS doubled FROM (SELECT toInt64(toUnixTimestamp(toStartOfMinute(min(received)))) AS minute, \
         count() AS times FROM {database}.flows WHERE {OF_RUN} GROUP BY {tag} HAVING times > 1) GROUP BY minute",
        tag = tag::sql()
    )
}

/// Numbers of the flows of exporters that are there, as ranges.
pub fn ranges(database: &str) -> String {
    format!(
        "SELECT address, min(tag) AS first, max(tag) AS last FROM \
         (SELECT address, tag, tag - row_number() OVER (PARTITION BY address ORDER BY tag) AS step FROM \
         (SELECT DISTINCT toString(exporter) AS address, {tag} AS tag FROM {database}.flows WHERE {OF_EXPORTERS} AND {RECEIVED})) \
         GROUP BY address, step ORDER BY address, first",
        tag = tag::sql()
    )
}

const SUMS: &str =
    "count() AS rows, sum(toUInt64(ifNull(bytes, 0))) AS sum_bytes, sum(packets) AS sum_packets";

/// Exporters by minute of receiving.
pub fn minutes(database: &str) -> String {
    format!(
        "SELECT toString(exporter) AS address, toInt64(toUnixTimestamp(toStartOfMinute(received))) AS minute, {SUMS} \
         FROM {database}.flows WHERE {OF_EXPORTERS} AND {RECEIVED} GROUP BY exporter, minute"
    )
}

/// Exporters by sampling interval.
pub fn rates(database: &str) -> String {
    format!(
        "SELECT toString(exporter) AS address, sampling_interval AS interval, {SUMS} FROM {database}.flows WHERE {OF_EXPORTERS} AND {RECEIVED} \
         GROUP BY exporter, sampling_interval"
    )
}

/// Exporters by side.
pub fn sides(database: &str) -> String {
    format!(
        "SELECT toString(exporter) AS address, inbound, if(inbound = 1, in_if, out_if) AS interface, if(inbound = 1, src_as, dst_as) AS asn, \
         sampling_interval AS interval, {SUMS} FROM {database}.flows ARRAY JOIN [1, 0] AS inbound WHERE {OF_EXPORTERS} AND {RECEIVED} \
         GROUP BY exporter, inbound, interface, asn, interval"
    )
}

/// Measures of a rollup: its name, and what a flow puts in, whole.
const MEASURES: [(&str, &str); 7] = [
    ("bytes", "l3"),
    (
        "bytes_l2",
        "if(isNotNull(bytes_l2), toUInt256(assumeNotNull(bytes_l2)), if(isNull(bytes), 0, l3 + h * p))",
    ),
    ("bytes_l2_estimated", "if(isNotNull(bytes_l2) OR isNull(bytes), 0, l3 + h * p)"),
    ("packets", "p"),
    ("q", "least(toUInt256(ifNull(q, 0)), top)"),
    (
        "q_l2",
        "least(multiIf(isNotNull(bytes_l2), toUInt256(ifNull(q_l2, 0)), isNull(bytes), toUInt256(0), \
         sampling_kind = 'flow', (l3 + h * p) * (l3 + h * p), toUInt256(ifNull(q, 0)) + 2 * h * l3 + h * h * p), top)",
    ),
    ("q_packets", "least(if(sampling_kind = 'flow', p * p, 0), top)"),
];

impl Shape {
    /// Key columns after the slot: the expression over a flow (`side` is 1 for in, 2 for out), and the column of the rollup.
    fn keys(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Links => &[
                ("exporter", "exporter"),
                ("if(side = 1, in_if, out_if)", "if_index"),
                ("toInt8(side)", "toInt8(direction)"),
                ("toInt8(observation)", "toInt8(observation)"),
                ("family", "family"),
                ("if(side = 1, src_as, dst_as)", "asn"),
                ("if(side = 1, src_neighbour_as, dst_neighbour_as)", "neighbour_as"),
                ("sampling_interval", "sampling_interval"),
                ("toInt8(sampling_kind)", "toInt8(sampling_kind)"),
            ],
            Self::Interfaces => &[
                ("exporter", "exporter"),
                ("if(side = 1, in_if, out_if)", "if_index"),
                ("toInt8(side)", "toInt8(direction)"),
                ("toInt8(observation)", "toInt8(observation)"),
                ("family", "family"),
                ("sampling_interval", "sampling_interval"),
                ("toInt8(sampling_kind)", "toInt8(sampling_kind)"),
            ],
            Self::Pairs => &[
                ("exporter", "exporter"),
                ("in_if", "in_if"),
                ("out_if", "out_if"),
                ("toInt8(observation)", "toInt8(observation)"),
                ("family", "family"),
                ("src_as", "src_as"),
                ("dst_as", "dst_as"),
                ("toString(src_country)", "toString(src_country)"),
                ("toString(dst_country)", "toString(dst_country)"),
                (
                    "toInt8(multiIf(proto = 6, 1, proto = 17 AND (src_port = 443 OR dst_port = 443), 2, proto = 17, 3, \
                     proto IN (1, 58), 4, proto IN (4, 41, 47, 50, 51), 5, 0))",
                    "toInt8(protocol_class)",
                ),
                ("sampling_interval", "sampling_interval"),
                ("toInt8(sampling_kind)", "toInt8(sampling_kind)"),
            ],
            Self::Prefixes => &[
                ("exporter", "exporter"),
                ("if(side = 1, in_if, out_if)", "if_index"),
                ("toInt8(side)", "toInt8(direction)"),
                ("toInt8(observation)", "toInt8(observation)"),
                ("family", "family"),
                (
                    "if(family = 0, toIPv6('::'), IPv6CIDRToRange(if(side = 1, src_addr, dst_addr), toUInt8(long + if(family = 4, 96, 0))).1)",
                    "prefix",
                ),
                ("toUInt8(if(family = 0, 0, long))", "prefix_len"),
                ("if(side = 1, src_as, dst_as)", "asn"),
                ("sampling_interval", "sampling_interval"),
                ("toInt8(sampling_kind)", "toInt8(sampling_kind)"),
            ],
        }
    }

    fn sides(self) -> &'static str {
        if self == Self::Pairs { "[1]" } else { "[1, 2]" }
    }
}

/// The start of the slot of so many seconds that a time lies in, ns since the epoch.
fn start_of_slot(time_ns: i64, slot_s: u32) -> i64 {
    let slot = i64::from(slot_s) * 1_000_000_000;
    time_ns.div_euclid(slot) * slot
}

/// From when on flows are read where each rollup is compared from about this time on, ns since the epoch.
pub fn first(since: i64) -> i64 {
    ROLLUPS.iter().map(|rollup| rollup.first(since)).min().unwrap_or(since)
}

impl Rollup {
    /// From when on it is compared, where that is to be from about this time on, ns since the epoch.
    pub fn first(&self, since: i64) -> i64 {
        start_of_slot(since, self.slot_s)
    }

    /// Rows of the rollup and rows that it should have, key by key: each measure as expected less stored.
    fn difference(&self, database: &str) -> String {
        let keys = self.shape.keys();
        let each = |make: &dyn Fn(usize, &str, &str) -> String| {
            keys.iter().enumerate().map(|(n, (flow, row))| make(n, flow, row)).collect::<Vec<_>>().join(", ")
        };
        let measures = |make: &dyn Fn(&str, &str) -> String| {
            MEASURES.iter().map(|(name, whole)| make(name, whole)).collect::<Vec<_>>().join(", ")
        };
        let (sides, slot_s, table) = (self.shape.sides(), self.slot_s, self.table);
        // Discarded packets are no traffic over a link.
        let whole = format!(
            "SELECT {of_flow}, {wholes}, {slot_s} * toInt64(1000000000) AS slot, toUnixTimestamp64Nano(spread_end) AS e, \
             least(toUnixTimestamp64Nano(spread_start), e) AS s \
             FROM (SELECT *, toUInt256(ifNull(bytes, 0)) AS l3, toUInt256(packets) AS p, \
             toUInt256(18 + if(src_vlan != 0 OR dst_vlan != 0, 4, 0)) AS h, bitShiftLeft(toUInt256(1), 84) AS top, \
             arrayJoin({sides}) AS side, if(side = 1, src_prefix_len, dst_prefix_len) AS told, \
             if(told = 0, if(family = 4, 24, 48), least(told, if(family = 4, 32, 128))) AS long \
             FROM {database}.flows WHERE {OF_EXPORTERS} AND {RECENT} AND flow_kind != 'discard')",
            of_flow = each(&|n, flow, _| format!("{flow} AS k{n}")),
            wholes = measures(&|name, whole| format!("toUInt256({whole}) AS w_{name}")),
        );
        // Where a border lies outside of the flow, nothing or the whole lies before it.
        let before = |name: &str, border: &str| {
            format!(
                "toInt256(multiIf({border} >= e, w_{name}, {border} <= s, toUInt256(0), \
                 intDiv(w_{name} * toUInt256({border} - s), t)))"
            )
        };
        // A flow of no duration has its borders on both sides, or begins with its slot.
        let share = |name: &str| {
            format!("{} - if(low <= s, toInt256(0), {})", before(name, "high"), before(name, "low"))
        };
        let expected = format!(
            "SELECT n, {names}, {shares}, toInt256(n = intDiv(e, slot)) AS d_flows, d_flows AS e_flows, toInt256(0) AS a_flows \
             FROM (SELECT *, arrayJoin(range(intDiv(s, slot), intDiv(e, slot) + 1)) AS n, n * slot AS low, low + slot AS high, \
             toUInt256(greatest(e - s, 1)) AS t FROM ({whole})) WHERE low >= {{since:Int64}}",
            names = each(&|n, _, _| format!("k{n}")),
            shares = measures(&|name, _| format!("{} AS d_{name}", share(name))),
        );
        let stored = format!(
            "SELECT intDiv(toInt64(toUnixTimestamp(time)), {slot_s}) AS n, {of_row}, {stored}, -toInt256(flows) AS d_flows, \
             toInt256(0) AS e_flows, toInt256(flows) AS a_flows FROM {database}.{table} WHERE {OF_EXPORTERS} \
             AND time >= toDateTime(intDiv({{since:Int64}}, 1000000000))",
            of_row = each(&|n, _, row| format!("{row} AS k{n}")),
            stored = measures(&|name, _| format!("-toInt256({name}) AS d_{name}")),
        );
        format!(
            "SELECT n, {names}, {sums}, sum(d_flows) AS s_flows, sum(e_flows) AS t_expected, sum(a_flows) AS t_stored \
             FROM (SELECT toInt64(n) AS n, * EXCEPT n FROM ({expected}) UNION ALL SELECT toInt64(n) AS n, * EXCEPT n FROM ({stored})) \
             GROUP BY n, {names}",
            names = each(&|n, _, _| format!("k{n}")),
            sums = measures(&|name, _| format!("sum(d_{name}) AS s_{name}")),
        )
    }

    fn is_wrong() -> String {
        let others: Vec<String> = MEASURES.iter().map(|(name, _)| format!("s_{name} != 0")).collect();
        format!("(s_flows != 0 OR {})", others.join(" OR "))
    }

    /// How many keys there are, how many are wrong, and flows expected, stored, too few and too many.
    pub fn check(&self, database: &str) -> String {
        format!(
            "SELECT count() AS keys, countIf({wrong}) AS wrong, toString(sum(t_expected)) AS expected, \
             toString(sum(t_stored)) AS stored, toString(sum(greatest(s_flows, toInt256(0)))) AS lost, \
             toString(sum(greatest(-s_flows, toInt256(0)))) AS doubled FROM ({difference})",
            wrong = Self::is_wrong(),
            difference = self.difference(database),
        )
    }

    /// The first keys that are wrong, as text.
    pub fn wrong(&self, database: &str) -> String {
        format!(
            "SELECT toString(tuple(*)) AS text FROM ({difference}) WHERE {wrong} ORDER BY text LIMIT 3",
            wrong = Self::is_wrong(),
            difference = self.difference(database),
        )
    }
}
