//! Signing in by an OpenID provider: the way there, and back.

use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::header::{LOCATION, RETRY_AFTER, SET_COOKIE, USER_AGENT};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{AppendHeaders, IntoResponse, Response};
use serde::Deserialize;

use super::login::{RequestParts, kept_cookie, local_address, login_page};
use crate::people::directory::Back;
use crate::people::directory::openid::PATIENCE;
use crate::people::{Attempt, Login, device};
use crate::web::asked::{Asked, SESSION, address_of};
use crate::web::html::{from_url_part, url_part};
use crate::web::prefs::cookie;
use crate::web::state::WebState;

/// Name of the cookie with what this browser began.
const BEGUN: &str = "rusta_openid";

/// Name of the cookie with where to go afterwards.
const NEXT: &str = "rusta_next";

/// Where to go after signing in, and whether the provider should have the password typed again.
#[derive(Debug, Deserialize)]
pub struct Way {
    #[serde(default)]
    next: String,
    #[serde(default)]
    again: Option<String>,
}

/// What the provider sends a browser back with.
#[derive(Debug, Deserialize)]
pub struct Returned {
    #[serde(default)]
    state: String,
    #[serde(default)]
    code: String,
    /// Why it let nobody in.
    #[serde(default)]
    error: String,
}

/// Sends the browser to the provider.
pub async fn go(State(web): State<WebState>, parts: RequestParts, Query(way): Query<Way>) -> Response {
    if web.people.openid().is_none() {
        return Asked::guest(&web, &parts.0).not_found();
    }
    match web.people.begin_by_openid(way.again.is_some()).await {
        Ok(begun) => {
            let secure = web.is_secure(&parts.0.extensions);
            let next = url_part(&local_address(&way.next)).to_string();
            let cookies = [kept_cookie(secure, BEGUN, &begun.secrets, Some(PATIENCE)), kept_cookie(secure, NEXT, &next, Some(PATIENCE))];
            (StatusCode::SEE_OTHER, [(LOCATION, begun.address)], AppendHeaders(cookies.map(|one| (SET_COOKIE, one)))).into_response()
        }
        Err(error) => {
            tracing::warn!(%error, "nobody can sign in by the OpenID provider");
            refuse(&web, &parts, &way.next, StatusCode::BAD_GATEWAY)
        }
    }
}

/// Takes the browser back.
pub async fn back(State(web): State<WebState>, parts: RequestParts, Query(returned): Query<Returned>) -> Response {
    let next = cookie(&parts.0, NEXT).map(from_url_part).unwrap_or_default();
    let attempt = Attempt {
        address: address_of(&parts.0),
        browser: parts.0.headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned(),
        ..Attempt::default()
    };
    let secure = web.is_secure(&parts.0.extensions);
    // Whatever comes of it, it was begun once and is answered once.
    let gone = [kept_cookie(secure, BEGUN, "", Some(Duration::ZERO)), kept_cookie(secure, NEXT, "", Some(Duration::ZERO))];
    let secrets = cookie(&parts.0, BEGUN).unwrap_or_default().to_owned();
    if !returned.error.is_empty() {
        return with_cookies(refuse(&web, &parts, &next, StatusCode::UNAUTHORIZED), gone);
    }
    match web.people.sign_in_by_openid(&attempt, &Back { secrets, state: returned.state, code: returned.code }, web.now()).await {
        Ok(Login::Welcome(entry)) => {
            let [begun, went] = gone;
            let cookies = [
                begun,
                went,
                kept_cookie(secure, SESSION, &entry.session, None),
                kept_cookie(secure, super::login::DEVICE, &entry.device, Some(device::REMEMBERED)),
            ];
            (StatusCode::SEE_OTHER, [(LOCATION, local_address(&next))], AppendHeaders(cookies.map(|one| (SET_COOKIE, one)))).into_response()
        }
        Ok(Login::Held(wait)) => {
            let mut response = refuse(&web, &parts, &next, StatusCode::TOO_MANY_REQUESTS);
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
            with_cookies(response, gone)
        }
        Ok(Login::Unreachable | Login::Busy) => with_cookies(refuse(&web, &parts, &next, StatusCode::BAD_GATEWAY), gone),
        Ok(Login::Wrong) => with_cookies(refuse(&web, &parts, &next, StatusCode::UNAUTHORIZED), gone),
        Err(error) => Asked::guest(&web, &parts.0).failed(&error),
    }
}

/// Shows the form again, which local accounts always have.
fn refuse(web: &WebState, parts: &RequestParts, next: &str, status: StatusCode) -> Response {
    let lang = crate::web::prefs::Prefs::of(&parts.0).lang;
    let fault = match status {
        StatusCode::UNAUTHORIZED => lang.pick(
            "ورود یکپارچه شما را نپذیرفت: یا گروهی ندارید که اجازه ورود دارد، یا این ورود در مرورگر دیگری آغاز شده بود.",
            "Single sign-on did not let you in: you are in no group that may come in, or another browser began it.",
        ),
        StatusCode::TOO_MANY_REQUESTS => crate::persian::words(lang).too_many_logins,
        _ => lang.pick(
            "سامانه ورود یکپارچه پاسخ نمی‌دهد. حساب‌های خود این سامانه همچنان باز می‌شوند.",
            "Single sign-on does not answer. Accounts of this collector still open.",
        ),
    };
    let mut response = login_page(web, &parts.0, next, Some(fault));
    *response.status_mut() = status;
    response
}

fn with_cookies(mut response: Response, cookies: [String; 2]) -> Response {
    for one in cookies {
        if let Ok(value) = HeaderValue::from_str(&one) {
            response.headers_mut().append(SET_COOKIE, value);
        }
    }
    response
}
