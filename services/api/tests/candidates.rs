//! Where to peer, on the real engine: what is saved against percentiles that are worked out here, slot by slot.
#![allow(clippy::unwrap_used)]

mod engine;
mod served;

use engine::{put, put_sides, side};
use serde_json::{Value as Json, json};
use served::Served;
use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};
use weir_schemas::rollup::{LinkMemberRow, LinkRow};
use weir_schemas::value::Slot;
use weir_schemas::{Connectivity, Direction, Ip, Observation};
use weir_store::Store;

const EDGE: Ip = Ip::v4([192, 0, 2, 1]);
const SLOTS: u32 = 288;
/// Provider, and what interfaces 1 to 4 are for. Two links are of one provider: one bill.
const LINKS: [(&str, &str, Connectivity); 4] = [
    ("a1", "A", Connectivity::Transit),
    ("a2", "A", Connectivity::Transit),
    ("b \\ it's", "", Connectivity::Transit),
    ("lan", "IX", Connectivity::Ix),
];

/// AS, interface, direction, slot, packets of 1000 bytes at 1 in 10.
type Side = (u32, u32, Direction, u32, u64);

fn sides() -> Vec<Side> {
    let mut all = Vec::new();
    for slot in 0..SLOTS {
        let busy = slot % 12 < 6;
        // Sends most, but never when it is busy: it saves little. The other one is what peaks are made of.
        all.push((100, 1, Direction::In, slot, if busy { 50 } else { 980 }));
        all.push((200, 2, Direction::In, slot, if busy { 1000 } else { 20 }));
        all.push((200, 4, Direction::In, slot, 7));
        all.push((300, 3, Direction::Out, slot, u64::from(slot % 7) * 40));
        all.push((300, 3, Direction::In, slot, 30));
        // Own or unknown is no AS to peer with, and is billed.
        all.push((0, 1, Direction::In, slot, 11));
    }
    all
}

async fn fill(store: &mut Store, start: u32) {
    let unknown = LinkRow { sampling_interval: 0, ..side(EDGE, start, 100, 1, Direction::In, 5) };
    let egress = LinkRow { observation: Observation::Egress, ..side(EDGE, start, 100, 1, Direction::In, 3) };
    let rows: Vec<_> = sides()
        .into_iter()
        .map(|(asn, if_index, direction, slot, packets)| {
            side(EDGE, start + slot * 300, asn, if_index, direction, packets)
        })
        .chain([unknown, egress])
        .collect();
    put_sides(store, &rows).await;
    let mut links = Vec::new();
    for (if_index, (link, provider, connectivity)) in (1..).zip(LINKS) {
        let row = LinkMemberRow {
            exporter: EDGE,
            if_index,
            link,
            provider,
            connectivity,
            version: 1,
            ..LinkMemberRow::default()
        };
        LinkMemberRow { valid_to: Slot(u32::MAX), ..row }.put_row(&mut links);
    }
    put(store, "links", links).await;
}

/// Of 288 slots 14 are dropped.
fn p95(mut slots: Vec<u64>) -> u64 {
    slots.sort_unstable_by(|a, b| b.cmp(a));
    slots[14]
}

/// In and out of what is picked on these interfaces.
fn percentiles(interfaces: &[u32], picked: impl Fn(u32) -> bool) -> [u64; 2] {
    [Direction::In, Direction::Out].map(|direction| {
        let mut slots = vec![0; SLOTS as usize];
        for (_, _, _, slot, packets) in sides()
            .iter()
            .filter(|side| side.2 == direction && interfaces.contains(&side.1) && picked(side.0))
        {
            slots[*slot as usize] += packets * 10_000;
        }
        p95(slots)
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn ases_come_by_what_is_billed_less_without_them() {
    engine::with(async |mut store, ending| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as u32;
        let start = now / 3600 * 3600 - 2 * 86_400 + 300;
        fill(&mut store, start).await;
        let api = Served::over(store).await;
        let time = |seconds: u32| jiff::Timestamp::from_second(seconds.into()).unwrap().to_string();
        let path = format!("/api/v1/candidates?from={}&to={}", time(start), time(start + SLOTS * 300));
        let reply = api.send("GET", &path, &[], "");
        assert_eq!(reply.status, 200, "{}", reply.text);
        let answer = reply.json();
        assert_eq!((&answer["slots"], &answer["tables"]), (&SLOTS.into(), &json!(["links_5m"])));
        assert_eq!(answer["stored_from"], start);
        // What does not count is told with its exporter, of transit alone.
        assert_eq!(
            (&answer["observation"], &answer["unknown_rate"][0]["bytes_unknown_rate"]),
            (&"chosen".into(), &5000.into())
        );
        assert_eq!(answer["other_observation"][0]["bytes"], 30_000);
        let candidates = answer["candidates"].as_array().unwrap();
        let mut saved = BTreeMap::new();
        for candidate in candidates {
            let asn = candidate["asn"].as_u64().unwrap() as u32;
            let mut sum = 0;
            for transit in candidate["transits"].as_array().unwrap() {
                let interfaces: &[u32] = if transit["provider"] == "A" { &[1, 2] } else { &[3] };
                let [all, left] =
                    [percentiles(interfaces, |_| true), percentiles(interfaces, |other| other != asn)];
                let told = |key: &str| transit[key].as_u64().unwrap();
                assert_eq!([told("p95_in"), told("p95_out")], all, "{transit}");
                assert_eq!([told("left_p95_in"), told("left_p95_out")], left, "{transit}");
                assert_eq!(told("saved"), all[0].max(all[1]) - left[0].max(left[1]), "{transit}");
                sum += told("saved");
            }
            assert_eq!(candidate["saved"], sum);
            saved.insert(asn, sum);
        }
        let order: Vec<_> = candidates.iter().map(|one| one["asn"].as_u64().unwrap()).collect();
        assert_eq!(order, [300, 200, 100], "{saved:?}");
        // It sends most of all, and peaks are made by another.
        assert!(
            saved[&100] < saved[&200]
                && candidates[2]["bytes_in"].as_u64() > candidates[1]["bytes_in"].as_u64()
        );
        assert_eq!(
            candidates[0]["transits"][0]["provider"], "b \\ it's",
            "a link without a provider is billed alone"
        );
        let met: Vec<&Json> = candidates.iter().flat_map(|one| one["met"].as_array().unwrap()).collect();
        assert_eq!(
            (met.len(), &met[0]["link"], &met[0]["bytes_in"]),
            (1, &"lan".into(), &(7 * 10_000 * u64::from(SLOTS)).into())
        );
        let [boundary, over] = ["bytes_boundary", "bytes_in"].map(|key| candidates[1][key].as_u64().unwrap());
        assert_eq!(boundary - over, 7 * 10_000 * u64::from(SLOTS));

        for (query, status, pointer) in [
            ("last=4m", 422, "/from"),
            ("top=0", 422, "/top"),
            ("top=201", 422, "/top"),
            ("filter=as+%3D+174+OR+exporter+%3D+edge", 422, "/filter"),
            ("last=1d&from=2026-01-01T00:00:00Z", 422, "/last"),
            ("filter=exporter+%3D+%27edge%27+AND", 422, "/filter"),
            ("lst=1d", 422, ""),
            ("filter=exporter+%3D+%27%27%27", 422, "/filter"),
        ] {
            let reply = api.send("GET", &format!("/api/v1/candidates?{query}"), &[], "");
            assert_eq!(
                (reply.status, reply.json()["pointer"].as_str().unwrap()),
                (status, pointer),
                "{query}: {}",
                reply.text
            );
        }
        what_is_said_of_flows_narrows_no_transit(&api, &path, &answer);
        let none = api.send("GET", "/api/v1/candidates?last=1h&filter=exporter+%3D+nobody", &[], "");
        assert_eq!((none.status, &none.json()["candidates"]), (200, &Json::Array(Vec::new())));
        api.end().await;
        ending.end().await;
    })
    .await;
}

/// Of the AS alone the 95th is its own, and of a bill it is one part.
fn what_is_said_of_flows_narrows_no_transit(api: &Served, path: &str, all: &Json) {
    let of = |answer: &Json, asn: u32| {
        let candidates = answer["candidates"].as_array().unwrap().clone();
        candidates.into_iter().find(|one| one["asn"] == asn).unwrap()["transits"].clone()
    };
    let asked = |filter: &str| {
        let reply = api.send("GET", &format!("{path}&filter={filter}"), &[], "");
        assert_eq!(reply.status, 200, "{}", reply.text);
        reply.json()
    };
    let one = asked("as+%3D+200");
    assert_eq!(one["candidates"].as_array().unwrap().len(), 1);
    assert_eq!(of(&one, 200), of(all, 200));
    let [in_alone, on_one_link] = ["direction+%3D+in", "link+%3D+a2"].map(|filter| of(&asked(filter), 200));
    assert_eq!(in_alone, of(all, 200), "what goes out is billed as before");
    let [p95_in, _] = percentiles(&[2], |_| true);
    assert_eq!((&on_one_link[0]["p95_in"], &on_one_link[0]["left_p95_in"]), (&json!(p95_in), &json!(0)));
}
