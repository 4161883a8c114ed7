//! `reporting_completeness`: whether agents report what they should.

use crate::kpi::compute::asked_regions;
use crate::kpi::{Ask, Breakdown, ByRegion, Facts, Figure, Kpi, Measure, Tally};

/// The definition.
pub const KPI: Kpi = Kpi {
    id: "reporting_completeness",
    names: ("کامل بودن گزارش عامل", "agent completeness"),
    formula: (
        "گزارش‌های رسیده (دیررسیده‌ها هم)، بخش بر گزارش‌هایی که برنامه می‌خواهد؛ رسیده تا ۱۰ دقیقه کنار آن",
        "reports received (late ones included) over reports expected from the schedule; on time within 10 minutes beside",
    ),
    by: &[Breakdown::Region],
    needs: ("گزارش دست‌کم یک عامل", "reports of at least one agent"),
    measures: &[Measure::Derived(derive)],
    ..Kpi::BASE
};

fn derive(kpi: &'static Kpi, facts: &Facts, ask: Ask<'_>) -> Vec<Figure> {
    let mut sums: std::collections::HashMap<String, Tally> = std::collections::HashMap::new();
    for section in &facts.sections {
        let inventory = &section.inventory;
        let mut by_region = ByRegion::new(inventory);
        for (site, reports) in inventory.sites.iter().zip(section.reports.iter().flatten()) {
            if let Some(reports) = reports {
                let tally = Tally::share(reports.received as f64, reports.expected as f64, 0.0);
                by_region.add(site.region, &tally.with_sum("on_time", reports.on_time as f64));
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
