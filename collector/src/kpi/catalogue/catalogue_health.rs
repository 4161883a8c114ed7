//! `catalogue_health`: how many services of the active catalogue users really reach.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::inventory::{RegionId, Service};
use crate::kpi::compute::asked_regions;
use crate::kpi::parts::{Subject, part};
use crate::kpi::{Ask, Breakdown, Counted, Facts, Figure, Kpi, Measure, Tally, Term};

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
    counts: (Counted::Services, Counted::Services),
    ..Kpi::BASE
};

fn derive(kpi: &Kpi, facts: &Facts, ask: Ask<'_>) -> Vec<Figure> {
    share_of_services(kpi, facts, ask, |service| service.active)
}

/// Counts the services of the catalogue that work in each region: all, one by one, or as each cohort sees them.
pub(super) fn share_of_services(kpi: &Kpi, facts: &Facts, ask: Ask<'_>, counts: impl Fn(&Service) -> bool) -> Vec<Figure> {
    let map = facts.last_map();
    let mut figures = Vec::new();
    let asked = asked_regions(facts, ask);
    let mut tried = attempts(facts, &asked, ask.by == Some(Breakdown::Cohort));
    for code in asked {
        let attempts = tried.remove(&code).unwrap_or_default();
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

/// Attempts and good ones by the vantage's cohort, empty if it is not asked for, and service.
type Attempts = HashMap<(String, String), (u64, u64)>;

/// Sums attempts in each of the regions asked for.
fn attempts(facts: &Facts, asked: &[String], by_cohort: bool) -> HashMap<String, Attempts> {
    let mut sums: HashMap<String, Attempts> = asked.iter().map(|code| (code.clone(), Attempts::new())).collect();
    for section in &facts.sections {
        let inventory = &section.inventory;
        let mut by_region: HashMap<RegionId, Attempts> = HashMap::new();
        for fact in section.services.iter().flatten() {
            let subject = Subject::Service(&fact.service, fact.site);
            let cohort = if by_cohort { part(inventory, subject, Breakdown::Cohort) } else { String::new() };
            let here = by_region.entry(inventory.site(fact.site).region).or_default();
            add(here, &(cohort, fact.service.clone()), (fact.attempts, fact.ok));
        }
        for (region, tried) in by_region {
            for above in inventory.ancestors(region) {
                if let Some(sum) = sums.get_mut(&inventory.region(above).code) {
                    tried.iter().for_each(|(of, counts)| add(sum, of, *counts));
                }
            }
        }
    }
    sums
}

fn add(sums: &mut Attempts, of: &(String, String), (attempts, ok): (u64, u64)) {
    match sums.get_mut(of) {
        Some(sum) => *sum = (sum.0 + attempts, sum.1 + ok),
        None => drop(sums.insert(of.clone(), (attempts, ok))),
    }
}
