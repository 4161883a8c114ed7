//! The collector about itself: one metrics registry, liveness, and readiness as a list of reasons not to be ready.
//! `/metrics` itself is the API's: what it says of regions depends on who asks.

mod exposition;

use std::sync::{Arc, PoisonError, RwLock};

use axum::Router;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::get;
use prometheus_client::registry::Registry;

pub use exposition::{Exposition, Family, Format, Kind};

type Ask = Box<dyn Fn() -> Option<String> + Send + Sync>;

/// The registry and the checks; clones share them.
#[derive(Clone, Default)]
pub struct Telemetry {
    registry: Arc<RwLock<Registry>>,
    checks: Arc<RwLock<Vec<(&'static str, Ask)>>>,
}

impl Telemetry {
    /// Registers metrics.
    pub fn register<T>(&self, register: impl FnOnce(&mut Registry) -> T) -> T {
        register(&mut self.registry.write().unwrap_or_else(PoisonError::into_inner))
    }

    /// Adds a check to readiness: `ask` returns why the collector is not ready, if so.
    pub fn add_check(&self, name: &'static str, ask: impl Fn() -> Option<String> + Send + Sync + 'static) {
        self.checks.write().unwrap_or_else(PoisonError::into_inner).push((name, Box::new(ask)));
    }

    /// Lists why the collector is not ready; empty when it is.
    pub fn not_ready(&self) -> Vec<String> {
        let checks = self.checks.read().unwrap_or_else(PoisonError::into_inner);
        checks.iter().filter_map(|(name, ask)| ask().map(|reason| format!("{name}: {reason}"))).collect()
    }

    /// Writes every registered metric, and for each check whether it passes.
    ///
    /// # Errors
    /// A metric that cannot be written.
    pub fn write(&self, out: &mut Exposition) -> Result<(), std::fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode_registry(&mut text, &self.registry.read().unwrap_or_else(PoisonError::into_inner))?;
        out.absorb(&text);
        let mut passed = out.family("rusta_check_passed", Kind::Gauge, "Whether a check of readiness passes");
        for (name, ask) in self.checks.read().unwrap_or_else(PoisonError::into_inner).iter() {
            passed.add(&[("check", name)], if ask().is_none() { 1.0 } else { 0.0 });
        }
        Ok(())
    }

    /// Returns the routes `/healthz` and `/readyz`.
    pub fn router(&self) -> Router {
        let ready = self.clone();
        Router::new()
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/readyz", get(move || async move { readiness(&ready.not_ready()) }))
    }
}

fn readiness(reasons: &[String]) -> impl IntoResponse + use<> {
    if reasons.is_empty() { (StatusCode::OK, "ready\n".to_owned()) } else { (StatusCode::SERVICE_UNAVAILABLE, reasons.join("\n") + "\n") }
}
