//! Computes a KPI of a period: measures every object of every section, weighs, breaks down, rolls up, joins sections.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::facts::{Affected, Facts, LinkFacts, OutageFact, Reports, Section, ServiceFact, VillageSeconds};
use super::figure::{Breakdown, Figure, Standing, Weight};
use super::parts::{Subject, UNATTRIBUTED, part};
use super::regions::{ByRegion, levels, within};
use super::tally::Tally;
use super::terms::Terms;
use super::{Kpi, Measure};
use crate::engine::VillagePolicy;
use crate::history::{Late, StateSeconds};
use crate::inventory::{Inventory, Link, LinkId, Region, RegionId, Site, SiteId};

/// What is asked of a KPI.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ask<'a> {
    /// One region; all levels if not given.
    pub region: Option<&'a str>,
    /// What one object counts for.
    pub weight: Weight,
    /// A breakdown. By region means the region's children.
    pub by: Option<Breakdown>,
    /// A version of the definition; the one in force when the window began if not given.
    pub version: Option<u32>,
}

/// A village in a section.
#[derive(Clone, Copy)]
pub struct VillageFact<'a> {
    /// Its section.
    pub section: &'a Section,
    /// The village.
    pub id: RegionId,
    /// How it spent the window.
    pub seconds: VillageSeconds,
    /// What the definition stands on.
    pub terms: &'a Terms,
}

impl<'a> VillageFact<'a> {
    /// Returns the village's record.
    pub fn region(&self) -> &'a Region {
        self.section.inventory.region(self.id)
    }

    /// Returns how it spent the window under the definition's policy.
    pub fn state(&self) -> StateSeconds {
        let inventory = &self.section.inventory;
        let paths = inventory.sites_of(self.id).iter().map(|site| inventory.site(*site).kind);
        let paths: Vec<_> = paths.filter(|kind| VillagePolicy::Either.includes(*kind)).collect();
        let inside = paths.iter().filter(|kind| self.terms.policy.includes(**kind)).count();
        let whole = self.seconds.state;
        match self.terms.policy {
            _ if inside == paths.len() => whole,
            _ if inside == 0 => StateSeconds { unknown: whole.total(), ..StateSeconds::default() },
            VillagePolicy::Either => whole,
            VillagePolicy::MobilePublic => self.seconds.mobile_public,
            VillagePolicy::DehyariUplink => self.seconds.dehyari_uplink,
        }
    }

    /// Returns what was learnt late of its in-policy sites.
    pub fn late(&self) -> Late {
        let mut late = Late::default();
        for site in self.section.inventory.sites_of(self.id) {
            if self.terms.policy.includes(self.section.inventory.site(*site).kind) {
                late += self.section.late(*site);
            }
        }
        late
    }

    /// Lists what is known of the links of its sites.
    pub fn links(self) -> impl Iterator<Item = (&'a Link, &'a LinkFacts)> {
        let section = self.section;
        let sites = section.inventory.sites_of(self.id).iter();
        let ids = sites.flat_map(|site| section.inventory.links_of(*site));
        ids.filter_map(|id| Some((section.inventory.link(id), section.links[id.index()].as_ref()?)))
    }
}

/// A site in a section.
#[derive(Clone, Copy)]
pub struct SiteFact<'a> {
    /// Its section.
    pub section: &'a Section,
    /// The site.
    pub id: SiteId,
    /// How it spent the window.
    pub seconds: StateSeconds,
    /// What of it was measured inside work announced too late for the contract.
    pub short_notice: StateSeconds,
    /// What its agents reported; `None` if it has none.
    pub reports: Option<&'a Reports>,
    /// What the definition stands on.
    pub terms: &'a Terms,
}

impl<'a> SiteFact<'a> {
    /// Returns what was learnt late of it.
    pub fn late(&self) -> Late {
        self.section.late(self.id)
    }

    /// Returns the site's record.
    pub fn site(&self) -> &'a Site {
        self.section.inventory.site(self.id)
    }

    /// Lists what is known of its links.
    pub fn links(self) -> impl Iterator<Item = (&'a Link, &'a LinkFacts)> {
        let section = self.section;
        let ids = section.inventory.links_of(self.id);
        ids.filter_map(|id| Some((section.inventory.link(id), section.links[id.index()].as_ref()?)))
    }
}

/// A link in a section.
#[derive(Clone, Copy)]
pub struct LinkFact<'a> {
    /// Its section.
    pub section: &'a Section,
    /// The link.
    pub id: LinkId,
    /// How it spent the window.
    pub facts: &'a LinkFacts,
}

impl<'a> LinkFact<'a> {
    /// Returns what was learnt late of its site.
    pub fn late(&self) -> Late {
        self.section.late(self.section.inventory.link(self.id).site)
    }

    /// Returns the link's record.
    pub fn link(&self) -> &'a Link {
        self.section.inventory.link(self.id)
    }
}

/// An outage in a section.
#[derive(Clone, Copy)]
pub struct OutageIn<'a> {
    /// Its section.
    pub section: &'a Section,
    /// The outage.
    pub outage: &'a OutageFact,
}

/// Computes the figures of a KPI, with the weight and breakdown asked for if it has them; a figure of now has none here.
pub fn answer(kpi: &Kpi, facts: &Facts, ask: Ask<'_>) -> Vec<Figure> {
    if matches!(kpi.measures.first(), Some(Measure::Now(_))) {
        return Vec::new();
    }
    let weight = if kpi.weights.contains(&ask.weight) { ask.weight } else { kpi.weights.first().copied().unwrap_or_default() };
    compute(kpi, facts, Ask { weight, by: ask.by.filter(|by| kpi.by.contains(by)), ..ask })
}

/// Computes the figures of a KPI.
pub fn compute(kpi: &Kpi, facts: &Facts, ask: Ask<'_>) -> Vec<Figure> {
    let Some(mut kpi) = facts.definitions.version(kpi, facts.window.from, ask.version) else { return Vec::new() };
    if kpi.per_window {
        kpi.scale.1 = facts.seconds_in_service().max(1.0);
    }
    let (kpi, ask) = (&kpi, Ask { version: None, ..ask });
    if let Some(Measure::Derived(derive)) = kpi.measures.first() {
        return derive(kpi, facts, ask);
    }
    let facts = if kpi.whole { facts.whole() } else { facts };
    let asked = asked_regions(facts, ask);
    let mut sums: Sums = asked.iter().map(|code| (code.clone(), BTreeMap::new())).collect();
    for section in &facts.sections {
        collect(kpi, section, ask, &mut sums);
    }
    let mut figures = Vec::new();
    for code in asked {
        let mut sum = sums.remove(&code).unwrap_or_default();
        if ask.by.is_none_or(|by| by == Breakdown::Region) {
            let tally = sum.remove(&None).unwrap_or_default();
            figures.push(judged(kpi, facts, kpi.figure(&code, facts.period, ask.weight, facts.status, &tally)));
            continue;
        }
        for (part, tally) in parts_of(sum) {
            let mut figure = kpi.figure(&code, facts.period, ask.weight, facts.status, &tally);
            figure.part = ask.by.map(|by| (by, part));
            figures.push(judged(kpi, facts, figure));
        }
    }
    figures
}

/// Takes the single number off a figure whose window is shorter than its definition judges.
fn judged(kpi: &Kpi, facts: &Facts, mut figure: Figure) -> Figure {
    let is_short = facts.seconds_in_service() < f64::from(kpi.least_days) * 86_400.0;
    if is_short && matches!(figure.standing, Standing::Known | Standing::Insufficient) {
        (figure.standing, figure.value) = (Standing::TooShort, None);
    }
    figure
}

/// What was counted, by region asked for, then part.
type Sums = HashMap<String, BTreeMap<Option<String>, Tally>>;

/// Lists the parts of a region in order. What was watched belongs to every part of a breakdown of outages by cause or by
/// who has to mend it, and the outages nobody could explain are a part even when there are none.
fn parts_of(mut sum: BTreeMap<Option<String>, Tally>) -> impl Iterator<Item = (String, Tally)> {
    if let Some(watched) = sum.remove(&None) {
        sum.entry(Some(UNATTRIBUTED.to_owned())).or_default();
        sum.values_mut().for_each(|tally| tally.add(&watched));
    }
    sum.into_iter().filter_map(|(part, tally)| Some((part?, tally)))
}

/// Lists the regions to answer for: of the last map first, then those that exist only earlier in the window.
pub(super) fn asked_regions(facts: &Facts, ask: Ask<'_>) -> Vec<String> {
    let mut codes: Vec<String> = Vec::new();
    for section in facts.sections.iter().rev() {
        let inventory = &section.inventory;
        let here = asked_on(inventory, ask);
        let known: HashSet<String> = codes.iter().cloned().collect();
        codes.extend(here.into_iter().map(|id| inventory.region(id).code.clone()).filter(|code| !known.contains(code)));
    }
    codes
}

/// Lists the regions of one map to answer for: all levels, the one that is asked for, or its children.
pub(super) fn asked_on(inventory: &Inventory, ask: Ask<'_>) -> Vec<RegionId> {
    let wanted = |id: RegionId| match (ask.region, ask.by) {
        (None, _) => true,
        (Some(code), Some(Breakdown::Region)) => inventory.region(id).parent.is_some_and(|p| inventory.region(p).code == code),
        (Some(code), _) => inventory.region(id).code == code,
    };
    let mut here: Vec<RegionId> = levels(inventory).filter(|id| wanted(*id)).collect();
    if here.is_empty() {
        // A village asked for by its code is answered too, and so are the villages of a rural district.
        match ask.by {
            Some(Breakdown::Region) => here.extend(inventory.villages().filter(|id| wanted(*id))),
            _ => here.extend(ask.region.and_then(|code| inventory.region_by_code(code))),
        }
    }
    here
}

/// Tells of every region of a map whether it lies inside the one asked for; `None` if the map has none of that code.
pub(super) fn within_scope(inventory: &Inventory, region: Option<&str>) -> Option<Vec<bool>> {
    match region {
        None => Some(vec![true; inventory.regions.len()]),
        Some(code) => Some(within(inventory, inventory.region_by_code(code)?)),
    }
}

fn collect(kpi: &Kpi, section: &Section, ask: Ask<'_>, sums: &mut Sums) {
    let inventory = &section.inventory;
    let Some(inside) = within_scope(inventory, ask.region) else { return };
    let is_inside = |region: RegionId| inside[region.index()];
    let by = ask.by.filter(|by| *by != Breakdown::Region);
    let mut parts: HashMap<Option<String>, ByRegion> = HashMap::new();
    let measures = kpi.measures_by(by);
    let counts_outages = measures.iter().any(|measure| matches!(measure, Measure::Outage(_)));
    let by_outage = counts_outages && matches!(by, Some(Breakdown::Cause | Breakdown::Responsible));
    let mut add = |region: RegionId, subject: Subject<'_>, tally: Tally| {
        let watched = by_outage && !matches!(subject, Subject::Outage(_));
        let part = by.filter(|_| !watched).map(|by| part(inventory, subject, by));
        parts.entry(part).or_insert_with(|| ByRegion::new(inventory)).add(region, &tally);
    };
    for measure in measures {
        each(*measure, (section, &is_inside), (ask.weight, &kpi.terms), &mut add);
    }
    for (part, by_region) in parts {
        let by_region = by_region.roll_up(inventory);
        for (id, tally) in by_region.counted() {
            if let Some(sum) = sums.get_mut(&inventory.region(id).code) {
                sum.entry(part.clone()).or_default().add(tally);
            }
        }
    }
}

/// Measures every object that stands inside the regions asked for.
pub(super) fn each(
    measure: Measure,
    (section, is_inside): (&Section, &dyn Fn(RegionId) -> bool),
    (weight, terms): (Weight, &Terms),
    add: &mut impl FnMut(RegionId, Subject<'_>, Tally),
) {
    let inventory = &section.inventory;
    let weigh = |village: RegionId, tally: Tally| weight.of(inventory.region(village)).map(|w| tally.weighted(w));
    match measure {
        Measure::Village(measure) => {
            let known = (0..).map(RegionId).zip(&section.villages).filter_map(|(id, seconds)| Some((id, (*seconds)?)));
            for (id, seconds) in known.filter(|(id, _)| is_inside(*id)) {
                if let Some(tally) = measure(&VillageFact { section, id, seconds, terms }).and_then(|tally| weigh(id, tally)) {
                    add(id, Subject::Village(id), tally);
                }
            }
        }
        Measure::Site(measure) => {
            let known = (0..).map(SiteId).zip(&section.sites).filter_map(|(id, seconds)| Some((id, (*seconds)?)));
            for (id, seconds) in known.filter(|(id, _)| is_inside(inventory.site(*id).region)) {
                let reports = section.reports.as_ref().and_then(|reports| reports.get(id.index())?.as_ref());
                let short_notice = section.short_notice[id.index()];
                if let Some(tally) = measure(&SiteFact { section, id, seconds, short_notice, reports, terms }) {
                    add(inventory.site(id).region, Subject::Site(id), tally);
                }
            }
        }
        Measure::Link(measure) => {
            let known = (0..).map(LinkId).zip(&section.links).filter_map(|(id, facts)| Some((id, facts.as_ref()?)));
            for (id, facts) in known.filter(|(id, _)| is_inside(region_of_link(inventory, *id))) {
                if let Some(tally) = measure(&LinkFact { section, id, facts }) {
                    add(region_of_link(inventory, id), Subject::Link(id), tally);
                }
            }
        }
        Measure::Outage(measure) => {
            for outage in &section.outages {
                let region = match outage.of {
                    Affected::Link(link) => region_of_link(inventory, link),
                    Affected::Site(site) => inventory.site(site).region,
                    Affected::Village(village) => village,
                };
                let tally = is_inside(region).then(|| measure(&OutageIn { section, outage })).flatten();
                let tally = match outage.of {
                    Affected::Village(village) => tally.and_then(|tally| weigh(village, tally)),
                    _ => tally,
                };
                if let Some(tally) = tally {
                    add(region, Subject::Outage(outage), tally);
                }
            }
        }
        Measure::Service(measure) => {
            for fact in section.services.iter().flatten().filter(|fact| is_inside(inventory.site(fact.site).region)) {
                if let Some(tally) = measure(section, fact) {
                    add(inventory.site(fact.site).region, Subject::Service(&fact.service, fact.site), tally);
                }
            }
        }
        Measure::Now(_) | Measure::Derived(_) => {}
    }
}

fn region_of_link(inventory: &Inventory, link: LinkId) -> RegionId {
    inventory.site(inventory.link(link).site).region
}

/// Measures an attempt fact.
pub type ServiceMeasure = fn(&Section, &ServiceFact) -> Option<Tally>;
