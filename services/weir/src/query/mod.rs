//! `weir query`: a question on the command line, and its answer as a table for people or as JSON.

mod arguments;
mod table;

pub use arguments::Arguments;

use crate::config::Config;
use anyhow::{Context, Result};
use arguments::Form;
use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};
use weir_api::query::ask;
use weir_api::query::period::Kept;
use weir_store::Store;

/// `weir query`.
pub fn run(config: &Config, arguments: &Arguments) -> Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is before 1970")?.as_secs();
    let now = u32::try_from(now).context("the clock is after 2106")?;
    let kept = Kept::new(now, &config.clickhouse.retention_days);
    let question = arguments.question(kept)?;
    let store = Store::new(&config.clickhouse)?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("no event loop")?;
    let (question, answer) = runtime.block_on(async {
        let answer = ask(&store, &question).await?;
        // Just started: what there is has come within the minutes that can still grow.
        let recent = if answer.rows.is_empty() { arguments.until_now(kept)? } else { None };
        match recent {
            Some(recent) => Ok((recent.clone(), ask(&store, &recent).await?)),
            None => anyhow::Ok((question, answer)),
        }
    })?;
    let text = match arguments.format {
        Form::Json => serde_json::to_string_pretty(&answer)? + "\n",
        Form::Csv => weir_api::csv(&answer)?,
        Form::Table => table::text(&question, &answer),
    };
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}
