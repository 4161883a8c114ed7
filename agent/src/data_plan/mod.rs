//! The SIM is metered: what a link's plan has left, and what the agent may still do.
//!
//! ```text
//! interface counters --> used ---+                     stage 0 everything
//! probes and reports --> own  ---+--> stage, allows    stage 1 no throughput tests
//! calendar           --> cycle --+                     stage 2 rounds four times rarer, reports twice
//!                                                      stage 3 nearest anchors only, reports five times rarer
//!                                                      stage 4 heartbeat: one report an hour
//! ```
//!
//! Invariant: `own` never passes the agent's share and the agent never pushes `used` past the plan, under any sequence of
//! power cuts: own bytes are written to disk as a reservation before they are spent, so a cut can only count too much.

pub mod cycle;

use std::collections::BTreeMap;
use std::path::Path;

use rusta_wire::{BootId, UnixMs};
use serde::{Deserialize, Serialize};

use crate::config::Plan;
use crate::files;

/// How much own use is written to disk ahead of being spent. A month's share is 120 such writes.
const RESERVE: u64 = 256 * 1024;

/// What of the agent's share only a heartbeat may spend: an hourly report over a month, reconnects included.
const HEARTBEAT_SHARE_PCT: u64 = 10;

/// What a reconnect and a report may cost on the IP layer.
pub const REPORT_COST: u64 = 6_000;

/// What the agent wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spending {
    /// A throughput test.
    Throughput,
    /// A round of any other probe; the flag is whether its target is the link's nearest anchor.
    Round {
        /// The nearest anchor is probed longest.
        nearest: bool,
    },
    /// A report of fresh data, or backlog.
    Report,
    /// The hourly sign of life of stage 4.
    Heartbeat,
}

/// The use of one link's plan in its present cycle.
#[derive(Debug, Clone)]
pub struct DataPlan {
    plan: Plan,
    kept: Kept,
    boot: BootId,
    /// Own bytes spent; at most `kept.own_reserved`.
    own: u64,
    /// Where in the cycle we are, from 0 to 1; 0 while no clock is known, which is the careful guess.
    progress: f64,
    /// The local day `progress` is of.
    day: i64,
    unsaved: bool,
}

/// What survives a power cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Kept {
    /// First local day of the cycle; 0 before a clock was known.
    cycle: i64,
    /// Bytes the interface moved in the cycle.
    used: u64,
    /// Own bytes, rounded up to what was reserved.
    own_reserved: u64,
    /// The interface's counter when last read, and in which boot.
    counter: u64,
    boot: u64,
}

/// A plan's use, for `status` and the agent's samples.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Use {
    /// Bytes everybody used in this cycle.
    pub used_bytes: u64,
    /// Of those, the agent's own.
    pub own_bytes: u64,
    /// The plan.
    pub limit_bytes: u64,
    /// The agent's share.
    pub own_limit_bytes: u64,
    /// The degradation, 0 to 4.
    pub stage: u8,
    /// What everybody will have used at the end of the cycle at this rate; `None` while the cycle is too young to tell.
    pub forecast_bytes: Option<u64>,
}

impl DataPlan {
    /// Begins with what was kept from before.
    pub fn start(plan: Plan, kept: Kept, boot: BootId) -> DataPlan {
        DataPlan { plan, kept, boot, own: kept.own_reserved, progress: 0.0, day: 0, unsaved: false }
    }

    /// Moves on to `now`; a new cycle begins at zero. Call it only with a time that is known.
    pub fn advance(&mut self, now: UnixMs) {
        let day = cycle::local_day(now);
        if day == self.day {
            return;
        }
        self.day = day;
        let start = cycle::start_of(day, self.plan.cycle_day, self.plan.calendar);
        let end = cycle::end_of(day, self.plan.cycle_day, self.plan.calendar);
        if start > self.kept.cycle {
            // Use from before any clock was known belongs to this cycle.
            if self.kept.cycle != 0 {
                (self.own, self.kept.used, self.kept.own_reserved) = (0, 0, 0);
            }
            self.kept.cycle = start;
            self.unsaved = true;
        }
        let begins_s = self.kept.cycle * 86_400;
        let length_s = (end - self.kept.cycle).max(1) * 86_400;
        let gone_s = (day * 86_400 - begins_s).clamp(0, length_s);
        self.progress = gone_s as f64 / length_s as f64;
    }

    /// Takes in the interface's counter of bytes both ways. It starts again when the interface or the router does.
    pub fn counted(&mut self, counter: u64) {
        let same_life = self.kept.boot == self.boot.0 && counter >= self.kept.counter;
        let moved = if same_life { counter - self.kept.counter } else { counter };
        self.kept.used = self.kept.used.saturating_add(moved);
        (self.kept.counter, self.kept.boot) = (counter, self.boot.0);
    }

    /// Counts own bytes that were moved.
    pub fn spent(&mut self, bytes: u64) {
        self.own = self.own.saturating_add(bytes);
        self.reserve(0);
    }

    /// Tells whether something of at most `bytes` may be done, and reserves them.
    pub fn allows(&mut self, spending: Spending, bytes: u64) -> bool {
        let share = match spending {
            Spending::Heartbeat => self.plan.own_bytes,
            _ => self.plan.own_bytes / 100 * (100 - HEARTBEAT_SHARE_PCT),
        };
        let stage_allows = match spending {
            Spending::Throughput => self.stage() < 1,
            Spending::Round { nearest } => self.stage() < 3 || nearest && self.stage() < 4,
            Spending::Report => self.stage() < 4,
            Spending::Heartbeat => true,
        };
        let fits = self.own.saturating_add(bytes) <= share && self.kept.used.max(self.own).saturating_add(bytes) <= self.plan.bytes;
        if stage_allows && fits {
            self.reserve(bytes);
        }
        stage_allows && fits
    }

    fn reserve(&mut self, bytes: u64) {
        let wanted = self.own.saturating_add(bytes);
        if wanted > self.kept.own_reserved {
            self.kept.own_reserved = (wanted + RESERVE).min(self.plan.own_bytes).max(wanted);
            self.unsaved = true;
        }
    }

    /// Returns the degradation, 0 to 4, as published with `plan_stage`.
    pub fn stage(&self) -> u8 {
        let used = ratio(self.kept.used, self.plan.bytes);
        let own = ratio(self.own, self.plan.own_bytes);
        // A tenth of the share may be spent ahead of time: enrolment, a first table, a bad day.
        let on_time = own / (0.1 + 0.9 * self.progress);
        let by_total = [0.80, 0.90, 0.95, 0.98].iter().filter(|limit| used >= **limit).count();
        let by_pace = [0.95, 1.00, 1.20].iter().filter(|limit| on_time >= **limit).count();
        let by_end = if own >= 0.90 { 4 } else { 0 };
        u8::try_from(by_total.max(by_pace).max(by_end)).unwrap_or(4)
    }

    /// Returns how many times rarer rounds are.
    pub fn round_factor(&self) -> u32 {
        [1, 1, 4, 8, 60][usize::from(self.stage())]
    }

    /// Returns how many times rarer reports are.
    pub fn report_factor(&self) -> u32 {
        [1, 1, 2, 5, 60][usize::from(self.stage())]
    }

    /// Returns the use.
    pub fn usage(&self) -> Use {
        let forecast = (self.progress > 0.05).then(|| (self.kept.used as f64 / self.progress) as u64);
        Use {
            used_bytes: self.kept.used.max(self.own),
            own_bytes: self.own,
            limit_bytes: self.plan.bytes,
            own_limit_bytes: self.plan.own_bytes,
            stage: self.stage(),
            forecast_bytes: forecast,
        }
    }

    /// Takes what must be on disk before more is spent, if anything changed.
    pub fn take_unsaved(&mut self) -> bool {
        std::mem::take(&mut self.unsaved)
    }

    /// Returns what survives a power cut.
    pub fn kept(&self) -> Kept {
        self.kept
    }

    /// Returns what survives an orderly stop: no more than was really spent.
    pub fn kept_at_rest(&self) -> Kept {
        Kept { own_reserved: self.own, ..self.kept }
    }
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 1.0 } else { part as f64 / whole as f64 }
}

/// Reads what was kept of every link; a damaged file counts as none.
pub fn load(path: &Path) -> BTreeMap<String, Kept> {
    std::fs::read(path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
}

/// Writes what is to be kept of every link.
///
/// # Errors
/// The disk refused.
pub fn save(path: &Path, kept: &BTreeMap<String, Kept>) -> std::io::Result<()> {
    files::replace(path, &serde_json::to_vec(kept)?, 0o600)
}

/// Reads an interface's counter of bytes both ways; `None` while it is not there.
pub fn interface_bytes(interface: &str) -> Option<u64> {
    let read = |name: &str| {
        let path = format!("/sys/class/net/{interface}/statistics/{name}");
        std::fs::read_to_string(path).ok()?.trim().parse::<u64>().ok()
    };
    Some(read("rx_bytes")?.saturating_add(read("tx_bytes")?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Calendar;
    use std::time::Duration;

    const START: UnixMs = UnixMs(1_795_000_000_000);

    fn plan(bytes: u64, own_bytes: u64) -> Plan {
        Plan { bytes, own_bytes, cycle_day: 1, calendar: Calendar::Jalali }
    }

    fn fresh(bytes: u64, own_bytes: u64) -> DataPlan {
        DataPlan::start(plan(bytes, own_bytes), Kept::default(), BootId(1))
    }

    #[test]
    fn counters_that_start_again_are_counted_from_zero() {
        let mut plan = fresh(1_000_000, 100_000);
        plan.counted(500);
        plan.counted(700);
        plan.counted(100);
        assert_eq!(plan.kept().used, 800);
        let mut next = DataPlan::start(self::plan(1_000_000, 100_000), plan.kept(), BootId(2));
        next.counted(150);
        assert_eq!(next.kept().used, 950);
    }

    #[test]
    fn degradation_follows_the_published_order() {
        let mut data = fresh(1_000, 1_000_000);
        let mut stages = Vec::new();
        for used in [0, 790, 800, 900, 950, 980] {
            data.counted(used);
            stages.push(data.stage());
        }
        assert_eq!(stages, [0, 0, 1, 2, 3, 4]);
        assert!(!data.allows(Spending::Report, 1));
        let mut data = fresh(1_000_000_000, 1_000_000);
        data.advance(START);
        assert!(data.allows(Spending::Throughput, 10));
        data.spent(900_000);
        assert_eq!(data.stage(), 4);
        assert!(data.allows(Spending::Heartbeat, 6_000) && !data.allows(Spending::Round { nearest: true }, 84));
    }

    #[test]
    fn a_power_cut_counts_too_much_rather_than_too_little() {
        let mut data = fresh(1 << 30, 30_000_000);
        assert!(data.allows(Spending::Report, 6_000));
        data.spent(6_000);
        assert!(data.take_unsaved());
        let after = DataPlan::start(plan(1 << 30, 30_000_000), data.kept(), BootId(2));
        assert!(after.own >= data.own);
        let after = DataPlan::start(plan(1 << 30, 30_000_000), data.kept_at_rest(), BootId(2));
        assert_eq!(after.own, data.own);
    }

    #[test]
    fn a_cycle_ends_and_the_next_begins_at_zero() {
        let mut data = fresh(1 << 30, 1_000_000);
        data.spent(400_000);
        data.advance(START);
        assert_eq!(data.own, 400_000, "use from before the clock belongs to the first cycle");
        data.advance(START + Duration::from_secs(40 * 86_400));
        assert_eq!((data.own, data.kept().used), (0, 0));
    }

    /// One simulated month a seed: probes, reports, reconnect storms, other users, power cuts, lost clocks.
    #[test]
    fn a_month_never_passes_its_cap_under_any_seed() {
        for seed in 1..=24u64 {
            let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let mut random = move |below: u64| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state % below
            };
            let limits = plan(100_000_000 + random(3_000_000_000), 5_000_000 + random(30_000_000));
            let mut saved = Kept::default();
            let mut data = DataPlan::start(limits, saved, BootId(0));
            let (mut truly_own, mut counter, mut boot, mut cycle) = (0u64, 0u64, 0u64, None);
            let stormy = random(4) == 0;
            for minute in 0..(35 * 1440u64) {
                let now = START + Duration::from_secs(minute * 60);
                let clock_known = !(boot % 3 == 2 && minute % 1440 < 300);
                if clock_known {
                    data.advance(now);
                    if cycle != Some(data.kept.cycle) && cycle.is_some() {
                        (truly_own, counter) = (0, counter);
                    }
                    cycle = Some(data.kept.cycle);
                }
                counter += random(limits.bytes / 40_000);
                data.counted(counter);
                let mut spend = |data: &mut DataPlan, spending, bytes: u64, actual: u64, counter: &mut u64| {
                    let before = data.kept.used;
                    if data.allows(spending, bytes) {
                        assert!(before + bytes <= limits.bytes, "seed {seed}: pushed past the plan");
                        if data.take_unsaved() {
                            saved = data.kept();
                        }
                        truly_own += actual;
                        *counter += actual;
                        data.spent(actual);
                    }
                };
                let rounds = if stormy { 30 } else { 4 };
                for round in 0..rounds {
                    let actual = 56 + random(28);
                    spend(&mut data, Spending::Round { nearest: round == 0 }, 84, actual, &mut counter);
                }
                let reconnects = if stormy { random(4) } else { u64::from(random(200) == 0) };
                for _ in 0..=reconnects {
                    let actual = 300 + random(REPORT_COST - 300);
                    spend(&mut data, Spending::Report, REPORT_COST, actual, &mut counter);
                }
                if minute % 60 == 0 {
                    spend(&mut data, Spending::Heartbeat, REPORT_COST, 400, &mut counter);
                }
                assert!(truly_own <= limits.own_bytes, "seed {seed}: {truly_own} of {} at minute {minute}", limits.own_bytes);
                if random(3_000) == 0 {
                    boot += 1;
                    counter = 0;
                    data = DataPlan::start(limits, saved, BootId(boot));
                }
            }
        }
    }
}
