//! `dehyari_connected_share`: village administrations that were connected.

use super::villages_connected_month::is_connected;
use crate::inventory::SiteKind;
use crate::kpi::{Breakdown, Counted, Kpi, Measure, SiteFact, Tally, Term, Work};

/// The definition.
pub const KPI: Kpi = Kpi {
    id: "dehyari_connected_share",
    work: Work::LeftOut,
    names: ("سهم دهیاری‌های متصل", "dehyaris connected"),
    formula: (
        "دهیاری‌هایی که دست‌کم ۹۰٪ زمان معلومشان برقرار بوده، بخش بر دهیاری‌های سنجیده",
        "dehyaris up for at least 90 % of their known time, over measured dehyaris",
    ),
    by: &[Breakdown::Region, Breakdown::Band],
    basis: "programme goal",
    stands_on: &[Term::Connected, Term::Measured],
    whole: true,
    measures: &[Measure::Site(measure)],
    counts: (Counted::Sites, Counted::Sites),
    second: Some(|first| Kpi {
        formula: (
            "دهیاری‌هایی که دست‌کم ۹۰٪ زمان معلومشان برقرار بوده، بخش بر دهیاری‌های سنجیده؛ زمان برقرار درون کار اعلام‌شده برقرار است و بقیه آن کنار گذاشته می‌شود",
            "dehyaris up for at least 90 % of their known time, over measured dehyaris; time up inside announced work is up, the rest of it is left out",
        ),
        ..*first
    }),
    ..Kpi::BASE
};

fn measure(site: &SiteFact<'_>) -> Option<Tally> {
    (site.site().kind == SiteKind::Dehyari).then(|| Tally::of(is_connected(&site.seconds, site.terms)))
}
