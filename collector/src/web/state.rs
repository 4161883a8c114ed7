//! What pages and the API read from.

use std::sync::Arc;
use std::time::Duration;

use axum::http::Extensions;
use rusta_wire::UnixMs;
use tokio::sync::{Semaphore, watch};

use super::door::OverTls;
use super::figures::Answers;
use super::geo::Outline;
use super::pages::Past;
use crate::config::Thresholds;
use crate::engine::Snapshot;
use crate::identity::Registry;
use crate::inventory::Published;
use crate::journal::Journal;
use crate::log::Log;
use crate::people::{Directories, People, Role};
use crate::rules::Rules;
use crate::store::Store;

/// The engine takes up another registry between two reads of the log.
const TAKEN_UP_WITHIN: Duration = Duration::from_secs(20);

/// Shared by every request; clones are cheap.
#[derive(Clone)]
pub struct WebState {
    snapshot: watch::Receiver<Arc<Snapshot>>,
    /// The state database.
    pub store: Store,
    /// The log, for charts; without it pages show no round trips.
    pub log: Option<Log>,
    /// The alert rules, by whose titles people know them.
    pub rules: Arc<Rules>,
    /// People of the duty list, whom an incident can be given to.
    pub duty: Arc<[String]>,
    /// The registry everybody follows; without it what a page stores is for others to take up.
    registry: Option<Published>,
    /// Facts of past windows.
    pub book: Arc<crate::kpi::Book>,
    /// Figures computed from them.
    pub(super) answers: Arc<Answers>,
    /// Days of regions.
    pub(super) past: Arc<Past>,
    /// A turn to read a workbook.
    pub(super) reads_workbook: Arc<Semaphore>,
    /// What people do.
    pub journal: Journal,
    /// Who may speak on the agents' port; without it what a page changes of them is for others to take up.
    pub agents: Option<Registry>,
    /// Users, sessions, tokens.
    pub people: People,
    /// Whether a visitor without a login may look, from this machine.
    pub anonymous_viewer: bool,
    /// Whether anybody may see the status page.
    pub public_status: bool,
    /// Borders for the map, from the user's file.
    pub borders: Arc<[Outline]>,
    /// Whether cookies are for TLS only.
    pub secure: bool,
    /// When a state is called what.
    pub thresholds: Arc<Thresholds>,
    /// Share of a list of the registry an import may drop without being told to.
    pub drop_limit: f64,
    clock: fn() -> UnixMs,
}

impl WebState {
    /// Reads snapshots from the engine's watch and people from the state database, with the safe defaults: nobody looks
    /// without a login.
    pub fn new(snapshot: watch::Receiver<Arc<Snapshot>>, store: Store) -> Self {
        let people = People::new(store.clone());
        let journal = Journal::new(store.clone());
        let book = Arc::new(crate::kpi::Book::new(store.clone()));
        WebState {
            snapshot,
            store,
            log: None,
            rules: Arc::default(),
            duty: Arc::default(),
            registry: None,
            book,
            answers: Arc::default(),
            past: Arc::default(),
            reads_workbook: Arc::new(Semaphore::new(1)),
            journal,
            agents: None,
            people,
            anonymous_viewer: false,
            public_status: false,
            borders: Arc::new([]),
            secure: false,
            thresholds: Arc::default(),
            drop_limit: crate::config::DROP_LIMIT,
            clock: crate::clock::now,
        }
    }

    /// Draws charts from the log.
    #[must_use]
    pub fn with_log(self, log: Log) -> Self {
        WebState { log: Some(log), ..self }
    }

    /// Publishes what pages store in the registry.
    #[must_use]
    pub fn with_registry(self, registry: Published) -> Self {
        WebState { registry: Some(registry), ..self }
    }

    /// Puts what pages change of agents in force at once.
    #[must_use]
    pub fn with_agents(self, agents: Registry) -> Self {
        WebState { agents: Some(agents), ..self }
    }

    /// Hands what people do to whoever applies it.
    #[must_use]
    pub fn with_journal(self, journal: Journal) -> Self {
        WebState { journal, ..self }
    }

    /// Names rules by their titles.
    #[must_use]
    pub fn with_rules(self, rules: Arc<Rules>) -> Self {
        WebState { rules, ..self }
    }

    /// Offers the people of the duty list.
    #[must_use]
    pub fn with_duty(self, people: Vec<String>) -> Self {
        WebState { duty: people.into(), ..self }
    }

    /// Lets visitors without a login look, from this machine only.
    #[must_use]
    pub fn with_anonymous_viewer(self, allowed: bool) -> Self {
        WebState { anonymous_viewer: allowed, ..self }
    }

    /// Shows the status page, regions only, to anybody.
    #[must_use]
    pub fn with_public_status(self, shown: bool) -> Self {
        WebState { public_status: shown, ..self }
    }

    /// Draws borders on the map.
    #[must_use]
    pub fn with_borders(self, borders: Vec<Outline>) -> Self {
        WebState { borders: borders.into(), ..self }
    }

    /// Marks cookies as for TLS only.
    #[must_use]
    pub fn with_secure_cookies(self, secure: bool) -> Self {
        WebState { secure, ..self }
    }

    /// Sets when a state is called what.
    #[must_use]
    pub fn with_thresholds(self, thresholds: Thresholds) -> Self {
        WebState { thresholds: Arc::new(thresholds), ..self }
    }

    /// Sets how much an import may drop.
    #[must_use]
    pub fn with_drop_limit(self, drop_limit: f64) -> Self {
        WebState { drop_limit, ..self }
    }

    /// Asks for a second factor of those in some roles.
    #[must_use]
    pub fn with_second_factor_for(self, roles: &[Role]) -> Self {
        WebState { people: self.people.with_second_factor_for(roles), ..self }
    }

    /// Knows people by directories too.
    #[must_use]
    pub fn with_directories(self, directories: Directories) -> Self {
        WebState { people: self.people.with_directories(directories), ..self }
    }

    /// Tells whether a visitor's connection is encrypted, by us or by a declared proxy: cookies are then for TLS only.
    pub fn is_secure(&self, request: &Extensions) -> bool {
        self.secure || request.get::<OverTls>().is_some()
    }

    /// Replaces the clock, so that a test is a timeline.
    #[must_use]
    pub fn with_clock(self, clock: fn() -> UnixMs) -> Self {
        WebState { clock, ..self }
    }

    /// Puts in force what a page has stored in the registry: when this returns, agents' assignments, the engine and the next
    /// page go by it.
    pub async fn take_up(&self) {
        let Some(registry) = self.registry.clone() else { return };
        let reading = registry.clone();
        match tokio::task::spawn_blocking(move || reading.take_up()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return tracing::error!(%error, "what was stored in the registry cannot be taken up"),
            Err(error) => return tracing::error!(%error, "what was stored in the registry cannot be taken up"),
        }
        let mut snapshots = self.snapshot.clone();
        let is_taken_up = |snapshot: &Arc<Snapshot>| Arc::ptr_eq(&snapshot.inventory, &registry.at(crate::clock::now()));
        let engine = async { snapshots.wait_for(is_taken_up).await.is_ok() };
        // It is stored and published; an engine that has a month to read first takes it up when it gets there.
        if !matches!(tokio::time::timeout(TAKEN_UP_WITHIN, engine).await, Ok(true)) {
            tracing::warn!("the engine has not taken up the registry yet");
        }
    }

    /// Returns the newest snapshot.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot.borrow())
    }

    /// Reads the clock.
    pub fn now(&self) -> UnixMs {
        (self.clock)()
    }
}
