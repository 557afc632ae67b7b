//! Bad input on the command line: one sentence that names the key, file, port or topic, and an exit that is not zero.
#![allow(clippy::unwrap_used)]

use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

fn refused(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_weir")).args(arguments).output().unwrap();
    assert!(!output.status.success(), "{arguments:?}");
    let error = String::from_utf8(output.stderr).unwrap();
    let last = error.lines().last().unwrap_or_default().to_owned();
    assert!(last.starts_with("weir: "), "{error}");
    last
}

fn set<'a>(command: &'a str, keys: &[&'a str]) -> Vec<&'a str> {
    std::iter::once(command).chain(keys.iter().flat_map(|key| ["--set", key])).collect()
}

#[test]
fn the_version_names_the_commit_and_whether_it_is_built_as_for_tests() {
    let output = Command::new(env!("CARGO_BIN_EXE_weir")).arg("--version").output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.starts_with(concat!("weir ", env!("CARGO_PKG_VERSION"))), "{said}");
    assert_eq!(said.contains("with debug assertions"), cfg!(debug_assertions), "{said}");
    // Sources without git name no commit.
    if let Ok(commit) = Command::new("git").args(["rev-parse", "--short=7", "HEAD"]).output() {
        let commit = String::from_utf8(commit.stdout).unwrap();
        assert!(said.contains(commit.trim()), "{said}, built from {commit}");
    }
}

#[test]
fn a_bad_configuration_is_refused_at_start_with_the_path_of_the_key() {
    for (command, key, wanted) in [
        ("sink", "sink.batch_rows=0", "sink.batch_rows: must be between"),
        ("ingest", "ingest.workerz=1", "ingest.workerz: there is no such key"),
        ("decoder", "decoder.enrich.links=[{connectivity='peer'}]", "decoder.enrich.links[0].connectivity: "),
        (
            "decoder",
            "decoder.enrich.databases.asn=['/nowhere/asn.csv']",
            "decoder.enrich.databases.asn: /nowhere/asn.csv",
        ),
    ] {
        let error = refused(&set(command, &[key, "runtime.admin.decoder=''"]));
        assert!(error.contains(wanted), "{error}");
    }
    let error = refused(&["config", "check", "--config", "/nowhere/weir.toml"]);
    assert!(error.contains("configuration file /nowhere/weir.toml can't be read"), "{error}");
    let engine =
        ["engine.library='/nowhere/libchdb.so'", "engine.listen='127.0.0.1:0'", "runtime.admin.engine=''"];
    let error = refused(&set("engine", &engine));
    assert!(error.contains("engine.library: /nowhere/libchdb.so"), "{error}");
}

#[test]
fn a_port_in_use_is_named() {
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = udp.local_addr().unwrap().port();
    let ports = format!("ingest.ports=[{port}]");
    let error =
        refused(&set("ingest", &["ingest.addresses=['127.0.0.1']", &ports, "runtime.admin.ingest=''"]));
    assert!(error.contains(&format!("127.0.0.1:{port}")), "{error}");
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = tcp.local_addr().unwrap().to_string();
    let error = refused(&set("ingest", &["ingest.ports=[0]", &format!("runtime.admin.ingest='{address}'")]));
    assert!(error.contains(&address) && error.contains("runtime.admin.ingest"), "{error}");
}

#[test]
fn a_broker_or_engine_that_is_away_is_named_with_its_key() {
    let error =
        refused(&set("topics", &["bus.bootstrap_servers='127.0.0.1:1'", "bus.connect_timeout_ms=1000"]));
    assert!(error.contains("127.0.0.1:1") && error.contains("bus.bootstrap_servers"), "{error}");
    for command in ["migrate", "query"] {
        let error = refused(&set(command, &["clickhouse.url='http://127.0.0.1:1'"]));
        assert!(error.contains("http://127.0.0.1:1") && error.contains("clickhouse.url"), "{error}");
    }
}

#[test]
fn a_log_that_was_left_behind_is_not_taken_for_the_bus_that_is_meant() {
    let folder = tempfile::tempdir().unwrap();
    let path = format!("bus.embedded.path='{}'", folder.path().display());
    for command in [&["redecode", "--from", "60", "--to", "120"][..], &["deadletter", "list"]] {
        let error = refused(&[command, &["--set", &path]].concat());
        assert!(error.contains("no `weir standalone` runs here"), "{error}");
        assert!(error.contains("--bus embedded or --bus kafka"), "{error}");
    }
}

#[test]
fn no_log_is_made_where_the_folder_that_is_named_has_none() {
    let folder = tempfile::tempdir().unwrap();
    for path in [folder.path().to_owned(), folder.path().join("mistyped")] {
        let path = format!("bus.embedded.path='{}'", path.display());
        for command in [&["redecode", "--from", "60", "--to", "120"][..], &["deadletter", "list"]] {
            let error = refused(&[command, &["--bus", "embedded", "--set", &path]].concat());
            assert!(error.contains("there is no log") && error.contains("(bus.embedded.path)"), "{error}");
        }
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_question_that_makes_no_sense_is_refused_in_words() {
    for (arguments, wanted) in [
        (&["query", "--last", "soon"][..], "--last: soon is no time: write a number and m, h or d"),
        (
            &["query", "--from", "60", "--to", "60"],
            "--from and --to: from 1970-01-01T00:01:00Z is not before to 1970-01-01T00:01:00Z",
        ),
        (&["query", "--from", "61", "--to", "120"], "whole minutes"),
        (&["query", "--top", "0"], "top 0 is not between 1 and 10000"),
        (&["query", "--last", "5м"], "--last: 5м is no time: write a number"),
        (
            &["query", "--from", "60", "--to", "120"],
            "--from and --to: to 1970-01-01T00:02:00Z is before all that links_1m keeps",
        ),
    ] {
        let error = refused(arguments);
        assert!(error.contains(wanted), "{error}");
    }
}

/// `weir token …` with a file of tokens.
fn token(file: &str, arguments: &[&str]) -> Output {
    let key = format!("api.tokens_file='{file}'");
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    command.args(["--set", &key, "token"]).args(arguments).output().unwrap()
}

#[test]
fn a_token_is_all_that_is_printed_where_one_is_made_and_is_listed_until_it_is_revoked() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tokens.toml");
    let path = file.to_str().unwrap();
    let made = token(path, &["create", "grafana", "--expires", "90d"]);
    let (secret, said) = (String::from_utf8(made.stdout).unwrap(), String::from_utf8(made.stderr).unwrap());
    let secret = secret.strip_suffix('\n').unwrap();
    assert!(secret.starts_with("weir_") && secret.len() == 69 && made.status.success(), "{secret}");
    assert!(said.starts_with("This is shown once. grafana asks with") && !said.contains(secret), "{said}");
    assert!(!std::fs::read_to_string(&file).unwrap().contains(&secret[5..]));
    assert!(token(path, &["create", "cron"]).status.success());
    let listed = String::from_utf8(token(path, &["list"]).stdout).unwrap();
    let lines: Vec<Vec<&str>> = listed.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines.iter().map(|line| line[0]).collect::<Vec<_>>(), ["name", "grafana", "cron"]);
    assert_eq!(lines[2][2..], ["until", "it", "is", "revoked"]);
    let revoked = token(path, &["revoke", "grafana"]);
    assert!(revoked.status.success() && revoked.stdout.is_empty());
    assert_eq!(String::from_utf8(token(path, &["list"]).stdout).unwrap().lines().count(), 2);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let key = format!("api.tokens_file='{path}'");
    let mut lost = Command::new(env!("CARGO_BIN_EXE_weir"));
    let lost = lost.args(["--set", &key, "token", "create", "lost"]).stdout(writer).output().unwrap();
    assert!(!lost.status.success(), "a token that nobody has got was made");
    assert!(!std::fs::read_to_string(&file).unwrap().contains("lost"));
}

#[test]
fn what_cannot_be_done_with_tokens_is_said_with_the_mend() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tokens.toml");
    let path = file.to_str().unwrap();
    assert!(token(path, &["create", "cron"]).status.success());
    let key = format!("api.tokens_file='{path}'");
    let refused_with = |arguments: &[&str]| refused(&[&["--set", &key, "token"], arguments].concat());
    for (arguments, wanted) in [
        (
            &["create", "cron"][..],
            "cron has a token already: take another name, or do weir token revoke cron first",
        ),
        (&["create", "two words"], "a token's name has 1 to 64 letters"),
        (&["revoke", "corn"], "there is no token of corn; there are: cron"),
    ] {
        let error = refused_with(arguments);
        assert!(error.contains(wanted), "{error}");
    }
    let soon = token(path, &["create", "noc", "--expires", "soon"]);
    let said = String::from_utf8(soon.stderr).unwrap();
    assert!(!soon.status.success() && said.contains("write a number and m, h or d, such as 90d"), "{said}");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    for arguments in [&["create", "noc"][..], &["revoke", "cron"], &["list"]] {
        let error = refused_with(arguments);
        assert!(
            error.contains(path) && error.contains("is open to others (mode 644): chmod o-rwx,g-w"),
            "{error}"
        );
    }
    let check = ["config", "check", "--set", &key, "--set", "api.listen='0.0.0.0:8480'"];
    assert!(refused(&check).contains("api.tokens_file: "));
}

#[test]
fn what_is_no_capture_is_said_with_its_first_bytes() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), b"this is no capture").unwrap();
    let error = refused(&["decode", file.path().to_str().unwrap()]);
    assert!(error.contains("the file is no pcap"), "{error}");
    let error = refused(&["decode", "--all-fields", "--format", "csv", file.path().to_str().unwrap()]);
    assert!(error.contains("--all-fields prints JSON only"), "{error}");
    let error = refused(&["replay", file.path().to_str().unwrap(), "--to", "192.0.2.1:2055"]);
    assert!(error.contains("--to and --from must be loopback"), "{error}");
}

/// `weir decode` of messages under a configuration.
fn decoded(messages: &[u8], arguments: &[&str]) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), messages).unwrap();
    let path = file.path().to_str().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_weir")).args(arguments).arg(path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn message(sets: &[(u16, &[u8])]) -> Vec<u8> {
    let sets = sets.iter().flat_map(|(id, body)| {
        [&id.to_be_bytes()[..], &(body.len() as u16 + 4).to_be_bytes(), body].concat()
    });
    let sets: Vec<u8> = sets.collect();
    [
        &[0, 10],
        &(sets.len() as u16 + 16).to_be_bytes()[..],
        &[0x65, 0x53, 0xf1, 0, 0, 0, 0, 0, 0, 0, 0, 1],
        &sets,
    ]
    .concat()
}

#[test]
fn a_capture_is_decoded_as_its_exporters_are_configured() {
    // Source address, and packets since the flow began.
    let template = [1, 0, 0, 2, 0, 8, 0, 4, 0, 86, 0, 4];
    let record = |n: u8| [192, 0, 2, 1, 0, 0, 0, n];
    let messages = [message(&[(2, &template), (256, &record(5))]), message(&[(256, &record(7))])].concat();
    let packets = |exporter: &str| {
        let exporters =
            format!("decoder.enrich.exporters=[{{address='{exporter}',total_counters='cumulative'}}]");
        let csv = decoded(&messages, &["--set", &exporters, "decode", "--format", "csv"]);
        let at = csv.lines().next().unwrap().split(',').position(|column| column == "packets").unwrap();
        csv.lines().skip(1).map(|line| line.split(',').nth(at).unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!([packets("127.0.0.1"), packets("192.0.2.9")], [["0", "2"], ["5", "7"]]);
}

#[test]
fn lists_lie_as_deep_as_is_configured_where_their_elements_are_printed() {
    // A list (291) of a list of ports (7).
    let ports = [3, 0, 7, 0, 2, 0, 80];
    let list = [&[3, 1, 35, 0, ports.len() as u8][..], &ports].concat();
    let template = [1, 0, 0, 1, 1, 35, 0, list.len() as u8];
    let messages = message(&[(2, &template), (256, &list)]);
    for (depth, wanted) in [("1", "\"values\":[\"0x0300070002"), ("2", "\"values\":[80]")] {
        let depth = format!("decoder.wire.list_depth={depth}");
        let line = decoded(&messages, &["--set", &depth, "decode", "--all-fields"]);
        assert!(line.contains(wanted), "{depth}: {line}");
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    for arguments in [&["config", "print"][..], &["config", "schema"], &["config", "check"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output =
            Command::new(env!("CARGO_BIN_EXE_weir")).args(arguments).stdout(writer).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && error.is_empty(), "{arguments:?}: {error}");
    }
}

#[test]
fn an_import_that_can_not_be_done_says_why_and_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (good, bad) = (file("good", "192.0.2.1\t3\ta\tA\n"), file("bad", "# links\n192.0.2.1\t0\ta\tA\n"));
    let (empty, token) = (file("empty", "# nothing\n"), folder.path().join("token"));
    let import = |rest: &[&str]| refused(&[&["import", "as-stats", "knownlinks"], rest].concat());
    // Nobody listens at port 1.
    let nobody = ["--api", "http://127.0.0.1:1"];
    for (arguments, wanted) in [
        (vec!["/nowhere/knownlinks"], "/nowhere/knownlinks can't be read"),
        (vec![&bad], "bad can't be imported as it is, and nothing was written"),
        (vec![&empty], "empty has no link in it"),
        (vec![&good, "--api", "https://weir.example.net"], "does not begin with http://"),
        (vec![&good, "--token-file", token.to_str().unwrap()], "--token-file: "),
        (vec![&good, nobody[0], nobody[1]], "http://127.0.0.1:1/api/v1/links does not answer"),
    ] {
        let error = import(&arguments);
        assert!(error.contains(wanted), "{error}");
    }
    let told =
        Command::new(env!("CARGO_BIN_EXE_weir")).args(["import", "as-stats", "knownlinks", &bad]).output();
    let told = String::from_utf8(told.unwrap().stderr).unwrap();
    assert!(told.contains("bad, line 2: '0' is no ifIndex"), "{told}");
}
