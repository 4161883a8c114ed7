//! Which sequence numbers of which boot are stored, across all days, also those whose files are gone.
//!
//! The truth is the day files; `seen.sqlite` is a summary of them up to a position, its *mark*, written a slice at a time
//! between commits. At start the records behind the mark are read again, so a summary that lags loses nothing, and one
//! that is lost or damaged is built again from the days there are.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension};
use rusta_wire::{AgentId, BatchId, BootId};

use super::Position;
use super::spans::{Lies, Spans};
use crate::sqlite;

/// Boots written to the summary between two commits: about a millisecond of work.
const SLICE: usize = 256;

/// Boots kept in memory. A country's agents each live in one boot; the others are found in the file when they are needed.
const BOOTS_IN_MEMORY: usize = 200_000;

/// Stretches of stored sequence numbers of one boot. A backlog that is sent newest first makes one, and each loss on the way
/// another; whoever leaves out every second number is no agent, and each batch of such a boot would cost more than the last.
const STRETCHES: usize = 4_096;

type Boot = (AgentId, BootId);

/// The set of everything stored.
pub(super) struct Seen {
    db: Connection,
    boots: HashMap<Boot, Spans>,
    dirty: BTreeSet<Boot>,
    /// What this group added, to take it out again when its transaction fails.
    added: Vec<(Boot, u64, u64)>,
    /// The mark that will hold once `writing` is empty.
    next_mark: Position,
    writing: Vec<Boot>,
}

impl Seen {
    /// Opens the summary and says up to which position it holds.
    pub(super) fn open(dir: &Path) -> rusqlite::Result<(Self, Position)> {
        let path = dir.join("seen.sqlite");
        let (db, mark) = match open(&path) {
            Ok(opened) => opened,
            Err(error) => {
                tracing::warn!(%error, "the summary of stored sequences is built again from the log");
                remove(&path);
                open(&path)?
            }
        };
        let seen = Seen { db, boots: HashMap::new(), dirty: BTreeSet::new(), added: Vec::new(), next_mark: mark, writing: Vec::new() };
        Ok((seen, mark))
    }

    /// Adds a batch if none of it is stored, and says how it lay; `None` if its boot has too many holes already.
    pub(super) fn add(&mut self, id: BatchId, covers: u32) -> rusqlite::Result<Option<Lies>> {
        let (first, end) = (id.sequence.0, id.sequence.0.saturating_add(u64::from(covers)));
        let boot = (id.agent, id.boot);
        let spans = match self.boots.entry(boot) {
            std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::hash_map::Entry::Vacant(vacant) => vacant.insert(read_boot(&self.db, boot)?),
        };
        let lies = spans.lies(first, end);
        if lies == Lies::Outside {
            if spans.count() >= STRETCHES {
                return Ok(None);
            }
            spans.insert(first, end);
            self.added.push((boot, first, end));
        }
        Ok(Some(lies))
    }

    /// Returns a place to [`Seen::undo_to`].
    pub(super) fn added(&self) -> usize {
        self.added.len()
    }

    /// Takes out what was added after a place.
    pub(super) fn undo_to(&mut self, place: usize) {
        for (boot, first, end) in self.added.drain(place..) {
            if let Some(spans) = self.boots.get_mut(&boot) {
                spans.remove(first, end);
            }
        }
    }

    /// Keeps what was added: its transaction is on disk.
    pub(super) fn keep(&mut self) {
        self.dirty.extend(self.added.drain(..).map(|(boot, ..)| boot));
    }

    /// Begins to write everything up to `head` into the summary, unless that is still going on.
    pub(super) fn begin_summary(&mut self, head: Position) {
        if self.writing.is_empty() && !self.dirty.is_empty() {
            self.next_mark = head;
            self.writing = std::mem::take(&mut self.dirty).into_iter().collect();
        }
    }

    /// Writes a slice of the summary; `true` when there is more.
    pub(super) fn write_slice(&mut self) -> rusqlite::Result<bool> {
        if self.writing.is_empty() {
            return Ok(false);
        }
        let from = self.writing.len().saturating_sub(SLICE);
        let transaction = self.db.unchecked_transaction()?;
        for boot in &self.writing[from..] {
            let spans = self.boots.get(boot).map(Spans::to_bytes).unwrap_or_default();
            let upsert = "INSERT OR REPLACE INTO boots (agent, boot, spans) VALUES (?1, ?2, ?3)";
            transaction.prepare_cached(upsert)?.execute((boot.0.0.cast_signed(), boot.1.0.cast_signed(), spans))?;
        }
        if from == 0 {
            transaction.execute("UPDATE mark SET position = ?1", [self.next_mark.0.cast_signed()])?;
        }
        transaction.commit()?;
        self.writing.truncate(from);
        self.forget_quiet_boots();
        Ok(from > 0)
    }

    /// Writes the whole summary.
    pub(super) fn finish(&mut self, head: Position) -> rusqlite::Result<()> {
        while self.write_slice()? {}
        self.begin_summary(head);
        while self.write_slice()? {}
        Ok(())
    }

    fn forget_quiet_boots(&mut self) {
        if self.writing.is_empty() && self.boots.len() > BOOTS_IN_MEMORY {
            let dirty = &self.dirty;
            self.boots.retain(|boot, _| dirty.contains(boot));
        }
    }
}

fn open(path: &Path) -> rusqlite::Result<(Connection, Position)> {
    let db = Connection::open(path)?;
    sqlite::plan_once(&db)?;
    db.pragma_update(None, "journal_mode", "wal")?;
    // NORMAL: a power cut may take the newest slices, and then takes the mark with them.
    db.pragma_update(None, "synchronous", "normal")?;
    db.execute_batch(
        "CREATE TABLE IF NOT EXISTS boots (
             agent INTEGER NOT NULL, boot INTEGER NOT NULL, spans BLOB NOT NULL, PRIMARY KEY (agent, boot)
         ) STRICT, WITHOUT ROWID;
         CREATE TABLE IF NOT EXISTS mark (one INTEGER PRIMARY KEY CHECK (one = 1), position INTEGER NOT NULL) STRICT;
         INSERT OR IGNORE INTO mark VALUES (1, 0);",
    )?;
    let mark: i64 = db.query_row("SELECT position FROM mark", [], |row| row.get(0))?;
    Ok((db, Position(mark.cast_unsigned())))
}

fn read_boot(db: &Connection, boot: Boot) -> rusqlite::Result<Spans> {
    let mut statement = db.prepare_cached("SELECT spans FROM boots WHERE agent = ?1 AND boot = ?2")?;
    let bytes: Option<Vec<u8>> = statement.query_row((boot.0.0.cast_signed(), boot.1.0.cast_signed()), |row| row.get(0)).optional()?;
    Ok(bytes.map(|b| Spans::from_bytes(&b)).unwrap_or_default())
}

fn remove(path: &Path) {
    for suffix in ["", "-wal", "-shm"] {
        let mut file = path.as_os_str().to_owned();
        file.push(suffix);
        if let Err(error) = std::fs::remove_file(PathBuf::from(&file))
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(%error, file = %file.display(), "a damaged summary cannot be removed");
        }
    }
}
