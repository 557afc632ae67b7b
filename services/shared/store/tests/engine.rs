//! The embedded engine, the client and the migrations together: real parts, one engine for the whole file.
#![allow(clippy::unwrap_used)]

mod support;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use weir_schemas::ddl::MIGRATIONS;
use weir_schemas::rollup::{FLOWS, InterfaceRow, JOINED, tables};
use weir_schemas::value::{MAX_COUNT, MAX_Q};
use weir_schemas::*;
use weir_store::migrate::{create_beside, drop_table, load_as_names, migrate};
use weir_store::{Compression, Config, Store};

#[derive(Debug, Deserialize)]
struct Count {
    n: u64,
}

async fn count(store: &Store, sql: &str) -> u64 {
    store.query::<Count>(sql, &[]).await.unwrap()[0].n
}

fn rows(n: u64) -> Bytes {
    let mut rows = Vec::new();
    for i in 0..n {
        Batch::default().put_row(&mut rows);
        Flow { raw_offset: i, received: Time(1_790_000_000_000_000_000), ..Flow::default() }
            .put_row(&mut rows);
    }
    rows.into()
}

/// One test function, because one process has one engine and the parts build on each other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_engine_serves_what_weir_sends() {
    let folder = tempfile::tempdir().unwrap();
    let served = support::start(folder.path()).await;
    let mut store = served.store();

    migrations_are_repeatable_and_make_what_the_table_of_columns_says(&store, &served.url).await;
    a_longer_retention_holds_for_what_is_stored_already(&mut store, &served.url).await;
    a_table_beside_keeps_rows_that_are_older_than_the_retention(&mut store).await;
    // Rows of the tests are of all times, and the engine drops what is older than the retention as it comes in.
    store.execute("ALTER TABLE weir.flows REMOVE TTL").await.unwrap();
    every_column_comes_back_with_extreme_values_and_nulls(&mut store).await;
    names_of_ases_are_replaced_by_those_of_another_database(&mut store).await;
    columns_of_many_different_texts_are_read_as_they_were_written(&mut store).await;
    a_table_of_another_shape_refuses_the_insert(&mut store).await;
    one_insert_is_one_block_and_a_token_is_taken_once(&mut store).await;
    rows_over_many_days_are_one_insert_too(&mut store).await;
    what_is_compressed_on_its_way_is_stored_and_read_as_well(&mut store, &served.url).await;
    a_body_cut_short_inserts_nothing_and_its_token_stays_free(&mut store, &served.url).await;
    errors_carry_their_code_and_settings_stay_with_their_request(&store).await;
    a_statement_of_any_length_is_read(&store).await;
    as_many_values_as_a_body_holds_are_bound(&store).await;
    what_a_web_page_can_send_changes_nothing(&store, &served.url).await;
    bound_parameters_are_never_part_of_the_statement(&store).await;

    served.stop().await;
}

async fn migrations_are_repeatable_and_make_what_the_table_of_columns_says(store: &Store, url: &str) {
    let all: Vec<_> = MIGRATIONS.iter().map(|migration| migration.number).collect();
    assert_eq!(migrate(store).await.unwrap().applied, all);
    let again = migrate(store).await.unwrap();
    assert!(again.applied.is_empty() && again.retention.is_empty(), "{again:?}");
    #[derive(Deserialize, PartialEq, Debug)]
    struct Described {
        name: String,
        r#type: String,
    }
    for table in tables() {
        let sql = "SELECT name, type FROM system.columns WHERE database = 'weir' AND table = {table:String} ORDER BY position";
        let is: Vec<Described> = store.query(sql, &[("table", table.name.to_owned())]).await.unwrap();
        let wanted: Vec<_> = table
            .all_columns()
            .map(|column| Described { name: column.name.to_owned(), r#type: (column.clickhouse)() })
            .collect();
        assert_eq!(is, wanted, "{}", table.name);
    }
    let config = Config {
        url: url.to_owned(),
        retention_days: BTreeMap::from([("flows".to_owned(), 3), ("links_1m".to_owned(), 0)]),
        ..Config::default()
    };
    let other = Store::new(&config).unwrap();
    assert_eq!(migrate(&other).await.unwrap().retention, ["flows", "links_1m"]);
    assert!(migrate(&other).await.unwrap().retention.is_empty());
    assert_eq!(migrate(store).await.unwrap().retention, ["flows", "links_1m"]);
}

async fn a_longer_retention_holds_for_what_is_stored_already(store: &mut Store, url: &str) {
    let with_days = |days| Config {
        url: url.to_owned(),
        retention_days: BTreeMap::from([("flows".to_owned(), days)]),
        ..Config::default()
    };
    migrate(&Store::new(&with_days(3)).unwrap()).await.unwrap();
    // A row that is to go in some seconds, when 3 days are over.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let received = Time((now + Duration::from_secs(10)).as_nanos() as i64 - 3 * 86_400 * 1_000_000_000);
    let mut row = Vec::new();
    Batch::default().put_row(&mut row);
    Flow { received, ..Flow::default() }.put_row(&mut row);
    store.insert(&FLOWS, row.into(), "nearly over").await.unwrap();
    assert_eq!(count(store, "SELECT count() AS n FROM weir.flows").await, 1);

    let longer = Store::new(&with_days(30)).unwrap();
    assert_eq!(migrate(&longer).await.unwrap().retention, ["flows"]);
    tokio::time::sleep(Duration::from_secs(12)).await;
    store.execute("OPTIMIZE TABLE weir.flows FINAL").await.unwrap();
    assert_eq!(
        count(store, "SELECT count() AS n FROM weir.flows").await,
        1,
        "it went with the old retention"
    );

    // And a shorter one too.
    assert_eq!(migrate(&Store::new(&with_days(2)).unwrap()).await.unwrap().retention, ["flows"]);
    let begun = Instant::now();
    while count(store, "SELECT count() AS n FROM weir.flows").await > 0 {
        assert!(begun.elapsed() < Duration::from_secs(30), "it outlives the new retention");
        store.execute("OPTIMIZE TABLE weir.flows FINAL").await.unwrap();
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    migrate(store).await.unwrap();
}

async fn a_table_beside_keeps_rows_that_are_older_than_the_retention(store: &mut Store) {
    let old = |seconds: i64| {
        let mut row = Vec::new();
        Batch::default().put_row(&mut row);
        Flow { received: Time(seconds * 1_000_000_000), ..Flow::default() }.put_row(&mut row);
        Bytes::from(row)
    };
    create_beside(store, &FLOWS, "flows_beside").await.unwrap();
    store.insert_into("flows_beside", &FLOWS, old(1_600_000_000), "old").await.unwrap();
    store.insert(&FLOWS, old(1_500_000_000), "old").await.unwrap();
    let begun = Instant::now();
    while count(store, "SELECT count() AS n FROM weir.flows").await > 0 {
        assert!(begun.elapsed() < Duration::from_secs(30), "it outlives the retention");
        store.execute("OPTIMIZE TABLE weir.flows FINAL").await.unwrap();
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    store.execute("OPTIMIZE TABLE weir.flows_beside FINAL").await.unwrap();
    assert_eq!(count(store, "SELECT count() AS n FROM weir.flows_beside").await, 1);
    // It comes into the table as it is, and its age is known there once that is told.
    store
        .execute("ALTER TABLE weir.flows ATTACH PARTITION ID '20200913' FROM weir.flows_beside")
        .await
        .unwrap();
    let ageless = "SELECT count() AS n FROM system.parts WHERE active AND database = 'weir' AND table = 'flows' \
                   AND rows > 0 AND toUnixTimestamp(delete_ttl_info_max) = 0";
    assert_eq!(count(store, ageless).await, 1);
    store.execute("ALTER TABLE weir.flows MATERIALIZE TTL IN PARTITION ID '20200913'").await.unwrap();
    let begun = Instant::now();
    while count(store, ageless).await > 0 {
        assert!(begun.elapsed() < Duration::from_secs(30), "it is kept for ever");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    store.execute("TRUNCATE TABLE weir.flows").await.unwrap();
    drop_table(store, "flows_beside").await.unwrap();
}

async fn names_of_ases_are_replaced_by_those_of_another_database(store: &mut Store) {
    #[derive(Deserialize, PartialEq, Debug)]
    struct Named {
        asn: u32,
        name: String,
    }
    let table = JOINED.iter().find(|table| table.name == "asns").unwrap();
    let names = |all: &[(u32, &str)]| all.iter().map(|(asn, name)| (*asn, (*name).to_owned())).collect();
    let first = names(&[(1, "One"), (2, "Two"), (3, "Three")]);
    assert_eq!(load_as_names(store, table, first).await.unwrap(), (3, 3));
    let second = [(1, "One"), (2, "Zwei"), (4, "Four")];
    assert_eq!(load_as_names(store, table, names(&second)).await.unwrap(), (3, 3));
    assert_eq!(load_as_names(store, table, names(&second)).await.unwrap(), (3, 0));
    let sql = "SELECT asn, name FROM weir.asns FINAL WHERE name != '' ORDER BY asn";
    let is: Vec<Named> = store.query(sql, &[]).await.unwrap();
    assert_eq!(is, second.map(|(asn, name)| Named { asn, name: name.to_owned() }));
}

fn extreme() -> Flow<'static> {
    static PATH: [u32; 3] = [u32::MAX, 0, 64512];
    Flow {
        raw_offset: MAX_COUNT,
        record_index: u32::MAX,
        // DateTime64(9) ends in 2262.
        received: Time(i64::MAX),
        flow_start: Time(0),
        flow_end: Time(1),
        protocol: Protocol::SflowV5,
        exporter_id: Ip([0xff; 16]),
        exporter_name: "rtr1 \u{1F309} 'quoted' \\ \"x\"\n\t",
        sampler: MAX_COUNT,
        in_if: u32::MAX,
        in_if_speed: MAX_COUNT,
        in_connectivity: Connectivity::Core,
        family: 6,
        src_addr: Ip::v4([192, 0, 2, 1]),
        dst_addr: Ip([1; 16]),
        src_port: u16::MAX,
        src_prefix_len: 128,
        src_as: u32::MAX,
        src_as_source: AsSource::Route,
        src_country: Country(*b"DE"),
        as_path: U32s::Native(&PATH),
        mpls_labels: U32s::Wire(&[0, 0, 0, 1]),
        icmp_type: Some(255),
        icmp_code: Some(0),
        flow_label: Some(u32::MAX),
        fragment_offset: Some(u16::MAX),
        src_mac: Mac([0xff, 1, 2, 3, 4, 5]),
        in_vrf: Some(u32::MAX),
        observation: Observation::Egress,
        bytes: Some(MAX_COUNT),
        packets: MAX_COUNT,
        q: Some(MAX_Q),
        q_l2: Some(0),
        sampling_interval: MAX_COUNT,
        rate_source: RateSource::Override,
        flags: u32::MAX,
        tunnel: Tunnel::EtherIp,
        tunnel_id: Some(u32::MAX),
        inner_src_addr: Ip([0xfe; 16]),
        outer_dst_addr: Ip::v4([198, 51, 100, 9]),
        nat_src_port: u16::MAX,
        customer_vlan: 4095,
        communities: U32s::Wire(&[0xff, 0xff, 0xff, 1]),
        local_pref: Some(0),
        drop_reason: Some(u32::MAX),
        original_domain: Some(u32::MAX),
        ..Flow::default()
    }
}

async fn every_column_comes_back_with_extreme_values_and_nulls(store: &mut Store) {
    let batch = Batch {
        exporter: Ip::v4([127, 0, 0, 9]),
        raw_partition: 11,
        generation: u32::MAX,
        ..Batch::default()
    };
    // One block, so that columns of several rows are read as such: nulls, lists and texts of one stand beside those of the others.
    let other = Flow {
        raw_offset: 1,
        exporter_name: "rtr2",
        in_if_name: "et-0/0/1",
        as_path: U32s::Native(&[64500]),
        icmp_code: Some(3),
        bytes: Some(1500),
        q: Some(2_250_000),
        ..Flow::default()
    };
    // In the order of their offsets, of which the extreme one is the largest.
    let flows = [Flow::default(), other, extreme()];
    let mut rows = Vec::new();
    for flow in &flows {
        batch.put_row(&mut rows);
        flow.put_row(&mut rows);
    }
    store.insert(&FLOWS, rows.into(), "columns").await.unwrap();
    for (n, flow) in flows.into_iter().enumerate() {
        // Everything as text, so that no number is rounded on the way back.
        let columns: Vec<_> = FLOWS
            .all_columns()
            .map(|column| match (column.clickhouse)().as_str() {
                "DateTime64(9, 'UTC')" => format!("toString(toUnixTimestamp64Nano({0})) AS {0}", column.name),
                "IPv6" => {
                    format!("replaceRegexpOne(IPv6NumToString({0}), '^::ffff:', '') AS {0}", column.name)
                }
                _ if column.name.ends_with("_mac") => {
                    format!("lower(MACNumToString({0})) AS {0}", column.name)
                }
                _ => format!("toString({0}) AS {0}", column.name),
            })
            .collect();
        let read: Vec<BTreeMap<String, Option<String>>> = store
            .query(
                &format!("SELECT {} FROM weir.flows ORDER BY weir.flows.raw_offset", columns.join(", ")),
                &[],
            )
            .await
            .unwrap();
        assert_eq!(read.len(), 3);
        let mut wanted = serde_json::to_value(Flow { q: None, q_l2: None, ..flow }).unwrap();
        for (name, q) in [("q", flow.q), ("q_l2", flow.q_l2)] {
            wanted[name] = q.map_or(Json::Null, |q| q.to_string().into());
        }
        for column in Flow::COLUMNS {
            let clickhouse = (column.clickhouse)();
            let wanted = match &wanted[column.name] {
                Json::Null if clickhouse == "IPv6" => Some("::".to_owned()),
                Json::Null if column.name.ends_with("_mac") => Some("00:00:00:00:00:00".to_owned()),
                Json::Null => None,
                Json::String(text) => Some(text.clone()),
                other => Some(other.to_string()),
            };
            assert_eq!(read[n][column.name], wanted, "{} {n}", column.name);
        }
        assert_eq!(read[n]["exporter"].as_deref(), Some("127.0.0.9"));
        assert_eq!(read[n]["generation"], Some(u32::MAX.to_string()));
    }
    store.execute("TRUNCATE TABLE weir.flows").await.unwrap();
}

async fn one_insert_is_one_block_and_a_token_is_taken_once(store: &mut Store) {
    let before = count(store, "SELECT count() AS n FROM system.parts WHERE active AND table = 'flows'").await;
    for _ in 0..3 {
        store.insert(&FLOWS, rows(600_000), "token a").await.unwrap();
    }
    assert_eq!(count(store, "SELECT count() AS n FROM weir.flows").await, 600_000);
    let parts =
        "SELECT count() AS n FROM system.parts WHERE active AND database = 'weir' AND table = 'flows'";
    assert_eq!(count(store, parts).await, before + 1);
    store.insert(&FLOWS, rows(600_000), "token b").await.unwrap();
    assert_eq!(count(store, "SELECT count() AS n FROM weir.flows").await, 1_200_000);
    store.execute("TRUNCATE TABLE weir.flows").await.unwrap();
}

/// Rule 12: a batch whose rows fall on more days than ClickHouse's default of partitions must not be refused for ever.
async fn rows_over_many_days_are_one_insert_too(store: &mut Store) {
    let mut rows = Vec::new();
    for day in 0..150i64 {
        Batch::default().put_row(&mut rows);
        let received = Time(1_790_000_000_000_000_000 - day * 86_400_000_000_000);
        Flow { received, ..Flow::default() }.put_row(&mut rows);
    }
    for _ in 0..2 {
        store.insert(&FLOWS, rows.clone().into(), "many days").await.unwrap();
    }
    assert_eq!(count(store, "SELECT count() AS n FROM weir.flows").await, 150);
    store.execute("TRUNCATE TABLE weir.flows").await.unwrap();
}

async fn what_is_compressed_on_its_way_is_stored_and_read_as_well(store: &mut Store, url: &str) {
    // Beyond a megabyte, so that it is several blocks.
    let body = rows(20_000);
    let config = Config { url: url.to_owned(), compression: Compression::Lz4, ..Config::default() };
    let mut packing = Store::new(&config).unwrap();
    packing.insert(&FLOWS, body.clone(), "packed").await.unwrap();
    assert_eq!(packing.rows("flows", &FLOWS, "1 ORDER BY raw_offset").await.unwrap(), body);
    store.insert(&FLOWS, body, "packed").await.unwrap();
    assert_eq!(
        count(store, "SELECT count() AS n FROM weir.flows").await,
        20_000,
        "the same insert, unpacked"
    );
    store.execute("TRUNCATE TABLE weir.flows").await.unwrap();
}

async fn columns_of_many_different_texts_are_read_as_they_were_written(store: &mut Store) {
    // Indexes into the texts of a block take one, two or four bytes each.
    for different in [300, 70_000] {
        let mut rows = Vec::new();
        for n in 0..different + 10 {
            Batch::default().put_row(&mut rows);
            let name = format!("et-{}", n % different);
            Flow { raw_offset: n, in_if_name: &name, ..Flow::default() }.put_row(&mut rows);
        }
        store.insert(&FLOWS, rows.into(), &format!("{different} texts")).await.unwrap();
        let right = format!(
            "SELECT count() AS n FROM weir.flows WHERE in_if_name = concat('et-', toString(raw_offset % {different}))"
        );
        assert_eq!(count(store, &right).await, different + 10);
        store.execute("TRUNCATE TABLE weir.flows").await.unwrap();
    }
}

/// A value is never shortened, and a column never dropped, because table and program are of different releases.
async fn a_table_of_another_shape_refuses_the_insert(store: &mut Store) {
    let interfaces = JOINED.iter().find(|table| table.name == "interfaces").unwrap();
    let mut rows = Vec::new();
    InterfaceRow { speed: 400_000_000_000, version: 1, ..InterfaceRow::default() }.put_row(&mut rows);
    let rows = Bytes::from(rows);
    let changes =
        ["MODIFY COLUMN speed UInt32", "DROP COLUMN speed", "ADD COLUMN speed UInt64 AFTER description"];
    for (n, change) in changes.into_iter().enumerate() {
        store.execute(&format!("ALTER TABLE weir.interfaces {change}")).await.unwrap();
        let inserted = store.insert(interfaces, rows.clone(), &format!("shape {n}")).await;
        assert_eq!(inserted.is_ok(), n == 2, "{change}: {inserted:?}");
    }
    assert_eq!(count(store, "SELECT speed AS n FROM weir.interfaces").await, 400_000_000_000);
    store.execute("TRUNCATE TABLE weir.interfaces").await.unwrap();
}

/// Rule 11: a token with a cut-off body would be silent loss.
async fn a_body_cut_short_inserts_nothing_and_its_token_stays_free(store: &mut Store, url: &str) {
    let address = url.trim_start_matches("http://");
    let path = |format| {
        format!("/?insert_deduplication_token=cut&query=INSERT%20INTO%20weir.flows%20FORMAT%20{format}")
    };
    // Rows one after another can end early at a row's border without a sign of it; a block can't.
    let (lines, block) = (rows(300).to_vec(), native::block(FLOWS.all_columns(), &rows(300)).unwrap());
    let (border, middle) = (lines.len() - rows(200).len(), block.len() / 2);
    for (body, cut, path) in [(lines, border, path("RowBinary")), (block, middle, path("Native"))] {
        // Both ways of saying how long a body is.
        let declared =
            format!("POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {}\r\n\r\n", body.len());
        let chunked = format!(
            "POST {path} HTTP/1.1\r\nHost: {address}\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n",
            cut
        );
        for (head, tail) in [(declared, &b""[..]), (chunked, &b"\r\n"[..])] {
            let mut socket = std::net::TcpStream::connect(address).unwrap();
            socket.write_all(head.as_bytes()).unwrap();
            socket.write_all(&body[..cut]).unwrap();
            socket.write_all(tail).unwrap();
            socket.shutdown(std::net::Shutdown::Write).unwrap();
            let mut answer = Vec::new();
            let _ = socket.read_to_end(&mut answer);
            assert!(!answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
        }
    }
    assert_eq!(count(store, "SELECT count() AS n FROM weir.flows").await, 0);
    store.insert(&FLOWS, rows(300), "cut").await.unwrap();
    assert_eq!(count(store, "SELECT count() AS n FROM weir.flows").await, 300);
    store.execute("TRUNCATE TABLE weir.flows").await.unwrap();
}

async fn errors_carry_their_code_and_settings_stay_with_their_request(store: &Store) {
    let error = store.execute("SELECT throwIf(1)").await.unwrap_err();
    assert!(error.to_string().contains("Code: 395."), "{error}");
    let error = store.query::<Count>("SELECT 1 AS n FROM weir.nothing", &[]).await.unwrap_err();
    assert!(error.to_string().contains("Code: 60.") && !error.is_transient(), "{error}");
    let away = Store::new(&Config { url: "http://127.0.0.1:1".into(), ..Config::default() }).unwrap();
    let error = away.execute("SELECT 1").await.unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("clickhouse.url"), "{error}");
    let token = "SELECT length(toString(getSetting('insert_deduplication_token'))) AS n";
    assert_eq!(count(store, token).await, 0);
}

async fn a_statement_of_any_length_is_read(store: &Store) {
    let places: Vec<_> = (0..40_000u64).map(|n| (n % 12, 1_000_000_000_000 + n, 30u32)).collect();
    let all: Vec<_> = places.iter().map(|place| format!("{place:?}")).collect();
    let condition = format!("(raw_partition, raw_offset, frame_index) IN ({})", all.join(", "));
    assert!(condition.len() > 3 * 262_144);
    assert_eq!(count(store, &format!("SELECT count() AS n FROM weir.flows WHERE {condition}")).await, 0);
    store.execute(&format!("DELETE FROM weir.flows WHERE {condition}")).await.unwrap();
    assert!(store.rows("flows", &FLOWS, &condition).await.unwrap().is_empty());
}

async fn as_many_values_as_a_body_holds_are_bound(store: &Store) {
    let names: Vec<_> = (0..40).map(|n| format!("p{n}")).collect();
    let values: Vec<_> = names.iter().map(|name| (name.as_str(), "x".repeat(100_000))).collect();
    let sum: Vec<_> = names.iter().map(|name| format!("length({{{name}:String}})")).collect();
    let read: Vec<Count> = store.query(&format!("SELECT {} AS n", sum.join(" + ")), &values).await.unwrap();
    assert_eq!(read[0].n, 4_000_000);
}

/// A page needs no leave to send GET, nor POST as a form; what it sends by script has an Origin.
async fn what_a_web_page_can_send_changes_nothing(store: &Store, url: &str) {
    let address = url.trim_start_matches("http://");
    let ask = |head: &str| {
        let mut socket = std::net::TcpStream::connect(address).unwrap();
        write!(socket, "{head}Connection: close\r\nContent-Length: 0\r\n\r\n").unwrap();
        let mut answer = String::new();
        let _ = socket.read_to_string(&mut answer);
        answer
    };
    let host = format!("Host: {address}\r\n");
    assert!(ask(&format!("GET /ping HTTP/1.1\r\n{host}")).starts_with("HTTP/1.1 200"));
    let reads = ask(&format!("GET /?query=SELECT%201%2B1 HTTP/1.1\r\n{host}"));
    assert!(reads.starts_with("HTTP/1.1 200") && reads.trim_end().ends_with('2'), "{reads}");
    for statement in [
        "CREATE%20DATABASE%20page",
        "CREATE%20DATABASE%20page&readonly=0",
        "DROP%20TABLE%20weir.asns",
        "INSERT%20INTO%20weir.asns%20FORMAT%20CSV",
        "INSERT%20INTO%20weir.asns%20(asn)%20SELECT%201",
        "SELECT%201%20FROM%20url('http://127.0.0.1:1/','CSV','a%20Int8')",
        "SELECT%20*%20FROM%20file('/etc/passwd','LineAsString','line%20String')",
    ] {
        for method in ["GET", "HEAD"] {
            let answer = ask(&format!("{method} /?query={statement} HTTP/1.1\r\n{host}"));
            assert!(!answer.starts_with("HTTP/1.1 200"), "{method} {statement}: {answer}");
            assert!(method == "HEAD" || answer.contains("Code: 164."), "{method} {statement}: {answer}");
        }
    }
    for (method, more) in [
        ("POST", format!("{host}Origin: https://example.org\r\n")),
        ("GET", format!("{host}Sec-Fetch-Site: cross-site\r\n")),
        ("POST", "Host: rebound.example.org\r\n".to_owned()),
    ] {
        let answer = ask(&format!("{method} /?query=CREATE%20DATABASE%20page HTTP/1.1\r\n{more}"));
        assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    }
    let databases = "SELECT count() AS n FROM system.databases WHERE name = 'page'";
    assert_eq!(count(store, databases).await, 0);
    let tables = "SELECT count() AS n FROM system.tables WHERE database = 'weir' AND name = 'asns'";
    assert_eq!(count(store, tables).await, 1);
}

async fn bound_parameters_are_never_part_of_the_statement(store: &Store) {
    #[derive(Deserialize)]
    struct Text {
        text: String,
    }
    for text in ["plain", "'; DROP TABLE weir.flows --", "\\' OR 1=1", "?{x}", "ünï\u{1F309}"] {
        let read: Vec<Text> =
            store.query("SELECT {text:String} AS text", &[("text", text.to_owned())]).await.unwrap();
        assert_eq!(read[0].text, text);
    }
    assert_eq!(
        count(store, "SELECT count() AS n FROM system.tables WHERE database = 'weir' AND name = 'flows'")
            .await,
        1
    );
}
