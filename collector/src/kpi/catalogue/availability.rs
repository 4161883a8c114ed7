//! `availability` of sites, and of links, in its contract and user variants.
//!
//! | | work announced a day ahead | work announced later |
//! |---|---|---|
//! | plain | left out | left out |
//! | `_contract` | left out | as it was measured |
//! | `_user` | down | as it was measured |

use crate::history::StateSeconds;
use crate::kpi::{Breakdown, Kpi, LinkFact, Measure, SiteFact, Tally};

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

/// Sites.
pub const KPI: Kpi = Kpi {
    id: "availability",
    names: ("دسترس‌پذیری", "availability"),
    formula: (
        "ثانیه‌های برقرار، بخش بر ثانیه‌های معلوم سایت‌ها؛ تعمیرات اعلام‌شده کنار گذاشته می‌شود؛ میانه و دهک بدتر کنار آن است",
        "seconds up over known seconds of sites, pooled; announced maintenance is left out; median and worst decile beside it",
    ),
    measures: &[Measure::Site(|site| Some(seconds_of(site.seconds.without(site.short_notice))))],
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
    measures: &[Measure::Site(|site| Some(seconds_of(site.seconds)))],
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
    measures: &[Measure::Site(user)],
    ..SHARED
};
/// Links.
pub const KPI_LINK: Kpi = Kpi {
    id: "availability_link",
    names: ("دسترس‌پذیری لینک", "availability of links"),
    formula: ("ثانیه‌های برقرار، بخش بر ثانیه‌های معلوم لینک‌ها", "seconds up over known seconds of links, pooled"),
    measures: &[Measure::Link(link)],
    ..SHARED
};

fn seconds_of(seconds: StateSeconds) -> Tally {
    pooled(seconds.carried(), seconds.known(), seconds.unknown)
}

fn user(site: &SiteFact<'_>) -> Option<Tally> {
    let seconds = site.seconds;
    Some(pooled(seconds.carried(), seconds.known() + seconds.maintenance, seconds.unknown))
}

fn link(link: &LinkFact<'_>) -> Option<Tally> {
    Some(seconds_of(link.facts.state.without(link.facts.short_notice)))
}

fn pooled(up: u64, known: u64, unknown: u64) -> Tally {
    let tally = Tally::share(up as f64, known as f64, unknown as f64);
    if known > 0 { tally.with_value(up as f64 / known as f64) } else { tally }
}
