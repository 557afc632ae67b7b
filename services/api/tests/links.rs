//! Links as people say them, all the way: API, bus, sink, store, and what is asked then.
#![allow(clippy::unwrap_used)]

mod engine;
mod served;

use serde_json::{Value as Json, json};
use served::{Served, bus, bus_config};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio_util::sync::CancellationToken;
use weir_api::Config;
use weir_bus::{Bus, TopicSpec};
use weir_runtime::Health;
use weir_schemas::rollup::{ExporterRow, InterfaceRow, LinkMemberRow, LinkRow};
use weir_schemas::value::Slot;
use weir_schemas::{Connectivity, Direction, Ip, Observation, SamplingKind};
use weir_store::Store;

const EDGE: Ip = Ip::v4([192, 0, 2, 1]);

/// Interfaces 1 to 3 of one exporter, each with bytes in one hour: 1 is on a link by a rule, 2 has a description that says what it is, and of 3
/// nothing is known but one AS.
async fn seen(store: &mut Store) -> u32 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as u32;
    let hour = now / 3600 * 3600 - 7200;
    let (mut sides, mut links, mut interfaces, mut exporters) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (if_index, asn, bytes) in [(1, 174, 1000), (2, 3320, 3000), (2, 1299, 500), (3, 15_169, 200)] {
        let side = LinkRow {
            time: Slot(hour),
            exporter: EDGE,
            if_index,
            direction: Direction::In,
            observation: Observation::Ingress,
            family: 4,
            asn,
            sampling_interval: 10_000,
            sampling_kind: SamplingKind::Packet,
            bytes,
            packets: 1,
            flows: 1,
            ..LinkRow::default()
        };
        // Where its packets leave they are observed once more.
        sides.extend([side, LinkRow { observation: Observation::Egress, ..side }]);
    }
    LinkMemberRow {
        exporter: EDGE,
        if_index: 1,
        valid_to: Slot(u32::MAX),
        link: "by rule",
        connectivity: Connectivity::Transit,
        version: 1,
        ..LinkMemberRow::default()
    }
    .put_row(&mut links);
    InterfaceRow {
        exporter: EDGE,
        if_index: 2,
        name: "et-0/0/2",
        description: "Transit: Example AS64500",
        speed: 100_000_000_000,
        version: 1,
        ..InterfaceRow::default()
    }
    .put_row(&mut interfaces);
    ExporterRow { exporter: EDGE, name: "edge1", version: 1, ..ExporterRow::default() }
        .put_row(&mut exporters);
    engine::put_sides(store, &sides).await;
    for (name, rows) in [("links", links), ("interfaces", interfaces), ("exporters", exporters)] {
        engine::put(store, name, rows).await;
    }
    hour
}

/// One test function, because one process has one engine.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn what_a_person_says_of_a_link_holds_for_the_past_and_beats_rules_until_it_is_taken_back() {
    engine::with(async |mut store, ending| {
        let hour = seen(&mut store).await;
        let folder = tempfile::tempdir().unwrap();
        let bus = bus(folder.path());
        let stop = CancellationToken::new();
        let specs = TopicSpec::all(&bus_config(folder.path()), bus.partitions());
        let sink = tokio::spawn(weir_sink::run(
            weir_sink::Config { workers: 1, ..weir_sink::Config::default() },
            bus.clone(),
            bus.topics(),
            specs,
            store.clone(),
            Health::default().condition("sink"),
            stop.clone(),
        ));
        let api = Served::on(Config::default(), store, &bus, folder).await;
        interfaces_on_no_link_come_with_what_they_could_be(&api);
        a_link_that_is_said_changes_the_past(&api, hour);
        what_excludes_each_other_is_refused(&api);
        a_link_keeps_its_id_and_changes_its_name_and_members(&api, hour);
        what_is_taken_back_is_the_rules_again(&api, hour);
        api.end().await;
        stop.cancel();
        sink.await.unwrap().unwrap();
        ending.end().await;
    })
    .await;
}

fn put(api: &Served, id: &str, link: &Json) -> served::Reply {
    api.send(
        "PUT",
        &format!("/api/v1/links/{id}"),
        &[("content-type", "application/json")],
        &link.to_string(),
    )
}

/// Bytes in by link, of all interfaces.
fn by_link(api: &Served, hour: u32) -> Vec<(String, u64)> {
    let time = |seconds: u32| jiff::Timestamp::from_second(seconds.into()).unwrap().to_string();
    let question = json!({"from": time(hour), "to": time(hour + 3600), "by": ["link"], "scope": "all"});
    let answer = api.post(&question).json();
    let row = |row: &Json| (row["keys"][0].as_str().unwrap().to_owned(), row["bytes_in"].as_u64().unwrap());
    answer["rows"].as_array().unwrap().iter().map(row).collect()
}

fn links(api: &Served) -> Json {
    let reply = api.send("GET", "/api/v1/links", &[], "");
    assert_eq!(reply.status, 200, "{}", reply.text);
    reply.json()
}

fn interfaces_on_no_link_come_with_what_they_could_be(api: &Served) {
    let all = links(api);
    let shown: Vec<_> = all["unclassified"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            (
                &one["if_index"],
                &one["bytes_in"],
                &one["ases"],
                &one["proposal"]["connectivity"],
                &one["proposal"]["because"],
            )
        })
        .collect();
    let [transit, pni] = [json!("transit"), json!("pni")];
    let because = [json!("its description says transit"), json!("AS15169 alone is seen there")];
    assert_eq!(
        shown,
        [
            (&json!(2), &json!(35_000), &json!(2), &transit, &because[0]),
            (&json!(3), &json!(2000), &json!(1), &pni, &because[1])
        ]
    );
    assert_eq!(all["unclassified"][0]["proposal"]["provider"], "Example");
    assert_eq!(all["unclassified"][0]["exporter_name"], "edge1");
    let link = &all["links"][0];
    assert_eq!((&link["id"], &link["said_by"]), (&json!("by rule"), &json!("rule")));
    assert_eq!(link["members"][0]["valid_to"], u32::MAX);
    assert_eq!(link["complete_in"]["says"], "in is complete: sampled on ingress here");
    // Interfaces 2 and 3 are observed on ingress.
    let out = "out is complete: not sampled on egress here, but all other interfaces are on ingress";
    assert_eq!(
        (&link["complete_out"]["says"], &link["complete_out"]["complete"]),
        (&json!(out), &json!(true))
    );
}

fn transit(members: &Json) -> Json {
    json!({"name": "transit <b>&\"'; --", "provider": "Example", "connectivity": "transit", "neighbour_as": 64500,
           "capacity": 100_000_000_000_u64, "price": 120, "currency": "EUR", "commit_rate": 10_000_000_000_u64, "members": members})
}

fn a_link_that_is_said_changes_the_past(api: &Served, hour: u32) {
    let not = ("not classified".to_owned(), 37_000);
    assert_eq!(by_link(api, hour), [not, ("by rule".to_owned(), 10_000)]);
    let reply = put(api, "t%2F1", &transit(&json!([{"exporter": "192.0.2.1", "if_index": 2}])));
    assert_eq!(reply.status, 200, "{}", reply.text);
    assert_eq!(reply.json()["id"], "t/1");
    let name = "transit <b>&\"'; --".to_owned();
    let not = ("not classified".to_owned(), 2000);
    assert_eq!(by_link(api, hour), [(name.clone(), 35_000), ("by rule".to_owned(), 10_000), not]);
    let all = links(api);
    assert_eq!(all["unclassified"].as_array().unwrap().len(), 1);
    let said = &all["links"][1];
    assert_eq!(
        (&said["name"], &said["said_by"], &said["price"]),
        (&json!(name), &json!("person"), &json!(120))
    );
    assert_eq!((&said["members"][0]["name"], &said["currency"]), (&json!("et-0/0/2"), &json!("EUR")));
}

fn what_excludes_each_other_is_refused(api: &Served) {
    let member = json!([{"exporter": "192.0.2.1", "if_index": 3}, {"exporter": "192.0.2.1", "if_index": 2, "valid_to": "2001-01-01T00:00:00Z"}]);
    let mut other = transit(&member);
    let named = put(api, "other", &other);
    assert_eq!((named.status, &named.json()["pointer"]), (409, &json!("/name")), "{}", named.text);
    other["name"] = "other".into();
    let overlaps = put(api, "other", &other);
    assert_eq!(
        (overlaps.status, &overlaps.json()["pointer"]),
        (409, &json!("/members/1")),
        "{}",
        overlaps.text
    );
    other["connectivity"] = "tranist".into();
    let unknown = put(api, "other", &other);
    assert_eq!(
        (unknown.status, &unknown.json()["pointer"]),
        (422, &json!("/connectivity")),
        "{}",
        unknown.text
    );
    assert_eq!(api.send("DELETE", "/api/v1/links/by%20rule", &[], "").status, 404);
}

fn a_link_keeps_its_id_and_changes_its_name_and_members(api: &Served, hour: u32) {
    // Interface 1 is on a link by a rule, and a person's word beats it; interface 2 is left out now.
    let time = |seconds: u32| jiff::Timestamp::from_second(seconds.into()).unwrap().to_string();
    let members = json!([{"exporter": "192.0.2.1", "if_index": 1, "valid_from": time(hour)}, {"exporter": "192.0.2.1", "if_index": 3, "valid_to": time(hour)}]);
    let mut link = transit(&members);
    link["name"] = "renamed".into();
    assert_eq!(put(api, "t%2F1", &link).status, 200);
    // What was on it until that hour is on none in it.
    assert_eq!(by_link(api, hour), [("not classified".to_owned(), 37_000), ("renamed".to_owned(), 10_000)]);
    let all = links(api);
    assert_eq!(all["links"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&all["links"][0]["id"], &all["links"][0]["members"][0]["valid_from"]),
        (&json!("t/1"), &json!(hour))
    );
}

fn what_is_taken_back_is_the_rules_again(api: &Served, hour: u32) {
    assert_eq!(api.send("DELETE", "/api/v1/links/t%2F1", &[], "").status, 204);
    assert_eq!(by_link(api, hour), [("not classified".to_owned(), 37_000), ("by rule".to_owned(), 10_000)]);
    assert_eq!(links(api)["links"][0]["said_by"], "rule");
}
