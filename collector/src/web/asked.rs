//! Who asks for what: the extractor every page and every API answer begins with.

use std::convert::Infallible;

use askama::Template;
use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, LOCATION, SET_COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use rusta_wire::UnixMs;

use super::html::url_part;
use super::page::{Page, Section};
use super::pages::errors;
use super::prefs::{Prefs, cookie};
use super::state::WebState;
use crate::engine::Snapshot;
use crate::people::{PeopleError, Role, Visitor};
use crate::view::Sight;

/// Name of the session cookie.
pub const SESSION: &str = "rusta_session";

/// A request by somebody who may look.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Who.
    pub visitor: Visitor,
    /// In which language and theme.
    pub prefs: Prefs,
    /// Path and query.
    pub here: String,
    /// When.
    pub at: UnixMs,
}

impl Asked {
    /// Returns the request of somebody nobody knows, for pages anybody may see.
    pub fn guest(web: &WebState, parts: &Parts) -> Self {
        let here = parts.uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string);
        Asked { visitor: Visitor::anonymous(), prefs: Prefs::of(parts), here, at: web.now() }
    }

    /// Returns how far they see.
    pub fn sight(&self, snapshot: &Snapshot) -> Sight {
        self.visitor.sight(snapshot)
    }

    /// Builds a page's frame.
    pub fn page(&self, section: Section, title: impl Into<String>) -> Page {
        Page::new(&self.prefs, &self.visitor, section, title, &self.here, self.at)
    }

    /// Renders a page.
    pub fn show(&self, template: &impl Template) -> Response {
        self.show_as(StatusCode::OK, template)
    }

    /// Renders a page with another status.
    pub fn show_as(&self, status: StatusCode, template: &impl Template) -> Response {
        match template.render() {
            Ok(html) => self.remember(
                (status, [(CONTENT_TYPE, "text/html; charset=utf-8"), (CACHE_CONTROL, "private, no-cache")], html).into_response(),
            ),
            Err(error) => {
                tracing::error!(%error, "page not rendered");
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        }
    }

    /// Says that there is nothing here, or nothing for them: the two look the same.
    pub fn not_found(&self) -> Response {
        errors::not_found_page(self)
    }

    /// Says that their role is too low.
    pub fn forbidden(&self) -> Response {
        errors::forbidden_page(self)
    }

    /// Says that the collector failed, and records why.
    pub fn failed(&self, error: &dyn std::error::Error) -> Response {
        errors::failed_page(self, error)
    }

    /// Checks role and form token of a change.
    ///
    /// # Errors
    /// The page to answer with.
    #[allow(clippy::result_large_err)] // The error is the answer.
    pub fn may_change(&self, needed: Role, csrf: &str) -> Result<(), Response> {
        let same = !csrf.is_empty() && csrf.len() == self.visitor.csrf.len();
        let differing = csrf.bytes().zip(self.visitor.csrf.bytes()).fold(0, |sum, (a, b)| sum | (a ^ b));
        if self.visitor.role >= needed && same && differing == 0 { Ok(()) } else { Err(self.forbidden()) }
    }

    /// Keeps the choices made by this request in cookies.
    fn remember(&self, mut response: Response) -> Response {
        for chosen in &self.prefs.chosen {
            if let Ok(value) = HeaderValue::from_str(chosen) {
                response.headers_mut().append(SET_COOKIE, value);
            }
        }
        response
    }
}

impl FromRequestParts<WebState> for Asked {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, web: &WebState) -> Result<Self, Response> {
        let asked = asked(parts, web).map_err(|error| failed(&error))?;
        asked.ok_or_else(|| {
            let here = parts.uri.path_and_query().map_or("/", |all| all.as_str());
            (StatusCode::SEE_OTHER, [(LOCATION, format!("/login?next={}", url_part(here)))]).into_response()
        })
    }
}

impl OptionalFromRequestParts<WebState> for Asked {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, web: &WebState) -> Result<Option<Self>, Infallible> {
        Ok(asked(parts, web).ok().flatten())
    }
}

/// Finds out who asks: by bearer token, by session, or nobody if nobody is allowed.
fn asked(parts: &Parts, web: &WebState) -> Result<Option<Asked>, PeopleError> {
    let at = web.now();
    let bearer = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(|value| value.strip_prefix("Bearer "));
    let visitor = match (bearer, cookie(parts, SESSION)) {
        (Some(token), _) => web.people.by_token(token.trim(), at)?,
        (None, Some(secret)) => web.people.by_session(secret, at)?.or_else(|| anonymous(web)),
        (None, None) => anonymous(web),
    };
    let here = parts.uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string);
    let Some(visitor) = visitor else { return Ok(None) };
    let mut prefs = Prefs::of(parts);
    prefs.known_to_speak(visitor.lang);
    // A session has a form token; an API token speaks no language.
    if let (Some(name), Some(lang), false) = (&visitor.name, prefs.chosen_lang, visitor.csrf.is_empty())
        && visitor.lang != Some(lang)
    {
        web.people.set_language(name, lang)?;
    }
    Ok(Some(Asked { visitor, prefs, here, at }))
}

fn anonymous(web: &WebState) -> Option<Visitor> {
    web.anonymous_viewer.then(Visitor::anonymous)
}

fn failed(error: &PeopleError) -> Response {
    tracing::error!(%error, "visitor not found out");
    StatusCode::SERVICE_UNAVAILABLE.into_response()
}
