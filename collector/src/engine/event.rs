//! What the engine says happened. Alerts follow `known_at`, history and people follow `since`.

use rusta_wire::{AgentId, UnixMs};

use super::state::{AgentState, Cause, LinkState, SiteState, VillageState};
use crate::day::Day;
use crate::inventory::{LinkId, RegionId, SiteId};

/// One thing that happened. Ids belong to the inventory of the snapshot that follows the event.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A link's state is another.
    LinkChanged {
        /// Which link.
        link: LinkId,
        /// When the engine could know.
        known_at: UnixMs,
        /// Since when it is so, back-dated to the first failure or success.
        since: UnixMs,
        /// The state before.
        from: LinkState,
        /// The state now.
        to: LinkState,
        /// Why it is not up, if a reason is known.
        cause: Option<Cause>,
    },
    /// A link that is not up has another cause than thought.
    CauseChanged {
        /// Which link.
        link: LinkId,
        /// When the engine could know.
        known_at: UnixMs,
        /// The cause now.
        cause: Option<Cause>,
    },
    /// A site's state is another.
    SiteChanged {
        /// Which site.
        site: SiteId,
        /// When the engine could know.
        known_at: UnixMs,
        /// Since when it is so.
        since: UnixMs,
        /// The state before.
        from: SiteState,
        /// The state now.
        to: SiteState,
        /// Why it is not up, if a reason is known.
        cause: Option<Cause>,
    },
    /// A village's state is another.
    VillageChanged {
        /// Which region, of kind village.
        region: RegionId,
        /// When the engine could know.
        known_at: UnixMs,
        /// Since when it is so.
        since: UnixMs,
        /// The state before.
        from: VillageState,
        /// The state now.
        to: VillageState,
    },
    /// An agent speaks, is late, is silent, or sends its backlog.
    AgentChanged {
        /// Which agent.
        agent: AgentId,
        /// The site it speaks for.
        site: SiteId,
        /// When the engine could know.
        known_at: UnixMs,
        /// Since when it is so.
        since: UnixMs,
        /// The state before.
        from: AgentState,
        /// The state now.
        to: AgentState,
    },
    /// So much of the fleet fell quiet at once that the fault is ours: no site is to be judged until [`Event::FleetBack`].
    FleetQuiet {
        /// When the engine could know.
        known_at: UnixMs,
        /// Agents that fell quiet within the window.
        quiet: u32,
        /// Agents that were heard before it.
        fleet: u32,
    },
    /// The fleet speaks again, or enough of it does to prove that we listen.
    FleetBack {
        /// When the engine could know.
        known_at: UnixMs,
    },
    /// Samples observed on a day arrived, so the site's timeline of that day must be built (again).
    DayTouched {
        /// Which site.
        site: SiteId,
        /// Which day.
        day: Day,
    },
}
