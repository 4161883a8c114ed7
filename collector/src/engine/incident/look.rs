//! One look at a snapshot: what each shared thing says of itself, and what its neighbours say of it.

use std::borrow::Cow;
use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use rusta_wire::UnixMs;

use super::topology::{Scope, Topology};
use super::watch::{Watch, is_observable, proved_at};
use crate::engine::{LinkState, Snapshot};
use crate::inventory::{LinkId, NodeId, Parent, SiteId};

use super::record::Trouble;

/// What a measured thing says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    /// In trouble, every way of it.
    Fails,
    /// Under announced maintenance.
    Maintenance,
    /// Neither: nobody measures it, or its last proof is too old to tell.
    Undecided,
    /// Proved to work.
    Works,
}

/// What was read out of one snapshot so far: a storm asks the same thousands of times.
///
/// It depends on the troubles of the links, which stay the same throughout a look, not on their incidents.
#[derive(Debug, Default)]
pub(super) struct Proofs {
    /// By link: when it was last proved to work, if it is not in trouble.
    by_link: OnceCell<Vec<Option<UnixMs>>>,
    /// By scope: those proofs of the links that need it, oldest first.
    by_scope: RefCell<HashMap<Scope, Rc<[UnixMs]>>>,
    cells: OnceCell<HashMap<i64, Vec<LinkId>>>,
}

/// Everything a judgement looks at.
pub(super) struct Look<'a> {
    pub(super) topology: &'a Topology,
    pub(super) snapshot: &'a Snapshot,
    pub(super) watches: &'a [Watch],
    pub(super) proofs: &'a Proofs,
}

impl Look<'_> {
    /// Tells whether a link was proved to work after `since`.
    pub(super) fn works(&self, link: LinkId, since: UnixMs) -> bool {
        self.proof(link).is_some_and(|at| at >= since)
    }

    fn proof(&self, link: LinkId) -> Option<UnixMs> {
        let proof_of = |(index, watch): (usize, &Watch)| {
            let link = LinkId(index as u32);
            let counts = watch.trouble.is_none() && is_observable(self.snapshot.link(link));
            counts.then(|| proved_at(self.snapshot, link)).flatten()
        };
        self.proofs.by_link.get_or_init(|| self.watches.iter().enumerate().map(proof_of).collect())[link.index()]
    }

    /// Lists the links that need `scope`; cells are known only from what modems said.
    pub(super) fn links_needing(&self, scope: Scope) -> Cow<'_, [LinkId]> {
        match scope {
            Scope::Cell(cell) => self.cells().get(&cell).map_or(Cow::Borrowed(&[]), |links| Cow::Borrowed(links.as_slice())),
            Scope::Link(link) if self.topology.links_needing(scope).is_empty() => Cow::Owned(vec![link]),
            scope => Cow::Borrowed(self.topology.links_needing(scope)),
        }
    }

    fn cells(&self) -> &HashMap<i64, Vec<LinkId>> {
        self.proofs.cells.get_or_init(|| {
            let mut cells: HashMap<i64, Vec<LinkId>> = HashMap::new();
            for (index, watch) in self.watches.iter().enumerate() {
                if let Some(cell) = watch.cell {
                    cells.entry(cell).or_default().push(LinkId(index as u32));
                }
            }
            cells
        })
    }

    /// Lists the scopes a link needs, its cell among them.
    pub(super) fn scopes_of(&self, link: LinkId) -> impl Iterator<Item = Scope> + '_ {
        self.topology.scopes_of(link).chain(self.watches[link.index()].cell.map(Scope::Cell))
    }

    /// Tells whether a link cannot work without `scope`.
    pub(super) fn needs(&self, link: LinkId, scope: Scope) -> bool {
        match scope {
            Scope::Cell(cell) => self.watches[link.index()].cell == Some(cell),
            scope => self.topology.needs(link, scope),
        }
    }

    /// Returns what a scope's own monitor says of the time after `since`.
    pub(super) fn level(&self, scope: Scope, since: UnixMs) -> Level {
        match (scope, self.topology.monitor(scope)) {
            (Scope::Link(link), _) => self.link_level(link, since),
            (_, Some(site)) => self.site_level(site, since),
            _ => Level::Undecided,
        }
    }

    /// One way that works is enough, one that is undecided leaves everything open.
    fn site_level(&self, site: SiteId, since: UnixMs) -> Level {
        let levels = self.snapshot.inventory.links_of(site).filter(|link| self.snapshot.link(*link).state != LinkState::NotInService);
        levels.map(|link| self.link_level(link, since)).max().unwrap_or(Level::Undecided)
    }

    fn link_level(&self, link: LinkId, since: UnixMs) -> Level {
        match (self.snapshot.link(link).state, self.watches[link.index()].trouble) {
            (LinkState::Maintenance, _) => Level::Maintenance,
            (_, Some(Trouble::Down | Trouble::Silent)) => Level::Fails,
            _ if self.works(link, since) => Level::Works,
            _ => Level::Undecided,
        }
    }

    /// Tells whether somebody measured the scope to be down, which silence alone is not.
    pub(super) fn is_measured_down(&self, scope: Scope, since: UnixMs) -> bool {
        let is_down = |link: LinkId| self.snapshot.link(link).state == LinkState::Down;
        match (scope, self.topology.monitor(scope)) {
            (Scope::Link(link), _) => is_down(link),
            (_, Some(site)) => self.site_level(site, since) == Level::Fails && self.snapshot.inventory.links_of(site).any(is_down),
            _ => false,
        }
    }

    /// Returns what a link's ways upstream say of the time after its trouble began: one that works is enough.
    pub(super) fn upstream(&self, link: LinkId) -> Level {
        let since = self.watches[link.index()].since;
        let parents = &self.snapshot.inventory.link(link).parents;
        parents.iter().map(|parent| self.parent_level(*parent, since)).max().unwrap_or(Level::Works)
    }

    fn parent_level(&self, parent: Parent, since: UnixMs) -> Level {
        let scope = scope_of(parent);
        match (self.level(scope, since), parent) {
            (Level::Undecided, _) if self.newest_proof(scope).is_some_and(|at| at >= since) => Level::Works,
            (Level::Undecided, Parent::Node(node)) => self.above(node, since),
            (level, _) => level,
        }
    }

    /// Looks past a node that says nothing of itself.
    fn above(&self, node: NodeId, since: UnixMs) -> Level {
        let up = |id: &NodeId| self.snapshot.inventory.nodes[id.index()].parent;
        let mut said = std::iter::successors(up(&node), up).map(|id| self.level(Scope::Node(id), since));
        said.find(|level| matches!(level, Level::Fails | Level::Maintenance)).unwrap_or(Level::Undecided)
    }

    fn newest_proof(&self, scope: Scope) -> Option<UnixMs> {
        self.proofs_of(scope).last().copied()
    }

    /// Counts the links that need `scope` and were proved to work after `since`.
    pub(super) fn working(&self, scope: Scope, since: UnixMs) -> usize {
        let proofs = self.proofs_of(scope);
        proofs.len() - proofs.partition_point(|at| *at < since)
    }

    fn proofs_of(&self, scope: Scope) -> Rc<[UnixMs]> {
        if let Some(known) = self.proofs.by_scope.borrow().get(&scope) {
            return known.clone();
        }
        let mut proofs = self.links_needing(scope).iter().filter_map(|link| self.proof(*link)).collect::<Vec<_>>();
        proofs.sort_unstable();
        let proofs: Rc<[UnixMs]> = proofs.into();
        self.proofs.by_scope.borrow_mut().insert(scope, proofs.clone());
        proofs
    }
}

/// Returns a parent as a scope.
pub(super) fn scope_of(parent: Parent) -> Scope {
    match parent {
        Parent::Node(node) => Scope::Node(node),
        Parent::Site(site) => Scope::Site(site),
        Parent::Link(link) => Scope::Link(link),
    }
}
