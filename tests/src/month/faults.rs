//! What breaks over a month: each cause with its rate and length, shared things once for everybody below them.
//!
//! Rates and medians are those of the registry's specification; lengths are log-normal with σ = 1.

use std::collections::HashMap;

use rusta_collector::inventory::{Inventory, LinkId, NodeId, NodeKind, Parent, Role, SiteId};
use rusta_collector::persian::JalaliDate;
use rusta_wire::{Rung, UnixMs};

use crate::random::Random;

/// A stretch of time, half-open.
pub type Stretch = (UnixMs, UnixMs);

/// What a fault does to the rounds of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Targets from this rung on do not answer.
    Fails(Rung),
    /// The interface is gone: nothing answers and the agent says so.
    Gone,
    /// Packets are lost, rounds rarely.
    Loses,
    /// Everything answers, slowly.
    Slow,
}

/// One fault of one link.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    /// When it holds.
    pub during: Stretch,
    /// What it does.
    pub effect: Effect,
}

/// How often something fails in a year, and how long half of the failures last at most.
#[derive(Clone, Copy)]
struct Rate {
    per_year: f64,
    median_min: f64,
}

const POWER: Rate = Rate { per_year: 14.0, median_min: 45.0 };
const MAST: Rate = Rate { per_year: 6.0, median_min: 90.0 };
const POP: Rate = Rate { per_year: 1.5, median_min: 70.0 };
const SIM: Rate = Rate { per_year: 0.8, median_min: 900.0 };
const ROUTER: Rate = Rate { per_year: 1.2, median_min: 1_400.0 };
const GATEWAY: Rate = Rate { per_year: 3.0, median_min: 25.0 };
const CORE: Rate = Rate { per_year: 0.5, median_min: 30.0 };
/// The specification has no rate for a busy line and for the national network; these make some of each in a month.
const BUSY: Rate = Rate { per_year: 6.0, median_min: 120.0 };
const NATIONAL: Rate = Rate { per_year: 6.0, median_min: 40.0 };

const YEAR_MS: f64 = 365.25 * 86_400_000.0;

/// Half of the routers whose power fails have time to say so.
const GASPS: usize = 2;

/// Villages below this many households lie high, where winter doubles every rate.
const HIGH_BELOW: u32 = 10;

/// Of a hundred registered masts three are not the one that serves the village.
const WRONG_PARENT: usize = 100;

/// What breaks in a province over a window.
pub struct Faults<'a> {
    inventory: &'a Inventory,
    window: Stretch,
    seed: u64,
    /// Multiplies every rate: a dull month shows little.
    intensity: f64,
    nodes: HashMap<NodeId, Vec<Stretch>>,
    national: Vec<Stretch>,
    masts: Vec<NodeId>,
}

/// A life of a router that ended, and whether it could still say so.
#[derive(Debug, Clone, Copy)]
pub struct Off {
    /// When it was off.
    pub during: Stretch,
    /// Whether its last report says that power is going.
    pub gasp: bool,
}

impl<'a> Faults<'a> {
    /// Decides about everything shared.
    pub fn new(inventory: &'a Inventory, window: Stretch, seed: u64, intensity: f64) -> Self {
        let mut faults = Faults { inventory, window, seed, intensity, nodes: HashMap::new(), national: Vec::new(), masts: Vec::new() };
        for (id, node) in (0..).map(NodeId).zip(&inventory.nodes) {
            let rate = match node.kind {
                NodeKind::Bts => MAST,
                NodeKind::Pop => POP,
                NodeKind::ApnGateway => GATEWAY,
                NodeKind::Core => CORE,
                NodeKind::PowerFeeder => POWER,
            };
            let strikes = faults.strikes(rate, &node.code, 1.0);
            faults.nodes.insert(id, strikes);
            faults.masts.extend((node.kind == NodeKind::Bts).then_some(id));
        }
        faults.national = faults.strikes(NATIONAL, "national network", 1.0);
        faults
    }

    /// Lists when a site's router is off, in order and apart from each other.
    pub fn off(&self, site: SiteId) -> Vec<Off> {
        let of = self.inventory.site(site);
        let factor = self.season(site);
        let summer = if (4..=6).contains(&JalaliDate::at(self.window.0).month()) { 2.0 } else { 1.0 };
        let mut random = Random::of(self.seed, &format!("gasp {}", of.code));
        let power = self.strikes(POWER, &format!("power {}", of.code), factor * summer).into_iter();
        let router = self.strikes(ROUTER, &format!("router {}", of.code), factor).into_iter();
        let mut all: Vec<Off> = power.map(|during| Off { during, gasp: random.below(GASPS) == 0 }).collect();
        all.extend(router.map(|during| Off { during, gasp: false }));
        all.sort_by_key(|off| off.during);
        let mut apart: Vec<Off> = Vec::new();
        for off in all {
            match apart.last_mut().filter(|last| off.during.0 <= last.during.1) {
                Some(last) => last.during.1 = last.during.1.max(off.during.1),
                None => apart.push(off),
            }
        }
        apart
    }

    /// Lists what breaks of a link while its router is on, the strongest effect first.
    pub fn of(&self, link: LinkId) -> Vec<Fault> {
        let it = self.inventory.link(link);
        let factor = self.season(it.site);
        let name = format!("{}/{}", self.inventory.site(it.site).code, it.name);
        let mut all = Vec::new();
        let mut add = |strikes: Vec<Stretch>, effect: Effect| all.extend(strikes.into_iter().map(|during| Fault { during, effect }));
        if it.metered {
            add(self.strikes(SIM, &format!("sim {name}"), factor), Effect::Fails(Rung::Gateway));
        }
        if it.role == Role::Backup {
            add(self.strikes(ROUTER, &format!("cable {name}"), factor), Effect::Gone);
        }
        let mut next = self.true_parent(&name, it.parents.first().copied());
        // Ten steps: a registry's chains are short and free of circles.
        for _ in 0..10 {
            let Some(parent) = next else { break };
            next = match parent {
                Parent::Node(id) => {
                    let node = self.inventory.node(id);
                    let rung = match node.kind {
                        NodeKind::Bts | NodeKind::ApnGateway | NodeKind::PowerFeeder => Rung::Gateway,
                        NodeKind::Pop => Rung::Pop,
                        NodeKind::Core => Rung::Core,
                    };
                    add(self.nodes.get(&id).cloned().unwrap_or_default(), Effect::Fails(rung));
                    node.parent.map(Parent::Node)
                }
                Parent::Site(site) => {
                    add(self.off(site).into_iter().map(|off| off.during).collect(), Effect::Fails(Rung::Gateway));
                    self.inventory.links_of(site).next().map(Parent::Link)
                }
                Parent::Link(link) => self.inventory.link(link).parents.first().copied(),
            };
        }
        add(self.national.clone(), Effect::Fails(Rung::Nin));
        add(self.strikes(BUSY, &format!("loss {name}"), factor), Effect::Loses);
        add(self.strikes(BUSY, &format!("slow {name}"), factor), Effect::Slow);
        all
    }

    /// The registry names a wrong mast for some links; the faults come from the right one.
    fn true_parent(&self, name: &str, registered: Option<Parent>) -> Option<Parent> {
        let mut random = Random::of(self.seed, &format!("parent {name}"));
        let is_mast = matches!(registered, Some(Parent::Node(id)) if self.inventory.node(id).kind == NodeKind::Bts);
        let wrong = is_mast && random.below(WRONG_PARENT) < 3;
        if wrong { Some(Parent::Node(self.masts[random.below(self.masts.len())])) } else { registered }
    }

    fn season(&self, site: SiteId) -> f64 {
        let winter = JalaliDate::at(self.window.0).month() >= 10;
        let households = self.inventory.village_of(site).and_then(|village| self.inventory.region(village).households);
        let high = households.is_some_and(|count| count < HIGH_BELOW);
        self.intensity * if winter && high { 2.0 } else { 1.0 }
    }

    /// Lets something fail: gaps are exponential, lengths log-normal.
    fn strikes(&self, rate: Rate, what: &str, factor: f64) -> Vec<Stretch> {
        let mut random = Random::of(self.seed, what);
        let mut all = Vec::new();
        let mut at = self.window.0.0 as f64;
        loop {
            at += -random.unit().ln() * YEAR_MS / (rate.per_year * factor);
            if at >= self.window.1.0 as f64 {
                return all;
            }
            let length = rate.median_min * 60_000.0 * random.normal().exp();
            all.push((UnixMs(at as i64), UnixMs((at + length) as i64)));
            at += length;
        }
    }
}
