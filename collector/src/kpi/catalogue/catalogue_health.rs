//! `catalogue_health`: how many services of the active catalogue users really reach.

use std::collections::HashMap;

use crate::inventory::Service;
use crate::kpi::compute::asked_regions;
use crate::kpi::{Ask, Breakdown, Facts, Figure, Kpi, Measure, Tally};

/// The definition.
pub const KPI: Kpi = Kpi {
    id: "catalogue_health",
    names: ("سلامت سبد خدمات", "catalogue health"),
    formula: (
        "خدمت‌هایی که دست‌کم ۹۵٪ آزمون‌هایشان موفق بوده، بخش بر خدمت‌های فعال سبد که سنجیده شده‌اند؛ خدمت بی‌آزمون نامشخص است",
        "services with at least 95 % of attempts good, over active services that were measured; a service nobody tried is unknown",
    ),
    by: &[Breakdown::Region],
    basis: "programme: 30+ services",
    needs: ("دست‌کم یک آزمون خدمت", "at least one attempt to use a service"),
    measures: &[Measure::Derived(derive)],
    ..Kpi::BASE
};

/// A service works if this share of attempts is good.
const WORKS: f64 = 0.95;

fn derive(kpi: &'static Kpi, facts: &Facts, ask: Ask<'_>) -> Vec<Figure> {
    share_of_services(kpi, facts, ask, |service| service.active)
}

/// Counts the services of the catalogue that work in each region.
pub(super) fn share_of_services(kpi: &'static Kpi, facts: &Facts, ask: Ask<'_>, counts: impl Fn(&Service) -> bool) -> Vec<Figure> {
    let map = facts.last_map();
    let mut figures = Vec::new();
    for code in asked_regions(facts, ask) {
        let attempts = attempts(facts, &code);
        let mut sum = Tally::default();
        for service in map.services.iter().filter(|s| counts(s)) {
            let tried = attempts.get(service.id.as_str()).filter(|(attempts, _)| *attempts > 0);
            sum.add(&Tally::of(tried.map(|(attempts, ok)| *ok as f64 >= WORKS * *attempts as f64)));
        }
        figures.push(kpi.figure(&code, facts.period, ask.weight, facts.status, &sum));
    }
    figures
}

fn attempts<'a>(facts: &'a Facts, region: &str) -> HashMap<&'a str, (u64, u64)> {
    let mut sums: HashMap<&str, (u64, u64)> = HashMap::new();
    for section in &facts.sections {
        let inventory = &section.inventory;
        let Some(region) = inventory.region_by_code(region) else { continue };
        for fact in section.services.iter().flatten().filter(|f| inventory.is_within(inventory.site(f.site).region, region)) {
            let (attempts, ok) = sums.entry(fact.service.as_str()).or_default();
            *attempts += fact.attempts;
            *ok += fact.ok;
        }
    }
    sums
}
