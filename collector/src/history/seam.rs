//! Where one day meets the next: whether a link was degraded goes on over midnight.
//!
//! ```text
//! day before ...... fair fair fair|fair fair ......
//!            degraded ------------+-> degraded          three hours of lead-in would not tell
//! ```
//!
//! A slot that is neither bad nor clean leaves a link as it was, however long ago that began, so it is taken from the day before.
//! When that day is built anew and ends otherwise, the day after it is built again.

use rusqlite::{Transaction, params};

use super::tables;
use super::timeline::SiteDay;
use crate::day::Day;
use crate::engine::LinkState;
use crate::store::StoreError;

/// Whether links were degraded when a day ended, by name; those that were neither up nor degraded are left out.
pub(super) type Carried = Vec<(String, bool)>;

/// Reads how the day before ended; nothing while it is not built to its end.
pub(super) fn before(tx: &Transaction<'_>, site: &str, day: Day) -> Result<Carried, StoreError> {
    Ok(tables::site_day(tx, site, day.previous())?.map(|built| ends(&built.day, day)).unwrap_or_default())
}

fn ends(before: &SiteDay, day: Day) -> Carried {
    let start = day.start().seconds();
    let of_link = |link: &super::LinkDay| {
        let last = link.spans.last().filter(|span| span.until.seconds() >= start)?;
        degraded(last.state).map(|degraded| (link.name.clone(), degraded))
    };
    before.links.iter().filter_map(of_link).collect()
}

fn degraded(state: LinkState) -> Option<bool> {
    matches!(state, LinkState::Up | LinkState::Degraded).then_some(state == LinkState::Degraded)
}

/// Marks a day that was just written if the one before it ended otherwise than it was built upon, and the day after it if that
/// begins otherwise than this one ends.
pub(super) fn mark(tx: &Transaction<'_>, site: &str, day: Day, (built, upon): (&SiteDay, &Carried)) -> Result<(), StoreError> {
    if before(tx, site, day)? != *upon {
        touch(tx, site, day)?;
    }
    let Some(after) = tables::site_day(tx, site, day.next())? else { return Ok(()) };
    let begins = |name: &str| {
        let link = after.day.links.iter().find(|link| link.name == name)?;
        degraded(link.spans.first()?.state)
    };
    if ends(built, day.next()).iter().any(|(name, ended)| begins(name).is_some_and(|began| began != *ended)) {
        touch(tx, site, day.next())?;
    }
    Ok(())
}

fn touch(tx: &Transaction<'_>, site: &str, day: Day) -> Result<(), StoreError> {
    let sql = "INSERT INTO dirty_days (day, site_code) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET touches = touches + 1";
    tx.prepare_cached(sql)?.execute(params![day.0, site])?;
    Ok(())
}
