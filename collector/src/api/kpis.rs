//! `/api/v1/kpis`.

use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::answer::{Asking, List};
use super::{Caller, Problem};
use crate::kpi::explain::Row;
use crate::kpi::{Breakdown, Figure, Weight};
use crate::persian::Period;
use crate::view::{DefinitionView, FigureView};
use crate::web::WebState;
use crate::web::figures::{Question, explained, figures};

/// Which figures.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct KpisQuery {
    /// Id of the KPI, also with a version, such as `sla_pass_share@1`; all of them if not given.
    #[serde(default)]
    #[param(nullable = false, example = "connected_share_now")]
    id: Option<String>,
    /// Code of a region; every region level above the village if not given.
    #[serde(default)]
    #[param(nullable = false)]
    region: Option<String>,
    /// `now` (default), `24h`, `1405`, `1405-q3`, `1405-08`, `1405-08-30` or `1405-08-30w`.
    #[serde(default)]
    #[param(nullable = false, example = "24h")]
    period: Option<String>,
    /// `village` (default), `household` or `population`.
    #[serde(default)]
    #[param(nullable = false, example = "household")]
    weight: Option<String>,
    /// Break down by `region` (the region's children), `band`, `operator`, `technology`, `site_kind`, `cause`, `service`,
    /// `network`, `cohort`, `responsible` or `kpi`; figures without that breakdown are left out.
    #[serde(default)]
    #[param(nullable = false, example = "region")]
    by: Option<String>,
}

/// Lists figures with their bounds, numerator, denominator and definition.
#[utoipa::path(get, path = "/api/v1/kpis", params(KpisQuery), tag = "kpis",
    responses((status = 200, body = List<FigureView>), (status = 304), (status = 400, response = Problem), (status = 401, response = Problem), (status = 404, response = Problem),
    (status = 503, response = Problem)))]
pub(super) async fn list(State(web): State<WebState>, caller: Caller, Asking(query): Asking<KpisQuery>) -> Result<Response, Problem> {
    let snapshot = web.snapshot();
    let inventory = &snapshot.inventory;
    let sight = caller.visitor.sight(&snapshot);
    let period: Period = query.period.as_deref().unwrap_or("now").parse().map_err(|fault: String| Problem::invalid("period", fault))?;
    let weight: Weight = query.weight.as_deref().unwrap_or("village").parse().map_err(|fault: String| Problem::invalid("weight", fault))?;
    let named = query.id.as_deref().map(crate::kpi::named).transpose().map_err(|fault| Problem::invalid("id", fault))?;
    let (kpi, version) = named.map_or((None, None), |(kpi, version)| (Some(kpi), version));
    if let (Some(kpi), Some(version)) = (kpi, version) {
        let definitions = web.book.definitions().map_err(|_| Problem::unavailable())?;
        definitions.check(kpi, version).map_err(|fault| Problem::invalid("id", fault))?;
    }
    let region = query.region.as_deref().map(|code| {
        let found = inventory.region_by_code(code).filter(|id| sight.sees_region(inventory, *id));
        found.ok_or_else(|| Problem::not_found(format!("there is no region `{code}`")))
    });
    let by = query.by.as_deref().map(str::parse::<Breakdown>).transpose().map_err(|fault| Problem::invalid("by", fault))?;
    if let (Some(kpi), Some(by)) = (kpi, by) {
        kpi.check_breakdown(by).map_err(|fault| Problem::invalid("by", fault))?;
    }
    let question = Question { kpi, region: region.transpose()?, period, weight, by, version };
    let from = snapshot.clone();
    // A month of a large province takes tens of milliseconds to read; it must not hold up other answers.
    let items = tokio::task::spawn_blocking(move || figures(&web, &from, sight, &question)).await;
    items.map(|items| caller.answer(&List { items, next: None })).map_err(|_| Problem::unavailable())
}

/// Lists every version of every definition, with the terms it stands on.
#[utoipa::path(get, path = "/api/v1/kpis/definitions", tag = "kpis",
    responses((status = 200, body = List<DefinitionView>), (status = 304), (status = 401, response = Problem), (status = 503, response = Problem)))]
pub(super) async fn definitions(State(web): State<WebState>, caller: Caller) -> Result<Response, Problem> {
    let definitions = web.book.definitions().map_err(|_| Problem::unavailable())?;
    let items = definitions.all().iter().map(DefinitionView::from).collect();
    Ok(caller.answer(&List { items, next: None }))
}

/// Which figure, and how its numbers are written.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ExplainQuery {
    /// Id of the KPI, also with a version, such as `saidi@1`.
    id: String,
    /// Code of the region.
    region: String,
    /// `now`, `24h`, `1405`, `1405-q3`, `1405-08`, `1405-08-30` or `1405-08-30w`.
    period: String,
    /// `village` (default), `household` or `population`.
    #[serde(default)]
    #[param(nullable = false)]
    weight: Option<String>,
    /// `json` (default) or `csv`.
    #[serde(default)]
    #[param(nullable = false)]
    form: Option<String>,
}

/// A figure with the rows that made it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ExplanationView {
    /// The figures: one, or one for each part.
    figures: Vec<FigureView>,
    /// The rows; within a part the sum of each column over its divisor is the figure's, exactly.
    rows: Vec<Row>,
}

/// Shows the numbers that made a figure, down to villages and outages; they add up exactly.
#[utoipa::path(get, path = "/api/v1/kpis/explain", params(ExplainQuery), tag = "kpis",
    responses((status = 200, body = ExplanationView), (status = 304), (status = 400, response = Problem), (status = 401, response = Problem), (status = 404, response = Problem),
    (status = 503, response = Problem)))]
pub(super) async fn explain(State(web): State<WebState>, caller: Caller, Asking(query): Asking<ExplainQuery>) -> Result<Response, Problem> {
    let snapshot = web.snapshot();
    let inventory = &snapshot.inventory;
    let sight = caller.visitor.sight(&snapshot);
    let period: Period = query.period.parse().map_err(|fault: String| Problem::invalid("period", fault))?;
    let weight: Weight = query.weight.as_deref().unwrap_or("village").parse().map_err(|fault: String| Problem::invalid("weight", fault))?;
    let (kpi, version) = crate::kpi::named(&query.id).map_err(|fault| Problem::invalid("id", fault))?;
    let as_csv = match query.form.as_deref() {
        None | Some("json") => false,
        Some("csv") => true,
        Some(other) => return Err(Problem::invalid("form", format!("`{other}` is neither json nor csv"))),
    };
    if let Some(version) = version {
        let definitions = web.book.definitions().map_err(|_| Problem::unavailable())?;
        definitions.check(kpi, version).map_err(|fault| Problem::invalid("id", fault))?;
    }
    let found = inventory.region_by_code(&query.region).filter(|id| sight.sees_region(inventory, *id));
    let region = found.ok_or_else(|| Problem::not_found(format!("there is no region `{}`", query.region)))?;
    let question = Question { kpi: Some(kpi), region: Some(region), period, weight, by: None, version };
    let from = snapshot.clone();
    let explained = tokio::task::spawn_blocking(move || explained(&web, &from, kpi, &question)).await;
    let (explained, at) = explained.map_err(|_| Problem::unavailable())?.ok_or_else(Problem::unavailable)?;
    if as_csv {
        let bytes = explained.csv().map_err(|_| Problem::unavailable())?;
        let name = format!("attachment; filename=\"{}-{}-{period}.csv\"", kpi.id, query.region);
        return Ok(([(CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()), (CONTENT_DISPOSITION, name)], bytes).into_response());
    }
    let located = |figure: &Figure| inventory.region_by_code(&figure.region).map(|id| FigureView::of(inventory, id, figure, at));
    let figures = explained.figures.iter().filter_map(located).collect();
    Ok(caller.answer(&ExplanationView { figures, rows: explained.rows }))
}
