//! A request's whole way: who may ask, the path, the answer, the count.

use crate::body::LARGEST;
use crate::guard::{Guard, guard, is_of_api};
use crate::problem::Problem;
use crate::routes::tree;
use crate::{Api, metrics};
use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request};
use axum::http::Method;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::sync::Arc;
use std::time::Instant;
use weir_runtime::Health;

/// Everything that is served.
pub(crate) fn router(api: Api, who: Arc<Guard>, health: Health) -> Router {
    tree()
        .0
        .route("/metrics", get(|| async { Problem::metrics_elsewhere() }))
        .method_not_allowed_fallback(|| async { Problem::other_method() })
        .fallback_service(weir_web::router().layer(middleware::from_fn(a_page)))
        .layer(DefaultBodyLimit::max(LARGEST))
        .layer(middleware::from_fn_with_state(who, guard))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(move || async move { health.answer() }))
        .layer(middleware::from_fn(counted))
        .with_state(api)
}

/// Of what is no path of the API, that which is read is a page.
async fn a_page(request: Request, next: Next) -> Response {
    let read = matches!(*request.method(), Method::GET | Method::HEAD);
    if is_of_api(request.uri().path()) || !read {
        Problem::nothing_here().into_response()
    } else {
        next.run(request).await
    }
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
