//! `weir query` on the real engine: what is counted, by which rate, and what is said to be left out.
#![allow(clippy::unwrap_used)]

use serde_json::Value as Json;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio_util::sync::CancellationToken;
use weir_schemas::rollup::{
    AsRow, ExporterRow, InterfaceRow, LinkMemberRow, LinkRow, RateRow, Table, tables,
};
use weir_schemas::value::Slot;
use weir_schemas::{Connectivity, Direction, Ip, Observation, RateSource, SamplingKind, Time};
use weir_stack::Home;
use weir_stack::sides::rolled_up;
use weir_store::engine::{Engine, serve};
use weir_store::{Config, EngineConfig, Store};

/// A database of its own in the one engine of this process.
struct Case {
    store: Store,
    database: &'static str,
    url: String,
    /// A whole hour, long enough ago.
    hour: u32,
}

fn table(name: &str) -> &'static Table {
    tables().find(|table| table.name == name).unwrap()
}

const A: Ip = Ip::v4([192, 0, 2, 1]);
const B: Ip = Ip::v4([192, 0, 2, 2]);
const C: Ip = Ip::v4([192, 0, 2, 3]);

impl Case {
    async fn new(url: &str, database: &'static str) -> Self {
        let config = Config { url: url.to_owned(), database: database.to_owned(), ..Config::default() };
        let store = Store::new(&config).unwrap();
        weir_store::migrate::migrate(&store).await.unwrap();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as u32;
        Self { store, database, url: url.to_owned(), hour: now / 3600 * 3600 - 7200 }
    }

    async fn put(&mut self, name: &str, rows: Vec<u8>) {
        let token = format!("{}-{name}-{}", self.database, rows.len());
        self.store.insert(table(name), rows.into(), &token).await.unwrap();
    }

    async fn sides(&mut self, rows: &[LinkRow<'_>]) {
        for (table, rows) in rolled_up(rows) {
            self.put(table.name, rows).await;
        }
    }

    /// A side with one packet of 1000 bytes at 1 in 100.
    fn side(&self) -> LinkRow<'static> {
        LinkRow {
            time: Slot(self.hour),
            exporter: A,
            if_index: 1,
            direction: Direction::In,
            observation: Observation::Ingress,
            family: 4,
            asn: 174,
            sampling_interval: 100_000,
            sampling_kind: SamplingKind::Packet,
            bytes: 1000,
            packets: 1,
            flows: 1,
            q: 1_000_000,
            ..LinkRow::default()
        }
    }

    fn output(&self, form: &str, arguments: &[&str]) -> String {
        let keys =
            [format!("clickhouse.url='{}'", self.url), format!("clickhouse.database='{}'", self.database)];
        // Minutes, so that the finest table answers.
        let (from, to) = ((self.hour - 60).to_string(), (self.hour + 3540).to_string());
        let output = Command::new(env!("CARGO_BIN_EXE_weir"))
            .args([
                "query", "--set", &keys[0], "--set", &keys[1], "--format", form, "--from", &from, "--to", &to,
            ])
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn ask(&self, arguments: &[&str]) -> Json {
        serde_json::from_str(&self.output("json", arguments)).unwrap()
    }

    /// First key and bytes in and out of each row.
    fn rows(&self, arguments: &[&str]) -> Vec<(String, u64, u64)> {
        let of = |row: &Json| {
            let bytes = |name: &str| row[name].as_u64().unwrap();
            (row["keys"][0].as_str().unwrap().to_owned(), bytes("bytes_in"), bytes("bytes_out"))
        };
        self.ask(arguments)["rows"].as_array().unwrap().iter().map(of).collect()
    }
}

/// One test function, because one process has one engine.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_counts_what_it_says_and_says_what_it_leaves_out() {
    let folder = tempfile::tempdir().unwrap();
    let library = Home::find().part("engine/libchdb.so", "the engine", "scripts/fetch-engine.sh").unwrap();
    let config = EngineConfig { library, data: folder.path().to_owned(), ..EngineConfig::default() };
    let engine = tokio::task::spawn_blocking(move || Engine::start(&config).unwrap()).await.unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let stop = CancellationToken::new();
    let serving = tokio::spawn(serve(engine, listener, 1 << 30, stop.clone()));

    the_first_rate_is_for_what_came_before_it_and_only_where_it_is_the_only_one(&url).await;
    the_neighbour_is_the_links_and_an_as_without_a_name_ends_with_its_number(&url).await;
    sums_beyond_64_bits_stop_there_and_are_still_ordered(&url).await;
    few_samples_have_wide_limits_by_direction_and_flow_sampling_counts_records(&url).await;
    what_was_taken_back_is_in_no_answer(&url).await;
    what_is_left_out_is_named_once_a_flow(&url).await;
    a_kind_of_link_takes_the_place_of_the_boundary(&url).await;
    a_filter_picks_the_sides_that_it_says(&url).await;
    only_the_time_that_is_kept_is_averaged_over(&url).await;

    stop.cancel();
    serving.await.unwrap().unwrap();
}

async fn the_first_rate_is_for_what_came_before_it_and_only_where_it_is_the_only_one(url: &str) {
    let mut case = Case::new(url, "late").await;
    let at = |minutes: u32| Time((i64::from(case.hour + 60 * minutes) + 30) * 1_000_000_000);
    let rate = |exporter, rate_source, interval: u64, valid_from| RateRow {
        exporter,
        rate_source,
        scope: u64::from(rate_source == RateSource::Sampler),
        sampling_interval: interval * 1000,
        sampling_kind: SamplingKind::Packet,
        valid_from,
        version: 1,
        ..RateRow::default()
    };
    let last = |n: u8| Ip::v4([192, 0, 2, n]);
    let rates = [
        // One sampler whose rate changes: the first is that of what came before.
        rate(A, RateSource::Sampler, 50, at(10)),
        rate(A, RateSource::Sampler, 20, at(20)),
        // Inferred alone is no announcement.
        rate(B, RateSource::Inferred, 50, at(10)),
        // Of two sources it can't be known whose the flows were.
        rate(C, RateSource::Sampler, 50, at(10)),
        rate(C, RateSource::System, 50, at(10)),
        // A rate of one interface is not that of the others.
        rate(last(4), RateSource::Interface, 50, at(10)),
        // Nor that of one observation domain of two.
        rate(last(5), RateSource::System, 50, at(10)),
        RateRow { observation_domain: 7, ..rate(last(5), RateSource::System, 50, at(10)) },
        // What is inferred beside an announcement does not stand in its way.
        rate(last(6), RateSource::System, 30, at(10)),
        rate(last(6), RateSource::Inferred, 10, at(5)),
        // The squares of flows that were sampled whole were not kept as theirs.
        RateRow { sampling_kind: SamplingKind::Flow, ..rate(last(7), RateSource::System, 50, at(10)) },
        // What is configured is for all that came without a rate, at any time.
        rate(last(8), RateSource::Default, 40, Time(0)),
        // It does not take the place of what was announced, and ends what nobody could know.
        rate(last(9), RateSource::System, 60, at(10)),
        rate(last(9), RateSource::Default, 40, Time(0)),
        rate(last(10), RateSource::Interface, 50, at(10)),
        rate(last(10), RateSource::Default, 40, Time(0)),
        // It was taken out of the configuration again.
        rate(last(11), RateSource::Default, 40, Time(0)),
        RateRow { version: 2, ..rate(last(11), RateSource::Default, 0, Time(0)) },
    ];
    let mut out = Vec::new();
    rates.iter().for_each(|row| row.put_row(&mut out));
    case.put("rates", out).await;
    let unknown = LinkRow { sampling_interval: 0, sampling_kind: SamplingKind::Unknown, ..case.side() };
    let mut rows: Vec<_> = (1..=11).map(|n| LinkRow { exporter: last(n), ..unknown }).collect();
    // After the first announcement nothing is taken to be known, but for what is configured where there was none.
    let after = LinkRow { time: Slot(case.hour + 11 * 60), bytes: 77, ..unknown };
    rows.extend([A, last(8), last(9)].map(|exporter| LinkRow { exporter, ..after }));
    case.sides(&rows).await;
    let answer = case.ask(&["--scope", "all", "--by", "exporter"]);
    assert_eq!(
        case.rows(&["--scope", "all", "--by", "exporter"])
            .into_iter()
            .filter(|row| row.1 > 0)
            .collect::<Vec<_>>(),
        [
            ("192.0.2.9".to_owned(), 60_000, 0),
            ("192.0.2.1".to_owned(), 50_000, 0),
            ("192.0.2.8".to_owned(), 43_080, 0),
            ("192.0.2.10".to_owned(), 40_000, 0),
            ("192.0.2.6".to_owned(), 30_000, 0)
        ]
    );
    assert_eq!(answer["total"]["bytes_late_rate"], 223_080);
    assert_eq!(answer["total"]["bytes_unknown_rate_in"], 6000 + 2 * 77);
}

async fn the_neighbour_is_the_links_and_an_as_without_a_name_ends_with_its_number(url: &str) {
    let mut case = Case::new(url, "neighbour").await;
    let mut out = Vec::new();
    AsRow { asn: 64500, name: "Example-A", version: 1, ..AsRow::default() }.put_row(&mut out);
    case.put("asns", out).await;
    links(&mut case, &[(1, Connectivity::Transit, 64500), (2, Connectivity::Ix, 0)]).await;
    let other = LinkRow { if_index: 2, neighbour_as: 64502, bytes: 500, ..case.side() };
    let rows = [LinkRow { neighbour_as: 64501, ..case.side() }, other];
    case.sides(&rows).await;
    let rows = case.rows(&["--by", "neighbour"]);
    assert_eq!(rows, [("AS64500 Example-A".to_owned(), 100_000, 0), ("AS64502".to_owned(), 50_000, 0)]);
    assert_eq!(case.rows(&["--by", "as"])[0].0, "AS174");
}

async fn links(case: &mut Case, all: &[(u32, Connectivity, u32)]) {
    let mut out = Vec::new();
    for (if_index, connectivity, neighbour_as) in all {
        let row = LinkMemberRow {
            exporter: A,
            if_index: *if_index,
            valid_to: Slot(u32::MAX),
            link: "L",
            provider: "P",
            connectivity: *connectivity,
            neighbour_as: *neighbour_as,
            version: 1,
            ..LinkMemberRow::default()
        };
        row.put_row(&mut out);
    }
    case.put("links", out).await;
}

async fn sums_beyond_64_bits_stop_there_and_are_still_ordered(url: &str) {
    let mut case = Case::new(url, "wide").await;
    let most = LinkRow { bytes: i64::MAX, packets: i64::MAX, flows: i64::MAX, ..case.side() };
    // The largest rate that wire believes.
    let rate = (1 << 32) * 1000;
    let rows = [
        // A sum that would be small if it wrapped at 64 bits.
        LinkRow { asn: 1, bytes: 1 << 60, sampling_interval: 16_000, ..most },
        LinkRow { asn: 2, ..most },
        LinkRow { asn: 2, direction: Direction::Out, ..most },
        LinkRow { asn: 3, sampling_interval: rate, ..most },
        LinkRow { asn: 3, sampling_interval: rate, direction: Direction::Out, ..most },
        LinkRow { asn: 4, ..case.side() },
    ];
    case.sides(&rows).await;
    let rows = case.rows(&["--scope", "all", "--by", "as"]);
    let order: Vec<_> = rows.iter().map(|row| row.0.as_str()).collect();
    assert_eq!(order, ["AS3", "AS2", "AS1", "AS4"]);
    assert_eq!((rows[0].1, rows[0].2, rows[2].1), (u64::MAX, u64::MAX, u64::MAX));
    assert!(case.output("table", &["--scope", "all"]).contains("Tbit/s"));
}

async fn what_was_taken_back_is_in_no_answer(url: &str) {
    let mut case = Case::new(url, "taken_back").await;
    case.sides(&[LinkRow { asn: 1, ..case.side() }, LinkRow { asn: 2, ..case.side() }]).await;
    let back = LinkRow { asn: 1, bytes: -1000, packets: -1, flows: -1, q: -1_000_000, ..case.side() };
    case.sides(&[back, LinkRow { asn: 3, ..case.side() }, LinkRow { asn: 3, ..case.side() }]).await;
    let rows = case.rows(&["--scope", "all", "--by", "as"]);
    assert_eq!(rows, [("AS3".to_owned(), 200_000, 0), ("AS2".to_owned(), 100_000, 0)]);
    assert_eq!(case.ask(&["--scope", "all"])["total"]["bytes_in"], 300_000);
}

async fn few_samples_have_wide_limits_by_direction_and_flow_sampling_counts_records(url: &str) {
    let mut case = Case::new(url, "limits").await;
    let packets = |direction, n: i64| LinkRow {
        direction,
        bytes: 1500 * n,
        packets: n,
        q: i128::from(1500 * 1500 * n),
        ..case.side()
    };
    let rows = [
        packets(Direction::In, 10),
        packets(Direction::Out, 1000),
        // 400 packets in 4 records, of which 1 in 10 is sampled whole.
        LinkRow {
            asn: 3320,
            sampling_interval: 10_000,
            sampling_kind: SamplingKind::Flow,
            flows: 4,
            bytes: 400_000,
            packets: 400,
            q: 4 * 100_000 * 100_000,
            ..case.side()
        },
        LinkRow { asn: 13335, sampling_interval: 1000, ..case.side() },
    ];
    case.sides(&rows).await;
    let answer = case.ask(&["--scope", "all", "--by", "as"]);
    let of =
        |name: &str| answer["rows"].as_array().unwrap().iter().find(|row| row["keys"][0] == name).unwrap();
    let near = |json: &Json, wanted: f64| {
        let is = json.as_f64().unwrap();
        assert!((is - wanted).abs() < 0.01 * wanted, "{is} is not {wanted}");
    };
    let row = of("AS174");
    assert_eq!((&row["samples_in"], &row["samples_out"]), (&10.into(), &1000.into()));
    // Ten and a thousand Poisson counts of 150 kB each; the variance is N(N−1), not N².
    near(&row["low_in"], 4.81 * 150e3);
    near(&row["high_in"], 18.36 * 150e3);
    let half = 1.96 * (1000.0 * 1500.0 * 1500.0 * 100.0 * 99.0_f64).sqrt();
    near(&row["low_out"], 150e6 - half);
    near(&row["high_out"], 150e6 + half);
    let row = of("AS3320");
    assert_eq!(
        (&row["samples_in"], &row["flows"], &row["bytes_in"]),
        (&4.into(), &40.into(), &4_000_000.into())
    );
    assert!(row["high_in"].as_f64().unwrap() > 2.0 * 4e6, "{row}");
    let row = of("AS13335");
    assert_eq!((&row["low_in"], &row["high_in"]), (&1000.0.into(), &1000.0.into()), "all packets were seen");
    let table = case.output("table", &["--scope", "all", "--by", "as"]);
    assert!(table.lines().any(|line| line.starts_with("AS3320 ") && line.contains('−')), "{table}");
}

async fn what_is_left_out_is_named_once_a_flow(url: &str) {
    let mut case = Case::new(url, "left").await;
    let mut out = Vec::new();
    ExporterRow { exporter: B, name: "edge2", version: 1, ..ExporterRow::default() }.put_row(&mut out);
    case.put("exporters", out).await;
    let both = |row: LinkRow<'static>| {
        [Direction::In, Direction::Out].map(|direction| LinkRow {
            direction,
            if_index: direction as u32,
            ..row
        })
    };
    let unknown = |exporter, bytes| both(LinkRow { exporter, bytes, sampling_interval: 0, ..case.side() });
    let mut rows = [both(case.side()), unknown(B, 5000)].concat();
    for n in 3..7 {
        rows.extend(unknown(Ip::v4([192, 0, 2, n]), 100 - i64::from(n)));
    }
    rows.extend(both(LinkRow {
        exporter: B,
        observation: Observation::Egress,
        bytes: 70_000,
        ..case.side()
    }));
    case.sides(&rows).await;
    let text = case.output("table", &["--scope", "all", "--observation", "ingress"]);
    for wanted in [
        "of records observed on ingress, from links_1m.",
        "5.4 kB as sampled are not in, because their sampling rate is not known: edge2 (5.0 kB), 192.0.2.3 (97 B), \
         192.0.2.4 (96 B) and 2 others.",
        "Not in is what was observed on egress, by edge2 (7.0 MB); ask with --observation egress.",
    ] {
        assert!(text.contains(wanted), "{wanted}\n{text}");
    }
    // A filter that picks sides and picks both of them has what is left out twice, as it would have what is in.
    let ingress = |filter| case.ask(&["--scope", "all", "--observation", "ingress", "--filter", filter]);
    let left = |answer: &Json| answer["other_observation"][0]["bytes"].as_u64().unwrap();
    assert_eq!(left(&ingress("NOT as = 1")), 2 * left(&ingress("family = 4")));
    let answer = case.ask(&["--scope", "all", "--observation", "egress"]);
    assert_eq!((&answer["observation"], &answer["total"]["bytes_in"]), (&"egress".into(), &7_000_000.into()));
    assert_eq!(answer["other_observation"][0]["bytes"], 100_000);
}

async fn a_kind_of_link_takes_the_place_of_the_boundary(url: &str) {
    let mut case = Case::new(url, "kinds").await;
    let all = [
        (1, Connectivity::Transit, 0),
        (2, Connectivity::Ix, 0),
        (3, Connectivity::Pni, 0),
        (4, Connectivity::Customer, 0),
        (5, Connectivity::Core, 0),
    ];
    links(&mut case, &all).await;
    let rows: Vec<_> =
        (1..=6).map(|n| LinkRow { if_index: n, bytes: 10 * i64::from(n), ..case.side() }).collect();
    case.sides(&rows).await;
    for (n, kind) in ["transit", "ix", "pni", "customer", "core", "unknown"].iter().enumerate() {
        let rows = case.rows(&["--by", "connectivity", "--connectivity", kind]);
        assert_eq!(rows, [((*kind).to_owned(), 1000 * (n as u64 + 1), 0)]);
    }
    assert_eq!(case.ask(&[])["total"]["bytes_in"], 6000);
}

async fn a_filter_picks_the_sides_that_it_says(url: &str) {
    const DESCRIPTION: &str = "it's \\ \"quoted\"\ttwice; --";
    let mut case = Case::new(url, "filters").await;
    links(&mut case, &[(1, Connectivity::Transit, 64500), (2, Connectivity::Ix, 0)]).await;
    let mut out = Vec::new();
    ExporterRow { exporter: B, name: "edge2", version: 1, ..ExporterRow::default() }.put_row(&mut out);
    case.put("exporters", out).await;
    let mut out = Vec::new();
    let interface = InterfaceRow {
        exporter: A,
        if_index: 2,
        name: "xe-0/0/2.1",
        description: DESCRIPTION,
        version: 1,
        ..InterfaceRow::default()
    };
    interface.put_row(&mut out);
    case.put("interfaces", out).await;
    let v6 = Ip("2001:db8::1".parse::<std::net::Ipv6Addr>().unwrap().octets());
    let side = LinkRow { sampling_interval: 1000, ..case.side() };
    let rows = [
        LinkRow { asn: 1, ..side },
        LinkRow { asn: 2, if_index: 2, direction: Direction::Out, neighbour_as: 64502, ..side },
        LinkRow { asn: 3, if_index: 6, family: 6, ..side },
        LinkRow { asn: 4, exporter: B, ..side },
        LinkRow { asn: 4_000_000_000, exporter: v6, family: 6, ..side },
    ];
    case.sides(&rows).await;
    let quoted =
        format!("interface_description = \"{}\"", DESCRIPTION.replace('\\', "\\\\").replace('"', "\\\""));
    let (one, two, three, four, five) = ("AS1", "AS2", "AS3", "AS4", "AS4000000000");
    for (filter, expected) in [
        ("as = 1", vec![one]),
        ("as IN (AS2, 4000000000, 7)", vec![two, five]),
        ("as > 2 AND as <= 4", vec![three, four]),
        ("as NOT IN (1, 2)", vec![three, four, five]),
        ("NOT as = 1 AND NOT (as = 2 OR as = 3)", vec![four, five]),
        ("neighbour = 64500 OR neighbour = 64502", vec![one, two]),
        ("link = L AND connectivity != ix", vec![one]),
        ("link = \"\"", vec![three, four, five]),
        ("provider IN (P, Q)", vec![one, two]),
        ("connectivity = transit", vec![one]),
        ("connectivity NOT IN (transit, unknown)", vec![two]),
        ("direction = out", vec![two]),
        ("exporter = edge2", vec![four]),
        ("exporter = 192.0.2.1", vec![one, two, three]),
        ("exporter_address IN (192.0.2.2/31, 198.51.100.7)", vec![four]),
        ("exporter_address IN 0.0.0.0/0", vec![one, two, three, four]),
        ("exporter_address IN ::/0", vec![five]),
        ("exporter_address = 2001:db8::1", vec![five]),
        ("exporter_address NOT IN (2001:db8::/32)", vec![one, two, three, four]),
        ("interface = xe-0/0/2.1", vec![two]),
        (&quoted, vec![two]),
        ("if_index >= 2", vec![two, three]),
        ("family = 6", vec![three, five]),
        ("provider = \"') OR 1 = 1 --\"", vec![]),
    ] {
        let rows = case.rows(&["--scope", "all", "--by", "as", "--filter", filter]);
        let names: Vec<_> = rows.iter().map(|row| row.0.as_str()).collect();
        assert_eq!(names, expected, "{filter}");
    }
    // A filter that names kinds of links is about these, and no boundary is put around it.
    assert_eq!(case.rows(&["--by", "as", "--filter", "connectivity = unknown"]).len(), 3);
    assert_eq!(case.rows(&["--by", "as", "--filter", "direction = in"]).len(), 1);
    assert_eq!(case.ask(&["--scope", "all", "--filter", "family = 6"])["total"]["bytes_in"], 2000);
}

async fn only_the_time_that_is_kept_is_averaged_over(url: &str) {
    let mut case = Case::new(url, "kept").await;
    let rows = [LinkRow { sampling_interval: 1000, ..case.side() }];
    case.sides(&rows).await;
    let ask = |days: &str| {
        let from = (case.hour - 40 * 86_400 - 60).to_string();
        let to = (case.hour + 60).to_string();
        let keys = [format!("clickhouse.url='{url}'"), format!("clickhouse.database='{}'", case.database)];
        let days = format!("clickhouse.retention_days.links_1m={days}");
        let output = Command::new(env!("CARGO_BIN_EXE_weir"))
            .args(["query", "--scope", "all", "--set", &keys[0], "--set", &keys[1], "--set", &days])
            .args(["--from", &from, "--to", &to])
            .output()
            .unwrap();
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    };
    let cut = ask("1");
    assert!(cut.contains("what is still kept is from"), "{cut}");
    assert!(cut.contains("AS174"), "{cut}");
    let whole = ask("60");
    assert!(!whole.contains("what is still kept"), "{whole}");
    assert!(whole.contains("Averages over 57602 minutes"), "{whole}");
}
