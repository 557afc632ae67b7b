//! Who may ask: on loopback programs and pages of this machine, under a name of this machine; elsewhere whoever has a token.
//!
//! Loopback alone is not enough. A page of anybody's, open in a browser here, could send requests to it; and under a name that leads here (DNS
//! rebinding) it could read the answers. Where tokens are asked for such a page has none, because there are no cookies that a browser would add.
//!
//! What must stay true: where tokens are asked for, whatever is routed needs one, and all under `/api`, routed or not. Without one there are the
//! files of the pages alone, which hold no data, and `/healthz` and `/readyz`, which are outside of this.

use crate::Config;
use crate::metrics;
use crate::problem::Problem;
use crate::tokens::{Held, Verdict};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use std::sync::Arc;
use weir_runtime::Stop;
use weir_runtime::host::{is_this_machine, name};

/// Who may ask, as configured.
pub(crate) struct Guard {
    /// Names that it is asked under; none: any.
    hosts: Option<Vec<String>>,
    /// Those who may ask; none: this machine may.
    tokens: Option<Held>,
}

impl Guard {
    pub(crate) fn new(config: &Config) -> Self {
        let named = config.is_on_loopback() || !config.hosts.is_empty();
        Self {
            hosts: named.then(|| config.hosts.iter().map(|host| host.to_ascii_lowercase()).collect()),
            tokens: config.asks_for_tokens().then(|| Held::new(config.tokens_file.clone())),
        }
    }

    /// Looks after the tokens until told to stop.
    pub(crate) async fn watch(&self, stop: Stop) {
        if let Some(tokens) = &self.tokens {
            tokens.watch(stop).await;
        }
    }

    /// Why a request is not taken, whatever it asks for.
    async fn refusal(&self, headers: &HeaderMap, uri: &Uri, guarded: bool) -> Option<Refusal> {
        if let Some(elsewhere) = self.elsewhere(headers, uri) {
            return Some(elsewhere);
        }
        let tokens = self.tokens.as_ref().filter(|_| guarded)?;
        match bearer(headers) {
            None => Some(Refusal::NoToken),
            Some(given) => match tokens.tokens().await.verdict(given, Timestamp::now()) {
                Verdict::Valid => None,
                Verdict::Unknown => Some(Refusal::Unknown),
                Verdict::Expired => Some(Refusal::Expired),
            },
        }
    }

    fn elsewhere(&self, headers: &HeaderMap, uri: &Uri) -> Option<Refusal> {
        let text = |name: header::HeaderName| {
            headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()))
        };
        let host = uri
            .authority()
            .map(ToString::to_string)
            .or_else(|| text(header::HOST).map(Into::into))
            .unwrap_or_default();
        if let Some(hosts) = &self.hosts
            && !is_this_machine(&host)
            && !hosts.contains(&name(&host))
        {
            return Some(Refusal::Host(host));
        }
        if self.tokens.is_some() {
            return None;
        }
        let page = text(header::ORIGIN)?;
        let own = page
            .split_once("://")
            .is_some_and(|(scheme, rest)| scheme == "http" && rest.eq_ignore_ascii_case(&host));
        (!own).then(|| Refusal::Page(page.into()))
    }
}

/// Whether it is below the API, whatever is there: what is not has the files of the pages.
pub(crate) fn is_of_api(path: &str) -> bool {
    path == "/api" || path.starts_with("/api/")
}

/// What has no route of its own are the files of the pages.
fn is_guarded(request: &Request) -> bool {
    request.extensions().get::<MatchedPath>().is_some() || is_of_api(request.uri().path())
}

/// The token that came, if one did (RFC 6750, section 2.1). Of several none is meant.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (all.next(), all.next()) else { return None };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Why a request is not taken.
#[derive(Debug, PartialEq, Eq)]
enum Refusal {
    Host(String),
    Page(String),
    NoToken,
    Unknown,
    Expired,
}

impl Refusal {
    /// As metrics say it.
    fn reason(&self) -> &'static str {
        match self {
            Self::Host(_) => "host",
            Self::Page(_) => "page",
            Self::NoToken => "no_token",
            Self::Unknown => "unknown_token",
            Self::Expired => "expired_token",
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let elsewhere = |detail: String| {
            let (kind, title) = ("urn:weir:problem:elsewhere", "This is for this machine");
            Problem::new(StatusCode::FORBIDDEN, kind, title, detail).into_response()
        };
        let token = |challenge: &'static str, detail: &str| {
            let (kind, title) = ("urn:weir:problem:token", "Who asks needs a token");
            let mut response = Problem::new(StatusCode::UNAUTHORIZED, kind, title, detail).into_response();
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
            response
        };
        match self {
            Self::Host(host) => elsewhere(format!(
                "'{host}' is not this machine: ask for localhost or its address, or have the name put into api.hosts"
            )),
            Self::Page(page) => {
                elsewhere(format!("a page of {page} asks, and only pages of this server may"))
            }
            Self::NoToken => token(
                "Bearer realm=\"weir\"",
                "send Authorization: Bearer TOKEN; where the API runs, weir token create NAME makes one",
            ),
            // What it once was is nobody's to know who could have found it.
            Self::Unknown | Self::Expired => token(
                "Bearer realm=\"weir\", error=\"invalid_token\"",
                "the token is unknown, revoked or expired; where the API runs, weir token create NAME makes another",
            ),
        }
    }
}

pub(crate) async fn guard(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    match guard.refusal(request.headers(), request.uri(), is_guarded(&request)).await {
        Some(refusal) => {
            ::metrics::counter!(metrics::REFUSED, "reason" => refusal.reason()).increment(1);
            refusal.into_response()
        }
        None => next.run(request).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn headers(all: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in all {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn names_that_lead_here_and_pages_of_others_are_refused_and_with_tokens_pages_have_none() {
        let here = Config::default();
        let hosts = vec!["Weir.example.net".to_owned()];
        let named = Config { hosts: hosts.clone(), ..Config::default() };
        let anywhere = Config { listen: "0.0.0.0:8480".into(), ..Config::default() };
        let both = Config { hosts, ..anywhere.clone() };
        // Taken with the configurations in this order.
        let guards = [here, named, anywhere, both].map(|config| Guard::new(&config));
        for (host, origin, taken) in [
            (Some("127.0.0.1:8480"), None, [true; 4]),
            (Some("LocalHost:8480"), None, [true; 4]),
            (Some("[::1]:9999"), None, [true; 4]),
            (Some("weir.example.net"), None, [false, true, true, true]),
            (Some("rebound.example.org:8480"), None, [false, false, true, false]),
            (Some("127.0.0.1.example.org"), None, [false, false, true, false]),
            (None, None, [false, false, true, false]),
            (Some("localhost:8480"), Some("http://localhost:8480"), [true; 4]),
            (Some("localhost:8480"), Some("http://localhost:8481"), [false, true, true, true]),
            (Some("localhost:8480"), Some("https://example.org"), [false, true, true, true]),
            (Some("localhost:8480"), Some("null"), [false, true, true, true]),
            (Some("weir.example.net"), Some("https://weir.example.net"), [false, true, true, true]),
        ] {
            let all = [("host", host), ("origin", origin)];
            let all: Vec<_> =
                all.into_iter().filter_map(|(name, value)| value.map(|value| (name, value))).collect();
            let found = [0, 1, 2, 3]
                .map(|n: usize| guards[n].elsewhere(&headers(&all), &Uri::from_static("/")).is_none());
            assert_eq!(found, taken, "{host:?} {origin:?}");
        }
    }

    #[test]
    fn a_token_stands_behind_bearer_and_alone() {
        for (values, token) in [
            (&["Bearer weir_1"][..], Some("weir_1")),
            (&["bearer  weir_1 "], Some("weir_1")),
            (&["Bearer "], Some("")),
            (&["Bearer"], None),
            (&["Basic d2Vpcg=="], None),
            (&["weir_1"], None),
            (&["Bearer weir_1", "Bearer weir_2"], None),
            (&[], None),
        ] {
            let all: Vec<_> = values.iter().map(|value| ("authorization", *value)).collect();
            assert_eq!(bearer(&headers(&all)), token, "{values:?}");
        }
    }

    #[tokio::test]
    async fn metrics_tell_apart_what_whoever_asks_is_not_told() {
        let folder = tempfile::tempdir().unwrap();
        let tokens_file = folder.path().join("tokens.toml");
        let make = |name: &str, valid: Option<u64>| {
            crate::tokens::create(&tokens_file, name, valid.map(Duration::from_secs)).unwrap().0
        };
        let (valid, expired) = (make("valid", Some(3600)), make("expired", Some(0)));
        let here = Guard::new(&Config::default());
        let asking = Guard::new(&Config {
            require_token: true,
            tokens_file: tokens_file.clone(),
            ..Config::default()
        });
        let (localhost, bearer) = (("host", "localhost"), |token: &str| format!("Bearer {token}"));
        let (valid, expired) = (bearer(valid.reveal()), bearer(expired.reveal()));
        for (guard, all, reason) in [
            (&here, vec![localhost], None),
            (&here, vec![("host", "rebound.example.org")], Some("host")),
            (&here, vec![localhost, ("origin", "https://example.org")], Some("page")),
            (&asking, vec![localhost, ("authorization", &valid)], None),
            (&asking, vec![("host", "rebound.example.org"), ("authorization", &valid)], Some("host")),
            (&asking, vec![localhost], Some("no_token")),
            (&asking, vec![localhost, ("authorization", "Bearer weir_0")], Some("unknown_token")),
            (&asking, vec![localhost, ("authorization", &expired)], Some("expired_token")),
        ] {
            let refusal = guard.refusal(&headers(&all), &Uri::from_static("/api"), true).await;
            assert_eq!(refusal.as_ref().map(Refusal::reason), reason, "{all:?}");
        }
        let open = asking.refusal(&headers(&[localhost]), &Uri::from_static("/"), false).await;
        assert_eq!(open, None);
    }

    #[test]
    fn without_a_route_only_what_is_not_under_api_is_open() {
        for (path, guarded) in [
            ("/api", true),
            ("/api/", true),
            ("/api/v1/nothing", true),
            ("/api/../", true),
            ("/", false),
            ("/apical.js", false),
            ("/links?next=/api/", false),
        ] {
            let request = Request::builder().uri(path).body(axum::body::Body::empty()).unwrap();
            assert_eq!(is_guarded(&request), guarded, "{path}");
        }
    }
}
