//! `/api/v1/declared`.

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use utoipa::IntoParams;

use super::answer::{Asking, List};
use super::{Caller, Problem};
use crate::view::{DeclaredView, declared};
use crate::web::WebState;

/// Of which region.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct DeclaredQuery {
    /// Code of a region; every region above the village if not given.
    #[serde(default)]
    #[param(nullable = false)]
    region: Option<String>,
}

/// Lists announced figures with their date and source, measured or not; what later ones replaced too.
#[utoipa::path(get, path = "/api/v1/declared", params(DeclaredQuery), tag = "kpis",
    responses((status = 200, body = List<DeclaredView>), (status = 304), (status = 400, response = Problem), (status = 401, response = Problem),
    (status = 404, response = Problem)))]
pub(super) async fn list(State(web): State<WebState>, caller: Caller, Asking(query): Asking<DeclaredQuery>) -> Result<Response, Problem> {
    let snapshot = web.snapshot();
    let inventory = &snapshot.inventory;
    let sight = caller.visitor.sight(&snapshot);
    let region = query.region.as_deref().map(|code| {
        let found = inventory.region_by_code(code).filter(|id| sight.sees_region(inventory, *id));
        found.ok_or_else(|| Problem::not_found(format!("there is no region `{code}`")))
    });
    let items = declared(&snapshot, sight, region.transpose()?);
    Ok(caller.answer(&List { items, next: None }))
}
