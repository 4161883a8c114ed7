//! Who asks for what: the extractor every page and every API answer begins with.

use std::convert::Infallible;
use std::net::SocketAddr;

use askama::Template;
use axum::extract::{ConnectInfo, FromRequestParts, OptionalFromRequestParts};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, LOCATION, SET_COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use rusta_wire::UnixMs;

use super::door::Came;
use super::html::url_part;
use super::page::{Page, Section};
use super::pages::{account, errors};
use super::prefs::{Prefs, cookie};
use super::state::WebState;
use crate::engine::Snapshot;
use crate::people::{Means, People, PeopleError, Role, Visitor};
use crate::view::Sight;

/// Name of the session cookie.
pub const SESSION: &str = "rusta_session";

/// A request by somebody who may look.
#[derive(Clone)]
pub struct Asked {
    /// Who.
    pub visitor: Visitor,
    /// In which language and theme.
    pub prefs: Prefs,
    /// Path and query.
    pub here: String,
    /// When.
    pub at: UnixMs,
    /// The address they come from.
    pub address: String,
    people: People,
}

impl Asked {
    /// Returns the request of somebody nobody knows, for pages anybody may see.
    pub fn guest(web: &WebState, parts: &Parts) -> Self {
        Asked::new(web, parts, Visitor::anonymous(), web.now())
    }

    fn new(web: &WebState, parts: &Parts, visitor: Visitor, at: UnixMs) -> Self {
        let here = parts.uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string);
        Asked { visitor, prefs: Prefs::of(parts), here, at, address: address_of(parts), people: web.people.clone() }
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
            Ok(html) => {
                self.remember((status, [(CONTENT_TYPE, "text/html; charset=utf-8"), (CACHE_CONTROL, "no-store")], html).into_response())
            }
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

    /// Checks role and form token of a change. A token's bearer needs none: no browser sends it by itself.
    ///
    /// # Errors
    /// The page to answer with; the audit log is told.
    #[allow(clippy::result_large_err)] // The error is the answer.
    pub fn may_change(&self, needed: Role, csrf: &str) -> Result<(), Response> {
        let meant = self.visitor.means == Means::Token || same(&self.visitor.csrf, csrf);
        match (self.visitor.role >= needed, meant) {
            (true, true) => Ok(()),
            (false, _) => Err(self.refuse(&format!("needs the role {needed}"))),
            (true, false) => Err(self.refuse("the form's token is wrong")),
        }
    }

    /// Checks that somebody may do something dangerous: as [`Asked::may_change`], and that they typed their password a short
    /// while ago.
    ///
    /// # Errors
    /// The page to answer with, which may ask for the password.
    #[allow(clippy::result_large_err)] // The error is the answer.
    pub fn may_endanger(&self, needed: Role, csrf: &str) -> Result<(), Response> {
        self.may_change(needed, csrf)?;
        self.is_confirmed()
    }

    /// Checks that somebody typed their password a short while ago.
    ///
    /// # Errors
    /// The page that asks for it.
    #[allow(clippy::result_large_err)] // The error is the answer.
    pub fn is_confirmed(&self) -> Result<(), Response> {
        if self.visitor.is_confirmed(self.at) { Ok(()) } else { Err(account::ask_to_confirm(self)) }
    }

    /// Whether nothing but setting up their account is open to them.
    fn owes(&self) -> bool {
        self.people.owes(&self.visitor) && !self.here.starts_with("/account") && self.here != "/logout"
    }

    /// Refuses a change and tells the audit log why, once in a while of the same person, address and reason.
    pub fn refuse(&self, why: &str) -> Response {
        // Not the number of what was asked for: a flood of numbers is one row.
        let path = self.here.split('?').next().unwrap_or("/").trim_end_matches(|c: char| c.is_ascii_digit());
        if let Err(error) =
            self.people.note_rarely(self.at, &self.visitor.actor(), "form.refused", path, &format!("{why}, from {}", self.address))
        {
            return self.failed(&error);
        }
        self.forbidden()
    }

    /// Tells the audit log what somebody took out, once in a while of the same person and the same thing.
    ///
    /// # Errors
    /// The page to answer with.
    #[allow(clippy::result_large_err)] // The error is the answer.
    pub fn took_out(&self, action: &str) -> Result<(), Response> {
        let told = self.people.note_rarely(self.at, &self.visitor.actor(), action, &self.here, &format!("from {}", self.address));
        told.map_err(|error| self.failed(&error))
    }

    /// Returns what shows in a form's address that it is this session's, for forms that are judged before their body is read:
    /// derived from the session's form token, so that an address in a proxy's log gives nothing else away.
    pub fn ticket(&self, purpose: &str) -> String {
        use sha2::{Digest, Sha256};
        format!("{:x}", Sha256::digest(format!("{purpose} {}", self.visitor.csrf)))
    }

    /// Tells whether a ticket is this session's; who has no session has none, and a token's bearer needs none.
    pub fn holds_ticket(&self, purpose: &str, ticket: &str) -> bool {
        self.visitor.means == Means::Token || !self.visitor.csrf.is_empty() && same(&self.ticket(purpose), ticket)
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
        let Some(asked) = asked(parts, web).map_err(|error| failed(&error))? else {
            let here = parts.uri.path_and_query().map_or("/", |all| all.as_str());
            return Err((StatusCode::SEE_OTHER, [(LOCATION, format!("/login?next={}", url_part(here)))]).into_response());
        };
        if asked.owes() {
            return Err((StatusCode::SEE_OTHER, [(LOCATION, "/account")]).into_response());
        }
        Ok(asked)
    }
}

impl OptionalFromRequestParts<WebState> for Asked {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, web: &WebState) -> Result<Option<Self>, Infallible> {
        Ok(asked(parts, web).ok().flatten().filter(|asked| !asked.owes()))
    }
}

/// Finds out who asks: by bearer token, by session, or nobody if nobody is allowed.
fn asked(parts: &Parts, web: &WebState) -> Result<Option<Asked>, PeopleError> {
    let at = web.now();
    let said = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(|value| value.split_once(' '));
    // The name of a scheme is the same in any case (RFC 9110, section 11.1).
    let bearer = said.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, token)| token);
    let visitor = match (bearer, cookie(parts, SESSION)) {
        (Some(token), _) => web.people.by_token(token.trim(), &address_of(parts), at)?,
        (None, Some(secret)) => web.people.by_session(secret, at)?.or_else(|| anonymous(web, parts)),
        (None, None) => anonymous(web, parts),
    };
    let Some(visitor) = visitor else { return Ok(None) };
    let mut asked = Asked::new(web, parts, visitor, at);
    asked.prefs.known_to_speak(asked.visitor.lang);
    // An API token speaks no language.
    if let (Some(name), Some(lang), Means::Session { .. }) = (&asked.visitor.name, asked.prefs.chosen_lang, &asked.visitor.means)
        && asked.visitor.lang != Some(lang)
    {
        web.people.set_language(name, lang)?;
    }
    Ok(Some(asked))
}

/// Returns the address a request comes from.
pub fn address_of(parts: &Parts) -> String {
    parts.extensions.get::<ConnectInfo<SocketAddr>>().map_or_else(|| "unknown".to_owned(), |info| info.0.ip().to_canonical().to_string())
}

/// Compares a form's token with the one it should have, in the same time wherever they differ. An empty one matches nothing.
pub fn same(expected: &str, given: &str) -> bool {
    let differing = expected.bytes().zip(given.bytes()).fold(0, |sum, (a, b)| sum | (a ^ b));
    !expected.is_empty() && expected.len() == given.len() && differing == 0
}

/// Lets look without a login: whoever asks by the data directory's socket, and, where it is allowed, who sits at this machine.
fn anonymous(web: &WebState, parts: &Parts) -> Option<Visitor> {
    let may_look = match parts.extensions.get() {
        Some(Came::Shell) => true,
        Some(Came::Here) => web.anonymous_viewer,
        Some(Came::Elsewhere) | None => false,
    };
    may_look.then(Visitor::anonymous)
}

fn failed(error: &PeopleError) -> Response {
    tracing::error!(%error, "visitor not found out");
    StatusCode::SERVICE_UNAVAILABLE.into_response()
}
