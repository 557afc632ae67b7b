//! What a person says of a link, checked, and the records that it comes to.

use super::{Link, Member, SaidBy, connectivity};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use thiserror::Error;
use utoipa::ToSchema;
use weir_filter::meant;
use weir_schemas::inventory::{Classified, Member as MemberRecord, Record};
use weir_schemas::{Connectivity, Ip};

/// Bytes of a name.
const LONG: usize = 100;
/// Most members.
const MOST: usize = 500;

/// A link as a person says it.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(example = json!({
    "name": "Transit A Frankfurt", "provider": "Example Carrier", "connectivity": "transit", "neighbour_as": 64500,
    "capacity": 100_000_000_000_u64, "commit_rate": 10_000_000_000_u64, "price": 120, "currency": "EUR",
    "members": [{"exporter": "192.0.2.1", "if_index": 517}]
}))]
pub struct Said {
    /// Name; no other link has it.
    #[schema(min_length = 1, max_length = 100)]
    pub name: String,
    /// Provider.
    #[schema(max_length = 100)]
    pub provider: String,
    /// What it is for: `transit`, `ix`, `pni`, `customer` or `core`.
    #[schema(pattern = "^(transit|ix|pni|customer|core)$")]
    pub connectivity: String,
    /// AS at the other end; 0: unknown or many.
    pub neighbour_as: u32,
    /// Capacity in bit/s; 0: unknown.
    pub capacity: u64,
    /// Rate in bit/s that is paid for whether it is used or not; 0: none.
    pub commit_rate: u64,
    /// Price of a Mbit/s for a month, in thousandths of the currency's unit; 0: unknown, or free.
    pub price: u64,
    /// Currency of the price (ISO 4217).
    #[schema(pattern = "^([A-Z]{3})?$")]
    pub currency: String,
    /// Interfaces that are or were on it.
    #[schema(min_items = 1, max_items = 500)]
    pub members: Vec<SaidMember>,
}

/// An interface on it.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SaidMember {
    /// Address that its exporter sends from.
    pub exporter: String,
    /// Index.
    #[schema(minimum = 1)]
    pub if_index: u32,
    /// From when on, in whole minutes (RFC 3339); without it, always.
    #[serde(default)]
    pub valid_from: Option<String>,
    /// Until when; without it, for good.
    #[serde(default)]
    pub valid_to: Option<String>,
}

/// What is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{detail}")]
pub struct Wrong {
    /// JSON pointer.
    pub pointer: String,
    /// In words.
    pub detail: String,
    /// Whether it is so because of another link.
    pub conflict: bool,
}

fn wrong(pointer: impl Into<String>, detail: impl Into<String>) -> Wrong {
    Wrong { pointer: pointer.into(), detail: detail.into(), conflict: false }
}

/// Checks what can be a name: it is shown and asked for.
fn named(pointer: &str, text: &str, empty: bool) -> Result<(), Wrong> {
    if text.len() > LONG {
        return Err(wrong(pointer, format!("has {} bytes, and {LONG} is most", text.len())));
    }
    if text.chars().any(char::is_control) {
        return Err(wrong(pointer, "has characters that are not shown"));
    }
    if text.trim() != text || (text.is_empty() && !empty) {
        return Err(wrong(pointer, "must be something, without spaces around it"));
    }
    Ok(())
}

impl Said {
    /// The link, if it makes sense beside those that there are.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn link(&self, id: &str, others: &[Link]) -> Result<Link, Wrong> {
        named("", id, false).map_err(|fault| wrong("", format!("the link's id {}", fault.detail)))?;
        named("/name", &self.name, false)?;
        named("/provider", &self.provider, true)?;
        let known = connectivity(&self.connectivity).filter(|kind| *kind != Connectivity::Unknown);
        if known.is_none() {
            let words = &Connectivity::WORDS[1..];
            let guess = meant(&self.connectivity, words.iter().copied());
            let detail = format!("'{}' is none of {}{guess}", short(&self.connectivity), words.join(", "));
            return Err(wrong("/connectivity", detail));
        }
        let iso = self.currency.len() == 3 && self.currency.bytes().all(|byte| byte.is_ascii_uppercase());
        if !(iso || self.currency.is_empty() && self.price == 0) {
            return Err(wrong("/currency", "a price is in a currency of ISO 4217, such as EUR"));
        }
        let others = others.iter().filter(|other| other.id != id);
        if let Some(other) = others.clone().find(|other| other.name == self.name) {
            let detail = format!("'{}' is the name of the link {} already", self.name, other.id);
            return Err(Wrong { conflict: true, ..wrong("/name", detail) });
        }
        let members = self.members()?;
        for (n, member) in members.iter().enumerate() {
            let earlier = members[..n].iter().any(|earlier| overlap(member, earlier));
            if earlier {
                let detail = "this interface is there twice for the same time";
                return Err(wrong(format!("/members/{n}"), detail));
            }
            // What a rule says yields to what a person says.
            let of_persons = others.clone().filter(|other| other.said_by == SaidBy::Person);
            if let Some(other) =
                of_persons.clone().find(|other| other.members.iter().any(|one| overlap(member, one)))
            {
                let detail = format!(
                    "{} ifIndex {} is on the link '{}' at that time; end it there first",
                    member.interface.exporter, member.interface.if_index, other.name
                );
                return Err(Wrong { conflict: true, ..wrong(format!("/members/{n}"), detail) });
            }
        }
        Ok(Link {
            id: id.to_owned(),
            name: self.name.clone(),
            provider: self.provider.clone(),
            connectivity: self.connectivity.clone(),
            neighbour_as: self.neighbour_as,
            capacity: self.capacity,
            commit_rate: self.commit_rate,
            price: self.price,
            currency: self.currency.clone(),
            said_by: SaidBy::Person,
            members,
            ..Link::default()
        })
    }

    fn members(&self) -> Result<Vec<Member>, Wrong> {
        if !(1..=MOST).contains(&self.members.len()) {
            let detail = format!("a link has between 1 and {MOST} interfaces; DELETE takes a link back");
            return Err(wrong("/members", detail));
        }
        self.members.iter().enumerate().map(|(n, member)| member.read(n)).collect()
    }
}

impl SaidMember {
    fn read(&self, n: usize) -> Result<Member, Wrong> {
        let at = |key: &str| format!("/members/{n}/{key}");
        let exporter: IpAddr = self
            .exporter
            .parse()
            .map_err(|_| wrong(at("exporter"), format!("'{}' is no IP address", short(&self.exporter))))?;
        if self.if_index == 0 {
            return Err(wrong(at("if_index"), "0 is no interface"));
        }
        let time = |key: &str, text: &Option<String>, without: u32| match text {
            None => Ok(without),
            Some(text) => minute(text).ok_or_else(|| {
                let detail = "is no whole minute that can be: write it such as 2026-11-27T08:00:00Z";
                wrong(at(key), format!("'{}' {detail}", short(text)))
            }),
        };
        let valid_from = time("valid_from", &self.valid_from, 0)?;
        let valid_to = time("valid_to", &self.valid_to, u32::MAX)?;
        if valid_from >= valid_to {
            return Err(wrong(at("valid_to"), "is not behind valid_from"));
        }
        // As it is written everywhere else, for it is compared as text.
        let exporter = Ip::from(exporter).to_string();
        let interface = super::Interface { exporter, if_index: self.if_index, ..super::Interface::default() };
        Ok(Member { interface, valid_from, valid_to })
    }
}

fn minute(text: &str) -> Option<u32> {
    let time: Timestamp = text.parse().ok()?;
    let whole = time.subsec_nanosecond() == 0 && time.as_second() % 60 == 0;
    u32::try_from(time.as_second()).ok().filter(|_| whole)
}

fn overlap(a: &Member, b: &Member) -> bool {
    let same = a.interface.exporter == b.interface.exporter && a.interface.if_index == b.interface.if_index;
    same && a.valid_from < b.valid_to && b.valid_from < a.valid_to
}

fn short(text: &str) -> String {
    text.chars().take(40).collect()
}

/// The records that say it: one for each exporter that has members, or had some when it was said last.
pub fn records(link: &Link, before: Option<&Link>) -> Vec<(Ip, Record)> {
    let exporters = |link: &Link| link.members.iter().map(|one| one.interface.exporter.clone()).collect();
    let mut all: BTreeSet<String> = exporters(link);
    all.extend(before.iter().flat_map(|before| -> BTreeSet<String> { exporters(before) }));
    let mut members: BTreeMap<&str, Vec<MemberRecord>> = BTreeMap::new();
    for member in &link.members {
        let (valid_from, valid_to) = (member.valid_from, member.valid_to);
        let record = MemberRecord { index: member.interface.if_index, valid_from, valid_to };
        members.entry(member.interface.exporter.as_str()).or_default().push(record);
    }
    let record = |exporter: &String| {
        let address: IpAddr = exporter.parse().ok()?;
        let classified = Classified {
            id: link.id.clone(),
            name: link.name.clone(),
            provider: link.provider.clone(),
            connectivity: connectivity(&link.connectivity).unwrap_or_default(),
            neighbour_as: link.neighbour_as,
            capacity: link.capacity,
            commit_rate: link.commit_rate,
            price: link.price,
            currency: link.currency.clone(),
            members: members.remove(exporter.as_str()).unwrap_or_default(),
        };
        Some((Ip::from(address), Record::Classified(classified)))
    };
    all.iter().filter_map(record).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(json: &str) -> Said {
        serde_json::from_str(json).unwrap()
    }

    const GOOD: &str = r#"{"name": "transit-A", "connectivity": "transit", "members": [
        {"exporter": "192.0.2.1", "if_index": 3},
        {"exporter": "2001:db8::1", "if_index": 4, "valid_to": "2026-11-01T00:00:00+01:00"}]}"#;

    fn changed(from: &str, to: &str) -> Said {
        assert!(GOOD.contains(from), "{from}");
        said(&GOOD.replace(from, to))
    }

    #[test]
    fn a_record_is_written_for_each_exporter_that_has_or_had_members() {
        let before = said(GOOD).link("a", &[]).unwrap();
        let mut after = before.clone();
        after.members.truncate(1);
        let shown: Vec<_> = records(&after, Some(&before))
            .into_iter()
            .map(|(exporter, record)| {
                let Record::Classified(link) = record else { unreachable!() };
                let members: Vec<_> =
                    link.members.iter().map(|one| (one.index, one.valid_from, one.valid_to)).collect();
                (exporter.to_string(), members)
            })
            .collect();
        assert_eq!(
            shown,
            [("192.0.2.1".to_owned(), vec![(3, 0, u32::MAX)]), ("2001:db8::1".to_owned(), vec![])]
        );
        assert_eq!(before.members[1].valid_to, 1_793_487_600);
    }

    #[test]
    fn what_makes_no_sense_is_said_with_its_place() {
        let other = Link { id: "b".into(), said_by: SaidBy::Person, ..said(GOOD).link("a", &[]).unwrap() };
        let by_rule = Link { name: "r".into(), said_by: SaidBy::Rule, ..other.clone() };
        let elsewhere = Link { name: "elsewhere".into(), ..other.clone() };
        let long = format!("\"name\": \"{}\"", "x".repeat(101));
        let twice =
            r#"{"exporter": "::ffff:192.0.2.1", "if_index": 3}, {"exporter": "192.0.2.1", "if_index": 3}"#;
        let shown: Vec<_> = [
            (said(GOOD), &by_rule),
            (said(GOOD), &other),
            (said(GOOD), &elsewhere),
            (changed("transit\"", "transits\""), &by_rule),
            (changed("transit\"", "unknown\""), &by_rule),
            (changed("\"transit-A\"", "\" \""), &by_rule),
            (changed("\"transit-A\"", r#""a\u0000b""#), &by_rule),
            (changed("\"name\": \"transit-A\"", &long), &by_rule),
            (changed("\"members\"", "\"price\": 1, \"members\""), &by_rule),
            (changed("\"members\"", "\"currency\": \"eur\", \"members\""), &by_rule),
            (changed("192.0.2.1", "edge1"), &by_rule),
            (changed("\"if_index\": 3", "\"if_index\": 0"), &by_rule),
            (changed("00:00+01", "00:30+01"), &by_rule),
            (changed("2026-11-01T00:00:00+01:00", "1970-01-01T00:00:00Z"), &by_rule),
            (changed(r#"{"exporter": "192.0.2.1", "if_index": 3}"#, twice), &by_rule),
            (said(r#"{"name": "a", "connectivity": "ix"}"#), &by_rule),
        ]
        .into_iter()
        .map(|(said, other)| match said.link("a", std::slice::from_ref(other)) {
            Ok(link) => format!("{}: good", link.name),
            Err(fault) => format!(
                "{} {}{}",
                fault.pointer,
                fault.detail,
                if fault.conflict { " (conflict)" } else { "" }
            ),
        })
        .collect();
        insta::assert_snapshot!(shown.join("\n"));
    }
}
