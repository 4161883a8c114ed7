//! The judgement of links in trouble: attached, shared, alone, or held with a reason.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use rusta_wire::UnixMs;

use super::infer::Found;
use super::look::{Level, Look, Proofs, scope_of};
use super::record::{Hold, Incident, IncidentEvent, IncidentId, Leaving, Member, Trouble};
use super::topology::Scope;
use super::{Incidents, Settings, causes};
use crate::engine::{LinkState, Snapshot};
use crate::inventory::{Criticality, LinkId, Parent};

/// The snapshot under judgement and what was read out of it.
pub(super) struct Seen<'a> {
    snapshot: &'a Snapshot,
    proofs: &'a Proofs,
}

/// Open incidents by what failed.
type Roots = HashMap<Scope, Vec<IncidentId>>;

impl Incidents {
    /// Finds a place for every pending link.
    pub(super) fn judge(&mut self, snapshot: &Snapshot, proofs: &Proofs, now: UnixMs) {
        let seen = Seen { snapshot, proofs };
        let mut pending = self.pending();
        if pending.is_empty() {
            return;
        }
        if self.own.frozen.is_some() {
            pending.into_iter().for_each(|link| self.hold(link, Hold::Frozen));
            return;
        }
        // Parents before children: a child may hang on what its parent's judgement has just opened.
        pending.sort_by_key(|link| (self.topology.depth(*link), *link));
        self.attach_explained(&seen, &pending, now);
        self.blame_shared(&seen, &pending, now);
        self.attach_explained(&seen, &pending, now);
        let mut roots = self.roots();
        for link in pending {
            if self.watches[link.index()].is_pending() {
                self.judge_alone(&seen, &mut roots, link, now);
            }
        }
    }

    /// Lists the open incidents by root.
    fn roots(&self) -> Roots {
        let mut roots = Roots::new();
        for incident in self.open.values() {
            roots.entry(incident.root).or_default().push(incident.id);
        }
        roots
    }

    fn attach_explained(&mut self, seen: &Seen<'_>, pending: &[LinkId], now: UnixMs) {
        let roots = self.roots();
        let mut joining: BTreeMap<IncidentId, Vec<LinkId>> = BTreeMap::new();
        for link in pending {
            if !self.watches[link.index()].is_pending() {
                continue;
            }
            if let Some(id) = self.explanation(seen, &roots, *link) {
                joining.entry(id).or_default().push(*link);
                self.join(id, &[*link], now);
            }
        }
        for (incident, links) in joining {
            self.rank(seen, incident);
            self.events.push(IncidentEvent::Attached { incident, links });
        }
    }

    /// Finds the open incident whose root explains a link.
    fn explanation(&self, seen: &Seen<'_>, roots: &Roots, link: LinkId) -> Option<IncidentId> {
        if self.watches[link.index()].trouble == Some(Trouble::Flapping) {
            return None;
        }
        let look = self.look_at(seen);
        let since = self.watches[link.index()].since;
        let scopes = look.scopes_of(link).chain([Scope::Link(link)]);
        let needed = scopes.filter_map(|scope| roots.get(&scope)).flatten().filter_map(|id| self.open.get(id));
        let standing = needed.filter(|incident| self.can_take(incident, since));
        let nearest = standing.min_by_key(|incident| (look.links_needing(incident.root).len(), incident.id));
        nearest.map(|incident| incident.id).or_else(|| self.all_parents_failed(&look, roots, link))
    }

    fn look_at<'a>(&'a self, seen: &Seen<'a>) -> Look<'a> {
        Look { topology: &self.topology, snapshot: seen.snapshot, watches: &self.watches, proofs: seen.proofs }
    }

    fn can_take(&self, incident: &Incident, since: UnixMs) -> bool {
        let stands = incident.root_restored_at.is_none() && !matches!(incident.trouble, Trouble::Ours | Trouble::Flapping);
        stands && since + self.settings.together >= incident.started_at
    }

    /// A link with several parents is explained when each has failed; the failure that completed it takes it in.
    fn all_parents_failed(&self, look: &Look<'_>, roots: &Roots, link: LinkId) -> Option<IncidentId> {
        let parents = &self.inventory.link(link).parents;
        let failed = parents.iter().map(|parent| self.incident_of(look, roots, *parent)).collect::<Option<Vec<_>>>()?;
        failed.into_iter().max_by_key(|incident| (incident.started_at, std::cmp::Reverse(incident.id))).map(|incident| incident.id)
    }

    fn incident_of(&self, look: &Look<'_>, roots: &Roots, parent: Parent) -> Option<&Incident> {
        let of_link = |link: LinkId| self.watches[link.index()].incident.and_then(|id| self.open.get(&id));
        let found = match parent {
            Parent::Link(link) => of_link(link),
            Parent::Site(site) => {
                let mut links = self.inventory.links_of(site).filter(|link| look.snapshot.link(*link).state != LinkState::NotInService);
                let first = links.next().and_then(of_link)?;
                links.all(|link| of_link(link).is_some()).then_some(first)
            }
            Parent::Node(node) => {
                let up = |id: &crate::inventory::NodeId| self.inventory.nodes[id.index()].parent;
                let chain = std::iter::successors(Some(node), up).map(Scope::Node);
                let monitor = look.topology.monitor(scope_of(parent)).map(Scope::Site);
                let ids = chain.chain(monitor).filter_map(|scope| roots.get(&scope)).flatten();
                ids.filter_map(|id| self.open.get(id)).min_by_key(|incident| incident.id)
            }
        };
        found.filter(|incident| incident.root_restored_at.is_none() && incident.trouble != Trouble::Ours)
    }

    fn blame_shared(&mut self, seen: &Seen<'_>, pending: &[LinkId], now: UnixMs) {
        let look = self.look_at(seen);
        let settings = &self.settings;
        let merging = self.open.values().filter(|incident| now.since(incident.opened_at) <= settings.merge);
        let recent = merging.flat_map(Incident::open_members).map(|(link, _)| link);
        let waiting = pending.iter().copied().filter(|link| self.watches[link.index()].is_pending() && now >= self.earliest(*link));
        let fresh = waiting.chain(recent).filter(|link| look.may_be_shared(*link)).collect::<BTreeSet<_>>();
        if fresh.len() < 2 {
            return;
        }
        let found = look.shared_causes(&fresh.into_iter().collect::<Vec<_>>(), settings.together);
        let ripe = |link: &LinkId| self.watches[link.index()].incident.is_some() || self.has_gathered(seen.snapshot, *link, now);
        let ripe = found.into_iter().filter(|found| found.links.iter().any(ripe)).collect::<Vec<_>>();
        for found in ripe {
            self.blame(seen, found, now);
        }
    }

    /// Makes one incident of a shared cause, growing the oldest that is already part of it.
    fn blame(&mut self, seen: &Seen<'_>, found: Found, now: UnixMs) {
        let mut parts: BTreeMap<IncidentId, Vec<LinkId>> = BTreeMap::new();
        let mut joining = Vec::new();
        for link in &found.links {
            match self.watches[link.index()].incident {
                Some(id) => parts.entry(id).or_default().push(*link),
                None => joining.push(*link),
            }
        }
        let same_root = self.open.values().find(|incident| incident.root == found.scope && incident.root_restored_at.is_none());
        let whole = |id: &IncidentId, links: &Vec<LinkId>| self.open.get(id).is_some_and(|i| i.open_members().count() == links.len());
        let grown = same_root.map(|incident| incident.id).or_else(|| parts.iter().find(|(id, links)| whole(id, links)).map(|(id, _)| *id));
        let id = grown.unwrap_or_else(|| self.open_incident(&found, now));
        self.change_root(id, &found);
        for (part, links) in parts.into_iter().filter(|(part, _)| *part != id) {
            self.detach(part, links.iter().map(|link| (*link, Leaving::Absorbed)).collect(), now);
            if let Some(incident) = self.open.get_mut(&part).filter(|incident| incident.open_members().next().is_none()) {
                incident.merged_into = Some(id);
            }
            joining.extend(links);
        }
        if joining.is_empty() {
            return;
        }
        joining.sort_unstable();
        self.join(id, &joining, now);
        self.rank(seen, id);
        if grown.is_some() {
            self.events.push(IncidentEvent::Attached { incident: id, links: joining });
        } else {
            self.events.push(IncidentEvent::Opened(id));
        }
    }

    fn open_incident(&mut self, found: &Found, now: UnixMs) -> IncidentId {
        let id = self.take_number();
        let since = found.links.iter().map(|link| self.watches[link.index()].since).min().unwrap_or(now);
        let all_silent = found.links.iter().all(|link| self.watches[link.index()].trouble == Some(Trouble::Silent));
        let trouble = if all_silent { Trouble::Silent } else { Trouble::Down };
        self.open.insert(id, Incident { measured: found.measured, ..Incident::new(id, found.scope, trouble, since, now) });
        id
    }

    fn change_root(&mut self, id: IncidentId, found: &Found) {
        let Some(incident) = self.open.get_mut(&id) else { return };
        if incident.root != found.scope {
            let from = std::mem::replace(&mut incident.root, found.scope);
            incident.measured = found.measured;
            incident.root_restored_at = None;
            self.events.push(IncidentEvent::RootChanged { incident: id, from });
        }
    }

    fn judge_alone(&mut self, seen: &Seen<'_>, roots: &mut Roots, link: LinkId, now: UnixMs) {
        if let Some(incident) = self.explanation(seen, roots, link) {
            self.join(incident, &[link], now);
            self.rank(seen, incident);
            self.events.push(IncidentEvent::Attached { incident, links: vec![link] });
            return;
        }
        if let Some(why) = self.reason_to_wait(seen, link, now) {
            self.hold(link, why);
            return;
        }
        let watch = self.watches[link.index()];
        let root = self.own_root(seen.snapshot, link);
        let trouble = watch.trouble.unwrap_or(Trouble::Down);
        let id = self.take_number();
        roots.entry(root).or_default().push(id);
        self.open.insert(id, Incident::new(id, root, trouble, watch.since, now));
        self.join(id, &[link], now);
        self.rank(seen, id);
        self.events.push(IncidentEvent::Opened(id));
    }

    fn reason_to_wait(&mut self, seen: &Seen<'_>, link: LinkId, now: UnixMs) -> Option<Hold> {
        let look = self.look_at(seen);
        match look.upstream(link) {
            Level::Maintenance => {
                let scope = self.inventory.link(link).parents.first().map_or(Scope::Link(link), |parent| scope_of(*parent));
                // After the work is done the link gets the time to recover that any repaired cause gives.
                self.not_before.insert(link, now + self.settings.settle);
                Some(Hold::ParentMaintenance(scope))
            }
            _ if now < self.earliest(link) || !self.has_gathered(seen.snapshot, link, now) => Some(Hold::Gathering),
            Level::Works => None,
            Level::Fails | Level::Undecided => {
                let waited = now.since(self.watches[link.index()].detected_at.max(self.earliest(link)));
                (waited < self.settings.hold_back).then_some(Hold::ParentUndecided)
            }
        }
    }

    fn earliest(&self, link: LinkId) -> UnixMs {
        self.not_before.get(&link).copied().unwrap_or(UnixMs(i64::MIN))
    }

    fn has_gathered(&self, snapshot: &Snapshot, link: LinkId, now: UnixMs) -> bool {
        let watch = &self.watches[link.index()];
        let class_a = snapshot.inventory.site(snapshot.inventory.link(link).site).criticality == Criticality::A;
        now.since(watch.detected_at) >= gathering(&self.settings, watch.trouble, class_a)
    }

    /// Blames the whole site when none of its links works.
    fn own_root(&self, snapshot: &Snapshot, link: LinkId) -> Scope {
        let site = snapshot.inventory.link(link).site;
        let in_service = |other: &LinkId| !matches!(snapshot.link(*other).state, LinkState::NotInService | LinkState::Maintenance);
        let links = snapshot.inventory.links_of(site).filter(in_service);
        let all_fail = links.into_iter().all(|other| other == link || self.watches[other.index()].is_pending());
        if all_fail { Scope::Site(site) } else { Scope::Link(link) }
    }

    fn join(&mut self, id: IncidentId, links: &[LinkId], now: UnixMs) {
        let Some(incident) = self.open.get_mut(&id) else { return };
        for link in links {
            let watch = &mut self.watches[link.index()];
            let Some(trouble) = watch.trouble else { continue };
            watch.incident = Some(id);
            watch.hold = None;
            self.not_before.remove(link);
            incident.started_at = incident.started_at.min(watch.since);
            if incident.trouble == Trouble::Silent && trouble == Trouble::Down {
                incident.trouble = Trouble::Down;
            }
            incident.members.insert(*link, Member { trouble, since: watch.since, attached_at: now, left: None });
        }
    }

    fn rank(&mut self, seen: &Seen<'_>, id: IncidentId) {
        let look = self.look_at(seen);
        let Some(incident) = self.open.get(&id) else { return };
        let ranked = causes::rank(&look, incident);
        if let Some(incident) = self.open.get_mut(&id) {
            incident.causes = ranked;
        }
    }

    fn hold(&mut self, link: LinkId, why: Hold) {
        let watch = &mut self.watches[link.index()];
        if watch.hold.replace(why) != Some(why) {
            self.events.push(IncidentEvent::Held { link, why });
        }
    }
}

fn gathering(settings: &Settings, trouble: Option<Trouble>, class_a: bool) -> Duration {
    match trouble {
        Some(Trouble::Silent) => settings.gather_silent,
        _ if class_a => settings.gather_class_a,
        _ => settings.gather,
    }
}
