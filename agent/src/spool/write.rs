//! Writing: where a batch goes, and that it is named there.

use rusta_wire::journal::{Journal, Place};
use rusta_wire::{DecodeError, Frame, FrameKind, SeriesTable, TableId};

use super::{IN_MEMORY, Spool, StoredTable, mark, recovery, room, thin, to_u32, too_large};

/// Marks kept for a disk that refuses them; what is beyond costs repeats after a restart and nothing else.
const MARKS_OWED: usize = 64;

impl Spool {
    /// Writes a batch's frame at the head, behind its table and its boot if the head does not name them. `None`: the disk
    /// refuses.
    pub(super) fn write_batch(&mut self, table: usize, boot: usize, frame: &Frame<'_>, mark: Option<Frame<'_>>) -> Option<Place> {
        for rotated in [false, true] {
            let head = self.journal.as_ref()?.head();
            let names = if self.tables[table].is_in(head) { None } else { self.table_frame(table) };
            let names = names.as_deref().and_then(|bytes| Frame::read(bytes).ok()).map(|(frame, _)| frame);
            let note = if self.boots[boot].noted == head { None } else { mark::note(self.boots[boot].id, &self.boots[boot].life) };
            let (named, noted) = (names.is_some(), note.is_some());
            let frames: Vec<_> = names.into_iter().chain(note).chain([frame.clone()]).chain(mark.clone()).collect();
            let bytes = frames.iter().map(Frame::encoded_len).sum();
            if !rotated && !self.journal.as_ref()?.takes(bytes) {
                self.rotate()?;
                continue;
            }
            let places = self.write_frames(&frames)?;
            if named {
                self.tables[table].places.extend(places.first());
                self.tables[table].memory = None;
            }
            self.boots[boot].noted = head;
            return places.get(usize::from(named) + usize::from(noted)).copied();
        }
        None
    }

    /// Keeps a frame in memory.
    pub(super) fn remember(&mut self, frame: &Frame<'_>) -> Place {
        let bytes = frame.to_bytes();
        let length = to_u32(bytes.len());
        self.memory.insert(self.memory_next, bytes);
        self.memory_next += 1;
        Place { segment: IN_MEMORY, offset: self.memory_next - 1, length }
    }

    /// Writes what the disk did not take before, oldest first, and makes room for `length` bytes more.
    pub(super) fn flush(&mut self, length: usize) {
        let waiting: usize = self.memory.values().map(Vec::len).sum();
        self.make_room(length + waiting);
        for mark in std::mem::take(&mut self.marks_owed) {
            match Frame::read(&mark) {
                Ok((frame, _)) => self.write_marks(vec![frame]),
                Err(_) => continue,
            }
        }
        for place in 0..self.entries.len() {
            let entry = self.entries[place];
            let Some(bytes) = self.memory.get(&entry.place.offset).filter(|_| entry.place.segment == IN_MEMORY).cloned() else { continue };
            let Ok((frame, _)) = Frame::read(&bytes) else { continue };
            let mark = if entry.offered { mark::offered(&[self.ticket(&entry)]) } else { None };
            let Some(written) = self.write_batch(usize::from(entry.table), entry.boot as usize, &frame, mark) else { return };
            self.memory.remove(&entry.place.offset);
            self.move_entry(place, written);
        }
        self.write_needed_tables();
    }

    /// Puts tables to disk that a batch there needs and no segment has any more.
    fn write_needed_tables(&mut self) {
        for table in 0..self.tables.len() {
            let Some(bytes) = self.tables[table].memory.take_if(|_| self.entries.iter().any(|e| usize::from(e.table) == table)) else {
                continue;
            };
            let written = Frame::read(&bytes).ok().and_then(|(frame, _)| self.write_frames(&[frame]));
            match written {
                Some(places) => self.tables[table].places.extend(places),
                None => self.tables[table].memory = Some(bytes),
            }
        }
    }

    /// Notes that an entry's frame is somewhere else.
    pub(super) fn move_entry(&mut self, entry: usize, to: Place) {
        self.count_live(self.entries[entry].place, false);
        self.count_live(to, true);
        self.entries[entry].place = to;
    }

    /// Writes marks; those the disk refuses are written with the next batch.
    pub(super) fn write_marks(&mut self, marks: Vec<Frame<'_>>) {
        if !marks.is_empty() && self.write_frames(&marks).is_none() && self.marks_owed.len() < MARKS_OWED {
            self.marks_owed.extend(marks.iter().map(Frame::to_bytes));
        }
    }

    pub(super) fn write_frames(&mut self, frames: &[Frame<'_>]) -> Option<Vec<Place>> {
        match self.journal.as_mut()?.append(frames) {
            Ok(places) => {
                self.depth.written_today += frames.iter().map(|f| u64::try_from(f.encoded_len()).unwrap_or(0)).sum::<u64>();
                self.tell_disk(None);
                Some(places)
            }
            Err(error) => {
                self.tell_disk(Some(&error));
                None
            }
        }
    }

    pub(super) fn rotate(&mut self) -> Option<()> {
        match self.journal.as_mut().map(Journal::rotate) {
            Some(Err(error)) => {
                self.tell_disk(Some(&error));
                None
            }
            done => done.map(|_| ()),
        }
    }

    /// Tries a directory again that could not be used: what waits there is taken in, what waits in memory goes behind it.
    pub(super) fn reopen(&mut self) {
        if self.journal.is_some() {
            return;
        }
        let Ok(lock) = recovery::lock(&self.settings) else { return };
        let mut found = recovery::Found::default();
        let Ok(journal) = recovery::open(&self.settings, &mut found) else { return };
        (self.journal, self._lock) = (Some(journal), lock);
        let (entries, tables, depth) = (std::mem::take(&mut self.entries), std::mem::take(&mut self.tables), self.depth);
        let Some(this) = self.boots.pop() else { return };
        found.settle(this.id, rusta_wire::MonoMs(this.life.next), self);
        self.depth.thinned += depth.thinned;
        self.depth.dropped += depth.dropped;
        self.depth.lost += depth.lost;
        self.depth.refused += depth.refused;
        let boot = to_u32(self.boots.len() - 1);
        for entry in entries {
            let was = &tables[usize::from(entry.table)];
            let table = self.table_place(was.id);
            if self.tables[table].places.is_empty() {
                self.tables[table].memory.clone_from(&was.memory);
            }
            self.count_live(entry.place, true);
            self.entries.push(super::Entry { boot, table: super::to_u16(table), ..entry });
        }
    }

    /// Makes sure that the table of the next batch can be written, and any other whose copies were all damaged and that is
    /// made from it.
    pub(super) fn keep_tables(&mut self, table: &SeriesTable) -> Result<(), DecodeError> {
        let encoded = table.encode();
        let id = TableId::of(&encoded);
        let first = self.present.replace(id) != Some(id);
        let place = self.table_place(id);
        if self.tables[place].places.is_empty() && self.tables[place].memory.is_none() {
            let frame = Frame::new(FrameKind::Table, encoded).map_err(|_| too_large())?;
            self.tables[place].memory = Some(frame.to_bytes());
        }
        let is_lost = |t: &StoredTable| t.places.is_empty() && t.memory.is_none();
        if first || self.tables.iter().any(is_lost) {
            for made in thin::made_from(table) {
                let encoded = made.encode();
                let lost = self.tables.iter_mut().find(|t| is_lost(t) && t.id == TableId::of(&encoded));
                if let Some((lost, frame)) = lost.zip(Frame::new(FrameKind::Table, encoded.as_slice()).ok()) {
                    lost.memory = Some(frame.to_bytes());
                }
            }
        }
        Ok(())
    }

    /// Finds a table's place in `tables`.
    pub(super) fn table_place(&mut self, id: TableId) -> usize {
        self.tables.iter().position(|t| t.id == id).unwrap_or_else(|| {
            self.tables.push(StoredTable { id, places: Vec::new(), memory: None });
            self.tables.len() - 1
        })
    }

    /// Reads a table's frame from any copy; forgets those that cannot be read.
    pub(super) fn table_frame(&mut self, table: usize) -> Option<Vec<u8>> {
        if let Some(bytes) = &self.tables[table].memory {
            return Some(bytes.clone());
        }
        while let Some(place) = self.tables[table].places.last().copied() {
            match self.frame_bytes(place) {
                Ok(bytes) => return Some(bytes),
                Err(error) => tracing::warn!(%error, segment = place.segment, "a copy of a series table cannot be read"),
            }
            self.tables[table].places.pop();
        }
        None
    }

    /// Drops the oldest batches in memory until the rest fits its bound.
    fn bound(&mut self) -> Option<super::Entry> {
        let over = self.memory.values().map(Vec::len).sum::<usize>() > room::MEMORY_BYTES;
        over.then(|| self.entries.iter().find(|e| e.place.segment == IN_MEMORY).copied()).flatten()
    }

    /// Drops the oldest batches in memory until the rest fits its bound.
    pub(super) fn bound_memory(&mut self) {
        while let Some(oldest) = self.bound() {
            self.drop_entry(&oldest);
        }
    }
}

impl StoredTable {
    fn is_in(&self, segment: u32) -> bool {
        self.places.iter().any(|place| place.segment == segment)
    }
}
