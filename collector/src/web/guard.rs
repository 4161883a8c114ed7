//! Headers every answer carries.

use axum::extract::Request;
use axum::http::header::{CONTENT_SECURITY_POLICY, HeaderName, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// Nothing is loaded from elsewhere, nothing inline runs, nobody frames us, forms go nowhere else.
const POLICY: &str = "default-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'";

/// Adds the security headers and refuses changes asked for by another site.
pub async fn headers(request: Request, next: Next) -> Response {
    if is_foreign_change(&request) {
        return (StatusCode::FORBIDDEN, "this form was sent from another site").into_response();
    }
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    response
}

/// Browsers say where a request comes from; a change from another site is refused before anything reads it. Sessions'
/// forms carry a token besides.
fn is_foreign_change(request: &Request) -> bool {
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let from = request.headers().get(HeaderName::from_static("sec-fetch-site")).and_then(|value| value.to_str().ok());
    changes && matches!(from, Some("cross-site" | "same-site"))
}
