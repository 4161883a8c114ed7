//! `ict_office_online_share`: service offices online while they are open.

use crate::inventory::SiteKind;
use crate::kpi::{Breakdown, Counted, Kpi, Measure, SiteFact, Tally, Work};

/// The definition.
pub const KPI: Kpi = Kpi {
    id: "ict_office_online_share",
    work: Work::LeftOut,
    names: ("دفاتر پیشخوان و ICT برخط", "service offices online"),
    formula: (
        "ثانیه‌های برقرار درون تقویم کاری، بخش بر ثانیه‌های معلوم درون آن؛ دفتر بی‌تقویم شبانه‌روزی است",
        "seconds up inside the working calendar over known seconds inside it; an office without one is open around the clock",
    ),
    by: &[Breakdown::Region, Breakdown::SiteKind],
    basis: "programme goal",
    measures: &[Measure::Site(measure)],
    counts: (Counted::Seconds, Counted::Seconds),
    second: Some(|first| Kpi {
        formula: (
            "ثانیه‌های برقرار درون تقویم کاری، بخش بر ثانیه‌های معلوم درون آن؛ دفتر بی‌تقویم شبانه‌روزی است؛ زمان برقرار درون کار اعلام‌شده برقرار است و بقیه آن کنار گذاشته می‌شود",
            "seconds up inside the working calendar over known seconds inside it; an office without one is open around the clock; time up inside announced work is up, the rest of it is left out",
        ),
        ..*first
    }),
    ..Kpi::BASE
};

/// A site's closing hours are not in service, so its known seconds are those inside its calendar.
fn measure(site: &SiteFact<'_>) -> Option<Tally> {
    let (seconds, kind) = (site.seconds, site.site().kind);
    let is_office = matches!(kind, SiteKind::IctOffice | SiteKind::ServiceCounter);
    is_office.then(|| Tally::share(seconds.carried() as f64, seconds.known() as f64, seconds.unknown as f64))
}
