//! The API for machines: the structs of `view` as JSON, described by OpenAPI 3.1 at `/openapi.json`.
//!
//! Lists answer `{"items": [...], "next": cursor or null}`; errors are RFC 9457 problems; answers carry an `ETag`, and a
//! client that shows it again gets 304. A person's region scope holds here as on the pages.

// `utoipa::path` names its parameter types by their full path.
#![allow(unused_qualifications)]

mod agents;
mod answer;
mod declared;
mod incidents;
mod kpis;
mod metrics;
mod problem;
mod regions;
mod services;
mod sites;

use axum::Router;
use axum::response::IntoResponse;
use axum::routing::{any, get};
use utoipa::OpenApi;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use answer::Caller;
pub use problem::Problem;

use crate::telemetry::Telemetry;
use crate::web::WebState;

#[derive(OpenApi)]
#[openapi(
    info(title = "Rusta", description = "Coverage KPIs, sites, incidents and agents of village connectivity."),
    modifiers(&BearerTokens),
    components(schemas(Problem), responses(Problem)),
    security(("token" = [])),
)]
struct Description;

struct BearerTokens;

impl utoipa::Modify for BearerTokens {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    }
}

/// Builds the routes of the API, and `/metrics` over what the collector counts.
pub fn routes(telemetry: &Telemetry) -> Router<WebState> {
    let metrics = metrics::Metrics::new(telemetry.clone());
    let scrape = move |web, caller, headers, query| metrics.clone().scrape(web, caller, headers, query);
    let (routes, description) = OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(kpis::list))
        .routes(routes!(kpis::definitions))
        .routes(routes!(kpis::explain))
        .routes(routes!(declared::list))
        .routes(routes!(regions::list))
        .routes(routes!(sites::list))
        .routes(routes!(sites::one))
        .routes(routes!(sites::series))
        .routes(routes!(incidents::list))
        .routes(routes!(incidents::one))
        .routes(routes!(agents::list))
        .routes(routes!(services::list))
        .split_for_parts();
    routes
        .route("/metrics", get(scrape))
        .route("/openapi.json", get(move || async move { axum::Json(description).into_response() }))
        .method_not_allowed_fallback(async || Problem::wrong_method())
        .route("/api/{*rest}", any(nothing))
}

async fn nothing() -> Problem {
    Problem::not_found("there is no such address in the API; /openapi.json lists them")
}

#[cfg(test)]
mod tests;
