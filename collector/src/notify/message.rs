//! What a call says, as facts; `text.rs` puts them into words.

use rusta_wire::UnixMs;
use serde::{Deserialize, Serialize};

use super::desk::Kind;
use crate::engine::Snapshot;
use crate::engine::incident::{Incident, Scope, Trouble};
use crate::inventory::{Inventory, RegionId, RegionKind, SiteId};
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
    /// The likeliest cause's code and its confidence; of several that are as likely all codes, `DEV/PWR`.
    pub cause: Option<(String, u8)>,
    /// Whether nothing is heard rather than measured to fail: nobody knows whether it works.
    #[serde(default)]
    pub silent: bool,
    /// What machines route and join by.
    #[serde(default)]
    pub marks: Marks,
    /// Villages without any way out.
    pub villages: usize,
    /// Every affected site.
    pub sites: Vec<SiteLine>,
    /// What was seen, for alerts with a number.
    pub value: Option<f64>,
    /// Path of its page.
    pub path: String,
}

/// What machines route and join by: codes of the registry and the rule's name. Empty where there is none, or more than one.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Marks {
    /// The most severe rule.
    pub rule: String,
    /// The site, if it is one.
    pub site: String,
    /// The county that holds everything affected, else the province.
    pub region: String,
}

impl Message {
    /// Tells about an incident.
    pub(super) fn of_incident(incident: &Incident, facts: &Facts<'_>) -> Message {
        let snapshot = facts.snapshot;
        let impact = facts.impacts.get(&incident.id);
        let sites: Vec<SiteLine> =
            impact.map(|impact| impact.sites.iter().map(|site| line(&snapshot.inventory, *site)).collect()).unwrap_or_default();
        let (place, region) = place_of(incident, snapshot);
        let site = match (incident.root, sites.as_slice()) {
            (Scope::Site(site), _) => snapshot.inventory.site(site).code.clone(),
            (Scope::Link(link), _) => snapshot.inventory.site(snapshot.inventory.link(link).site).code.clone(),
            (_, [only]) => only.code.clone(),
            _ => String::new(),
        };
        Message {
            titles: Vec::new(),
            root: root_names(incident.root, snapshot, facts.incidents.operator_names(incident.root)),
            place,
            since: incident.started_at.0,
            cause: likeliest(incident),
            silent: incident.trouble == Trouble::Silent,
            marks: Marks { rule: String::new(), site, region },
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
        let (place, region) = site.map(|site| county_of(inventory, site)).unwrap_or_default();
        let region = if let Subject::Kpi(region, _) = &alert.subject { region.clone() } else { region };
        let marks = Marks { rule: alert.rule.clone(), site: named.as_ref().map_or_else(String::new, |site| site.code.clone()), region };
        let sites = named.into_iter().collect();
        Message { root, place, since: alert.since.0, sites, value: alert.value, path, marks, ..Message::default() }
    }

    pub(super) fn with_titles(mut self, rules: &[&Rule]) -> Message {
        if let Some(first) = rules.first() {
            self.marks.rule.clone_from(&first.name);
        }
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
    /// The marks it was told with last.
    #[serde(default)]
    pub marks: Marks,
}

fn line(inventory: &Inventory, site: SiteId) -> SiteLine {
    let site = inventory.site(site);
    SiteLine { code: site.code.clone(), name_fa: site.name_fa.clone(), name_en: site.name_en.clone() }
}

/// Returns the likeliest cause. Where several are as likely, one of them alone would be a guess.
fn likeliest(incident: &Incident) -> Option<(String, u8)> {
    let most = incident.causes.first()?.confidence;
    let mut codes: Vec<&str> = Vec::new();
    for cause in incident.causes.iter().take_while(|cause| cause.confidence == most) {
        let code = cause.rung.cause_code();
        if !codes.contains(&code) {
            codes.push(code);
        }
    }
    Some((codes.join("/"), most))
}

/// Names of a region in Persian and English, and its code.
type Place = ((String, String), String);

/// Returns the county of all that is affected; of several counties only their province's code.
fn place_of(incident: &Incident, snapshot: &Snapshot) -> Place {
    let inventory = &snapshot.inventory;
    let sites = || incident.open_members().map(|(link, _)| inventory.link(link).site);
    let mut counties = sites().map(|site| county_of(inventory, site));
    let Some(first) = counties.next() else { return Default::default() };
    if counties.all(|county| county == first) {
        return first;
    }
    let mut provinces = sites().map(|site| ancestor(inventory, site, RegionKind::Province));
    let province = provinces.next().flatten().filter(|first| provinces.all(|other| other == Some(*first)));
    (Default::default(), province.map_or_else(String::new, |id| inventory.region(id).code.clone()))
}

fn county_of(inventory: &Inventory, site: SiteId) -> Place {
    let Some(id) = ancestor(inventory, site, RegionKind::County) else { return Default::default() };
    let region = inventory.region(id);
    ((region.name_fa.clone(), region.name_en.clone()), region.code.clone())
}

fn ancestor(inventory: &Inventory, site: SiteId, kind: RegionKind) -> Option<RegionId> {
    inventory.ancestors(inventory.site(site).region).find(|id| inventory.region(*id).kind == kind)
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
