//! Has the present of sites judged again of which something was heard late, from what the log holds of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use rusta_wire::UnixMs;

use super::{Advance, AdvanceError};
use crate::engine::{BootTime, Record};
use crate::inventory::SiteId;

/// Frames read of one site: three hours of a village are 8 kB, of a core that looks at a province some megabytes.
const FRAME_BYTES: usize = 8 << 20;

impl Advance {
    /// Judges them all, each once. Vantages look at many of them, so what one saw is read once.
    pub(super) fn judge_late(&mut self) -> Result<(), AdvanceError> {
        let mut read: BTreeMap<SiteId, Vec<Record>> = BTreeMap::new();
        for site in self.engine.take_late() {
            let from = self.engine.seen_from(site);
            for one in &from {
                if !read.contains_key(one) {
                    read.insert(*one, self.seen_at(*one)?);
                }
            }
            let records: Vec<&Record> = from.iter().filter_map(|one| read.get(one)).flatten().collect();
            let events = self.engine.judge_again(site, &records);
            self.take(&events);
            // Others than vantages are wanted once.
            read.remove(&site);
        }
        Ok(())
    }

    /// Reads what a site's agents saw lately, as far as it was applied.
    fn seen_at(&self, site: SiteId) -> Result<Vec<Record>, AdvanceError> {
        let (from, until) = (self.engine.judged_from(), self.engine.now());
        let code = &self.engine.inventory().site(site).code;
        let mut records = Vec::new();
        for stored in self.log.site_range(code, &self.dating.ranges(code, from, until), FRAME_BYTES)? {
            let Some((offset_ms, error_ms)) = self.dating.offset(&stored.head, stored.received_at) else { continue };
            let boot = BootTime { at: UnixMs(offset_ms), error_ms };
            if stored.position > self.cursor || boot.date(stored.head.until) < from {
                continue;
            }
            // A damaged one was told of when it was read first.
            if let Ok(batch) = stored.batch() {
                let (table, received_at) = (Arc::clone(&stored.table), stored.received_at);
                records.push(Record { position: stored.position, received_at, site, boot: Some(boot), batch, table });
            }
        }
        Ok(records)
    }
}
