//! A sink's own durable memory: how far it has read the log, the state points it still owes, the lines it set aside.
//!
//! One SQLite file per sink beside the state database, so that a sink can be thrown away, or left a week behind, without
//! anything else noticing.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, params};
use rusta_wire::UnixMs;

use crate::log::Position;
use crate::sqlite;

/// Most bytes of owed state points. 65,000 sites make about 0.4 MB a minute: this holds two days of a dead database, and
/// what falls off the end is counted. Probe points are not held here; the log keeps them.
const OWED_BYTES: i64 = 1 << 30;

/// Most lines kept for a person to look at.
const POISON_LINES: i64 = 10_000;

/// A sink's memory.
pub struct Queue {
    db: Connection,
}

/// State points waiting for delivery.
pub struct Owed {
    /// Names it for [`Queue::delivered`].
    pub id: i64,
    /// Line protocol.
    pub body: String,
}

impl Queue {
    /// Opens or makes the file.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn open(path: &Path) -> rusqlite::Result<Queue> {
        let db = Connection::open(path)?;
        sqlite::plan_once(&db)?;
        db.busy_timeout(std::time::Duration::from_secs(10))?;
        db.pragma_update(None, "journal_mode", "wal")?;
        db.execute_batch(
            "CREATE TABLE IF NOT EXISTS cursor (one INTEGER PRIMARY KEY CHECK (one = 1), position INTEGER NOT NULL);
             CREATE TABLE IF NOT EXISTS owed (id INTEGER PRIMARY KEY, body TEXT NOT NULL);
             CREATE TABLE IF NOT EXISTS dropped (one INTEGER PRIMARY KEY CHECK (one = 1), points INTEGER NOT NULL);
             CREATE TABLE IF NOT EXISTS poison (id INTEGER PRIMARY KEY, at INTEGER NOT NULL, line TEXT NOT NULL, reason TEXT NOT NULL);",
        )?;
        Ok(Queue { db })
    }

    /// Returns the last log position delivered; `None` before the first.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn cursor(&self) -> rusqlite::Result<Option<Position>> {
        let position: Option<i64> = self.db.query_row("SELECT position FROM cursor", [], |row| row.get(0)).optional()?;
        Ok(position.map(|p| Position(u64::try_from(p).unwrap_or(0))))
    }

    /// Notes that everything up to `position` was delivered; a smaller one makes the sink deliver again from there.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn set_cursor(&self, position: Position) -> rusqlite::Result<()> {
        let position = i64::try_from(position.0).unwrap_or(i64::MAX);
        self.db.execute("INSERT INTO cursor VALUES (1, ?1) ON CONFLICT DO UPDATE SET position = ?1", [position])?;
        Ok(())
    }

    /// Keeps state points until they are delivered, dropping the oldest when there are too many.
    ///
    /// # Errors
    /// What SQLite says; a full disk among it.
    pub fn owe(&mut self, body: &str) -> rusqlite::Result<()> {
        let transaction = self.db.transaction()?;
        transaction.execute("INSERT INTO owed (body) VALUES (?1)", [body])?;
        while transaction.query_row("SELECT coalesce(sum(length(body)), 0) FROM owed", [], |row| row.get::<_, i64>(0))? > OWED_BYTES {
            let (id, points): (i64, i64) = transaction.query_row(
                "SELECT id, length(body) - length(replace(body, char(10), '')) FROM owed ORDER BY id LIMIT 1",
                [],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )?;
            transaction.execute("DELETE FROM owed WHERE id = ?1", [id])?;
            transaction.execute("INSERT INTO dropped VALUES (1, ?1) ON CONFLICT DO UPDATE SET points = points + ?1", [points])?;
        }
        transaction.commit()
    }

    /// Returns the oldest state points still owed.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn oldest_owed(&self) -> rusqlite::Result<Option<Owed>> {
        self.db
            .query_row("SELECT id, body FROM owed ORDER BY id LIMIT 1", [], |row| Ok(Owed { id: row.get(0)?, body: row.get(1)? }))
            .optional()
    }

    /// Returns how many bodies of state points wait.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn owed(&self) -> rusqlite::Result<i64> {
        self.db.query_row("SELECT count(*) FROM owed", [], |row| row.get(0))
    }

    /// Forgets state points that were delivered.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn delivered(&self, id: i64) -> rusqlite::Result<()> {
        self.db.execute("DELETE FROM owed WHERE id = ?1", [id])?;
        Ok(())
    }

    /// Sets lines aside that the database will never take.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn set_aside(&mut self, at: UnixMs, lines: &[(String, String)]) -> rusqlite::Result<()> {
        let transaction = self.db.transaction()?;
        for (line, reason) in lines {
            transaction.execute("INSERT INTO poison (at, line, reason) VALUES (?1, ?2, ?3)", params![at.0, line, reason])?;
        }
        transaction.execute("DELETE FROM poison WHERE id <= (SELECT max(id) FROM poison) - ?1", [POISON_LINES])?;
        transaction.commit()
    }

    /// Lists the newest lines set aside, each with the database's reason.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn poison(&self) -> rusqlite::Result<Vec<(String, String)>> {
        let mut query = self.db.prepare("SELECT line, reason FROM poison ORDER BY id DESC LIMIT 20")?;
        query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
    }

    /// Returns how many state points ever fell off the end.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn dropped(&self) -> rusqlite::Result<i64> {
        Ok(self.db.query_row("SELECT points FROM dropped", [], |row| row.get(0)).optional()?.unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_owed_survives_a_restart_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sink.sqlite");
        let mut queue = Queue::open(&path).unwrap();
        assert_eq!(queue.cursor().unwrap(), None);
        queue.owe("a v=1 1\n").unwrap();
        queue.owe("b v=1 2\n").unwrap();
        queue.set_cursor(Position(7)).unwrap();
        drop(queue);
        let queue = Queue::open(&path).unwrap();
        let first = queue.oldest_owed().unwrap().unwrap();
        assert_eq!(first.body, "a v=1 1\n");
        queue.delivered(first.id).unwrap();
        assert_eq!(queue.oldest_owed().unwrap().unwrap().body, "b v=1 2\n");
        assert_eq!(queue.cursor().unwrap(), Some(Position(7)));
    }
}
