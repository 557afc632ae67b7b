//! The API on the real engine, asked as programs ask it.
#![allow(clippy::unwrap_used)]

mod engine;
mod served;

use engine::{put, put_sides};
use serde_json::{Value as Json, json};
use served::Served;
use std::collections::BTreeSet;
use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};
use weir_api::{Config, tree};
use weir_schemas::rollup::{LinkRow, PairRow, PrefixRow};
use weir_schemas::value::Slot;
use weir_schemas::{Direction, Ip, Observation, SamplingKind};
use weir_store::Store;

/// One test function, because one process has one engine.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn questions_are_answered_over_http_and_what_is_wrong_is_said_in_words() {
    engine::with(async |mut store, ending| {
        let hour = sides(&mut store).await;
        let unlimited = store.clone();
        let api = Served::over(store).await;
        an_answer_has_rows_limits_and_a_table(&api, hour);
        what_can_be_asked_for_is_told_and_can_be_asked_for(&api, hour);
        what_is_wrong_is_a_problem_with_its_place(&api);
        who_asks_from_elsewhere_is_refused(&api);
        what_is_no_path_of_the_api_is_no_page_of_another_service_either(&api);
        what_takes_more_than_a_question_may_is_too_much_and_tables_that_are_not_made_are_said_to_be(&unlimited)
            .await;
        let mut half = std::net::TcpStream::connect(api.base.trim_start_matches("http://")).unwrap();
        half.write_all(b"POST /api/v1/query HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{").unwrap();
        ending.end().await;
        a_store_that_is_away_is_said_to_be(&api);
        api.end().await;
        // Who sends half a body keeps nobody from ending, and its connection is this: made before the end, and open behind it.
        drop(half);
    })
    .await;
}

/// Two ASes in a whole hour, long enough ago; gives its start.
async fn sides(store: &mut Store) -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as u32;
    let hour = now / 3600 * 3600 - 7200;
    let side = LinkRow {
        time: Slot(hour),
        exporter: Ip::v4([192, 0, 2, 1]),
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
    };
    put_sides(store, &[side, LinkRow { asn: 3320, bytes: 500, q: 250_000, ..side }]).await;
    let LinkRow { time, exporter, observation, sampling_interval, sampling_kind, bytes, .. } = side;
    let (mut pairs, mut prefixes) = (Vec::new(), Vec::new());
    let pair = PairRow {
        time,
        exporter,
        observation,
        sampling_interval,
        sampling_kind,
        bytes,
        ..PairRow::default()
    };
    PairRow { in_if: 1, out_if: 2, src_as: 174, ..pair }.put_row(&mut pairs);
    let prefix = PrefixRow {
        time,
        exporter,
        observation,
        sampling_interval,
        sampling_kind,
        bytes,
        ..PrefixRow::default()
    };
    PrefixRow { if_index: 1, direction: Direction::In, asn: 174, ..prefix }.put_row(&mut prefixes);
    put(store, "pairs_1h", pairs).await;
    put(store, "prefixes_1h", prefixes).await;
    i64::from(hour)
}

fn time(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).unwrap().to_string()
}

fn an_answer_has_rows_limits_and_a_table(api: &Served, hour: i64) {
    let question = json!({"from": time(hour), "to": time(hour + 3600), "by": ["as"], "scope": "all", "filter": "as IN (174, 3320)"});
    let reply = api.post(&question);
    assert_eq!((reply.status, reply.kind.as_str()), (200, "application/json"), "{}", reply.text);
    let answer = reply.json();
    assert_eq!(
        (&answer["tables"], &answer["from"], &answer["seconds"]),
        (&json!(["links_1h"]), &hour.into(), &3600.into())
    );
    let rows: Vec<_> =
        answer["rows"].as_array().unwrap().iter().map(|row| (&row["keys"], &row["bytes_in"])).collect();
    assert_eq!(rows, [(&json!(["AS174"]), &100_000.into()), (&json!(["AS3320"]), &50_000.into())]);
    assert_eq!(answer["total"]["bytes_in"], 150_000);
    assert!(answer["rows"][0]["high_in"].as_f64().unwrap() > 300_000.0);
    let accept = [("content-type", "application/json"), ("accept", "text/csv")];
    let csv = api.send("POST", "/api/v1/query", &accept, &question.to_string());
    assert_eq!((csv.status, csv.kind.as_str()), (200, "text/csv; charset=utf-8; header=present"));
    let lines: Vec<_> = csv.text.lines().map(|line| line.split(',').take(2).collect::<Vec<_>>()).collect();
    assert_eq!(lines, [["as", "bytes_in"], ["AS174", "100000"], ["AS3320", "50000"]]);
    let empty = api.post(&json!({"last": "1h"}));
    assert_eq!((empty.status, &empty.json()["rows"]), (200, &json!([])));
}

fn what_can_be_asked_for_is_told_and_can_be_asked_for(api: &Served, hour: i64) {
    let columns = api.send("GET", "/api/v1/columns", &[], "").json();
    for dimension in columns["dimensions"].as_array().unwrap() {
        let question =
            json!({"from": time(hour), "to": time(hour + 3600), "by": [dimension["name"]], "scope": "all"});
        assert_eq!(
            api.post(&question).json()["rows"][0]["bytes_in"].as_u64().map(|bytes| bytes > 0),
            Some(true),
            "{dimension}"
        );
    }
    for field in columns["fields"].as_array().unwrap() {
        let value = match (&field["words"][0], field["name"].as_str().unwrap()) {
            (Json::String(word), _) => word.clone(),
            (_, "exporter_address") => "192.0.2.1".to_owned(),
            (_, "country") => "DE".to_owned(),
            _ => "1".to_owned(),
        };
        let filter = format!("{} = {value}", field["name"].as_str().unwrap());
        assert_eq!(api.post(&json!({"filter": filter, "scope": "all"})).status, 200, "{filter}");
    }
    let exporters = api.send("GET", "/api/v1/exporters", &[], "").json();
    assert_eq!(exporters["exporters"][0]["address"], "192.0.2.1");
    assert_eq!(api.send("GET", "/healthz", &[], "").text, "ok\n");
    let page = api.send("GET", "/as/15169", &[], "");
    assert_eq!((page.status, page.kind.as_str()), (200, "text/html; charset=utf-8"), "{page:?}");
    let document = api.send("GET", "/api/v1/openapi.json", &[], "").json();
    assert_eq!(document, serde_json::from_str::<Json>(&tree().1.to_json().unwrap()).unwrap());
}

fn what_is_wrong_is_a_problem_with_its_place(api: &Served) {
    let json = ("content-type", "application/json");
    let large = format!("{{\"filter\": \"{}\"}}", " ".repeat(70_000));
    let mut seen = Vec::new();
    for (method, path, headers, body) in [
        ("GET", "/api", &[][..], ""),
        ("GET", "/api/v2/query", &[], ""),
        ("POST", "/", &[json], "{}"),
        ("GET", "/api/v1/query", &[], ""),
        ("DELETE", "/api/v1/columns", &[], ""),
        ("POST", "/api/v1/query", &[], "{}"),
        ("POST", "/api/v1/query", &[("content-type", "text/plain")], "{}"),
        ("POST", "/api/v1/query", &[json], ""),
        ("POST", "/api/v1/query", &[json], "{} {}"),
        ("POST", "/api/v1/query", &[json], "{\"top\": 10"),
        ("POST", "/api/v1/query", &[json], "[]"),
        ("POST", "/api/v1/query", &[json], &large),
        ("POST", "/api/v1/query", &[json], r#"{"top": 100000}"#),
        ("POST", "/api/v1/query", &[json], r#"{"by": ["as", "linke"]}"#),
        ("POST", "/api/v1/query", &[json], r#"{"topp": 1}"#),
        ("POST", "/api/v1/query", &[json], r#"{"last": "1 hour"}"#),
        (
            "POST",
            "/api/v1/query",
            &[json],
            r#"{"from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"}"#,
        ),
        ("POST", "/api/v1/query", &[json], r#"{"from": "2026-01-02", "to": "2026-01-01T00:00:00Z"}"#),
        ("POST", "/api/v1/query", &[json], r#"{"filter": "link = \"Söhne\" AND conectivity = ix"}"#),
    ] {
        let reply = api.send(method, path, headers, body);
        assert_eq!(reply.kind, "application/problem+json", "{method} {path} {body:.60}: {reply:?}");
        let problem = reply.json();
        assert_eq!(problem["status"], reply.status);
        seen.push(format!("{method} {path} {body:.60}\n{problem:#}"));
    }
    insta::assert_snapshot!(seen.join("\n\n"));
}

fn who_asks_from_elsewhere_is_refused(api: &Served) {
    for header in [("host", "rebound.example.org"), ("origin", "https://example.org")] {
        let reply = api.send("GET", "/api/v1/columns", &[header], "");
        assert_eq!(
            (reply.status, &reply.json()["type"]),
            (403, &"urn:weir:problem:elsewhere".into()),
            "{header:?}"
        );
    }
}

async fn what_takes_more_than_a_question_may_is_too_much_and_tables_that_are_not_made_are_said_to_be(
    store: &Store,
) {
    let config = Config { query_memory_bytes: 1, ..Config::default() };
    let api = Served::with(config, store.clone()).await;
    let reply = api.post(&json!({"last": "24h", "scope": "all"}));
    assert_eq!(
        (reply.status, &reply.json()["type"]),
        (422, &"urn:weir:problem:too-much".into()),
        "{reply:?}"
    );
    api.end().await;
    let config = weir_store::Config { database: "nowhere".into(), ..store.config().clone() };
    let api = Served::over(Store::new(&config).unwrap()).await;
    let reply = api.post(&json!({}));
    assert_eq!(
        (reply.status, &reply.json()["type"]),
        (503, &"urn:weir:problem:store-unmade".into()),
        "{reply:?}"
    );
    api.end().await;
}

fn a_store_that_is_away_is_said_to_be(api: &Served) {
    for reply in [api.post(&json!({})), api.send("GET", "/api/v1/exporters", &[], "")] {
        assert_eq!((reply.status, reply.retry.as_str()), (503, "5"));
        let problem = reply.json();
        assert_eq!(problem["type"], "urn:weir:problem:store-away");
        assert!(!reply.text.contains("127.0.0.1"), "{}", reply.text);
    }
}

#[test]
fn the_document_is_openapi_3_1_and_whole() {
    let mut document: Json = serde_json::from_str(&tree().1.to_json().unwrap()).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    document["info"]["version"] = "of the release".into();
    let body = "/paths/~1api~1v1~1query/post/requestBody/content/application~1json/schema/$ref";
    assert_eq!(document.pointer(body), Some(&"#/components/schemas/Request".into()));
    let mut references = BTreeSet::new();
    fn collect(json: &Json, references: &mut BTreeSet<String>) {
        match json {
            Json::Object(all) => {
                references.extend(all.get("$ref").and_then(Json::as_str).map(str::to_owned));
                all.values().for_each(|json| collect(json, references));
            }
            Json::Array(all) => all.iter().for_each(|json| collect(json, references)),
            _ => {}
        }
    }
    collect(&document, &mut references);
    assert!(references.len() > 5, "{references:?}");
    for reference in &references {
        assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference} leads nowhere");
    }
    insta::assert_snapshot!(format!("{document:#}"));
}

fn what_is_no_path_of_the_api_is_no_page_of_another_service_either(api: &Served) {
    let json = ("content-type", "application/json");
    for (method, body) in [("PUT", "{}"), ("DELETE", "")] {
        let reply = api.send(method, "/api/v1/links/%FF", &[json], body);
        assert_eq!(
            (reply.status, reply.kind.as_str()),
            (422, "application/problem+json"),
            "{method}: {}",
            reply.text
        );
    }
    let ready = api.send("GET", "/readyz", &[], "");
    assert_eq!((ready.status, ready.text.as_str()), (200, "ok\n"));
    let metrics = api.send("GET", "/metrics", &[], "");
    assert_eq!(
        (metrics.status, metrics.kind.as_str()),
        (404, "application/problem+json"),
        "{}",
        metrics.text
    );
    assert!(metrics.text.contains("runtime.admin.api"), "{}", metrics.text);
}
