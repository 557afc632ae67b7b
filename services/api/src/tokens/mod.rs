//! Bearer tokens: who may ask, where more than this machine reaches the API.
//!
//! What must stay true: a token is shown once, to whoever makes it, and is in no file and in no log; what is stored opens nothing; and whether a
//! token was never made, was revoked or has expired looks the same to who holds it.

mod file;
mod held;
mod token;

pub(crate) use held::Held;
pub use token::{Secret, Token};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use thiserror::Error;
use token::{Hash, check_name, hash};

/// Why tokens can't be had, or not changed so.
#[derive(Debug, Error)]
pub enum TokensError {
    /// The system refuses.
    #[error("api.tokens_file: {path} can't be {doing}: {reason}; it belongs to the user that the API runs as", path = .path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: std::io::Error,
    },
    /// Others could read names from it, or write tokens of their own into it.
    #[error("api.tokens_file: {path} is open to others (mode {mode:03o}): chmod o-rwx,g-w {path}", path = .path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It holds something else.
    #[error("api.tokens_file: {path} holds no tokens as `weir token` writes them: {what}", path = .path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// What is wrong, and in which line.
        what: String,
    },
    /// The name is another's.
    #[error("{0} has a token already: take another name, or do weir token revoke {0} first")]
    Taken(String),
    /// Nobody has the name.
    #[error("there is no token of {name}; {those}")]
    Unknown {
        /// The name.
        name: String,
        /// The names that there are, in a sentence.
        those: String,
    },
    /// A name that could be mistaken for something else.
    #[error("a token's name has 1 to 64 letters, digits, or . _ @ -, and begins with no -")]
    Name,
    /// An end that no clock comes to.
    #[error("a token can't be valid for so long; without an end it is valid until it is revoked")]
    Expiry,
    /// The system gives no random bytes.
    #[error("the system gives no random bytes: {0}")]
    Random(getrandom::Error),
}

/// What is thought of a token that came with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Valid,
    Unknown,
    Expired,
}

/// All tokens that there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tokens {
    all: Vec<Token>,
    /// Place in `all`, by hash.
    places: HashMap<Hash, usize>,
}

/// The file's shape.
#[derive(Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Document {
    token: Vec<Token>,
}

impl Tokens {
    /// Reads what [`Tokens::text`] writes. The error says in which line it is wrong.
    fn parse(text: &str) -> Result<Self, String> {
        let document: Document = toml::from_str(text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            format!("line {}: {}", before.matches('\n').count() + 1, error.message())
        })?;
        let mut tokens = Self::default();
        for token in document.token {
            if tokens.all.iter().any(|other| other.name == token.name) {
                return Err(format!("{} is there twice", token.name));
            }
            if tokens.places.contains_key(&token.hash) {
                return Err(format!("{} has the token of another name", token.name));
            }
            tokens.push(token);
        }
        Ok(tokens)
    }

    fn text(&self) -> Result<String, toml::ser::Error> {
        let head = "# Who may ask the API: SHA-256 of each token. `weir token` writes this file anew, without other comments.\n\n";
        Ok(head.to_owned() + &toml::to_string(&Document { token: self.all.clone() })?)
    }

    fn push(&mut self, token: Token) {
        self.places.insert(token.hash, self.all.len());
        self.all.push(token);
    }

    fn create(
        &mut self,
        name: &str,
        valid: Option<Duration>,
        now: Timestamp,
    ) -> Result<(Secret, Token), TokensError> {
        check_name(name)?;
        if self.all.iter().any(|token| token.name == name) {
            return Err(TokensError::Taken(name.to_owned()));
        }
        // Whole seconds, because people read the file; rounded down, so that none is valid for longer than was asked for.
        let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
        let end = |valid| now.checked_add(valid).map_err(|_| TokensError::Expiry);
        let (secret, expires) = (Secret::random()?, valid.map(end).transpose()?);
        let token = Token { name: name.to_owned(), hash: hash(secret.reveal()), created: now, expires };
        self.push(token.clone());
        Ok((secret, token))
    }

    fn revoke(&mut self, name: &str) -> Result<(), TokensError> {
        let place = self.all.iter().position(|token| token.name == name).ok_or_else(|| {
            let names: Vec<_> = self.all.iter().map(|token| token.name.as_str()).collect();
            let those = if names.is_empty() {
                "there are none".to_owned()
            } else {
                format!("there are: {}", names.join(", "))
            };
            TokensError::Unknown { name: name.to_owned(), those }
        })?;
        let mut all = std::mem::take(self).all;
        all.remove(place);
        all.into_iter().for_each(|token| self.push(token));
        Ok(())
    }

    /// Looked up by its hash, which takes as long whatever is asked for and tells who measures it nothing: which hashes lie near each other
    /// leads to no token, and nobody can choose what a hash begins with.
    pub(crate) fn verdict(&self, given: &str, now: Timestamp) -> Verdict {
        match self.places.get(&hash(given)).and_then(|place| self.all.get(*place)) {
            None => Verdict::Unknown,
            Some(token) if token.has_expired_at(now) => Verdict::Expired,
            Some(_) => Verdict::Valid,
        }
    }

    /// How many are valid.
    fn valid(&self, now: Timestamp) -> usize {
        self.all.iter().filter(|token| !token.has_expired_at(now)).count()
    }
}

/// Makes a token of this name, valid for so long, or until it is revoked.
///
/// # Errors
/// [`TokensError`].
pub fn create(path: &Path, name: &str, valid: Option<Duration>) -> Result<(Secret, Token), TokensError> {
    file::change(path, |tokens| tokens.create(name, valid, Timestamp::now()))
}

/// All tokens, expired ones too, in the order in which they were made.
///
/// # Errors
/// [`TokensError`].
pub fn list(path: &Path) -> Result<Vec<Token>, TokensError> {
    Ok(file::load(path)?.all)
}

/// Takes a token's validity at once.
///
/// # Errors
/// [`TokensError`].
pub fn revoke(path: &Path, name: &str) -> Result<(), TokensError> {
    file::change(path, |tokens| tokens.revoke(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use token::hexadecimal;

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_token_is_valid_until_it_expires_or_is_revoked_and_no_other_is() {
        let (made, day) = (time("2027-01-31T12:00:00Z"), Duration::from_secs(86_400));
        let mut tokens = Tokens::default();
        let within = made + Duration::from_millis(900);
        let (short, token) = tokens.create("short", Some(day), within).unwrap();
        assert_eq!((token.created, token.expires), (made, Some(made + day)));
        let (long, _) = tokens.create("long", None, made).unwrap();
        let last = time("2027-02-01T11:59:59Z");
        let later = time("2027-02-01T12:00:00Z");
        for (given, now, verdict) in [
            (short.reveal(), made, Verdict::Valid),
            (short.reveal(), last, Verdict::Valid),
            (short.reveal(), later, Verdict::Expired),
            (long.reveal(), later, Verdict::Valid),
            (&long.reveal().to_uppercase(), made, Verdict::Unknown),
            (&long.reveal()[..68], made, Verdict::Unknown),
            (&hexadecimal(&hash(long.reveal())), made, Verdict::Unknown),
            ("", made, Verdict::Unknown),
        ] {
            assert_eq!(tokens.verdict(given, now), verdict, "{given} {now}");
        }
        assert_eq!((tokens.valid(last), tokens.valid(later)), (2, 1));
        tokens.revoke("short").unwrap();
        assert_eq!(tokens.verdict(short.reveal(), made), Verdict::Unknown);
        assert_eq!(tokens.verdict(long.reveal(), made), Verdict::Valid, "another was revoked");
    }

    #[test]
    fn what_is_written_is_read_back_and_holds_no_token() {
        let mut tokens = Tokens::default();
        let (secret, _) =
            tokens.create("grafana@noc", Some(Duration::from_secs(60)), Timestamp::now()).unwrap();
        tokens.create("cron", None, Timestamp::now()).unwrap();
        let text = tokens.text().unwrap();
        assert!(!text.contains(secret.reveal().trim_start_matches("weir_")), "{text}");
        assert_eq!(Tokens::parse(&text).unwrap(), tokens);
        assert_eq!(Tokens::parse("# nobody\n").unwrap(), Tokens::default());
    }

    #[test]
    fn a_name_is_of_one_token_and_like_no_flag() {
        let mut tokens = Tokens::default();
        tokens.create("cron", None, Timestamp::now()).unwrap();
        let long = "a".repeat(65);
        for (name, sentence) in [
            ("cron", "cron has a token already: take another name, or do weir token revoke cron first"),
            ("", "a token's name has 1 to 64 letters, digits, or . _ @ -, and begins with no -"),
            ("--expires", "a token's name has 1 to 64 letters, digits, or . _ @ -, and begins with no -"),
            ("two words", "a token's name has 1 to 64 letters, digits, or . _ @ -, and begins with no -"),
            (&long, "a token's name has 1 to 64 letters, digits, or . _ @ -, and begins with no -"),
        ] {
            let error = tokens.create(name, None, Timestamp::now()).err().unwrap().to_string();
            assert_eq!(error, sentence);
        }
        let error = tokens.revoke("corn").unwrap_err().to_string();
        assert_eq!(error, "there is no token of corn; there are: cron");
        let error = tokens.create("ever", Some(Duration::MAX), Timestamp::now()).err().unwrap();
        assert!(matches!(error, TokensError::Expiry), "{error}");
    }

    #[test]
    fn what_is_no_file_of_tokens_is_said_with_its_line_and_without_what_stands_there() {
        let secret = Secret::random().unwrap();
        let sum = hexadecimal(&hash(secret.reveal()));
        let token = |name: &str, sum: &str| {
            format!("[[token]]\nname = \"{name}\"\nsha256 = \"{sum}\"\ncreated = \"2027-01-31T12:00:00Z\"\n")
        };
        for (text, sentence) in [
            (token("a", secret.reveal()), "line 1: sha256 of a is not 64 hexadecimal digits in lower case"),
            (token("a", &sum.to_uppercase()), "line 1: sha256 of a is not 64 hexadecimal"),
            (token("a", &sum[..62]), "line 1: sha256 of a is not 64 hexadecimal"),
            (token("a", &sum) + &token("a", &sum), "a is there twice"),
            (token("a", &sum) + &token("b", &sum), "b has the token of another name"),
            (token("a", &sum) + "\n[[token]]\nexpires = \"soon\"\n", "line 6: missing field"),
            (token("a", &sum) + "expires = \"soon\"\n", "line 1: expires of a is no time such as"),
            (token("a", &sum) + "role = \"admin\"\n", "line 5: unknown field `role`"),
            (secret.reveal().to_owned(), "line 1: "),
        ] {
            let error = Tokens::parse(&text).unwrap_err();
            assert!(error.starts_with(sentence), "{error}");
            assert!(!error.contains(&secret.reveal()[5..]), "{error}");
        }
    }
}
