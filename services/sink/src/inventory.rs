//! `weir.inventory` to the tables that queries join.
//!
//! These rows are upserts: the latest version of a key counts, so reading the topic again from its beginning after every
//! assignment is harmless, and nothing needs a token.

use std::collections::BTreeMap;
use weir_schemas::inventory::{Classified, Entry, InventoryError, Member, Record};
use weir_schemas::quality::{ArrivalRow, CheckRow, FaultRow, Quality, SessionRow};
use weir_schemas::rollup::{ClassifiedRow, ExporterRow, InterfaceRow, JOINED, LinkMemberRow, RateRow, Table};
use weir_schemas::value::Slot;
use weir_schemas::{Ip, Time};

/// Rows that wait to be stored, by table.
#[derive(Debug, Default)]
pub struct Rows {
    tables: BTreeMap<&'static str, Vec<u8>>,
    records: u64,
}

impl Rows {
    /// Adds a record. A tombstone takes nothing back here: what was known stays until something else is said.
    pub fn add(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), InventoryError> {
        let Some(value) = value else { return Ok(()) };
        let (exporter, entry) = Entry::read(key, value)?;
        self.put(exporter, &entry);
        self.records += 1;
        Ok(())
    }

    fn put(&mut self, exporter: Ip, entry: &Entry) {
        let version = entry.learned;
        match &entry.record {
            Record::Exporter { name } => {
                ExporterRow { exporter, name, version, ..ExporterRow::default() }
                    .put_row(self.table("exporters"));
            }
            Record::Interface { index, name, description, speed } => {
                let row = InterfaceRow {
                    exporter,
                    if_index: *index,
                    name,
                    description,
                    speed: *speed,
                    version,
                    ..InterfaceRow::default()
                };
                row.put_row(self.table("interfaces"));
            }
            Record::Link {
                index,
                valid_from,
                valid_to,
                link,
                provider,
                connectivity,
                neighbour_as,
                capacity,
            } => {
                let row = LinkMemberRow {
                    exporter,
                    if_index: *index,
                    valid_from: Slot(*valid_from),
                    valid_to: Slot(*valid_to),
                    link,
                    provider,
                    connectivity: *connectivity,
                    neighbour_as: *neighbour_as,
                    capacity: *capacity,
                    version,
                    ..LinkMemberRow::default()
                };
                row.put_row(self.table("links"));
            }
            Record::Classified(link) => self.classified(exporter, link, version),
            Record::Rate { observation_domain, source, scope, interval, sampling, valid_from } => {
                let row = RateRow {
                    exporter,
                    observation_domain: *observation_domain,
                    rate_source: *source,
                    scope: *scope,
                    sampling_interval: *interval,
                    sampling_kind: *sampling,
                    valid_from: Time(*valid_from),
                    version,
                    ..RateRow::default()
                };
                row.put_row(self.table("rates"));
            }
            Record::Quality(quality) => self.quality(exporter, quality, version),
        }
    }

    /// A row for each member. An exporter that has none any more has a row that says so, so that its rows of before do not count.
    fn classified(&mut self, exporter: Ip, link: &Classified, version: u64) {
        const NONE: [Member; 1] = [Member { index: 0, valid_from: 0, valid_to: 0 }];
        let members = if link.members.is_empty() { &NONE[..] } else { &link.members };
        for member in members {
            ClassifiedRow {
                exporter,
                link_id: &link.id,
                if_index: member.index,
                valid_from: Slot(member.valid_from),
                valid_to: Slot(member.valid_to),
                link: &link.name,
                provider: &link.provider,
                connectivity: link.connectivity,
                neighbour_as: link.neighbour_as,
                capacity: link.capacity,
                commit_rate: link.commit_rate,
                price: link.price,
                currency: &link.currency,
                version,
                ..ClassifiedRow::default()
            }
            .put_row(self.table("classified"));
        }
    }

    fn quality(&mut self, exporter: Ip, quality: &Quality, version: u64) {
        let (since, time) = (Time(quality.since), Slot(quality.time));
        ArrivalRow {
            exporter,
            since,
            time,
            datagrams: quality.datagrams,
            templates: quality.templates,
            parked_sets: quality.parked_sets,
            parked_bytes: quality.parked_bytes,
            version,
            ..ArrivalRow::default()
        }
        .put_row(self.table("arrivals"));
        for session in &quality.sessions {
            SessionRow {
                exporter,
                protocol: session.protocol,
                observation_domain: session.observation_domain,
                source_port: session.source_port.into(),
                agent: &session.agent,
                unit: if session.by_records { "records" } else { "datagrams" },
                since,
                time,
                received: session.received,
                missing: session.missing,
                late: session.late,
                repeated: session.repeated,
                restarts: session.restarts,
                version,
                ..SessionRow::default()
            }
            .put_row(self.table("sessions"));
        }
        for (reason, letters) in &quality.dead {
            FaultRow { exporter, reason, since, time, letters: *letters, version, ..FaultRow::default() }
                .put_row(self.table("faults"));
        }
        for (name, _, sum) in quality.checks.all().filter(|(_, _, sum)| *sum > 0) {
            CheckRow { exporter, name, since, time, sum, version, ..CheckRow::default() }
                .put_row(self.table("checks"));
        }
    }

    fn table(&mut self, name: &'static str) -> &mut Vec<u8> {
        self.tables.entry(name).or_default()
    }

    /// Records that wait.
    pub fn len(&self) -> u64 {
        self.records
    }

    /// True where none waits.
    pub fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// The rows, by table.
    pub fn take(&mut self) -> Vec<(&'static Table, Vec<u8>)> {
        self.records = 0;
        let tables = std::mem::take(&mut self.tables);
        tables
            .into_iter()
            .filter_map(|(name, rows)| Some((JOINED.iter().find(|table| table.name == name)?, rows)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_schemas::quality::Session;
    use weir_schemas::{Connectivity, RateSource, SamplingKind};

    #[test]
    fn every_kind_of_record_has_its_table() {
        let records = [
            Record::Exporter { name: "edge1".into() },
            Record::Interface { index: 1, name: "a".into(), description: "b".into(), speed: 3 },
            Record::Link {
                index: 1,
                valid_from: 0,
                valid_to: u32::MAX,
                link: "l".into(),
                provider: "p".into(),
                connectivity: Connectivity::Ix,
                neighbour_as: 1,
                capacity: 2,
            },
            Record::Classified(Classified {
                id: "a".into(),
                members: [1, 2].map(|index| Member { index, valid_from: 0, valid_to: 9 }).into(),
                ..Classified::default()
            }),
            Record::Classified(Classified { id: "no members".into(), ..Classified::default() }),
            Record::Rate {
                observation_domain: 0,
                source: RateSource::System,
                scope: 0,
                interval: 1000,
                sampling: SamplingKind::Packet,
                valid_from: 5,
            },
            Record::Quality(Box::new(Quality {
                dead: [("truncated".to_owned(), 1)].into(),
                sessions: vec![Session::default()],
                ..Quality::default()
            })),
        ];
        let mut rows = Rows::default();
        for record in records {
            let exporter = Ip::v4([192, 0, 2, 1]);
            rows.add(&record.key(&exporter), Some(&Entry::new(record, 9).value())).unwrap();
        }
        rows.add(b"key", None).unwrap();
        assert!(rows.add(b"key", Some(b"{}")).is_err());
        assert_eq!(rows.len(), 7);
        let names: Vec<_> = rows.take().into_iter().map(|(table, _)| table.name).collect();
        let all =
            ["arrivals", "classified", "exporters", "faults", "interfaces", "links", "rates", "sessions"];
        assert_eq!(names, all);
        assert!(rows.is_empty());
    }
}
