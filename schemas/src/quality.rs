//! How well an exporter's telemetry arrives: what it sent and never came, templates, what waits, what could not be decoded.
//!
//! All are sums since a decoder began to count (`since`), told once a minute. So whoever misses some of them loses nothing, a range is a
//! difference, and where another decoder takes over another sum begins. What must stay true: a record stays small, whatever an exporter sends.

use crate::checks::Checks;
use crate::enums::Protocol;
use crate::record::record;
use crate::value::{Ip, Slot, Time};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What is counted of an exporter since a decoder began.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quality {
    /// Receive time (ns) of the first datagram that is counted.
    pub since: i64,
    /// Seconds since the epoch: the minute up to whose end all is counted.
    pub time: u32,
    /// Datagrams.
    pub datagrams: u64,
    /// Templates that are known, those of options included.
    pub templates: u64,
    /// Sets that wait for their template.
    pub parked_sets: u64,
    /// Bytes of them.
    pub parked_bytes: u64,
    /// Dead letters by reason.
    pub dead: BTreeMap<String, u64>,
    /// What its records say of themselves beside what follows from their packets.
    #[serde(default)]
    pub checks: Checks,
    /// What each session sent.
    pub sessions: Vec<Session>,
}

/// What came and what is missing of a session: a port and observation domain; of sFlow an agent and sub-agent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Protocol.
    pub protocol: Protocol,
    /// Observation domain, source id, engine, or sub-agent.
    pub observation_domain: u32,
    /// UDP port that its datagrams come from.
    pub source_port: u16,
    /// sFlow's agent; elsewhere none.
    pub agent: String,
    /// Whether its sequence numbers count records; else datagrams.
    pub by_records: bool,
    /// What arrived.
    pub received: u64,
    /// What was sent and did not arrive.
    pub missing: u64,
    /// Datagrams that came behind later ones.
    pub late: u64,
    /// Datagrams that came once more.
    pub repeated: u64,
    /// How often the numbers began anew.
    pub restarts: u64,
}

record! {
    /// What a decoder had seen of an exporter at the end of a minute.
    pub struct ArrivalRow {
        #[doc = "Transport source address of the datagrams."]
        exporter: Ip, None, Dimension;
        #[doc = "Receive time of the first datagram that is counted; another one: another sum."]
        since: Time, Nanoseconds, Time;
        #[doc = "Start of the minute up to whose end all is counted."]
        time: Slot, None, Time;
        #[doc = "Datagrams since then."]
        datagrams: u64, None, Dimension;
        #[doc = "Templates that are known, those of options included."]
        templates: u64, None, Dimension;
        #[doc = "Sets that wait for their template."]
        parked_sets: u64, None, Dimension;
        #[doc = "Bytes that wait for their template."]
        parked_bytes: u64, Bytes, Dimension;
        #[doc = "When this was told; the latest wins."]
        version: u64, Nanoseconds, Provenance;
    }
}

record! {
    /// What a decoder had seen of an exporter's sequence numbers at the end of a minute.
    pub struct SessionRow {
        #[doc = "Transport source address of the datagrams."]
        exporter: Ip, None, Dimension;
        #[doc = "Export protocol."]
        protocol: Protocol, None, Dimension;
        #[doc = "Observation domain, source id, engine, or sub-agent."]
        observation_domain: u32, None, Dimension;
        #[doc = "UDP port that the datagrams come from."]
        source_port: u32, None, Dimension;
        #[doc = "sFlow's agent; empty elsewhere."]
        agent: &'a str, None, Dimension;
        #[doc = "What received and missing count: records, datagrams."]
        unit: &'a str, None, Dimension;
        #[doc = "Receive time of the first datagram that is counted; another one: another sum."]
        since: Time, Nanoseconds, Time;
        #[doc = "Start of the minute up to whose end all is counted."]
        time: Slot, None, Time;
        #[doc = "What arrived since then."]
        received: u64, None, Dimension;
        #[doc = "What was sent since then and did not arrive."]
        missing: u64, None, Dimension;
        #[doc = "Datagrams that came behind later ones."]
        late: u64, None, Dimension;
        #[doc = "Datagrams that came once more."]
        repeated: u64, None, Dimension;
        #[doc = "How often the numbers began anew."]
        restarts: u64, None, Dimension;
        #[doc = "When this was told; the latest wins."]
        version: u64, Nanoseconds, Provenance;
    }
}

record! {
    /// What of an exporter could not be decoded up to the end of a minute.
    pub struct FaultRow {
        #[doc = "Transport source address of the datagrams."]
        exporter: Ip, None, Dimension;
        #[doc = "Why, as dead letters say it."]
        reason: &'a str, None, Dimension;
        #[doc = "Receive time of the first datagram that is counted; another one: another sum."]
        since: Time, Nanoseconds, Time;
        #[doc = "Start of the minute up to whose end all is counted."]
        time: Slot, None, Time;
        #[doc = "Dead letters since then."]
        letters: u64, None, Dimension;
        #[doc = "When this was told; the latest wins."]
        version: u64, Nanoseconds, Provenance;
    }
}

record! {
    /// A sum by which an exporter is judged, up to the end of a minute.
    pub struct CheckRow {
        #[doc = "Transport source address of the datagrams."]
        exporter: Ip, None, Dimension;
        #[doc = "What is summed (docs/columns.md)."]
        name: &'a str, None, Dimension;
        #[doc = "Receive time of the first datagram that is counted; another one: another sum."]
        since: Time, Nanoseconds, Time;
        #[doc = "Start of the minute up to whose end all is counted."]
        time: Slot, None, Time;
        #[doc = "The sum since then."]
        sum: u64, None, Dimension;
        #[doc = "When this was told; the latest wins."]
        version: u64, Nanoseconds, Provenance;
    }
}
