//! `/metrics`: Prometheus' text, or OpenMetrics where it is asked for, for whoever may use the API, as far as they see.
//!
//! ```text
//! health     the collector about itself: registry, checks, engine lag, queues
//! coverage   KPIs by region, villages, sites, links and agents by state and county     (their region only)
//! probes     last rounds under blackbox_exporter's names                               (their region only)
//! ```
//! What is not known has no sample, or stands under a state of its own; it is never 0. Series are bounded: regions down to
//! the county, states by county, probes of the sites that stand in no village. `/metrics?site=CODE` gives the probes of any
//! one site instead, which is how blackbox_exporter is asked too.

mod coverage;
mod health;
mod probes;

use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, CONTENT_TYPE, VARY};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::answer::Asking;
use super::{Caller, Problem};
use crate::engine::Snapshot;
use crate::kpi::Weight;
use crate::persian::Period;
use crate::telemetry::{Exposition, Format, Telemetry};
use crate::view::{FigureView, Sight};
use crate::web::WebState;
use crate::web::figures::{Question, figures};

/// How long the figures of the month are kept: they move with days, and all of them take a second of a large province.
const MONTH_KEPT_MS: i64 = 300_000;

/// Which metrics.
#[derive(Debug, Deserialize)]
pub(super) struct MetricsQuery {
    /// Code of a site: its probes and nothing else.
    site: Option<String>,
}

/// What a scrape stands on; clones share it.
#[derive(Clone)]
pub(super) struct Metrics {
    telemetry: Telemetry,
    month: Arc<Mutex<Option<Month>>>,
}

/// The figures of a month as they stood in a stretch of [`MONTH_KEPT_MS`].
struct Month {
    period: Period,
    stretch: i64,
    figures: Arc<Vec<FigureView>>,
}

impl Metrics {
    pub(super) fn new(telemetry: Telemetry) -> Self {
        Metrics { telemetry, month: Arc::default() }
    }

    /// Answers a scrape.
    pub(super) async fn scrape(
        self,
        State(web): State<WebState>,
        caller: Caller,
        headers: HeaderMap,
        query: Asking<MetricsQuery>,
    ) -> Result<Response, Problem> {
        let snapshot = web.snapshot();
        let sight = caller.visitor.sight(&snapshot);
        let Asking(MetricsQuery { site }) = query;
        let format = Format::accepted(headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default());
        let writing = tokio::task::spawn_blocking(move || match site {
            None => self.everything(&web, &snapshot, sight),
            Some(code) => one_site(&web, &snapshot, sight, &code),
        });
        let text = writing.await.map_err(|_| Problem::unavailable())??.finish(format);
        Ok(([(CONTENT_TYPE, format.media_type()), (VARY, "accept")], text).into_response())
    }

    fn everything(&self, web: &WebState, snapshot: &Snapshot, sight: Sight) -> Result<Exposition, Problem> {
        let mut out = Exposition::default();
        let failed = |error: &dyn std::error::Error| {
            tracing::error!(%error, "metrics not written");
            Problem::unavailable()
        };
        self.telemetry.write(&mut out).map_err(|error| failed(&error))?;
        health::write(&mut out, web, snapshot).map_err(|error| failed(&error))?;
        let now = Weight::ALL.iter().flat_map(|weight| {
            let question = Question { kpi: None, region: None, period: Period::Now, weight: *weight, by: None, version: None };
            figures(web, snapshot, Sight::Everything, &question)
        });
        let now: Vec<_> = now.collect();
        coverage::write_kpis(&mut out, snapshot, sight, &now, "now");
        coverage::write_kpis(&mut out, snapshot, sight, &self.month(web, snapshot), "month");
        coverage::write_states(&mut out, snapshot, sight);
        probes::write(&mut out, web, snapshot, sight);
        Ok(out)
    }

    /// Returns every figure of the running month, computed at most once in [`MONTH_KEPT_MS`].
    fn month(&self, web: &WebState, snapshot: &Snapshot) -> Arc<Vec<FigureView>> {
        let (period, stretch) = (Period::month_at(snapshot.at), snapshot.at.0.div_euclid(MONTH_KEPT_MS));
        // Held while computing, so that two scrapes at once compute once.
        let mut kept = self.month.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(month) = kept.as_ref().filter(|month| (month.period, month.stretch) == (period, stretch)) {
            return Arc::clone(&month.figures);
        }
        let question = Question { kpi: None, region: None, period, weight: Weight::Village, by: None, version: None };
        let computed = Arc::new(figures(web, snapshot, Sight::Everything, &question));
        *kept = Some(Month { period, stretch, figures: Arc::clone(&computed) });
        computed
    }
}

fn one_site(web: &WebState, snapshot: &Snapshot, sight: Sight, code: &str) -> Result<Exposition, Problem> {
    let inventory = &snapshot.inventory;
    let site = inventory.site_by_code(code).filter(|id| sight.sees_site(inventory, *id));
    let site = site.ok_or_else(|| Problem::not_found(format!("there is no site `{code}`")))?;
    let mut out = Exposition::default();
    probes::write_site(&mut out, web, snapshot, site);
    Ok(out)
}
