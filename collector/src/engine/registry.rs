//! How the engine moves from one version of the inventory to the next: what keeps its code keeps its state.

use std::collections::HashMap;
use std::sync::Arc;

use rusta_wire::UnixMs;

use super::event::Event;
use super::live::{Engine, Timer, link_id};
use super::machine::LinkKind;
use super::state::{LinkView, SiteView, VillageState, VillageView};
use super::track::{LinkKey, LinkTrack, SiteTrack, VillageTrack, key_of};
use crate::inventory::{Inventory, RegionId, RegionKind, SiteId};

impl Engine {
    /// Takes another version of the registry. Links and sites are the same where their codes are; what was heard of a link
    /// that became another network or technology counts as what it is then. Agents of sites that are gone are forgotten.
    pub fn replace_inventory(&mut self, inventory: Arc<Inventory>) -> Vec<Event> {
        let before = std::mem::replace(&mut self.inventory, inventory);
        self.late.clear();
        self.move_links(&before);
        self.move_sites(&before);
        self.move_villages(&before);
        self.move_agents(&before);
        self.timers.retain(|(_, timer)| matches!(timer, Timer::Agent(_)));
        self.reset_views();
        let mut events = Vec::new();
        self.enter_windows(&mut events);
        let all: Vec<_> = (0..self.links.len()).map(link_id).collect();
        self.refresh_links(&all, &mut events);
        for index in 0..self.sites.len() {
            let since = self.sites[index].since;
            self.refresh_site(site_id(index), since, &mut events);
            self.sites[index].timer = None;
            self.set_evidence_timer(site_id(index));
        }
        events
    }

    fn move_links(&mut self, before: &Inventory) {
        let mut held: HashMap<LinkKey, LinkTrack> =
            std::mem::take(&mut self.links).into_iter().enumerate().map(|(index, track)| (key_of(before, link_id(index)), track)).collect();
        let (inventory, thresholds, now) = (&self.inventory, &self.thresholds, self.now);
        self.links = (0..inventory.links.len())
            .map(link_id)
            .map(|id| {
                let kind = LinkKind::of(inventory, id);
                let mut track = held.remove(&key_of(inventory, id)).unwrap_or_else(|| LinkTrack::new(kind, now));
                if track.kind != kind {
                    track.machine.rekind(kind, now, thresholds);
                }
                LinkTrack { dirty: true, kind, ..track }
            })
            .collect();
        self.dirty = (0..self.links.len()).map(link_id).collect();
    }

    fn move_sites(&mut self, before: &Inventory) {
        let mut held: HashMap<&str, SiteTrack> =
            std::mem::take(&mut self.sites).into_iter().zip(&before.sites).map(|(track, site)| (site.code.as_str(), track)).collect();
        let now = self.now;
        self.sites =
            self.inventory.sites.iter().map(|site| held.remove(site.code.as_str()).unwrap_or_else(|| SiteTrack::new(now))).collect();
    }

    fn move_villages(&mut self, before: &Inventory) {
        let held: HashMap<&str, (VillageState, UnixMs)> =
            self.villages.iter().map(|track| (before.region(track.region).code.as_str(), (track.state, track.since))).collect();
        let (now, policy) = (self.now, self.policy);
        let mut places = HashMap::new();
        self.villages.clear();
        for (index, region) in self.inventory.regions.iter().enumerate() {
            if region.kind == RegionKind::Village && region.inhabited {
                let region_id = RegionId(u32::try_from(index).unwrap_or(u32::MAX));
                let (state, since) = held.get(region.code.as_str()).copied().unwrap_or((VillageState::Unknown, now));
                places.insert(region_id, self.villages.len());
                self.villages.push(VillageTrack { region: region_id, sites: Vec::new(), state, since });
            }
        }
        for (index, site) in self.inventory.sites.iter().enumerate() {
            let place = places.get(&site.region).copied().filter(|_| policy.includes(site.kind));
            self.sites[index].village = place.and_then(|place| u32::try_from(place).ok());
            if let Some(place) = place {
                self.villages[place].sites.push(site_id(index));
            }
        }
    }

    fn move_agents(&mut self, before: &Inventory) {
        let inventory = Arc::clone(&self.inventory);
        self.agents.retain_mut(|agent| {
            // Routes name links of the version before; the next record finds them anew, and gives up those that are gone.
            (agent.table, agent.routes) = (None, Vec::new());
            agent.links.retain_mut(|link| {
                let (site, name) = key_of(before, *link);
                let moved = inventory.site_by_code(&site).and_then(|site| inventory.link_by_name(site, &name));
                moved.is_some_and(|moved| {
                    *link = moved;
                    true
                })
            });
            let site = before.sites.get(agent.view.site.index()).and_then(|site| inventory.site_by_code(&site.code));
            site.is_some_and(|site| {
                agent.view.site = site;
                true
            })
        });
        self.index_agents();
    }

    fn reset_views(&mut self) {
        let none = || -> Arc<[super::state::TargetView]> { Arc::new([]) };
        self.views.links = self
            .links
            .iter()
            .map(|track| LinkView { state: track.state, since: track.since, evidence_at: None, cause: track.cause, targets: none() })
            .collect();
        let site = |track: &SiteTrack| SiteView { state: track.state, since: track.since, cause: track.cause, evidence_at: None };
        self.views.sites = self.sites.iter().map(site).collect();
        let village = |track: &VillageTrack| VillageView {
            region: track.region,
            state: track.state,
            since: track.since,
            evidence_at: None,
            networks_up: Vec::new(),
        };
        self.views.villages = self.villages.iter().map(village).collect();
    }
}

fn site_id(index: usize) -> SiteId {
    SiteId(u32::try_from(index).unwrap_or(u32::MAX))
}
