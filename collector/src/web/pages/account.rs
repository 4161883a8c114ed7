//! One's own account: the password, the sessions, and typing the password again before something dangerous.

use askama::Template;
use axum::Form;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{LOCATION, RETRY_AFTER};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::errors;
use super::login::local_address;
use crate::people::{Confirmation, Directory, Means, PeopleError, Role, SessionRow};
use crate::persian::words;
use crate::web::asked::Asked;
use crate::web::html::{Html, url_part};
use crate::web::page::{Page, Section};
use crate::web::state::WebState;
use crate::web::svg;
use crate::web::tone::Tone;

#[derive(Template)]
#[template(path = "account.html")]
struct AccountPage {
    p: Page,
    sessions: Vec<SessionRow>,
    /// Number of the session that looks.
    own: i64,
    must_change: bool,
    /// Whether a second factor is asked for before anything else.
    owes: bool,
    second_factor: bool,
    /// The directory that knows them.
    directory: Option<Directory>,
    /// The secret while it is set up, as a picture and as text.
    enrolment: Option<(Html, String)>,
    /// Recovery codes, shown this once.
    recovery: Vec<String>,
    fault: Option<String>,
}

#[derive(Template)]
#[template(path = "confirm.html")]
struct ConfirmPage {
    p: Page,
    next: String,
    fault: Option<&'static str>,
    /// Where to sign in once more, for those who have no password here.
    again: Option<String>,
}

/// Shows the account of whoever is signed in.
pub async fn page(State(web): State<WebState>, asked: Asked) -> Response {
    show(&web, &asked, StatusCode::OK, Shown::default())
}

/// What a page shows beside what always stands there.
#[derive(Default)]
struct Shown {
    enrolment: Option<(Html, String)>,
    recovery: Vec<String>,
    fault: Option<String>,
}

fn show(web: &WebState, asked: &Asked, status: StatusCode, shown: Shown) -> Response {
    let (Some(name), Means::Session { id, must_change, .. }) = (&asked.visitor.name, &asked.visitor.means) else {
        return asked.forbidden();
    };
    let sessions = match web.people.sessions(Some(name), asked.at) {
        Ok(sessions) => sessions,
        Err(error) => return asked.failed(&error),
    };
    let p = asked.page(Section::Outside, words(asked.prefs.lang).account);
    let second_factor = match web.people.has_second_factor(name) {
        Ok(second_factor) => second_factor,
        Err(error) => return asked.failed(&error),
    };
    let owes = web.people.owes(&asked.visitor) && !second_factor && !must_change;
    let Shown { enrolment, recovery, fault } = shown;
    let (own, must_change, directory) = (*id, *must_change, asked.visitor.directory());
    asked.show_as(status, &AccountPage { p, sessions, own, must_change, owes, second_factor, directory, enrolment, recovery, fault })
}

/// A filled-in form for the second factor.
#[derive(Deserialize)]
pub struct SecondForm {
    #[serde(default)]
    csrf: String,
    what: String,
    #[serde(default)]
    code: String,
}

/// Sets the second factor up, or takes it off.
pub async fn second(State(web): State<WebState>, asked: Asked, Form(form): Form<SecondForm>) -> Response {
    if let Err(refusal) = asked.may_endanger(Role::Viewer, &form.csrf) {
        return refusal;
    }
    let Some(name) = asked.visitor.name.clone() else { return asked.forbidden() };
    match form.what.as_str() {
        "finish" => match web.people.finish_second_factor(&asked.visitor, &form.code, asked.at) {
            Ok(Some(recovery)) => show(&web, &asked, StatusCode::OK, Shown { recovery, ..Shown::default() }),
            Ok(None) => {
                let fault = Some(words(asked.prefs.lang).wrong_code.to_owned());
                show(&web, &asked, StatusCode::UNPROCESSABLE_ENTITY, Shown { fault, ..Shown::default() })
            }
            Err(error) => asked.failed(&error),
        },
        "off" => match web.people.drop_second_factor(&name, &asked.visitor.actor(), asked.at) {
            Ok(()) => (StatusCode::SEE_OTHER, [(LOCATION, "/account")]).into_response(),
            Err(error) => asked.failed(&error),
        },
        _ => match web.people.begin_second_factor(&name) {
            Ok(enrolment) => {
                let address = format!("otpauth://totp/Rusta:{}?secret={}&issuer=Rusta", url_part(&name), enrolment.secret);
                let enrolment = svg::qr(&address).map(|picture| (picture, enrolment.secret));
                show(&web, &asked, StatusCode::OK, Shown { enrolment, ..Shown::default() })
            }
            Err(error) => asked.failed(&error),
        },
    }
}

/// A filled-in form for a password.
#[derive(Deserialize)]
pub struct PasswordForm {
    #[serde(default)]
    csrf: String,
    current: String,
    chosen: String,
    again: String,
}

/// Changes the password; the other sessions end.
pub async fn password(State(web): State<WebState>, asked: Asked, Form(form): Form<PasswordForm>) -> Response {
    if let Err(refusal) = asked.may_change(Role::Viewer, &form.csrf) {
        return refusal;
    }
    let w = words(asked.prefs.lang);
    let again =
        |fault: &str| show(&web, &asked, StatusCode::UNPROCESSABLE_ENTITY, Shown { fault: Some(fault.to_owned()), ..Shown::default() });
    if form.chosen != form.again {
        return again(w.passwords_differ);
    }
    if form.chosen == form.current {
        return again(w.password_is_the_same);
    }
    match web.people.confirm(&asked.visitor, form.current, asked.at).await {
        Ok(Confirmation::Right) => {}
        Ok(Confirmation::Wrong) => return again(w.wrong_password),
        Ok(Confirmation::Later(_)) => return again(w.too_many_logins),
        Err(error) => return asked.failed(&error),
    }
    let (people, visitor, actor, now) = (web.people.clone(), asked.visitor.clone(), asked.visitor.actor(), asked.at);
    let name = visitor.name.clone().unwrap_or_default();
    let changed = tokio::task::spawn_blocking(move || people.change_password(&name, &form.chosen, &visitor.means, &actor, now));
    match changed.await {
        Ok(Ok(())) => (StatusCode::SEE_OTHER, [(LOCATION, "/account")]).into_response(),
        Ok(Err(PeopleError::Refused(reason))) => again(&super::refusals::in_words(&reason, asked.prefs.lang)),
        Ok(Err(error)) => asked.failed(&error),
        Err(error) => asked.failed(&error),
    }
}

/// A filled-in form for a session.
#[derive(Debug, Deserialize)]
pub struct SessionForm {
    #[serde(default)]
    csrf: String,
    id: i64,
}

/// Ends one of one's own sessions.
pub async fn end_session(State(web): State<WebState>, asked: Asked, Form(form): Form<SessionForm>) -> Response {
    if let Err(refusal) = asked.may_change(Role::Viewer, &form.csrf) {
        return refusal;
    }
    let Some(name) = &asked.visitor.name else { return asked.forbidden() };
    match web.people.end_session(form.id, Some(name), &asked.visitor.actor(), asked.at) {
        Ok(()) => (StatusCode::SEE_OTHER, [(LOCATION, "/account")]).into_response(),
        Err(PeopleError::Refused(reason)) => errors::refused_page(&asked, &reason),
        Err(error) => asked.failed(&error),
    }
}

/// Asks for the password before something dangerous; nothing was changed yet.
pub fn ask_to_confirm(asked: &Asked) -> Response {
    // What was asked for with a form is asked for again from the page the form stands on.
    let next = match asked.here.split(['?', '#']).next().unwrap_or("/") {
        "/admin/users" | "/admin/tokens" => "/admin",
        "/account/second" => "/account",
        "/admin/import/store" => "/admin/import",
        page => page,
    };
    confirm_page(asked, StatusCode::FORBIDDEN, next, None)
}

fn confirm_page(asked: &Asked, status: StatusCode, next: &str, fault: Option<&'static str>) -> Response {
    let p = asked.page(Section::Outside, words(asked.prefs.lang).confirm_password);
    let by_openid = asked.visitor.directory() == Some(Directory::OpenId);
    let again = by_openid.then(|| format!("/login/openid?again=1&next={}", url_part(next)));
    asked.show_as(status, &ConfirmPage { p, next: next.to_owned(), fault, again })
}

/// A filled-in form that confirms.
#[derive(Deserialize)]
pub struct ConfirmForm {
    #[serde(default)]
    csrf: String,
    password: String,
    #[serde(default)]
    next: String,
}

/// Checks the password, and leads back.
pub async fn confirm(State(web): State<WebState>, asked: Asked, Form(form): Form<ConfirmForm>) -> Response {
    if let Err(refusal) = asked.may_change(Role::Viewer, &form.csrf) {
        return refusal;
    }
    let w = words(asked.prefs.lang);
    match web.people.confirm(&asked.visitor, form.password, asked.at).await {
        Ok(Confirmation::Right) => (StatusCode::SEE_OTHER, [(LOCATION, local_address(&form.next))]).into_response(),
        Ok(Confirmation::Wrong) => confirm_page(&asked, StatusCode::UNAUTHORIZED, &form.next, Some(w.wrong_password)),
        Ok(Confirmation::Later(wait)) => {
            let mut response = confirm_page(&asked, StatusCode::TOO_MANY_REQUESTS, &form.next, Some(w.too_many_logins));
            response.headers_mut().insert(RETRY_AFTER, wait.as_secs().max(1).into());
            response
        }
        Err(error) => asked.failed(&error),
    }
}
