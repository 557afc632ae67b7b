//! `weir token`: who may ask the API.
//!
//! What must stay true: a token is all that is on standard output when it is made, so that a script can take it.

use crate::config::Config;
use anyhow::{Result, bail};
use clap::Subcommand;
use std::fmt::Write as _;
use std::io::Write;
use std::time::Duration;
use weir_api::tokens::{self, Token};

/// What to do with tokens.
#[derive(Subcommand)]
pub enum Command {
    /// Makes a token and prints it, this once: what is stored is its hash.
    Create {
        /// Whose it is, or what for.
        name: String,
        /// Time after which it is no longer valid, such as 90d; without this it is valid until it is revoked.
        #[arg(long, value_parser = duration)]
        expires: Option<Duration>,
    },
    /// Prints all names, and when each was made and ends.
    List,
    /// Takes a token's validity at once.
    Revoke {
        /// Its name.
        name: String,
    },
}

fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "write a number and m, h or d, such as 90d".to_owned();
    let time = humantime::parse_duration(text).map_err(|_| wrong())?;
    if time < Duration::from_secs(1) { Err(wrong()) } else { Ok(time) }
}

/// `weir token …`.
pub fn run(config: &Config, command: &Command) -> Result<()> {
    let path = &config.api.tokens_file;
    let mut out = std::io::stdout();
    match command {
        Command::Create { name, expires } => {
            let (secret, token) = tokens::create(path, name, *expires)?;
            // A token that nobody has got is no use to anybody.
            if let Err(error) = writeln!(out, "{}", secret.reveal()).and_then(|()| out.flush()) {
                tokens::revoke(path, name)?;
                bail!("the token can't be printed ({error}), so it was taken back");
            }
            eprintln!(
                "This is shown once. {name} asks with Authorization: Bearer and it, {}; its hash is in {}.",
                end(&token),
                path.display()
            );
            if !config.api.asks_for_tokens() {
                eprintln!(
                    "The API of this configuration asks nobody for a token yet: api.listen, api.hosts or api.require_token make it."
                );
            }
        }
        Command::List => out.write_all(table(&tokens::list(path)?).as_bytes())?,
        Command::Revoke { name } => {
            tokens::revoke(path, name)?;
            eprintln!("{name} is revoked: its next request is refused.");
        }
    }
    Ok(())
}

fn end(token: &Token) -> String {
    token.expires.map_or("until it is revoked".to_owned(), |end| format!("until {end}"))
}

fn table(tokens: &[Token]) -> String {
    let width = tokens.iter().map(|token| token.name.len()).max().unwrap_or_default().max("name".len());
    let mut text = String::new();
    let mut line = |name: &str, created: &str, end: &str| {
        let _ = writeln!(text, "{name:width$}  {created:20}  {end}");
    };
    line("name", "made", "valid");
    for token in tokens {
        let end = end(token) + if token.has_expired() { ", which is over" } else { "" };
        line(&token.name, &token.created.to_string(), &end);
    }
    text
}
