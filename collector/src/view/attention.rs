//! The sites somebody should look at first.

use super::{Sight, SiteRow, site_row};
use crate::engine::{SiteState, Snapshot};
use crate::inventory::{RegionId, SiteId};

/// The most urgent sites, and how many there are.
#[derive(Debug, Clone)]
pub struct Attention {
    /// Worst first: down before unknown before degraded, class A before C, newest first.
    pub rows: Vec<SiteRow>,
    /// All sites that are not up and not set aside.
    pub total: usize,
}

/// Lists at most `limit` sites of a region (or everywhere) that are not up.
pub fn attention(snapshot: &Snapshot, sight: Sight, region: Option<RegionId>, limit: usize) -> Attention {
    let inventory = &snapshot.inventory;
    let sight = region.map_or(sight, |id| sight.narrowed(inventory, id));
    let mut urgent: Vec<_> = (0..)
        .map(SiteId)
        .zip(&snapshot.sites)
        .filter_map(|(id, view)| rank(view.state).map(|rank| (rank, inventory.site(id).criticality, std::cmp::Reverse(view.since), id)))
        .filter(|(.., id)| sight.sees_site(inventory, *id))
        .collect();
    let total = urgent.len();
    if total > limit {
        urgent.select_nth_unstable(limit);
        urgent.truncate(limit);
    }
    urgent.sort_unstable();
    Attention { rows: urgent.into_iter().map(|(.., id)| site_row(snapshot, id)).collect(), total }
}

fn rank(state: SiteState) -> Option<u8> {
    match state {
        SiteState::Down => Some(0),
        SiteState::Unknown => Some(1),
        SiteState::BackupOnly => Some(2),
        SiteState::Degraded => Some(3),
        SiteState::Up | SiteState::Maintenance | SiteState::NotInService => None,
    }
}
