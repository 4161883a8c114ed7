//! The agents' identities: let a second one of a site speak, revoke one, replace it, let a device enrol anew.

use std::time::Duration;

use askama::Template;
use axum::Form;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use rusta_wire::AgentId;
use serde::Deserialize;

use super::admin::{governs, may_endanger};
use super::errors;
use crate::identity::{AgentRecord, IdentityError, Revocation, approve, make_token, records, revoke};
use crate::inventory::dates::moment;
use crate::people::Means;
use crate::persian::words;
use crate::store::StoreError;
use crate::web::asked::Asked;
use crate::web::page::{Page, Section};
use crate::web::state::WebState;
use crate::web::tone::Tone;

/// Agents shown at once; a search finds the others.
const ROWS: usize = 60;

/// How long a token made here can be used: until the technician is there.
const TOKEN_VALIDITY: Duration = Duration::from_secs(86_400);

/// A longer reason is a report.
const LONGEST_REASON: usize = 500;

#[derive(Template)]
#[template(path = "identities.html")]
struct IdentitiesPage {
    p: Page,
    title: &'static str,
    wanted: String,
    rows: Vec<AgentRecord>,
    /// A token with the site it is for, shown this once.
    fresh: Option<(String, String)>,
}

/// Which agents.
#[derive(Debug, Default, Deserialize)]
pub struct Wanted {
    #[serde(default)]
    q: String,
}

/// Lists them.
pub async fn page(State(web): State<WebState>, asked: Asked, Query(wanted): Query<Wanted>) -> Response {
    show(&web, &asked, wanted.q, None)
}

fn show(web: &WebState, asked: &Asked, wanted: String, fresh: Option<(String, String)>) -> Response {
    if !governs(&asked.visitor) {
        return asked.forbidden();
    }
    let rows = match records(&web.store, &wanted, ROWS) {
        Ok(rows) => rows,
        Err(error) => return asked.failed(&error),
    };
    let title = words(asked.prefs.lang).identities;
    asked.show(&IdentitiesPage { p: asked.page(Section::Admin, title), title, wanted, rows, fresh })
}

/// A filled-in form: `what` is `approve`, `revoke`, `replace` (revoke, and a token for another device of the site), or `token`.
#[derive(Debug, Deserialize)]
pub struct Change {
    #[serde(default)]
    csrf: String,
    what: String,
    id: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    since: String,
}

/// Changes what an agent may do.
pub async fn change(State(web): State<WebState>, asked: Asked, Form(form): Form<Change>) -> Response {
    if let Err(refusal) = may_endanger(&asked, &form.csrf) {
        return refusal;
    }
    if asked.visitor.means == Means::Token && ["replace", "token"].contains(&form.what.as_str()) {
        return asked.refuse("a token makes no tokens");
    }
    let (store, actor, now) = (web.store.clone(), asked.visitor.actor(), asked.at);
    let id = form.id.clone();
    let done = tokio::task::spawn_blocking(move || -> Result<Option<(String, String)>, IdentityError> {
        let refused = |why: String| IdentityError::Store(StoreError::Refused(why));
        let agent: AgentId = form.id.trim().parse().map_err(|_| refused(format!("there is no agent {}", form.id)))?;
        let site = match form.what.as_str() {
            "approve" => return approve(&store, agent, &actor, now).map(|_| None).map_err(IdentityError::from),
            "token" => {
                let known = records(&store, &agent.to_string(), 1)?.pop();
                known.ok_or_else(|| refused(format!("there is no agent {agent}")))?.site
            }
            "revoke" | "replace" => {
                let reason = form.reason.trim();
                if reason.is_empty() || reason.chars().count() > LONGEST_REASON {
                    return Err(refused(format!("reason: give one of at most {LONGEST_REASON} characters")));
                }
                let since = match form.since.trim() {
                    "" => None,
                    text => Some(moment(text).map_err(|why| refused(format!("from: {why}")))?),
                };
                if since.is_some_and(|since| since > now) {
                    return Err(refused("from: in the future".to_owned()));
                }
                revoke(&store, agent, Revocation { actor: &actor, at: now, since, reason })?.site
            }
            other => return Err(refused(format!("`{other}` is nothing that can be done to an agent"))),
        };
        if form.what == "revoke" {
            return Ok(None);
        }
        // Whoever asks for it has decided that the device may speak beside the agent the site has.
        let token = make_token(&store, &site, true, &actor, now, TOKEN_VALIDITY)?;
        Ok(Some((site, token)))
    });
    let done = match done.await {
        Ok(done) => done,
        Err(error) => return asked.failed(&error),
    };
    // It holds when the page answers, for connections that are open too.
    if let Some(Err(error)) = web.agents.as_ref().map(|agents| agents.reload(&web.store)) {
        return asked.failed(&error);
    }
    match done {
        // Shown in the answer itself and nowhere else: a redirect would have to keep it.
        Ok(Some(fresh)) => show(&web, &asked, id, Some(fresh)),
        Ok(None) => (StatusCode::SEE_OTHER, [(LOCATION, format!("/admin/agents?q={}", crate::web::html::url_part(&id)))]).into_response(),
        Err(IdentityError::Store(StoreError::Refused(reason))) => errors::refused_page(&asked, &reason),
        Err(error) => asked.failed(&error),
    }
}
