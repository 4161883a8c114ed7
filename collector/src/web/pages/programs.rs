//! Probes that run programs or read files on routers: who brought them in, and the button of whoever else agrees.

use askama::Template;
use axum::Form;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::admin::{governs, may_endanger};
use super::errors;
use crate::inventory::programs::{self, Asked as Program};
use crate::inventory::versions;
use crate::store::StoreError;
use crate::web::asked::Asked;
use crate::web::page::{Page, Section};
use crate::web::state::WebState;

#[derive(Template)]
#[template(path = "programs.html")]
struct ProgramsPage {
    p: Page,
    title: &'static str,
    hint: &'static str,
    confirm: &'static str,
    asked_by: &'static str,
    confirmed_by: &'static str,
    probe: &'static str,
    lines: Vec<Line>,
}

struct Line {
    program: Program,
    /// Whether the visitor may confirm it: somebody else brought it in.
    is_open: bool,
}

/// Lists them.
pub async fn page(State(web): State<WebState>, asked: Asked) -> Response {
    if !governs(&asked.visitor) {
        return asked.forbidden();
    }
    let store = web.store.clone();
    let read = move || versions::ask_for_all(&store).map(|()| programs::list(&store));
    let all = match tokio::task::spawn_blocking(read).await {
        Ok(Ok(Ok(all))) => all,
        Ok(Ok(Err(error))) => return asked.failed(&error),
        Ok(Err(error)) => return asked.failed(&error),
        Err(error) => return asked.failed(&error),
    };
    let (lang, actor) = (asked.prefs.lang, asked.visitor.actor());
    let line = |program: Program| Line { is_open: program.confirmed_by.is_none() && program.asked_by != actor, program };
    let title = lang.pick("کاوش‌هایی که برنامه اجرا می‌کنند", "probes that run programs");
    asked.show(&ProgramsPage {
        title,
        hint: lang.pick(
            "این‌ها روی مسیریاب‌ها برنامه اجرا می‌کنند یا پرونده می‌خوانند. تا مدیر دیگری تأیید نکند به هیچ عاملی داده نمی‌شوند.",
            "These run programs or read files on routers. Nobody is assigned them until another administrator confirms.",
        ),
        confirm: lang.pick("تأیید", "confirm"),
        asked_by: lang.pick("آورده", "brought in by"),
        confirmed_by: lang.pick("تأییدکننده", "confirmed by"),
        probe: lang.pick("کاوش", "probe"),
        lines: all.into_iter().map(line).collect(),
        p: asked.page(Section::Admin, title),
    })
}

/// A filled-in form.
#[derive(Debug, Deserialize)]
pub struct Confirm {
    #[serde(default)]
    csrf: String,
    digest: String,
}

/// Confirms one, if somebody else brought it in.
pub async fn confirm(State(web): State<WebState>, asked: Asked, Form(form): Form<Confirm>) -> Response {
    if let Err(refusal) = may_endanger(&asked, &form.csrf) {
        return refusal;
    }
    match programs::confirm(&web.store, &form.digest, &asked.visitor.actor(), asked.at) {
        Ok(_) => {
            web.take_up().await;
            (StatusCode::SEE_OTHER, [(LOCATION, "/admin/programs")]).into_response()
        }
        Err(StoreError::Refused(reason)) => errors::refused_page(&asked, &reason),
        Err(error) => asked.failed(&error),
    }
}
