//! `GET /api/v1/asns/{asn}`

use crate::Api;
use crate::asns::{self, Asn};
use crate::problem::{Problem, WithoutBody};
use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};

/// What is known of an AS, and by which links it was met in the last day.
#[utoipa::path(
    get,
    path = "/asns/{asn}",
    operation_id = "asn",
    params(("asn" = u32, Path, description = "Its number", maximum = 4_294_967_295_i64)),
    responses((status = 200, description = "The AS, known or not", body = Asn), WithoutBody)
)]
pub async fn get(
    State(api): State<Api>,
    asn: Result<Path<u32>, PathRejection>,
) -> Result<Json<Asn>, Problem> {
    let wrong =
        |_| Problem::question("", "the number of an AS is a whole one from 0 to 4294967295, such as 15169");
    let Path(asn) = asn.map_err(wrong)?;
    let question = asns::question(asn, api.kept())?;
    Ok(Json(api.ask(|store| async move { asns::ask(&store, asn, question).await }).await?))
}
