//! The chain through the audit log, and the head of it that is kept apart.
//!
//! ```text
//! hash(n) = SHA-256( hash(n-1) as 64 hex digits, or nothing for the first
//!                  | n and time, 8 bytes each, big endian
//!                  | of actor, action, subject, detail each: length, 8 bytes big endian, then UTF-8 )
//!
//! audit.head (beside the database, and never in it):  "%020d %64s\n"  number and hash of the newest row
//! ```
//! A row that was changed, removed or put in breaks the chain at its place. Rows removed at the end leave a sound, shorter
//! chain; the head tells of them. A head that the chain does not hold is kept as it is and never written over: it is the
//! evidence. There is no key: whoever can write database and head can write both anew, so an auditor keeps a head of his own
//! (`audit verify` prints it and takes it).

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use rusqlite::{Connection, OptionalExtension};
use sha2::{Digest, Sha256};

use super::StoreError;
use super::audit::Deed;

/// A row of the audit log and its hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The row's number; 0 for none.
    pub id: i64,
    /// Its hash.
    pub hash: String,
}

/// What a check of the chain found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Every row follows the one before it.
    Sound {
        /// Rows checked.
        rows: u64,
        /// The newest.
        head: Head,
    },
    /// From this row on nothing can be trusted.
    Broken {
        /// Number of the first row that is wrong, or of the first that is missing.
        row: i64,
        /// What is wrong.
        why: String,
    },
}

impl std::fmt::Display for Head {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:020} {}", self.id, self.hash)
    }
}

impl FromStr for Head {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let read = || {
            // Of an empty log there is no hash.
            let (id, hash) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
            let is_hash = hash.is_empty() || hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
            is_hash.then(|| Some(Head { id: id.parse().ok()?, hash: hash.to_owned() }))?
        };
        read().ok_or_else(|| "a head is a row's number and the 64 digits of its hash".to_owned())
    }
}

/// Chains a row that was just written.
pub(super) fn link(db: &Connection, id: i64, deed: &Deed<'_>) -> Result<(), StoreError> {
    let before = match newest(db)? {
        Some(head) => head.hash,
        None => begin(db)?.hash,
    };
    let hash = hash_of(&before, id, deed);
    db.prepare_cached("INSERT INTO audit_chain (id, hash) VALUES (?1, ?2)")?.execute((id, hash))?;
    Ok(())
}

/// Takes the rows into the chain that an older collector wrote.
pub(super) fn take_in(db: &Connection) -> Result<(), StoreError> {
    let mut query = db.prepare("SELECT id, at, actor, action, subject, detail FROM audit ORDER BY id")?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        with_deed(row, |id, deed| link(db, id, deed))?;
    }
    Ok(())
}

/// Returns the newest chained row.
pub(super) fn newest(db: &Connection) -> Result<Option<Head>, StoreError> {
    let mut query = db.prepare_cached("SELECT id, hash FROM audit_chain ORDER BY id DESC LIMIT 1")?;
    Ok(query.query_row([], |row| Ok(Head { id: row.get(0)?, hash: row.get(1)? })).optional()?)
}

fn begin(db: &Connection) -> Result<Head, StoreError> {
    Ok(db.query_row("SELECT before, hash FROM audit_begin", [], |row| Ok(Head { id: row.get(0)?, hash: row.get(1)? }))?)
}

/// Removes the rows up to one, whose hash stays as the chain's beginning. The caller writes a row that tells of it.
pub(super) fn shorten(db: &Connection, up_to: i64) -> Result<Option<Head>, StoreError> {
    let sql = "SELECT id, hash FROM audit_chain WHERE id <= ?1 ORDER BY id DESC LIMIT 1";
    let last = db.query_row(sql, [up_to], |row| Ok(Head { id: row.get(0)?, hash: row.get(1)? })).optional()?;
    let Some(last) = last else { return Ok(None) };
    db.execute("UPDATE audit_begin SET before = ?1, hash = ?2", (last.id, &last.hash))?;
    db.execute("DELETE FROM audit_chain WHERE id <= ?1", [last.id])?;
    db.execute("DELETE FROM audit WHERE id <= ?1", [last.id])?;
    Ok(Some(last))
}

/// Checks every row against the one before it, and the newest against a head that was kept apart.
///
/// # Errors
/// What SQLite says.
pub fn verify(db: &Connection, apart: Option<&Head>) -> Result<Verdict, StoreError> {
    let begin = begin(db)?;
    let (mut last, mut rows_checked) = (begin.clone(), 0);
    let mut held = apart.is_none_or(|apart| *apart == begin || apart.id <= begin.id);
    let mut told_of_beginning = begin.id == 0;
    let sql = "SELECT a.id, a.at, a.actor, a.action, a.subject, a.detail, coalesce(c.hash, '') FROM audit a LEFT JOIN audit_chain c ON c.id = a.id
               ORDER BY a.id";
    let mut query = db.prepare(sql)?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        let (id, stored): (i64, String) = (row.get(0)?, row.get(6)?);
        if id != last.id + 1 {
            return Ok(Verdict::Broken { row: last.id + 1, why: format!("it is missing: row {id} follows row {}", last.id) });
        }
        let hash = with_deed(row, |id, deed| {
            told_of_beginning |= deed.action == SHORTEN && deed.detail == begin.to_string();
            Ok(hash_of(&last.hash, id, deed))
        })?;
        if hash != stored {
            return Ok(Verdict::Broken { row: id, why: "it is not what was written, or does not follow the row before it".to_owned() });
        }
        last = Head { id, hash };
        if let Some(apart) = apart.filter(|apart| apart.id == id) {
            if apart.hash != last.hash {
                return Ok(Verdict::Broken { row: id, why: "it is another row than the head kept apart knows".to_owned() });
            }
            held = true;
        }
        rows_checked += 1;
    }
    let hanging = "SELECT min(c.id) FROM audit_chain c LEFT JOIN audit a ON a.id = c.id WHERE a.id IS NULL";
    if let Some(row) = db.query_row(hanging, [], |row| row.get::<_, Option<i64>>(0))? {
        return Ok(Verdict::Broken { row, why: "it is missing, and its hash is there".to_owned() });
    }
    if let Some(apart) = apart.filter(|_| !held) {
        return Ok(Verdict::Broken { row: last.id + 1, why: format!("it is missing: the head kept apart knows row {}", apart.id) });
    }
    if !told_of_beginning {
        return Ok(Verdict::Broken { row: begin.id, why: "rows up to it were removed, and no row tells of it".to_owned() });
    }
    Ok(Verdict::Sound { rows: rows_checked, head: last })
}

/// What a row is called that tells of rows removed at the beginning.
pub(super) const SHORTEN: &str = "audit.shorten";

fn with_deed<T>(row: &rusqlite::Row<'_>, work: impl FnOnce(i64, &Deed<'_>) -> Result<T, StoreError>) -> Result<T, StoreError> {
    let text = |at: usize| {
        row.get_ref(at)?
            .as_str()
            .map_err(|error| rusqlite::Error::FromSqlConversionFailure(at, rusqlite::types::Type::Text, Box::new(error)))
    };
    let at = rusta_wire::UnixMs(row.get(1)?);
    work(row.get(0)?, &Deed { at, actor: text(2)?, action: text(3)?, subject: text(4)?, detail: text(5)? })
}

fn hash_of(before: &str, id: i64, deed: &Deed<'_>) -> String {
    let mut hash = Sha256::new();
    hash.update(before.as_bytes());
    hash.update(id.to_be_bytes());
    hash.update(deed.at.0.to_be_bytes());
    for text in [deed.actor, deed.action, deed.subject, deed.detail] {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text.as_bytes());
    }
    hash.finalize().iter().fold(String::with_capacity(64), |text, byte| text + &format!("{byte:02x}"))
}

/// The file that keeps the head apart from the database.
#[derive(Debug, Clone)]
pub struct HeadFile(PathBuf);

impl HeadFile {
    /// Names the file of a database.
    pub fn beside(database: &Path) -> Self {
        HeadFile(database.with_file_name("audit.head"))
    }

    /// Reads the head; `None` if there is no file.
    ///
    /// # Errors
    /// A file that cannot be read or holds something else.
    pub fn read(&self) -> std::io::Result<Option<Head>> {
        match File::open(&self.0) {
            Ok(file) => read_head(file).map(Some),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Begins the file anew with the newest row of the chain: for a database that is new, or was restored.
    ///
    /// # Errors
    /// What SQLite or the disk says.
    pub(super) fn begin(&self, db: &Connection) -> Result<(), StoreError> {
        let head = newest(db)?.map_or_else(|| begin(db), Ok)?;
        let made = self.open(true).and_then(|file| write_head(file, &head));
        made.map_err(|source| StoreError::Io { path: self.0.clone(), source })
    }

    /// Moves the head to the newest row. One that the chain does not hold stays: it is the evidence of what is gone.
    pub(super) fn follow(&self, db: &Connection, newest: &Head) -> Result<(), StoreError> {
        let io = |source| StoreError::Io { path: self.0.clone(), source };
        let file = match self.open(false) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            file => file.map_err(io)?,
        };
        // Several processes write the audit log; the newest head wins, whoever comes last.
        file.lock().map_err(io)?;
        let Ok(kept) = read_head(&file) else { return Ok(()) };
        let in_chain: Option<String> =
            db.prepare_cached("SELECT hash FROM audit_chain WHERE id = ?1")?.query_row([kept.id], |row| row.get(0)).optional()?;
        let in_chain = in_chain.map_or_else(|| begin(db), |hash| Ok(Head { id: kept.id, hash }))?;
        if kept.id < newest.id && (in_chain == kept || kept.id < in_chain.id) {
            write_head(&file, newest).map_err(io)?;
        }
        Ok(())
    }

    fn open(&self, create: bool) -> std::io::Result<File> {
        let flags = nix::libc::O_NOFOLLOW;
        File::options().read(true).write(true).create(create).truncate(false).mode(0o600).custom_flags(flags).open(&self.0)
    }
}

fn read_head(mut file: impl Read) -> std::io::Result<Head> {
    let mut text = String::new();
    file.by_ref().take(200).read_to_string(&mut text)?;
    text.parse().map_err(std::io::Error::other)
}

/// Writes a head over the one before it: both are of one length, so there is never half a file.
fn write_head(mut file: impl Write + Seek, head: &Head) -> std::io::Result<()> {
    file.rewind()?;
    file.write_all(format!("{:020} {:64}\n", head.id, head.hash).as_bytes())
}
