//! A power cut at every byte, and every bit of a dying disk.
//!
//! What is promised of a day's file and its write-ahead log:
//!
//! 1. *Cut* at any byte behind the last sync, or *flipped* in any byte of the write-ahead log: every record that was
//!    acknowledged before that byte is there, in order, once; at most a tail that nobody was promised is missing; nothing
//!    is there that was not sent.
//! 2. A byte flipped in the day's file itself, which no sync can prevent: the log opens, every record it gives is byte for
//!    byte one that was sent, and what is missing is what lay on the damaged page, or, when SQLite cannot take the file for
//!    its own any more, the day, which is set aside. It goes on storing.
//!
//! Pages are as small as SQLite allows, so that every byte of a day's whole structure is a few thousand bytes. The bounded
//! form opens the whole log at every 13th byte (another 13th at each run, the seed is printed) and, of the write-ahead log,
//! reads the others as SQLite does; `RUSTA_LONG=1` opens it at each.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use tempfile::TempDir;

use super::tests::{START, append, batch, open};
use super::*;
use crate::day::Day;

/// Memory, where there is some: thousands of files are written and synced.
fn scratch() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory).unwrap() } else { tempfile::tempdir().unwrap() }
}

/// A day's file as it lies on disk.
struct Disk {
    name: PathBuf,
    base: Vec<u8>,
    tail: Vec<u8>,
    summary: Vec<u8>,
}

impl Disk {
    fn lay(&self, dir: &Path, base: &[u8], tail: &[u8]) {
        for entry in std::fs::read_dir(dir).unwrap() {
            std::fs::remove_file(entry.unwrap().path()).unwrap();
        }
        std::fs::write(dir.join(&self.name), base).unwrap();
        std::fs::write(beside(&dir.join(&self.name), "-wal"), tail).unwrap();
        std::fs::write(dir.join("seen.sqlite"), &self.summary).unwrap();
    }
}

fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Writes batches `0..count`, each acknowledged, and returns the disk after each: length of the write-ahead log, records.
async fn written(count: u64) -> (Disk, BTreeMap<usize, usize>) {
    let dir = scratch();
    let file = day_file::path(dir.path(), Day::of(START));
    Connection::open(&file).unwrap().execute_batch("PRAGMA page_size = 512; VACUUM").unwrap();
    // The empty day is in the file itself: what is cut and flipped is what was acknowledged.
    drop(day_file::DayFile::open(dir.path(), Day::of(START)).unwrap());
    let log = open(dir.path());
    let mut synced = BTreeMap::from([(0, 0)]);
    for n in 0..count {
        append(&log, START, &[batch(1, 1, n, 1)]).await.unwrap();
        synced.insert(std::fs::metadata(beside(&file, "-wal")).unwrap().len() as usize, n as usize + 1);
    }
    let read = |path: &Path| std::fs::read(path).unwrap();
    let (base, tail) = (read(&file), read(&beside(&file, "-wal")));
    drop(log);
    // Never written to since: the summary of a log that was killed.
    let empty = scratch();
    drop(open(empty.path()));
    let summary = read(&empty.path().join("seen.sqlite"));
    (Disk { name: file.file_name().unwrap().into(), base, tail, summary }, synced)
}

/// Reads the sequences of a day's file the way SQLite recovers it; a file without its tables holds none.
fn sequences(file: &Path) -> Vec<u64> {
    let db = Connection::open(file).unwrap();
    let Ok(mut statement) = db.prepare("SELECT sequence FROM records ORDER BY position") else { return Vec::new() };
    let rows = statement.query_map([], |row| row.get::<_, i64>(0)).unwrap();
    rows.map(|row| row.unwrap().cast_unsigned()).collect()
}

fn frames(log: &Log) -> Vec<(u64, Bytes)> {
    log.read_from(Position(0), 1_000).unwrap().into_iter().map(|stored| (stored.head.id.sequence.0, stored.frame)).collect()
}

fn is_long() -> bool {
    std::env::var_os("RUSTA_LONG").is_some()
}

/// Which 13th of the places is opened as a whole log in this run.
fn whole_log_at(place: usize) -> bool {
    is_long() || place % 13 == std::process::id() as usize % 13
}

#[tokio::test]
async fn a_power_cut_at_every_byte_keeps_what_was_acknowledged() {
    let (disk, synced) = written(4).await;
    println!("{} bytes, a flip and a cut at each; seed {}", disk.tail.len(), std::process::id() % 13);
    let dir = scratch();
    let file = dir.path().join(&disk.name);
    let check = |tail: &[u8], place: usize, what: &str| {
        let acknowledged = *synced.range(..=place).next_back().unwrap().1;
        disk.lay(dir.path(), &disk.base, tail);
        let found = if whole_log_at(place) { frames(&open(dir.path())).iter().map(|(n, _)| *n).collect() } else { sequences(&file) };
        assert!(found.len() >= acknowledged, "{what} {place}: {} of {acknowledged} acknowledged", found.len());
        assert_eq!(found, (0..found.len() as u64).collect::<Vec<_>>(), "{what} {place}");
    };
    for place in 0..=disk.tail.len() {
        check(&disk.tail[..place], place, "cut at");
    }
    let mut flipped = disk.tail.clone();
    for place in 0..disk.tail.len() {
        flipped[place] ^= 1 << (place % 8);
        check(&flipped, place, "flip at");
        flipped[place] = disk.tail[place];
    }
}

#[tokio::test]
async fn a_flipped_byte_of_a_day_costs_what_lay_there_and_stops_nothing() {
    let (disk, _) = written(24).await;
    let dir = scratch();
    disk.lay(dir.path(), &disk.base, &disk.tail);
    let log = open(dir.path());
    let sent: BTreeMap<u64, Bytes> = frames(&log).into_iter().collect();
    assert_eq!(sent.len(), 24);
    drop(log);
    let whole = std::fs::read(dir.path().join(&disk.name)).unwrap();
    let (mut set_aside, mut whole_reads, mut kept, mut mended) = (0, 0, 0, 0);
    // The file's head, a hundred bytes, says what it is: all of it, every time.
    let places: Vec<usize> = (0..whole.len()).filter(|place| *place < 100 || whole_log_at(*place)).collect();
    let mut flipped = whole.clone();
    for place in &places {
        flipped[*place] ^= 1 << (place % 8);
        disk.lay(dir.path(), &flipped, &[]);
        flipped[*place] = whole[*place];
        let log = open(dir.path());
        let found = frames(&log);
        for (n, frame) in &found {
            assert_eq!(Some(frame), sent.get(n), "flip at {place}: a record nobody sent");
        }
        let ranges = [BootRange { boot: BootId(1), from: MonoMs(0), until: MonoMs(u64::MAX >> 1), received_from: UnixMs(0) }];
        for stored in log.site_range("S1", &ranges, usize::MAX).unwrap() {
            assert_eq!(Some(&stored.frame), sent.get(&stored.head.id.sequence.0), "flip at {place}");
        }
        set_aside += usize::from(beside(&dir.path().join(&disk.name), ".damaged").exists());
        whole_reads += usize::from(found.len() == sent.len());
        kept += found.len();
        // The first write may find the damage. Then the reason is told, and the log mends itself.
        if append(&log, START, &[batch(1, 2, 0, 1)]).await.is_err() {
            assert!(log.trouble().is_some(), "flip at {place}: refused without a reason");
            if mended < 4 || is_long() {
                mended += 1;
                log.shared.trouble.subscribe().wait_for(Option::is_none).await.unwrap();
                append(&log, START, &[batch(1, 2, 0, 1)]).await.unwrap_or_else(|error| panic!("flip at {place}: {error}"));
            }
        }
    }
    let read_of = (places.len() - set_aside) * sent.len();
    println!(
        "{} flips of {} bytes: {whole_reads} cost nothing, {set_aside} the day, the rest left {kept} of {read_of} records",
        places.len(),
        whole.len()
    );
    // The list of tables is a large part of so small a day, and a day without it is no day.
    assert!(set_aside * 4 < places.len() && kept * 100 >= read_of * 95, "a byte costs more than what lies on its page");
}
