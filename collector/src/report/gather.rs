//! Reads a month and the months before it out of the state database, and makes a report of them.

use rusqlite::Connection;
use rusta_wire::UnixMs;

use super::content::{Content, TakenOut, content};
use super::promises::{TREND_MONTHS, Trends};
use crate::inventory::{Inventory, Versions};
use crate::kpi::{View, load};
use crate::persian::Period;
use crate::store::StoreError;

/// Makes the report of a region's month as it stands now; `None` if the month's map has no such region.
///
/// # Errors
/// What the database says.
pub fn gather(db: &Connection, versions: &Versions, period: Period, region: &str, now: UnixMs) -> Result<Option<Content>, StoreError> {
    let facts = |period| load::facts(db, versions, period, View::AsWas, now);
    let asked = facts(period)?;
    if asked.last_map().region_by_code(region).is_none() {
        return Ok(None);
    }
    let mut trends = Trends::default();
    if let Period::Month(first) = period {
        for back in (1..TREND_MONTHS).rev() {
            trends.add(&facts(Period::Month(first.month_start(-back)))?, region);
        }
    }
    let taken_out = taken_out(db, &asked.last_map(), region, period.window(now).until)?;
    Ok(Some(Content { taken_out, ..content(&asked, region, &trends) }))
}

/// Lists the agents of a region whose word of before a moment was taken out.
fn taken_out(db: &Connection, map: &Inventory, region: &str, until: UnixMs) -> Result<Vec<TakenOut>, StoreError> {
    let sql = "SELECT id, site_code, disowned_since, revoke_reason FROM agents WHERE disowned_since < ?1 ORDER BY disowned_since, id";
    let mut query = db.prepare_cached(sql)?;
    let rows = query
        .query_map([until.0], |row| Ok(TakenOut { agent: row.get(0)?, site: row.get(1)?, since_ms: row.get(2)?, reason: row.get(3)? }))?;
    let all = rows.collect::<Result<Vec<_>, _>>()?;
    let is_inside = |one: &TakenOut| {
        let (site, region) = (map.site_by_code(&one.site)?, map.region_by_code(region)?);
        Some(map.is_within(map.site(site).region, region))
    };
    Ok(all.into_iter().filter(|one| is_inside(one).unwrap_or(false)).collect())
}
