//! Logs on standard error, as text or as JSON; in colour for people's eyes alone.

use crate::config::{Config, LogFormat};
use std::io::IsTerminal;
use std::time::{Duration, Instant};
use tracing_subscriber::EnvFilter;

/// Sets up logging once for the process. A filter that can't be read is an error with its key.
pub fn init(config: &Config) -> Result<(), String> {
    let filter = EnvFilter::try_new(&config.log_filter)
        .map_err(|error| format!("runtime.log_filter: '{}' can't be read: {error}", config.log_filter))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let done = match config.log_format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    done.map_err(|error| error.to_string())
}

/// What goes on and on is said when it begins, when it changes, and once a minute.
#[derive(Debug, Default)]
pub struct Repeats(Option<(String, Instant)>);

impl Repeats {
    /// How long the same words are kept back.
    const EVERY: Duration = Duration::from_secs(60);

    /// Whether to say it now.
    pub fn says(&mut self, words: &str) -> bool {
        let kept = |(said, at): &(String, Instant)| said == words && at.elapsed() < Self::EVERY;
        if self.0.as_ref().is_some_and(kept) {
            return false;
        }
        self.0 = Some((words.to_owned(), Instant::now()));
        true
    }

    /// It is over: the next time is a new one.
    pub fn over(&mut self) {
        self.0 = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_trouble_is_said_once_and_again_when_it_changes_or_comes_back() {
        let mut repeats = Repeats::default();
        let said: Vec<bool> = ["a", "a", "a", "b", "b", "a"].map(|words| repeats.says(words)).into();
        assert_eq!(said, [true, false, false, true, false, true]);
        repeats.over();
        assert!(repeats.says("a"));
        repeats.0 = Some(("a".to_owned(), Instant::now() - Repeats::EVERY));
        assert!(repeats.says("a"), "a minute later");
    }
}
