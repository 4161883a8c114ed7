//! `/api/v1/sites`, `/api/v1/sites/{code}` and `/api/v1/sites/{code}/series`.

use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use utoipa::IntoParams;

use super::answer::{Asking, List, Named, checked_limit};
use super::{Caller, Problem};
use crate::persian::Window;
use crate::view::{SiteDetail, SitePast, SiteRow, site_detail};
use crate::web::agents::complete;
use crate::web::{SitesQuery, WebState, site_past};

/// Lists sites.
#[utoipa::path(get, path = "/api/v1/sites", params(SitesQuery), tag = "sites",
    responses((status = 200, body = List<SiteRow>), (status = 304), (status = 400, response = Problem), (status = 401, response = Problem)))]
pub(super) async fn list(State(web): State<WebState>, caller: Caller, Asking(query): Asking<SitesQuery>) -> Result<Response, Problem> {
    let snapshot = web.snapshot();
    let limit = checked_limit(query.limit)?;
    let filter =
        query.filter(&snapshot, caller.visitor.sight(&snapshot)).map_err(|(parameter, fault)| Problem::invalid(parameter, fault))?;
    let cursor = Some(query.cursor.as_str()).filter(|cursor| !cursor.is_empty());
    if cursor.is_some_and(|code| snapshot.inventory.site_by_code(code).is_none_or(|site| !caller.visitor.sees_site(&snapshot, site))) {
        return Err(Problem::cursor());
    }
    let slice = crate::view::sites(&snapshot, caller.visitor.sight(&snapshot), &filter, cursor, limit);
    Ok(caller.answer(&List { items: slice.items, next: slice.next }))
}

/// Describes one site with its links, targets and agent.
#[utoipa::path(get, path = "/api/v1/sites/{code}", params(("code" = String, Path, description = "Code of the site")), tag = "sites",
    responses((status = 200, body = SiteDetail), (status = 304), (status = 401, response = Problem), (status = 404, response = Problem),
    (status = 503, response = Problem)))]
pub(super) async fn one(State(web): State<WebState>, caller: Caller, Named(code): Named) -> Result<Response, Problem> {
    let snapshot = web.snapshot();
    let found = site_detail(&snapshot, caller.visitor.sight(&snapshot), &code);
    let mut detail = found.ok_or_else(|| Problem::not_found(format!("there is no site `{code}`")))?;
    complete(&web, detail.agent.as_mut_slice()).map_err(|error| {
        tracing::error!(%error, "register of agents not read");
        Problem::unavailable()
    })?;
    Ok(caller.answer(&detail))
}

/// How far to look back.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct SeriesQuery {
    /// Hours before now, 1 to 8784 (a leap year); 24 if not given.
    #[serde(default)]
    #[param(minimum = 1, maximum = 8784, nullable = false, example = 48)]
    hours: Option<u64>,
}

/// Lists a site's states, outages and round trips over the last hours.
#[utoipa::path(get, path = "/api/v1/sites/{code}/series", params(("code" = String, Path, description = "Code of the site"), SeriesQuery),
    tag = "sites", responses((status = 200, body = SitePast), (status = 304), (status = 400, response = Problem), (status = 401, response = Problem),
    (status = 404, response = Problem), (status = 503, response = Problem)))]
pub(super) async fn series(
    State(web): State<WebState>,
    caller: Caller,
    Named(code): Named,
    Asking(query): Asking<SeriesQuery>,
) -> Result<Response, Problem> {
    let hours = query.hours.unwrap_or(24);
    if !(1..=8784).contains(&hours) {
        return Err(Problem::invalid("hours", "`hours` is 1 to 8784"));
    }
    let snapshot = web.snapshot();
    let found = site_detail(&snapshot, caller.visitor.sight(&snapshot), &code);
    let site = found.ok_or_else(|| Problem::not_found(format!("there is no site `{code}`")))?;
    let until = snapshot.at.max(web.now());
    let window = Window { from: until - Duration::from_secs(hours * 3600), until };
    let past = tokio::task::spawn_blocking(move || site_past(&web, &site, window)).await;
    match past {
        Ok(Ok(past)) => Ok(caller.answer(&past)),
        Ok(Err(error)) => {
            tracing::error!(%error, "site history not read");
            Err(Problem::unavailable())
        }
        Err(_) => Err(Problem::unavailable()),
    }
}
