//! The pace of the fleet: fresh data always, backlog as there is room.
//!
//! After a long outage of the collector every agent comes back at once with hours of backlog. What is fresh must not
//! stand behind it, so each answer says how much backlog its agent may send in the next minute: the fleet's rate shared
//! among the agents that have any. When uploads wait for the disk, backlog waits altogether; when too many wait, the
//! rest is told to come back later, each at its own moment.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rusta_wire::{AgentId, Hold, UnixMs};

/// Uploads under way from which on backlog waits.
const BUSY: usize = 1_024;

/// Uploads under way from which on everything waits; the log's queue is a little longer.
const FULL: usize = 3_072;

/// Least backlog granted: a few batches, or the agent never ends.
const LEAST_BYTES: u64 = 4 * 1024;

/// Most backlog granted to one agent in a minute.
const MOST_BYTES: u64 = 4 << 20;

/// How long a refused agent waits at least; the splay doubles it at most.
const COME_BACK: Duration = Duration::from_secs(10);

/// How long one waits at least when the log cannot be written.
const COME_BACK_BROKEN: Duration = Duration::from_secs(30);

/// The fleet's pace.
pub struct Admission {
    bytes_per_minute: u64,
    under_way: AtomicUsize,
    backlog: Mutex<Backlog>,
}

/// How many uploads of backlog came, this minute and the one before.
#[derive(Default)]
struct Backlog {
    minute: i64,
    now: usize,
    before: usize,
}

/// What an answer says about pace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Backlog it may send in the next minute.
    pub backlog_bytes: u32,
    /// What waits altogether.
    pub hold: Hold,
}

/// An upload under way, until it is dropped.
pub struct UnderWay<'a>(&'a AtomicUsize);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Admission {
    /// Begins with nobody under way.
    pub fn new(bytes_per_minute: u64) -> Self {
        Admission { bytes_per_minute, under_way: AtomicUsize::new(0), backlog: Mutex::default() }
    }

    /// Admits an upload; `None` when too many are under way.
    pub fn enter(&self) -> Option<UnderWay<'_>> {
        let before = self.under_way.fetch_add(1, Ordering::Relaxed);
        let entered = UnderWay(&self.under_way);
        (before < FULL).then_some(entered)
    }

    /// Says at what pace an agent may go on; `backlog` if it just sent some, `can_keep` if what is made of it can be kept.
    pub fn pace(&self, backlog: bool, can_keep: bool, now: UnixMs) -> Pace {
        let shares = self.shares(backlog, now.0.div_euclid(60_000));
        let share = (self.bytes_per_minute / shares.max(1) as u64).clamp(LEAST_BYTES, MOST_BYTES);
        match self.under_way.load(Ordering::Relaxed) {
            n if n > BUSY || !can_keep => Pace { backlog_bytes: 0, hold: Hold::Backlog },
            _ => Pace { backlog_bytes: u32::try_from(share).unwrap_or(u32::MAX), hold: Hold::None },
        }
    }

    fn shares(&self, one_more: bool, minute: i64) -> usize {
        let mut backlog = self.backlog.lock().unwrap_or_else(PoisonError::into_inner);
        if backlog.minute != minute {
            let followed = backlog.minute + 1 == minute;
            *backlog = Backlog { minute, now: 0, before: if followed { backlog.now } else { 0 } };
        }
        backlog.now += usize::from(one_more);
        backlog.now.max(backlog.before)
    }
}

/// Says after how many milliseconds an agent that found no room comes back: its id spreads it over as long again.
pub fn come_back(agent: AgentId, broken: bool, now: UnixMs) -> u32 {
    let base = if broken { COME_BACK_BROKEN } else { COME_BACK };
    let base_ms = u64::try_from(base.as_millis()).unwrap_or(u64::MAX);
    // Mixed with the minute, so that nobody is last every time (Fibonacci hashing).
    let mixed = (agent.0 ^ now.0.div_euclid(60_000).cast_unsigned()).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    u32::try_from(base_ms + (mixed >> 32) % base_ms).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMs = UnixMs(1_795_251_600_000);

    #[test]
    fn backlog_is_shared_among_those_who_have_some() {
        let admission = Admission::new(100 << 20);
        assert_eq!(admission.pace(true, true, NOW).backlog_bytes, 4 << 20, "one agent gets the most one may have");
        let last = (0..1_000).map(|_| admission.pace(true, true, NOW)).last().unwrap();
        assert!((90_000..=120_000).contains(&last.backlog_bytes), "{last:?}");
        let later = admission.pace(false, true, UnixMs(NOW.0 + 60_000));
        assert!(later.backlog_bytes <= 120_000, "the minute before is remembered: {later:?}");
    }

    #[test]
    fn backlog_waits_while_many_are_under_way_and_all_wait_when_full() {
        let admission = Admission::new(1 << 20);
        let under_way: Vec<_> = (0..FULL).map_while(|_| admission.enter()).collect();
        assert_eq!(under_way.len(), FULL);
        assert!(admission.enter().is_none());
        assert_eq!(admission.pace(false, true, NOW).hold, Hold::Backlog);
        drop(under_way);
        assert!(admission.enter().is_some());
        assert_eq!(admission.pace(false, true, NOW).hold, Hold::None);
    }

    #[test]
    fn those_who_come_back_are_spread() {
        let mut waits: Vec<u32> = (0..1_000).map(|n| come_back(AgentId(n), false, NOW)).collect();
        waits.sort_unstable();
        assert!(waits[0] >= 10_000 && waits[999] < 20_000);
        assert!(waits.chunks(100).all(|tenth| tenth[99] - tenth[0] < 1_500), "the splay has holes");
    }
}
