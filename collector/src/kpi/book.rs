//! Keeps the facts of recently asked windows, so that the next question about one is answered from memory.
//!
//! A window that is over is read again only when something of it was written since; one that runs, once a minute. Pages,
//! the API and every other reader of one book get the same facts, so no number is older on one than on the other.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use rusqlite::Connection;
use rusta_wire::UnixMs;

use super::alerts;
use super::definitions::Definitions;
use super::facts::Facts;
use super::load::{View, facts};
use crate::history::tables;
use crate::inventory::Versions;
use crate::persian::Period;
use crate::store::Store;

/// The facts of recently asked windows.
pub struct Book {
    store: Store,
    versions: Mutex<Versions>,
    pages: Mutex<HashMap<Place, Page>>,
}

/// A window, the map it is read on, and what the registry knows and the definitions are.
type Place = (Period, View, Known);

/// How many versions of the registry and of definitions there are, and which of the registry holds today.
type Known = (u32, usize, u32);

/// Facts as they were read.
struct Page {
    facts: Arc<Facts>,
    stamp: Stamp,
    /// The minute in which they were last known to hold.
    minute: i64,
}

/// What was written of a window, in history and about its incidents.
type Stamp = (tables::Stamp, alerts::Stamp);

/// A year of months, read both ways, and the weeks somebody clicks through.
const PAGES: usize = 32;

/// Facts that nobody asked for so long are let go: a month of a large province takes tens of megabytes.
const KEPT_MINUTES: i64 = 15;

/// Why facts could not be read.
pub type BookError = crate::inventory::versions::VersionError;

impl Book {
    /// Opens a book over the state database.
    pub fn new(store: Store) -> Self {
        Book { store, versions: Mutex::default(), pages: Mutex::default() }
    }

    /// Returns the facts of a period, not older than a minute.
    ///
    /// # Errors
    /// What the database says.
    pub fn facts(&self, period: Period, view: View, now: UnixMs) -> Result<Arc<Facts>, BookError> {
        let versions = self.versions()?;
        let known = (versions.count(), self.definitions()?.count(), versions.at(now).version);
        let (place, window, minute) = ((period, view, known), period.window(now), now.seconds().div_euclid(60));
        let stamp = |db: &Connection| Ok::<_, BookError>((tables::stamp(db, window.from, window.until)?, alerts::stamp(db, window)?));
        let kept = lock(&self.pages).get(&place).map(|page| (Arc::clone(&page.facts), page.stamp.clone(), page.minute));
        if let Some((facts, read, at)) = kept {
            let is_over = window.until <= now && facts.window == window;
            if at == minute || (is_over && self.store.read(|db| stamp(db))? == read) {
                lock(&self.pages).entry(place).and_modify(|page| page.minute = minute);
                return Ok(facts);
            }
        }
        // The stamp first: what is written in between has the facts read once more, and none is missed.
        let (stamp, facts) = self.store.read(|db| Ok::<_, BookError>((stamp(db)?, Arc::new(facts(db, &versions, period, view, now)?))))?;
        let mut pages = lock(&self.pages);
        pages.retain(|_, page| minute - page.minute < KEPT_MINUTES);
        if pages.len() >= PAGES {
            pages.clear();
        }
        pages.insert(place, Page { facts: Arc::clone(&facts), stamp, minute });
        Ok(facts)
    }

    /// Returns every version of every definition.
    ///
    /// # Errors
    /// What the database says.
    pub fn definitions(&self) -> Result<Definitions, BookError> {
        Ok(self.store.read(|db| Definitions::load(db))?)
    }

    fn versions(&self) -> Result<Versions, BookError> {
        let mut known = lock(&self.versions);
        *known = known.reload(&self.store)?;
        Ok(known.clone())
    }
}

/// Takes a mutex also after a panic under it: what it guards is replaced whole.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
