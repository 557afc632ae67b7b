//! A request's whole way: who may ask, the path, the answer, the count.

use crate::body::LARGEST;
use crate::guard::{Guard, guard};
use crate::problem::Problem;
use crate::routes::tree;
use crate::{Api, metrics};
use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::get;
use std::sync::Arc;
use std::time::Instant;

/// Everything that is served.
pub(crate) fn router(api: Api, who: Arc<Guard>) -> Router {
    tree()
        .0
        .method_not_allowed_fallback(|| async { Problem::other_method() })
        .fallback(|| async { Problem::nothing_here() })
        .layer(DefaultBodyLimit::max(LARGEST))
        .layer(middleware::from_fn_with_state(who, guard))
        .route("/healthz", get(|| async { "ok\n" }))
        .layer(middleware::from_fn(counted))
        .with_state(api)
}

async fn counted(request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let begun = Instant::now();
    let response = next.run(request).await;
    let status = response.status().as_u16().to_string();
    ::metrics::counter!(metrics::REQUESTS, "path" => path.clone(), "status" => status).increment(1);
    ::metrics::histogram!(metrics::SECONDS, "path" => path).record(begun.elapsed());
    response
}
