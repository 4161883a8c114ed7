//! Tells their silence from ours: when much of the fleet falls quiet at once, the fault is at the collector's end.

use std::collections::VecDeque;

use rusta_wire::UnixMs;

/// More than this share of the fleet quiet within [`WINDOW_MS`] is our own outage (domain's rung 0).
const SHARE: f64 = 0.30;

/// The window in which falling quiet counts as together.
const WINDOW_MS: i64 = 2 * 60_000;

/// Fewer quiet agents than this prove nothing: in a fleet of three, one power cut is a third.
const LEAST: usize = 5;

/// Agents that go on reporting this long through a quiet fleet prove that we listen: then it is a fault of theirs.
const DOUBT_MS: i64 = 15 * 60_000;

/// Watches how many agents fall quiet together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Fleet {
    /// When agents fell quiet, oldest first, within the window.
    fell_quiet: VecDeque<UnixMs>,
    quiet_since: Option<UnixMs>,
}

impl Fleet {
    /// Takes that one more agent fell quiet at `at`; `heard` agents still report. Tells whether the fleet just turned quiet.
    pub(super) fn fell_quiet(&mut self, at: UnixMs, heard: usize) -> Option<(u32, u32)> {
        self.fell_quiet.push_back(at);
        while self.fell_quiet.front().is_some_and(|first| at.0 - first.0 > WINDOW_MS) {
            self.fell_quiet.pop_front();
        }
        let (quiet, fleet) = (self.fell_quiet.len(), self.fell_quiet.len() + heard);
        if self.quiet_since.is_some() || quiet < LEAST || quiet as f64 <= SHARE * fleet as f64 {
            return None;
        }
        self.quiet_since = Some(at);
        Some((u32::try_from(quiet).unwrap_or(u32::MAX), u32::try_from(fleet).unwrap_or(u32::MAX)))
    }

    /// Tells whether a report at `at` ends the doubt: most of the fleet is heard again, or some went on throughout.
    pub(super) fn heard(&mut self, at: UnixMs, heard: usize, silent: usize) -> bool {
        let Some(since) = self.quiet_since else { return false };
        let back = (silent as f64) <= SHARE / 2.0 * (heard + silent) as f64;
        let theirs = at.0 - since.0 >= DOUBT_MS;
        if back || theirs {
            *self = Fleet::default();
        }
        back || theirs
    }

    pub(super) fn quiet_since(&self) -> Option<UnixMs> {
        self.quiet_since
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(s: i64) -> UnixMs {
        UnixMs::from_seconds(s)
    }

    #[test]
    fn a_third_of_a_fleet_at_once_is_us_and_spread_over_an_hour_is_not() {
        let mut fleet = Fleet::default();
        let turned: Vec<i64> = (0..40).filter(|n| fleet.fell_quiet(second(*n), 100 - *n as usize).is_some()).collect();
        assert_eq!(turned, [30], "31 of 101 are more than 30 %");
        let mut slow = Fleet::default();
        assert!((0..40).all(|n| slow.fell_quiet(second(n * 90), 100 - n as usize).is_none()));
    }

    #[test]
    fn few_agents_prove_nothing() {
        let mut fleet = Fleet::default();
        assert_eq!(fleet.fell_quiet(second(0), 2), None);
        assert_eq!(fleet.fell_quiet(second(1), 1), None);
    }

    #[test]
    fn agents_that_go_on_reporting_prove_that_we_listen() {
        let mut fleet = Fleet::default();
        for n in 0..10 {
            fleet.fell_quiet(second(n), 10);
        }
        assert!(fleet.quiet_since().is_some());
        assert!(!fleet.heard(second(60), 10, 10));
        assert!(fleet.heard(second(1000), 10, 10));
        assert_eq!(fleet.quiet_since(), None);
    }
}
