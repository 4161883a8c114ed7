//! Maintenance windows that people announce while the collector runs: fixed, weekly, or for what is over already. They
//! hold beside those of `maintenance.yaml`; every change is in the audit log, and days that are over are built again.
//!
//! Pages and commands call [`announce`], [`end`] and [`announced`].

use rusqlite::{Connection, OptionalExtension, params};
use rusta_wire::UnixMs;

use super::calendar::{Covered, MaintenanceWindow, Repeat};
use super::model::{Inventory, LinkId, SiteId};
use crate::day::Day;
use crate::store::audit::{Deed, record};
use crate::store::{Store, StoreError};

/// A window longer than this is not work, it is a site out of service.
const LONGEST_MS: i64 = 92 * 86_400_000;
/// How far back a window may begin: what the log still holds can be built again.
const FARTHEST_BACK_MS: i64 = 60 * 86_400_000;
/// More things than this are a region.
const MOST_COVERED: usize = 500;
const LONGEST_REASON: usize = 500;

/// What somebody announces.
#[derive(Debug, Clone, PartialEq)]
pub struct Announcement {
    /// Why.
    pub reason: String,
    /// Its span, or the first of many.
    pub span: (UnixMs, UnixMs),
    /// Whether it comes back every seven days.
    pub weekly: bool,
    /// What it covers: `region/CODE`, `site/CODE`, `link/SITE/NAME`, `node/CODE`.
    pub covers: Vec<String>,
}

/// An announced window.
#[derive(Debug, Clone, PartialEq)]
pub struct Announced {
    /// Its number.
    pub id: i64,
    /// What was announced.
    pub what: Announcement,
    /// When.
    pub at: UnixMs,
    /// By whom.
    pub by: String,
    /// When it was called off or ended.
    pub ended_at: Option<UnixMs>,
}

impl Announced {
    /// Returns the id its window has in the registry's list.
    pub fn window_id(&self) -> String {
        window_id(self.id)
    }

    /// Tells whether it was ended, or is over.
    pub fn is_over(&self, now: UnixMs) -> bool {
        self.ended_at.is_some() || (!self.what.weekly && self.what.span.1 <= now)
    }
}

fn window_id(id: i64) -> String {
    format!("announced-{id}")
}

/// Announces a window in the name of `by`, for the registry of this moment. Returns its number. Days of it that are over
/// are built again.
///
/// # Errors
/// [`StoreError::Refused`] says what is wrong with it, then nothing was changed; else what SQLite says.
pub fn announce(store: &Store, inventory: &Inventory, what: &Announcement, by: &str, now: UnixMs) -> Result<i64, StoreError> {
    check(what, inventory, now).map_err(StoreError::Refused)?;
    let covers = serde_json::Value::from(what.covers.clone()).to_string();
    let (from, until) = what.span;
    store.write(|tx| {
        let sql = "INSERT INTO maintenance_windows (reason, from_at, until_at, weekly, covers, announced_at, announced_by)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        tx.execute(sql, params![what.reason.trim(), from.0, until.0, what.weekly, covers, now.0, by])?;
        let id = tx.last_insert_rowid();
        let how = if from < now { "announce_afterwards" } else { "announce" };
        audit(tx, by, how, id, what.reason.trim(), now)?;
        build_again(tx, inventory, &window(id, what, (now, None), inventory), now)?;
        Ok(id)
    })
}

/// Ends a window now, or calls it off if it has not begun.
///
/// # Errors
/// [`StoreError::Refused`] if there is no such window or it is over; else what SQLite says.
pub fn end(store: &Store, id: i64, by: &str, now: UnixMs) -> Result<(), StoreError> {
    store.write(|tx| {
        let found = tx.query_row(&format!("{ROWS} WHERE id = ?1"), [id], read).optional()?;
        let found = found.ok_or_else(|| StoreError::Refused(format!("there is no maintenance window {id}")))?;
        if found.is_over(now) {
            return Err(StoreError::Refused(format!("maintenance window {id} is over")));
        }
        tx.execute("UPDATE maintenance_windows SET ended_at = ?2 WHERE id = ?1", params![id, now.0])?;
        audit(tx, by, "end", id, &found.what.reason, now)
    })
}

/// Lists the announced windows, newest first.
///
/// # Errors
/// What SQLite says.
pub fn announced(db: &Connection) -> Result<Vec<Announced>, StoreError> {
    let mut query = db.prepare_cached(&format!("{ROWS} ORDER BY id DESC"))?;
    Ok(query.query_map([], read)?.collect::<Result<_, _>>()?)
}

/// Adds the announced windows to a version of the registry. What that version does not know is not covered in it.
pub(super) fn with_windows(inventory: &Inventory, announced: &[Announced]) -> Inventory {
    let mut inventory = inventory.clone();
    let windows = announced.iter().map(|one| window(one.id, &one.what, (one.at, one.ended_at), &inventory)).collect::<Vec<_>>();
    inventory.maintenance.extend(windows.into_iter().filter(|window| !window.covers.is_empty()));
    inventory
}

const ROWS: &str = "SELECT id, reason, from_at, until_at, weekly, covers, announced_at, announced_by, ended_at FROM maintenance_windows";

fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Announced> {
    let covers: String = row.get(5)?;
    Ok(Announced {
        id: row.get(0)?,
        what: Announcement {
            reason: row.get(1)?,
            span: (UnixMs(row.get(2)?), UnixMs(row.get(3)?)),
            weekly: row.get(4)?,
            covers: serde_json::from_str(&covers).unwrap_or_default(),
        },
        at: UnixMs(row.get(6)?),
        by: row.get(7)?,
        ended_at: row.get::<_, Option<i64>>(8)?.map(UnixMs),
    })
}

fn audit(tx: &Connection, by: &str, how: &str, id: i64, reason: &str, now: UnixMs) -> Result<(), StoreError> {
    let (action, subject) = (format!("maintenance.{how}"), format!("maintenance/{id}"));
    record(tx, &Deed { at: now, actor: by, action: &action, subject: &subject, detail: reason })
}

fn check(what: &Announcement, inventory: &Inventory, now: UnixMs) -> Result<(), String> {
    let (from, until) = what.span;
    if what.reason.trim().is_empty() || what.reason.chars().count() > LONGEST_REASON {
        return Err(format!("reason: give one of at most {LONGEST_REASON} characters"));
    }
    if until <= from || until.0 - from.0 > LONGEST_MS {
        return Err("until: lies after `from`, at most 92 days".to_owned());
    }
    if now.0 - from.0 > FARTHEST_BACK_MS {
        return Err("from: more than 60 days ago, which cannot be built again".to_owned());
    }
    if what.weekly && until.0 - from.0 > 7 * 86_400_000 {
        return Err("weekly: longer than a week".to_owned());
    }
    if what.covers.is_empty() || what.covers.len() > MOST_COVERED {
        return Err(format!("covers: give 1 to {MOST_COVERED} of region/CODE, site/CODE, link/SITE/NAME, node/CODE"));
    }
    match what.covers.iter().find(|text| covered(inventory, text).is_none()) {
        Some(unknown) => Err(format!("covers: `{unknown}` is no region/CODE, site/CODE, link/SITE/NAME or node/CODE of the registry")),
        None => Ok(()),
    }
}

fn covered(inventory: &Inventory, text: &str) -> Option<Covered> {
    let (kind, code) = text.split_once('/')?;
    match kind {
        "region" => inventory.region_by_code(code).map(Covered::Region),
        "site" => inventory.site_by_code(code).map(Covered::Site),
        "node" => inventory.node_by_code(code).map(Covered::Node),
        "link" => {
            let (site, name) = code.rsplit_once('/')?;
            inventory.link_by_name(inventory.site_by_code(site)?, name).map(Covered::Link)
        }
        _ => None,
    }
}

fn window(id: i64, what: &Announcement, (at, ended_at): (UnixMs, Option<UnixMs>), inventory: &Inventory) -> MaintenanceWindow {
    MaintenanceWindow {
        id: window_id(id),
        reason: what.reason.clone(),
        span: what.span,
        repeat: if what.weekly { Repeat::Weekly } else { Repeat::Never },
        ended_at,
        announced_at: at,
        covers: what.covers.iter().filter_map(|text| covered(inventory, text)).collect(),
    }
}

/// Marks the days of a window that have begun, of every site it covers.
fn build_again(tx: &Connection, inventory: &Inventory, window: &MaintenanceWindow, now: UnixMs) -> Result<(), StoreError> {
    let sites = (0..inventory.sites.len()).map(|place| SiteId(u32::try_from(place).unwrap_or(u32::MAX)));
    let covers = |site: &SiteId| inventory.links_of(*site).any(|link: LinkId| inventory.is_covered(window, link));
    let sites: Vec<SiteId> = sites.filter(covers).collect();
    let sql = "INSERT INTO dirty_days (day, site_code) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET touches = touches + 1";
    let mut dirty = tx.prepare_cached(sql)?;
    for (from, until) in window.spans(window.span.0, now) {
        for day in Day::of(from).0..=Day::of(UnixMs(until.0 - 1)).0 {
            for site in &sites {
                dirty.execute(params![day, inventory.site(*site).code])?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::versions::{Import, Versions, import};
    use crate::inventory::{Draft, RegionKind, SiteKind};

    const HOUR: i64 = 3_600_000;
    const NOW: UnixMs = UnixMs(1_763_700_000_000);

    fn store() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let mut draft = Draft::default();
        draft.region("09", RegionKind::Province, "");
        draft.region("0901", RegionKind::County, "09");
        for code in ["a", "b"] {
            draft.site(code, SiteKind::Farmandari, "0901");
            draft.link(code, "up", rusta_wire::Network::Gov, "");
        }
        import(&store, &draft, &Import { by: "cli", at: UnixMs(0), effective_from: UnixMs(0) }).unwrap();
        (dir, store)
    }

    fn announcement(hours: (i64, i64), weekly: bool, covers: &str) -> Announcement {
        let span = (UnixMs(NOW.0 + hours.0 * HOUR), UnixMs(NOW.0 + hours.1 * HOUR));
        Announcement { reason: "fibre splice".into(), span, weekly, covers: vec![covers.into()] }
    }

    /// Tells whether site `a` is under maintenance at some hours from now.
    fn covers_a(store: &Store, hours: i64) -> bool {
        let at = UnixMs(NOW.0 + hours * HOUR);
        let inventory = Versions::load(store).unwrap().at(at);
        let link = inventory.links_of(inventory.site_by_code("a").unwrap()).next().unwrap();
        let covering = inventory.maintenance.iter().filter(|window| inventory.is_covered(window, link));
        covering.flat_map(|window| window.spans(at, UnixMs(at.0 + 1))).next().is_some()
    }

    fn rows(store: &Store, sql: &str) -> Vec<String> {
        store.read(|db| Ok::<_, StoreError>(db.prepare(sql)?.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)).unwrap()
    }

    #[test]
    fn a_window_holds_in_every_version_until_it_ends_or_is_called_off() {
        let (_dir, store) = store();
        let inventory = Versions::load(&store).unwrap().last();
        let once = announce(&store, &inventory, &announcement((1, 3), false, "link/a/up"), "user:sara", NOW).unwrap();
        assert_eq!([0, 1, 2, 3].map(|hour| covers_a(&store, hour)), [false, true, true, false]);
        end(&store, once, "user:sara", UnixMs(NOW.0 + 2 * HOUR)).unwrap();
        assert_eq!([1, 2].map(|hour| covers_a(&store, hour)), [true, false], "what was before its early end stays");
        assert!(end(&store, once, "user:sara", UnixMs(NOW.0 + 2 * HOUR)).unwrap_err().to_string().contains("is over"));

        let weekly = announce(&store, &inventory, &announcement((10, 12), true, "region/0901"), "cli", NOW).unwrap();
        let week = 7 * 24;
        assert_eq!([11, 13, 11 + week, 11 + 3 * week].map(|hour| covers_a(&store, hour)), [true, false, true, true]);
        end(&store, weekly, "cli", UnixMs(NOW.0 + (week + 20) * HOUR)).unwrap();
        assert_eq!([11, 11 + week, 11 + 3 * week].map(|hour| covers_a(&store, hour)), [true, true, false]);
        let audit = rows(&store, "SELECT actor || ' ' || action FROM audit WHERE action LIKE 'maintenance.%' ORDER BY id");
        let wanted = ["user:sara maintenance.announce", "user:sara maintenance.end", "cli maintenance.announce", "cli maintenance.end"];
        assert_eq!(audit, wanted);
    }

    #[test]
    fn a_window_for_what_is_over_has_its_days_built_again_and_says_so() {
        let (_dir, store) = store();
        let inventory = Versions::load(&store).unwrap().last();
        announce(&store, &inventory, &announcement((-50, -20), false, "site/a"), "user:ali", NOW).unwrap();
        let days = rows(&store, "SELECT site_code || ' ' || day FROM dirty_days ORDER BY day");
        let wanted = (Day::of(UnixMs(NOW.0 - 50 * HOUR)).0..=Day::of(UnixMs(NOW.0 - 20 * HOUR)).0).map(|day| format!("a {day}"));
        assert_eq!(days, wanted.collect::<Vec<_>>());
        assert_eq!(rows(&store, "SELECT action FROM audit WHERE action LIKE 'maintenance.%'"), ["maintenance.announce_afterwards"]);
        let inventory = Versions::load(&store).unwrap().last();
        assert!(!inventory.maintenance[0].is_announced_for(inventory.maintenance[0].span.0), "the contract forgives nothing afterwards");
    }

    #[test]
    fn what_makes_no_sense_changes_nothing() {
        let (_dir, store) = store();
        let inventory = Versions::load(&store).unwrap().last();
        let wrong = [
            (announcement((3, 1), false, "site/a"), "until"),
            (announcement((1, 3), false, "site/nowhere"), "covers"),
            (announcement((-2000, 3), false, "site/a"), "from"),
            (announcement((1, 200), true, "site/a"), "weekly"),
            (Announcement { reason: " ".into(), ..announcement((1, 3), false, "site/a") }, "reason"),
        ];
        for (what, field) in wrong {
            let refused = announce(&store, &inventory, &what, "cli", NOW).unwrap_err().to_string();
            assert!(refused.starts_with(field), "{refused}");
        }
        assert!(store.read(|tx| announced(tx)).unwrap().is_empty());
    }
}
