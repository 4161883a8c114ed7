//! The spool: every batch waits here, on disk and bounded, until a collector has acknowledged it.
//!
//! ```text
//! batch --append--> journal: [table][batch][mark: offered] [batch] [mark: done] ...
//!                                   |                                  ^
//!                                   +--> uplink --acknowledged---------+     a segment whose batches are all done goes
//! ```
//!
//! Invariants
//! 1. A batch is done only when acknowledged, refused for good, or told as thinned or dropped.
//! 2. A batch's bytes leave only after a mark on disk says they were *offered*; only batches never offered are merged, so a
//!    collector never sees one sequence number with two contents it could both count.
//! 3. The journal never takes more than `max_bytes`. Full: the oldest never-offered batches are merged into 5-minute, then
//!    hourly summaries (`thin.rs`); only when nothing is left to thin is the oldest dropped, and both are counted.
//! 4. A number is used once in a boot, also when the journal was wiped or could not be written in between.
//! 5. Damage or a failing disk never stops the agent: what cannot be written waits in memory, bounded.

mod mark;
#[cfg(test)]
mod power_cut_tests;
mod ranges;
mod recovery;
mod room;
#[cfg(test)]
mod tests;
mod thin;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use nix::fcntl::Flock;
use rusta_wire::journal::{Journal, Place, Unforced};
use rusta_wire::{Batch, BootId, Frame, FrameKind, MonoMs, Sequence, SeriesTable, TableId};

use crate::config::{self, Sync};
use crate::flash::Flash;
use mark::Life;

/// Segments the journal is divided into: space comes free a thirty-second at a time.
const SEGMENTS: u64 = 32;

/// Largest segment; recovery reads one into memory at a time.
const SEGMENT_BYTES_MAX: u64 = 256 * 1024;

/// Smallest segment: the largest frame must fit beside its marks.
const SEGMENT_BYTES_MIN: u64 = 80 * 1024;

/// What one forced write costs a flash at least: a page of data and one of the file system's journal.
const SYNC_BYTES: u64 = 8 * 1024;

/// How often data is forced to disk once the day's wear budget is spent.
const SPARING_SYNC: Duration = Duration::from_secs(3600);

const DAY: Duration = Duration::from_secs(86_400);

/// Segment number of batches that wait in memory.
const IN_MEMORY: u32 = u32::MAX;

/// So many of the newest batches are fresh however old they are.
const FRESH: u64 = 3;

/// Names one waiting batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket {
    /// The boot it was measured in.
    pub boot: BootId,
    /// Its place there.
    pub sequence: Sequence,
}

/// One waiting batch. Small, because a full spool has tens of thousands.
#[derive(Debug, Clone, Copy)]
struct Entry {
    /// Place in `boots`.
    boot: u16,
    /// Place in `tables`.
    table: u16,
    sequence: u64,
    covers: u32,
    summary_s: u32,
    /// When it ended, in its own boot.
    until: MonoMs,
    place: Place,
    offered: bool,
}

impl Entry {
    fn end(&self) -> u64 {
        self.sequence + u64::from(self.covers)
    }
}

/// A series table some batch needs.
#[derive(Debug, Clone, Copy)]
struct StoredTable {
    id: TableId,
    /// `None` once no batch needed it and its segment went; it is written again when one does.
    place: Option<Place>,
}

/// What is waiting and what was lost, for `status` and the agent's own samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Depth {
    /// Batches waiting.
    pub frames: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes of the journal on disk.
    pub disk_bytes: u64,
    /// Samples merged into summaries in this boot.
    pub thinned: u64,
    /// Samples dropped in this boot.
    pub dropped: u64,
    /// Bytes found damaged when the spool was opened.
    pub damaged_bytes: u64,
    /// Batches a collector refused for good.
    pub refused: u64,
    /// Bytes written to disk since the wear day began, forced writes rounded up to pages.
    pub written_today: u64,
}

/// The bounded queue on disk.
#[derive(Debug)]
pub struct Spool {
    settings: config::Spool,
    /// `None` when the directory cannot be used; everything then waits in memory.
    journal: Option<Journal>,
    /// Waits for the disk.
    flash: Flash,
    /// Keeps a second agent out of the directory.
    _lock: Option<Flock<File>>,
    /// Every boot with frames in the journal, oldest first; the last is this boot.
    boots: Vec<(BootId, Life)>,
    tables: Vec<StoredTable>,
    /// Oldest first.
    entries: Vec<Entry>,
    /// Batches that are not picked, because the uplink laid them aside.
    aside: BTreeSet<Ticket>,
    memory: BTreeMap<u32, Vec<u8>>,
    memory_next: u32,
    depth: Depth,
    last_sync: MonoMs,
    wear_day: MonoMs,
    /// Whether the last write worked; told once at each change.
    disk_works: bool,
}

/// Why a spool cannot be used at all.
#[derive(Debug, thiserror::Error)]
#[error("another agent uses the spool {0}")]
pub struct InUse(String);

impl Spool {
    /// Opens the spool of this boot and recovers what waits. A directory that cannot be used is told and replaced by
    /// memory.
    ///
    /// # Errors
    /// Only a second agent on the same directory.
    pub fn open(settings: config::Spool, boot: BootId, now: MonoMs) -> Result<Spool, InUse> {
        let lock = recovery::lock(&settings)?;
        let segment_bytes = (settings.max_bytes / SEGMENTS).clamp(SEGMENT_BYTES_MIN.min(settings.max_bytes / 4), SEGMENT_BYTES_MAX);
        let mut found = recovery::Found::default();
        let journal = match Journal::open(&settings.dir, segment_bytes, |place, frame| found.take(place, frame)) {
            Ok((journal, recovery)) => {
                found.damaged_bytes = recovery.damaged_bytes;
                Some(journal)
            }
            Err(error) => {
                tracing::error!(dir = %settings.dir.display(), %error, "spool directory cannot be used; samples wait in memory");
                None
            }
        };
        let disk_works = journal.is_some();
        let mut spool = Spool {
            settings,
            journal,
            flash: Flash::at_once(),
            _lock: lock,
            boots: Vec::new(),
            tables: Vec::new(),
            entries: Vec::new(),
            memory: BTreeMap::new(),
            memory_next: 0,
            aside: BTreeSet::new(),
            depth: Depth::default(),
            last_sync: now,
            wear_day: now,
            disk_works,
        };
        found.settle(boot, now, &mut spool);
        Ok(spool)
    }

    /// Lets another thread wait for the disk from here on.
    pub fn write_behind(&mut self, flash: Flash) {
        self.flash = flash;
    }

    /// Returns the place the next batch takes in this boot.
    pub fn next_sequence(&self) -> Sequence {
        Sequence(self.this_boot().next)
    }

    /// Puts a batch in, with its table if that is not there yet, and stamps the loss counters into it. `offered` says that
    /// its bytes are about to leave.
    ///
    /// # Errors
    /// The batch cannot be encoded.
    pub fn append(&mut self, mut batch: Batch, table: &SeriesTable, offered: bool) -> Result<Ticket, rusta_wire::DecodeError> {
        (batch.thinned, batch.dropped) = (self.depth.thinned, self.depth.dropped);
        let payload = batch.encode(table)?;
        let frame = Frame::new(FrameKind::Batch, payload).map_err(|_| too_large())?;
        self.make_room(frame.encoded_len());
        let table = self.keep_table(table)?;
        let entry = Entry {
            boot: to_u16(self.boots.len()).saturating_sub(1),
            table,
            sequence: batch.id.sequence.0,
            covers: batch.covers,
            summary_s: batch.summary_s,
            until: batch.until,
            place: Place { segment: IN_MEMORY, offset: 0, length: 0 },
            offered,
        };
        let ticket = Ticket { boot: batch.id.boot, sequence: batch.id.sequence };
        let mark = if offered { mark::offered(&[ticket]) } else { None };
        let place = self.write(&[Some(frame), mark].into_iter().flatten().collect::<Vec<_>>());
        self.entries.push(Entry { place, ..entry });
        if let Some((_, life)) = self.boots.last_mut() {
            life.next = life.next.max(entry.end());
        }
        Ok(ticket)
    }

    /// Forces to disk what the policy says is due; `at_once` overrides it. It is on disk when the flash has settled.
    pub fn sync(&mut self, now: MonoMs, at_once: bool) {
        if now.since(self.wear_day) >= DAY {
            self.wear_day = now;
            self.depth.written_today = 0;
        }
        let spent = self.depth.written_today >= self.settings.writes_per_day;
        let due = match self.settings.sync {
            _ if at_once => true,
            Sync::Never => false,
            Sync::Batch if spent => now.since(self.last_sync) >= SPARING_SYNC,
            Sync::Batch => true,
            Sync::Every(time) => now.since(self.last_sync) >= if spent { time.max(SPARING_SYNC) } else { time },
        };
        // A disk that does not answer is not asked again and again; the next time takes in all that was written.
        if due && !self.flash.is_busy() {
            self.last_sync = now;
            self.force(Vec::new());
        }
    }

    /// Forces to disk what was written, and only then removes what it replaces.
    fn force(&mut self, replaced: Vec<PathBuf>) {
        let unforced = match self.journal.as_mut().map(Journal::take_unforced) {
            Some(Ok(unforced)) => unforced,
            Some(Err(error)) => return self.tell_disk(Some(&error)),
            None => None,
        };
        if unforced.is_some() {
            self.depth.written_today += SYNC_BYTES;
        } else if replaced.is_empty() {
            return;
        }
        self.flash.queue(move || {
            unforced.map_or(Ok(()), Unforced::force)?;
            replaced.iter().try_for_each(std::fs::remove_file)
        });
    }

    /// Picks fresh batches, as many as fit in `bytes`; at least one, if any waits. Fresh are the newest [`FRESH`] of this boot
    /// and those that ended at `since` or later. The oldest of them comes first: live state leaves out a round that follows a
    /// later one of its target.
    pub fn freshest(&self, since: MonoMs, bytes: u64, most: usize) -> Vec<Ticket> {
        let boot = to_u16(self.boots.len()).saturating_sub(1);
        let newest = self.this_boot().next;
        let is_fresh = |e: &&Entry| e.boot == boot && (e.end() + FRESH > newest || e.until >= since);
        let fresh = self.entries.iter().rev().take_while(is_fresh).count();
        self.pick(&self.entries[self.entries.len() - fresh..], bytes, most)
    }

    /// Picks the oldest batches, as many as fit in `bytes`; at least one, if any waits.
    pub fn oldest(&self, bytes: u64, most: usize) -> Vec<Ticket> {
        self.pick(&self.entries, bytes, most)
    }

    /// Lays these aside, and no others: they wait, and are not picked.
    pub fn lay_aside(&mut self, tickets: BTreeSet<Ticket>) {
        self.aside = tickets;
    }

    fn pick(&self, entries: &[Entry], bytes: u64, most: usize) -> Vec<Ticket> {
        let mut left = bytes;
        let mut picked = Vec::new();
        for entry in entries.iter().filter(|entry| self.aside.is_empty() || !self.aside.contains(&self.ticket(entry))).take(most) {
            let length = u64::from(entry.place.length);
            if !picked.is_empty() && length > left {
                break;
            }
            left = left.saturating_sub(length);
            picked.push(self.ticket(entry));
        }
        picked
    }

    /// Notes on disk that these batches are about to be sent. Nothing may leave before the flash has
    /// settled.
    pub fn offer(&mut self, tickets: &[Ticket], now: MonoMs) {
        let mut fresh = Vec::new();
        for ticket in tickets {
            if let Some(entry) = self.find(*ticket).filter(|e| !self.entries[*e].offered) {
                self.entries[entry].offered = true;
                fresh.push(*ticket);
            }
        }
        if !fresh.is_empty() {
            self.write_mark(mark::offered(&fresh));
            self.sync(now, self.settings.sync != Sync::Never);
        }
    }

    /// Reads a batch's frame and the table it needs. `None`: it is not waiting, or the disk has lost it, which is counted.
    pub fn read(&mut self, ticket: Ticket) -> Option<(Vec<u8>, TableId)> {
        let place = self.find(ticket)?;
        let entry = self.entries[place];
        match self.frame_bytes(entry.place) {
            Ok(bytes) => Some((bytes, self.tables[usize::from(entry.table)].id)),
            Err(error) => {
                tracing::error!(sequence = %ticket.sequence, %error, "a spooled batch cannot be read and is lost");
                self.depth.damaged_bytes += u64::from(entry.place.length);
                self.done(&[ticket]);
                None
            }
        }
    }

    /// Reads a table's frame.
    pub fn read_table(&self, id: TableId) -> Option<Vec<u8>> {
        let table = self.tables.iter().find(|t| t.id == id)?;
        self.frame_bytes(table.place?).ok()
    }

    /// Frees batches a collector has on disk.
    pub fn acknowledge(&mut self, tickets: &[Ticket]) {
        self.done(tickets);
    }

    /// Frees batches a collector will never take, and counts them.
    pub fn refuse(&mut self, tickets: &[Ticket]) {
        self.depth.refused += u64::try_from(tickets.len()).unwrap_or(0);
        self.done(tickets);
    }

    /// Returns what is waiting and what was lost.
    pub fn depth(&self) -> Depth {
        Depth {
            frames: self.entries.len(),
            bytes: self.entries.iter().map(|e| u64::from(e.place.length)).sum(),
            disk_bytes: self.journal.as_ref().map_or(0, Journal::bytes),
            ..self.depth
        }
    }

    /// Tells whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn ticket(&self, entry: &Entry) -> Ticket {
        Ticket { boot: self.boots[usize::from(entry.boot)].0, sequence: Sequence(entry.sequence) }
    }

    fn find(&self, ticket: Ticket) -> Option<usize> {
        self.entries.iter().position(|e| e.sequence == ticket.sequence.0 && self.boots[usize::from(e.boot)].0 == ticket.boot)
    }

    fn this_boot(&self) -> &Life {
        // `open` puts this boot last and nothing takes it away.
        &self.boots[self.boots.len() - 1].1
    }

    fn done(&mut self, tickets: &[Ticket]) {
        self.forget(tickets);
        self.free_segments();
    }

    /// Takes batches out of the queue and notes on disk that they are done.
    fn forget(&mut self, tickets: &[Ticket]) {
        let mut gone = Vec::new();
        for ticket in tickets {
            let Some(place) = self.find(*ticket) else { continue };
            let entry = self.entries.remove(place);
            self.boots[usize::from(entry.boot)].1.done.insert(entry.sequence, u64::from(entry.covers));
            if entry.place.segment == IN_MEMORY {
                self.memory.remove(&entry.place.offset);
            }
            gone.push((*ticket, entry.covers));
        }
        if !gone.is_empty() {
            self.write_mark(mark::done(&gone));
        }
    }

    /// Removes every full segment that holds no waiting batch. What else it holds and is still needed (tables, marks of
    /// batches elsewhere) is written to the head first.
    fn free_segments(&mut self) {
        let Some(journal) = &self.journal else { return };
        let free: Vec<u32> =
            journal.full_segments().into_iter().filter(|segment| self.entries.iter().all(|e| e.place.segment != *segment)).collect();
        if free.is_empty() {
            return;
        }
        self.carry_over(&free);
        // The segments must not go before what was carried over is safe.
        let gone = self.journal.iter_mut().flat_map(|journal| free.iter().filter_map(|segment| journal.take_out(*segment)));
        let gone = gone.collect();
        self.force(gone);
    }

    fn carry_over(&mut self, leaving: &[u32]) {
        for table in 0..self.tables.len() {
            let Some(place) = self.tables[table].place.filter(|place| leaving.contains(&place.segment)) else { continue };
            self.tables[table].place = None;
            let needed = self.entries.iter().any(|e| usize::from(e.table) == table);
            let Some(bytes) = needed.then(|| self.frame_bytes(place).ok()).flatten() else { continue };
            if let Ok((frame, _)) = Frame::read(&bytes) {
                self.tables[table].place = Some(self.write(&[frame]));
            }
        }
        let said = self.checkpoint();
        self.write_mark(mark::checkpoint(&said));
    }

    /// Says everything marks have said about what is still in the journal, so that older marks are not needed any more.
    fn checkpoint(&self) -> Vec<(BootId, Life)> {
        let mut said = self.boots.clone();
        for (_, life) in &mut said {
            life.offered = ranges::Ranges::default();
        }
        for entry in self.entries.iter().filter(|e| e.offered) {
            said[usize::from(entry.boot)].1.offered.insert(entry.sequence, 1);
        }
        if let Some((_, this)) = said.last_mut() {
            (this.thinned, this.dropped) = (self.depth.thinned, self.depth.dropped);
        }
        said
    }

    fn keep_table(&mut self, table: &SeriesTable) -> Result<u16, rusta_wire::DecodeError> {
        let encoded = table.encode();
        let id = TableId::of(&encoded);
        let known = self.tables.iter().position(|t| t.id == id).unwrap_or_else(|| {
            self.tables.push(StoredTable { id, place: None });
            self.tables.len() - 1
        });
        if self.tables[known].place.is_none() {
            let frame = Frame::new(FrameKind::Table, encoded).map_err(|_| too_large())?;
            self.tables[known].place = Some(self.write(&[frame]));
        }
        Ok(to_u16(known))
    }

    fn write_mark(&mut self, mark: Option<Frame<'_>>) {
        // Marks of batches in memory matter to nobody after a restart, so a disk that refuses costs repeats only.
        if let Some(frame) = mark {
            self.write_to_disk(&[frame]);
        }
    }

    /// Writes frames, to memory if the disk refuses, and returns the place of the first.
    fn write(&mut self, frames: &[Frame<'_>]) -> Place {
        if let Some(place) = self.write_to_disk(frames) {
            return place;
        }
        let bytes = frames[0].to_bytes();
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.memory.insert(self.memory_next, bytes);
        self.memory_next += 1;
        self.bound_memory();
        Place { segment: IN_MEMORY, offset: self.memory_next - 1, length }
    }

    fn write_to_disk(&mut self, frames: &[Frame<'_>]) -> Option<Place> {
        let result = self.journal.as_mut()?.append(frames);
        match result {
            Ok(places) => {
                self.depth.written_today += frames.iter().map(|f| u64::try_from(f.encoded_len()).unwrap_or(0)).sum::<u64>();
                self.tell_disk(None);
                places.first().copied()
            }
            Err(error) => {
                self.tell_disk(Some(&error));
                None
            }
        }
    }

    fn tell_disk(&mut self, error: Option<&io::Error>) {
        match error {
            Some(error) if self.disk_works => tracing::error!(%error, "spool cannot be written; samples wait in memory"),
            None if !self.disk_works => tracing::info!("spool can be written again"),
            _ => {}
        }
        self.disk_works = error.is_none();
    }

    fn frame_bytes(&self, place: Place) -> io::Result<Vec<u8>> {
        match (&self.journal, self.memory.get(&place.offset)) {
            (_, Some(bytes)) if place.segment == IN_MEMORY => Ok(bytes.clone()),
            (Some(journal), _) => journal.read(place),
            _ => Err(io::Error::new(io::ErrorKind::NotFound, "not in memory any more")),
        }
    }

    fn batch_of(&self, entry: &Entry) -> Option<(Batch, SeriesTable)> {
        let table = self.read_table(self.tables.get(usize::from(entry.table))?.id)?;
        let encoded = Frame::read(&table).ok()?.0.payload;
        let table = SeriesTable::decode(&encoded).ok()?;
        let bytes = self.frame_bytes(entry.place).ok()?;
        // Named by its bytes: a table of a later version, written again, would be called otherwise.
        let (batch, _) = Batch::decode_named(&Frame::read(&bytes).ok()?.0.payload, &table, TableId::of(&encoded)).ok()?;
        Some((batch, table))
    }
}

fn too_large() -> rusta_wire::DecodeError {
    rusta_wire::DecodeError::Field { field: "values", fault: "more bytes than a frame may hold" }
}

fn to_u16(n: usize) -> u16 {
    u16::try_from(n).unwrap_or(u16::MAX)
}
