//! A small world to test on: sites with one link each, set by hand, looked at in steps.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rusta_wire::{AgentId, Network, UnixMs};

use super::{Incident, IncidentEvent, Incidents, Settings};
use crate::engine::{AgentState, AgentView, LinkState, LinkView, SiteState, SiteView, Snapshot};
use crate::inventory::*;

/// What a link of the world depends on.
#[derive(Clone, Copy)]
pub(super) enum On<'a> {
    Node(&'a str),
    Site(&'a str),
}

/// Builds an inventory by hand.
#[derive(Default)]
pub(super) struct Map {
    pub(super) inventory: Inventory,
    nodes: BTreeMap<String, NodeId>,
    sites: BTreeMap<String, SiteId>,
}

impl Map {
    pub(super) fn new() -> Self {
        let mut map = Map::default();
        map.inventory.version = 1;
        map.region("09", RegionKind::Province, None);
        map.region("0901", RegionKind::County, Some(RegionId(0)));
        map.region("0902", RegionKind::County, Some(RegionId(0)));
        map
    }

    fn region(&mut self, code: &str, kind: RegionKind, parent: Option<RegionId>) {
        self.inventory.regions.push(Region {
            code: code.into(),
            kind,
            parent,
            name_fa: code.into(),
            name_en: code.into(),
            households: None,
            population: None,
            households_as_of: None,
            lat: None,
            lon: None,
            inhabited: true,
            fixed_line: None,
            cohort: None,
            previous_code: None,
        });
    }

    pub(super) fn node(&mut self, code: &str, kind: NodeKind, parent: Option<&str>) {
        let parent = parent.map(|code| self.nodes[code]);
        self.nodes.insert(code.into(), NodeId(self.inventory.nodes.len() as u32));
        self.inventory.nodes.push(Node { code: code.into(), kind, name_fa: code.into(), parent });
    }

    pub(super) fn site(&mut self, code: &str, county: u32, operator: &str, parents: &[On<'_>]) {
        let parent = |on: &On<'_>| match *on {
            On::Node(code) => Parent::Node(self.nodes[code]),
            On::Site(code) => Parent::Site(self.sites[code]),
        };
        let parents = parents.iter().map(parent).collect();
        let site = SiteId(self.inventory.sites.len() as u32);
        let link = self.inventory.links.len() as u32;
        self.sites.insert(code.into(), site);
        self.inventory.sites.push(Site {
            code: code.into(),
            kind: if code.starts_with("pop") && !code.contains("-a-") && !code.contains("-b-") { SiteKind::Pop } else { SiteKind::Village },
            region: RegionId(county),
            name_fa: code.into(),
            name_en: code.into(),
            lat: None,
            lon: None,
            criticality: Criticality::B,
            calendar: String::new(),
            contact: String::new(),
            tags: Vec::new(),
            vantage_for: Vec::new(),
            links: link..link + 1,
        });
        self.inventory.links.push(Link {
            site,
            name: "up".into(),
            network: Network::Gov,
            role: Role::Primary,
            access: None,
            operator: operator.into(),
            metered: false,
            plan_bytes: None,
            cycle_day: None,
            interface: String::new(),
            sla_class: Criticality::B,
            parents,
            contract_mbps: None,
        });
    }

    pub(super) fn world(mut self) -> World {
        self.inventory.index();
        World::new(Arc::new(self.inventory))
    }
}

/// A fleet whose states a test sets, and the incidents that come of it.
pub(super) struct World {
    pub(super) snapshot: Snapshot,
    pub(super) incidents: Incidents,
    pub(super) events: Vec<IncidentEvent>,
    pub(super) ended: Vec<Incident>,
}

/// When every test begins.
pub(super) const START: i64 = 1_700_000_000;

impl World {
    fn new(inventory: Arc<Inventory>) -> Self {
        let at = UnixMs::from_seconds(START);
        let link = LinkView { state: LinkState::Up, since: at, evidence_at: Some(at), cause: None, targets: Arc::new([]) };
        let site = SiteView { state: SiteState::Up, since: at, cause: None, evidence_at: Some(at) };
        let agents = (0..inventory.sites.len() as u32).map(|index| AgentView {
            id: AgentId(u64::from(index)),
            site: SiteId(index),
            state: AgentState::Reporting,
            received_at: Some(at),
            observed_at: Some(at),
            clock: None,
            clock_skew_ms: None,
            spool_frames: None,
            lost: 0,
        });
        let snapshot = Snapshot {
            at,
            links: vec![link; inventory.links.len()],
            sites: vec![site; inventory.sites.len()],
            villages: Vec::new(),
            agents: agents.collect(),
            fleet_quiet_since: None,
            inventory,
        };
        World { snapshot, incidents: Incidents::new(Settings::default()), events: Vec::new(), ended: Vec::new() }
    }

    pub(super) fn link(&self, site: &str) -> LinkId {
        self.snapshot.inventory.links_of(self.snapshot.inventory.site_by_code(site).unwrap()).next().unwrap()
    }

    pub(super) fn set(&mut self, site: &str, state: LinkState) {
        let link = self.link(site);
        let view = &mut self.snapshot.links[link.index()];
        (view.state, view.since) = (state, self.snapshot.at);
        let site = self.snapshot.inventory.link(link).site;
        self.snapshot.agents[site.index()].state = if state == LinkState::Unknown { AgentState::Silent } else { AgentState::Reporting };
    }

    pub(super) fn down(&mut self, sites: &[&str]) {
        sites.iter().for_each(|site| self.set(site, LinkState::Down));
    }

    pub(super) fn up(&mut self, sites: &[&str]) {
        sites.iter().for_each(|site| self.set(site, LinkState::Up));
    }

    /// Lets time pass second by second; what works keeps proving it.
    pub(super) fn pass(&mut self, time: Duration) {
        for _ in 0..time.as_secs() {
            self.snapshot.at = self.snapshot.at + Duration::from_secs(1);
            self.look();
        }
    }

    /// Lets time pass in steps of ten seconds.
    pub(super) fn pass_coarsely(&mut self, seconds: u64) {
        for _ in 0..seconds / 10 {
            self.snapshot.at = self.snapshot.at + secs(10);
            self.look();
        }
    }

    pub(super) fn look(&mut self) {
        for view in self.snapshot.links.iter_mut().filter(|view| matches!(view.state, LinkState::Up | LinkState::Degraded)) {
            view.evidence_at = Some(self.snapshot.at);
        }
        let events = self.incidents.advance(&self.snapshot);
        for event in &events {
            if let IncidentEvent::Resolved(id) | IncidentEvent::Merged { incident: id, .. } = event {
                self.ended.push(self.incidents.get(*id).unwrap().clone());
            }
        }
        self.events.extend(events);
    }

    /// Stops the collector and starts it again from what it stored.
    pub(super) fn restart(&mut self) {
        let open = self.incidents.open().cloned().collect();
        let (next, looked_at) = (self.incidents.next_id(), self.incidents.looked_at());
        self.incidents = Incidents::restore(Settings::default(), self.snapshot.inventory.clone(), open, next, looked_at);
    }

    pub(super) fn opened(&self) -> usize {
        self.events.iter().filter(|event| matches!(event, IncidentEvent::Opened(_))).count()
    }

    pub(super) fn resolved(&self) -> usize {
        self.events.iter().filter(|event| matches!(event, IncidentEvent::Resolved(_))).count()
    }

    pub(super) fn open(&self) -> Vec<&Incident> {
        self.incidents.open().collect()
    }
}

pub(super) const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
