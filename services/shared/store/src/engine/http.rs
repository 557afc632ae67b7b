//! ClickHouse's HTTP interface, as far as the `clickhouse` crate and `curl` use it.
//!
//! What must stay true: an insert begins only when its body has come completely (Content-Length or last chunk); a body that is cut
//! off inserts nothing, so that its token stays free (docs/exactly-once.md, rule 11). The interface has no users: it is for loopback, and for
//! programs. A web page that is open in a browser on this machine reaches loopback too, so nothing that a page can send is taken: no
//! request that a browser says is a page's, none for a host by name (which may be anybody's and lead here), and what changes anything
//! comes by POST.

use super::{Engine, EngineError, compressed};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{DefaultBodyLimit, FromRequest, Multipart, Query, State};
use axum::http::{HeaderMap, HeaderValue, Method, Request as HttpRequest, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use weir_runtime::host::is_this_machine;

/// One request, taken apart.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// Statement; of an insert without its FORMAT.
    pub sql: String,
    /// Format and complete body of an insert.
    pub insert: Option<(String, Bytes)>,
    /// Values bound to `{name:Type}`.
    pub parameters: Vec<(String, String)>,
    /// Settings for this request alone.
    pub settings: Vec<(String, String)>,
    /// Database that names without one mean.
    pub database: Option<String>,
    /// Format of the result where the statement names none.
    pub format: String,
}

impl Request {
    /// Makes a request of URL parameters and body. An insert is one whose statement came in the URL and ends in FORMAT.
    pub fn new(url: Vec<(String, String)>, body: Bytes) -> Result<Self, String> {
        let mut request = Self { format: "TabSeparated".into(), ..Self::default() };
        let (mut query, mut compressed) = (None, false);
        for (name, value) in url {
            match name.as_str() {
                "query" => query = Some(value),
                "database" => request.database = Some(value),
                "default_format" => request.format = value,
                "decompress" => compressed = value == "1",
                "query_id" | "session_id" | "user" | "password" | "compress" | "enable_http_compression" => {}
                _ => match name.strip_prefix("param_") {
                    Some(parameter) => request.parameters.push((parameter.to_owned(), value)),
                    None => request.settings.push((name, value)),
                },
            }
        }
        let body = if compressed {
            compressed::decompress(&body)
                .map(Bytes::from)
                .map_err(|error| format!("Code: 271. DB::Exception: {error}"))?
        } else {
            body
        };
        let text = |bytes: &[u8]| {
            std::str::from_utf8(bytes)
                .map(str::to_owned)
                .map_err(|_| "Code: 62. DB::Exception: statement is not UTF-8".to_owned())
        };
        match query {
            Some(query) => match insert_format(&query) {
                Some((statement, format)) => {
                    request.sql = statement.to_owned();
                    request.insert = Some((format.to_owned(), body));
                }
                None => {
                    request.sql = if body.is_empty() { query } else { format!("{query}\n{}", text(&body)?) }
                }
            },
            None => request.sql = text(&body)?,
        }
        Ok(request)
    }
}

/// Splits `INSERT … FORMAT name` into statement and format.
fn insert_format(query: &str) -> Option<(&str, &str)> {
    let query = query.trim().trim_end_matches(';').trim_end();
    if !query.get(..6)?.eq_ignore_ascii_case("insert") {
        return None;
    }
    let (head, format) = query.rsplit_once(char::is_whitespace)?;
    let (statement, keyword) = head.trim_end().rsplit_once(char::is_whitespace)?;
    let named = format.chars().all(|c| c.is_ascii_alphanumeric());
    (keyword.eq_ignore_ascii_case("format") && named).then_some((statement, format))
}

/// How long connections may take to end.
const LINGER: Duration = Duration::from_secs(10);

/// What every request needs. The engine itself belongs to [`serve`], so that no connection that lingers keeps it running.
#[derive(Clone)]
struct Served {
    engine: Weak<Engine>,
    running: TaskTracker,
    max_body: usize,
}

/// Serves the engine until told to stop; requests under way are finished, and the engine is shut down when this returns: another
/// may be started on the same folder.
pub async fn serve(
    engine: Engine,
    listener: TcpListener,
    max_body: usize,
    stop: CancellationToken,
) -> Result<(), EngineError> {
    let engine = Arc::new(engine);
    let running = TaskTracker::new();
    let served = Served { engine: Arc::downgrade(&engine), running: running.clone(), max_body };
    let app = Router::new()
        .route("/", get(answer).post(answer))
        .route("/ping", get(|| async { "Ok.\n" }))
        // Of a form, too, for which axum has a limit of its own.
        .layer(DefaultBodyLimit::max(max_body))
        .with_state(served);
    let lingering = stop.clone();
    let serving = axum::serve(listener, app).with_graceful_shutdown(stop.cancelled_owned());
    let ended = tokio::select! {
        ended = serving.into_future() => ended,
        // Who sends half a body and no more keeps nobody from ending.
        () = async { lingering.cancelled().await; tokio::time::sleep(LINGER).await } => Ok(()),
    };
    // A statement goes on when its client has gone.
    running.close();
    running.wait().await;
    let closed = tokio::task::spawn_blocking(move || drop(engine)).await;
    let failed = |error: &dyn std::fmt::Display| EngineError::Statement(error.to_string());
    ended.map_err(|error| failed(&error))?;
    closed.map_err(|error| failed(&error))
}

async fn answer(
    State(served): State<Served>,
    Query(mut url): Query<Vec<(String, String)>>,
    http: HttpRequest<Body>,
) -> Response {
    if let Some(why) = refusal(http.headers()) {
        let mut refused = failed(&format!("Code: 497. DB::Exception: {why} (ACCESS_DENIED)"));
        *refused.status_mut() = StatusCode::FORBIDDEN;
        return refused;
    }
    if http.method() == Method::GET && url.is_empty() {
        return "Ok.\n".into_response();
    }
    if http.method() != Method::POST {
        url.retain(|(name, _)| name != "readonly");
        url.push(("readonly".to_owned(), "1".to_owned()));
    }
    let multipart = http
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"multipart/form-data"));
    let body = if multipart {
        match fields(http, &mut url).await {
            Ok(()) => Bytes::new(),
            Err(why) => return failed(&format!("Code: 62. DB::Exception: {why}")),
        }
    } else {
        match to_bytes(http.into_body(), served.max_body).await {
            Ok(body) => body,
            Err(error) => {
                metrics::counter!(crate::metrics::ENGINE_BODIES_CUT).increment(1);
                return failed(&format!(
                    "Code: 108. DB::Exception: body did not come completely, nothing was inserted: {error}"
                ));
            }
        }
    };
    let engine = served.engine;
    let ran = served.running.spawn_blocking(move || {
        let engine = engine.upgrade().ok_or("Code: 236. DB::Exception: the engine is stopping. (ABORTED)")?;
        engine.run(&Request::new(url, body)?)
    });
    let ran = ran.await;
    match ran {
        Ok(Ok(bytes)) => bytes.into_response(),
        Ok(Err(error)) => failed(&error),
        Err(error) => failed(&format!("Code: 49. DB::Exception: {error}")),
    }
}

/// Why a request is not taken, whatever it asks for.
fn refusal(headers: &HeaderMap) -> Option<String> {
    let text = |name: &str| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
    if headers.contains_key(header::ORIGIN) || text("sec-fetch-site").is_some_and(|site| site != "none") {
        return Some("a web page asks, and this is for programs on this machine".to_owned());
    }
    let host = text("host").unwrap_or_default();
    if is_this_machine(&host) {
        return None;
    }
    Some(format!("'{host}' is not this machine: ask for localhost or its address (clickhouse.url)"))
}

/// The `clickhouse` crate sends a query with bound parameters as a form.
async fn fields(http: HttpRequest<Body>, url: &mut Vec<(String, String)>) -> Result<(), String> {
    let mut form = Multipart::from_request(http, &()).await.map_err(|error| error.to_string())?;
    while let Some(field) = form.next_field().await.map_err(|error| error.to_string())? {
        let name = field.name().unwrap_or_default().to_owned();
        let value = field.text().await.map_err(|error| error.to_string())?;
        url.push((name, value));
    }
    Ok(())
}

fn failed(error: &str) -> Response {
    metrics::counter!(crate::metrics::ENGINE_STATEMENTS_FAILED).increment(1);
    let code = error
        .strip_prefix("Code: ")
        .and_then(|rest| rest.split(|c: char| !c.is_ascii_digit()).next())
        .filter(|code| !code.is_empty())
        .unwrap_or("1002");
    let mut response = (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response();
    if let Ok(code) = HeaderValue::from_str(code) {
        response.headers_mut().insert("X-ClickHouse-Exception-Code", code);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_insert_is_told_from_a_query_by_its_format_at_the_end() {
        assert_eq!(
            insert_format("INSERT INTO t (a) FORMAT RowBinary"),
            Some(("INSERT INTO t (a)", "RowBinary"))
        );
        assert_eq!(insert_format(" insert into t format  CSV ;"), Some(("insert into t", "CSV")));
        for query in
            ["INSERT INTO t SELECT 1", "SELECT 1 FORMAT CSV", "INSERT INTO t VALUES (1)", "", "INSERT"]
        {
            assert_eq!(insert_format(query), None, "{query}");
        }
    }

    #[test]
    fn settings_parameters_and_the_clients_own_words_are_told_apart() {
        let url = [
            ("query", "SELECT {x:UInt8}"),
            ("param_x", "1"),
            ("max_threads", "2"),
            ("database", "d"),
            ("query_id", "q"),
        ];
        let url = url.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let request = Request::new(url, Bytes::new()).unwrap();
        assert_eq!(request.parameters, [("x".to_owned(), "1".to_owned())]);
        assert_eq!(request.settings, [("max_threads".to_owned(), "2".to_owned())]);
        assert_eq!(request.database.as_deref(), Some("d"));
    }

    #[test]
    fn pages_and_hosts_by_name_are_refused_and_programs_are_not() {
        let of = |all: &[(&'static str, &'static str)]| {
            let one = |(name, value): &(&'static str, &'static str)| {
                (name.parse().unwrap(), value.parse().unwrap())
            };
            refusal(&all.iter().map(one).collect())
        };
        for host in
            ["127.0.0.1:8123", "localhost:8123", "LocalHost", "[::1]:9999", "127.0.0.1:18123", "192.0.2.1"]
        {
            assert_eq!(of(&[("host", host)]), None, "{host}");
        }
        for host in ["rebound.example.org:8123", "localhost.example.org", "127.0.0.1.example.org", ""] {
            assert!(of(&[("host", host)]).is_some(), "{host}");
        }
        assert!(of(&[]).is_some());
        let local = ("host", "127.0.0.1:8123");
        for page in ["https://example.org", "null", "http://127.0.0.1:8123"] {
            assert!(of(&[local, ("origin", page)]).is_some(), "{page}");
        }
        assert!(of(&[local, ("sec-fetch-site", "cross-site")]).is_some());
        // An address that somebody typed into a browser.
        assert_eq!(of(&[local, ("sec-fetch-site", "none")]), None);
    }
}
