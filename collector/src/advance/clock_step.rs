//! What the loop does when the machine's clock is set, so that nobody has to notice and restart it.
//!
//! Ahead (also a machine that slept): the collector did not listen in between, so the silence of that time proves nothing
//! about agents; evidence ages by the clock as it is. Back: everything judged under the time ahead is judged again from the
//! log, as after a restart, and nothing that is known counts as seen after the present.

use std::collections::BTreeSet;
use std::time::Duration;

use rusta_wire::UnixMs;

use super::{Advance, AdvanceError, STEP_MS};
use crate::engine::Record;

impl Advance {
    /// Takes that `passed` went by since the last step, of which the clock may tell another story.
    pub(super) fn notice_jump(&mut self, now: UnixMs, passed: Duration) {
        let passed_ms = i64::try_from(passed.as_millis()).unwrap_or(i64::MAX);
        let jump_ms = now.0.saturating_sub(self.clock_at.0).saturating_sub(passed_ms);
        if jump_ms > STEP_MS {
            tracing::warn!(
                ahead_s = jump_ms / 1_000,
                "the clock was set ahead, or the machine slept; the silence of that time counts for nobody"
            );
            let events = self.engine.listen_from(now);
            self.take(&events);
        }
    }

    /// Puts the engine's time back to the clock's.
    pub(super) fn set_back(&mut self, now: UnixMs) -> Result<(), AdvanceError> {
        let back_s = (self.engine.now().0 - now.0) / 1_000;
        tracing::warn!(back_s, "the clock was set back; the present is judged again from the log");
        self.keep(now)?;
        (self.marked_at, self.published_at) = (UnixMs(0), UnixMs(0));
        self.restore(&BTreeSet::new(), now)
    }

    /// Returns a record as received by now at the latest.
    pub(super) fn not_ahead(&self, record: Record) -> Record {
        let is_ahead = record.received_at.0 > self.clock_at.0 + STEP_MS;
        Record { received_at: if is_ahead { self.clock_at } else { record.received_at }, ..record }
    }
}
