//! Dated records for a sink, read in the log's order. A sink dates for itself, because it may be a week behind the engine.

use std::sync::Arc;

use rusta_wire::UnixMs;
use tokio::sync::watch;

use crate::advance;
use crate::dating::{Contact, Dating, Reach};
use crate::engine::{BootTime, Record, Snapshot};
use crate::log::{Log, Position, Stored};
use crate::store::Store;

/// Samples and values decoded at once, so that a read of the largest batches is no larger than one of many small ones.
const VALUES_A_READ: usize = 100_000;

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
        let dating = Dating::load(boots).reaching(Reach::of_days(log.retention_days()));
        Ok(Reader { log, dating, snapshots })
    }

    /// Reads up to `max` records after a position; the position returned is that of the last one looked at. Records whose
    /// site left the registry, or whose bytes were damaged at rest, are passed over.
    ///
    /// # Errors
    /// A log that cannot be read.
    pub fn read(&mut self, after: Position, max: usize) -> anyhow::Result<Option<(Position, Vec<Record>)>> {
        let stored = self.log.read_from(after, max)?;
        let (mut last, mut records, mut values) = (None, Vec::new(), 0);
        for stored in &stored {
            last = Some(stored.position);
            let Some(record) = self.record(stored) else { continue };
            values += record.batch.samples.iter().map(|sample| 1 + sample.values.len()).sum::<usize>();
            records.push(record);
            if values >= VALUES_A_READ {
                break;
            }
        }
        Ok(last.map(|last| (last, records)))
    }

    fn record(&mut self, stored: &Stored) -> Option<Record> {
        let site = self.snapshots.borrow().inventory.site_by_code(&stored.site_code)?;
        let (head, received_at) = (&stored.head, stored.received_at);
        self.dating.observe(&Contact { head, site_code: &stored.site_code, received_at, live_offset_ms: stored.live_offset_ms });
        let boot = self.dating.offset(head, received_at).map(|(offset_ms, error_ms)| BootTime { at: UnixMs(offset_ms), error_ms });
        Some(Record { position: stored.position, received_at, site, boot, batch: stored.batch().ok()?, table: Arc::clone(&stored.table) })
    }
}
