//! The engine's state as readers get it, kept beside the tracks so that a snapshot is a copy of four lists.

use std::sync::Arc;

use rusta_wire::{Network, UnixMs};

use super::live::Engine;
use super::state::{AgentView, LinkView, SiteView, Snapshot, VillageView};
use super::track::{SiteTrack, VillageTrack};
use crate::inventory::{Inventory, SiteId};

/// What the next snapshot shows.
#[derive(Default)]
pub(super) struct Views {
    pub(super) links: Vec<LinkView>,
    pub(super) sites: Vec<SiteView>,
    pub(super) villages: Vec<VillageView>,
    pub(super) agents: Vec<AgentView>,
}

impl Views {
    pub(super) fn snapshot(&self, at: UnixMs, inventory: &Arc<Inventory>, fleet_quiet_since: Option<UnixMs>) -> Snapshot {
        Snapshot {
            at,
            inventory: Arc::clone(inventory),
            links: self.links.clone(),
            sites: self.sites.clone(),
            villages: self.villages.clone(),
            agents: self.agents.clone(),
            fleet_quiet_since,
        }
    }

    pub(super) fn set_site(&mut self, site: SiteId, track: &SiteTrack) {
        if let Some(view) = self.sites.get_mut(site.index()) {
            (view.state, view.since, view.cause) = (track.state, track.since, track.cause);
        }
    }

    pub(super) fn set_village(&mut self, village: u32, track: &VillageTrack, mut networks_up: Vec<Network>) {
        networks_up.sort_unstable();
        networks_up.dedup();
        if let Some(view) = self.villages.get_mut(village as usize) {
            (view.state, view.since, view.networks_up) = (track.state, track.since, networks_up);
        }
    }
}

impl Engine {
    /// Brings the views of links that changed since the last snapshot up to date, with the evidence of their sites and
    /// villages.
    pub(super) fn refresh_views(&mut self) {
        for link in std::mem::take(&mut self.dirty) {
            let track = &mut self.links[link.index()];
            track.dirty = false;
            let evidence_at = track.machine.evidence_at();
            self.views.links[link.index()] =
                LinkView { state: track.state, since: track.since, evidence_at, cause: track.cause, targets: track.target_views() };
            let site = self.inventory.link(link).site;
            let view = &mut self.views.sites[site.index()].evidence_at;
            *view = (*view).max(evidence_at);
            if let Some(village) = self.sites[site.index()].village {
                let view = &mut self.views.villages[village as usize].evidence_at;
                *view = (*view).max(evidence_at);
            }
        }
    }
}
