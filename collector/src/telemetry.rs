//! The collector about itself: one metrics registry, liveness, and readiness as a list of reasons not to be ready.

use std::sync::{Arc, PoisonError, RwLock};

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use prometheus_client::registry::Registry;

/// The media type of OpenMetrics text.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

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

    /// Writes every metric as OpenMetrics text.
    ///
    /// # Errors
    /// A metric that cannot be written.
    pub fn metrics(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry.read().unwrap_or_else(PoisonError::into_inner))?;
        Ok(text)
    }

    /// Returns the routes `/healthz`, `/readyz` and `/metrics`.
    pub fn router(&self) -> Router {
        let (ready, metrics) = (self.clone(), self.clone());
        Router::new()
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/readyz", get(move || async move { readiness(&ready.not_ready()) }))
            .route("/metrics", get(move || async move { metrics_text(&metrics) }))
    }
}

fn readiness(reasons: &[String]) -> impl IntoResponse + use<> {
    if reasons.is_empty() { (StatusCode::OK, "ready\n".to_owned()) } else { (StatusCode::SERVICE_UNAVAILABLE, reasons.join("\n") + "\n") }
}

fn metrics_text(telemetry: &Telemetry) -> impl IntoResponse + use<> {
    match telemetry.metrics() {
        Ok(text) => (StatusCode::OK, [(header::CONTENT_TYPE, OPEN_METRICS)], text),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, [(header::CONTENT_TYPE, "text/plain")], error.to_string()),
    }
}
