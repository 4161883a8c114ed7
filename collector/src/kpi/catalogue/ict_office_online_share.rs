//! `ict_office_online_share`: service offices online while they are open.

use crate::inventory::{SiteId, SiteKind};
use crate::kpi::compute::asked_regions;
use crate::kpi::{Ask, Breakdown, ByRegion, Facts, Figure, Kpi, Measure, Tally};

/// The definition.
pub const KPI: Kpi = Kpi {
    id: "ict_office_online_share",
    names: ("دفاتر پیشخوان و ICT برخط", "service offices online"),
    formula: (
        "ثانیه‌های برقرار درون تقویم کاری، بخش بر ثانیه‌های معلوم درون آن",
        "seconds up inside the working calendar over known seconds inside it",
    ),
    by: &[Breakdown::Region, Breakdown::SiteKind],
    basis: "programme goal",
    needs: ("ثانیه‌های درون تقویم کاری", "seconds inside working calendars"),
    measures: &[Measure::Derived(derive)],
    ..Kpi::BASE
};

fn derive(kpi: &'static Kpi, facts: &Facts, ask: Ask<'_>) -> Vec<Figure> {
    let mut sums: std::collections::HashMap<String, Tally> = std::collections::HashMap::new();
    for section in &facts.sections {
        let inventory = &section.inventory;
        let mut by_region = ByRegion::new(inventory);
        let working = (0..).map(SiteId).zip(section.working.iter().flatten());
        for (id, seconds) in working.filter_map(|(id, seconds)| Some((id, (*seconds)?))) {
            let site = inventory.site(id);
            if matches!(site.kind, SiteKind::IctOffice | SiteKind::ServiceCounter) {
                let tally = Tally::share(seconds.carried() as f64, seconds.known() as f64, seconds.unknown as f64);
                by_region.add(site.region, &tally);
            }
        }
        for (id, tally) in by_region.roll_up(inventory).counted() {
            sums.entry(inventory.region(id).code.clone()).or_default().add(tally);
        }
    }
    let figure = |code: String| {
        let tally = sums.get(&code).cloned().unwrap_or_default();
        kpi.figure(&code, facts.period, ask.weight, facts.status, &tally)
    };
    asked_regions(facts, ask).into_iter().map(figure).collect()
}
