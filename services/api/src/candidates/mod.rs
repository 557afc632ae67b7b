//! Where to peer: ASes by what they cost on transit.
//!
//! What a peering saves on a transit is what is billed with the AS's traffic less what is billed without, and not the 95th of that traffic: P95(T) −
//! P95(T − M) (docs/counting.md, "95th percentile"). It is worked out for in and out by provider, because that is what bills are made for.

mod ask;
mod narrow;

pub(crate) use ask::ask;

use crate::query::Previous;
use crate::query::field::{Dimension, Need, Needs};
use crate::query::period::{Kept, PEAK_SLOT};
use crate::query::request::{MOST_DETAILED, Request, RequestError};
use crate::query::{NotIn, Question, Scope};
use narrow::{Mixed, of_links};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use utoipa::{IntoParams, ToSchema};
use weir_filter::Expr;

/// What is asked for. All of it may be left out.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Asked {
    /// The last so much time, such as `7d` or `30d`; without it and without `from` and `to`, 30 days.
    pub last: Option<String>,
    /// Start, in whole minutes (RFC 3339; without an offset, in `zone`).
    pub from: Option<String>,
    /// End, not included.
    pub to: Option<String>,
    /// Time zone (IANA) in which times without an offset are read.
    pub zone: Option<String>,
    /// How many ASes, those with most bytes over transit; without it 25.
    #[param(minimum = 1, maximum = 200)]
    pub top: Option<u32>,
    /// Only what this says, besides that it is transit. Where it is of links, exporters and interfaces (`exporter = edge1`), transits are narrowed by it,
    /// and where it is of flows (`country = DE`), the traffic that would leave them: each part between ANDs is about one of both.
    pub filter: Option<String>,
}

/// What is asked.
#[derive(Clone, Debug)]
pub(crate) struct About {
    /// The traffic that would leave transits, by AS.
    pub traffic: Question,
    /// All that those transits carry.
    pub transits: Question,
}

/// Why it can't be asked.
#[derive(Debug, Error)]
pub enum AskedError {
    /// As a question it makes no sense.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// No table has slots of five minutes then, or the time is shorter than one.
    #[error("no table has slots of {} minutes of that time: ask for a later one, or a longer one", PEAK_SLOT / 60)]
    NoSlots,
    /// Too few or too many ASes.
    #[error("top {0} is not between 1 and {MOST_DETAILED}")]
    Top(u32),
    /// The filter says neither.
    #[error(transparent)]
    Mixed(#[from] Mixed),
}

impl Asked {
    /// The questions, which [`ask`] asks about transit.
    ///
    /// # Errors
    /// [`AskedError`].
    pub(crate) fn about(&self, kept: Kept<'_>) -> Result<About, AskedError> {
        let last = self.from.is_none() && self.to.is_none() && self.last.is_none();
        let top = self.top.unwrap_or(25);
        if !(1..=MOST_DETAILED).contains(&top) {
            return Err(AskedError::Top(top));
        }
        let request = Request {
            last: if last { Some("30d".to_owned()) } else { self.last.clone() },
            from: self.from.clone(),
            to: self.to.clone(),
            zone: self.zone.clone(),
            by: Some(vec![Dimension::As]),
            top: Some(top),
            peaks: true,
            previous: true,
            scope: Some(Scope::All),
            filter: self.filter.clone(),
            ..Request::default()
        };
        // What a transit carries is by no AS and no end of flows.
        let traffic = request.question(kept.with(Needs::default().and(Need::Interfaces)))?;
        if traffic.detail.peaks.is_none() {
            return Err(AskedError::NoSlots);
        }
        let of_links = of_links(traffic.filter.as_ref())?;
        let transits = Question { filter: Some(Expr::All(of_links)), ..traffic.clone() };
        Ok(About { traffic, transits })
    }
}

/// Where to peer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct Candidates {
    /// Start, seconds since the epoch.
    pub from: u32,
    /// End, not included.
    pub to: u32,
    /// When the first slot begins that is stored of any exporter: before it nothing was measured. Absent where nothing is stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stored_from: Option<u32>,
    /// Seconds that averages divide by.
    pub seconds: u32,
    /// Slots of five minutes, those of no traffic too.
    pub slots: u32,
    /// Tables that the slots of ASes were read from.
    pub tables: Vec<&'static str>,
    /// Seconds of the time before, where a table has all of it; else 0.
    pub previous_seconds: u32,
    /// ASes, those that cost most first.
    pub candidates: Vec<Candidate>,
    /// Where the records that count were observed.
    pub observation: &'static str,
    /// Exporters with bytes over transit of unknown rate, most first.
    pub unknown_rate: Vec<NotIn>,
    /// Exporters with records over transit that were observed elsewhere, most first.
    pub other_observation: Vec<NotIn>,
}

/// An AS whose traffic comes or goes over transit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct Candidate {
    /// Its number.
    pub asn: u32,
    /// Number and name.
    pub name: String,
    /// Bytes in over transit.
    pub bytes_in: u64,
    /// Bytes out over transit.
    pub bytes_out: u64,
    /// Lower 95 % limit of bytes in.
    pub low_in: f64,
    /// Upper one.
    pub high_in: f64,
    /// Lower 95 % limit of bytes out.
    pub low_out: f64,
    /// Upper one.
    pub high_out: f64,
    /// Its bytes over the whole boundary, in and out.
    pub bytes_boundary: u64,
    /// Bytes in a slot that would not be billed without its traffic: over all transits, of each the direction that is billed.
    pub saved: u64,
    /// The same by transit.
    pub transits: Vec<OverTransit>,
    /// IX and PNI links over which traffic with it came or went: it is met there already.
    pub met: Vec<Met>,
    /// Over transit in the time before, where a table has all of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous: Option<Previous>,
}

/// What an AS costs on a transit. Bytes of slots of five minutes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct OverTransit {
    /// Provider; where a link has none, the link.
    pub provider: String,
    /// Bytes of the AS in, of all of the time.
    pub bytes_in: u64,
    /// Bytes of the AS out.
    pub bytes_out: u64,
    /// 95th of all that comes in there.
    pub p95_in: u64,
    /// 95th of all that goes out there.
    pub p95_out: u64,
    /// 95th of what comes in without the AS.
    pub left_p95_in: u64,
    /// 95th of what goes out without the AS.
    pub left_p95_out: u64,
    /// What would not be billed without it: the larger of the two percentiles is.
    pub saved: u64,
    /// Whether a percentile that is billed, with the AS or without it, rests on fewer than 400 samples.
    pub rough: bool,
}

/// A link over which an AS is met.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Met {
    /// Link.
    pub link: String,
    /// `ix` or `pni`.
    pub connectivity: String,
    /// Bytes in.
    pub bytes_in: u64,
    /// Bytes out.
    pub bytes_out: u64,
}
