//! The notifier: looks at every snapshot, keeps what it found, and lets the outbox be emptied.
//!
//! ```text
//! look:     acts, snapshot -> incidents -> rules -> desk -> one transaction
//! deliver:  outbox -> channels            (on its own, so that a slow gateway delays no judgement)
//! repeat:   what still holds -> each Alertmanager, every minute
//! switch:   "all is well here" -> the second host, every minute, only while looks succeed
//! ```

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use rusta_wire::UnixMs;
use tokio::sync::{Notify, watch};
use tokio::task::{JoinHandle, JoinSet};

use super::acts;
use super::channel::{Channel, ChannelError, Sent, presets};
use super::delivery::{Attempts, Delivery, deliver_due};
use super::desk::Desk;
use super::figures::{Medians, goal, past_kpis};
use super::incidents::worst_of_week;
use super::keep::{Kept, Look, applied, forget_old_decisions, keep, keep_time, load};
use super::outbox::Outbox;
use super::setup::Setup;
use crate::config::{AlertFiles, Config, Mistakes};
use crate::engine::Snapshot;
use crate::engine::incident::{Incidents, Settings};
use crate::inventory::Inventory;
use crate::journal::{self, Journal};
use crate::kpi::{Book, Weight, connected_share_now};
use crate::rules::{DEFAULT_RULES, Facts, KpiFact, KpiSpan, Rules, Watch};
use crate::store::{Store, StoreError};

/// How often the time of the last look is kept when nothing else is: well inside the gap that means "we slept".
const KEEP_TIME: Duration = Duration::from_secs(30);
/// How often rules about sites, metrics and KPIs are looked at: they hold for minutes, so this is soon enough.
const EVERYTHING: Duration = Duration::from_secs(15);
/// How often KPIs over past days are read: they change by the day, and late data comes by the minute.
const READ_PAST: Duration = Duration::from_secs(600);
/// How often the outbox is looked at when nobody says that something is in it: retries become due by themselves.
const LOOK_INTO_OUTBOX: Duration = Duration::from_millis(500);
/// A look older than this means that the notifier is not well, so the dead-man's switch falls silent.
const WELL: Duration = Duration::from_secs(60);

/// A snapshot this old is not the present.
const CAUGHT_UP: Duration = Duration::from_secs(30);
/// How long after a start the notifier waits for the present; then it judges what there is.
const CATCH_UP: Duration = Duration::from_secs(120);

/// Why the notifier cannot start.
#[derive(Debug, thiserror::Error)]
pub enum NotifyError {
    /// The files are wrong.
    #[error("{0}")]
    Mistakes(Mistakes),
    /// A file cannot be read.
    #[error("{0}")]
    Unreadable(PathBuf, #[source] std::io::Error),
    /// A channel cannot be built.
    #[error(transparent)]
    Channel(#[from] ChannelError),
    /// The state database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Reads the rules, the people and the channels; without a file the rules that ship hold and nobody is called.
///
/// # Errors
/// Every mistake in the files, a file that cannot be read, a channel that cannot be built.
pub fn read_files(files: &AlertFiles) -> Result<(Rules, Setup, HashMap<String, Channel>), NotifyError> {
    let presets = presets(files.channels.as_deref()).map_err(NotifyError::Mistakes)?;
    let names = presets.iter().map(|preset| preset.name.clone()).collect::<Vec<_>>();
    let rules = match &files.rules {
        Some(path) => crate::rules::parse(&path.display().to_string(), &text_of(path)?),
        None => crate::rules::parse("configs/alerts.yaml", DEFAULT_RULES),
    };
    let setup = match &files.oncall {
        Some(path) => super::setup::parse(&path.display().to_string(), &text_of(path)?, &names),
        None => Ok(Setup::default()),
    };
    let (rules, setup) = match (rules, setup) {
        (Ok(rules), Ok(setup)) => (rules, setup),
        (rules, setup) => {
            let wrong = rules.err().into_iter().chain(setup.err()).flat_map(|mistakes| mistakes.0);
            return Err(NotifyError::Mistakes(Mistakes(wrong.collect())));
        }
    };
    let channel = |used: &super::setup::ChannelUse| Ok((used.name.clone(), Channel::build(used, &presets)?));
    let channels = setup.channels.iter().map(channel).collect::<Result<HashMap<_, _>, ChannelError>>()?;
    Ok((rules, setup, channels))
}

fn text_of(path: &PathBuf) -> Result<String, NotifyError> {
    std::fs::read_to_string(path).map_err(|error| NotifyError::Unreadable(path.clone(), error))
}

/// Incidents, rules and desk over one state database.
pub struct Notifier {
    store: Store,
    settings: Settings,
    rules: Arc<Rules>,
    setup: Arc<Setup>,
    incidents: Incidents,
    watch: Watch,
    desk: Desk,
    medians: Medians,
    /// Position of the last act that is in force.
    applied: i64,
    kept_at: UnixMs,
    looked_at_everything: UnixMs,
}

impl Notifier {
    /// Continues from the state database, for the inventory of this moment.
    ///
    /// # Errors
    /// What the state database says.
    pub fn open(store: Store, settings: Settings, rules: Rules, setup: Arc<Setup>, inventory: &Arc<Inventory>) -> Result<Self, StoreError> {
        let (kept, applied) = store.read(|tx| Ok::<_, StoreError>((load(tx, settings.clone(), inventory)?, applied(tx)?)))?;
        let Kept { incidents, watch, cases, memory } = kept;
        let desk = Desk::new(setup.clone(), cases, memory);
        Ok(Notifier {
            store,
            settings,
            rules: Arc::new(rules),
            setup,
            incidents,
            watch,
            desk,
            medians: Medians::default(),
            applied,
            kept_at: UnixMs(0),
            looked_at_everything: UnixMs(0),
        })
    }

    /// Returns the incidents as of the last look.
    pub fn incidents(&self) -> &Incidents {
        &self.incidents
    }

    /// Returns the desk as of the last look.
    pub fn desk(&self) -> &Desk {
        &self.desk
    }

    /// Returns the rules.
    pub fn rules(&self) -> &Arc<Rules> {
        &self.rules
    }

    /// Looks at a snapshot and keeps what came of it; returns how many calls it asks for. When that cannot be kept,
    /// everything is read back, so that the next look finds it again.
    ///
    /// # Errors
    /// What the state database says.
    pub fn look(&mut self, snapshot: &Snapshot, kpis: impl Fn(&Snapshot) -> Vec<KpiFact>) -> Result<usize, StoreError> {
        let looked = self.look_once(snapshot, kpis);
        if looked.is_err() {
            *self = Notifier::open(
                self.store.clone(),
                self.settings.clone(),
                Rules::clone(&self.rules),
                self.setup.clone(),
                &snapshot.inventory,
            )?;
        }
        looked
    }

    fn look_once(&mut self, snapshot: &Snapshot, kpis: impl Fn(&Snapshot) -> Vec<KpiFact>) -> Result<usize, StoreError> {
        let acts = self.store.read(|tx| journal::read(tx, self.applied, journal::AT_ONCE))?;
        for entry in &acts {
            acts::apply(entry, &mut self.incidents, &mut self.desk);
        }
        let events = self.incidents.advance(snapshot);
        let everything = self.looked_at_everything > snapshot.at || snapshot.at.since(self.looked_at_everything) >= EVERYTHING;
        if everything {
            if self.medians.refresh(&self.rules, &self.store, &snapshot.inventory, snapshot.at)? {
                self.desk.worst_of_week = self.store.read(|tx| worst_of_week(tx, snapshot.at))?;
                self.store.write(|tx| forget_old_decisions(tx, snapshot.at))?;
            }
            self.looked_at_everything = snapshot.at;
        }
        let median = |link, metric| self.medians.get(link, metric);
        let kpis = if everything { kpis(snapshot) } else { Vec::new() };
        let facts = Facts { everything, kpis, median: &median, ..Facts::new(snapshot, &self.incidents) };
        let changes = self.watch.look(&self.rules, &facts);
        let work = self.desk.advance(&self.rules, &facts, changes);
        let something = !acts.is_empty() || !events.is_empty() || self.watch.changed().next().is_some() || !work.is_empty();
        if something {
            let look = Look { facts: &facts, acts: &acts, events: &events, watch: &self.watch, desk: &self.desk, work: &work };
            self.store.write(|tx| keep(tx, &look))?;
            self.applied = acts.last().map_or(self.applied, |last| last.position);
        } else if snapshot.at.since(self.kept_at) >= KEEP_TIME {
            self.store.write(|tx| keep_time(tx, snapshot.at))?;
        } else {
            return Ok(0);
        }
        self.kept_at = snapshot.at;
        Ok(work.calls.len())
    }

    /// Returns the position of the last act that is in force.
    pub fn applied(&self) -> i64 {
        self.applied
    }
}

/// Computes the KPI of now that rules may ask for, with each region's goal.
pub fn connected_share(snapshot: &Snapshot) -> Vec<KpiFact> {
    let id = connected_share_now::KPI.id;
    let figures = connected_share_now::figures(snapshot, Weight::Village);
    let fact = |figure: crate::kpi::Figure| {
        let region = snapshot.inventory.region_by_code(&figure.region)?;
        Some(KpiFact { id: id.to_owned(), over: KpiSpan::Now, region, value: figure.value, goal: goal(&snapshot.inventory, id, region) })
    };
    figures.into_iter().filter_map(fact).collect()
}

/// What the notifier's tasks share.
pub struct Running {
    /// What people do.
    pub journal: Journal,
    /// When it last judged the present; Unix milliseconds; at first, when it started.
    pub looked_at: Arc<AtomicI64>,
    /// The channels.
    pub delivery: Arc<Delivery>,
    /// The state database.
    pub store: Store,
    /// Reads the wall clock.
    pub clock: fn() -> UnixMs,
}

/// A running notifier.
pub struct Started {
    /// Ends when it was told to stop, or when one of its tasks died.
    pub notifying: JoinHandle<()>,
    /// Its rules, for those who name them.
    pub rules: Arc<Rules>,
    /// The people of its duty list, in the order of their names.
    pub people: Vec<String>,
    /// When it last judged the present; Unix milliseconds; at first, when it started.
    pub looked_at: Arc<AtomicI64>,
}

/// Reads the files the configuration names and starts the notifier.
///
/// # Errors
/// What [`read_files`] and [`Notifier::open`] say.
pub fn start(
    config: &Config,
    store: &Store,
    journal: Journal,
    inventory: &Arc<Inventory>,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    stop: watch::Receiver<bool>,
) -> Result<Started, NotifyError> {
    let (rules, setup, channels) = read_files(&config.alerts)?;
    let setup = Arc::new(setup);
    let notifier = Notifier::open(store.clone(), Settings::default(), rules, setup.clone(), inventory)?;
    let looked_at = Arc::new(AtomicI64::new(crate::clock::now().0));
    let mut people: Vec<String> = setup.people.keys().cloned().collect();
    people.sort();
    let delivery = Arc::new(Delivery::new(setup, channels));
    let running = Running { journal, looked_at: looked_at.clone(), delivery, store: store.clone(), clock: crate::clock::now };
    let past = watch::Sender::new(Vec::new());
    let past_seen = past.subscribe();
    let kpis = move |snapshot: &Snapshot| {
        let mut found = connected_share(snapshot);
        found.extend_from_slice(&past_seen.borrow());
        found
    };
    let rules = notifier.rules.clone();
    let reading = tokio::spawn(read_past(past, rules.clone(), store.clone(), snapshots.clone()));
    let notifying = tokio::spawn(async move {
        run(notifier, running, snapshots, kpis, stop).await;
        reading.abort();
    });
    Ok(Started { notifying, rules, people, looked_at })
}

/// Reads the KPIs over past days now and then, off the runtime's threads.
async fn read_past(past: watch::Sender<Vec<KpiFact>>, rules: Arc<Rules>, store: Store, snapshots: watch::Receiver<Arc<Snapshot>>) {
    let book = Arc::new(Book::new(store));
    loop {
        let (book, rules, snapshot) = (book.clone(), rules.clone(), snapshots.borrow().clone());
        let read = tokio::task::spawn_blocking(move || past_kpis(&rules, &book, &snapshot.inventory, snapshot.at));
        match read.await {
            Ok(Ok(found)) => drop(past.send_replace(found)),
            Ok(Err(error)) => tracing::error!(%error, "the KPIs that rules ask for cannot be read"),
            Err(_) => tracing::error!("the KPIs that rules ask for could not be computed"),
        }
        tokio::time::sleep(READ_PAST).await;
    }
}

/// Runs the notifier until `stop` turns true; then delivers what is due once more.
pub async fn run<K>(
    notifier: Notifier,
    running: Running,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    kpis: K,
    mut stop: watch::Receiver<bool>,
) where
    K: Fn(&Snapshot) -> Vec<KpiFact> + Send + Sync + 'static,
{
    let Running { journal, looked_at, delivery, store, clock } = running;
    if let Err(error) = delivery.recover(&store, clock()) {
        tracing::error!(%error, "calls interrupted by the last stop could not be settled");
    }
    let written = Arc::new(Notify::new());
    let mut tasks = JoinSet::new();
    tasks.spawn(look_on(notifier, journal, snapshots, kpis, written.clone(), looked_at.clone(), clock));
    tasks.spawn(deliver_on(delivery.clone(), store.clone(), written, clock));
    let mut asides = JoinSet::new();
    for (name, channel) in &delivery.channels {
        asides.spawn(repeat_on(name.clone(), channel.clone(), delivery.setup.page_url.clone(), store.clone()));
    }
    asides.spawn(switch_on(delivery.clone(), looked_at, clock));
    let died = tokio::select! {
        // A closed channel means that whoever could stop us is gone.
        _ = stop.wait_for(|stop| *stop) => false,
        // Judging and delivering never end by themselves.
        _ = tasks.join_next() => true,
    };
    tasks.shutdown().await;
    asides.shutdown().await;
    if died {
        return; // Our end is noticed: the process ends, and is started again.
    }
    if let Err(error) = deliver_due(&delivery, &store, clock).await {
        tracing::error!(%error, "the last calls could not be delivered");
    }
}

async fn look_on<K>(
    mut notifier: Notifier,
    journal: Journal,
    mut snapshots: watch::Receiver<Arc<Snapshot>>,
    kpis: K,
    written: Arc<Notify>,
    looked_at: Arc<AtomicI64>,
    clock: fn() -> UnixMs,
) where
    K: Fn(&Snapshot) -> Vec<KpiFact> + Send + Sync + 'static,
{
    let kpis = Arc::new(kpis);
    let started_at = clock();
    journal.set_applied(notifier.applied());
    loop {
        // What a person did is in force at once; what the engine saw, with its next snapshot.
        let more = tokio::select! {
            changed = snapshots.changed() => changed.is_ok(),
            () = journal.wait() => true,
        };
        if !more {
            return;
        }
        let snapshot = snapshots.borrow_and_update().clone();
        if clock().since(snapshot.at) > CAUGHT_UP && clock().since(started_at) < CATCH_UP {
            continue; // The engine still reads what it had read before the last stop: that is not the present.
        }
        let kpis = kpis.clone();
        // Judging a storm and writing it down takes long enough to keep it off the runtime's threads.
        let done = tokio::task::spawn_blocking(move || {
            let looked = notifier.look(&snapshot, kpis.as_ref());
            (notifier, looked)
        });
        let Ok((back, looked)) = done.await else {
            tracing::error!("the notifier panicked: nobody is called until the collector is started again");
            return;
        };
        notifier = back;
        journal.set_applied(notifier.applied());
        match looked {
            Ok(calls) => {
                looked_at.store(clock().0, Ordering::Relaxed);
                if calls > 0 {
                    written.notify_one();
                }
            }
            Err(error) => tracing::error!(%error, "what the notifier found could not be kept; it looks again"),
        }
    }
}

async fn deliver_on(delivery: Arc<Delivery>, store: Store, written: Arc<Notify>, clock: fn() -> UnixMs) {
    let mut attempts = Attempts::new(delivery, store);
    loop {
        if let Err(error) = attempts.begin_due(clock()) {
            tracing::error!(%error, "the outbox cannot be read");
        }
        tokio::select! {
            settled = attempts.settle_next(&clock), if !attempts.is_empty() => {
                if let Err(error) = settled {
                    tracing::error!(%error, "what became of a call could not be kept");
                }
            }
            () = written.notified() => {}
            () = tokio::time::sleep(LOOK_INTO_OUTBOX) => {}
        }
    }
}

/// Tells one Alertmanager again what still holds.
async fn repeat_on(name: String, channel: Arc<Channel>, page_url: String, store: Store) {
    let Channel::Alertmanager(alertmanager) = channel.as_ref() else { return };
    loop {
        tokio::time::sleep(alertmanager.repeat_every).await;
        match alertmanager.repeat(|| store.read(|tx| Outbox::standing(tx, &name)), &page_url).await {
            Ok(Sent::Delivered) => {}
            Ok(sent) => tracing::warn!(channel = %name, ?sent, "standing alerts could not be repeated"),
            Err(error) => tracing::error!(%error, "standing alerts cannot be read"),
        }
    }
}

/// Tells a second host that calls would still go out; its silence is that host's alarm.
pub(super) async fn switch_on(delivery: Arc<Delivery>, looked_at: Arc<AtomicI64>, clock: fn() -> UnixMs) {
    let Some((url, every)) = delivery.setup.deadman.clone() else { return };
    let Ok(client) = reqwest::Client::builder().timeout(Duration::from_secs(10)).build() else { return };
    loop {
        tokio::time::sleep(every).await;
        let age = clock().since(UnixMs(looked_at.load(Ordering::Relaxed)));
        if age > WELL {
            tracing::warn!(age_s = age.as_secs(), "the last look is too old: the dead-man's switch is let go");
        } else if let Err(error) = client.post(&url).send().await {
            tracing::warn!(error = %error.without_url(), "the second host does not hear the dead-man's switch");
        }
    }
}
