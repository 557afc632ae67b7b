//! What the store knows of each exporter: whether it sends, what, at which rates, and where its packets are observed.
//!
//! What must stay true: what is told is what was found, without a guess; bytes of unknown rate are told apart; and an answer stays small enough to
//! read, whatever spoofed addresses, interfaces and rates there are: what is left out is counted.

mod diagnoses;
mod found;
mod mend;
mod quality;
mod sql;
mod words;

pub use diagnoses::{Diagnosis, Severity};
pub use mend::Mend;
pub use quality::{Arrivals, Check, Fault, Session};
pub use words::amount;

use crate::links::complete::Seen;
use crate::query::AskError;
use found::{Day, Found, Last, Of, told};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use utoipa::ToSchema;
use weir_store::{Store, StoreError};

const HOUR: u32 = 3600;
const DAY: u32 = 24 * HOUR;

/// All exporters that are known or sent something within a day.
#[derive(Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct Exporters {
    /// When this was so, seconds since the epoch. The hour and the day below end then.
    pub at: u32,
    /// Those with most flows in the last hour first.
    pub exporters: Vec<Exporter>,
    /// How many more there are than are told.
    pub left_out: usize,
}

/// An exporter.
#[derive(Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct Exporter {
    /// Address that its datagrams come from.
    pub address: String,
    /// Its name now; empty: none.
    pub name: String,
    /// When it last sent something that is stored as a flow, seconds since the epoch: to the second within the last hour, else the start of the
    /// five minutes in which its last flow ended; absent: not within the last 35 days.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<u32>,
    /// What was received of it in the last hour.
    pub last_hour: Vec<Received>,
    /// Address families of the last day: 4, 6, or 0 where it is not IP.
    pub families: BTreeSet<u8>,
    /// Sampling intervals that it announced, as they are in force, and the one that is configured for what comes without.
    pub announced: Vec<Announced>,
    /// Sampling intervals that its flows of the last hour were scaled by, the 20 with most flows.
    pub applied: Vec<Applied>,
    /// Interfaces of which a name, description or speed is known.
    pub interfaces: u64,
    /// Interfaces that its flows of the last day name.
    pub interfaces_seen: u64,
    /// The 500 with most flows of these, and where packets were observed.
    pub observed: Vec<Observed>,
    /// Interfaces that had traffic within a day and are on no link.
    pub unclassified: u64,
    /// What its flows of the last hour say of it.
    pub hour: Sums,
    /// What a decoder holds of it; absent: none told anything within the last hour.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arrivals: Option<Arrivals>,
    /// What came and what is missing, the 64 ports and observation domains with most that is missing first.
    pub sessions: Vec<Session>,
    /// What could not be decoded.
    pub faults: Vec<Fault>,
    /// Sums of the last day by which it is judged: what its records say of themselves beside what follows from their packets.
    pub checks: Vec<Check>,
    /// What is amiss, or could be, and what mends it; what matters most first.
    pub diagnoses: Vec<Diagnosis>,
}

/// What flows say of their exporter.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct Sums {
    /// Flow records, unscaled.
    pub flows: u64,
    /// Those of them that came without an AS number of either side.
    pub without_as: u64,
    /// Those of them that began or ended when they cannot have.
    pub times_implausible: u64,
    /// Duration of which 99 of 100 flows last no longer, seconds: about the active timeout, where flows last.
    pub flow_seconds: u32,
    /// How far its clock is ahead of this machine's, seconds: the median; absent: it sends no time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock_offset: Option<i64>,
}

/// Flows of one protocol and observation.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Received {
    /// Export protocol: netflow_v1, netflow_v5, netflow_v7, netflow_v8, netflow_v9, ipfix, sflow_v5.
    pub protocol: String,
    /// Where the packets were observed: ingress, egress, unknown. A packet that is observed at both is in both.
    pub observation: String,
    /// Flow records, unscaled.
    pub flows: u64,
    /// Those of them that did not say where the packets were observed; they count as configured.
    pub observation_assumed: u64,
    /// Bytes of layer 3 of what was not discarded, scaled.
    pub bytes: u64,
    /// Bytes as sampled of flows whose rate was unknown; never added in.
    pub bytes_unknown_rate: u64,
}

/// A sampling interval that was announced.
#[derive(Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Announced {
    /// Observation domain, source id or sub-agent.
    pub observation_domain: u32,
    /// What kind of announcement it is: header, system, domain, template, cache, line_card, interface, sampler, inferred; default: none, it is configured.
    pub source: String,
    /// Interface, line card, sampler or template that it is for; 0 for the system or domain.
    pub scope: u64,
    /// One of how many packets, or flows, is taken.
    pub interval: f64,
    /// What is taken: packet, flow, or unknown.
    pub sampling: String,
    /// From when on it applies, seconds since the epoch.
    pub since: u32,
}

/// A sampling interval that flows were scaled by.
#[derive(Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Applied {
    /// Where it came from: record, or as it was announced; unknown: none was known.
    pub source: String,
    /// One of how many packets, or flows, was taken; 0: unknown.
    pub interval: f64,
    /// What was taken: packet, flow, or unknown.
    pub sampling: String,
    /// Flow records.
    pub flows: u64,
}

/// An interface, and flow records of the last day by where their packets were observed.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Observed {
    /// ifIndex; 0: flows that name no interface.
    pub if_index: u32,
    /// Its name now; empty: not known.
    pub name: String,
    /// Its description now; empty: not known.
    pub description: String,
    /// Came in by it and were observed there. None, where others have some: its ingress is not sampled.
    pub ingress: u64,
    /// Left by it and were observed there.
    pub egress: u64,
    /// Came in or left by it and were observed at their other interface.
    pub elsewhere: u64,
    /// Came in or left by it, observed nobody knows where.
    pub unknown: u64,
}

impl Exporter {
    /// Whether it has more interfaces than are told.
    fn is_cut(&self) -> bool {
        is_cut(&self.observed, self.interfaces_seen)
    }
}

fn is_cut(observed: &[Observed], seen: u64) -> bool {
    (observed.iter().filter(|one| one.if_index != 0).count() as u64) < seen
}

/// Where packets were observed within a day up to now.
pub(crate) async fn observed(store: &Store, now: u32) -> Result<Seen, StoreError> {
    let from = [("from", now.saturating_sub(DAY).to_string())];
    let rows: Vec<Of<Day>> = store.query(&sql::day(store.database()), &from).await?;
    let mut all = Seen { more: rows.len() >= sql::MOST_OBSERVED, ..Seen::default() };
    let mut seen = BTreeMap::new();
    for Of { address, what } in rows {
        seen.insert(address.clone(), what.seen);
        all.interfaces.entry(address).or_default().push(what.observed);
    }
    let cut = all
        .interfaces
        .iter()
        .filter(|(exporter, observed)| seen.get(*exporter).is_some_and(|seen| is_cut(observed, *seen)));
    all.cut = cut.map(|(exporter, _)| exporter.clone()).collect();
    Ok(all)
}

/// Asks ClickHouse.
///
/// # Errors
/// [`AskError::Store`].
pub async fn ask(store: &Store, now: u32) -> Result<Exporters, AskError> {
    let database = store.database();
    let from = |seconds: u32| [("from", now.saturating_sub(seconds).to_string())];
    let (hour, day, [since]) = (from(HOUR), from(DAY), from(DAY));
    let day_and_now = [since, ("now", now.to_string())];
    let of = [
        sql::known(database),
        sql::hour(database),
        sql::applied(database),
        sql::day(database),
        sql::announced(database),
        quality::arrivals(database),
        quality::sessions(database),
        quality::faults(database),
        sql::unclassified(database),
        quality::checks(database),
    ];
    let (known, hour, applied, day, announced, arrivals, sessions, faults, unclassified, checks) = tokio::try_join!(
        store.query(&of[0], &[]),
        store.query(&of[1], &hour),
        store.query(&of[2], &hour),
        store.query(&of[3], &day),
        store.query(&of[4], &[]),
        store.query(&of[5], &hour),
        store.query(&of[6], &hour),
        store.query(&of[7], &day),
        store.query(&of[8], &day_and_now),
        store.query(&of[9], &day),
    )?;
    let found =
        Found { known, hour, applied, day, announced, arrivals, sessions, faults, unclassified, checks };
    let mut all = found.exporters();
    if all.values().any(|exporter| exporter.last_seen.is_none()) {
        let last: Vec<Of<Last>> = store.query(&sql::last(database), &from(35 * DAY)).await?;
        for Of { address, what: Last { last } } in last {
            if let Some(exporter) = all.get_mut(&address) {
                exporter.last_seen.get_or_insert(last);
            }
        }
    }
    Ok(told(now, all))
}
