//! A village's day, from the days of its in-policy sites.

use rusta_wire::{Rung, UnixMs};

use super::span::{Span, append, at, edges};
use super::timeline::{SiteDay, unknown};
use crate::engine::roll_up::{Path, village_state};
use crate::engine::{Cause, LinkState, VillagePolicy, VillageState};
use crate::inventory::{Inventory, SiteId, assignment};

/// One village's day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VillageDay {
    /// The village's states, without gaps.
    pub spans: Vec<Span<VillageState>>,
    /// Whether the national network was reached from any of its sites; `None` if no site tells.
    pub nin: Option<Vec<Span<LinkState>>>,
    /// Its states under the narrower policies, where they differ from `either`: some of its sites are in, some are not.
    pub by_policy: Vec<(VillagePolicy, Vec<Span<VillageState>>)>,
}

type Sites<'a> = [(SiteId, Option<&'a SiteDay>)];

/// Builds a village's day from those of its in-policy sites; a site without a day was not measured.
pub fn village_timeline(inventory: &Inventory, sites: &Sites<'_>, from: UnixMs, until: UnixMs) -> VillageDay {
    // A site that is to look and has no day, or one of before it was known to be to, leaves it unknown.
    let nothing = unknown(from, until);
    let told = sites.iter().map(|(site, day)| (site, day.and_then(|day| day.nin.as_deref())));
    let to_look = |site: &SiteId| assignment::asks_for(inventory, *site, Rung::Nin).then_some(nothing.as_slice());
    let nin_lists: Vec<&[Span<LinkState>]> = told.filter_map(|(site, known)| known.or_else(|| to_look(site))).collect();
    let mut nin = Vec::new();
    for pair in edges(nin_lists.iter().copied(), from, until).windows(2) {
        if let Some(state) = nin_state(&nin_lists, pair[0]) {
            append(&mut nin, Span { from: pair[0], until: pair[1], state, cause: None });
        }
    }
    let nin = (!nin_lists.is_empty()).then_some(nin);
    let narrower = [VillagePolicy::MobilePublic, VillagePolicy::DehyariUplink].into_iter().filter_map(|policy| {
        let inside: Vec<_> = sites.iter().filter(|(site, _)| policy.includes(inventory.site(*site).kind)).copied().collect();
        let differs = !inside.is_empty() && inside.len() < sites.len();
        differs.then(|| (policy, states(inventory, &inside, nin.as_deref(), from, until)))
    });
    let by_policy = narrower.collect();
    VillageDay { spans: states(inventory, sites, nin.as_deref(), from, until), nin, by_policy }
}

fn states(
    inventory: &Inventory,
    sites: &Sites<'_>,
    nin: Option<&[Span<LinkState>]>,
    from: UnixMs,
    until: UnixMs,
) -> Vec<Span<VillageState>> {
    let lists = sites.iter().filter_map(|(_, day)| *day).flat_map(|day| day.links.iter().map(|link| link.spans.as_slice()));
    let mut spans = Vec::new();
    for pair in edges(lists.chain(nin), from, until).windows(2) {
        let nin_lost = nin.and_then(|nin| at(nin, pair[0])).is_some_and(|span| span.state == LinkState::Down);
        let (paths, cause) = paths_at(inventory, sites, pair[0]);
        let state = village_state(&paths, nin_lost);
        let cause = cause.filter(|_| state == VillageState::Disconnected);
        append(&mut spans, Span { from: pair[0], until: pair[1], state, cause });
    }
    spans
}

/// Returns the state of every in-policy link at a time, and the first cause among them.
fn paths_at(inventory: &Inventory, sites: &Sites<'_>, time: UnixMs) -> (Vec<Path>, Option<Cause>) {
    let mut cause = None;
    let mut paths = Vec::new();
    for (site, day) in sites {
        for (place, id) in inventory.links_of(*site).enumerate() {
            let link = inventory.link(id);
            let held = day.and_then(|day| day.links.get(place)).and_then(|link| at(&link.spans, time));
            cause = cause.or(held.and_then(|span| span.cause));
            let state = held.map_or(LinkState::Unknown, |span| span.state);
            paths.push(Path { role: link.role, network: link.network, state, flapping: false });
        }
    }
    (paths, cause)
}

/// Reached if from any site, out of reach if from none that tells; under work while it is at every site that tells.
fn nin_state(lists: &[&[Span<LinkState>]], time: UnixMs) -> Option<LinkState> {
    let states: Vec<LinkState> = lists.iter().filter_map(|spans| at(spans, time)).map(|span| span.state).collect();
    if lists.is_empty() {
        return None;
    }
    let up = states.iter().any(|state| matches!(state, LinkState::Up | LinkState::Degraded));
    let all = |which: &[LinkState]| !states.is_empty() && states.iter().all(|state| which.contains(state));
    Some(if up {
        LinkState::Up
    } else if all(&[LinkState::Maintenance]) {
        LinkState::Maintenance
    } else if all(&[LinkState::Down, LinkState::Maintenance]) {
        LinkState::Down
    } else {
        LinkState::Unknown
    })
}
