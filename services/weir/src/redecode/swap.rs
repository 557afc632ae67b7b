//! Swapping flows: the staged rows come, the old ones go.
//!
//! Attaching a partition copies no bytes and shows all of it at once, but is no insert with a token: how many rows of the generation are
//! there says whether it was done.

use super::ledger::{Entry, Phase};
use super::work::Work;
use anyhow::{Result, bail};
use serde::Deserialize;
use weir_bus::Bus;

#[derive(Deserialize)]
struct Count {
    rows: u64,
}

/// Swaps, and ends the entry.
pub fn swap<B: Bus>(work: &mut Work<'_, B>, entry: &mut Entry) -> Result<()> {
    let (database, staging, generation) = (work.database(), entry.details.staging.clone(), entry.generation);
    for (part, wanted) in entry.details.staged.clone() {
        work.is_mine(entry)?;
        let of = format!("generation = {generation} AND _partition_id = '{part}'");
        let count = format!("SELECT count() AS rows FROM {database}.flows WHERE {of}");
        let Count { rows: mut is } = work.one(&count)?;
        if is != 0 && is != wanted {
            // An engine that died while it attached: some of the parts are there.
            work.execute(&format!(
                "DELETE FROM {database}.flows IN PARTITION ID '{part}' WHERE generation = {generation}"
            ))?;
            is = 0;
        }
        if is == 0 {
            work.execute(&format!(
                "ALTER TABLE {database}.flows ATTACH PARTITION ID '{part}' FROM {database}.{staging}"
            ))?;
            is = work.one::<Count>(&count)?.rows;
        }
        if is != wanted {
            bail!("of {wanted} staged rows of {part} {is} came into flows; run the same command again");
        }
    }
    work.is_mine(entry)?;
    let old = entry.old();
    work.execute(&format!("DELETE FROM {database}.flows WHERE {old}"))?;
    let left: Count = work.one(&format!("SELECT count() AS rows FROM {database}.flows WHERE {old}"))?;
    if left.rows > 0 {
        bail!("{} old rows are still there; run the same command again", left.rows);
    }
    entry.phase = Phase::Swapped;
    work.write(entry)?;
    work.drop_staging(&staging)?;
    work.say(&format!(
        "done: {} rows of generation {generation} took the place of {}",
        entry.details.after.flows, entry.details.before.flows
    ));
    Ok(())
}
