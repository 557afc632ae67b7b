//! What an interface on no link could be: by what it is called, else by the ASes that are seen on it. A proposal is shown as one until a
//! person confirms it, and counts for nothing before.

use serde::Serialize;
use utoipa::ToSchema;
use weir_schemas::Connectivity;

/// ASes from which on a link leads to the whole Internet.
const WHOLE: u64 = 1000;

/// Words in names and descriptions, the first that is there decides.
const WORDS: &[(&str, Connectivity)] = &[
    ("transit", Connectivity::Transit),
    ("upstream", Connectivity::Transit),
    ("pni", Connectivity::Pni),
    ("private peering", Connectivity::Pni),
    ("ixp", Connectivity::Ix),
    ("ix", Connectivity::Ix),
    ("de-cix", Connectivity::Ix),
    ("linx", Connectivity::Ix),
    ("peering lan", Connectivity::Ix),
    ("customer", Connectivity::Customer),
    ("cust", Connectivity::Customer),
    ("downstream", Connectivity::Customer),
    ("backbone", Connectivity::Core),
    ("core", Connectivity::Core),
];

/// What an interface could be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Proposal {
    /// What it is for.
    pub connectivity: &'static str,
    /// Provider; empty: not known.
    pub provider: String,
    /// AS at the other end; 0: not known.
    pub neighbour_as: u32,
    /// Why, in words.
    pub because: String,
}

/// What is known of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Evidence<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its description.
    pub description: &'a str,
    /// ASes seen on it in a day.
    pub ases: u64,
    /// The one with most bytes, 0 where there is none.
    pub largest: u32,
}

/// The proposal, if anything speaks for one.
pub fn proposal(of: Evidence<'_>) -> Option<Proposal> {
    let neighbour_as = asn(of.description).unwrap_or_default();
    for (text, what) in [(of.description, "description"), (of.name, "name")] {
        if let Some((word, place, kind)) = find(text) {
            return Some(Proposal {
                connectivity: kind.word(),
                provider: provider(text, place + word.len()),
                neighbour_as: if kind == Connectivity::Ix { 0 } else { neighbour_as },
                because: format!("its {what} says {word}"),
            });
        }
    }
    let (connectivity, neighbour_as, because) = match of.ases {
        1 if of.largest != 0 => {
            (Connectivity::Pni, of.largest, format!("AS{} alone is seen there", of.largest))
        }
        WHOLE.. => (Connectivity::Transit, neighbour_as, format!("{} ASes are seen there", of.ases)),
        _ => return None,
    };
    Some(Proposal { connectivity: connectivity.word(), provider: String::new(), neighbour_as, because })
}

/// The first of [`WORDS`] that the text has as a word of its own; a hyphen parts words.
fn find(text: &str) -> Option<(&'static str, usize, Connectivity)> {
    let lower = text.to_ascii_lowercase();
    let letter = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    WORDS.iter().find_map(|(word, kind)| {
        let own = |(at, _): &(usize, &str)| {
            !letter(lower[..*at].chars().next_back()) && !letter(lower[at + word.len()..].chars().next())
        };
        lower.match_indices(word).find(own).map(|(at, _)| (*word, at, *kind))
    })
}

/// `AS64500` in a text.
fn asn(text: &str) -> Option<u32> {
    text.split(|c: char| !c.is_ascii_alphanumeric()).find_map(|word| {
        let number = word.strip_prefix("AS").or_else(|| word.strip_prefix("as"))?;
        number.parse().ok().filter(|asn| *asn != 0)
    })
}

/// What stands between the word and the AS or a remark: `Transit: Example AS64500 #1` is of Example.
fn provider(text: &str, behind: usize) -> String {
    let rest = text.get(behind..).unwrap_or_default();
    let words = rest.split_whitespace().map(|word| word.trim_matches(|c: char| !c.is_alphanumeric()));
    let named =
        words.skip_while(|word| word.is_empty()).take_while(|word| !word.is_empty() && asn(word).is_none());
    named.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, description: &str, ases: u64, largest: u32) -> String {
        let found = proposal(Evidence { name, description, ases, largest });
        found.map_or_else(
            || "nothing".to_owned(),
            |found| {
                format!(
                    "{} '{}' AS{} because {}",
                    found.connectivity, found.provider, found.neighbour_as, found.because
                )
            },
        )
    }

    #[test]
    fn what_an_interface_is_called_comes_before_what_is_seen_on_it() {
        for (name, description, ases, largest, proposed) in [
            (
                "xe-0/0/1",
                "Transit: Example AS64500 #1",
                1,
                7,
                "transit 'Example' AS64500 because its description says transit",
            ),
            (
                "xe-0/0/1",
                "UPSTREAM Big Carrier [123]",
                0,
                0,
                "transit 'Big Carrier 123' AS0 because its description says upstream",
            ),
            (
                "xe-0/0/1",
                "LAN-IX Frankfurt AS64500",
                900,
                7,
                "ix 'Frankfurt' AS0 because its description says ix",
            ),
            ("pni-64501", "", 3, 7, "pni '64501' AS0 because its name says pni"),
            ("ae1", "Matrix Transitional", 5, 7, "nothing"),
            ("ae1", "", 1, 7, "pni '' AS7 because AS7 alone is seen there"),
            ("ae1", "", 1, 0, "nothing"),
            ("ae1", "AS64500", 4321, 7, "transit '' AS64500 because 4321 ASes are seen there"),
            ("ae1", "", 999, 7, "nothing"),
            ("ae1", "Straße\u{130} ix", 0, 0, "ix '' AS0 because its description says ix"),
        ] {
            assert_eq!(of(name, description, ases, largest), proposed, "{description}");
        }
    }
}
