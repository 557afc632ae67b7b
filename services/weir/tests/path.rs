//! The whole path with real parts, as the command line shows it: Kafka, the engine, one process of each service.
#![allow(clippy::unwrap_used)]

use serde_json::Value as Json;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use weir_stack::local::{Options, Ports};
use weir_stack::{Local, kafka};
use weir_store::{Config, Store};

fn weir(config: Option<&Path>, arguments: &[&str]) -> (String, String, bool) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    if let Some(config) = config {
        command.arg("--config").arg(config);
    }
    let output = command.args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr), output.status.success())
}

/// A stack that runs, and a way to ask it.
struct Running {
    stack: Local,
    store: Store,
    runtime: tokio::runtime::Runtime,
}

fn start(name: &str, config: &str) -> Running {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&dir);
    let options = Options {
        weir: Some(env!("CARGO_BIN_EXE_weir").into()),
        partitions: Some(3),
        ports: Ports::free().unwrap(),
        kafka: kafka::Options::test(),
        config: vec![config.parse().unwrap()],
        ..Options::new(&dir)
    };
    let stack = Local::up(options).unwrap_or_else(|error| panic!("{error}"));
    let store = Store::new(&Config { url: stack.clickhouse(), ..Config::default() }).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    Running { stack, store, runtime }
}

impl Running {
    /// Flows, bytes and packets of an exporter.
    fn sums(&self, exporter: &str) -> (u64, u64, u64) {
        #[derive(serde::Deserialize)]
        struct Sums {
            n: u64,
            sum_bytes: u64,
            sum_packets: u64,
        }
        let sql = "SELECT count() AS n, toUInt64(sum(ifNull(bytes, 0))) AS sum_bytes, toUInt64(sum(packets)) AS sum_packets \
                   FROM weir.flows WHERE exporter = toIPv6({exporter:String})";
        let rows = self.runtime.block_on(self.store.query::<Sums>(sql, &[("exporter", exporter.to_owned())]));
        let Sums { n, sum_bytes, sum_packets } = rows.unwrap().remove(0);
        (n, sum_bytes, sum_packets)
    }

    fn until<T>(&self, what: &str, ask: impl Fn() -> Result<T, String>) -> T {
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            match ask() {
                Ok(done) => return done,
                Err(is) => assert!(Instant::now() < until, "{what}: {is}"),
            }
            std::thread::sleep(Duration::from_millis(300));
        }
    }

    /// Bytes in by provider, and the total.
    fn providers(&self) -> (Vec<(String, u64)>, Json) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() / 60 * 60;
        let [from, to] = [now - 3600, now + 60].map(|end| end.to_string());
        let ask =
            ["query", "--format", "json", "--scope", "all", "--by", "provider", "--from", &from, "--to", &to];
        let (out, error, success) = weir(Some(self.stack.config()), &ask);
        assert!(success, "{error}");
        let answer: Json = serde_json::from_str(&out).unwrap();
        let row =
            |row: &Json| (row["keys"][0].as_str().unwrap().to_owned(), row["bytes_in"].as_u64().unwrap());
        let rows =
            answer["rows"].as_array().unwrap().iter().map(row).filter(|(_, bytes)| *bytes > 0).collect();
        (rows, answer["total"].clone())
    }
}

/// IPFIX with a sampling interval of 100 in the record (IE 34): template and one record of 1500 bytes in 3 packets, from interface 3.
fn ipfix() -> Vec<u8> {
    let set =
        |id: u16, body: &[u8]| [&id.to_be_bytes()[..], &(body.len() as u16 + 4).to_be_bytes(), body].concat();
    let mut template = vec![1, 0, 0, 7];
    for (element, length) in [(8u16, 4u16), (12, 4), (1, 8), (2, 8), (10, 4), (14, 4), (34, 4)] {
        template.extend_from_slice(&element.to_be_bytes());
        template.extend_from_slice(&length.to_be_bytes());
    }
    let mut record = vec![192, 0, 2, 1, 198, 51, 100, 1];
    record.extend_from_slice(&1500u64.to_be_bytes());
    record.extend_from_slice(&3u64.to_be_bytes());
    for number in [3u32, 4, 100] {
        record.extend_from_slice(&number.to_be_bytes());
    }
    let sets = [set(2, &template), set(256, &record)].concat();
    let mut message = vec![0, 10];
    message.extend_from_slice(&(sets.len() as u16 + 16).to_be_bytes());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as u32;
    for number in [now, 0, 1] {
        message.extend_from_slice(&number.to_be_bytes());
    }
    [message, sets].concat()
}

#[test]
fn a_link_rule_changed_after_the_fact_holds_for_the_past_and_leaves_totals_alone() {
    let rule = "[[decoder.enrich.links]]\nindex = 3\nlink = 'L'\nprovider = 'Old-Provider'\nconnectivity = 'transit'\n";
    let mut path = start("path-links", rule);
    let socket = UdpSocket::bind("127.9.9.9:0").unwrap();
    for _ in 0..10 {
        socket.send_to(&ipfix(), (path.stack.ingest().0, path.stack.ingest().1[1])).unwrap();
    }
    path.until("flows", || match path.sums("127.9.9.9") {
        (10, 15_000, 30) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    let seen_as = |path: &Running, provider: &str| {
        path.until(provider, || match path.providers() {
            (by, total) if by == [(provider.to_owned(), 1_500_000)] => Ok(total),
            other => Err(format!("{other:?}")),
        })
    };
    let before = seen_as(&path, "Old-Provider");

    let config = std::fs::read_to_string(path.stack.config()).unwrap();
    std::fs::write(path.stack.config(), config.replace("Old-Provider", "New-Provider")).unwrap();
    let decoder = path.stack.service("decoder-0").unwrap();
    decoder.stop(Duration::from_secs(20)).unwrap();
    decoder.start().unwrap();
    assert_eq!(seen_as(&path, "New-Provider"), before);
    path.stack.down().unwrap();
}

/// Lines, bytes and packets as `weir decode` prints them.
fn decoded(file: &Path) -> (u64, u64, u64) {
    let (out, error, success) = weir(None, &["decode", file.to_str().unwrap()]);
    assert!(success, "{error}");
    let mut sums = (0, 0, 0);
    for line in out.lines() {
        let flow: Json = serde_json::from_str(line).unwrap();
        sums.0 += 1;
        sums.1 += flow["bytes"].as_u64().unwrap_or(0);
        sums.2 += flow["packets"].as_u64().unwrap_or(0);
    }
    sums
}

#[test]
fn captures_replayed_into_the_running_path_are_stored_as_decode_prints_them() {
    let captures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/captures");
    if !captures.is_dir() {
        println!("skipped: {} is not there", captures.display());
        return;
    }
    let path = start("path-captures", "");
    let files = [
        "Graylog2+graylog-plugin-netflow/src/test/resources/netflow-data/nprobe-netflow9-3.pcap",
        "_sequences/beats/IPFIX_Mikrotik_RouterOS_6.39.2.pcap",
        "_sequences/telegraf/sflow_issue_15918.pcap",
        "_sequences/beats/Netflow_9_Cisco_1941_K9_release_15.1.pcap",
    ];
    let to = format!("127.0.0.1:{}", path.stack.ingest().1[0]);
    for (n, file) in files.iter().enumerate() {
        let file = captures.join(file);
        let wanted = decoded(&file);
        assert!(wanted.0 > 0, "{}", file.display());
        let from = format!("127.9.{}.1", n + 1);
        let replay = ["replay", file.to_str().unwrap(), "--from", &from, "--to", &to, "--rate", "200"];
        let (out, error, success) = weir(None, &replay);
        assert!(success && out.contains(&format!("was sent from {from}")), "{out}{error}");
        path.until(&file.display().to_string(), || match path.sums(&from) {
            is if is == wanted => Ok(()),
            is => Err(format!("{is:?} stored, {wanted:?} decoded")),
        });
    }
    path.stack.down().unwrap();
}
