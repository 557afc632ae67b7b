//! Statements: fixed pieces of SQL with the values that their names stand for. Every value is a bound parameter.

use super::field::Dimension;
use serde::ser::SerializeTuple;
use serde::{Serialize, Serializer};

/// A statement with the values that its names stand for.
pub struct Statement {
    /// It.
    pub sql: String,
    /// Tables that it reads.
    pub tables: Vec<&'static str>,
    /// Names and values.
    pub parameters: Vec<(String, Value)>,
}

/// A value that is bound.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// Text, or a number.
    One(String),
    /// Numbers.
    Numbers(Vec<u32>),
    /// Texts of several rows.
    Rows(Vec<Vec<String>>),
    /// Values of several types, each time as one.
    Tuples(Vec<Tuple>),
}

/// Values of several types.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tuple(pub Vec<Cell>);

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Cell {
    /// Text.
    Text(String),
    /// A number.
    Number(u32),
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<u32> for Cell {
    fn from(number: u32) -> Self {
        Self::Number(number)
    }
}

impl Serialize for Tuple {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut tuple = serializer.serialize_tuple(self.0.len())?;
        for cell in &self.0 {
            tuple.serialize_element(cell)?;
        }
        tuple.end()
    }
}

/// Rows that were found and are asked about again.
#[derive(Clone, Copy)]
pub enum Of<'a> {
    /// All that the question covers, as one.
    Total,
    /// These, by their keys and ASes: the first is row 1.
    Rows(&'a [Vec<String>], &'a [u32]),
}

impl Statement {
    /// One of these values alone.
    pub fn of(sql: String, parameters: impl IntoIterator<Item = (String, Value)>) -> Self {
        Self { sql, tables: Vec::new(), parameters: parameters.into_iter().collect() }
    }

    /// All of these beside it.
    pub fn all(mut self, texts: &[(String, String)]) -> Self {
        self.parameters.extend(texts.iter().map(|(name, text)| (name.clone(), Value::One(text.clone()))));
        self
    }

    /// These beside it.
    pub(super) fn values(mut self, values: Vec<(String, Value)>) -> Self {
        self.parameters.extend(values);
        self
    }

    pub(super) fn with(self, name: &str, value: impl ToString) -> Self {
        self.bound(name, Value::One(value.to_string()))
    }

    pub(super) fn bound(mut self, name: &str, value: Value) -> Self {
        self.parameters.push((name.to_owned(), value));
        self
    }

    /// The same beside another one: names that stand for something else there are others here.
    pub(super) fn beside(mut self, other: &Self) -> Self {
        for (name, value) in &mut self.parameters {
            if other.parameters.iter().any(|(theirs, its)| theirs == name && its != value) {
                let own = format!("beside_{name}");
                self.sql = self.sql.replace(&format!("{{{name}:"), &format!("{{{own}:"));
                *name = own;
            }
        }
        self
    }

    /// What is selected from this one.
    pub(super) fn wrapped(self, select: &str, rest: &str) -> Self {
        Self { sql: format!("{select} FROM ({}) {rest}", self.sql), ..self }
    }
}

impl Of<'_> {
    /// Whether the ASes of its rows are all that has to be read.
    pub(super) fn ases(self) -> bool {
        matches!(self, Self::Rows(_, ases) if !ases.is_empty())
    }

    pub(super) fn bound(self, statement: Statement) -> Statement {
        let Self::Rows(rows, ases) = self else { return statement };
        let statement = statement.bound("rows", Value::Rows(rows.to_vec()));
        if ases.is_empty() { statement } else { statement.bound("ases", Value::Numbers(ases.to_vec())) }
    }
}

/// What rows by these are told apart by.
pub(super) fn keys(by: &[Dimension]) -> String {
    by.iter().map(|dimension| dimension.expression()).collect::<Vec<_>>().join(", ")
}

/// Whether a text of SQL has this name, and not one that ends like it.
pub(super) fn names(sql: &str, name: &str) -> bool {
    let part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    sql.match_indices(name).any(|(at, _)| !sql.get(..at).unwrap_or_default().ends_with(part))
}
