//! The state database: inventory versions, agents, tokens, events, intervals, daily seconds, incidents, people, audit.
//!
//! One SQLite file, `state.sqlite`, with one writer connection behind a mutex and a few readers. Other processes (the
//! commands of `cli.rs`) may write it too; SQLite serialises them and [`Store::foreign_changes`] tells a running
//! collector that they did. Raw frames are not here: the `log` keeps them in files of their own.
//!
//! Every area owns its tables through a migration in `store/schema/`; this module knows none of them.

pub mod audit;
mod chain;
mod schema;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};

use crate::sqlite;
use crate::stall::{self, Stall};

/// A write that lasts longer is one on a disk that hangs. The largest import takes some seconds.
const SLOWEST_WRITE: Duration = Duration::from_secs(30);

/// How long a command waits for another process that writes. A backup holds no lock, an import writes for a second or two.
const BUSY: Duration = Duration::from_secs(20);

/// Readers kept open between uses. More may run at once; they are opened and closed again.
const IDLE_READERS: usize = 8;

/// The oldest SQLite whose write-ahead log cannot corrupt the database when a checkpoint resets it (fixed in 3.51.3).
const OLDEST_SQLITE: i32 = 3_051_003;

/// Why the state database did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite said no.
    #[error("state database")]
    Sqlite(#[from] rusqlite::Error),
    /// The directory or the file could not be made or opened.
    #[error("{path}")]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The linked SQLite is too old to be trusted with a write-ahead log.
    #[error("SQLite {0} may corrupt its write-ahead log; 3.51.3 or newer is needed")]
    SqliteTooOld(&'static str),
    /// The file was written by a newer collector.
    #[error("{path} has schema version {found}, this program knows up to {known}: use the newer program, or restore a backup")]
    TooNew {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The newest version this program knows.
        known: u32,
    },
    /// What was asked makes no sense; nothing was changed.
    #[error("{0}")]
    Refused(String),
}

/// A handle on the state database; clones share it.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    writer: Mutex<Connection>,
    readers: Mutex<Vec<Connection>>,
    /// Why the disk took nothing the last time something was written.
    trouble: Mutex<Option<Arc<str>>>,
    stall: Stall,
    /// Where the newest row of the audit log is kept apart, and which that was.
    audit_head: audit::HeadFile,
    seen: Mutex<Option<audit::Head>>,
}

impl Store {
    /// Tells whether `data_dir` holds a state database already.
    pub fn is_in(data_dir: &Path) -> bool {
        data_dir.join("state.sqlite").is_file()
    }

    /// Opens `state.sqlite` in `data_dir`, making both if they are not there, and brings the schema up to date.
    ///
    /// # Errors
    /// A directory that cannot be written, a file that is not ours or is newer than this program.
    pub fn open(data_dir: &Path) -> Result<Store, StoreError> {
        guard_sqlite_version()?;
        std::fs::create_dir_all(data_dir).map_err(|source| StoreError::Io { path: data_dir.to_owned(), source })?;
        let path = data_dir.join("state.sqlite");
        let mut writer = open_writer(&path)?;
        let applied = schema::migrate(&mut writer, &path)?;
        let audit_head = audit::HeadFile::beside(&path);
        if applied.contains(&schema::AUDIT_CHAIN) {
            audit_head.begin(&writer)?;
        }
        let seen = Mutex::new(chain::newest(&writer)?);
        let (writer, readers, trouble, stall) = (Mutex::new(writer), Mutex::default(), Mutex::default(), Stall::default());
        Ok(Store { inner: Arc::new(Inner { path, writer, readers, trouble, stall, audit_head, seen }) })
    }

    /// Runs `work` in one transaction on the writer: all of it is kept, or, when it returns an error, none. Called on a
    /// runtime's worker it holds up no other task.
    ///
    /// # Errors
    /// What `work` returns, or what SQLite says to the commit.
    pub fn write<T, E>(&self, work: impl FnOnce(&Transaction<'_>) -> Result<T, E>) -> Result<T, E>
    where
        E: From<StoreError> + std::error::Error + 'static,
    {
        stall::off_the_workers(|| self.write_here(work))
    }

    fn write_here<T, E>(&self, work: impl FnOnce(&Transaction<'_>) -> Result<T, E>) -> Result<T, E>
    where
        E: From<StoreError> + std::error::Error + 'static,
    {
        let mut writer = lock(&self.inner.writer);
        let done = self.inner.stall.watch(|| write_on(&mut writer, work));
        match &done {
            Ok(_) => {
                *lock(&self.inner.trouble) = None;
                self.keep_audit_head(&writer);
            }
            Err(error) => {
                if let Some(reason) = disk_refused(error) {
                    *lock(&self.inner.trouble) = Some(reason);
                }
            }
        }
        done
    }

    /// Keeps the newest row of the audit log apart, after it is on disk. A head that stays behind is no fault of the log: it
    /// catches up with the next row.
    fn keep_audit_head(&self, writer: &Connection) {
        let mut seen = lock(&self.inner.seen);
        let followed = chain::newest(writer).and_then(|newest| {
            if let Some(newest) = newest.filter(|newest| seen.as_ref() != Some(newest)) {
                self.inner.audit_head.follow(writer, &newest)?;
                *seen = Some(newest);
            }
            Ok(())
        });
        if let Err(error) = followed {
            tracing::error!(%error, "the head of the audit log is not kept");
        }
    }

    /// Begins the head of the audit log anew, after a database was put in its place that knows none.
    ///
    /// # Errors
    /// What the disk says.
    pub fn begin_audit_head(&self) -> Result<(), StoreError> {
        stall::off_the_workers(|| self.inner.audit_head.begin(&lock(&self.inner.writer)))
    }

    /// Says why the database cannot be written, if so: the disk is full, read-only, failing, or hangs. The next write that
    /// succeeds ends it; the engine writes every few seconds.
    pub fn trouble(&self) -> Option<Arc<str>> {
        let hangs = self.inner.stall.longer_than(SLOWEST_WRITE);
        hangs.map(|lasts| format!("a write has lasted {} s", lasts.as_secs()).into()).or_else(|| lock(&self.inner.trouble).clone())
    }

    /// Runs `work` on a reader that sees one consistent state of the database throughout.
    ///
    /// # Errors
    /// What `work` returns, or what SQLite says to a new reader.
    pub fn read<T, E: From<StoreError>>(&self, work: impl FnOnce(&Transaction<'_>) -> Result<T, E>) -> Result<T, E> {
        stall::off_the_workers(|| self.read_here(work))
    }

    fn read_here<T, E: From<StoreError>>(&self, work: impl FnOnce(&Transaction<'_>) -> Result<T, E>) -> Result<T, E> {
        let idle = lock(&self.inner.readers).pop();
        let mut reader = match idle {
            Some(reader) => reader,
            None => open_reader(&self.inner.path)?,
        };
        let done = {
            let transaction = reader.transaction().map_err(StoreError::from)?;
            work(&transaction)?
        };
        let mut readers = lock(&self.inner.readers);
        if readers.len() < IDLE_READERS {
            readers.push(reader);
        }
        Ok(done)
    }

    /// Returns a number that changes when another process has written the database. Our own writes do not change it.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn foreign_changes(&self) -> Result<i64, StoreError> {
        stall::off_the_workers(|| Ok(lock(&self.inner.writer).pragma_query_value(None, "data_version", |row| row.get(0))?))
    }

    /// Returns the file's path.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }
}

/// Refuses a SQLite with the write-ahead-log reset fault.
///
/// # Errors
/// [`StoreError::SqliteTooOld`].
pub fn guard_sqlite_version() -> Result<(), StoreError> {
    if rusqlite::version_number() < OLDEST_SQLITE { Err(StoreError::SqliteTooOld(rusqlite::version())) } else { Ok(()) }
}

fn write_on<T, E: From<StoreError>>(writer: &mut Connection, work: impl FnOnce(&Transaction<'_>) -> Result<T, E>) -> Result<T, E> {
    let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate).map_err(StoreError::from)?;
    let done = work(&transaction)?;
    transaction.commit().map_err(StoreError::from)?;
    Ok(done)
}

/// Finds in an error's causes that the disk refused.
fn disk_refused(error: &(dyn std::error::Error + 'static)) -> Option<Arc<str>> {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let sqlite = causes.filter_map(|error| error.downcast_ref::<rusqlite::Error>()).next()?;
    let of_disk = [ErrorCode::DiskFull, ErrorCode::SystemIoFailure, ErrorCode::ReadOnly, ErrorCode::CannotOpen, ErrorCode::DatabaseCorrupt];
    sqlite.sqlite_error_code().filter(|code| of_disk.contains(code)).map(|_| sqlite.to_string().into())
}

fn open_writer(path: &Path) -> Result<Connection, StoreError> {
    let writer = Connection::open(path)?;
    sqlite::plan_once(&writer)?;
    writer.busy_timeout(BUSY)?;
    writer.pragma_update(None, "journal_mode", "wal")?;
    // FULL syncs the write-ahead log at each commit: what a page or an agent was told survives a power cut.
    writer.pragma_update(None, "synchronous", "full")?;
    writer.pragma_update(None, "foreign_keys", true)?;
    Ok(writer)
}

fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let reader = Connection::open_with_flags(path, flags)?;
    sqlite::plan_once(&reader)?;
    reader.busy_timeout(BUSY)?;
    Ok(reader)
}

/// Takes a mutex also after a panic under it: the data is a connection, and an unfinished transaction rolls back.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
