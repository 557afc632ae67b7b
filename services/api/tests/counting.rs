//! What docs/counting.md says of packets that are met more than once, on the engine; and the names of all tests that hold that law.
#![allow(clippy::unwrap_used)]

mod engine;

use engine::{put_links, put_sides, side};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};
use weir_api::query::field::Dimension;
use weir_api::query::period::Kept;
use weir_api::query::request::Request;
use weir_api::query::{Answer, Counted, Scope, ask};
use weir_schemas::rollup::LinkRow;
use weir_schemas::{Connectivity, Direction, Ip, Observation};
use weir_store::Store;

const EDGE: Ip = Ip::v4([192, 0, 2, 1]);
/// A transit, a customer, and a link between two routers.
const LINKS: [(u32, &str, Connectivity); 3] = [
    (1, "Transit A", Connectivity::Transit),
    (2, "Customer B", Connectivity::Customer),
    (3, "Core", Connectivity::Core),
];
/// What a customer sends to AS 174: 100 packets of 1000 bytes, sampled at 1 in 10.
const SENT: u64 = 1_000_000;

async fn filled(mut store: Store) -> (Store, u32) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as u32;
    let hour = now / 3600 * 3600 - 7200;
    let flow =
        [side(EDGE, hour, 64_500, 2, Direction::In, 100), side(EDGE, hour, 174, 1, Direction::Out, 100)];
    // Both of the router's interfaces are sampled, so each packet is observed where it comes in and where it leaves.
    let again = flow.map(|side| LinkRow { observation: Observation::Egress, ..side });
    put_sides(&mut store, &[flow, again].concat()).await;
    put_links(&mut store, EDGE, &LINKS).await;
    (store, hour)
}

async fn asked(store: &Store, hour: u32, request: Request) -> Answer {
    let time = |seconds: u32| Some(jiff::Timestamp::from_second(seconds.into()).unwrap().to_string());
    let request = Request { from: time(hour), to: time(hour + 3600), ..request };
    let days = BTreeMap::new();
    ask(store, &request.question(Kept::new(hour + 7200, &days)).unwrap()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_observed_twice_and_what_a_customer_sends_over_a_transit_count_once() {
    engine::with(async |store, ending| {
        let (store, hour) = filled(store).await;
        for (observation, other) in [(Counted::Ingress, "egress"), (Counted::Egress, "ingress")] {
            let by = Some(vec![Dimension::Connectivity]);
            let answer =
                asked(&store, hour, Request { by, observation: Some(observation), ..Request::default() })
                    .await;
            assert_eq!((answer.total.bytes_in, answer.total.bytes_out), (0, SENT), "{observation:?}");
            assert_eq!((answer.rows.len(), answer.rows[0].keys[0].as_str()), (1, "transit"));
            let [left] = &answer.other_observation[..] else { panic!("{:?}", answer.other_observation) };
            assert_eq!((left.observation.as_str(), left.bytes), (other, SENT), "what is not counted is told");
        }
        let all = asked(&store, hour, Request { scope: Some(Scope::All), ..Request::default() }).await;
        assert_eq!(
            (all.total.bytes_in, all.total.bytes_out),
            (SENT, SENT),
            "in by the one, out by the other"
        );
        ending.end().await;
    })
    .await;
}

/// Names of functions in Rust and of tests in the browser's language.
fn names(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if !["node_modules", "target", "dist", "snapshots"].contains(&name.as_str()) {
                names(&path, found);
            }
        } else if name.ends_with(".rs") || name.ends_with(".spec.ts") {
            for line in std::fs::read_to_string(&path).unwrap().lines() {
                let line = line.trim_start();
                let rust = line
                    .strip_prefix("async ")
                    .unwrap_or(line)
                    .strip_prefix("fn ")
                    .and_then(|rest| rest.split('(').next());
                let page = line.strip_prefix("test('").and_then(|rest| rest.split("', ").next());
                found.extend(rust.or(page).map(str::to_owned));
            }
        }
    }
}

#[test]
fn every_rule_names_tests_that_there_are() {
    let root: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut found = BTreeSet::new();
    ["services", "schemas", "loadtest"].iter().for_each(|folder| names(&root.join(folder), &mut found));
    let document = std::fs::read_to_string(root.join("docs/counting-tests.md")).unwrap();
    let named: Vec<_> = document.split('`').skip(1).step_by(2).collect();
    assert!(named.len() > 60, "{}", named.len());
    let missing: Vec<_> = named.iter().filter(|name| !found.contains(**name)).collect();
    assert!(missing.is_empty(), "docs/counting-tests.md names tests that are not there: {missing:?}");
    let law = std::fs::read_to_string(root.join("docs/counting.md")).unwrap();
    for heading in law.lines().filter_map(|line| line.strip_prefix("## ")) {
        assert!(
            document.contains(&format!("## {heading}\n")),
            "docs/counting-tests.md has nothing of {heading}"
        );
    }
}
