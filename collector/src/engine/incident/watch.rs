//! What is remembered about each link between two snapshots: level in, edges out.
//!
//! Incidents follow the levels of the snapshot, never a stream of edges. The same snapshot read twice changes nothing,
//! and after a restart the first snapshot says everything: that is why nothing is repeated and nothing is lost.

use rusta_wire::{Metric, Outcome, UnixMs};

use super::record::{Hold, IncidentId, Leaving, Trouble};
use crate::engine::{AgentState, LinkState, LinkView, Snapshot};
use crate::inventory::LinkId;

/// What is remembered about one link.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Watch {
    /// What it suffers; `None` when it is fine or out of service.
    pub(super) trouble: Option<Trouble>,
    /// When that began, as observed.
    pub(super) since: UnixMs,
    /// When we learnt of it.
    pub(super) detected_at: UnixMs,
    /// The incident that explains it.
    pub(super) incident: Option<IncidentId>,
    /// Why it waits, if it waits.
    pub(super) hold: Option<Hold>,
    /// The cell its modem last named.
    pub(super) cell: Option<i64>,
}

/// What one look at one link changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Edge {
    /// It fell into trouble.
    Fell,
    /// It left trouble.
    Left(Leaving),
}

impl Watch {
    /// Takes in what the snapshot says.
    pub(super) fn look(&mut self, view: &LinkView, silent: bool, now: UnixMs) -> Option<Edge> {
        let trouble = match Trouble::of(view.state) {
            // Evidence that merely grew old is not silence yet, and it repairs nothing either.
            Some(Trouble::Silent) if !silent => self.trouble,
            trouble => trouble,
        };
        let was = std::mem::replace(&mut self.trouble, trouble);
        match (was, trouble) {
            (None, Some(_)) => {
                self.since = if view.since.0 > 0 { view.since.min(now) } else { now };
                self.detected_at = now;
                Some(Edge::Fell)
            }
            (Some(_), None) => Some(Edge::Left(leaving(view.state))),
            _ => None,
        }
    }

    /// Tells whether it is in trouble that no incident explains.
    pub(super) fn is_pending(&self) -> bool {
        self.trouble.is_some() && self.incident.is_none()
    }
}

fn leaving(state: LinkState) -> Leaving {
    match state {
        LinkState::Maintenance => Leaving::Maintenance,
        LinkState::NotInService => Leaving::Removed,
        _ => Leaving::Recovered,
    }
}

/// Tells whether a link counts at all: in service, not under maintenance, and heard of at least once.
pub(super) fn is_observable(view: &LinkView) -> bool {
    view.evidence_at.is_some() && !matches!(view.state, LinkState::Maintenance | LinkState::NotInService)
}

/// Returns when a link was last proved to carry traffic.
pub(super) fn proved_at(snapshot: &Snapshot, link: LinkId) -> Option<UnixMs> {
    let view = snapshot.link(link);
    let network = snapshot.inventory.link(link).network;
    let anchors = view.targets.iter().filter(|target| target.rung.is_anchor_of(network) && target.outcome.proves_path());
    let by_anchor = anchors.map(|target| target.observed_at).max();
    // A vantage or an import may give a state without its targets: then the state's own evidence has to do.
    let works = matches!(view.state, LinkState::Up | LinkState::Degraded);
    by_anchor.or(if works && view.targets.is_empty() { view.evidence_at } else { None })
}

/// Returns the cell a link's modem last named.
pub(super) fn cell_of(view: &LinkView) -> Option<i64> {
    let named = view.targets.iter().filter(|target| target.outcome == Outcome::Ok).flat_map(|target| &target.values);
    named.filter(|(metric, _)| *metric == Metric::CellId).map(|(_, cell)| *cell).next_back()
}

/// What is known of each site's agent, by site.
pub(super) fn agent_states(snapshot: &Snapshot) -> Vec<Option<AgentState>> {
    let mut states = vec![None; snapshot.sites.len()];
    for agent in &snapshot.agents {
        let state = &mut states[agent.site.index()];
        // Of several agents at one site the one that is heard counts.
        if state.is_none_or(|known| known == AgentState::Silent || known == AgentState::NeverSeen) {
            *state = Some(agent.state);
        }
    }
    states
}
