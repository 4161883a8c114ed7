//! `catalogue_health`: how many services of the active catalogue users really reach.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::inventory::Service;
use crate::kpi::compute::asked_regions;
use crate::kpi::parts::{Subject, part};
use crate::kpi::{Ask, Breakdown, Facts, Figure, Kpi, Measure, Tally, Term};

/// The definition.
pub const KPI: Kpi = Kpi {
    id: "catalogue_health",
    names: ("سلامت سبد خدمات", "catalogue health"),
    formula: (
        "خدمت‌هایی که دست‌کم ۹۵٪ آزمون‌هایشان موفق بوده، بخش بر خدمت‌های فعال سبد که سنجیده شده‌اند؛ خدمت بی‌آزمون نامشخص است",
        "services with at least 95 % of attempts good, over active services that were measured; a service nobody tried is unknown",
    ),
    by: &[Breakdown::Region, Breakdown::Service, Breakdown::Cohort],
    stands_on: &[Term::Works],
    basis: "programme: 30+ services",
    needs: ("دست‌کم یک آزمون خدمت", "at least one attempt to use a service"),
    measures: &[Measure::Derived(derive)],
    ..Kpi::BASE
};

fn derive(kpi: &Kpi, facts: &Facts, ask: Ask<'_>) -> Vec<Figure> {
    share_of_services(kpi, facts, ask, |service| service.active)
}

/// Counts the services of the catalogue that work in each region: all, one by one, or as each cohort sees them.
pub(super) fn share_of_services(kpi: &Kpi, facts: &Facts, ask: Ask<'_>, counts: impl Fn(&Service) -> bool) -> Vec<Figure> {
    let map = facts.last_map();
    let mut figures = Vec::new();
    for code in asked_regions(facts, ask) {
        let attempts = attempts(facts, &code, ask.by == Some(Breakdown::Cohort));
        let mut parts: BTreeMap<Option<String>, Tally> = BTreeMap::new();
        if ask.by.is_none_or(|by| by == Breakdown::Region) {
            parts.insert(None, Tally::default());
        }
        let cohorts: BTreeSet<&str> = attempts.keys().map(|(cohort, _)| cohort.as_str()).collect();
        for service in map.services.iter().filter(|s| counts(s)) {
            let judged = |cohort: &str| {
                let tried = attempts.get(&(cohort.to_owned(), service.id.clone())).filter(|(attempts, _)| *attempts > 0);
                Tally::of(tried.map(|(attempts, ok)| *ok as f64 >= kpi.terms.works * *attempts as f64))
            };
            match ask.by {
                Some(Breakdown::Service) => parts.entry(Some(service.id.clone())).or_default().add(&judged("")),
                Some(Breakdown::Cohort) => {
                    cohorts.iter().for_each(|cohort| parts.entry(Some((*cohort).to_owned())).or_default().add(&judged(cohort)));
                }
                _ => parts.entry(None).or_default().add(&judged("")),
            }
        }
        for (part, tally) in parts {
            let mut figure = kpi.figure(&code, facts.period, ask.weight, facts.status, &tally);
            figure.part = ask.by.zip(part);
            figures.push(figure);
        }
    }
    figures
}

/// Sums attempts and good ones in a region by the vantage's cohort, if that is asked for, and service.
fn attempts(facts: &Facts, region: &str, by_cohort: bool) -> HashMap<(String, String), (u64, u64)> {
    let mut sums: HashMap<(String, String), (u64, u64)> = HashMap::new();
    for section in &facts.sections {
        let inventory = &section.inventory;
        let Some(region) = inventory.region_by_code(region) else { continue };
        for fact in section.services.iter().flatten().filter(|f| inventory.is_within(inventory.site(f.site).region, region)) {
            let subject = Subject::Service(&fact.service, fact.site);
            let cohort = if by_cohort { part(inventory, subject, Breakdown::Cohort) } else { String::new() };
            let (attempts, ok) = sums.entry((cohort, fact.service.clone())).or_default();
            *attempts += fact.attempts;
            *ok += fact.ok;
        }
    }
    sums
}
