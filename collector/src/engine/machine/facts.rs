//! What devices said: modem, plan, power, boot. It decides no state, only the cause.

use rusta_wire::{Metric, UnixMs};

use super::reach::Boot;
use crate::engine::state::Cause;
use rusta_wire::Rung;

/// A word of a device that bears on causes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fact {
    /// A gauge of the catalogue.
    Gauge(Metric, i64),
    /// The agent closed a batch because its supply was going.
    LastGasp,
    /// The agent was asked to stop.
    Stopped,
}

/// How long a gauge is believed. Modems and UPSs are read every few minutes.
const LIFETIME_MS: i64 = 15 * 60_000;

/// Battery seen, or a last gasp, this long before the silence is its cause. A small UPS holds a router for an hour.
const POWER_MEMORY_MS: i64 = 2 * 3_600_000;

/// The gauges that bear on causes.
const KEPT: &[Metric] = &[
    Metric::UpsSource,
    Metric::UpsOnBatteryS,
    Metric::ModemPresent,
    Metric::SimState,
    Metric::Registration,
    Metric::Rat,
    Metric::RsrpDbm,
    Metric::BearerUp,
    Metric::PlanUsedKib,
    Metric::PlanLimitKib,
    Metric::BrokenRung,
];

/// The newest words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    gauges: Vec<(Metric, UnixMs, i64)>,
    battery_at: Option<UnixMs>,
    ups_seen_at: Option<UnixMs>,
    last_gasp_at: Option<UnixMs>,
    stopped_at: Option<UnixMs>,
}

impl Facts {
    /// Tells whether a gauge bears on causes.
    pub fn keeps(metric: Metric) -> bool {
        KEPT.contains(&metric)
    }

    /// Takes a word; one older than what is known is left out.
    pub fn learn(&mut self, at: UnixMs, fact: Fact) {
        let newest = |slot: &mut Option<UnixMs>| *slot = (*slot).max(Some(at));
        match fact {
            Fact::LastGasp => newest(&mut self.last_gasp_at),
            Fact::Stopped => newest(&mut self.stopped_at),
            Fact::Gauge(metric, value) => {
                if matches!(metric, Metric::UpsSource | Metric::UpsOnBatteryS) {
                    newest(&mut self.ups_seen_at);
                    if on_battery(metric, value) {
                        newest(&mut self.battery_at);
                    }
                }
                match self.gauges.iter_mut().find(|(known, ..)| *known == metric) {
                    Some(held) if held.1 > at => {}
                    Some(held) => (held.1, held.2) = (at, value),
                    None if Facts::keeps(metric) => self.gauges.push((metric, at, value)),
                    None => {}
                }
            }
        }
    }

    /// Returns a gauge as it stands at `at`; `None` if it is unknown or too old.
    pub fn gauge(&self, metric: Metric, at: UnixMs) -> Option<i64> {
        self.gauges.iter().find(|(known, read_at, _)| *known == metric && at.0 - read_at.0 <= LIFETIME_MS).map(|(.., value)| *value)
    }

    /// Tells whether the site runs on battery at `at`.
    pub fn on_battery(&self, at: UnixMs) -> bool {
        [Metric::UpsSource, Metric::UpsOnBatteryS].iter().any(|m| self.gauge(*m, at).is_some_and(|value| on_battery(*m, value)))
    }

    /// Says why the site was off from `since` until `boot`: power, or the router alone.
    ///
    /// The router's own word comes first. Without it, battery or a last gasp before the silence says power; a UPS that
    /// saw nothing, or an orderly stop, says the router; a router that says nothing was most probably cut off.
    pub(super) fn blame_boot(&self, boot: &Boot, since: UnixMs) -> Cause {
        let shortly_before = |at: Option<UnixMs>| at.is_some_and(|at| at <= since && since.0 - at.0 <= POWER_MEMORY_MS);
        let power_was_going = shortly_before(self.battery_at) || shortly_before(self.last_gasp_at);
        let (rung, confidence) = match boot.reason {
            Some(1) => (Rung::Power, 95),
            Some(2..=4) => (Rung::Device, 90),
            _ if power_was_going => (Rung::Power, 95),
            _ if shortly_before(self.stopped_at) => (Rung::Device, 80),
            _ if shortly_before(self.ups_seen_at) => (Rung::Device, 75),
            _ => (Rung::Power, 70),
        };
        Cause { rung, confidence }
    }
}

fn on_battery(metric: Metric, value: i64) -> bool {
    match metric {
        // RFC 1628 upsOutputSource 5 is battery.
        Metric::UpsSource => value == 5,
        _ => value > 0,
    }
}
