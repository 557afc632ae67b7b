//! Networks that export: what there is of routers and interfaces, and over which interface traffic with an AS goes. What a network is like is data,
//! of load tests here ([`network`]) and of the demo elsewhere.

mod generated;

pub use generated::{links_toml, network};

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
