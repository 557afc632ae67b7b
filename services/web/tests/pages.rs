//! What a browser gets, of a binary with its pages and of one without.
#![allow(clippy::unwrap_used)]

use axum::body::Body;
use axum::http::{Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use tower::ServiceExt;

async fn got(path: &str, headers: &[(header::HeaderName, &str)]) -> Response<Body> {
    let mut request = Request::get(path);
    for (name, value) in headers {
        request = request.header(name, *value);
    }
    weir_web::router().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
}

fn header(response: &Response<Body>, name: header::HeaderName) -> &str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

async fn text(response: Response<Body>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

/// The first hashed file that the index names; none where the pages are not built.
async fn asset() -> Option<String> {
    let index = text(got("/", &[]).await).await;
    let begins = index.find("/assets/")?;
    Some(index[begins..].split('"').next()?.to_owned())
}

#[tokio::test]
async fn every_path_without_a_dot_is_a_page_and_loads_from_nowhere_else() {
    for path in ["/", "/traffic", "/as/15169"] {
        let page = got(path, &[]).await;
        assert_eq!(page.status(), StatusCode::OK, "{path}");
        assert_eq!(header(&page, header::CONTENT_TYPE), "text/html; charset=utf-8");
        assert_eq!(header(&page, header::CACHE_CONTROL), "no-cache");
        assert!(header(&page, header::CONTENT_SECURITY_POLICY).starts_with("default-src 'self';"));
        assert_eq!(header(&page, header::REFERRER_POLICY), "no-referrer");
        let page = text(page).await;
        assert!(page.contains("<title>Weir") && !page.contains("http://") && !page.contains("https://"));
        assert!(!page.contains("<script>") && !page.contains("<style"), "{page}");
    }
}

#[tokio::test]
async fn a_file_that_is_not_there_is_none() {
    for path in ["/nothing.js", "/assets/index-0.js", "/../Cargo.toml"] {
        assert_eq!(got(path, &[]).await.status(), StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn what_has_its_hash_in_its_name_is_kept_for_ever_and_compressed() {
    let Some(asset) = asset().await else { return };
    let whole = got(&asset, &[]).await;
    assert_eq!(header(&whole, header::CACHE_CONTROL), "public, max-age=31536000, immutable");
    assert_eq!(header(&whole, header::CONTENT_ENCODING), "");
    assert!(!header(&whole, header::CONTENT_TYPE).is_empty());
    let small = got(&asset, &[(header::ACCEPT_ENCODING, "gzip")]).await;
    assert_eq!(header(&small, header::CONTENT_ENCODING), "gzip");
    let tag = header(&small, header::ETAG).to_owned();
    assert_eq!(header(&whole, header::ETAG), tag);
    let known = got(&asset, &[(header::IF_NONE_MATCH, &tag)]).await;
    assert_eq!(known.status(), StatusCode::NOT_MODIFIED);
    assert_eq!(got(&asset, &[(header::IF_NONE_MATCH, "W/\"0\"")]).await.status(), StatusCode::OK);
}
