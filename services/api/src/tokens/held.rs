//! The tokens that are in force, as the file changes.
//!
//! What must stay true: a token counts from the moment at which it is in the file, and no longer than it is; a file that can't be read takes
//! nobody's token; one that is gone takes them all.

use super::{Tokens, TokensError, file};
use crate::metrics;
use jiff::Timestamp;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use weir_runtime::{Repeats, Stop};

/// How often the file is looked at where nobody asks, so that metrics and log tell of it before anybody is refused.
const EVERY: Duration = Duration::from_secs(10);

/// The tokens of a file.
pub(crate) struct Held {
    path: PathBuf,
    seen: Mutex<Seen>,
}

impl Held {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, seen: Mutex::default() }
    }

    /// Those that are in force now. The file is small and is read each time: what is revoked is so for the next request, and a token that a
    /// script makes opens the request that follows, which no look at the clock of a file promises.
    pub(crate) async fn tokens(&self) -> Arc<Tokens> {
        let mut seen = self.seen.lock().await;
        let path = self.path.clone();
        let read = tokio::task::spawn_blocking(move || file::read(&path)).await;
        if let Ok(read) = read {
            seen.take(&self.path, read);
        }
        ::metrics::gauge!(metrics::TOKENS).set(seen.tokens.valid(Timestamp::now()) as f64);
        ::metrics::gauge!(metrics::TOKENS_BROKEN).set(f64::from(u8::from(seen.broken)));
        Arc::clone(&seen.tokens)
    }

    /// Looks at the file until told to stop.
    pub(crate) async fn watch(&self, stop: Stop) {
        loop {
            self.tokens().await;
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(EVERY) => {}
            }
        }
    }
}

/// What was found last.
#[derive(Default)]
struct Seen {
    /// The file that `tokens` are from; nothing where there was none.
    text: Option<Option<String>>,
    tokens: Arc<Tokens>,
    broken: bool,
    said: Repeats,
}

impl Seen {
    fn take(&mut self, path: &Path, read: Result<Option<String>, TokensError>) {
        let found = read.and_then(|text| {
            if self.text.as_ref() == Some(&text) {
                return Ok(None);
            }
            let tokens =
                text.as_deref().map_or_else(|| Ok(Tokens::default()), |text| file::parse(path, text));
            tokens.map(|tokens| Some((text, tokens)))
        });
        self.broken = found.is_err();
        match found {
            Ok(None) => {}
            Ok(Some((text, tokens))) => {
                if tokens.all.is_empty() {
                    tracing::warn!(
                        "there are no tokens in {} (api.tokens_file), so every request is refused: weir token create NAME makes one",
                        path.display()
                    );
                }
                (self.text, self.tokens) = (Some(text), Arc::new(tokens));
            }
            Err(error) => {
                let words = error.to_string();
                if self.said.says(&words) {
                    tracing::error!("{words}; until it is mended the tokens count that it held before");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokens::Verdict;

    #[test]
    fn the_file_as_it_is_counts_and_one_that_cannot_be_read_takes_nobodys_token() {
        let path = Path::new("tokens.toml");
        let mut tokens = Tokens::default();
        let (first, _) = tokens.create("first", None, Timestamp::now()).unwrap();
        let one = tokens.text().unwrap();
        let (second, _) = tokens.create("second", None, Timestamp::now()).unwrap();
        let both = tokens.text().unwrap();
        let closed = || TokensError::Open { path: path.to_owned(), mode: 0o644 };
        let mut seen = Seen::default();
        for (step, read, valid, broken) in [
            ("unread at first", Err(closed()), [false, false], true),
            ("not there", Ok(None), [false, false], false),
            ("made", Ok(Some(one.clone())), [true, false], false),
            ("as before", Ok(Some(one.clone())), [true, false], false),
            ("more", Ok(Some(both.clone())), [true, true], false),
            ("half", Ok(Some(both[..both.len() - 9].to_owned())), [true, true], true),
            ("closed", Err(closed()), [true, true], true),
            ("mended", Ok(Some(both)), [true, true], false),
            ("revoked", Ok(Some(one)), [true, false], false),
            ("emptied", Ok(Some(String::new())), [false, false], false),
            ("gone", Ok(None), [false, false], false),
        ] {
            seen.take(path, read);
            let verdicts =
                [&first, &second].map(|secret| seen.tokens.verdict(secret.reveal(), Timestamp::now()));
            assert_eq!(verdicts.map(|verdict| verdict == Verdict::Valid), valid, "{step}");
            assert_eq!(seen.broken, broken, "{step}");
        }
    }
}
