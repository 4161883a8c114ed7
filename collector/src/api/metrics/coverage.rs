//! KPIs by region, and what is in which state by county.

use std::collections::BTreeMap;

use rusta_wire::Network;

use crate::engine::{AgentState, LinkState, SiteState, Snapshot, VillageState};
use crate::inventory::{Inventory, RegionId, RegionKind};
use crate::telemetry::{Exposition, Family, Kind};
use crate::view::{FigureView, Sight};

/// Writes figures of provinces and counties under a period's name. The running month is called `month`, so that a series
/// does not end with it.
pub fn write_kpis(out: &mut Exposition, snapshot: &Snapshot, sight: Sight, figures: &[FigureView], period: &str) {
    let inventory = &snapshot.inventory;
    let shown = |figure: &&FigureView| {
        let region = inventory.region_by_code(&figure.region.code);
        let is_level = matches!(figure.region.kind, RegionKind::Province | RegionKind::County);
        is_level && figure.part.is_none() && region.is_some_and(|id| sight.sees_region(inventory, id))
    };
    let figures: Vec<_> = figures.iter().filter(shown).collect();
    let mut family = |name: &str, help: &str, value: fn(&FigureView) -> Option<f64>| {
        let mut family = out.family(name, Kind::Gauge, help);
        for figure in &figures {
            family.add_known(&labels(figure, period), value(figure));
        }
    };
    family("rusta_kpi_value", "Value of a KPI over what is known, in the unit of its definition", |figure| figure.value);
    family("rusta_kpi_lo", "Value of a KPI if everything unknown were bad", |figure| figure.lo);
    family("rusta_kpi_hi", "Value of a KPI if everything unknown were good", |figure| figure.hi);
    family("rusta_kpi_known_ratio", "Known share of what should be known, 0 to 1", |figure| figure.known_ratio);
    family("rusta_kpi_numerator", "What was counted", |figure| Some(figure.numerator));
    family("rusta_kpi_denominator", "Of what is known", |figure| Some(figure.denominator));
    let mut standing = out.family("rusta_kpi_standing", Kind::Gauge, "Whether a KPI has a value, and if not why: 1 for what holds");
    for figure in &figures {
        let labels: Vec<_> = labels(figure, period).into_iter().chain([("standing", figure.standing.as_str())]).collect();
        standing.add(&labels, 1.0);
    }
}

fn labels<'a>(figure: &'a FigureView, period: &'a str) -> [(&'static str, &'a str); 5] {
    [
        ("kpi", figure.id),
        ("region", &figure.region.code),
        ("region_kind", figure.region.kind.as_str()),
        ("period", period),
        ("weight", figure.weight.as_str()),
    ]
}

/// Province and county of something; empty where there is none above it.
type County<'a> = (&'a str, &'a str);

/// Things of one kind by county and state.
type Counts<'a> = BTreeMap<County<'a>, BTreeMap<&'static str, u32>>;

/// Writes how many villages, sites, links and agents of each county are in each state. A county without any of a kind has
/// no sample of it.
pub fn write_states(out: &mut Exposition, snapshot: &Snapshot, sight: Sight) {
    let inventory = &snapshot.inventory;
    let villages = count(inventory, sight, snapshot.villages.iter().map(|view| (view.region, view.state.as_str())));
    let states: Vec<_> = VillageState::ALL.iter().map(|state| state.as_str()).collect();
    write_counts(&mut out.family("rusta_villages", Kind::Gauge, "Inhabited villages by state"), &villages, &states, "");

    let sites = inventory.sites.iter().zip(&snapshot.sites);
    let sites = count(inventory, sight, sites.map(|(site, view)| (site.region, view.state.as_str())));
    let states: Vec<_> = SiteState::ALL.iter().map(|state| state.as_str()).collect();
    write_counts(&mut out.family("rusta_sites", Kind::Gauge, "Sites by state"), &sites, &states, "");

    let states: Vec<_> = LinkState::ALL.iter().map(|state| state.as_str()).collect();
    let mut family = out.family("rusta_links", Kind::Gauge, "Links by network and state");
    for network in Network::ALL {
        let links = inventory.links.iter().zip(&snapshot.links).filter(|(link, _)| link.network == *network);
        let links = count(inventory, sight, links.map(|(link, view)| (inventory.site(link.site).region, view.state.as_str())));
        write_counts(&mut family, &links, &states, network.as_str());
    }

    let agents = count(inventory, sight, snapshot.agents.iter().map(|view| (inventory.site(view.site).region, view.state.as_str())));
    let states: Vec<_> = AgentState::ALL.iter().map(|state| state.as_str()).collect();
    write_counts(&mut out.family("rusta_agents", Kind::Gauge, "Agents by state"), &agents, &states, "");
}

fn write_counts(family: &mut Family<'_>, counts: &Counts<'_>, states: &[&str], network: &str) {
    for ((province, county), by_state) in counts {
        for state in states {
            let labels = [("province", *province), ("county", county), ("network", network), ("state", state)];
            family.add(&labels, f64::from(by_state.get(state).copied().unwrap_or(0)));
        }
    }
}

fn count<'a>(inventory: &'a Inventory, sight: Sight, things: impl Iterator<Item = (RegionId, &'static str)>) -> Counts<'a> {
    let mut counts = Counts::new();
    for (region, state) in things.filter(|(region, _)| sight.sees_region(inventory, *region)) {
        *counts.entry(county_of(inventory, region)).or_default().entry(state).or_default() += 1;
    }
    counts
}

/// Returns the codes of the province and county something stands in.
pub fn county_of(inventory: &Inventory, region: RegionId) -> County<'_> {
    let code = |kind: RegionKind| {
        let above = inventory.ancestors(region).find(|id| inventory.region(*id).kind == kind);
        above.map_or("", |id| inventory.region(id).code.as_str())
    };
    (code(RegionKind::Province), code(RegionKind::County))
}
