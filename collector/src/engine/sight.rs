//! What a sample says to the machines: which link it speaks of, its round, its facts. Live state and history see alike.

use rusta_wire::{Metric, ProbeKind, SampleRef, Series, UnixMs};

use super::machine::{Fact, Facts, Round, Slot};
use crate::inventory::{Inventory, LinkId, Role, SiteId};

/// Whom a series speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subject {
    /// The link.
    pub link: LinkId,
    /// Whether the agent stands at another site and looks from outside.
    pub vantage: bool,
}

/// Finds the link a series of an agent at `site` speaks of; `None` if the inventory has no such site or link, or does not let
/// the agent's site speak about it.
pub fn subject(inventory: &Inventory, site: SiteId, series: &Series) -> Option<Subject> {
    if series.towards.is_empty() || series.towards == inventory.site(site).code {
        return inventory.link_by_name(site, &series.link).map(|link| Subject { link, vantage: false });
    }
    let other = inventory.site_by_code(&series.towards).filter(|other| inventory.may_speak_about(site, *other))?;
    seen_from_outside(inventory, other, series).map(|link| Subject { link, vantage: true })
}

/// Finds which link of `site` a vantage means: the one named after the slash in the target's name (`village-17/apn0`), else
/// the first of the series' network, else the first primary one.
pub fn seen_from_outside(inventory: &Inventory, site: SiteId, series: &Series) -> Option<LinkId> {
    let named = series.target.rsplit_once('/').and_then(|(_, name)| inventory.link_by_name(site, name));
    let of_network = || inventory.links_of(site).find(|id| inventory.link(*id).network == series.network);
    let primary = || inventory.links_of(site).find(|id| inventory.link(*id).role == Role::Primary);
    named.or_else(of_network).or_else(primary)
}

/// Tells whether rounds of this series prove whether something is reached. A device's gauges, a rare trace or a
/// throughput test do not.
pub fn proves_reach(series: &Series) -> bool {
    matches!(
        series.probe,
        ProbeKind::Icmp
            | ProbeKind::Tcp
            | ProbeKind::Dns
            | ProbeKind::Http
            | ProbeKind::Tls
            | ProbeKind::Sip
            | ProbeKind::Ntp
            | ProbeKind::Snmp
    )
}

/// Rounds one sample can stand for: an hour of one a second, more than any summary holds. Others' words weigh what they weigh.
const ROUNDS: u32 = 3_600;

/// Reads a round out of a sample observed at `at`.
pub fn round(series: &Series, sample: SampleRef<'_>, at: UnixMs, slot: Slot) -> Round {
    let count = |metric| series.value(sample, metric).and_then(|value| u32::try_from(value).ok());
    Round {
        at,
        slot,
        outcome: sample.outcome,
        packets: count(Metric::Sent).map(|sent| (sent, count(Metric::Received).unwrap_or(0))),
        rtt_us: [Metric::RttUsP90, Metric::RttUsP50, Metric::RttUsMin, Metric::ConnectUs].into_iter().find_map(count),
        rounds: count(Metric::Rounds).map_or((1, 0), |rounds| (rounds.min(ROUNDS), count(Metric::RoundsFailed).unwrap_or(0).min(ROUNDS))),
    }
}

/// Tells whether samples of a series hold facts.
pub fn tells_facts(series: &Series) -> bool {
    series.metrics.iter().any(|metric| Facts::keeps(*metric))
}

/// Lists the facts in a sample.
pub fn facts<'a>(series: &'a Series, sample: SampleRef<'a>) -> impl Iterator<Item = Fact> + 'a {
    let places = series.metrics.iter().zip(sample.values).filter(|(metric, _)| Facts::keeps(**metric));
    places.filter_map(|(metric, value)| value.map(|value| Fact::Gauge(*metric, value)))
}

/// Returns the gauges of a power supply: they speak of the whole site, whatever link their reader is listed under.
pub fn is_of_site(fact: Fact) -> bool {
    match fact {
        Fact::Gauge(metric, _) => matches!(metric, Metric::UpsSource | Metric::UpsOnBatteryS),
        Fact::LastGasp | Fact::Stopped => true,
    }
}
