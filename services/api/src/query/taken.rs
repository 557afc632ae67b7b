//! A filter taken apart by what its parts are tested on.
//!
//! All parts have to hold. What tables have themselves is tested where they are read; what follows from the link of an interface alone is a set of
//! interfaces, as long as no link changes; and the rest is tested when links are joined.

use super::condition::condition;
use super::field::{Source, UNCLASSIFIED, column};
use super::{Question, Scope};
use weir_filter::Expr;

/// The border of the network, where nothing is counted twice.
const BOUNDARY: &str = "l.connectivity IN ('transit', 'ix', 'pni')";

/// Conditions, and the values that their names stand for.
pub(super) struct Taken {
    /// On the tables' own columns, as `t`.
    pub stored: Vec<String>,
    /// On links alone, as `l`: the scope's, too.
    pub links: Vec<String>,
    /// On more than that.
    pub joined: Vec<String>,
    pub parameters: Vec<(String, String)>,
}

impl Taken {
    /// The filter of a question, with its scope.
    pub fn of(question: &Question) -> Self {
        let (stored, links, joined) = (Vec::new(), Vec::new(), Vec::new());
        let mut taken = Self { stored, links, joined, parameters: Vec::new() };
        for part in question.filter.iter().flat_map(conjuncts) {
            let of = |source| {
                part.tests().iter().all(|test| column(test.field).is_some_and(|column| column.of == source))
            };
            let condition = condition(part, &mut taken.parameters);
            if of(Source::Stored) {
                taken.stored.push(condition.replace("s.", "t."));
            } else if of(Source::Link) {
                taken.links.push(condition);
            } else {
                taken.joined.push(condition);
            }
        }
        if question.scope == Scope::Boundary {
            taken.links.push(BOUNDARY.to_owned());
        }
        taken
    }
}

/// What all have to be true of.
pub(crate) fn conjuncts(filter: &Expr) -> Vec<&Expr> {
    match filter {
        Expr::All(all) => all.iter().flat_map(conjuncts).collect(),
        other => vec![other],
    }
}

/// What a condition on links comes to for an interface that is on none.
pub(super) fn unclassified(test: &str) -> String {
    UNCLASSIFIED.iter().fold(test.to_owned(), |test, (column, value)| test.replace(column, value))
}
