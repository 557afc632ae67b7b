//! What a filter may name, and how the values of each are read.

use crate::expr::Value;
use ipnetwork::IpNetwork;
use std::net::IpAddr;

/// Something that rows can be told apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// How filters name it.
    pub name: &'static str,
    /// What its values are.
    pub kind: Kind,
    /// What it is, in a sentence.
    pub doc: &'static str,
}

/// What the values of a field are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A number up to this one.
    Number(u64),
    /// An AS number, as `15169`, `AS15169` or `AS1.10` (RFC 5396).
    Asn,
    /// Text, compared as it is.
    Text,
    /// One of a few words.
    Word(&'static [&'static str]),
    /// An IP address; a network with `IN`.
    Address,
    /// A country, ISO 3166-1 alpha-2.
    Country,
}

impl Kind {
    /// Whether its values have an order that people ask for.
    pub(crate) fn ordered(self) -> bool {
        matches!(self, Self::Number(_) | Self::Asn)
    }

    /// What a value looks like, for people.
    pub fn wanted(self) -> String {
        match self {
            Self::Number(most) => format!("a number from 0 to {most}"),
            Self::Asn => "an AS number, such as 15169 or AS15169".to_owned(),
            Self::Text => "text, in quotes where it has spaces".to_owned(),
            Self::Word(words) => format!("one of {}", words.join(", ")),
            Self::Address => "an IP address, or a network after IN, such as 192.0.2.0/24".to_owned(),
            Self::Country => "a country of two letters, such as DE".to_owned(),
        }
    }

    /// Reads a value; `None` where it is none of this kind.
    pub(crate) fn read(self, text: &str) -> Option<Value> {
        match self {
            Self::Number(most) => number(text).filter(|number| *number <= most).map(Value::Number),
            Self::Asn => asn(text).map(|asn| Value::Number(u64::from(asn))),
            Self::Text => Some(Value::Text(text.to_owned())),
            Self::Word(words) => {
                words.iter().find(|word| word.eq_ignore_ascii_case(text)).map(|word| Value::Word(word))
            }
            Self::Address if text.contains('/') => text.parse::<IpNetwork>().ok().map(Value::Network),
            Self::Address => text.parse::<IpAddr>().ok().map(Value::Address),
            Self::Country => country(text).map(Value::Country),
        }
    }

    /// What was probably meant.
    pub(crate) fn guess(self, text: &str) -> Option<String> {
        match self {
            Self::Word(words) => nearest(text, words.iter().copied()).map(str::to_owned),
            _ => None,
        }
    }
}

/// Digits alone: `+1`, which Rust's own parser takes, is no number here.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn asn(text: &str) -> Option<u32> {
    let digits = match text.get(..2) {
        Some(letters) if letters.eq_ignore_ascii_case("AS") => &text[2..],
        _ => text,
    };
    match digits.split_once('.') {
        None => number(digits).and_then(|number| u32::try_from(number).ok()),
        Some((high, low)) => {
            let half = |text| number(text).and_then(|number| u16::try_from(number).ok());
            Some(u32::from(half(high)?) << 16 | u32::from(half(low)?))
        }
    }
}

fn country(text: &str) -> Option<[u8; 2]> {
    let letters: [u8; 2] = text.as_bytes().try_into().ok()?;
    letters.iter().all(u8::is_ascii_alphabetic).then(|| letters.map(|letter| letter.to_ascii_uppercase()))
}

/// What is said of such a word behind what is wrong; nothing where there is none.
pub fn meant<'w>(text: &str, words: impl Iterator<Item = &'w str>) -> String {
    nearest(text, words).map(|word| format!("; did you mean {word}?")).unwrap_or_default()
}

/// The word that this one is a slip of the fingers away from, if any is.
pub fn nearest<'w>(text: &str, words: impl Iterator<Item = &'w str>) -> Option<&'w str> {
    // Nobody mistypes words this long, and the comparison costs the product of both lengths.
    const LONG: usize = 64;
    if text.len() > LONG {
        return None;
    }
    let text = text.to_ascii_lowercase();
    let slips = |word: &str| strsim::osa_distance(&text, word);
    words
        .map(|word| (slips(word), word))
        .min()
        .filter(|(slips, word)| *slips <= (word.len() / 3).max(1))
        .map(|(_, word)| word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_numbers_are_read_as_people_write_them() {
        for (text, asn) in [
            ("15169", Some(15_169)),
            ("AS15169", Some(15_169)),
            ("as4294967295", Some(u32::MAX)),
            ("1.10", Some(65_546)),
            ("AS65535.65535", Some(u32::MAX)),
            ("4294967296", None),
            ("AS", None),
            ("AS-1", None),
            ("+1", None),
            ("1.65536", None),
            ("Ä1", None),
        ] {
            assert_eq!(super::asn(text), asn, "{text}");
        }
    }

    #[test]
    fn addresses_networks_and_other_values_are_read_or_refused() {
        let read = |kind: Kind, text: &str| kind.read(text).map(|value| value.to_string());
        for (kind, text, value) in [
            (Kind::Address, "192.0.2.1", Some("192.0.2.1")),
            (Kind::Address, "2001:DB8::/32", Some("2001:db8::/32")),
            (Kind::Address, "192.0.2.0/33", None),
            (Kind::Address, "192.0.2", None),
            (Kind::Country, "de", Some("DE")),
            (Kind::Country, "d1", None),
            (Kind::Number(255), "256", None),
            (Kind::Word(&["transit", "ix"]), "IX", Some("ix")),
        ] {
            assert_eq!(read(kind, text).as_deref(), value, "{text}");
        }
    }

    #[test]
    fn a_word_that_is_nearly_one_is_guessed_and_nothing_else() {
        let words = ["connectivity", "provider", "exporter", "as"];
        for (text, guess) in [
            ("conectivity", Some("connectivity")),
            ("Exportr", Some("exporter")),
            ("zzz", None),
            (&"connectivity".repeat(100), None),
        ] {
            assert_eq!(nearest(text, words.into_iter()), guess, "{text}");
        }
    }
}
