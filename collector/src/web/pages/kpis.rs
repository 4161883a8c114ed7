//! The KPIs: every figure with its bounds, its denominator, its definition and its goal.

use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;
use serde::Deserialize;

use crate::engine::Snapshot;
use crate::inventory::{Inventory, RegionId, RegionKind};
use crate::kpi::{CATALOGUE, Kpi, Unit, Weight};
use crate::persian::{JalaliDate, Lang, Period, decimal, digits, isolate, percent, words};
use crate::view::{FigureView, Sight, roots};
use crate::web::asked::Asked;
use crate::web::figures::{Question, figures};
use crate::web::html::Html;
use crate::web::page::{Entry, Page, Section};
use crate::web::state::WebState;
use crate::web::svg::bounds_bar;

#[derive(Template)]
#[template(path = "kpis.html")]
struct KpisPage {
    p: Page,
    region: String,
    period_title: String,
    rows: Vec<KpiLine>,
    regions: Vec<Entry>,
    periods: Vec<Entry>,
    weights: Vec<Entry>,
    /// What the pages of single KPIs are asked with.
    query: String,
    /// What the report of the region's month is asked with, where there is one and its reader may have it.
    report_query: Option<String>,
}

/// A KPI with its figure in words.
pub(super) struct KpiLine {
    pub(super) kpi: &'static Kpi,
    pub(super) figure: Option<FigureView>,
    pub(super) is_known: bool,
    pub(super) value: String,
    pub(super) bounds: String,
    pub(super) bar: Html,
    pub(super) goal: Option<String>,
    pub(super) declared: Option<(String, String)>,
}

/// What to show.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Shown {
    #[serde(default)]
    pub(super) region: String,
    #[serde(default)]
    pub(super) period: String,
    #[serde(default)]
    pub(super) weight: String,
}

impl Shown {
    /// Finds the region asked for, or the first somebody sees; `None` if it is not theirs to see.
    pub(super) fn region(&self, inventory: &Inventory, sight: Sight) -> Option<RegionId> {
        match self.region.as_str() {
            "" => roots(inventory, sight).into_iter().next(),
            code => inventory.region_by_code(code).filter(|id| sight.sees_region(inventory, *id)),
        }
    }
}

/// Lists every KPI for one region and period.
pub async fn list(State(web): State<WebState>, asked: Asked, Query(shown): Query<Shown>) -> Response {
    let snapshot = web.snapshot();
    let sight = asked.sight(&snapshot);
    let inventory = &snapshot.inventory;
    let region = shown.region(inventory, sight);
    if region.is_none() && !shown.region.is_empty() {
        return asked.not_found();
    }
    // A month tells most; figures of this moment stand beside those of the period.
    let period: Period = shown.period.parse().unwrap_or_else(|_| Period::month_at(snapshot.at.max(asked.at)));
    let weight: Weight = shown.weight.parse().unwrap_or(Weight::Village);
    let question = Question { kpi: None, region, period, weight, by: None, version: None };
    let (reader, from) = (web.clone(), snapshot.clone());
    let answers = tokio::task::spawn_blocking(move || {
        let mut answers = figures(&reader, &from, sight, &Question { period: Period::Now, ..question });
        if period != Period::Now {
            answers.extend(figures(&reader, &from, sight, &question));
        }
        answers
    });
    let computed = match answers.await {
        Ok(computed) => computed,
        Err(error) => return asked.failed(&error),
    };
    let mut p = asked.page(Section::Kpis, words(asked.prefs.lang).kpis);
    p.at = snapshot.at.max(asked.at);
    let rows =
        CATALOGUE.iter().map(|kpi| line(&p, &snapshot, kpi, region, computed.iter().find(|figure| figure.id == kpi.id).cloned())).collect();
    let report_query = region.filter(|_| asked.visitor.name.is_some() && matches!(period, Period::Month(_)));
    let page = KpisPage {
        report_query: report_query.map(|id| format!("region={}&period={period}", inventory.region(id).code)),
        region: region
            .map_or_else(|| p.w.whole_country.to_owned(), |id| p.name(&inventory.region(id).name_fa, &inventory.region(id).name_en)),
        period_title: period.title(p.lang),
        rows,
        regions: region_entries(&p, &snapshot, sight, region),
        periods: period_entries(&p, period),
        weights: weight_entries(p.lang, weight),
        query: p.here.split_once('?').map_or_else(String::new, |(_, query)| format!("?{query}")),
        p,
    };
    asked.show(&page)
}

/// Puts a figure into words.
pub(super) fn line(p: &Page, snapshot: &Snapshot, kpi: &'static Kpi, region: Option<RegionId>, figure: Option<FigureView>) -> KpiLine {
    let goal = snapshot.inventory.goals.iter().find(|goal| goal.kpi == kpi.id && Some(goal.region) == region);
    let declared = snapshot.inventory.declared.iter().rfind(|d| d.kpi == kpi.id && Some(d.region) == region && d.superseded_by.is_none());
    let show = |value: Option<f64>| value.map_or_else(|| "—".to_owned(), |value| in_unit(value, kpi.unit, p.lang));
    let value = figure.as_ref().and_then(|figure| figure.value);
    let (lo, hi) = figure.as_ref().map_or((None, None), |figure| (figure.lo, figure.hi));
    let is_ratio = kpi.unit == Unit::Ratio;
    KpiLine {
        bar: if is_ratio && lo.is_some() { bounds_bar(value, lo, hi, goal.map(|goal| goal.value), kpi.id) } else { Html::default() },
        is_known: value.is_some(),
        value: match &figure {
            Some(figure) if figure.value.is_some() => show(figure.value),
            Some(figure) => p.standing(&figure.standing).to_owned(),
            None => "—".to_owned(),
        },
        bounds: if lo.is_some() && lo != hi { format!("{} {} {}", show(lo), p.w.range_to, show(hi)) } else { String::new() },
        goal: goal.map(|goal| announced(goal.value, kpi.unit, p.lang)),
        declared: declared.map(|d| (announced(d.value, kpi.unit, p.lang), format!("{} {}", jalali(&d.as_of, p.lang), d.publisher))),
        kpi,
        figure,
    }
}

/// Writes an announced value: for a share, people also announce how many it is about.
fn announced(value: f64, unit: Unit, lang: Lang) -> String {
    let unit = if unit == Unit::Ratio && value > 1.0 { Unit::Count } else { unit };
    in_unit(value, unit, lang)
}

/// Writes a Gregorian day of the registry as people read it; what is no day stays as it is.
pub(super) fn jalali(day: &str, lang: Lang) -> String {
    day.parse().map_or_else(|_| digits(day, lang), |date| JalaliDate::of_gregorian(date).in_figures(lang))
}

/// Writes a value in its unit.
pub fn in_unit(value: f64, unit: Unit, lang: Lang) -> String {
    let places = if value.fract() == 0.0 { 0 } else { 1 };
    match unit {
        Unit::Ratio => percent(value, lang),
        Unit::Points => crate::persian::points(value, lang),
        Unit::Count => decimal(value, places, lang),
        Unit::Minutes => format!("{} {}", decimal(value, places, lang), lang.pick("دقیقه", "min")),
        Unit::Hours => format!("{} {}", decimal(value, 1, lang), lang.pick("ساعت", "h")),
        Unit::Milliseconds => format!("{} {}", decimal(value, places, lang), lang.pick("م‌ث", "ms")),
        Unit::Mbps => isolate(&format!("{} Mbps", decimal(value, 1, lang))),
        Unit::Mos => decimal(value, 2, lang),
    }
}

/// Offers provinces and counties, and what is chosen.
pub(super) fn region_entries(p: &Page, snapshot: &Snapshot, sight: Sight, chosen: Option<RegionId>) -> Vec<Entry> {
    let inventory = &snapshot.inventory;
    let ids = (0..).map(RegionId).zip(&inventory.regions);
    let offered = ids.filter(|(id, region)| matches!(region.kind, RegionKind::Province | RegionKind::County) || chosen == Some(*id));
    offered
        .filter(|(id, _)| sight.sees_region(inventory, *id))
        .map(|(id, region)| Entry {
            value: region.code.clone(),
            text: p.name(&region.name_fa, &region.name_en),
            chosen: chosen == Some(id),
        })
        .collect()
}

/// Offers now, the last 24 hours, today, this week, and this month and the twelve before it.
pub(super) fn period_entries(p: &Page, chosen: Period) -> Vec<Entry> {
    let today = JalaliDate::at(p.at);
    let months = (0..=12).map(|back| Period::Month(today.month_start(-back)));
    let periods = [Period::Now, Period::Last24h, Period::Day(today), Period::week_of(today)]
        .into_iter()
        .chain(months)
        .chain([Period::Year(today.year())]);
    let mut periods: Vec<_> = periods.collect();
    if !periods.contains(&chosen) {
        periods.push(chosen);
    }
    periods.into_iter().map(|period| Entry { value: period.to_string(), text: period.title(p.lang), chosen: period == chosen }).collect()
}

/// Offers the weights.
pub(super) fn weight_entries(lang: Lang, chosen: Weight) -> Vec<Entry> {
    let name = |weight: Weight| match weight {
        Weight::Village => words(lang).village,
        Weight::Household => words(lang).households,
        Weight::Population => words(lang).population,
    };
    Weight::ALL
        .iter()
        .map(|weight| Entry { value: weight.to_string(), text: name(*weight).to_owned(), chosen: *weight == chosen })
        .collect()
}
