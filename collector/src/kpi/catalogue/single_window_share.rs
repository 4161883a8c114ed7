//! `single_window_share`: agencies whose single window works.

use super::catalogue_health::share_of_services;
use crate::kpi::{Ask, Breakdown, Counted, Facts, Figure, Kpi, Measure, Term};

/// The definition.
pub const KPI: Kpi = Kpi {
    id: "single_window_share",
    names: ("سهم پنجره واحد فعال", "live single windows"),
    formula: (
        "دستگاه‌هایی که دست‌کم ۹۵٪ آزمون‌های پنجره واحدشان موفق بوده، بخش بر دستگاه‌های موظف که سنجیده شده‌اند",
        "agencies whose single window passed at least 95 % of attempts, over obliged agencies that were measured",
    ),
    by: &[Breakdown::Region, Breakdown::Service],
    stands_on: &[Term::Works],
    basis: "programme goal",
    needs: ("آزمون پنجره واحد دست‌کم یک دستگاه", "an attempt at the single window of at least one agency"),
    measures: &[Measure::Derived(derive)],
    counts: (Counted::Services, Counted::Services),
    ..Kpi::BASE
};

fn derive(kpi: &Kpi, facts: &Facts, ask: Ask<'_>) -> Vec<Figure> {
    share_of_services(kpi, facts, ask, |service| service.single_window)
}
