//! The tree of paths. Each file is a path.

mod asns;
mod candidates;
mod columns;
mod exporters;
mod links;
mod openapi;
mod query;

pub use columns::Columns;

use crate::Api;
use crate::problem::{Place, Problem};
use axum::Router;
use axum::routing::get;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Weir",
        description = "With which autonomous systems traffic is exchanged, over which links, and how sure that is. Amounts are scaled by the sampling rates."
    ),
    components(schemas(Problem, Place)),
    modifiers(&Tokens)
)]
struct Document;

/// On loopback nobody needs a token, and elsewhere everybody.
struct Tokens;

impl Modify for Tokens {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        const NAME: &str = "token";
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("Made by `weir token create NAME`; asked for as soon as the API listens elsewhere than on loopback"))
            .build();
        let components = document.components.get_or_insert_default();
        components.security_schemes.insert(NAME.to_owned(), SecurityScheme::Http(bearer).into());
        let asked = SecurityRequirement::new(NAME, std::iter::empty::<String>());
        document.security = Some(vec![SecurityRequirement::default(), asked]);
    }
}

/// All paths, and the document that describes them.
pub fn tree() -> (Router<Api>, utoipa::openapi::OpenApi) {
    let v1 = OpenApiRouter::new()
        .routes(routes!(query::post))
        .routes(routes!(columns::get))
        .routes(routes!(exporters::get))
        .routes(routes!(candidates::get))
        .routes(routes!(asns::get))
        .routes(routes!(links::get))
        .routes(routes!(links::put, links::delete));
    let (router, document) =
        OpenApiRouter::with_openapi(Document::openapi()).nest("/api/v1", v1).split_for_parts();
    let served = get(openapi::get).with_state(document.to_json().unwrap_or_default().into());
    (router.route("/api/v1/openapi.json", served), document)
}
