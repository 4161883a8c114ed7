//! What time alone does: agents become late and silent, flapping ends, windows begin and end; and how a change of a
//! link moves up to its site and village.

use rusta_wire::{Rung, UnixMs};

use super::event::Event;
use super::live::{Engine, Timer, link_id};
use super::roll_up::{Path, site_state, village_state};
use super::state::{AgentState, Cause, LinkState};
use crate::inventory::{LinkId, MaintenanceWindow, Role, SiteId, assignment};

/// How far ahead the next window is looked for: a week, after which weekly ones come round, and a day.
const LOOK_AHEAD_MS: i64 = 8 * 24 * 3_600_000;

impl Engine {
    /// Runs every timer due until `at`, in the order of their times.
    pub(super) fn run_timers(&mut self, at: UnixMs, events: &mut Vec<Event>) {
        while let Some((due, timer)) = self.timers.first().copied().filter(|(due, _)| *due <= at) {
            self.timers.pop_first();
            self.now = self.now.max(due);
            match timer {
                Timer::Agent(agent) => {
                    if let Some(place) = self.agent_places.get(&agent).copied() {
                        self.agents[place].timer = None;
                        self.agent_is_due(place, events);
                    }
                }
                Timer::Evidence(site) => {
                    self.sites[site.index()].timer = None;
                    self.evidence_is_due(site, events);
                }
                Timer::Flap(link) => self.refresh_links(&[link], events),
                Timer::Window => self.enter_windows(events),
            }
        }
    }

    fn agent_is_due(&mut self, place: usize, events: &mut Vec<Event>) {
        let Some(due) = self.agents[place].due(&self.thresholds) else { return };
        if due > self.now {
            self.set_agent_timer(place);
            return;
        }
        match self.agents[place].view.state {
            AgentState::Late => self.set_agent_state(place, AgentState::Silent, due, events),
            _ => {
                self.set_agent_state(place, AgentState::Late, due, events);
                if let Some((quiet, fleet)) = self.fleet.fell_quiet(due, self.heard) {
                    events.push(Event::FleetQuiet { known_at: self.now, quiet, fleet });
                }
            }
        }
        self.set_agent_timer(place);
    }

    /// Asks the machines of a site what holds at this time.
    pub(super) fn evidence_is_due(&mut self, site: SiteId, events: &mut Vec<Event>) {
        let links: Vec<LinkId> = self.inventory.links_of(site).collect();
        self.refresh_links(&links, events);
        self.set_evidence_timer(site);
    }

    /// Sets a site's timer, unless it comes as early already; one that comes early sets itself again.
    pub(super) fn set_evidence_timer(&mut self, site: SiteId) {
        let nin = self.sites[site.index()].nin.as_ref().and_then(|nin| nin.due(self.now));
        let due = self.inventory.links_of(site).filter_map(|link| self.links[link.index()].machine.due(self.now)).chain(nin).min();
        let Some(due) = due else { return };
        let timer = &mut self.sites[site.index()].timer;
        if timer.is_some_and(|set| set <= due) {
            return;
        }
        if let Some(set) = timer.replace(due) {
            self.timers.remove(&(set, Timer::Evidence(site)));
        }
        self.timers.insert((due, Timer::Evidence(site)));
    }

    /// Sets an agent's timer if it has none; a timer that comes early sets itself again.
    pub(super) fn set_agent_timer(&mut self, place: usize) {
        let agent = &mut self.agents[place];
        let Some(due) = agent.due(&self.thresholds) else { return };
        if agent.timer.is_some_and(|set| set <= due) {
            return;
        }
        if let Some(set) = agent.timer.replace(due) {
            self.timers.remove(&(set, Timer::Agent(agent.view.id)));
        }
        self.timers.insert((due, Timer::Agent(agent.view.id)));
    }

    /// Puts links into the announced windows that are open, and takes them out of those that are not.
    pub(super) fn enter_windows(&mut self, events: &mut Vec<Event>) {
        let now = self.now;
        let open = |window: &&MaintenanceWindow| !window.spans(now, UnixMs(now.0 + 1)).is_empty();
        let open: Vec<&MaintenanceWindow> = self.inventory.maintenance.iter().filter(open).collect();
        let is_in = |link| open.iter().any(|window| self.inventory.is_covered(window, link));
        let moved: Vec<LinkId> =
            (0..self.links.len()).map(link_id).filter(|link| self.links[link.index()].window.is_some() != is_in(*link)).collect();
        let edges = self.inventory.maintenance.iter().flat_map(|window| window.spans(now, UnixMs(now.0 + LOOK_AHEAD_MS)));
        let next = edges.flat_map(|(from, until)| [from, until]).filter(|edge| *edge > now).min();
        self.timers.extend(next.map(|edge| (edge, Timer::Window)));
        for link in &moved {
            let window = &mut self.links[link.index()].window;
            *window = if window.is_some() { None } else { Some(now) };
        }
        self.refresh_links(&moved, events);
    }

    /// Compares what the machines of links say with what people were told, and says the difference.
    pub(super) fn refresh_links(&mut self, links: &[LinkId], events: &mut Vec<Event>) {
        for link in links {
            self.refresh_link(*link, events);
        }
    }

    fn refresh_link(&mut self, link: LinkId, events: &mut Vec<Event>) {
        let known_at = self.now;
        let track = &mut self.links[link.index()];
        let raw_changed = track.ask_machine(known_at, &self.thresholds);
        track.flap.settle(known_at, &self.thresholds);
        if let Some(end) = track.flap.ends_at(&self.thresholds) {
            self.timers.insert((end.max(known_at), Timer::Flap(link)));
        }
        let ((state, since), cause) = (track.verdict(), track.machine.change().cause);
        let cause = cause.filter(|_| state != LinkState::Maintenance);
        let from = std::mem::replace(&mut track.state, state);
        let old_cause = std::mem::replace(&mut track.cause, cause);
        if from != state {
            // A window that ends did so now, whatever the link's own state began.
            track.since = if from == LinkState::Maintenance { known_at } else { since };
            events.push(Event::LinkChanged { link, known_at, since: track.since, from, to: state, cause });
        } else if old_cause != cause {
            events.push(Event::CauseChanged { link, known_at, cause });
        }
        let since = track.since;
        if (from != state || old_cause != cause || raw_changed) && !std::mem::replace(&mut track.dirty, true) {
            self.dirty.push(link);
        }
        let site = self.inventory.link(link).site;
        let nin_changed = self.nin_changed(site);
        if from != state || raw_changed || old_cause != cause || nin_changed {
            self.refresh_site(site, since, events);
        }
    }

    fn nin_changed(&mut self, site: SiteId) -> bool {
        let track = &mut self.sites[site.index()];
        let (now, thresholds) = (self.now, &self.thresholds);
        let lost = track.nin.as_mut().map(|nin| {
            nin.stand_at(now, thresholds);
            nin.settle();
            nin.change().state
        });
        std::mem::replace(&mut track.nin_said, lost) != lost
    }

    pub(super) fn paths_of(&self, site: SiteId) -> impl Iterator<Item = Path> + '_ {
        self.inventory.links_of(site).map(|link| self.links[link.index()].path(self.inventory.link(link)))
    }

    pub(super) fn refresh_site(&mut self, site: SiteId, since: UnixMs, events: &mut Vec<Event>) {
        let paths: Vec<Path> = self.paths_of(site).collect();
        let (to, cause) = (site_state(&paths), self.site_cause(site));
        let track = &mut self.sites[site.index()];
        let from = std::mem::replace(&mut track.state, to);
        track.cause = cause;
        if from != to {
            track.since = since;
            events.push(Event::SiteChanged { site, known_at: self.now, since, from, to, cause });
        }
        if let Some(village) = self.sites[site.index()].village {
            self.refresh_village(village, since, events);
        }
        self.views.set_site(site, &self.sites[site.index()]);
    }

    /// Returns why a site is not well: the cause of its first primary link that has one, else of any link.
    fn site_cause(&self, site: SiteId) -> Option<Cause> {
        let with_role = |role| {
            let links = self.inventory.links_of(site).filter(move |link| self.inventory.link(*link).role == role);
            links.filter_map(|link| self.links[link.index()].cause).next()
        };
        with_role(Role::Primary).or_else(|| with_role(Role::Backup))
    }

    pub(super) fn refresh_village(&mut self, village: u32, since: UnixMs, events: &mut Vec<Event>) {
        let sites = self.villages[village as usize].sites.clone();
        let paths: Vec<Path> = sites.iter().flat_map(|site| self.paths_of(*site)).collect();
        // A site that is to look and says nothing leaves it unknown.
        let to_look = |site: SiteId| assignment::asks_for(&self.inventory, site, Rung::Nin).then_some(LinkState::Unknown);
        let nin = || sites.iter().filter_map(|site| self.sites[site.index()].nin_said.or_else(|| to_look(*site)));
        let nin_lost = nin().any(|state| state == LinkState::Down) && nin().all(|state| state == LinkState::Down);
        let to = village_state(&paths, nin_lost);
        let track = &mut self.villages[village as usize];
        let from = std::mem::replace(&mut track.state, to);
        if from != to {
            track.since = since;
            events.push(Event::VillageChanged { region: track.region, known_at: self.now, since, from, to });
        }
        let networks = paths.iter().filter(|path| path.carries()).map(|path| path.network).collect();
        self.views.set_village(village, &self.villages[village as usize], networks);
    }
}
