//! Planned work that people announce and end on the administration page: fixed, weekly, or for what is over already.

use std::collections::HashSet;

use axum::Form;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use rusta_wire::UnixMs;
use serde::Deserialize;

use super::admin::may_govern;
use super::errors;
use crate::inventory::dates::moment;
use crate::inventory::windows::{self, Announced, Announcement};
use crate::inventory::{Inventory, Repeat};
use crate::store::{Store, StoreError};
use crate::view::Time;
use crate::web::asked::Asked;
use crate::web::state::WebState;

/// A line of the table: announced here or on the command line, or written in the registry.
pub(super) struct Planned {
    pub(super) reason: String,
    pub(super) covers: String,
    pub(super) from: Option<Time>,
    pub(super) until: Option<Time>,
    pub(super) weekly: bool,
    pub(super) announced: Option<Time>,
    pub(super) by: Option<String>,
    /// Its number, if it can be ended here.
    pub(super) open: Option<i64>,
    pub(super) ended: Option<Time>,
}

/// Lists the planned work: what people announced, newest first, then the registry's own.
///
/// # Errors
/// What the database says.
pub(super) fn planned(store: &Store, inventory: &Inventory, now: UnixMs) -> Result<Vec<Planned>, StoreError> {
    let announced = store.read(|db| windows::announced(db))?;
    let known: HashSet<String> = announced.iter().map(Announced::window_id).collect();
    let imported = inventory.maintenance.iter().filter(|window| !known.contains(&window.id)).map(|window| Planned {
        reason: window.reason.clone(),
        covers: String::new(),
        from: Some(Time(window.span.0)),
        until: Some(Time(window.span.1)),
        weekly: window.repeat == Repeat::Weekly,
        announced: Some(Time(window.announced_at)),
        by: None,
        open: None,
        ended: None,
    });
    Ok(announced.into_iter().map(|one| line(one, now)).chain(imported).collect())
}

fn line(one: Announced, now: UnixMs) -> Planned {
    Planned {
        open: (!one.is_over(now)).then_some(one.id),
        covers: one.what.covers.join(" "),
        reason: one.what.reason,
        from: Some(Time(one.what.span.0)),
        until: Some(Time(one.what.span.1)),
        weekly: one.what.weekly,
        announced: Some(Time(one.at)),
        by: Some(one.by),
        ended: one.ended_at.map(Time),
    }
}

/// A filled-in form: `what` is `add` or `end`.
#[derive(Debug, Deserialize)]
pub struct WorkForm {
    #[serde(default)]
    csrf: String,
    what: String,
    #[serde(default)]
    id: i64,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    from: String,
    #[serde(default)]
    until: String,
    #[serde(default)]
    weekly: Option<String>,
    #[serde(default)]
    covers: String,
}

/// Announces planned work, or ends it.
pub async fn change(State(web): State<WebState>, asked: Asked, Form(form): Form<WorkForm>) -> Response {
    if let Err(refusal) = may_govern(&asked, &form.csrf) {
        return refusal;
    }
    let (actor, inventory, store, now) = (asked.visitor.actor(), web.snapshot().inventory.clone(), web.store.clone(), asked.at);
    let done = tokio::task::spawn_blocking(move || match form.what.as_str() {
        "end" => windows::end(&store, form.id, &actor, now),
        _ => {
            let what = announcement(&form).map_err(StoreError::Refused)?;
            windows::announce(&store, &inventory, &what, &actor, now).map(drop)
        }
    });
    match done.await {
        Ok(Ok(())) => {
            web.take_up().await;
            (StatusCode::SEE_OTHER, [(LOCATION, "/admin#work")]).into_response()
        }
        Ok(Err(StoreError::Refused(reason))) => errors::refused_page(&asked, &reason),
        Ok(Err(error)) => asked.failed(&error),
        Err(error) => asked.failed(&error),
    }
}

/// Reads what the form announces; spaces or commas part what it covers.
fn announcement(form: &WorkForm) -> Result<Announcement, String> {
    let time = |name: &str, text: &str| moment(text.trim()).map_err(|why| format!("{name}: {why}"));
    Ok(Announcement {
        reason: form.reason.clone(),
        span: (time("from", &form.from)?, time("until", &form.until)?),
        weekly: form.weekly.is_some(),
        covers: form.covers.split([' ', ',', '،', '\n', '\r']).filter(|part| !part.is_empty()).map(str::to_owned).collect(),
    })
}
