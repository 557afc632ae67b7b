//! The demo's routers, their interfaces as operators name them, and the rules that put most of them on links.

use super::ases::{AMS_IX, APPLE, DE_CIX, GOOGLE, NETFLIX};
use crate::network::Purpose::{self, Core, Customer, Ix, Pni, Transit};
use crate::network::{Announces, ExportsAs, Protocol};

/// A router.
pub(super) struct Router {
    pub(super) name: &'static str,
    pub(super) protocol: Protocol,
    pub(super) announces: Announces,
    pub(super) interval: u32,
    pub(super) exports_as: ExportsAs,
    pub(super) egress: bool,
    /// Its share of datagrams; of sFlow they have few samples.
    pub(super) weight: f64,
    pub(super) ports: &'static [Port],
}

/// An interface.
pub(super) struct Port {
    pub(super) index: u32,
    pub(super) name: &'static str,
    pub(super) purpose: Purpose,
    /// Speed in Gbit/s.
    pub(super) speed: u64,
    pub(super) description: &'static str,
    /// Name of the link that the rules make of it.
    pub(super) link: &'static str,
    pub(super) neighbour: u32,
    /// ASes that it leads to.
    pub(super) to: &'static [&'static [u32]],
    /// How many shares it has of all that no port leads to.
    pub(super) rest: usize,
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

pub(super) const ROUTERS: [Router; 3] = [
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

pub(super) const RULES: &str = r"# Link rules and exporters of the demo's network.

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
