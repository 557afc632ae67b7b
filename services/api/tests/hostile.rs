//! Names and questions that are attacks, through the whole path: bus, sink, store, API. They stay text, and nothing that is stored changes.
//!
//! The same file of strings is what pages are tested with in a browser (`services/web/e2e/hostile.spec.ts`).
#![allow(clippy::unwrap_used)]

mod engine;
mod served;

use serde::Deserialize;
use serde_json::{Value as Json, json};
use served::{Served, bus, bus_config};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio_util::sync::CancellationToken;
use weir_api::Config;
use weir_api::inventory::{Inventory, OfBus};
use weir_bus::{Bus, TopicSpec};
use weir_runtime::Health;
use weir_schemas::inventory::Record;
use weir_schemas::rollup::{AsRow, Shape, tables};
use weir_schemas::{Connectivity, Direction, Ip};
use weir_store::Store;

const AS: u32 = 4_200_000_000;

#[derive(Deserialize)]
struct Hostile {
    html: Vec<String>,
    formula: Vec<String>,
    sql: Vec<String>,
    other: Vec<String>,
}

impl Hostile {
    fn all() -> Vec<String> {
        let read: Self = serde_json::from_str(include_str!("hostile.json")).unwrap();
        [read.html, read.formula, read.sql, read.other].concat()
    }
}

fn exporter(n: usize) -> Ip {
    Ip::v4([192, 0, 2, u8::try_from(n + 1).unwrap()])
}

/// Each string is what an exporter, its interface, its link and provider by a rule, and an AS are called. Gives the hour in which all had traffic.
async fn named(store: &mut Store, names: &[String], inventory: &dyn Inventory) -> u32 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let hour = now.as_secs() as u32 / 3600 * 3600 - 7200;
    let (mut sides, mut ases, mut records) = (Vec::new(), Vec::new(), Vec::new());
    for (n, name) in names.iter().enumerate() {
        let asn = AS + n as u32;
        sides.push(engine::side(exporter(n), hour, asn, 1, Direction::In, 100 + n as u64));
        AsRow { asn, name, version: 1, ..AsRow::default() }.put_row(&mut ases);
        let called = [
            Record::Exporter { name: name.clone() },
            Record::Interface { index: 1, name: name.clone(), description: name.clone(), speed: 0 },
            Record::Link {
                index: 1,
                valid_from: 0,
                valid_to: u32::MAX,
                link: name.clone(),
                provider: name.clone(),
                connectivity: Connectivity::Transit,
                neighbour_as: 0,
                capacity: 0,
            },
        ];
        records.extend(called.map(|record| (exporter(n), record)));
    }
    engine::put_sides(store, &sides).await;
    engine::put(store, "asns", ases).await;
    inventory.write(&records, now.as_nanos() as u64).unwrap();
    hour
}

#[derive(Debug, Deserialize, PartialEq)]
struct Count {
    name: String,
    rows: u64,
}

/// Rows of every table, and what tables there are.
async fn counted(store: &Store) -> Vec<Count> {
    let each = tables().map(|table| {
        let (database, name) = (store.database(), table.name);
        let merged = if table.shape == Shape::Flows { "" } else { "FINAL" };
        format!("SELECT '{name}' AS name, count() AS rows FROM {database}.{name} {merged}")
    });
    let all = "SELECT 'tables' AS name, count() AS rows FROM system.tables WHERE database NOT IN ('system', 'INFORMATION_SCHEMA', 'information_schema')";
    let sql = each.chain([all.to_owned()]).collect::<Vec<_>>().join(" UNION ALL ");
    store.query(&format!("SELECT name, rows FROM ({sql}) ORDER BY name"), &[]).await.unwrap()
}

/// One test function, because one process has one engine.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn what_attacks_is_text_everywhere_and_changes_nothing() {
    engine::with(async |mut store, ending| {
        let names = Hostile::all();
        let folder = tempfile::tempdir().unwrap();
        let bus = bus(folder.path());
        let stop = CancellationToken::new();
        let sink = tokio::spawn(weir_sink::run(
            weir_sink::Config { workers: 1, ..weir_sink::Config::default() },
            bus.clone(),
            bus.topics(),
            TopicSpec::all(&bus_config(folder.path()), bus.partitions()),
            store.clone(),
            Health::default().condition("sink"),
            stop.clone(),
        ));
        let hour = named(&mut store, &names, &OfBus::new(bus.clone())).await;
        let unlimited = store.clone();
        let api = Arc::new(Served::on(Config::default(), store, &bus, folder).await);
        all_are_stored(&unlimited, names.len()).await;
        let before = counted(&unlimited).await;
        for (n, name) in names.iter().enumerate() {
            an_answer_carries_it_as_it_is(&api, hour, n, name);
            whatever_is_asked_with_it_has_an_answer_or_a_problem(&api, name);
        }
        no_cell_is_a_formula(&api, hour, &names);
        assert_eq!(counted(&unlimited).await, before);
        what_a_person_says_is_kept_as_it_is_or_refused(&api, &names);
        Arc::into_inner(api).unwrap().end().await;
        stop.cancel();
        sink.await.unwrap().unwrap();
        ending.end().await;
    })
    .await;
}

async fn all_are_stored(store: &Store, names: usize) {
    for _ in 0..300 {
        let of = |table: &str| format!("(SELECT count() FROM {}.{table} FINAL)", store.database());
        let sql = format!(
            "SELECT 'stored' AS name, least({}, {}, {}) AS rows",
            of("links"),
            of("interfaces"),
            of("exporters")
        );
        let counts: Vec<Count> = store.query(&sql, &[]).await.unwrap();
        if counts[0].rows == names as u64 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the names were not stored within 30 s");
}

/// As the filter language writes text.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn question(hour: u32, by: &[&str], filter: &str) -> Json {
    let time = |seconds: u32| jiff::Timestamp::from_second(seconds.into()).unwrap().to_string();
    json!({"from": time(hour), "to": time(hour + 3600), "by": by, "scope": "all", "filter": filter, "top": 100})
}

fn an_answer_carries_it_as_it_is(api: &Served, hour: u32, n: usize, name: &str) {
    let (text, asn) = (quoted(name), AS + n as u32);
    let filter =
        format!("exporter = {text} AND interface = {text} AND link IN ({text}) AND provider = {text}");
    for (by, shown) in [
        (["exporter", "interface", "link"], [name, &format!("{name} {name}"), name]),
        (["provider", "as", "family"], [name, &format!("AS{asn} {name}"), "IPv4"]),
    ] {
        let reply = api.post(&question(hour, &by, &filter));
        assert_eq!(reply.status, 200, "{filter}: {}", reply.text);
        let rows = reply.json()["rows"].clone();
        let found: Vec<_> =
            rows.as_array().unwrap().iter().map(|row| (&row["keys"], &row["bytes_in"])).collect();
        assert_eq!(found, [(&json!(shown), &json!((100 + n as u64) * 10_000))], "{filter}");
    }
}

/// What goes into an address as it is.
fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn whatever_is_asked_with_it_has_an_answer_or_a_problem(api: &Served, text: &str) {
    let json = ("content-type", "application/json");
    let mut all = Vec::new();
    for key in ["filter", "last", "from", "to", "zone", "interval", "scope", "order", "observation"] {
        all.push(("POST", "/api/v1/query".to_owned(), json!({key: text}).to_string()));
    }
    all.push(("POST", "/api/v1/query".to_owned(), json!({"by": [text]}).to_string()));
    all.push(("POST", "/api/v1/query".to_owned(), json!({text: 1}).to_string()));
    all.push(("POST", "/api/v1/query".to_owned(), text.to_owned()));
    for key in ["filter", "last", "from", "zone", "top"] {
        all.push(("GET", format!("/api/v1/candidates?{key}={}", encoded(text)), String::new()));
    }
    all.push(("GET", format!("/api/v1/{}", encoded(text)), String::new()));
    for (method, path, body) in all {
        let reply = api.send(method, &path, &[json], &body);
        let told = (reply.status == 200 && reply.kind == "application/json")
            || ([400, 404, 422].contains(&reply.status) && reply.kind == "application/problem+json");
        assert!(told, "{method} {path} {body}: {reply:?}");
        assert!(!reply.text.contains("DB::Exception"), "{method} {path} {body}: {reply:?}");
    }
    // What a header can have at all.
    if text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        let token = format!("Bearer {text}");
        let headers = [("authorization", token.as_str()), ("accept", text)];
        let reply = api.send("GET", "/api/v1/columns", &headers, "");
        assert_eq!(reply.status, 200, "{text}: {reply:?}");
    }
}

fn no_cell_is_a_formula(api: &Served, hour: u32, names: &[String]) {
    let accept = [("content-type", "application/json"), ("accept", "text/csv")];
    for by in ["exporter", "interface", "link", "provider", "as"] {
        let csv = api.send("POST", "/api/v1/query", &accept, &question(hour, &[by], "").to_string());
        assert_eq!(csv.status, 200, "{csv:?}");
        let mut cells: Vec<String> = Vec::new();
        for line in csv::Reader::from_reader(csv.text.as_bytes()).records() {
            let line = line.unwrap();
            assert_eq!(line.len(), 14, "{line:?}");
            cells.push(line[0].to_owned());
        }
        assert_eq!(cells.len(), names.len(), "{by}");
        for cell in &cells {
            // A spreadsheet of another language ends cells at other signs, and none sees the quotes of this file then.
            for part in cell.split([',', ';', '|', '\t', '\r', '\n']) {
                assert!(!part.trim_start().starts_with(['=', '+', '-', '@', '＝']), "{by}: {cell:?}");
            }
        }
        let plain = |text: &str| text.replace('\'', "");
        let mut told: Vec<_> = cells.iter().map(|cell| plain(cell)).collect();
        let mut wanted: Vec<_> = names
            .iter()
            .enumerate()
            .map(|(n, name)| match by {
                "interface" => plain(&format!("{name} {name}")),
                "as" => plain(&format!("AS{} {name}", AS + n as u32)),
                _ => plain(name),
            })
            .collect();
        told.sort_unstable();
        wanted.sort_unstable();
        assert_eq!(told, wanted, "{by}: nothing but quotes is added");
    }
}

fn what_a_person_says_is_kept_as_it_is_or_refused(api: &Served, names: &[String]) {
    let mut said = BTreeMap::new();
    // Each waits until the store knows it, so not all of them: as names of rules all are there.
    for (n, text) in names.iter().enumerate().step_by(5) {
        let members = json!([{"exporter": exporter(n).to_string(), "if_index": 2}]);
        let link =
            json!({"name": format!("{text}."), "provider": text, "connectivity": "ix", "members": members});
        let path = format!("/api/v1/links/{}", encoded(text));
        let reply = api.send("PUT", &path, &[("content-type", "application/json")], &link.to_string());
        let shown = text.trim() == text && !text.chars().any(char::is_control) && text.len() < 100;
        assert_eq!(reply.status, if shown { 200 } else { 422 }, "{text:?}: {reply:?}");
        if shown {
            said.insert(text.clone(), (format!("{text}."), text.clone()));
        }
    }
    assert!(said.len() > 5, "{said:?}");
    let links = api.send("GET", "/api/v1/links", &[], "").json();
    let text = |json: &Json| json.as_str().unwrap().to_owned();
    let kept: BTreeMap<_, _> = links["links"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|link| link["said_by"] == "person")
        .map(|link| (text(&link["id"]), (text(&link["name"]), text(&link["provider"]))))
        .collect();
    assert_eq!(kept, said);
}
