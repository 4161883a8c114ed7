//! Signing in and out.

use askama::Template;
use axum::Form;
use axum::body::Body;
use axum::extract::{ConnectInfo, FromRequestParts, Query, State};
use axum::http::header::{LOCATION, SET_COOKIE};
use axum::http::request::Parts;
use axum::http::{Request, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use crate::people::Login;
use crate::persian::words;
use crate::web::asked::{Asked, SESSION};
use crate::web::page::{Page, Section};
use crate::web::prefs::{Prefs, cookie};
use crate::web::state::WebState;
use crate::web::tone::Tone;

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage {
    p: Page,
    next: String,
    fault: Option<&'static str>,
}

/// Where to go after signing in.
#[derive(Debug, Default, Deserialize)]
pub struct Next {
    #[serde(default)]
    next: String,
}

/// A filled-in form.
#[derive(Debug, Deserialize)]
pub struct Credentials {
    name: String,
    password: String,
    #[serde(default)]
    next: String,
}

/// A form that only confirms.
#[derive(Debug, Deserialize)]
pub struct Confirmed {
    #[serde(default)]
    csrf: String,
}

/// Shows the form.
pub async fn form(State(web): State<WebState>, Query(next): Query<Next>, request: Request<Body>) -> Response {
    let (parts, _) = request.into_parts();
    login_page(&web, &parts, &next.next, None)
}

/// Checks the form and opens a session.
pub async fn sign_in(State(web): State<WebState>, parts: RequestParts, Form(given): Form<Credentials>) -> Response {
    let RequestParts(parts) = parts;
    let from =
        parts.extensions.get::<ConnectInfo<std::net::SocketAddr>>().map_or_else(|| "unknown".to_owned(), |info| info.0.ip().to_string());
    let (people, name, password, now) = (web.people.clone(), given.name, given.password, web.now());
    // Hashing a password takes tens of milliseconds on purpose; it must not hold up the pages.
    let login = tokio::task::spawn_blocking(move || people.sign_in(&name, &password, &from, now)).await;
    let lang = words(Prefs::of(&parts).lang);
    match login {
        Ok(Ok(Login::Welcome(secret))) => {
            let secure = if web.secure { "; Secure" } else { "" };
            let cookie = format!("{SESSION}={secret}; Path=/; HttpOnly; SameSite=Lax{secure}");
            (StatusCode::SEE_OTHER, [(LOCATION, local_address(&given.next)), (SET_COOKIE, cookie)]).into_response()
        }
        Ok(Ok(Login::Wrong)) => with_status(StatusCode::UNAUTHORIZED, login_page(&web, &parts, &given.next, Some(lang.wrong_login))),
        Ok(Ok(Login::Held)) => {
            with_status(StatusCode::TOO_MANY_REQUESTS, login_page(&web, &parts, &given.next, Some(lang.too_many_logins)))
        }
        Ok(Err(error)) => {
            tracing::error!(%error, "sign-in failed");
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

/// Ends the session.
pub async fn sign_out(State(web): State<WebState>, asked: Asked, parts: RequestParts, Form(form): Form<Confirmed>) -> Response {
    if let Err(refusal) = asked.may_change(crate::people::Role::Viewer, &form.csrf) {
        return refusal;
    }
    if let Some(secret) = cookie(&parts.0, SESSION)
        && let Err(error) = web.people.sign_out(secret)
    {
        return asked.failed(&error);
    }
    let gone = format!("{SESSION}=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax");
    (StatusCode::SEE_OTHER, [(LOCATION, "/login".to_owned()), (SET_COOKIE, gone)]).into_response()
}

/// The head of a request, for handlers that also read its body.
pub struct RequestParts(pub Parts);

impl<S: Sync> FromRequestParts<S> for RequestParts {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(RequestParts(parts.clone()))
    }
}

fn login_page(web: &WebState, parts: &Parts, next: &str, fault: Option<&'static str>) -> Response {
    let asked = Asked::guest(web, parts);
    let title = words(asked.prefs.lang).sign_in;
    asked.show(&LoginPage { p: asked.page(Section::Outside, title), next: next.to_owned(), fault })
}

fn with_status(status: StatusCode, mut response: Response) -> Response {
    *response.status_mut() = status;
    response
}

/// Follows only addresses of our own: anything else could lead the freshly signed-in person to a forged page.
fn local_address(next: &str) -> String {
    let local = next.starts_with('/') && !next.starts_with("//") && !next.contains('\\') && next.chars().all(|c| !c.is_control());
    if local && !next.starts_with("/login") && axum::http::HeaderValue::from_str(next).is_ok() { next.to_owned() } else { "/".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signing_in_leads_nowhere_else() {
        assert_eq!(local_address("/sites?q=a"), "/sites?q=a");
        for foreign in ["https://evil.example", "//evil.example", "/\\evil.example", "", "/a\r\nSet-Cookie: x"] {
            assert_eq!(local_address(foreign), "/");
        }
    }
}
