//! The network that `make run` shows: three routers of three vendors, with the links and habits that a peering engineer knows. All of it is data;
//! what sends it is what sends the network of load tests.
//!
//! What must stay true, because pages are shown by it: one AS has most traffic over transit though it is met at an IX ([`DISCOVER`]), one router
//! samples on ingress alone, one exports no ASes, and two interfaces are on no link yet, which can be told what they are.

mod ases;
mod routers;

pub use ases::DISCOVER;

use crate::configuration;
use crate::network::{self, Exporter, Habit, Interface, Purpose};
use crate::world::World;
use anyhow::Result;
use ases::{AT_THE_IX, INBOUND, QUIET};
use routers::{Port, ROUTERS, RULES, Router};
use std::net::Ipv4Addr;

/// Sampling so thinly makes a flow of a thousand packets one that fills a port: there are none.
const RAREST: f64 = 0.01;

/// The ASes that it exchanges traffic with.
///
/// # Errors
/// Where there are none.
pub fn world(all: World) -> Result<World> {
    all.without(QUIET)
}

/// Its routers, from an address on.
pub fn network(world: &World, first: Ipv4Addr) -> Vec<Exporter> {
    let address = |n: usize| Ipv4Addr::from(u32::from(first) + n as u32);
    ROUTERS.iter().enumerate().map(|(n, router)| router.exporter(world, address(n))).collect()
}

/// Configuration for the decoder: the rules that most interfaces are named by, names, and what options data does not tell.
pub fn links_toml(exporters: &[Exporter]) -> String {
    configuration::toml(RULES, exporters)
}

impl Router {
    fn exporter(&self, world: &World, address: Ipv4Addr) -> Exporter {
        let ports = self.ports.iter().enumerate();
        let rest: Vec<usize> = ports.flat_map(|(place, port)| vec![place; port.rest]).collect();
        let habits = world.ases().iter().enumerate();
        Exporter {
            address,
            name: self.name.to_owned(),
            protocol: self.protocol,
            announces: self.announces,
            interval: self.interval,
            rate_after: 0,
            templates_after: 0,
            exports_as: self.exports_as,
            egress: self.egress,
            tagged: false,
            rarest: RAREST,
            weight: self.weight,
            interfaces: self.ports.iter().map(Port::interface).collect(),
            habits: habits
                .filter_map(|(rank, one)| Some((rank, self.habit(one.number, rank, &rest)?)))
                .collect(),
            rest,
        }
    }

    /// Traffic with an AS that a port names, or that mostly sends or is sent to.
    fn habit(&self, asn: u32, rank: usize, rest: &[usize]) -> Option<Habit> {
        let named = self.ports.iter().position(|port| port.to.iter().any(|ases| ases.contains(&asn)));
        let usual = rest[rank % rest.len()];
        let over = match named {
            Some(place) if asn == DISCOVER && self.ports[place].purpose == Purpose::Ix => {
                vec![(place, AT_THE_IX), (usual, 1.0 - AT_THE_IX)]
            }
            Some(place) => vec![(place, 1.0)],
            None => vec![(usual, 1.0)],
        };
        let inbound = INBOUND.iter().find(|(ases, _)| ases.contains(&asn)).map(|(_, share)| *share);
        let is_usual = named.is_none() && inbound.is_none();
        (!is_usual).then_some(Habit { over, inbound: inbound.unwrap_or(network::INBOUND) })
    }
}

impl Port {
    fn interface(&self) -> Interface {
        Interface {
            index: self.index,
            name: self.name.to_owned(),
            description: self.description.to_owned(),
            purpose: self.purpose,
            speed: self.speed * 1_000_000_000,
            link: self.link.to_owned(),
            neighbour: self.neighbour,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ases::{AMS_IX, CONTENT, DE_CIX, EYEBALLS};
    use super::*;
    use crate::traffic::Traffic;
    use std::collections::{BTreeMap, BTreeSet};

    /// The real ASes that the tables name, in the order of their traffic, and many others.
    fn world() -> World {
        let mut lines = String::new();
        let named = DE_CIX.iter().chain(AMS_IX).chain(EYEBALLS).chain(CONTENT);
        for (n, asn) in
            named.copied().collect::<BTreeSet<_>>().into_iter().chain(300_000..302_000).enumerate()
        {
            let (a, b) = (11 + n / 256, n % 256);
            lines += &format!(
                "{a}.{b}.0.0,{a}.{b}.255.255,{asn},Example\n2a00:{n:x}::,2a00:{n:x}:ffff::,{asn},Example\n"
            );
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("asn.csv");
        std::fs::write(&path, lines).unwrap();
        super::world(World::read(&[&path], 4000, 1).unwrap()).unwrap()
    }

    #[test]
    fn a_pni_carries_one_as_an_ix_dozens_and_transit_the_rest() {
        let world = world();
        let mut ases: BTreeMap<(String, &str), BTreeSet<u32>> = BTreeMap::new();
        for (number, exporter) in network(&world, Ipv4Addr::new(127, 64, 0, 1)).iter().enumerate() {
            let mut traffic = Traffic::new(exporter, number, 1);
            for _ in 0..30_000 {
                let flow = traffic.next(&world, exporter);
                let index = if flow.inbound { flow.interfaces.0 } else { flow.interfaces.1 };
                let port = ROUTERS[number].ports.iter().find(|port| port.index == index).unwrap();
                let asn = flow.ases.0.max(flow.ases.1);
                ases.entry((format!("{:?}", port.purpose), port.description)).or_default().insert(asn);
                assert_ne!(flow.interfaces.0, flow.interfaces.1);
            }
        }
        for ((purpose, description), ases) in &ases {
            let expected = match purpose.as_str() {
                "Pni" => 1..2,
                "Ix" => 25..40,
                "Transit" => 200..5000,
                _ => 1..5000,
            };
            assert!(expected.contains(&ases.len()), "{} ASes over {description}", ases.len());
        }
        let over_transit = |((purpose, _), ases): (&(String, &str), &BTreeSet<u32>)| {
            purpose == "Transit" && ases.contains(&DISCOVER)
        };
        assert!(ases.iter().any(over_transit));
    }

    #[test]
    fn two_interfaces_are_on_no_link_and_all_others_on_one_that_a_rule_could_name() {
        let rules: toml::Table = RULES.parse().unwrap();
        let rules = rules["decoder"]["enrich"]["links"].as_array().unwrap();
        let begins = |rule: &toml::Value| {
            rule["description"]
                .as_str()
                .unwrap()
                .trim_start_matches('^')
                .split(' ')
                .next()
                .unwrap()
                .to_owned()
        };
        let words: Vec<String> = rules.iter().map(begins).collect();
        let ports = || ROUTERS.iter().flat_map(|router| router.ports);
        for port in ports() {
            assert_eq!(words.iter().any(|word| port.description.starts_with(word)), !port.link.is_empty());
        }
        assert_eq!(ports().filter(|port| port.link.is_empty()).count(), 2);
    }
}
