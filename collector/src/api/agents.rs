//! `/api/v1/agents`.

use axum::extract::State;
use axum::response::Response;
use rusta_wire::AgentId;
use serde::Deserialize;
use utoipa::IntoParams;

use super::answer::{Asking, List, checked_limit};
use super::{Caller, Problem};
use crate::engine::AgentState;
use crate::view::{AgentFilter, AgentRow, agents};
use crate::web::WebState;
use crate::web::agents::complete;

/// Which agents.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct AgentsQuery {
    /// reporting, late, silent, buffered or never_seen.
    #[serde(default)]
    #[param(nullable = false, example = "silent")]
    state: Option<String>,
    /// Cursor from the page before.
    #[serde(default)]
    #[param(nullable = false)]
    cursor: Option<String>,
    /// Rows to return, 1 to 1000.
    #[serde(default)]
    #[param(minimum = 1, maximum = 1000, nullable = false, example = 20)]
    limit: Option<usize>,
}

/// Lists agents in the order of their ids.
#[utoipa::path(get, path = "/api/v1/agents", params(AgentsQuery), tag = "agents",
    responses((status = 200, body = List<AgentRow>), (status = 304), (status = 400, response = Problem), (status = 401, response = Problem),
    (status = 503, response = Problem)))]
pub(super) async fn list(State(web): State<WebState>, caller: Caller, Asking(query): Asking<AgentsQuery>) -> Result<Response, Problem> {
    let snapshot = web.snapshot();
    let limit = checked_limit(query.limit)?;
    let after = query.cursor.as_deref().map(str::parse::<AgentId>).transpose().map_err(|_| Problem::cursor())?;
    let state: Option<AgentState> =
        query.state.as_deref().map(str::parse).transpose().map_err(|fault: String| Problem::invalid("state", fault))?;
    let filter = AgentFilter { states: state.into_iter().collect(), ..AgentFilter::default() };
    let mut rows = agents(&snapshot, caller.visitor.sight(&snapshot), &filter);
    rows.sort_by(|a, b| a.id.cmp(&b.id));
    rows.retain(|row| after.is_none_or(|after| row.id > after.to_string()));
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(|row| row.id.clone());
    complete(&web, &mut rows).map_err(|error| {
        tracing::error!(%error, "register of agents not read");
        Problem::unavailable()
    })?;
    Ok(caller.answer(&List { items: rows, next }))
}
