//! Who may ask: programs and pages of this machine, under a name of this machine.
//!
//! Loopback alone is not enough. A page of anybody's, open in a browser here, could send requests to it; and under a name that leads here (DNS
//! rebinding) it could read the answers.

use crate::problem::Problem;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use weir_runtime::host::is_this_machine;

pub(crate) async fn guard(request: Request, next: Next) -> Response {
    match refusal(request.headers(), request.uri()) {
        Some(detail) => Problem::new(
            StatusCode::FORBIDDEN,
            "urn:weir:problem:elsewhere",
            "This is for this machine",
            detail,
        )
        .into_response(),
        None => next.run(request).await,
    }
}

/// Why a request is not taken, whatever it asks for.
fn refusal(headers: &HeaderMap, uri: &Uri) -> Option<String> {
    let text =
        |name: header::HeaderName| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
    let host = uri
        .authority()
        .map(ToString::to_string)
        .or_else(|| text(header::HOST).map(Into::into))
        .unwrap_or_default();
    if !is_this_machine(&host) {
        return Some(format!("'{host}' is not this machine: ask for localhost or its address"));
    }
    let page = text(header::ORIGIN)?;
    let own = page
        .split_once("://")
        .is_some_and(|(scheme, rest)| scheme == "http" && rest.eq_ignore_ascii_case(&host));
    (!own).then(|| format!("a page of {page} asks, and only pages of this server may"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_here_and_pages_of_others_are_refused() {
        for (host, origin, taken) in [
            (Some("127.0.0.1:8480"), None, true),
            (Some("LocalHost:8480"), None, true),
            (Some("[::1]:9999"), None, true),
            (Some("rebound.example.org:8480"), None, false),
            (Some("127.0.0.1.example.org"), None, false),
            (None, None, false),
            (Some("localhost:8480"), Some("http://localhost:8480"), true),
            (Some("localhost:8480"), Some("http://localhost:8481"), false),
            (Some("localhost:8480"), Some("https://example.org"), false),
            (Some("localhost:8480"), Some("null"), false),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in [(header::HOST, host), (header::ORIGIN, origin)] {
                headers.extend(value.map(|value| (name, value.parse().unwrap())));
            }
            assert_eq!(refusal(&headers, &Uri::from_static("/")).is_none(), taken, "{host:?} {origin:?}");
        }
    }
}
