//! How fast the uplink may go: full-jitter backoff after failures, and the collector's own pace for the backlog. Pure.

use std::time::Duration;

use rusta_wire::{Answer, Hold, MonoMs};

/// First wait after a failure, at most.
const BACKOFF_FIRST: Duration = Duration::from_secs(2);

/// Longest wait after failures: an agent is back within two reporting intervals of five minutes.
const BACKOFF_MAX: Duration = Duration::from_secs(300);

/// The pace in an answer is for this long.
const PACE_OVER: Duration = Duration::from_secs(60);

/// Waits between failures, each drawn evenly from nothing to a bound that doubles, so that agents that failed together do
/// not come back together.
#[derive(Debug, Clone, Copy, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Counts a failure and returns how long to wait; `random` decides where in the range.
    pub fn failed(&mut self, random: u64) -> Duration {
        let bound = BACKOFF_FIRST.saturating_mul(1 << self.failures.min(16)).min(BACKOFF_MAX);
        self.failures = self.failures.saturating_add(1);
        let bound_ms = u64::try_from(bound.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(random % bound_ms.saturating_add(1))
    }

    /// Forgets the failures.
    pub fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// Returns the failures in a row.
    pub fn failures(&self) -> u32 {
        self.failures
    }
}

/// What may be sent when.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Nothing may be sent before this.
    pub not_before: MonoMs,
    hold: Hold,
    backlog_bytes: u64,
    spent: u64,
    window: MonoMs,
}

impl Pace {
    /// Starts without knowing the collector: fresh data may go, the backlog waits for the first answer.
    pub fn start(now: MonoMs) -> Pace {
        Pace { not_before: now, hold: Hold::None, backlog_bytes: 0, spent: 0, window: now }
    }

    /// Takes in what an answer allows.
    pub fn answered(&mut self, answer: &Answer, now: MonoMs) {
        self.hold = answer.hold;
        self.backlog_bytes = u64::from(answer.backlog_bytes);
        self.not_before = now + Duration::from_millis(u64::from(answer.retry_after_ms));
    }

    /// Waits at least this long before the next upload.
    pub fn wait(&mut self, now: MonoMs, time: Duration) {
        self.not_before = self.not_before.max(now + time);
    }

    /// Returns how many backlog bytes may go now.
    pub fn backlog_allowed(&mut self, now: MonoMs) -> u64 {
        if now.since(self.window) >= PACE_OVER {
            self.window = now;
            self.spent = 0;
        }
        if self.hold == Hold::None { self.backlog_bytes.saturating_sub(self.spent) } else { 0 }
    }

    /// Counts backlog bytes against the pace.
    pub fn sent_backlog(&mut self, bytes: u64) {
        self.spent = self.spent.saturating_add(bytes);
    }

    /// Returns when more backlog may go, once the present allowance is spent.
    pub fn next_window(&self) -> MonoMs {
        self.window + PACE_OVER
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_spread_over_a_doubling_range_with_an_end() {
        let mut backoff = Backoff::default();
        let bounds: Vec<u64> = (0..12).map(|_| backoff.failed(u64::MAX).as_millis() as u64).collect();
        assert!(bounds.iter().all(|b| *b <= 300_000), "{bounds:?}");
        let longest = |failures: u32| (0..2_000).map(|n| Backoff { failures }.failed(n * 7_919 * 131).as_millis()).max().unwrap();
        for (failures, bound) in [(0, 2_000), (1, 4_000), (3, 16_000), (30, 300_000)] {
            assert!((bound * 9 / 10..=bound).contains(&longest(failures)), "{failures} failures: {}", longest(failures));
        }
        let shortest = (0..2_000).map(|n| Backoff { failures: 9 }.failed(n * 7_919 * 131).as_secs()).min().unwrap();
        assert!(shortest < 5);
    }

    #[test]
    fn the_backlog_goes_at_the_collectors_pace_and_waits_when_told() {
        let mut pace = Pace::start(MonoMs(0));
        assert_eq!(pace.backlog_allowed(MonoMs(0)), 0);
        let answer = Answer { backlog_bytes: 1_000, ..Answer::default() };
        pace.answered(&answer, MonoMs(0));
        pace.sent_backlog(700);
        pace.answered(&answer, MonoMs(10));
        assert_eq!(pace.backlog_allowed(MonoMs(20)), 300);
        assert_eq!(pace.backlog_allowed(MonoMs(60_000)), 1_000);
        pace.answered(&Answer { hold: Hold::Backlog, retry_after_ms: 500, ..answer }, MonoMs(60_000));
        assert_eq!((pace.backlog_allowed(MonoMs(60_001)), pace.not_before), (0, MonoMs(60_500)));
    }
}
