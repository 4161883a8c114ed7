//! Finds the shared cause of links that failed together, also when nobody monitors the shared thing itself.
//!
//! Every scope that two or more sites in fresh trouble need is a candidate. Links proved to work since the trouble began
//! speak against it, links in older trouble and links nobody heard of since do not speak at all. A candidate stands when
//! enough of those who speak are for it, and when that still holds for what none of its own parts explains: a core is not
//! to blame for one dead PoP plus a few strangers. The largest explanation wins, of equals the smallest thing.
//!
//! ```text
//! core   310 of 400 fail, without PoP A: 10 of 100   -> not the core
//! PoP A  300 of 300 fail                             -> one incident, 300 links
//! rest    10 strangers                               -> ten incidents
//! ```

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

use rusta_wire::UnixMs;

use super::look::{Level, Look};
use super::record::Trouble;
use super::topology::Scope;
use crate::inventory::{LinkId, NodeKind, SiteId};

/// A shared cause and what it explains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) scope: Scope,
    /// Sorted.
    pub(super) links: Vec<LinkId>,
    /// Whether the thing itself was measured to fail.
    pub(super) measured: bool,
}

/// How much it takes to blame a scope nobody measures.
struct Bar {
    ratio: f64,
    sites: usize,
}

/// A PoP may answer on its own line while everything behind it is dead: three sites and seven tenths say so.
const BAR_AGAINST_PROOF: Bar = Bar { ratio: 0.7, sites: 3 };

impl Look<'_> {
    /// Returns the share of failing links at which a scope of this kind is to blame.
    pub(super) fn ratio_to_blame(&self, scope: Scope) -> f64 {
        self.bar(scope).ratio
    }

    /// The ratios are the fault ladder's of `domain.md` (60 % of a cell, 70 % of a county); rarer things need more sites.
    fn bar(&self, scope: Scope) -> Bar {
        let (ratio, sites) = match scope {
            Scope::Link(_) | Scope::Site(_) => (0.7, 2),
            Scope::Node(node) => match self.snapshot.inventory.nodes[node.index()].kind {
                NodeKind::Bts | NodeKind::PowerFeeder => (0.6, 2),
                NodeKind::Pop => (0.7, 2),
                NodeKind::ApnGateway | NodeKind::Core => (0.7, 3),
            },
            Scope::Cell(_) => (0.6, 2),
            Scope::Operator(_) | Scope::County(_) | Scope::Collector => (0.7, 5),
        };
        Bar { ratio, sites }
    }

    fn sites<'b>(&self, links: impl IntoIterator<Item = &'b LinkId>) -> HashSet<SiteId> {
        links.into_iter().map(|link| self.snapshot.inventory.link(*link).site).collect()
    }

    /// Finds the shared causes of links in fresh trouble; `together` is how far apart their troubles may begin.
    pub(super) fn shared_causes(&self, fresh: &[LinkId], together: Duration) -> Vec<Found> {
        let mut candidates = self.candidates(fresh, together);
        candidates.sort_by_key(|candidate| (candidate.size(), candidate.scope));
        let mut blamed: Vec<Candidate> = Vec::new();
        let mut parts: HashMap<LinkId, Vec<usize>> = HashMap::new();
        for candidate in candidates {
            if !self.is_to_blame(&candidate, &blamed, &parts) {
                continue;
            }
            for link in candidate.failing.iter().chain(&candidate.working) {
                parts.entry(*link).or_default().push(blamed.len());
            }
            blamed.push(candidate);
        }
        self.share_out(blamed)
    }

    fn candidates(&self, fresh: &[LinkId], together: Duration) -> Vec<Candidate> {
        let mut by_scope: BTreeMap<Scope, Vec<(UnixMs, LinkId)>> = BTreeMap::new();
        for link in fresh {
            for scope in self.scopes_of(*link) {
                by_scope.entry(scope).or_default().push((self.watches[link.index()].since, *link));
            }
        }
        let shared = by_scope.into_iter().filter(|(_, links)| links.len() >= 2);
        shared.map(|(scope, links)| self.candidate(scope, links, together)).collect()
    }

    fn candidate(&self, scope: Scope, mut links: Vec<(UnixMs, LinkId)>, together: Duration) -> Candidate {
        links.sort_unstable();
        let cluster = largest_cluster(&links, together);
        let since = cluster.first().map_or(UnixMs(0), |(at, _)| *at);
        let mut failing = cluster.iter().map(|(_, link)| *link).collect::<Vec<_>>();
        failing.sort_unstable();
        let working = self.links_needing(scope).iter().copied().filter(|link| self.works(*link, since)).collect();
        let level = self.level(scope, since);
        Candidate { scope, failing, working, level }
    }

    fn is_to_blame(&self, candidate: &Candidate, blamed: &[Candidate], parts: &HashMap<LinkId, Vec<usize>>) -> bool {
        let sites = self.sites(&candidate.failing);
        if candidate.level == Level::Fails {
            return candidate.failing.len() >= 2;
        }
        let bar = if candidate.level == Level::Works { BAR_AGAINST_PROOF } else { self.bar(candidate.scope) };
        if sites.len() < bar.sites || candidate.ratio() < bar.ratio {
            return false;
        }
        let rest = Rest::of(candidate, blamed, parts);
        let units = rest.parts + self.sites(&rest.failing).len();
        units >= 2 && (rest.failing.len() + rest.working == 0 || share(rest.failing.len(), rest.working) >= bar.ratio)
    }

    /// Gives every link to the largest explanation that is left.
    fn share_out(&self, mut blamed: Vec<Candidate>) -> Vec<Found> {
        blamed.sort_by_key(|candidate| (std::cmp::Reverse(candidate.failing.len()), candidate.size(), candidate.scope));
        let mut taken = HashSet::new();
        let mut found = Vec::new();
        for candidate in blamed {
            let links = candidate.failing.into_iter().filter(|link| !taken.contains(link)).collect::<Vec<_>>();
            if links.len() < 2 {
                continue;
            }
            taken.extend(links.iter().copied());
            found.push(Found { scope: candidate.scope, links, measured: candidate.level == Level::Fails });
        }
        found.sort_by_key(|found| found.scope);
        found
    }

    /// Tells whether a trouble may be shared: flapping is each link's own.
    pub(super) fn may_be_shared(&self, link: LinkId) -> bool {
        matches!(self.watches[link.index()].trouble, Some(Trouble::Down | Trouble::Silent))
    }
}

struct Candidate {
    scope: Scope,
    /// Sorted.
    failing: Vec<LinkId>,
    working: Vec<LinkId>,
    level: Level,
}

impl Candidate {
    fn size(&self) -> usize {
        self.failing.len() + self.working.len()
    }

    fn ratio(&self) -> f64 {
        share(self.failing.len(), self.working.len())
    }
}

/// What is left of a candidate when the parts of it that are to blame themselves are taken away.
struct Rest {
    /// Largest parts taken away.
    parts: usize,
    failing: Vec<LinkId>,
    working: usize,
}

impl Rest {
    fn of(candidate: &Candidate, blamed: &[Candidate], parts: &HashMap<LinkId, Vec<usize>>) -> Rest {
        let everything = || candidate.failing.iter().chain(&candidate.working);
        let mut seen: HashMap<usize, usize> = HashMap::new();
        for part in everything().filter_map(|link| parts.get(link)).flatten() {
            *seen.entry(*part).or_default() += 1;
        }
        // A part lies inside when all of it does; the largest inside one stands for those inside it.
        let largest_inside = |link: &LinkId| {
            let inside = parts.get(link)?.iter().filter(|part| seen.get(part) == Some(&blamed[**part].size()));
            inside.max().copied()
        };
        let taken: BTreeSet<usize> = everything().filter_map(largest_inside).collect();
        Rest {
            parts: taken.len(),
            failing: candidate.failing.iter().filter(|link| largest_inside(link).is_none()).copied().collect(),
            working: candidate.working.iter().filter(|link| largest_inside(link).is_none()).count(),
        }
    }
}

/// Returns the most links whose troubles began within `together` of each other; of equals the earliest.
fn largest_cluster(sorted: &[(UnixMs, LinkId)], together: Duration) -> &[(UnixMs, LinkId)] {
    let mut best = 0..0;
    let mut start = 0;
    for end in 0..sorted.len() {
        while sorted[end].0.since(sorted[start].0) > together {
            start += 1;
        }
        if end + 1 - start > best.len() {
            best = start..end + 1;
        }
    }
    &sorted[best]
}

fn share(part: usize, rest: usize) -> f64 {
    if part + rest == 0 { 0.0 } else { part as f64 / (part + rest) as f64 }
}
