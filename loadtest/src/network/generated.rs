//! A network that could be: edge routers with transit, exchange, private peering, customer and core interfaces, each router
//! exporting in a manner of its own, with the habits that make collectors err.

use super::{Announces, Exporter, ExportsAs, Habit, INBOUND, Interface, Protocol, Purpose};
use crate::configuration;
use crate::world::World;
use std::collections::HashMap;
use std::net::Ipv4Addr;

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
    use rand::rngs::StdRng;

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
