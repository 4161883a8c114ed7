//! A snapshot set by hand: a fleet whose states a story tells, without agents and without the engine.

use std::sync::Arc;

use rusta_collector::engine::{AgentState, AgentView, LinkState, LinkView, SiteState, SiteView, Snapshot, VillageState, VillageView};
use rusta_collector::inventory::{Inventory, SiteId};
use rusta_wire::{AgentId, UnixMs};

/// Returns a snapshot in which everything works and one agent reports from every site.
pub fn calm(inventory: Arc<Inventory>, at: UnixMs) -> Snapshot {
    let link = LinkView { state: LinkState::Up, since: at, evidence_at: Some(at), cause: None, targets: Arc::new([]) };
    let site = SiteView { state: SiteState::Up, since: at, cause: None, evidence_at: Some(at) };
    let village =
        |region| VillageView { region, state: VillageState::Connected, since: at, evidence_at: Some(at), networks_up: Vec::new() };
    let agent = |index: usize| AgentView {
        id: AgentId(index as u64),
        site: SiteId(u32::try_from(index).unwrap()),
        state: AgentState::Reporting,
        received_at: Some(at),
        observed_at: Some(at),
        clock: None,
        clock_skew_ms: None,
        spool_frames: None,
        lost: 0,
    };
    Snapshot {
        at,
        links: vec![link; inventory.links.len()],
        sites: vec![site; inventory.sites.len()],
        villages: inventory.villages().map(village).collect(),
        agents: (0..inventory.sites.len()).map(agent).collect(),
        fleet_quiet_since: None,
        inventory,
    }
}

/// Lets time pass until `at`: what works keeps proving it.
pub fn pass(snapshot: &mut Snapshot, at: UnixMs) {
    snapshot.at = at;
    for view in snapshot.links.iter_mut().filter(|view| matches!(view.state, LinkState::Up | LinkState::Degraded)) {
        view.evidence_at = Some(at);
    }
}

/// Puts every link of a site, the site, its village and its agent into one state.
pub fn set(snapshot: &mut Snapshot, site: SiteId, state: LinkState) {
    let since = snapshot.at;
    for link in snapshot.inventory.links_of(site) {
        let view = &mut snapshot.links[link.index()];
        (view.state, view.since) = (state, since);
    }
    let (of_site, of_village) = match state {
        LinkState::Up => (SiteState::Up, VillageState::Connected),
        LinkState::Degraded | LinkState::Flapping => (SiteState::Degraded, VillageState::Connected),
        LinkState::Down => (SiteState::Down, VillageState::Disconnected),
        LinkState::Unknown => (SiteState::Unknown, VillageState::Unknown),
        LinkState::Maintenance | LinkState::NotInService => (SiteState::Maintenance, VillageState::Disconnected),
    };
    let view = &mut snapshot.sites[site.index()];
    (view.state, view.since) = (of_site, since);
    snapshot.agents[site.index()].state = if state == LinkState::Unknown { AgentState::Silent } else { AgentState::Reporting };
    let region = snapshot.inventory.site(site).region;
    if let Ok(at) = snapshot.villages.binary_search_by_key(&region, |village| village.region) {
        let view = &mut snapshot.villages[at];
        (view.state, view.since) = (of_village, since);
    }
}
