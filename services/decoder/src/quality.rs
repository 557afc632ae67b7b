//! How well an exporter's telemetry arrives, counted with each datagram and told once a minute.
//!
//! Minutes are those of receive times, so that a past that is decoded again tells the same. Nothing of it is kept as state: after a restore another
//! sum begins, and what was counted since the last word is left out, both what came and what is missing.

use std::collections::BTreeMap;
use weir_schemas::inventory::Record;
use weir_schemas::quality::{Quality, Session};
use weir_wire::{Exporter, Unit};

const MINUTE: i64 = 60_000_000_000;

/// What is counted of an exporter since the first datagram of it.
#[derive(Debug, Default)]
pub(crate) struct Arrivals {
    /// Receive time of the first, ns; 0: none came.
    since: i64,
    /// The minute that is counted, since the epoch.
    minute: i64,
    datagrams: u64,
    /// Dead letters by reason.
    pub dead: BTreeMap<&'static str, u64>,
}

impl Arrivals {
    /// Counts a datagram. With the first one of another minute it gives what is to be told of those before.
    pub fn count(&mut self, received: i64, exporter: &Exporter) -> Option<Record> {
        let minute = received.div_euclid(MINUTE);
        let told = (self.since != 0 && minute > self.minute).then(|| self.told(exporter));
        if self.since == 0 {
            self.since = received;
        }
        self.minute = self.minute.max(minute);
        self.datagrams += 1;
        told
    }

    fn told(&self, exporter: &Exporter) -> Record {
        let (parked_sets, parked_bytes) = exporter.parked();
        let session = |session: &weir_wire::Session| Session {
            protocol: session.protocol,
            observation_domain: session.observation_domain,
            source_port: session.source_port,
            agent: if session.agent.is_none() { String::new() } else { session.agent.to_string() },
            by_records: session.unit == Unit::Records,
            received: session.received,
            missing: session.missing,
            late: session.late,
            repeated: session.repeated,
            restarts: session.restarts,
        };
        Record::Quality(Box::new(Quality {
            since: self.since,
            time: u32::try_from(self.minute * 60).unwrap_or_default(),
            datagrams: self.datagrams,
            templates: exporter.known_templates() as u64,
            parked_sets: parked_sets as u64,
            parked_bytes: parked_bytes as u64,
            dead: self.dead.iter().map(|(reason, letters)| ((*reason).to_owned(), *letters)).collect(),
            checks: *exporter.checks(),
            sessions: exporter.sessions().iter().map(session).collect(),
        }))
    }
}
