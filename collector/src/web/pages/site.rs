//! One site: state, ladder, past, planned work, agent.

use std::time::Duration;

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use rusta_wire::{Metric, Rung, UnixMs, Verdict};
use serde::Deserialize;

use super::charts::{self, ChartTable, GaugeChart};
use super::incidents::{IncidentLine, ToldLine, told};
use crate::engine::{LinkState, Snapshot};
use crate::history::Ended;
use crate::inventory::{Access, MaintenanceWindow};
use crate::people::Role;
use crate::persian::{Named, Window, decimal, integer, isolate};
use crate::view::{LinkDetail, LinkPast, OutageView, PlanRow, SiteDetail, SitePast, Step, StepState, TargetRow, Time, site_detail};
use crate::web::agents;
use crate::web::archive::site_past;
use crate::web::asked::Asked;
use crate::web::html::{Html, escape};
use crate::web::incidents;
use crate::web::page::{Page, Section};
use crate::web::state::WebState;
use crate::web::svg::{Marks, Stretch, bounds_bar, ribbon};
use crate::web::tone::{Tone, Toned};

#[derive(Template)]
#[template(path = "site.html")]
struct SitePage {
    p: Page,
    site: SiteDetail,
    tone: Tone,
    signed_in: bool,
    ranges: Vec<RangeTab>,
    ribbon: Option<Html>,
    ribbon_legend: Vec<(Tone, &'static str)>,
    as_table: bool,
    other_form: String,
    links: Vec<LinkPanel>,
    incidents: Vec<IncidentLine>,
    outages: Vec<OutageLine>,
    planned: Vec<PlannedWork>,
    decided: Vec<ToldLine>,
}

struct RangeTab {
    title: &'static str,
    href: String,
    chosen: bool,
}

struct LinkPanel {
    steps: Vec<StepCell>,
    chart: Option<Html>,
    chart_target: String,
    gauges: Vec<GaugeChart>,
    tables: Vec<ChartTable>,
    not_charted: Option<String>,
    plan: Option<PlanUse>,
    targets: Vec<TargetLine>,
    detail: LinkDetail,
}

struct PlanUse {
    row: PlanRow,
    bar: Html,
    stage: Option<&'static str>,
}

/// Announced work on the site's links.
struct PlannedWork {
    reason: String,
    from: Option<Time>,
    until: Option<Time>,
    announced: Option<Time>,
    under_way: bool,
}

struct StepCell {
    step: Step,
    class: &'static str,
    word: &'static str,
}

struct TargetLine {
    tone: Tone,
    word: &'static str,
    values: Html,
    at: Option<Time>,
    row: TargetRow,
}

struct OutageLine {
    link: String,
    started_at: Option<Time>,
    restored_at: Option<Time>,
    /// What ended it, where nobody saw it restored.
    ended: Option<&'static str>,
    /// Between what the ends of a power cut lie.
    started_between: Option<[Time; 2]>,
    restored_between: Option<[Time; 2]>,
    length: String,
    cause: String,
}

/// How far to look back.
#[derive(Debug, Default, Deserialize)]
pub struct Shown {
    #[serde(default)]
    range: String,
    /// `table` for the charts' numbers.
    #[serde(default, rename = "as")]
    form: String,
}

/// Announced work is shown from this long before it begins.
const AHEAD: Duration = Duration::from_secs(30 * 86_400);

/// The ranges offered, in hours.
const RANGES: [(&str, u64); 5] = [("1h", 1), ("24h", 24), ("7d", 7 * 24), ("30d", 30 * 24), ("365d", 365 * 24)];

/// The range shown first.
const USUAL: (&str, u64) = RANGES[1];

/// Incidents of a site shown.
const INCIDENTS: usize = 5;

/// Decisions about a site shown, newest first; `alerts why SITE` has all.
const DECISIONS: usize = 40;

/// Shows a site.
pub async fn detail(State(web): State<WebState>, asked: Asked, Path(code): Path<String>, Query(shown): Query<Shown>) -> Response {
    let snapshot = web.snapshot();
    let Some(mut site) = site_detail(&snapshot, asked.sight(&snapshot), &code) else { return asked.not_found() };
    if let Err(error) = agents::complete(&web, site.agent.as_mut_slice()) {
        return asked.failed(&error);
    }
    let (range, hours) = RANGES.into_iter().find(|(word, _)| *word == shown.range).unwrap_or(USUAL);
    let until = snapshot.at.max(asked.at);
    let window = Window { from: until - Duration::from_secs(hours * 3_600), until };
    let (reader, wanted) = (web.clone(), site.clone());
    let of_site = match incidents::of_site(&web, &site.site.code, INCIDENTS) {
        Ok(rows) => rows,
        Err(error) => return asked.failed(&error),
    };
    let past = match tokio::task::spawn_blocking(move || site_past(&reader, &wanted, window)).await {
        Ok(Ok(past)) => past,
        Ok(Err(error)) => return asked.failed(&error),
        Err(error) => return asked.failed(&error),
    };
    // Reasons name the people who were called.
    let decided = match asked.visitor.role >= Role::Operator {
        true => incidents::decided_of_site(&web, &site.site.code),
        false => Ok(Vec::new()),
    };
    let decided = match decided {
        Ok(lines) => lines,
        Err(error) => return asked.failed(&error),
    };
    let name = crate::persian::digits(asked.prefs.lang.name(&site.site.name_fa, &site.site.name_en), asked.prefs.lang);
    let mut p = asked.page(Section::Sites, name).refreshing(if hours <= 24 { 20 } else { 0 });
    p.at = until;
    let as_table = shown.form == "table";
    let page = SitePage {
        tone: site.site.state.tone(),
        signed_in: asked.visitor.name.is_some(),
        ranges: range_tabs(&p, range),
        ribbon: state_ribbon(&p, &past, window),
        ribbon_legend: ribbon_legend(&p, &past),
        as_table,
        other_form: p.with_instead("as", if as_table { "chart" } else { "table" }),
        incidents: of_site.into_iter().map(|row| IncidentLine::of(&p, row)).collect(),
        outages: past.links.iter().flat_map(|link| &link.outages).map(|outage| outage_line(&p, outage)).rev().take(40).collect(),
        links: site.links.iter().map(|link| link_panel(&p, &site, link, &past, window, as_table)).collect(),
        planned: planned_work(&snapshot, &site, until),
        decided: decided.into_iter().rev().take(DECISIONS).map(|line| told(line, &web.rules, p.lang)).collect(),
        site,
        p,
    };
    asked.show(&page)
}

fn range_tabs(p: &Page, chosen: &str) -> Vec<RangeTab> {
    let titles = [p.w.last_hour, p.w.last_24h, p.w.last_7d, p.w.last_30d, p.w.last_year];
    let tab = |((word, _), title): ((&str, u64), _)| RangeTab { title, href: p.with_instead("range", word), chosen: word == chosen };
    RANGES.into_iter().zip(titles).map(tab).collect()
}

fn state_ribbon(p: &Page, past: &SitePast, window: Window) -> Option<Html> {
    let band = |link: &LinkPast| {
        (link.link.clone(), link.states.iter().map(|span| stretch(p, span.state, span.from, span.until)).collect::<Vec<_>>())
    };
    let bands: Vec<_> = past.links.iter().map(band).collect();
    bands.iter().any(|(_, stretches)| !stretches.is_empty()).then(|| ribbon(window, &bands, p.lang, p.w.state_ribbon))
}

fn stretch(p: &Page, state: LinkState, from: Time, until: Time) -> Stretch {
    let title = format!("{} – {}", state.label(p.lang), p.between(&from, &until));
    Stretch { from: from.0, until: until.0, tone: state.tone(), title }
}

fn ribbon_legend(p: &Page, past: &SitePast) -> Vec<(Tone, &'static str)> {
    let shown = |state: &LinkState| past.links.iter().flat_map(|link| &link.states).any(|span| span.state == *state);
    LinkState::ALL.iter().filter(|state| shown(state)).map(|state| (state.tone(), state.label(p.lang))).collect()
}

fn link_panel(p: &Page, site: &SiteDetail, link: &LinkDetail, past: &SitePast, window: Window, as_table: bool) -> LinkPanel {
    let past = past.links.iter().find(|past| past.link == link.name);
    // The international rung says nothing about other networks unless it is measured.
    let told = |step: &&Step| step.rung.0 != Rung::International || step.state != StepState::Unmeasured;
    let drawn = past.filter(|_| !as_table);
    let target = past.and_then(|past| past.target.clone()).map(|target| isolate(&target));
    LinkPanel {
        steps: link.ladder.iter().filter(told).map(|step| step_cell(p, *step)).collect(),
        chart: drawn.and_then(|past| charts::round_trips(p, past, window)),
        chart_target: target.unwrap_or_else(|| p.lang.pick("همه لنگرها", "all anchors").to_owned()),
        gauges: drawn.map_or_else(Vec::new, |past| charts::gauges(p, past, window)),
        tables: past.filter(|_| as_table).map_or_else(Vec::new, |past| charts::tables(p, past)),
        not_charted: past.and_then(|past| not_charted(p, link, past)),
        plan: site.agent.as_ref().and_then(|agent| agent.plans.iter().find(|plan| plan.link == link.name)).map(|plan| plan_use(p, plan)),
        targets: link.targets.iter().map(|target| target_line(p, target)).collect(),
        detail: link.clone(),
    }
}

/// Says what has no chart, so that an empty place is not taken for a quiet line.
fn not_charted(p: &Page, link: &LinkDetail, past: &LinkPast) -> Option<String> {
    let has = |metrics: &[Metric]| past.gauges.iter().any(|gauge| metrics.contains(&gauge.metric.0));
    let mobile = matches!(link.access, Some(Access::Gsm | Access::Umts | Access::Lte | Access::TdLte | Access::Nr));
    let missing = [
        (past.rounds.is_empty(), p.w.rtt),
        (mobile && !has(&[Metric::RsrpDbm, Metric::RsrqCb, Metric::SinrCb]), p.w.radio),
        (!has(&[Metric::ReceiveBps]), p.w.traffic),
        (!has(&[Metric::UpsChargePct, Metric::UpsInputDv]), p.w.power),
    ];
    let names: Vec<_> = missing.into_iter().filter(|(missing, _)| *missing).map(|(_, name)| name).collect();
    (!names.is_empty()).then(|| {
        let of_days = past.slot_seconds >= 86_400;
        let why = if of_days {
            p.lang.pick("برای این بازه داده روزانه‌ای ندارد", "no daily data in this range")
        } else {
            p.lang.pick("در این بازه سنجیده نشده است", "not measured in this range")
        };
        format!("{}: {why}", names.join(p.lang.pick("، ", ", ")))
    })
}

fn plan_use(p: &Page, plan: &PlanRow) -> PlanUse {
    let spoken = format!("{} {} {} {}", p.w.plan_use, p.bytes(plan.used_bytes), p.w.of_which, p.bytes(plan.limit_bytes));
    let stage = match plan.stage {
        0 => None,
        1 => Some(p.lang.pick("آزمون گذردهی نمی‌شود", "no throughput tests")),
        2 => Some(p.lang.pick("سنجش کندتر", "slower probes")),
        3 => Some(p.lang.pick("جزئیات کمتر", "less detail")),
        _ => Some(p.lang.pick("تنها پیام زنده بودن", "heartbeat only")),
    };
    PlanUse {
        bar: bounds_bar(Marks { value: plan.used_ratio, ..Marks::default() }, Some(0.0), plan.used_ratio, &spoken),
        stage,
        row: plan.clone(),
    }
}

/// Lists the work announced for any link of the site, what is under way first.
fn planned_work(snapshot: &Snapshot, site: &SiteDetail, now: UnixMs) -> Vec<PlannedWork> {
    let inventory = &snapshot.inventory;
    let covers = |window: &&MaintenanceWindow| site.links.iter().any(|link| inventory.is_covered(window, link.id));
    let occurrence = |window: &MaintenanceWindow| {
        let (from, until) = *window.spans(now, now + AHEAD).first()?;
        Some(PlannedWork {
            reason: window.reason.clone(),
            from: Some(Time(if from == now { window.span.0 } else { from })),
            until: Some(Time(until)),
            announced: Some(Time(window.announced_at)),
            under_way: from == now,
        })
    };
    let mut planned: Vec<_> = inventory.maintenance.iter().filter(covers).filter_map(occurrence).collect();
    planned.sort_by_key(|work| work.from);
    planned
}

fn step_cell(p: &Page, step: Step) -> StepCell {
    let (class, word) = match step.state {
        StepState::Holds => ("holds", p.w.rung_holds),
        StepState::Broken => ("broken", p.w.rung_broken),
        StepState::Above => ("above", p.w.rung_above),
        StepState::Unmeasured => ("unmeasured", p.w.rung_unmeasured),
    };
    StepCell { step, class, word }
}

fn target_line(p: &Page, row: &TargetRow) -> TargetLine {
    let tone = match row.outcome.0.verdict() {
        Verdict::Success => Tone::Good,
        Verdict::Failure => Tone::Bad,
        Verdict::NoEvidence => Tone::Unknown,
    };
    TargetLine { tone, word: row.outcome.0.label(p.lang), values: values(p, row), at: Some(row.observed_at), row: row.clone() }
}

/// Writes the values people ask for first; the API lists all of them.
fn values(p: &Page, row: &TargetRow) -> Html {
    let mut parts = Vec::new();
    if let Some(us) = row.value(Metric::RttUsP50) {
        parts.push(p.ms(&Some(us)).0);
    }
    if let (Some(sent), Some(received)) = (row.value(Metric::Sent), row.value(Metric::Received))
        && sent > 0
    {
        parts.push(format!("{} {} {}", integer(received, p.lang), p.w.of_which, integer(sent, p.lang)));
    }
    for metric in [Metric::ResolveUs, Metric::ConnectUs, Metric::TlsUs, Metric::FirstByteUs, Metric::QueryUs] {
        if let Some(us) = row.value(metric) {
            parts.push(format!("{} {}", metric.label(p.lang), p.ms(&Some(us)).0));
        }
    }
    if let Some(status) = row.value(Metric::HttpStatus) {
        parts.push(p.ltr(&format!("HTTP {status}")).0);
    }
    if let Some(seconds) = row.value(Metric::CertificateS) {
        let left = p.span(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)));
        parts.push(format!("{} {}", Metric::CertificateS.label(p.lang), escape(&left)));
    }
    for (metric, unit, scale) in
        [(Metric::RsrpDbm, "dBm", 1.0), (Metric::RsrqCb, "dB", 0.1), (Metric::SinrCb, "dB", 0.1), (Metric::VoltageMv, "V", 0.001)]
    {
        if let Some(value) = row.value(metric) {
            let places = usize::from(scale < 1.0);
            parts.push(format!(
                "{} {}",
                metric.label(p.lang),
                isolate(&format!("{} {unit}", decimal(value as f64 * scale, places, p.lang)))
            ));
        }
    }
    for (metric, unit) in [(Metric::UpsChargePct, "٪"), (Metric::SpoolFrames, ""), (Metric::CpuPct, "٪")] {
        if let Some(value) = row.value(metric) {
            parts.push(format!("{} {}{unit}", escape(metric.label(p.lang)), integer(value, p.lang)));
        }
    }
    Html(parts.join(" · "))
}

fn outage_line(p: &Page, outage: &OutageView) -> OutageLine {
    OutageLine {
        link: outage.link.clone(),
        started_at: Some(outage.started_at),
        restored_at: outage.restored_at,
        ended: outage.ended.filter(|ended| *ended != Ended::Restored).map(|ended| ended.label(p.lang)),
        started_between: outage.started_between,
        restored_between: outage.restored_between,
        length: p.between(&outage.started_at, &outage.restored_at.unwrap_or(Time(p.at))),
        cause: outage.cause.as_ref().map_or_else(|| p.w.unattributed.to_owned(), |cause| cause.rung.0.label(p.lang).to_owned()),
    }
}
