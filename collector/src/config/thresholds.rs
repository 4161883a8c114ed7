//! When a state is called what. The defaults are those of the domain; a laboratory uses seconds instead of minutes.

use std::time::Duration;

use crate::inventory::Access;

/// The limits of the state model.
#[derive(Debug, Clone, PartialEq)]
pub struct Thresholds {
    /// How often a target is probed when its series does not say.
    pub cycle: Duration,
    /// Consecutive failures of every anchor before a link can be down.
    pub confirm_rounds: u32,
    /// How long those failures must have lasted.
    pub confirm_time: Duration,
    /// The same for links of class-A sites, whose loss is told within 45 s.
    pub confirm_time_class_a: Duration,
    /// Consecutive successes of one anchor before a link is up again.
    pub recover_rounds: u32,
    /// Length of a quality slot.
    pub slot: Duration,
    /// Bad slots, of [`Thresholds::slot_window`], that make a link degraded.
    pub degraded_slots: u32,
    /// Slots looked back at.
    pub slot_window: u32,
    /// Loss ratio from which a slot is bad.
    pub degraded_loss: f64,
    /// Loss ratio below which a slot is clean.
    pub clean_loss: f64,
    /// RTT p95 from which a slot is bad.
    pub degraded_rtt: RttLimits,
    /// Share of the RTT limit below which a slot is clean.
    pub clean_rtt_ratio: f64,
    /// Clean slots in a row that end degraded.
    pub clean_slots: u32,
    /// More changes than this within [`Thresholds::flap_window`] are flapping.
    pub flap_changes: u32,
    /// The window those changes are counted in.
    pub flap_window: Duration,
    /// Time without change that ends flapping.
    pub flap_stable: Duration,
    /// Reporting intervals after which an agent is late.
    pub late_intervals: u32,
    /// Reporting intervals after which an agent is silent, if [`Thresholds::silent_after`] has passed too.
    pub silent_intervals: u32,
    /// Least time before an agent is silent.
    pub silent_after: Duration,
    /// A sample is evidence for this many intervals of its series.
    pub evidence_intervals: u32,
    /// A sample is evidence for at least this long.
    pub evidence_least: Duration,
    /// Rounds older than this are not told as those of now.
    pub now_max_age: Duration,
}

/// RTT limits by access technology.
#[derive(Debug, Clone, PartialEq)]
pub struct RttLimits {
    /// Mobile and fixed wireless.
    pub lte: Duration,
    /// Fibre, copper and point-to-point radio.
    pub fibre: Duration,
    /// Satellite.
    pub vsat: Duration,
}

impl RttLimits {
    /// Returns the limit for a link; one of unknown technology is judged like mobile.
    pub fn of(&self, access: Option<Access>) -> Duration {
        match access {
            Some(Access::Vsat) => self.vsat,
            Some(Access::FibreGpon | Access::Fibre | Access::Ethernet | Access::Dsl | Access::Radio) => self.fibre,
            Some(Access::Gsm | Access::Umts | Access::Lte | Access::TdLte | Access::Nr) | None => self.lte,
        }
    }
}

impl Default for Thresholds {
    fn default() -> Self {
        const MINUTE: Duration = Duration::from_secs(60);
        Thresholds {
            cycle: MINUTE,
            confirm_rounds: 3,
            confirm_time: Duration::from_secs(90),
            confirm_time_class_a: Duration::from_secs(25),
            recover_rounds: 3,
            slot: 5 * MINUTE,
            degraded_slots: 3,
            slot_window: 5,
            degraded_loss: 0.05,
            clean_loss: 0.02,
            degraded_rtt: RttLimits::default(),
            clean_rtt_ratio: 0.8,
            clean_slots: 3,
            flap_changes: 6,
            flap_window: 30 * MINUTE,
            flap_stable: 30 * MINUTE,
            late_intervals: 2,
            silent_intervals: 3,
            silent_after: 10 * MINUTE,
            evidence_intervals: 2,
            evidence_least: 2 * MINUTE,
            now_max_age: 10 * MINUTE,
        }
    }
}

impl Thresholds {
    /// Returns how long failures must have lasted; class A is never slower than the rest.
    pub fn confirm_time_of(&self, class_a: bool) -> Duration {
        if class_a { self.confirm_time_class_a.min(self.confirm_time) } else { self.confirm_time }
    }
}

impl Default for RttLimits {
    fn default() -> Self {
        RttLimits { lte: Duration::from_millis(600), fibre: Duration::from_millis(300), vsat: Duration::from_millis(900) }
    }
}
