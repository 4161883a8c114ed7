//! Reads a month and the months before it out of the state database, and makes a report of them.

use rusqlite::Connection;
use rusta_wire::UnixMs;

use super::content::{Content, content};
use super::promises::{TREND_MONTHS, Trends};
use crate::inventory::Versions;
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
    Ok(Some(content(&asked, region, &trends)))
}
