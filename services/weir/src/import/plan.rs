//! What a file of AS-Stats comes to: links to be said, those that are there already, and what stands against it.
//!
//! What must stay true: nothing is guessed. What a link is for is not in the file, so whoever imports says it; and what a person said already is
//! never said otherwise.

use super::knownlinks::{Fault, Line};
use crate::printable::printable;
use regex::Regex;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::IpAddr;
use weir_api::links::{Link, Said, SaidBy, SaidMember};

/// What links are for whose tag or description this fits.
#[derive(Clone, Debug)]
pub struct Kind {
    /// `transit`, `ix`, `pni`, `customer` or `core`.
    pub connectivity: String,
    /// Over tag and description.
    pub fits: Regex,
}

/// A link of the file.
#[derive(Clone, Debug)]
pub struct Planned {
    /// What it is called for good: the tag.
    pub id: String,
    /// What is said of it.
    pub said: Said,
    /// Whether it is so already.
    pub is_there: bool,
}

/// All links of the file, in its order.
#[derive(Clone, Debug)]
pub struct Plan {
    /// They.
    pub links: Vec<Planned>,
    /// What was decided where the file says two things.
    pub notes: Vec<String>,
    /// Sampling rates that the file has, by exporter.
    rates: BTreeMap<IpAddr, Vec<u64>>,
}

/// Makes the plan, beside the links that there are.
pub fn plan(lines: &[Line], kinds: &[Kind], there: &[Link]) -> Result<Plan, Vec<Fault>> {
    let (mut faults, mut plan) =
        (Vec::new(), Plan { links: Vec::new(), notes: Vec::new(), rates: BTreeMap::new() });
    let mut all = there.to_vec();
    for (first, of_tag) in by_tag(lines) {
        let mut said = said(first, &of_tag, kinds);
        if said.connectivity.is_empty() {
            let words = format!(
                "nothing says what {} is for; add --connectivity KIND={}, where KIND is transit, ix, pni, customer or core",
                first.tag, first.tag
            );
            faults.push(Fault { line: first.number, words });
            continue;
        }
        // A description is no name in AS-Stats: several links may have the same.
        if all.iter().any(|one| one.id != first.tag && one.name == said.name) {
            said.name = format!("{} ({})", said.name, first.tag);
        }
        plan.notes.extend(of_tag.iter().filter(|one| one.description != first.description).map(|one| {
            format!(
                "line {}: {} is described as in line {} and not as '{}'",
                one.number, one.tag, first.number, one.description
            )
        }));
        let before = all.iter().find(|one| one.id == first.tag && one.said_by == SaidBy::Person);
        match (said.link(&first.tag, &all), before) {
            (Err(wrong), _) => {
                faults.push(Fault { line: first.number, words: format!("{}: {wrong}", first.tag) });
            }
            (Ok(link), Some(before)) if !same(&link, before) => {
                let words = format!(
                    "{} was said to be something else already; take it back on the page Links, or leave its lines out",
                    first.tag
                );
                faults.push(Fault { line: first.number, words });
            }
            (Ok(link), before) => {
                let is_there = before.is_some();
                all.extend((!is_there).then_some(link));
                plan.links.push(Planned { id: first.tag.clone(), said, is_there });
            }
        }
    }
    for line in lines {
        let rates = line.rate.map(|rate| (plan.rates.entry(line.exporter).or_default(), rate));
        if let Some((rates, rate)) = rates.filter(|(rates, rate)| !rates.contains(rate)) {
            rates.push(rate);
        }
    }
    faults.sort_by_key(|fault| fault.line);
    if faults.is_empty() { Ok(plan) } else { Err(faults) }
}

/// Lines of one tag are one link. With each its first line.
fn by_tag(lines: &[Line]) -> Vec<(&Line, Vec<&Line>)> {
    let mut all: Vec<(&Line, Vec<&Line>)> = Vec::new();
    for line in lines {
        match all.iter_mut().find(|(first, _)| first.tag == line.tag) {
            Some((_, of_tag)) => of_tag.push(line),
            None => all.push((line, vec![line])),
        }
    }
    all
}

fn said(first: &Line, of_tag: &[&Line], kinds: &[Kind]) -> Said {
    let fits = |kind: &&Kind| kind.fits.is_match(&first.tag) || kind.fits.is_match(&first.description);
    let member = |line: &&Line| SaidMember {
        exporter: line.exporter.to_string(),
        if_index: line.if_index,
        valid_from: None,
        valid_to: None,
    };
    Said {
        name: first.description.clone(),
        connectivity: kinds.iter().find(fits).map(|kind| kind.connectivity.clone()).unwrap_or_default(),
        members: of_tag.iter().map(member).collect(),
        ..Said::default()
    }
}

/// Whether a link is what the file says of it. What the file does not say may have been added since.
fn same(link: &Link, before: &Link) -> bool {
    let members = |of: &Link| {
        let mut all: Vec<_> = of
            .members
            .iter()
            .map(|one| (one.interface.exporter.clone(), one.interface.if_index, one.valid_from, one.valid_to))
            .collect();
        all.sort();
        all
    };
    (&link.name, &link.connectivity, members(link)) == (&before.name, &before.connectivity, members(before))
}

impl Plan {
    /// Links that are not there yet.
    pub fn new_ones(&self) -> impl Iterator<Item = &Planned> {
        self.links.iter().filter(|one| !one.is_there)
    }

    /// It in words, for people.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for Planned { id, said, is_there } in &self.links {
            let members: Vec<_> =
                said.members.iter().map(|one| format!("{} ifIndex {}", one.exporter, one.if_index)).collect();
            let there = if *is_there { ", as it is already" } else { "" };
            let (kind, name) = (&said.connectivity, printable(&said.name));
            let _ = writeln!(text, "{id}: {kind} '{name}', {}{there}", members.join(", "));
        }
        for note in &self.notes {
            let _ = writeln!(text, "{}", printable(note));
        }
        for (exporter, rates) in &self.rates {
            let said: Vec<_> = rates.iter().map(|rate| format!("1 in {rate}")).collect();
            let _ = writeln!(
                text,
                "{exporter} samples {} by the file. Weir takes the rate that the router announces: see on the page Exporters that it does.",
                said.join(" and ")
            );
            // Of several it can't be known which one the flows of an interface have.
            if let [rate] = rates[..] {
                let _ = writeln!(
                    text,
                    "Where it announces none, this in the configuration says it, for the past as well:\n\n[[decoder.enrich.exporters]]\n\
                     address = \"{exporter}\"\nsampling_interval = {rate}\n"
                );
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::super::knownlinks::read;
    use super::*;

    const FILE: &str = "192.0.2.1\t15\ttelia\tTelia Transit\tFF0000\t2000\n192.0.2.1\t16\ttelia\tTelia second\tFF0000\t2000\n\
                        192.0.2.2\t4\tdecix\tPeering LAN\t00FF00\n192.0.2.2\t5\tamsix\tPeering LAN\t00FF00\t512\n";

    fn kinds(all: &[(&str, &str)]) -> Vec<Kind> {
        let kind = |(kind, fits): &(&str, &str)| Kind {
            connectivity: (*kind).to_owned(),
            fits: Regex::new(fits).unwrap(),
        };
        all.iter().map(kind).collect()
    }

    const ALL: [(&str, &str); 2] = [("transit", "(?i)transit"), ("ix", "ix$")];

    fn planned(file: &str, all: &[(&str, &str)], there: &[Link]) -> Result<Plan, String> {
        let lines = read(file, &BTreeMap::new()).unwrap();
        let words = |faults: Vec<Fault>| faults.iter().map(Fault::to_string).collect::<Vec<_>>().join("\n");
        plan(&lines, &kinds(all), there).map_err(words)
    }

    fn links(plan: &Plan) -> Vec<Link> {
        plan.links.iter().map(|one| one.said.link(&one.id, &[]).unwrap()).collect()
    }

    #[test]
    fn lines_of_a_tag_are_one_link_and_what_is_decided_is_told() {
        insta::assert_snapshot!(planned(FILE, &ALL, &[]).unwrap().text());
    }

    #[test]
    fn what_a_link_is_for_is_not_guessed() {
        let why = planned(FILE, &ALL[..1], &[]).unwrap_err();
        assert_eq!(why.lines().count(), 2, "{why}");
        assert!(
            why.starts_with("line 3: nothing says what decix is for; add --connectivity KIND=decix"),
            "{why}"
        );
    }

    #[test]
    fn what_was_imported_is_left_as_it_is_with_what_people_added_since() {
        let first = planned(FILE, &ALL, &[]).unwrap();
        assert_eq!(first.new_ones().count(), 3);
        let mut there = links(&first);
        there[0].provider = "Arelion".to_owned();
        there[0].price = 100;
        let again = planned(FILE, &ALL, &there).unwrap();
        assert_eq!((again.links.len(), again.new_ones().count()), (3, 0));
    }

    #[test]
    fn what_a_person_said_otherwise_is_never_overwritten() {
        let mut there = links(&planned(FILE, &ALL, &[]).unwrap());
        there[0].members.truncate(1);
        there[2].id = "other".to_owned();
        let why = planned(FILE, &ALL, &there).unwrap_err();
        insta::assert_snapshot!(why);
        // What rules say yields.
        there.iter_mut().for_each(|one| one.said_by = SaidBy::Rule);
        there[2].name = "by rule".to_owned();
        assert_eq!(planned(FILE, &ALL, &there[2..]).unwrap().new_ones().count(), 3);
    }
}
