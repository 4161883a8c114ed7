//! The agents: who reports, who is late, who is silent.

use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;
use serde::Deserialize;

use crate::engine::AgentState;
use crate::persian::{Named, words};
use crate::view::{AgentFilter, AgentRow, agents};
use crate::web::asked::Asked;
use crate::web::page::{Page, Section};
use crate::web::state::WebState;

/// Rows of a page: a page stays below 60 KB. Those in trouble stand first.
const ROWS: usize = 60;

#[derive(Template)]
#[template(path = "agents.html")]
struct AgentsPage {
    p: Page,
    tabs: Vec<Tab>,
    rows: Vec<AgentRow>,
    more: usize,
}

struct Tab {
    title: &'static str,
    href: String,
    chosen: bool,
    count: usize,
}

/// Which agents.
#[derive(Debug, Default, Deserialize)]
pub struct Which {
    #[serde(default)]
    state: String,
}

/// Lists agents.
pub async fn list(State(web): State<WebState>, asked: Asked, Query(which): Query<Which>) -> Response {
    let snapshot = web.snapshot();
    let sight = asked.sight(&snapshot);
    let all = agents(&snapshot, sight, &AgentFilter::default());
    let chosen: Option<AgentState> = which.state.parse().ok();
    let lang = asked.prefs.lang;
    let tab = |state: Option<AgentState>| Tab {
        title: state.map_or(words(lang).all, |state| state.label(lang)),
        href: state.map_or_else(|| "/agents".to_owned(), |state| format!("/agents?state={state}")),
        chosen: state == chosen,
        count: all.iter().filter(|row| state.is_none_or(|state| row.state == state)).count(),
    };
    let tabs = std::iter::once(None).chain(AgentState::ALL.iter().copied().map(Some)).map(tab).collect();
    let mut rows: Vec<_> = all.into_iter().filter(|row| chosen.is_none_or(|state| row.state == state)).collect();
    let more = rows.len().saturating_sub(ROWS);
    rows.truncate(ROWS);
    let mut p = asked.page(Section::Agents, words(lang).agents).refreshing(30);
    p.at = snapshot.at.max(asked.at);
    asked.show(&AgentsPage { p, tabs, rows, more })
}
