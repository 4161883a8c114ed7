//! Opening a spool: one agent at a time, and what the journal holds is settled into what still waits.

use std::collections::{HashMap, HashSet};
use std::fs::File;

use nix::fcntl::{Flock, FlockArg};
use rusta_wire::journal::{Journal, Place};
use rusta_wire::{Batch, BootId, Frame, FrameKind, MonoMs, TableId};

use super::{Boot, Entry, InUse, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN, SEGMENTS, Spool, StoredTable, mark, to_u16, to_u32};
use crate::config;

/// Keeps a second agent out; `None` where the file system cannot.
pub(super) fn lock(settings: &config::Spool) -> Result<Option<Flock<File>>, InUse> {
    let file = std::fs::create_dir_all(&settings.dir).and_then(|()| File::create(settings.dir.join("lock")));
    // A directory that takes no file is told when the journal is opened.
    let Ok(file) = file else { return Ok(None) };
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(Some(lock)),
        Err((_, nix::errno::Errno::EWOULDBLOCK)) => Err(InUse(settings.dir.display().to_string())),
        Err(_) => Ok(None),
    }
}

/// The order of the first boot a spool numbers. There is room below for those that have no number: they are older.
const FIRST_ORDER: u64 = 1 << 20;

/// Opens the journal and reads what it holds.
pub(super) fn open(settings: &config::Spool, found: &mut Found) -> std::io::Result<Journal> {
    let segment_bytes = (settings.max_bytes / SEGMENTS).clamp(SEGMENT_BYTES_MIN.min(settings.max_bytes / 4), SEGMENT_BYTES_MAX);
    let (journal, recovery) = Journal::open(&settings.dir, segment_bytes, |place, frame| found.take(place, frame))?;
    (found.damaged_bytes, found.lost) = (recovery.damaged_bytes, recovery.lost);
    Ok(journal)
}

/// What recovery reads, before marks are settled against batches.
#[derive(Default)]
pub(super) struct Found {
    tables: Vec<StoredTable>,
    batches: Vec<(rusta_wire::batch::Head, Place)>,
    marks: mark::Summary,
    damaged_bytes: u64,
    lost: u64,
}

impl Found {
    /// Takes in one frame.
    pub(super) fn take(&mut self, place: Place, frame: &Frame<'_>) {
        match frame.kind {
            FrameKind::Table => {
                let id = TableId::of(&frame.payload);
                match self.tables.iter_mut().find(|t| t.id == id) {
                    Some(table) => table.places.push(place),
                    None => self.tables.push(StoredTable { id, places: vec![place], memory: None }),
                }
            }
            FrameKind::Batch => self.batches.extend(Batch::head(&frame.payload).ok().map(|head| (head, place))),
            FrameKind::Mark => self.marks.take(&frame.payload),
        }
    }

    /// Sets a spool up with what waits; `boot` is this one, and has lasted until `now`.
    pub(super) fn settle(mut self, boot: BootId, now: MonoMs, spool: &mut Spool) {
        let boots = self.boots(boot);
        for (head, _) in &self.batches {
            // The names of these are lost here, and perhaps known to the collector, or written again with the next batch.
            if self.tables.iter().all(|t| t.id != head.table) {
                self.tables.push(StoredTable { id: head.table, places: Vec::new(), memory: None });
            }
        }
        spool.entries = self.waiting(&boots);
        spool.boots = boots.into_iter().map(|id| Boot { id, life: self.marks.lives.remove(&id).unwrap_or_default(), noted: 0 }).collect();
        spool.number_boots();
        spool.tables = std::mem::take(&mut self.tables);
        spool.depth.damaged_bytes = self.damaged_bytes;
        for place in spool.entries.iter().map(|e| e.place).collect::<Vec<_>>() {
            spool.count_live(place, true);
        }
        let seen = self.batches.iter().filter(|(head, _)| head.id.boot == boot);
        let seen = seen.map(|(head, _)| head.id.sequence.0 + u64::from(head.covers)).max().unwrap_or(0);
        if let Some(Boot { life, .. }) = spool.boots.last_mut() {
            // The journal may have lost the newest of this boot, or be another one: it was damaged, wiped, or could not be
            // written for a while. Batches are more than a millisecond apart, so a number that is not below the boot's
            // milliseconds was never used; a gap is better than a number used twice.
            life.next = life.next.max(seen).max(life.offered.end()).max(life.done.end()).max(now.0);
            (spool.depth.thinned, spool.depth.dropped) = (life.thinned, life.dropped);
            (spool.depth.lost, spool.depth.refused) = (life.lost, life.refused);
        }
        if self.lost > 0 {
            tracing::error!(batches = self.lost, bytes = self.damaged_bytes, "spooled batches were damaged on disk and are lost");
            spool.depth.lost += self.lost;
            spool.leave_damage();
        }
    }

    /// Lists the boots with batches in the journal, oldest first; `boot` is the last.
    fn boots(&mut self, boot: BootId) -> Vec<BootId> {
        let mut order = std::mem::take(&mut self.marks.boots);
        order.extend(self.batches.iter().map(|(head, _)| head.id.boot));
        let present: HashSet<BootId> = self.batches.iter().map(|(head, _)| head.id.boot).filter(|id| *id != boot).collect();
        let mut seen = HashSet::new();
        order.retain(|id| present.contains(id) && seen.insert(*id));
        order.sort_by_key(|id| self.marks.lives.get(id).map_or(0, |life| life.order));
        order.push(boot);
        order
    }

    /// Lists what still waits, oldest first.
    fn waiting(&self, boots: &[BootId]) -> Vec<Entry> {
        let boots: HashMap<BootId, u32> = boots.iter().enumerate().map(|(place, id)| (*id, to_u32(place))).collect();
        let entry = |(head, place): &(rusta_wire::batch::Head, Place)| {
            if self.marks.is_done(head.id) {
                return None;
            }
            Some(Entry {
                boot: *boots.get(&head.id.boot)?,
                table: to_u16(self.tables.iter().position(|t| t.id == head.table)?),
                sequence: head.id.sequence.0,
                covers: head.covers,
                summary_s: head.summary_s,
                until: head.until,
                place: *place,
                offered: self.marks.lives.get(&head.id.boot).is_some_and(|life| life.offered.contains(head.id.sequence.0)),
                settled: false,
            })
        };
        let mut entries: Vec<Entry> = self.batches.iter().filter_map(entry).collect();
        // What was merged, or written again, is in the journal beside what it was made from, until that segment goes.
        entries.sort_by_key(|e| (e.boot, e.sequence, std::cmp::Reverse(e.covers), std::cmp::Reverse(e.place)));
        let mut reach = (u32::MAX, 0);
        entries.retain(|e| {
            let covered = reach.0 == e.boot && e.end() <= reach.1;
            if !covered {
                reach = (e.boot, e.end());
            }
            !covered
        });
        entries
    }
}

impl Spool {
    /// Gives every boot its place in time, as marks tell it.
    fn number_boots(&mut self) {
        let known = self.boots.iter().map(|boot| boot.life.order).filter(|order| *order > 0);
        let (first, last) = (known.clone().min().unwrap_or(FIRST_ORDER), known.max().unwrap_or(FIRST_ORDER - 1));
        let unknown = u64::from(to_u32(self.boots.iter().filter(|boot| boot.life.order == 0).count()));
        let mut next = first.saturating_sub(unknown).max(1);
        let this = self.boots.len() - 1;
        for boot in &mut self.boots[..this] {
            if boot.life.order == 0 {
                (boot.life.order, next) = (next, next + 1);
            }
        }
        if self.boots[this].life.order == 0 {
            self.boots[this].life.order = last + 1;
        }
    }

    /// Leaves the segments that damage was counted in, so that it is not counted again.
    fn leave_damage(&mut self) {
        let before = self.journal.as_ref().map(Journal::head);
        if self.rotate().is_none() {
            return;
        }
        let note = self.counters();
        self.write_marks(note.into_iter().collect());
        while let Some(oldest) = self.journal.as_ref().and_then(Journal::oldest)
            && Some(oldest) <= before
            && self.clean() == super::room::Gain::Some
        {}
    }
}
