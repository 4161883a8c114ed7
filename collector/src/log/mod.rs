//! The durable log: every accepted batch once, in the order received, as the frame bytes that arrived.
//!
//! ```text
//! uploads --> queue --> writer thread --one transaction a group, fsync--> log/2026-11-21.sqlite   (one file a day)
//!                            |                                                   ^
//!                            +--> seen.sqlite: which sequences of which boot     +-- readers, each with a Position
//! ```
//! An upload is acknowledged after its transaction is on disk. A batch is identified by `(agent, boot, sequence)`; one
//! that was stored before, on whatever day, is acknowledged and not stored again. Nothing in the log is ever changed;
//! whole days are unlinked when they are older than the retention.
//!
//! When the disk refuses, the log says so ([`Log::trouble`]), refuses uploads, and tries by itself until it can write.

mod day_file;
mod names;
mod record;
mod seen;
mod spans;
mod writer;

use std::collections::{BTreeMap, HashMap};
use std::ops::{Bound, Range};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use rusqlite::{Connection, ErrorCode};
use rusta_wire::batch::Head;
use rusta_wire::{AgentId, BatchId, BootId, MonoMs, TableId, UnixMs};
use tokio::sync::{oneshot, watch};

use crate::day::Day;
use crate::stall::Stall;
pub use names::Names;
pub use record::{Position, Stored, is_inside};

/// A commit that lasts longer is one on a disk that hangs. The slowest healthy ones seen took a second.
const SLOWEST_COMMIT: Duration = Duration::from_secs(10);

/// Uploads waiting for the writer. At the goal of 12,000 a second this is a third of a second.
const QUEUE: usize = 4_096;

/// Bytes of frames read at once: decoded they may be many times as much, and a thousand full ones would be a quarter of a gigabyte.
const READ_BYTES: usize = 4 << 20;

/// Idle readers kept for each day.
const IDLE_READERS: usize = 4;

/// Why the log did not do what was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LogError {
    /// The disk or SQLite refused; nothing of the upload was stored.
    #[error("the log cannot be written: {0}")]
    Unavailable(Arc<str>),
    /// More uploads wait than the writer can take; nothing of this one was stored.
    #[error("too many uploads are waiting")]
    Busy,
    /// A batch stands for sequence numbers of which only some are stored: storing it would count those twice.
    #[error("batch {0} overlaps batches that are already stored")]
    Overlap(BatchId),
    /// A batch of a boot of whose sequence numbers too many stretches are missing.
    #[error("batch {0}: too many sequence numbers of its boot are missing")]
    Holes(BatchId),
    /// A file of the log could not be read.
    #[error("the log cannot be read: {0}")]
    Unreadable(Arc<str>),
    /// What is in a file of the log is not what was written there.
    #[error("the log is damaged on disk: {0}")]
    Damaged(Arc<str>),
}

impl From<rusqlite::Error> for LogError {
    fn from(error: rusqlite::Error) -> Self {
        let why = error.to_string().into();
        match error.sqlite_error_code() {
            // Without a code: a column of another type, or a row that another one names and that is not there.
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) | None => LogError::Damaged(why),
            Some(_) => LogError::Unreadable(why),
        }
    }
}

/// How the log is kept.
#[derive(Debug, Clone)]
pub struct Keeping {
    /// Where its files are.
    pub dir: PathBuf,
    /// Days kept.
    pub retention_days: u32,
    /// Longest time an upload waits for others to share its fsync.
    pub group_commit: Duration,
}

/// What one request brought, validated.
#[derive(Debug, Clone)]
pub struct Upload {
    /// The site the agent's certificate speaks for.
    pub site_code: Arc<str>,
    /// When it arrived.
    pub received_at: UnixMs,
    /// Its batches, all of one agent.
    pub batches: Vec<Incoming>,
}

/// One validated batch.
#[derive(Debug, Clone)]
pub struct Incoming {
    /// Its head.
    pub head: Head,
    /// See [`Stored::live_offset_ms`].
    pub live_offset_ms: Option<i64>,
    /// The frame as it arrived.
    pub frame: Bytes,
    /// The table it names.
    pub names: Arc<Names>,
}

/// What became of an upload: all of it is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Appended {
    /// Batches stored by this upload.
    pub stored: usize,
    /// Batches that had been stored before.
    pub duplicates: usize,
}

/// A stretch of one boot's monotonic time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BootRange {
    /// The boot.
    pub boot: BootId,
    /// From here on.
    pub from: MonoMs,
    /// Up to here, not included.
    pub until: MonoMs,
    /// None of it was received earlier.
    pub received_from: UnixMs,
}

/// A handle on the log; clones share it. The writer stops when the last one is gone.
#[derive(Clone)]
pub struct Log {
    queue: SyncSender<Job>,
    shared: Arc<Shared>,
    // Held last, so that the queue closes before the writer is waited for.
    _writer: Arc<WriterThread>,
}

struct Job {
    upload: Upload,
    done: oneshot::Sender<Result<Appended, LogError>>,
}

/// What the writer and the readers both see.
struct Shared {
    dir: PathBuf,
    /// First position of each day's file.
    days: RwLock<BTreeMap<Day, Position>>,
    head: watch::Sender<Position>,
    trouble: watch::Sender<Option<Arc<str>>>,
    stall: Stall,
    names: names::Cache,
    readers: Mutex<HashMap<Day, Vec<Connection>>>,
    retention_days: u32,
    disowned: RwLock<Disowned>,
}

/// Agents of whose words nothing counts that was received from a time on: see `agents revoke --since`.
pub type Disowned = HashMap<AgentId, UnixMs>;

/// Joins the writer thread when the last handle goes, so that nothing accepted is left in the queue.
struct WriterThread(Mutex<Option<std::thread::JoinHandle<()>>>);

impl Drop for WriterThread {
    fn drop(&mut self) {
        let handle = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(handle) = handle
            && handle.join().is_err()
        {
            tracing::error!("the log's writer panicked");
        }
    }
}

impl Log {
    /// Opens the log, making its directory if it is not there.
    ///
    /// # Errors
    /// A directory that cannot be made or read. A damaged file is set aside, never a reason not to start.
    pub fn open(keeping: Keeping) -> Result<Log, LogError> {
        let unreadable = |error: std::io::Error| LogError::Unreadable(format!("{}: {error}", keeping.dir.display()).into());
        std::fs::create_dir_all(&keeping.dir).map_err(unreadable)?;
        let days = day_file::days_in(&keeping.dir).map_err(unreadable)?;
        let (writer, head) = writer::Writer::open(&keeping, days.keys().copied().collect())?;
        let shared = Arc::new(Shared {
            dir: keeping.dir.clone(),
            days: RwLock::new(writer.first_positions()),
            head: watch::Sender::new(head),
            trouble: watch::Sender::new(None),
            stall: Stall::default(),
            names: names::Cache::default(),
            readers: Mutex::default(),
            retention_days: keeping.retention_days,
            disowned: RwLock::default(),
        });
        let (queue, jobs) = sync_channel(QUEUE);
        let thread = {
            let shared = shared.clone();
            std::thread::Builder::new().name("log".into()).spawn(move || writer.run(&jobs, &shared))
        };
        let thread = thread.map_err(|error| LogError::Unavailable(error.to_string().into()))?;
        Ok(Log { queue, shared, _writer: Arc::new(WriterThread(Mutex::new(Some(thread)))) })
    }

    /// Stores an upload and returns after it is on disk.
    ///
    /// # Errors
    /// Nothing of the upload was stored, or the disk hangs and it may be stored later: whoever sends it again learns which.
    pub async fn append(&self, upload: Upload) -> Result<Appended, LogError> {
        if let Some(reason) = self.trouble() {
            return Err(LogError::Unavailable(reason));
        }
        let (done, answer) = oneshot::channel();
        self.queue.try_send(Job { upload, done }).map_err(|error| match error {
            TrySendError::Full(_) => LogError::Busy,
            TrySendError::Disconnected(_) => LogError::Unavailable("the writer has stopped".into()),
        })?;
        match tokio::time::timeout(SLOWEST_COMMIT, answer).await {
            Ok(answer) => answer.unwrap_or_else(|_| Err(LogError::Unavailable("the writer has stopped".into()))),
            Err(_) => Err(LogError::Unavailable(format!("not stored within {} s", SLOWEST_COMMIT.as_secs()).into())),
        }
    }

    /// Returns how many days are kept.
    pub fn retention_days(&self) -> u32 {
        self.shared.retention_days
    }

    /// Takes whose words are shown to no reader from now on. They stay on disk.
    pub fn disown(&self, disowned: Disowned) {
        *self.shared.disowned.write().unwrap_or_else(PoisonError::into_inner) = disowned;
    }

    /// Says why the log cannot be written, if so: the disk is full, read-only, failing, or hangs.
    pub fn trouble(&self) -> Option<Arc<str>> {
        let hangs = self.shared.stall.longer_than(SLOWEST_COMMIT);
        hangs.map(|lasts| format!("a commit has lasted {} s", lasts.as_secs()).into()).or_else(|| self.shared.trouble.borrow().clone())
    }

    /// Follows the newest durable position.
    pub fn head(&self) -> watch::Receiver<Position> {
        self.shared.head.subscribe()
    }

    /// Reads up to `max` records after a position, oldest first.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn read_from(&self, after: Position, max: usize) -> Result<Vec<Stored>, LogError> {
        let mut out = Vec::new();
        for day in self.days_holding(after) {
            let bounds = self.bounds_of(day);
            let after = after.max(Position(bounds.start.0.saturating_sub(1)));
            out.extend(self.on_day(day, |file, names| file.read_from(names, after, bounds.end, max - out.len()))?);
            if out.len() >= max || day_file::frame_bytes(&out) >= READ_BYTES {
                break;
            }
        }
        Ok(out)
    }

    /// Reads what a site's agents measured in stretches of their boots, in the order received, until `most_bytes` are read.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn site_range(&self, site_code: &str, ranges: &[BootRange], most_bytes: usize) -> Result<Vec<Stored>, LogError> {
        let (mut out, mut left) = (Vec::new(), most_bytes);
        for day in self.days_holding(Position(0)) {
            let held: Vec<BootRange> = ranges.iter().filter(|range| Day::of(range.received_from) <= day).copied().collect();
            if !held.is_empty() {
                let found = self.on_day(day, |file, names| file.site_range(names, site_code, &held, left))?;
                left = left.saturating_sub(day_file::frame_bytes(&found));
                out.extend(found);
            }
            if left == 0 {
                tracing::warn!(site_code, most_bytes, "a site has said more of one stretch than is read of it");
                break;
            }
        }
        Ok(out)
    }

    /// Reads up to `max` records of one boot after a position, in the order received.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn of_boot(&self, agent: AgentId, boot: BootId, after: Position, max: usize) -> Result<Vec<Stored>, LogError> {
        let mut out = Vec::new();
        for day in self.days_holding(after) {
            out.extend(self.on_day(day, |file, names| file.of_boot(names, agent, boot, after, max - out.len()))?);
            if out.len() >= max {
                break;
            }
        }
        Ok(out)
    }

    /// Finds a table an agent has sent since the start, without reading the disk.
    pub fn known_names(&self, agent: AgentId, table: TableId) -> Option<Arc<Names>> {
        self.shared.names.of_agent(agent, table)
    }

    /// Finds a table an agent has sent before; `None` if it has not, or if the days it was used on are gone.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn names(&self, agent: AgentId, table: TableId) -> Result<Option<Arc<Names>>, LogError> {
        if let Some(known) = self.known_names(agent, table) {
            return Ok(Some(known));
        }
        for day in self.days_holding(Position(0)).into_iter().rev() {
            match self.on_day(day, |file, names| file.names(names, agent, table)) {
                Ok(Some(names)) => {
                    self.shared.names.remember(agent, &names);
                    return Ok(Some(names));
                }
                // The agent is asked for it again.
                Ok(None) | Err(LogError::Damaged(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Reads an encoded table, shares it with every other agent that uses an equal one, and remembers that this one does.
    ///
    /// # Errors
    /// Bytes that are not a table.
    pub fn learn_names(&self, agent: AgentId, encoded: &[u8]) -> Result<Arc<Names>, rusta_wire::DecodeError> {
        let names = self.read_names(encoded)?;
        self.remember_names(agent, &names);
        Ok(names)
    }

    /// Reads an encoded table and shares it with every other agent that uses an equal one.
    ///
    /// # Errors
    /// Bytes that are not a table.
    pub fn read_names(&self, encoded: &[u8]) -> Result<Arc<Names>, rusta_wire::DecodeError> {
        self.shared.names.intern(encoded)
    }

    /// Remembers that an agent uses a table.
    pub fn remember_names(&self, agent: AgentId, names: &Arc<Names>) {
        self.shared.names.remember(agent, names);
    }

    /// Lists the files of the log, oldest first.
    pub fn files(&self) -> Vec<PathBuf> {
        self.days_holding(Position(0)).into_iter().map(|day| day_file::path(&self.shared.dir, day)).collect()
    }

    /// Lists the days that can hold records after a position, oldest first.
    fn days_holding(&self, after: Position) -> Vec<Day> {
        let days = self.shared.days.read().unwrap_or_else(PoisonError::into_inner);
        let newest_before = days.iter().rev().find(|(_, first)| first.0 <= after.0 + 1).map(|(day, _)| *day);
        days.keys().copied().filter(|day| newest_before.is_none_or(|n| *day >= n)).collect()
    }

    /// Returns a day's first position, and the first one behind it.
    fn bounds_of(&self, day: Day) -> Range<Position> {
        let days = self.shared.days.read().unwrap_or_else(PoisonError::into_inner);
        let start = days.get(&day).copied().unwrap_or_default();
        let next = days.range((Bound::Excluded(day), Bound::Unbounded)).next().map(|(_, first)| *first);
        start..next.unwrap_or_else(|| Position(self.shared.head.borrow().0 + 1))
    }

    fn on_day<T>(&self, day: Day, work: impl FnOnce(&day_file::Reader<'_>, &names::Cache) -> Result<T, LogError>) -> Result<T, LogError> {
        let idle = self.shared.lock_readers().get_mut(&day).and_then(Vec::pop);
        let db = match idle {
            Some(db) => db,
            None => day_file::open_reader(&self.shared.dir, day)?,
        };
        let disowned = self.shared.disowned.read().unwrap_or_else(PoisonError::into_inner).clone();
        let done = work(&day_file::Reader { db: &db, disowned: &disowned }, &self.shared.names)?;
        let mut readers = self.shared.lock_readers();
        let idle = readers.entry(day).or_default();
        if idle.len() < IDLE_READERS {
            idle.push(db);
        }
        Ok(done)
    }
}

impl Shared {
    fn lock_readers(&self) -> std::sync::MutexGuard<'_, HashMap<Day, Vec<Connection>>> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a day known to readers.
    fn add_day(&self, day: Day, first: Position) {
        self.days.write().unwrap_or_else(PoisonError::into_inner).entry(day).or_insert(first);
    }

    /// Takes a day from the readers.
    fn remove_day(&self, day: Day) {
        self.days.write().unwrap_or_else(PoisonError::into_inner).remove(&day);
        self.lock_readers().remove(&day);
    }
}

/// Where the log of a data directory is.
pub fn dir_in(data_dir: &Path) -> PathBuf {
    data_dir.join("log")
}

/// Returns the last position received before a time, without opening the log for writing; 0 if nothing was.
///
/// # Errors
/// A file of the log that cannot be read.
pub fn position_before(dir: &Path, at: UnixMs) -> Result<Position, LogError> {
    let days = day_file::days_in(dir).map_err(|error| LogError::Unreadable(format!("{}: {error}", dir.display()).into()))?;
    for day in days.keys().rev().filter(|day| **day <= Day::of(at)) {
        let found = day_file::last_position_before(&day_file::open_reader(dir, *day)?, at)?;
        if let Some(position) = found {
            return Ok(position);
        }
    }
    Ok(Position::default())
}

/// A log read in order beside the collector that writes it.
pub struct Past {
    dir: PathBuf,
    days: std::collections::VecDeque<Day>,
    open: Option<Connection>,
    names: names::Cache,
    after: Position,
    disowned: Disowned,
}

impl Past {
    /// Begins behind a position, and leaves out what is disowned.
    ///
    /// # Errors
    /// A directory that cannot be read.
    pub fn open(dir: &Path, after: Position, disowned: Disowned) -> Result<Past, LogError> {
        let days = day_file::days_in(dir).map_err(|error| LogError::Unreadable(format!("{}: {error}", dir.display()).into()))?;
        Ok(Past { dir: dir.to_owned(), days: days.into_keys().collect(), open: None, names: names::Cache::default(), after, disowned })
    }

    /// Reads up to `max` further records; none at the end.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn read(&mut self, max: usize) -> Result<Vec<Stored>, LogError> {
        loop {
            let db = match self.open.take() {
                Some(db) => db,
                None => match self.days.pop_front() {
                    Some(day) => day_file::open_reader(&self.dir, day)?,
                    None => return Ok(Vec::new()),
                },
            };
            let (Some(first), Some(last)) = (day_file::first_position(&db)?, day_file::last_position(&db)?) else { continue };
            let after = self.after.max(Position(first.0.saturating_sub(1)));
            let found = day_file::Reader { db: &db, disowned: &self.disowned }.read_from(&self.names, after, Position(last.0 + 1), max)?;
            if let Some(last) = found.last() {
                self.after = last.position;
                self.open = Some(db);
                return Ok(found);
            }
        }
    }
}

#[cfg(test)]
mod power_cut_tests;
#[cfg(test)]
pub(crate) mod tests;
