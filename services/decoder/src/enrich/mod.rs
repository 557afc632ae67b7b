//! What a flow record is told beyond what the exporter said: names, links, ASes, countries.
//!
//! Enrichment never blocks and never drops: what is not known stays empty. Nothing here does I/O on the flow path; databases are
//! swapped in whole by [`Enricher::reload`].

pub mod database;
pub mod links;
mod pieces;
pub mod ranges;
pub mod said;

use ahash::AHashMap;
use arc_swap::ArcSwap;
use database::{DatabaseError, Databases, Origin};
use links::{
    ExportedAs, ExporterConfig, Interface, Link, LinkRule, LinkRules, MAX_SAMPLING_INTERVAL, ObservationWord,
};
use said::Spells;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use weir_schemas::columns::flag;
use weir_schemas::{AsSource, Flow, Ip, Observation, Time};
use weir_wire::Own;

/// How flows are enriched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// AS and country databases.
    pub databases: database::Config,
    /// Seconds between looks at the databases' files; a changed file is read anew.
    pub reload_s: u64,
    /// Order in which sources of AS numbers are asked: the first that knows a public AS wins.
    pub as_order: Vec<AsOrder>,
    /// What a record counts as that doesn't say where the packet was observed.
    pub unknown_observation: ObservationWord,
    /// Order in which sources of interface names, descriptions and speeds are asked.
    pub interface_order: Vec<InterfaceOrder>,
    /// Exporters that people know something about.
    pub exporters: Vec<ExporterConfig>,
    /// Rules that put interfaces on links; the first that fits decides.
    pub links: Vec<LinkRule>,
}

/// A source of AS numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AsOrder {
    /// The exporter's own fields.
    Exporter,
    /// The AS database.
    Database,
}

/// A source of interface metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum InterfaceOrder {
    /// `enrich.exporters` of this configuration.
    Config,
    /// Options data of the exporter.
    Options,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            databases: database::Config::default(),
            reload_s: 60,
            as_order: vec![AsOrder::Exporter, AsOrder::Database],
            unknown_observation: ObservationWord::Ingress,
            interface_order: vec![InterfaceOrder::Config, InterfaceOrder::Options],
            exporters: Vec::new(),
            links: Vec::new(),
        }
    }
}

/// All that enrichment needs, shared by all workers.
#[derive(Debug)]
pub struct Enricher {
    config: Config,
    exporters: HashMap<Ip, ExporterConfig>,
    rules: LinkRules,
    databases: ArcSwap<Databases>,
}

/// What is known of one exporter, ready for its flows.
#[derive(Debug, Default)]
pub struct Known {
    /// Its name.
    pub name: String,
    /// One of how many packets it samples, by configuration; 0: unknown.
    pub sampling_interval: u64,
    exported_as: ExportedAs,
    unknown_observation: Observation,
    /// What options data said, before the order of sources.
    options: HashMap<u32, Interface>,
    interfaces: AHashMap<u32, Interface>,
    /// Those that were met in flows.
    met: usize,
    said: Arc<Spells>,
}

/// Interfaces that are known by nothing but their index in flows, per exporter: bounded, because flows can name any.
const MAX_MET: usize = 4096;

impl Config {
    /// Exporters by their address, checked.
    fn exporters(&self) -> Result<HashMap<Ip, ExporterConfig>, String> {
        let mut exporters = HashMap::new();
        for (n, exporter) in self.exporters.iter().enumerate() {
            let address: IpAddr = exporter.address.parse().map_err(|_| {
                format!("decoder.enrich.exporters[{n}].address: '{}' is no IP address", exporter.address)
            })?;
            if exporters.insert(Ip::from(address), exporter.clone()).is_some() {
                return Err(format!("decoder.enrich.exporters[{n}].address: {address} is there twice"));
            }
            if exporter.sampling_interval > MAX_SAMPLING_INTERVAL {
                let (interval, most) = (exporter.sampling_interval, MAX_SAMPLING_INTERVAL);
                return Err(format!(
                    "decoder.enrich.exporters[{n}].sampling_interval: {interval} is above {most}"
                ));
            }
        }
        Ok(exporters)
    }

    /// What is configured of how exporters are decoded, by their address. Errors name their keys.
    pub fn own(&self) -> Result<BTreeMap<Ip, Own>, String> {
        Ok(self.exporters()?.into_iter().map(|(address, exporter)| (address, exporter.own())).collect())
    }
}

impl Enricher {
    /// Checks and compiles; reads the databases. Errors name their keys.
    pub fn new(config: &Config) -> Result<Self, String> {
        let exporters = config.exporters()?;
        let rules = LinkRules::new(&config.links).map_err(|error| format!("decoder.enrich.{error}"))?;
        let databases = Databases::read(&config.databases).map_err(|error| error.to_string())?;
        Ok(Self { config: config.clone(), exporters, rules, databases: ArcSwap::from_pointee(databases) })
    }

    /// Reads the databases anew where a file has changed. Says whether it did.
    pub fn reload(&self) -> Result<bool, DatabaseError> {
        if !self.databases.load().is_stale(&self.config.databases) {
            return Ok(false);
        }
        self.databases.store(Arc::new(Databases::read(&self.config.databases)?));
        Ok(true)
    }

    /// The databases as they are now; taken once per cycle, so that a swap costs flows nothing.
    pub fn databases(&self) -> Arc<Databases> {
        self.databases.load_full()
    }

    /// What is configured of how an exporter is decoded.
    pub fn own(&self, exporter: &Ip) -> Own {
        self.exporters.get(exporter).map(ExporterConfig::own).unwrap_or_default()
    }

    /// What configuration knows of an exporter.
    pub fn known(&self, exporter: &Ip) -> Known {
        let config = self.exporters.get(exporter);
        let mut known = Known {
            name: config.map(|config| config.name.clone()).unwrap_or_default(),
            sampling_interval: config.map(|config| config.sampling_interval).unwrap_or_default(),
            exported_as: config.map(|config| config.exported_as).unwrap_or_default(),
            unknown_observation: config
                .and_then(|config| config.unknown_observation)
                .unwrap_or(self.config.unknown_observation)
                .into(),
            ..Known::default()
        };
        for interface in config.map(|config| config.interfaces.as_slice()).unwrap_or_default() {
            self.refresh(exporter, &mut known, interface.index);
        }
        known
    }

    /// Takes what options data said of an interface. True where enrichment changed by it.
    pub fn learn(
        &self,
        exporter: &Ip,
        known: &mut Known,
        index: u32,
        name: &str,
        description: &str,
        speed: u64,
    ) -> bool {
        let interface =
            Interface { name: name.to_owned(), description: description.to_owned(), speed, link: None };
        known.options.insert(index, interface);
        self.refresh(exporter, known, index)
    }

    /// Computes an interface from all sources and rules. True where it changed.
    fn refresh(&self, exporter: &Ip, known: &mut Known, index: u32) -> bool {
        let mut interface = Interface::default();
        for source in &self.config.interface_order {
            let (name, description, speed) = match source {
                InterfaceOrder::Config => {
                    let configured = self
                        .exporters
                        .get(exporter)
                        .map(|config| config.interfaces.as_slice())
                        .unwrap_or_default();
                    let Some(found) = configured.iter().find(|interface| interface.index == index) else {
                        continue;
                    };
                    (&found.name, &found.description, found.speed)
                }
                InterfaceOrder::Options => {
                    let Some(found) = known.options.get(&index) else { continue };
                    (&found.name, &found.description, found.speed)
                }
            };
            if interface.name.is_empty() {
                interface.name.clone_from(name);
            }
            if interface.description.is_empty() {
                interface.description.clone_from(description);
            }
            if interface.speed == 0 {
                interface.speed = speed;
            }
        }
        interface.link = self.rules.link(exporter, &known.name, index, &interface);
        match known.interfaces.get(&index) {
            Some(before) if *before == interface => false,
            _ => {
                known.interfaces.insert(index, interface);
                true
            }
        }
    }

    /// Meets an interface that flows name, where there is `room` for one more of any exporter. True where that is new and worth telling.
    #[inline]
    pub fn meet(&self, exporter: &Ip, known: &mut Known, index: u32, room: &mut usize) -> bool {
        index != 0 && !known.interfaces.contains_key(&index) && self.meet_new(exporter, known, index, room)
    }

    #[cold]
    fn meet_new(&self, exporter: &Ip, known: &mut Known, index: u32, room: &mut usize) -> bool {
        if known.met >= MAX_MET || *room == 0 {
            return false;
        }
        known.met += 1;
        *room -= 1;
        self.refresh(exporter, known, index)
    }

    /// Enriches a flow. The text borrows from what is known of the exporter.
    #[inline]
    pub fn enrich<'a>(&self, known: &'a Known, databases: &Databases, flow: &mut Flow<'a>) {
        flow.exporter_name = &known.name;
        if flow.observation == Observation::Unknown {
            flow.observation = known.unknown_observation;
            flow.flags |= flag::OBSERVATION_ASSUMED;
        }
        // A number that is no AS is nobody's neighbour: whoever else knows one is asked.
        for neighbour in [&mut flow.src_neighbour_as, &mut flow.dst_neighbour_as] {
            *neighbour = public(*neighbour);
        }
        if known.exported_as == ExportedAs::Peer {
            for (neighbour, exported) in [
                (&mut flow.src_neighbour_as, flow.src_as_exported),
                (&mut flow.dst_neighbour_as, flow.dst_as_exported),
            ] {
                if *neighbour == 0 {
                    *neighbour = public(exported);
                }
            }
        }
        let input = known.interfaces.get(&flow.in_if);
        if let Some(interface) = input {
            flow.in_if_name = &interface.name;
            flow.in_if_description = &interface.description;
            flow.in_if_speed = interface.speed;
        }
        if let Some(link) = known.link(flow.in_if, input, flow.spread_end) {
            flow.in_provider = &link.provider;
            flow.in_connectivity = link.connectivity;
            // What the record says is the router's own route back to the source, which may be another way.
            if link.neighbour_as != 0 {
                flow.src_neighbour_as = link.neighbour_as;
            }
        }
        let output = known.interfaces.get(&flow.out_if);
        if let Some(interface) = output {
            flow.out_if_name = &interface.name;
            flow.out_if_description = &interface.description;
            flow.out_if_speed = interface.speed;
        }
        if let Some(link) = known.link(flow.out_if, output, flow.spread_end) {
            flow.out_provider = &link.provider;
            flow.out_connectivity = link.connectivity;
            if flow.dst_neighbour_as == 0 {
                flow.dst_neighbour_as = link.neighbour_as;
            }
        }
        if flow.dst_neighbour_as == 0 {
            flow.dst_neighbour_as = flow.as_path.iter().next().map_or(0, public);
        }
        // What is summed by AS may have no addresses.
        let origin = |address| if flow.family == 0 { Origin::default() } else { databases.origin(address) };
        let (source, destination) = (origin(&flow.src_addr), origin(&flow.dst_addr));
        (flow.src_as, flow.src_as_source) = self.asn(known, source.asn, flow.src_as_exported);
        (flow.dst_as, flow.dst_as_source) = self.asn(known, destination.asn, flow.dst_as_exported);
        (flow.src_country, flow.dst_country) = (source.country, destination.country);
    }

    #[inline]
    fn asn(&self, known: &Known, looked_up: u32, exported: u32) -> (u32, AsSource) {
        for source in &self.config.as_order {
            let (asn, word) = match source {
                AsOrder::Exporter if known.exported_as == ExportedAs::Origin => {
                    (public(exported), AsSource::Exporter)
                }
                AsOrder::Exporter => continue,
                AsOrder::Database => (looked_up, AsSource::Database),
            };
            if asn != 0 {
                return (asn, word);
            }
        }
        (0, AsSource::Unknown)
    }
}

impl Known {
    /// An interface as it is now.
    pub fn interface(&self, index: u32) -> Option<&Interface> {
        self.interfaces.get(&index)
    }

    /// Takes what people say of its links now.
    pub fn hear(&mut self, said: Arc<Spells>) {
        self.said = said;
    }

    /// The link that an interface was on when a record ended.
    #[inline]
    fn link<'k>(&'k self, index: u32, interface: Option<&'k Interface>, ended: Time) -> Option<&'k Link> {
        let said = if self.said.is_empty() { None } else { self.said.link(index, ended) };
        said.unwrap_or_else(|| interface.and_then(|interface| interface.link.as_ref()))
    }

    /// How many interfaces were met: the room that they took is there again when this is forgotten.
    pub fn met(&self) -> usize {
        self.met
    }

    /// All interfaces.
    pub fn interfaces(&self) -> impl Iterator<Item = (u32, &Interface)> {
        self.interfaces.iter().map(|(index, interface)| (*index, interface))
    }
}

/// AS numbers that say nothing are 0: AS_TRANS (RFC 6793), private (RFC 6996), documentation (RFC 5398) and last ones (RFC 7300)
/// are looked up, never listed as an AS.
#[inline]
fn public(asn: u32) -> u32 {
    match asn {
        23_456 | 64_496..=65_535 | 65_536..=65_551 | 4_200_000_000..=u32::MAX => 0,
        asn => asn,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_schemas::U32s;

    fn enricher(config: Config) -> Enricher {
        Enricher::new(&config).unwrap()
    }

    fn with_database(config: Config) -> (tempfile::TempDir, Enricher) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("asn.csv");
        std::fs::write(&path, "198.51.100.0,198.51.100.255,4444,Four\n").unwrap();
        let databases = database::Config { asn: vec![path], ..database::Config::default() };
        (folder, enricher(Config { databases, ..config }))
    }

    fn flow() -> Flow<'static> {
        Flow {
            family: 4,
            src_addr: Ip::v4([198, 51, 100, 1]),
            dst_addr: Ip::v4([203, 0, 113, 1]),
            in_if: 3,
            out_if: 4,
            ..Flow::default()
        }
    }

    fn enriched(enricher: &Enricher, known: &Known, flow: Flow<'static>) -> (u32, AsSource, u32, u32) {
        let mut flow: Flow<'_> = flow;
        enricher.enrich(known, &enricher.databases(), &mut flow);
        (flow.src_as, flow.src_as_source, flow.src_neighbour_as, flow.dst_neighbour_as)
    }

    #[test]
    fn the_exporters_as_wins_unless_it_says_nothing() {
        let (_folder, enricher) = with_database(Config::default());
        let known = enricher.known(&Ip::default());
        let with = |src_as_exported| Flow { src_as_exported, ..flow() };
        assert_eq!(enriched(&enricher, &known, with(3320)).0, 3320);
        for nothing in [0, 23_456, 64_512, 65_535, 4_200_000_001, 64_496] {
            assert_eq!(enriched(&enricher, &known, with(nothing)).0, 4444, "{nothing}");
            assert_eq!(enriched(&enricher, &known, with(nothing)).1, AsSource::Database, "{nothing}");
        }
    }

    #[test]
    fn a_record_without_addresses_has_the_ases_that_its_exporter_says() {
        let (_folder, enricher) = with_database(Config::default());
        let known = enricher.known(&Ip::default());
        let summed = Flow { src_as_exported: 3320, ..Flow::default() };
        assert_eq!(enriched(&enricher, &known, summed), (3320, AsSource::Exporter, 0, 0));
        assert_eq!(enriched(&enricher, &known, Flow::default()), (0, AsSource::Unknown, 0, 0));
    }

    #[test]
    fn an_as_that_is_0_private_reserved_or_as_trans_says_nothing_and_its_neighbours_do() {
        for (asn, says) in [
            (0, false),
            (1, true),
            (23_455, true),
            (23_456, false),
            (23_457, true),
            (64_495, true),
            (64_496, false),
            (64_512, false),
            (65_534, false),
            (65_535, false),
            (65_551, false),
            (65_552, true),
            (4_199_999_999, true),
            (4_200_000_000, false),
            (u32::MAX, false),
        ] {
            assert_eq!(public(asn), if says { asn } else { 0 }, "AS {asn}");
        }
    }

    #[test]
    fn an_exporter_of_peer_ases_gives_neighbours_not_origins() {
        let exporter = ExporterConfig {
            address: "192.0.2.9".into(),
            exported_as: ExportedAs::Peer,
            ..ExporterConfig::default()
        };
        let (_folder, enricher) = with_database(Config { exporters: vec![exporter], ..Config::default() });
        let known = enricher.known(&Ip::v4([192, 0, 2, 9]));
        let flow = Flow { src_as_exported: 3320, dst_as_exported: 1299, ..flow() };
        assert_eq!(enriched(&enricher, &known, flow), (4444, AsSource::Database, 3320, 1299));
    }

    #[test]
    fn the_neighbour_comes_from_the_record_then_the_link_then_the_path() {
        let rule = LinkRule { index: 4, neighbour_as: "1299".into(), ..LinkRule::default() };
        let enricher = enricher(Config { links: vec![rule], ..Config::default() });
        let mut known = enricher.known(&Ip::default());
        let mut room = 1;
        assert!(enricher.meet(&Ip::default(), &mut known, 4, &mut room));
        assert!(!enricher.meet(&Ip::default(), &mut known, 4, &mut room));
        assert!(!enricher.meet(&Ip::default(), &mut known, 5, &mut room), "there is no room");
        static PATH: [u32; 2] = [174, 3320];
        let with_path = Flow { as_path: U32s::Native(&PATH), ..flow() };
        assert_eq!(enriched(&enricher, &known, Flow { dst_neighbour_as: 6939, ..with_path }).3, 6939);
        assert_eq!(enriched(&enricher, &known, with_path).3, 1299);
        assert_eq!(enriched(&enricher, &known, Flow { out_if: 5, ..with_path }).3, 174);
        // Inbound the link knows; the record's word is a route back to the source.
        let inbound = Flow { in_if: 4, src_neighbour_as: 6939, ..flow() };
        assert_eq!(enriched(&enricher, &known, inbound).2, 1299);
        assert_eq!(enriched(&enricher, &known, Flow { in_if: 5, ..inbound }).2, 6939);
    }

    #[test]
    fn a_neighbour_that_is_no_as_makes_way_for_the_links_and_is_never_told() {
        let rule = LinkRule { index: 4, neighbour_as: "1299".into(), ..LinkRule::default() };
        let enricher = enricher(Config { links: vec![rule], ..Config::default() });
        let mut known = enricher.known(&Ip::default());
        enricher.meet(&Ip::default(), &mut known, 4, &mut 1);
        for nothing in [23_456, 64_512, u32::MAX] {
            let said = Flow { src_neighbour_as: nothing, dst_neighbour_as: nothing, ..flow() };
            let (_, _, src, dst) = enriched(&enricher, &known, said);
            assert_eq!((src, dst), (0, 1299), "{nothing}");
        }
    }

    #[test]
    fn an_unknown_observation_counts_as_configured_and_is_flagged() {
        let exporter = ExporterConfig {
            address: "192.0.2.9".into(),
            unknown_observation: Some(ObservationWord::Egress),
            ..ExporterConfig::default()
        };
        let enricher = enricher(Config { exporters: vec![exporter], ..Config::default() });
        let observed = |exporter: Ip, observation| {
            let known = enricher.known(&exporter);
            let mut flow: Flow<'_> = Flow { observation, ..flow() };
            enricher.enrich(&known, &enricher.databases(), &mut flow);
            (flow.observation, flow.flags & flag::OBSERVATION_ASSUMED != 0)
        };
        assert_eq!(observed(Ip::default(), Observation::Unknown), (Observation::Ingress, true));
        assert_eq!(observed(Ip::v4([192, 0, 2, 9]), Observation::Unknown), (Observation::Egress, true));
        assert_eq!(observed(Ip::default(), Observation::Egress), (Observation::Egress, false));
    }

    #[test]
    fn names_come_from_the_sources_in_their_order_field_by_field() {
        let exporter = ExporterConfig {
            address: "192.0.2.9".into(),
            name: "edge1".into(),
            interfaces: vec![links::InterfaceConfig {
                index: 3,
                description: "Transit: X".into(),
                ..Default::default()
            }],
            ..ExporterConfig::default()
        };
        let enricher = enricher(Config { exporters: vec![exporter], ..Config::default() });
        let address = Ip::v4([192, 0, 2, 9]);
        let mut known = enricher.known(&address);
        assert!(enricher.learn(&address, &mut known, 3, "et-0/0/3", "from options", 10));
        assert!(!enricher.learn(&address, &mut known, 3, "et-0/0/3", "from options", 10));
        let interface = known.interface(3).unwrap();
        assert_eq!(
            (interface.name.as_str(), interface.description.as_str(), interface.speed),
            ("et-0/0/3", "Transit: X", 10)
        );
    }

    #[test]
    fn a_changed_database_is_taken_and_a_damaged_one_leaves_the_old_in_force() {
        let (folder, enricher) = with_database(Config::default());
        let path = folder.path().join("asn.csv");
        assert!(!enricher.reload().unwrap());
        let rewrite = |text: &str, later: u64| {
            std::fs::write(&path, text).unwrap();
            let later = std::time::SystemTime::now() + std::time::Duration::from_secs(later);
            std::fs::File::options().append(true).open(&path).unwrap().set_modified(later).unwrap();
        };
        rewrite("damaged\nmore\n", 5);
        assert!(enricher.reload().is_err());
        let known = enricher.known(&Ip::default());
        assert_eq!(enriched(&enricher, &known, flow()).0, 4444);
        rewrite("198.51.100.0,198.51.100.255,5555,Five\n", 10);
        assert!(enricher.reload().unwrap());
        assert_eq!(enriched(&enricher, &known, flow()).0, 5555);
    }
}
