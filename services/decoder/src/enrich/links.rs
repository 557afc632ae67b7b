//! Exporters, interfaces and link rules as configured: what an interface is called and what it pays for.
//!
//! Rules run when metadata changes, not per flow. The first rule that fits decides.

use regex::{Captures, Regex};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use weir_schemas::{Connectivity, Ip, Observation};
use weir_wire::Own;

/// An exporter that people know something about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ExporterConfig {
    /// Transport source address of its datagrams.
    pub address: String,
    /// Name.
    pub name: String,
    /// Whether its AS fields (IE 16, 17) are origin or peer ASes; vendors' defaults differ.
    pub exported_as: ExportedAs,
    /// What a record counts as that doesn't say where the packet was observed.
    pub unknown_observation: Option<ObservationWord>,
    /// One of how many packets it samples, where it announces no rate; 0: unknown. It is applied when asked, so it holds for the past as well.
    pub sampling_interval: u64,
    /// Which address says who it is (`exporter_id`), where that is another than `decoder.wire.identity` says for all.
    pub identity: Option<weir_wire::Identity>,
    /// What its total counters (IE 85, 86) count, where that is other than `decoder.wire.total_counters` says for all.
    pub total_counters: Option<weir_wire::TotalCounters>,
    /// Interfaces whose names, descriptions or speeds are not exported.
    pub interfaces: Vec<InterfaceConfig>,
}

impl ExporterConfig {
    /// What it says of how the exporter is decoded.
    pub(super) fn own(&self) -> Own {
        Own { identity: self.identity, total_counters: self.total_counters }
    }
}

/// Most that an interval may be: what is scaled by more does not fit the sums (docs/counting.md, "Sampling rate").
pub const MAX_SAMPLING_INTERVAL: u64 = 1 << 32;

/// What an exporter puts into its AS fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ExportedAs {
    /// The AS that originates the prefix.
    #[default]
    Origin,
    /// The neighbouring AS that the traffic comes from or goes to.
    Peer,
}

/// Where packets are observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ObservationWord {
    /// On the input interface.
    Ingress,
    /// On the output interface.
    Egress,
}

impl From<ObservationWord> for Observation {
    fn from(word: ObservationWord) -> Self {
        match word {
            ObservationWord::Ingress => Self::Ingress,
            ObservationWord::Egress => Self::Egress,
        }
    }
}

/// What people know of an interface.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct InterfaceConfig {
    /// ifIndex.
    pub index: u32,
    /// Name; empty: as exported.
    pub name: String,
    /// Description; empty: as exported.
    pub description: String,
    /// Speed in bit/s; 0: as exported.
    pub speed: u64,
}

/// A rule that puts interfaces on links. All conditions given must hold; the first rule that fits decides. `$1` or `$name` in a
/// result stands for what the expressions captured.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LinkRule {
    /// Exporter's address or name; empty: any.
    pub exporter: String,
    /// ifIndex; 0: any.
    pub index: u32,
    /// Regular expression over the interface's name; empty: any.
    pub name: String,
    /// Regular expression over the interface's description; empty: any.
    pub description: String,
    /// Name of the link; empty: exporter and interface name. Interfaces of one link name are one link.
    pub link: String,
    /// Provider.
    pub provider: String,
    /// What the link is for: `transit`, `ix`, `pni`, `customer`, `core`.
    pub connectivity: String,
    /// AS at the other end, a number or a capture; empty: unknown or many.
    pub neighbour_as: String,
    /// Capacity in bit/s; 0: the interface's speed.
    pub capacity: u64,
}

/// An interface as enrichment sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// Name.
    pub name: String,
    /// Description.
    pub description: String,
    /// Speed in bit/s; 0: not known.
    pub speed: u64,
    /// The link it is on, if any.
    pub link: Option<Link>,
}

/// A link as a rule makes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Name.
    pub name: String,
    /// Provider.
    pub provider: String,
    /// What it is for.
    pub connectivity: Connectivity,
    /// AS at the other end; 0: unknown or many.
    pub neighbour_as: u32,
    /// Capacity in bit/s; 0: unknown.
    pub capacity: u64,
}

/// A rule with its expressions compiled.
#[derive(Debug)]
struct Compiled {
    rule: LinkRule,
    address: Option<Ip>,
    name: Option<Regex>,
    description: Option<Regex>,
    connectivity: Connectivity,
}

/// All rules, in order.
#[derive(Debug, Default)]
pub struct LinkRules(Vec<Compiled>);

fn expression(key: String, text: &str) -> Result<Option<Regex>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let first_line =
        |error: regex::Error| error.to_string().lines().last().unwrap_or_default().trim().to_owned();
    Regex::new(text)
        .map(Some)
        .map_err(|error| format!("{key}: '{text}' is no regular expression: {}", first_line(error)))
}

impl LinkRules {
    /// Compiles the rules. An error names the key below `decoder.enrich`.
    pub fn new(rules: &[LinkRule]) -> Result<Self, String> {
        let compile = |(n, rule): (usize, &LinkRule)| {
            let connectivity = match rule.connectivity.as_str() {
                "" => Connectivity::Unknown,
                word => {
                    Connectivity::ALL.iter().copied().find(|kind| kind.word() == word).ok_or_else(|| {
                        format!(
                            "links[{n}].connectivity: '{word}' is none of {}",
                            Connectivity::WORDS[1..].join(", ")
                        )
                    })?
                }
            };
            if !rule.neighbour_as.contains('$')
                && !rule.neighbour_as.is_empty()
                && rule.neighbour_as.parse::<u32>().is_err()
            {
                return Err(format!(
                    "links[{n}].neighbour_as: '{}' is neither a number nor a capture",
                    rule.neighbour_as
                ));
            }
            Ok(Compiled {
                rule: rule.clone(),
                address: rule.exporter.parse::<IpAddr>().ok().map(Ip::from),
                name: expression(format!("links[{n}].name"), &rule.name)?,
                description: expression(format!("links[{n}].description"), &rule.description)?,
                connectivity,
            })
        };
        rules.iter().enumerate().map(compile).collect::<Result<_, _>>().map(Self)
    }

    /// The link of an interface, by the first rule that fits.
    pub fn link(
        &self,
        exporter: &Ip,
        exporter_name: &str,
        index: u32,
        interface: &Interface,
    ) -> Option<Link> {
        self.0.iter().find_map(|compiled| compiled.link(exporter, exporter_name, index, interface))
    }
}

impl Compiled {
    fn link(&self, exporter: &Ip, exporter_name: &str, index: u32, interface: &Interface) -> Option<Link> {
        let rule = &self.rule;
        let is_exporter =
            rule.exporter.is_empty() || self.address == Some(*exporter) || rule.exporter == exporter_name;
        if !is_exporter || (rule.index != 0 && rule.index != index) {
            return None;
        }
        let capture = |regex: &Option<Regex>, text: &'_ str| match regex {
            None => Some(None),
            Some(regex) => regex.captures(text).map(|found| Some(expand(&found, rule))),
        };
        let by_name = capture(&self.name, &interface.name)?;
        let by_description = capture(&self.description, &interface.description)?;
        // The description's captures come last, so they win where both expressions use a name.
        let [mut link, mut provider, mut neighbour] =
            [rule.link.clone(), rule.provider.clone(), rule.neighbour_as.clone()];
        for expanded in [by_description, by_name].into_iter().flatten() {
            for (value, expanded) in [&mut link, &mut provider, &mut neighbour].into_iter().zip(expanded) {
                if value.contains('$') && !expanded.is_empty() {
                    *value = expanded;
                }
            }
        }
        if link.is_empty() {
            let exporter =
                if exporter_name.is_empty() { exporter.to_string() } else { exporter_name.to_owned() };
            let name =
                if interface.name.is_empty() { format!("ifIndex {index}") } else { interface.name.clone() };
            link = format!("{exporter} {name}");
        }
        Some(Link {
            name: link,
            provider: if provider.contains('$') { String::new() } else { provider },
            connectivity: self.connectivity,
            neighbour_as: neighbour.trim_start_matches("AS").parse().unwrap_or_default(),
            capacity: if rule.capacity == 0 { interface.speed } else { rule.capacity },
        })
    }
}

fn expand(found: &Captures<'_>, rule: &LinkRule) -> [String; 3] {
    [&rule.link, &rule.provider, &rule.neighbour_as].map(|template| {
        let mut text = String::new();
        found.expand(template, &mut text);
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(name: &str, description: &str) -> Interface {
        Interface { name: name.into(), description: description.into(), speed: 100_000_000_000, link: None }
    }

    #[test]
    fn the_first_rule_that_fits_decides_and_captures_fill_the_link() {
        let rules = LinkRules::new(&[
            LinkRule {
                description: r"^Transit: (?P<provider>\w+) AS(?P<asn>\d+)".into(),
                provider: "$provider".into(),
                neighbour_as: "$asn".into(),
                link: "transit-$provider".into(),
                connectivity: "transit".into(),
                ..LinkRule::default()
            },
            LinkRule { name: "^ae".into(), connectivity: "core".into(), ..LinkRule::default() },
            LinkRule {
                exporter: "192.0.2.1".into(),
                index: 7,
                provider: "LAN-IX".into(),
                connectivity: "ix".into(),
                capacity: 10,
                ..LinkRule::default()
            },
        ])
        .unwrap();
        let exporter: Ip = "192.0.2.1".parse::<IpAddr>().unwrap().into();
        let link =
            rules.link(&exporter, "edge1", 3, &interface("ae1", "Transit: Example AS64500 #1")).unwrap();
        assert_eq!(
            link,
            Link {
                name: "transit-Example".into(),
                provider: "Example".into(),
                connectivity: Connectivity::Transit,
                neighbour_as: 64500,
                capacity: 100_000_000_000
            }
        );
        assert_eq!(
            rules.link(&exporter, "edge1", 4, &interface("ae2", "")).unwrap().connectivity,
            Connectivity::Core
        );
        let ix = rules.link(&exporter, "edge1", 7, &Interface::default()).unwrap();
        assert_eq!((ix.provider.as_str(), ix.name.as_str(), ix.capacity), ("LAN-IX", "edge1 ifIndex 7", 10));
        assert_eq!(rules.link(&Ip::default(), "", 7, &Interface::default()), None);
    }

    #[test]
    fn a_bad_rule_is_named_by_its_key() {
        let refused = |rule| LinkRules::new(&[LinkRule::default(), rule]).unwrap_err();
        assert!(
            refused(LinkRule { name: "(".into(), ..LinkRule::default() })
                .starts_with("links[1].name: '(' is no regular")
        );
        assert!(
            refused(LinkRule { connectivity: "peer".into(), ..LinkRule::default() })
                .contains("transit, ix, pni, customer, core")
        );
        assert!(
            refused(LinkRule { neighbour_as: "x".into(), ..LinkRule::default() })
                .starts_with("links[1].neighbour_as")
        );
    }
}
