//! How well an exporter's telemetry arrives: what decoders told of it minute by minute, as sums over a time.
//!
//! What is told counts from when a decoder began, so a sum over a time is the last word less the first one of it, decoder by decoder. What nobody
//! was there to count is in no sum: neither as received nor as missing.

use super::sql::named;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a decoder holds of an exporter.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Arrivals {
    /// When this was so, seconds since the epoch: a decoder tells it once a minute, while datagrams come.
    pub at: u32,
    /// Datagrams of the last hour.
    pub datagrams: u64,
    /// Templates that are known, those of options included.
    pub templates: u64,
    /// Sets of data that wait for their template.
    pub parked_sets: u64,
    /// Bytes of them.
    pub parked_bytes: u64,
}

/// What came and what is missing of one port and observation domain within the last hour; of sFlow, of one agent and sub-agent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Session {
    /// Export protocol.
    pub protocol: String,
    /// Observation domain, source id, engine, or sub-agent.
    pub observation_domain: u32,
    /// UDP port that its datagrams come from.
    pub source_port: u32,
    /// sFlow's agent; empty elsewhere.
    pub agent: String,
    /// What `received` and `missing` count: `records` or `datagrams`, as its sequence numbers do.
    pub unit: String,
    /// What arrived.
    pub received: u64,
    /// What it sent and did not arrive, by the gaps of its sequence numbers.
    pub missing: u64,
    /// Datagrams that came behind later ones; they are not missing.
    pub late: u64,
    /// Datagrams that came once more; they count once.
    pub repeated: u64,
    /// How often its numbers began anew, as after a restart; that is no loss.
    pub restarts: u64,
}

/// What could not be decoded within the last day.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Fault {
    /// Why, as dead letters say it.
    pub reason: String,
    /// Dead letters.
    pub letters: u64,
    /// When it was last so, seconds since the epoch, to the minute.
    pub last: u32,
}

/// A sum of the last day by which an exporter is judged.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Check {
    /// What is summed: docs/columns.md lists them.
    pub name: String,
    /// The sum.
    pub sum: u64,
}

/// SQL of what is counted since `from`, of all that was told since a minute before. The first word of a sum that began earlier is where it stood.
fn since(column: &str) -> String {
    let before =
        format!("if(toUnixTimestamp(s.since) >= {{from:UInt32}}, 0, argMin(toInt64(s.{column}), s.time))");
    format!("greatest(argMax(toInt64(s.{column}), s.time) - {before}, 0) AS {column}")
}

const TOLD: &str = "s FINAL WHERE s.time >= toDateTime({from:UInt32} - 60, 'UTC')";

pub(super) fn arrivals(database: &str) -> String {
    let (named, datagrams) = (named(), since("datagrams"));
    let [templates, sets, bytes] = ["templates", "parked_sets", "parked_bytes"]
        .map(|column| format!("argMax(d.{column}, d.last) AS {column}"));
    format!(
        "SELECT {named}, toUInt32(toUnixTimestamp(max(d.last)) + 60) AS at, toUInt64(sum(d.datagrams)) AS datagrams, {templates}, {sets}, {bytes} \
         FROM (SELECT s.exporter AS exporter, s.since, max(s.time) AS last, {datagrams}, argMax(s.templates, s.time) AS templates, \
         argMax(s.parked_sets, s.time) AS parked_sets, argMax(s.parked_bytes, s.time) AS parked_bytes \
         FROM {database}.arrivals AS {TOLD} GROUP BY s.exporter, s.since) AS d GROUP BY exporter LIMIT 10000"
    )
}

pub(super) fn sessions(database: &str) -> String {
    const KEY: [&str; 6] = ["exporter", "protocol", "observation_domain", "source_port", "agent", "unit"];
    const SUMS: [&str; 5] = ["received", "missing", "late", "repeated", "restarts"];
    let (named, inner) = (named(), SUMS.map(since).join(", "));
    let keys = |of: &str| KEY.map(|key| format!("{of}.{key}")).join(", ");
    let (key, told) = (KEY.map(|key| format!("s.{key} AS {key}")).join(", "), keys("d"));
    let sums = SUMS.map(|sum| format!("toUInt64(sum(d.{sum})) AS {sum}")).join(", ");
    format!(
        "SELECT {named}, toString(d.protocol) AS protocol, d.observation_domain AS observation_domain, d.source_port AS source_port, \
         toString(d.agent) AS agent, toString(d.unit) AS unit, {sums} \
         FROM (SELECT {key}, s.since, {inner} FROM {database}.sessions AS {TOLD} GROUP BY {}, s.since) AS d \
         GROUP BY {told} HAVING received + missing + repeated > 0 \
         ORDER BY missing DESC, received DESC, observation_domain, source_port LIMIT 64 BY address LIMIT 20000",
        keys("s")
    )
}

pub(super) fn faults(database: &str) -> String {
    let (named, letters) = (named(), since("letters"));
    format!(
        "SELECT {named}, toString(d.reason) AS reason, toUInt64(sum(d.letters)) AS letters, \
         toUInt32(toUnixTimestamp(maxIf(d.last, d.letters > 0))) AS last \
         FROM (SELECT s.exporter AS exporter, s.reason AS reason, s.since, minIf(s.time, s.letters = s.most) AS last, {letters} \
         FROM (SELECT s.*, max(s.letters) OVER (PARTITION BY s.exporter, s.reason, s.since) AS most FROM {database}.faults AS {TOLD}) AS s \
         GROUP BY s.exporter, s.reason, s.since) AS d \
         GROUP BY exporter, d.reason HAVING letters > 0 ORDER BY letters DESC, reason LIMIT 50 BY address LIMIT 20000"
    )
}

pub(super) fn checks(database: &str) -> String {
    let (named, sum) = (named(), since("sum"));
    format!(
        "SELECT {named}, toString(d.name) AS name, toUInt64(sum(d.sum)) AS sum \
         FROM (SELECT s.exporter AS exporter, s.name AS name, s.since, {sum} FROM {database}.checks AS {TOLD} \
         GROUP BY s.exporter, s.name, s.since) AS d \
         GROUP BY exporter, d.name HAVING sum > 0 ORDER BY name LIMIT 64 BY address LIMIT 40000"
    )
}
