//! One token: as its holder has it, and as it is stored.

use super::TokensError;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fmt::Write;

/// What every token begins with, so that programs that look for secrets in code and logs find it.
const PREFIX: &str = "weir_";

/// A token as its holder has it. It has no `Debug`, so that it comes into no log by accident.
pub struct Secret(String);

impl Secret {
    pub(super) fn random() -> Result<Self, TokensError> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(TokensError::Random)?;
        Ok(Self(format!("{PREFIX}{}", hexadecimal(&bytes))))
    }

    /// The token itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

/// What is kept of a token. A plain hash is enough: slow and salted ones make up for what people choose as passwords, while nobody guesses 256
/// random bits, however fast.
pub(super) type Hash = [u8; 32];

pub(super) fn hash(token: &str) -> Hash {
    Sha256::digest(token).into()
}

pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A token as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Token {
    /// Whose it is, or what for.
    pub name: String,
    pub(super) hash: Hash,
    /// When it was made.
    pub created: Timestamp,
    /// From when on it is no longer valid.
    pub expires: Option<Timestamp>,
}

impl Token {
    /// Whether its time is over.
    pub fn has_expired(&self) -> bool {
        self.has_expired_at(Timestamp::now())
    }

    pub(super) fn has_expired_at(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|end| end <= now)
    }
}

/// A token as the file has it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    sha256: String,
    created: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<String>,
}

impl From<Token> for Written {
    fn from(token: Token) -> Self {
        let Token { name, hash, created, expires } = token;
        let expires = expires.map(|end| end.to_string());
        Self { name, sha256: hexadecimal(&hash), created: created.to_string(), expires }
    }
}

impl TryFrom<Written> for Token {
    type Error = String;

    /// The errors repeat no value: somebody may have put the token itself into the file.
    fn try_from(written: Written) -> Result<Self, String> {
        let Written { name, sha256, created, expires } = written;
        check_name(&name).map_err(|error| error.to_string())?;
        let time = |key: &str, text: &str| {
            text.parse::<Timestamp>()
                .map_err(|_| format!("{key} of {name} is no time such as 2027-01-31T12:00:00Z"))
        };
        let bytes: Vec<u8> = sha256
            .as_bytes()
            .chunks(2)
            .filter_map(|pair| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok())
            .collect();
        let hash = Hash::try_from(bytes).ok().filter(|hash| hexadecimal(hash) == sha256);
        let hash =
            hash.ok_or_else(|| format!("sha256 of {name} is not 64 hexadecimal digits in lower case"))?;
        let (created, expires) =
            (time("created", &created)?, expires.map(|end| time("expires", &end)).transpose()?);
        Ok(Self { name, hash, created, expires })
    }
}

pub(super) fn check_name(name: &str) -> Result<(), TokensError> {
    let taken = |letter: char| letter.is_ascii_alphanumeric() || "._@-".contains(letter);
    let fits = (1..=64).contains(&name.len()) && name.chars().all(taken) && !name.starts_with('-');
    fits.then_some(()).ok_or(TokensError::Name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_recognised_by_their_look_and_are_never_the_same() {
        let (one, other) = (Secret::random().unwrap(), Secret::random().unwrap());
        let digits = one.reveal().strip_prefix("weir_").unwrap();
        assert!(digits.len() == 64 && digits.chars().all(|digit| "0123456789abcdef".contains(digit)));
        assert_ne!(one.reveal(), other.reveal());
    }
}
