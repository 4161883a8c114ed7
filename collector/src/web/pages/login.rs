//! Signing in and out.

use std::time::Duration;

use askama::Template;
use axum::Form;
use axum::body::Body;
use axum::extract::{FromRequestParts, Query, State};
use axum::http::header::{LOCATION, RETRY_AFTER, SET_COOKIE, USER_AGENT};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Request, StatusCode};
use axum::response::{AppendHeaders, IntoResponse, Response};
use serde::Deserialize;

use crate::people::{self, Attempt, Login, device};
use crate::persian::words;
use crate::web::asked::{Asked, SESSION, address_of, same};
use crate::web::html::url_part;
use crate::web::page::{Page, Section};
use crate::web::prefs::{Prefs, cookie};
use crate::web::state::WebState;
use crate::web::tone::Tone;

/// Name of the cookie that guards the form of signing in.
const DOOR: &str = "rusta_door";

/// Name of the cookie of a device that was signed in from.
pub(super) const DEVICE: &str = "rusta_device";

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage {
    p: Page,
    next: String,
    /// The token of a form that nobody is signed in for.
    door: String,
    fault: Option<&'static str>,
    /// The button of single sign-on: its address and what stands on it.
    openid: Option<(String, String)>,
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
    #[serde(default)]
    csrf: String,
    name: String,
    password: String,
    #[serde(default)]
    code: String,
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
    let words = words(Prefs::of(&parts).lang);
    let again = |status, fault| with_status(status, login_page(&web, &parts, &given.next, Some(fault)));
    if !cookie(&parts, DOOR).is_some_and(|door| same(door, &given.csrf)) {
        return again(StatusCode::FORBIDDEN, words.form_is_old);
    }
    let attempt = Attempt {
        name: given.name.clone(),
        password: given.password.clone(),
        code: given.code.clone(),
        address: address_of(&parts),
        browser: parts.headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned(),
        device: cookie(&parts, DEVICE).map(str::to_owned),
    };
    let secure = web.is_secure(&parts.extensions);
    match web.people.sign_in_in_turn(attempt, web.now()).await {
        Ok(Login::Welcome(entry)) => {
            let cookies = [
                kept_cookie(secure, SESSION, &entry.session, None),
                kept_cookie(secure, DEVICE, &entry.device, Some(device::REMEMBERED)),
                kept_cookie(secure, DOOR, "", Some(Duration::ZERO)),
            ];
            (StatusCode::SEE_OTHER, [(LOCATION, local_address(&given.next))], AppendHeaders(cookies.map(|one| (SET_COOKIE, one))))
                .into_response()
        }
        Ok(Login::Wrong) => again(StatusCode::UNAUTHORIZED, words.wrong_login),
        Ok(Login::Held(wait)) => later(again(StatusCode::TOO_MANY_REQUESTS, words.too_many_logins), wait),
        Ok(Login::Unreachable) => again(StatusCode::BAD_GATEWAY, words.directory_is_silent),
        Ok(Login::Busy) => later(again(StatusCode::SERVICE_UNAVAILABLE, words.too_many_logins), Duration::from_secs(10)),
        Err(error) => {
            tracing::error!(%error, "sign-in failed");
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
    }
}

/// Hands the session's secret over and leads on.
pub(super) fn welcome(secure: bool, secret: &str, next: &str) -> Response {
    (StatusCode::SEE_OTHER, [(LOCATION, local_address(next)), (SET_COOKIE, kept_cookie(secure, SESSION, secret, None))]).into_response()
}

/// Ends the session.
pub async fn sign_out(State(web): State<WebState>, asked: Asked, parts: RequestParts, Form(form): Form<Confirmed>) -> Response {
    if let Err(refusal) = asked.may_change(people::Role::Viewer, &form.csrf) {
        return refusal;
    }
    if let Some(secret) = cookie(&parts.0, SESSION)
        && let Err(error) = web.people.sign_out(secret, asked.at)
    {
        return asked.failed(&error);
    }
    let gone = kept_cookie(web.is_secure(&parts.0.extensions), SESSION, "", Some(Duration::ZERO));
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

/// Shows the form with a token of its own: nobody is signed in yet, and a foreign page must not sign anybody in to an account
/// of its choice. The cookie is the browser's, the field is the page's; only our own page has both.
pub(super) fn login_page(web: &WebState, parts: &Parts, next: &str, fault: Option<&'static str>) -> Response {
    let asked = Asked::guest(web, parts);
    let held = cookie(parts, DOOR).filter(|held| held.len() == 64 && held.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let door = match held.map_or_else(people::draw, |held| Ok(held.to_owned())) {
        Ok(door) => door,
        Err(error) => return asked.failed(&error),
    };
    let title = words(asked.prefs.lang).sign_in;
    let openid = web.people.openid().map(|provider| {
        let text = provider.label().unwrap_or(words(asked.prefs.lang).single_sign_on);
        (format!("/login/openid?next={}", url_part(next)), text.to_owned())
    });
    let p = asked.page(Section::Outside, title);
    let mut response = asked.show(&LoginPage { p, next: next.to_owned(), door: door.clone(), fault, openid });
    if let Ok(value) = HeaderValue::from_str(&kept_cookie(web.is_secure(&parts.extensions), DOOR, &door, None)) {
        response.headers_mut().append(SET_COOKIE, value);
    }
    response
}

/// Writes a cookie that only our own pages send back and no script reads. Without a lifetime it ends with the browser.
pub(super) fn kept_cookie(secure: bool, name: &str, value: &str, lifetime: Option<Duration>) -> String {
    let lifetime = lifetime.map_or_else(String::new, |lifetime| format!("; Max-Age={}", lifetime.as_secs()));
    let secure = if secure { "; Secure" } else { "" };
    format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax{lifetime}{secure}")
}

fn later(mut response: Response, wait: Duration) -> Response {
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
    response
}

fn with_status(status: StatusCode, mut response: Response) -> Response {
    *response.status_mut() = status;
    response
}

/// Follows only addresses of our own: anything else could lead the freshly signed-in person to a forged page.
pub(super) fn local_address(next: &str) -> String {
    let local = next.starts_with('/') && !next.starts_with("//") && !next.contains('\\') && next.chars().all(|c| !c.is_control());
    if local && !next.starts_with("/login") && HeaderValue::from_str(next).is_ok() { next.to_owned() } else { "/".to_owned() }
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
