//! Regions as pages and the API show them: where they lie, what they contain, how they do.

use serde::Serialize;
use utoipa::ToSchema;

use super::{Counts, Sight, Tally};
use crate::inventory::{Inventory, RegionId, RegionKind};

/// A region's name in the tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Place {
    /// Statistical Centre code.
    pub code: String,
    /// Level of the tree.
    #[schema(value_type = String, example = "county")]
    pub kind: RegionKind,
    /// Persian name.
    pub name_fa: String,
    /// Latin name; empty if unknown.
    pub name_en: String,
}

/// A region with its counts.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct RegionRow {
    /// Which region.
    #[serde(flatten)]
    pub place: Place,
    /// Code of the region it belongs to.
    pub parent: Option<String>,
    /// Households, by the last count.
    pub households: Option<u32>,
    /// Residents, by the last count.
    pub population: Option<u32>,
    /// What it contains, by state.
    pub counts: Counts,
}

/// Names a region.
pub fn place(inventory: &Inventory, id: RegionId) -> Place {
    let region = inventory.region(id);
    Place { code: region.code.clone(), kind: region.kind, name_fa: region.name_fa.clone(), name_en: region.name_en.clone() }
}

/// Names the regions from the province down to one, as far as somebody sees.
pub fn path_to(inventory: &Inventory, id: RegionId, sight: Sight) -> Vec<Place> {
    let mut path: Vec<_> = inventory
        .ancestors(id)
        .filter(|ancestor| sight.sees_region(inventory, *ancestor))
        .map(|ancestor| place(inventory, ancestor))
        .collect();
    path.reverse();
    path
}

/// Lists the regions somebody starts from: their own region, or the provinces.
pub fn roots(inventory: &Inventory, sight: Sight) -> Vec<RegionId> {
    match sight {
        Sight::Within(root) => vec![root],
        Sight::Everything => region_ids(inventory).filter(|id| inventory.region(*id).parent.is_none()).collect(),
        Sight::Nothing => Vec::new(),
    }
}

/// Lists the regions directly inside one, or the provinces for `None`, with their counts.
pub fn children(inventory: &Inventory, tally: &Tally, parent: Option<RegionId>, sight: Sight) -> Vec<RegionRow> {
    children_of(inventory, parent).filter(|id| sight.sees_region(inventory, *id)).map(|id| row(inventory, tally, id)).collect()
}

/// Lists the ids of the regions directly inside one, or of the provinces for `None`.
pub fn children_of(inventory: &Inventory, parent: Option<RegionId>) -> impl Iterator<Item = RegionId> + '_ {
    region_ids(inventory).filter(move |id| inventory.region(*id).parent == parent)
}

fn row(inventory: &Inventory, tally: &Tally, id: RegionId) -> RegionRow {
    let region = inventory.region(id);
    RegionRow {
        place: place(inventory, id),
        parent: region.parent.map(|parent| inventory.region(parent).code.clone()),
        households: region.households,
        population: region.population,
        counts: tally.get(Some(id)),
    }
}

impl RegionRow {
    /// Describes one region.
    pub fn of(inventory: &Inventory, tally: &Tally, id: RegionId) -> Self {
        row(inventory, tally, id)
    }
}

fn region_ids(inventory: &Inventory) -> impl Iterator<Item = RegionId> + use<> {
    (0..u32::try_from(inventory.regions.len()).unwrap_or(u32::MAX)).map(RegionId)
}
