//! Publishes without a hand: revision 1 on day 3 of the next month, another when late data changed what it said. What the registry
//! changed waits for a person.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, params};
use rusta_wire::UnixMs;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::content::Content;
use super::gather::gather;
use super::held::{self, Outcome};
use super::revision::{self, Frozen};
use crate::clock;
use crate::day::Day;
use crate::inventory::{RegionKind, Versions};
use crate::persian::{JalaliDate, Period, Window};
use crate::store::{Store, StoreError};

/// How often it is asked whether a month is due.
const LOOK: Duration = Duration::from_secs(10 * 60);

/// How often a published month is computed again: late data comes by the day, not by the minute.
const AGAIN_MS: i64 = 86_400_000;

/// Months that late data may still change: agents keep seven days, raw data is kept for two months.
const MONTHS: i32 = 2;

/// The publisher, one look at a time.
pub struct Publisher {
    store: Store,
    inventories: watch::Receiver<Arc<Versions>>,
    looked_at: HashMap<Period, UnixMs>,
}

impl Publisher {
    /// Makes a publisher.
    pub fn new(store: Store, inventories: watch::Receiver<Arc<Versions>>) -> Self {
        Publisher { store, inventories, looked_at: HashMap::new() }
    }

    /// Publishes what is due; returns the revisions that are new.
    ///
    /// # Errors
    /// What the database says.
    pub fn step(&mut self, now: UnixMs) -> Result<Vec<Frozen>, StoreError> {
        let versions = Arc::clone(&self.inventories.borrow());
        let mut published = Vec::new();
        for back in (1..=MONTHS).rev() {
            let period = Period::Month(JalaliDate::at(now).month_start(-back));
            let is_due = revision::publishable_from(period).is_some_and(|from| from <= now);
            let was_looked_at = self.looked_at.get(&period).is_some_and(|at| now.0 - at.0 < AGAIN_MS);
            if !is_due || was_looked_at {
                continue;
            }
            // One look at the database: what is imported in between is seen whole or not at all.
            let Some(contents) = self.store.read(|db| contents(db, &versions, period, now))? else { continue };
            for content in contents {
                match self.store.write(|tx| held::publish(tx, &content, period.window(now), false, now))? {
                    Outcome::Published(frozen) => {
                        tracing::info!(%period, region = content.region.0, revision = frozen.revision, "monthly report published");
                        published.push(frozen);
                    }
                    Outcome::Held(stands, registry) => tracing::warn!(
                        %period, region = content.region.0, revision = stands.revision, ?registry,
                        "the registry changed what a published report says: the next revision waits for `report --publish`"
                    ),
                    Outcome::Stands(_) => {}
                }
            }
            self.looked_at.insert(period, now);
        }
        Ok(published)
    }

    /// Runs until it is told to stop.
    pub fn run(mut self, mut stop: watch::Receiver<bool>) -> JoinHandle<()> {
        tokio::task::spawn_blocking(move || {
            let runtime = tokio::runtime::Handle::current();
            while !*stop.borrow_and_update() {
                if let Err(error) = self.step(clock::now()) {
                    tracing::error!(error = &error as &dyn std::error::Error, "the monthly report cannot be published");
                }
                runtime.block_on(async {
                    tokio::select! { _ = stop.changed() => {} () = tokio::time::sleep(LOOK) => {} }
                });
            }
        })
    }
}

/// Makes the report of every province for a month; `None` while it cannot be published: nobody measured it, days of it wait to be
/// built, or the registry was changed and is not read yet. A report of half a history would be revised the next hour.
fn contents(db: &Connection, versions: &Versions, period: Period, now: UnixMs) -> Result<Option<Vec<Content>>, StoreError> {
    let window = period.window(now);
    let days = params![Day::of(window.from).0, Day::of(window.until).0];
    let is_measured = db.prepare_cached("SELECT 1 FROM daily_seconds WHERE kind = 2 AND day >= ?1 AND day < ?2")?.exists(days)?;
    if !is_measured || !versions.are_current(db)? || waits(db, window)? {
        return Ok(None);
    }
    let map = versions.at(UnixMs(window.until.0 - 1));
    let provinces = map.regions.iter().filter(|region| region.kind == RegionKind::Province);
    let contents = provinces.map(|province| gather(db, versions, period, &province.code, now));
    Ok(Some(contents.filter_map(Result::transpose).collect::<Result<_, _>>()?))
}

/// Tells whether days of a window wait to be built, or to be looked at for silent sites.
pub(super) fn waits(db: &Connection, window: Window) -> Result<bool, StoreError> {
    let some = |sql: &str| db.prepare_cached(sql)?.exists(params![Day::of(window.from).0, Day::of(window.until).0]);
    Ok(some("SELECT 1 FROM dirty_days WHERE day >= ?1 AND day < ?2")?
        || some("SELECT 1 FROM silent_days WHERE marked >= ?1 - 1 AND marked < ?2 - 1")?)
}
