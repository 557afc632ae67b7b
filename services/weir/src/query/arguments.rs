//! The question on the command line: words and numbers, checked before anything is asked.

use anyhow::{Result, anyhow};
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};
use humantime::format_rfc3339_seconds;
use std::net::IpAddr;
use std::time::{Duration, UNIX_EPOCH};
use weir_api::query::field::{Dimension, named};
use weir_api::query::period::Kept;
use weir_api::query::request::{Request, RequestError, read};
use weir_api::query::{Counted, Order, Question, Scope};
use weir_filter::{Compare, Expr, Test, Value};
use weir_schemas::Connectivity;

/// Which interfaces count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Which {
    /// Transit, IX and PNI: the border of the network, where nothing is counted twice.
    Boundary,
    /// All interfaces, classified or not.
    All,
}

/// By what the top is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Most {
    /// Bytes in and out.
    Both,
    /// Bytes in.
    In,
    /// Bytes out.
    Out,
}

/// How the answer is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// For people.
    Table,
    /// For programs.
    Json,
    /// For spreadsheets.
    Csv,
}

/// The question on the command line.
#[derive(Args)]
pub struct Arguments {
    /// What to group by, several with commas.
    #[arg(long, value_parser = dimension(), value_delimiter = ',', default_values = ["as", "link"])]
    by: Vec<Dimension>,
    /// The last so much time, such as 30m, 24h or 7d. It ends two minutes ago, because flows come after they end.
    #[arg(long, default_value = "1h", conflicts_with = "from")]
    last: String,
    /// Start, in whole minutes: such as 2026-11-27T08:00, or in seconds since the epoch.
    #[arg(long, requires = "to")]
    from: Option<String>,
    /// End, not included.
    #[arg(long, requires = "from")]
    to: Option<String>,
    /// Time zone in which times without an offset are read, and days begin, such as Europe/Berlin.
    #[arg(long, default_value = "UTC")]
    zone: String,
    /// How many rows.
    #[arg(long, default_value_t = 10)]
    top: u32,
    /// By what the top is chosen.
    #[arg(long, value_enum, default_value_t = Most::Both)]
    order: Most,
    /// Also what is not in the rows, as a row.
    #[arg(long)]
    other: bool,
    /// Also the largest and the 95th of the slots of five minutes.
    #[arg(long)]
    peaks: bool,
    /// Also as long a time before.
    #[arg(long)]
    previous: bool,
    /// Also bytes in slots so long, such as 5m, 1h or 1d (auto: as long as a chart needs); for --format json and csv.
    #[arg(long)]
    interval: Option<String>,
    /// Which interfaces count: the boundary, unless the filter names a connectivity.
    #[arg(long, value_enum)]
    scope: Option<Which>,
    /// Where the records that count were observed.
    #[arg(long, value_parser = observation(), default_value = "chosen")]
    observation: Counted,
    /// Only what this filter says, such as 'connectivity = transit AND as IN (15169, 2906)'; docs/query.md has the language.
    #[arg(long)]
    filter: Option<String>,
    /// Only this provider.
    #[arg(long)]
    provider: Option<String>,
    /// Only links of this kind; it takes the place of --scope.
    #[arg(long, value_parser = PossibleValuesParser::new(Connectivity::WORDS))]
    connectivity: Option<String>,
    /// Only this exporter, by address or name.
    #[arg(long)]
    exporter: Option<String>,
    /// Only this origin AS.
    #[arg(long = "as")]
    asn: Option<u32>,
    /// How to print the answer.
    #[arg(long, value_enum, default_value_t = Form::Table)]
    pub(super) format: Form,
}

fn dimension() -> impl TypedValueParser<Value = Dimension> {
    let words = Dimension::ALL.iter().map(|one| PossibleValue::new(one.name()).help(one.doc()));
    PossibleValuesParser::new(words).try_map(|word| {
        Dimension::ALL.iter().copied().find(|one| one.name() == word).ok_or("no such dimension")
    })
}

fn observation() -> impl TypedValueParser<Value = Counted> {
    let docs = [
        "Of each interface and direction where they are complete: on the interface itself, or else at the other end of its flows.",
        "On the input interface; records that don't say count so by configuration.",
        "On the output interface.",
    ];
    let words = Counted::ALL.iter().zip(docs).map(|(one, doc)| PossibleValue::new(one.word()).help(doc));
    PossibleValuesParser::new(words)
        .try_map(|word| Counted::ALL.into_iter().find(|one| one.word() == word).ok_or("no such observation"))
}

impl Arguments {
    /// The question of the last minutes, those included that can still grow; `None` where ends were named.
    pub(super) fn until_now(&self, kept: Kept<'_>) -> Result<Option<Question>> {
        if self.from.is_some() {
            return Ok(None);
        }
        self.request().until_now(self.filter()?, kept).map(Some).map_err(|wrong| self.told(wrong))
    }

    /// The question, if it makes sense.
    pub(super) fn question(&self, kept: Kept<'_>) -> Result<Question> {
        self.request().about(self.filter()?, kept).map_err(|wrong| self.told(wrong))
    }

    /// What is wrong, with the word that says it.
    fn told(&self, wrong: RequestError) -> anyhow::Error {
        let place = match &wrong {
            RequestError::Time { key, .. } => format!("--{key}"),
            RequestError::Zone(_) => "--zone".to_owned(),
            RequestError::Period(_) if self.from.is_some() => "--from and --to".to_owned(),
            RequestError::Period(_) => "--last".to_owned(),
            _ => return wrong.into(),
        };
        anyhow::Error::from(wrong).context(place)
    }

    /// All but the filter, of which some is written in other ways here.
    fn request(&self) -> Request {
        let scope = match self.scope {
            _ if self.connectivity.is_some() => Some(Scope::All),
            Some(Which::Boundary) => Some(Scope::Boundary),
            Some(Which::All) => Some(Scope::All),
            None => None,
        };
        let order = match self.order {
            Most::Both => Order::Both,
            Most::In => Order::In,
            Most::Out => Order::Out,
        };
        Request {
            last: self.from.is_none().then(|| self.last.clone()),
            from: self.from.as_deref().map(time),
            to: self.to.as_deref().map(time),
            zone: Some(self.zone.clone()),
            by: Some(self.by.clone()),
            top: Some(self.top),
            order: Some(order),
            other: self.other,
            interval: self.interval.clone(),
            peaks: self.peaks,
            previous: self.previous,
            scope,
            observation: Some(self.observation),
            ..Request::default()
        }
    }

    /// All that is asked to hold.
    fn filter(&self) -> Result<Option<Expr>> {
        let filter = self.filter.as_deref().unwrap_or_default();
        let written = read(filter).map_err(|fault| anyhow!("--filter: {}", fault.shown(filter)))?;
        let mut all: Vec<Expr> = written.into_iter().collect();
        let text = |text: &String| Value::Text(text.clone());
        let connectivity =
            |word: &String| Connectivity::WORDS.iter().find(|one| *one == word).map(|word| Value::Word(word));
        all.extend(self.provider.iter().filter_map(|name| equal("provider", text(name))));
        all.extend(
            self.connectivity.iter().filter_map(connectivity).filter_map(|word| equal("connectivity", word)),
        );
        all.extend(self.asn.iter().filter_map(|asn| equal("as", Value::Number(u64::from(*asn)))));
        if let Some(exporter) = &self.exporter {
            let address = exporter
                .parse::<IpAddr>()
                .ok()
                .and_then(|address| equal("exporter_address", Value::Address(address)));
            let name = equal("exporter", text(exporter));
            let either: Vec<_> = name.into_iter().chain(address).collect();
            all.extend(several(either, Expr::Any));
        }
        Ok(several(all, Expr::All))
    }
}

/// A time as a question has it: what may be seconds since the epoch here is written out.
fn time(text: &str) -> String {
    match text.parse::<u32>() {
        Ok(seconds) => {
            format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(u64::from(seconds))).to_string()
        }
        Err(_) => text.to_owned(),
    }
}

fn equal(field: &str, value: Value) -> Option<Expr> {
    named(field).map(|field| Expr::Test(Test { field, compare: Compare::Equal, values: vec![value] }))
}

fn several(mut all: Vec<Expr>, join: fn(Vec<Expr>) -> Expr) -> Option<Expr> {
    if all.len() < 2 { all.pop() } else { Some(join(all)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use std::collections::BTreeMap;
    use weir_api::query::period::ALLOWANCE;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn asked(words: &[&str]) -> Result<Question> {
        let days = BTreeMap::new();
        let line = Line::try_parse_from(["weir"].iter().chain(words))?;
        line.arguments.question(Kept::new(1_790_000_000, &days))
    }

    #[test]
    fn where_nothing_is_complete_yet_the_minutes_up_to_now_are_asked_for() {
        let (now, days) = (1_790_000_000 + 77, BTreeMap::new());
        let kept = Kept::new(now, &days);
        let asked = |words: &[&str]| Line::parse_from(["weir"].iter().chain(words)).arguments;
        let recent = asked(&[]).until_now(kept).unwrap().unwrap().period;
        let window = recent.window;
        assert!(window.to >= now && window.from < now - ALLOWANCE, "{recent:?}");
        assert_eq!(recent.incomplete, ALLOWANCE);
        // What is kept in longer slots is asked for in them.
        let prefixes = asked(&["--by", "prefix"]).until_now(kept).unwrap().unwrap().period.window;
        assert_eq!((prefixes.from % 3600, prefixes.to % 3600), (0, 0));
        // Who names ends gets them.
        let named = asked(&["--from", "1789999980", "--to", "1790000040"]);
        assert!(named.until_now(kept).unwrap().is_none());
    }

    #[test]
    fn short_forms_are_tests_of_the_filter_and_a_kind_of_link_takes_the_place_of_the_boundary() {
        for (words, filter, scope) in [
            (&[][..], None, Scope::Boundary),
            (&["--as", "174"], Some("as = 174"), Scope::Boundary),
            (&["--exporter", "edge1"], Some("exporter = \"edge1\""), Scope::Boundary),
            (
                &["--exporter", "192.0.2.1", "--provider", "A"],
                Some("provider = \"A\" AND (exporter = \"192.0.2.1\" OR exporter_address = 192.0.2.1)"),
                Scope::Boundary,
            ),
            (&["--connectivity", "customer"], Some("connectivity = customer"), Scope::All),
            (
                &["--filter", "connectivity != core", "--as", "1"],
                Some("connectivity != core AND as = 1"),
                Scope::All,
            ),
            (
                &["--filter", "connectivity = ix", "--scope", "boundary"],
                Some("connectivity = ix"),
                Scope::Boundary,
            ),
            (
                &["--filter", "as = 1 OR as = 2", "--as", "3"],
                Some("(as = 1 OR as = 2) AND as = 3"),
                Scope::Boundary,
            ),
        ] {
            let question = asked(words).unwrap();
            let read = question.filter.map(|filter| filter.to_string());
            assert_eq!((read.as_deref(), question.scope), (filter, scope), "{words:?}");
        }
    }

    #[test]
    fn times_are_seconds_or_written_in_a_zone() {
        let written = ["--from", "2026-09-21T10:00", "--to", "2026-09-21T10:00Z", "--zone", "Europe/Berlin"];
        let window = asked(&written).unwrap().period.window;
        assert_eq!((window.from, window.to), (1_789_977_600, 1_789_984_800));
        let seconds = asked(&["--from", "1789977600", "--to", "1789984800"]).unwrap().period.window;
        assert_eq!((seconds.from, seconds.to), (window.from, window.to));
    }

    #[test]
    fn a_time_is_in_the_slots_in_which_what_is_asked_is_kept_as_over_http() {
        for (words, json) in [
            (&["--by", "prefix", "--last", "90m"][..], r#"{"by": ["prefix"], "last": "90m"}"#),
            (&["--by", "country", "--last", "20d"], r#"{"by": ["country"], "last": "20d"}"#),
            (&["--filter", "country = DE", "--last", "1h"], r#"{"filter": "country = DE", "last": "1h"}"#),
            (&["--last", "90d"], r#"{"last": "90d"}"#),
        ] {
            let (days, request) = (BTreeMap::new(), serde_json::from_str::<Request>(json).unwrap());
            let over_http = request.question(Kept::new(1_790_000_000, &days)).unwrap().period;
            let here = asked(words).unwrap().period;
            assert_eq!((here.window, here.asked_from), (over_http.window, over_http.asked_from), "{words:?}");
        }
        let hours = asked(&["--by", "prefix", "--last", "90m"]).unwrap().period;
        assert_eq!((hours.window.from % 3600, hours.seconds), (0, 7200));
        let weeks = asked(&["--by", "country", "--last", "20d"]).unwrap().period;
        assert_eq!((weeks.window.from % 3600, weeks.seconds), (0, 20 * 86_400));
    }

    #[test]
    fn what_is_wrong_is_refused_with_its_place() {
        for (words, sentence) in [
            (&["--top", "0"][..], "top 0 is not between 1 and 10000"),
            (
                &["--by", "as,as"],
                "rows are grouped by one to 4 dimensions, each of them once, and not by as, as",
            ),
            (
                &["--from", "soon", "--to", "0"],
                "--from: 'soon' is no time that can be asked for: write it such as 2026-11-27T08:00:00Z",
            ),
            (&["--last", "24"], "--last: 24 is no time: write a number and m, h or d, such as 24h"),
            (
                &["--filter", "conectivity = transit"],
                "--filter: there is no column conectivity; did you mean connectivity?\n  conectivity = transit\n  ^^^^^^^^^^^",
            ),
        ] {
            let error = format!("{:#}", asked(words).unwrap_err());
            assert_eq!(error, sentence);
        }
    }
}
