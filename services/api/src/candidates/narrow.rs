//! A filter taken apart: what narrows the transits that are looked at, and what narrows the traffic that would leave them.
//!
//! What must stay true: what is billed on a transit is all that it carries, so what is said of flows narrows the traffic of ASes alone. A part that is
//! about both at once says neither, and is refused.

use crate::query::conjuncts;
use thiserror::Error;
use weir_filter::Expr;

/// Fields of [`FIELDS`](crate::query::field::FIELDS) that tell apart traffic of one interface.
const OF_FLOWS: &[&str] = &["as", "neighbour", "direction", "family", "other_as", "country"];

/// Why a filter can't be taken apart.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "{part} is about links and about flows at once: what says which transits are meant (such as link, provider, exporter) and what says which traffic \
     could leave them ({}) are joined by AND",
    OF_FLOWS.join(", ")
)]
pub struct Mixed {
    /// As it is written.
    part: String,
}

/// What a filter says of links, exporters and interfaces; all of it has to hold of them.
pub(super) fn of_links(filter: Option<&Expr>) -> Result<Vec<Expr>, Mixed> {
    let mut all = Vec::new();
    for part in filter.into_iter().flat_map(conjuncts) {
        let tests = part.tests();
        let of_flows = tests.iter().filter(|test| OF_FLOWS.contains(&test.field.name)).count();
        if of_flows == 0 {
            all.push(part.clone());
        } else if of_flows < tests.len() {
            return Err(Mixed { part: part.to_string() });
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::field::{FIELDS, named};
    use weir_filter::parse;

    #[test]
    fn what_is_said_of_flows_narrows_no_transit_and_what_is_of_both_is_refused() {
        let told = |filter: &str| match of_links(Some(&parse(filter, FIELDS).unwrap())) {
            Ok(parts) => parts.iter().map(Expr::to_string).collect::<Vec<_>>().join(" AND "),
            Err(mixed) => mixed.to_string().split(" is about").next().unwrap().to_owned() + "!",
        };
        for (filter, links) in [
            ("as = 174", ""),
            ("exporter = \"edge1\" AND as = 174", "exporter = \"edge1\""),
            ("direction = in AND (provider = \"A\" AND country = DE)", "provider = \"A\""),
            ("NOT (link = \"x\" OR if_index = 3) AND family = 6", "NOT (link = \"x\" OR if_index = 3)"),
            ("as = 1 OR neighbour = 2", ""),
            ("as = 1 OR link = \"x\"", "as = 1 OR link = \"x\"!"),
            ("family = 4 AND NOT (as = 1 AND exporter = \"e\")", "NOT (as = 1 AND exporter = \"e\")!"),
        ] {
            assert_eq!(told(filter), links, "{filter}");
        }
        assert!(of_links(None).unwrap().is_empty());
        assert!(OF_FLOWS.iter().all(|name| named(name).is_some()));
    }
}
