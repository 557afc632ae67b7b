//! Connections that say nothing, and more of them than may be.
#![allow(clippy::unwrap_used)]

mod served;

use served::Served;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use weir_api::Config;
use weir_store::Store;

const ASKED: &[u8] = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

async fn served(connections: usize, header_timeout_s: u64) -> Served {
    let nowhere = weir_store::Config { url: "http://127.0.0.1:9".into(), ..weir_store::Config::default() };
    let config = Config { connections, header_timeout_s, ..Config::default() };
    Served::with(config, Store::new(&nowhere).unwrap()).await
}

fn connected(api: &Served) -> TcpStream {
    let stream = TcpStream::connect(api.base.trim_start_matches("http://")).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

fn answer(stream: &mut TcpStream) -> String {
    let mut all = String::new();
    stream.read_to_string(&mut all).unwrap();
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_says_nothing_or_half_a_head_is_closed() {
    let api = served(10, 1).await;
    for said in ["", "GET /healthz HTTP/1.1\r\nhost: local"] {
        let (mut stream, begun) = (connected(&api), Instant::now());
        stream.write_all(said.as_bytes()).unwrap();
        let answered = answer(&mut stream);
        assert!(!answered.contains("200 OK"), "{answered}");
        assert!((1..10).contains(&begun.elapsed().as_secs()), "{said}: {:?}", begun.elapsed());
    }
    api.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_more_than_may_be_waits_until_another_is_closed() {
    let api = served(2, 60).await;
    let (first, _second) = (connected(&api), connected(&api));
    let mut third = connected(&api);
    third.write_all(ASKED).unwrap();
    third.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    assert!(third.read(&mut [0]).is_err(), "there are two already");
    drop(first);
    third.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    assert!(answer(&mut third).starts_with("HTTP/1.1 200 OK"));
    api.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_takes_no_answer_is_closed_and_others_get_its_place() {
    let api = served(1, 1).await;
    let mut deaf = connected(&api);
    // More answers than lie on the way to somebody who reads none.
    let question = b"GET /api/v1/openapi.json HTTP/1.1\r\nhost: localhost\r\n\r\n";
    deaf.write_all(&question.repeat(300)).unwrap();
    let mut other = connected(&api);
    other.write_all(ASKED).unwrap();
    assert!(answer(&mut other).starts_with("HTTP/1.1 200 OK"));
    drop(deaf);
    api.end().await;
}
