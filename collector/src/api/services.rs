//! `/api/v1/services`.

use axum::extract::State;
use axum::response::Response;

use super::answer::List;
use super::{Caller, Problem};
use crate::view::{ServiceRow, services};
use crate::web::WebState;

/// Lists the active e-services with what their vantage points see.
#[utoipa::path(get, path = "/api/v1/services", tag = "services",
    responses((status = 200, body = List<ServiceRow>), (status = 304), (status = 401, response = Problem)))]
pub(super) async fn list(State(web): State<WebState>, caller: Caller) -> Response {
    let snapshot = web.snapshot();
    caller.answer(&List { items: services(&snapshot, caller.visitor.sight(&snapshot)), next: None })
}
