//! `GET /api/v1/candidates`

use crate::Api;
use crate::candidates::{self, Asked, AskedError, Candidates};
use crate::problem::{Problem, WithoutBody};
use crate::sheet::{self, CSV};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::Response;

/// Where to peer: ASes by what they cost on transit; as CSV, where that is accepted first, a line an AS and transit.
#[utoipa::path(
    get,
    path = "/candidates",
    operation_id = "candidates",
    params(Asked),
    responses(
        (status = 200, description = "The ASes", content((Candidates = "application/json"), (String = CSV))),
        WithoutBody
    )
)]
pub async fn get(
    State(api): State<Api>,
    headers: HeaderMap,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(asked) = asked.map_err(|rejection| Problem::question("", rejection.body_text()))?;
    let about = asked.about(api.kept()).map_err(|error| match error {
        AskedError::Request(error) => Problem::from(error),
        AskedError::NoSlots => Problem::question("/from", error.to_string()),
        AskedError::Top(_) => Problem::question("/top", error.to_string()),
        AskedError::Mixed(_) => Problem::question("/filter", error.to_string()),
    })?;
    let answer = api.ask(|store| async move { candidates::ask(&store, about).await }).await?;
    sheet::response(&headers, answer)
}
