//! `availability` of sites, and of links, in its contract and user variants.
//!
//! | | work announced a day ahead | work announced later |
//! |---|---|---|
//! | plain | left out | left out |
//! | `_contract` | left out | as it was measured |
//! | `_user` | down | as it was measured |
//!
//! Work announced a day ahead leaves out only what was down or unknown inside it: time that was measured up is up. History
//! lays it so; the first text left out all of it.
//!
//! By cause it says what availability would be if nothing else had failed: the known seconds without those of the cause's
//! outages outside announced work, over the known seconds. Only the contract's seconds can be told apart so: outages are cut by work announced
//! a day ahead, not by work announced later. By service it is the share of attempts to use each service that were good.

use crate::history::StateSeconds;
use crate::kpi::facts::Affected;
use crate::kpi::{Breakdown, Counted, Kpi, Measure, OutageIn, Tally, Work};

use super::outage_minutes::seconds_in;
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
    counts: (Counted::Seconds, Counted::Seconds),
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
    work: Work::LaterLeftOutToo,
    names: ("دسترس‌پذیری", "availability"),
    formula: (
        "ثانیه‌های برقرار، بخش بر ثانیه‌های معلوم سایت‌ها؛ تعمیرات اعلام‌شده کنار گذاشته می‌شود؛ میانه و دهک بدتر کنار آن است",
        "seconds up over known seconds of sites, pooled; announced maintenance is left out; median and worst decile beside it",
    ),
    by: WITH_SERVICE,
    measures: &[Measure::Site(|site| Some(seconds_of(site.seconds.without(site.short_notice)).with_late(site.late())))],
    second: Some(|first| Kpi {
        formula: (
            "ثانیه‌های برقرار، بخش بر ثانیه‌های معلوم سایت‌ها؛ از کاری که ۲۴ ساعت پیش‌تر اعلام شده تنها زمان قطع و نامعلوم کنار گذاشته می‌شود و زمان برقرار درون آن برقرار است؛ کاری که دیرتر اعلام شده همه‌اش کنار گذاشته می‌شود؛ میانه و دهک بدتر کنار آن است",
            "seconds up over known seconds of sites, pooled; of work announced 24 hours ahead only down and unknown time is left out, time up inside it is up; work announced later is left out whole; median and worst decile beside it",
        ),
        ..*first
    }),
    instead: &[(Breakdown::Service, service_reachability::KPI.measures)],
    ..SHARED
};
/// Sites, without maintenance announced a day ahead.
pub const KPI_CONTRACT: Kpi = Kpi {
    id: "availability_contract",
    work: Work::LeftOut,
    names: ("دسترس‌پذیری قراردادی", "availability by contract"),
    formula: (
        "ثانیه‌های برقرار، بخش بر ثانیه‌های معلوم بیرون از تعمیراتی که ۲۴ ساعت پیش‌تر اعلام شده",
        "seconds up over known seconds outside maintenance announced 24 hours ahead",
    ),
    by: WITH_CAUSE,
    measures: &[Measure::Site(|site| Some(seconds_of(site.seconds).with_late(site.late())))],
    second: Some(|first| Kpi { formula: BY_CONTRACT, ..*first }),
    instead: &[(Breakdown::Cause, &[Measure::Site(|site| Some(without_outages(site.seconds))), Measure::Outage(of_site)])],
    ..SHARED
};
/// Sites, as users feel it.
pub const KPI_USER: Kpi = Kpi {
    id: "availability_user",
    work: Work::Down,
    names: ("دسترس‌پذیری از دید کاربر", "availability for users"),
    formula: (
        "ثانیه‌های برقرار، بخش بر ثانیه‌های معلوم؛ تعمیرات هم قطعی شمرده می‌شود",
        "seconds up over known seconds, with maintenance counted as down",
    ),
    measures: &[Measure::Site(|site| Some(felt(site.seconds).with_late(site.late())))],
    second: Some(|first| Kpi { formula: AS_FELT, ..*first }),
    ..SHARED
};
/// Links.
pub const KPI_LINK: Kpi = Kpi {
    id: "availability_link",
    work: Work::LaterLeftOutToo,
    names: ("دسترس‌پذیری لینک", "availability of links"),
    formula: ("ثانیه‌های برقرار، بخش بر ثانیه‌های معلوم لینک‌ها", "seconds up over known seconds of links, pooled"),
    measures: &[Measure::Link(|link| Some(seconds_of(link.facts.state.without(link.facts.short_notice)).with_late(link.late())))],
    second: Some(|first| Kpi {
        formula: (
            "ثانیه‌های برقرار، بخش بر ثانیه‌های معلوم لینک‌ها؛ از کاری که ۲۴ ساعت پیش‌تر اعلام شده تنها زمان قطع و نامعلوم کنار گذاشته می‌شود و زمان برقرار درون آن برقرار است؛ کاری که دیرتر اعلام شده همه‌اش کنار گذاشته می‌شود",
            "seconds up over known seconds of links, pooled; of work announced 24 hours ahead only down and unknown time is left out, time up inside it is up; work announced later is left out whole",
        ),
        ..*first
    }),
    ..SHARED
};
/// Links, without maintenance announced a day ahead.
pub const KPI_LINK_CONTRACT: Kpi = Kpi {
    id: "availability_link_contract",
    work: Work::LeftOut,
    names: ("دسترس‌پذیری قراردادی لینک", "availability of links by contract"),
    formula: KPI_CONTRACT.formula,
    by: WITH_CAUSE,
    measures: &[Measure::Link(|link| Some(seconds_of(link.facts.state).with_late(link.late())))],
    second: Some(|first| Kpi { formula: BY_CONTRACT, ..*first }),
    instead: &[(Breakdown::Cause, &[Measure::Link(|link| Some(without_outages(link.facts.state))), Measure::Outage(of_link)])],
    ..SHARED
};
/// Links, as users feel it.
pub const KPI_LINK_USER: Kpi = Kpi {
    id: "availability_link_user",
    work: Work::Down,
    names: ("دسترس‌پذیری لینک از دید کاربر", "availability of links for users"),
    formula: KPI_USER.formula,
    measures: &[Measure::Link(|link| Some(felt(link.facts.state).with_late(link.late())))],
    second: Some(|first| Kpi { formula: AS_FELT, ..*first }),
    ..SHARED
};

const BY_CONTRACT: (&str, &str) = (
    "ثانیه‌های برقرار، بخش بر ثانیه‌های معلوم؛ از کاری که ۲۴ ساعت پیش‌تر اعلام شده زمان قطع و نامعلوم کنار گذاشته می‌شود و زمان برقرار درون آن برقرار است؛ کاری که دیرتر اعلام شده همان‌گونه که سنجیده شده می‌ماند",
    "seconds up over known seconds; of work announced 24 hours ahead down and unknown time is left out, time up inside it is up; work announced later stays as it was measured",
);
const AS_FELT: (&str, &str) = (
    "ثانیه‌های برقرار، بخش بر ثانیه‌های معلوم؛ از کار اعلام‌شده آنچه برقرار نبوده قطعی شمرده می‌شود",
    "seconds up over known seconds; of announced work what was not up counts as down",
);

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
    let (section, of) = (outage.section, outage.outage);
    let inside = |from, until| seconds_in(section, from, until);
    let work: f64 = of.work.iter().map(|(from, until)| inside(*from, *until)).sum();
    Tally { numerator: work - inside(of.started_at, of.seen_until), ..Tally::default() }
}

fn pooled(up: u64, known: u64, unknown: u64) -> Tally {
    let tally = Tally::share(up as f64, known as f64, unknown as f64);
    if known > 0 { tally.with_value(up as f64 / known as f64) } else { tally }
}
