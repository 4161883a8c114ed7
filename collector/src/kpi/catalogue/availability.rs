//! `availability` of sites, and of links, in its contract and user variants.
//!
//! | | work announced a day ahead | work announced later |
//! |---|---|---|
//! | plain | left out | left out |
//! | `_contract` | left out | as it was measured |
//! | `_user` | down | as it was measured |
//!
//! By cause it says what availability would be if nothing else had failed: the known seconds without those of the cause's
//! outages, over the known seconds. Only the contract's seconds can be told apart so: outages are cut by work announced
//! a day ahead, not by work announced later. By service it is the share of attempts to use each service that were good.

use crate::history::StateSeconds;
use crate::kpi::facts::Affected;
use crate::kpi::{Breakdown, Kpi, Measure, OutageIn, Tally};

use super::service_reachability;

const SHARED: Kpi = Kpi {
    by: &[
        Breakdown::Region,
        Breakdown::Band,
        Breakdown::Operator,
        Breakdown::Technology,
        Breakdown::SiteKind,
        Breakdown::Network,
        Breakdown::Cohort,
        Breakdown::Responsible,
    ],
    basis: "E.800, G.827 availability ratio",
    ..Kpi::BASE
};

const WITH_SERVICE: &[Breakdown] = &[
    Breakdown::Region,
    Breakdown::Band,
    Breakdown::Operator,
    Breakdown::Technology,
    Breakdown::SiteKind,
    Breakdown::Service,
    Breakdown::Network,
    Breakdown::Cohort,
    Breakdown::Responsible,
];

const WITH_CAUSE: &[Breakdown] = &[
    Breakdown::Region,
    Breakdown::Band,
    Breakdown::Operator,
    Breakdown::Technology,
    Breakdown::SiteKind,
    Breakdown::Cause,
    Breakdown::Network,
    Breakdown::Cohort,
    Breakdown::Responsible,
];

/// Sites.
pub const KPI: Kpi = Kpi {
    id: "availability",
    names: ("دسترس‌پذیری", "availability"),
    formula: (
        "ثانیه‌های برقرار، بخش بر ثانیه‌های معلوم سایت‌ها؛ تعمیرات اعلام‌شده کنار گذاشته می‌شود؛ میانه و دهک بدتر کنار آن است",
        "seconds up over known seconds of sites, pooled; announced maintenance is left out; median and worst decile beside it",
    ),
    by: WITH_SERVICE,
    measures: &[Measure::Site(|site| Some(seconds_of(site.seconds.without(site.short_notice))))],
    instead: &[(Breakdown::Service, service_reachability::KPI.measures)],
    ..SHARED
};
/// Sites, without maintenance announced a day ahead.
pub const KPI_CONTRACT: Kpi = Kpi {
    id: "availability_contract",
    names: ("دسترس‌پذیری قراردادی", "availability by contract"),
    formula: (
        "ثانیه‌های برقرار، بخش بر ثانیه‌های معلوم بیرون از تعمیراتی که ۲۴ ساعت پیش‌تر اعلام شده",
        "seconds up over known seconds outside maintenance announced 24 hours ahead",
    ),
    by: WITH_CAUSE,
    measures: &[Measure::Site(|site| Some(seconds_of(site.seconds)))],
    instead: &[(Breakdown::Cause, &[Measure::Site(|site| Some(without_outages(site.seconds))), Measure::Outage(of_site)])],
    ..SHARED
};
/// Sites, as users feel it.
pub const KPI_USER: Kpi = Kpi {
    id: "availability_user",
    names: ("دسترس‌پذیری از دید کاربر", "availability for users"),
    formula: (
        "ثانیه‌های برقرار، بخش بر ثانیه‌های معلوم؛ تعمیرات هم قطعی شمرده می‌شود",
        "seconds up over known seconds, with maintenance counted as down",
    ),
    measures: &[Measure::Site(|site| Some(felt(site.seconds)))],
    ..SHARED
};
/// Links.
pub const KPI_LINK: Kpi = Kpi {
    id: "availability_link",
    names: ("دسترس‌پذیری لینک", "availability of links"),
    formula: ("ثانیه‌های برقرار، بخش بر ثانیه‌های معلوم لینک‌ها", "seconds up over known seconds of links, pooled"),
    measures: &[Measure::Link(|link| Some(seconds_of(link.facts.state.without(link.facts.short_notice))))],
    ..SHARED
};
/// Links, without maintenance announced a day ahead.
pub const KPI_LINK_CONTRACT: Kpi = Kpi {
    id: "availability_link_contract",
    names: ("دسترس‌پذیری قراردادی لینک", "availability of links by contract"),
    formula: KPI_CONTRACT.formula,
    by: WITH_CAUSE,
    measures: &[Measure::Link(|link| Some(seconds_of(link.facts.state)))],
    instead: &[(Breakdown::Cause, &[Measure::Link(|link| Some(without_outages(link.facts.state))), Measure::Outage(of_link)])],
    ..SHARED
};
/// Links, as users feel it.
pub const KPI_LINK_USER: Kpi = Kpi {
    id: "availability_link_user",
    names: ("دسترس‌پذیری لینک از دید کاربر", "availability of links for users"),
    formula: KPI_USER.formula,
    measures: &[Measure::Link(|link| Some(felt(link.facts.state)))],
    ..SHARED
};

fn seconds_of(seconds: StateSeconds) -> Tally {
    pooled(seconds.carried(), seconds.known(), seconds.unknown)
}

/// Counts announced work as down.
fn felt(seconds: StateSeconds) -> Tally {
    pooled(seconds.carried(), seconds.known() + seconds.maintenance, seconds.unknown)
}

/// Counts all that is known as up: a cause's outages are taken off it.
fn without_outages(seconds: StateSeconds) -> Tally {
    Tally::share(seconds.known() as f64, seconds.known() as f64, seconds.unknown as f64)
}

fn of_site(outage: &OutageIn<'_>) -> Option<Tally> {
    matches!(outage.outage.of, Affected::Site(_)).then(|| lost(outage))
}

fn of_link(outage: &OutageIn<'_>) -> Option<Tally> {
    matches!(outage.outage.of, Affected::Link(_)).then(|| lost(outage))
}

fn lost(outage: &OutageIn<'_>) -> Tally {
    let (window, of) = (outage.section.window, outage.outage);
    let (from, until) = (of.started_at.max(window.from), of.ended_at.unwrap_or(window.until).min(window.until));
    Tally { numerator: -((until.seconds() - from.seconds()).max(0) as f64), ..Tally::default() }
}

fn pooled(up: u64, known: u64, unknown: u64) -> Tally {
    let tally = Tally::share(up as f64, known as f64, unknown as f64);
    if known > 0 { tally.with_value(up as f64 / known as f64) } else { tally }
}
