//! Dated records for a sink, read in the log's order. A sink dates for itself, because it may be a week behind the engine.

use std::sync::Arc;

use rusta_wire::UnixMs;
use tokio::sync::watch;

use crate::advance;
use crate::dating::{Contact, Dated, Dating};
use crate::engine::{BootTime, Record, Snapshot};
use crate::log::{Log, Position, Stored};
use crate::store::Store;

/// Reads the log for one sink.
pub struct Reader {
    log: Log,
    dating: Dating,
    snapshots: watch::Receiver<Arc<Snapshot>>,
}

impl Reader {
    /// Starts from what is known of boots.
    ///
    /// # Errors
    /// A state database that cannot be read.
    pub fn open(log: Log, store: &Store, snapshots: watch::Receiver<Arc<Snapshot>>) -> anyhow::Result<Reader> {
        let boots = store.read(advance::boots::load)?;
        Ok(Reader { log, dating: Dating::load(boots), snapshots })
    }

    /// Reads up to `max` records after a position; the position returned is that of the last one looked at. Records whose
    /// site left the registry, or whose bytes were damaged at rest, are passed over.
    ///
    /// # Errors
    /// A log that cannot be read.
    pub fn read(&mut self, after: Position, max: usize) -> anyhow::Result<Option<(Position, Vec<Record>)>> {
        let stored = self.log.read_from(after, max)?;
        let Some(last) = stored.last().map(|stored| stored.position) else { return Ok(None) };
        Ok(Some((last, stored.iter().filter_map(|stored| self.record(stored)).collect())))
    }

    fn record(&mut self, stored: &Stored) -> Option<Record> {
        let site = self.snapshots.borrow().inventory.site_by_code(&stored.site_code)?;
        let (head, received_at) = (&stored.head, stored.received_at);
        self.dating.observe(&Contact { head, site_code: &stored.site_code, received_at, live_offset_ms: stored.live_offset_ms });
        let boot = match self.dating.date(head, received_at) {
            Dated::At { offset_ms, error_ms } => Some(BootTime { at: UnixMs(offset_ms), error_ms }),
            Dated::Unknown { .. } => None,
        };
        Some(Record { position: stored.position, received_at, site, boot, batch: stored.batch().ok()?, table: Arc::clone(&stored.table) })
    }
}
