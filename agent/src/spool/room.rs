//! Making room: what gives way when the spool, or the memory behind a failing disk, is full.
//!
//! ```text
//! disk full, little waits:  the oldest segment is cleaned: what waits in it goes to the head, the segment goes
//! much waits:               the oldest batches are merged; nothing to merge: the oldest is dropped
//! ```

use rusta_wire::Frame;
use rusta_wire::journal::{Journal, Place};

use super::{Entry, IN_MEMORY, Spool, mark, thin};

/// What may wait in memory when the disk refuses: hours of one-minute batches, and little beside a router's 64 MB.
pub(super) const MEMORY_BYTES: usize = 64 * 1024;

/// Runs looked at with each batch while there is no hurry: merging is spread over many batches.
const RUNS_AT_REST: u32 = 4;

/// What an attempt to make room came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gain {
    /// There is more room.
    Some,
    /// There is nothing to gain this way.
    None,
    /// The disk takes nothing.
    Refused,
}

impl Spool {
    /// Gives up one batch and counts its samples, those a summary stood for one by one; one that cannot be read is lost.
    pub(super) fn drop_entry(&mut self, entry: &Entry) {
        match self.batch_of(entry) {
            Some((batch, table)) => self.depth.dropped += thin::rounds_told(&batch, &table),
            None => self.depth.lost += u64::from(entry.covers),
        }
        self.forget(&[self.ticket(entry)], true);
    }

    /// Cleans, thins, then drops, the oldest until `length` more bytes fit with room to work in.
    pub(super) fn make_room(&mut self, length: usize) {
        let length = u64::try_from(length).unwrap_or(u64::MAX);
        let most = self.settings.max_bytes;
        self.free_segments();
        if self.live_bytes() + length > most / 8 * 5 {
            let mut runs = RUNS_AT_REST;
            if self.thin(thin::FINE, false, &mut runs) == Gain::None {
                self.thin(thin::COARSE, false, &mut runs);
            }
        }
        let mut cleaned = 0;
        loop {
            let Some(journal) = &self.journal else { return };
            let (disk, segments) = (journal.bytes(), journal.full_segments().len());
            let next = journal.oldest().map_or(0, |oldest| self.live_in(oldest));
            let is_full = disk + length + next + most / 32 > most;
            let is_crowded = self.live_bytes() + length > most / 4 * 3;
            if !is_full && !is_crowded {
                return;
            }
            let gain = if is_full && cleaned <= 2 * segments + 2 && !is_crowded {
                cleaned += 1;
                self.clean()
            } else {
                cleaned = 0;
                self.reduce()
            };
            if gain != Gain::Some {
                return;
            }
        }
    }

    /// Merges what can be merged; else drops the oldest.
    fn reduce(&mut self) -> Gain {
        for (level, hurry) in [(thin::FINE, false), (thin::COARSE, false), (thin::FINE, true), (thin::COARSE, true)] {
            let gain = self.thin(level, hurry, &mut u32::MAX.clone());
            if gain != Gain::None {
                return gain;
            }
        }
        let oldest = self.entries.iter().find(|e| e.place.segment != IN_MEMORY).copied();
        let Some(oldest) = oldest.filter(|_| self.disk_works) else { return Gain::None };
        self.drop_entry(&oldest);
        self.free_segments();
        Gain::Some
    }

    /// Removes the oldest segments while nothing waits in them. That needs no room on the disk.
    pub(super) fn free_segments(&mut self) {
        while let Some(oldest) = self.journal.as_ref().and_then(Journal::oldest) {
            if self.live_in(oldest) > 0 || self.entries.iter().any(|e| e.place.segment == oldest) || !self.remove(oldest) {
                return;
            }
        }
    }

    /// Writes again, at the head, what waits in the oldest segment, and removes that segment.
    pub(super) fn clean(&mut self) -> Gain {
        let Some(oldest) = self.journal.as_ref().and_then(Journal::oldest) else {
            // The head is all there is. Begin another, so that this one can go.
            return if self.rotate().is_some() { Gain::Some } else { Gain::Refused };
        };
        let mut unreadable = Vec::new();
        for place in 0..self.entries.len() {
            let entry = self.entries[place];
            if entry.place.segment != oldest {
                continue;
            }
            let bytes = self.frame_bytes(entry.place).ok();
            let Some((frame, _)) = bytes.as_deref().and_then(|bytes| Frame::read(bytes).ok()) else {
                unreadable.push(self.ticket(&entry));
                continue;
            };
            let mark = if entry.offered { mark::offered(&[self.ticket(&entry)]) } else { None };
            let Some(written) = self.write_batch(usize::from(entry.table), entry.boot as usize, &frame, mark) else {
                return Gain::Refused;
            };
            self.move_entry(place, written);
        }
        if !unreadable.is_empty() {
            tracing::error!(batches = unreadable.len(), "spooled batches cannot be read and are lost");
            self.lose(&unreadable);
        }
        self.free_segments();
        if self.journal.as_ref().and_then(Journal::oldest) == Some(oldest) { Gain::Refused } else { Gain::Some }
    }

    /// Removes a segment in which nothing waits. What stands elsewhere in its place is on disk first, and what it alone names
    /// is named again.
    fn remove(&mut self, segment: u32) -> bool {
        if self.boots.last().is_some_and(|this| this.noted == segment)
            && let Some(note) = self.counters()
            && self.write_frames(&[note]).is_some()
            && let (Some(this), Some(journal)) = (self.boots.last_mut(), &self.journal)
        {
            this.noted = journal.head();
        }
        for table in 0..self.tables.len() {
            let alone = |places: &[Place]| !places.is_empty() && places.iter().all(|place| place.segment == segment);
            let waits = self.entries.iter().any(|e| usize::from(e.table) == table);
            // The batch that room is made for is not among the entries yet; it brings its names itself.
            let is_present = self.present == Some(self.tables[table].id);
            if alone(&self.tables[table].places) && (waits || is_present) {
                let bytes = self.table_frame(table);
                let frame = bytes.as_deref().filter(|_| waits).and_then(|bytes| Frame::read(bytes).ok());
                match frame.and_then(|(frame, _)| self.write_frames(&[frame])) {
                    Some(places) => self.tables[table].places.extend(places),
                    None => self.tables[table].memory = bytes,
                }
            }
            self.tables[table].places.retain(|place| place.segment != segment);
        }
        self.live.remove(&segment);
        let gone = self.journal.as_mut().and_then(|journal| journal.take_out(segment));
        let removed = gone.is_some();
        self.force(gone.into_iter().collect());
        removed
    }

    /// Counts a frame that waits, or one that does so no more.
    pub(super) fn count_live(&mut self, place: Place, waits: bool) {
        let live = self.live.entry(place.segment).or_default();
        *live = if waits { live.saturating_add(u64::from(place.length)) } else { live.saturating_sub(u64::from(place.length)) };
    }

    fn live_in(&self, segment: u32) -> u64 {
        self.live.get(&segment).copied().unwrap_or(0)
    }

    /// Returns the bytes of what waits.
    pub(super) fn live_bytes(&self) -> u64 {
        self.live.values().sum()
    }
}
