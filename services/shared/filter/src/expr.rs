//! A filter that was read.

use crate::field::Field;
use ipnetwork::IpNetwork;
use std::fmt;
use std::net::IpAddr;

/// Which rows count.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// Those for which all of these hold; two or more.
    All(Vec<Expr>),
    /// Those for which one of these holds; two or more.
    Any(Vec<Expr>),
    /// Those for which this does not hold.
    Not(Box<Expr>),
    /// Those whose field is as wanted.
    Test(Test),
}

/// What is wanted of a field.
#[derive(Clone, Debug, PartialEq)]
pub struct Test {
    /// The field.
    pub field: &'static Field,
    /// How it is compared.
    pub compare: Compare,
    /// With what: one value, or for [`Compare::In`] one and more. Networks come only there.
    pub values: Vec<Value>,
}

/// How a field is compared with values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compare {
    /// `=`
    Equal,
    /// `!=`
    Unequal,
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    Greater,
    /// `>=`
    AtLeast,
    /// `IN`: it is one of them, or lies in one of them.
    In,
    /// `NOT IN`
    NotIn,
}

/// A value, as the kind of its field reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A number, or an AS number.
    Number(u64),
    /// Text.
    Text(String),
    /// One of the field's words.
    Word(&'static str),
    /// An address.
    Address(IpAddr),
    /// A network, with or without host bits: they don't count.
    Network(IpNetwork),
    /// A country: two capital letters.
    Country([u8; 2]),
}

impl Expr {
    /// All of its tests.
    pub fn tests(&self) -> Vec<&Test> {
        match self {
            Self::All(all) | Self::Any(all) => all.iter().flat_map(Self::tests).collect(),
            Self::Not(inner) => inner.tests(),
            Self::Test(test) => vec![test],
        }
    }
}

impl Compare {
    /// As it is written.
    pub fn sign(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::Unequal => "!=",
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::Greater => ">",
            Self::AtLeast => ">=",
            Self::In => "IN",
            Self::NotIn => "NOT IN",
        }
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joined = |f: &mut fmt::Formatter<'_>, all: &[Self], word: &str| {
            for (n, part) in all.iter().enumerate() {
                if n > 0 {
                    write!(f, " {word} ")?;
                }
                match part {
                    Self::All(_) | Self::Any(_) => write!(f, "({part})")?,
                    _ => write!(f, "{part}")?,
                }
            }
            Ok(())
        };
        match self {
            Self::All(all) => joined(f, all, "AND"),
            Self::Any(all) => joined(f, all, "OR"),
            Self::Not(inner) => match **inner {
                Self::All(_) | Self::Any(_) => write!(f, "NOT ({inner})"),
                _ => write!(f, "NOT {inner}"),
            },
            Self::Test(test) => test.fmt(f),
        }
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ", self.field.name, self.compare.sign())?;
        let list = matches!(self.compare, Compare::In | Compare::NotIn);
        let values: Vec<_> = self.values.iter().map(Value::to_string).collect();
        if list { write!(f, "({})", values.join(", ")) } else { f.write_str(&values.join(", ")) }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => write!(f, "\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
            Self::Word(word) => f.write_str(word),
            Self::Address(address) => address.fmt(f),
            Self::Network(network) => network.fmt(f),
            Self::Country(letters) => f.write_str(&String::from_utf8_lossy(letters)),
        }
    }
}
