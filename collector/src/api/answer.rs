//! What all answers share: the caller, lists, entity tags.

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{FromRequestParts, Path, Query};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use utoipa::ToSchema;

use super::Problem;
use crate::people::Visitor;
use crate::web::{Asked, WebState};

/// Rows of a list if the caller does not say.
pub const DEFAULT_LIMIT: usize = 100;

/// Most rows of one answer: about half a megabyte.
pub const MOST_ROWS: usize = 1000;

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct List<T> {
    /// The rows.
    pub items: Vec<T>,
    /// Cursor of the next page; `null` on the last.
    pub next: Option<String>,
}

/// Somebody who may ask.
pub struct Caller {
    /// Who.
    pub visitor: Visitor,
    headers: HeaderMap,
}

impl FromRequestParts<WebState> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, web: &WebState) -> Result<Self, Problem> {
        let asked = <Asked as axum::extract::OptionalFromRequestParts<WebState>>::from_request_parts(parts, web).await;
        let visitor = asked.ok().flatten().map(|asked| asked.visitor).ok_or_else(Problem::unauthorized)?;
        Ok(Caller { visitor, headers: parts.headers.clone() })
    }
}

impl Caller {
    /// Answers with JSON, or with 304 if the caller has it already.
    pub fn answer(&self, value: &impl Serialize) -> Response {
        let Ok(body) = serde_json::to_vec(value) else { return Problem::unavailable().into_response() };
        let tag = format!("\"{:016x}\"", fnv(&body));
        let held = self.headers.get(IF_NONE_MATCH).and_then(|value| value.to_str().ok());
        let headers = [(ETAG, tag.clone()), (CACHE_CONTROL, "no-store".to_owned())];
        if held.is_some_and(|held| held.split(',').any(|one| one.trim().trim_start_matches("W/") == tag)) {
            return (StatusCode::NOT_MODIFIED, headers).into_response();
        }
        (headers, [(CONTENT_TYPE, "application/json")], body).into_response()
    }
}

/// Query parameters whose mistakes are problems.
pub struct Asking<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asking<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let read: Result<Query<T>, QueryRejection> = Query::from_request_parts(parts, state).await;
        read.map(|Query(value)| Asking(value)).map_err(|fault| Problem::invalid("query", fault.body_text()))
    }
}

/// The last part of an address, such as a site's code; what cannot be read names nothing.
pub struct Named(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let read: Result<Path<String>, PathRejection> = Path::from_request_parts(parts, state).await;
        read.map(|Path(name)| Named(name)).map_err(|fault| Problem::not_found(fault.body_text()))
    }
}

/// Checks how many rows are asked for.
///
/// # Errors
/// None, or too many.
pub fn checked_limit(limit: Option<usize>) -> Result<usize, Problem> {
    match limit {
        None => Ok(DEFAULT_LIMIT),
        Some(limit) if (1..=MOST_ROWS).contains(&limit) => Ok(limit),
        Some(_) => Err(Problem::invalid("limit", format!("`limit` is 1 to {MOST_ROWS}"))),
    }
}

fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}
