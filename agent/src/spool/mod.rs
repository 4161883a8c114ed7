//! The spool: every batch waits here, on disk and bounded, until a collector has acknowledged it.
//!
//! ```text
//! oldest segment                                        head
//! [table][boot][batch][batch][mark: offered][mark: done] | [table][boot][batch] <--append, merge, clean
//!  \______ goes when nothing in it waits; what does is written again at the head first
//! ```
//!
//! Invariants
//! 1. A batch is done only when acknowledged, refused for good, or told as thinned, dropped or lost.
//! 2. A batch's bytes leave only after a mark on disk says they were *offered*; only batches never offered are merged, so a
//!    collector never sees one sequence number with two contents it could both count.
//! 3. The journal never takes more than `max_bytes`. Crowded, by the bytes of what waits: the oldest never-offered batches
//!    are merged into 5-minute, then hourly summaries (`thin.rs`); only when nothing is left to thin is the oldest dropped,
//!    and both are counted.
//! 4. A number is used once in a boot, also when the journal was wiped or could not be written in between.
//! 5. Damage or a failing disk never stops the agent: what cannot be written waits in memory, bounded, and goes to disk as
//!    soon as that takes it.
//! 6. A segment names everything in it: each batch's table and boot stand before it. Segments go oldest first, and a segment
//!    in which nothing waits goes without a write, so a full disk cannot keep it.

#[cfg(test)]
mod full_disk_tests;
mod mark;
#[cfg(test)]
mod power_cut_tests;
mod ranges;
mod recovery;
mod room;
#[cfg(test)]
mod tests;
mod thin;
mod write;
#[cfg(test)]
mod year_tests;

use std::collections::BTreeMap;
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

/// Smallest segment: a usual table is a tenth of it. A frame that is larger has a segment of its own.
const SEGMENT_BYTES_MIN: u64 = 32 * 1024;

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
    boot: u32,
    /// Place in `tables`.
    table: u16,
    sequence: u64,
    covers: u32,
    summary_s: u32,
    /// When it ended, in its own boot.
    until: MonoMs,
    place: Place,
    offered: bool,
    /// Merging it was tried and gained nothing.
    settled: bool,
}

impl Entry {
    fn end(&self) -> u64 {
        self.sequence + u64::from(self.covers)
    }
}

/// A series table some batch needs.
#[derive(Debug)]
struct StoredTable {
    id: TableId,
    /// Its frame in each segment that has it.
    places: Vec<Place>,
    /// Its frame while no segment has it.
    memory: Option<Vec<u8>>,
}

/// A boot with frames in the journal.
#[derive(Debug)]
struct Boot {
    id: BootId,
    life: Life,
    /// The newest segment that names it.
    noted: u32,
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
    /// Batches that cannot be read or named any more, found in this boot.
    pub lost: u64,
    /// Batches a collector refused for good in this boot.
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
    boots: Vec<Boot>,
    tables: Vec<StoredTable>,
    /// Oldest first.
    entries: Vec<Entry>,
    /// Batches that are not picked, because the uplink laid them aside.
    aside: Vec<Ticket>,
    /// Bytes of waiting batches in each segment.
    live: BTreeMap<u32, u64>,
    memory: BTreeMap<u32, Vec<u8>>,
    memory_next: u32,
    /// Marks the disk did not take.
    marks_owed: Vec<Vec<u8>>,
    /// The table of the last batch put in.
    present: Option<TableId>,
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
        let mut spool = Spool {
            settings,
            journal: None,
            flash: Flash::at_once(),
            _lock: lock,
            boots: Vec::new(),
            tables: Vec::new(),
            entries: Vec::new(),
            live: BTreeMap::new(),
            memory: BTreeMap::new(),
            memory_next: 0,
            aside: Vec::new(),
            marks_owed: Vec::new(),
            present: None,
            depth: Depth::default(),
            last_sync: now,
            wear_day: now,
            disk_works: true,
        };
        let mut found = recovery::Found::default();
        match recovery::open(&spool.settings, &mut found) {
            Ok(journal) => spool.journal = Some(journal),
            Err(error) => spool.tell_disk(Some(&error)),
        }
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
        (batch.thinned, batch.dropped, batch.lost) = (self.depth.thinned, self.depth.dropped, self.depth.lost);
        let frame = Frame::new(FrameKind::Batch, batch.encode(table)?).map_err(|_| too_large())?;
        self.reopen();
        self.keep_tables(table)?;
        self.flush(frame.encoded_len());
        let table = self.table_place(batch.table);
        let boot = self.boots.len() - 1;
        let ticket = Ticket { boot: batch.id.boot, sequence: batch.id.sequence };
        let mark = if offered { mark::offered(&[ticket]) } else { None };
        let place = self.write_batch(table, boot, &frame, mark).unwrap_or_else(|| self.remember(&frame));
        let entry = Entry {
            boot: to_u32(boot),
            table: to_u16(table),
            sequence: batch.id.sequence.0,
            covers: batch.covers,
            summary_s: batch.summary_s,
            until: batch.until,
            place,
            offered,
            settled: false,
        };
        self.count_live(place, true);
        self.entries.push(entry);
        self.bound_memory();
        if let Some(boot) = self.boots.last_mut() {
            boot.life.next = boot.life.next.max(entry.end());
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
        let boot = to_u32(self.boots.len()).saturating_sub(1);
        let newest = self.this_boot().next;
        let is_fresh = |e: &&Entry| e.boot == boot && (e.end() + FRESH > newest || e.until >= since);
        let fresh = self.entries.iter().rev().take_while(is_fresh).count();
        self.pick(&self.entries[self.entries.len() - fresh..], bytes, most)
    }

    /// Picks the oldest batches, as many as fit in `bytes`; at least one, if any waits.
    pub fn oldest(&self, bytes: u64, most: usize) -> Vec<Ticket> {
        self.pick(&self.entries, bytes, most)
    }

    /// Lays these aside, which stand in order, and no others: they wait, and are not picked.
    pub fn lay_aside(&mut self, tickets: Vec<Ticket>) {
        self.aside = tickets;
    }

    fn pick(&self, entries: &[Entry], bytes: u64, most: usize) -> Vec<Ticket> {
        let mut left = bytes;
        let mut picked = Vec::new();
        for entry in
            entries.iter().filter(|entry| self.aside.is_empty() || self.aside.binary_search(&self.ticket(entry)).is_err()).take(most)
        {
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
            self.write_marks(mark::offered(&fresh).into_iter().collect());
            self.sync(now, self.settings.sync != Sync::Never);
        }
    }

    /// Reads a batch's frame and the table it needs. `None`: it is not waiting, or the disk has lost it, which is counted.
    pub fn read(&mut self, ticket: Ticket) -> Option<(Vec<u8>, TableId)> {
        let entry = self.entries[self.find(ticket)?];
        match self.frame_bytes(entry.place) {
            Ok(bytes) => Some((bytes, self.tables[usize::from(entry.table)].id)),
            Err(error) => {
                tracing::error!(sequence = %ticket.sequence, %error, "a spooled batch cannot be read and is lost");
                self.lose(&[ticket]);
                None
            }
        }
    }

    /// Reads a table's frame. `None`: no copy of it can be read; the next batch of that table brings it again.
    pub fn read_table(&mut self, id: TableId) -> Option<Vec<u8>> {
        let table = self.tables.iter().position(|t| t.id == id)?;
        self.table_frame(table)
    }

    /// Lets go of the batches of a table that neither this spool nor the collector has, and counts them. One that can still be
    /// had from what is measured at present is not among them.
    pub fn give_up_table(&mut self, id: TableId) {
        // Before the first batch of this start nobody knows what will be measured.
        if self.present.is_none() || self.read_table(id).is_some() {
            return;
        }
        let nameless = self.entries.iter().filter(|e| self.tables[usize::from(e.table)].id == id);
        let nameless: Vec<Ticket> = nameless.map(|e| self.ticket(e)).collect();
        if !nameless.is_empty() {
            tracing::error!(batches = nameless.len(), "batches whose names are lost cannot be reported");
            self.lose(&nameless);
        }
    }

    /// Frees batches a collector has on disk.
    pub fn acknowledge(&mut self, tickets: &[Ticket]) {
        self.done(tickets);
    }

    /// Frees batches a collector will never take, and counts them.
    pub fn refuse(&mut self, tickets: &[Ticket]) {
        self.depth.refused += self.covered(tickets);
        self.forget(tickets, true);
        self.free_segments();
    }

    /// Returns what is waiting and what was lost.
    pub fn depth(&self) -> Depth {
        Depth {
            frames: self.entries.len(),
            bytes: self.live_bytes(),
            disk_bytes: self.journal.as_ref().map_or(0, Journal::bytes),
            ..self.depth
        }
    }

    /// Tells whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn ticket(&self, entry: &Entry) -> Ticket {
        Ticket { boot: self.boots[entry.boot as usize].id, sequence: Sequence(entry.sequence) }
    }

    fn find(&self, ticket: Ticket) -> Option<usize> {
        let boot = to_u32(self.boots.iter().rposition(|b| b.id == ticket.boot)?);
        self.entries.iter().position(|e| e.sequence == ticket.sequence.0 && e.boot == boot)
    }

    fn this_boot(&self) -> &Life {
        // `open` puts this boot last and nothing takes it away.
        &self.boots[self.boots.len() - 1].life
    }

    fn done(&mut self, tickets: &[Ticket]) {
        self.forget(tickets, false);
        self.free_segments();
    }

    /// Lets go of batches that cannot be read or named.
    fn lose(&mut self, tickets: &[Ticket]) {
        self.depth.lost += self.covered(tickets);
        self.forget(tickets, true);
        self.free_segments();
    }

    /// Counts the batches that these stand for.
    fn covered(&self, tickets: &[Ticket]) -> u64 {
        tickets.iter().filter_map(|ticket| self.find(*ticket)).map(|place| u64::from(self.entries[place].covers)).sum()
    }

    /// Takes batches out of the queue and notes on disk that they are done, with the counters if one of them changed.
    fn forget(&mut self, tickets: &[Ticket], counted: bool) {
        let mut gone = Vec::new();
        for ticket in tickets {
            let Some(place) = self.find(*ticket) else { continue };
            let entry = self.entries.remove(place);
            self.boots[entry.boot as usize].life.done.insert(entry.sequence, u64::from(entry.covers));
            self.count_live(entry.place, false);
            if entry.place.segment == IN_MEMORY {
                self.memory.remove(&entry.place.offset);
            }
            gone.push((*ticket, entry.covers));
        }
        if !gone.is_empty() {
            let note = if counted { self.counters() } else { None };
            self.write_marks(mark::done(&gone).into_iter().chain(note).collect());
        }
    }

    /// The mark that keeps this boot's counters.
    fn counters(&mut self) -> Option<Frame<'static>> {
        let depth = self.depth;
        let this = self.boots.last_mut()?;
        (this.life.thinned, this.life.dropped) = (depth.thinned, depth.dropped);
        (this.life.lost, this.life.refused) = (depth.lost, depth.refused);
        mark::note(this.id, &this.life)
    }

    fn tell_disk(&mut self, error: Option<&io::Error>) {
        match error {
            Some(error) if self.disk_works => {
                tracing::error!(dir = %self.settings.dir.display(), %error, "spool cannot be written; samples wait in memory");
            }
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

    fn batch_of(&mut self, entry: &Entry) -> Option<(Batch, SeriesTable)> {
        let table = self.table_frame(usize::from(entry.table))?;
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

fn to_u32(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

fn to_u16(n: usize) -> u16 {
    u16::try_from(n).unwrap_or(u16::MAX)
}
