//! Incidents: many links in trouble become few causes people can work on. Pure: a snapshot in, events out.
//!
//! ```text
//! Snapshot --look--> troubles --hold back--> attach to a standing cause --.
//!                        |                   find a shared cause ---------+--> Incident --> events
//!                        |                   stand alone -----------------'
//!                        `-- we are blind: freeze, one incident about us
//! ```
//!
//! Invariants:
//! 1. A link in trouble is in exactly one place: held with a reason, or in one open incident.
//! 2. A held link is judged at the latest [`Settings::hold_back`] after it fell, unless its parent is under maintenance or
//!    we are blind.
//! 3. When a cause is repaired, what still fails is judged on its own [`Settings::settle`] later: suppression never eats a
//!    trouble.
//! 4. The same snapshot twice changes nothing; within one snapshot the order of links does not matter.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use rusta_wire::UnixMs;

mod adopt;
mod causes;
mod infer;
mod judge;
mod look;
mod ours;
mod record;
mod topology;
mod watch;

#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use adopt::ScopeCode;
pub use record::*;
pub use topology::{Scope, Topology, rung_of};

use crate::engine::{AgentState, LinkState, Snapshot};
use crate::inventory::{Inventory, LinkId};
use look::{Level, Look, Proofs};
use ours::{OwnSight, Sight};
use watch::{Edge, Watch};

/// How long to wait and how much to believe.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// How long neighbours may show that they fail too. Short: a class-B site has 120 s from cut to call, 90 s of them to
    /// confirm.
    pub gather: Duration,
    /// The same for sites of class A, which have 45 s.
    pub gather_class_a: Duration,
    /// The same for silence: agents that fall silent together do so within one reporting interval of each other.
    pub gather_silent: Duration,
    /// The longest a link waits for an undecided parent.
    pub hold_back: Duration,
    /// How far apart troubles of one cause may begin: one reporting interval of five minutes and a round.
    pub together: Duration,
    /// How long after it was opened an incident may still become part of a larger one.
    pub merge: Duration,
    /// How long what hangs on a repaired cause may take to recover before it is judged on its own.
    pub settle: Duration,
    /// How old evidence must be to count as silence where no agent tells.
    pub silent_after: Duration,
    /// The share of the lost agents that may still be missing when we count as seeing again.
    pub own_back: f64,
    /// The longest pause between two looks; a longer one means that we were stopped or our clock jumped.
    pub gap: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            gather: Duration::from_secs(10),
            gather_class_a: Duration::from_secs(3),
            gather_silent: Duration::from_secs(60),
            hold_back: Duration::from_secs(180),
            together: Duration::from_secs(360),
            merge: Duration::from_secs(900),
            settle: Duration::from_secs(300),
            silent_after: Duration::from_secs(600),
            own_back: 0.20,
            gap: Duration::from_secs(120),
        }
    }
}

/// Folds troubles into incidents.
#[derive(Debug)]
pub struct Incidents {
    settings: Settings,
    inventory: Arc<Inventory>,
    topology: Topology,
    watches: Vec<Watch>,
    /// Earliest time a pending link may be judged, where that is later than its own gathering.
    not_before: BTreeMap<LinkId, UnixMs>,
    own: OwnSight,
    open: BTreeMap<IncidentId, Incident>,
    next: IncidentId,
    looked_at: Option<UnixMs>,
    events: Vec<IncidentEvent>,
    /// Incidents that ended in this look; kept until the next so that readers of events can see them.
    ended: BTreeMap<IncidentId, Incident>,
}

impl Incidents {
    /// Starts with nothing known.
    pub fn new(settings: Settings) -> Self {
        Incidents {
            settings,
            inventory: Arc::default(),
            topology: Topology::default(),
            watches: Vec::new(),
            not_before: BTreeMap::new(),
            own: OwnSight::default(),
            open: BTreeMap::new(),
            next: IncidentId(1),
            looked_at: None,
            events: Vec::new(),
            ended: BTreeMap::new(),
        }
    }

    /// Lists the open incidents.
    pub fn open(&self) -> impl Iterator<Item = &Incident> {
        self.open.values()
    }

    /// Finds an incident that is open or ended in the last look.
    pub fn get(&self, id: IncidentId) -> Option<&Incident> {
        self.open.get(&id).or_else(|| self.ended.get(&id))
    }

    /// Lists the links in trouble that are not an incident yet, each with its reason.
    pub fn held(&self) -> impl Iterator<Item = (LinkId, Hold)> + '_ {
        self.watches.iter().enumerate().filter_map(|(index, watch)| Some((LinkId(index as u32), watch.hold?)))
    }

    /// Tells since when we count as blind.
    pub fn frozen_since(&self) -> Option<UnixMs> {
        self.own.frozen.as_ref().map(|frozen| frozen.since)
    }

    /// Returns the inventory version the ids belong to.
    pub fn inventory(&self) -> &Arc<Inventory> {
        &self.inventory
    }

    /// Returns the failure scopes of that version.
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// Returns an operator's name and network, if the root is one.
    pub fn operator_names(&self, root: Scope) -> String {
        let Scope::Operator(place) = root else { return String::new() };
        self.topology.operators.get(usize::from(place)).map_or_else(String::new, |(network, name)| format!("{name} ({network})"))
    }

    /// Returns when it last looked.
    pub fn looked_at(&self) -> Option<UnixMs> {
        self.looked_at
    }

    /// Returns the number the next incident gets.
    pub fn next_id(&self) -> IncidentId {
        self.next
    }

    /// Looks at a snapshot and returns what that changed.
    pub fn advance(&mut self, snapshot: &Snapshot) -> Vec<IncidentEvent> {
        // What a person ended since the last look is read with the events of this one.
        let by_hand = |id: &IncidentId| self.events.contains(&IncidentEvent::Resolved(*id));
        self.ended.retain(|id, _| by_hand(id));
        if self.inventory.version != snapshot.inventory.version || self.watches.len() != snapshot.links.len() {
            self.adopt(&snapshot.inventory);
        }
        let (now, asleep_since) = self.tell_time(snapshot.at);
        let left = self.look(snapshot, now);
        self.let_go(left, now);
        self.watch_ourselves(snapshot, now, asleep_since);
        let proofs = Proofs::default();
        self.review(snapshot, &proofs, now);
        self.judge(snapshot, &proofs, now);
        self.close_empty(now);
        std::mem::take(&mut self.events)
    }

    /// Ends an incident because a person says so. What is still in trouble afterwards is judged again once it had time to
    /// recover. The events come with the next look.
    pub fn resolve_by_hand(&mut self, id: IncidentId, now: UnixMs) {
        let members = self.open.get(&id).map(|incident| incident.open_members().map(|(link, _)| (link, Leaving::ByHand)).collect());
        let members: Vec<_> = members.unwrap_or_default();
        members.iter().for_each(|(link, _)| self.rest(*link, now));
        self.detach(id, members, now);
        self.close(id, now);
    }

    /// Gives a link the time to recover that it has after a person ended its incident at `since`.
    pub fn rest(&mut self, link: LinkId, since: UnixMs) {
        self.not_before.insert(link, since + self.settings.settle);
    }

    /// Returns the time of this look, and the time of the last one if too much passed in between.
    fn tell_time(&mut self, at: UnixMs) -> (UnixMs, Option<UnixMs>) {
        let last = self.looked_at.replace(at);
        let Some(last) = last else { return (at, None) };
        let gap = self.settings.gap;
        if last.since(at) > gap {
            self.rebase(at);
            return (at, Some(at));
        }
        (at, (at.since(last) > gap).then_some(last))
    }

    /// Pulls every remembered time back to `now`, after our clock was set back.
    fn rebase(&mut self, now: UnixMs) {
        for watch in &mut self.watches {
            watch.detected_at = watch.detected_at.min(now);
            watch.since = watch.since.min(now);
        }
        for at in self.not_before.values_mut() {
            *at = (*at).min(now + self.settings.settle);
        }
        for incident in self.open.values_mut() {
            incident.root_restored_at = incident.root_restored_at.map(|at| at.min(now));
            incident.opened_at = incident.opened_at.min(now);
        }
    }

    /// Takes in every link's level; returns the links that left trouble.
    fn look(&mut self, snapshot: &Snapshot, now: UnixMs) -> Vec<(LinkId, Leaving)> {
        let agents = watch::agent_states(snapshot);
        let mut left = Vec::new();
        for (index, (watch, view)) in self.watches.iter_mut().zip(&snapshot.links).enumerate() {
            let link = LinkId(index as u32);
            if view.state == LinkState::Unknown && view.evidence_at.is_none() && watch.trouble.is_none() {
                continue; // Never heard of: nothing to lose.
            }
            let silent = view.state == LinkState::Unknown && {
                let agent = agents[snapshot.inventory.link(link).site.index()];
                let stale = view.evidence_at.is_some_and(|at| now.since(at) >= self.settings.silent_after);
                matches!(agent, Some(AgentState::Silent)) || (agent.is_none() && stale)
            };
            watch.cell = watch::cell_of(view).or(watch.cell);
            if let Some(Edge::Left(why)) = watch.look(view, silent, now) {
                left.push((link, why));
            }
            if let (Some(incident), Some(trouble)) = (watch.incident, watch.trouble) {
                let member = self.open.get_mut(&incident).and_then(|incident| incident.members.get_mut(&link));
                if let Some(member) = member {
                    member.trouble = trouble;
                }
            }
        }
        left
    }

    fn let_go(&mut self, left: Vec<(LinkId, Leaving)>, now: UnixMs) {
        let mut by_incident: BTreeMap<IncidentId, Vec<(LinkId, Leaving)>> = BTreeMap::new();
        for (link, why) in left {
            let watch = &mut self.watches[link.index()];
            self.not_before.remove(&link);
            if watch.hold.take().is_some() {
                self.events.push(IncidentEvent::Released { link });
            }
            if let Some(incident) = watch.incident {
                by_incident.entry(incident).or_default().push((link, why));
            }
        }
        for (incident, links) in by_incident {
            self.detach(incident, links, now);
        }
    }

    fn detach(&mut self, id: IncidentId, links: Vec<(LinkId, Leaving)>, now: UnixMs) {
        let Some(incident) = self.open.get_mut(&id) else { return };
        for (link, why) in &links {
            self.watches[link.index()].incident = None;
            if let Some(member) = incident.members.get_mut(link) {
                member.left = Some((now, *why));
            }
        }
        if !links.is_empty() {
            self.events.push(IncidentEvent::Left { incident: id, links });
        }
    }

    fn watch_ourselves(&mut self, snapshot: &Snapshot, now: UnixMs, asleep_since: Option<UnixMs>) {
        match self.own.look(snapshot, asleep_since, self.settings.own_back) {
            Sight::Same => {}
            Sight::Lost(since) => {
                let id = self.take_number();
                let lost = if asleep_since.is_some() { ours::silent(snapshot).collect() } else { BTreeSet::new() };
                self.own.freeze(since, id, lost);
                self.open.insert(id, Incident { causes: causes::ours(), ..Incident::new(id, Scope::Collector, Trouble::Ours, since, now) });
                self.events.push(IncidentEvent::Opened(id));
            }
            Sight::Back => self.thaw(now),
        }
    }

    fn thaw(&mut self, now: UnixMs) {
        let Some(frozen) = self.own.frozen.take() else { return };
        let pending = self.pending();
        self.not_before.extend(pending.into_iter().map(|link| (link, now + self.settings.settle)));
        if let Some(incident) = self.open.get_mut(&frozen.incident) {
            incident.root_restored_at = Some(now);
        }
    }

    fn pending(&self) -> Vec<LinkId> {
        let waiting = self.watches.iter().enumerate().filter(|(_, watch)| watch.is_pending());
        waiting.map(|(index, _)| LinkId(index as u32)).collect()
    }

    /// Asks of every shared cause whether it still stands; what hangs on a repaired one is let go after a while.
    fn review(&mut self, snapshot: &Snapshot, proofs: &Proofs, now: UnixMs) {
        let look = Look { topology: &self.topology, snapshot, watches: &self.watches, proofs };
        let standing = self.open.values().map(|incident| (incident.id, stands(&look, incident))).collect::<Vec<_>>();
        let orphans = self.open.values().flat_map(|incident| orphans(&look, incident)).collect::<BTreeSet<_>>();
        for (id, stands) in standing {
            self.settle(id, stands, &orphans, now);
        }
    }

    fn settle(&mut self, id: IncidentId, stands: bool, orphans: &BTreeSet<LinkId>, now: UnixMs) {
        let settle = self.settings.settle;
        let Some(incident) = self.open.get_mut(&id) else { return };
        if incident.trouble == Trouble::Ours {
            return;
        }
        if stands {
            incident.root_restored_at = None;
        } else if incident.root_restored_at.is_none() && incident.open_members().next().is_some() {
            incident.root_restored_at = Some(now);
            self.events.push(IncidentEvent::RootRestored(id));
        }
        let all_settled = incident.root_restored_at.is_some_and(|at| now.since(at) >= settle);
        let members = incident.open_members().map(|(link, _)| link).collect::<Vec<_>>();
        let mut released = Vec::new();
        for link in members {
            // A member whose own other parent works again has the same time to recover as if the root had.
            let own_settled = if orphans.contains(&link) {
                now >= *self.not_before.entry(link).or_insert(now + settle)
            } else {
                self.not_before.remove(&link);
                false
            };
            if all_settled || own_settled {
                released.push((link, Leaving::CauseRestored));
                self.not_before.insert(link, now);
            }
        }
        self.detach(id, released, now);
    }

    fn close_empty(&mut self, now: UnixMs) {
        let blind = self.own.frozen.as_ref().map(|frozen| frozen.incident);
        let empty = self.open.values().filter(|incident| incident.open_members().next().is_none() && Some(incident.id) != blind);
        for id in empty.map(|incident| incident.id).collect::<Vec<_>>() {
            self.close(id, now);
        }
    }

    fn close(&mut self, id: IncidentId, now: UnixMs) {
        let Some(mut incident) = self.open.remove(&id) else { return };
        incident.resolved_at = Some(now);
        match incident.merged_into {
            Some(into) => self.events.push(IncidentEvent::Merged { incident: id, into }),
            None => self.events.push(IncidentEvent::Resolved(id)),
        }
        self.ended.insert(id, incident);
    }

    fn take_number(&mut self) -> IncidentId {
        let id = self.next;
        self.next = IncidentId(id.0 + 1);
        id
    }
}

impl Incident {
    fn new(id: IncidentId, root: Scope, trouble: Trouble, started_at: UnixMs, opened_at: UnixMs) -> Self {
        Incident {
            id,
            root,
            measured: true,
            trouble,
            started_at,
            opened_at,
            resolved_at: None,
            merged_into: None,
            root_restored_at: None,
            members: BTreeMap::new(),
            causes: Vec::new(),
        }
    }
}

/// Half of what it took to blame an inferred cause is enough to keep blaming it while its links come back one by one.
const KEEP_BLAMING: f64 = 0.5;

fn stands(look: &Look<'_>, incident: &Incident) -> bool {
    match incident.root {
        Scope::Collector => true,
        root if incident.measured => look.level(root, incident.started_at) != Level::Works,
        root => {
            let failing = incident.open_members().filter(|(link, _)| look.needs(*link, root)).count();
            let working = look.working(root, incident.opened_at);
            failing as f64 >= KEEP_BLAMING * look.ratio_to_blame(root) * (failing + working) as f64
        }
    }
}

/// Lists members that joined because every way of theirs was down, and have a way that works again.
fn orphans(look: &Look<'_>, incident: &Incident) -> Vec<LinkId> {
    let by_many = incident.open_members().filter(|(link, _)| !look.needs(*link, incident.root));
    by_many.filter(|(link, _)| look.upstream(*link) == Level::Works).map(|(link, _)| link).collect()
}
