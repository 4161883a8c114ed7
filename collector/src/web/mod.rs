//! The pages: server-rendered HTML in Persian and English, readable without script, from no other origin.
//!
//! ```text
//! request -> Asked { visitor, prefs } -> view (pure) -> template -> HTML
//! ```
//! A page never computes: what it prints comes from `view` and `kpi`, and the API gives the same structs as JSON.

pub mod agents;
mod archive;
mod asked;
mod assets;
mod body;
pub mod door;
pub mod figures;
pub mod geo;
mod guard;
mod html;
pub mod incidents;
mod kept;
mod page;
mod pages;
mod prefs;
mod state;
mod svg;
mod tone;

pub use archive::site_past;
pub use asked::Asked;
pub use html::escape;
pub use pages::kpis::in_unit;
pub use pages::sites::SitesQuery;
pub use state::WebState;
pub use svg::qr;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};
use tower_http::compression::CompressionLayer;

/// Everything people reach, and what machines reach beside it (`api::routes()`), behind one set of headers.
pub fn router(state: WebState, machines: Router<WebState>) -> Router {
    Router::new()
        .route("/", get(pages::overview::home))
        .route("/regions/{code}", get(pages::overview::region))
        .route("/map/{code}", get(pages::map::picture))
        .route("/sites", get(pages::sites::list))
        .route("/sites.csv", get(pages::export::csv))
        .route("/sites.xlsx", get(pages::export::xlsx))
        .route("/sites/{code}", get(pages::site::detail))
        .route("/agents", get(pages::agents::list))
        .route("/incidents", get(pages::incidents::list))
        .route("/incidents/{id}", get(pages::incidents::one).post(pages::incidents::work))
        .route("/kpis", get(pages::kpis::list))
        .route("/kpis/dictionary", get(pages::dictionary::page))
        .route("/kpis/{id}", get(pages::kpi::one))
        .route("/report/{form}", get(pages::report::file))
        .route("/services", get(pages::services::list))
        .route("/status", get(pages::status::page))
        .route("/admin", get(pages::admin::page))
        .route("/admin/agents", get(pages::identities::page).post(pages::identities::change))
        .route("/admin/audit", get(pages::audit::list))
        .route("/admin/users", post(pages::admin::users))
        .route("/admin/tokens", post(pages::admin::tokens))
        .route("/admin/maintenance", post(pages::maintenance::change))
        .route("/admin/import/check/{ticket}", post(pages::import::check).layer(DefaultBodyLimit::max(pages::import::LARGEST_BODY)))
        .route("/admin/import", get(pages::import::form))
        .route("/admin/import/store", post(pages::import::store))
        .route("/admin/programs", get(pages::programs::page).post(pages::programs::confirm))
        .route("/account", get(pages::account::page))
        .route("/account/password", post(pages::account::password))
        .route("/account/second", post(pages::account::second))
        .route("/account/sessions", post(pages::account::end_session))
        .route("/account/confirm", post(pages::account::confirm))
        .route("/login", get(pages::login::form).post(pages::login::sign_in))
        .route("/login/openid", get(pages::openid::go))
        .route("/login/openid/back", get(pages::openid::back))
        .route("/login/link", get(pages::link::form).post(pages::link::take))
        .route("/logout", post(pages::login::sign_out))
        .route("/static/{name}", get(assets::serve))
        .merge(machines)
        .fallback(pages::errors::not_found)
        .layer(from_fn(body::paced))
        .layer(from_fn_with_state(state.clone(), guard::headers))
        .layer(CompressionLayer::new())
        .with_state(state)
}
