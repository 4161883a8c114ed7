//! An inventory as written: rows with the codes they refer to, not yet joined. Files are read into it, tests and the
//! generator fill it by hand, and [`Draft::build`] makes the version of it or says everything that is wrong.

use rusta_wire::Network;

use super::documents::Documents;
use super::figures::{Declared, Goal};
use super::model::{Criticality, Link, LinkId, Node, NodeKind, Region, RegionId, RegionKind, Role, Site, SiteId, SiteKind};

/// A row of a list with the row number a fault will name.
#[derive(Debug, Clone)]
pub struct Written<T> {
    /// As a spreadsheet counts; 0 if it was not read from a file.
    pub row: u32,
    /// The codes it refers to, as written.
    pub refers: Refers,
    /// The rest; its references are filled in by the builder.
    pub item: T,
}

/// Codes as written.
#[derive(Debug, Clone, Default)]
pub struct Refers {
    /// The code of the region, site or parent node it belongs to; empty if none.
    pub owner: String,
    /// Further parents, separated by `|`.
    pub parents: String,
    /// A link's own SLA class.
    pub sla: Option<Criticality>,
    /// Regions and sites a site is a vantage for, separated by `|`, or `none`; empty for what its kind says.
    pub vantage_for: String,
}

/// An inventory as written.
#[derive(Debug, Clone, Default)]
pub struct Draft {
    /// `regions.csv`
    pub regions: Vec<Written<Region>>,
    /// `sites.csv`
    pub sites: Vec<Written<Site>>,
    /// `links.csv`
    pub links: Vec<Written<Link>>,
    /// `nodes.csv`
    pub nodes: Vec<Written<Node>>,
    /// `declared.csv`
    pub declared: Vec<Written<Declared>>,
    /// `goals.csv`
    pub goals: Vec<Written<Goal>>,
    /// The YAML files.
    pub documents: Documents,
}

impl Draft {
    /// Adds a region; `parent` is empty for a province.
    pub fn region(&mut self, code: &str, kind: RegionKind, parent: &str) -> &mut Region {
        let item = Region {
            code: code.to_owned(),
            kind,
            parent: None,
            name_fa: code.to_owned(),
            name_en: String::new(),
            households: None,
            population: None,
            households_as_of: None,
            lat: None,
            lon: None,
            inhabited: true,
            fixed_line: None,
            cohort: None,
            previous_code: None,
        };
        push(&mut self.regions, item, parent, "")
    }

    /// Adds a site.
    pub fn site(&mut self, code: &str, kind: SiteKind, region: &str) -> &mut Site {
        let item = Site {
            code: code.to_owned(),
            kind,
            region: RegionId(0),
            name_fa: code.to_owned(),
            name_en: String::new(),
            lat: None,
            lon: None,
            criticality: Criticality::C,
            calendar: String::new(),
            contact: String::new(),
            tags: Vec::new(),
            vantage_for: Vec::new(),
            links: 0..0,
        };
        push(&mut self.sites, item, region, "")
    }

    /// Adds a link; `parents` are codes of nodes, sites, or `site/link`, separated by `|`.
    pub fn link(&mut self, site: &str, name: &str, network: Network, parents: &str) -> &mut Link {
        let item = Link {
            site: SiteId(0),
            name: name.to_owned(),
            network,
            role: Role::Primary,
            access: None,
            operator: String::new(),
            metered: false,
            plan_bytes: None,
            cycle_day: None,
            interface: String::new(),
            sla_class: Criticality::C,
            parents: Vec::new(),
            contract_mbps: None,
        };
        push(&mut self.links, item, site, parents)
    }

    /// Adds a shared node; `parent` is empty for a root.
    pub fn node(&mut self, code: &str, kind: NodeKind, parent: &str) -> &mut Node {
        let item = Node { code: code.to_owned(), kind, name_fa: code.to_owned(), parent: None };
        push(&mut self.nodes, item, parent, "")
    }
}

fn push<'a, T>(list: &'a mut Vec<Written<T>>, item: T, owner: &str, parents: &str) -> &'a mut T {
    let refers = Refers { owner: owner.to_owned(), parents: parents.to_owned(), ..Refers::default() };
    let at = list.len();
    list.push(Written { row: 0, refers, item });
    &mut list[at].item
}

/// Counts ids up from 0 beside a list.
pub(super) fn numbered<T, I>(items: &[T], id: fn(u32) -> I) -> impl Iterator<Item = (I, &T)> {
    (0u32..).map(id).zip(items)
}

/// Splits a cell with several values.
pub(super) fn parts(cell: &str) -> impl Iterator<Item = &str> {
    cell.split(['|', ';']).map(str::trim).filter(|part| !part.is_empty())
}

/// Names a link the way other rows refer to it.
pub(super) fn link_ref(inventory: &super::Inventory, link: LinkId) -> String {
    let link = inventory.link(link);
    format!("{}/{}", inventory.site(link.site).code, link.name)
}
