//! A record: one batch out of the log, dated and addressed, as the engine takes it.

use std::sync::Arc;

use rusta_wire::{Batch, MonoMs, SeriesTable, UnixMs};

use crate::inventory::SiteId;
use crate::log::Position;

/// When a boot's monotonic clock stood at zero, as far as is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BootTime {
    /// Unix time at monotonic zero. Every sample of the boot is dated by adding its monotonic time.
    pub at: UnixMs,
    /// Bound of the error.
    pub error_ms: u32,
}

impl BootTime {
    /// Dates a monotonic time of this boot.
    pub fn date(self, at: MonoMs) -> UnixMs {
        UnixMs(self.at.0.saturating_add(i64::try_from(at.0).unwrap_or(i64::MAX)))
    }
}

/// One batch as received.
#[derive(Debug, Clone)]
pub struct Record {
    /// Its place in the log; the order in which records are applied.
    pub position: Position,
    /// When the collector had it on disk.
    pub received_at: UnixMs,
    /// The site its agent speaks for.
    pub site: SiteId,
    /// `None` when nobody knows when the boot was: such a batch proves that the agent speaks, nothing else.
    pub boot: Option<BootTime>,
    /// What the agent saw.
    pub batch: Batch,
    /// What the batch's series are called.
    pub table: Arc<SeriesTable>,
}
