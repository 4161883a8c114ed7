//! Making room: what gives way when the spool, or the memory behind a failing disk, is full.

use rusta_wire::journal::Journal;

use super::{Entry, IN_MEMORY, Spool, thin};

/// What may wait in memory when the disk refuses: hours of one-minute batches, and little beside a router's 64 MB.
pub(super) const MEMORY_BYTES: usize = 64 * 1024;

impl Spool {
    /// Drops the oldest batches in memory until the rest fits its bound.
    pub(super) fn bound_memory(&mut self) {
        while self.memory.values().map(Vec::len).sum::<usize>() > MEMORY_BYTES {
            let Some(oldest) = self.entries.iter().find(|e| e.place.segment == IN_MEMORY).copied() else { return };
            self.drop_entry(&oldest);
        }
    }

    /// Gives up one batch and counts its samples, those a summary stood for one by one.
    pub(super) fn drop_entry(&mut self, entry: &Entry) {
        let samples = self.batch_of(entry).map_or(1, |(batch, table)| thin::rounds_told(&batch, &table));
        self.depth.dropped += samples;
        self.forget(&[self.ticket(entry)]);
    }

    /// Thins, then drops, the oldest until `length` more bytes fit with room to work in.
    pub(super) fn make_room(&mut self, length: usize) {
        let reserve = self.settings.max_bytes / 8;
        let over = |spool: &Spool| {
            let bytes = spool.journal.as_ref().map_or(0, Journal::bytes);
            bytes + u64::try_from(length).unwrap_or(0) + reserve > spool.settings.max_bytes
        };
        if !over(self) {
            return;
        }
        self.free_segments();
        while over(self) && (self.thin(thin::FINE) || self.thin(thin::COARSE) || self.drop_oldest()) {
            self.free_segments();
        }
    }

    fn drop_oldest(&mut self) -> bool {
        let Some(oldest) = self.entries.first().copied() else {
            // Nothing waits: the head itself is the rest. Begin another, so that this one can go.
            return self.journal.as_mut().is_some_and(|journal| journal.head_length() > 0 && journal.rotate().is_ok());
        };
        self.drop_entry(&oldest);
        if self.journal.as_ref().is_some_and(|j| j.full_segments().is_empty() && j.head_length() > self.settings.max_bytes / 2) {
            let _ = self.journal.as_mut().map(Journal::rotate);
        }
        true
    }
}
