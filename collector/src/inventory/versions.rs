//! Every version there was, in the state database, and which one held when.
//!
//! A version is stored as the canonical files it was built from (`export`), so that what can be exported is exactly what
//! is read. Versions are never changed; a correction is a later version with the same or an earlier `effective_from`.

use std::collections::{HashMap, HashSet};
use std::io::{Read, Write};
use std::sync::Arc;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use rusqlite::{Connection, OptionalExtension, Transaction};
use rusta_wire::UnixMs;
use sha2::{Digest, Sha256};

use super::draft::Draft;
use super::fault::Fault;
use super::model::{Inventory, Region, RegionId};
use super::source::{self, Files};
use super::touched;
use super::windows::{self, Announced};
use super::{Built, export, programs};
use crate::day::Day;
use crate::persian::Window;
use crate::store::audit::{self, Deed};
use crate::store::{Store, StoreError};

/// Why versions could not be stored or read.
#[derive(Debug, thiserror::Error)]
pub enum VersionError {
    /// The state database refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// SQLite refused.
    #[error("inventory versions")]
    Sqlite(#[from] rusqlite::Error),
    /// The canonical form could not be written or read.
    #[error("inventory files")]
    Files(#[from] export::ExportError),
    /// A stored version does not read; the database was changed by other hands.
    #[error("stored inventory version {0} does not read: {1}")]
    Damaged(u32, String),
    /// The import has faults; nothing was changed.
    #[error("the inventory has {} faults, nothing was changed", .0.len())]
    Faults(Vec<Fault>),
    /// There is no such version.
    #[error("there is no inventory version {0}; `inventory list` shows those there are")]
    NoSuchVersion(u32),
}

/// Notes of every version that probes run programs, as if each had been brought in by whoever imported it first: earlier
/// collectors noted nothing.
pub fn ask_for_all(store: &Store) -> Result<(), VersionError> {
    let (rows, versions) = (list(store)?, Versions::load(store)?);
    for row in rows {
        let Some(inventory) = versions.imported().iter().find(|version| version.version == row.version) else { continue };
        store.write(|tx| programs::ask(tx, &programs::of(inventory), &row.imported_by, UnixMs(row.imported_at)))?;
    }
    Ok(())
}

/// A version's row without its content.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct VersionRow {
    /// Counts up from 1.
    pub version: u32,
    /// From when on it describes the world, Unix milliseconds.
    pub effective_from: i64,
    /// When it was imported, Unix milliseconds.
    pub imported_at: i64,
    /// By whom.
    pub imported_by: String,
    /// SHA-256 of its canonical files.
    pub digest: String,
}

/// Who imports, when, and from when on it holds.
#[derive(Debug, Clone)]
pub struct Import<'a> {
    /// The audit log's actor, such as `cli` or `user:NAME`.
    pub by: &'a str,
    /// The collector's time.
    pub at: UnixMs,
    /// From when on the version describes the world.
    pub effective_from: UnixMs,
}

/// Stores a draft as the next version, unless the newest one has the same content and the same `effective_from`.
/// A draft with any fault changes nothing. Returns the version and what was suspicious in it.
pub fn import(store: &Store, draft: &Draft, import: &Import<'_>) -> Result<Built, VersionError> {
    let mut built = draft.build(0, import.effective_from).map_err(VersionError::Faults)?;
    let files = export::files(draft)?;
    let (digest, packed) = (digest(&files), pack(&files)?);
    built.inventory.version = store.write(|tx| {
        let newest = newest(tx)?;
        if let Some(newest) = &newest
            && newest.digest == digest
            && newest.effective_from == import.effective_from.0
        {
            return Ok(newest.version);
        }
        let version = newest.map_or(0, |row| row.version) + 1;
        tx.execute(
            "INSERT INTO inventory_versions (version, effective_from, imported_at, imported_by, digest, files) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            (version, import.effective_from.0, import.at.0, import.by, &digest, &packed),
        )?;
        let subject = format!("version {version}");
        audit::record(tx, &Deed { at: import.at, actor: import.by, action: "inventory.import", subject: &subject, detail: &digest })?;
        programs::ask(tx, &programs::of(&built.inventory), import.by, import.at)?;
        touched::mark(tx, &built.inventory, import.at)?;
        Ok::<_, VersionError>(version)
    })?;
    Ok(built)
}

const ROW: &str = "SELECT version, effective_from, imported_at, imported_by, digest FROM inventory_versions ORDER BY version";

fn newest(tx: &Transaction<'_>) -> Result<Option<VersionRow>, VersionError> {
    Ok(tx.query_row(&format!("{ROW} DESC LIMIT 1"), [], version_row).optional()?)
}

fn version_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<VersionRow> {
    Ok(VersionRow {
        version: row.get(0)?,
        effective_from: row.get(1)?,
        imported_at: row.get(2)?,
        imported_by: row.get(3)?,
        digest: row.get(4)?,
    })
}

/// Lists the versions, oldest first.
pub fn list(store: &Store) -> Result<Vec<VersionRow>, VersionError> {
    store.read(|tx| Ok(tx.prepare(ROW)?.query_map([], version_row)?.collect::<Result<_, _>>()?))
}

/// Returns the canonical files of a version.
pub fn files(store: &Store, version: u32) -> Result<Files, VersionError> {
    let packed: Option<Vec<u8>> = store.read(|tx| {
        let sql = "SELECT files FROM inventory_versions WHERE version = ?1";
        Ok::<_, VersionError>(tx.query_row(sql, [version], |row| row.get(0)).optional()?)
    })?;
    unpack(&packed.ok_or(VersionError::NoSuchVersion(version))?).map_err(|e| VersionError::Damaged(version, e.to_string()))
}

/// Lists the codes of the sites of the version in force at `now` and of the last one; none before the first import.
pub fn site_codes(store: &Store, now: UnixMs) -> Result<HashSet<String>, VersionError> {
    let mut rows = list(store)?;
    rows.sort_by_key(|row| (row.effective_from, row.version));
    let in_force = rows.iter().rfind(|row| row.effective_from <= now.0).or(rows.first());
    let mut codes = HashSet::new();
    for row in in_force.into_iter().chain(rows.last()) {
        codes.extend(draft(store, row.version)?.sites.into_iter().map(|site| site.item.code));
    }
    Ok(codes)
}

/// Lists what is doubtful about the anchors of the version in force at `now`.
pub fn doubts(store: &Store, now: UnixMs) -> Result<Vec<super::Note>, VersionError> {
    let mut rows = list(store)?;
    rows.sort_by_key(|row| (row.effective_from, row.version));
    let Some(row) = rows.iter().rfind(|row| row.effective_from <= now.0).or(rows.first()) else { return Ok(Vec::new()) };
    let inventory = draft(store, row.version)?.build(row.version, UnixMs(row.effective_from)).map_err(VersionError::Faults)?.inventory;
    Ok(super::anchors::doubts(&inventory))
}

/// Returns a version as a draft; version 0 is the empty one before the first import.
pub fn draft(store: &Store, version: u32) -> Result<Draft, VersionError> {
    if version == 0 {
        return Ok(Draft::default());
    }
    let damaged = |faults: Vec<Fault>| VersionError::Damaged(version, faults.first().map(ToString::to_string).unwrap_or_default());
    source::draft(&files(store, version)?).map_err(damaged)
}

/// All versions in memory, in the order they came into force.
#[derive(Debug, Clone, Default)]
pub struct Versions {
    in_force: Vec<Arc<Inventory>>,
    /// As imported, without announced windows.
    imported: Vec<Arc<Inventory>>,
    windows: Vec<Announced>,
    /// Probes that run programs and that somebody else agreed to.
    confirmed: HashSet<String>,
}

impl Versions {
    /// Orders versions by when they came into force; of two with one date the later import holds.
    pub fn new(mut versions: Vec<Arc<Inventory>>) -> Self {
        versions.sort_by_key(|v| (v.effective_from, v.version));
        Versions { in_force: versions.clone(), imported: versions, ..Versions::default() }
    }

    /// Reads every version of the state database.
    pub fn load(store: &Store) -> Result<Self, VersionError> {
        Versions::default().reload(store)
    }

    /// Reads the versions that are not in memory yet, and the windows announced since.
    pub fn reload(&self, store: &Store) -> Result<Self, VersionError> {
        let known = |row: &VersionRow| self.imported.iter().find(|v| v.version == row.version).cloned();
        let read = |row: VersionRow| match known(&row) {
            Some(inventory) => Ok(inventory),
            None => {
                let damaged =
                    |faults: Vec<Fault>| VersionError::Damaged(row.version, faults.first().map(ToString::to_string).unwrap_or_default());
                let draft = draft(store, row.version)?;
                Ok(Arc::new(draft.build(row.version, UnixMs(row.effective_from)).map_err(damaged)?.inventory))
            }
        };
        let read = Versions::new(list(store)?.into_iter().map(read).collect::<Result<_, VersionError>>()?);
        let (windows, confirmed) = (store.read(|db| windows::announced(db))?, store.read(programs::confirmed)?);
        Ok(read.put_in_force(windows, confirmed, self))
    }

    /// Puts announced windows into every version, and takes out of it what nobody else has confirmed; what `before` made already
    /// is taken from it, so that nobody sees a change where there is none.
    fn put_in_force(mut self, windows: Vec<Announced>, confirmed: HashSet<String>, before: &Versions) -> Self {
        let is_same = windows == before.windows && confirmed == before.confirmed;
        let make = |version: &Arc<Inventory>| {
            let made = before.in_force.iter().find(|v| v.version == version.version && is_same);
            made.cloned().unwrap_or_else(|| {
                let asks = programs::of(version).iter().any(|program| !confirmed.contains(&program.digest));
                let allowed = if asks { Arc::new(programs::without_unconfirmed(version, &confirmed)) } else { Arc::clone(version) };
                if windows.is_empty() { allowed } else { Arc::new(windows::with_windows(&allowed, &windows)) }
            })
        };
        self.in_force = self.imported.iter().map(make).collect();
        (self.windows, self.confirmed) = (windows, confirmed);
        self
    }

    /// Tells whether nothing was imported or announced that these versions do not know yet. Whoever builds or publishes history asks
    /// in the transaction it reads its work in: what another process imported is on the list of days at once, and here a moment later.
    ///
    /// # Errors
    /// What the database says.
    pub fn are_current(&self, db: &Connection) -> Result<bool, StoreError> {
        let newest: u32 = db.query_row("SELECT coalesce(max(version), 0) FROM inventory_versions", [], |row| row.get(0))?;
        Ok(self.imported.iter().map(|version| version.version).max().unwrap_or(0) >= newest && windows::announced(db)? == self.windows)
    }

    /// Lists every version as it was imported, oldest first.
    pub fn imported(&self) -> &[Arc<Inventory>] {
        &self.imported
    }

    /// Returns the version in force at a time; before the first, the first.
    pub fn at(&self, time: UnixMs) -> Arc<Inventory> {
        let holds = self.in_force.iter().rev().find(|v| v.effective_from <= time);
        holds.or(self.in_force.first()).cloned().unwrap_or_default()
    }

    /// Returns the version whose `effective_from` is the latest, today's or a coming one.
    pub fn last(&self) -> Arc<Inventory> {
        self.in_force.last().cloned().unwrap_or_default()
    }

    /// Returns when the first version came into force; before that nothing was in service.
    pub fn first_from(&self) -> Option<UnixMs> {
        self.in_force.first().map(|first| first.effective_from)
    }

    /// Lists the versions that held before one, the latest first.
    pub fn before(&self, version: u32) -> impl Iterator<Item = &Arc<Inventory>> {
        let place = self.in_force.iter().position(|known| known.version == version).unwrap_or(0);
        self.in_force[..place].iter().rev()
    }

    /// Counts the versions.
    pub fn count(&self) -> u32 {
        u32::try_from(self.in_force.len()).unwrap_or(u32::MAX)
    }

    /// Cuts a window where versions change: each part with the version in force in it, in order. `as_was` reads these.
    pub fn parts(&self, window: Window) -> Vec<(Window, Arc<Inventory>)> {
        let changes = self.in_force.iter().map(|v| v.effective_from).filter(|at| window.from < *at && *at < window.until);
        let mut cuts: Vec<UnixMs> = [window.from].into_iter().chain(changes).collect();
        cuts.dedup();
        let ends = cuts.iter().skip(1).copied().chain([window.until]);
        cuts.iter().zip(ends).map(|(&from, until)| (Window { from, until }, self.at(from))).collect()
    }

    /// Follows every region of `from` to a later version: by `previous_code` where a code changed, else by code. By
    /// [`RegionId`] of `from`; `None` where a region ended.
    pub fn lineage(&self, from: &Inventory, to: &Inventory) -> Vec<Option<RegionId>> {
        let place = |wanted: &Inventory| self.in_force.iter().position(|v| v.version == wanted.version).unwrap_or(0);
        let (start, end) = (place(from), place(to));
        let mut at: Vec<Option<RegionId>> = (0..).map(RegionId).take(from.regions.len()).map(Some).collect();
        for step in self.in_force.get(start..=end.max(start)).unwrap_or_default().windows(2) {
            let next = successors(&step[0], &step[1]);
            at.iter_mut().for_each(|id| *id = id.and_then(|id| next[id.index()]));
        }
        at
    }

    /// Lists the regions whose code changed: the first day of the new code, the old code, the new one. By day.
    pub fn renamed(&self) -> impl Iterator<Item = (Day, &str, &str)> {
        self.in_force.windows(2).flat_map(|step| {
            // A day belongs to the version in force when it began.
            let first = Day::of(UnixMs(step[1].effective_from.0 - 1)).next();
            let changed = |region: &Region| region.previous_code.as_ref().is_some_and(|old| step[0].region_by_code(old).is_some());
            let regions = step[1].regions.iter().filter(move |region| changed(region));
            regions.filter_map(move |region| Some((first, region.previous_code.as_deref()?, region.code.as_str())))
        })
    }
}

/// Finds each region of a version in the next one.
fn successors(old: &Inventory, new: &Inventory) -> Vec<Option<RegionId>> {
    let named = (0..).map(RegionId).zip(&new.regions).filter_map(|(id, r)| Some((r.previous_code.as_deref()?, id)));
    let by_previous: HashMap<&str, RegionId> = named.collect();
    let successor = |code: &str| by_previous.get(code).copied().or_else(|| new.region_by_code(code));
    old.regions.iter().map(|r| successor(&r.code)).collect()
}

fn digest(files: &Files) -> String {
    let mut hash = Sha256::new();
    for (name, bytes) in files {
        hash.update(name.as_bytes());
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Packs files as gzip of: name length (u32 LE), name, content length (u64 LE), content; repeated.
fn pack(files: &Files) -> Result<Vec<u8>, VersionError> {
    let mut out = GzEncoder::new(Vec::new(), Compression::fast());
    let mut write = |bytes: &[u8]| out.write_all(bytes).map_err(export::ExportError::Io);
    for (name, bytes) in files {
        write(&u32::try_from(name.len()).unwrap_or(u32::MAX).to_le_bytes())?;
        write(name.as_bytes())?;
        write(&(bytes.len() as u64).to_le_bytes())?;
        write(bytes)?;
    }
    Ok(out.finish().map_err(export::ExportError::Io)?)
}

/// Six lists at their bound of 256 MiB would not be an inventory.
const MAX_UNPACKED: u64 = 1 << 30;

fn unpack(packed: &[u8]) -> std::io::Result<Files> {
    let mut bytes = Vec::new();
    GzDecoder::new(packed).take(MAX_UNPACKED).read_to_end(&mut bytes)?;
    let mut rest = bytes.as_slice();
    let mut files = Files::new();
    let short = || std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "cut short");
    while !rest.is_empty() {
        let (length, after) = rest.split_first_chunk::<4>().ok_or_else(short)?;
        let (name, after) = after.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or_else(short)?;
        let (length, after) = after.split_first_chunk::<8>().ok_or_else(short)?;
        let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| short())?;
        let (content, after) = after.split_at_checked(length).ok_or_else(short)?;
        files.insert(String::from_utf8_lossy(name).into_owned(), content.to_vec());
        rest = after;
    }
    Ok(files)
}
