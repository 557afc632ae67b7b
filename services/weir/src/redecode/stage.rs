//! Decoding the window again, into a table beside `flows`.

use super::Request;
use super::bound::Bound;
use super::ledger::{Details, Entry, Phase, Sum, steps};
use super::passed::{Passed, passed};
use super::work::Work;
use crate::walk::walk;
use anyhow::{Result, anyhow, bail};
use bytes::Bytes;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::sync::Arc;
use weir_bus::{Bus, Reader, Record};
use weir_decoder::enrich::Enricher;
use weir_decoder::partition::RawRecord;
use weir_decoder::replay::{Replay, Window};
use weir_schemas::deadletter::{ORIGIN_HEADER, Origin};
use weir_schemas::rollup::FLOWS;

/// Rows, and bytes of rows, of an insert.
const ROWS: u64 = 200_000;
const BYTES: usize = 96 << 20;
/// Datagrams that may be left alone because they wait, and holes of the log: they are named in every statement.
const MOST_LEFT: usize = 20_000;
const MOST_HOLES: usize = 20_000;

/// Rows on their way into the table.
#[derive(Default)]
struct Chunk {
    rows: Vec<u8>,
    count: u64,
    number: u64,
    /// Rows that were inserted.
    inserted: u64,
}

impl Chunk {
    fn is_full(&self) -> bool {
        self.count >= ROWS || self.rows.len() >= BYTES
    }

    fn insert<B: Bus>(&mut self, work: &mut Work<'_, B>, entry: &Entry) -> Result<()> {
        if self.count == 0 {
            return Ok(());
        }
        let rows = Bytes::from(std::mem::take(&mut self.rows));
        let token = format!("redecode/{}/{}", entry.generation, self.number);
        work.insert(&entry.details.staging, &FLOWS, &rows, &token)?;
        self.inserted += self.count;
        (self.count, self.number) = (0, self.number + 1);
        Ok(())
    }
}

/// Decodes the window and stages its rows; gives the entry, ready to be carried through. A dry one is not written down.
pub fn stage<B: Bus>(
    work: &mut Work<'_, B>,
    generation: u32,
    window: &Window,
    request: &Request,
) -> Result<Entry> {
    let mut entry = Entry {
        generation,
        from: window.received.start,
        to: window.received.end,
        phase: Phase::Decoding,
        details: Details {
            staging: work.staging(generation),
            exporters: window.exporters.iter().map(|exporter| mapped(&exporter.0)).collect(),
            ..Details::default()
        },
        version: 0,
    };
    let staged = fill(work, &mut entry, window, request);
    // What ends here holds up nobody who puts back dead letters of the window.
    if staged.is_err() && !request.dry_run && work.is_mine(&entry).is_ok() {
        entry.phase = Phase::GivenUp;
        work.write(&mut entry)?;
        work.drop_staging(&entry.details.staging)?;
    }
    staged.map(|()| entry)
}

fn fill<B: Bus>(work: &mut Work<'_, B>, entry: &mut Entry, window: &Window, request: &Request) -> Result<()> {
    let enricher = Enricher::new(&work.config.decoder.enrich).map_err(|error| anyhow!("{error}"))?;
    let mut reader = work.bus.reader()?;
    if !request.dry_run {
        work.write(entry)?;
        // Whoever puts back dead letters is fenced: what they have done lies before the ends that are read next, and who begins from here
        // on reads this entry first.
        drop(work.bus.transactional(crate::deadletter::IDENTITY)?);
    }
    work.say("waiting until decoder and sink have passed what lies in the log now");
    let Passed { ends, waiting } = passed(work, &mut reader, window)?;
    entry.details.left = waiting;
    few_enough(entry)?;
    work.make_staging(&entry.details.staging)?;
    let (mut chunk, enricher) = (Chunk::default(), Arc::new(enricher));
    for (partition, end) in ends {
        decode(work, &mut reader, (partition, end), entry, window, &enricher, &mut chunk)?;
        few_enough(entry)?;
    }
    chunk.insert(work, entry)?;
    measure(work, entry, chunk.inserted)?;
    if request.dry_run {
        return Ok(());
    }
    gives_something(&entry.details, request.empty)?;
    entry.phase = Phase::Staged;
    work.is_mine(entry)?;
    work.write(entry)
}

/// An error where rows would go and none come, unless that is meant: most likely it is another log than the one that they were made of.
fn gives_something(details: &Details, empty: bool) -> Result<()> {
    if details.after.flows == 0 && details.before.flows > 0 && !empty {
        bail!(
            "nothing of the window decodes to flows now, and {} rows would go; is it the right bus (--bus)? --empty has them go",
            details.before.flows
        );
    }
    Ok(())
}

fn few_enough(entry: &Entry) -> Result<()> {
    if entry.details.left.len() > MOST_LEFT {
        bail!(
            "{} datagrams of the window hold sets that wait for their template; take a window that is longer ago, or one exporter",
            entry.details.left.len()
        );
    }
    let holes: usize = entry.details.bounds.iter().map(|bound| bound.holes.len()).sum();
    if holes > MOST_HOLES {
        bail!(
            "weir.raw has {holes} gaps in its offsets, more than a statement should name; each transaction of `weir deadletter retry` leaves \
             one on Kafka, and what a disk lost of the embedded bus is one. They go as retention removes what is old"
        );
    }
    Ok(())
}

/// Where a record was put back from, if it was.
fn origin(record: &Record<'_>) -> Option<Origin> {
    Origin::read(record.header(ORIGIN_HEADER)?)
}

fn mapped(address: &[u8; 16]) -> String {
    std::net::Ipv6Addr::from(*address).to_string()
}

/// Decodes one partition of the log, from its beginning to `end`.
fn decode<B: Bus>(
    work: &mut Work<'_, B>,
    reader: &mut B::Reader,
    (partition, end): (i32, i64),
    entry: &mut Entry,
    window: &Window,
    enricher: &Arc<Enricher>,
    chunk: &mut Chunk,
) -> Result<()> {
    let topics = work.topics.clone();
    let mut replay =
        Replay::new(partition, entry.generation, &work.config.decoder, enricher, &topics.raw, window);
    // Which of what lies before was put back later has to be known when it is decoded.
    let mut origins = BTreeSet::new();
    let (begin, _) = reader.bounds(&topics.raw, partition)?;
    walk(reader, &topics.raw, partition, begin..end, &mut |record| {
        origins.extend(origin(record));
        work.go_on()
    })?;
    replay.expect(origins);
    let (begin, _) = reader.bounds(&topics.raw, partition)?;
    if begin > 0 {
        reader.restore(&topics.state, &[partition], &mut |record| {
            replay.restore_state(record.key().unwrap_or_default(), record.value());
        })?;
    }
    // What people say of links lies nowhere else, however far back the log reaches.
    reader.restore(&topics.inventory, &[partition], &mut |record| {
        replay.restore_inventory(record.key().unwrap_or_default(), record.value());
    })?;
    replay.restored();
    let mut bound = Bound::new(partition, end);
    // Retention goes on meanwhile.
    let (begin, _) = reader.bounds(&topics.raw, partition)?;
    walk(reader, &topics.raw, partition, begin..end, &mut |record| {
        bound.read(record.offset());
        let raw = RawRecord { offset: record.offset(), key: record.key(), value: record.value() };
        if let Some(origin) = origin(record) {
            let here = (partition, record.offset().unsigned_abs(), 0)
                ..=(partition, record.offset().unsigned_abs(), u32::MAX);
            let waits = entry.details.left.range(here).next().is_some();
            if replay.has_come(&raw, &origin, waits) {
                return Ok(());
            }
        }
        replay.frame(&raw, &mut |batch, flow| {
            batch.put_row(&mut chunk.rows);
            flow.put_row(&mut chunk.rows);
            chunk.count += 1;
        })?;
        work.go_on()?;
        if chunk.is_full() { chunk.insert(work, entry) } else { Ok(()) }
    })?;
    let outcome = replay.finish(&mut |batch, flow| {
        batch.put_row(&mut chunk.rows);
        flow.put_row(&mut chunk.rows);
        chunk.count += 1;
    })?;
    let details = &mut entry.details;
    details.bounds.push(Bound { earliest: outcome.earliest.unwrap_or_default(), ..bound });
    for (reason, count) in outcome.dead {
        *details.dead.entry(reason).or_default() += count;
    }
    details.left.extend(outcome.waiting.iter().map(|waits| (partition, waits.raw_offset, waits.frame_index)));
    Ok(())
}

/// What a sum of rows is, in SQL.
const SUM: &str = "count() AS flows, sum(toUInt64(ifNull(bytes, 0))) AS bytes, sum(packets) AS packets";

/// Takes out what is left alone, and counts: old and new, by second, by partition of the table.
fn measure<B: Bus>(work: &mut Work<'_, B>, entry: &mut Entry, inserted: u64) -> Result<()> {
    #[derive(Deserialize)]
    struct Second {
        second: i64,
        rows: u64,
    }
    #[derive(Deserialize)]
    struct Part {
        part: String,
        rows: u64,
    }
    let (database, staging, old) = (work.database(), entry.details.staging.clone(), entry.old());
    // What is not there will not come either, and what it replaces would go.
    let staged: Sum = work.one(&format!("SELECT {SUM} FROM {database}.{staging}"))?;
    if staged.flows != inserted {
        bail!(
            "of {inserted} rows that were decoded {} are staged in {staging}; nothing was changed",
            staged.flows
        );
    }
    if !entry.details.left.is_empty() {
        work.execute(&format!("DELETE FROM {database}.{staging} WHERE {}", entry.left()))?;
    }
    let seconds: Vec<Second> = work.query(&format!(
        "SELECT toInt64(toUnixTimestamp(toDateTime(received))) AS second, count() AS rows FROM \
         (SELECT received FROM {database}.{staging} UNION ALL SELECT received FROM {database}.flows WHERE {old}) \
         GROUP BY second ORDER BY second"
    ))?;
    let parts: Vec<Part> = work.query(&format!(
        "SELECT _partition_id AS part, count() AS rows FROM {database}.{staging} GROUP BY part"
    ))?;
    let before: Sum = work.one(&format!("SELECT {SUM} FROM {database}.flows WHERE {old}"))?;
    let after: Sum = work.one(&format!("SELECT {SUM} FROM {database}.{staging}"))?;
    let whole: Sum = work.one(&format!("SELECT {SUM} FROM {database}.flows WHERE {}", entry.in_window()))?;
    let details = &mut entry.details;
    details.steps = steps(seconds.iter().map(|one| (one.second, one.rows)));
    details.staged = parts.into_iter().map(|one| (one.part, one.rows)).collect();
    // What comes meanwhile, late, is left alone too.
    details.untouched = whole.flows.saturating_sub(before.flows);
    (details.before, details.after) = (before, after);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redecode::work::tests::with_work;
    use std::path::{Path, PathBuf};
    use std::time::Duration;
    use weir_bus::{Message, TopicSpec, Writer};
    use weir_schemas::frame::{Datagram, FrameWriter};
    use weir_schemas::from_row::RowReader;
    use weir_schemas::inventory::{self, Classified, Member, Record as Word};
    use weir_schemas::{Batch, Connectivity, Flow, Ip};

    #[test]
    fn rows_do_not_go_for_nothing_unless_that_is_meant() {
        let sum = |flows| Sum { flows, ..Sum::default() };
        let of = |before, after| Details { before: sum(before), after: sum(after), ..Details::default() };
        let error = gives_something(&of(7, 0), false).unwrap_err().to_string();
        assert!(error.contains("7 rows would go") && error.contains("--empty"), "{error}");
        assert!(gives_something(&of(7, 0), true).is_ok());
        assert!(gives_something(&of(7, 1), false).is_ok() && gives_something(&of(0, 0), false).is_ok());
    }

    #[test]
    fn more_datagrams_that_wait_or_holes_than_a_statement_should_name_are_refused() {
        let left = |count: usize| Entry {
            generation: 1,
            from: 0,
            to: 2,
            phase: Phase::Decoding,
            details: Details { left: (0..count as u64).map(|n| (0, n, 0)).collect(), ..Details::default() },
            version: 1,
        };
        assert!(few_enough(&left(MOST_LEFT)).is_ok());
        assert!(few_enough(&left(MOST_LEFT + 1)).unwrap_err().to_string().contains("20001 datagrams"));
        let mut bound = Bound::new(0, 0);
        (0..=MOST_HOLES as i64).for_each(|n| bound.read(2 * n));
        let with = |bound: Bound| Entry {
            details: Details { bounds: vec![bound], ..Details::default() },
            ..left(0)
        };
        assert!(few_enough(&with(bound.clone())).is_ok());
        bound.read(1_000_000);
        assert!(few_enough(&with(bound)).unwrap_err().to_string().contains("20001 gaps"));
    }

    /// Changes a byte of what lies on the disk with `value` in it.
    fn damage(folder: &Path, value: &[u8]) -> u32 {
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
        let hit = |path: &&PathBuf| {
            let mut bytes = std::fs::read(path).unwrap();
            let at = bytes.windows(value.len()).position(|window| window == value);
            at.is_some_and(|at| {
                bytes[at] ^= 1;
                std::fs::write(path, bytes).is_ok()
            })
        };
        let hits = files.iter().filter(|path| path.extension().is_some_and(|end| end == "log")).filter(hit);
        hits.count() as u32 + folders.iter().map(|folder| damage(folder, value)).sum::<u32>()
    }

    /// A redecode of which a window is being decoded.
    fn begun() -> Entry {
        Entry {
            generation: 2,
            from: 0,
            to: 100,
            phase: Phase::Decoding,
            details: Details::default(),
            version: 1,
        }
    }

    #[test]
    fn what_was_stored_of_frames_that_the_disk_has_lost_since_is_not_replaced() {
        let mut entry = begun();
        let as_begun = entry.clone();
        let act = |work: &mut Work<'_, weir_bus::EmbeddedBus>| {
            let (bus, topics) = (work.bus, work.topics.clone());
            for spec in TopicSpec::all(&work.config.bus, bus.partitions()) {
                bus.create(&spec)?;
            }
            let mut writer = bus.writer(1 << 20)?;
            for n in 0..7 {
                let mut frame = FrameWriter::default();
                frame.push(&Datagram { received: 10, listener: 1, source_port: 1, payload: &[0xa0 + n; 40] });
                let value = Some(frame.as_bytes());
                let message =
                    Message { topic: &topics.raw, partition: 0, key: &[1; 16], value, headers: &[] };
                writer.try_send(&message, 1)?.unwrap();
                assert!(writer.flush(Duration::from_secs(10)));
            }
            // One alone, and the last two.
            for n in [2, 5, 6] {
                assert_eq!(damage(&work.config.bus.embedded.path, &[0xa0 + n; 40]), 1);
            }
            let mut reader = bus.reader()?;
            let (_, end) = reader.bounds(&topics.raw, 0)?;
            assert_eq!(end, 7);
            let window = Window { received: 0..100, exporters: BTreeSet::new() };
            let enricher = Arc::new(Enricher::new(&work.config.decoder.enrich).unwrap());
            let mut chunk = Chunk::default();
            decode(work, &mut reader, (0, end), &mut entry, &window, &enricher, &mut chunk)
        };
        with_work(&as_begun, |_| Some(String::new()), act).unwrap();
        let read: Vec<i64> = (0..9).filter(|offset| entry.details.bounds[0].holds(*offset)).collect();
        assert_eq!(read, [0, 1, 3, 4]);
        let old = entry.old();
        let (bounds, hole) =
            ("raw_offset >= 0 AND raw_offset < 5 ", "roundDown(raw_offset, [2, 3]) NOT IN (2)");
        assert!(old.contains(bounds) && old.contains(hole), "{old}");
    }

    #[test]
    fn what_people_said_of_links_is_told_also_where_the_log_reaches_back_to_its_beginning() {
        let mut entry = begun();
        let as_begun = entry.clone();
        let act = |work: &mut Work<'_, weir_bus::EmbeddedBus>| {
            let (bus, topics, exporter) = (work.bus, work.topics.clone(), Ip::v4([192, 0, 2, 1]));
            for spec in TopicSpec::all(&work.config.bus, bus.partitions()) {
                bus.create(&spec)?;
            }
            let word = Word::Classified(Classified {
                id: "lan".to_owned(),
                connectivity: Connectivity::Pni,
                members: vec![Member { index: 3, valid_from: 0, valid_to: u32::MAX }],
                ..Classified::default()
            });
            // Version 5, one record that came in by interface 3.
            let mut payload = [0; 72];
            (payload[1], payload[3], payload[24 + 13], payload[24 + 19]) = (5, 1, 3, 1);
            let mut frame = FrameWriter::default();
            frame.push(&Datagram { received: 10, listener: 1, source_port: 1, payload: &payload });
            let mut writer = bus.writer(1 << 20)?;
            for (topic, key, value) in [
                (&topics.inventory, word.key(&exporter), inventory::Entry::new(word, 1).value()),
                (&topics.raw, exporter.0.to_vec(), frame.as_bytes().to_vec()),
            ] {
                let message = Message { topic, partition: 0, key: &key, value: Some(&value), headers: &[] };
                writer.try_send(&message, 1)?.unwrap();
            }
            assert!(writer.flush(Duration::from_secs(10)));
            let window = Window { received: 0..100, exporters: BTreeSet::new() };
            let enricher = Arc::new(Enricher::new(&work.config.decoder.enrich).unwrap());
            let mut chunk = Chunk::default();
            decode(work, &mut bus.reader()?, (0, 1), &mut entry, &window, &enricher, &mut chunk)?;
            let mut rows = RowReader::new(&chunk.rows);
            Batch::get_row(&mut rows)?;
            assert_eq!(Flow::get_row(&mut rows)?.in_connectivity, Connectivity::Pni);
            Ok(())
        };
        with_work(&as_begun, |_| Some(String::new()), act).unwrap();
    }
}
