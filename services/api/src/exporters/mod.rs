//! What the store knows of each exporter: whether it sends, what, at which rates, and where its packets are observed.
//!
//! What must stay true: what is told is what was found, without a guess; bytes of unknown rate are told apart; and an answer stays small enough to
//! read, whatever spoofed addresses, interfaces and rates there are: what is left out is counted.

mod sql;

use crate::query::AskError;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use utoipa::ToSchema;
use weir_store::Store;

/// Exporters in an answer.
const MOST: usize = 2000;

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
    /// Sampling intervals that it announced, as they are in force.
    pub announced: Vec<Announced>,
    /// Sampling intervals that its flows of the last hour were scaled by, the 20 with most flows.
    pub applied: Vec<Applied>,
    /// Interfaces of which a name, description or speed is known.
    pub interfaces: u64,
    /// Interfaces that its flows of the last day name.
    pub interfaces_seen: u64,
    /// The 500 with most flows of these, and where packets were observed.
    pub observed: Vec<Observed>,
}

/// Flows of one protocol and observation.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Received {
    /// Export protocol: netflow_v5, netflow_v9, ipfix, sflow_v5.
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
    /// What kind of announcement it is: header, system, domain, template, cache, line_card, interface, sampler, inferred.
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
    /// Where it came from: record, override, default, or as it was announced; unknown: none is known.
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

/// Something about an exporter.
#[derive(Debug, Deserialize)]
struct Of<T> {
    address: String,
    #[serde(flatten)]
    what: T,
}

#[derive(Debug, Default, Deserialize)]
struct Known {
    name: String,
    interfaces: u64,
}

#[derive(Debug, Default, Deserialize)]
struct Hour {
    last: u32,
    #[serde(flatten)]
    received: Received,
}

#[derive(Debug, Default, Deserialize)]
struct Day {
    last: u32,
    seen: u64,
    families: Vec<u8>,
    #[serde(flatten)]
    observed: Observed,
}

#[derive(Debug, Deserialize)]
struct Last {
    last: u32,
}

/// What the statements found.
#[derive(Debug, Default)]
struct Found {
    known: Vec<Of<Known>>,
    hour: Vec<Of<Hour>>,
    applied: Vec<Of<Applied>>,
    day: Vec<Of<Day>>,
    announced: Vec<Of<Announced>>,
}

/// Asks ClickHouse.
///
/// # Errors
/// [`AskError::Store`].
pub async fn ask(store: &Store, now: u32) -> Result<Exporters, AskError> {
    let database = store.database();
    let from = |seconds: u32| [("from", now.saturating_sub(seconds).to_string())];
    let (hour, day) = (from(3600), from(86_400));
    let found = Found {
        known: store.query(&sql::known(database), &[]).await?,
        hour: store.query(&sql::hour(database), &hour).await?,
        applied: store.query(&sql::applied(database), &hour).await?,
        day: store.query(&sql::day(database), &day).await?,
        announced: store.query(&sql::announced(database), &[]).await?,
    };
    let mut all = found.exporters();
    if all.values().any(|exporter| exporter.last_seen.is_none()) {
        let last: Vec<Of<Last>> = store.query(&sql::last(database), &from(35 * 86_400)).await?;
        for Of { address, what: Last { last } } in last {
            if let Some(exporter) = all.get_mut(&address) {
                exporter.last_seen.get_or_insert(last);
            }
        }
    }
    Ok(told(now, all))
}

impl Found {
    /// Each exporter that anything was found of.
    fn exporters(self) -> BTreeMap<String, Exporter> {
        let mut all = BTreeMap::new();
        for Of { address, what: Known { name, interfaces } } in self.known {
            let exporter = of(&mut all, address);
            (exporter.name, exporter.interfaces) = (name, interfaces);
        }
        for Of { address, what: Hour { last, received } } in self.hour {
            let exporter = of(&mut all, address);
            exporter.last_seen = exporter.last_seen.max(Some(last));
            exporter.last_hour.push(received);
        }
        for Of { address, what } in self.applied {
            of(&mut all, address).applied.push(what);
        }
        for Of { address, what: Day { last, seen, families, observed } } in self.day {
            let exporter = of(&mut all, address);
            // What the last hour says is to the second.
            if exporter.last_hour.is_empty() {
                exporter.last_seen = exporter.last_seen.max(Some(last));
            }
            exporter.interfaces_seen = seen;
            exporter.families.extend(families);
            exporter.observed.push(observed);
        }
        for Of { address, what } in self.announced {
            of(&mut all, address).announced.push(what);
        }
        all
    }
}

fn of(all: &mut BTreeMap<String, Exporter>, address: String) -> &mut Exporter {
    all.entry(address)
        .or_insert_with_key(|address| Exporter { address: address.clone(), ..Exporter::default() })
}

fn told(at: u32, all: BTreeMap<String, Exporter>) -> Exporters {
    let mut exporters: Vec<_> = all.into_values().collect();
    let flows = |exporter: &Exporter| exporter.last_hour.iter().map(|hour| hour.flows).sum::<u64>();
    // Stable: of as many flows by address.
    exporters.sort_by_key(|exporter| std::cmp::Reverse(flows(exporter)));
    let left_out = exporters.len().saturating_sub(MOST);
    exporters.truncate(MOST);
    Exporters { at, exporters, left_out }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hour(address: &str, flows: u64, last: u32) -> Of<Hour> {
        let received = Received { flows, ..Received::default() };
        Of { address: address.into(), what: Hour { last, received } }
    }

    fn day(address: &str, if_index: u32, last: u32, families: &[u8]) -> Of<Day> {
        let observed = Observed { if_index, ..Observed::default() };
        Of { address: address.into(), what: Day { last, seen: 2, families: families.into(), observed } }
    }

    #[test]
    fn who_is_known_and_who_sends_are_one_list_and_the_finest_time_is_the_last_seen() {
        let known = |address: &str, name: &str| Of {
            address: address.into(),
            what: Known { name: name.into(), interfaces: 3 },
        };
        let found = Found {
            known: vec![known("192.0.2.1", "edge1"), known("192.0.2.9", "gone")],
            hour: vec![hour("192.0.2.1", 1, 7300), hour("192.0.2.1", 1, 7200), hour("192.0.2.2", 9, 7250)],
            day: vec![
                day("192.0.2.1", 1, 10_800, &[4]),
                day("192.0.2.1", 2, 10_800, &[6, 4]),
                day("2001:db8::1", 1, 3600, &[6]),
            ],
            ..Found::default()
        };
        let told = told(7400, found.exporters());
        let of = |one: &Exporter| (one.address.clone(), one.name.clone(), one.last_seen);
        let seen: Vec<_> = told.exporters.iter().map(of).collect();
        let one = |address: &str, name: &str, last| (address.to_owned(), name.to_owned(), last);
        assert_eq!(
            seen,
            [
                one("192.0.2.2", "", Some(7250)),
                one("192.0.2.1", "edge1", Some(7300)),
                one("192.0.2.9", "gone", None),
                one("2001:db8::1", "", Some(3600)),
            ]
        );
        let edge = &told.exporters[1];
        assert_eq!((edge.last_hour.len(), edge.observed.len(), edge.interfaces_seen), (2, 2, 2));
        assert_eq!(Vec::from_iter(&edge.families), [&4, &6]);
    }

    #[test]
    fn however_many_exporters_there_are_the_answer_stays_small_and_has_those_that_send() {
        let hour = (0..MOST + 5).map(|n| hour(&format!("192.0.2.{n:05}"), n as u64, 0)).collect();
        let told = told(0, Found { hour, ..Found::default() }.exporters());
        assert_eq!((told.exporters.len(), told.left_out), (MOST, 5));
        assert_eq!(told.exporters[0].last_hour[0].flows, MOST as u64 + 4);
    }
}
