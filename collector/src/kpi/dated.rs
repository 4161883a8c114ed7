//! Facts of the registry hold from their day: a count that describes a day to come is not counted yet.

use std::sync::Arc;

use rusta_wire::UnixMs;

use crate::inventory::{Inventory, Region, Versions, has_come};

/// Returns a version with the last facts whose day had come by a time: where its own come later, those of the version
/// before; `None` where no version has one.
pub(super) fn dated(versions: &Versions, inventory: Arc<Inventory>, at: UnixMs) -> Arc<Inventory> {
    let is_early = |region: &Region| !region.households_as_of.as_deref().is_none_or(|day| has_come(day, at));
    if !inventory.regions.iter().any(is_early) {
        return inventory;
    }
    let mut dated = Inventory::clone(&inventory);
    for region in dated.regions.iter_mut().filter(|region| is_early(region)) {
        let mut code = region.previous_code.clone().unwrap_or_else(|| region.code.clone());
        (region.households, region.population, region.households_as_of) = (None, None, None);
        for before in versions.before(inventory.version) {
            // The code may have changed on the way, or be the same.
            let known = before.region_by_code(&code).or_else(|| before.region_by_code(&region.code)).map(|id| before.region(id));
            let Some(known) = known else { continue };
            if !is_early(known) {
                (region.households, region.population) = (known.households, known.population);
                region.households_as_of.clone_from(&known.households_as_of);
                break;
            }
            code = known.previous_code.clone().unwrap_or_else(|| known.code.clone());
        }
    }
    Arc::new(dated)
}
