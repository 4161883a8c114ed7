//! What each site's agent should measure, by the inventory in force.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::watch;

use super::Assignments;
use crate::clock;
use crate::inventory::assignment::{self, Assignment};
use crate::inventory::{Inventory, Versions};

/// Assignments made from profiles; each is made once an inventory version, when its agent first asks.
pub struct InventoryAssignments {
    versions: watch::Receiver<Arc<Versions>>,
    made: RwLock<Made>,
}

#[derive(Default)]
struct Made {
    inventory: Arc<Inventory>,
    by_site: HashMap<String, Option<Arc<Assignment>>>,
}

impl InventoryAssignments {
    /// Follows the inventory.
    pub fn new(versions: watch::Receiver<Arc<Versions>>) -> Self {
        InventoryAssignments { versions, made: RwLock::default() }
    }

    fn find(&self, site_code: &str) -> Option<Arc<Assignment>> {
        let inventory = self.versions.borrow().at(clock::now());
        {
            let made = self.made.read().unwrap_or_else(PoisonError::into_inner);
            if Arc::ptr_eq(&made.inventory, &inventory)
                && let Some(known) = made.by_site.get(site_code)
            {
                return known.clone();
            }
        }
        // A site without targets has no assignment: its agent keeps what its own file says.
        let site = inventory.site_by_code(site_code);
        let assignment = site.map(|site| assignment::of(&inventory, site)).filter(has_targets).map(Arc::new);
        let mut made = self.made.write().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(&made.inventory, &inventory) {
            *made = Made { inventory, by_site: HashMap::new() };
        }
        made.by_site.insert(site_code.to_owned(), assignment.clone());
        assignment
    }
}

fn has_targets(assignment: &Assignment) -> bool {
    !assignment.yaml.trim_end().ends_with("targets: []")
}

impl Assignments for InventoryAssignments {
    fn version(&self, site_code: &str) -> u64 {
        self.find(site_code).map_or(0, |assignment| assignment.version)
    }

    fn text(&self, site_code: &str) -> Option<String> {
        self.find(site_code).map(|assignment| assignment.yaml.clone())
    }

    fn is_vantage(&self, site_code: &str) -> bool {
        let inventory = self.versions.borrow().at(clock::now());
        inventory.site_by_code(site_code).is_some_and(|site| !inventory.site(site).vantage_for.is_empty())
    }

    fn may_speak_about(&self, site_code: &str, other_code: &str) -> bool {
        let inventory = self.versions.borrow().at(clock::now());
        let sites = inventory.site_by_code(site_code).zip(inventory.site_by_code(other_code));
        sites.is_some_and(|(site, other)| site == other || inventory.may_speak_about(site, other))
    }
}
