//! One day of the log: a SQLite file that needs nothing outside it.
//!
//! The index `(site, boot, monotonic time)` is the index of observed time: a boot's offset may be learnt long after its
//! batches arrived, so what is stored must not depend on it.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row};
use rusta_wire::{AgentId, Batch, BootId, Frame, TableId, UnixMs};

use super::names::{Cache, Names};
use super::{BootRange, Disowned, Incoming, LogError, Position, READ_BYTES, Stored};
use crate::day::Day;
use crate::sqlite;

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS contents (id INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, encoded BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS names (
    agent INTEGER NOT NULL, id INTEGER NOT NULL, content INTEGER NOT NULL, PRIMARY KEY (agent, id)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sites (id INTEGER PRIMARY KEY, code TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE IF NOT EXISTS records (
    position       INTEGER PRIMARY KEY,
    received_at    INTEGER NOT NULL,
    agent          INTEGER NOT NULL,
    boot           INTEGER NOT NULL,
    sequence       INTEGER NOT NULL,
    covers         INTEGER NOT NULL,
    site           INTEGER NOT NULL,
    content        INTEGER NOT NULL,
    from_ms        INTEGER NOT NULL,
    until_ms       INTEGER NOT NULL,
    live_offset_ms INTEGER,
    frame          BLOB NOT NULL,
    UNIQUE (agent, boot, sequence)
) STRICT;
CREATE INDEX IF NOT EXISTS records_by_observed ON records (site, boot, from_ms, until_ms);
PRAGMA user_version = 1;
";

const COLUMNS: &str = "r.position, r.received_at, s.code, r.live_offset_ms, r.frame, r.content";

/// Records in a row that damage may have taken before the rest of their day is given up: some seconds of looking.
const HOLE: u64 = 1 << 20;

/// Returns the path of a day's file.
pub(super) fn path(dir: &Path, day: Day) -> PathBuf {
    dir.join(format!("{day}.sqlite"))
}

/// Finds the days there are files of.
pub(super) fn days_in(dir: &Path) -> io::Result<BTreeMap<Day, PathBuf>> {
    let mut days = BTreeMap::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let day = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".sqlite")?.parse().ok());
        days.extend(day.map(|day| (day, path)));
    }
    Ok(days)
}

/// Removes a day.
pub(super) fn unlink(dir: &Path, day: Day) -> io::Result<()> {
    let path = path(dir, day);
    for suffix in ["-wal", "-shm"] {
        let mut side = path.clone().into_os_string();
        side.push(suffix);
        match std::fs::remove_file(&side) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    std::fs::remove_file(path)
}

/// Opens a day for reading.
pub(super) fn open_reader(dir: &Path, day: Day) -> Result<Connection, LogError> {
    let db = Connection::open_with_flags(path(dir, day), OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    sqlite::plan_once(&db)?;
    db.busy_timeout(Duration::from_secs(5))?;
    Ok(db)
}

/// The day that is being written.
pub(super) struct DayFile {
    pub(super) day: Day,
    db: Connection,
    // What this file already holds; forgotten when a transaction fails.
    contents: HashMap<[u8; 32], i64>,
    named: HashMap<(AgentId, TableId), i64>,
    sites: HashMap<Arc<str>, i64>,
}

impl DayFile {
    /// Opens a day for writing, making its file if it is not there.
    pub(super) fn open(dir: &Path, day: Day) -> rusqlite::Result<Self> {
        let db = Connection::open(path(dir, day))?;
        sqlite::plan_once(&db)?;
        db.busy_timeout(Duration::from_secs(5))?;
        db.pragma_update(None, "journal_mode", "wal")?;
        // FULL: the write-ahead log is synced at each commit. That sync is what an acknowledgement promises.
        db.pragma_update(None, "synchronous", "full")?;
        db.execute_batch(SCHEMA)?;
        Ok(DayFile { day, db, contents: HashMap::new(), named: HashMap::new(), sites: HashMap::new() })
    }

    /// Writes in one transaction what `work` inserts, and syncs it.
    pub(super) fn commit<T>(&mut self, work: impl FnOnce(&mut Self) -> rusqlite::Result<T>) -> rusqlite::Result<T> {
        self.db.execute_batch("BEGIN IMMEDIATE")?;
        let done = work(self).and_then(|done| self.db.execute_batch("COMMIT").map(|()| done));
        if done.is_err() {
            self.contents.clear();
            self.named.clear();
            self.sites.clear();
            // SQLite has rolled back by itself after some errors; then this one says so and nothing is lost by it.
            let _already_rolled_back = self.db.execute_batch("ROLLBACK");
        }
        done
    }

    /// Inserts a record; `false` if the file holds the batch already.
    pub(super) fn insert(&mut self, position: Position, received_at: UnixMs, site: &Arc<str>, batch: &Incoming) -> rusqlite::Result<bool> {
        let site = self.site(site)?;
        let id = batch.head.id;
        let content = self.content(id.agent, &batch.names)?;
        let mut statement = self.db.prepare_cached(
            "INSERT INTO records VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) ON CONFLICT (agent, boot, sequence) DO NOTHING",
        )?;
        let inserted = statement.execute((
            position.0.cast_signed(),
            received_at.0,
            id.agent.0.cast_signed(),
            id.boot.0.cast_signed(),
            id.sequence.0.cast_signed(),
            batch.head.covers,
            site,
            content,
            batch.head.from.0.cast_signed(),
            batch.head.until.0.cast_signed(),
            batch.live_offset_ms,
            batch.frame.as_ref(),
        ))?;
        Ok(inserted == 1)
    }

    /// Folds the write-ahead log into the file, so that a finished day is one file.
    pub(super) fn finish(&self) {
        if let Err(error) = self.db.pragma_update(None, "wal_checkpoint", "truncate") {
            tracing::warn!(%error, day = %self.day, "a finished day keeps its write-ahead log until it is opened again");
        }
    }

    fn site(&mut self, code: &Arc<str>) -> rusqlite::Result<i64> {
        if let Some(id) = self.sites.get(code) {
            return Ok(*id);
        }
        self.db.prepare_cached("INSERT OR IGNORE INTO sites (code) VALUES (?1)")?.execute([code.as_ref()])?;
        let id = self.db.prepare_cached("SELECT id FROM sites WHERE code = ?1")?.query_row([code.as_ref()], |row| row.get(0))?;
        self.sites.insert(code.clone(), id);
        Ok(id)
    }

    fn content(&mut self, agent: AgentId, names: &Names) -> rusqlite::Result<i64> {
        if let Some(id) = self.named.get(&(agent, names.id)) {
            return Ok(*id);
        }
        let content = match self.contents.get(&names.digest) {
            Some(id) => *id,
            None => {
                let insert = "INSERT OR IGNORE INTO contents (digest, encoded) VALUES (?1, ?2)";
                self.db.prepare_cached(insert)?.execute((names.digest, &names.encoded))?;
                self.db.prepare_cached("SELECT id FROM contents WHERE digest = ?1")?.query_row([names.digest], |row| row.get(0))?
            }
        };
        self.contents.insert(names.digest, content);
        let insert = "INSERT OR REPLACE INTO names (agent, id, content) VALUES (?1, ?2, ?3)";
        self.db.prepare_cached(insert)?.execute((agent.0.cast_signed(), names.id.0.cast_signed(), content))?;
        self.named.insert((agent, names.id), content);
        Ok(content)
    }
}

/// Checks that a file has the tables of a day, as far as what is read and written names them.
pub(super) fn check(db: &Connection) -> rusqlite::Result<()> {
    db.prepare(&format!(
        "SELECT {COLUMNS}, r.agent, r.boot, r.sequence, r.covers, r.from_ms, r.until_ms FROM records r JOIN sites s ON s.id = r.site"
    ))?;
    db.prepare("SELECT c.encoded FROM names n JOIN contents c ON c.id = n.content WHERE n.agent = n.id AND c.digest = ?1")?;
    Ok(())
}

/// The first position of a day's file; `None` if the file holds none.
pub(super) fn first_position(db: &Connection) -> rusqlite::Result<Option<Position>> {
    edge(db, "SELECT min(position) FROM records")
}

/// The last position of a day's file; `None` if the file holds none.
pub(super) fn last_position(db: &Connection) -> rusqlite::Result<Option<Position>> {
    edge(db, "SELECT max(position) FROM records")
}

/// The last position of a day's file received before a time; `None` if there is none.
pub(super) fn last_position_before(db: &Connection, at: UnixMs) -> rusqlite::Result<Option<Position>> {
    let last: Option<i64> = db.query_row("SELECT max(position) FROM records WHERE received_at < ?1", [at.0], |row| row.get(0))?;
    Ok(last.map(|n| Position(n.cast_unsigned())))
}

fn edge(db: &Connection, sql: &str) -> rusqlite::Result<Option<Position>> {
    let edge: Option<i64> = db.query_row(sql, [], |row| row.get(0))?;
    Ok(edge.map(|n| Position(n.cast_unsigned())))
}

/// Reads of one day.
pub(super) struct Reader<'a> {
    pub(super) db: &'a Connection,
    /// Whose words are left out, and from when on.
    pub(super) disowned: &'a Disowned,
}

impl Reader<'_> {
    /// Reads up to `max` records between two positions, neither included.
    pub(super) fn read_from(&self, names: &Cache, after: Position, until: Position, max: usize) -> Result<Vec<Stored>, LogError> {
        let filter = "r.position > ?1 ORDER BY r.position LIMIT ?2";
        match self.records(names, filter, &[integer(after.0), integer(max as u64)], READ_BYTES) {
            Err(LogError::Damaged(why)) => self.one_by_one(names, after.0 + 1..until.0, max, READ_BYTES, &why),
            read => read,
        }
    }

    pub(super) fn of_boot(
        &self,
        names: &Cache,
        agent: AgentId,
        boot: BootId,
        after: Position,
        max: usize,
    ) -> Result<Vec<Stored>, LogError> {
        let filter = "r.agent = ?1 AND r.boot = ?2 AND r.position > ?3 ORDER BY r.position LIMIT ?4";
        self.found(names, filter, &[integer(agent.0), integer(boot.0), integer(after.0), integer(max as u64)], usize::MAX)
    }

    /// Reads until `most_bytes` of frames are read.
    pub(super) fn site_range(
        &self,
        names: &Cache,
        site_code: &str,
        ranges: &[BootRange],
        most_bytes: usize,
    ) -> Result<Vec<Stored>, LogError> {
        let site = match self.site(site_code) {
            Err(LogError::Damaged(why)) => {
                tracing::error!(why = &*why, "a day of the log is damaged on disk and no longer knows its sites");
                None
            }
            known => known?,
        };
        let Some(site) = site else { return Ok(Vec::new()) };
        let filter = "r.site = ?1 AND r.boot = ?2 AND r.from_ms < ?4 AND r.until_ms >= ?3";
        let (mut out, mut bytes) = (Vec::new(), 0);
        for range in ranges {
            let bounds = [Value::Integer(site), integer(range.boot.0), integer(range.from.0), integer(range.until.0)];
            let found = self.found(names, filter, &bounds, most_bytes.saturating_sub(bytes))?;
            bytes += frame_bytes(&found);
            out.extend(found);
            if bytes >= most_bytes {
                break;
            }
        }
        out.sort_by_key(|stored| stored.position);
        Ok(out)
    }

    fn site(&self, code: &str) -> Result<Option<i64>, LogError> {
        let mut statement = self.db.prepare_cached("SELECT id FROM sites WHERE code = ?1")?;
        Ok(statement.query_row([code], |row| row.get(0)).optional()?)
    }

    pub(super) fn names(&self, cache: &Cache, agent: AgentId, table: TableId) -> Result<Option<Arc<Names>>, LogError> {
        let sql = "SELECT c.encoded FROM names n JOIN contents c ON c.id = n.content WHERE n.agent = ?1 AND n.id = ?2";
        let mut statement = self.db.prepare_cached(sql)?;
        let key = (agent.0.cast_signed(), table.0.cast_signed());
        let encoded: Option<Vec<u8>> = statement.query_row(key, |row| row.get(0)).optional()?;
        encoded.map(|bytes| intern(cache, &bytes)).transpose()
    }

    /// Reads what an index finds.
    fn found(&self, names: &Cache, filter: &str, bounds: &[Value], most_bytes: usize) -> Result<Vec<Stored>, LogError> {
        match self.records(names, filter, bounds, most_bytes) {
            Err(LogError::Damaged(why)) => self.one_by_one(names, self.listed(filter, bounds).into_iter(), usize::MAX, most_bytes, &why),
            read => read,
        }
    }

    /// Lists the positions an index finds; a damaged one gives what it lists before the damage.
    fn listed(&self, filter: &str, bounds: &[Value]) -> Vec<u64> {
        let Ok(mut statement) = self.db.prepare_cached(&format!("SELECT r.position FROM records r WHERE {filter}")) else {
            return Vec::new();
        };
        let rows = statement.query_map(rusqlite::params_from_iter(bounds), |row| row.get::<_, i64>(0));
        rows.map(|rows| rows.map_while(Result::ok).map(i64::cast_unsigned).collect()).unwrap_or_default()
    }

    /// Reads what damage has left: a page that cannot be read costs the records on it.
    fn one_by_one(
        &self,
        names: &Cache,
        positions: impl Iterator<Item = u64>,
        max: usize,
        most_bytes: usize,
        why: &str,
    ) -> Result<Vec<Stored>, LogError> {
        let (mut out, mut bytes, mut lost, mut hole) = (Vec::new(), 0, 0u64, 0u64);
        for position in positions {
            match self.records(names, "r.position = ?1", &[integer(position)], usize::MAX) {
                Ok(found) => {
                    bytes += frame_bytes(&found);
                    out.extend(found);
                    hole = 0;
                }
                Err(LogError::Damaged(_)) => (lost, hole) = (lost + 1, hole + 1),
                Err(error) => return Err(error),
            }
            if out.len() >= max || bytes >= most_bytes || hole >= HOLE {
                break;
            }
        }
        tracing::error!(lost, why, "a day of the log is damaged on disk; what can be read of it is read");
        Ok(out)
    }

    /// Reads rows until `most_bytes` of frames are read; the row that reaches it is the last.
    fn records(&self, names: &Cache, filter: &str, bounds: &[Value], most_bytes: usize) -> Result<Vec<Stored>, LogError> {
        let sql = format!("SELECT {COLUMNS} FROM records r JOIN sites s ON s.id = r.site WHERE {}{filter}", owned(self.disowned));
        let mut statement = self.db.prepare_cached(&sql)?;
        let mut rows = statement.query(rusqlite::params_from_iter(bounds))?;
        let mut tables = HashMap::new();
        let mut sites = HashMap::new();
        let mut out = Vec::new();
        let mut bytes = 0;
        while bytes < most_bytes
            && let Some(row) = rows.next()?
        {
            let stored = self.stored(row, names, &mut tables, &mut sites)?;
            bytes += stored.as_ref().map_or(0, |stored| stored.frame.len());
            out.extend(stored);
        }
        Ok(out)
    }

    /// Reads one row; `None` for one whose frame was damaged at rest: it costs that record, never the readers behind it.
    fn stored(
        &self,
        row: &Row<'_>,
        names: &Cache,
        tables: &mut HashMap<i64, Arc<Names>>,
        sites: &mut HashMap<String, Arc<str>>,
    ) -> Result<Option<Stored>, LogError> {
        let position = Position(row.get::<_, i64>(0)?.cast_unsigned());
        let frame = Bytes::from(row.get::<_, Vec<u8>>(4)?);
        let head =
            match Frame::read(&frame).map_err(|e| e.to_string()).and_then(|(f, _)| Batch::head(&f.payload).map_err(|e| e.to_string())) {
                Ok(head) => head,
                Err(error) => {
                    tracing::error!(position = position.0, %error, "a record of the log was damaged on disk and is skipped");
                    return Ok(None);
                }
            };
        let content: i64 = row.get(5)?;
        let named = match tables.get(&content) {
            Some(known) => known.clone(),
            None => {
                let encoded: Vec<u8> =
                    self.db.prepare_cached("SELECT encoded FROM contents WHERE id = ?1")?.query_row([content], |row| row.get(0))?;
                let read = intern(names, &encoded)?;
                tables.insert(content, read.clone());
                read
            }
        };
        let code: String = row.get(2)?;
        let site_code = sites.entry(code).or_insert_with_key(|code| code.as_str().into()).clone();
        let (table, table_id) = (named.table.clone(), named.id);
        Ok(Some(Stored {
            position,
            received_at: UnixMs(row.get(1)?),
            site_code,
            head,
            live_offset_ms: row.get(3)?,
            frame,
            table,
            table_id,
        }))
    }
}

/// Adds up what frames hold.
pub(super) fn frame_bytes(records: &[Stored]) -> usize {
    records.iter().map(|stored| stored.frame.len()).sum()
}

/// Writes the condition that leaves out what nobody owns any more.
fn owned(disowned: &Disowned) -> String {
    let mut listed: Vec<_> = disowned.iter().collect();
    listed.sort_unstable();
    let condition =
        |(agent, since): (&AgentId, &UnixMs)| format!("NOT (r.agent = {} AND r.received_at >= {}) AND ", agent.0.cast_signed(), since.0);
    listed.into_iter().map(condition).collect()
}

fn intern(cache: &Cache, encoded: &[u8]) -> Result<Arc<Names>, LogError> {
    cache.intern(encoded).map_err(|error| LogError::Damaged(error.to_string().into()))
}

/// SQLite integers are signed; ids keep their bits.
fn integer(n: u64) -> Value {
    Value::Integer(n.cast_signed())
}
