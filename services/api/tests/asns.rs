//! One AS over HTTP, on the real engine: its name, what its number says, and the links that it was met by.
#![allow(clippy::unwrap_used)]

mod engine;
mod served;

use engine::{put, put_links, put_sides, side};
use serde_json::json;
use served::Served;
use std::time::{SystemTime, UNIX_EPOCH};
use weir_schemas::rollup::AsRow;
use weir_schemas::{Connectivity, Direction, Ip};
use weir_store::Store;

const EDGE: Ip = Ip::v4([192, 0, 2, 1]);
const NAME: &str = "O'Carrier \\ \"DE\"; DROP TABLE asns --";

async fn fill(store: &mut Store) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as u32;
    let hour = now / 3600 * 3600 - 7200;
    let sides = [
        (64_512, 1, Direction::In, 5),
        (3320, 1, Direction::In, 50),
        (3320, 1, Direction::Out, 7),
        (3320, 2, Direction::In, 90),
        (3320, 3, Direction::Out, 3),
        // Within the network it is not met, and where nobody said what an interface is neither.
        (3320, 4, Direction::In, 1000),
        (3320, 5, Direction::In, 1000),
    ];
    let rows =
        sides.map(|(asn, if_index, direction, packets)| side(EDGE, hour, asn, if_index, direction, packets));
    put_sides(store, &rows).await;
    let mut names = Vec::new();
    put_links(
        store,
        EDGE,
        &[
            (1, "Transit A", Connectivity::Transit),
            (2, "LAN", Connectivity::Ix),
            (3, "Eyeballs", Connectivity::Customer),
            (4, "to-core-2", Connectivity::Core),
        ],
    )
    .await;
    AsRow { asn: 3320, name: NAME, version: 1, ..AsRow::default() }.put_row(&mut names);
    put(store, "asns", names).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn an_as_is_told_with_its_name_and_the_links_that_it_was_met_by_in_the_last_day() {
    engine::with(async |mut store, ending| {
        fill(&mut store).await;
        let api = Served::over(store).await;
        let told = |asn: &str| {
            let reply = api.send("GET", &format!("/api/v1/asns/{asn}"), &[], "");
            assert_eq!(reply.status, 200, "{asn}: {}", reply.text);
            reply.json()
        };
        let carrier = told("3320");
        assert_eq!((&carrier["asn"], &carrier["name"]), (&json!(3320), &json!(NAME)));
        assert_eq!(carrier["to"].as_u64().unwrap() - carrier["from"].as_u64().unwrap(), 86_400);
        // A packet of 1000 bytes at 1 in 10 is 10 000 bytes.
        let link = |link: &str, connectivity: &str, packets_in: u32, packets_out: u32| {
            let bytes = |packets: u32| packets * 10_000;
            json!({"link": link, "connectivity": connectivity, "bytes_in": bytes(packets_in), "bytes_out": bytes(packets_out)})
        };
        let all = [link("LAN", "ix", 90, 0), link("Transit A", "transit", 50, 7), link("Eyeballs", "customer", 0, 3)];
        assert_eq!(carrier["links"], json!(all));
        assert_eq!(carrier.get("special"), None);
        let urls: Vec<_> =
            carrier["elsewhere"].as_array().unwrap().iter().map(|one| one["url"].as_str().unwrap()).collect();
        assert_eq!(
            urls,
            ["https://www.peeringdb.com/asn/3320", "https://stat.ripe.net/AS3320", "https://bgp.tools/as/3320"]
        );

        let private = told("64512");
        assert_eq!((&private["name"], &private["special"]), (&json!(""), &json!("private")));
        assert_eq!((&private["links"], &private["elsewhere"]), (&json!([link("Transit A", "transit", 5, 0)]), &json!([])));
        let nobody = told("4199999999");
        assert_eq!((&nobody["name"], &nobody["links"]), (&json!(""), &json!([])));

        for wrong in ["AS3320", "-1", "4294967296", "3320%20OR%201"] {
            let reply = api.send("GET", &format!("/api/v1/asns/{wrong}"), &[], "");
            assert_eq!((reply.status, reply.kind.as_str()), (422, "application/problem+json"), "{wrong}");
            assert!(reply.json()["detail"].as_str().unwrap().contains("such as 15169"), "{}", reply.text);
        }
        ending.end().await;
        api.end().await;
    })
    .await;
}
