//! Swapping flows: the staged rows come, the old ones go.
//!
//! Attaching a partition copies no bytes and shows all of it at once, but is no insert with a token: done twice it is there twice. So it is
//! never just repeated: how many rows of the generation are there says whether it was done.

use super::ledger::{Entry, Phase};
use super::work::{AWAY, PAUSE, Work};
use anyhow::{Result, bail};
use serde::Deserialize;
use std::time::Instant;
use weir_bus::Bus;

#[derive(Deserialize)]
struct Count {
    rows: u64,
}

/// Swaps, and ends the entry.
pub fn swap<B: Bus>(work: &mut Work<'_, B>, entry: &mut Entry) -> Result<()> {
    let (database, staging, generation) = (work.database(), entry.details.staging.clone(), entry.generation);
    for (part, wanted) in &entry.details.staged {
        attach(work, entry, part, *wanted)?;
    }
    work.is_mine(entry)?;
    let old = entry.old();
    work.execute(&format!("DELETE FROM {database}.flows WHERE {old}"))?;
    let left: Count = work.one(&format!("SELECT count() AS rows FROM {database}.flows WHERE {old}"))?;
    if left.rows > 0 {
        bail!("{} old rows are still there; run the same command again", left.rows);
    }
    keep_no_longer(work, entry)?;
    entry.phase = Phase::Swapped;
    work.write(entry)?;
    work.drop_staging(&staging)?;
    work.say(&format!(
        "done: {} rows of generation {generation} took the place of {}",
        entry.details.after.flows, entry.details.before.flows
    ));
    Ok(())
}

/// Has a partition's staged rows in `flows`, once.
fn attach<B: Bus>(work: &mut Work<'_, B>, entry: &Entry, part: &str, wanted: u64) -> Result<()> {
    let (database, staging, generation) = (work.database(), &entry.details.staging, entry.generation);
    let count = format!(
        "SELECT count() AS rows FROM {database}.flows WHERE generation = {generation} AND _partition_id = '{part}'"
    );
    let under_way = format!(
        "SELECT count() AS rows FROM system.processes WHERE query_kind = 'Alter' AND position(query, '{staging}') > 0"
    );
    let begun = Instant::now();
    loop {
        work.is_mine(entry)?;
        // One that was not answered may be at work still, and what is counted before its end says nothing.
        while work.one::<Count>(&under_way)?.rows > 0 && begun.elapsed() < AWAY {
            std::thread::sleep(PAUSE);
        }
        let Count { rows: is } = work.one(&count)?;
        if is == wanted {
            return Ok(());
        }
        if begun.elapsed() > AWAY {
            bail!("of {wanted} staged rows of {part} {is} came into flows; run the same command again");
        }
        if is != 0 {
            // An engine that died while it attached: some of the parts are there. Or it was done twice.
            work.execute(&format!(
                "DELETE FROM {database}.flows IN PARTITION ID '{part}' WHERE generation = {generation}"
            ))?;
        }
        let attach =
            format!("ALTER TABLE {database}.flows ATTACH PARTITION ID '{part}' FROM {database}.{staging}");
        if !work.execute_once(&attach)? {
            std::thread::sleep(PAUSE);
        }
    }
}

/// Has the staged rows go when their retention is over: they were stored where there is none.
fn keep_no_longer<B: Bus>(work: &mut Work<'_, B>, entry: &Entry) -> Result<()> {
    let database = work.database();
    let sql = format!(
        "SELECT count() AS rows FROM system.tables WHERE database = '{database}' AND name = 'flows' \
         AND position(create_table_query, ' TTL ') > 0"
    );
    if work.one::<Count>(&sql)?.rows > 0 {
        for part in entry.details.staged.keys() {
            work.execute(&format!("ALTER TABLE {database}.flows MATERIALIZE TTL IN PARTITION ID '{part}'"))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redecode::ledger::Details;
    use crate::redecode::work::tests::with_work;
    use std::sync::{Arc, Mutex};

    /// What a ClickHouse has, and how often it attached.
    #[derive(Default)]
    struct Stored {
        rows: u64,
        attached: usize,
    }

    /// Swaps three rows where the answers to attaching are `answers`: how many rows it then has more, and whether it says so.
    fn swapped(answers: &'static [(u64, bool)]) -> Stored {
        let staged = [("20261126".to_owned(), 3)].into();
        let details = Details { staging: "flows_redecoded_1_0".to_owned(), staged, ..Details::default() };
        let mut entry = Entry { generation: 1, from: 0, to: 2, phase: Phase::Summed, details, version: 1 };
        let stored = Arc::new(Mutex::new(Stored::default()));
        let is = Arc::clone(&stored);
        let answer = move |sql: &str| {
            let mut is = is.lock().unwrap();
            if sql.starts_with("ALTER TABLE weir.flows ATTACH") {
                let (rows, says) = answers[is.attached];
                (is.rows, is.attached) = (is.rows + rows, is.attached + 1);
                return says.then(String::new);
            }
            if sql.contains("IN PARTITION ID '20261126' WHERE generation = 1") {
                is.rows = 0;
            }
            let rows = if sql.contains("generation = 1 AND _partition_id") { is.rows } else { 0 };
            Some(if sql.starts_with("SELECT") { format!("{{\"rows\":{rows}}}") } else { String::new() })
        };
        with_work(&entry.clone(), answer, |work| swap(work, &mut entry)).unwrap();
        let mut stored = stored.lock().unwrap();
        std::mem::take(&mut *stored)
    }

    #[test]
    fn staged_rows_are_attached_once_whatever_becomes_of_the_answer() {
        for (answers, attached) in [
            (&[(3, true)][..], 1),
            // It was done, and the answer was lost.
            (&[(3, false), (3, true)], 1),
            // It was not done.
            (&[(0, false), (3, true)], 2),
            // A part of it.
            (&[(2, false), (3, true)], 2),
            // It was done when nobody waited for it any more.
            (&[(0, false), (6, true), (3, true)], 3),
        ] {
            let is = swapped(answers);
            assert_eq!((is.rows, is.attached), (3, attached), "{answers:?}");
        }
    }
}
