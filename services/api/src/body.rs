//! A JSON body, whose faults are told with their place.

use crate::problem::Problem;
use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use serde::de::DeserializeOwned;
use std::time::Duration;

/// Bytes of a body.
pub(crate) const LARGEST: usize = 64 << 10;
/// How long a body may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a body holds.
pub struct Body<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            let detail = "say Content-Type: application/json";
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "urn:weir:problem:content-type",
                "The body must be JSON",
                detail,
            ));
        }
        let whole = tokio::time::timeout(PATIENCE, Bytes::from_request(request, state)).await.map_err(|_| {
            let detail = format!("the body did not come whole within {} s", PATIENCE.as_secs());
            Problem::new(
                StatusCode::REQUEST_TIMEOUT,
                "urn:weir:problem:timeout",
                "The body did not come",
                detail,
            )
        });
        let bytes = whole?.map_err(|rejection| {
            if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
                let (title, detail) =
                    ("The body is too large", format!("a body has at most {LARGEST} bytes"));
                return Problem::new(rejection.status(), "urn:weir:problem:too-large", title, detail);
            }
            let (title, detail) = ("The body did not come whole", rejection.body_text());
            Problem::new(StatusCode::BAD_REQUEST, "urn:weir:problem:body", title, detail)
        })?;
        read(&bytes).map(Self)
    }
}

/// A browser sends no other site's JSON without asking first, and nobody here says yes.
fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    media_type(kind) == "application/json"
}

/// What a header's value names, without parameters.
pub(crate) fn media_type(value: &str) -> String {
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    // Serde takes an array for the fields of a struct in their order, which nobody means.
    if bytes.trim_ascii_start().starts_with(b"[") {
        let detail = "the body is an object, such as {\"last\": \"24h\"}, and no array";
        return Err(Problem::question("", detail));
    }
    let no_json = |error: &serde_json::Error| {
        let (kind, title) = ("urn:weir:problem:json", "The body is no JSON");
        Problem::new(StatusCode::BAD_REQUEST, kind, title, error.to_string())
    };
    let input = &mut serde_json::Deserializer::from_slice(bytes);
    let read = serde_path_to_error::deserialize(&mut *input).map_err(|error| {
        let pointer: String = error.path().iter().map(segment).collect();
        let error = error.into_inner();
        if error.is_data() { Problem::question(&pointer, error.to_string()) } else { no_json(&error) }
    })?;
    input.end().map_err(|error| no_json(&error))?;
    Ok(read)
}

/// As JSON pointers write it (RFC 6901).
fn segment(segment: &serde_path_to_error::Segment) -> String {
    use serde_path_to_error::Segment;
    match segment {
        Segment::Seq { index } => format!("/{index}"),
        Segment::Map { key } | Segment::Enum { variant: key } => {
            format!("/{}", key.replace('~', "~0").replace('/', "~1"))
        }
        Segment::Unknown => String::new(),
    }
}
