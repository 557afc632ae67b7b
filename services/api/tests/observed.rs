//! Which records count, of routers that sample differently: on the engine, and by the minute.
#![allow(clippy::unwrap_used)]

mod engine;

use engine::{link_rows, put, put_sides, side};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};
use weir_api::query::field::Dimension;
use weir_api::query::period::Kept;
use weir_api::query::request::Request;
use weir_api::query::{Counted, ask};
use weir_schemas::rollup::LinkRow;
use weir_schemas::{Connectivity, Direction, Ip, Observation};

/// Where a router's packets are observed: on ingress and on egress of its transit, and of its core.
type Sampled = [bool; 4];

/// Routers with a transit and a core, by where they sample; the one that has nothing begins to, on egress of its transit, in the middle.
const ROUTERS: [(&str, Sampled); 5] = [
    ("192.0.2.11", [true, false, true, false]),
    ("192.0.2.12", [false, true, false, true]),
    ("192.0.2.13", [true, true, true, true]),
    ("192.0.2.14", [true, true, false, false]),
    ("192.0.2.15", [true, false, true, false]),
];
const LINKS: [(u32, &str, Connectivity); 2] =
    [(1, "Transit A", Connectivity::Transit), (3, "Core", Connectivity::Core)];
/// Five minutes that are asked about.
const SLOTS: u32 = 72;
/// From this one on the last router samples on egress of its transit, too.
const BEGINS: u32 = 37;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_each_interface_and_direction_the_observation_counts_that_is_complete() {
    engine::with(async |mut store, ending| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as u32;
        let start = now / 3600 * 3600 - 2 * 3600 - SLOTS * 300;
        let (mut sides, mut links) = (Vec::new(), Vec::new());
        for (address, [ingress, egress, core_ingress, core_egress]) in ROUTERS {
            let exporter = Ip::from(address.parse::<IpAddr>().unwrap());
            links.extend(link_rows(exporter, &LINKS));
            for slot in 0..SLOTS {
                let egress = egress || address.ends_with("15") && slot >= BEGINS;
                let time = start + slot * 300;
                // Of what comes in by the transit the core is egress, and of what leaves by it the core is ingress.
                for (inward, on_ingress, on_egress) in
                    [(true, ingress, core_egress), (false, core_ingress, egress)]
                {
                    let (transit, core, packets) = if inward {
                        (Direction::In, Direction::Out, 100)
                    } else {
                        (Direction::Out, Direction::In, 50)
                    };
                    let flow = [
                        side(exporter, time, 174, 1, transit, packets),
                        side(exporter, time, 0, 3, core, packets),
                    ];
                    for (sampled, observation) in
                        [(on_ingress, Observation::Ingress), (on_egress, Observation::Egress)]
                    {
                        sides.extend(
                            flow.iter().filter(|_| sampled).map(|side| LinkRow { observation, ..*side }),
                        );
                    }
                }
            }
        }
        // Long ago a router changed from one to the other: what left by its transit was observed where it came in, and two days later where it left.
        let changed = Ip::from("192.0.2.16".parse::<IpAddr>().unwrap());
        links.extend(link_rows(changed, &LINKS));
        const DAY: u32 = 86_400;
        let between = start - 4 * DAY;
        for slot in 0..30 {
            let then = |day: u32| between - 2 * DAY + day * DAY + slot * 300;
            let out = |day| side(changed, then(day), 174, 1, Direction::Out, 50);
            sides.push(out(1));
            sides.push(LinkRow { observation: Observation::Egress, ..out(3) });
        }
        // Longer ago still, what left by a router's transit was in many rows of the first five minutes where it came in, and in none where it left.
        let crowded = Ip::from("192.0.2.17".parse::<IpAddr>().unwrap());
        links.extend(link_rows(crowded, &LINKS));
        let then = start - 9 * DAY;
        for slot in 0..24 {
            let out = |packets| side(crowded, then + slot * 300, 174, 1, Direction::Out, packets);
            if slot > 0 {
                sides.push(LinkRow { observation: Observation::Egress, ..out(50) });
            }
            let rows = if slot == 0 { 30 } else { 1 };
            sides.extend((1..=rows).map(|n| LinkRow { sampling_interval: 1000 * n, ..out(10) }));
        }
        put(&mut store, "links", links).await;
        put_sides(&mut store, &sides).await;
        let time = |seconds: u32| Some(jiff::Timestamp::from_second(seconds.into()).unwrap().to_string());
        let days = BTreeMap::new();
        let question = |from, by, observation| Request {
            from: time(from),
            to: time(start + SLOTS * 300),
            by: Some(vec![by]),
            observation,
            interval: Some("5m".to_owned()),
            peaks: true,
            ..Request::default()
        };
        let answer = async |request: Request| {
            ask(&store, &request.question(Kept::new(now, &days)).unwrap()).await.unwrap()
        };
        let all = answer(question(start, Dimension::Exporter, None)).await;
        assert_eq!((all.observation, all.rows.len()), ("chosen", ROUTERS.len()));
        let slots = u64::from(SLOTS);
        for row in &all.rows {
            assert_eq!((row.bytes_in, row.bytes_out), (slots * 1_000_000, slots * 500_000), "{:?}", row.keys);
            let series = row.series.as_ref().unwrap();
            assert!(series.bytes_in.iter().all(|bytes| *bytes == 1_000_000), "{:?}: {series:?}", row.keys);
            assert!(series.bytes_out.iter().all(|bytes| *bytes == 500_000), "{:?}: {series:?}", row.keys);
            assert_eq!(row.peaks.as_ref().unwrap().p95_out, 500_000);
        }
        let routers = ROUTERS.len() as u64;
        assert_eq!(
            (all.total.bytes_in, all.total.bytes_out),
            (routers * slots * 1_000_000, routers * slots * 500_000)
        );
        let one_as = answer(question(start + 3600, Dimension::As, None)).await;
        assert_eq!(
            one_as.rows[0].bytes_out,
            routers * (slots - 12) * 500_000,
            "from an hour later, the same"
        );
        // What was observed twice is told, and is of the router that samples both everywhere, and of the one that began to.
        let mut told: BTreeMap<&str, u64> = BTreeMap::new();
        for one in &all.other_observation {
            *told.entry(&one.exporter).or_default() += one.bytes;
        }
        assert_eq!(told.get("192.0.2.13"), Some(&(slots * 1_500_000)));
        assert_eq!(told.get("192.0.2.15"), Some(&(u64::from(SLOTS - BEGINS) * 500_000)));
        assert_eq!(told.len(), 2, "{told:?}");
        let by_hand = answer(question(start, Dimension::Exporter, Some(Counted::Ingress))).await;
        assert_eq!(by_hand.total.bytes_in, (routers - 1) * slots * 1_000_000, "one has no ingress at all");
        let to = time(between + 2 * DAY);
        let before = question(between, Dimension::Exporter, None);
        let before = Request { to, previous: true, peaks: false, interval: None, ..before };
        let before = answer(before).await;
        assert_eq!(before.rows[0].bytes_out, 30 * 500_000);
        assert_eq!(before.rows[0].previous.as_ref().unwrap().bytes_out, 30 * 500_000, "by the other kind");
        let to = time(then + 24 * 300);
        let rows = answer(Request { to, ..question(then, Dimension::Exporter, None) }).await;
        assert_eq!(rows.rows[0].bytes_out, 23 * 500_000, "many rows of a slot are one time");
        ending.end().await;
    })
    .await;
}
