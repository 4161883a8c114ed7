//! Lists of sites: filtered, searched, and cut into pages that hold still while the list changes.

use rusta_wire::{Network, Rung};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Place, Sight, Time, Word, place};
use crate::engine::{Cause, SiteState, Snapshot};
use crate::inventory::{Criticality, RegionId, RegionKind, SiteId, SiteKind};
use crate::persian::fold;

/// Why something is not up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct CauseView {
    /// Three-letter code of the fault ladder.
    #[schema(example = "GWY")]
    pub code: &'static str,
    /// The lowest broken rung.
    #[schema(value_type = String, example = "gateway")]
    pub rung: Word<Rung>,
    /// 0 to 100.
    pub confidence: u8,
}

impl From<Cause> for CauseView {
    fn from(cause: Cause) -> Self {
        CauseView { code: cause.rung.cause_code(), rung: Word(cause.rung), confidence: cause.confidence }
    }
}

/// A site in a list.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SiteRow {
    /// Unique code.
    pub code: String,
    /// Persian name.
    pub name_fa: String,
    /// Latin name; empty if unknown.
    pub name_en: String,
    /// What it is.
    #[schema(value_type = String, example = "dehyari")]
    pub kind: SiteKind,
    /// Class of service.
    #[schema(value_type = String, example = "B")]
    pub criticality: Criticality,
    /// Code of the smallest region it stands in.
    pub region: String,
    /// Code of its county, if it stands in one.
    pub county: Option<String>,
    /// Its state.
    #[schema(value_type = String, example = "up")]
    pub state: SiteState,
    /// Since when; `null` if nothing was ever known.
    pub since: Option<Time>,
    /// Why it is not up.
    pub cause: Option<CauseView>,
    /// The newest evidence.
    pub evidence_at: Option<Time>,
    /// Networks of its links.
    #[schema(value_type = Vec<String>, example = json!(["apn"]))]
    pub networks: Vec<Word<Network>>,
    /// Operators of its links.
    pub operators: Vec<String>,
    /// Its place in the inventory.
    #[serde(skip)]
    pub id: SiteId,
    /// Its county by name, or the smallest region it stands in; the API gives codes.
    #[serde(skip)]
    pub lies_in: Place,
}

/// What to list.
#[derive(Debug, Clone, Default)]
pub struct SiteFilter {
    /// Any of these states; empty means all.
    pub states: Vec<SiteState>,
    /// Inside this region.
    pub region: Option<RegionId>,
    /// Of this kind.
    pub kind: Option<SiteKind>,
    /// With a link of this network.
    pub network: Option<Network>,
    /// With a link of this operator.
    pub operator: Option<String>,
    /// In a village with at least and less than so many households.
    pub households: Option<(u32, u32)>,
    /// Whose name or code contains this; any spelling.
    pub query: String,
}

/// A page of a list.
#[derive(Debug, Clone)]
pub struct Slice<T> {
    /// The rows of this page.
    pub items: Vec<T>,
    /// The cursor of the next page; `None` on the last.
    pub next: Option<String>,
    /// How many rows there are on all pages.
    pub total: usize,
}

/// Lists the sites of a filter in inventory order, starting after `cursor` (a site code), at most `limit` of them. A cursor that
/// stands at a site out of sight stands nowhere, as if there were no such site.
pub fn sites(snapshot: &Snapshot, sight: Sight, filter: &SiteFilter, cursor: Option<&str>, limit: usize) -> Slice<SiteRow> {
    let inventory = &snapshot.inventory;
    let query = fold(&filter.query);
    let matching: Vec<_> = ids(snapshot).filter(|id| sight.sees_site(inventory, *id) && filter.accepts(snapshot, *id, &query)).collect();
    let start = match cursor.and_then(|code| inventory.site_by_code(code)).filter(|site| sight.sees_site(inventory, *site)) {
        Some(last) => matching.partition_point(|id| *id <= last),
        None => 0,
    };
    let page: Vec<_> = matching[start..].iter().take(limit).copied().collect();
    let more = start + page.len() < matching.len();
    Slice {
        next: page.last().filter(|_| more).map(|id| inventory.site(*id).code.clone()),
        items: page.into_iter().map(|id| site_row(snapshot, id)).collect(),
        total: matching.len(),
    }
}

/// Describes one site.
pub fn site_row(snapshot: &Snapshot, id: SiteId) -> SiteRow {
    let inventory = &snapshot.inventory;
    let (site, view) = (inventory.site(id), snapshot.site(id));
    let mut networks: Vec<_> = inventory.links_of(id).map(|link| Word(inventory.link(link).network)).collect();
    networks.sort();
    networks.dedup();
    let mut operators: Vec<_> =
        inventory.links_of(id).map(|link| inventory.link(link).operator.clone()).filter(|o| !o.is_empty()).collect();
    operators.sort();
    operators.dedup();
    let county = county_of(snapshot, site.region);
    SiteRow {
        code: site.code.clone(),
        name_fa: site.name_fa.clone(),
        name_en: site.name_en.clone(),
        kind: site.kind,
        criticality: site.criticality,
        region: inventory.region(site.region).code.clone(),
        county: county.map(|id| inventory.region(id).code.clone()),
        state: view.state,
        since: (view.since.0 > 0).then_some(Time(view.since)),
        cause: view.cause.map(CauseView::from),
        evidence_at: view.evidence_at.map(Time),
        networks,
        operators,
        id,
        lies_in: place(inventory, county.unwrap_or(site.region)),
    }
}

impl SiteFilter {
    fn accepts(&self, snapshot: &Snapshot, id: SiteId, query: &str) -> bool {
        let inventory = &snapshot.inventory;
        let site = inventory.site(id);
        let has_link = |wanted: &dyn Fn(&crate::inventory::Link) -> bool| inventory.links_of(id).any(|link| wanted(inventory.link(link)));
        (self.states.is_empty() || self.states.contains(&snapshot.site(id).state))
            && self.kind.is_none_or(|kind| site.kind == kind)
            && self.region.is_none_or(|region| inventory.is_within(site.region, region))
            && self.network.is_none_or(|network| has_link(&|link| link.network == network))
            && self.operator.as_ref().is_none_or(|operator| has_link(&|link| link.operator == *operator))
            && self.households.is_none_or(|(least, below)| {
                inventory.region(site.region).households.is_some_and(|households| (least..below).contains(&households))
            })
            && (query.is_empty() || [&site.code, &site.name_fa, &site.name_en].iter().any(|text| fold(text).contains(query)))
    }
}

fn county_of(snapshot: &Snapshot, region: RegionId) -> Option<RegionId> {
    let inventory = &snapshot.inventory;
    inventory.ancestors(region).find(|id| inventory.region(*id).kind == RegionKind::County)
}

fn ids(snapshot: &Snapshot) -> impl Iterator<Item = SiteId> + use<> {
    (0..u32::try_from(snapshot.inventory.sites.len()).unwrap_or(u32::MAX)).map(SiteId)
}
