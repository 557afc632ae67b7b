//! `GET /api/v1/exporters`

use crate::Api;
use crate::exporters::{self, Exporters};
use crate::problem::{Problem, WithoutBody};
use crate::sheet::{self, CSV};
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;

/// What is known of each exporter, and what it has sent of late; as CSV, where that is accepted first, a line an exporter.
#[utoipa::path(
    get,
    path = "/exporters",
    operation_id = "exporters",
    responses(
        (status = 200, description = "All exporters", content((Exporters = "application/json"), (String = CSV))),
        WithoutBody,
    )
)]
pub async fn get(State(api): State<Api>, headers: HeaderMap) -> Result<Response, Problem> {
    let now = api.kept().now;
    let answer = api.ask(|store| async move { exporters::ask(&store, now).await }).await?;
    sheet::response(&headers, answer)
}
