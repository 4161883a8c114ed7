//! Administration: people, tokens, the registry, planned work, and the audit of it all. For administrators of everything:
//! one bound to a region would see other regions' people here.

use std::time::Duration;

use askama::Template;
use axum::Form;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::errors;
use super::maintenance::{self, Planned};
use crate::inventory::versions::{self, VersionRow};
use crate::people::{
    AuditEntry, AuditFilter, Means, Network, NewToken, NewUser, PeopleError, Role, SessionRow, TokenRow, UserRow, Visitor,
};
use crate::persian::{Lang, words};
use crate::web::asked::Asked;
use crate::web::page::{Page, Section};
use crate::web::state::WebState;
use crate::web::tone::Tone;

/// Lines of the audit log shown; the database keeps all.
const AUDIT_LINES: usize = 40;

/// Sessions shown, the last used first; the command lists all.
const SESSIONS: usize = 40;

/// Days a token may live, as the form offers them.
const LIFETIMES: [u32; 3] = [30, 90, 365];

#[derive(Template)]
#[template(path = "admin.html")]
struct AdminPage {
    p: Page,
    users: Vec<UserRow>,
    tokens: Vec<TokenRow>,
    fresh: Option<(&'static str, String)>,
    sessions: Vec<SessionRow>,
    versions: Vec<VersionRow>,
    planned: Vec<Planned>,
    audit: Vec<AuditEntry>,
    roles: Vec<(Role, &'static str)>,
}

/// Whether somebody may administer everything.
pub(super) fn governs(visitor: &Visitor) -> bool {
    visitor.role >= Role::Admin && visitor.region.is_none()
}

/// Shows the page.
pub async fn page(State(web): State<WebState>, asked: Asked) -> Response {
    show(&web, &asked, None)
}

fn show(web: &WebState, asked: &Asked, fresh: Option<(&'static str, String)>) -> Response {
    if !governs(&asked.visitor) {
        return asked.forbidden();
    }
    let read = || -> Result<_, PeopleError> {
        Ok((
            web.people.users()?,
            web.people.tokens()?,
            web.people.audit(&AuditFilter::default(), AUDIT_LINES)?,
            web.people.sessions(None, asked.at)?,
        ))
    };
    let (users, tokens, audit, mut sessions) = match read() {
        Ok(read) => read,
        Err(error) => return asked.failed(&error),
    };
    let versions = match versions::list(&web.store) {
        Ok(versions) => versions.into_iter().rev().take(10).collect(),
        Err(error) => return asked.failed(&error),
    };
    let p = asked.page(Section::Admin, words(asked.prefs.lang).admin);
    let planned = match maintenance::planned(&web.store, &web.snapshot().inventory, asked.at) {
        Ok(planned) => planned,
        Err(error) => return asked.failed(&error),
    };
    sessions.truncate(SESSIONS);
    let roles = Role::ALL.iter().map(|role| (*role, role_word(*role, p.lang))).collect();
    asked.show(&AdminPage { users, tokens, fresh, sessions, versions, planned, audit, roles, p })
}

/// A filled-in form for a user.
#[derive(Debug, Deserialize)]
pub struct UserForm {
    #[serde(default)]
    csrf: String,
    what: String,
    #[serde(default)]
    name: String,
    /// Number of a session.
    #[serde(default)]
    id: i64,
    #[serde(default)]
    password: String,
    #[serde(default)]
    role: String,
    #[serde(default)]
    region: String,
}

/// Adds or removes a user, gives one a temporary password, ends sessions.
pub async fn users(State(web): State<WebState>, asked: Asked, Form(form): Form<UserForm>) -> Response {
    if let Err(refusal) = may_rule_people(&asked, &form.csrf) {
        return refusal;
    }
    let (people, actor, now) = (web.people.clone(), asked.visitor.actor(), asked.at);
    let region = match known_region(&web, &form.region) {
        Ok(region) => region,
        Err(reason) => return errors::refused_page(&asked, &reason),
    };
    let done = tokio::task::spawn_blocking(move || match form.what.as_str() {
        "remove" => people.remove_user(&form.name, &actor, now).map(|()| None),
        "reset" => people.reset_password(&form.name, &actor, now).map(Some),
        "end_session" => people.end_session(form.id, None, &actor, now).map(|()| None),
        "end_sessions" => people.end_sessions(&form.name, &actor, now).map(|_| None),
        _ => {
            let role = form.role.parse().map_err(PeopleError::Refused)?;
            people.add_user(&NewUser { name: form.name, password: form.password, role, region }, &actor, now).map(|()| None)
        }
    });
    match done.await {
        // Shown in the answer itself and nowhere else: a redirect would have to keep it.
        Ok(Ok(Some(word))) => show(&web, &asked, Some((words(asked.prefs.lang).temporary_once, word))),
        Ok(done) => back_to_admin(&asked, done.map(drop)),
        Err(error) => asked.failed(&error),
    }
}

/// A filled-in form for a token.
#[derive(Debug, Deserialize)]
pub struct TokenForm {
    #[serde(default)]
    csrf: String,
    /// How many days it lives.
    #[serde(default)]
    days: Option<u32>,
    #[serde(default)]
    networks: String,
    what: String,
    #[serde(default)]
    id: i64,
    #[serde(default)]
    label: String,
    #[serde(default)]
    role: String,
    #[serde(default)]
    region: String,
}

/// Creates or revokes a token.
pub async fn tokens(State(web): State<WebState>, asked: Asked, Form(form): Form<TokenForm>) -> Response {
    if let Err(refusal) = may_rule_people(&asked, &form.csrf) {
        return refusal;
    }
    let actor = asked.visitor.actor();
    if form.what == "revoke" {
        return back_to_admin(&asked, web.people.revoke_token(form.id, &actor, asked.at));
    }
    let region = match known_region(&web, &form.region) {
        Ok(region) => region,
        Err(reason) => return errors::refused_page(&asked, &reason),
    };
    let role: Role = match form.role.parse() {
        Ok(role) => role,
        Err(reason) => return errors::refused_page(&asked, &reason),
    };
    let networks = match Network::list(&form.networks) {
        Ok(networks) => networks,
        Err(reason) => return errors::refused_page(&asked, &reason),
    };
    let lifetime = form.days.filter(|days| LIFETIMES.contains(days)).map(|days| Duration::from_secs(u64::from(days) * 86_400));
    let expires_at = lifetime.map(|lifetime| asked.at + lifetime);
    match web.people.add_token(&NewToken { label: form.label, role, region, expires_at, networks }, &actor, asked.at) {
        // Shown in the answer itself and nowhere else: a redirect would have to keep it.
        Ok(token) => show(&web, &asked, Some((words(asked.prefs.lang).token_once, token))),
        Err(error) => asked.failed(&error),
    }
}

/// Checks that somebody may administer everything, and their form's token.
///
/// # Errors
/// The page to answer with.
#[allow(clippy::result_large_err)] // The error is the answer.
pub(super) fn may_govern(asked: &Asked, csrf: &str) -> Result<(), Response> {
    asked.may_change(Role::Admin, csrf)?;
    if governs(&asked.visitor) { Ok(()) } else { Err(asked.refuse("bound to a region")) }
}

/// Checks that somebody may administer everything and typed their password a short while ago.
///
/// # Errors
/// The page to answer with.
#[allow(clippy::result_large_err)] // The error is the answer.
pub(super) fn may_endanger(asked: &Asked, csrf: &str) -> Result<(), Response> {
    may_govern(asked, csrf)?;
    asked.is_confirmed()
}

/// Checks that somebody may make and unmake people and tokens. A token may not: what it made would outlive its end.
#[allow(clippy::result_large_err)] // The error is the answer.
fn may_rule_people(asked: &Asked, csrf: &str) -> Result<(), Response> {
    may_endanger(asked, csrf)?;
    if asked.visitor.means == Means::Token { Err(asked.refuse("a token makes no people and no tokens")) } else { Ok(()) }
}

fn known_region(web: &WebState, code: &str) -> Result<Option<String>, String> {
    match code.trim() {
        "" => Ok(None),
        code if web.snapshot().inventory.region_by_code(code).is_some() => Ok(Some(code.to_owned())),
        code => Err(format!("there is no region `{code}`")),
    }
}

fn back_to_admin(asked: &Asked, done: Result<(), PeopleError>) -> Response {
    match done {
        Ok(()) => (StatusCode::SEE_OTHER, [(LOCATION, "/admin")]).into_response(),
        Err(PeopleError::Refused(reason)) => errors::refused_page(asked, &reason),
        Err(error) => asked.failed(&error),
    }
}

fn role_word(role: Role, lang: Lang) -> &'static str {
    let w = words(lang);
    match role {
        Role::Viewer => w.role_viewer,
        Role::Operator => w.role_operator,
        Role::Admin => w.role_admin,
    }
}
