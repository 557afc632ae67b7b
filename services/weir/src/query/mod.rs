//! `weir query`: the top N by dimensions over links, from the rollup tables.
//!
//! The question is a value ([`Question`]), its SQL is made of fixed pieces with bound parameters ([`sql`]), and the answer is printed
//! as a table for people or as JSON.

mod sql;
mod table;

use crate::config::Config;
use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};
use std::time::{SystemTime, UNIX_EPOCH};
use weir_store::Store;

/// A dimension to group by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Dimension {
    /// Origin AS: in: the source's, out: the destination's.
    As,
    /// Neighbour AS.
    Neighbour,
    /// Link, by its name now.
    Link,
    /// Provider of the link, by its name now.
    Provider,
    /// What the link is for, as classified now.
    Connectivity,
    /// Exporter.
    Exporter,
    /// Interface.
    Interface,
    /// Address family.
    Family,
}

/// Which interfaces count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Scope {
    /// Transit, IX and PNI: the border of the network, where nothing is counted twice.
    Boundary,
    /// All interfaces, classified or not.
    All,
}

/// Which records count, by where the packet was observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Counted {
    /// Observed on the input interface; records that don't say count so by configuration.
    Ingress,
    /// Observed on the output interface.
    Egress,
}

/// How the answer is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// The question on the command line.
#[derive(Args)]
pub struct Arguments {
    /// What to group by, several with commas.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Dimension::As, Dimension::Link])]
    by: Vec<Dimension>,
    /// The last so much time, such as 30m, 24h or 7d.
    #[arg(long, default_value = "1h", conflicts_with = "from")]
    last: String,
    /// Start, in seconds since the epoch; whole minutes.
    #[arg(long, requires = "to")]
    from: Option<u32>,
    /// End (not included), in seconds since the epoch; whole minutes.
    #[arg(long)]
    to: Option<u32>,
    /// How many rows.
    #[arg(long, default_value_t = 10)]
    top: u32,
    /// Which interfaces count.
    #[arg(long, value_enum, default_value_t = Scope::Boundary)]
    scope: Scope,
    /// Which records count.
    #[arg(long, value_enum, default_value_t = Counted::Ingress)]
    observation: Counted,
    /// Only this provider.
    #[arg(long)]
    provider: Option<String>,
    /// Only links of this kind: transit, ix, pni, customer, core.
    #[arg(long)]
    connectivity: Option<String>,
    /// Only this exporter, by address or name.
    #[arg(long)]
    exporter: Option<String>,
    /// Only this origin AS.
    #[arg(long = "as")]
    asn: Option<u32>,
    /// How to print the answer.
    #[arg(long, value_enum, default_value_t = Form::Table)]
    format: Form,
}

/// A question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// What to group by.
    pub by: Vec<Dimension>,
    /// Start, seconds since the epoch, a whole minute.
    pub from: u32,
    /// End, not included, a whole minute.
    pub to: u32,
    /// How many rows.
    pub top: u32,
    /// Which interfaces count.
    pub scope: Scope,
    /// Which records count.
    pub observation: Counted,
    /// Only this provider.
    pub provider: Option<String>,
    /// Only links of this kind.
    pub connectivity: Option<String>,
    /// Only this exporter.
    pub exporter: Option<String>,
    /// Only this origin AS.
    pub asn: Option<u32>,
}

/// A row of the answer. Amounts are scaled by the sampling interval, and are of layer 3 bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Values of the dimensions, in the order asked.
    pub keys: Vec<String>,
    /// Bytes in.
    pub bytes_in: u64,
    /// Bytes out.
    pub bytes_out: u64,
    /// Packets, in and out.
    pub packets: u64,
    /// Flow records, in and out, as exported.
    pub flows: u64,
    /// Packets that were really seen: what the interval rests on.
    pub samples: u64,
    /// Half-width of the 95 % interval of bytes in.
    pub error_in: f64,
    /// Half-width of the 95 % interval of bytes out.
    pub error_out: f64,
    /// The part of the bytes that was scaled by a rate that became known later.
    pub bytes_late_rate: u64,
    /// Bytes as sampled of flows whose rate is unknown; never added in.
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
    /// What was grouped by.
    pub by: Vec<String>,
    /// The top rows, by bytes in and out.
    pub rows: Vec<Row>,
    /// Everything that the question covers.
    pub total: Row,
}

/// `weir query`.
pub fn run(config: &Config, arguments: &Arguments) -> Result<()> {
    let question = arguments.question()?;
    let store = Store::new(&config.clickhouse)?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("no event loop")?;
    let answer = runtime.block_on(ask(&store, &question))?;
    match arguments.format {
        Form::Json => println!("{}", serde_json::to_string_pretty(&answer)?),
        Form::Table => print!("{}", table::text(&question, &answer)),
    }
    Ok(())
}

/// Asks ClickHouse.
pub async fn ask(store: &Store, question: &Question) -> Result<Answer> {
    let table = sql::table(question);
    let parameters = sql::parameters(question);
    let rows = store.query::<Row>(&sql::top(store.database(), table, question), &parameters).await?;
    let total = store.query::<Row>(&sql::total(store.database(), table, question), &parameters).await?;
    let total = total.into_iter().next().context("there is no total")?;
    let by = question.by.iter().map(|dimension| sql::name(*dimension).to_owned()).collect();
    Ok(Answer { table: table.name, from: question.from, to: question.to, by, rows, total })
}

impl Arguments {
    fn question(&self) -> Result<Question> {
        let (from, to) = match (self.from, self.to) {
            (Some(from), Some(to)) => (from, to),
            _ => {
                let now = SystemTime::now()
                    .duration_since(UNIX_EPOCH)
                    .context("the clock is before 1970")?
                    .as_secs();
                // The minute under way is in: it is the last, incomplete one.
                let to = u32::try_from(now / 60 * 60 + 60).context("the clock is after 2106")?;
                (to.saturating_sub(duration(&self.last)?), to)
            }
        };
        if !from.is_multiple_of(60) || !to.is_multiple_of(60) {
            bail!("--from and --to must be whole minutes: {from} and {to}");
        }
        if from >= to {
            bail!("--from {from} is not before --to {to}");
        }
        if !(1..=10_000).contains(&self.top) {
            bail!("--top {} is not between 1 and 10000", self.top);
        }
        Ok(Question {
            by: self.by.clone(),
            from,
            to,
            top: self.top,
            scope: self.scope,
            observation: self.observation,
            provider: self.provider.clone(),
            connectivity: self.connectivity.clone(),
            exporter: self.exporter.clone(),
            asn: self.asn,
        })
    }
}

/// Seconds of `30m`, `24h`, `7d`.
fn duration(text: &str) -> Result<u32> {
    let (number, unit) = text.split_at(text.len().saturating_sub(1));
    let seconds = match unit {
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => bail!("--last {text}: write a number and m, h or d, such as 24h"),
    };
    let number: u32 = number
        .parse()
        .with_context(|| format!("--last {text}: write a number and m, h or d, such as 24h"))?;
    number
        .checked_mul(seconds)
        .filter(|seconds| *seconds > 0)
        .with_context(|| format!("--last {text} is no time"))
}
