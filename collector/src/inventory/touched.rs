//! What an import touches of history: the days it holds for that have begun. They are built again before anything is published.

use std::collections::BTreeMap;

use rusqlite::{Transaction, params};
use rusta_wire::UnixMs;

use super::model::Inventory;
use crate::day::Day;

/// A silent day leans on what was said up to so many days around it.
const REACH_MS: i64 = 8 * 86_400_000;

const MARK: &str = "INSERT INTO dirty_days (day, site_code) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET touches = touches + 1";

/// Marks the days of a version that was just stored: every site's day that is built, every day of a site of the version that
/// somebody was heard of (it may not have been in the registry then), and under the empty code every day of which villages are
/// built, for those that have no site any more. Days of silent sites are looked at again too.
pub(super) fn mark(tx: &Transaction<'_>, inventory: &Inventory, now: UnixMs) -> rusqlite::Result<()> {
    // A day belongs to the version in force when it began.
    let first_on = |from: UnixMs| Day::of(UnixMs(from.0.saturating_sub(1))).next();
    let sql = "SELECT min(effective_from) FROM inventory_versions WHERE effective_from > ?1";
    let next: Option<i64> = tx.query_row(sql, [inventory.effective_from.0], |row| row.get(0))?;
    let tomorrow = Day::of(now).next();
    let (first, end) = (first_on(inventory.effective_from), next.map_or(tomorrow, |next| first_on(UnixMs(next)).min(tomorrow)));
    let built = "INSERT INTO dirty_days (day, site_code)
                 SELECT d.day, o.code FROM daily_seconds d JOIN objects o ON o.id = d.object WHERE d.kind = 2 AND d.day >= ?1 AND d.day < ?2
                 ON CONFLICT DO UPDATE SET touches = touches + 1";
    tx.execute(built, [first.0, end.0])?;
    let villages =
        "INSERT INTO dirty_days (day, site_code) SELECT DISTINCT day, '' FROM daily_seconds WHERE kind = 3 AND day >= ?1 AND day < ?2
                    ON CONFLICT DO UPDATE SET touches = touches + 1";
    tx.execute(villages, [first.0, end.0])?;
    let mut mark = tx.prepare_cached(MARK)?;
    for (site, since) in heard_since(tx)? {
        if inventory.site_by_code(&site).is_some() {
            for day in first.max(since).0..end.0 {
                mark.execute(params![day, site])?;
            }
        }
    }
    tx.execute("UPDATE silent_days SET marked = min(marked, ?1)", [first.previous().0])?;
    Ok(())
}

/// Returns the first day that what was heard of each site can bear on.
fn heard_since(tx: &Transaction<'_>) -> rusqlite::Result<BTreeMap<String, Day>> {
    let sql =
        "WITH heard AS (SELECT site_code, min(first_ms + coalesce(least_offset_ms, most_offset_ms)) AS since FROM boots GROUP BY site_code)
               SELECT site_code, since FROM heard
               UNION ALL SELECT v.site_code, heard.since FROM vantages v JOIN heard ON heard.site_code = v.vantage_code";
    let mut statement = tx.prepare_cached(sql)?;
    let mut since: BTreeMap<String, Day> = BTreeMap::new();
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let day = Day::of(UnixMs(row.get::<_, i64>(1)?.saturating_sub(REACH_MS)));
        since.entry(row.get(0)?).and_modify(|known| *known = day.min(*known)).or_insert(day);
    }
    Ok(since)
}
