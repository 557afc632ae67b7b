//! What people say of links where the store does not know it yet, or two said it at once: no interface is on two links.
#![allow(clippy::unwrap_used)]

mod engine;
mod served;

use serde_json::{Value as Json, json};
use served::{Reply, Served, bus};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use weir_api::Config;
use weir_bus::{Bus, EmbeddedBus, Reader};
use weir_schemas::Ip;
use weir_schemas::inventory::{Entry, Record};
use weir_schemas::rollup::ClassifiedRow;
use weir_schemas::value::Slot;
use weir_store::Store;

/// One test function, because one process has one engine. Nothing brings what is said to the store.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn an_interface_is_on_one_link_also_where_the_store_lags_or_two_say_it_at_once() {
    engine::with(async |mut store, ending| {
        let folder = tempfile::tempdir().unwrap();
        let bus = bus(folder.path());
        let api = Served::on(Config::default(), store.clone(), &bus, folder).await;
        what_the_store_does_not_know_yet_was_said_all_the_same(&api, &bus);
        what_two_say_at_once_is_one_link_at_any_time(&api, &mut store).await;
        api.end().await;
        ending.end().await;
    })
    .await;
}

fn put(api: &Served, id: &str, name: &str, exporter: &str) -> Reply {
    let members = json!([{"exporter": exporter, "if_index": 9}]);
    let link = json!({"name": name, "connectivity": "transit", "members": members});
    let json = ("content-type", "application/json");
    api.send("PUT", &format!("/api/v1/links/{id}"), &[json], &link.to_string())
}

/// What was said of link a last: indexes of its members, by exporter.
fn said(bus: &EmbeddedBus) -> BTreeMap<String, Vec<u32>> {
    let mut all = BTreeMap::new();
    let partitions: Vec<_> = (0..i32::try_from(bus.partitions()).unwrap()).collect();
    let mut each = |record: &weir_bus::Record<'_>| {
        let (exporter, entry) = Entry::read(record.key().unwrap(), record.value().unwrap()).unwrap();
        let Record::Classified(link) = entry.record else { unreachable!() };
        let members = link.members.iter().map(|one| one.index).collect();
        if link.id == "a" {
            all.insert(exporter.to_string(), members);
        }
    };
    bus.reader().unwrap().restore(&bus.topics().inventory, &partitions, &mut each).unwrap();
    all
}

fn until(bus: &EmbeddedBus, expected: &[(&str, &[u32])]) {
    let expected: BTreeMap<_, _> =
        expected.iter().map(|(exporter, members)| ((*exporter).to_owned(), members.to_vec())).collect();
    let begun = Instant::now();
    while said(bus) != expected {
        assert!(begun.elapsed() < Duration::from_secs(9), "{:?}, and not {expected:?}", said(bus));
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn what_the_store_does_not_know_yet_was_said_all_the_same(api: &Served, bus: &EmbeddedBus) {
    let (one, two) = ("192.0.2.1", "192.0.2.2");
    std::thread::scope(|threads| {
        let first = threads.spawn(|| put(api, "a", "a", one));
        until(bus, &[(one, &[9])]);
        for (id, name, exporter, pointer) in [("b", "b", one, "/members/0"), ("b", "a", two, "/name")] {
            let reply = put(api, id, name, exporter);
            assert_eq!((reply.status, &reply.json()["pointer"]), (409, &json!(pointer)), "{}", reply.text);
        }
        let second = threads.spawn(|| put(api, "a", "a", two));
        // What it had is taken back.
        until(bus, &[(one, &[]), (two, &[9])]);
        let gone = threads.spawn(|| api.send("DELETE", "/api/v1/links/a", &[], ""));
        until(bus, &[(one, &[]), (two, &[])]);
        assert_eq!(api.send("DELETE", "/api/v1/links/a", &[], "").status, 404, "it is taken back already");
        assert_eq!([first, second, gone].map(|one| one.join().unwrap().status), [202; 3]);
    });
}

/// As `of_two_links_that_have_an_interface_at_a_time_the_one_said_last_has_it` of the decoder has it.
async fn what_two_say_at_once_is_one_link_at_any_time(api: &Served, store: &mut Store) {
    let exporter = Ip::v4([192, 0, 2, 77]);
    let mut rows = Vec::new();
    for (version, link_id, if_index, from, to) in [
        (9, "x", 3, 120, 180),
        (9, "x", 4, 0, 99),
        (7, "y", 3, 0, u32::MAX),
        (7, "y", 4, 0, 99),
        (7, "z", 3, 60, 240),
    ] {
        let (valid_from, valid_to, link) = (Slot(from), Slot(to), link_id);
        let row = ClassifiedRow { exporter, link_id, link, if_index, version, ..ClassifiedRow::default() };
        ClassifiedRow { valid_from, valid_to, ..row }.put_row(&mut rows);
    }
    engine::put(store, "classified", rows).await;
    let links = api.send("GET", "/api/v1/links", &[], "").json();
    let mut held = Vec::new();
    for link in links["links"].as_array().unwrap() {
        let of = |member: &'_ Json| {
            ["if_index", "valid_from", "valid_to"].map(|key| member[key].as_u64().unwrap())
        };
        let members = link["members"].as_array().unwrap().iter().map(of);
        held.extend(members.map(|member| (member, link["id"].as_str().unwrap())));
    }
    held.sort_unstable();
    let last = u64::from(u32::MAX);
    assert_eq!(
        held,
        [
            ([3, 0, 60], "y"),
            ([3, 60, 120], "z"),
            ([3, 120, 180], "x"),
            ([3, 180, 240], "z"),
            ([3, 240, last], "y"),
            ([4, 0, 99], "x"),
        ]
    );
}
