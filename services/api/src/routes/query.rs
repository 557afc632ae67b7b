//! `POST /api/v1/query`

use crate::Api;
use crate::body::Body;
use crate::problem::Problem;
use crate::query::Answer;
use crate::query::request::Request;
use axum::Json;
use axum::extract::State;

/// The top rows of what is asked for, their total, and what is not in them.
#[utoipa::path(post, path = "/query", operation_id = "query", request_body = Request, responses((status = 200, description = "The answer", body = Answer), Problem))]
pub async fn post(State(api): State<Api>, Body(request): Body<Request>) -> Result<Json<Answer>, Problem> {
    let question = request.question(api.kept())?;
    Ok(Json(api.ask(question).await?))
}
