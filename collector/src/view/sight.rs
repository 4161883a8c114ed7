//! The region a person may look into.

use rusta_wire::AgentId;

use crate::engine::Snapshot;
use crate::inventory::{Inventory, RegionId, SiteId};

/// How far somebody sees. Everything a view builds is inside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// The whole inventory.
    Everything,
    /// One region with all it contains.
    Within(RegionId),
    /// Nothing: the person's region is not in the inventory any more.
    Nothing,
}

impl Sight {
    /// Returns the sight of somebody bound to a region code, or to none.
    pub fn of(inventory: &Inventory, region_code: Option<&str>) -> Self {
        match region_code {
            None => Sight::Everything,
            Some(code) => inventory.region_by_code(code).map_or(Sight::Nothing, Sight::Within),
        }
    }

    /// Tells whether a region may be shown with its figures.
    pub fn sees_region(self, inventory: &Inventory, region: RegionId) -> bool {
        match self {
            Sight::Everything => true,
            Sight::Within(root) => inventory.is_within(region, root),
            Sight::Nothing => false,
        }
    }

    /// Tells whether a site may be shown.
    pub fn sees_site(self, inventory: &Inventory, site: SiteId) -> bool {
        self.sees_region(inventory, inventory.site(site).region)
    }

    /// Tells whether an agent may be shown.
    pub fn sees_agent(self, snapshot: &Snapshot, agent: AgentId) -> bool {
        snapshot.agents.iter().any(|view| view.id == agent && self.sees_site(&snapshot.inventory, view.site))
    }

    /// Returns the smaller of this sight and one region; [`Sight::Nothing`] if they do not overlap.
    pub fn narrowed(self, inventory: &Inventory, region: RegionId) -> Self {
        if self.sees_region(inventory, region) { Sight::Within(region) } else { Sight::Nothing }
    }
}
