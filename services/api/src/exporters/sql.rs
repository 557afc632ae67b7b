//! The SQL about exporters. All of it is fixed; the one value, from when on, is bound.
//!
//! Protocols and rates are in flows alone, of which an hour is read: a day of them is more than a page may wait for. Where packets were
//! observed is in the rollups.

use crate::links::members::on_links;
use crate::pieces::{address, narrow};

/// Interfaces of an exporter that are told, those with most flows.
pub(super) const MOST_INTERFACES: usize = 500;
/// Interfaces of all exporters that are told.
pub(super) const MOST_OBSERVED: usize = 100_000;

/// As answers name an exporter.
pub(super) fn named() -> String {
    format!("{} AS address", address!("exporter"))
}

/// Names, and how many interfaces are known.
pub(super) fn known(database: &str) -> String {
    let named = named();
    format!(
        "SELECT {named}, max(known) AS name, sum(interface) AS interfaces FROM (\
         SELECT exporter, name AS known, 0 AS interface FROM {database}.exporters FINAL UNION ALL \
         SELECT exporter, '' AS known, 1 AS interface FROM {database}.interfaces FINAL) \
         GROUP BY exporter ORDER BY exporter LIMIT 10000"
    )
}

/// What was received since.
pub(super) fn hour(database: &str) -> String {
    let scaled = "toInt256(toInt128(ifNull(f.bytes, 0)) * toInt128(f.sampling_interval))";
    let kept = "f.flow_kind != 'discard'";
    let bytes = narrow(&format!("intDiv(sumIf({scaled}, {kept}), 1000)"));
    let unknown = narrow(&format!("sumIf(toInt256(ifNull(f.bytes, 0)), {kept} AND f.sampling_interval = 0)"));
    let named = named();
    let without_as = "countIf(f.src_as_exported = 0 AND f.dst_as_exported = 0)";
    let lasts = "toUnixTimestamp(f.flow_end) - toUnixTimestamp(f.flow_start)";
    let whole =
        "f.flow_start > toDateTime64(0, 9, 'UTC') AND f.flow_end >= f.flow_start AND NOT bitTest(f.flags, 0)";
    let flow_seconds = format!("toUInt32(ifNotFinite(quantileIf(0.99)({lasts}, {whole}), 0))");
    let clocked = "f.exported > toDateTime64(0, 9, 'UTC')";
    let offset = "toInt64(toUnixTimestamp(f.exported)) - toInt64(toUnixTimestamp(f.received))";
    format!(
        "SELECT {named}, {without_as} AS without_as, countIf(bitTest(f.flags, 0)) AS times_implausible, {flow_seconds} AS flow_seconds, \
         countIf({clocked}) AS clocked, toInt64(ifNotFinite(medianIf({offset}, {clocked}), 0)) AS clock_offset, \
         toString(f.protocol) AS protocol, toString(f.observation) AS observation, \
         toUInt32(toUnixTimestamp(max(f.received))) AS last, count() AS flows, \
         countIf(bitTest(f.flags, 2)) AS observation_assumed, {bytes} AS bytes, {unknown} AS bytes_unknown_rate \
         FROM {database}.flows AS f WHERE f.received >= toDateTime64({{from:UInt32}}, 9, 'UTC') \
         GROUP BY exporter, f.protocol, f.observation ORDER BY flows DESC, address, protocol, observation LIMIT 20000"
    )
}

/// The rates that flows were scaled by since.
pub(super) fn applied(database: &str) -> String {
    let named = named();
    format!(
        "SELECT {named}, toString(f.rate_source) AS source, f.sampling_interval / 1000 AS interval, \
         toString(f.sampling_kind) AS sampling, count() AS flows \
         FROM {database}.flows AS f WHERE f.received >= toDateTime64({{from:UInt32}}, 9, 'UTC') \
         GROUP BY exporter, f.rate_source, f.sampling_interval, f.sampling_kind \
         ORDER BY flows DESC, source, interval, sampling LIMIT 20 BY exporter LIMIT 40000"
    )
}

/// Where packets were observed since, by interface.
pub(super) fn day(database: &str) -> String {
    let there = "(s.direction = 'in' AND s.observation = 'ingress') OR (s.direction = 'out' AND s.observation = 'egress')";
    let sum = |which: &str| narrow(&format!("sumIf(toInt256(s.flows), {which})"));
    let [ingress, egress, elsewhere, unknown, all] = [
        "s.direction = 'in' AND s.observation = 'ingress'",
        "s.direction = 'out' AND s.observation = 'egress'",
        &format!("s.observation != 'unknown' AND NOT ({there})"),
        "s.observation = 'unknown'",
        "1",
    ]
    .map(sum);
    let named = named();
    format!(
        "SELECT {named}, o.if_index AS if_index, i.name AS name, i.description AS description, \
         o.ingress AS ingress, o.egress AS egress, o.elsewhere AS elsewhere, o.unknown AS unknown, \
         o.last AS last, o.families AS families, o.seen AS seen \
         FROM (SELECT s.exporter AS exporter, s.if_index AS if_index, {ingress} AS ingress, {egress} AS egress, {elsewhere} AS elsewhere, \
         {unknown} AS unknown, {all} AS every, toUnixTimestamp(max(s.time)) AS last, groupUniqArray(s.family) AS families, \
         countIf(s.if_index != 0) OVER (PARTITION BY s.exporter) AS seen \
         FROM {database}.interfaces_5m AS s WHERE s.time >= toStartOfHour(toDateTime({{from:UInt32}}, 'UTC')) \
         GROUP BY s.exporter, s.if_index HAVING every > 0 \
         ORDER BY every DESC, if_index LIMIT {MOST_INTERFACES} BY exporter LIMIT {MOST_OBSERVED}) AS o \
         LEFT JOIN (SELECT exporter, if_index, name, description FROM {database}.interfaces FINAL) AS i \
         ON i.exporter = o.exporter AND i.if_index = o.if_index \
         ORDER BY o.every DESC, if_index"
    )
}

/// How many interfaces had traffic since and are on no link now.
pub(super) fn unclassified(database: &str) -> String {
    let named = named();
    format!(
        "SELECT {named}, count() AS unclassified FROM (SELECT s.exporter AS exporter, s.if_index AS if_index FROM {database}.interfaces_5m AS s \
         WHERE s.time >= toStartOfHour(toDateTime({{from:UInt32}}, 'UTC')) AND s.if_index != 0 \
         GROUP BY s.exporter, s.if_index HAVING sum(s.flows) > 0) WHERE (exporter, if_index) NOT IN ({}) GROUP BY exporter LIMIT 10000",
        on_links(database)
    )
}

/// The rates that are in force as announced, or as configured; one that was taken out of the configuration is 0.
pub(super) fn announced(database: &str) -> String {
    let named = named();
    format!(
        "SELECT {named}, r.observation_domain AS observation_domain, toString(r.rate_source) AS source, r.scope AS scope, \
         argMax(r.sampling_interval, r.valid_from) / 1000 AS interval, toString(argMax(r.sampling_kind, r.valid_from)) AS sampling, \
         toUInt32(toUnixTimestamp(max(r.valid_from))) AS since \
         FROM {database}.rates AS r FINAL GROUP BY exporter, r.observation_domain, r.rate_source, r.scope \
         HAVING interval > 0 ORDER BY exporter, observation_domain, source, scope LIMIT 500 BY exporter LIMIT 100000"
    )
}

/// When each was last seen since, to five minutes.
pub(super) fn last(database: &str) -> String {
    let named = named();
    format!(
        "SELECT {named}, toUnixTimestamp(max(s.time)) AS last FROM {database}.interfaces_5m AS s \
         WHERE s.time >= toDateTime({{from:UInt32}}, 'UTC') GROUP BY exporter HAVING sum(s.flows) > 0 LIMIT 10000"
    )
}
