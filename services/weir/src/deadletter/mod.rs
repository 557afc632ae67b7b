//! `weir deadletter`: what could not be decoded is looked at, and put back once it can be.
//!
//! What is put back goes into `weir.raw` and is decoded like anything that is received; a mark beside the letter, written in the same
//! transaction, says so, and a letter with a mark is never put back again.

mod again;
mod letters;
mod part;
mod retry;
mod text;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand, ValueEnum};
use letters::{Letter, each};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::str::FromStr;
use weir_bus::Bus;
use weir_runtime::Stop;
use weir_schemas::Ip;

/// What to do with dead letters.
#[derive(Subcommand, Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// What there is, by reason and exporter, and the latest letters.
    List {
        #[command(flatten)]
        filter: Filter,
        /// How many letters are named, the latest ones.
        #[arg(long, default_value_t = 20)]
        limit: usize,
        /// A table, or a line of JSON for each letter (all of them).
        #[arg(long, value_enum, default_value_t = Form::Table)]
        format: Form,
    },
    /// All of one letter: what is known of it, its bytes, and what decoding it now comes to.
    Show {
        /// Its place, as the list has it: PARTITION/OFFSET.
        place: Place,
    },
    /// Puts letters back into weir.raw so that they become flows, each once; says which can't be.
    Retry {
        /// Their places, as the list has them; without any, all that the filters let through.
        places: Vec<Place>,
        #[command(flatten)]
        filter: Filter,
        /// All letters, where no place and no filter is given.
        #[arg(long)]
        all: bool,
    },
}

/// How a list is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
pub enum Form {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// Which letters.
#[derive(Args, Clone, Debug, Default, Serialize, Deserialize)]
pub struct Filter {
    /// Only of this reason; may be given several times.
    #[arg(long)]
    reason: Vec<String>,
    /// Only of this exporter, by address; may be given several times.
    #[arg(long, value_name = "ADDRESS")]
    exporter: Vec<IpAddr>,
    /// Only what was received from then on, in seconds since the epoch; a whole record counts from when it was buried.
    #[arg(long)]
    from: Option<u32>,
    /// Only what was received before, in seconds since the epoch.
    #[arg(long)]
    to: Option<u32>,
}

impl Filter {
    fn lets(&self, letter: &Letter) -> bool {
        const SECOND: i64 = 1_000_000_000;
        let time = letter.time();
        (self.reason.is_empty() || self.reason.contains(&letter.about.reason))
            && (self.exporter.is_empty()
                || self.exporter.iter().any(|address| letter.exporter == Some(Ip::from(*address))))
            && self.from.is_none_or(|from| time >= i64::from(from) * SECOND)
            && self.to.is_none_or(|to| time < i64::from(to) * SECOND)
    }

    fn is_empty(&self) -> bool {
        self.reason.is_empty() && self.exporter.is_empty() && self.from.is_none() && self.to.is_none()
    }
}

/// Where a letter lies in `weir.deadletter`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place(i32, i64);

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let of = || {
            let (partition, offset) = text.split_once('/')?;
            Some(Self(partition.parse().ok()?, offset.parse().ok()?))
        };
        of().ok_or_else(|| "a place is PARTITION/OFFSET, such as 3/1204".to_owned())
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.0, self.1)
    }
}

/// Does what is asked for.
pub fn run<B: Bus>(
    bus: &B,
    config: &crate::config::Config,
    request: &Request,
    say: &dyn Fn(&str),
    stop: &Stop,
) -> Result<()> {
    match request {
        Request::List { filter, limit, format } => list(bus, filter, *limit, *format, say),
        Request::Show { place } => show(bus, config, *place, say),
        Request::Retry { places, filter, all } => {
            if places.is_empty() && filter.is_empty() && !all {
                bail!("say which letters: places, --reason, --exporter, --from, --to, or --all");
            }
            let wanted = |letter: &Letter| {
                (places.is_empty() || places.contains(&letter.place)) && filter.lets(letter)
            };
            retry::retry(bus, &wanted, say, stop)
        }
    }
}

fn list<B: Bus>(bus: &B, filter: &Filter, limit: usize, form: Form, say: &dyn Fn(&str)) -> Result<()> {
    let mut reader = bus.reader()?;
    let mut letters = Vec::new();
    let marks = each(&mut reader, bus, &mut |letter| {
        if filter.lets(&letter) {
            letters.push(Letter { bytes: Vec::new(), ..letter });
        }
    })?;
    letters.sort_by_key(|letter| (letter.time(), letter.place));
    if form == Form::Json {
        letters.iter().for_each(|letter| say(&letter.json(marks.contains(&letter.place)).to_string()));
        return Ok(());
    }
    let mut sums: BTreeMap<(String, String), (u64, u64, i64, i64)> = BTreeMap::new();
    for letter in &letters {
        let sum = sums.entry((letter.about.reason.clone(), letter.address())).or_insert((0, 0, i64::MAX, 0));
        sum.0 += 1;
        sum.1 += u64::from(marks.contains(&letter.place));
        (sum.2, sum.3) = (sum.2.min(letter.time()), sum.3.max(letter.time()));
    }
    say(&format!(
        "{:<20} {:<40} {:>9} {:>9}  {:<20}  {:<20}",
        "reason", "exporter", "letters", "put back", "first", "last"
    ));
    for ((reason, exporter), (count, back, first, last)) in sums {
        let (first, last) = (text::utc(first), text::utc(last));
        say(&format!("{reason:<20} {exporter:<40} {count:>9} {back:>9}  {first:<20}  {last:<20}"));
    }
    let shown = letters.len().saturating_sub(limit);
    if shown < letters.len() {
        say("");
        say(&format!(
            "{:<16} {:<20}  {:<20} {:<24} {:>8}  what",
            "place", "time", "reason", "exporter", "bytes"
        ));
    }
    for letter in &letters[shown..] {
        let back = if marks.contains(&letter.place) { "put back; " } else { "" };
        say(&format!(
            "{:<16} {:<20}  {:<20} {:<24} {:>8}  {back}{}",
            letter.place.to_string(),
            text::utc(letter.time()),
            letter.about.reason,
            letter.address(),
            letter.length,
            letter.about.sentence
        ));
    }
    Ok(())
}

fn show<B: Bus>(bus: &B, config: &crate::config::Config, place: Place, say: &dyn Fn(&str)) -> Result<()> {
    let mut reader = bus.reader()?;
    let mut found = None;
    let marks = each(&mut reader, bus, &mut |letter| {
        if letter.place == place {
            found = Some(letter);
        }
    })?;
    let letter = found.with_context(|| format!("there is no letter at {place}"))?;
    let is_back = marks.contains(&place);
    if let serde_json::Value::Object(fields) = letter.json(is_back) {
        for (name, value) in fields {
            say(&format!("{name:<20} {}", value.as_str().map_or_else(|| value.to_string(), str::to_owned)));
        }
    }
    say("");
    text::hex(&letter.bytes).for_each(|line| say(&line));
    say("");
    let originals = retry::originals(&mut reader, bus, std::slice::from_ref(&letter))?;
    match part::frame(&letter, &originals) {
        Err(why) => say(&format!("can't be put back: {why}")),
        Ok(frame) => again::decode(&mut reader, bus, config, &letter, &frame, say)?,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_is_written() {
        let place: Place = "3/1204".parse().unwrap();
        assert_eq!((place, place.to_string().as_str()), (Place(3, 1204), "3/1204"));
        for wrong in ["", "3", "3/", "/4", "a/4", "3/4/5"] {
            assert!(wrong.parse::<Place>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn filters_are_all_to_let_a_letter_through() {
        let letter = letters::tests::letter("parked_expired", 2_000_000_000);
        let lets = |filter: &Filter| filter.lets(&letter);
        assert!(lets(&Filter::default()));
        let filter = Filter {
            reason: vec!["bad_set".into(), "parked_expired".into()],
            exporter: vec!["192.0.2.1".parse().unwrap()],
            from: Some(2),
            to: Some(3),
        };
        assert!(lets(&filter));
        assert!(!lets(&Filter { reason: vec!["bad_set".into()], ..filter.clone() }));
        assert!(!lets(&Filter { exporter: vec!["192.0.2.2".parse().unwrap()], ..filter.clone() }));
        assert!(!lets(&Filter { from: Some(3), ..filter.clone() }));
        assert!(!lets(&Filter { to: Some(2), ..filter }));
    }
}
