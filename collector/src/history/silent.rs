//! Days of sites that say nothing: announced work and closing hours are laid over them like over any other.
//!
//! What says nothing puts no day on the list of those to build. So a day that begins puts every site on it over which something is
//! laid; of all others a day that is not built says the same as one that is: unknown.

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use rusta_wire::UnixMs;

use crate::day::Day;
use crate::inventory::{Inventory, SiteId, Versions};
use crate::store::StoreError;

/// Puts the silent sites of every day up to `until` on the list that were not put there before; returns whether there was any such
/// day. Days before `oldest` stand as they are.
pub(super) fn mark(tx: &Transaction<'_>, versions: &Versions, (oldest, until): (Day, Day)) -> Result<bool, StoreError> {
    let Some(first) = first_unmarked(tx, versions, (oldest, until))? else { return Ok(false) };
    let sql = "INSERT OR IGNORE INTO dirty_days (day, site_code)
               SELECT ?1, ?2 WHERE NOT EXISTS (SELECT 1 FROM objects o JOIN timelines t ON t.object = o.id AND t.day = ?1
                                               WHERE o.kind = 2 AND o.code = ?2 AND o.link = '')";
    let mut statement = tx.prepare_cached(sql)?;
    for day in (first.0..=until.0).map(Day) {
        let inventory = versions.at(day.start());
        for site in concerned(&inventory, day) {
            statement.execute(params![day.0, inventory.site(site).code])?;
        }
    }
    tx.execute("INSERT OR REPLACE INTO silent_days (one, marked) VALUES (1, ?1)", [until.0])?;
    Ok(true)
}

/// Returns the first day up to `until` whose silent sites were not put on the list; `None` if there is none.
pub(super) fn first_unmarked(db: &Connection, versions: &Versions, (oldest, until): (Day, Day)) -> Result<Option<Day>, StoreError> {
    let marked: Option<i32> = db.query_row("SELECT marked FROM silent_days", [], |row| row.get(0)).optional()?;
    let registered = versions.first_from().map(|from| Day::of(UnixMs(from.0 - 1)).next());
    let first = registered.map(|registered| marked.map_or(oldest, |day| Day(day).next()).max(oldest).max(registered));
    Ok(first.filter(|first| *first <= until))
}

/// Lists the sites that keep hours, and those under work on a day.
fn concerned(inventory: &Inventory, day: Day) -> impl Iterator<Item = SiteId> {
    let at_work: Vec<_> =
        inventory.maintenance.iter().filter(|window| !window.spans(day.start().max(window.span.0), day.end()).is_empty()).collect();
    let sites = (0..inventory.sites.len()).filter_map(|place| u32::try_from(place).ok().map(SiteId));
    sites.filter(move |site| {
        inventory.calendars.service(&inventory.site(*site).calendar).is_some()
            || inventory.links_of(*site).any(|link| at_work.iter().any(|window| inventory.is_covered(window, link)))
    })
}
