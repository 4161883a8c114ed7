//! `/api/v1/regions`.

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use utoipa::IntoParams;

use super::answer::{Asking, List, checked_limit};
use super::{Caller, Problem};
use crate::inventory::{RegionId, RegionKind};
use crate::view::{RegionRow, Tally};
use crate::web::WebState;

/// Which regions.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct RegionsQuery {
    /// Code of a region; those directly inside it.
    #[serde(default)]
    #[param(nullable = false)]
    parent: Option<String>,
    /// Level: province, county, district, rural_district, city or village.
    #[serde(default)]
    #[param(nullable = false, example = "county")]
    kind: Option<String>,
    /// Cursor from the page before.
    #[serde(default)]
    #[param(nullable = false)]
    cursor: Option<String>,
    /// Rows to return, 1 to 1000.
    #[serde(default)]
    #[param(minimum = 1, maximum = 1000, nullable = false, example = 20)]
    limit: Option<usize>,
}

/// Lists regions with what they contain, by state.
#[utoipa::path(get, path = "/api/v1/regions", params(RegionsQuery), tag = "regions",
    responses((status = 200, body = List<RegionRow>), (status = 304), (status = 400, response = Problem), (status = 401, response = Problem),
    (status = 404, response = Problem)))]
pub(super) async fn list(State(web): State<WebState>, caller: Caller, Asking(query): Asking<RegionsQuery>) -> Result<Response, Problem> {
    let snapshot = web.snapshot();
    let inventory = &snapshot.inventory;
    let sight = caller.visitor.sight(&snapshot);
    let kind: Option<RegionKind> =
        query.kind.as_deref().map(str::parse).transpose().map_err(|fault: String| Problem::invalid("kind", fault))?;
    let seen_region = |code: &str| inventory.region_by_code(code).filter(|id| sight.sees_region(inventory, *id));
    let parent = query.parent.as_deref().map(|code| {
        let found = seen_region(code);
        found.ok_or_else(|| Problem::not_found(format!("there is no region `{code}`")))
    });
    let parent = parent.transpose()?;
    let limit = checked_limit(query.limit)?;
    let after = query.cursor.as_deref().map(seen_region);
    let after = after.map(|found| found.ok_or_else(Problem::cursor)).transpose()?;
    let tally = Tally::of(&snapshot);
    let mut matching = (0..)
        .map(RegionId)
        .zip(&inventory.regions)
        .filter(|(id, region)| {
            kind.is_none_or(|kind| region.kind == kind)
                && parent.is_none_or(|parent| region.parent == Some(parent))
                && after.is_none_or(|after| *id > after)
                && sight.sees_region(inventory, *id)
        })
        .map(|(id, _)| id);
    let page: Vec<_> = matching.by_ref().take(limit).collect();
    let next = page.last().filter(|_| matching.next().is_some()).map(|id| inventory.region(*id).code.clone());
    let items = page.into_iter().map(|id| RegionRow::of(inventory, &tally, id)).collect();
    Ok(caller.answer(&List { items, next }))
}
