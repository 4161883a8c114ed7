//! Our own outage: when we are the ones who are blind, no site is to blame.
//!
//! Two tell-tales: the engine says that much of the fleet went quiet at once, or time itself passed without us (we were
//! stopped, or our clock jumped). Either freezes every judgement until most of the fleet is heard again.

use std::collections::BTreeSet;

use rusta_wire::{AgentId, UnixMs};

use super::record::IncidentId;
use crate::engine::{AgentState, Snapshot};

/// What is remembered about our own sight.
#[derive(Debug, Default)]
pub(super) struct OwnSight {
    /// The outage we are in.
    pub(super) frozen: Option<Frozen>,
}

/// An outage of ours.
#[derive(Debug)]
pub(super) struct Frozen {
    pub(super) since: UnixMs,
    pub(super) incident: IncidentId,
    /// Agents that were silent when we woke up.
    lost: BTreeSet<AgentId>,
}

/// What a look at the fleet says about us.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Sight {
    /// Nothing changed.
    Same,
    /// We became blind at the given time.
    Lost(UnixMs),
    /// Most of the fleet is heard again.
    Back,
}

impl OwnSight {
    /// Looks at the fleet. `asleep_since` is the last time we looked, if that was too long ago; `may_miss` is the share of
    /// the lost agents that may stay away when we count as seeing again.
    pub(super) fn look(&self, snapshot: &Snapshot, asleep_since: Option<UnixMs>, may_miss: f64) -> Sight {
        match (&self.frozen, asleep_since.or(snapshot.fleet_quiet_since)) {
            (None, Some(since)) => Sight::Lost(since),
            (Some(frozen), None) if frozen.missing(snapshot) as f64 <= may_miss * frozen.lost.len() as f64 => Sight::Back,
            _ => Sight::Same,
        }
    }

    pub(super) fn freeze(&mut self, since: UnixMs, incident: IncidentId, lost: BTreeSet<AgentId>) {
        self.frozen = Some(Frozen { since, incident, lost });
    }
}

impl Frozen {
    fn missing(&self, snapshot: &Snapshot) -> usize {
        silent(snapshot).filter(|agent| self.lost.contains(agent)).count()
    }
}

/// Lists the agents that are silent.
pub(super) fn silent(snapshot: &Snapshot) -> impl Iterator<Item = AgentId> + '_ {
    snapshot.agents.iter().filter(|agent| agent.state == AgentState::Silent).map(|agent| agent.id)
}
