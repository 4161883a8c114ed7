//! What the collector knows, as lines of the frozen schema.

use rusta_wire::{Metric, Outcome, UnixMs, Verdict};

use super::line::write_line;
use super::schema::{
    AGENT_FIELDS, AGENT_TAGS, KPI_FIELDS, KPI_TAGS, LINK_STATE_TAGS, PROBE_TAGS, Published, SITE_PLACE_FIELDS, SITE_STATE_TAGS,
};
use crate::engine::{AgentState, AgentView, LinkState, Record, SiteState, Snapshot};
use crate::inventory::{Inventory, RegionKind, SiteId};
use crate::kpi::Figure;
use crate::persian::Period;

/// Turns catalogue metrics into published fields; made once, because every value of every sample asks it.
pub struct Fields(Vec<Option<Published>>);

impl Fields {
    /// Reads the catalogue.
    pub fn new() -> Self {
        let size = Metric::ALL.iter().map(|m| usize::from(m.code()) + 1).max().unwrap_or(0);
        let mut fields = vec![None; size];
        for metric in Metric::ALL {
            fields[usize::from(metric.code())] = Some(Published::of(*metric));
        }
        Fields(fields)
    }

    fn of(&self, metric: Metric) -> Option<&Published> {
        self.0.get(usize::from(metric.code()))?.as_ref()
    }
}

impl Default for Fields {
    fn default() -> Self {
        Fields::new()
    }
}

/// The tags a site gives to everything measured there.
struct SiteTags<'a> {
    province: &'a str,
    county: &'a str,
    site: &'a str,
}

impl<'a> SiteTags<'a> {
    fn of(inventory: &'a Inventory, site: SiteId) -> Self {
        let code_of = |kind: RegionKind| {
            let region = inventory.ancestors(inventory.site(site).region).find(|id| inventory.region(*id).kind == kind);
            region.map_or("", |id| inventory.region(id).code.as_str())
        };
        SiteTags { province: code_of(RegionKind::Province), county: code_of(RegionKind::County), site: &inventory.site(site).code }
    }

    fn values(&self) -> [&'a str; 3] {
        [self.province, self.county, self.site]
    }
}

/// Appends a `probe` line for each dated round of a record. Rounds that were not run say nothing about the target and are
/// left out; so is a batch whose boot nobody could date.
pub fn write_probes(out: &mut String, fields: &Fields, inventory: &Inventory, record: &Record) {
    let Some(boot) = record.boot else { return };
    let own = SiteTags::of(inventory, record.site);
    for sample in record.batch.samples.iter().filter(|s| s.outcome.verdict() != Verdict::NoEvidence) {
        let Some(series) = record.table.series.get(usize::from(sample.series.0)) else { continue };
        let tags = own.values().into_iter().chain([
            series.link.as_str(),
            series.network.as_str(),
            series.target.as_str(),
            series.rung.as_str(),
            series.probe.as_str(),
        ]);
        let ok = if sample.outcome == Outcome::Ok { 1.0 } else { 0.0 };
        let measured = series.metrics.iter().zip(&sample.values).filter_map(|(metric, value)| {
            let published = fields.of(*metric)?;
            Some((published.name.as_str(), published.value((*value)?)))
        });
        write_line(out, "probe", PROBE_TAGS.into_iter().zip(tags), [("ok", ok)].into_iter().chain(measured), boot.date(sample.at));
    }
}

/// Appends a `site_state`, `link_state` and `agent` line for everything registered, dated `at`. Nobody has to conclude
/// anything from a missing point.
pub fn write_states(out: &mut String, snapshot: &Snapshot, at: UnixMs) {
    write_sites(out, snapshot, at);
    for agent in &snapshot.agents {
        write_agent(out, &snapshot.inventory, agent, at);
    }
}

fn write_sites(out: &mut String, snapshot: &Snapshot, at: UnixMs) {
    let inventory = &snapshot.inventory;
    for (index, site) in inventory.sites.iter().enumerate() {
        let Ok(id) = u32::try_from(index).map(SiteId) else { return };
        let tags = SiteTags::of(inventory, id);
        let state = snapshot.site(id).state;
        let site_tags = tags.values().into_iter().chain([site.kind.as_str()]);
        let flags = SiteState::ALL.iter().map(|s| (s.as_str(), flag(*s == state)));
        let place = SITE_PLACE_FIELDS.into_iter().zip([site.lat, site.lon].map(|degrees| degrees.unwrap_or(f64::NAN)));
        write_line(out, "site_state", SITE_STATE_TAGS.into_iter().zip(site_tags), flags.chain(place), at);
        for link_id in inventory.links_of(id) {
            let link = inventory.link(link_id);
            let state = snapshot.link(link_id).state;
            let access = link.access.map_or("", |access| access.as_str());
            let link_tags = tags.values().into_iter().chain([link.name.as_str(), link.network.as_str(), link.operator.as_str(), access]);
            let flags = LinkState::ALL.iter().map(|s| (s.as_str(), flag(*s == state)));
            write_line(out, "link_state", LINK_STATE_TAGS.into_iter().zip(link_tags), flags, at);
        }
    }
}

/// Appends a `kpi` line for each figure of now or of the running month that is not broken down further. A figure without a number leaves `value` out and
/// keeps its bounds.
pub fn write_kpis(out: &mut String, inventory: &Inventory, figures: &[Figure], at: UnixMs) {
    for figure in figures.iter().filter(|figure| figure.part.is_none()) {
        let Some(region) = inventory.region_by_code(&figure.region) else { continue };
        let period = if figure.period == Period::Now { "now" } else { "month" };
        let kind = inventory.region(region).kind.as_str();
        let tags = [figure.id, figure.region.as_str(), kind, period, figure.weight.as_str()];
        let parts = [figure.value, figure.lo, figure.hi, figure.known_ratio, Some(figure.numerator), Some(figure.denominator)];
        let values = KPI_FIELDS.into_iter().zip(parts.map(|v| v.unwrap_or(f64::NAN)));
        write_line(out, "kpi", KPI_TAGS.into_iter().zip(tags), values, at);
    }
}

fn write_agent(out: &mut String, inventory: &Inventory, agent: &AgentView, at: UnixMs) {
    let id = agent.id.to_string();
    let tags = SiteTags::of(inventory, agent.site).values().into_iter().chain([id.as_str()]);
    let flags = AgentState::ALL.iter().map(|s| (s.as_str(), flag(*s == agent.state)));
    // Line protocol leaves out what is not a number, so an unknown value is an absent field.
    let counted = [agent.spool_frames.map(|n| n as f64), agent.clock_skew_ms.map(|ms| ms as f64 / 1e3), Some(agent.lost as f64)];
    let values = AGENT_FIELDS.into_iter().zip(counted.map(|v| v.unwrap_or(f64::NAN)));
    write_line(out, "agent", AGENT_TAGS.into_iter().zip(tags), flags.chain(values), at);
}

fn flag(set: bool) -> f64 {
    if set { 1.0 } else { 0.0 }
}
