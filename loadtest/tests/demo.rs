//! What `make run` shows, through the whole path: pages are judged by it, so each thing that it is there for is held here.
#![allow(clippy::unwrap_used)]

mod support;
#[path = "support/up.rs"]
mod up;

use serde::Deserialize;
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::{Duration, Instant};
use support::alone;
use weir_bus::EmbeddedConfig;
use weir_loadtest::demo;
use weir_loadtest::generate::now_ns;
use weir_loadtest::history::{self, Past};
use weir_loadtest::network::Exporter;
use weir_loadtest::world::World;
use weir_stack::{Home, Local, local, scrape};
use weir_store::Store;

const HOUR: i64 = 3600 * 1_000_000_000;
const PARTITIONS: usize = 4;
const PATIENCE: Duration = Duration::from_secs(120);

/// The real ASes: what the demo says of some of them is true of no others.
fn world() -> World {
    let home = Home::find();
    let files = ["asn/asn-ipv4.csv", "asn/asn-ipv6.csv"]
        .map(|name| home.part(name, "The AS database", "scripts/fetch-asn.sh").unwrap());
    demo::world(World::read(&[&files[0], &files[1]], 4000, 1).unwrap()).unwrap()
}

#[derive(Deserialize)]
struct Count {
    flows: u64,
}

fn sum(store: &Store, what: &str, of: &str) -> u64 {
    let sql = format!("SELECT toUInt64({what}) AS flows FROM {}.{of}", store.database());
    up::block_on(store.query::<Count>(&sql, &[])).unwrap()[0].flows
}

/// Flows for which a condition holds.
fn count(store: &Store, condition: &str) -> u64 {
    sum(store, "count()", &format!("flows WHERE {condition}"))
}

/// Waits for all of them in each table that is asked below; in rollups each has two sides.
fn wait(store: &Store, flows: u64) {
    let begun = Instant::now();
    for (what, of, expected) in [
        ("count()", "flows", flows),
        ("sum(flows)", "links_5m", 2 * flows),
        ("sum(flows)", "links_1h", 2 * flows),
    ] {
        while sum(store, what, of) < expected {
            assert!(begun.elapsed() < PATIENCE, "{of} has {} of {expected}", sum(store, what, of));
            std::thread::sleep(Duration::from_millis(500));
        }
    }
}

fn ask(stack: &Local, path: &str) -> Json {
    let (status, body) = scrape::get(&stack.api(), path).unwrap();
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}

/// Bytes in and out by what links are for.
fn kinds(stack: &Local) -> BTreeMap<String, u64> {
    let question = ["--by", "connectivity", "--scope", "all", "--last", "6h", "--format", "json"];
    let answer: Json = serde_json::from_slice(&stack.weir("query", &question).unwrap()).unwrap();
    let sum = |row: &Json| row["bytes_in"].as_u64().unwrap() + row["bytes_out"].as_u64().unwrap();
    let rows = answer["rows"].as_array().unwrap();
    rows.iter().map(|row| (row["keys"][0].as_str().unwrap().to_owned(), sum(row))).collect()
}

#[test]
fn the_demo_shows_a_peering_to_discover_every_kind_of_link_and_what_its_routers_lack() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let world = world();
    let exporters = demo::network(&world, Ipv4Addr::new(127, 78, 0, 1));
    let now = now_ns();
    let past = Past { from_ns: now - 6 * HOUR, to_ns: now, rate: 60.0, seed: 1 };
    let embedded =
        EmbeddedConfig { path: dir.path().join("bus"), partitions: PARTITIONS, ..EmbeddedConfig::default() };
    let flows = history::begin(embedded, &world, &exporters, &past).unwrap().unwrap();
    let options =
        local::Options { standalone: true, partitions: Some(PARTITIONS), ..local::Options::new(dir.path()) };
    let stack = up::up(options, &world, &[&demo::links_toml(&exporters)]);
    let store = up::store(&stack);
    wait(&store, flows);

    let peer = ask(&stack, "/api/v1/candidates?last=6h");
    let first = &peer["candidates"][0];
    assert_eq!(first["asn"], demo::DISCOVER, "{peer}");
    let met = &first["met"][0];
    assert_eq!((&met["connectivity"], &met["link"]), (&"ix".into(), &"IX DE-CIX Frankfurt".into()));
    assert!(met["bytes_in"].as_u64().unwrap() * 5 < first["bytes_in"].as_u64().unwrap(), "{first}");
    assert!(first["saved"].as_u64().unwrap() > peer["candidates"][1]["saved"].as_u64().unwrap(), "{peer}");

    let kinds = kinds(&stack);
    // At whatever hour this runs: from five to eleven in the morning there is half as much as around midnight.
    for kind in ["transit", "ix", "pni", "customer", "core"] {
        assert!(kinds.get(kind).is_some_and(|bytes| *bytes > 500_000_000_000), "{kind} of {kinds:?}");
    }

    // Of each router: observed on egress, with an AS of its own, without an AS at the far end.
    let of = |name: &str| {
        let at = exporters.iter().find(|one| one.name.contains(name)).unwrap().address;
        move |condition: &str| format!("exporter = toIPv6('{at}') AND {condition}")
    };
    let (fra, ams, ber) = (of("fra"), of("ams"), of("ber"));
    let exported = "(src_as_exported != 0 OR dst_as_exported != 0)";
    assert_eq!(count(&store, &fra("observation = 'egress'")), 0, "it samples on ingress alone");
    assert!(count(&store, &ams("observation = 'egress'")) > 10_000);
    assert!(count(&store, &ber("observation = 'egress'")) > 10_000);
    assert_eq!(count(&store, &ams(exported)), 0, "it exports AS 0");
    assert_eq!(count(&store, &ams("src_as = 0 AND dst_as = 0")), 0, "its ASes come from the database");
    assert_eq!(count(&store, &fra(&format!("NOT {exported}"))), 0);
    let six = count(&store, "family = 6");
    assert!((flows / 5..flows / 2).contains(&six), "{six} of {flows} are IPv6");

    let links = ask(&stack, "/api/v1/links");
    let unclassified: Vec<_> = links["unclassified"].as_array().unwrap().iter().collect();
    let mut proposed: Vec<_> =
        unclassified.iter().map(|one| one["proposal"]["connectivity"].as_str()).collect();
    proposed.sort_unstable();
    assert_eq!(proposed, [Some("customer"), Some("pni")], "{links}");
    // Rules give each interface the link that the network says it is on.
    for exporter in &exporters {
        for one in exporter.interfaces.iter().filter(|one| !one.link.is_empty()) {
            let is_it = |member: &Json| {
                member["exporter_name"] == exporter.name.as_str() && member["if_index"] == one.index
            };
            let link = links["links"]
                .as_array()
                .unwrap()
                .iter()
                .find(|link| link["members"].as_array().is_some_and(|members| members.iter().any(is_it)));
            assert_eq!(link.map(|link| &link["name"]), Some(&Json::from(one.link.as_str())), "{one:?}");
        }
    }

    import(&stack, dir.path(), &exporters);
    stack.down().unwrap();
}

/// What AS-Stats knows of the interfaces that are on no link is shown first, then said, and said once.
fn import(stack: &Local, dir: &Path, exporters: &[Exporter]) {
    let (file, mut text) =
        (dir.join("knownlinks"), "# Router\tifIndex\ttag\tdescription\tcolour\n".to_owned());
    for exporter in exporters {
        for one in exporter.interfaces.iter().filter(|one| one.link.is_empty()) {
            let tag = if one.neighbour == 0 { "school" } else { "apple" };
            text += &format!("{}\t{}\t{tag}\tLink of {tag}\t5EA631\n", exporter.name, one.index);
        }
    }
    std::fs::write(&file, text).unwrap();
    let maps: Vec<String> = exporters.iter().map(|one| format!("{}={}", one.name, one.address)).collect();
    let mut arguments = vec!["as-stats", "knownlinks", file.to_str().unwrap()];
    arguments.extend(["--connectivity", "pni=apple", "--connectivity", "customer=."]);
    arguments.extend(maps.iter().flat_map(|map| ["--exporter-map", map]));
    let imported = |arguments: &[&str]| String::from_utf8(stack.weir("import", arguments).unwrap()).unwrap();
    let said = || {
        let links = ask(stack, "/api/v1/links");
        let links = links["links"].as_array().unwrap().iter().filter(|link| link["said_by"] == "person");
        links
            .map(|link| format!("{} {} {}", link["id"], link["name"], link["connectivity"]))
            .collect::<Vec<_>>()
    };
    let shown = imported(&arguments);
    assert_eq!(said(), Vec::<String>::new(), "{shown}");
    arguments.push("--apply");
    assert_eq!(imported(&arguments), shown);
    let expected = [r#""apple" "Link of apple" "pni""#, r#""school" "Link of school" "customer""#];
    assert_eq!(said(), expected);
    assert_eq!(ask(stack, "/api/v1/links")["unclassified"], Json::Array(Vec::new()));
    assert_eq!(imported(&arguments).matches("as it is already").count(), 2);
    // The past is shown by what was imported.
    assert!(kinds(stack)["pni"] > 0 && !kinds(stack).contains_key("unknown"), "{:?}", kinds(stack));
}
