//! What a reader sees when there is nothing to see.

use askama::Template;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::refusals;
use crate::web::asked::Asked;
use crate::web::page::{Page, Section};

#[derive(Template)]
#[template(path = "message.html")]
struct Message {
    p: Page,
    text: String,
}

/// Answers an address nobody knows.
pub async fn not_found(asked: Option<Asked>) -> Response {
    asked.map_or_else(|| StatusCode::NOT_FOUND.into_response(), |asked| asked.not_found())
}

/// Builds the page for something that is not there, or not for this person.
pub fn not_found_page(asked: &Asked) -> Response {
    let words = crate::persian::words(asked.prefs.lang);
    message(asked, StatusCode::NOT_FOUND, words.not_found, words.not_found_hint)
}

/// Builds the page for somebody whose role is too low.
pub fn forbidden_page(asked: &Asked) -> Response {
    let words = crate::persian::words(asked.prefs.lang);
    message(asked, StatusCode::FORBIDDEN, words.forbidden, words.forbidden_hint)
}

/// Builds the page for a change that was refused, with the reason.
pub fn refused_page(asked: &Asked, reason: &str) -> Response {
    message(
        asked,
        StatusCode::UNPROCESSABLE_ENTITY,
        crate::persian::words(asked.prefs.lang).failed,
        &refusals::in_words(reason, asked.prefs.lang),
    )
}

/// Builds the page for a failure of ours; the reason goes to the log, not to the reader.
pub fn failed_page(asked: &Asked, error: &dyn std::error::Error) -> Response {
    tracing::error!(%error, "page failed");
    message(asked, StatusCode::SERVICE_UNAVAILABLE, crate::persian::words(asked.prefs.lang).failed, "")
}

fn message(asked: &Asked, status: StatusCode, title: &str, text: &str) -> Response {
    asked.show_as(status, &Message { p: asked.page(Section::Outside, title), text: text.to_owned() })
}
