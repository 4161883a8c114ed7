//! The programs in the villages: who reports, who is late, who is silent.

use rusta_wire::{AgentId, ClockSource, Metric, ProbeKind};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Sight, Time, Word};
use crate::engine::{AgentState, AgentView, Snapshot};
use crate::identity::Watching;
use crate::inventory::{LinkId, RegionId, SiteId};

/// An agent in a list.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct AgentRow {
    /// Sixteen hexadecimal digits.
    pub id: String,
    /// Code of the site it speaks for.
    pub site: String,
    /// Persian name of that site.
    pub site_name_fa: String,
    /// Latin name of that site.
    pub site_name_en: String,
    /// What is known of it.
    #[schema(value_type = String, example = "reporting")]
    pub state: AgentState,
    /// When its last batch arrived.
    pub received_at: Option<Time>,
    /// When its newest sample was observed.
    pub observed_at: Option<Time>,
    /// Where it has its time from.
    #[schema(value_type = Option<String>, example = "collector")]
    pub clock: Option<Word<ClockSource>>,
    /// Its clock minus ours.
    pub clock_skew_ms: Option<i64>,
    /// Frames waiting in its spool.
    pub spool_frames: Option<i64>,
    /// Samples it thinned or dropped, and batches it lost to a damaged disk, in this boot.
    pub lost: u64,
    /// Batches a collector refused for good, as it last said; they are lost.
    pub refused_batches: u64,
    /// Version of its program; `null` if it never said.
    pub version: Option<String>,
    /// Which targets it watches, as it says; `null` if it never did.
    pub assignment: Option<AssignmentRow>,
    /// When its certificate ends.
    pub certificate_until: Option<Time>,
    /// What it wanted more of today than an agent may have, such as `boots` or `bytes`, and how often.
    pub limited: Vec<Limited>,
    /// Use of the data plans of its links, as it last said.
    pub plans: Vec<PlanRow>,
}

/// The versions of its assignment that an agent has. A version is a sum of the text, in sixteen hexadecimal digits.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct AssignmentRow {
    /// In force; `null`: what its own file says.
    pub in_force: Option<String>,
    /// On trial: it goes back to the one in force unless all its links show that they work.
    pub on_trial: Option<String>,
    /// Refused.
    pub refused: Option<String>,
    /// Why it was refused, as the agent says; empty if it was not.
    pub reason: String,
}

impl From<Watching> for AssignmentRow {
    fn from(watching: Watching) -> Self {
        let [in_force, on_trial, refused] =
            [watching.in_force, watching.on_trial, watching.refused].map(|version| version.map(|version| format!("{version:016x}")));
        AssignmentRow { in_force, on_trial, refused, reason: watching.reason }
    }
}

/// A limit an agent hit today.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Limited {
    /// Which.
    pub limit: String,
    /// How often.
    pub hits: u64,
}

/// Use of one link's data plan in its billing cycle.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct PlanRow {
    /// The link.
    pub link: String,
    /// Bytes its interface moved.
    pub used_bytes: u64,
    /// Of those, the agent's own probes and reports; `null` if it did not say.
    pub own_bytes: Option<u64>,
    /// The plan's size.
    pub limit_bytes: u64,
    /// Used bytes over the plan's size; `null` for a plan of nothing.
    pub used_ratio: Option<f64>,
    /// How far the agent saves: 0 not, 1 no throughput tests, 2 slower probes, 3 less detail, 4 heartbeat only.
    pub stage: u8,
}

impl AgentRow {
    /// Returns the fullest of its plans.
    pub fn fullest_plan(&self) -> Option<&PlanRow> {
        self.plans.iter().max_by(|a, b| a.used_ratio.unwrap_or(0.0).total_cmp(&b.used_ratio.unwrap_or(0.0)))
    }
}

/// Which agents to list.
#[derive(Debug, Clone, Default)]
pub struct AgentFilter {
    /// Any of these states; empty means all.
    pub states: Vec<AgentState>,
    /// Of sites inside this region.
    pub region: Option<RegionId>,
    /// Of this site.
    pub site: Option<SiteId>,
}

/// Lists agents, those in trouble first, then by their id.
pub fn agents(snapshot: &Snapshot, sight: Sight, filter: &AgentFilter) -> Vec<AgentRow> {
    let inventory = &snapshot.inventory;
    let mut views: Vec<_> = snapshot
        .agents
        .iter()
        .filter(|view| sight.sees_site(inventory, view.site))
        .filter(|view| filter.site.is_none_or(|site| view.site == site))
        .filter(|view| filter.states.is_empty() || filter.states.contains(&view.state))
        .filter(|view| filter.region.is_none_or(|region| inventory.is_within(inventory.site(view.site).region, region)))
        .collect();
    views.sort_by_key(|view| (trouble(view.state), view.id));
    views.into_iter().map(|view| row(snapshot, view)).collect()
}

fn row(snapshot: &Snapshot, view: &AgentView) -> AgentRow {
    let site = snapshot.inventory.site(view.site);
    AgentRow {
        id: AgentId::to_string(&view.id),
        site: site.code.clone(),
        site_name_fa: site.name_fa.clone(),
        site_name_en: site.name_en.clone(),
        state: view.state,
        received_at: view.received_at.map(Time),
        observed_at: view.observed_at.map(Time),
        clock: view.clock.map(Word),
        clock_skew_ms: view.clock_skew_ms,
        spool_frames: view.spool_frames,
        lost: view.lost,
        refused_batches: own_values(snapshot, view.site, Metric::BatchesRefused).sum(),
        version: None,
        assignment: None,
        certificate_until: None,
        limited: Vec::new(),
        plans: snapshot.inventory.links_of(view.site).filter_map(|link| plan(snapshot, link)).collect(),
    }
}

/// Reads what the agent last said of a link's plan; `None` if it never did.
fn plan(snapshot: &Snapshot, id: LinkId) -> Option<PlanRow> {
    let own = snapshot.link(id).targets.iter().filter(|target| target.probe == ProbeKind::Agent);
    let values: Vec<_> = own.flat_map(|target| &target.values).collect();
    let value = |metric| values.iter().find(|(known, _)| *known == metric).and_then(|(_, value)| u64::try_from(*value).ok());
    let (used, limit) = (value(Metric::PlanUsedKib)? << 10, value(Metric::PlanLimitKib)? << 10);
    Some(PlanRow {
        link: snapshot.inventory.link(id).name.clone(),
        used_bytes: used,
        own_bytes: value(Metric::PlanOwnKib).map(|kib| kib << 10),
        limit_bytes: limit,
        used_ratio: (limit > 0).then(|| used as f64 / limit as f64),
        stage: value(Metric::PlanStage).and_then(|stage| u8::try_from(stage).ok()).unwrap_or(0),
    })
}

/// Lists what the agent of a site last said of itself in a metric, once for each link it said it with.
fn own_values(snapshot: &Snapshot, site: SiteId, metric: Metric) -> impl Iterator<Item = u64> {
    let links = snapshot.inventory.links_of(site);
    let own = links.flat_map(|link| snapshot.link(link).targets.iter()).filter(|target| target.probe == ProbeKind::Agent);
    let values = own.flat_map(|target| &target.values).filter(move |(known, _)| *known == metric);
    values.filter_map(|(_, value)| u64::try_from(*value).ok())
}

fn trouble(state: AgentState) -> u8 {
    match state {
        AgentState::Silent => 0,
        AgentState::Late => 1,
        AgentState::Buffered => 2,
        AgentState::NeverSeen => 3,
        AgentState::Reporting => 4,
    }
}
