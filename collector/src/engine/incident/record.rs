//! What an incident is, and what happens to one.

use std::collections::BTreeMap;
use std::fmt;

use rusta_wire::{Rung, UnixMs};

use super::topology::Scope;
use crate::engine::LinkState;
use crate::inventory::{LinkId, word_enum};

/// The permanent number of an incident; its page keeps this address for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IncidentId(pub u64);

impl fmt::Display for IncidentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

word_enum! {
    /// What kind of trouble a link, or a whole incident, is in.
    Trouble {
        /// Measured not to carry traffic.
        Down = "down",
        /// Nothing is heard: not down, not up.
        Silent = "silent",
        /// Changes too often to be called either.
        Flapping = "flapping",
        /// We ourselves cannot see: the collector or its way to the networks.
        Ours = "ours",
    }
}

impl Trouble {
    /// Returns the trouble a link state means; `None` if people need not work on it.
    pub(super) fn of(state: LinkState) -> Option<Trouble> {
        match state {
            LinkState::Down => Some(Trouble::Down),
            LinkState::Unknown => Some(Trouble::Silent),
            LinkState::Flapping => Some(Trouble::Flapping),
            LinkState::Up | LinkState::Degraded | LinkState::Maintenance | LinkState::NotInService => None,
        }
    }
}

/// One link's part in an incident.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// What it suffers.
    pub trouble: Trouble,
    /// When its trouble began, as observed.
    pub since: UnixMs,
    /// When it joined the incident.
    pub attached_at: UnixMs,
    /// When and why it left; `None` while it is in trouble.
    pub left: Option<(UnixMs, Leaving)>,
}

word_enum! {
    /// Why a link left an incident.
    Leaving {
        /// It works again.
        Recovered = "recovered",
        /// Maintenance was announced for it, perhaps afterwards.
        Maintenance = "maintenance",
        /// It left the registry or is no longer in service.
        Removed = "removed",
        /// The cause was repaired but this link was not: it is judged on its own.
        CauseRestored = "cause_restored",
        /// Another incident explains it better.
        Absorbed = "absorbed",
        /// A person said that it is over.
        ByHand = "by_hand",
    }
}

/// One possible cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RankedCause {
    /// The broken rung.
    pub rung: Rung,
    /// What broke, if a shared thing is meant.
    pub scope: Scope,
    /// 0 to 100.
    pub confidence: u8,
    /// How many affected links speak for it.
    pub for_it: u32,
    /// How many links that need it work nevertheless.
    pub against: u32,
    /// Whether the thing itself was measured down, rather than inferred from what hangs on it.
    pub measured: bool,
}

/// What people work on: a root cause with everything it affects.
#[derive(Debug, Clone, PartialEq)]
pub struct Incident {
    /// Its number.
    pub id: IncidentId,
    /// What failed.
    pub root: Scope,
    /// Whether the root itself was measured down.
    pub measured: bool,
    /// The kind of trouble.
    pub trouble: Trouble,
    /// When it began, as observed: the earliest trouble of its members.
    pub started_at: UnixMs,
    /// When it was judged.
    pub opened_at: UnixMs,
    /// When nothing was left of it.
    pub resolved_at: Option<UnixMs>,
    /// The incident that explains it better, if one was found.
    pub merged_into: Option<IncidentId>,
    /// Since when the root works again while some members do not.
    pub root_restored_at: Option<UnixMs>,
    /// Every link that ever belonged to it.
    pub members: BTreeMap<LinkId, Member>,
    /// Likeliest first.
    pub causes: Vec<RankedCause>,
}

impl Incident {
    /// Lists the links still in trouble.
    pub fn open_members(&self) -> impl Iterator<Item = (LinkId, &Member)> {
        self.members.iter().filter(|(_, member)| member.left.is_none()).map(|(id, member)| (*id, member))
    }

    /// Tells whether people still have to work on it.
    pub fn is_open(&self) -> bool {
        self.resolved_at.is_none()
    }
}

/// Why a link in trouble is not yet, or not at all, an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Hold {
    /// Its neighbours get a moment to show whether they fail too.
    Gathering,
    /// What it depends on is not judged yet.
    ParentUndecided,
    /// What it depends on is under announced maintenance.
    ParentMaintenance(Scope),
    /// We may be the ones who are blind.
    Frozen,
}

impl Hold {
    /// Returns the word for records and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Hold::Gathering => "gathering",
            Hold::ParentUndecided => "parent_undecided",
            Hold::ParentMaintenance(_) => "parent_maintenance",
            Hold::Frozen => "own_outage",
        }
    }
}

/// One thing that happened, in the order it was found.
#[derive(Debug, Clone, PartialEq)]
pub enum IncidentEvent {
    /// A new incident.
    Opened(IncidentId),
    /// Links joined.
    Attached {
        /// Where.
        incident: IncidentId,
        /// Which.
        links: Vec<LinkId>,
    },
    /// Links left.
    Left {
        /// Where.
        incident: IncidentId,
        /// Which, each with its reason.
        links: Vec<(LinkId, Leaving)>,
    },
    /// A better root was found.
    RootChanged {
        /// Where.
        incident: IncidentId,
        /// What it was taken for before.
        from: Scope,
    },
    /// The root works again; what still fails is judged on its own soon.
    RootRestored(IncidentId),
    /// It became part of another.
    Merged {
        /// The one that ended.
        incident: IncidentId,
        /// The one that goes on.
        into: IncidentId,
    },
    /// Nothing is left of it.
    Resolved(IncidentId),
    /// A link in trouble waits, and why.
    Held {
        /// Which.
        link: LinkId,
        /// Why.
        why: Hold,
    },
    /// A held link recovered before it became an incident.
    Released {
        /// Which.
        link: LinkId,
    },
}
