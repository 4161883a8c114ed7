//! `sla_pass_share`: sites that kept the availability of their class.

use crate::kpi::{Breakdown, Counted, ENOUGH_KNOWN, Kpi, Measure, SiteFact, Tally, Term, Work};

/// The definition.
pub const KPI: Kpi = Kpi {
    id: "sla_pass_share",
    work: Work::LeftOut,
    names: ("سهم مطابق توافق سطح خدمت", "SLA pass share"),
    formula: (
        "سایت‌هایی که دسترس‌پذیری قراردادی‌شان به حد رده‌شان می‌رسد (الف ۹۹٫۵، ب ۹۹، ج ۹۵٪)، بخش بر سایت‌هایی که ۸۰٪ زمانشان معلوم است",
        "sites whose contract availability reaches the limit of their class (A 99.5, B 99.0, C 95.0 %), over sites with at least 80 % of the time known",
    ),
    by: &[Breakdown::Region, Breakdown::SiteKind, Breakdown::Operator, Breakdown::Responsible],
    basis: "contract classes A 99.5, B 99.0, C 95.0",
    stands_on: &[Term::SlaA, Term::SlaB, Term::SlaC],
    counts: (Counted::Sites, Counted::Sites),
    whole: true,
    measures: &[Measure::Site(measure)],
    second: Some(|first| Kpi {
        formula: (
            "سایت‌هایی که دسترس‌پذیری قراردادی‌شان به حد رده‌شان می‌رسد (الف ۹۹٫۵، ب ۹۹، ج ۹۵٪)، بخش بر سایت‌هایی که ۸۰٪ زمانشان معلوم است؛ بازه کوتاه‌تر از هفت روز داوری نمی‌شود",
            "sites whose contract availability reaches the limit of their class (A 99.5, B 99.0, C 95.0 %), over sites with at least 80 % of the time known; a window under seven days is not judged",
        ),
        least_days: 7,
        ..*first
    }),
    ..Kpi::BASE
};

/// The seconds leave out work announced a day ahead, as the contract does.
fn measure(site: &SiteFact<'_>) -> Option<Tally> {
    let seconds = site.seconds;
    let judged = seconds.known_ratio().is_some_and(|ratio| ratio >= ENOUGH_KNOWN);
    let kept = || seconds.carried() as f64 >= site.terms.promised(site.site().criticality) * seconds.known() as f64;
    Some(Tally::of(judged.then(kept)))
}
