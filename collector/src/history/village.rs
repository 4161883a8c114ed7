//! A village's day, from the days of its in-policy sites.

use rusta_wire::UnixMs;

use super::span::{Span, append, at, edges};
use super::timeline::SiteDay;
use crate::engine::roll_up::{Path, village_state};
use crate::engine::{Cause, LinkState, VillageState};
use crate::inventory::{Inventory, SiteId};

/// One village's day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VillageDay {
    /// The village's states, without gaps.
    pub spans: Vec<Span<VillageState>>,
    /// Whether the national network was reached from any of its sites; `None` if no target tells.
    pub nin: Option<Vec<Span<LinkState>>>,
}

/// Builds a village's day from those of its in-policy sites; a site without a day was not measured.
pub fn village_timeline(inventory: &Inventory, sites: &[(SiteId, Option<&SiteDay>)], from: UnixMs, until: UnixMs) -> VillageDay {
    let days = || sites.iter().filter_map(|(_, day)| *day);
    let lists = days().flat_map(|day| day.links.iter().map(|link| link.spans.as_slice()));
    let nin_lists: Vec<&[Span<LinkState>]> = days().filter_map(|day| day.nin.as_deref()).collect();
    let bounds = edges(lists.chain(nin_lists.iter().copied()), from, until);
    let (mut spans, mut nin_spans) = (Vec::new(), Vec::new());
    for pair in bounds.windows(2) {
        let nin = nin_state(&nin_lists, pair[0]);
        let (paths, cause) = paths_at(inventory, sites, pair[0]);
        let state = village_state(&paths, nin == Some(LinkState::Down));
        let cause = cause.filter(|_| state == VillageState::Disconnected);
        append(&mut spans, Span { from: pair[0], until: pair[1], state, cause });
        if let Some(state) = nin {
            append(&mut nin_spans, Span { from: pair[0], until: pair[1], state, cause: None });
        }
    }
    VillageDay { spans, nin: (!nin_lists.is_empty()).then_some(nin_spans) }
}

/// Returns the state of every in-policy link at a time, and the first cause among them.
fn paths_at(inventory: &Inventory, sites: &[(SiteId, Option<&SiteDay>)], time: UnixMs) -> (Vec<Path>, Option<Cause>) {
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

/// Reached if from any site, out of reach if from none that tells.
fn nin_state(lists: &[&[Span<LinkState>]], time: UnixMs) -> Option<LinkState> {
    let states: Vec<LinkState> = lists.iter().filter_map(|spans| at(spans, time)).map(|span| span.state).collect();
    if lists.is_empty() {
        return None;
    }
    let up = states.iter().any(|state| matches!(state, LinkState::Up | LinkState::Degraded));
    let all_down = !states.is_empty() && states.iter().all(|state| *state == LinkState::Down);
    Some(if up {
        LinkState::Up
    } else if all_down {
        LinkState::Down
    } else {
        LinkState::Unknown
    })
}
