//! Links: what a network pays for or peers over, as people and rules say it, and what interfaces on no link could be.

pub(crate) mod complete;
pub(crate) mod held;
pub(crate) mod members;
pub(crate) mod proposal;
pub(crate) mod said;
pub(crate) mod saying;
pub(crate) mod store;

pub use said::{Said, SaidMember, Wrong};

pub use complete::Complete;
use proposal::Proposal;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use weir_schemas::Connectivity;

/// All links, and interfaces on none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Links {
    /// By their names.
    pub links: Vec<Link>,
    /// Interfaces that had traffic in the last day and are on no link, the 1000 with most first.
    pub unclassified: Vec<Unclassified>,
    /// How many more interfaces on no link there are than are told.
    pub left_out: u64,
}

/// A link.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Link {
    /// What it is called for good: where nobody has classified it yet, its name.
    pub id: String,
    /// Name.
    pub name: String,
    /// Provider; empty: none.
    pub provider: String,
    /// What it is for.
    pub connectivity: String,
    /// AS at the other end; 0: unknown or many.
    pub neighbour_as: u32,
    /// Capacity in bit/s; 0: unknown.
    pub capacity: u64,
    /// Rate in bit/s that is paid for whether it is used or not; 0: none.
    pub commit_rate: u64,
    /// Price of a Mbit/s for a month, in thousandths of the currency's unit; 0: unknown, or free.
    pub price: u64,
    /// Currency of the price (ISO 4217); empty: none.
    pub currency: String,
    /// Who says so.
    pub said_by: SaidBy,
    /// Interfaces that are or were on it.
    pub members: Vec<Member>,
    /// Whether all that comes in by it is counted, by where packets were observed within a day; absent: nothing was seen on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub complete_in: Option<Complete>,
    /// The same of what goes out by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub complete_out: Option<Complete>,
}

/// Who says what a link is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SaidBy {
    /// A rule of the configuration.
    #[default]
    Rule,
    /// A person, through the API or a page.
    Person,
}

/// An interface on a link.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Member {
    /// Which one.
    #[serde(flatten)]
    pub interface: Interface,
    /// From when on, seconds since the epoch; 0: always.
    pub valid_from: u32,
    /// Until when; 4294967295: for good.
    pub valid_to: u32,
}

/// An interface as last known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Interface {
    /// Address that its exporter sends from.
    pub exporter: String,
    /// The exporter's name, else its address.
    pub exporter_name: String,
    /// Index.
    pub if_index: u32,
    /// Name; empty: not known.
    pub name: String,
    /// Description; empty: not known.
    pub description: String,
    /// Speed in bit/s; 0: not known.
    pub speed: u64,
}

/// An interface on no link.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Unclassified {
    /// Which one.
    #[serde(flatten)]
    pub interface: Interface,
    /// Bytes in during the last day, of flows that came with their sampling rate.
    pub bytes_in: u64,
    /// The same out.
    pub bytes_out: u64,
    /// How many ASes its traffic came from or went to.
    pub ases: u64,
    /// What it could be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proposal: Option<Proposal>,
}

/// What something is for, by its word.
pub(crate) fn connectivity(word: &str) -> Option<Connectivity> {
    Connectivity::ALL.iter().copied().find(|kind| kind.word() == word)
}
