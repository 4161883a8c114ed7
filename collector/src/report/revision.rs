//! Freezing: what was published stays, late data makes the next revision.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use rusqlite::{OptionalExtension, Transaction};
use rusta_wire::UnixMs;
use sha2::{Digest, Sha256};

use super::content::{Cell, Content, Table, TakenOut, VillageVerdict, both};
use super::held;
use crate::persian::{JalaliDate, Period};
use crate::store::StoreError;

/// A published report.
#[derive(Debug, Clone, PartialEq)]
pub struct Frozen {
    /// From 1.
    pub revision: u32,
    /// When it was published.
    pub published_at: UnixMs,
    /// SHA-256 of the content's JSON.
    pub digest: String,
    /// What it says.
    pub content: Content,
    /// The registry's versions that changed what the revision before said; empty where only data did.
    pub registry: Vec<u32>,
    /// What the revision before said otherwise: figures, villages. Empty for the first.
    pub changes: Vec<Table>,
}

impl Frozen {
    /// Counts the villages that the revision before judged otherwise.
    pub fn changed_villages(&self) -> usize {
        self.changes.iter().find(|table| table.name.1 == VILLAGES.1).map_or(0, |table| table.rows.len())
    }
}

/// Returns the day from which on a month may be published: day 3 of the next Jalali month.
pub fn publishable_from(period: Period) -> Option<UnixMs> {
    match period {
        Period::Month(first) => Some(JalaliDate::new(first.month_start(1).year(), first.month_start(1).month(), 3)?.start()),
        _ => None,
    }
}

/// Keeps the content as the next revision, unless the newest one says the same. Returns the revision that stands. `registry`
/// lists the versions that changed it.
///
/// # Errors
/// What the database says, or a stored content that does not read.
pub fn freeze(tx: &Transaction<'_>, content: &Content, registry: &[u32], now: UnixMs) -> Result<Frozen, StoreError> {
    let newest = frozen(tx, &content.period, &content.region.0, None)?;
    let json = to_json(content)?;
    let digest = digest(&json);
    tx.execute("DELETE FROM reports_held WHERE period = ?1 AND region = ?2", (&content.period, &content.region.0))?;
    if let Some(newest) = newest.as_ref().filter(|newest| newest.digest == digest) {
        return Ok(newest.clone());
    }
    let revision = newest.as_ref().map_or(0, |newest| newest.revision) + 1;
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    let packed = packed.write_all(&json).and_then(|()| packed.finish()).map_err(|e| StoreError::Refused(e.to_string()))?;
    tx.execute(
        "INSERT INTO reports (period, region, revision, published_at, digest, content, registry) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        (&content.period, &content.region.0, revision, now.0, &digest, &packed, held::words(registry)),
    )?;
    let changes = newest.map(|before| changes(&before.content, content)).unwrap_or_default();
    Ok(Frozen { revision, published_at: now, digest, content: content.clone(), registry: registry.to_vec(), changes })
}

/// Reads a published revision, the newest if none is named.
///
/// # Errors
/// What the database says, or a stored content that does not read.
pub fn frozen(tx: &Transaction<'_>, period: &str, region: &str, revision: Option<u32>) -> Result<Option<Frozen>, StoreError> {
    let sql = "SELECT revision, published_at, digest, content, coalesce(registry, '') FROM reports
               WHERE period = ?1 AND region = ?2 AND revision = coalesce(?3, revision) ORDER BY revision DESC LIMIT 1";
    let row = tx
        .query_row(sql, (period, region, revision), |row| {
            let registry = held::numbers(row.get_ref(4)?.as_str()?);
            Ok((row.get::<_, u32>(0)?, row.get::<_, i64>(1)?, row.get::<_, String>(2)?, row.get::<_, Vec<u8>>(3)?, registry))
        })
        .optional()?;
    let Some((revision, published_at, stored_digest, packed, registry)) = row else { return Ok(None) };
    let damaged = |why: String| StoreError::Refused(format!("report {period} of {region}, revision {revision}: {why}"));
    let mut json = Vec::new();
    GzDecoder::new(packed.as_slice()).take(MAX_JSON).read_to_end(&mut json).map_err(|e| damaged(e.to_string()))?;
    if digest(&json) != stored_digest {
        return Err(damaged("the checksum does not match".to_owned()));
    }
    let content: Content = serde_json::from_slice(&json).map_err(|e| damaged(e.to_string()))?;
    let before = if revision > 1 { frozen(tx, period, region, Some(revision - 1))? } else { None };
    let changes = before.map(|before| changes(&before.content, &content)).unwrap_or_default();
    Ok(Some(Frozen { revision, published_at: UnixMs(published_at), digest: stored_digest, content, registry, changes }))
}

/// A national report is a few megabytes.
const MAX_JSON: u64 = 256 << 20;

const FIGURES: (&str, &str) = ("شاخص‌های تغییرکرده", "changed figures");
const VILLAGES: (&str, &str) = ("روستاهای تغییرکرده", "changed villages");

/// Lists what two revisions say differently: what was taken out and why, the figures of the executive page, and the villages.
fn changes(before: &Content, now: &Content) -> Vec<Table> {
    let headings = |what: &[(&str, &str)]| what.iter().chain(&[("پیش", "before"), ("اکنون", "now")]).map(|h| both(h.0, h.1)).collect();
    let figures = Table::new(FIGURES, headings(&[("شاخص", "KPI")]), changed_figures(before, now));
    let villages = Table::new(VILLAGES, headings(&[("کد", "code"), ("روستا", "village")]), changed_villages(before, now));
    let reasons = Table::new(
        ("علت بازنگری", "reasons of the revision"),
        [("سایت", "site"), ("عامل", "agent"), ("بی‌اعتبار از", "counts nowhere from"), ("دلیل ابطال", "why it was revoked")]
            .map(|heading| both(heading.0, heading.1))
            .into(),
        reasons(before, now),
    );
    [reasons, figures, villages].into_iter().filter(|table| !table.rows.is_empty()).collect()
}

/// Lists what was taken out since: an agent that was revoked, from another time on than before.
fn reasons(before: &Content, now: &Content) -> Vec<Vec<Cell>> {
    let fresh = now.taken_out.iter().filter(|one| !before.taken_out.contains(one));
    let day = |one: &TakenOut| Cell::Text(JalaliDate::at(UnixMs(one.since_ms)).to_string());
    fresh.map(|one| vec![Cell::Text(one.site.clone()), Cell::Text(one.agent.clone()), day(one), Cell::Text(one.reason.clone())]).collect()
}

fn changed_figures(before: &Content, now: &Content) -> Vec<Vec<Cell>> {
    let rows = |content: &Content| content.tables.first().map(|table| table.rows.clone()).unwrap_or_default();
    let was = rows(before);
    let differs = |row: Vec<Cell>| {
        let name = row.first()?.clone();
        let old = was.iter().find(|old| old.first() == Some(&name)).and_then(|old| old.get(1).cloned()).unwrap_or(Cell::Empty);
        let new = row.get(1)?.clone();
        (old != new).then(|| vec![name, old, new])
    };
    rows(now).into_iter().filter_map(differs).collect()
}

fn changed_villages(before: &Content, now: &Content) -> Vec<Vec<Cell>> {
    let by_code = |content: &Content| content.villages.iter().map(|v| (v.code.clone(), v.clone())).collect::<BTreeMap<_, _>>();
    let (was, is) = (by_code(before), by_code(now));
    let codes: BTreeSet<&String> = was.keys().chain(is.keys()).collect();
    let differs = |code: &String| {
        let (old, new) = (was.get(code), is.get(code));
        let name = new.or(old).map(|village| Cell::Both(village.name.0.clone(), village.name.1.clone()))?;
        let verdict = |village: Option<&VillageVerdict>| village.map(|village| village.connected);
        (verdict(old) != verdict(new)).then(|| vec![Cell::Text(code.clone()), name, word(old), word(new)])
    };
    codes.into_iter().filter_map(differs).collect()
}

fn word(village: Option<&VillageVerdict>) -> Cell {
    let (fa, en) = match village.map(|village| village.connected) {
        Some(Some(true)) => ("متصل", "connected"),
        Some(Some(false)) => ("نامتصل", "not connected"),
        Some(None) => ("سنجیده نشده", "unmeasured"),
        None => ("در شناسنامه نبود", "not in the registry"),
    };
    Cell::Both(fa.to_owned(), en.to_owned())
}

/// Tells whether a revision says what a content says.
pub(super) fn says(frozen: &Frozen, content: &Content) -> Result<bool, StoreError> {
    Ok(digest(&to_json(content)?) == frozen.digest)
}

fn to_json(content: &Content) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(content).map_err(|e| StoreError::Refused(e.to_string()))
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
