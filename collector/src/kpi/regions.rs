//! Rolls what objects add up to from the regions they stand in to every region above.

use crate::inventory::{Inventory, RegionId, RegionKind};

use super::tally::Tally;

/// One sum per region of a version.
#[derive(Debug, Clone)]
pub struct ByRegion {
    sums: Vec<Option<Tally>>,
}

impl ByRegion {
    /// Starts with nothing counted.
    pub fn new(inventory: &Inventory) -> Self {
        ByRegion { sums: vec![None; inventory.regions.len()] }
    }

    /// Adds an object standing in `region`.
    pub fn add(&mut self, region: RegionId, tally: &Tally) {
        self.sums[region.index()].get_or_insert_with(Tally::default).add(tally);
    }

    /// Adds each region's sum to its parent's, from the leaves up. A parent stands before its children in a version.
    pub fn roll_up(mut self, inventory: &Inventory) -> Self {
        for at in (0..self.sums.len()).rev() {
            let (above, below) = self.sums.split_at_mut(at);
            if let (Some(parent), Some(sum)) = (inventory.regions[at].parent, &below[0]) {
                above[parent.index()].get_or_insert_with(Tally::default).add(sum);
            }
        }
        self
    }

    /// Lists the regions in which something was counted.
    pub fn counted(&self) -> impl Iterator<Item = (RegionId, &Tally)> {
        (0..).map(RegionId).zip(&self.sums).filter_map(|(id, sum)| Some((id, sum.as_ref()?)))
    }

    /// Returns a region's sum; nothing counted is an empty sum.
    pub fn get(&self, region: RegionId) -> Tally {
        self.sums[region.index()].clone().unwrap_or_default()
    }
}

/// Tells of every region of a version whether it is `scope` or lies inside it.
pub fn within(inventory: &Inventory, scope: RegionId) -> Vec<bool> {
    let mut inside = vec![false; inventory.regions.len()];
    for (at, region) in inventory.regions.iter().enumerate() {
        // A parent stands before its children in a version.
        inside[at] = at == scope.index() || region.parent.is_some_and(|parent| inside[parent.index()]);
    }
    inside
}

/// Lists the regions figures are published for: all levels above the village.
pub fn levels(inventory: &Inventory) -> impl Iterator<Item = RegionId> + '_ {
    let published = |kind| !matches!(kind, RegionKind::Village | RegionKind::City);
    (0..).map(RegionId).zip(&inventory.regions).filter(move |(_, r)| published(r.kind)).map(|(id, _)| id)
}
