//! Keeps the facts of recently asked windows, so that the next question about one is answered from memory.
//!
//! A window that is over is read again only when something of it was written since. One that runs is read again when its
//! facts are a minute old: behind whoever asks, who gets those, unless they are older than [`STALE_MINUTES`]. Pages, the
//! API and every other reader of one book get the same facts, so no number is older on one than on the other.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex};

use rusqlite::{Connection, Transaction};
use rusta_wire::UnixMs;

use super::alerts;
use super::definitions::Definitions;
use super::facts::Facts;
use super::figure::Status;
use super::load::{View, facts, published};
use crate::history::tables;
use crate::inventory::Versions;
use crate::persian::{Period, Window};
use crate::store::Store;

/// The facts of recently asked windows.
pub struct Book {
    shelf: Arc<Shelf>,
}

/// What a reader behind the scenes shares with the book.
struct Shelf {
    store: Store,
    versions: Mutex<Versions>,
    pages: Mutex<HashMap<Place, Page>>,
}

/// A window, the map it is read on, and what the registry knows and the definitions are.
type Place = (Period, View, Known);

/// How many versions of the registry and of definitions there are, and which of the registry holds today.
type Known = (u32, usize, u32);

/// Facts as they were read.
#[derive(Clone)]
struct Page {
    facts: Arc<Facts>,
    stamp: Stamp,
    /// The minute they were read in.
    read: i64,
    /// The minute in which they were last known to hold.
    minute: i64,
    /// Whether they are being read again.
    is_renewing: bool,
}

/// What was written of a window, in history and about its incidents, and the revision it was published in.
type Stamp = (tables::Stamp, alerts::Stamp, Option<u32>);

/// A year of months, read both ways, and the weeks somebody clicks through.
const PAGES: usize = 32;

/// Facts that nobody asked for so long are let go: a month of a large province takes tens of megabytes.
const KEPT_MINUTES: i64 = 15;

/// Facts of a running window are given out up to this age. The present day's history is built every quarter of an hour, and
/// a large province's last 24 hours take seconds to read.
const STALE_MINUTES: i64 = 5;

/// Why facts could not be read.
pub type BookError = crate::inventory::versions::VersionError;

impl Book {
    /// Opens a book over the state database.
    pub fn new(store: Store) -> Self {
        Book { shelf: Arc::new(Shelf { store, versions: Mutex::default(), pages: Mutex::default() }) }
    }

    /// Returns the facts of a period, as they stand; of a running one, as they stood a few minutes ago at the most.
    ///
    /// # Errors
    /// What the database says.
    pub fn facts(&self, period: Period, view: View, now: UnixMs) -> Result<Arc<Facts>, BookError> {
        let shelf = &self.shelf;
        let versions = shelf.versions()?;
        let known = (versions.count(), self.definitions()?.count(), versions.at(now).version);
        let (place, window, minute) = ((period, view, known), period.window(now), minute_of(now));
        let Some(page) = lock(&shelf.pages).get(&place).cloned() else { return shelf.read(place, &versions, now) };
        let runs = page.facts.status == Status::Live;
        let holds = || Ok::<_, BookError>(page.facts.window == window && shelf.store.read(|db| stamp(db, period, window))? == page.stamp);
        if page.minute == minute || (!runs && holds()?) {
            lock(&shelf.pages).entry(place).and_modify(|page| page.minute = minute);
            return Ok(page.facts);
        }
        if !runs || minute - page.read >= STALE_MINUTES {
            return shelf.read(place, &versions, now);
        }
        if let Entry::Occupied(mut kept) = lock(&shelf.pages).entry(place)
            && !std::mem::replace(&mut kept.get_mut().is_renewing, true)
        {
            let shelf = Arc::clone(shelf);
            std::thread::spawn(move || {
                if let Err(error) = shelf.read(place, &versions, now) {
                    tracing::error!(error = &error as &dyn std::error::Error, %period, "facts cannot be read again");
                    lock(&shelf.pages).remove(&place);
                }
            });
        }
        Ok(page.facts)
    }

    /// Returns every version of every definition.
    ///
    /// # Errors
    /// What the database says.
    pub fn definitions(&self) -> Result<Definitions, BookError> {
        Ok(self.shelf.store.read(|db| Definitions::load(db))?)
    }
}

impl Shelf {
    /// Reads facts and keeps them.
    fn read(&self, place: Place, versions: &Versions, now: UnixMs) -> Result<Arc<Facts>, BookError> {
        let (period, view, _) = place;
        let (window, minute) = (period.window(now), minute_of(now));
        // The stamp first: what is written in between has the facts read once more, and none is missed.
        let read =
            |db: &Transaction<'_>| Ok::<_, BookError>((stamp(db, period, window)?, Arc::new(facts(db, versions, period, view, now)?)));
        let (stamp, facts) = self.store.read(read)?;
        let mut pages = lock(&self.pages);
        pages.retain(|_, page| minute - page.minute < KEPT_MINUTES);
        if pages.len() >= PAGES {
            pages.clear();
        }
        pages.insert(place, Page { facts: Arc::clone(&facts), stamp, read: minute, minute, is_renewing: false });
        Ok(facts)
    }

    fn versions(&self) -> Result<Versions, BookError> {
        let mut known = lock(&self.versions);
        *known = known.reload(&self.store)?;
        Ok(known.clone())
    }
}

fn stamp(db: &Connection, period: Period, window: Window) -> Result<Stamp, BookError> {
    Ok((tables::stamp(db, window.from, window.until)?, alerts::stamp(db, window)?, published(db, period)?))
}

fn minute_of(now: UnixMs) -> i64 {
    now.seconds().div_euclid(60)
}

/// Takes a mutex also after a panic under it: what it guards is replaced whole.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::day::Day;
    use crate::inventory::versions::{Import, import};
    use crate::inventory::{Draft, RegionKind, dates};
    use crate::kpi::{Ask, by_id, compute};

    /// Writes that a village was up all day.
    fn build(store: &Store, date: &str) {
        let day = Day::of(dates::moment(date).unwrap());
        store
            .write(|tx| {
                tx.execute("INSERT OR IGNORE INTO objects (kind, code, link) VALUES (3, 'v', '')", [])?;
                let sql = "INSERT INTO daily_seconds (kind, day, object, up, degraded, down, unknown, maintenance, not_in_service)
                           SELECT 3, ?1, id, 86400, 0, 0, 0, 0, 0 FROM objects WHERE kind = 3";
                tx.execute(sql, [day.0])?;
                tables::count_write(tx, day)
            })
            .unwrap();
    }

    fn days_up(facts: &Facts) -> f64 {
        compute(by_id("connected_share_period").unwrap(), facts, Ask { region: Some("p"), ..Ask::default() }).remove(0).numerator / 86_400.0
    }

    #[test]
    fn facts_of_a_running_window_are_read_again_behind_whoever_asks_and_old_ones_before() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let mut draft = Draft::default();
        draft.region("p", RegionKind::Province, "");
        draft.region("c", RegionKind::County, "p");
        draft.region("v", RegionKind::Village, "c").households = Some(10);
        let from = dates::moment("1405-01-01").unwrap();
        import(&store, &draft, &Import { by: "test", at: from, effective_from: from }).unwrap();
        let book = Book::new(store.clone());
        let at = |seconds: i64| UnixMs(dates::moment("1405-07-10 12:00").unwrap().0 + seconds * 1000);
        let ask = |seconds: i64| days_up(&book.facts("1405-07".parse().unwrap(), View::AsWas, at(seconds)).unwrap());
        build(&store, "1405-07-01");
        assert_eq!(ask(0), 1.0);
        build(&store, "1405-07-02");
        assert_eq!([ask(59), ask(60)], [1.0, 1.0], "they are read again meanwhile");
        while ask(60) == 1.0 {
            std::thread::yield_now();
        }
        assert_eq!(ask(60), 2.0);
        build(&store, "1405-07-03");
        assert_eq!(ask(60 + STALE_MINUTES * 60), 3.0, "nobody asked for so long that they are too old to be given out");
        // Once the month is over its last running facts are no better than any others.
        let over = dates::moment("1405-08-01").unwrap().0 - at(0).0;
        assert_eq!(ask(over / 1000 - 60), 3.0);
        build(&store, "1405-07-04");
        assert_eq!(ask(over / 1000 + STALE_MINUTES * 60), 4.0);
        build(&store, "1405-07-05");
        assert_eq!(ask(over / 1000 + STALE_MINUTES * 60 + 60), 5.0, "of a window that is over, what was written shows at once");
    }
}
