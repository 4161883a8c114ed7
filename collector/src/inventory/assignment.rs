//! What a site's agent is to measure: the links and targets of its configuration, made from the profiles that match its
//! kind and its links' networks, and from the services it is a vantage of.
//!
//! The text is the same YAML as `links:` and `targets:` of `agent.yaml`. The same site in the same inventory gives the
//! same bytes, so their hash is the version an agent compares.

use rusta_wire::Rung;
use serde_yaml::{Mapping, Value};

use super::model::{Inventory, Link, LinkId, RegionKind, Role, Site, SiteId};
use super::profile::{Profile, Service, TargetTemplate};

/// An assignment as agents fetch it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// FNV-1a 64 of the text.
    pub version: u64,
    /// YAML with `links:` and `targets:`.
    pub yaml: String,
}

/// Returns what a site's agent is to measure.
pub fn of(inventory: &Inventory, site: SiteId) -> Assignment {
    let mut root = Mapping::new();
    let links: Vec<Value> = inventory.links_of(site).map(|id| Value::Mapping(link(inventory.link(id)))).collect();
    let targets = targets(inventory, site).into_iter().map(Value::Mapping).collect();
    root.insert("links".into(), Value::Sequence(links));
    root.insert("targets".into(), Value::Sequence(targets));
    // A mapping of text, numbers and lists always serialises.
    let yaml = serde_yaml::to_string(&root).unwrap_or_default();
    Assignment { version: fnv1a(yaml.as_bytes()), yaml }
}

/// Lists the intervals at which a site's profiles ask for rounds, as written, such as `60s`.
pub fn intervals(inventory: &Inventory, site: SiteId) -> Vec<String> {
    let every = targets(inventory, site);
    every.iter().filter_map(|target| target.get("every").and_then(Value::as_str).map(str::to_owned)).collect()
}

/// Tells whether a site's profiles ask it to measure something on a rung.
pub fn asks_for(inventory: &Inventory, site: SiteId, rung: Rung) -> bool {
    let asks = |profile: &&Profile| profile.targets.iter().any(|target| target.rung == rung);
    let of = |link: LinkId| move |profile: &&Profile| matches(profile, inventory.site(site), inventory.link(link));
    inventory.links_of(site).any(|link| inventory.profiles.iter().filter(asks).any(|profile| of(link)(&profile)))
}

/// Lists the rungs of what a site's profiles ask it to measure over a link.
pub(super) fn rungs_of(inventory: &Inventory, site: SiteId, link: LinkId) -> impl Iterator<Item = Rung> + '_ {
    let profiles = inventory.profiles.iter().filter(move |profile| matches(profile, inventory.site(site), inventory.link(link)));
    profiles.flat_map(|profile| profile.targets.iter().map(|target| target.rung))
}

fn link(link: &Link) -> Mapping {
    let mut out = Mapping::new();
    out.insert("name".into(), link.name.clone().into());
    out.insert("network".into(), link.network.as_str().into());
    if !link.interface.is_empty() {
        out.insert("interface".into(), link.interface.clone().into());
    }
    if link.metered {
        out.insert("metered".into(), true.into());
    }
    if let (Some(bytes), Some(day)) = (link.plan_bytes, link.cycle_day) {
        let mut plan = Mapping::new();
        plan.insert("bytes".into(), bytes.into());
        plan.insert("cycle_day".into(), day.into());
        plan.insert("calendar".into(), "jalali".into());
        out.insert("plan".into(), plan.into());
    }
    out
}

fn targets(inventory: &Inventory, site: SiteId) -> Vec<Mapping> {
    let mut out = Vec::new();
    for id in inventory.links_of(site) {
        for profile in inventory.profiles.iter().filter(|p| matches(p, inventory.site(site), inventory.link(id))) {
            out.extend(profile.targets.iter().map(|template| target(inventory, id, template)));
        }
    }
    if let Some(primary) = primary(inventory, site) {
        let offered = inventory.services.iter().filter(|s| is_vantage(inventory, site, s));
        out.extend(offered.filter_map(|service| service_target(inventory, primary, service)));
    }
    let mut names = std::collections::HashSet::new();
    out.retain(|target| names.insert(target.get("name").cloned()));
    out
}

/// A profile for everybody, for a kind or class of site, or for named sites; and for a kind of link.
fn matches(profile: &Profile, site: &Site, link: &Link) -> bool {
    let for_site = if profile.sites.is_empty() {
        profile.kinds.is_empty() || profile.kinds.contains(&site.kind)
    } else {
        profile.sites.contains(&site.code)
    };
    let for_class = profile.classes.is_empty() || profile.classes.contains(&site.criticality);
    let for_link = profile.networks.is_empty() || profile.networks.contains(&link.network);
    for_site && for_class && for_link && profile.metered.is_none_or(|metered| metered == link.metered)
}

fn is_vantage(inventory: &Inventory, site: SiteId, service: &Service) -> bool {
    let at = inventory.site(site);
    let cohort_of = || inventory.village_of(site).and_then(|v| inventory.region(v).cohort.as_ref());
    service.active
        && service.vantages.contains(&at.kind)
        && (service.scope.regions.is_empty() || service.scope.regions.iter().any(|r| inventory.is_within(at.region, *r)))
        && service.scope.cohort.as_ref().is_none_or(|cohort| cohort_of() == Some(cohort))
}

fn primary(inventory: &Inventory, site: SiteId) -> Option<LinkId> {
    inventory.links_of(site).min_by_key(|id| inventory.link(*id).role != Role::Primary)
}

fn target(inventory: &Inventory, link: LinkId, template: &TargetTemplate) -> Mapping {
    let name = format!("{}-{}", inventory.link(link).name, template.name);
    build(
        inventory,
        link,
        Target {
            name,
            rung: template.rung,
            every: template.every.as_deref(),
            timeout: template.timeout.as_deref(),
            probe: &template.probe,
            settings: &template.settings,
        },
    )
}

fn service_target(inventory: &Inventory, link: LinkId, service: &Service) -> Option<Mapping> {
    let check = service.check.as_ref()?;
    Some(build(
        inventory,
        link,
        Target {
            name: format!("{SERVICE_PREFIX}{}", service.id),
            rung: Rung::Service,
            every: check.every.as_deref(),
            timeout: None,
            probe: &check.probe,
            settings: &check.settings,
        },
    ))
}

/// Stands before a service's id in its target's name; what measures a service is known by it.
pub const SERVICE_PREFIX: &str = "service-";

struct Target<'a> {
    name: String,
    rung: Rung,
    every: Option<&'a str>,
    timeout: Option<&'a str>,
    probe: &'a str,
    settings: &'a Value,
}

fn build(inventory: &Inventory, link: LinkId, target: Target<'_>) -> Mapping {
    let mut out = Mapping::new();
    out.insert("name".into(), target.name.into());
    out.insert("link".into(), inventory.link(link).name.clone().into());
    out.insert("rung".into(), target.rung.as_str().into());
    if let Some(every) = target.every {
        out.insert("every".into(), every.into());
    }
    if let Some(timeout) = target.timeout {
        out.insert("timeout".into(), timeout.into());
    }
    out.insert(target.probe.into(), filled(inventory, link, target.settings));
    out
}

/// Fills `{site}`, `{county}`, `{province}`, `{link}` and `{operator}` in every text of a probe's settings.
fn filled(inventory: &Inventory, link: LinkId, settings: &Value) -> Value {
    match settings {
        Value::String(text) if text.contains('{') => Value::String(fill(inventory, link, text)),
        Value::Sequence(items) => Value::Sequence(items.iter().map(|item| filled(inventory, link, item)).collect()),
        Value::Mapping(entries) => Value::Mapping(entries.iter().map(|(k, v)| (k.clone(), filled(inventory, link, v))).collect()),
        other => other.clone(),
    }
}

fn fill(inventory: &Inventory, link: LinkId, text: &str) -> String {
    let (link, site) = (inventory.link(link), inventory.site(inventory.link(link).site));
    let level = |kind| {
        let found = inventory.ancestors(site.region).find(|r| inventory.region(*r).kind == kind);
        found.map_or("", |r| inventory.region(r).code.as_str())
    };
    text.replace("{site}", &site.code)
        .replace("{county}", level(RegionKind::County))
        .replace("{province}", level(RegionKind::Province))
        .replace("{link}", &link.name)
        .replace("{operator}", &link.operator)
}

fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
