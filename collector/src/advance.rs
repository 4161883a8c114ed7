//! The loop at the heart of the collector: read the log, apply, publish.
//!
//! ```text
//!   log --read_from(cursor)--> date --> Engine::apply --> events --+--> state database: events, what was told, days to
//!    ^                                     |                       |    build, cursor; all in one transaction
//!    +------------- cursor ----------------|-----------------------+
//!                                          +--> snapshot --> watch
//! ```
//!
//! The cursor moves in the transaction that keeps the events, so a kill at any moment loses no event and repeats none.
//! After a restart the engine takes what people had been told, reads the last [`REPLAY_MS`] before the cursor again without
//! saying anything, and goes on. What the log cannot give (an agent's last word before that stretch) is kept with what
//! was told.

pub(crate) mod boots;
mod clock_step;
mod disown;
mod late;
mod memory;
mod replay;

pub use replay::Replay;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusta_wire::{AgentId, UnixMs};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::clock;
use crate::config::Thresholds;
use crate::dating::{Contact, Dated, Dating, Reach};
use crate::day::Day;
use crate::engine::{BootTime, Engine, Event, LEAD_IN_MS, LOOK_AHEAD_MS, REACH_DAYS, Record, Snapshot, Told};
use crate::inventory::{Inventory, Versions};
use crate::log::{Log, LogError, Position, Stored};
use crate::store::{Store, StoreError};

/// Records read at once: some hundred milliseconds of work, so that a stop is heard and a snapshot leaves in between.
const READ: usize = 4_096;

/// How far before the cursor the log is read again after a restart. Runs of failures, five quality slots and half an hour
/// of flapping fit into it.
const REPLAY_MS: i64 = 35 * 60_000;

/// How often the log's position is marked, so that a stretch can be found by its time.
const MARK_MS: i64 = 60_000;

/// The engine's time stays this far behind the clock: a batch stamped before a tick is in the log before the tick is run.
const LAG: Duration = Duration::from_secs(1);

/// How often a snapshot is published when nothing but evidence changed.
const PUBLISH_MS: i64 = 1_000;

/// How long events wait for others to share their transaction and snapshot.
const SOON_MS: i64 = 100;

/// How often the cursor is kept when there are no events, and the list of agents is compared.
const KEEP_MS: i64 = 2_000;

/// A clock that is off by more than this was set; less is what a loaded machine and a slewing clock make.
const STEP_MS: i64 = 60_000;

/// How often the same failure is told: a full disk stays full for hours, and four lines a second fill the next one.
const SAY_AGAIN: Duration = Duration::from_secs(60);

/// How long the loop waits for the log before it looks at the clock again.
const TICK: Duration = Duration::from_millis(250);

/// Why the loop could not go on. It tries again.
#[derive(Debug, thiserror::Error)]
pub enum AdvanceError {
    /// The log cannot be read.
    #[error("log")]
    Log(#[from] LogError),
    /// The state database cannot be read or written.
    #[error("state")]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for AdvanceError {
    fn from(error: rusqlite::Error) -> Self {
        AdvanceError::Store(error.into())
    }
}

/// What the loop stands on.
pub struct Parts {
    /// Where records come from.
    pub log: Log,
    /// Where events go.
    pub store: Store,
    /// Every version of the registry.
    pub inventories: watch::Receiver<Arc<Versions>>,
    /// When a state is called what.
    pub thresholds: Thresholds,
}

/// What happened since the cursor was kept last.
#[derive(Default)]
struct Unkept {
    told: Vec<Told>,
    /// Days to be built, by the site's code: an id would not outlive another registry.
    days: BTreeSet<(Day, String)>,
    boots: Vec<crate::dating::Boot>,
    /// Sites, and the first and the last day in which something may lie that nobody can date.
    undated: BTreeSet<(String, Day, Day)>,
    /// Sites, and the sites from which agents look at them.
    vantages: Vec<(String, String)>,
}

/// The loop, one step at a time.
pub struct Advance {
    log: Log,
    store: Store,
    inventories: watch::Receiver<Arc<Versions>>,
    engine: Engine,
    thresholds: Thresholds,
    dating: Dating,
    cursor: Position,
    unkept: Unkept,
    agents_seen: memory::AgentsMark,
    kept_at: UnixMs,
    marked_at: UnixMs,
    published_at: UnixMs,
    /// What the clock said in the last step.
    clock_at: UnixMs,
    snapshots: watch::Sender<Arc<Snapshot>>,
    /// Whether everything kept was read again.
    is_open: bool,
}

impl Advance {
    /// Restores the engine to where it stood and reads what it had read.
    ///
    /// # Errors
    /// A log or database that cannot be read.
    pub fn open(parts: Parts, now: UnixMs) -> Result<Self, AdvanceError> {
        let Parts { log, store, mut inventories, thresholds } = parts;
        let kept = store.read(|tx| memory::load(tx, REPLAY_MS, now))?;
        let versions = Arc::clone(&inventories.borrow_and_update());
        let position = kept.replay_from.map_or(Position(0), |(_, position)| position);
        let first = log.read_from(position, 1)?.first().map(|first| first.received_at);
        let start = kept.replay_from.map(|(at, _)| at).or(first).unwrap_or(now);
        let engine = restored(&store, versions.at(now), &thresholds, start, kept.told.iter())?;
        let mut engine = engine;
        let snapshots = watch::channel(engine.snapshot()).0;
        let (agents_seen, boots) = store.read(|tx| Ok::<_, AdvanceError>((memory::agents_mark(tx)?, boots::load(tx)?)))?;
        let mut advance = Advance {
            dating: Dating::load(boots).reaching(Reach::of_days(log.retention_days())),
            log,
            store,
            inventories,
            engine,
            thresholds,
            cursor: position,
            unkept: Unkept::default(),
            agents_seen,
            kept_at: now,
            marked_at: kept.replay_from.map_or(UnixMs(0), |(at, _)| at),
            published_at: UnixMs(0),
            clock_at: now,
            snapshots,
            is_open: false,
        };
        // Whatever was disowned while nobody served is taken out first.
        if !advance.disown(now)? {
            advance.replay(&kept)?;
            while advance.read()? > 0 {}
        }
        let events = advance.engine.listen_from(now);
        advance.take(&events);
        let differences = advance.engine.tell_differences();
        advance.take(&differences);
        advance.is_open = true;
        advance.publish(now);
        Ok(advance)
    }

    /// Follows the engine's state.
    pub fn snapshots(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.snapshots.subscribe()
    }

    /// Reads, applies, publishes; returns how many records it read.
    ///
    /// # Errors
    /// A log or database that fails; what was applied is kept with the next step that succeeds.
    pub fn step(&mut self, now: UnixMs) -> Result<usize, AdvanceError> {
        self.clock_at = now;
        if self.engine.now().0 > now.0 + STEP_MS {
            self.set_back(now)?;
        }
        if self.follow_registry(now)? {
            self.publish(now);
        }
        let read = self.read()?;
        if read == 0 {
            let events = self.engine.advance_to(now - LAG);
            self.take(&events);
        }
        // A clock that was set back makes everything due: waiting for it to pass the old time would be hours of nothing.
        let passed = |since: UnixMs| if now < since { i64::MAX } else { now.0 - since.0 };
        let since_kept = passed(self.kept_at);
        if since_kept >= KEEP_MS || !self.unkept.told.is_empty() && since_kept >= SOON_MS {
            self.publish(now);
            self.keep(now)?;
        } else if passed(self.published_at) >= PUBLISH_MS {
            self.publish(now);
        }
        Ok(read)
    }

    /// Applies what comes next in the log; returns how many records that were.
    fn read(&mut self) -> Result<usize, AdvanceError> {
        let records = self.log.read_from(self.cursor, READ)?;
        for stored in &records {
            if let Some(record) = self.record(stored) {
                let events = self.engine.apply(&record);
                self.take(&events);
            }
            self.cursor = stored.position;
        }
        self.judge_late()?;
        Ok(records.len())
    }

    /// Runs until it is told to stop and has read everything.
    pub fn run(mut self, mut stop: watch::Receiver<bool>) -> JoinHandle<()> {
        let (mut head, mut registry) = (self.log.head(), self.inventories.clone());
        tokio::task::spawn_blocking(move || {
            let runtime = tokio::runtime::Handle::current();
            let (mut looked, mut failing) = (Instant::now(), None);
            self.clock_at = clock::now();
            loop {
                let stopping = *stop.borrow_and_update();
                let now = clock::now();
                self.notice_jump(now, std::mem::replace(&mut looked, Instant::now()).elapsed());
                let read = match self.step(now) {
                    Ok(read) => {
                        if failing.take().is_some() {
                            tracing::info!("the engine goes on");
                        }
                        read
                    }
                    Err(error) => {
                        if failing.is_none_or(|said: Instant| said.elapsed() >= SAY_AGAIN) {
                            tracing::error!(error = &error as &dyn std::error::Error, "the engine cannot go on; it tries again");
                            failing = Some(Instant::now());
                        }
                        0
                    }
                };
                if stopping && read == 0 {
                    break;
                }
                if read == 0 {
                    runtime.block_on(async {
                        tokio::select! {
                            _ = head.changed() => {}
                            Ok(()) = registry.changed() => {}
                            _ = stop.changed() => {}
                            () = tokio::time::sleep(TICK) => {}
                        }
                    });
                }
            }
            if let Err(error) = self.keep(clock::now()) {
                tracing::error!(error = &error as &dyn std::error::Error, "the last events could not be kept; they will be found again");
            }
        })
    }

    /// Reads the stretch before the cursor again. Its events have been told.
    fn replay(&mut self, kept: &memory::Kept) -> Result<(), AdvanceError> {
        let Some(until) = kept.cursor else { return Ok(()) };
        while self.cursor < until.position {
            let records = self.log.read_from(self.cursor, READ)?;
            if records.is_empty() {
                break;
            }
            for stored in records.iter().take_while(|stored| stored.position <= until.position) {
                if let Some(record) = self.record(stored) {
                    self.engine.apply(&record);
                }
                self.cursor = stored.position;
            }
            if records.last().is_some_and(|last| last.position > until.position) {
                break;
            }
        }
        self.cursor = self.cursor.max(until.position);
        self.engine.advance_to(until.advanced_to);
        self.engine.retell(&kept.told);
        Ok(())
    }

    /// Takes up another registry or another list of agents; `true` if the registry is another.
    fn follow_registry(&mut self, now: UnixMs) -> Result<bool, AdvanceError> {
        let versions = Arc::clone(&self.inventories.borrow_and_update());
        let in_force = versions.at(now);
        // Announced windows and confirmed programs change without another version; what did not change is the same one.
        let changed = !Arc::ptr_eq(&in_force, self.engine.inventory());
        if changed {
            let events = self.engine.replace_inventory(in_force);
            self.take(&events);
            set_agents(&self.store, &mut self.engine)?;
        }
        if now.0 - self.kept_at.0 >= KEEP_MS {
            let mark = self.store.read(memory::agents_mark)?;
            if mark != self.agents_seen {
                set_agents(&self.store, &mut self.engine)?;
                self.disown(now)?;
                self.agents_seen = mark;
            }
        }
        Ok(changed)
    }

    /// Decodes and dates a record; `None` if its site is in no registry or its bytes were damaged at rest.
    fn record(&mut self, stored: &Stored) -> Option<Record> {
        let (dates_more, record) = record_of(&self.engine, &mut self.dating, stored);
        let record = record.map(|record| self.not_ahead(record));
        if record.as_ref().is_some_and(|record| record.boot.is_none()) {
            self.touch_undated(stored);
        }
        // What dates what came before it has the days of that built again.
        if dates_more {
            self.touch_boot(stored);
        }
        record
    }

    fn touch_boot(&mut self, stored: &Stored) {
        let Some(boot) = self.dating.boot(stored.agent(), stored.head.id.boot) else { return };
        let Some(proof) = boot.proofs.values().next() else { return };
        let time = BootTime { at: UnixMs(proof.offset_ms), error_ms: proof.error_ms };
        // A boot's extent is its agent's word: only days of which raw data can be there are gone through.
        let (today, kept) = (Day::of(stored.received_at), i32::try_from(self.log.retention_days()).unwrap_or(i32::MAX));
        let from = Day::of(UnixMs(time.date(boot.first).0.saturating_sub(LOOK_AHEAD_MS))).max(Day(today.0.saturating_sub(kept)));
        let until = Day::of(UnixMs(time.date(boot.last).0.saturating_add(LEAD_IN_MS))).min(today.next());
        let days = (from.0..=until.0).map(|day| (Day(day), boot.site_code.to_string()));
        self.unkept.days.extend(days);
    }

    /// What nobody can date bears on every day it may lie in, as far as silence is looked through. It says nothing of days of
    /// which nothing else is known.
    fn touch_undated(&mut self, stored: &Stored) {
        let Dated::Unknown { not_before, not_after } = self.dating.date(&stored.head, stored.received_at) else { return };
        let last = Day::of(UnixMs(not_after.0.saturating_add(LEAD_IN_MS))).min(Day::of(stored.received_at).next());
        let reach = Day(last.0 - REACH_DAYS);
        let first = not_before.map_or(reach, |at| Day::of(UnixMs(at.0.saturating_sub(LOOK_AHEAD_MS))).max(reach));
        self.unkept.undated.insert((stored.site_code.to_string(), first, last));
    }

    fn take(&mut self, events: &[Event]) {
        for event in events {
            match event {
                Event::DayTouched { site, day } => {
                    self.unkept.days.insert((*day, self.engine.inventory().site(*site).code.clone()));
                }
                event => self.unkept.told.extend(self.engine.tell(event)),
            }
        }
    }

    /// Keeps events, what was told, days to build, boots and the cursor, all or nothing.
    fn keep(&mut self, now: UnixMs) -> Result<(), AdvanceError> {
        let mark = (now.0 - self.marked_at.0 >= MARK_MS).then_some(self.engine.now());
        let cursor = memory::Cursor { position: self.cursor, advanced_to: self.engine.now() };
        self.unkept.boots.extend(self.dating.take_changed());
        self.unkept.vantages.extend(self.engine.take_vantages());
        let unkept = &self.unkept;
        self.store.write(|tx| {
            memory::keep_told(tx, &unkept.told)?;
            memory::keep_days(tx, unkept.days.iter().map(|(day, site)| (*day, site.as_str())))?;
            memory::keep_undated(tx, &unkept.undated)?;
            memory::keep_vantages(tx, unkept.vantages.iter().map(|(site, from)| (site.as_str(), from.as_str())))?;
            boots::keep(tx, &unkept.boots)?;
            memory::keep_cursor(tx, cursor, mark, REPLAY_MS)
        })?;
        self.unkept = Unkept::default();
        self.kept_at = now;
        if mark.is_some() {
            self.marked_at = now;
        }
        Ok(())
    }

    fn publish(&mut self, now: UnixMs) {
        self.published_at = now;
        self.snapshots.send_replace(self.engine.snapshot());
    }
}

/// Decodes and dates a record; `None` if its site is in no registry or its bytes were damaged at rest. Tells also whether
/// it dates what came before it.
fn record_of(engine: &Engine, dating: &mut Dating, stored: &Stored) -> (bool, Option<Record>) {
    let Some(site) = engine.inventory().site_by_code(&stored.site_code) else { return (false, None) };
    let (head, received_at) = (&stored.head, stored.received_at);
    let contact = Contact { head, site_code: &stored.site_code, received_at, live_offset_ms: stored.live_offset_ms };
    let dates_more = dating.observe(&contact);
    let boot = dating.offset(head, received_at).map(|(offset_ms, error_ms)| BootTime { at: UnixMs(offset_ms), error_ms });
    match stored.batch() {
        Ok(batch) => {
            let table = Arc::clone(&stored.table);
            (dates_more, Some(Record { position: stored.position, received_at, site, boot, batch, table }))
        }
        Err(error) => {
            tracing::error!(position = stored.position.0, %error, "a batch in the log is damaged and left out");
            (dates_more, None)
        }
    }
}

/// Makes an engine that goes on from what people were told.
fn restored<'a>(
    store: &Store,
    inventory: Arc<Inventory>,
    thresholds: &Thresholds,
    from: UnixMs,
    told: impl Iterator<Item = &'a Told>,
) -> Result<Engine, AdvanceError> {
    let mut engine = Engine::new(inventory, thresholds.clone(), from);
    set_agents(store, &mut engine)?;
    engine.resume(&told.cloned().collect::<Vec<_>>());
    Ok(engine)
}

/// Tells the engine who is enrolled.
fn set_agents(store: &Store, engine: &mut Engine) -> Result<(), AdvanceError> {
    place_agents(&store.read(memory::agents)?, engine);
    Ok(())
}

fn place_agents(enrolled: &[(AgentId, String)], engine: &mut Engine) {
    let inventory = Arc::clone(engine.inventory());
    let placed = enrolled.iter().filter_map(|(agent, site)| Some((*agent, inventory.site_by_code(site)?)));
    engine.set_agents(&placed.collect::<Vec<_>>());
}

#[cfg(test)]
mod order_tests;
#[cfg(test)]
mod tests;
