//! `weir query`: the top N by dimensions over links, from the rollup tables.
//!
//! The question is a value ([`Question`]), its time is settled in [`period`], its SQL is made of fixed pieces with bound parameters
//! ([`sql`]), limits follow in [`limits`], and the answer is printed as a table for people or as JSON. What is not in the numbers is
//! in the answer too: bytes of unknown rate, and records that were observed elsewhere.

mod arguments;
mod limits;
mod period;
mod sql;
mod table;

pub use arguments::{Arguments, Counted, Dimension, Kind, Scope};

use crate::config::Config;
use anyhow::{Context, Result};
use arguments::Form;
use period::{Kept, Period};
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};
use weir_store::Store;

/// A question.
#[derive(Clone, Debug)]
pub struct Question {
    /// What to group by.
    pub by: Vec<Dimension>,
    /// From when to when, and from which table.
    pub period: Period,
    /// How many rows.
    pub top: u32,
    /// Which interfaces count.
    pub scope: Scope,
    /// Which records count.
    pub observation: Counted,
    /// Only this provider.
    pub provider: Option<String>,
    /// Only links of this kind, whatever the scope is.
    pub connectivity: Option<Kind>,
    /// Only this exporter.
    pub exporter: Option<String>,
    /// Only this origin AS.
    pub asn: Option<u32>,
}

/// A row of the answer. Amounts are scaled by the sampling interval, are of layer 3 bytes, and stop at 2^64 − 1.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Row {
    /// Values of the dimensions, in the order asked.
    pub keys: Vec<String>,
    /// Bytes in.
    pub bytes_in: u64,
    /// Bytes out.
    pub bytes_out: u64,
    /// Packets, in and out.
    pub packets: u64,
    /// Flow records, in and out: as exported, and scaled where whole flows are sampled.
    pub flows: u64,
    /// Packets that were really seen, or records where whole flows are sampled: what the limits of bytes in rest on.
    pub samples_in: u64,
    /// The same of bytes out.
    pub samples_out: u64,
    /// Lower 95 % limit of bytes in.
    pub low_in: f64,
    /// Upper one.
    pub high_in: f64,
    /// Lower 95 % limit of bytes out.
    pub low_out: f64,
    /// Upper one.
    pub high_out: f64,
    /// The part of the bytes that was scaled by a rate that became known later.
    pub bytes_late_rate: u64,
    /// Bytes in as sampled of flows whose rate is unknown; never added in.
    pub bytes_unknown_rate_in: u64,
    /// The same of bytes out.
    pub bytes_unknown_rate_out: u64,
}

/// Bytes of an exporter that are not in the rows. A flow counts once, though both of its sides were asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotIn {
    /// Its name, else its address.
    pub exporter: String,
    /// Where they were observed.
    pub observation: String,
    /// Bytes, scaled, of what has a rate.
    pub bytes: u64,
    /// Bytes as sampled of what has none.
    pub bytes_unknown_rate: u64,
}

/// The answer.
#[derive(Clone, Debug, Serialize)]
pub struct Answer {
    /// Table that it was read from.
    pub table: &'static str,
    /// Start, seconds since the epoch.
    pub from: u32,
    /// End, not included.
    pub to: u32,
    /// Start that was asked for: before `from` where no table that fits keeps data from then.
    pub asked_from: u32,
    /// Seconds that averages divide by.
    pub seconds: u32,
    /// Seconds at the end that can still grow.
    pub incomplete_seconds: u32,
    /// Where the records that count were observed.
    pub observation: &'static str,
    /// What was grouped by.
    pub by: Vec<String>,
    /// The top rows, by bytes in and out.
    pub rows: Vec<Row>,
    /// Everything that the question covers.
    pub total: Row,
    /// Exporters with bytes of unknown rate, most first.
    pub unknown_rate: Vec<NotIn>,
    /// Exporters with records that were observed elsewhere, most first.
    pub other_observation: Vec<NotIn>,
}

/// `weir query`.
pub fn run(config: &Config, arguments: &Arguments) -> Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is before 1970")?.as_secs();
    let now = u32::try_from(now).context("the clock is after 2106")?;
    let kept = Kept { now, days: &config.clickhouse.retention_days };
    let question = arguments.question(kept)?;
    let store = Store::new(&config.clickhouse)?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("no event loop")?;
    let (question, answer) = runtime.block_on(async {
        let answer = ask(&store, &question).await?;
        // Just started: what there is has come within the minutes that can still grow.
        let until_now = arguments.until_now(kept)?.filter(|_| answer.rows.is_empty());
        match until_now {
            Some(recent) => ask(&store, &recent).await.map(|answer| (recent, answer)),
            None => Ok((question, answer)),
        }
    })?;
    let text = match arguments.format {
        Form::Json => serde_json::to_string_pretty(&answer)? + "\n",
        Form::Table => table::text(&question, &answer),
    };
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}

/// Asks ClickHouse.
pub async fn ask(store: &Store, question: &Question) -> Result<Answer> {
    let (database, period) = (store.database(), &question.period);
    let parameters = sql::parameters(question);
    let rows = store.query::<sql::Sums>(&sql::top(database, question), &parameters).await?;
    let total = store.query::<sql::Sums>(&sql::total(database, question), &parameters).await?;
    let total = total.into_iter().next().context("there is no total")?;
    let unknown_rate = store.query(&sql::unknown_rate(database, question), &parameters).await?;
    let other_observation = store.query(&sql::other_observation(database, question), &parameters).await?;
    Ok(Answer {
        table: period.table.name,
        from: period.from,
        to: period.to,
        asked_from: period.asked_from,
        seconds: period.seconds,
        incomplete_seconds: period.incomplete,
        observation: question.observation.word(),
        by: question.by.iter().map(|dimension| sql::name(*dimension).to_owned()).collect(),
        rows: rows.into_iter().map(Row::from).collect(),
        total: total.into(),
        unknown_rate,
        other_observation,
    })
}

impl From<sql::Sums> for Row {
    fn from(sums: sql::Sums) -> Self {
        // An AS without samples in one direction is weighed by those of the other: the exporters are the same.
        let weight = limits::weight(
            (sums.packet_interval, sums.packet_squares, sums.packet_bytes),
            (sums.flow_interval, sums.flow_squares),
        );
        let limits = |bytes: u64, [sampled, variance]: [f64; 2], samples| {
            let evidence = limits::Evidence { sampled, variance, samples, weight };
            let (below, above) = limits::limits(&evidence);
            ((bytes as f64 - below).max(0.0), bytes as f64 + above)
        };
        let (low_in, high_in) = limits(sums.bytes_in, sums.moments_in, sums.drawn_in);
        let (low_out, high_out) = limits(sums.bytes_out, sums.moments_out, sums.drawn_out);
        Self {
            keys: sums.keys,
            bytes_in: sums.bytes_in,
            bytes_out: sums.bytes_out,
            packets: sums.packets,
            flows: sums.flows,
            samples_in: sums.samples_in,
            samples_out: sums.samples_out,
            low_in,
            high_in,
            low_out,
            high_out,
            bytes_late_rate: sums.bytes_late_rate,
            bytes_unknown_rate_in: sums.bytes_unknown_rate_in,
            bytes_unknown_rate_out: sums.bytes_unknown_rate_out,
        }
    }
}
