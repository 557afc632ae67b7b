//! ClickHouse's HTTP interface, as far as the `clickhouse` crate and `curl` use it.
//!
//! What must stay true: an insert begins only when its body has come completely (Content-Length or last chunk); a body that is cut
//! off inserts nothing, so that its token stays free (EXACTLY_ONCE.md, rule 11). The interface has no users: it is for loopback.

use super::{Engine, EngineError, compressed};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{FromRequest, Multipart, Query, State};
use axum::http::{HeaderValue, Method, Request as HttpRequest, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

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
    if http.method() == Method::GET && url.is_empty() {
        return "Ok.\n".into_response();
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
}
