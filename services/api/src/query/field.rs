//! What a side of flows can be told apart by: what it is grouped by, and what filters name.
//!
//! Each is a line of a table, with the SQL of its value. Aliases in it are those of `sql.rs`: `s` the side, `l` its link, `e` its exporter, `i`
//! its interface. ASes get their names when the rows are found.

use crate::pieces::address;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;
use weir_filter::{Expr, Field, Kind, meant};
use weir_schemas::Connectivity;
use weir_schemas::rollup::Shape;

/// The exporter's name, else its address as people write it.
pub(super) const EXPORTER: &str = concat!("if(e.name = '', ", address!("s.exporter"), ", e.name)");
/// What is said of the link now wins over what was stamped then.
pub(super) const NEIGHBOUR: &str = "if(l.neighbour_as != 0, l.neighbour_as, s.neighbour_as)";

macro_rules! dimensions {
    ($( #[doc = $doc:literal] $Variant:ident = $name:literal; )*) => {
        /// Something to group by.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum Dimension { $( #[doc = $doc] $Variant, )* }

        impl Dimension {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$Variant),*];

            /// How questions and answers name it.
            pub fn name(self) -> &'static str {
                match self { $(Self::$Variant => $name),* }
            }

            /// What it is, in a sentence.
            pub fn doc(self) -> &'static str {
                match self { $(Self::$Variant => $doc.trim_ascii()),* }
            }
        }
    };
}

dimensions! {
    #[doc = "Origin AS: in: the source's, out: the destination's."] As = "as";
    #[doc = "Neighbour AS: the link's as classified now, else the one that the records have."] Neighbour = "neighbour";
    #[doc = "Link, by its name now."] Link = "link";
    #[doc = "Provider of the link, by its name now."] Provider = "provider";
    #[doc = "What the link is for, as classified now."] Connectivity = "connectivity";
    #[doc = "Exporter."] Exporter = "exporter";
    #[doc = "Interface."] Interface = "interface";
    #[doc = "Address family."] Family = "family";
    #[doc = "AS at the other end: in: the destination's, out: the source's. Kept for five minutes and hours."] OtherAs = "other_as";
    #[doc = "Country of the AS's end: in: of the source, out: of the destination. Kept for five minutes and hours."] Country = "country";
    #[doc = "Prefix of the AS's end, as exported, else /24 or /48. Kept for hours."] Prefix = "prefix";
}

impl<'de> Deserialize<'de> for Dimension {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::ALL.iter().copied().find(|one| one.name() == name).ok_or_else(|| {
            let guess = meant(&name, Self::ALL.iter().map(|one| one.name()));
            let name: String = name.chars().take(40).collect();
            D::Error::custom(format!("there is no dimension {name}{guess}"))
        })
    }
}

impl Dimension {
    /// Whether its rows are told apart by the number of an AS.
    pub(super) fn is_as(self) -> bool {
        matches!(self, Self::As | Self::Neighbour | Self::OtherAs)
    }

    /// What a row is called.
    pub(super) fn label(self, key: &str, names: &BTreeMap<u32, String>) -> String {
        match (self, key) {
            (Self::As | Self::OtherAs, "0") => "own or unknown".to_owned(),
            (Self::Neighbour, "0") => "unknown".to_owned(),
            (Self::As | Self::Neighbour | Self::OtherAs, number) => {
                let name =
                    number.parse().ok().and_then(|asn: u32| names.get(&asn)).map_or("", String::as_str);
                format!("AS{number} {name}").trim_end().to_owned()
            }
            _ => key.to_owned(),
        }
    }

    /// What its rows are told apart by, as text: an AS by its number.
    pub(super) fn expression(self) -> String {
        let sql = self.sql();
        if self.is_as() { format!("toString({sql})") } else { sql }
    }

    /// The same, of the type that is told apart soonest.
    pub(super) fn sql(self) -> String {
        match self {
            Self::As => "s.asn".to_owned(),
            Self::Neighbour => NEIGHBOUR.to_owned(),
            Self::Link => "if(l.link = '', 'not classified', l.link)".to_owned(),
            Self::Provider => "if(l.provider = '', 'no provider', l.provider)".to_owned(),
            Self::Connectivity => "toString(l.connectivity)".to_owned(),
            Self::Exporter => EXPORTER.to_owned(),
            Self::Interface => {
                format!(
                    "concat({EXPORTER}, ' ', if(i.name = '', concat('ifIndex ', toString(s.if_index)), i.name))"
                )
            }
            Self::Family => "if(s.family = 0, 'not IP', concat('IPv', toString(s.family)))".to_owned(),
            Self::OtherAs => "s.other_as".to_owned(),
            Self::Country => "if(s.country = '', 'unknown', toString(s.country))".to_owned(),
            Self::Prefix => {
                let address = address!("s.prefix");
                format!("if(s.prefix_len = 0, 'no address', concat({address}, '/', toString(s.prefix_len)))")
            }
        }
    }
}

/// What filters do with a field.
pub(super) struct Column {
    /// Its value in SQL.
    pub sql: &'static str,
    /// Whether it picks sides: then a flow of which it picks both is two.
    pub of_side: bool,
    /// What it is read from.
    pub of: Source,
}

/// What a field's value is read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// The tables of sides alone.
    Stored,
    /// The link of an interface alone.
    Link,
    /// More than that.
    Joined,
}

/// The columns of links that fields are read from, and what they are of an interface that is on none.
pub(super) const UNCLASSIFIED: &[(&str, &str)] =
    &[("l.link", "''"), ("l.provider", "''"), ("l.connectivity", "'unknown'")];

macro_rules! fields {
    ($( $name:literal $kind:expr, $of_side:literal, $source:ident, $sql:expr, $doc:literal; )*) => {
        /// What filters name.
        pub static FIELDS: &[Field] = &[$( Field { name: $name, kind: $kind, doc: $doc } ),*];

        /// By their place in [`FIELDS`].
        const COLUMNS: &[Column] = &[$( Column { sql: $sql, of_side: $of_side, of: Source::$source } ),*];
    };
}

const LARGEST: u64 = u32::MAX as u64;

fields! {
    "as" Kind::Asn, true, Stored, "s.asn", "Origin AS: in: the source's, out: the destination's; 0: own or unknown.";
    "neighbour" Kind::Asn, true, Joined, NEIGHBOUR, "Neighbour AS; 0: unknown.";
    "link" Kind::Text, true, Link, "l.link", "Link, by its name now; empty: not classified.";
    "provider" Kind::Text, true, Link, "l.provider", "Provider of the link, by its name now; empty: none.";
    "connectivity" Kind::Word(Connectivity::WORDS), true, Link, "toString(l.connectivity)", "What the link is for, as classified now.";
    "direction" Kind::Word(&["in", "out"]), true, Stored, "toString(s.direction)", "In: it came in by the interface; out: it left by it.";
    "exporter" Kind::Text, false, Joined, EXPORTER, "Exporter, by its name now, or by its address where it has none.";
    "exporter_address" Kind::Address, false, Stored, "s.exporter", "Address that the exporter sends from.";
    "interface" Kind::Text, true, Joined, "i.name", "Interface, by its name now.";
    "interface_description" Kind::Text, true, Joined, "i.description", "Interface, by its description now.";
    "if_index" Kind::Number(LARGEST), true, Stored, "s.if_index", "Index of the interface; 0: not known.";
    "family" Kind::Number(6), false, Stored, "s.family", "Address family: 4, 6, or 0 where it is not IP.";
    "other_as" Kind::Asn, true, Stored, "s.other_as", "AS at the other end; 0: own or unknown. Kept for five minutes and hours.";
    "country" Kind::Country, true, Stored, "toString(s.country)", "Country of the AS's end. Kept for five minutes and hours.";
}

/// What belongs to a field of [`FIELDS`].
pub(super) fn column(field: &Field) -> Option<&'static Column> {
    FIELDS.iter().position(|one| one == field).map(|place| &COLUMNS[place])
}

/// A field of [`FIELDS`].
pub fn named(name: &str) -> Option<&'static Field> {
    FIELDS.iter().find(|field| field.name == name)
}

/// What sides have to be told apart by, of which not every table knows all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Need {
    /// Nothing but their interfaces.
    Interfaces,
    /// Their ASes, and a few of these.
    #[default]
    Ases,
    /// Their ASes, and all of these.
    AllAses,
    /// The other end, or the country, of flows.
    Pairs,
    /// Their prefixes.
    Prefixes,
}

impl Need {
    /// Columns that only some tables have, and the tables that have them.
    const COLUMNS: &[(&str, Self)] = &[
        ("asn", Self::Ases),
        ("neighbour_as", Self::Ases),
        ("other_as", Self::Pairs),
        ("country", Self::Pairs),
        ("prefix", Self::Prefixes),
    ];

    /// What is needed where these columns of sides are named, of few ASes or of all.
    pub(super) fn of(few: bool, named: impl Fn(&str) -> bool) -> Self {
        let all = Self::COLUMNS.iter().filter(|(column, _)| named(column)).map(|(_, need)| *need);
        match all.max_by_key(|need| *need as u8).unwrap_or(Self::Interfaces) {
            Self::Ases if !few => Self::AllAses,
            need => need,
        }
    }

    const ALL: [Self; 5] = [Self::Interfaces, Self::Ases, Self::AllAses, Self::Pairs, Self::Prefixes];

    /// What rows by these need, and a filter; nothing where no table has all of it.
    pub fn whole(by: &[Dimension], filter: Option<&Expr>) -> Option<Self> {
        let fields = filter.map(Expr::tests).unwrap_or_default();
        let names: Vec<&str> =
            by.iter().map(|one| one.name()).chain(fields.iter().map(|test| test.field.name)).collect();
        let has = |name: &str| names.contains(&name);
        let (pairs, prefixes) = (has("other_as") || has("country"), has("prefix"));
        match (pairs, prefixes) {
            (true, true) => None,
            _ if (pairs || prefixes) && has("neighbour") => None,
            (true, false) => Some(Self::Pairs),
            (false, true) => Some(Self::Prefixes),
            _ if has("as") || has("neighbour") => Some(Self::Ases),
            _ => Some(Self::Interfaces),
        }
    }

    /// Whether rows of all ASes are read.
    pub(super) fn all_ases(self) -> bool {
        self == Self::AllAses
    }

    /// Shapes of the tables that have it, those with fewest rows first.
    pub(super) fn shapes(self) -> &'static [Shape] {
        match self {
            Self::Interfaces => &[Shape::Interfaces, Shape::Links],
            Self::Ases | Self::AllAses => &[Shape::Links],
            Self::Pairs => &[Shape::Pairs],
            Self::Prefixes => &[Shape::Prefixes],
        }
    }
}

/// What the statements of a question need, each of them for all of its time: its rows one thing, and its total, which is by nothing, another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs(u8);

impl Needs {
    /// Of rows by these, with this filter, and of what they are parts of; nothing where no table has all of it.
    pub fn of(by: &[Dimension], filter: Option<&Expr>) -> Option<Self> {
        Some(Self::default().and(Need::whole(by, filter)?).and(Need::whole(&[], filter)?))
    }

    /// Another one beside them.
    pub fn and(self, need: Need) -> Self {
        Self(self.0 | 1 << need as u8)
    }

    /// All of these beside them.
    pub fn all(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// Each of them.
    pub(super) fn each(self) -> impl Iterator<Item = Need> {
        Need::ALL.into_iter().filter(move |need| self.0 & 1 << *need as u8 != 0)
    }
}
