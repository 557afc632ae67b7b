//! `weir deadletter`: what could not be decoded is looked at, and put back once it can be.
//!
//! What is put back goes into `weir.raw` and is decoded like anything that is received; a mark beside the letter, written in the same
//! transaction, says so, and a letter with a mark is never put back again.

mod again;
mod letters;
mod part;
mod retry;
mod text;

use crate::redecode::Work;
use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand, ValueEnum};
use letters::{Letter, each, marks};
pub use retry::IDENTITY;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::str::FromStr;
use weir_bus::Bus;
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
pub fn run<B: Bus>(work: &mut Work<'_, B>, request: &Request) -> Result<()> {
    match request {
        Request::List { filter, limit, format } => list(work, filter, *limit, *format),
        Request::Show { place } => show(work, *place),
        Request::Retry { places, filter, all } => {
            if places.is_empty() && filter.is_empty() && !all {
                bail!("say which letters: places, --reason, --exporter, --from, --to, or --all");
            }
            let wanted = |letter: &Letter| {
                (places.is_empty() || places.contains(&letter.place)) && filter.lets(letter)
            };
            retry::retry(work, &wanted)
        }
    }
}

/// Lines of sums: exporters can be made up, and so many that all of them are no overview and no small memory.
const MOST_SUMS: usize = 10_000;

/// What there is of a reason from an exporter.
#[derive(Debug, PartialEq, Eq)]
struct Sum {
    letters: u64,
    back: u64,
    first: i64,
    last: i64,
}

/// Sums, and the newest letters, of however many.
#[derive(Default)]
struct Overview {
    sums: BTreeMap<(String, String), Sum>,
    newest: BTreeMap<(i64, Place), (Letter, bool)>,
}

impl Overview {
    fn add(&mut self, letter: Letter, is_back: bool, limit: usize) {
        let mut key = (letter.about.reason.clone(), letter.address());
        if self.sums.len() >= MOST_SUMS && !self.sums.contains_key(&key) {
            key.1 = "other exporters".to_owned();
        }
        let time = letter.time();
        let sum = self.sums.entry(key).or_insert(Sum { letters: 0, back: 0, first: i64::MAX, last: 0 });
        sum.letters += 1;
        sum.back += u64::from(is_back);
        (sum.first, sum.last) = (sum.first.min(time), sum.last.max(time));
        let is_new = |(oldest, _): (&(i64, Place), _)| *oldest < (time, letter.place);
        if self.newest.len() < limit || self.newest.first_key_value().is_some_and(is_new) {
            let letter = Letter { bytes: Vec::new(), ..letter };
            self.newest.insert((time, letter.place), (letter, is_back));
        }
        if self.newest.len() > limit {
            self.newest.pop_first();
        }
    }
}

fn list<B: Bus>(work: &Work<'_, B>, filter: &Filter, limit: usize, form: Form) -> Result<()> {
    let (bus, mut reader, mut overview) = (work.bus, work.bus.reader()?, Overview::default());
    let partitions: Vec<i32> = (0..bus.partitions() as i32).collect();
    let marks = marks(&mut reader, bus, &partitions)?;
    each(&mut reader, bus, &partitions, &mut |letter| {
        work.go_on()?;
        if !filter.lets(&letter) {
            return Ok(());
        }
        let is_back = marks.contains(&letter.place);
        match form {
            Form::Json => work.say(&letter.json(is_back).to_string()),
            Form::Table => overview.add(letter, is_back, limit),
        }
        Ok(())
    })?;
    work.go_on()?;
    if form == Form::Table {
        overview.tell(&|line| work.say(line));
    }
    Ok(())
}

impl Overview {
    fn tell(&self, say: &dyn Fn(&str)) {
        say(&format!(
            "{:<20} {:<40} {:>9} {:>9}  {:<20}  {:<20}",
            "reason", "exporter", "letters", "put back", "first", "last"
        ));
        for ((reason, exporter), Sum { letters, back, first, last }) in &self.sums {
            let (first, last) = (text::utc(*first), text::utc(*last));
            say(&format!("{reason:<20} {exporter:<40} {letters:>9} {back:>9}  {first:<20}  {last:<20}"));
        }
        if !self.newest.is_empty() {
            say("");
            say(&format!(
                "{:<16} {:<20}  {:<20} {:<24} {:>8}  what",
                "place", "time", "reason", "exporter", "bytes"
            ));
        }
        for (letter, is_back) in self.newest.values() {
            let back = if *is_back { "put back; " } else { "" };
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
    }
}

fn show<B: Bus>(work: &Work<'_, B>, place: Place) -> Result<()> {
    let (bus, mut reader, mut found) = (work.bus, work.bus.reader()?, None);
    let none = || format!("there is no letter at {place}");
    if !(0..bus.partitions() as i32).contains(&place.0) {
        bail!(none());
    }
    let marks = marks(&mut reader, bus, &[place.0])?;
    each(&mut reader, bus, &[place.0], &mut |letter| {
        if letter.place == place {
            found = Some(letter);
        }
        work.go_on()
    })?;
    let letter = found.with_context(none)?;
    if let serde_json::Value::Object(fields) = letter.json(marks.contains(&place)) {
        for (name, value) in fields {
            work.say(&format!(
                "{name:<20} {}",
                value.as_str().map_or_else(|| value.to_string(), str::to_owned)
            ));
        }
    }
    work.say("");
    text::hex(&letter.bytes).for_each(|line| work.say(&line));
    work.say("");
    for (letter, made) in retry::frames(work, &mut reader, vec![letter])? {
        match made {
            Err(why) => work.say(&format!("can't be put back: {why}")),
            Ok(frame) => {
                again::decode(&mut reader, bus, work.config, &letter, &frame, &|line| work.say(line))?;
            }
        }
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

    #[test]
    fn of_any_number_of_letters_the_newest_and_the_sums_are_kept() {
        let mut overview = Overview::default();
        for n in 0..30_000i64 {
            let mut letter = letters::tests::letter("parked_expired", 1 + (n * 7919) % 30_000);
            letter.place = Place(0, n);
            letter.bytes = vec![1; 100];
            letter.exporter = Some(Ip::v4((n as u32 % 20_000).to_be_bytes()));
            overview.add(letter, n % 2 == 0, 20);
        }
        let times: Vec<_> = overview.newest.keys().map(|(time, _)| *time).collect();
        assert_eq!(times, (29_981..=30_000).collect::<Vec<_>>());
        assert!(overview.newest.values().all(|(letter, _)| letter.bytes.is_empty()));
        assert_eq!(overview.sums.len(), MOST_SUMS + 1);
        assert_eq!(overview.sums.values().map(|sum| sum.letters).sum::<u64>(), 30_000);
        assert_eq!(overview.sums.values().map(|sum| sum.back).sum::<u64>(), 15_000);
        let mut none = Overview::default();
        none.add(letters::tests::letter("parked_expired", 1), false, 0);
        assert!(none.newest.is_empty());
    }
}
