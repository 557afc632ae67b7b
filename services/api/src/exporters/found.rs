//! What statements found of exporters, put together: a list of exporters that is small enough to read.

use super::{
    Announced, Applied, Arrivals, Check, Exporter, Exporters, Fault, Observed, Received, Session, diagnoses,
};
use serde::Deserialize;
use std::collections::BTreeMap;

/// Exporters in an answer.
const MOST: usize = 2000;

/// Something about an exporter.
#[derive(Debug, Deserialize)]
pub(super) struct Of<T> {
    pub address: String,
    #[serde(flatten)]
    pub what: T,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Known {
    pub name: String,
    pub interfaces: u64,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Hour {
    pub last: u32,
    pub without_as: u64,
    pub times_implausible: u64,
    pub flow_seconds: u32,
    pub clocked: u64,
    pub clock_offset: i64,
    #[serde(flatten)]
    pub received: Received,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Day {
    pub last: u32,
    pub seen: u64,
    pub families: Vec<u8>,
    #[serde(flatten)]
    pub observed: Observed,
}

#[derive(Debug, Deserialize)]
pub(super) struct Unclassified {
    pub unclassified: u64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Last {
    pub last: u32,
}

/// What the statements found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub known: Vec<Of<Known>>,
    pub hour: Vec<Of<Hour>>,
    pub applied: Vec<Of<Applied>>,
    pub day: Vec<Of<Day>>,
    pub announced: Vec<Of<Announced>>,
    pub arrivals: Vec<Of<Arrivals>>,
    pub sessions: Vec<Of<Session>>,
    pub faults: Vec<Of<Fault>>,
    pub unclassified: Vec<Of<Unclassified>>,
    pub checks: Vec<Of<Check>>,
}

impl Found {
    /// Each exporter that anything was found of.
    pub fn exporters(self) -> BTreeMap<String, Exporter> {
        let mut all = BTreeMap::new();
        for Of { address, what: Known { name, interfaces } } in self.known {
            let exporter = of(&mut all, address);
            (exporter.name, exporter.interfaces) = (name, interfaces);
        }
        for Of { address, what: hour } in self.hour {
            of(&mut all, address).take(hour);
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
        for Of { address, what } in self.arrivals {
            of(&mut all, address).arrivals = Some(what);
        }
        for Of { address, what } in self.sessions {
            of(&mut all, address).sessions.push(what);
        }
        for Of { address, what } in self.faults {
            of(&mut all, address).faults.push(what);
        }
        for Of { address, what } in self.checks {
            of(&mut all, address).checks.push(what);
        }
        for Of { address, what } in self.unclassified {
            of(&mut all, address).unclassified = what.unclassified;
        }
        all
    }
}

impl Exporter {
    /// Takes flows of one protocol and observation. Those with most flows come first, and theirs is the clock.
    fn take(&mut self, hour: Hour) {
        self.last_seen = self.last_seen.max(Some(hour.last));
        self.hour.flows += hour.received.flows;
        self.hour.without_as += hour.without_as;
        self.hour.times_implausible += hour.times_implausible;
        self.hour.flow_seconds = self.hour.flow_seconds.max(hour.flow_seconds);
        if hour.clocked > 0 {
            self.hour.clock_offset.get_or_insert(hour.clock_offset);
        }
        self.last_hour.push(hour.received);
    }
}

fn of(all: &mut BTreeMap<String, Exporter>, address: String) -> &mut Exporter {
    all.entry(address)
        .or_insert_with_key(|address| Exporter { address: address.clone(), ..Exporter::default() })
}

/// The answer: those with most flows first.
pub(super) fn told(at: u32, all: BTreeMap<String, Exporter>) -> Exporters {
    let mut exporters: Vec<_> = all.into_values().collect();
    for exporter in &mut exporters {
        exporter.diagnoses = diagnoses::diagnoses(exporter, at);
    }
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
        Of { address: address.into(), what: Hour { last, received, ..Hour::default() } }
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
