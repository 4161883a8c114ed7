//! The engine itself: records and time in, events out.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use rusta_wire::{AgentId, MonoMs, Reason, Rung, Sample, SampleRef, SeriesTable, UnixMs};

use super::agent::{AgentTrack, Route};
use super::event::Event;
use super::fleet::Fleet;
use super::machine::{Boot, Fact, Target};
use super::record::{BootTime, Record};
use super::roll_up::VillagePolicy;
use super::sight;
use super::state::{AgentState, AgentView, Snapshot};
use super::track::{LastRound, LinkTrack, Shown, SiteTrack, VillageTrack};
use super::views::Views;
use crate::config::Thresholds;
use crate::day::Day;
use crate::inventory::{Inventory, LinkId, SiteId};

/// A sample dated this far past its own arrival was dated wrongly; it is left to history, which may date it again.
const FUTURE_MS: i64 = 60_000;

/// Samples this long before a day decide what holds when it begins: history's lead-in. A slot window is 25 minutes, and
/// three hours also let a target probed once an hour be confirmed.
pub const LEAD_IN_MS: i64 = 3 * 3_600_000;

/// Samples this long after a day confirm what began before its end: history's look-ahead.
pub const LOOK_AHEAD_MS: i64 = 3_600_000;

/// How far the nearest samples of a silent site are looked for, in days. Agents keep seven days.
pub const REACH_DAYS: i32 = 8;

/// A gap shorter than this an agent bridges by trying again.
const BRIDGED_MS: i64 = 10_000;

/// Something that happens by itself when its time comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// An agent becomes late or silent.
    Agent(AgentId),
    /// Evidence about a site's links may have run out.
    Evidence(SiteId),
    /// A link may have stopped flapping.
    Flap(LinkId),
    /// A maintenance window begins or ends.
    Window,
}

/// Live state of the whole registry.
///
/// The same calls give the same events: `apply` in log order, `advance_to` at any pace, as long as no record older than the
/// last `advance_to` follows.
pub struct Engine {
    pub(super) inventory: Arc<Inventory>,
    pub(super) thresholds: Thresholds,
    pub(super) policy: VillagePolicy,
    pub(super) now: UnixMs,
    pub(super) links: Vec<LinkTrack>,
    pub(super) sites: Vec<SiteTrack>,
    pub(super) villages: Vec<VillageTrack>,
    pub(super) agents: Vec<AgentTrack>,
    pub(super) agent_places: HashMap<AgentId, usize>,
    pub(super) fleet: Fleet,
    pub(super) timers: BTreeSet<(UnixMs, Timer)>,
    pub(super) views: Views,
    pub(super) dirty: Vec<LinkId>,
    /// Agents that report, and agents that fell quiet.
    pub(super) heard: usize,
    pub(super) quiet: usize,
    /// Sites of which something was heard late since somebody asked: their present is to be judged again.
    pub(super) late: BTreeSet<SiteId>,
    /// Sites and the sites they are looked at from, found since somebody asked.
    vantages: Vec<(String, String)>,
}

impl Engine {
    /// Makes an engine that knows the registry and nothing else, from `at` on.
    pub fn new(inventory: Arc<Inventory>, thresholds: Thresholds, at: UnixMs) -> Self {
        let mut engine = Engine {
            inventory: Arc::default(),
            thresholds,
            policy: VillagePolicy::Either,
            now: at,
            links: Vec::new(),
            sites: Vec::new(),
            villages: Vec::new(),
            agents: Vec::new(),
            agent_places: HashMap::new(),
            fleet: Fleet::default(),
            timers: BTreeSet::new(),
            views: Views::default(),
            dirty: Vec::new(),
            heard: 0,
            quiet: 0,
            late: BTreeSet::new(),
            vantages: Vec::new(),
        };
        engine.replace_inventory(inventory);
        engine
    }

    /// Returns the engine's time: that of the newest record or `advance_to`.
    pub fn now(&self) -> UnixMs {
        self.now
    }

    /// Returns the registry it judges by.
    pub fn inventory(&self) -> &Arc<Inventory> {
        &self.inventory
    }

    /// Lets time pass: agents fall silent, windows begin and end.
    pub fn advance_to(&mut self, at: UnixMs) -> Vec<Event> {
        let mut events = Vec::new();
        self.run_timers(at, &mut events);
        self.now = self.now.max(at);
        events
    }

    /// Takes one record of the log. A record that arrived before the engine's time counts as arriving at it.
    pub fn apply(&mut self, record: &Record) -> Vec<Event> {
        let mut events = Vec::new();
        let at = record.received_at.max(self.now);
        self.run_timers(at, &mut events);
        self.now = at;
        let place = self.agent_place(record.batch.id.agent, record.site);
        self.hear(place, record, &mut events);
        if let Some(boot) = record.boot {
            self.touch_days(place, record, boot, &mut events);
            let until = boot.date(record.batch.until);
            if self.agents[place].view.observed_at > Some(until) && until.0 >= self.now.0 - LEAD_IN_MS {
                self.late.insert(record.site);
            }
            if self.is_live(place, record, boot) {
                self.see(place, record, boot, &mut events);
            }
        }
        self.views.agents[place] = self.agents[place].view.clone();
        events
    }

    /// Takes that the collector did not listen between the engine's time and `at`: silence until then proves nothing
    /// about agents, and evidence that ran out meanwhile has run out.
    pub fn listen_from(&mut self, at: UnixMs) -> Vec<Event> {
        let mut events = Vec::new();
        let unheard_ms = at.0 - self.now.0;
        if unheard_ms < BRIDGED_MS {
            return events;
        }
        self.now = at;
        for place in 0..self.agents.len() {
            self.agents[place].unheard_ms += unheard_ms;
            self.set_agent_timer(place);
        }
        for index in 0..self.sites.len() {
            self.evidence_is_due(SiteId(u32::try_from(index).unwrap_or(u32::MAX)), &mut events);
        }
        events
    }

    /// Takes the list of enrolled agents with their sites. One that is not in it is forgotten.
    pub fn set_agents(&mut self, enrolled: &[(AgentId, SiteId)]) {
        let listed: HashMap<AgentId, SiteId> = enrolled.iter().copied().collect();
        let mut kept: Vec<AgentTrack> = std::mem::take(&mut self.agents);
        kept.retain(|agent| listed.get(&agent.view.id) == Some(&agent.view.site));
        self.agents = kept;
        self.index_agents();
        for (agent, site) in enrolled {
            self.agent_place(*agent, *site);
        }
    }

    /// Takes which paths connect a village.
    pub fn set_village_policy(&mut self, policy: VillagePolicy) {
        self.policy = policy;
        self.replace_inventory(Arc::clone(&self.inventory));
    }

    /// Returns everything as it stands.
    pub fn snapshot(&mut self) -> Arc<Snapshot> {
        self.refresh_views();
        Arc::new(self.views.snapshot(self.now, &self.inventory, self.fleet.quiet_since()))
    }

    /// Gives out which sites are looked at from which other sites, as far as was found since the last call.
    pub fn take_vantages(&mut self) -> Vec<(String, String)> {
        std::mem::take(&mut self.vantages)
    }

    pub(super) fn index_agents(&mut self) {
        self.agent_places = self.agents.iter().enumerate().map(|(place, agent)| (agent.view.id, place)).collect();
        self.views.agents = self.agents.iter().map(|agent| agent.view.clone()).collect();
        let quiet = |agent: &&AgentTrack| matches!(agent.view.state, AgentState::Late | AgentState::Silent);
        let heard = |agent: &&AgentTrack| matches!(agent.view.state, AgentState::Reporting | AgentState::Buffered);
        self.quiet = self.agents.iter().filter(quiet).count();
        self.heard = self.agents.iter().filter(heard).count();
        self.timers.retain(|(_, timer)| !matches!(timer, Timer::Agent(_)));
        for place in 0..self.agents.len() {
            self.agents[place].timer = None;
            self.set_agent_timer(place);
        }
    }

    fn agent_place(&mut self, agent: AgentId, site: SiteId) -> usize {
        if let Some(place) = self.agent_places.get(&agent) {
            return *place;
        }
        let view = AgentView {
            id: agent,
            site,
            state: AgentState::NeverSeen,
            received_at: None,
            observed_at: None,
            clock: None,
            clock_skew_ms: None,
            spool_frames: None,
            lost: 0,
        };
        self.agent_places.insert(agent, self.agents.len());
        self.views.agents.push(view.clone());
        self.agents.push(AgentTrack::new(view, &self.thresholds));
        self.agents.len() - 1
    }

    /// Takes that an agent speaks, whatever it says.
    fn hear(&mut self, place: usize, record: &Record, events: &mut Vec<Event>) {
        let state = self.agents[place].heard(record, self.now, &self.thresholds);
        self.set_agent_state(place, state, self.now, events);
        if self.fleet.heard(self.now, self.heard, self.quiet) {
            events.push(Event::FleetBack { known_at: self.now });
        }
        self.set_agent_timer(place);
    }

    pub(super) fn set_agent_state(&mut self, place: usize, to: AgentState, at: UnixMs, events: &mut Vec<Event>) {
        let agent = &mut self.agents[place];
        let from = std::mem::replace(&mut agent.view.state, to);
        if from == to {
            return;
        }
        agent.since = at;
        let speaks = |state| matches!(state, AgentState::Reporting | AgentState::Buffered);
        let is_quiet = |state| matches!(state, AgentState::Late | AgentState::Silent);
        self.heard = self.heard + usize::from(speaks(to)) - usize::from(speaks(from));
        self.quiet = self.quiet + usize::from(is_quiet(to)) - usize::from(is_quiet(from));
        let (agent, site) = (agent.view.id, agent.view.site);
        events.push(Event::AgentChanged { agent, site, known_at: self.now.max(at), since: at, from, to });
        self.views.agents[place] = self.agents[place].view.clone();
    }

    /// Tells whether a record speaks of the present: not of an earlier life of the router, nor of a wrongly dated future. The
    /// newest word heard is no earlier life's, whatever its boot's beginning: offsets are only known within their errors.
    fn is_live(&mut self, place: usize, record: &Record, boot: BootTime) -> bool {
        let agent = &mut self.agents[place];
        let is_future = boot.date(record.batch.until).0 > record.received_at.0 + FUTURE_MS + i64::from(boot.error_ms);
        let is_newest = agent.view.observed_at == Some(boot.date(record.batch.until));
        let is_older_life = !is_newest && agent.boot.is_some_and(|(id, began_at)| id != record.batch.id.boot && boot.at <= began_at);
        !is_future && !is_older_life && (is_newest || agent.table == Some(record.batch.table))
    }

    /// Lets the machines see what the agent saw.
    fn see(&mut self, place: usize, record: &Record, boot: BootTime, events: &mut Vec<Event>) {
        if self.agents[place].table != Some(record.batch.table) {
            self.route(place, &record.table);
            self.agents[place].table = Some(record.batch.table);
        }
        self.notice_disorder(place, record, boot);
        self.take_in(place, record, boot);
        let links = std::mem::take(&mut self.agents[place].links);
        self.refresh_links(&links, events);
        for link in &links {
            self.set_evidence_timer(self.inventory.link(*link).site);
        }
        self.agents[place].links = links;
    }

    /// Gives a record to the machines it speaks to; they are asked afterwards.
    fn take_in(&mut self, place: usize, record: &Record, boot: BootTime) {
        // Another life is noticed by its first sample; a report without any is no sign of the one before.
        let is_known = self.agents[place].boot.is_none_or(|(known, _)| known == record.batch.id.boot);
        if record.batch.samples.is_empty() && !is_known {
            return;
        }
        let source = record.batch.id.agent;
        let links = std::mem::take(&mut self.agents[place].links);
        self.see_boot(place, record, boot, &links);
        let mut samples: Vec<&Sample> = record.batch.samples.iter().collect();
        samples.sort_by_key(|sample| (sample.at, sample.series));
        let routes = std::mem::take(&mut self.agents[place].routes);
        for sample in samples {
            if let Some(route) = routes.get(usize::from(sample.series.0)).copied().flatten() {
                self.see_sample(record.site, &record.table, sample, boot.date(sample.at), route);
            }
        }
        let until = boot.date(record.batch.until);
        self.see_reason(record, until);
        let patience = self.agents[place].patience(&self.thresholds);
        for link in &links {
            self.progress(*link, source, until, patience);
        }
        (self.agents[place].routes, self.agents[place].links) = (routes, links);
    }

    /// Takes the first record of another life of the router.
    pub(super) fn see_boot(&mut self, place: usize, record: &Record, boot: BootTime, links: &[LinkId]) {
        let id = record.batch.id.boot;
        let first = record.batch.samples.iter().map(|sample| sample.at).min().map(|at: MonoMs| boot.date(at));
        let before = self.agents[place].boot;
        if before.is_some_and(|(known, _)| known == id) {
            return;
        }
        self.agents[place].boot = Some((id, boot.at));
        let (Some(_), Some(first)) = (before, first) else { return };
        let boot = Boot { id, began_at: boot.at, reason: boot_reason(record), after_undated: false };
        for link in links.iter().filter(|link| self.inventory.link(**link).site == record.site) {
            self.links[link.index()].machine.booted(record.batch.id.agent, &boot, first, &self.thresholds);
        }
        if let Some(nin) = &mut self.sites[record.site.index()].nin {
            nin.booted(record.batch.id.agent, &boot, first, &self.thresholds);
        }
    }

    pub(super) fn see_reason(&mut self, record: &Record, until: UnixMs) {
        let fact = match record.batch.reason {
            Reason::PowerLoss => Fact::LastGasp,
            Reason::Shutdown => Fact::Stopped,
            Reason::Interval | Reason::StateChange | Reason::Unknown(_) => return,
        };
        for link in self.inventory.links_of(record.site) {
            self.links[link.index()].machine.learn(until, fact, &self.thresholds);
        }
    }

    pub(super) fn see_sample(&mut self, site: SiteId, table: &SeriesTable, sample: &Sample, at: UnixMs, route: Route) {
        let series = &table.series[usize::from(sample.series.0)];
        let link = &mut self.links[route.link.index()];
        let shown = &mut link.shown[usize::from(route.shown)];
        if shown.last.as_ref().is_none_or(|last| last.at < at) {
            shown.last = Some(LastRound { at, outcome: sample.outcome, values: sample.values.clone() });
            if !std::mem::replace(&mut link.dirty, true) {
                self.dirty.push(route.link);
            }
        }
        let sample = SampleRef::from(sample);
        if let Some(slot) = route.slot {
            link.machine.observe(&sight::round(series, sample, at, slot), &self.thresholds);
        }
        if let Some(slot) = route.nin {
            let nin = self.sites[self.inventory.link(route.link).site.index()].nin_machine(self.now);
            nin.observe(&sight::round(series, sample, at, slot), &self.thresholds);
        }
        for fact in sight::facts(series, sample) {
            if sight::is_of_site(fact) {
                for link in self.inventory.links_of(site) {
                    self.links[link.index()].machine.learn(at, fact, &self.thresholds);
                }
            } else {
                self.links[route.link.index()].machine.learn(at, fact, &self.thresholds);
            }
        }
    }

    /// Takes that `source` has looked at a link until `at`.
    pub(super) fn progress(&mut self, link: LinkId, source: AgentId, at: UnixMs, patience: Duration) {
        self.links[link.index()].machine.progress(source, at, patience, &self.thresholds);
        if let Some(nin) = &mut self.sites[self.inventory.link(link).site.index()].nin {
            nin.progress(source, at, patience, &self.thresholds);
        }
    }

    /// Finds where each series of a table goes; targets the agent had before and has no more are given up.
    pub(super) fn route(&mut self, place: usize, table: &Arc<SeriesTable>) {
        let (source, site) = (self.agents[place].view.id, self.agents[place].view.site);
        let mut left = std::mem::take(&mut self.agents[place].links);
        left.extend(self.inventory.links_of(site));
        let routes: Vec<Option<Route>> =
            (0..table.series.len()).map(|index| self.route_series(source, site, table, u16::try_from(index).ok()?)).collect();
        let mut links: Vec<LinkId> = routes.iter().flatten().map(|route| route.link).collect();
        links.sort_unstable();
        links.dedup();
        let code = |site: SiteId| self.inventory.site(site).code.clone();
        let elsewhere = links.iter().map(|link| self.inventory.link(*link).site).filter(|other| *other != site);
        self.vantages.extend(elsewhere.map(|other| (code(other), code(site))));
        left.extend(&links);
        left.sort_unstable();
        left.dedup();
        for link in left {
            self.retire(link, source, &routes);
        }
        (self.agents[place].routes, self.agents[place].links) = (routes, links);
    }

    fn route_series(&mut self, source: AgentId, site: SiteId, table: &Arc<SeriesTable>, index: u16) -> Option<Route> {
        let series = &table.series[usize::from(index)];
        let subject = sight::subject(&self.inventory, site, series)?;
        let target = Target { source, vantage: subject.vantage, rung: series.rung, interval_s: series.interval_s };
        let at = self.now;
        let link = &mut self.links[subject.link.index()];
        let known = link.shown.iter().position(|shown| shown.is(source, &series.target));
        let proves = sight::proves_reach(series);
        let (slot, nin) = match known.map(|place| &link.shown[place]) {
            Some(shown) => (shown.slot, shown.nin),
            None => {
                let nin = (proves && !subject.vantage && series.rung == Rung::Nin)
                    .then(|| self.sites[self.inventory.link(subject.link).site.index()].nin_machine(at).slot(target, &self.thresholds));
                (proves.then(|| link.machine.slot(target, &self.thresholds)), nin)
            }
        };
        let free = || link.shown.iter().position(|shown| shown.retired);
        let place = known.or_else(free).unwrap_or(link.shown.len());
        let last = known.and_then(|place| link.shown[place].last.take());
        let shown = Shown { source, table: Arc::clone(table), series: rusta_wire::SeriesIndex(index), slot, nin, last, retired: false };
        match link.shown.get_mut(place) {
            Some(held) => *held = shown,
            None => link.shown.push(shown),
        }
        Some(Route { link: subject.link, shown: u16::try_from(place).ok()?, slot, nin })
    }

    fn retire(&mut self, link: LinkId, source: AgentId, routes: &[Option<Route>]) {
        let site = self.inventory.link(link).site;
        let track = &mut self.links[link.index()];
        for (place, shown) in track.shown.iter_mut().enumerate().filter(|(_, shown)| shown.source == source && !shown.retired) {
            if routes.iter().flatten().any(|route| route.link == link && usize::from(route.shown) == place) {
                continue;
            }
            (shown.retired, shown.last) = (true, None);
            if let Some(slot) = shown.slot {
                track.machine.retire(slot);
            }
            if let (Some(slot), Some(nin)) = (shown.nin, &mut self.sites[site.index()].nin) {
                nin.retire(slot);
            }
        }
    }

    /// Says which sites' timelines of which days the record bears on, tomorrow's too when it leads into it. Those that are not
    /// over are said once a site; late data always.
    fn touch_days(&mut self, place: usize, record: &Record, boot: BootTime, events: &mut Vec<Event>) {
        let today = Day::of(self.now);
        let (from, until) = (boot.date(record.batch.from), boot.date(record.batch.until));
        let last = Day::of(UnixMs(until.0 + LEAD_IN_MS)).min(today.next());
        let days = Day::of(UnixMs(from.0 - LOOK_AHEAD_MS)).0..=last.0;
        let mut sites = vec![record.site];
        sites.extend(self.agents[place].links.iter().map(|link| self.inventory.link(*link).site));
        sites.dedup();
        for day in days.map(Day) {
            for site in &sites {
                let touched = &mut self.sites[site.index()].touched;
                if day >= today {
                    if *touched >= Some(day) {
                        continue;
                    }
                    *touched = Some(day);
                }
                events.push(Event::DayTouched { site: *site, day });
            }
        }
    }
}

/// Finds why the router started, if its batch says.
fn boot_reason(record: &Record) -> Option<i64> {
    let read = |sample: &Sample| {
        record.table.series.get(usize::from(sample.series.0))?.value(sample, rusta_wire::Metric::BootReason).filter(|reason| *reason > 0)
    };
    record.batch.samples.iter().find_map(read)
}

pub(super) fn link_id(index: usize) -> LinkId {
    LinkId(u32::try_from(index).unwrap_or(u32::MAX))
}
