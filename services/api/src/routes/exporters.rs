//! `GET /api/v1/exporters`

use crate::Api;
use crate::exporters::{self, Exporters};
use crate::problem::{Problem, WithoutBody};
use axum::Json;
use axum::extract::State;

/// What is known of each exporter, and what it has sent of late.
#[utoipa::path(
    get,
    path = "/exporters",
    operation_id = "exporters",
    responses(
        (status = 200, description = "All exporters", body = Exporters),
        WithoutBody,
    )
)]
pub async fn get(State(api): State<Api>) -> Result<Json<Exporters>, Problem> {
    let now = api.kept().now;
    Ok(Json(api.ask(|store| async move { exporters::ask(&store, now).await }).await?))
}
