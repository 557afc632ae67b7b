//! `GET /api/v1/links`, `PUT` and `DELETE /api/v1/links/{id}`

use crate::Api;
use crate::body::Body;
use crate::links::saying::{Done, Word, say};
use crate::links::{Link, Links, Said, store};
use crate::problem::{MEDIA_TYPE, Problem, WithoutBody};
use crate::sheet::{self, CSV};
use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

/// All links, and interfaces on none with what they could be; as CSV, where that is accepted first, a line an interface.
#[utoipa::path(
    get,
    path = "/links",
    operation_id = "links",
    responses((status = 200, description = "What there is", content((Links = "application/json"), (String = CSV))), WithoutBody)
)]
pub async fn get(State(api): State<Api>, headers: HeaderMap) -> Result<Response, Problem> {
    let now = api.kept().now;
    let all = api.ask(move |asked| async move { Ok(store::all(&asked, now).await?) }).await?;
    sheet::response(&headers, all)
}

/// Says what a link is, for the past as well: it takes the place of all that was said of it, and of what rules say of its interfaces.
#[utoipa::path(
    put,
    path = "/links/{id}",
    operation_id = "classify",
    params(("id" = String, Path, description = "What the link is called for good; a new one makes a new link", max_length = 100)),
    request_body = Said,
    responses(
        (status = 200, description = "It is so", body = Link, links(
            ("take it back" = (operation_id = "declassify", parameters(("id" = "$response.body#/id"))))
        )),
        (status = 202, description = "It is said, and what is asked does not know it yet", body = Link),
        (status = 409, description = "Another link has its name, or one of its interfaces", body = Problem, content_type = MEDIA_TYPE),
        Problem,
    )
)]
pub async fn put(
    State(api): State<Api>,
    id: Result<Path<String>, PathRejection>,
    Body(said): Body<Said>,
) -> Result<Response, Problem> {
    let id = written(id)?;
    let Done { link, known } = say(api, id, Word::Said(Box::new(said))).await?;
    let status = if known { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok((status, Json(link)).into_response())
}

/// Takes back what a person said of a link: what rules say of its interfaces counts again.
#[utoipa::path(
    delete,
    path = "/links/{id}",
    operation_id = "declassify",
    params(("id" = String, Path, description = "What the link is called for good", max_length = 100)),
    responses(
        (status = 204, description = "It is taken back"),
        (status = 202, description = "It is said, and what is asked does not know it yet"),
        (status = 404, description = "Nobody classified a link of this id", body = Problem, content_type = MEDIA_TYPE),
        WithoutBody,
    )
)]
pub async fn delete(
    State(api): State<Api>,
    id: Result<Path<String>, PathRejection>,
) -> Result<StatusCode, Problem> {
    let id = written(id)?;
    let Done { known, .. } = say(api, id, Word::TakenBack).await?;
    Ok(if known { StatusCode::NO_CONTENT } else { StatusCode::ACCEPTED })
}

/// The id in the path, which may be any text.
fn written(id: Result<Path<String>, PathRejection>) -> Result<String, Problem> {
    let wrong = |_| Problem::question("", "the link's id is no text: its bytes, behind %, are not UTF-8");
    id.map(|Path(id)| id).map_err(wrong)
}
