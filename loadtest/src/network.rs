//! A network that could be: edge routers with transit, exchange, private peering, customer and core interfaces, each router
//! exporting in a manner of its own, with the habits that make collectors err.

use crate::configuration;
use crate::world::World;
use rand::Rng;
use rand::rngs::StdRng;
use std::collections::HashMap;
use std::net::Ipv4Addr;

/// How an exporter exports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// NetFlow version 5.
    NetflowV5,
    /// NetFlow version 9.
    NetflowV9,
    /// IPFIX.
    Ipfix,
    /// sFlow version 5.
    Sflow,
}

impl Protocol {
    /// Whether options data tells interface names and descriptions.
    pub fn tells_interfaces(self) -> bool {
        matches!(self, Self::NetflowV9 | Self::Ipfix)
    }

    /// The port that it is usually sent to.
    pub fn port(self) -> u16 {
        match self {
            Self::NetflowV5 | Self::NetflowV9 => 2055,
            Self::Ipfix => 4739,
            Self::Sflow => 6343,
        }
    }
}

/// How an exporter says its sampling rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Announces {
    /// In the header of every datagram, or in every sample.
    Always,
    /// In every record (IE 34, 35).
    InRecord,
    /// By options data for a sampler that records name (IE 48, 50).
    Sampler,
    /// By options data for a selector that records name (IE 302, 304, 305, 306).
    Selector,
    /// Not at all.
    Never,
}

impl Announces {
    /// Whether it is in datagrams of its own.
    pub fn by_options(self) -> bool {
        matches!(self, Self::Sampler | Self::Selector)
    }
}

/// What an interface is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// Paid upstream.
    Transit,
    /// Internet exchange.
    Ix,
    /// Private interconnect with one AS.
    Pni,
    /// Paying customer.
    Customer,
    /// Inside the network.
    Core,
}

/// What an exporter's records say of ASes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportsAs {
    /// The origin ASes.
    Origin,
    /// 0, as where routes lack them in the forwarding table.
    Zero,
    /// Nothing: there are no such fields.
    Nothing,
}

/// What traffic with an AS is like.
#[derive(Clone, Debug, PartialEq)]
pub struct Habit {
    /// Interfaces that it goes over, by their place in the list, and the share of each.
    pub over: Vec<(usize, f64)>,
    /// Share of flows that come in.
    pub inbound: f64,
}

/// Share of flows that come in, of ASes without a habit of their own.
pub(crate) const INBOUND: f64 = 0.75;

/// An interface.
#[derive(Clone, Debug)]
pub struct Interface {
    /// ifIndex.
    pub index: u32,
    /// Name as the router has it.
    pub name: String,
    /// Description as an operator wrote it.
    pub description: String,
    /// What it is for.
    pub purpose: Purpose,
    /// Speed in bit/s that the configuration tells; 0: none.
    pub speed: u64,
    /// Name that the link rules give its link; empty: they fit none.
    pub link: String,
    /// AS at the other end; 0: many, or one's own.
    pub neighbour: u32,
}

/// A router that exports.
#[derive(Clone, Debug)]
pub struct Exporter {
    /// Address that its datagrams come from.
    pub address: Ipv4Addr,
    /// Its name.
    pub name: String,
    /// What it speaks.
    pub protocol: Protocol,
    /// How it says its sampling rate.
    pub announces: Announces,
    /// Its sampling rate, one in so many packets.
    pub interval: u32,
    /// Data datagrams that it sends before it says its rate in options data.
    pub rate_after: u64,
    /// Data datagrams that it sends before its templates.
    pub templates_after: u64,
    /// What its records say of ASes.
    pub exports_as: ExportsAs,
    /// Whether it samples on egress as well: then half of its records are of that, and tell the same traffic once more.
    pub egress: bool,
    /// Whether its frames carry a VLAN tag (sFlow), and samples are in expanded form.
    pub tagged: bool,
    /// Share of its flows that are as large as any: the smaller it is, the larger these are.
    pub rarest: f64,
    /// Its share of all traffic, relative to others'.
    pub weight: f64,
    /// Its interfaces.
    pub interfaces: Vec<Interface>,
    /// Places of the interfaces that lead to all ASes without a habit, each to the same share of them.
    pub rest: Vec<usize>,
    /// Traffic with ASes, by their rank, that is like no other's.
    pub habits: HashMap<usize, Habit>,
}

/// Providers of transit: name and AS.
const TRANSIT: [(&str, u32); 2] = [("Example-A", 64500), ("Example-B", 64501)];
const EXCHANGES: [&str; 2] = ["LAN-IX", "METRO-IX"];

/// So many exporters, from an address on. Deterministic.
pub fn network(world: &World, count: usize, first: Ipv4Addr) -> Vec<Exporter> {
    (0..count).map(|n| exporter(world, n, Ipv4Addr::from(u32::from(first) + n as u32))).collect()
}

fn exporter(world: &World, n: usize, address: Ipv4Addr) -> Exporter {
    use Announces::{Always, InRecord, Never, Sampler, Selector};
    use ExportsAs::{Nothing, Origin};
    use Protocol::{Ipfix, NetflowV5, NetflowV9, Sflow};
    // Protocol, announcement, interval, rate after, templates after, AS exported, tagged.
    let (protocol, announces, interval, rate_after, templates_after, exports_as, tagged) = match n % 8 {
        0 => (Ipfix, Selector, 1000, 0, 0, Origin, false),
        1 => (NetflowV9, Sampler, 2000, 0, 0, Origin, false),
        2 => (Sflow, Always, 4096, 0, 0, Origin, false),
        3 => (NetflowV5, Always, 100, 0, 0, Origin, false),
        4 => (Ipfix, Sampler, 500, 150, 0, Nothing, false),
        5 => (NetflowV9, Never, 0, 0, 0, Origin, false),
        6 => (Sflow, Always, 512, 0, 0, Origin, true),
        _ => (Ipfix, InRecord, 64, 0, 30, Nothing, false),
    };
    let (interfaces, habits) = interfaces(world, n, protocol);
    let outside = |one: &Interface| matches!(one.purpose, Purpose::Transit | Purpose::Ix);
    Exporter {
        address,
        name: format!("edge{}.example.net", n + 1),
        protocol,
        announces,
        interval,
        rate_after,
        templates_after,
        exports_as,
        egress: false,
        tagged,
        rarest: 1e-4,
        weight: (1.0 + (n % 8) as f64).powf(-0.6),
        rest: (0..interfaces.len()).filter(|at| outside(&interfaces[*at])).collect(),
        interfaces,
        habits,
    }
}

fn interfaces(world: &World, n: usize, protocol: Protocol) -> (Vec<Interface>, HashMap<usize, Habit>) {
    let (mut all, mut habits) = (Vec::new(), HashMap::new());
    let mut add = |purpose, description: String, link: String, neighbour| {
        let slot = all.len() as u32;
        all.push(Interface {
            index: 501 + 11 * slot,
            name: if n.is_multiple_of(2) {
                format!("et-0/0/{slot}")
            } else {
                format!("HundredGigE0/0/0/{slot}")
            },
            description,
            purpose,
            speed: if protocol.tells_interfaces() { 0 } else { 100_000_000_000 },
            link,
            neighbour,
        });
        slot as usize
    };
    for (at, (provider, asn)) in TRANSIT.iter().enumerate() {
        if n % 2 == at || n.is_multiple_of(3) {
            let description = format!("Transit: {provider} AS{asn} 100G");
            add(Purpose::Transit, description, format!("Transit {provider}"), *asn);
        }
    }
    if !n.is_multiple_of(3) {
        let name = EXCHANGES[n % 2];
        add(Purpose::Ix, format!("IX: {name}"), format!("IX {name}"), 0);
    }
    let mut ranks = [n % 5, (n + 3) % 7];
    ranks.sort_unstable();
    for (at, rank) in ranks.into_iter().enumerate() {
        if let Some(peer) = world.ases().get(rank).filter(|_| at == 0 || rank != ranks[0]) {
            let description = format!("PNI: {} AS{}", peer.name, peer.number);
            let place = add(Purpose::Pni, description, format!("PNI {}", peer.name), peer.number);
            habits.insert(rank, Habit { over: vec![(place, 1.0)], inbound: INBOUND });
        }
    }
    let customer = ["Example School", "Example Hospital", "Example Bank"][n % 3];
    add(Purpose::Customer, format!("Customer: {customer}"), format!("Customer {customer}"), 0);
    for core in 1..=2 {
        add(Purpose::Core, format!("Core: core{core}"), format!("Core core{core}"), 0);
    }
    (all, habits)
}

impl Exporter {
    /// The interface towards an AS, and the share of its flows that come in. Chance decides where it goes over several.
    pub fn towards(&self, rank: usize, random: &mut StdRng) -> (&Interface, f64) {
        let Some(Habit { over, inbound }) = self.habits.get(&rank) else {
            return (&self.interfaces[self.rest[(rank * 7 + rank / 11) % self.rest.len()]], INBOUND);
        };
        let mut left = match over.len() {
            1 => 0.0,
            _ => random.random_range(0.0..over.iter().map(|(_, share)| share).sum()),
        };
        let taken = over.iter().find(|(_, share)| {
            left -= share;
            left < 0.0
        });
        (&self.interfaces[taken.map_or(over[0].0, |(place, _)| *place)], *inbound)
    }

    /// Interfaces inside that what goes over `outside` comes from or goes to: what crosses the core is a customer's.
    pub fn inside<'e>(&'e self, outside: &'e Interface) -> impl Iterator<Item = &'e Interface> {
        self.interfaces.iter().filter(move |one| match one.purpose {
            Purpose::Customer => true,
            Purpose::Core => outside.purpose != Purpose::Core,
            Purpose::Transit | Purpose::Ix | Purpose::Pni => false,
        })
    }
}

const RULES: &str = r#"# Link rules and exporters of the generated network, for the decoder's configuration.

[[decoder.enrich.links]]
description = '^Transit: (?P<provider>\S+) AS(?P<asn>\d+)'
link = 'Transit $provider'
provider = '$provider'
neighbour_as = '$asn'
connectivity = 'transit'
capacity = 100000000000

[[decoder.enrich.links]]
description = '^IX: (?P<provider>\S+)'
link = 'IX $provider'
provider = '$provider'
connectivity = 'ix'
capacity = 100000000000

[[decoder.enrich.links]]
description = '^PNI: (?P<provider>.+) AS(?P<asn>\d+)$'
link = 'PNI $provider'
provider = '$provider'
neighbour_as = '$asn'
connectivity = 'pni'
capacity = 100000000000

[[decoder.enrich.links]]
description = '^Customer: (?P<provider>.+)$'
link = 'Customer $provider'
provider = '$provider'
connectivity = 'customer'

[[decoder.enrich.links]]
description = '^Core: (?P<peer>.+)$'
link = 'Core $peer'
connectivity = 'core'
"#;

/// Configuration for the decoder that names exporters, interfaces that options data does not tell, and links.
pub fn links_toml(exporters: &[Exporter]) -> String {
    configuration::toml(RULES, exporters)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn every_exporter_reaches_every_as_over_one_link_and_has_a_core() {
        let (world, mut random) = (World::synthetic(1), StdRng::seed_from_u64(1));
        for exporter in network(&world, 24, Ipv4Addr::new(127, 64, 0, 1)) {
            for rank in 0..world.ases().len() {
                let (one, _) = exporter.towards(rank, &mut random);
                assert!(matches!(one.purpose, Purpose::Transit | Purpose::Ix | Purpose::Pni));
                assert!(exporter.inside(one).count() >= 3, "{exporter:?}");
            }
            let mut indexes: Vec<_> = exporter.interfaces.iter().map(|one| one.index).collect();
            indexes.dedup();
            assert_eq!(indexes.len(), exporter.interfaces.len());
        }
    }

    #[test]
    fn the_configuration_written_is_toml_with_every_exporter() {
        let world = World::synthetic(1);
        let text = links_toml(&network(&world, 8, Ipv4Addr::new(127, 64, 0, 1)));
        let parsed: toml::Table = text.parse().unwrap();
        let enrich = &parsed["decoder"]["enrich"];
        assert_eq!(enrich["links"].as_array().unwrap().len(), 5);
        assert_eq!(enrich["exporters"].as_array().unwrap().len(), 8);
    }
}
