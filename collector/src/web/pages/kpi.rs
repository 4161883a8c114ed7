//! One KPI: its figure, its months, its parts, its definition and its goal, on one sheet that can be printed.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use serde::Deserialize;

use super::kpis::{self, KpiLine, period_entries, region_entries, weight_entries};
use crate::engine::Snapshot;
use crate::inventory::{Inventory, RegionId};
use crate::kpi::dictionary::{self, Entry as Definition};
use crate::kpi::{self, Breakdown, CATALOGUE, Kpi, Unit, Weight, part_names};
use crate::persian::{JalaliDate, Period, digits};
use crate::view::{FigureView, Sight};
use crate::web::asked::Asked;
use crate::web::figures::{Question, figures};
use crate::web::html::Html;
use crate::web::page::{Choice, Entry, Page, Section};
use crate::web::state::WebState;
use crate::web::svg::{Marks, bounds_bar};

/// Months of the history, for those who ask for it: each is read from its days.
const MONTHS: i32 = 6;

/// Parts shown: more belong into a spreadsheet.
const PARTS: usize = 60;

#[derive(Template)]
#[template(path = "kpi.html")]
struct KpiPage {
    p: Page,
    region: String,
    period_title: String,
    line: KpiLine,
    due: Option<String>,
    months: Vec<PartLine>,
    months_href: Option<String>,
    /// Where the numbers that made the figure are, as CSV and JSON.
    explain_query: String,
    /// What else the definition says, by what it is about.
    said: Vec<(&'static str, String)>,
    example: Option<ExampleShown>,
    parts: Vec<PartLine>,
    more_parts: usize,
    parts_title: &'static str,
    choices: Vec<Choice>,
}

/// A worked example in words.
struct ExampleShown {
    rows: Vec<ExampleRow>,
    sum: String,
}

/// What one object adds in it.
struct ExampleRow {
    of: String,
    code: String,
    has: String,
    numerator: String,
    denominator: String,
    unknown: String,
}

/// A figure of a month or of a part.
struct PartLine {
    name: String,
    href: Option<String>,
    figure: FigureView,
    value: String,
    is_known: bool,
    bounds: String,
    counts: String,
    not_known: String,
    bar: Html,
}

/// What to show.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Shown {
    #[serde(flatten)]
    of: kpis::Shown,
    #[serde(default)]
    by: String,
    /// Whether to read the months too.
    #[serde(default)]
    months: String,
}

/// What the facts answer.
struct Answer {
    figure: Option<FigureView>,
    months: Vec<(Period, FigureView)>,
    parts: Vec<FigureView>,
}

/// Shows one KPI of one region.
pub async fn one(State(web): State<WebState>, asked: Asked, Path(id): Path<String>, Query(shown): Query<Shown>) -> Response {
    let snapshot = web.snapshot();
    let sight = asked.sight(&snapshot);
    let inventory = &snapshot.inventory;
    let kpi = CATALOGUE.iter().find(|kpi| kpi.id == id);
    let region = shown.of.region(inventory, sight);
    let (Some(kpi), Some(region)) = (kpi, region) else { return asked.not_found() };
    let mut p = asked.page(Section::Kpis, asked.prefs.lang.pick(kpi.names.0, kpi.names.1));
    p.at = snapshot.at.max(asked.at);
    let of_now = matches!(kpi.measures.first(), Some(kpi::Measure::Now(_)));
    let period = match shown.of.period.parse() {
        // A figure of this moment has no other period.
        _ if of_now => Period::Now,
        Ok(period) if period != Period::Now => period,
        _ => Period::month_at(p.at),
    };
    let weight: Weight = shown
        .of
        .weight
        .parse()
        .ok()
        .filter(|weight| kpi.weights.contains(weight))
        .unwrap_or(kpi.weights.first().copied().unwrap_or_default());
    let by = shown.by.parse().ok().filter(|by| kpi.by.contains(by)).unwrap_or(Breakdown::Region);
    let question = Question { kpi: Some(kpi), region: Some(region), period, weight, by: None, version: None };
    let with_months = !shown.months.is_empty() && !of_now;
    let (reader, from) = (web.clone(), snapshot.clone());
    let answered =
        match tokio::task::spawn_blocking(move || answer(&reader, &from, sight, &question, by, if with_months { MONTHS } else { 0 })).await
        {
            Ok(answered) => answered,
            Err(error) => return asked.failed(&error),
        };
    let mut parts: Vec<_> = answered.parts.into_iter().map(|figure| part_line(&p, inventory, by, figure)).collect();
    // The worst known part stands first.
    parts.sort_by(|a, b| worth(&a.figure).total_cmp(&worth(&b.figure)));
    let more_parts = parts.len().saturating_sub(PARTS);
    parts.truncate(PARTS);
    let goal = inventory.goals.iter().find(|goal| goal.kpi == kpi.id && goal.region == region);
    let version = answered.figure.as_ref().map(|figure| figure.definition_version);
    let of_kpi = web.book.definitions().map(|all| all.of(kpi)).unwrap_or_default();
    let definition = of_kpi.iter().find(|one| Some(one.version) == version).or(of_kpi.last());
    let entry = definition.map(|one| Definition::of(one, p.lang));
    let page = KpiPage {
        said: entry.as_ref().map_or_else(Vec::new, |entry| said(&p, entry)),
        example: entry.as_ref().and_then(|entry| Some(example(&p, entry.example?))),
        region: p.name(&inventory.region(region).name_fa, &inventory.region(region).name_en),
        period_title: period.title(p.lang),
        line: kpis::line(&p, &snapshot, kpi, Some(region), answered.figure),
        due: goal.and_then(|goal| goal.due_on.as_deref()).map(|day| kpis::jalali(day, p.lang)),
        explain_query: format!("id={}&region={}&period={period}&weight={weight}", kpi.id, inventory.region(region).code),
        months_href: (!with_months && !of_now).then(|| p.with_instead("months", "1")),
        months: answered.months.into_iter().map(|(month, figure)| month_line(&p, month, figure)).collect(),
        parts,
        more_parts,
        parts_title: by_name(&p, by),
        choices: choices(&p, &snapshot, sight, (kpi, region, period, weight, by)),
        p,
    };
    asked.show(&page)
}

fn answer(web: &WebState, snapshot: &Snapshot, sight: Sight, question: &Question, by: Breakdown, count: i32) -> Answer {
    let here = question.region.map(|id| snapshot.inventory.region(id).code.as_str()).unwrap_or_default();
    let whole = |question: &Question| figures(web, snapshot, sight, question).into_iter().find(|figure| figure.region.code == here);
    let mut parts = figures(web, snapshot, sight, &Question { by: Some(by), ..*question });
    parts.retain(|figure| by != Breakdown::Region || figure.region.code != here);
    let today = JalaliDate::at(snapshot.at);
    let months = (0..count).map(|back| Period::Month(today.month_start(-back)));
    let months = months.filter_map(|month| Some((month, whole(&Question { period: month, ..*question })?))).collect();
    Answer { figure: whole(question), months, parts }
}

/// Lists what a definition does about what is not plain.
fn said(p: &Page, entry: &Definition) -> Vec<(&'static str, String)> {
    let lang = p.lang;
    let counts = |unit: &str| kpis::unit_word(unit, lang);
    let of = format!("N: {}، D: {}", counts(entry.numerator), counts(entry.denominator));
    let texts = [
        (lang.pick("صورت و مخرج", "numerator and denominator"), lang.pick(&of, &of.replace('،', ",")).to_owned()),
        (lang.pick("مقدار", "value"), entry.form.to_owned()),
        (p.w.unknown, entry.unknown.to_owned()),
        (lang.pick("کار اعلام‌شده", "announced work"), entry.work.to_owned()),
        (lang.pick("داده دیررسیده", "late data"), entry.late.to_owned()),
        (lang.pick("گرد کردن", "rounding"), entry.rounding.to_owned()),
        (lang.pick("داوری", "judged"), entry.judged.to_owned()),
        (lang.pick("کوتاه‌ترین بازه", "least window"), entry.least_window.clone()),
        (lang.pick("نیاز به", "needs"), entry.needs.to_owned()),
    ];
    texts.into_iter().filter(|(_, text)| !text.is_empty()).collect()
}

fn example(p: &Page, of: &dictionary::Example) -> ExampleShown {
    let figure = |value: Option<f64>| value.map_or_else(|| "—".to_owned(), |value| digits(&dictionary::number(value), p.lang));
    let added = |part: (f64, f64)| digits(&dictionary::part_of(part), p.lang);
    let kind = |kind: &str| match kind {
        "village" => p.w.village,
        "site" => p.w.site,
        "link" => p.w.link,
        "service" => p.w.service,
        "responsible" => p.w.assignee,
        "window" => p.w.period,
        "outage" => p.lang.pick("قطعی", "outage"),
        _ => p.lang.pick("سطل توزیع", "bucket of the distribution"),
    };
    let row = |line: &dictionary::Line| ExampleRow {
        of: kind(&line.kind).to_owned(),
        code: line.code.clone(),
        has: line.has.join(", "),
        numerator: added(line.numerator),
        denominator: added(line.denominator),
        unknown: added(line.unknown),
    };
    let [n, d, u] = [of.numerator, of.denominator, of.unknown].map(|sum| figure(Some(sum)));
    let (value, lo, hi) = (figure(of.value), figure(of.lo), figure(of.hi));
    let bounds = if of.lo.is_some() { format!("، {} {lo} {} {hi}", p.w.bounds, p.w.range_to) } else { String::new() };
    let sum = format!("N = {n}، D = {d}، U = {u}: {} {value}{bounds}", p.w.value);
    ExampleShown { rows: of.rows.iter().map(row).collect(), sum: p.lang.pick(&sum, &sum.replace('،', ",")).to_owned() }
}

fn worth(figure: &FigureView) -> f64 {
    figure.value.or(figure.lo).unwrap_or(f64::INFINITY)
}

fn month_line(p: &Page, month: Period, figure: FigureView) -> PartLine {
    figure_line(p, month.title(p.lang), Some(p.with_instead("period", &month.to_string())), figure)
}

fn part_line(p: &Page, inventory: &Inventory, by: Breakdown, figure: FigureView) -> PartLine {
    let (name, href) = match (by, figure.part.as_deref().and_then(|part| part.split_once('='))) {
        (_, Some((_, part))) => (part_name(p, inventory, by, part), None),
        (_, None) => (p.name(&figure.region.name_fa, &figure.region.name_en), Some(p.with_instead("region", &figure.region.code))),
    };
    figure_line(p, name, href, figure)
}

fn figure_line(p: &Page, name: String, href: Option<String>, figure: FigureView) -> PartLine {
    let show = |value: Option<f64>| value.map_or_else(|| "—".to_owned(), |value| kpis::in_unit(value, figure.unit, p.lang));
    let is_ratio = figure.unit == Unit::Ratio && figure.lo.is_some();
    let marks = Marks { value: figure.value, estimate: figure.estimate, goal: None };
    PartLine {
        bar: if is_ratio { bounds_bar(marks, figure.lo, figure.hi, &name) } else { Html::default() },
        counts: kpis::counts(p, &figure),
        not_known: kpis::not_known(p, &figure),
        value: if figure.value.is_some() { show(figure.value) } else { p.standing(&figure.standing).to_owned() },
        is_known: figure.value.is_some(),
        bounds: if figure.lo.is_some() && figure.lo != figure.hi {
            format!("{} {} {}", show(figure.lo), p.w.range_to, show(figure.hi))
        } else {
            String::new()
        },
        name,
        href,
        figure,
    }
}

/// Names a part of a breakdown in the page's language.
fn part_name(p: &Page, inventory: &Inventory, by: Breakdown, part: &str) -> String {
    let (fa, en) = part_names(part, by, inventory);
    p.name(&fa, &en)
}

fn by_name(p: &Page, by: Breakdown) -> &'static str {
    match by {
        Breakdown::Region => p.w.regions,
        Breakdown::Band => p.w.band,
        Breakdown::Operator => p.w.operator,
        Breakdown::Technology => p.w.access,
        Breakdown::SiteKind => p.w.kind,
        Breakdown::Cause => p.w.cause,
        Breakdown::Service => p.w.service,
        Breakdown::Network => p.w.network,
        Breakdown::Cohort => p.lang.pick("گروه آزمایشی", "pilot cohort"),
        Breakdown::Responsible => p.w.assignee,
        Breakdown::Kpi => p.w.kpi,
    }
}

fn choices(p: &Page, snapshot: &Snapshot, sight: Sight, of: (&Kpi, RegionId, Period, Weight, Breakdown)) -> Vec<Choice> {
    let (kpi, region, period, weight, by) = of;
    let choice = |name, title, options| Choice { name, title, options };
    let by = kpi.by.iter().map(|one| Entry::new(one.to_string(), by_name(p, *one), by.as_str())).collect();
    let mut weights = weight_entries(p.lang, weight);
    weights.retain(|entry| kpi.weights.iter().any(|weight| weight.as_str() == entry.value));
    vec![
        choice("region", p.w.region, region_entries(p, snapshot, sight, Some(region))),
        choice("period", p.w.period, period_entries(p, period)),
        choice("weight", p.w.weight, weights),
        choice("by", p.w.breakdown, by),
    ]
}
