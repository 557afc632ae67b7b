//! Correcting the rollups: rows of the difference between new and old, step by step.
//!
//! A step's rows are the same whenever it is made, and its inserts have tokens, so a step that was cut off is repeated. That holds for as
//! long as ClickHouse remembers the tokens, which is looked at before.

use super::ledger::{Entry, Phase, Step, received};
use super::work::Work;
use anyhow::{Context, Result, bail};
use bytes::Bytes;
use serde::Deserialize;
use std::collections::BTreeMap;
use weir_bus::Bus;
use weir_schemas::ddl::DEDUPLICATION_WINDOW;
use weir_schemas::from_row::RowReader;
use weir_schemas::rollup::ROLLUPS;
use weir_schemas::{Batch, Flow};
use weir_sink::difference::difference;
use weir_sink::rollup::Rollup;
use weir_store::MAX_INSERT_ROWS;

/// Corrects the rollups, from the first step on that is not done.
pub fn sum<B: Bus>(work: &mut Work<'_, B>, entry: &mut Entry) -> Result<()> {
    if entry.phase != Phase::Staged {
        return Ok(());
    }
    while let Some(step) = entry.details.steps.get(entry.details.done).cloned() {
        // One that was cut off keeps what was noted when it first began.
        if entry.details.blocks.is_empty() {
            entry.details.blocks = blocks(work)?;
        }
        work.is_mine(entry)?;
        work.write(entry)?;
        correct(work, entry, &step)?;
        entry.details.done += 1;
        entry.details.blocks.clear();
        work.say(&format!(
            "rollups: {} of {} steps are corrected",
            entry.details.done,
            entry.details.steps.len()
        ));
    }
    entry.phase = Phase::Summed;
    work.write(entry)
}

fn correct<B: Bus>(work: &mut Work<'_, B>, entry: &Entry, step: &Step) -> Result<()> {
    let (mut new, mut old) = (Rollup::default(), Rollup::default());
    for (from, to) in step {
        let time = received(*from, *to);
        let staged = work.rows(&entry.details.staging, &time)?;
        add(&mut new, &staged).context("reading staged rows")?;
        let stored = work.rows("flows", &format!("{time} AND {}", entry.old()))?;
        add(&mut old, &stored).context("reading rows of flows")?;
    }
    for (table, pieces) in difference(new, old, MAX_INSERT_ROWS / 2)? {
        for (number, rows) in pieces.into_iter().enumerate() {
            work.is_mine(entry)?;
            let token =
                format!("redecode/{}/{}/{}/{number}", entry.generation, entry.details.done, table.name);
            work.insert(table.name, table, &Bytes::from(rows), &token)?;
        }
    }
    Ok(())
}

fn add(rollup: &mut Rollup, rows: &[u8]) -> Result<()> {
    let mut input = RowReader::new(rows);
    while !input.is_empty() {
        let batch = Batch::get_row(&mut input)?;
        rollup.add(batch.exporter, &Flow::get_row(&mut input)?);
    }
    Ok(())
}

/// The latest block of each rollup: every insert makes one at least, so their number says how many tokens came since.
fn blocks<B: Bus>(work: &mut Work<'_, B>) -> Result<BTreeMap<String, u64>> {
    #[derive(Deserialize)]
    struct Block {
        table: String,
        block: u64,
    }
    // Replicated tables number the blocks of each partition by themselves.
    let over = if work.config.clickhouse.cluster.is_some() { "sum" } else { "max" };
    let sql = format!(
        "SELECT table, toUInt64({over}(last)) AS block FROM (SELECT table, partition_id, max(max_block_number) AS last \
         FROM system.parts WHERE database = '{}' AND active GROUP BY table, partition_id) GROUP BY table",
        work.database()
    );
    let blocks: Vec<Block> = work.query(&sql)?;
    let is_rollup = |block: &Block| ROLLUPS.iter().any(|table| table.name == block.table);
    Ok(blocks.into_iter().filter(is_rollup).map(|block| (block.table, block.block)).collect())
}

/// An error where a step was cut off and ClickHouse may no longer know whether it is in, or where rows that are needed are gone.
pub fn can_go_on<B: Bus>(work: &mut Work<'_, B>, entry: &Entry) -> Result<()> {
    #[derive(Deserialize)]
    struct Count {
        rows: u64,
    }
    if entry.phase != Phase::Staged {
        return Ok(());
    }
    let generation = entry.generation;
    let sql = format!("SELECT count() AS rows FROM {}.flows WHERE {}", work.database(), entry.old());
    let Count { rows } = work.one(&sql)?;
    if rows != entry.details.before.flows {
        bail!(
            "generation {generation} was cut off, and of the {} rows that it replaces {rows} are left: retention has taken the others; \
             --give-up carries it through with what is left",
            entry.details.before.flows
        );
    }
    let now = blocks(work)?;
    let since = |(table, block): (&String, &u64)| now.get(table).map_or(0, |now| now.saturating_sub(*block));
    let most = entry.details.blocks.iter().map(since).max().unwrap_or_default();
    if most > u64::from(DEDUPLICATION_WINDOW) / 2 {
        bail!(
            "generation {generation} was cut off in the middle of step {}, and with {most} inserts since ClickHouse may no longer know \
             whether it is in the rollups; --give-up goes on with the next step",
            entry.details.done + 1
        );
    }
    Ok(())
}

/// Takes the step that was cut off as done.
pub fn skip_doubtful(entry: &mut Entry) {
    if entry.phase == Phase::Staged && !entry.details.blocks.is_empty() {
        entry.details.done += 1;
        entry.details.blocks.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redecode::ledger::Details;

    #[test]
    fn a_step_in_doubt_counts_as_done_and_one_that_never_began_does_not() {
        let details = Details { steps: vec![vec![(0, 1)], vec![(1, 2)]], done: 1, ..Details::default() };
        let mut entry = Entry { generation: 1, from: 0, to: 2, phase: Phase::Staged, details, version: 1 };
        skip_doubtful(&mut entry);
        assert_eq!(entry.details.done, 1);
        entry.details.blocks = [("links_1m".to_owned(), 7)].into();
        skip_doubtful(&mut entry);
        assert_eq!((entry.details.done, entry.details.blocks.len()), (2, 0));
    }
}
