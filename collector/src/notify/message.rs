//! What a call says, as facts; `text.rs` puts them into words.

use rusta_wire::UnixMs;
use serde::{Deserialize, Serialize};

use super::desk::Kind;
use crate::engine::Snapshot;
use crate::engine::incident::{Incident, Scope};
use crate::inventory::{Inventory, SiteId};
use crate::persian::Lang;
use crate::rules::{Alert, Facts, Rule, Severity, Subject};

/// One site of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteLine {
    /// Its code.
    pub code: String,
    /// Its Persian name.
    pub name_fa: String,
    /// Its Latin name; may be empty.
    pub name_en: String,
}

/// The facts of a call.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Message {
    /// The titles of the rules, most severe first: Persian, English.
    pub titles: Vec<(String, String)>,
    /// What failed: Persian, English.
    pub root: (String, String),
    /// The county or province: Persian, English.
    pub place: (String, String),
    /// Since when, Unix milliseconds.
    pub since: i64,
    /// The likeliest cause's code and its confidence.
    pub cause: Option<(String, u8)>,
    /// Villages without any way out.
    pub villages: usize,
    /// Every affected site.
    pub sites: Vec<SiteLine>,
    /// What was seen, for alerts with a number.
    pub value: Option<f64>,
    /// Path of its page.
    pub path: String,
}

impl Message {
    /// Tells about an incident.
    pub(super) fn of_incident(incident: &Incident, facts: &Facts<'_>) -> Message {
        let snapshot = facts.snapshot;
        let impact = facts.impacts.get(&incident.id);
        let sites = impact.map(|impact| impact.sites.iter().map(|site| line(&snapshot.inventory, *site)).collect()).unwrap_or_default();
        Message {
            titles: Vec::new(),
            root: root_names(incident.root, snapshot, facts.incidents.operator_names(incident.root)),
            place: place_of(incident, snapshot),
            since: incident.started_at.0,
            cause: incident.causes.first().map(|cause| (cause.rung.cause_code().to_owned(), cause.confidence)),
            villages: impact.map_or(0, |impact| impact.villages.len()),
            sites,
            value: None,
            path: format!("/incidents/{}", incident.id),
        }
    }

    /// Tells about an alert that is no incident's.
    pub(super) fn of_alert(alert: &Alert, inventory: &Inventory) -> Message {
        let site = alert.subject.site().and_then(|code| inventory.site_by_code(code));
        let named = site.map(|site| line(inventory, site));
        let root = match (&named, &alert.subject) {
            (Some(site), _) => (site.name_fa.clone(), site.name_en.clone()),
            (None, Subject::Kpi(region, _)) => inventory.region_by_code(region).map_or_else(Default::default, |id| {
                let region = inventory.region(id);
                (region.name_fa.clone(), region.name_en.clone())
            }),
            (None, subject) => (subject.to_string(), subject.to_string()),
        };
        let path = named.as_ref().map_or_else(|| "/kpis".to_owned(), |site| format!("/sites/{}", site.code));
        let place = site.map(|site| county_of(inventory, site)).unwrap_or_default();
        let sites = named.into_iter().collect();
        Message { root, place, since: alert.since.0, sites, value: alert.value, path, ..Message::default() }
    }

    pub(super) fn with_titles(mut self, rules: &[&Rule]) -> Message {
        self.titles = rules.iter().map(|rule| (rule.title(Lang::Fa).to_owned(), rule.title(Lang::En).to_owned())).collect();
        self
    }

    pub(super) fn since(&self) -> UnixMs {
        UnixMs(self.since)
    }
}

/// A call as stored in the outbox: the facts, and what became of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Letter {
    /// Why it is sent.
    pub kind: Kind,
    /// How severe.
    pub severity: Severity,
    /// What it is about; several in a summary or a digest.
    pub about: Vec<Message>,
    /// The case's key, or the summary's.
    pub key: String,
    /// When it was written.
    pub at: i64,
    /// The language of its reader.
    pub fa: bool,
    /// As what its reader heard of the case first; `None` in a first letter.
    #[serde(default)]
    pub told_as: Option<ToldAs>,
}

/// What machines recognise a case by, however it grows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToldAs {
    /// The severity it was told with last.
    pub severity: Severity,
    /// The Persian name of the root it was told by first.
    pub root: String,
}

fn line(inventory: &Inventory, site: SiteId) -> SiteLine {
    let site = inventory.site(site);
    SiteLine { code: site.code.clone(), name_fa: site.name_fa.clone(), name_en: site.name_en.clone() }
}

fn place_of(incident: &Incident, snapshot: &Snapshot) -> (String, String) {
    let mut counties = incident.open_members().map(|(link, _)| county_of(&snapshot.inventory, snapshot.inventory.link(link).site));
    let Some(first) = counties.next() else { return Default::default() };
    if counties.all(|county| county == first) { first } else { Default::default() }
}

fn county_of(inventory: &Inventory, site: SiteId) -> (String, String) {
    let region = inventory.site(site).region;
    let county = inventory.ancestors(region).find(|id| inventory.region(*id).kind == crate::inventory::RegionKind::County);
    county.map_or_else(Default::default, |id| (inventory.region(id).name_fa.clone(), inventory.region(id).name_en.clone()))
}

/// Names what failed, in Persian and English.
pub(super) fn root_names(root: Scope, snapshot: &Snapshot, operator: String) -> (String, String) {
    let inventory = &snapshot.inventory;
    match root {
        Scope::Link(link) => {
            let link = inventory.link(link);
            let site = inventory.site(link.site);
            (format!("{} ({})", site.name_fa, link.name), format!("{} ({})", english(&site.name_fa, &site.name_en), link.name))
        }
        Scope::Site(site) => {
            let site = inventory.site(site);
            (site.name_fa.clone(), english(&site.name_fa, &site.name_en).to_owned())
        }
        Scope::Node(node) => {
            let node = inventory.node(node);
            (node.name_fa.clone(), format!("{} {}", node.kind, node.code))
        }
        Scope::Cell(cell) => (format!("سلول {cell}"), format!("cell {cell}")),
        Scope::Operator(_) => (format!("اپراتور {operator}"), format!("operator {operator}")),
        Scope::County(region) => {
            let region = inventory.region(region);
            (format!("شهرستان {}", region.name_fa), format!("county {}", english(&region.name_fa, &region.name_en)))
        }
        Scope::Collector => ("سامانه پایش".to_owned(), "the monitoring itself".to_owned()),
    }
}

fn english<'a>(fa: &'a str, en: &'a str) -> &'a str {
    if en.is_empty() { fa } else { en }
}
