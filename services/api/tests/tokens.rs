//! Who may ask the API, asked as programs ask it. No store is needed: what can be asked for is known without one.
#![allow(clippy::unwrap_used)]

mod served;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use weir_api::inventory::OfBus;
use weir_api::{Bound, Config, tokens};
use weir_runtime::Health;
use weir_store::Store;

const COLUMNS: &str = "/api/v1/columns";

/// An API, and where its tokens lie.
struct Served {
    port: u16,
    file: PathBuf,
    stop: CancellationToken,
    done: tokio::task::JoinHandle<Result<(), weir_api::Error>>,
}

impl Served {
    async fn with(config: Config, folder: &Path) -> Self {
        let file = folder.join("tokens.toml");
        let config = Config { tokens_file: file.clone(), ..config };
        config.validate().unwrap();
        let bound = Bound::bind(config).await.unwrap();
        let SocketAddr::V4(address) = bound.address().unwrap() else { panic!("no address of IPv4") };
        let (stop, store) = (CancellationToken::new(), Store::new(&weir_store::Config::default()).unwrap());
        let inventory = Arc::new(OfBus::new(served::bus(folder)));
        let done =
            tokio::spawn(bound.run(store, inventory, Health::default().condition("API"), stop.clone()));
        Self { port: address.port(), file, stop, done }
    }

    async fn end(self) {
        self.stop.cancel();
        self.done.await.unwrap().unwrap();
    }

    fn send(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Reply {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(30)))
            .build()
            .into();
        let uri = format!("http://127.0.0.1:{}{path}", self.port);
        let mut request = ureq::http::Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut response = tokio::task::block_in_place(|| agent.run(request.body(()).unwrap())).unwrap();
        let header =
            |name: &str| response.headers().get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
        let (kind, challenge) = (header("content-type"), header("www-authenticate"));
        assert_eq!(header("access-control-allow-origin"), "", "a page of another site may read this");
        let status = response.status().as_u16();
        Reply { status, kind, challenge, text: response.body_mut().read_to_string().unwrap() }
    }

    fn asked_with(&self, token: &str) -> Reply {
        self.send("GET", COLUMNS, &[("authorization", &format!("Bearer {token}"))])
    }
}

#[derive(Debug, PartialEq)]
struct Reply {
    status: u16,
    kind: String,
    challenge: String,
    text: String,
}

impl Reply {
    fn assert_refused(&self, challenge: &str) {
        assert_eq!(
            (self.status, self.kind.as_str(), self.challenge.as_str()),
            (401, "application/problem+json", challenge),
            "{self:?}"
        );
        assert!(
            self.text.contains("urn:weir:problem:token") && self.text.contains("weir token create NAME"),
            "{self:?}"
        );
    }
}

const NONE_CAME: &str = "Bearer realm=\"weir\"";
const INVALID: &str = "Bearer realm=\"weir\", error=\"invalid_token\"";

fn everywhere() -> Config {
    Config { listen: "0.0.0.0:0".into(), ..Config::default() }
}

fn here() -> Config {
    Config { listen: "127.0.0.1:0".into(), ..Config::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn off_loopback_nothing_but_health_is_answered_without_a_token() {
    let folder = tempfile::tempdir().unwrap();
    let api = Served::with(everywhere(), folder.path()).await;
    let (secret, _) = tokens::create(&api.file, "cron", None).unwrap();
    let bearer = format!("Bearer {}", secret.reveal());
    for (method, path, with_token) in [
        ("GET", COLUMNS, 200),
        ("HEAD", COLUMNS, 200),
        ("OPTIONS", COLUMNS, 405),
        ("DELETE", COLUMNS, 405),
        ("GET", "/api/v1/openapi.json", 200),
        ("GET", "/api/v1/query", 405),
        ("GET", "/api/v1/links/a", 405),
        ("PUT", "/api/v1/links/a", 415),
        ("POST", "/api/v1/query", 415),
        ("GET", "/api/v1/nothing", 404),
        ("GET", "/api", 404),
    ] {
        let without = api.send(method, path, &[]);
        assert_eq!((without.status, without.challenge.as_str()), (401, NONE_CAME), "{method} {path}");
        assert_eq!(
            api.send(method, path, &[("authorization", &bearer)]).status,
            with_token,
            "{method} {path}"
        );
    }
    assert_eq!(api.send("GET", "/healthz", &[]).text, "ok\n");
    // The files of the pages hold no data, and a page has to come from somewhere to ask for a token.
    assert_eq!(api.send("GET", "/", &[]).status, 200);
    assert_eq!(api.send("POST", "/", &[]).status, 404);
    api.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_revoked_and_expired_tokens_are_refused_alike() {
    let folder = tempfile::tempdir().unwrap();
    let api = Served::with(everywhere(), folder.path()).await;
    let (valid, _) = tokens::create(&api.file, "valid", Some(Duration::from_secs(3600))).unwrap();
    let (revoked, _) = tokens::create(&api.file, "revoked", None).unwrap();
    let (expired, _) = tokens::create(&api.file, "expired", Some(Duration::ZERO)).unwrap();
    assert_eq!(api.asked_with(valid.reveal()).status, 200);
    assert_eq!(api.asked_with(revoked.reveal()).status, 200, "it is not revoked yet");
    tokens::revoke(&api.file, "revoked").unwrap();
    let unknown = api.asked_with(&valid.reveal().replace(char::is_numeric, "f"));
    unknown.assert_refused(INVALID);
    for secret in [expired.reveal(), revoked.reveal(), "weir_"] {
        assert_eq!(api.asked_with(secret), unknown);
    }
    let basic = api.send("GET", COLUMNS, &[("authorization", "Basic d2VpcjphcGk=")]);
    basic.assert_refused(NONE_CAME);
    assert_eq!(basic, api.send("GET", COLUMNS, &[]));
    assert_eq!(basic, api.send("GET", &format!("{COLUMNS}?access_token={}", valid.reveal()), &[]));
    api.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_changes_counts_at_once_and_a_broken_one_takes_nobodys_token() {
    let folder = tempfile::tempdir().unwrap();
    let api = Served::with(everywhere(), folder.path()).await;
    api.asked_with("weir_0").assert_refused(INVALID);
    let (secret, _) = tokens::create(&api.file, "cron", None).unwrap();
    let text = std::fs::read_to_string(&api.file).unwrap();
    for (written, status) in [
        (None, 200),
        (Some(&text[..text.len() / 2]), 200),
        (Some(text.as_str()), 200),
        (Some("# nobody\n"), 401),
        (Some(text.as_str()), 200),
    ] {
        if let Some(text) = written {
            std::fs::write(&api.file, text).unwrap();
        }
        assert_eq!(api.asked_with(secret.reveal()).status, status, "{written:?}");
    }
    std::fs::remove_file(&api.file).unwrap();
    api.asked_with(secret.reveal()).assert_refused(INVALID);
    api.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_loopback_tokens_are_asked_for_where_a_key_says_so() {
    let proxy = ("host", "weir.example.net");
    let hosts = vec![proxy.1.to_owned()];
    for (config, without, by_name) in [
        (here(), 200, 403),
        (Config { require_token: true, ..here() }, 401, 403),
        (Config { hosts, ..here() }, 401, 200),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let api = Served::with(config, folder.path()).await;
        let (secret, _) = tokens::create(&api.file, "cron", None).unwrap();
        let bearer = ("authorization", format!("Bearer {}", secret.reveal()));
        let bearer = (bearer.0, bearer.1.as_str());
        assert_eq!(api.send("GET", COLUMNS, &[]).status, without);
        assert_eq!(api.send("GET", COLUMNS, &[bearer]).status, 200);
        assert_eq!(api.send("GET", COLUMNS, &[bearer, proxy]).status, by_name);
        let page = api.send("GET", COLUMNS, &[proxy, ("origin", "https://weir.example.net")]);
        assert_eq!(page.status, if by_name == 403 { 403 } else { 401 });
        assert_eq!(api.send("GET", "/healthz", &[proxy]).status, 200);
        api.end().await;
    }
}
