//! `GET /api/v1/openapi.json`: this API in OpenAPI 3.1, made from the code.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;

/// The document, as it was written when the process began.
pub async fn get(State(document): State<Bytes>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], document)
}
