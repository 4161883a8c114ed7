//! `backup` and `restore`: everything in the data directory as one file, taken while the collector serves.
//!
//! The file is a SQLite database of chunks with a checksum for each file in it. Every database is copied in one read
//! transaction: first the state, then the summary of stored sequences, then the days of the log. So a cursor in the
//! state never points past what the log in the same backup holds.

pub mod command;
mod sealed;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail, ensure};
use rusqlite::{Connection, OpenFlags};
use sha2::{Digest, Sha256};

use crate::clock;
use crate::files;
use crate::log;

/// Bytes of one chunk: far below SQLite's blob limit, far above its page.
const CHUNK_BYTES: usize = 1 << 20;

/// Version of the backup's own layout.
const FORMAT: i64 = 1;

const SCHEMA: &str = "
CREATE TABLE about (format INTEGER NOT NULL, made_at INTEGER NOT NULL) STRICT;
CREATE TABLE files (id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, bytes INTEGER NOT NULL, digest BLOB NOT NULL) STRICT;
CREATE TABLE chunks (file INTEGER NOT NULL, part INTEGER NOT NULL, bytes BLOB NOT NULL, PRIMARY KEY (file, part)) STRICT;
";

/// Backs a data directory up and returns how many files it had. With recipients, public keys in age's form, only the holder of
/// one of their secrets reads it; what is not encrypted yet then never leaves the data directory.
///
/// # Errors
/// A data directory that cannot be read, or a file that cannot be written; then no file is left.
pub fn backup(data_dir: &Path, out: &Path, recipients: &[String]) -> anyhow::Result<i64> {
    let state = data_dir.join("state.sqlite");
    ensure!(state.exists(), "there is no collector's data in {}", data_dir.display());
    // Whoever may write beside the backup can still reach nothing of it before it is whole.
    let workshop = files::workshop(out).with_context(|| out.display().to_string())?;
    let whole = workshop.path("whole");
    let files = if recipients.is_empty() {
        write_backup(data_dir, &whole, workshop.path("copy"))?
    } else {
        let inside = files::workshop(&data_dir.join("backup")).with_context(|| data_dir.display().to_string())?;
        let plain = inside.path("plain");
        let files = write_backup(data_dir, &plain, inside.path("copy"))?;
        sealed::seal(recipients, &plain, &whole).with_context(|| out.display().to_string())?;
        files
    };
    files::rename(&whole, out).with_context(|| out.display().to_string())?;
    Ok(files)
}

fn write_backup(data_dir: &Path, whole: &Path, copy: PathBuf) -> anyhow::Result<i64> {
    files::make(whole).with_context(|| whole.display().to_string())?;
    let mut target = Target { db: Connection::open(whole)?, copy, files: 0 };
    // Not a log that must survive by itself: the file counts only once it is renamed.
    target.db.pragma_update(None, "journal_mode", "off")?;
    target.db.execute_batch(SCHEMA)?;
    target.db.execute("INSERT INTO about VALUES (?1, ?2)", (FORMAT, clock::now().0))?;
    target.add_database(data_dir, Path::new("state.sqlite"))?;
    let log_dir = log::dir_in(Path::new(""));
    let seen = log_dir.join("seen.sqlite");
    if data_dir.join(&seen).exists() {
        target.add_database(data_dir, &seen)?;
    }
    for name in names_in(&data_dir.join(&log_dir), ".sqlite")? {
        let day = log_dir.join(name);
        if day != seen {
            target.add_database(data_dir, &day)?;
        }
    }
    for name in names_in(&data_dir.join("authority"), "")? {
        target.add_file(&data_dir.join("authority").join(&name), &Path::new("authority").join(&name))?;
    }
    File::open(whole)?.sync_all()?;
    Ok(target.files)
}

/// The backup being written.
struct Target {
    db: Connection,
    /// Where each database is copied to on its way.
    copy: PathBuf,
    files: i64,
}

impl Target {
    fn add_database(&mut self, data_dir: &Path, path: &Path) -> anyhow::Result<()> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let what = || path.display().to_string();
        let source = Connection::open_with_flags(data_dir.join(path), flags).with_context(what)?;
        source.busy_timeout(std::time::Duration::from_secs(20))?;
        let _never_made = std::fs::remove_file(&self.copy);
        let copied = source.execute("VACUUM INTO ?1", [self.copy.to_string_lossy()]).with_context(what);
        let added = copied.and_then(|_| self.add_file(&self.copy.clone(), path));
        let _never_made = std::fs::remove_file(&self.copy);
        added
    }

    fn add_file(&mut self, from: &Path, path: &Path) -> anyhow::Result<()> {
        let mut file = File::open(from).with_context(|| from.display().to_string())?;
        let transaction = self.db.transaction()?;
        let id = self.files;
        let (mut digest, mut bytes) = (Sha256::new(), 0i64);
        for part in 0i64.. {
            let mut chunk = Vec::with_capacity(CHUNK_BYTES);
            file.by_ref().take(CHUNK_BYTES as u64).read_to_end(&mut chunk)?;
            if chunk.is_empty() {
                break;
            }
            digest.update(&chunk);
            bytes += i64::try_from(chunk.len())?;
            transaction.prepare_cached("INSERT INTO chunks VALUES (?1, ?2, ?3)")?.execute((id, part, &chunk))?;
        }
        let digest: [u8; 32] = digest.finalize().into();
        transaction.execute("INSERT INTO files VALUES (?1, ?2, ?3, ?4)", (id, path.to_string_lossy(), bytes, digest))?;
        transaction.commit()?;
        self.files += 1;
        Ok(())
    }
}

/// Restores a backup into a data directory and returns how many files it had. An encrypted one needs a file with the secret of
/// one of its recipients.
///
/// # Errors
/// A directory that is not empty, or a backup that is damaged; then nothing is changed.
pub fn restore(file: &Path, data_dir: &Path, identities: Option<&Path>) -> anyhow::Result<usize> {
    if data_dir.exists() && std::fs::read_dir(data_dir)?.next().is_some() {
        bail!("{} is not empty: move it away first", data_dir.display());
    }
    let workshop = files::workshop(data_dir).with_context(|| data_dir.display().to_string())?;
    let whole = workshop.path("data");
    let what = || format!("{} cannot be restored", file.display());
    let files = match (sealed::is_sealed(file).with_context(what)?, identities) {
        (false, _) => read_backup(file, &whole),
        (true, None) => Err(anyhow!("it is encrypted: name the file with its key, --identity FILE")),
        (true, Some(identities)) => {
            let plain = workshop.path("plain");
            sealed::open(identities, file, &plain).and_then(|()| read_backup(&plain, &whole))
        }
    };
    let files = files.with_context(what)?;
    if data_dir.exists() {
        std::fs::remove_dir(data_dir)?;
    }
    std::fs::rename(&whole, data_dir)?;
    Ok(files)
}

fn read_backup(file: &Path, dir: &Path) -> anyhow::Result<usize> {
    let db = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    let format: i64 = db.query_row("SELECT format FROM about", [], |row| row.get(0)).context("it is no backup of a collector")?;
    ensure!(format == FORMAT, "it has format {format}, this program knows {FORMAT}");
    let mut statement = db.prepare("SELECT id, path, digest FROM files ORDER BY id")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get::<_, String>(1)?, row.get(2)?)))?;
    let files: Vec<(i64, String, [u8; 32])> = rows.collect::<Result<_, _>>()?;
    for (id, path, digest) in &files {
        let path = Path::new(path);
        let inside = path.components().all(|part| matches!(part, std::path::Component::Normal(_)));
        ensure!(inside, "it names {}, which lies outside the data directory", path.display());
        let found = write_file(&db, *id, &dir.join(path))?;
        ensure!(found == *digest, "{} is damaged in it", path.display());
    }
    Ok(files.len())
}

fn write_file(db: &Connection, id: i64, path: &Path) -> anyhow::Result<[u8; 32]> {
    use std::io::Write;
    if let Some(dir) = path.parent() {
        files::make_folder(dir)?;
    }
    let mut file = files::make(path)?;
    let mut digest = Sha256::new();
    let mut statement = db.prepare_cached("SELECT bytes FROM chunks WHERE file = ?1 ORDER BY part")?;
    let mut rows = statement.query([id])?;
    while let Some(row) = rows.next()? {
        let chunk = row.get_ref(0)?.as_blob()?;
        digest.update(chunk);
        file.write_all(chunk)?;
    }
    file.sync_all()?;
    Ok(digest.finalize().into())
}

fn names_in(dir: &Path, suffix: &str) -> anyhow::Result<Vec<String>> {
    let entries = match std::fs::read_dir(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.with_context(|| dir.display().to_string())?,
    };
    let mut names = Vec::new();
    for entry in entries {
        names.extend(entry?.file_name().into_string().ok().filter(|name| name.ends_with(suffix)));
    }
    names.sort_unstable();
    Ok(names)
}

#[cfg(test)]
mod tests;
