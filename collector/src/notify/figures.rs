//! KPIs over days and months, and the medians rules compare with: what the rules ask of history. Read now and then, away
//! from the look, because a look is in a hurry.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use rusta_wire::{Metric, UnixMs};

use crate::day::Day;
use crate::history::tables;
use crate::inventory::versions::VersionError;
use crate::inventory::{Inventory, LinkId, RegionId};
use crate::kpi::{Ask, Book, View, Weight, answer, by_id};
use crate::rules::{Bound, Condition, KpiFact, KpiSpan, Rules};
use crate::store::{Store, StoreError};

/// Days a median looks back: the last fourteen that are over.
const MEDIAN_DAYS: i32 = 14;

/// Computes the KPIs over past days that rules ask for. A failing one is left out, which fires nothing.
///
/// # Errors
/// What the state database says.
pub fn past_kpis(rules: &Rules, book: &Book, inventory: &Inventory, now: UnixMs) -> Result<Vec<KpiFact>, VersionError> {
    let asked = rules.rules.iter().filter_map(|rule| match &rule.condition {
        Condition::Kpi { id, over, .. } if *over != KpiSpan::Now => Some((*over, id.as_str())),
        _ => None,
    });
    let mut found = Vec::new();
    for (over, id) in asked.collect::<BTreeSet<_>>() {
        let (Some(kpi), Some(period)) = (by_id(id), over.period(now)) else { continue };
        let facts = book.facts(period, View::AsIs, now)?;
        let figures = answer(kpi, &facts, Ask { weight: Weight::Village, ..Ask::default() });
        found.extend(figures.into_iter().filter(|figure| figure.part.is_none()).filter_map(|figure| {
            let region = inventory.region_by_code(&figure.region)?;
            Some(KpiFact { id: id.to_owned(), over, region, value: figure.value, goal: goal(inventory, id, region) })
        }));
    }
    Ok(found)
}

/// Finds a region's goal for a KPI.
pub(super) fn goal(inventory: &Inventory, kpi: &str, region: RegionId) -> Option<f64> {
    inventory.goals.iter().find(|goal| goal.kpi == kpi && goal.region == region).map(|goal| goal.value)
}

/// The medians of one day for one version of the registry.
#[derive(Debug, Default)]
pub struct Medians {
    of: Option<(Day, u32)>,
    by_metric: HashMap<Metric, Vec<Option<f64>>>,
}

impl Medians {
    /// Returns the median of a metric on a link; `None` where history has none.
    pub fn get(&self, link: LinkId, metric: Metric) -> Option<f64> {
        self.by_metric.get(&metric)?.get(link.index()).copied().flatten()
    }

    /// Reads them again once a day and for every version of the registry; returns whether it did.
    ///
    /// # Errors
    /// What the state database says; then the old ones hold.
    pub fn refresh(&mut self, rules: &Rules, store: &Store, inventory: &Arc<Inventory>, now: UnixMs) -> Result<bool, StoreError> {
        let today = Day::of(now);
        if self.of == Some((today, inventory.version)) {
            return Ok(false);
        }
        let metrics = rules.rules.iter().filter_map(|rule| match &rule.condition {
            Condition::Metric { metric, bound: Bound::BelowMedian(..), .. } => Some(*metric),
            _ => None,
        });
        let mut by_metric = HashMap::new();
        for metric in metrics {
            let days = Day(today.0 - MEDIAN_DAYS)..today;
            let mut medians = vec![None; inventory.links.len()];
            for (object, values) in store.read(|db| tables::values(db, metric, days))? {
                let link = inventory.site_by_code(&object.code).and_then(|site| inventory.link_by_name(site, &object.link));
                if let Some(place) = link.and_then(|link| medians.get_mut(link.index())) {
                    *place = values.quantile(0.5).map(|median| median as f64);
                }
            }
            by_metric.insert(metric, medians);
        }
        (self.of, self.by_metric) = (Some((today, inventory.version)), by_metric);
        Ok(true)
    }
}
