//! Incidents as pages and the API show them.

use serde::Serialize;
use utoipa::ToSchema;

use super::{Sight, Time};
use crate::engine::{SiteState, Snapshot};
use crate::notify::{Affected, IncidentView, Timeline};
use rusta_wire::UnixMs;

/// A ranked cause.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct RankedCause {
    /// Three-letter code of the fault ladder.
    #[schema(example = "POP")]
    pub code: String,
    /// The rung.
    #[schema(example = "pop")]
    pub rung: String,
    /// 0 to 100.
    pub confidence: u8,
}

/// An incident in a list.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct IncidentRow {
    /// Its permanent number.
    pub id: u64,
    /// Kind of its root: link, site, bts, pop, apn_gateway, core, power_feeder, cell, operator, county or collector.
    #[schema(example = "pop")]
    pub root_kind: String,
    /// Code of its root.
    pub root_code: String,
    /// Persian name of its root.
    pub root_fa: String,
    /// English name of its root.
    pub root_en: String,
    /// What is wrong: down, silent, flapping or ours.
    #[schema(example = "down")]
    pub trouble: String,
    /// Whether the root itself was measured to fail.
    pub measured: bool,
    /// When it began.
    pub started_at: Time,
    /// When it was judged.
    pub opened_at: Time,
    /// When it ended; `null` while it lasts.
    pub resolved_at: Option<Time>,
    /// Ranked causes, likeliest first.
    pub causes: Vec<RankedCause>,
    /// What a person says the cause was.
    pub cause_override: Option<String>,
    /// The most sites it had.
    pub sites: u32,
    /// The most villages it had.
    pub villages: u32,
    /// Who takes care of it.
    pub acknowledged_by: Option<String>,
    /// Since when.
    pub acknowledged_at: Option<Time>,
    /// Who works on it.
    pub assignee: Option<String>,
    /// When somebody was on site.
    pub visited_at: Option<Time>,
    /// How many recipients a call about it has reached.
    pub told: u32,
}

/// The place of an incident among the open ones, the largest first: villages, sites, then age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct IncidentRank(std::cmp::Reverse<(u32, u32)>, u64);

impl IncidentRow {
    /// Returns its place among the open incidents.
    pub fn rank(&self) -> IncidentRank {
        IncidentRank(std::cmp::Reverse((self.villages, self.sites)), self.id)
    }

    /// Returns the code of its cause: what a person said, else the likeliest.
    pub fn cause(&self) -> Option<&str> {
        self.cause_override.as_deref().or_else(|| self.causes.first().map(|cause| cause.code.as_str()))
    }

    /// Returns who works on it.
    pub fn owner(&self) -> Option<&str> {
        self.assignee.as_deref().or(self.acknowledged_by.as_deref())
    }
}

/// As an address carries it: `villages.sites.number`.
impl std::fmt::Display for IncidentRank {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let IncidentRank(std::cmp::Reverse((villages, sites)), id) = self;
        write!(f, "{villages}.{sites}.{id}")
    }
}

impl std::str::FromStr for IncidentRank {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fault = || format!("`{text}` is no place in the list of incidents");
        let [villages, sites, id] = text.split('.').collect::<Vec<_>>()[..] else { return Err(fault()) };
        let count = |text: &str| text.parse().map_err(|_| fault());
        Ok(IncidentRank(std::cmp::Reverse((count(villages)?, count(sites)?)), id.parse().map_err(|_| fault())?))
    }
}

/// An affected link with its site's present state.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct AffectedRow {
    /// Code of the site.
    pub site: String,
    /// Persian name of the site; empty if it is not in the inventory any more.
    pub site_name_fa: String,
    /// Latin name of the site.
    pub site_name_en: String,
    /// Name of the link.
    pub link: String,
    /// What it suffers.
    pub trouble: String,
    /// Since when.
    pub since: Time,
    /// When it left the incident.
    pub left_at: Option<Time>,
    /// The site's state at the snapshot's time.
    #[schema(value_type = Option<String>, example = "down")]
    pub state: Option<SiteState>,
}

/// A line of an incident's story.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct StoryLine {
    /// When.
    pub at: Time,
    /// `engine`, `notify` or `user:NAME`.
    pub actor: String,
    /// What kind of line.
    pub kind: String,
    /// What happened, or why.
    pub text: String,
}

impl From<IncidentView> for IncidentRow {
    fn from(view: IncidentView) -> Self {
        let time = |at: i64| Time(UnixMs(at));
        IncidentRow {
            id: view.id,
            root_kind: view.kind,
            root_code: view.code,
            root_fa: view.root_fa,
            root_en: view.root_en,
            trouble: view.trouble,
            measured: view.measured,
            started_at: time(view.started_at),
            opened_at: time(view.opened_at),
            resolved_at: view.resolved_at.map(time),
            causes: view.causes.as_array().into_iter().flatten().filter_map(ranked).collect(),
            cause_override: view.cause_override,
            sites: view.sites,
            villages: view.villages,
            acknowledged_by: view.acknowledged_by,
            acknowledged_at: view.acknowledged_at.map(time),
            assignee: view.assignee,
            visited_at: view.visited_at.map(time),
            told: view.told,
        }
    }
}

fn ranked(cause: &serde_json::Value) -> Option<RankedCause> {
    Some(RankedCause {
        code: cause["code"].as_str()?.to_owned(),
        rung: cause["rung"].as_str()?.to_owned(),
        confidence: cause["confidence"].as_u64().and_then(|c| u8::try_from(c).ok()).unwrap_or(0),
    })
}

/// Describes the affected links somebody sees; a site that is gone from the inventory is seen only by those who see all.
pub fn affected_rows(snapshot: &Snapshot, sight: Sight, affected: &[Affected]) -> Vec<AffectedRow> {
    let inventory = &snapshot.inventory;
    let row = |affected: &Affected| {
        let site = inventory.site_by_code(&affected.site);
        let visible = site.map_or(sight == Sight::Everything, |id| sight.sees_site(inventory, id));
        visible.then(|| AffectedRow {
            site: affected.site.clone(),
            site_name_fa: site.map_or_else(String::new, |id| inventory.site(id).name_fa.clone()),
            site_name_en: site.map_or_else(String::new, |id| inventory.site(id).name_en.clone()),
            link: affected.link.clone(),
            trouble: affected.trouble.clone(),
            since: Time(UnixMs(affected.since)),
            left_at: affected.left_at.map(|at| Time(UnixMs(at))),
            state: site.map(|id| snapshot.site(id).state),
        })
    };
    affected.iter().filter_map(row).collect()
}

/// Lists the lines of a story somebody may read: the engine's lines name sites of every region.
pub fn story(sight: Sight, lines: Vec<Timeline>) -> Vec<StoryLine> {
    // Which regions others look after is told to those who see them, on the page's own line.
    let is_scoped = |line: &Timeline| line.actor == "engine" || line.kind == "acknowledged" || line.text.starts_with("acknowledged by");
    let hides = |line: &Timeline| sight != Sight::Everything && is_scoped(line);
    lines
        .into_iter()
        .map(|line| StoryLine {
            at: Time(UnixMs(line.at)),
            text: if hides(&line) { String::new() } else { line.text },
            actor: line.actor,
            kind: line.kind,
        })
        .collect()
}
