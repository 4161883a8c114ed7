//! What a site's agents reported of a day: how much of it, how soon, and by which clock.
//!
//! Batches are merged in the spool and cut short by events, so what counts is the time they cover, not their number.

use std::collections::BTreeMap;

use rusta_wire::{Batch, ClockSource, Reason, Samples, UnixMs};

use super::histogram::Histogram;
use super::values::{Place, place};
use crate::engine::BootTime;

/// A report is on time if it arrives this soon after its end (`kpis.md`).
const ON_TIME_MS: i64 = 600_000;

/// An interval outside of this is a fault of the agent's clock or configuration, not a promise.
const INTERVAL_S: std::ops::RangeInclusive<i64> = 1..=3_600;

/// What was learnt of a site later than in time: unknown while it happened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Late {
    /// Seconds that turned out up, degraded or down.
    pub known_s: u64,
    /// Of those, down.
    pub down_s: u64,
    /// Days of sites with any.
    pub days: u64,
}

impl Late {
    /// Makes what was learnt of one day of one site.
    pub fn of_day(known_s: u64, down_s: u64) -> Late {
        Late { known_s, down_s, days: u64::from(known_s > 0) }
    }
}

impl std::ops::AddAssign for Late {
    fn add_assign(&mut self, other: Late) {
        self.known_s += other.known_s;
        self.down_s += other.down_s;
        self.days += other.days;
    }
}

/// Reports of some stretch of time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reports {
    /// Time covered by reports that arrived, however late.
    pub covered_ms: u64,
    /// Of that, by reports that arrived within ten minutes.
    pub on_time_ms: u64,
    /// From a report's end to its arrival, seconds.
    pub lag_s: Histogram,
    /// The agent's clock minus true time, milliseconds.
    pub skew_ms: Histogram,
    /// What was learnt late; of whole days only.
    pub late: Late,
}

/// A day's reports, by the slot they end in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DayReports {
    /// The reporting interval most of them show, seconds; 0 if none does.
    pub interval_s: u32,
    /// By slot.
    pub slots: BTreeMap<Place, Reports>,
    /// What reports cover that were not on time, in no order.
    pub late: Vec<(UnixMs, UnixMs)>,
}

impl Reports {
    /// Adds other reports.
    pub fn add(&mut self, other: &Reports) {
        self.covered_ms = self.covered_ms.saturating_add(other.covered_ms);
        self.on_time_ms = self.on_time_ms.saturating_add(other.on_time_ms);
        self.lag_s.merge(&other.lag_s);
        self.skew_ms.merge(&other.skew_ms);
        self.late += other.late;
    }
}

/// One report and when it arrived.
pub(super) struct Arrived<'a> {
    pub(super) boot: BootTime,
    pub(super) batch: &'a Batch<Samples>,
    pub(super) received_at: UnixMs,
}

/// Counts the reports that end inside `[from, until)`, and lists what of it was told late.
pub(super) fn count<'a>(arrived: impl Iterator<Item = Arrived<'a>>, (from, until): (UnixMs, UnixMs)) -> DayReports {
    let mut day = DayReports::default();
    let mut intervals: BTreeMap<i64, u32> = BTreeMap::new();
    for one in arrived {
        let (began_at, ended_at) = (one.boot.date(one.batch.from), one.boot.date(one.batch.until));
        let lag_ms = (one.received_at.0 - ended_at.0).max(0);
        // What a report tells late of a day is learnt late, whichever day it ends in.
        let of_day = (began_at.max(from), ended_at.min(until));
        if lag_ms > ON_TIME_MS && of_day.0 < of_day.1 {
            day.late.push(of_day);
        }
        if ended_at < from || ended_at >= until {
            continue;
        }
        let covered = one.batch.until.0.saturating_sub(one.batch.from.0);
        let slot = day.slots.entry(place(from, ended_at)).or_default();
        slot.covered_ms += covered;
        slot.on_time_ms += if lag_ms <= ON_TIME_MS { covered } else { 0 };
        slot.lag_s.add(lag_ms / 1000);
        if one.batch.clock.source > ClockSource::Persisted {
            slot.skew_ms.add(one.batch.clock.unix.0.saturating_sub(ended_at.0));
        }
        // Only whole intervals tell how long they are; a change of state closes one early, the spool joins several.
        let seconds = i64::try_from(covered / 1000).unwrap_or(i64::MAX);
        if one.batch.reason == Reason::Interval && one.batch.covers == 1 && INTERVAL_S.contains(&seconds) {
            *intervals.entry(seconds).or_default() += 1;
        }
    }
    let usual = intervals.into_iter().max_by_key(|(seconds, count)| (*count, *seconds));
    day.interval_s = usual.and_then(|(seconds, _)| u32::try_from(seconds).ok()).unwrap_or(0);
    day
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::testing::{Agent, second};

    #[test]
    fn what_a_late_report_tells_of_two_days_is_learnt_late_on_both() {
        let mut agent = Agent::village(1, "V0");
        let batch = agent.batch(600, true);
        let batch = batch.with_samples(batch.samples.iter().map(rusta_wire::SampleRef::from).collect());
        let arrived = || Arrived { boot: BootTime { at: second(0), error_ms: 0 }, batch: &batch, received_at: second(9_000) };
        // It covers 540 s to 600 s, and midnight lies between.
        let before = count([arrived()].into_iter(), (second(0), second(570)));
        let after = count([arrived()].into_iter(), (second(570), second(1_000)));
        assert_eq!((before.late, before.slots.len()), (vec![(second(540), second(570))], 0), "it is a report of the day it ends in");
        assert_eq!((after.late, after.slots.len()), (vec![(second(570), second(600))], 1));
    }
}
