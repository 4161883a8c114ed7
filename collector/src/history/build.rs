//! Builds the days that were touched: yesterday once it has settled, older days at once, today every quarter of an hour.

use std::collections::BTreeSet;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Scope;
use std::time::Duration;

use rusqlite::{Transaction, params};
use rusta_wire::UnixMs;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::gather::{BuildError, Gathered, Gatherer, Subject};
use super::seam::{self, Carried};
use super::timeline::{SiteDay, SiteInput, timeline};
use super::village::village_timeline;
use super::{LOOK_AHEAD_MS, Late, Object, ObjectKind, SLOT_DAYS, overlay, packed, silent, slots, tables, threads};
use crate::clock;
use crate::config::Thresholds;
use crate::day::Day;
use crate::engine::VillagePolicy;
use crate::inventory::{Inventory, RegionId, SiteId, Versions};
use crate::log::Log;
use crate::store::{Store, StoreError};

/// After a day's look-ahead, this long for the last reports to arrive; later ones have it built again.
const SETTLE_MS: i64 = 10 * 60_000;

/// How often the present day is built.
const SWEEP_MS: i64 = 15 * 60_000;

/// Most days written in one transaction, and most built ones that wait for it.
const AT_ONCE: usize = 64;

/// Days a thread takes at a time.
const A_SHARE: usize = 4;

/// Days built in one step.
const A_STEP: i64 = 512;

/// How often the list of days is looked at.
const LOOK: Duration = Duration::from_secs(2);

/// Days are not built again when their raw data may be gone: then what stands is better than what could be built.
const RAW_MARGIN_DAYS: u32 = 2;

/// What building stands on.
pub struct Parts {
    /// Raw data.
    pub log: Log,
    /// Where days go.
    pub store: Store,
    /// Every version of the registry.
    pub inventories: watch::Receiver<Arc<Versions>>,
    /// When a state is called what.
    pub thresholds: Thresholds,
    /// Days the log keeps.
    pub retention_days: u32,
}

/// The builder, one step at a time.
pub struct Builder {
    log: Log,
    store: Store,
    inventories: watch::Receiver<Arc<Versions>>,
    thresholds: Thresholds,
    retention_days: u32,
    sweep: Sweep,
}

/// Where the sweep over days that are not over stands.
#[derive(Default)]
struct Sweep {
    began_at: Option<UnixMs>,
    after: (i32, String),
    is_running: bool,
}

/// A day that was touched.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Dirty {
    day: Day,
    site: String,
    touches: i64,
}

/// A day that was built.
struct Ready {
    dirty: Dirty,
    inventory: Arc<Inventory>,
    id: SiteId,
    gathered: Gathered,
    day: SiteDay,
    slots: Vec<u8>,
    late: Late,
    /// What it was built upon of the day before.
    carried: Carried,
    until: UnixMs,
}

/// Builds days side by side, each from the log alone.
struct Crew<'a> {
    log: &'a Log,
    store: &'a Store,
    versions: &'a Versions,
    thresholds: &'a Thresholds,
    /// Earlier days stand as they are.
    oldest: Day,
    now: UnixMs,
}

impl Builder {
    /// Makes a builder.
    pub fn new(parts: Parts) -> Self {
        Builder {
            log: parts.log,
            store: parts.store,
            inventories: parts.inventories,
            thresholds: parts.thresholds,
            retention_days: parts.retention_days,
            sweep: Sweep::default(),
        }
    }

    /// Builds some of the days that are due; returns how many.
    ///
    /// # Errors
    /// A log or database that fails; the days stay due.
    pub fn step(&mut self, now: UnixMs) -> Result<usize, BuildError> {
        let settled = Day::of(UnixMs(now.0 - LOOK_AHEAD_MS - SETTLE_MS));
        let versions = Arc::clone(&self.inventories.borrow());
        if !self.store.read(|db| versions.are_current(db))? {
            // Built by the registry of before, a day would be taken off the list.
            return Ok(0);
        }
        let days = (self.oldest(now), begun(now));
        // Most steps find nothing to mark, and whoever writes waits for nobody who only looks.
        if self.store.read(|db| silent::first_unmarked(db, &versions, days))?.is_some() {
            self.store.write(|tx| silent::mark(tx, &versions, days))?;
        }
        let mut due = self.store.read(|tx| dirty_before(tx, settled))?;
        let is_over = !due.is_empty();
        if !is_over {
            due = self.sweep(settled, now)?;
        }
        if due.is_empty() {
            return Ok(0);
        }
        self.build(&due, is_over, now)?;
        Ok(due.len())
    }

    /// Runs until it is told to stop.
    pub fn run(mut self, mut stop: watch::Receiver<bool>) -> JoinHandle<()> {
        tokio::task::spawn_blocking(move || {
            let runtime = tokio::runtime::Handle::current();
            while !*stop.borrow_and_update() {
                let built = self.step(clock::now()).unwrap_or_else(|error| {
                    tracing::error!(error = &error as &dyn std::error::Error, "history cannot be built");
                    0
                });
                if built == 0 {
                    runtime.block_on(async {
                        tokio::select! { _ = stop.changed() => {} () = tokio::time::sleep(LOOK) => {} }
                    });
                }
            }
        })
    }

    /// Takes the next days that are not over yet, if it is time for them.
    fn sweep(&mut self, settled: Day, now: UnixMs) -> Result<Vec<Dirty>, BuildError> {
        if !self.sweep.is_running {
            if self.sweep.began_at.is_some_and(|at| now.0 - at.0 < SWEEP_MS) {
                return Ok(Vec::new());
            }
            self.sweep = Sweep { began_at: Some(now), after: (i32::MIN, String::new()), is_running: true };
        }
        let due = self.store.read(|tx| dirty_after(tx, settled, begun(now), &self.sweep.after))?;
        match due.last() {
            Some(last) => self.sweep.after = (last.day.0, last.site.clone()),
            None => self.sweep.is_running = false,
        }
        Ok(due)
    }

    /// Returns the oldest day that is built: earlier ones stand as they are.
    fn oldest(&self, now: UnixMs) -> Day {
        let days = self.retention_days.saturating_sub(RAW_MARGIN_DAYS);
        Day(Day::of(now).0.saturating_sub(i32::try_from(days).unwrap_or(i32::MAX)))
    }

    /// Builds days, and writes some while the next are built.
    fn build(&self, due: &[Dirty], is_over: bool, now: UnixMs) -> Result<(), BuildError> {
        let crew = Crew {
            log: &self.log,
            store: &self.store,
            versions: &Arc::clone(&self.inventories.borrow()),
            thresholds: &self.thresholds,
            oldest: self.oldest(now),
            now,
        };
        let gone = due.iter().filter(|dirty| dirty.day < crew.oldest && !dirty.site.is_empty()).count();
        if gone > 0 {
            tracing::warn!(days = gone, until = %crew.oldest, "days of sites stand as they are: the raw data around them may be gone");
        }
        let forgotten = Day(Day::of(now).0 - SLOT_DAYS);
        std::thread::scope(|scope| {
            let built = crew.start(scope, due);
            loop {
                let part: Vec<Done> = built.iter().take(AT_ONCE).collect::<Result<_, _>>()?;
                if part.is_empty() {
                    return Ok(());
                }
                self.store.write(|tx| {
                    tables::forget_slots(tx, forgotten)?;
                    keep(tx, &part, is_over)
                })?;
            }
        })
    }
}

/// What came of a day.
enum Outcome {
    /// Built from the raw data.
    Whole(Box<Ready>),
    /// The raw data around it may be gone: what stands of the site stays, and its village is put together of it again.
    Standing(Arc<Inventory>, SiteId),
    /// Of villages without a site nobody tells.
    Villages(Arc<Inventory>, UnixMs),
    /// Nothing is to be written.
    Nothing,
}

impl Outcome {
    fn whole(&self) -> Option<&Ready> {
        if let Outcome::Whole(ready) = self { Some(ready) } else { None }
    }

    /// Returns the site's registry, the site, and as far as its day is built.
    fn site(&self, day: Day) -> Option<(&Inventory, SiteId, UnixMs)> {
        match self {
            Outcome::Whole(ready) => Some((&ready.inventory, ready.id, ready.until)),
            Outcome::Standing(inventory, id) => Some((inventory, *id, day.end())),
            Outcome::Villages(..) | Outcome::Nothing => None,
        }
    }
}

type Done = (Dirty, Outcome);

impl Crew<'_> {
    /// Sets threads to work on days, one after the other, until all are taken or nobody wants them any more.
    fn start<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>, due: &'scope [Dirty]) -> Receiver<Result<Done, BuildError>> {
        // Neighbours in the list may share a vantage, so each thread takes a few.
        let shares = Arc::new(Mutex::new(due.chunks(A_SHARE)));
        let (sender, built) = sync_channel(AT_ONCE);
        for _ in 0..threads() {
            let (shares, sender) = (Arc::clone(&shares), sender.clone());
            scope.spawn(move || {
                let mut gatherer = Gatherer::new(self.log.clone(), self.store.clone());
                let next = || shares.lock().unwrap_or_else(PoisonError::into_inner).next();
                for dirty in std::iter::from_fn(next).flatten() {
                    let done = self.build(dirty, &mut gatherer).map(|outcome| (dirty.clone(), outcome));
                    if sender.send(done).is_err() {
                        return;
                    }
                }
            });
        }
        built
    }

    /// Builds one day as the registry of the day has it.
    fn build(&self, dirty: &Dirty, gatherer: &mut Gatherer) -> Result<Outcome, BuildError> {
        let inventory = self.versions.at(dirty.day.start());
        let (from, until) = (dirty.day.start(), dirty.day.end().min(UnixMs(self.now.0 - SETTLE_MS)));
        if until <= from {
            return Ok(Outcome::Nothing);
        }
        if dirty.site.is_empty() {
            return Ok(Outcome::Villages(inventory, until));
        }
        let Some(id) = inventory.site_by_code(&dirty.site) else { return Ok(Outcome::Nothing) };
        if dirty.day < self.oldest {
            return Ok(Outcome::Standing(inventory, id));
        }
        let carried = self.store.read(|tx| seam::before(tx, &dirty.site, dirty.day))?;
        let (seen, gathered) = gatherer.gather(&Subject { inventory: &inventory, site: id }, from, until, self.now)?;
        let mut day = timeline(&SiteInput {
            inventory: &inventory,
            site: id,
            from,
            until,
            sightings: &seen.sightings,
            seen_from: seen.from,
            seen_until: seen.until,
            now: None,
            undated: &seen.undated,
            degraded_before: &carried,
            thresholds: self.thresholds,
        });
        let slots = slots::pack(&day, &gathered.reports.slots);
        // Here and not where it is written: one thread writes for all.
        day.fold();
        let late = overlay::learnt_in(&day.spans, &gathered.reports.late);
        Ok(Outcome::Whole(Box::new(Ready { dirty: dirty.clone(), inventory, id, gathered, day, slots, late, carried, until })))
    }
}

/// Writes built days with their villages, marks the silent days that lean on them, and takes them off the list.
fn keep(tx: &Transaction<'_>, built: &[Done], is_over: bool) -> Result<(), BuildError> {
    for ready in built.iter().filter_map(|(_, outcome)| outcome.whole()) {
        let (site, day) = (&ready.dirty.site, ready.dirty.day);
        mark_silent_days(tx, ready, tables::digests(tx, site, day)?)?;
        let Gathered { digests, reports, .. } = &ready.gathered;
        let late = ready.late;
        let built = tables::Built { day: &ready.day, slots: &ready.slots, until: ready.until, digests: *digests, reports, late };
        tables::write_site(tx, site, day, &built)?;
        seam::mark(tx, site, day, (&ready.day, &ready.carried))?;
    }
    // Villages after all sites: several sites of one village may be among them.
    let mut written = BTreeSet::new();
    for (dirty, outcome) in built.iter().rev() {
        if let Some((inventory, id, until)) = outcome.site(dirty.day)
            && let Some(village) = inventory.village_of(id).filter(|village| written.insert((dirty.day, *village)))
        {
            build_village(tx, inventory, village, (dirty.day, until))?;
        }
        if let Outcome::Villages(inventory, until) = outcome {
            forget_villages(tx, inventory, (dirty.day, *until))?;
        }
    }
    let is_written = |outcome: &Outcome| !matches!(outcome, Outcome::Nothing);
    for day in built.iter().filter(|(_, outcome)| is_written(outcome)).map(|(dirty, _)| dirty.day).collect::<BTreeSet<_>>() {
        tables::count_write(tx, day)?;
    }
    let mut done =
        tx.prepare_cached("DELETE FROM dirty_days WHERE day = ?1 AND site_code = ?2 AND touches = ?3").map_err(StoreError::from)?;
    for (dirty, _) in built.iter().filter(|(_, outcome)| is_over || !is_written(outcome)) {
        done.execute(params![dirty.day.0, dirty.site, dirty.touches]).map_err(StoreError::from)?;
    }
    Ok(())
}

/// A site that was silent for long leans on what it said before and after. When that changes, so may the days between.
fn mark_silent_days(tx: &Transaction<'_>, ready: &Ready, known: Option<tables::Digests>) -> Result<(), BuildError> {
    let (day, digests) = (ready.dirty.day, ready.gathered.digests);
    let known = known.unwrap_or(tables::Digests { head: 0, tail: 0 });
    let earlier = ready.gathered.before.filter(|_| known.head != digests.head).map(|before| before.0..day.0);
    let later = ready.gathered.after.filter(|_| known.tail != digests.tail).map(|after| day.0 + 1..after.0 + 1);
    let sql = "INSERT INTO dirty_days (day, site_code) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET touches = touches + 1";
    let mut mark = tx.prepare_cached(sql).map_err(StoreError::from)?;
    for day in earlier.into_iter().chain(later).flatten() {
        mark.execute(params![day, ready.dirty.site]).map_err(StoreError::from)?;
    }
    Ok(())
}

/// Lists a village's sites that count for it.
fn in_policy(inventory: &Inventory, village: RegionId) -> impl Iterator<Item = SiteId> {
    inventory.sites_of(village).iter().copied().filter(|site| VillagePolicy::Either.includes(inventory.site(*site).kind))
}

/// Builds a village's day from the days of its in-policy sites as they stand in the database.
fn build_village(tx: &Transaction<'_>, inventory: &Inventory, village: RegionId, (day, until): (Day, UnixMs)) -> Result<(), BuildError> {
    let mut days = Vec::new();
    for site in in_policy(inventory, village) {
        let of = Object::whole(ObjectKind::Site, &inventory.site(site).code);
        days.push((site, tables::spans(tx, &of, day)?.and_then(|(bytes, _)| packed::unpack_site(&bytes))));
    }
    if days.is_empty() || !inventory.region(village).inhabited {
        return Ok(());
    }
    let sites: Vec<(SiteId, Option<&SiteDay>)> = days.iter().map(|(site, day)| (*site, day.as_ref())).collect();
    let built = village_timeline(inventory, &sites, UnixMs::from_seconds(day.start().seconds()), UnixMs::from_seconds(until.seconds()));
    tables::write_village(tx, &inventory.region(village).code, day, &built, until)?;
    Ok(())
}

/// Makes unknown what stands of villages that have no site by the registry of the day: an earlier one gave them some.
fn forget_villages(tx: &Transaction<'_>, inventory: &Inventory, (day, until): (Day, UnixMs)) -> Result<(), BuildError> {
    let has_none = |code: &String| inventory.region_by_code(code).is_none_or(|village| in_policy(inventory, village).next().is_none());
    for code in tables::villages_on(tx, day)?.into_iter().filter(has_none) {
        let nothing = village_timeline(inventory, &[], UnixMs::from_seconds(day.start().seconds()), UnixMs::from_seconds(until.seconds()));
        tables::write_village(tx, &code, day, &nothing, until)?;
    }
    Ok(())
}

/// Returns the last day of which something has settled; a later one stays on the list.
fn begun(now: UnixMs) -> Day {
    Day::of(UnixMs(now.0 - SETTLE_MS - 1))
}

fn dirty_before(tx: &Transaction<'_>, settled: Day) -> Result<Vec<Dirty>, StoreError> {
    let mut statement =
        tx.prepare_cached("SELECT day, site_code, touches FROM dirty_days WHERE day < ?1 ORDER BY day, site_code LIMIT ?2")?;
    let rows = statement.query_map(params![settled.0, A_STEP], dirty)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn dirty_after(tx: &Transaction<'_>, settled: Day, today: Day, after: &(i32, String)) -> Result<Vec<Dirty>, StoreError> {
    let mut statement = tx.prepare_cached(
        "SELECT day, site_code, touches FROM dirty_days WHERE day >= ?1 AND day <= ?2 AND (day, site_code) > (?3, ?4)
         ORDER BY day, site_code LIMIT ?5",
    )?;
    let rows = statement.query_map(params![settled.0, today.0, after.0, after.1, A_STEP], dirty)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn dirty(row: &rusqlite::Row<'_>) -> rusqlite::Result<Dirty> {
    Ok(Dirty { day: Day(row.get(0)?), site: row.get(1)?, touches: row.get(2)? })
}
