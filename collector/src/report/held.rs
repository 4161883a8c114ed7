//! Revisions that wait for a person: late data makes the next one by itself, a changed registry does not.

use rusqlite::{Connection, Transaction, params};
use rusta_wire::UnixMs;

use super::content::Content;
use super::revision::{Frozen, freeze, frozen};
use crate::persian::Window;
use crate::store::StoreError;

/// What came of a month's report.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The next revision was published.
    Published(Frozen),
    /// The newest revision says the same.
    Stands(Frozen),
    /// The newest revision stays until a person publishes the next: these versions of the registry, imported after it was
    /// published, hold in its month.
    Held(Frozen, Vec<u32>),
}

/// Publishes what a month has come to, unless the newest revision says the same, or the registry changed it and nobody
/// `released` it.
///
/// # Errors
/// What the database says, or a stored content that does not read.
pub fn publish(tx: &Transaction<'_>, content: &Content, window: Window, released: bool, now: UnixMs) -> Result<Outcome, StoreError> {
    let newest = frozen(tx, &content.period, &content.region.0, None)?;
    let registry = newest.as_ref().map_or_else(|| Ok(Vec::new()), |newest| changed_since(tx, window, newest.published_at))?;
    let next = |tx| freeze(tx, content, &registry, now);
    let Some(newest) = newest else { return Ok(Outcome::Published(next(tx)?)) };
    if released || registry.is_empty() || super::revision::says(&newest, content)? {
        let stands = next(tx)?;
        return Ok(if stands.revision == newest.revision { Outcome::Stands(stands) } else { Outcome::Published(stands) });
    }
    let sql = "INSERT INTO reports_held (period, region, noticed_at, registry) VALUES (?1, ?2, ?3, ?4)
               ON CONFLICT DO UPDATE SET registry = excluded.registry";
    tx.execute(sql, params![content.period, content.region.0, now.0, words(&registry)])?;
    Ok(Outcome::Held(newest, registry))
}

/// Lists the versions of the registry imported after a moment that hold on some of a window.
fn changed_since(db: &Connection, window: Window, published_at: UnixMs) -> Result<Vec<u32>, StoreError> {
    let sql = "SELECT version, effective_from, imported_at FROM inventory_versions ORDER BY effective_from, version";
    let mut statement = db.prepare_cached(sql)?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let rows: Vec<(u32, i64, i64)> = rows.collect::<Result<_, _>>()?;
    let ends = rows.iter().skip(1).map(|(_, from, _)| *from).chain([i64::MAX]);
    let holds = |from: i64, until: i64| from.max(window.from.0) < until.min(window.until.0);
    let changed = rows.iter().zip(ends).filter(|((_, from, imported), until)| *imported > published_at.0 && holds(*from, *until));
    Ok(changed.map(|((version, ..), _)| *version).collect())
}

/// Writes versions as they are stored; `None` for none.
pub(super) fn words(versions: &[u32]) -> Option<String> {
    (!versions.is_empty()).then(|| versions.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
}

/// Reads versions as they are stored.
pub(super) fn numbers(words: &str) -> Vec<u32> {
    words.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}
