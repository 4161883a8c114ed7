//! Errors as RFC 9457 problems: stable type, status, and a sentence that tells how to mend it.

use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::{ToResponse, ToSchema};

/// A problem.
#[derive(Debug, Clone, Serialize, ToSchema, ToResponse)]
#[response(description = "What is wrong, and how to mend it (RFC 9457)", content_type = "application/problem+json")]
pub struct Problem {
    /// Names the kind of problem; stable.
    #[serde(rename = "type")]
    #[schema(example = "urn:rusta:problem:invalid-parameter")]
    pub kind: String,
    /// The kind in words.
    pub title: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// What is wrong here, and how to mend it.
    pub detail: String,
    /// The parameter at fault, if one is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameter: Option<&'static str>,
}

impl Problem {
    fn new(status: StatusCode, kind: &str, title: &'static str, detail: impl Into<String>) -> Self {
        Problem { kind: format!("urn:rusta:problem:{kind}"), title, status: status.as_u16(), detail: detail.into(), parameter: None }
    }

    /// Nothing is there, or nothing the caller may see.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Problem::new(StatusCode::NOT_FOUND, "not-found", "not found", detail)
    }

    /// A parameter makes no sense.
    pub fn invalid(parameter: &'static str, detail: impl Into<String>) -> Self {
        let problem = Problem::new(StatusCode::BAD_REQUEST, "invalid-parameter", "invalid parameter", detail);
        Problem { parameter: Some(parameter), ..problem }
    }

    /// A cursor is not one of this list, or what it stood at is gone.
    pub fn cursor() -> Self {
        Problem::invalid("cursor", "this is no cursor of this list; begin again without it")
    }

    /// The address is there, and not for this method.
    pub fn wrong_method() -> Self {
        let detail = "this address does not take the method; the `Allow` header lists those it takes";
        Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "method not allowed", detail)
    }

    /// The caller did not say who they are, or is not who they say.
    pub fn unauthorized() -> Self {
        let detail = "sign in, or send a token as `Authorization: Bearer TOKEN`";
        Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", "not signed in", detail)
    }

    /// Our own failure; the reason goes to the log.
    pub fn unavailable() -> Self {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "unavailable", "the collector cannot read its data; try again")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_string(&self).unwrap_or_default();
        (status, [(CONTENT_TYPE, "application/problem+json")], body).into_response()
    }
}
