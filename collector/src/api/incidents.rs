//! `/api/v1/incidents`.

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::answer::{Asking, List, Named, checked_limit};
use super::{Caller, Problem};
use crate::store::StoreError;
use crate::view::{AffectedRow, IncidentRow, StoryLine};
use crate::web::WebState;
use crate::web::incidents::{self, After, Order};

/// Which incidents.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct IncidentsQuery {
    /// `open` (default) or `all`.
    #[serde(default)]
    #[param(nullable = false, example = "all")]
    state: Option<String>,
    /// Cursor from the page before.
    #[serde(default)]
    #[param(nullable = false, minimum = 0)]
    cursor: Option<i64>,
    /// Rows to return, 1 to 1000.
    #[serde(default)]
    #[param(minimum = 1, maximum = 1000, nullable = false, example = 20)]
    limit: Option<usize>,
}

/// One incident with its affected links and its story.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct IncidentAnswer {
    /// The incident.
    #[serde(flatten)]
    incident: IncidentRow,
    /// Its links.
    affected: Vec<AffectedRow>,
    /// What happened and what people did, oldest first.
    story: Vec<StoryLine>,
}

/// Lists incidents, newest first: in an order that holds still while some of them end.
#[utoipa::path(get, path = "/api/v1/incidents", params(IncidentsQuery), tag = "incidents",
    responses((status = 200, body = List<IncidentRow>), (status = 304), (status = 400, response = Problem), (status = 401, response = Problem),
    (status = 503, response = Problem)))]
pub(super) async fn list(State(web): State<WebState>, caller: Caller, Asking(query): Asking<IncidentsQuery>) -> Result<Response, Problem> {
    let limit = checked_limit(query.limit)?;
    let order = match query.state.as_deref() {
        None | Some("open") => Order::Open,
        Some("all") => Order::Newest,
        Some(other) => return Err(Problem::invalid("state", format!("`{other}` is neither open nor all"))),
    };
    let snapshot = web.snapshot();
    let cursor = query.cursor.map(u64::try_from).transpose().map_err(|_| Problem::cursor())?;
    let after = cursor.map(|id| After { id, over: false });
    let sight = caller.visitor.sight(&snapshot);
    // One more than asked for tells whether there is another page.
    let mut rows = incidents::list(&web, &snapshot, sight, order, after, limit + 1).map_err(|e| unread(&e))?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(|row| row.id.to_string());
    Ok(caller.answer(&List { items: rows, next }))
}

/// Describes one incident.
#[utoipa::path(get, path = "/api/v1/incidents/{id}", params(("id" = u64, Path, description = "Number of the incident")), tag = "incidents",
    responses((status = 200, body = IncidentAnswer), (status = 304), (status = 401, response = Problem), (status = 404, response = Problem),
    (status = 503, response = Problem)))]
pub(super) async fn one(State(web): State<WebState>, caller: Caller, Named(id): Named) -> Result<Response, Problem> {
    let missing = || Problem::not_found(format!("there is no incident `{id}`"));
    let number: u64 = id.parse().map_err(|_| missing())?;
    let snapshot = web.snapshot();
    let found = incidents::one(&web, &snapshot, caller.visitor.sight(&snapshot), number).map_err(|e| unread(&e))?;
    let detail = found.ok_or_else(missing)?;
    Ok(caller.answer(&IncidentAnswer { incident: detail.row, affected: detail.affected, story: detail.story }))
}

fn unread(error: &StoreError) -> Problem {
    tracing::error!(%error, "incidents not read");
    Problem::unavailable()
}
