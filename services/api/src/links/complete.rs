//! Whether all that goes over a link is counted, direction by direction, in words (docs/counting.md, "Observed where").
//!
//! *In* is complete where the link is sampled on ingress, or every interface that it can leave by on egress; *out* where the link is sampled on
//! egress, or every other interface, core ones too, on ingress. What counts as sampled is what was seen: an interface by which nothing went within a
//! day leaves nothing out, and of a link on which nothing was seen nothing is said. Nor is anything said where it hangs on interfaces that were not told.

use super::{Interface, Link, Links, Member};
use crate::exporters::Observed;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use utoipa::ToSchema;

/// Interfaces that are told of a direction.
const MOST: usize = 20;
/// Interfaces that a sentence names.
const NAMED: usize = 5;

/// Whether all of one direction is counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Complete {
    /// Whether it is.
    pub complete: bool,
    /// In words, with what is missing.
    pub says: String,
    /// Interfaces that would have to be sampled, the link's own apart: 20 at most.
    pub missing: Vec<Interface>,
}

/// A direction: what its packets are sampled by on the link itself, and what on the interfaces at their other end.
struct Direction {
    word: &'static str,
    here: &'static str,
    there: &'static str,
    is_here: fn(&Observed) -> bool,
    is_there: fn(&Observed) -> bool,
}

const IN: Direction = Direction {
    word: "in",
    here: "ingress",
    there: "egress",
    is_here: |one| one.ingress > 0,
    is_there: |one| one.egress > 0,
};
const OUT: Direction = Direction {
    word: "out",
    here: "egress",
    there: "ingress",
    is_here: |one| one.egress > 0,
    is_there: |one| one.ingress > 0,
};

/// Interfaces that had traffic within a day.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// By exporter.
    pub interfaces: BTreeMap<String, Vec<Observed>>,
    /// Exporters that have more than these.
    pub cut: BTreeSet<String>,
    /// Whether there are more exporters.
    pub more: bool,
}

impl Seen {
    /// Those of an exporter, and whether they are all that it has.
    fn of(&self, exporter: &str) -> (&[Observed], bool) {
        let all = self.interfaces.get(exporter);
        let whole = !self.cut.contains(exporter) && (all.is_some() || !self.more);
        (all.map(Vec::as_slice).unwrap_or_default(), whole)
    }
}

/// Says it of all links as they are at a time (seconds).
pub(crate) fn say(links: &mut Links, seen: &Seen, now: u32) {
    let kinds: BTreeMap<(String, u32), String> = links
        .links
        .iter()
        .flat_map(|link| current(link, now).map(|one| (key(one), link.connectivity.clone())))
        .collect();
    for link in &mut links.links {
        link.complete_in = of(link, seen, &kinds, now, &IN);
        link.complete_out = of(link, seen, &kinds, now, &OUT);
    }
}

fn key(member: &Member) -> (String, u32) {
    (member.interface.exporter.clone(), member.interface.if_index)
}

fn current(link: &Link, now: u32) -> impl Iterator<Item = &Member> {
    link.members.iter().filter(move |one| one.valid_from <= now && now < one.valid_to)
}

type Kinds = BTreeMap<(String, u32), String>;

fn of(link: &Link, seen: &Seen, kinds: &Kinds, now: u32, direction: &Direction) -> Option<Complete> {
    let members: Vec<_> = current(link, now).collect();
    let (mut at, mut unsampled, mut missing) = (0, Vec::new(), Vec::new());
    for member in &members {
        let (all, whole) = seen.of(&member.interface.exporter);
        let own = all.iter().find(|one| one.if_index == member.interface.if_index);
        if own.is_some_and(direction.is_here) {
            at += 1;
            continue;
        }
        // From here on it hangs on all interfaces of the exporter.
        if !whole {
            return None;
        }
        if own.is_none() {
            continue;
        }
        at += 1;
        unsampled.push(&member.interface);
        let is_own = |one: &Observed| {
            members.iter().any(|other| {
                other.interface.exporter == member.interface.exporter
                    && other.interface.if_index == one.if_index
            })
        };
        let others = all.iter().filter(|one| one.if_index != 0 && !is_own(one));
        missing.extend(others.filter(|one| !(direction.is_there)(one)).map(|one| (&member.interface, one)));
    }
    if at == 0 {
        return None;
    }
    missing.sort_by_key(|(of, one)| (of.exporter.clone(), one.if_index));
    missing.dedup_by_key(|(of, one)| (of.exporter.clone(), one.if_index));
    let Direction { word, here, there, .. } = direction;
    let says = if unsampled.is_empty() {
        format!("{word} is complete: sampled on {here} here")
    } else if missing.is_empty() {
        format!("{word} is complete: not sampled on {here} here, but all other interfaces are on {there}")
    } else {
        let place =
            if unsampled.len() == at { "here".to_owned() } else { format!("on {}", names(&unsampled)) };
        format!(
            "{word} is incomplete: no {here} sampling {place}, and {} not sampled on {there}",
            subjects(&missing, kinds)
        )
    };
    let interface = |(of, one): &(&Interface, &Observed)| Interface {
        exporter: of.exporter.clone(),
        exporter_name: of.exporter_name.clone(),
        if_index: one.if_index,
        name: one.name.clone(),
        description: one.description.clone(),
        speed: 0,
    };
    Some(Complete {
        complete: missing.is_empty(),
        says,
        missing: missing.iter().take(MOST).map(interface).collect(),
    })
}

fn called(name: &str, if_index: u32) -> String {
    if name.is_empty() { if_index.to_string() } else { name.to_owned() }
}

fn names(interfaces: &[&Interface]) -> String {
    let names = interfaces.iter().take(NAMED).map(|one| called(&one.name, one.if_index));
    names.collect::<Vec<_>>().join(", ")
}

/// Interfaces as the subject of a sentence, with its verb, by what they are for: "core interfaces 3, 7 are".
fn subjects(missing: &[(&Interface, &Observed)], kinds: &Kinds) -> String {
    let mut by_kind: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (of, one) in missing.iter().take(NAMED) {
        let kind = kinds.get(&(of.exporter.clone(), one.if_index)).map_or("", String::as_str);
        by_kind.entry(kind).or_default().push(called(&one.name, one.if_index));
    }
    let part = |(kind, names): (&&str, &Vec<String>)| {
        let what = if names.len() == 1 { "interface" } else { "interfaces" };
        let kind = if kind.is_empty() { String::new() } else { format!("{kind} ") };
        format!("{kind}{what} {}", names.join(", "))
    };
    let parts: Vec<_> = by_kind.iter().map(part).collect();
    let more = missing.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(", and {more} more,") } else { String::new() };
    format!("{}{more} {}", parts.join(" and "), if missing.len() == 1 { "is" } else { "are" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn observed(if_index: u32, ingress: u64, egress: u64) -> Observed {
        Observed { if_index, ingress, egress, elsewhere: 1, ..Observed::default() }
    }

    fn link(connectivity: &str, members: &[(&str, u32)]) -> Link {
        let member = |(exporter, if_index): &(&str, u32)| {
            let interface =
                Interface { exporter: (*exporter).into(), if_index: *if_index, ..Interface::default() };
            Member { interface, valid_from: 0, valid_to: u32::MAX }
        };
        Link {
            connectivity: connectivity.into(),
            members: members.iter().map(member).collect(),
            ..Link::default()
        }
    }

    fn seen<const N: usize>(all: [(&str, Vec<Observed>); N]) -> Seen {
        let interfaces = all.into_iter().map(|(exporter, all)| (exporter.to_owned(), all)).collect();
        Seen { interfaces, ..Seen::default() }
    }

    #[test]
    fn nothing_is_said_that_hangs_on_interfaces_which_were_not_told() {
        let told = |seen: &Seen, exporter: &str, if_index: u32| {
            let mut links = Links { links: vec![link("ix", &[(exporter, if_index)])], ..Links::default() };
            say(&mut links, seen, 9);
            let complete = |one: &Option<Complete>| one.as_ref().map(|one| one.complete);
            (complete(&links.links[0].complete_in), complete(&links.links[0].complete_out))
        };
        // Interface 1 is sampled on ingress, and so are all that are known.
        let whole = seen([("a", vec![observed(1, 5, 0), observed(2, 5, 0)])]);
        assert_eq!(told(&whole, "a", 1), (Some(true), Some(true)));
        let cut = Seen { cut: BTreeSet::from(["a".to_owned()]), ..seen([("a", vec![observed(1, 5, 0)])]) };
        assert_eq!(told(&cut, "a", 1), (Some(true), None), "what is sampled here hangs on no other");
        assert_eq!(told(&cut, "a", 900), (None, None), "it may be among the others");
        let more = Seen { more: true, ..seen([("a", vec![observed(1, 5, 5)])]) };
        let mut links = Links { links: vec![link("ix", &[("a", 1), ("b", 1)])], ..Links::default() };
        say(&mut links, &more, 9);
        assert_eq!(links.links[0].complete_in, None, "the other exporter may be one that was not told");
    }

    /// Interface 1 is a transit, 2 a customer, 3 and 7 lead to the core; of each exporter where packets were observed.
    #[test]
    fn a_direction_is_complete_by_its_own_interface_or_by_all_others_and_what_is_missing_is_named() {
        let all = |of: &[(u32, u64, u64)]| {
            of.iter().map(|(n, ingress, egress)| observed(*n, *ingress, *egress)).collect()
        };
        let mut told = Vec::new();
        for (what, of) in [
            ("ingress everywhere", &[(1, 5, 0), (2, 5, 0), (3, 5, 0), (7, 5, 0)][..]),
            ("egress everywhere", &[(1, 0, 5), (2, 0, 5), (3, 0, 5), (7, 0, 5)]),
            ("both on the transit alone", &[(1, 5, 5), (2, 0, 0), (3, 0, 0), (7, 0, 0)]),
            ("ingress, but not at the core", &[(1, 5, 0), (2, 5, 0), (3, 0, 0), (7, 0, 0)]),
            ("ingress, but not at a customer", &[(1, 5, 0), (2, 0, 0), (3, 5, 0), (7, 5, 0)]),
            ("nothing here", &[(2, 5, 0)]),
            ("not on the transit", &[(1, 0, 0), (2, 5, 0), (3, 5, 0), (7, 5, 0), (0, 0, 0)]),
            ("nowhere known", &[(1, 0, 0), (2, 0, 0), (3, 0, 0), (4, 0, 0), (5, 0, 0), (6, 0, 0), (7, 0, 0)]),
        ] {
            let seen = seen([("a", all(of))]);
            let core = link("core", &[("a", 3), ("a", 7)]);
            let mut links = Links {
                links: vec![link("transit", &[("a", 1)]), link("customer", &[("a", 2)]), core],
                ..Links::default()
            };
            say(&mut links, &seen, 9);
            let transit = &links.links[0];
            let words = |one: &Option<Complete>| {
                one.as_ref().map_or("nothing is said".to_owned(), |one| one.says.clone())
            };
            told.push(format!(
                "{what}\n  {}\n  {}",
                words(&transit.complete_in),
                words(&transit.complete_out)
            ));
        }
        insta::assert_snapshot!(told.join("\n"));
    }

    #[test]
    fn each_interface_of_a_link_counts_with_its_own_exporter_and_only_while_it_is_on_it() {
        let mut links =
            Links { links: vec![link("ix", &[("a", 1), ("b", 1), ("c", 1)])], ..Links::default() };
        links.links[0].members[2].valid_to = 5;
        let seen = seen([
            ("a", vec![observed(1, 5, 5), observed(2, 0, 0)]),
            ("b", vec![observed(1, 5, 0), observed(2, 0, 0)]),
            ("c", vec![observed(1, 0, 0), observed(2, 0, 0)]),
        ]);
        say(&mut links, &seen, 9);
        let link = &links.links[0];
        assert!(link.complete_in.as_ref().unwrap().complete);
        let out = link.complete_out.as_ref().unwrap();
        let missing: Vec<_> = out.missing.iter().map(|one| (one.exporter.as_str(), one.if_index)).collect();
        assert_eq!((out.complete, missing), (false, vec![("b", 2)]));
    }
}
