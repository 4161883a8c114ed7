//! `election_readiness`: whether polling sites will hold.

use crate::kpi::{Breakdown, Counted, Kpi, Measure, SiteFact, Tally, Work};

/// The definition.
pub const KPI: Kpi = Kpi {
    id: "election_readiness",
    work: Work::LeftOut,
    names: ("آمادگی انتخابات", "election readiness"),
    formula: (
        "سایت‌های برچسب‌دار با دو مسیر مستقل برقرار، دسترس‌پذیری دست‌کم ۹۹٪ و برق اضطراری دست‌کم ۶۰ دقیقه، بخش بر سایت‌های برچسب‌دار سنجیده",
        "tagged sites with two independent paths that worked, availability of at least 99 % and 60 minutes of UPS, over measured tagged sites",
    ),
    by: &[Breakdown::Region, Breakdown::SiteKind],
    basis: "programme goal",
    whole: true,
    measures: &[Measure::Site(measure)],
    counts: (Counted::Sites, Counted::Sites),
    ..Kpi::BASE
};

const TAG: &str = "polling";
const AVAILABLE: f64 = 0.99;
/// A site whose UPS was proven to last an hour carries this tag; without it the third condition is unknown.
const UPS_TAG: &str = "ups-60";
const NO_UPS_TAG: &str = "ups-none";

fn measure(site: &SiteFact<'_>) -> Option<Tally> {
    let has = |tag: &str| site.site().tags.iter().any(|t| t == tag);
    if !has(TAG) {
        return None;
    }
    let seconds = site.seconds;
    let available = (seconds.known() > 0).then(|| seconds.carried() as f64 >= AVAILABLE * seconds.known() as f64);
    let ups = if has(UPS_TAG) { Some(true) } else { has(NO_UPS_TAG).then_some(false) };
    Some(Tally::of(all([two_paths(site), available, ups])))
}

/// Two links that worked and hang on nothing in common.
fn two_paths(site: &SiteFact<'_>) -> Option<bool> {
    let links: Vec<_> = site.links().collect();
    if links.len() < 2 {
        return Some(false);
    }
    if links.iter().any(|(_, facts)| facts.state.known() == 0) {
        return None;
    }
    let worked: Vec<_> = links.iter().filter(|(_, facts)| facts.state.carried() > 0).map(|(link, _)| link).collect();
    let apart = |a: usize, b: usize| worked[a].parents.iter().all(|parent| !worked[b].parents.contains(parent));
    Some((0..worked.len()).any(|a| (a + 1..worked.len()).any(|b| apart(a, b))))
}

/// Joins conditions: one that fails decides, one that is unknown leaves it open.
fn all(conditions: [Option<bool>; 3]) -> Option<bool> {
    if conditions.contains(&Some(false)) {
        return Some(false);
    }
    conditions.iter().all(|c| *c == Some(true)).then_some(true)
}
