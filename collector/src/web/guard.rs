//! Headers every answer carries, and changes that another site asks for.

use axum::extract::{Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, HeaderName, ORIGIN, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::state::WebState;

/// Nothing is loaded from elsewhere, nothing inline runs, nobody frames us, forms go nowhere else.
const POLICY: &str = "default-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'";

/// A browser that came by TLS once comes by TLS for a year (RFC 6797).
const TLS_ONLY: &str = "max-age=31536000";

/// Adds the security headers and refuses changes asked for by another site. What says nothing of caches is kept by none:
/// everything but the pages' own style and script is somebody's.
pub async fn headers(State(web): State<WebState>, request: Request, next: Next) -> Response {
    if is_foreign_change(&request) {
        return (StatusCode::FORBIDDEN, "this form was sent from another site").into_response();
    }
    let secure = web.is_secure(request.extensions());
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if secure {
        headers.insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(TLS_ONLY));
    }
    response
}

/// Browsers say where a request comes from; a change from another site is refused before anything reads it. Forms carry a
/// token besides. `Sec-Fetch-Site` is sent over TLS and on loopback; elsewhere the origin has to be the host that was asked.
fn is_foreign_change(request: &Request) -> bool {
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let from = text(request.headers(), &HeaderName::from_static("sec-fetch-site"));
    changes
        && match from {
            Some(from) => matches!(from, "cross-site" | "same-site"),
            None => text(request.headers(), &ORIGIN).is_some_and(|origin| !is_ours(origin, request)),
        }
}

fn is_ours(origin: &str, request: &Request) -> bool {
    let host = request.uri().authority().map(|authority| authority.as_str()).or_else(|| text(request.headers(), &HOST));
    let named = origin.split_once("://").map(|(_, host)| host);
    named.is_some() && named == host
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
