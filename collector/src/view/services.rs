//! The e-services: who can reach them at this moment.

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

/// Fewer vantage points than this say nothing about the service itself.
const ENOUGH_VANTAGES: u32 = 3;

/// Lists the active services of the catalogue.
pub fn services(snapshot: &Snapshot, sight: Sight) -> Vec<ServiceRow> {
    snapshot.inventory.services.iter().filter(|service| service.active).map(|service| row(snapshot, sight, service)).collect()
}

fn row(snapshot: &Snapshot, sight: Sight, service: &Service) -> ServiceRow {
    let inventory = &snapshot.inventory;
    let target = format!("{SERVICE_PREFIX}{}", service.id);
    let (mut reached, mut failed, mut unknown) = (0, 0, 0);
    let mut counties: Vec<RegionId> = Vec::new();
    for site in (0..u32::try_from(inventory.sites.len()).unwrap_or(u32::MAX)).map(SiteId) {
        let Some(verdict) = seen_from(snapshot, site, &target).filter(|_| sight.sees_site(inventory, site)) else { continue };
        match verdict {
            Verdict::Success => reached += 1,
            Verdict::NoEvidence => unknown += 1,
            Verdict::Failure => {
                failed += 1;
                counties.extend(county_of(inventory, site));
            }
        }
    }
    counties.sort_unstable();
    counties.dedup();
    ServiceRow {
        id: service.id.clone(),
        name_fa: service.name_fa.clone(),
        name_en: service.name_en.clone(),
        owner: service.owner.clone(),
        criticality: service.criticality,
        channel: service.channel.clone(),
        checked: service.check.is_some(),
        state: judged(reached, failed),
        reached,
        failed,
        unknown,
        failing_in: counties.into_iter().map(|county| place(inventory, county)).collect(),
    }
}

/// Returns what a site's last round of a service target says; `None` if it has no such target. A round over a link that
/// carried nothing says something about the link, not about the service.
fn seen_from(snapshot: &Snapshot, site: SiteId, target: &str) -> Option<Verdict> {
    let links = snapshot.inventory.links_of(site).map(|id| snapshot.link(id));
    let rounds = links.flat_map(|link| {
        let carries = matches!(link.state, LinkState::Up | LinkState::Degraded | LinkState::Flapping);
        let of_service = link.targets.iter().filter(|round| round.name == target);
        of_service.map(move |round| if carries { round.outcome.verdict() } else { Verdict::NoEvidence })
    });
    let verdicts: Vec<_> = rounds.collect();
    [Verdict::Success, Verdict::Failure, Verdict::NoEvidence].into_iter().find(|verdict| verdicts.contains(verdict))
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
