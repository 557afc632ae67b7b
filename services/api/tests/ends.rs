//! What is told of both ends of flows: the AS at the other end, countries and prefixes, on the engine.
#![allow(clippy::unwrap_used)]

mod engine;

use engine::{put, put_links};
use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};
use weir_api::query::field::Dimension;
use weir_api::query::period::Kept;
use weir_api::query::request::Request;
use weir_api::query::{Answer, Scope, ask};
use weir_schemas::rollup::{AsRow, PairRow, PrefixRow};
use weir_schemas::value::Slot;
use weir_schemas::{Connectivity, Country, Direction, Ip, Observation, SamplingKind};
use weir_store::Store;

const EDGE: Ip = Ip::v4([192, 0, 2, 1]);
/// Flows at 1 in 10: source AS and country, input interface, output interface, destination AS and country, packets of 1000 bytes.
type Pair = (u32, &'static str, u32, u32, u32, &'static str, u64);
const PAIRS: [Pair; 4] = [
    (15_169, "US", 1, 3, 64_500, "DE", 300),
    (15_169, "IE", 2, 3, 64_500, "DE", 50),
    (2906, "US", 1, 3, 64_501, "FR", 70),
    (64_500, "DE", 3, 1, 15_169, "US", 20),
];

async fn filled(store: &mut Store, hour: u32) {
    for (name, slot) in [("pairs_5m", 300), ("pairs_1h", 3600)] {
        let mut rows = Vec::new();
        for (n, (src_as, src_country, in_if, out_if, dst_as, dst_country, packets)) in
            PAIRS.iter().enumerate()
        {
            let packets = *packets as i64;
            PairRow {
                time: Slot((hour + 300 * n as u32) / slot * slot),
                exporter: EDGE,
                in_if: *in_if,
                out_if: *out_if,
                observation: Observation::Ingress,
                family: 4,
                src_as: *src_as,
                dst_as: *dst_as,
                src_country: Country::new(src_country),
                dst_country: Country::new(dst_country),
                sampling_interval: 10_000,
                sampling_kind: SamplingKind::Packet,
                bytes: packets * 1000,
                packets,
                flows: 1,
                q: i128::from(packets) * 1_000_000,
                ..PairRow::default()
            }
            .put_row(&mut rows);
        }
        put(store, name, rows).await;
    }
    let mut rows = Vec::new();
    let v6 = Ip([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    for (prefix, prefix_len, family, packets) in
        [(Ip::v4([8, 8, 8, 0]), 24, 4, 300), (v6, 48, 6, 50), (Ip::default(), 0, 0, 1)]
    {
        PrefixRow {
            time: Slot(hour),
            exporter: EDGE,
            if_index: 1,
            direction: Direction::In,
            observation: Observation::Ingress,
            family,
            prefix,
            prefix_len,
            asn: 15_169,
            sampling_interval: 10_000,
            sampling_kind: SamplingKind::Packet,
            bytes: packets * 1000,
            packets,
            flows: 1,
            ..PrefixRow::default()
        }
        .put_row(&mut rows);
    }
    put(store, "prefixes_1h", rows).await;
    let mut names = Vec::new();
    put_links(
        store,
        EDGE,
        &[
            (1, "Transit A", Connectivity::Transit),
            (2, "LAN", Connectivity::Ix),
            (3, "Eyeballs", Connectivity::Customer),
        ],
    )
    .await;
    AsRow { asn: 15_169, name: "Google", version: 1, ..AsRow::default() }.put_row(&mut names);
    put(store, "asns", names).await;
}

struct Case {
    store: Store,
    hour: u32,
}

impl Case {
    async fn ask(&self, by: &[Dimension], filter: &str, scope: Option<Scope>) -> Answer {
        let time = |seconds: u32| Some(jiff::Timestamp::from_second(seconds.into()).unwrap().to_string());
        let request = Request {
            from: time(self.hour),
            to: time(self.hour + 3600),
            by: Some(by.to_vec()),
            filter: Some(filter.to_owned()),
            scope,
            ..Request::default()
        };
        let days = BTreeMap::new();
        ask(&self.store, &request.question(Kept::new(self.hour + 7200, &days)).unwrap()).await.unwrap()
    }
}

/// Keys, packets in and out, each worth 10 000 bytes.
fn shown(answer: &Answer) -> Vec<(Vec<&str>, u64, u64)> {
    let row = |row: &'_ weir_api::query::Row| (row.bytes_in / 10_000, row.bytes_out / 10_000);
    answer
        .rows
        .iter()
        .map(|one| (one.keys.iter().map(String::as_str).collect(), row(one).0, row(one).1))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_other_end_of_flows_is_told_over_the_link_by_which_they_come_and_go() {
    engine::with(async |mut store, ending| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as u32;
        let hour = now / 3600 * 3600 - 7200;
        filled(&mut store, hour).await;
        let case = Case { store, hour };

        let pairs = case.ask(&[Dimension::As, Dimension::Link, Dimension::OtherAs], "", None).await;
        assert_eq!(
            shown(&pairs),
            [
                (vec!["AS15169 Google", "Transit A", "AS64500"], 300, 20),
                (vec!["AS2906", "Transit A", "AS64501"], 70, 0),
                (vec!["AS15169 Google", "LAN", "AS64500"], 50, 0),
            ]
        );
        assert_eq!((pairs.tables, pairs.total.bytes_in), (vec!["pairs_1h"], 0), "the total names no end");
        let countries = case.ask(&[Dimension::Country], "as = 15169", None).await;
        assert_eq!(shown(&countries), [(vec!["US"], 300, 20), (vec!["IE"], 50, 0)]);
        let german =
            case.ask(&[Dimension::OtherAs], "country = DE AND link = \"Eyeballs\"", Some(Scope::All)).await;
        assert_eq!(shown(&german), [(vec!["AS15169 Google"], 20, 350)]);
        assert_eq!(
            (german.total.bytes_in, german.total.bytes_out),
            (200_000, 3_500_000),
            "of the filter's ends"
        );

        let prefixes = case.ask(&[Dimension::Prefix], "as = 15169", None).await;
        let all = [(vec!["8.8.8.0/24"], 300, 0), (vec!["2001:db8::/48"], 50, 0), (vec!["not IP"], 1, 0)];
        assert_eq!(shown(&prefixes), all);
        assert_eq!(prefixes.tables, ["prefixes_1h"]);
        ending.end().await;
    })
    .await;
}
