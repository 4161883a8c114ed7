//! The one writer of the log: gathers uploads into a group, commits it with one fsync, answers them all.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode};
use rusta_wire::{AgentId, BatchId, BootId, Sequence};
use tokio::sync::oneshot;

use super::day_file::{self, DayFile};
use super::seen::Seen;
use super::spans::Lies;
use super::{Appended, Job, Keeping, LogError, Position, Shared, Upload};
use crate::day::Day;

/// Uploads in one transaction: bounds how long one commit can take, and what a crash can leave unacknowledged.
const GROUP: usize = 2_048;

/// An upload that is followed by none for this long is not made to wait for more.
const QUIET: Duration = Duration::from_millis(2);

/// How often the summary of stored sequences is written: at start, at most this much traffic is read again.
const SUMMARY_EVERY: Duration = Duration::from_secs(300);

/// How often a disk that refused is tried again.
const RETRY_EVERY: Duration = Duration::from_millis(500);

/// Room the disk must have before the log says it can be written again.
const ROOM_BYTES: usize = 1 << 20;

/// The writer's state, all of it on one thread.
pub(super) struct Writer {
    dir: PathBuf,
    retention_days: u32,
    group_commit: Duration,
    /// First position of each day there is.
    days: BTreeMap<Day, Position>,
    file: Option<DayFile>,
    seen: Seen,
    head: Position,
    summarised_at: Instant,
}

type Answer = oneshot::Sender<Result<Appended, LogError>>;

impl Writer {
    /// Opens what there is, sets damaged days aside, and returns the newest position.
    pub(super) fn open(keeping: &Keeping, days: Vec<Day>) -> Result<(Self, Position), LogError> {
        let (seen, mark) = Seen::open(&keeping.dir)?;
        let mut writer = Writer {
            dir: keeping.dir.clone(),
            retention_days: keeping.retention_days,
            group_commit: keeping.group_commit,
            days: BTreeMap::new(),
            file: None,
            seen,
            // Positions go on where they were, even if the newest day had to be set aside.
            head: mark,
            summarised_at: Instant::now(),
        };
        for day in days {
            if let Err(error) = writer.take_up(day, mark) {
                set_aside(&writer.dir, day, &error);
            }
        }
        let head = writer.head;
        Ok((writer, head))
    }

    /// Learns what a day holds that the summary does not know.
    fn take_up(&mut self, day: Day, mark: Position) -> rusqlite::Result<()> {
        let db = Connection::open(day_file::path(&self.dir, day))?;
        let Some(first) = day_file::first_position(&db)? else { return Ok(()) };
        day_file::check(&db)?;
        let last = day_file::last_position(&db)?.unwrap_or(first);
        if last > mark {
            let sql = "SELECT agent, boot, sequence, covers FROM records WHERE position > ?1";
            let mut statement = db.prepare(sql)?;
            let mut rows = statement.query([mark.0.cast_signed()])?;
            while let Some(row) = rows.next()? {
                let word = |place| row.get::<_, i64>(place).map(i64::cast_unsigned);
                let id = BatchId { agent: AgentId(word(0)?), boot: BootId(word(1)?), sequence: Sequence(word(2)?) };
                self.seen.add(id, row.get(3)?)?;
            }
            self.seen.keep();
        }
        self.days.insert(day, first);
        self.head = self.head.max(last);
        Ok(())
    }

    pub(super) fn first_positions(&self) -> BTreeMap<Day, Position> {
        self.days.clone()
    }

    /// Serves uploads until every handle on the log is gone and the queue is empty.
    pub(super) fn run(mut self, jobs: &Receiver<Job>, shared: &Shared) {
        loop {
            let in_trouble = shared.trouble.borrow().is_some();
            match jobs.recv_timeout(RETRY_EVERY) {
                Ok(job) if in_trouble => refuse(job.done, "the disk refused earlier writes"),
                Ok(job) => {
                    let group = self.gather(job, jobs);
                    self.store(group, shared);
                }
                Err(RecvTimeoutError::Timeout) if in_trouble => self.try_again(shared),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.summarise();
        }
        if let Err(error) = self.seen.finish(self.head) {
            tracing::warn!(%error, "the summary of stored sequences lags and will be mended at the next start");
        }
        if let Some(file) = &self.file {
            file.finish();
        }
    }

    fn gather(&self, first: Job, jobs: &Receiver<Job>) -> Vec<Job> {
        let deadline = Instant::now() + self.group_commit;
        let mut group = vec![first];
        while group.len() < GROUP {
            match jobs.recv_timeout(deadline.saturating_duration_since(Instant::now()).min(QUIET)) {
                Ok(job) => group.push(job),
                Err(_) => break,
            }
        }
        group
    }

    fn store(&mut self, group: Vec<Job>, shared: &Shared) {
        let (uploads, answers): (Vec<Upload>, Vec<Answer>) = group.into_iter().map(|job| (job.upload, job.done)).unzip();
        match shared.stall.watch(|| self.commit(&uploads, shared)) {
            Ok(results) => {
                shared.head.send_if_modified(|head| std::mem::replace(head, self.head) != self.head);
                for (answer, result) in answers.into_iter().zip(results) {
                    // An agent that hung up will ask again and learn that it is stored.
                    let _gone = answer.send(result);
                }
            }
            Err(error) => {
                self.fail(&error, shared);
                answers.into_iter().for_each(|answer| refuse(answer, &error.to_string()));
            }
        }
    }

    /// Stores a group in one transaction. An upload that overlaps is left out by itself; any other fault fails them all.
    fn commit(&mut self, uploads: &[Upload], shared: &Shared) -> rusqlite::Result<Vec<Result<Appended, LogError>>> {
        let mut file = self.file_for(uploads, shared)?;
        let mut next = self.head;
        let seen = &mut self.seen;
        let stored = file.commit(|file| uploads.iter().map(|upload| insert(file, seen, &mut next, upload)).collect());
        match stored {
            Ok(results) => {
                self.seen.keep();
                self.head = next;
                self.file = Some(file);
                Ok(results)
            }
            Err(error) => {
                self.seen.undo_to(0);
                // Dropped and opened again: a file on a disk that comes back may need it.
                drop(file);
                Err(error)
            }
        }
    }

    /// Returns the file of the newest day the group belongs to. The clock going back does not go back in the log.
    fn file_for(&mut self, uploads: &[Upload], shared: &Shared) -> rusqlite::Result<DayFile> {
        let newest = uploads.iter().map(|upload| Day::of(upload.received_at)).max();
        let day = newest.into_iter().chain(self.days.keys().next_back().copied()).max().unwrap_or(Day(0));
        if let Some(file) = self.file.take() {
            if file.day == day {
                return Ok(file);
            }
            file.finish();
        }
        let file = DayFile::open(&self.dir, day)?;
        let first = *self.days.entry(day).or_insert(Position(self.head.0 + 1));
        shared.add_day(day, first);
        self.unlink_old_days(day, shared);
        Ok(file)
    }

    /// Removes the days past the retention, as far as that many newer ones are there: a clock set ahead by months must not
    /// cost what was kept before it.
    fn unlink_old_days(&mut self, today: Day, shared: &Shared) {
        let retention = usize::try_from(self.retention_days).unwrap_or(usize::MAX);
        let by_date = Day(today.0.saturating_sub(i32::try_from(self.retention_days).unwrap_or(i32::MAX)));
        let Some(by_count) = self.days.keys().rev().nth(retention).copied() else { return };
        let newer = self.days.split_off(&by_date.min(by_count));
        for day in std::mem::replace(&mut self.days, newer).into_keys() {
            shared.remove_day(day);
            if let Err(error) = day_file::unlink(&self.dir, day) {
                tracing::warn!(%error, %day, "a day past its retention cannot be removed");
            }
        }
    }

    fn fail(&mut self, error: &rusqlite::Error, shared: &Shared) {
        tracing::error!(%error, "the log cannot be written; uploads are refused until it can");
        let newest = self.days.last_key_value().map(|(day, _)| *day);
        if let Some(day) = newest.filter(|day| !is_passing(error, &day_file::path(&self.dir, *day))) {
            self.days.remove(&day);
            shared.remove_day(day);
            set_aside(&self.dir, day, error);
        }
        shared.trouble.send_replace(Some(error.to_string().into()));
    }

    fn try_again(&mut self, shared: &Shared) {
        match room_in(&self.dir) {
            Ok(()) => {
                tracing::warn!("the log can be written again");
                shared.trouble.send_replace(None);
            }
            Err(error) => {
                shared.trouble.send_replace(Some(error.to_string().into()));
            }
        }
    }

    fn summarise(&mut self) {
        if self.summarised_at.elapsed() >= SUMMARY_EVERY {
            self.seen.begin_summary(self.head);
            self.summarised_at = Instant::now();
        }
        if let Err(error) = self.seen.write_slice() {
            tracing::warn!(%error, "the summary of stored sequences lags");
        }
    }
}

fn insert(file: &mut DayFile, seen: &mut Seen, next: &mut Position, upload: &Upload) -> rusqlite::Result<Result<Appended, LogError>> {
    let before = seen.added();
    let mut fresh = Vec::with_capacity(upload.batches.len());
    for batch in &upload.batches {
        match seen.add(batch.head.id, batch.head.covers)? {
            Some(Lies::Outside) => fresh.push(batch),
            Some(Lies::Inside) => {}
            Some(Lies::Across) => {
                seen.undo_to(before);
                return Ok(Err(LogError::Overlap(batch.head.id)));
            }
            None => {
                seen.undo_to(before);
                return Ok(Err(LogError::Holes(batch.head.id)));
            }
        }
    }
    let mut appended = Appended { stored: 0, duplicates: upload.batches.len() - fresh.len() };
    for batch in fresh {
        if file.insert(Position(next.0 + 1), upload.received_at, &upload.site_code, batch)? {
            next.0 += 1;
            appended.stored += 1;
        } else {
            appended.duplicates += 1;
        }
    }
    Ok(Ok(appended))
}

/// Tells whether an error is the disk's or the moment's. Any other means that the file is not what we made it.
fn is_passing(error: &rusqlite::Error, file: &Path) -> bool {
    match error.sqlite_error_code() {
        // The disk, unless it takes writes: then the file itself says that only a newer SQLite may write it. The extended codes
        // speak of locks, of the folder, of a file that was moved.
        Some(ErrorCode::ReadOnly) => {
            let is_plain = error.sqlite_error().is_some_and(|error| error.extended_code == rusqlite::ffi::SQLITE_READONLY);
            !is_plain || OpenOptions::new().write(true).open(file).is_err()
        }
        Some(
            ErrorCode::DiskFull
            | ErrorCode::SystemIoFailure
            | ErrorCode::CannotOpen
            | ErrorCode::PermissionDenied
            | ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::FileLockingProtocolFailed
            | ErrorCode::OutOfMemory,
        ) => true,
        _ => false,
    }
}

fn refuse(answer: Answer, reason: &str) {
    let _gone = answer.send(Err(LogError::Unavailable(reason.into())));
}

/// Proves that the disk takes a megabyte.
fn room_in(dir: &Path) -> std::io::Result<()> {
    let path = dir.join("room.probe");
    let written = std::fs::File::create(&path).and_then(|mut file| {
        file.write_all(&vec![0x5a; ROOM_BYTES])?;
        file.sync_all()
    });
    let removed = std::fs::remove_file(&path);
    written.and(removed)
}

/// Moves a day that cannot be read out of the way; a person may still mend it.
fn set_aside(dir: &Path, day: Day, error: &rusqlite::Error) {
    let path = day_file::path(dir, day);
    tracing::error!(%error, file = %path.display(), "a day of the log is damaged and set aside");
    for suffix in ["", "-wal", "-shm"] {
        let side = |extension: &str| {
            let mut name = path.clone().into_os_string();
            name.push(extension);
            name
        };
        let _absent = std::fs::rename(side(suffix), side(&format!(".damaged{suffix}")));
    }
}
