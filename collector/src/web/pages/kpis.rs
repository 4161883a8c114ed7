//! The KPIs: every figure with its bounds, its denominator, its definition and its goal.

use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;
use serde::Deserialize;

use crate::engine::Snapshot;
use crate::inventory::{Declared, Inventory, RegionId, RegionKind, newest};
use crate::kpi::{CATALOGUE, Counted, Kpi, Unit, Weight};
use crate::persian::{JalaliDate, Lang, Named, Period, decimal, digits, isolate, percent, words};
use crate::view::{DeclaredView, FigureView, Sight, declared, roots};
use crate::web::asked::Asked;
use crate::web::figures::{Question, figures};
use crate::web::html::{Html, escape};
use crate::web::page::{Entry, Page, Section};
use crate::web::state::WebState;
use crate::web::svg::{Marks, bounds_bar};

#[derive(Template)]
#[template(path = "kpis.html")]
struct KpisPage {
    p: Page,
    region: String,
    period_title: String,
    rows: Vec<KpiLine>,
    declared: Vec<DeclaredLine>,
    regions: Vec<Entry>,
    periods: Vec<Entry>,
    weights: Vec<Entry>,
    /// What the pages of single KPIs are asked with.
    query: String,
    /// What the report of the region's month is asked with, where there is one and its reader may have it.
    report_query: Option<String>,
}

/// An announced figure in words.
struct DeclaredLine {
    name: Html,
    value: String,
    as_of: String,
    publisher: String,
    source: String,
    holds: bool,
}

/// A KPI with its figure in words.
pub(super) struct KpiLine {
    pub(super) kpi: &'static Kpi,
    pub(super) figure: Option<FigureView>,
    pub(super) is_known: bool,
    pub(super) value: String,
    /// The formula of the version the figure stands on.
    pub(super) formula: (&'static str, &'static str),
    /// Numerator and denominator, and what is not known, with their units; empty where there is nothing to count.
    pub(super) counts: String,
    pub(super) not_known: String,
    /// The third mark with its error, in words.
    pub(super) estimate: Option<String>,
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
        declared: region
            .map_or_else(Vec::new, |id| declared(&snapshot, sight, Some(id)).iter().map(|one| declared_line(&p, one)).collect()),
        rows,
        regions: region_entries(&p, &snapshot, sight, region),
        periods: period_entries(&p, period),
        weights: weight_entries(p.lang, weight),
        query: p.here.split_once('?').map_or_else(String::new, |(_, query)| format!("?{query}")),
        p,
    };
    asked.show(&page)
}

/// Puts an announced figure into words; one that no KPI measures keeps its own name.
fn declared_line(p: &Page, one: &DeclaredView) -> DeclaredLine {
    let name = one.name_fa.zip(one.name_en);
    let own = || p.ltr(&one.kpi);
    let unit = |text: &str| text.parse::<Unit>().ok();
    DeclaredLine {
        name: name.map_or_else(own, |(fa, en)| Html(escape(p.lang.pick(fa, en)))),
        value: unit(&one.unit).map_or_else(|| format!("{} {}", p.count(&one.value), one.unit), |unit| in_unit(one.value, unit, p.lang)),
        as_of: jalali(&one.as_of, p.lang),
        publisher: one.publisher.clone(),
        source: one.source.clone(),
        holds: one.holds,
    }
}

/// Puts a figure into words.
pub(super) fn line(p: &Page, snapshot: &Snapshot, kpi: &'static Kpi, region: Option<RegionId>, figure: Option<FigureView>) -> KpiLine {
    let goal = snapshot.inventory.goals.iter().find(|goal| goal.kpi == kpi.id && Some(goal.region) == region);
    let about = |d: &&Declared| d.kpi == kpi.id && Some(d.region) == region && d.holds_at(snapshot.at);
    let declared = newest(snapshot.inventory.declared.iter().filter(about));
    let unit = figure.as_ref().map_or(kpi.unit, |figure| figure.unit);
    let show = |value: Option<f64>| value.map_or_else(|| "—".to_owned(), |value| in_unit(value, unit, p.lang));
    let estimate = figure.as_ref().and_then(|figure| figure.estimate.zip(figure.estimate_error));
    let value = figure.as_ref().and_then(|figure| figure.value);
    let (lo, hi) = figure.as_ref().map_or((None, None), |figure| (figure.lo, figure.hi));
    let is_ratio = unit == Unit::Ratio;
    let text = figure.as_ref().map_or(*kpi, |figure| kpi.text_of(figure.definition_version));
    let marks = Marks { value, estimate: estimate.map(|(mark, _)| mark), goal: goal.map(|goal| goal.value) };
    KpiLine {
        bar: if is_ratio && lo.is_some() { bounds_bar(marks, lo, hi, kpi.id) } else { Html::default() },
        formula: text.formula,
        counts: figure.as_ref().map_or_else(String::new, |figure| counts(p, figure)),
        not_known: figure.as_ref().map_or_else(String::new, |figure| not_known(p, figure)),
        estimate: estimate.map(|(mark, error)| format!("{} ± {}", in_unit(mark, unit, p.lang), in_unit(error, unit, p.lang))),
        is_known: value.is_some(),
        value: match &figure {
            Some(figure) if figure.value.is_some() => show(figure.value),
            Some(figure) => p.standing(&figure.standing).to_owned(),
            None => "—".to_owned(),
        },
        bounds: if lo.is_some() && lo != hi { format!("{} {} {}", show(lo), p.w.range_to, show(hi)) } else { String::new() },
        goal: goal.map(|goal| announced(goal.value, kpi.unit, p.lang)),
        declared: declared.map(|d| {
            let source = [jalali(&d.as_of, p.lang), d.publisher.clone(), d.source.clone()];
            (in_unit(d.value, d.unit.parse().unwrap_or(kpi.unit), p.lang), source.join(" ").trim_end().to_owned())
        }),
        kpi,
        figure,
    }
}

/// Writes what was counted of what, each in its unit: time in hours, whatever it is weighted by.
pub(super) fn counts(p: &Page, figure: &FigureView) -> String {
    let (numerator, denominator) = (&figure.numerator_unit, &figure.denominator_unit);
    match (figure.numerator > 0.0 || numerator.as_str() != NOTHING, figure.denominator > 0.0) {
        (_, false) => String::new(),
        (true, true) if numerator != NOTHING => {
            let of = counted(p, figure.denominator, denominator);
            let counted = if numerator == denominator {
                plain_count(p, figure.numerator, numerator)
            } else {
                counted(p, figure.numerator, numerator)
            };
            format!("{counted} {} {of}", p.w.of_which)
        }
        _ => counted(p, figure.denominator, denominator),
    }
}

/// Writes what is not known, in its unit; empty if all is.
pub(super) fn not_known(p: &Page, figure: &FigureView) -> String {
    let is_counted_so = !matches!(figure.unit, Unit::Milliseconds | Unit::Mbps | Unit::Mos | Unit::Hours);
    let unit = if is_counted_so && figure.denominator_unit != NOTHING { figure.denominator_unit.as_str() } else { "seconds" };
    if figure.unknown > 0.0 { counted(p, figure.unknown, unit) } else { String::new() }
}

const NOTHING: &str = Counted::Nothing.as_str();

fn counted(p: &Page, number: f64, unit: &str) -> String {
    let word = unit_word(unit, p.lang);
    format!("{} {word}", plain_count(p, number, unit)).trim_end().to_owned()
}

/// Seconds are shown as hours: nobody reads millions of seconds.
fn plain_count(p: &Page, number: f64, unit: &str) -> String {
    if unit.ends_with(Counted::Seconds.as_str()) { decimal(number / 3_600.0, 1, p.lang) } else { p.count(&number) }
}

/// Names the unit of a count, with its weight before it.
pub(super) fn unit_word(unit: &str, lang: Lang) -> String {
    let of = |rest: &str, fa: &str, en: &str| format!("{}{}", lang.pick(fa, en), unit_word(rest, lang));
    if let Some(rest) = unit.strip_prefix("household_") {
        return of(rest, "خانوار × ", "household × ");
    }
    if let Some(rest) = unit.strip_prefix("resident_") {
        return of(rest, "نفر × ", "resident × ");
    }
    match unit {
        "households" => lang.pick("خانوار", "households").to_owned(),
        "residents" => lang.pick("نفر", "residents").to_owned(),
        "seconds" => Counted::Hours.label(lang).to_owned(),
        _ => unit.parse::<Counted>().map_or_else(|_| unit.to_owned(), |counted| counted.label(lang).to_owned()),
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
