//! The top N by dimensions over links, from the rollup tables.
//!
//! The question is a value ([`Question`]), its time is settled in [`period`], its SQL is made of fixed pieces with bound parameters
//! ([`sql`], [`condition`]), and limits follow in [`limits`]. What is not in the numbers is in the answer too: bytes of unknown rate, and
//! records that were observed elsewhere.

mod condition;
pub mod field;
mod limits;
pub mod period;
pub mod request;
mod sql;

use field::Dimension;
use period::Period;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use utoipa::ToSchema;
use weir_filter::Expr;
use weir_store::{Store, StoreError};

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
    /// Which sides of flows count, of [`field::FIELDS`].
    pub filter: Option<Expr>,
}

/// Which interfaces count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Transit, IX and PNI: the border of the network, where nothing is counted twice.
    Boundary,
    /// All interfaces, classified or not.
    All,
}

impl Scope {
    /// What counts where nobody says: the border, unless a filter says itself which kinds of links it is about.
    pub fn of(filter: Option<&Expr>) -> Self {
        let names = |expr: &Expr| expr.tests().iter().any(|test| test.field.name == "connectivity");
        if filter.is_some_and(names) { Self::All } else { Self::Boundary }
    }
}

/// Which records count, by where the packet was observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Counted {
    /// Observed on the input interface; records that don't say count so by configuration.
    Ingress,
    /// Observed on the output interface.
    Egress,
}

impl Counted {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Ingress, Self::Egress];

    /// Its word in the store and in questions.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        }
    }
}

/// A row of the answer. Amounts are scaled by the sampling interval, are of layer 3 bytes, and stop at 2^64 − 1.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
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

/// Bytes of an exporter that are not in the rows. A flow counts once, unless the scope or the filter picks sides and picks both of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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
#[derive(Clone, Debug, Serialize, ToSchema)]
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

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum AskError {
    /// ClickHouse does not answer, or refuses.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A sum over everything is one row, always.
    #[error("ClickHouse answered without a total")]
    NoTotal,
}

/// Asks ClickHouse.
///
/// # Errors
/// [`AskError::Store`], mostly.
pub async fn ask(store: &Store, question: &Question) -> Result<Answer, AskError> {
    let (period, query) = (&question.period, sql::Query::of(store.database(), question));
    let parameters: Vec<_> =
        query.parameters.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    let rows = store.query::<sql::Sums>(&query.top(), &parameters).await?;
    let total = store.query::<sql::Sums>(&query.total(), &parameters).await?;
    let total = total.into_iter().next().ok_or(AskError::NoTotal)?;
    let unknown_rate = store.query(&query.unknown_rate(), &parameters).await?;
    let other_observation = store.query(&query.other_observation(), &parameters).await?;
    Ok(Answer {
        table: period.table.name,
        from: period.from,
        to: period.to,
        asked_from: period.asked_from,
        seconds: period.seconds,
        incomplete_seconds: period.incomplete,
        observation: question.observation.word(),
        by: question.by.iter().map(|dimension| dimension.name().to_owned()).collect(),
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
