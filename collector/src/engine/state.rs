//! The states of `domain.md`, and the immutable snapshot every reader gets.

use std::sync::Arc;

use rusta_wire::{AgentId, ClockSource, Metric, Network, Outcome, ProbeKind, Rung, UnixMs};

use crate::inventory::{Inventory, LinkId, RegionId, SiteId, word_enum};

word_enum! {
    /// The state of a link.
    LinkState {
        /// Carries traffic.
        Up = "up",
        /// Carries traffic badly.
        Degraded = "degraded",
        /// Measured not to carry traffic.
        Down = "down",
        /// Changes too often to be called either.
        Flapping = "flapping",
        /// No evidence. Neither up nor down.
        Unknown = "unknown",
        /// Inside an announced window.
        Maintenance = "maintenance",
        /// In the inventory but not yet, or no longer, in use.
        NotInService = "not_in_service",
    }
}

word_enum! {
    /// The state of a site.
    SiteState {
        /// Its primary link works.
        Up = "up",
        /// Works badly.
        Degraded = "degraded",
        /// The primary is down, a backup carries it.
        BackupOnly = "backup_only",
        /// Every link is down.
        Down = "down",
        /// No evidence. Neither up nor down.
        Unknown = "unknown",
        /// Inside an announced window.
        Maintenance = "maintenance",
        /// Has no link in service.
        NotInService = "not_in_service",
    }
}

word_enum! {
    /// The state of a village.
    VillageState {
        /// Some in-policy path is up.
        Connected = "connected",
        /// A path is up but NIN or a class-A service is not reachable.
        Partial = "partial",
        /// Every in-policy path is down.
        Disconnected = "disconnected",
        /// No evidence. Neither connected nor disconnected.
        Unknown = "unknown",
    }
}

word_enum! {
    /// What we know of an agent.
    AgentState {
        /// Reports on time.
        Reporting = "reporting",
        /// More than two intervals late.
        Late = "late",
        /// Silent for more than three intervals and ten minutes.
        Silent = "silent",
        /// Back after silence and still sending its backlog.
        Buffered = "buffered",
        /// Enrolled but never heard.
        NeverSeen = "never_seen",
    }
}

/// Why something is not up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cause {
    /// The lowest broken rung.
    pub rung: Rung,
    /// 0 to 100.
    pub confidence: u8,
}

/// The last round of one target.
#[derive(Debug, Clone, PartialEq)]
pub struct TargetView {
    /// The target's name in the agent's table.
    pub name: String,
    /// The rung it proves.
    pub rung: Rung,
    /// How it is probed.
    pub probe: ProbeKind,
    /// When its last round was observed.
    pub observed_at: UnixMs,
    /// What came of it.
    pub outcome: Outcome,
    /// What was measured.
    pub values: Vec<(Metric, i64)>,
}

/// A link as known at the snapshot's time.
#[derive(Debug, Clone, PartialEq)]
pub struct LinkView {
    /// Its state.
    pub state: LinkState,
    /// Since when (observed time; back-dated to the first failure or success).
    pub since: UnixMs,
    /// The newest evidence; `None` if there never was any.
    pub evidence_at: Option<UnixMs>,
    /// Why it is not up, if it is not and a reason is known.
    pub cause: Option<Cause>,
    /// Last round of each of its targets, lowest rung first.
    pub targets: Arc<[TargetView]>,
}

/// A site as known at the snapshot's time.
#[derive(Debug, Clone, PartialEq)]
pub struct SiteView {
    /// Its state.
    pub state: SiteState,
    /// Since when.
    pub since: UnixMs,
    /// Why it is not up.
    pub cause: Option<Cause>,
    /// The newest evidence about any of its links.
    pub evidence_at: Option<UnixMs>,
}

/// A village as known at the snapshot's time.
#[derive(Debug, Clone, PartialEq)]
pub struct VillageView {
    /// The region, of kind village.
    pub region: RegionId,
    /// Its state.
    pub state: VillageState,
    /// Since when.
    pub since: UnixMs,
    /// The newest evidence about any of its sites.
    pub evidence_at: Option<UnixMs>,
    /// Networks that reach it now.
    pub networks_up: Vec<Network>,
}

/// An agent as known at the snapshot's time.
#[derive(Debug, Clone, PartialEq)]
pub struct AgentView {
    /// Its id.
    pub id: AgentId,
    /// The site it speaks for.
    pub site: SiteId,
    /// What we know of it.
    pub state: AgentState,
    /// When its last batch arrived.
    pub received_at: Option<UnixMs>,
    /// When its newest sample was observed.
    pub observed_at: Option<UnixMs>,
    /// Where it has its time from.
    pub clock: Option<ClockSource>,
    /// Its clock minus ours, if it has a clock.
    pub clock_skew_ms: Option<i64>,
    /// Frames still in its spool, as it last said.
    pub spool_frames: Option<i64>,
    /// Samples it ever thinned or dropped, and batches it lost to a damaged disk, in this boot.
    pub lost: u64,
}

/// Everything the engine knows at one time. Readers share it; nobody changes it.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The engine's time.
    pub at: UnixMs,
    /// The inventory the ids below belong to.
    pub inventory: Arc<Inventory>,
    /// By [`LinkId`].
    pub links: Vec<LinkView>,
    /// By [`SiteId`].
    pub sites: Vec<SiteView>,
    /// Inhabited villages, in region order.
    pub villages: Vec<VillageView>,
    /// Every enrolled agent.
    pub agents: Vec<AgentView>,
    /// Since when so much of the fleet is quiet at once that the fault is ours, if it is.
    pub fleet_quiet_since: Option<UnixMs>,
}

impl Snapshot {
    /// Returns a link's view.
    pub fn link(&self, id: LinkId) -> &LinkView {
        &self.links[id.index()]
    }

    /// Returns a site's view.
    pub fn site(&self, id: SiteId) -> &SiteView {
        &self.sites[id.index()]
    }
}
