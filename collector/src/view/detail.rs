//! One site with its links, targets, agent and village.

use std::collections::BTreeMap;

use rusta_wire::{Metric, Network, Outcome, ProbeKind, Rung};
use serde::Serialize;
use utoipa::ToSchema;

use super::{AgentRow, CauseView, Ladder, Place, Sight, SiteRow, Time, Word, agents, ladder, path_to, site_row};
use crate::engine::{LinkState, LinkView, Snapshot, TargetView, VillageState};
use crate::inventory::{Access, LinkId, Role, SiteId};
use crate::view::AgentFilter;

/// Everything known of a site at the snapshot's time.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SiteDetail {
    /// What a list shows of it.
    #[serde(flatten)]
    pub site: SiteRow,
    /// Regions from the province down.
    pub path: Vec<Place>,
    /// Degrees north.
    pub lat: Option<f64>,
    /// Degrees east.
    pub lon: Option<f64>,
    /// Free tags.
    pub tags: Vec<String>,
    /// Service calendar; empty means 24 × 7.
    pub calendar: String,
    /// Its links.
    pub links: Vec<LinkDetail>,
    /// The agent that speaks for it.
    pub agent: Option<AgentRow>,
    /// The village it stands in.
    pub village: Option<VillageNow>,
    /// Whom to call there; only for signed-in people, never in the API.
    #[serde(skip)]
    pub contact: String,
}

/// A link as known at the snapshot's time.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct LinkDetail {
    /// Its name, unique at the site.
    pub name: String,
    /// The network it belongs to.
    #[schema(value_type = String, example = "apn")]
    pub network: Word<Network>,
    /// Primary or backup.
    #[schema(value_type = String, example = "primary")]
    pub role: Role,
    /// Technology.
    #[schema(value_type = Option<String>, example = "lte")]
    pub access: Option<Access>,
    /// Operator id; empty if none.
    pub operator: String,
    /// Whether bytes cost money.
    pub metered: bool,
    /// Plan size per billing cycle.
    pub plan_bytes: Option<u64>,
    /// The SIM its modem holds, as its router tells it from others: six hexadecimal digits.
    pub sim: Option<String>,
    /// How often the router found another SIM there.
    pub sim_swaps: i64,
    /// Its state.
    #[schema(value_type = String, example = "up")]
    pub state: LinkState,
    /// Since when; `null` if nothing was ever known.
    pub since: Option<Time>,
    /// Why it is not up.
    pub cause: Option<CauseView>,
    /// The newest evidence.
    pub evidence_at: Option<Time>,
    /// Its fault ladder, lowest rung first.
    #[schema(value_type = Vec<super::Step>)]
    pub ladder: Ladder,
    /// Last round of each target, lowest rung first.
    pub targets: Vec<TargetRow>,
    /// Its place in the inventory.
    #[serde(skip)]
    pub id: LinkId,
}

/// The last round of a target.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct TargetRow {
    /// The target's name.
    pub name: String,
    /// The rung it proves.
    #[schema(value_type = String, example = "gateway")]
    pub rung: Word<Rung>,
    /// How it is probed.
    #[schema(value_type = String, example = "icmp")]
    pub probe: Word<ProbeKind>,
    /// What came of it.
    #[schema(value_type = String, example = "ok")]
    pub outcome: Word<Outcome>,
    /// When it was observed.
    pub observed_at: Time,
    /// What was measured, by metric name, in the catalogue's units.
    pub values: BTreeMap<&'static str, i64>,
}

/// A village's state.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct VillageNow {
    /// Which village.
    #[serde(flatten)]
    pub place: Place,
    /// Its state.
    #[schema(value_type = String, example = "connected")]
    pub state: VillageState,
    /// Since when; `null` if nothing was ever known.
    pub since: Option<Time>,
    /// Networks that reach it.
    #[schema(value_type = Vec<String>, example = json!(["apn"]))]
    pub networks_up: Vec<Word<Network>>,
}

/// Describes a site by code; `None` if there is none, or it is out of sight.
pub fn site_detail(snapshot: &Snapshot, sight: Sight, code: &str) -> Option<SiteDetail> {
    let inventory = &snapshot.inventory;
    let id = inventory.site_by_code(code).filter(|id| sight.sees_site(inventory, *id))?;
    let site = inventory.site(id);
    Some(SiteDetail {
        site: site_row(snapshot, id),
        path: path_to(inventory, site.region, sight),
        lat: site.lat,
        lon: site.lon,
        tags: site.tags.clone(),
        calendar: site.calendar.clone(),
        links: inventory.links_of(id).map(|link| link_detail(snapshot, link)).collect(),
        agent: newest_agent(snapshot, sight, id),
        village: village_now(snapshot, id),
        contact: site.contact.clone(),
    })
}

/// Returns what the newest round of a link's targets that measures it says of a metric.
fn last(view: &LinkView, metric: Metric) -> Option<i64> {
    view.targets.iter().flat_map(|target| &target.values).find(|(known, _)| *known == metric).map(|(_, value)| *value)
}

/// Returns the agent of a site that was heard last: after a router was replaced the old one may be there still.
fn newest_agent(snapshot: &Snapshot, sight: Sight, site: SiteId) -> Option<AgentRow> {
    let of_site = agents(snapshot, sight, &AgentFilter { site: Some(site), ..AgentFilter::default() });
    of_site.into_iter().max_by_key(|agent| agent.received_at.map(|at| at.0))
}

fn link_detail(snapshot: &Snapshot, id: LinkId) -> LinkDetail {
    let (link, view) = (snapshot.inventory.link(id), snapshot.link(id));
    LinkDetail {
        name: link.name.clone(),
        network: Word(link.network),
        role: link.role,
        access: link.access,
        operator: link.operator.clone(),
        metered: link.metered,
        plan_bytes: link.plan_bytes,
        sim: last(view, Metric::SimId).map(|card| format!("{card:06x}")),
        sim_swaps: last(view, Metric::SimSwaps).unwrap_or(0),
        state: view.state,
        since: (view.since.0 > 0).then_some(Time(view.since)),
        cause: view.cause.map(CauseView::from),
        evidence_at: view.evidence_at.map(Time),
        ladder: ladder(view),
        targets: view.targets.iter().map(target_row).collect(),
        id,
    }
}

fn target_row(target: &TargetView) -> TargetRow {
    TargetRow {
        name: target.name.clone(),
        rung: Word(target.rung),
        probe: Word(target.probe),
        outcome: Word(target.outcome),
        observed_at: Time(target.observed_at),
        values: target.values.iter().map(|(metric, value)| (metric.name(), *value)).collect(),
    }
}

impl LinkDetail {
    /// Tells whether it carries traffic, well or badly.
    pub fn is_working(&self) -> bool {
        matches!(self.state, LinkState::Up | LinkState::Degraded | LinkState::Flapping)
    }
}

impl TargetRow {
    /// Returns one measured value.
    pub fn value(&self, metric: Metric) -> Option<i64> {
        self.values.get(metric.name()).copied()
    }
}

fn village_now(snapshot: &Snapshot, site: SiteId) -> Option<VillageNow> {
    let region = snapshot.inventory.site(site).region;
    let at = snapshot.villages.binary_search_by_key(&region, |village| village.region).ok()?;
    let village = &snapshot.villages[at];
    Some(VillageNow {
        place: super::place(&snapshot.inventory, region),
        state: village.state,
        since: (village.since.0 > 0).then_some(Time(village.since)),
        networks_up: village.networks_up.iter().copied().map(Word).collect(),
    })
}
