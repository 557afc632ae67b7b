//! The question on the command line: words and numbers, checked before anything is asked.

use super::Question;
use super::period::{self, Kept, Period};
use anyhow::{Result, bail};
use clap::{Args, ValueEnum};

/// A dimension to group by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Dimension {
    /// Origin AS: in: the source's, out: the destination's.
    As,
    /// Neighbour AS: the link's as classified now, else the one that the records have.
    Neighbour,
    /// Link, by its name now.
    Link,
    /// Provider of the link, by its name now.
    Provider,
    /// What the link is for, as classified now.
    Connectivity,
    /// Exporter.
    Exporter,
    /// Interface.
    Interface,
    /// Address family.
    Family,
}

/// Which interfaces count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Scope {
    /// Transit, IX and PNI: the border of the network, where nothing is counted twice.
    Boundary,
    /// All interfaces, classified or not.
    All,
}

/// Which records count, by where the packet was observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Counted {
    /// Observed on the input interface; records that don't say count so by configuration.
    Ingress,
    /// Observed on the output interface.
    Egress,
}

impl Counted {
    /// Its word in the store and on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        }
    }
}

/// What a link is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// Paid upstream.
    Transit,
    /// Internet exchange.
    Ix,
    /// Private network interconnect.
    Pni,
    /// Paying customer.
    Customer,
    /// Inside one's own network.
    Core,
    /// Not classified.
    Unknown,
}

impl Kind {
    /// Its word in the store.
    pub fn word(self) -> &'static str {
        match self {
            Self::Transit => "transit",
            Self::Ix => "ix",
            Self::Pni => "pni",
            Self::Customer => "customer",
            Self::Core => "core",
            Self::Unknown => "unknown",
        }
    }
}

/// How the answer is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// The question on the command line.
#[derive(Args)]
pub struct Arguments {
    /// What to group by, several with commas.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Dimension::As, Dimension::Link])]
    by: Vec<Dimension>,
    /// The last so much time, such as 30m, 24h or 7d. It ends two minutes ago, because flows come after they end.
    #[arg(long, default_value = "1h", conflicts_with = "from")]
    last: String,
    /// Start, in seconds since the epoch; whole minutes.
    #[arg(long, requires = "to")]
    from: Option<u32>,
    /// End (not included), in seconds since the epoch; whole minutes.
    #[arg(long, requires = "from")]
    to: Option<u32>,
    /// How many rows.
    #[arg(long, default_value_t = 10)]
    top: u32,
    /// Which interfaces count.
    #[arg(long, value_enum, default_value_t = Scope::Boundary)]
    scope: Scope,
    /// Which records count.
    #[arg(long, value_enum, default_value_t = Counted::Ingress)]
    observation: Counted,
    /// Only this provider.
    #[arg(long)]
    provider: Option<String>,
    /// Only links of this kind; it takes the place of --scope.
    #[arg(long, value_enum)]
    connectivity: Option<Kind>,
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

impl Arguments {
    /// The question of the last minutes, those included that can still grow; `None` where ends were named.
    pub(super) fn until_now(&self, kept: Kept<'_>) -> Result<Option<Question>> {
        if self.from.is_some() {
            return Ok(None);
        }
        let to = kept.now.next_multiple_of(60);
        let period = period::between(to - period::RECENT, to, kept)?;
        Ok(Some(self.over(period)?))
    }

    /// The question, if it makes sense.
    pub(super) fn question(&self, kept: Kept<'_>) -> Result<Question> {
        let period = match (self.from, self.to) {
            (Some(from), Some(to)) => period::between(from, to, kept)?,
            _ => period::last(&self.last, kept)?,
        };
        self.over(period)
    }

    fn over(&self, period: Period) -> Result<Question> {
        if !(1..=10_000).contains(&self.top) {
            bail!("--top {} is not between 1 and 10000", self.top);
        }
        Ok(Question {
            by: self.by.clone(),
            period,
            top: self.top,
            scope: self.scope,
            observation: self.observation,
            provider: self.provider.clone(),
            connectivity: self.connectivity,
            exporter: self.exporter.clone(),
            asn: self.asn,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use std::collections::BTreeMap;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    #[test]
    fn where_nothing_is_complete_yet_the_minutes_up_to_now_are_asked_for() {
        let (now, days) = (1_790_000_000 + 77, BTreeMap::new());
        let kept = Kept { now, days: &days };
        let asked = |words: &[&str]| Line::parse_from(["weir"].iter().chain(words)).arguments;
        let recent = asked(&[]).until_now(kept).unwrap().unwrap().period;
        assert!(recent.to >= now && recent.from < now - period::ALLOWANCE, "{recent:?}");
        assert_eq!((recent.table.name, recent.incomplete), ("links_1m", period::ALLOWANCE));
        // Who names ends gets them.
        let named = asked(&["--from", "1789999980", "--to", "1790000040"]);
        assert!(named.until_now(kept).unwrap().is_none());
    }
}
