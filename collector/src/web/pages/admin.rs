//! Administration: people, tokens, the registry, planned work, and the audit of it all. For administrators of everything:
//! one bound to a region would see other regions' people here.

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
use crate::people::{AuditEntry, NewToken, NewUser, PeopleError, Role, TokenRow, UserRow, Visitor};
use crate::persian::{Lang, words};
use crate::web::asked::Asked;
use crate::web::page::{Page, Section};
use crate::web::state::WebState;
use crate::web::tone::Tone;

/// Lines of the audit log shown; the database keeps all.
const AUDIT_LINES: usize = 40;

#[derive(Template)]
#[template(path = "admin.html")]
struct AdminPage {
    p: Page,
    users: Vec<UserRow>,
    tokens: Vec<TokenRow>,
    fresh_token: Option<String>,
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

fn show(web: &WebState, asked: &Asked, fresh_token: Option<String>) -> Response {
    if !governs(&asked.visitor) {
        return asked.forbidden();
    }
    let read = || -> Result<_, PeopleError> { Ok((web.people.users()?, web.people.tokens()?, web.people.audit(AUDIT_LINES)?)) };
    let (users, tokens, audit) = match read() {
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
    let roles = Role::ALL.iter().map(|role| (*role, role_word(*role, p.lang))).collect();
    asked.show(&AdminPage { users, tokens, fresh_token, versions, planned, audit, roles, p })
}

/// A filled-in form for a user.
#[derive(Debug, Deserialize)]
pub struct UserForm {
    csrf: String,
    what: String,
    name: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    role: String,
    #[serde(default)]
    region: String,
}

/// Adds or removes a user.
pub async fn users(State(web): State<WebState>, asked: Asked, Form(form): Form<UserForm>) -> Response {
    if let Err(refusal) = may_govern(&asked, &form.csrf) {
        return refusal;
    }
    let (people, actor, now) = (web.people.clone(), asked.visitor.actor(), asked.at);
    let region = match known_region(&web, &form.region) {
        Ok(region) => region,
        Err(reason) => return errors::refused_page(&asked, &reason),
    };
    let done = tokio::task::spawn_blocking(move || match form.what.as_str() {
        "remove" => people.remove_user(&form.name, &actor, now),
        _ => {
            let role = form.role.parse().map_err(PeopleError::Refused)?;
            people.add_user(&NewUser { name: form.name, password: form.password, role, region }, &actor, now)
        }
    });
    match done.await {
        Ok(done) => back_to_admin(&asked, done),
        Err(error) => asked.failed(&error),
    }
}

/// A filled-in form for a token.
#[derive(Debug, Deserialize)]
pub struct TokenForm {
    csrf: String,
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
    if let Err(refusal) = may_govern(&asked, &form.csrf) {
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
    match web.people.add_token(&NewToken { label: form.label, role, region, expires_at: None }, &actor, asked.at) {
        // Shown in the answer itself and nowhere else: a redirect would have to keep it.
        Ok(token) => show(&web, &asked, Some(token)),
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
    if governs(&asked.visitor) { Ok(()) } else { Err(asked.forbidden()) }
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
