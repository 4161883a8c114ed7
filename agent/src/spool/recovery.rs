//! Opening a spool: one agent at a time, and what the journal holds is settled into what still waits.

use std::fs::File;

use nix::fcntl::{Flock, FlockArg};
use rusta_wire::journal::Place;
use rusta_wire::{Batch, BootId, Frame, FrameKind, MonoMs, TableId};

use super::{Entry, InUse, Spool, StoredTable, mark, to_u16};
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

/// What recovery reads, before marks are settled against batches.
#[derive(Default)]
pub(super) struct Found {
    tables: Vec<StoredTable>,
    batches: Vec<(rusta_wire::batch::Head, Place)>,
    marks: mark::Summary,
    pub(super) damaged_bytes: u64,
}

impl Found {
    /// Takes in one frame.
    pub(super) fn take(&mut self, place: Place, frame: &Frame<'_>) {
        match frame.kind {
            FrameKind::Table => {
                let id = TableId::of(&frame.payload);
                self.tables.retain(|t| t.id != id);
                self.tables.push(StoredTable { id, place: Some(place) });
            }
            FrameKind::Batch => self.batches.extend(Batch::head(&frame.payload).ok().map(|head| (head, place))),
            FrameKind::Mark => self.marks.take(&frame.payload),
        }
    }

    /// Sets a spool up with what waits; `boot` is this one, and has lasted until `now`.
    pub(super) fn settle(mut self, boot: BootId, now: MonoMs, spool: &mut Spool) {
        let mut order = std::mem::take(&mut self.marks.boots);
        order.extend(self.batches.iter().map(|(head, _)| head.id.boot));
        order.push(boot);
        let present = |id: &BootId| *id == boot || self.batches.iter().any(|(head, _)| head.id.boot == *id);
        let mut boots: Vec<BootId> = Vec::new();
        for id in order.into_iter().filter(present) {
            if !boots.contains(&id) {
                boots.push(id);
            }
        }
        boots.retain(|id| *id != boot);
        boots.push(boot);
        spool.entries = self.waiting(&boots);
        spool.boots = boots.into_iter().map(|id| (id, self.marks.lives.remove(&id).unwrap_or_default())).collect();
        spool.tables = self.tables;
        spool.depth.damaged_bytes = self.damaged_bytes;
        let seen = self.batches.iter().filter(|(head, _)| head.id.boot == boot);
        let seen = seen.map(|(head, _)| head.id.sequence.0 + u64::from(head.covers)).max().unwrap_or(0);
        if let Some((_, life)) = spool.boots.last_mut() {
            // The journal may have lost the newest of this boot, or be another one: it was damaged, wiped, or could not be
            // written for a while. Batches are more than a millisecond apart, so a number that is not below the boot's
            // milliseconds was never used; a gap is better than a number used twice.
            life.next = life.next.max(seen).max(life.offered.end()).max(life.done.end()).max(now.0);
            (spool.depth.thinned, spool.depth.dropped) = (life.thinned, life.dropped);
        }
    }

    /// Lists what still waits, oldest first.
    fn waiting(&self, boots: &[BootId]) -> Vec<Entry> {
        let entry = |(head, place): &(rusta_wire::batch::Head, Place)| {
            if self.marks.is_done(head.id) {
                return None;
            }
            Some(Entry {
                boot: to_u16(boots.iter().position(|b| *b == head.id.boot)?),
                // A batch whose table is gone can never be read by anybody.
                table: to_u16(self.tables.iter().position(|t| t.id == head.table)?),
                sequence: head.id.sequence.0,
                covers: head.covers,
                summary_s: head.summary_s,
                until: head.until,
                place: *place,
                offered: self.marks.lives.get(&head.id.boot).is_some_and(|life| life.offered.contains(head.id.sequence.0)),
            })
        };
        let mut entries: Vec<Entry> = self.batches.iter().filter_map(entry).collect();
        // What was merged is in the journal beside what it was merged from, until that segment goes.
        entries.sort_by_key(|e| (e.boot, e.sequence, std::cmp::Reverse(e.covers)));
        let mut reach = (u16::MAX, 0);
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
