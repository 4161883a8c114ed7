//! What an incident means for people: sites without a way out, villages, classes.

use std::collections::BTreeSet;

use crate::engine::incident::Incident;
use crate::engine::{SiteState, Snapshot};
use crate::inventory::{Criticality, RegionId, SiteId};

/// What an incident affects while it lasts.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Impact {
    /// Sites with a link in it.
    pub sites: BTreeSet<SiteId>,
    /// Of those, sites that a backup still carries.
    pub carried: usize,
    /// Villages those sites stand in, without the carried ones.
    pub villages: BTreeSet<RegionId>,
    /// Share of all inhabited villages, 0 to 1.
    pub villages_share: f64,
    /// Classes of the sites that have no way out.
    pub classes: BTreeSet<Criticality>,
}

impl Impact {
    /// Reads an incident against a snapshot of the same inventory.
    pub fn of(incident: &Incident, snapshot: &Snapshot) -> Impact {
        let inventory = &snapshot.inventory;
        let mut impact = Impact::default();
        for (link, _) in incident.open_members() {
            let site = inventory.link(link).site;
            if !impact.sites.insert(site) {
                continue;
            }
            if matches!(snapshot.site(site).state, SiteState::Up | SiteState::Degraded | SiteState::BackupOnly) {
                impact.carried += 1;
                continue;
            }
            impact.villages.extend(inventory.village_of(site));
            impact.classes.insert(inventory.site(site).criticality);
        }
        let all = snapshot.villages.len();
        impact.villages_share = if all == 0 { 0.0 } else { impact.villages.len() as f64 / all as f64 };
        impact
    }
}
