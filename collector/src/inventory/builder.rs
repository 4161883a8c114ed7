//! Joins a draft into a version: every code becomes an index that exists, or a fault with its place.
//!
//! Order of work: regions, nodes, sites, links, links' parents, figures, documents. Each step goes on after a fault, so
//! that one import lists everything that is wrong.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use rusta_wire::UnixMs;

use super::anchors;
use super::draft::{Draft, Written, link_ref, numbered, parts};
use super::fault::{Fault, Kind, Place, nearest};
use super::model::{Inventory, Link, LinkId, NodeId, Parent, RegionId, RegionKind, SiteId, SiteKind, VantageFor};
use super::resolve;
use crate::persian::fold;

/// A valid version and what is suspicious in it without being wrong.
#[derive(Debug, Clone)]
pub struct Built {
    /// The version.
    pub inventory: Inventory,
    /// Suspicious places.
    pub notes: Vec<Note>,
}

/// Something suspicious that does not refuse an import.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Note {
    /// Where.
    pub place: Place,
    /// What, in English.
    pub english: String,
    /// What, in Persian.
    pub persian: String,
}

impl Draft {
    /// Joins the draft into version `version`, effective from `effective_from`.
    pub fn build(&self, version: u32, effective_from: UnixMs) -> Result<Built, Vec<Fault>> {
        let mut work = Work { inventory: Inventory::empty(version, effective_from), faults: Vec::new(), notes: Vec::new() };
        work.regions(self);
        work.nodes(self);
        work.sites(self);
        work.inventory.index();
        work.vantages(self);
        work.links(self);
        work.link_parents(self);
        work.figures(self);
        resolve::documents(&self.documents, &mut work.inventory, &mut work.faults);
        work.calendars_of_sites(self);
        if !work.faults.is_empty() {
            work.faults.sort_by(|a, b| a.place.cmp(&b.place));
            return Err(work.faults);
        }
        work.cycles();
        if !work.faults.is_empty() {
            return Err(work.faults);
        }
        work.suspicions(self);
        work.notes.extend(anchors::doubts(&work.inventory));
        Ok(Built { inventory: work.inventory, notes: work.notes })
    }
}

/// Stands in `vantage_for` of a site that speaks of itself alone, whatever its kind.
const NO_VANTAGE: &str = "none";

struct Work {
    inventory: Inventory,
    faults: Vec<Fault>,
    notes: Vec<Note>,
}

impl Work {
    fn regions(&mut self, draft: &Draft) {
        const FILE: &str = "regions.csv";
        let kept = self.unique(FILE, "code", &draft.regions, |r| r.code.as_str());
        let mut order: Vec<&Written<_>> = kept;
        order.sort_by_key(|w| w.item.kind);
        let ids: HashMap<&str, RegionId> = numbered(&order, RegionId).map(|(id, w)| (w.item.code.as_str(), id)).collect();
        let mut siblings: HashMap<(RegionId, RegionKind, String), u32> = HashMap::new();
        for written in &order {
            let mut region = written.item.clone();
            let parent = written.refers.owner.as_str();
            region.parent = ids.get(parent).copied();
            if region.parent.is_none() && !parent.is_empty() {
                self.unknown(FILE, written.row, "parent_code", parent, FILE, || ids.keys().copied());
            } else {
                self.check_level(written.row, region.kind, region.parent.map(|p| order[p.index()].item.kind));
            }
            if let (Some(parent), true) = (region.parent, region.kind != RegionKind::Village) {
                match siblings.entry((parent, region.kind, fold(&region.name_fa))) {
                    Entry::Vacant(free) => drop(free.insert(written.row)),
                    Entry::Occupied(first) => {
                        let first = Place { file: FILE.into(), row: *first.get(), column: "name_fa".into() };
                        self.faults.push(Fault::at(FILE, written.row, "name_fa", Kind::Collision { found: region.name_fa.clone(), first }));
                    }
                }
            }
            self.inventory.regions.push(region);
        }
    }

    fn check_level(&mut self, row: u32, kind: RegionKind, parent: Option<RegionKind>) {
        use RegionKind::{City, County, District, Province, RuralDistrict, Village};
        let (fits, allowed) = match kind {
            Province => (parent.is_none(), "empty"),
            County => (parent == Some(Province), "a province"),
            District => (parent == Some(County), "a county"),
            RuralDistrict => (matches!(parent, Some(District | County)), "a district or county"),
            City => (matches!(parent, Some(District | County)), "a district or county"),
            Village => (matches!(parent, Some(RuralDistrict | District | County)), "a rural district, district or county"),
        };
        if !fits {
            let parent = parent.map_or("none", RegionKind::as_str);
            self.faults.push(Fault::at("regions.csv", row, "parent_code", Kind::WrongLevel { child: kind.as_str(), parent, allowed }));
        }
    }

    fn nodes(&mut self, draft: &Draft) {
        const FILE: &str = "nodes.csv";
        let kept = self.unique(FILE, "code", &draft.nodes, |n| n.code.as_str());
        let known: HashMap<&str, usize> = kept.iter().enumerate().map(|(at, w)| (w.item.code.as_str(), at)).collect();
        let mut parents = Vec::new();
        for written in &kept {
            let parent = known.get(written.refers.owner.as_str()).copied();
            if parent.is_none() && !written.refers.owner.is_empty() {
                self.unknown(FILE, written.row, "parent", &written.refers.owner, FILE, || known.keys().copied());
            }
            parents.push(parent);
        }
        let Some(order) = parents_first(&parents) else {
            let row = kept.first().map_or(0, |w| w.row);
            self.faults.push(Fault::at(FILE, row, "parent", Kind::Cycle { chain: cycle_of(&parents, |at| kept[at].item.code.clone()) }));
            return;
        };
        let mut place = vec![NodeId(0); kept.len()];
        for (id, at) in numbered(&order, NodeId) {
            place[*at] = id;
            let mut node = kept[*at].item.clone();
            node.parent = parents[*at].map(|p| place[p]);
            self.inventory.nodes.push(node);
        }
    }

    fn sites(&mut self, draft: &Draft) {
        const FILE: &str = "sites.csv";
        let regions: HashMap<String, RegionId> = numbered(&self.inventory.regions, RegionId).map(|(id, r)| (r.code.clone(), id)).collect();
        let nodes: HashMap<&str, u32> = draft.nodes.iter().map(|w| (w.item.code.as_str(), w.row)).collect();
        for written in self.unique(FILE, "code", &draft.sites, |s| s.code.as_str()) {
            let mut site = written.item.clone();
            match regions.get(&written.refers.owner) {
                Some(region) => site.region = *region,
                None if written.refers.owner.is_empty() => self.empty_unless_read(FILE, written.row, "region_code"),
                None => self
                    .unknown(FILE, written.row, "region_code", &written.refers.owner, "regions.csv", || regions.keys().map(String::as_str)),
            }
            if let Some(row) = nodes.get(site.code.as_str()) {
                let first = Place { file: "nodes.csv".into(), row: *row, column: "code".into() };
                self.faults.push(Fault::at(FILE, written.row, "code", Kind::Collision { found: site.code.clone(), first }));
            }
            self.inventory.sites.push(site);
        }
    }

    /// Finds whom each site may speak about: what its row says, else its county for a county's centre, its province for the core.
    fn vantages(&mut self, draft: &Draft) {
        const FILE: &str = "sites.csv";
        for written in &draft.sites {
            let Some(site) = self.place_of(&written.item.code) else { continue };
            let said = written.refers.vantage_for.as_str();
            let mut about = Vec::new();
            if said.is_empty() {
                about.extend(self.own_area(site).map(VantageFor::Region));
            } else if said != NO_VANTAGE {
                for code in parts(said) {
                    let region = self.inventory.region_by_code(code).map(VantageFor::Region);
                    match region.or_else(|| self.place_of(code).map(VantageFor::Site)) {
                        Some(found) => about.push(found),
                        None => {
                            let regions: Vec<String> = self.inventory.regions.iter().map(|region| region.code.clone()).collect();
                            self.unknown(FILE, written.row, "vantage_for", code, "regions.csv", || regions.iter().map(String::as_str));
                        }
                    }
                }
            }
            self.inventory.sites[site.index()].vantage_for = about;
        }
    }

    fn own_area(&self, site: SiteId) -> Option<RegionId> {
        let site = self.inventory.site(site);
        let level = match site.kind {
            SiteKind::Core => RegionKind::Province,
            SiteKind::Farmandari | SiteKind::Pop => RegionKind::County,
            _ => return None,
        };
        self.inventory.ancestors(site.region).find(|id| self.inventory.region(*id).kind == level)
    }

    fn links(&mut self, draft: &Draft) {
        const FILE: &str = "links.csv";
        let sites: HashMap<&str, SiteId> =
            draft.sites.iter().map(|w| w.item.code.as_str()).filter_map(|c| Some((c, self.place_of(c)?))).collect();
        let mut owned: Vec<(SiteId, &Written<Link>)> = Vec::new();
        for written in &draft.links {
            match sites.get(written.refers.owner.as_str()) {
                Some(site) => owned.push((*site, written)),
                None if written.refers.owner.is_empty() => self.empty_unless_read(FILE, written.row, "site_code"),
                None => self.unknown(FILE, written.row, "site_code", &written.refers.owner, "sites.csv", || sites.keys().copied()),
            }
        }
        owned.sort_by_key(|(site, _)| *site);
        let mut first_row: HashMap<(SiteId, &str), u32> = HashMap::new();
        for (site, written) in owned {
            if let Some(row) = first_row.insert((site, written.item.name.as_str()), written.row) {
                let first = Place { file: FILE.into(), row, column: "name".into() };
                self.faults.push(Fault::at(FILE, written.row, "name", Kind::Collision { found: written.item.name.clone(), first }));
                continue;
            }
            self.add_link(site, written);
        }
        let mut next = 0;
        for site in &mut self.inventory.sites {
            site.links = site.links.start.max(next)..site.links.end.max(next);
            next = site.links.end;
        }
    }

    fn add_link(&mut self, site: SiteId, written: &Written<Link>) {
        let id = u32::try_from(self.inventory.links.len()).unwrap_or(u32::MAX);
        let owner = &mut self.inventory.sites[site.index()];
        owner.links = if owner.links.is_empty() { id..id + 1 } else { owner.links.start..id + 1 };
        let link = Link { site, sla_class: written.refers.sla.unwrap_or(owner.criticality), ..written.item.clone() };
        if link.metered && link.plan_bytes.is_some() != link.cycle_day.is_some() {
            self.faults.push(Fault::at(
                "links.csv",
                written.row,
                "cycle_day",
                Kind::Contradiction {
                    en: "a metered link's plan needs both plan_bytes and cycle_day",
                    fa: "بسته لینک حجمی هم plan_bytes و هم cycle_day می‌خواهد",
                },
            ));
        }
        self.inventory.links.push(link);
    }

    fn link_parents(&mut self, draft: &Draft) {
        for written in draft.links.iter().filter(|w| !w.refers.parents.is_empty()) {
            let Some(site) = self.inventory.site_by_code(&written.refers.owner) else { continue };
            let Some(id) = self.inventory.link_by_name(site, &written.item.name) else { continue };
            let mut parents = Vec::new();
            for code in parts(&written.refers.parents) {
                match self.parent(code) {
                    Some(parent) => parents.push(parent),
                    None => {
                        let list = "nodes.csv, sites.csv or links.csv";
                        let near = nearest(code, draft.nodes.iter().map(|n| n.item.code.as_str())).unwrap_or_default().to_owned();
                        self.faults.push(Fault::at(
                            "links.csv",
                            written.row,
                            "parent",
                            Kind::UnknownReference { found: code.into(), list, nearest: near },
                        ));
                    }
                }
            }
            self.inventory.links[id.index()].parents = parents;
        }
    }

    fn parent(&self, code: &str) -> Option<Parent> {
        let inventory = &self.inventory;
        if let Some((site, link)) = code.split_once('/') {
            return inventory.link_by_name(inventory.site_by_code(site)?, link).map(Parent::Link);
        }
        inventory.node_by_code(code).map(Parent::Node).or_else(|| inventory.site_by_code(code).map(Parent::Site))
    }

    fn figures(&mut self, draft: &Draft) {
        for written in &draft.declared {
            if let Some(region) = self.figure_region("declared.csv", written.row, &written.refers.owner) {
                let mut declared = written.item.clone();
                declared.region = region;
                if let Some(successor) = &declared.superseded_by {
                    let follows = |w: &Written<super::Declared>| w.item.kpi == declared.kpi && w.item.source == *successor;
                    if !draft.declared.iter().any(follows) {
                        self.unknown("declared.csv", written.row, "superseded_by", successor, "declared.csv, column source", || {
                            draft.declared.iter().map(|w| w.item.source.as_str())
                        });
                    }
                }
                self.inventory.declared.push(declared);
            }
        }
        for written in &draft.goals {
            if let Some(region) = self.figure_region("goals.csv", written.row, &written.refers.owner) {
                self.inventory.goals.push(super::Goal { region, ..written.item.clone() });
            }
        }
    }

    fn figure_region(&mut self, file: &'static str, row: u32, code: &str) -> Option<RegionId> {
        let found = self.inventory.region_by_code(code);
        if found.is_none() && !code.is_empty() {
            let near = nearest(code, self.inventory.regions.iter().map(|r| r.code.as_str())).unwrap_or_default().to_owned();
            let kind = Kind::UnknownReference { found: code.to_owned(), list: "regions.csv", nearest: near };
            self.faults.push(Fault::at(file, row, "region_code", kind));
        }
        found
    }

    fn calendars_of_sites(&mut self, draft: &Draft) {
        for written in draft.sites.iter().filter(|w| !w.item.calendar.is_empty()) {
            if self.inventory.calendars.service(&written.item.calendar).is_none() {
                self.unknown("sites.csv", written.row, "calendar", &written.item.calendar, "calendars.yaml", || {
                    draft.documents.calendars.iter().map(|c| c.text.name.as_str())
                });
            }
        }
    }

    /// Looks for sites that, through their links' parents, depend on themselves.
    fn cycles(&mut self) {
        let inventory = &self.inventory;
        let mut state = vec![0u8; inventory.sites.len()];
        for (start, _) in numbered(&inventory.sites, SiteId) {
            let mut path: Vec<(SiteId, Vec<SiteId>)> = Vec::new();
            if state[start.index()] == 0 {
                state[start.index()] = 1;
                path.push((start, upstream_sites(inventory, start)));
            }
            while let Some((at, ahead)) = path.last_mut() {
                let at = *at;
                match ahead.pop() {
                    Some(next) if state[next.index()] == 1 => {
                        let from = path.iter().position(|(site, _)| *site == next).unwrap_or(0);
                        let names = path[from..].iter().map(|(site, _)| *site).chain([next]);
                        let chain = names.map(|s| inventory.site(s).code.as_str()).collect::<Vec<_>>().join(" > ");
                        self.faults.push(Fault::at("links.csv", 0, "parent", Kind::Cycle { chain }));
                        return;
                    }
                    Some(next) if state[next.index()] == 0 => {
                        state[next.index()] = 1;
                        path.push((next, upstream_sites(inventory, next)));
                    }
                    Some(_) => {}
                    None => {
                        state[at.index()] = 2;
                        path.pop();
                    }
                }
            }
        }
    }

    fn suspicions(&mut self, draft: &Draft) {
        let mut names: HashMap<(&str, String), u32> = HashMap::new();
        for written in &draft.regions {
            let (region, owner) = (&written.item, written.refers.owner.as_str());
            let mut note = |column: &str, english: String, persian: String| {
                let place = Place { file: "regions.csv".into(), row: written.row, column: column.into() };
                self.notes.push(Note { place, english, persian });
            };
            if region.kind == RegionKind::Village {
                if let Some(first) = names.insert((owner, fold(&region.name_fa)), written.row) {
                    let name = &region.name_fa;
                    note(
                        "name_fa",
                        format!("`{name}` has the same name as the village in row {first} of the same parent"),
                        format!("«{name}» با روستای سطر {first} از همان والد هم‌نام است"),
                    );
                }
                if is_digits(&region.code) && is_digits(owner) && !region.code.starts_with(owner) {
                    note(
                        "parent_code",
                        format!("code {} does not begin with its parent's code {owner}", region.code),
                        format!("کد {} با کد والد {owner} آغاز نمی‌شود", region.code),
                    );
                }
                if region.inhabited && region.households.is_none() {
                    note("households", "inhabited village without households".into(), "روستای دارای سکنه بدون تعداد خانوار".into());
                }
            }
        }
    }

    /// Keeps the first of each code; the others are faults.
    fn unique<'a, T>(&mut self, file: &str, column: &str, rows: &'a [Written<T>], code: impl Fn(&T) -> &str) -> Vec<&'a Written<T>> {
        let mut first: HashMap<String, u32> = HashMap::with_capacity(rows.len());
        let mut kept = Vec::with_capacity(rows.len());
        for written in rows {
            match first.entry(code(&written.item).to_ascii_lowercase()) {
                Entry::Vacant(free) => {
                    free.insert(written.row);
                    kept.push(written);
                }
                Entry::Occupied(earlier) => {
                    let first = Place { file: file.to_owned(), row: *earlier.get(), column: column.to_owned() };
                    let found = code(&written.item).to_owned();
                    self.faults.push(Fault::at(file, written.row, column, Kind::Collision { found, first }));
                }
            }
        }
        kept
    }

    fn unknown<'a, I: Iterator<Item = &'a str>>(
        &mut self,
        file: &str,
        row: u32,
        column: &str,
        found: &str,
        list: &'static str,
        candidates: impl FnOnce() -> I,
    ) {
        let near = nearest(found, candidates()).unwrap_or_default().to_owned();
        self.faults.push(Fault::at(file, row, column, Kind::UnknownReference { found: found.to_owned(), list, nearest: near }));
    }

    /// A row read from a file has had its empty required cell reported by the reader.
    fn empty_unless_read(&mut self, file: &str, row: u32, column: &str) {
        if row == 0 {
            self.faults.push(Fault::at(file, row, column, Kind::Empty));
        }
    }

    fn place_of(&self, code: &str) -> Option<SiteId> {
        self.inventory.site_by_code(code)
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn upstream_sites(inventory: &Inventory, site: SiteId) -> Vec<SiteId> {
    let parents = inventory.links_of(site).flat_map(|link| inventory.link(link).parents.iter());
    parents
        .filter_map(|parent| match *parent {
            Parent::Site(site) => Some(site),
            Parent::Link(link) => Some(inventory.link(link).site),
            Parent::Node(_) => None,
        })
        .collect()
}

/// Orders a forest so that parents stand before children; `None` if it has a cycle.
fn parents_first(parents: &[Option<usize>]) -> Option<Vec<usize>> {
    let depth = |mut at: usize| {
        let mut depth = 0usize;
        while let Some(parent) = parents[at] {
            (at, depth) = (parent, depth + 1);
            if depth > parents.len() {
                return None;
            }
        }
        Some(depth)
    };
    let depths: Vec<usize> = (0..parents.len()).map(depth).collect::<Option<_>>()?;
    let mut order: Vec<usize> = (0..parents.len()).collect();
    order.sort_by_key(|at| depths[*at]);
    Some(order)
}

fn cycle_of(parents: &[Option<usize>], name: impl Fn(usize) -> String) -> String {
    for start in 0..parents.len() {
        let mut chain = vec![start];
        while let Some(parent) = chain.last().and_then(|at| parents[*at]) {
            chain.push(parent);
            if parent == start {
                return chain.into_iter().map(&name).collect::<Vec<_>>().join(" > ");
            }
            if chain.len() > parents.len() {
                break;
            }
        }
    }
    String::new()
}

impl Inventory {
    /// Names a link as rows and configuration do: `site/link`.
    pub fn link_code(&self, id: LinkId) -> String {
        link_ref(self, id)
    }
}
