//! What is told of both ends of flows: the AS at the other end, countries and prefixes, on the engine, of rows as the sink makes them.
#![allow(clippy::unwrap_used)]

mod engine;

use engine::{put, put_links};
use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};
use weir_api::query::field::Dimension;
use weir_api::query::period::Kept;
use weir_api::query::request::Request;
use weir_api::query::{Answer, Row, Scope, ask};
use weir_schemas::rollup::AsRow;
use weir_schemas::{Connectivity, Country, Flow, FlowKind, Ip, Observation, SamplingKind, Time};
use weir_sink::rollup::Rollup;
use weir_store::Store;

const EDGE: Ip = Ip::v4([192, 0, 2, 1]);
const DAY: u32 = 86_400;
const V4: Ip = Ip::v4([8, 8, 8, 8]);
const V6: Ip = Ip([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
/// Flows at 1 in 10: source AS and country, input interface, output interface, destination AS and country, family, packets of 1000 bytes.
type Pair = (u32, &'static str, u32, u32, u32, &'static str, u8, u64);
const PAIRS: [Pair; 5] = [
    (15_169, "US", 1, 3, 64_500, "DE", 4, 300),
    (15_169, "IE", 2, 3, 64_500, "DE", 6, 50),
    (2906, "US", 1, 3, 64_501, "FR", 4, 70),
    (64_500, "DE", 3, 1, 15_169, "US", 4, 20),
    (15_169, "US", 1, 3, 64_500, "DE", 0, 1),
];
/// Of these by the border: interfaces 1 and 2.
const PACKETS_IN: u64 = 421;

/// When they came, in seconds behind a midnight: in the minutes, five minutes and hours at the ends of a day, and within it.
const TIMES: [i64; 7] = [-3950, -3700, -1800, 43_210, 88_200, 90_100, 90_330];

/// As a sink would have stored it. Gives the midnight.
async fn filled(store: &mut Store) -> u32 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as u32;
    let midnight = now / DAY * DAY - 3 * DAY;
    let mut rollup = Rollup::default();
    for (seconds, pair) in TIMES.iter().flat_map(|seconds| PAIRS.iter().map(move |pair| (seconds, pair))) {
        let (src_as, src_country, in_if, out_if, dst_as, dst_country, family, packets) = *pair;
        let at = Time((i64::from(midnight) + seconds) * 1_000_000_000);
        let address = if family == 6 { V6 } else { V4 };
        let flow = Flow {
            spread_start: at,
            spread_end: at,
            flow_kind: FlowKind::Flow,
            in_if,
            out_if,
            observation: Observation::Ingress,
            family,
            src_addr: address,
            dst_addr: address,
            src_as,
            dst_as,
            src_country: Country::new(src_country),
            dst_country: Country::new(dst_country),
            sampling_interval: 10_000,
            sampling_kind: SamplingKind::Packet,
            bytes: Some(packets * 1000),
            packets,
            q: Some(u128::from(packets) * 1_000_000),
            ..Flow::default()
        };
        rollup.add(EDGE, &flow);
    }
    for (table, pieces) in rollup.finish(1) {
        put(store, table.name, pieces.concat()).await;
    }
    let links = [
        (1, "Transit A", Connectivity::Transit),
        (2, "LAN", Connectivity::Ix),
        (3, "Eyeballs", Connectivity::Customer),
    ];
    put_links(store, EDGE, &links).await;
    let mut names = Vec::new();
    AsRow { asn: 15_169, name: "Google", version: 1, ..AsRow::default() }.put_row(&mut names);
    put(store, "asns", names).await;
    midnight
}

struct Case {
    store: Store,
    midnight: u32,
}

impl Case {
    async fn put(&self, (from, to): (i64, i64), request: Request) -> Answer {
        let at = |seconds: i64| {
            Some(jiff::Timestamp::from_second(i64::from(self.midnight) + seconds).unwrap().to_string())
        };
        let (request, days) = (Request { from: at(from), to: at(to), ..request }, BTreeMap::new());
        let question = request.question(Kept::new(self.midnight + 3 * DAY, &days)).unwrap();
        ask(&self.store, &question).await.unwrap()
    }

    /// Of the hour at noon.
    async fn ask(&self, by: &[Dimension], filter: &str, scope: Option<Scope>) -> Answer {
        let (by, filter) = (Some(by.to_vec()), Some(filter.to_owned()));
        self.put((43_200, 46_800), Request { by, filter, scope, ..Request::default() }).await
    }
}

/// Keys, packets in and out, each worth 10 000 bytes.
fn shown(answer: &Answer) -> Vec<(Vec<&str>, u64, u64)> {
    let row = |row: &'_ Row| (row.bytes_in / 10_000, row.bytes_out / 10_000);
    answer
        .rows
        .iter()
        .map(|one| (one.keys.iter().map(String::as_str).collect(), row(one).0, row(one).1))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_other_end_of_flows_is_told_over_the_link_by_which_they_come_and_go() {
    engine::with(async |mut store, ending| {
        let midnight = filled(&mut store).await;
        let case = Case { store, midnight };

        let pairs = case.ask(&[Dimension::As, Dimension::Link, Dimension::OtherAs], "", None).await;
        assert_eq!(
            shown(&pairs),
            [
                (vec!["AS15169 Google", "Transit A", "AS64500"], 301, 20),
                (vec!["AS2906", "Transit A", "AS64501"], 70, 0),
                (vec!["AS15169 Google", "LAN", "AS64500"], 50, 0),
            ]
        );
        assert_eq!(pairs.tables, ["pairs_1h"]);
        assert_eq!((pairs.total.bytes_in, pairs.total.bytes_out), (PACKETS_IN * 10_000, 200_000));
        let countries = case.ask(&[Dimension::Country], "as = 15169", None).await;
        assert_eq!(shown(&countries), [(vec!["US"], 301, 20), (vec!["IE"], 50, 0)]);
        let german =
            case.ask(&[Dimension::OtherAs], "country = DE AND link = \"Eyeballs\"", Some(Scope::All)).await;
        assert_eq!(shown(&german), [(vec!["AS15169 Google"], 20, 351)]);
        assert_eq!(
            (german.total.bytes_in, german.total.bytes_out),
            (200_000, 3_510_000),
            "of the filter's ends"
        );

        let prefixes = case.ask(&[Dimension::Prefix], "as = 15169", None).await;
        let all = [(vec!["8.8.8.0/24"], 300, 20), (vec!["2001:db8::/48"], 50, 0), (vec!["no address"], 1, 0)];
        assert_eq!(shown(&prefixes), all);
        assert_eq!(prefixes.tables, ["prefixes_1h"]);
        rows_and_what_is_not_in_them_are_the_total_by_whatever_is_grouped(&case).await;
        ending.end().await;
    })
    .await;
}

async fn rows_and_what_is_not_in_them_are_the_total_by_whatever_is_grouped(case: &Case) {
    let day = i64::from(DAY);
    let sums = |row: &Row| [row.bytes_in, row.bytes_out, row.packets, row.flows];
    for by in Dimension::ALL {
        // As long as what it is kept in allows; so many of the times lie in it.
        let (window, times, tables) = match by {
            Dimension::Prefix => ((-3600, day + 3600), 3, vec!["prefixes_1h"]),
            Dimension::OtherAs | Dimension::Country => ((-3900, day + 3900), 5, vec!["pairs_5m", "pairs_1h"]),
            _ => ((-3960, day + 3960), 7, vec!["links_1m", "links_5m", "links_1h", "links_1d"]),
        };
        // With ASes that are named, a time is read from slots of every length that it has room for.
        let filter = Some("as IN (15169, 2906, 64500, 64501)".to_owned());
        let request =
            Request { by: Some(vec![*by]), top: Some(1), other: true, filter, ..Request::default() };
        let answer = case.put(window, request).await;
        assert_eq!(answer.tables, tables, "{by:?}");
        let [first] = &answer.rows[..] else { panic!("{by:?}: {answer:?}") };
        let (row, other, total) = (sums(first), sums(answer.other.as_ref().unwrap()), sums(&answer.total));
        assert_eq!([0, 1, 2, 3].map(|n: usize| row[n] + other[n]), total, "{by:?}");
        assert_eq!(
            (answer.total.bytes_in, answer.total.bytes_out),
            (times * PACKETS_IN * 10_000, times * 200_000),
            "{by:?}"
        );
    }
}
