//! `gov_buildings_connected`: government buildings on the government network.

use super::villages_connected_month::is_connected;
use crate::inventory::generate::GOV_KINDS;
use crate::kpi::{Breakdown, Counted, Kpi, Measure, SiteFact, Tally, Term, Work};

/// The definition.
pub const KPI: Kpi = Kpi {
    id: "gov_buildings_connected",
    work: Work::LeftOut,
    names: ("ساختمان‌های متصل به شبکه دولت", "government buildings connected"),
    formula: (
        "ساختمان‌هایی که دست‌کم ۹۰٪ زمان معلومشان برقرار بوده، بخش بر ساختمان‌های سنجیده؛ صورت کسر همان شمار است",
        "buildings up for at least 90 % of their known time, over measured buildings; the numerator is the count",
    ),
    by: &[Breakdown::Region, Breakdown::SiteKind, Breakdown::Responsible],
    basis: "programme goal",
    stands_on: &[Term::Connected, Term::Measured],
    whole: true,
    measures: &[Measure::Site(measure)],
    counts: (Counted::Sites, Counted::Sites),
    second: Some(|first| Kpi {
        formula: (
            "ساختمان‌هایی که دست‌کم ۹۰٪ زمان معلومشان برقرار بوده، بخش بر ساختمان‌های سنجیده؛ زمان برقرار درون کار اعلام‌شده برقرار است و بقیه آن کنار گذاشته می‌شود؛ صورت کسر همان شمار است",
            "buildings up for at least 90 % of their known time, over measured buildings; time up inside announced work is up, the rest of it is left out; the numerator is the count",
        ),
        ..*first
    }),
    ..Kpi::BASE
};

fn measure(site: &SiteFact<'_>) -> Option<Tally> {
    let is_building = GOV_KINDS.contains(&site.site().kind);
    is_building.then(|| Tally::of(is_connected(&site.seconds, site.terms)))
}
