//! How many villages, sites and links are in which state, for every region at once.

use rusta_wire::Network;
use serde::Serialize;
use utoipa::ToSchema;

use crate::engine::{LinkState, SiteState, Snapshot, VillageState};
use crate::inventory::{Inventory, RegionId};

/// Villages by state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct VillageCounts {
    /// All inhabited ones.
    pub total: u32,
    /// Some path is up.
    pub connected: u32,
    /// A path is up, NIN or a class-A service is not reachable.
    pub partial: u32,
    /// Every path is down.
    pub disconnected: u32,
    /// No evidence.
    pub unknown: u32,
}

/// Sites by state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct SiteCounts {
    /// All sites.
    pub total: u32,
    /// Their primary link works.
    pub up: u32,
    /// They work badly, or on the backup only.
    pub degraded: u32,
    /// Every link is down.
    pub down: u32,
    /// No evidence.
    pub unknown: u32,
    /// In an announced window, or not in service.
    pub set_aside: u32,
}

/// Links of one network by state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct LinkCounts {
    /// All links.
    pub total: u32,
    /// They carry traffic, well or badly.
    pub working: u32,
    /// They do not.
    pub down: u32,
    /// No evidence.
    pub unknown: u32,
}

/// The counts of one region, everything it contains included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Counts {
    /// Inhabited villages.
    pub villages: VillageCounts,
    /// Sites.
    pub sites: SiteCounts,
    /// Links of the government network.
    pub gov: LinkCounts,
    /// Links of the rural APN.
    pub apn: LinkCounts,
    /// Links of the national information network.
    pub nin: LinkCounts,
    /// Links to the international internet.
    pub internet: LinkCounts,
}

/// The counts of every region.
#[derive(Debug, Clone)]
pub struct Tally {
    by_region: Vec<Counts>,
    whole: Counts,
}

impl Tally {
    /// Counts a snapshot: one pass over it, then one over the regions from the leaves up.
    pub fn of(snapshot: &Snapshot) -> Self {
        let inventory = &snapshot.inventory;
        let mut by_region = vec![Counts::default(); inventory.regions.len()];
        for village in &snapshot.villages {
            by_region[village.region.index()].villages.add(village.state);
        }
        for (site, view) in inventory.sites.iter().zip(&snapshot.sites) {
            by_region[site.region.index()].sites.add(view.state);
        }
        for (link, view) in inventory.links.iter().zip(&snapshot.links) {
            let region = inventory.site(link.site).region;
            if let Some(counts) = by_region[region.index()].network_mut(link.network) {
                counts.add(view.state);
            }
        }
        let whole = roll_up(inventory, &mut by_region);
        Tally { by_region, whole }
    }

    /// Returns the counts of a region, or of everything.
    pub fn get(&self, region: Option<RegionId>) -> Counts {
        region.map_or(self.whole, |id| self.by_region[id.index()])
    }
}

impl Counts {
    /// Returns the links of one network.
    pub fn network(&self, network: Network) -> LinkCounts {
        match network {
            Network::Gov => self.gov,
            Network::Apn => self.apn,
            Network::Nin => self.nin,
            Network::Internet => self.internet,
            // No inventory has one.
            Network::Unknown(_) => LinkCounts::default(),
        }
    }

    fn network_mut(&mut self, network: Network) -> Option<&mut LinkCounts> {
        match network {
            Network::Gov => Some(&mut self.gov),
            Network::Apn => Some(&mut self.apn),
            Network::Nin => Some(&mut self.nin),
            Network::Internet => Some(&mut self.internet),
            Network::Unknown(_) => None,
        }
    }

    fn absorb(&mut self, child: Counts) {
        let (v, c) = (&mut self.villages, child.villages);
        v.total += c.total;
        v.connected += c.connected;
        v.partial += c.partial;
        v.disconnected += c.disconnected;
        v.unknown += c.unknown;
        let (s, c) = (&mut self.sites, child.sites);
        s.total += c.total;
        s.up += c.up;
        s.degraded += c.degraded;
        s.down += c.down;
        s.unknown += c.unknown;
        s.set_aside += c.set_aside;
        for network in Network::ALL {
            let c = child.network(*network);
            let Some(l) = self.network_mut(*network) else { continue };
            l.total += c.total;
            l.working += c.working;
            l.down += c.down;
            l.unknown += c.unknown;
        }
    }
}

impl VillageCounts {
    fn add(&mut self, state: VillageState) {
        self.total += 1;
        *match state {
            VillageState::Connected => &mut self.connected,
            VillageState::Partial => &mut self.partial,
            VillageState::Disconnected => &mut self.disconnected,
            VillageState::Unknown => &mut self.unknown,
        } += 1;
    }
}

impl SiteCounts {
    fn add(&mut self, state: SiteState) {
        self.total += 1;
        *match state {
            SiteState::Up => &mut self.up,
            SiteState::Degraded | SiteState::BackupOnly => &mut self.degraded,
            SiteState::Down => &mut self.down,
            SiteState::Unknown => &mut self.unknown,
            SiteState::Maintenance | SiteState::NotInService => &mut self.set_aside,
        } += 1;
    }
}

impl LinkCounts {
    fn add(&mut self, state: LinkState) {
        self.total += 1;
        match state {
            LinkState::Up | LinkState::Degraded | LinkState::Flapping => self.working += 1,
            LinkState::Down => self.down += 1,
            LinkState::Unknown => self.unknown += 1,
            LinkState::Maintenance | LinkState::NotInService => {}
        }
    }

    /// Returns working links over those with evidence; `None` without any.
    pub fn working_share(&self) -> Option<f64> {
        let judged = self.working + self.down;
        (judged > 0).then(|| f64::from(self.working) / f64::from(judged))
    }
}

/// Adds children to parents, last region first: parents stand before their children. Returns the sum of the roots.
fn roll_up(inventory: &Inventory, by_region: &mut [Counts]) -> Counts {
    let mut whole = Counts::default();
    for (at, region) in inventory.regions.iter().enumerate().rev() {
        let counts = by_region[at];
        match region.parent {
            Some(parent) => by_region[parent.index()].absorb(counts),
            None => whole.absorb(counts),
        }
    }
    whole
}
