//! The top N by dimensions over links, from the rollup tables.
//!
//! The question is a value ([`Question`]), its time is settled in [`period`], its SQL is made of fixed pieces with bound parameters
//! ([`sql`], [`condition`]), and limits follow in [`limits`]. What is not in the numbers is in the answer too: bytes of unknown rate, and
//! records that were observed elsewhere.

mod ask;
mod changes;
mod condition;
#[cfg(test)]
mod coverage;
pub mod field;
pub mod interval;
mod limits;
mod measures;
mod observed;
mod once;
pub mod period;
mod read;
pub mod reading;
pub mod request;
pub(crate) mod slots;
pub(crate) mod sql;
mod stored;
pub(crate) mod sums;
mod taken;
#[cfg(test)]
mod tests;

pub use ask::{AskError, ask};
pub(crate) use ask::{ROUGH, answer, names, rows, top};
pub(crate) use once::Once;
pub(crate) use taken::conjuncts;

use field::Dimension;
use interval::Slots;
use period::{Period, Window};
use reading::Tables;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use weir_filter::Expr;

/// A question.
#[derive(Clone, Debug)]
pub struct Question {
    /// What to group by.
    pub by: Vec<Dimension>,
    /// From when to when.
    pub period: Period,
    /// How many rows.
    pub top: u32,
    /// By what the top is chosen.
    pub order: Order,
    /// Which interfaces count.
    pub scope: Scope,
    /// Which records count.
    pub observation: Counted,
    /// Which sides of flows count, of [`field::FIELDS`].
    pub filter: Option<Expr>,
    /// What else is asked about the rows.
    pub detail: Detail,
    /// Where it can be read.
    pub tables: Tables,
}

/// What is asked about rows, besides their sums.
#[derive(Clone, Debug, Default)]
pub struct Detail {
    /// What is not in the rows, as one row.
    pub other: bool,
    /// Their bytes over time.
    pub series: Option<Slots>,
    /// Their largest and 95th slots, of this time.
    pub peaks: Option<Window>,
    /// The time before.
    pub previous: Option<Window>,
}

impl Detail {
    /// Whether anything is asked about rows by their keys.
    pub fn any(&self) -> bool {
        self.series.is_some() || self.peaks.is_some() || self.previous.is_some()
    }
}

/// By what the top is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Bytes in and out.
    #[default]
    Both,
    /// Bytes in.
    In,
    /// Bytes out.
    Out,
}

impl Order {
    /// Directions of the store.
    fn directions(self) -> &'static str {
        match self {
            Self::Both => "'in', 'out'",
            Self::In => "'in'",
            Self::Out => "'out'",
        }
    }
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Counted {
    /// Of each interface and direction those that are complete: observed on the interface itself, or where none were, on those at the other end of its
    /// flows.
    #[default]
    Chosen,
    /// Observed on the input interface; records that don't say count so by configuration.
    Ingress,
    /// Observed on the output interface.
    Egress,
}

impl Counted {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Chosen, Self::Ingress, Self::Egress];

    /// Its word in the store and in questions.
    pub fn word(self) -> &'static str {
        match self {
            Self::Chosen => "chosen",
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
    /// Number of the origin AS, where rows are grouped by it; 0: own or unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asn: Option<u32>,
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
    /// The part of the bytes that came without a rate, and was scaled by the one that became known later, or by the one of the configuration.
    pub bytes_late_rate: u64,
    /// Bytes in as sampled of flows whose rate is unknown; never added in.
    pub bytes_unknown_rate_in: u64,
    /// The same of bytes out.
    pub bytes_unknown_rate_out: u64,
    /// Bytes over time, where an interval is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub series: Option<Bytes>,
    /// Largest and 95th slots, where they are asked for and a table has them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peaks: Option<Peaks>,
    /// The time before, where it is asked for and a table has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous: Option<Previous>,
}

/// Bytes over time, a number for each slot of the answer's series.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct Bytes {
    /// Bytes in.
    pub bytes_in: Vec<u64>,
    /// Bytes out.
    pub bytes_out: Vec<u64>,
}

/// Bytes in slots of five minutes. What is sampled makes them read too high, the more the fewer samples there are (docs/counting.md, "95th
/// percentile"): below 400 samples in a slot it is rough.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct Peaks {
    /// Bytes in of the slot with most.
    pub max_in: u64,
    /// Bytes out of the slot with most.
    pub max_out: u64,
    /// Bytes in of the slot that is the 95th percentile.
    pub p95_in: u64,
    /// Bytes out of the slot that is the 95th percentile.
    pub p95_out: u64,
    /// Whether `max_in` is rough.
    pub rough_max_in: bool,
    /// Whether `max_out` is rough.
    pub rough_max_out: bool,
    /// Whether `p95_in` is rough.
    pub rough_p95_in: bool,
    /// Whether `p95_out` is rough.
    pub rough_p95_out: bool,
}

/// A row's sums in the time before.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct Previous {
    /// Bytes in.
    pub bytes_in: u64,
    /// Bytes out.
    pub bytes_out: u64,
    /// Lower 95 % limit of bytes in.
    pub low_in: f64,
    /// Upper one.
    pub high_in: f64,
    /// Lower 95 % limit of bytes out.
    pub low_out: f64,
    /// Upper one.
    pub high_out: f64,
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
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct Answer {
    /// Tables that rows were read from, each for the part of the time of which it has fewest rows.
    pub tables: Vec<&'static str>,
    /// Start, seconds since the epoch.
    pub from: u32,
    /// End, not included.
    pub to: u32,
    /// Start that was asked for: before `from` where no table that fits keeps data from then.
    pub asked_from: u32,
    /// When the first slot begins that is stored of any exporter: before it nothing was measured. Absent where nothing is stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stored_from: Option<u32>,
    /// Seconds that averages divide by.
    pub seconds: u32,
    /// Seconds at the end that can still grow.
    pub incomplete_seconds: u32,
    /// Where the records that count were observed.
    pub observation: &'static str,
    /// What was grouped by.
    pub by: Vec<String>,
    /// Slots of the series, where an interval is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub series: Option<Series>,
    /// Slots of the peaks, where they are asked for and a table has them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peaks: Option<PeakSlots>,
    /// The time before, where it is asked for and a table has all of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous: Option<Before>,
    /// The top rows, by bytes in and out or by those of one direction.
    pub rows: Vec<Row>,
    /// What the question covers besides these rows, where it is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other: Option<Row>,
    /// Everything that the question covers.
    pub total: Row,
    /// Exporters with bytes of unknown rate, most first.
    pub unknown_rate: Vec<NotIn>,
    /// Exporters with records that were observed elsewhere, most first.
    pub other_observation: Vec<NotIn>,
}

/// Slots of a series. Each ends where the next one begins, and the last one at the end of the answer's time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Series {
    /// Seconds of a whole one.
    pub interval: u32,
    /// Where they begin, seconds since the epoch.
    pub starts: Vec<u32>,
    /// Tables that rows' were read from.
    pub tables: Vec<&'static str>,
}

/// Slots of the peaks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct PeakSlots {
    /// Seconds of each.
    pub interval: u32,
    /// How many there are, from the start of the answer's time on, those of no traffic too.
    pub slots: u32,
    /// Tables that rows' were read from.
    pub tables: Vec<&'static str>,
}

/// The time before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Before {
    /// Start, seconds since the epoch.
    pub from: u32,
    /// End, not included.
    pub to: u32,
    /// Tables that rows' sums were read from.
    pub tables: Vec<&'static str>,
}
