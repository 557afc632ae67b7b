//! What becomes of a question whose client goes away, or of which a part fails: ClickHouse works on it no longer.
#![allow(clippy::unwrap_used)]

mod engine;
mod served;

use engine::{put_sides, side};
use serde::Deserialize;
use served::Served;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use weir_schemas::{Direction, Ip};
use weir_store::Store;

#[derive(Deserialize)]
struct Count {
    n: u64,
}

/// Statements of the API that are being worked on, without those that end others.
async fn working(store: &Store) -> u64 {
    let sql = "SELECT count() AS n FROM system.processes WHERE startsWith(Settings['log_comment'], 'weir-api-') \
        AND NOT startsWith(query, 'KILL')";
    store.query::<Count>(sql, &[]).await.unwrap()[0].n
}

async fn until(what: &str, mut so: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !so().await {
        assert!(begun.elapsed() < Duration::from_secs(30), "{what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A way to ClickHouse on which what says `word` takes four seconds longer, and arrives though whoever sent it has gone; and where it is told that
/// such is on its way. ClickHouse is told that nobody waits after 2.2 and 10.2 s, so it is there for six.
fn slow_for(word: &'static str, clickhouse: SocketAddr) -> (String, Receiver<()>) {
    let (seen, sent) = channel();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (mut from, mut to) = (client.unwrap(), TcpStream::connect(clickhouse).unwrap());
            let seen = seen.clone();
            let (mut answers, mut back) = (to.try_clone().unwrap(), from.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut answers, &mut back));
            std::thread::spawn(move || {
                let mut chunk = vec![0; 1 << 16];
                while let Ok(n @ 1..) = from.read(&mut chunk) {
                    if String::from_utf8_lossy(&chunk[..n]).contains(word) {
                        seen.send(()).ok();
                        std::thread::sleep(Duration::from_secs(4));
                    }
                    to.write_all(&chunk[..n]).unwrap();
                }
                // The engine is to see no end of the connection either.
                std::mem::forget(to);
            });
        }
    });
    (url, sent)
}

fn put(address: &str, body: &str) -> TcpStream {
    let mut client = TcpStream::connect(address).unwrap();
    write!(
        client,
        "POST /api/v1/query HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    client
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn statements_end_when_nobody_waits_for_their_answer() {
    engine::with(async |mut store, ending| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as u32;
        let hour = now / 3600 * 3600 - 3600;
        put_sides(&mut store, &[side(Ip::v4([192, 0, 2, 1]), hour, 174, 1, Direction::In, 100)]).await;
        // A table that takes days to be read.
        for sql in [
            "RENAME TABLE weir.interfaces_5m TO weir.one",
            "CREATE VIEW weir.interfaces_5m AS SELECT t.* FROM numbers(1000000000000000) AS n CROSS JOIN weir.one AS t",
        ] {
            store.execute(sql).await.unwrap();
        }
        let api = Served::over(store.clone()).await;
        let body = r#"{"last":"3h","by":["exporter"],"scope":"all","observation":"ingress","interval":"1h"}"#;
        let address = api.base.trim_start_matches("http://");
        let client = put(address, body);
        until("the question is being worked on", async || working(&store).await > 0).await;
        drop(client);
        until("its statements have ended", async || working(&store).await == 0).await;

        // A statement that arrives when its client has gone, and ClickHouse has been told so.
        let clickhouse = store.config().url.trim_start_matches("http://").parse().unwrap();
        let (url, sent) = slow_for("interfaces_5m", clickhouse);
        let slow = Store::new(&weir_store::Config { url, ..store.config().clone() }).unwrap();
        let far = Served::over(slow).await;
        let client = put(far.base.trim_start_matches("http://"), body);
        tokio::task::spawn_blocking(move || sent.recv_timeout(Duration::from_secs(30))).await.unwrap().unwrap();
        drop(client);
        until("those that had arrived have ended", async || working(&store).await == 0).await;
        until("a statement that was on its way arrives", async || working(&store).await > 0).await;
        until("it has ended, too", async || working(&store).await == 0).await;

        // What its rows are called can't be told, while the slots of its total are being worked on.
        store.execute("DROP TABLE weir.exporters").await.unwrap();
        let reply = api.send("POST", "/api/v1/query", &[("content-type", "application/json")], body);
        assert_eq!(reply.status, 503, "{}", reply.text);
        until("the statements beside the one that failed have ended", async || working(&store).await == 0).await;
        ending.end().await;
    })
    .await;
}
