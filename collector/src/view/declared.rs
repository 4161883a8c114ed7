//! What was announced, with its date and source, whether or not it is measured.

use serde::Serialize;
use utoipa::ToSchema;

use super::{Place, Sight, place};
use crate::engine::Snapshot;
use crate::inventory::{Declared, RegionId, RegionKind, newest};
use crate::kpi::by_id;

/// A figure somebody announced.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct DeclaredView {
    /// What it speaks of: a KPI of the catalogue, or a name of its own.
    #[schema(example = "coverage_share_any")]
    pub kpi: String,
    /// What the catalogue calls it in Persian; `null` if it is measured by no KPI.
    pub name_fa: Option<&'static str>,
    /// In English.
    pub name_en: Option<&'static str>,
    /// Where.
    pub region: Place,
    /// The announced value, a ratio for shares.
    pub value: f64,
    /// Its unit.
    #[schema(example = "ratio")]
    pub unit: String,
    /// What was counted, if announced.
    pub numerator: Option<f64>,
    /// Of what, if announced.
    pub denominator: Option<f64>,
    /// The day it describes.
    #[schema(example = "2025-09-01")]
    pub as_of: String,
    /// The day it was announced.
    pub announced_on: Option<String>,
    /// Who announced it.
    pub publisher: String,
    /// Where it can be read.
    pub source: String,
    /// Whether it is the one that holds: not superseded, and of the latest day that has come.
    pub holds: bool,
}

/// Lists what was announced of a region, or of every region above the village that somebody sees: by region, then KPI, what holds
/// first, then the later day.
pub fn declared(snapshot: &Snapshot, sight: Sight, of: Option<RegionId>) -> Vec<DeclaredView> {
    let inventory = &snapshot.inventory;
    let is_asked = |one: &&Declared| match of {
        Some(region) => one.region == region,
        None => inventory.region(one.region).kind != RegionKind::Village,
    };
    let mut all: Vec<&Declared> =
        inventory.declared.iter().filter(is_asked).filter(|one| sight.sees_region(inventory, one.region)).collect();
    let key = |one: &Declared| (one.region, one.kpi.clone());
    all.sort_by(|a, b| key(a).cmp(&key(b)).then_with(|| b.as_of.cmp(&a.as_of)));
    let views = all.chunk_by(|a, b| key(a) == key(b)).flat_map(|group| {
        let holds = newest(group.iter().copied().filter(|one| one.holds_at(snapshot.at)));
        let mut views: Vec<DeclaredView> =
            group.iter().map(|one| view(snapshot, one, holds.is_some_and(|held| std::ptr::eq(held, *one)))).collect();
        views.sort_by_key(|one| !one.holds);
        views
    });
    views.collect()
}

fn view(snapshot: &Snapshot, one: &Declared, holds: bool) -> DeclaredView {
    let names = by_id(&one.kpi).map(|kpi| kpi.names);
    DeclaredView {
        kpi: one.kpi.clone(),
        name_fa: names.map(|names| names.0),
        name_en: names.map(|names| names.1),
        region: place(&snapshot.inventory, one.region),
        value: one.value,
        unit: one.unit.clone(),
        numerator: one.numerator,
        denominator: one.denominator,
        as_of: one.as_of.clone(),
        announced_on: one.announced_on.clone(),
        publisher: one.publisher.clone(),
        source: one.source.clone(),
        holds,
    }
}
