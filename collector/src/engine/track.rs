//! What the engine keeps of one link, site and village between records.

use std::sync::Arc;

use rusta_wire::{AgentId, Outcome, SeriesIndex, SeriesTable, UnixMs};

use super::machine::{Anchors, Flap, LinkKind, Machine, Slot};
use super::roll_up::Path;
use super::state::{Cause, LinkState, SiteState, TargetView, VillageState};
use crate::config::Thresholds;
use crate::day::Day;
use crate::inventory::{Link, LinkId, RegionId, SiteId};

/// A target as pages show it, and its place in the machines.
#[derive(Debug, Clone)]
pub(super) struct Shown {
    pub(super) source: AgentId,
    pub(super) table: Arc<SeriesTable>,
    pub(super) series: SeriesIndex,
    pub(super) slot: Option<Slot>,
    pub(super) nin: Option<Slot>,
    pub(super) last: Option<LastRound>,
    /// Its agent no longer measures it; the place is free.
    pub(super) retired: bool,
}

/// A target's last round.
#[derive(Debug, Clone)]
pub(super) struct LastRound {
    pub(super) at: UnixMs,
    pub(super) outcome: Outcome,
    pub(super) values: Vec<Option<i64>>,
}

/// One link.
#[derive(Debug, Clone)]
pub(super) struct LinkTrack {
    pub(super) kind: LinkKind,
    pub(super) machine: Machine,
    pub(super) flap: Flap,
    pub(super) shown: Vec<Shown>,
    /// The announced window it is in, by its start.
    pub(super) window: Option<UnixMs>,
    /// What the machine said when it was last asked.
    pub(super) raw: LinkState,
    /// What people were told.
    pub(super) state: LinkState,
    pub(super) since: UnixMs,
    pub(super) cause: Option<Cause>,
    pub(super) dirty: bool,
}

impl LinkTrack {
    pub(super) fn new(kind: LinkKind, at: UnixMs) -> Self {
        LinkTrack {
            kind,
            machine: Machine::new(kind, at),
            flap: Flap::default(),
            shown: Vec::new(),
            window: None,
            raw: LinkState::Unknown,
            state: LinkState::Unknown,
            since: at,
            cause: None,
            dirty: true,
        }
    }

    /// Takes what the machine says; tells whether the raw state is another.
    pub(super) fn ask_machine(&mut self, now: UnixMs, thresholds: &Thresholds) -> bool {
        self.machine.stand_at(now, thresholds);
        let change = self.machine.change();
        self.machine.settle();
        let changed = change.state != self.raw;
        self.flap.observe(change.at, self.raw, change.state, thresholds);
        self.raw = change.state;
        changed
    }

    /// Returns what people should be told: state and since when.
    pub(super) fn verdict(&self) -> (LinkState, UnixMs) {
        let change = self.machine.change();
        if let Some(from) = self.window {
            return (LinkState::Maintenance, from);
        }
        match (change.state, self.flap.since()) {
            (LinkState::Unknown, _) | (_, None) => (change.state, change.at),
            (_, Some(since)) => (LinkState::Flapping, since),
        }
    }

    /// Returns the link as the roll-up needs it.
    pub(super) fn path(&self, link: &Link) -> Path {
        let state = if self.window.is_some() { LinkState::Maintenance } else { self.raw };
        Path { role: link.role, network: link.network, state, flapping: self.flap.since().is_some() }
    }

    /// Returns the shown targets, lowest rung first.
    pub(super) fn target_views(&self) -> Arc<[TargetView]> {
        let mut views: Vec<TargetView> = self.shown.iter().filter_map(Shown::view).collect();
        views.sort_by(|a, b| (a.rung, &a.name).cmp(&(b.rung, &b.name)));
        views.into()
    }
}

impl Shown {
    fn view(&self) -> Option<TargetView> {
        let last = self.last.as_ref().filter(|_| !self.retired)?;
        let series = self.table.series.get(usize::from(self.series.0))?;
        let values =
            series.metrics.iter().zip(&last.values).filter_map(|(metric, value)| metric.is_known().then_some((*metric, (*value)?)));
        Some(TargetView {
            name: series.target.clone(),
            rung: series.rung,
            probe: series.probe,
            observed_at: last.at,
            outcome: last.outcome,
            values: values.collect(),
        })
    }

    /// Tells whether this is `source`'s target of that name.
    pub(super) fn is(&self, source: AgentId, name: &str) -> bool {
        let own_name = || self.table.series.get(usize::from(self.series.0)).map(|series| series.target.as_str());
        !self.retired && self.source == source && own_name() == Some(name)
    }
}

/// One site.
#[derive(Debug, Clone)]
pub(super) struct SiteTrack {
    pub(super) state: SiteState,
    pub(super) since: UnixMs,
    pub(super) cause: Option<Cause>,
    /// The village it connects, by place in the engine's list.
    pub(super) village: Option<u32>,
    /// Whether the national network is reached from here; only where some target tells.
    pub(super) nin: Option<Box<Machine>>,
    /// What that machine said when it was last asked.
    pub(super) nin_said: Option<LinkState>,
    /// When its evidence timer is set for.
    pub(super) timer: Option<UnixMs>,
    /// The day its timeline is already known to be wanted for.
    pub(super) touched: Option<Day>,
}

impl SiteTrack {
    pub(super) fn new(at: UnixMs) -> Self {
        SiteTrack {
            state: SiteState::Unknown,
            since: at,
            cause: None,
            village: None,
            nin: None,
            nin_said: None,
            timer: None,
            touched: None,
        }
    }

    /// Returns the national-network machine, made on first use.
    pub(super) fn nin_machine(&mut self, at: UnixMs) -> &mut Machine {
        let kind = LinkKind { anchors: Anchors::On(rusta_wire::Rung::Nin), access: None, class_a: false };
        self.nin.get_or_insert_with(|| Box::new(Machine::new(kind, at)))
    }
}

/// One inhabited village.
#[derive(Debug, Clone)]
pub(super) struct VillageTrack {
    pub(super) region: RegionId,
    /// The sites whose links connect it under the policy.
    pub(super) sites: Vec<SiteId>,
    pub(super) state: VillageState,
    pub(super) since: UnixMs,
}

/// Names a link so that it is the same in every version of the inventory.
pub(super) type LinkKey = (String, String);

/// Returns a link's key.
pub(super) fn key_of(inventory: &crate::inventory::Inventory, link: LinkId) -> LinkKey {
    let link = inventory.link(link);
    (inventory.site(link.site).code.clone(), link.name.clone())
}
