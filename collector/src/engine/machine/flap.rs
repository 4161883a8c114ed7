//! Flapping: a link that changes too often to be called up or down.

use std::collections::VecDeque;

use rusta_wire::UnixMs;

use super::reach::millis;
use crate::config::Thresholds;
use crate::engine::state::LinkState;

/// Counts changes between carrying and down. History does not look at it: it counts the raw seconds.
#[derive(Debug, Clone, Default)]
pub struct Flap {
    changes: VecDeque<UnixMs>,
    since: Option<UnixMs>,
}

impl Flap {
    /// Takes a change.
    pub fn observe(&mut self, at: UnixMs, from: LinkState, to: LinkState, thresholds: &Thresholds) {
        let down = |state| state == LinkState::Down;
        let known = |state| matches!(state, LinkState::Up | LinkState::Degraded | LinkState::Down);
        if !known(from) || !known(to) || down(from) == down(to) {
            return;
        }
        self.changes.push_back(at);
        while self.changes.front().is_some_and(|first| first.0 <= at.0 - millis(thresholds.flap_window)) {
            self.changes.pop_front();
        }
        if self.since.is_none() && self.changes.len() > thresholds.flap_changes as usize {
            self.since = Some(at);
        }
    }

    /// Ends flapping if nothing changed for long enough at `at`.
    pub fn settle(&mut self, at: UnixMs, thresholds: &Thresholds) {
        if self.ends_at(thresholds).is_some_and(|end| end <= at) {
            *self = Flap::default();
        }
    }

    /// Returns when flapping ends if nothing changes; `None` if the link is not flapping.
    pub fn ends_at(&self, thresholds: &Thresholds) -> Option<UnixMs> {
        self.since?;
        self.changes.back().map(|last| UnixMs(last.0 + millis(thresholds.flap_stable)))
    }

    /// Returns since when the link flaps.
    pub fn since(&self) -> Option<UnixMs> {
        self.since
    }

    /// Returns the changes counted.
    pub fn changes(&self) -> impl Iterator<Item = UnixMs> + '_ {
        self.changes.iter().copied()
    }

    /// Rebuilds what [`Flap::changes`] and [`Flap::since`] told.
    pub fn restore(changes: impl IntoIterator<Item = UnixMs>, since: Option<UnixMs>) -> Self {
        Flap { changes: changes.into_iter().collect(), since }
    }
}
