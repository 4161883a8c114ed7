//! What the rules are told: everything known at one time, by reference.

use std::collections::{HashMap, HashSet};

use rusta_wire::{Metric, UnixMs};

use super::KpiSpan;
use super::impact::Impact;
use crate::engine::Snapshot;
use crate::engine::incident::{Incident, IncidentId, Incidents};
use crate::inventory::{LinkId, NodeKind, RegionId, SiteId};

/// A KPI's value of now.
#[derive(Debug, Clone, PartialEq)]
pub struct KpiFact {
    /// Which KPI.
    pub id: String,
    /// Over which time.
    pub over: KpiSpan,
    /// Of which region.
    pub region: RegionId,
    /// Its value; `None` when too little is known.
    pub value: Option<f64>,
    /// The goal of the region, if there is one.
    pub goal: Option<f64>,
}

/// Everything a rule may look at.
pub struct Facts<'a> {
    /// The engine's snapshot.
    pub snapshot: &'a Snapshot,
    /// The incidents of the same time.
    pub incidents: &'a Incidents,
    /// What each open incident affects.
    pub impacts: HashMap<IncidentId, Impact>,
    /// The open incident each affected site is part of; the oldest, if there are several.
    pub incident_of: HashMap<SiteId, IncidentId>,
    /// Sites with a link in trouble that no incident explains yet.
    pub undecided: HashSet<SiteId>,
    /// KPIs of now that rules ask for.
    pub kpis: Vec<KpiFact>,
    /// Whether to look at everything; else only at incidents, whose calls are in a hurry.
    pub everything: bool,
    /// The 14-day median of a metric on a link, where history knows one.
    pub median: &'a dyn Fn(LinkId, Metric) -> Option<f64>,
}

impl<'a> Facts<'a> {
    /// Gathers what does not need the history.
    pub fn new(snapshot: &'a Snapshot, incidents: &'a Incidents) -> Self {
        let impacts = incidents.open().map(|incident| (incident.id, Impact::of(incident, snapshot))).collect();
        let site_of = |link| snapshot.inventory.link(link).site;
        let mut incident_of = HashMap::new();
        for incident in incidents.open() {
            for (link, _) in incident.open_members() {
                incident_of.entry(site_of(link)).or_insert(incident.id);
            }
        }
        let undecided = incidents.held().map(|(link, _)| site_of(link)).collect();
        Facts { snapshot, incidents, impacts, incident_of, undecided, kpis: Vec::new(), everything: true, median: &|_, _| None }
    }

    /// Returns the time of the facts.
    pub fn now(&self) -> UnixMs {
        self.snapshot.at
    }

    /// Returns the kind of an incident's root as rules name it.
    pub fn root_kind(&self, incident: &Incident) -> &'static str {
        use crate::engine::incident::Scope;
        match incident.root {
            Scope::Link(_) => "link",
            Scope::Site(site) => match self.snapshot.inventory.site(site).kind {
                // A site others hang on counts as what it houses.
                crate::inventory::SiteKind::Pop => NodeKind::Pop.as_str(),
                crate::inventory::SiteKind::Farmandari if self.carries_others(incident) => NodeKind::Pop.as_str(),
                crate::inventory::SiteKind::Core => NodeKind::Core.as_str(),
                crate::inventory::SiteKind::Bts => NodeKind::Bts.as_str(),
                _ => "site",
            },
            Scope::Node(node) => self.snapshot.inventory.node(node).kind.as_str(),
            Scope::Cell(_) => "cell",
            Scope::Operator(_) => "operator",
            Scope::County(_) => "county",
            Scope::Collector => "collector",
        }
    }

    fn carries_others(&self, incident: &Incident) -> bool {
        self.impacts.get(&incident.id).is_some_and(|impact| impact.sites.len() > 1)
    }
}

/// The kinds of root a rule may name.
pub(super) const ROOT_KINDS: [&str; 11] =
    ["core", "apn_gateway", "pop", "bts", "power_feeder", "site", "link", "cell", "operator", "county", "collector"];
