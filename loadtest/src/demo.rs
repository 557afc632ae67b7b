//! The network that `make run` shows: three routers of three vendors, with the links and habits that a peering engineer knows. All of it is data;
//! what sends it is what sends the network of load tests.
//!
//! What must stay true, because pages are shown by it: one AS has most traffic over transit though it is met at an IX ([`DISCOVER`]), one router
//! samples on ingress alone, one exports no ASes, and two interfaces are on no link yet, which can be told what they are.

use crate::configuration;
use crate::network::{self, Announces, Exporter, ExportsAs, Habit, Interface, Protocol, Purpose};
use crate::world::World;
use anyhow::Result;
use std::net::Ipv4Addr;

/// Large over transit, and present at an IX where it announces a part of its networks: the peering that there is to discover.
pub const DISCOVER: u32 = 16509;
/// Share of its traffic that comes over that IX.
const AT_THE_IX: f64 = 0.15;

const GOOGLE: u32 = 15169;
const NETFLIX: u32 = 2906;
const APPLE: u32 = 714;

/// Networks that are met at DE-CIX Frankfurt.
const DE_CIX: &[u32] = &[
    DISCOVER, 13335, 32934, 20940, 8075, 54113, 60068, 46489, 32590, 24940, 16276, 14061, 36561, 396_982,
    13414, 22822, 8560, 6939, 31898, 13030, 12876, 51167, 197_540, 47541, 62041, 20773, 680, 28753, 202_053,
    24961, 8881, 35244, 9009,
];
/// Networks that are met at AMS-IX.
const AMS_IX: &[u32] = &[
    13335, 32934, 20940, 8075, 54113, APPLE, 60068, 46489, 32590, 16276, 14061, 36561, 396_982, 13414, 22822,
    6939, 31898, 13030, 2635, 36459, 62041, 1103, 1136, 33915, 50266, 49544, 60781, 28753, 39686, 5432,
];
/// Networks of people: they fetch what this network's customers have.
const EYEBALLS: &[u32] = &[3320, 6830, 7922, 3209, 12322, 5432, 1136, 33915, 50266, 8881, 35244, 1103, 680];
/// Networks of content: hardly anything is sent there.
const CONTENT: &[u32] = &[
    GOOGLE, NETFLIX, 13335, 32934, 20940, 54113, APPLE, 60068, 46489, 32590, 138_699, 36561, 22822, DISCOVER,
];

/// Networks with many addresses that few people hear of, and carriers that are met as transits here.
const QUIET: &[u32] = &[56, 719, 721, 749, 1540, 5972, 6253, 7377, 11003, 203_665, 1299, 3356];

/// Share of flows that come in, of each kind.
const INBOUND: [(&[u32], f64); 2] = [(EYEBALLS, 0.3), (CONTENT, 0.85)];

/// Sampling so thinly makes a flow of a thousand packets one that fills a port: there are none.
const RAREST: f64 = 0.01;

const G: u64 = 1_000_000_000;

/// A router.
struct Router {
    name: &'static str,
    protocol: Protocol,
    announces: Announces,
    interval: u32,
    exports_as: ExportsAs,
    egress: bool,
    /// Its share of datagrams; of sFlow they have few samples.
    weight: f64,
    ports: &'static [Port],
}

/// An interface.
struct Port {
    index: u32,
    name: &'static str,
    purpose: Purpose,
    /// Speed in Gbit/s.
    speed: u64,
    description: &'static str,
    /// Name of the link that the rules make of it.
    link: &'static str,
    neighbour: u32,
    /// ASes that it leads to.
    to: &'static [&'static [u32]],
    /// How many shares it has of all that no port leads to.
    rest: usize,
}

/// A row of the tables below.
#[allow(clippy::too_many_arguments)]
const fn port(
    index: u32,
    name: &'static str,
    purpose: Purpose,
    speed: u64,
    description: &'static str,
    link: &'static str,
    neighbour: u32,
    to: &'static [&'static [u32]],
    rest: usize,
) -> Port {
    Port { index, name, purpose, speed, description, link, neighbour, to, rest }
}

use Purpose::{Core, Customer, Ix, Pni, Transit};

#[rustfmt::skip]
const FRANKFURT: &[Port] = &[
    port(513, "xe-0/0/0", Transit, 10, "TRANSIT: Arelion AS1299 | IC-358112", "Transit Arelion", 1299, &[], 1),
    port(516, "xe-0/0/3", Ix, 10, "IX: DE-CIX Frankfurt | port 7A-12", "IX DE-CIX Frankfurt", 0, &[DE_CIX], 0),
    port(519, "xe-0/1/0", Pni, 10, "PNI: Google AS15169 | cage 12 xc 4471", "PNI Google", GOOGLE, &[&[GOOGLE]], 0),
    port(522, "xe-0/2/1", Pni, 10, "turn-up CHG0048213, do not touch", "", APPLE, &[&[APPLE]], 0),
    port(531, "xe-0/2/4", Customer, 10, "CUST: Example Hospital | contract 20417", "Customer Example Hospital", 0, &[], 0),
    port(532, "xe-0/2/5", Customer, 10, "CUST: Example University | contract 20388", "Customer Example University", 0, &[], 0),
    port(545, "et-0/3/0", Core, 100, "CORE: fra-ams | Hu0/1/0/0", "Core fra-ams", 0, &[&[NETFLIX]], 0),
    port(546, "et-0/3/1", Core, 100, "CORE: fra-ber | Ethernet49/1", "Core fra-ber", 0, &[], 0),
];

#[rustfmt::skip]
const AMSTERDAM: &[Port] = &[
    port(71, "TenGigE0/0/0/0", Transit, 10, "TRANSIT: Lumen AS3356 | BBKT 88317", "Transit Lumen", 3356, &[], 1),
    port(74, "TenGigE0/0/0/3", Ix, 10, "IX: AMS-IX | asd001-jnp-07", "IX AMS-IX", 0, &[AMS_IX], 0),
    port(77, "TenGigE0/0/0/6", Pni, 10, "PNI: Netflix AS2906 | row C rack 9", "PNI Netflix", NETFLIX, &[&[NETFLIX]], 0),
    port(85, "TenGigE0/0/1/2", Customer, 10, "CUST: Example Bank | contract 20102", "Customer Example Bank", 0, &[], 0),
    port(86, "TenGigE0/0/1/3", Customer, 10, "CUST: Example Broadcasting | contract 20455", "Customer Example Broadcasting", 0, &[], 0),
    port(93, "HundredGigE0/1/0/0", Core, 100, "CORE: fra-ams | et-0/3/0", "Core fra-ams", 0, &[&[GOOGLE]], 0),
    port(94, "HundredGigE0/1/0/1", Core, 100, "CORE: ams-ber | Ethernet50/1", "Core ams-ber", 0, &[], 0),
];

#[rustfmt::skip]
const BERLIN: &[Port] = &[
    port(1, "Ethernet1/1", Transit, 10, "TRANSIT: Lumen AS3356 | BBKT 90122 backup", "Transit Lumen", 3356, &[], 1),
    port(9, "Ethernet9", Customer, 10, "CUST: Example City Network | contract 20511", "Customer Example City Network", 0, &[], 0),
    port(10, "Ethernet10", Customer, 10, "CUST: Example Hosting | contract 20007", "Customer Example Hosting", 0, &[], 0),
    port(11, "Ethernet11", Customer, 1, "customer Example School - was ber-old Gi0/3", "", 0, &[], 0),
    port(193, "Ethernet49/1", Core, 100, "CORE: fra-ber | et-0/3/1", "Core fra-ber", 0, &[&[GOOGLE], DE_CIX], 2),
    port(197, "Ethernet50/1", Core, 100, "CORE: ams-ber | Hu0/1/0/1", "Core ams-ber", 0, &[&[NETFLIX]], 2),
];

const ROUTERS: [Router; 3] = [
    // Junos: `sampling input`.
    Router {
        name: "edge1.fra.example.net",
        protocol: Protocol::Ipfix,
        announces: Announces::Selector,
        interval: 20_000,
        exports_as: ExportsAs::Origin,
        egress: false,
        weight: 1.0,
        ports: FRANKFURT,
    },
    // IOS-XR without `bgp attribute-download`.
    Router {
        name: "edge2.ams.example.net",
        protocol: Protocol::NetflowV9,
        announces: Announces::Sampler,
        interval: 16_384,
        exports_as: ExportsAs::Zero,
        egress: true,
        weight: 1.4,
        ports: AMSTERDAM,
    },
    // EOS.
    Router {
        name: "edge3.ber.example.net",
        protocol: Protocol::Sflow,
        announces: Announces::Always,
        interval: 32_768,
        exports_as: ExportsAs::Origin,
        egress: true,
        weight: 3.0,
        ports: BERLIN,
    },
];

const RULES: &str = r"# Link rules and exporters of the demo's network.

[[decoder.enrich.links]]
description = '^TRANSIT: (?P<provider>\S+) AS(?P<asn>\d+)'
link = 'Transit $provider'
provider = '$provider'
neighbour_as = '$asn'
connectivity = 'transit'

[[decoder.enrich.links]]
description = '^IX: (?P<provider>[^|]+) \|'
link = 'IX $provider'
provider = '$provider'
connectivity = 'ix'

[[decoder.enrich.links]]
description = '^PNI: (?P<provider>.+) AS(?P<asn>\d+)'
link = 'PNI $provider'
provider = '$provider'
neighbour_as = '$asn'
connectivity = 'pni'

[[decoder.enrich.links]]
description = '^CUST: (?P<provider>[^|]+) \|'
link = 'Customer $provider'
provider = '$provider'
connectivity = 'customer'

[[decoder.enrich.links]]
description = '^CORE: (?P<ends>\S+)'
link = 'Core $ends'
connectivity = 'core'
";

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
            Some(place) if asn == DISCOVER && self.ports[place].purpose == Ix => {
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
            speed: self.speed * G,
            link: self.link.to_owned(),
            neighbour: self.neighbour,
        }
    }
}

#[cfg(test)]
mod tests {
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
                "Transit" => 400..5000,
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
