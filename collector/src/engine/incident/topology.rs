//! What can fail as one: every shared thing of an inventory version, and which links cannot work without it.
//!
//! A link *needs* a scope when every way upstream passes through it: its own site, a parent it has no alternative to, and
//! whatever all its alternatives share. Two parents therefore drop out and their common core stays, which is exactly
//! "down only if all are". Operator and county are scopes too: nobody draws them in a topology, yet they fail as one.
//!
//! ```text
//! village link -- mast -- PoP A --.
//!        `-- (second parent) PoP B -- core      needs: own site, core, operator, county; not PoP A, not PoP B
//! ```

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use rusta_wire::{Network, Rung};

use crate::inventory::{Inventory, LinkId, NodeId, NodeKind, Parent, RegionId, RegionKind, SiteId, SiteKind};

/// Something that can fail and take links with it. The order is the preference between equal explanations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// One link.
    Link(LinkId),
    /// A whole site: power, router, or a PoP others depend on.
    Site(SiteId),
    /// A shared node of the inventory.
    Node(NodeId),
    /// A radio cell the modems last saw; nobody has to register it.
    Cell(i64),
    /// An operator on one network; the number is a place in [`Topology::operators`].
    Operator(u16),
    /// A county.
    County(RegionId),
    /// Our own collector or its way to the networks.
    Collector,
}

/// A scope's place in one [`Topology`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct ScopeIndex(u32);

impl ScopeIndex {
    const fn index(self) -> usize {
        self.0 as usize
    }
}

/// The failure scopes of one inventory version.
#[derive(Debug, Default)]
pub struct Topology {
    scopes: Vec<Scope>,
    index: HashMap<Scope, ScopeIndex>,
    /// By link: the scopes it needs, sorted.
    needs: Vec<Box<[ScopeIndex]>>,
    /// By scope: the links that need it, sorted.
    links: Vec<Vec<LinkId>>,
    /// By link: how many links stand between it and the top, so parents are judged first.
    depth: Vec<u16>,
    /// By node: the site that stands in it and measures it.
    monitor: Vec<Option<SiteId>>,
    /// Network and operator id of each operator scope.
    pub operators: Vec<(Network, String)>,
}

impl Topology {
    /// Reads an inventory.
    pub fn new(inventory: &Inventory) -> Self {
        let mut topology = Topology { monitor: monitors(inventory), ..Topology::default() };
        let mut climb = Climb::new(inventory);
        for link in (0..inventory.links.len() as u32).map(LinkId) {
            let mut scopes = climb.above(link);
            topology.depth.push(climb.depth(link));
            scopes.push(Scope::Site(inventory.link(link).site));
            scopes.extend(topology.operator_of(inventory, link));
            scopes.extend(county_of(inventory, link));
            scopes.sort_unstable();
            scopes.dedup();
            let needs = scopes.into_iter().map(|scope| topology.scope_index(scope)).collect::<Vec<_>>();
            for scope in &needs {
                topology.links[scope.index()].push(link);
            }
            topology.needs.push(needs.into_boxed_slice());
        }
        topology
    }

    /// Lists the links that cannot work without `scope`.
    pub fn links_needing(&self, scope: Scope) -> &[LinkId] {
        self.index.get(&scope).map_or(&[], |index| &self.links[index.index()])
    }

    /// Tells whether `link` cannot work without `scope`.
    pub fn needs(&self, link: LinkId, scope: Scope) -> bool {
        scope == Scope::Link(link) || self.index.get(&scope).is_some_and(|index| self.needs[link.index()].contains(index))
    }

    /// Lists the scopes `link` cannot work without.
    pub fn scopes_of(&self, link: LinkId) -> impl Iterator<Item = Scope> + '_ {
        self.needs[link.index()].iter().map(|index| self.scopes[index.index()])
    }

    pub(super) fn depth(&self, link: LinkId) -> u16 {
        self.depth[link.index()]
    }

    /// Returns the site whose links measure a scope directly, if any does.
    pub fn monitor(&self, scope: Scope) -> Option<SiteId> {
        match scope {
            Scope::Site(site) => Some(site),
            Scope::Node(node) => self.monitor[node.index()],
            _ => None,
        }
    }

    fn scope_index(&mut self, scope: Scope) -> ScopeIndex {
        match self.index.entry(scope) {
            Entry::Occupied(entry) => *entry.get(),
            Entry::Vacant(entry) => {
                let index = ScopeIndex(self.scopes.len() as u32);
                self.scopes.push(scope);
                self.links.push(Vec::new());
                *entry.insert(index)
            }
        }
    }

    fn operator_of(&mut self, inventory: &Inventory, link: LinkId) -> Option<Scope> {
        let link = inventory.link(link);
        if link.operator.is_empty() {
            return None;
        }
        let known = self.operators.iter().position(|(network, name)| *network == link.network && *name == link.operator);
        let place = known.unwrap_or_else(|| {
            self.operators.push((link.network, link.operator.clone()));
            self.operators.len() - 1
        });
        u16::try_from(place).ok().map(Scope::Operator)
    }
}

/// Returns the rung a scope's failure breaks.
pub fn rung_of(scope: Scope, inventory: &Inventory) -> Rung {
    match scope {
        Scope::Link(_) => Rung::Device,
        Scope::Site(site) => match inventory.site(site).kind {
            SiteKind::Pop => Rung::Pop,
            SiteKind::Bts => Rung::Radio,
            SiteKind::Core => Rung::Core,
            _ => Rung::Device,
        },
        Scope::Node(node) => match inventory.nodes[node.index()].kind {
            NodeKind::Bts => Rung::Radio,
            NodeKind::Pop => Rung::Pop,
            NodeKind::ApnGateway => Rung::Gateway,
            NodeKind::Core => Rung::Core,
            NodeKind::PowerFeeder => Rung::Power,
        },
        Scope::Cell(_) => Rung::Radio,
        Scope::Operator(_) => Rung::Gateway,
        Scope::County(_) => Rung::Pop,
        Scope::Collector => Rung::Collector,
    }
}

/// A site of a node's own kind that hangs on it stands in it: its links measure the node.
fn monitors(inventory: &Inventory) -> Vec<Option<SiteId>> {
    let mut monitors = vec![None; inventory.nodes.len()];
    for link in &inventory.links {
        let kind = inventory.site(link.site).kind;
        for node in link.parents.iter().filter_map(|parent| if let Parent::Node(node) = parent { Some(*node) } else { None }) {
            let stands_in_it = matches!(
                (inventory.nodes[node.index()].kind, kind),
                (NodeKind::Pop, SiteKind::Pop) | (NodeKind::Bts, SiteKind::Bts) | (NodeKind::Core, SiteKind::Core)
            );
            if stands_in_it {
                monitors[node.index()].get_or_insert(link.site);
            }
        }
    }
    monitors
}

fn county_of(inventory: &Inventory, link: LinkId) -> Option<Scope> {
    let region = inventory.site(inventory.link(link).site).region;
    inventory.ancestors(region).find(|id| inventory.region(*id).kind == RegionKind::County).map(Scope::County)
}

/// Climbs from links to the scopes above them, remembering every answer. A loop in the registry ends the climb.
struct Climb<'a> {
    inventory: &'a Inventory,
    above: Vec<Option<(Vec<Scope>, u16)>>,
    climbing: Vec<bool>,
}

impl<'a> Climb<'a> {
    fn new(inventory: &'a Inventory) -> Self {
        Climb { inventory, above: vec![None; inventory.links.len()], climbing: vec![false; inventory.links.len()] }
    }

    fn above(&mut self, link: LinkId) -> Vec<Scope> {
        self.resolve(link).0
    }

    fn depth(&mut self, link: LinkId) -> u16 {
        self.resolve(link).1
    }

    fn resolve(&mut self, link: LinkId) -> (Vec<Scope>, u16) {
        if let Some(known) = &self.above[link.index()] {
            return known.clone();
        }
        if std::mem::replace(&mut self.climbing[link.index()], true) {
            return (Vec::new(), 0);
        }
        let parents = self.inventory.link(link).parents.clone();
        let ways = parents.into_iter().map(|parent| self.through(parent)).collect::<Vec<_>>();
        let answer = shared_by_all(ways);
        self.climbing[link.index()] = false;
        self.above[link.index()] = Some(answer.clone());
        answer
    }

    fn through(&mut self, parent: Parent) -> (Vec<Scope>, u16) {
        match parent {
            Parent::Node(node) => self.through_node(node),
            Parent::Link(link) => {
                let (mut scopes, depth) = self.resolve(link);
                scopes.extend([Scope::Link(link), Scope::Site(self.inventory.link(link).site)]);
                (scopes, depth + 1)
            }
            Parent::Site(site) => self.through_site(site),
        }
    }

    fn through_site(&mut self, site: SiteId) -> (Vec<Scope>, u16) {
        let ways = self.inventory.links_of(site).map(|link| self.resolve(link)).collect::<Vec<_>>();
        let (mut scopes, depth) = shared_by_all(ways);
        scopes.push(Scope::Site(site));
        (scopes, depth + 1)
    }

    fn through_node(&mut self, node: NodeId) -> (Vec<Scope>, u16) {
        let chain = std::iter::successors(Some(node), |id| self.inventory.nodes[id.index()].parent).take(self.inventory.nodes.len());
        let mut scopes = Vec::new();
        let mut depth = 0;
        for id in chain.collect::<Vec<_>>() {
            scopes.push(Scope::Node(id));
            depth += 1;
        }
        (scopes, depth)
    }
}

/// Keeps what every way passes through, and the depth of the longest.
fn shared_by_all(ways: Vec<(Vec<Scope>, u16)>) -> (Vec<Scope>, u16) {
    let depth = ways.iter().map(|way| way.1).max().unwrap_or(0);
    let mut ways = ways.into_iter().map(|way| way.0);
    let first = ways.next().unwrap_or_default();
    (ways.fold(first, |shared, way| shared.into_iter().filter(|scope| way.contains(scope)).collect()), depth)
}
