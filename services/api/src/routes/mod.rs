//! The tree of paths. Each file is a path.

mod columns;
mod links;
mod openapi;
mod query;

pub use columns::Columns;

use crate::Api;
use crate::problem::{Place, Problem};
use axum::Router;
use axum::routing::get;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Weir",
        description = "With which autonomous systems traffic is exchanged, over which links, and how sure that is. Amounts are scaled by the sampling rates."
    ),
    components(schemas(Problem, Place))
)]
struct Document;

/// All paths, and the document that describes them.
pub fn tree() -> (Router<Api>, utoipa::openapi::OpenApi) {
    let v1 = OpenApiRouter::new()
        .routes(routes!(query::post))
        .routes(routes!(columns::get))
        .routes(routes!(links::get))
        .routes(routes!(links::put, links::delete));
    let (router, document) =
        OpenApiRouter::with_openapi(Document::openapi()).nest("/api/v1", v1).split_for_parts();
    let served = get(openapi::get).with_state(document.to_json().unwrap_or_default().into());
    (router.route("/api/v1/openapi.json", served), document)
}
