//! Dead letters put back over Kafka: what was dead becomes flows, once, however often it is asked for, and its neighbours stay as they are.
#![allow(clippy::unwrap_used)]

mod support;

use std::net::UdpSocket;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use support::alone;
use weir_stack::local::Ports;
use weir_stack::{Local, kafka, local};
use weir_store::{Config, Store};

const LONG: Duration = Duration::from_secs(60);

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// An IPFIX message (RFC 7011 §3.1).
fn message(sets: &[Vec<u8>]) -> Vec<u8> {
    let sets = sets.concat();
    let length = u16::try_from(sets.len() + 16).unwrap().to_be_bytes();
    let now = u32::try_from(now()).unwrap();
    [&[0, 10][..], &length, &now.to_be_bytes(), &[0; 4], &7u32.to_be_bytes(), &sets].concat()
}

fn set(id: u16, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len() + 4).unwrap();
    [&id.to_be_bytes()[..], &length.to_be_bytes(), body].concat()
}

/// Source and destination address, bytes, packets.
fn template(id: u16) -> Vec<u8> {
    let fields = [(8u16, 4u16), (12, 4), (1, 8), (2, 8)];
    let mut body = [id.to_be_bytes(), 4u16.to_be_bytes()].concat();
    fields.iter().for_each(|(element, length)| {
        body.extend_from_slice(&element.to_be_bytes());
        body.extend_from_slice(&length.to_be_bytes());
    });
    set(2, &body)
}

fn data(id: u16, bytes: u64) -> Vec<u8> {
    let addresses = [198, 18, 0, 1, 198, 18, 9, 1];
    set(id, &[&addresses[..], &bytes.to_be_bytes(), &1u64.to_be_bytes()].concat())
}

struct Case {
    stack: Local,
    store: Store,
    runtime: tokio::runtime::Runtime,
}

#[derive(Debug, PartialEq, Eq, serde::Deserialize)]
struct Stored {
    flows: u64,
    sum: u64,
}

impl Case {
    fn up(dir: &Path) -> Self {
        // Nothing waits for its template: data that comes before is dead at once.
        let config = "[decoder]\nparked_bytes = 1\n[sink]\nbatch_ms = 500\n";
        let options = local::Options {
            ports: Ports::free().unwrap(),
            partitions: Some(3),
            kafka: kafka::Options { heap_mb: 512, ..kafka::Options::load() },
            config: vec![config.parse().unwrap()],
            ..local::Options::new(dir)
        };
        let stack = Local::up(options).unwrap_or_else(|error| panic!("{error}"));
        let store = Store::new(&Config { url: stack.clickhouse(), ..Config::default() }).unwrap();
        Self { store, runtime: tokio::runtime::Runtime::new().unwrap(), stack }
    }

    fn router(&self, address: &str) -> UdpSocket {
        let router = UdpSocket::bind((address, 0)).unwrap();
        router.connect(("127.0.0.1", self.stack.ingest().1[1])).unwrap();
        router
    }

    fn until_letters(&self, count: usize) {
        let begun = Instant::now();
        while self.letters().len() < count {
            assert!(begun.elapsed() < LONG, "no letters");
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    /// Decodes again what came from then on until now, a minute from now; gives what is said.
    fn redecode(&self, from: u64, more: &[&str]) -> String {
        let to = now() + 1;
        while now() < to + 60 {
            std::thread::sleep(Duration::from_millis(200));
        }
        let (from, to) = (from.to_string(), to.to_string());
        let window = [&["--from", &from, "--to", &to, "--bus", "kafka"], more].concat();
        let told = String::from_utf8(self.stack.weir("redecode", &window).unwrap()).unwrap();
        println!("{told}");
        told
    }

    fn stored(&self, table: &str) -> Stored {
        let count = if table.starts_with("flows") { "count()" } else { "toUInt64(sum(flows))" };
        let sql =
            format!("SELECT {count} AS flows, toUInt64(sum(assumeNotNull(bytes))) AS sum FROM weir.{table}");
        self.runtime.block_on(self.store.query(&sql, &[])).unwrap().pop().unwrap()
    }

    fn until(&self, flows: u64, sum: u64) {
        let begun = Instant::now();
        let wanted = Stored { flows, sum };
        while self.stored("flows") != wanted {
            assert!(begun.elapsed() < LONG, "{:?}, not {wanted:?}", self.stored("flows"));
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    fn weir(&self, arguments: &[&str]) -> String {
        let output = self.stack.weir("deadletter", arguments).unwrap_or_else(|error| panic!("{error}"));
        let text = String::from_utf8(output).unwrap();
        println!("{arguments:?}\n{text}");
        text
    }

    fn letters(&self) -> Vec<serde_json::Value> {
        let lines = self.weir(&["list", "--bus", "kafka", "--format", "json"]);
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

#[test]
fn what_was_dead_becomes_flows_once_and_what_was_decoded_beside_it_stays_once() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let case = Case::up(dir.path());
    let router = case.router("127.82.0.1");
    let send = |sets: &[Vec<u8>]| router.send(&message(sets)).map(drop).unwrap();

    let begin = now();
    // One template is known; of each datagram the first set is decoded and the second is dead. And bytes that are nothing.
    send(&[template(300)]);
    for n in 0..5 {
        send(&[data(300, 10), data(301, 1000 + n)]);
    }
    router.send(&[0, 99, 1, 2, 3]).unwrap();
    case.until(5, 50);
    case.until_letters(6);
    let letters = case.letters();
    let dead: Vec<_> = letters.iter().filter(|letter| letter["reason"] == "parked_limit").collect();
    assert_eq!((letters.len(), dead.len()), (6, 5));
    let place = |n: usize| dead[n]["place"].as_str().unwrap().to_owned();
    assert!(case.weir(&["show", &place(0), "--bus", "kafka"]).contains("decoded now: 0 flows"));

    // The mend: the template comes.
    send(&[template(301), data(301, 5)]);
    case.until(6, 55);
    let shown = case.weir(&["show", &place(0), "--bus", "kafka"]);
    assert!(shown.contains("decoded now: 1 flows") && shown.contains("parked_limit"), "{shown}");
    assert!(case.weir(&["retry", &place(0), "--bus", "kafka"]).contains("1 letters are put back"));
    assert!(case.weir(&["retry", &place(0), "--bus", "kafka"]).contains("1 were put back before"));
    let all = ["retry", "--reason", "parked_limit", "--exporter", "127.82.0.1", "--bus", "kafka"];
    assert!(case.weir(&all).contains("4 letters are put back"));
    assert!(case.weir(&all).contains("5 were put back before"));
    let wanted = 55 + (0..5).map(|n| 1000 + n).sum::<u64>();
    case.until(11, wanted);
    assert!(case.weir(&["retry", "--all", "--bus", "kafka"]).contains("1 letters are put back"));

    // What would come twice would have come by now.
    std::thread::sleep(Duration::from_secs(5));
    assert_eq!(case.stored("flows"), Stored { flows: 11, sum: wanted });
    // A flow has two sides.
    assert_eq!(case.stored("links_1m"), Stored { flows: 22, sum: 2 * wanted });
    let letters = case.letters();
    assert_eq!(letters.iter().filter(|letter| letter["put_back"] == true).count(), 6);
    // The bytes that are nothing are dead again, as a letter of their own.
    assert_eq!(letters.len(), 7);

    // All of it decoded again, what was put back too: the same flows, of another generation.
    let told = case.redecode(begin, &[]);
    assert!(told.contains("done: 11 rows of generation 1 took the place of 11"), "{told}");
    assert!(told.contains("5 would be dead letters: parked_limit"), "{told}");
    assert_eq!(case.stored("flows WHERE generation = 1"), Stored { flows: 11, sum: wanted });
    assert_eq!(case.stored("flows"), Stored { flows: 11, sum: wanted });
    assert_eq!(case.stored("links_1m"), Stored { flows: 22, sum: 2 * wanted });
    case.stack.down().unwrap();
}

#[test]
fn what_is_both_put_back_and_decoded_again_becomes_flows_once_whichever_comes_first() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let case = Case::up(dir.path());
    let routers = ["127.82.0.2", "127.82.0.3"].map(|address| case.router(address));
    let send = |sets: &[Vec<u8>]| {
        for router in &routers {
            router.send(&message(sets)).unwrap();
        }
    };
    let begin = now();
    for n in 0..3 {
        send(&[data(301, 1000 + n)]);
    }
    case.until_letters(6);
    send(&[template(301), data(301, 5)]);
    case.until(2, 10);
    // Of one router before: what was dead lies in the log twice then, and a decoder that has it wait would decode it at both places.
    let one = ["retry", "--exporter", "127.82.0.3", "--bus", "kafka"];
    assert!(case.weir(&one).contains("3 letters are put back"));
    case.until(5, 10 + 3003);
    let told = case.redecode(begin, &["--set", "decoder.parked_bytes=1000000"]);
    assert!(told.contains("done: 8 rows of generation 1 took the place of 5"), "{told}");
    let wanted = Stored { flows: 8, sum: 10 + 2 * 3003 };
    assert_eq!(case.stored("flows"), wanted);

    // Of the other one after: what was dead is decoded by now.
    let told = case.weir(&["retry", "--all", "--bus", "kafka"]);
    assert!(told.contains("0 letters are put back") && told.contains("3 were put back before"), "{told}");
    assert!(told.contains("3 can't be: generation 1 of `weir redecode` has decoded it again"), "{told}");
    std::thread::sleep(Duration::from_secs(5));
    assert_eq!(case.stored("flows"), wanted);
    assert_eq!(case.stored("flows WHERE generation = 1"), wanted);
    assert_eq!(case.stored("links_1m"), Stored { flows: 16, sum: 2 * wanted.sum });
    case.stack.down().unwrap();
}
