//! Decoding the window again, into a table beside `flows`.

use super::Request;
use super::ledger::{Bound, Details, Entry, Phase, Sum, steps};
use super::passed::{Passed, passed};
use super::work::Work;
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
/// Datagrams that may be left alone because they wait.
const MOST_LEFT: usize = 20_000;

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
    reader.restore(&topics.raw, &[partition], &mut |record| {
        origins.extend(origin(record).filter(|_| record.offset() < end));
    })?;
    replay.expect(origins);
    let (begin, _) = reader.bounds(&topics.raw, partition)?;
    if begin > 0 {
        reader.restore(&topics.state, &[partition], &mut |record| {
            replay.restore_state(record.key().unwrap_or_default(), record.value());
        })?;
        reader.restore(&topics.inventory, &[partition], &mut |record| {
            replay.restore_inventory(record.key().unwrap_or_default(), record.value());
        })?;
        replay.restored();
    }
    let (mut first, mut failed) = (None, None);
    reader.restore(&topics.raw, &[partition], &mut |record| {
        if record.offset() >= end || failed.is_some() {
            return;
        }
        first.get_or_insert(record.offset());
        let raw = RawRecord { offset: record.offset(), key: record.key(), value: record.value() };
        if let Some(origin) = origin(record) {
            let here = (partition, record.offset().unsigned_abs(), 0)
                ..=(partition, record.offset().unsigned_abs(), u32::MAX);
            let waits = entry.details.left.range(here).next().is_some();
            if replay.has_come(&raw, &origin, waits) {
                return;
            }
        }
        let decoded = replay.frame(&raw, &mut |batch, flow| {
            batch.put_row(&mut chunk.rows);
            flow.put_row(&mut chunk.rows);
            chunk.count += 1;
        });
        let stored = decoded.map_err(anyhow::Error::from).and_then(|()| {
            work.go_on()?;
            if chunk.is_full() { chunk.insert(work, entry) } else { Ok(()) }
        });
        failed = stored.err();
    })?;
    if let Some(error) = failed {
        return Err(error);
    }
    let outcome = replay.finish(&mut |batch, flow| {
        batch.put_row(&mut chunk.rows);
        flow.put_row(&mut chunk.rows);
        chunk.count += 1;
    })?;
    let details = &mut entry.details;
    let begin = first.unwrap_or(end);
    details.bounds.push(Bound { partition, begin, end, earliest: outcome.earliest.unwrap_or_default() });
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
    fn more_datagrams_that_wait_than_a_statement_should_name_are_refused() {
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
    }
}
