//! The e-services: who can reach them at this moment.

use std::collections::{BTreeMap, HashMap};

use rusta_wire::Verdict;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Place, Sight, place};
use crate::engine::{LinkState, Snapshot};
use crate::inventory::assignment::SERVICE_PREFIX;
use crate::inventory::{Criticality, Inventory, RegionId, RegionKind, Service, SiteId, word_enum};

word_enum! {
    /// What is known of a service.
    ServiceState {
        /// Reached from everywhere it is measured.
        Ok = "ok",
        /// Not reached from somewhere.
        Partial = "partial",
        /// Not reached from at least half of three or more vantage points.
        Failing = "failing",
        /// Nobody measures it at this moment.
        Unknown = "unknown",
    }
}

/// A service with what its vantage points see.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ServiceRow {
    /// Stable name.
    pub id: String,
    /// Persian name.
    pub name_fa: String,
    /// English name.
    pub name_en: String,
    /// The organisation that answers for it.
    pub owner: String,
    /// Class of service.
    #[schema(value_type = String, example = "A")]
    pub criticality: Criticality,
    /// How people reach it: web, app, sip, ussd or counter.
    pub channel: String,
    /// Whether anybody has said how to check it.
    pub checked: bool,
    /// What is known of it.
    #[schema(value_type = String, example = "ok")]
    pub state: ServiceState,
    /// Vantage points whose last round reached it.
    pub reached: u32,
    /// Vantage points whose last round did not, although their link carried traffic.
    pub failed: u32,
    /// Vantage points without evidence.
    pub unknown: u32,
    /// Counties with a vantage point that did not reach it.
    pub failing_in: Vec<Place>,
}

/// What one county's vantage points see of the services, in the catalogue's order.
#[derive(Debug, Clone)]
pub struct CountyServices {
    /// The county.
    pub county: Place,
    /// State of each service as seen from there.
    pub states: Vec<ServiceState>,
}

/// Fewer vantage points than this say nothing about the service itself.
const ENOUGH_VANTAGES: u32 = 3;

/// Vantage points by what they saw.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    reached: u32,
    failed: u32,
    unknown: u32,
}

impl Seen {
    fn add(&mut self, verdict: Verdict) {
        *match verdict {
            Verdict::Success => &mut self.reached,
            Verdict::Failure => &mut self.failed,
            Verdict::NoEvidence => &mut self.unknown,
        } += 1;
    }

    fn state(self) -> ServiceState {
        judged(self.reached, self.failed)
    }
}

/// Lists the active services of the catalogue.
pub fn services(snapshot: &Snapshot, sight: Sight) -> Vec<ServiceRow> {
    services_by_county(snapshot, sight).0
}

/// Lists the active services, and what each county sees of them; counties in the registry's order.
pub fn services_by_county(snapshot: &Snapshot, sight: Sight) -> (Vec<ServiceRow>, Vec<CountyServices>) {
    let inventory = &snapshot.inventory;
    let active: Vec<&Service> = inventory.services.iter().filter(|service| service.active).collect();
    let places: HashMap<&str, usize> = active.iter().enumerate().map(|(at, service)| (service.id.as_str(), at)).collect();
    let mut whole = vec![Seen::default(); active.len()];
    let mut counties: BTreeMap<RegionId, Vec<Seen>> = BTreeMap::new();
    for site in (0..u32::try_from(inventory.sites.len()).unwrap_or(u32::MAX)).map(SiteId) {
        if !sight.sees_site(inventory, site) {
            continue;
        }
        let county = county_of(inventory, site);
        for (at, verdict) in seen_from(snapshot, site, &places) {
            whole[at].add(verdict);
            if let Some(county) = county {
                counties.entry(county).or_insert_with(|| vec![Seen::default(); active.len()])[at].add(verdict);
            }
        }
    }
    let failing_in =
        |at: usize| counties.iter().filter(|(_, seen)| seen[at].failed > 0).map(|(county, _)| place(inventory, *county)).collect();
    let rows = active.iter().enumerate().map(|(at, service)| row(service, whole[at], failing_in(at))).collect();
    let by_county = counties
        .iter()
        .map(|(county, seen)| CountyServices { county: place(inventory, *county), states: seen.iter().map(|seen| seen.state()).collect() });
    (rows, by_county.collect())
}

fn row(service: &Service, seen: Seen, failing_in: Vec<Place>) -> ServiceRow {
    ServiceRow {
        id: service.id.clone(),
        name_fa: service.name_fa.clone(),
        name_en: service.name_en.clone(),
        owner: service.owner.clone(),
        criticality: service.criticality,
        channel: service.channel.clone(),
        checked: service.check.is_some(),
        state: seen.state(),
        reached: seen.reached,
        failed: seen.failed,
        unknown: seen.unknown,
        failing_in,
    }
}

/// Returns what a site's last rounds of services say, by the service's place; services it does not try are left out. A round
/// over a link that carried nothing says something about the link, not about the service.
fn seen_from(snapshot: &Snapshot, site: SiteId, places: &HashMap<&str, usize>) -> BTreeMap<usize, Verdict> {
    let mut best: BTreeMap<usize, Verdict> = BTreeMap::new();
    for link in snapshot.inventory.links_of(site).map(|id| snapshot.link(id)) {
        let carries = matches!(link.state, LinkState::Up | LinkState::Degraded | LinkState::Flapping);
        for round in link.targets.iter() {
            let Some(at) = round.name.strip_prefix(SERVICE_PREFIX).and_then(|id| places.get(id)) else { continue };
            let verdict = if carries { round.outcome.verdict() } else { Verdict::NoEvidence };
            let known = best.entry(*at).or_insert(verdict);
            let rank = |verdict: Verdict| [Verdict::NoEvidence, Verdict::Failure, Verdict::Success].iter().position(|one| *one == verdict);
            if rank(verdict) > rank(*known) {
                *known = verdict;
            }
        }
    }
    best
}

fn judged(reached: u32, failed: u32) -> ServiceState {
    match (reached, failed) {
        (0, 0) => ServiceState::Unknown,
        (_, 0) => ServiceState::Ok,
        _ if reached + failed >= ENOUGH_VANTAGES && failed >= reached => ServiceState::Failing,
        _ => ServiceState::Partial,
    }
}

fn county_of(inventory: &Inventory, site: SiteId) -> Option<RegionId> {
    inventory.ancestors(inventory.site(site).region).find(|id| inventory.region(*id).kind == RegionKind::County)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_three_vantages_make_a_failing_service() {
        assert_eq!(judged(0, 0), ServiceState::Unknown);
        assert_eq!(judged(9, 0), ServiceState::Ok);
        assert_eq!(judged(9, 1), ServiceState::Partial);
        assert_eq!(judged(0, 2), ServiceState::Partial, "two vantages may share a fault of their own");
        assert_eq!(judged(2, 2), ServiceState::Failing);
    }
}
