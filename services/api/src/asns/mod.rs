//! One AS: what it is called, what its number says of it, by which links it is met, and where others tell of it.
//!
//! What must stay true: of its traffic nothing is told that a question would not answer too, and whoever follows no address of others asks them nothing.

mod ask;

pub(crate) use ask::{ask, question};

use serde::Serialize;
use utoipa::ToSchema;

/// An AS.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Asn {
    /// Its number.
    pub asn: u32,
    /// Its name, as AS data have it; empty: they don't know it.
    pub name: String,
    /// What keeps the number from being an AS of the internet; absent: nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub special: Option<Special>,
    /// Start of the day in which it was met, seconds since the epoch.
    pub from: u32,
    /// Its end, not included.
    pub to: u32,
    /// Links by which traffic with it came or went in that day, those with most first.
    pub links: Vec<MetBy>,
    /// Pages of others about it; none of a number that is no AS of the internet.
    pub elsewhere: Vec<Elsewhere>,
}

/// A link by which an AS is met. Amounts are scaled by the sampling rates.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct MetBy {
    /// Its name.
    pub link: String,
    /// What it is for.
    pub connectivity: String,
    /// Bytes in.
    pub bytes_in: u64,
    /// Bytes out.
    pub bytes_out: u64,
}

/// A page of others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Elsewhere {
    /// Whose it is.
    pub name: &'static str,
    /// Where it is.
    pub url: String,
}

/// What a number is set aside for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Special {
    /// Private use (RFC 6996): every network gives it the meaning it likes.
    Private,
    /// Documentation (RFC 5398).
    Documentation,
    /// `AS_TRANS` (RFC 6793): stands where an AS of four bytes did not fit.
    Trans,
    /// Reserved: 0 (RFC 7607), and the last number of two bytes and of four (RFC 7300).
    Reserved,
}

impl Special {
    /// What this number is set aside for, if for anything.
    pub fn of(asn: u32) -> Option<Self> {
        match asn {
            64_512..=65_534 | 4_200_000_000..=4_294_967_294 => Some(Self::Private),
            64_496..=64_511 | 65_536..=65_551 => Some(Self::Documentation),
            23_456 => Some(Self::Trans),
            0 | 65_535 | u32::MAX => Some(Self::Reserved),
            _ => None,
        }
    }
}

/// Where others tell of an AS of the internet: address up to its number.
const ELSEWHERE: [(&str, &str); 3] = [
    ("PeeringDB", "https://www.peeringdb.com/asn/"),
    ("RIPEstat", "https://stat.ripe.net/AS"),
    ("bgp.tools", "https://bgp.tools/as/"),
];

impl Elsewhere {
    /// All of them.
    fn of(asn: u32) -> Vec<Self> {
        if Special::of(asn).is_some() {
            return Vec::new();
        }
        ELSEWHERE.map(|(name, base)| Self { name, url: format!("{base}{asn}") }).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_is_set_aside_is_no_as_of_the_internet_and_nobody_tells_of_it() {
        for (asn, special) in [
            (0, Some(Special::Reserved)),
            (1, None),
            (23_456, Some(Special::Trans)),
            (64_495, None),
            (64_496, Some(Special::Documentation)),
            (64_511, Some(Special::Documentation)),
            (64_512, Some(Special::Private)),
            (65_534, Some(Special::Private)),
            (65_535, Some(Special::Reserved)),
            (65_536, Some(Special::Documentation)),
            (65_551, Some(Special::Documentation)),
            (65_552, None),
            (4_199_999_999, None),
            (4_200_000_000, Some(Special::Private)),
            (4_294_967_294, Some(Special::Private)),
            (u32::MAX, Some(Special::Reserved)),
        ] {
            assert_eq!(Special::of(asn), special, "AS{asn}");
            assert_eq!(Elsewhere::of(asn).is_empty(), special.is_some(), "AS{asn}");
        }
    }
}
