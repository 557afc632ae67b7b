//! `POST /api/v1/query`

use crate::Api;
use crate::body::Body;
use crate::problem::Problem;
use crate::query::request::Request;
use crate::query::{self, Answer};
use crate::sheet::{self, CSV};
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;

/// The top rows of what is asked for, their total, and what is not in them; as CSV, where that is accepted first, the rows alone.
#[utoipa::path(
    post,
    path = "/query",
    operation_id = "query",
    request_body(content = Request, example = json!({"last": "1h", "by": ["as", "link"], "filter": "connectivity = transit", "top": 10})),
    responses(
        (status = 200, description = "The answer", content((Answer = "application/json"), (String = CSV))),
        Problem,
    )
)]
pub async fn post(
    State(api): State<Api>,
    headers: HeaderMap,
    Body(request): Body<Request>,
) -> Result<Response, Problem> {
    let question = request.question(api.kept())?;
    let answer = api.ask(|store| async move { query::ask(&store, &question).await }).await?;
    sheet::response(&headers, answer)
}
