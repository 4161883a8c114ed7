//! `fibre_share`: sites that are connected by fibre.

use crate::inventory::Access;
use crate::kpi::{Breakdown, Counted, Kpi, Measure, SiteFact, Tally};

/// The definition.
pub const KPI: Kpi = Kpi {
    id: "fibre_share",
    names: ("سهم فیبر", "fibre share"),
    formula: (
        "سایت‌های دارای لینک فیبر در سرویس، بخش بر سایت‌های دارای لینک",
        "sites with a fibre link in service, over sites with any link in service",
    ),
    by: &[Breakdown::Region, Breakdown::SiteKind],
    basis: "programme goal",
    whole: true,
    measures: &[Measure::Site(measure)],
    counts: (Counted::Sites, Counted::Sites),
    ..Kpi::BASE
};

fn measure(site: &SiteFact<'_>) -> Option<Tally> {
    let in_service = |link: &crate::kpi::facts::LinkFacts| link.state.not_in_service < link.state.total();
    let mut any = false;
    let mut fibre = false;
    for (link, _) in site.links().filter(|(_, facts)| in_service(facts)) {
        any = true;
        fibre |= matches!(link.access, Some(Access::Fibre | Access::FibreGpon));
    }
    any.then(|| Tally::of(Some(fibre)))
}
