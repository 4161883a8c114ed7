//! What an import would change, by code: the answer of `--dry-run` and of the import page.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use super::model::{Inventory, RegionId, SiteId};
use super::programs::{self, Program};

/// Changes of one list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
pub struct ListChange {
    /// How many entries it has.
    pub before: usize,
    /// How many entries it will have.
    pub total: usize,
    /// Codes that were not there.
    pub added: Vec<String>,
    /// Codes that will be gone.
    pub removed: Vec<String>,
    /// Codes with what changes.
    pub changed: Vec<(String, String)>,
}

/// Changes of the whole registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
pub struct Difference {
    /// Regions; one whose `previous_code` is known is changed, not added.
    pub regions: ListChange,
    /// Sites.
    pub sites: ListChange,
    /// Links, as `site/link`.
    pub links: ListChange,
    /// Shared nodes.
    pub nodes: ListChange,
    /// Declared figures, as `kpi region day publisher`.
    pub declared: ListChange,
    /// Goals, as `kpi region`.
    pub goals: ListChange,
    /// What agents measure, as `profile/target` and `service ID`.
    pub targets: ListChange,
    /// Probes that run programs or read files on routers: each waits until another administrator confirms it.
    pub programs: Vec<Program>,
}

impl Difference {
    /// Compares two versions.
    pub fn between(old: &Inventory, new: &Inventory) -> Difference {
        let known: Vec<String> = programs::of(old).into_iter().map(|program| program.digest).collect();
        Difference {
            regions: regions(old, new),
            sites: sites(old, new),
            links: links(old, new),
            nodes: nodes(old, new),
            declared: keyed(declared(old), &declared(new)),
            goals: keyed(goals(old), &goals(new)),
            targets: keyed(measured(old), &measured(new)),
            programs: programs::of(new).into_iter().filter(|program| !known.contains(&program.digest)).collect(),
        }
    }

    /// Tells whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.lists().iter().all(|(_, list)| list.added.is_empty() && list.removed.is_empty() && list.changed.is_empty())
    }

    /// Returns every list with its name.
    pub fn lists(&self) -> [(&'static str, &ListChange); 7] {
        [
            ("regions", &self.regions),
            ("sites", &self.sites),
            ("links", &self.links),
            ("nodes", &self.nodes),
            ("declared", &self.declared),
            ("goals", &self.goals),
            ("targets", &self.targets),
        ]
    }

    /// Says what will be gone, a line for each list that loses anything; empty if none does.
    pub fn gone(&self) -> String {
        let losing = self.lists().into_iter().filter(|(_, list)| !list.removed.is_empty());
        let lines = losing.map(|(name, list)| {
            let named: Vec<&str> = list.removed.iter().take(SHOWN).map(String::as_str).collect();
            let more = if list.removed.len() > SHOWN { ", …" } else { "" };
            format!("gone: {} of {} {name}: {}{more}\n", list.removed.len(), list.before, named.join(", "))
        });
        lines.collect()
    }
}

/// A terminal shows this many codes of each kind; `--json` has all of them.
const SHOWN: usize = 10;

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (name, list) in self.lists() {
            let (added, removed, changed) = (list.added.len(), list.removed.len(), list.changed.len());
            writeln!(f, "{name:8} {} in all, +{added} -{removed} ~{changed}", list.total)?;
            let added = list.added.iter().take(SHOWN).map(|code| format!("  + {code}"));
            let removed = list.removed.iter().take(SHOWN).map(|code| format!("  - {code}"));
            let changed = list.changed.iter().take(SHOWN).map(|(code, what)| format!("  ~ {code}: {what}"));
            for line in added.chain(removed).chain(changed) {
                writeln!(f, "{line}")?;
            }
        }
        for program in &self.programs {
            let (used_by, settings) = (program.used_by.join(", "), program.settings.trim().replace('\n', " "));
            writeln!(f, "  ! runs on routers once another administrator confirms it: {} {settings} ({used_by})", program.probe)?;
        }
        Ok(())
    }
}

fn regions(old: &Inventory, new: &Inventory) -> ListChange {
    let renamed: HashMap<&str, &str> = new.regions.iter().filter_map(|r| Some((r.previous_code.as_deref()?, r.code.as_str()))).collect();
    let mut change = ListChange { before: old.regions.len(), total: new.regions.len(), ..ListChange::default() };
    let parent = |i: &Inventory, id: Option<RegionId>| id.map(|p| i.region(p).code.clone()).unwrap_or_default();
    for region in &new.regions {
        let same = old.region_by_code(&region.code);
        let before = same.or_else(|| old.region_by_code(region.previous_code.as_deref()?));
        let Some(before) = before else {
            change.added.push(region.code.clone());
            continue;
        };
        let was = old.region(before);
        let mut what = Changes::default();
        what.compare("code", &was.code, &region.code);
        what.compare("kind", &was.kind.to_string(), &region.kind.to_string());
        what.compare("parent", &parent(old, was.parent), &parent(new, region.parent));
        what.compare("name", &was.name_fa, &region.name_fa);
        what.compare("households", &or_none(was.households), &or_none(region.households));
        what.compare("inhabited", &was.inhabited.to_string(), &region.inhabited.to_string());
        change.changed.extend(what.of(&region.code));
    }
    let gone = |code: &str| new.region_by_code(code).is_none() && !renamed.contains_key(code);
    change.removed = old.regions.iter().map(|r| &r.code).filter(|code| gone(code)).cloned().collect();
    change
}

fn sites(old: &Inventory, new: &Inventory) -> ListChange {
    let mut change = ListChange { before: old.sites.len(), total: new.sites.len(), ..ListChange::default() };
    for site in &new.sites {
        let Some(before) = old.site_by_code(&site.code) else {
            change.added.push(site.code.clone());
            continue;
        };
        let was = old.site(before);
        let mut what = Changes::default();
        what.compare("kind", &was.kind.to_string(), &site.kind.to_string());
        what.compare("region", &old.region(was.region).code, &new.region(site.region).code);
        what.compare("name", &was.name_fa, &site.name_fa);
        what.compare("criticality", &was.criticality.to_string(), &site.criticality.to_string());
        what.compare("calendar", &was.calendar, &site.calendar);
        what.compare("vantage_for", &vantage_for(old, was), &vantage_for(new, site));
        change.changed.extend(what.of(&site.code));
    }
    change.removed = old.sites.iter().map(|s| &s.code).filter(|code| new.site_by_code(code).is_none()).cloned().collect();
    change
}

fn vantage_for(inventory: &Inventory, site: &super::Site) -> String {
    let code = |about: &super::VantageFor| match *about {
        super::VantageFor::Region(region) => inventory.region(region).code.as_str(),
        super::VantageFor::Site(site) => inventory.site(site).code.as_str(),
    };
    site.vantage_for.iter().map(code).collect::<Vec<_>>().join("|")
}

fn links(old: &Inventory, new: &Inventory) -> ListChange {
    let mut change = ListChange { before: old.links.len(), total: new.links.len(), ..ListChange::default() };
    let find = |i: &Inventory, site: SiteId, from: &Inventory, name: &str| i.link_by_name(i.site_by_code(&from.site(site).code)?, name);
    for link in &new.links {
        let code = format!("{}/{}", new.site(link.site).code, link.name);
        let Some(before) = find(old, link.site, new, &link.name) else {
            change.added.push(code);
            continue;
        };
        let was = old.link(before);
        let mut what = Changes::default();
        what.compare("network", was.network.as_str(), link.network.as_str());
        what.compare("role", was.role.as_str(), link.role.as_str());
        what.compare("access", &or_none(was.access), &or_none(link.access));
        what.compare("operator", &was.operator, &link.operator);
        what.compare("plan", &or_none(was.plan_bytes.map(size)), &or_none(link.plan_bytes.map(size)));
        what.compare("parents", &parents(old, &was.parents), &parents(new, &link.parents));
        change.changed.extend(what.of(&code));
    }
    let gone = old.links.iter().filter(|l| find(new, l.site, old, &l.name).is_none());
    change.removed = gone.map(|l| format!("{}/{}", old.site(l.site).code, l.name)).collect();
    change
}

fn nodes(old: &Inventory, new: &Inventory) -> ListChange {
    let mut change = ListChange { before: old.nodes.len(), total: new.nodes.len(), ..ListChange::default() };
    let parent = |i: &Inventory, n: &super::Node| n.parent.map(|p| i.node(p).code.clone()).unwrap_or_default();
    for node in &new.nodes {
        let Some(before) = old.node_by_code(&node.code) else {
            change.added.push(node.code.clone());
            continue;
        };
        let was = old.node(before);
        let mut what = Changes::default();
        what.compare("kind", was.kind.as_str(), node.kind.as_str());
        what.compare("name", &was.name_fa, &node.name_fa);
        what.compare("parent", &parent(old, was), &parent(new, node));
        change.changed.extend(what.of(&node.code));
    }
    change.removed = old.nodes.iter().map(|n| &n.code).filter(|code| new.node_by_code(code).is_none()).cloned().collect();
    change
}

/// Compares entries that have a name and a text.
fn keyed(was: BTreeMap<String, String>, is: &BTreeMap<String, String>) -> ListChange {
    let mut change = ListChange { before: was.len(), total: is.len(), ..ListChange::default() };
    for (name, what) in is {
        match was.get(name) {
            None => change.added.push(format!("{name}: {what}")),
            Some(before) if before != what => change.changed.push((name.clone(), format!("{before} -> {what}"))),
            Some(_) => {}
        }
    }
    change.removed = was.into_keys().filter(|name| !is.contains_key(name)).collect();
    change
}

fn declared(inventory: &Inventory) -> BTreeMap<String, String> {
    let entry = |figure: &super::Declared| {
        let name = format!("{} {} {} {}", figure.kpi, inventory.region(figure.region).code, figure.as_of, figure.publisher);
        (name, format!("{} {}", figure.value, figure.unit))
    };
    inventory.declared.iter().map(entry).collect()
}

fn goals(inventory: &Inventory) -> BTreeMap<String, String> {
    let entry = |goal: &super::Goal| {
        let due = goal.due_on.as_ref().map(|day| format!(" by {day}")).unwrap_or_default();
        (format!("{} {}", goal.kpi, inventory.region(goal.region).code), format!("{}{due}", goal.value))
    };
    inventory.goals.iter().map(entry).collect()
}

/// Lists every target and check, whom it is for and what it does. Nothing that reaches a router stays unsaid.
fn measured(inventory: &Inventory) -> BTreeMap<String, String> {
    let settings = |probe: &str, settings: &serde_yaml::Value| {
        format!("{probe} {}", serde_yaml::to_string(settings).unwrap_or_default().trim().replace('\n', " "))
    };
    let targets = inventory.profiles.iter().flat_map(|profile| {
        let of = (&profile.kinds, &profile.classes, &profile.sites, &profile.networks, profile.metered);
        profile.targets.iter().map(move |target| {
            let does = settings(&target.probe, &target.settings);
            let (every, timeout) = (target.every.as_deref().unwrap_or("-"), target.timeout.as_deref().unwrap_or("-"));
            let what = format!("{does}, rung {}, every {every}, timeout {timeout}, for {of:?}", target.rung.as_str());
            (format!("{}/{}", profile.name, target.name), what)
        })
    });
    let checks = inventory.services.iter().filter_map(|service| {
        let check = service.check.as_ref()?;
        let what = format!("{}, every {}", settings(&check.probe, &check.settings), check.every.as_deref().unwrap_or("-"));
        Some((format!("service {}", service.id), what))
    });
    targets.chain(checks).collect()
}

fn parents(inventory: &Inventory, parents: &[super::Parent]) -> String {
    let code = |parent: &super::Parent| match *parent {
        super::Parent::Node(node) => inventory.node(node).code.clone(),
        super::Parent::Site(site) => inventory.site(site).code.clone(),
        super::Parent::Link(link) => inventory.link_code(link),
    };
    parents.iter().map(code).collect::<Vec<_>>().join("|")
}

fn or_none(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "none".to_owned(), |value| value.to_string())
}

/// Writes a size as lists do: in the largest unit that leaves it whole.
fn size(bytes: u64) -> String {
    let units = [(1u64 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"), (1_000_000_000, "GB"), (1_000_000, "MB")];
    let fits = units.into_iter().find(|(unit, _)| bytes >= *unit && bytes.is_multiple_of(*unit));
    fits.map_or_else(|| format!("{bytes} B"), |(unit, name)| format!("{}{name}", bytes / unit))
}

#[derive(Default)]
struct Changes(Vec<String>);

impl Changes {
    fn compare(&mut self, what: &str, old: &str, new: &str) {
        if old != new {
            self.0.push(format!("{what} {old} -> {new}"));
        }
    }

    fn of(self, code: &str) -> Option<(String, String)> {
        (!self.0.is_empty()).then(|| (code.to_owned(), self.0.join(", ")))
    }
}
