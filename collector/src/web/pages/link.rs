//! The page of a sign-in link. The link itself only asks; the button takes it, so that a mail or chat program that looks at
//! every address it sees does not use it up.

use askama::Template;
use axum::Form;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::http::header::USER_AGENT;
use axum::response::Response;
use serde::Deserialize;

use super::login::{RequestParts, welcome};
use crate::persian::words;
use crate::web::asked::{Asked, address_of};
use crate::web::page::{Page, Section};
use crate::web::state::WebState;

#[derive(Template)]
#[template(path = "link.html")]
struct LinkPage {
    p: Page,
    /// Whom the link signs in; `None` for one that is used or too old.
    name: Option<String>,
    secret: String,
    used: &'static str,
}

/// What the link carries.
#[derive(Debug, Deserialize)]
pub struct Link {
    #[serde(default)]
    secret: String,
}

/// Asks whether to sign in.
pub async fn form(State(web): State<WebState>, parts: RequestParts, Query(link): Query<Link>) -> Response {
    let asked = Asked::guest(&web, &parts.0);
    match web.people.whose_link(&link.secret, asked.at) {
        Ok(name) => show(&asked, name, link.secret),
        Err(error) => asked.failed(&error),
    }
}

/// Signs in, once.
pub async fn take(State(web): State<WebState>, parts: RequestParts, Form(link): Form<Link>) -> Response {
    let asked = Asked::guest(&web, &parts.0);
    let browser = parts.0.headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match web.people.sign_in_by_link(&link.secret, &address_of(&parts.0), browser, asked.at) {
        Ok(Some(session)) => welcome(web.is_secure(&parts.0.extensions), &session, "/"),
        Ok(None) => show(&asked, None, String::new()),
        Err(error) => asked.failed(&error),
    }
}

fn show(asked: &Asked, name: Option<String>, secret: String) -> Response {
    let status = if name.is_some() { StatusCode::OK } else { StatusCode::GONE };
    let used = asked.prefs.lang.pick(
        "این پیوند به کار رفته یا زمانش گذشته است. روی سرور با  rusta-collector users link NAME  پیوند دیگری بسازید.",
        "This link is used or too old. On the server,  rusta-collector users link NAME  makes another.",
    );
    asked.show_as(status, &LinkPage { p: asked.page(Section::Outside, words(asked.prefs.lang).sign_in), name, secret, used })
}
