//! The pages, as files within the binary, over HTTP.
//!
//! What must stay true: a browser runs and loads nothing that is not of this server; what is kept for ever has its content's hash in its name,
//! and all else is asked for again each time; and a binary that was built without Node says so, and how to mend it.

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use rust_embed::{EmbeddedFile, RustEmbed};
use std::borrow::Cow;
use tower_http::compression::CompressionLayer;

/// What `npm run build` made; empty where nobody ran it.
#[derive(RustEmbed)]
#[folder = "dist"]
#[allow_missing = true]
struct Dist;

/// What is served in its place.
const WITHOUT: &str = include_str!("without.html");

const GUARDS: [(HeaderName, HeaderValue); 4] = [
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        ),
    ),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
];

/// All pages and what they load. Which page a path without a dot is, they know themselves.
pub fn router() -> Router {
    Router::new().fallback(get(file)).layer(CompressionLayer::new()).layer(map_response(guarded))
}

async fn guarded(mut response: Response) -> Response {
    response.headers_mut().extend(GUARDS);
    response
}

async fn file(uri: Uri, headers: HeaderMap) -> Response {
    let path = uri.path().trim_start_matches('/');
    if let Some(file) = Dist::get(path) {
        return served(path, file, &headers);
    }
    if path.rsplit('/').next().is_some_and(|name| name.contains('.')) {
        return (StatusCode::NOT_FOUND, "There is no such file.\n").into_response();
    }
    match Dist::get("index.html") {
        Some(index) => served("index.html", index, &headers),
        None => ([(header::CACHE_CONTROL, "no-cache")], axum::response::Html(WITHOUT)).into_response(),
    }
}

fn served(path: &str, file: EmbeddedFile, headers: &HeaderMap) -> Response {
    let hash: String =
        file.metadata.sha256_hash().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    // Weak: what is compressed on its way has the same tag.
    let tag = format!("W/\"{hash}\"");
    let kept = if path.starts_with("assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
    let about = [(header::ETAG, tag.clone()), (header::CACHE_CONTROL, kept.to_owned())];
    if knows(headers, &tag) {
        return (StatusCode::NOT_MODIFIED, about).into_response();
    }
    let body = match file.data {
        Cow::Borrowed(bytes) => Body::from(bytes),
        Cow::Owned(bytes) => Body::from(bytes),
    };
    let kind = [(header::CONTENT_TYPE, kind(path, file.metadata.mimetype()))];
    (about, kind, body).into_response()
}

fn knows(headers: &HeaderMap, tag: &str) -> bool {
    let given = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    given.flat_map(|all| all.split(',')).map(str::trim).any(|one| one == tag || one == "*")
}

fn kind(path: &str, guessed: &str) -> String {
    let text = guessed.starts_with("text/") || path.ends_with(".svg");
    if text { format!("{guessed}; charset=utf-8") } else { guessed.to_owned() }
}
