//! What pages and the API read from.

use std::sync::Arc;
use std::time::Duration;

use rusta_wire::UnixMs;
use tokio::sync::watch;

use super::figures::Answers;
use super::geo::Outline;
use super::pages::Past;
use crate::engine::Snapshot;
use crate::log::Log;
use crate::people::{People, Role};
use crate::rules::Rules;
use crate::store::Store;

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
    /// Facts of past windows.
    pub book: Arc<crate::kpi::Book>,
    /// Figures computed from them.
    pub(super) answers: Arc<Answers>,
    /// Days of regions.
    pub(super) past: Arc<Past>,
    /// Users, sessions, tokens.
    pub people: People,
    /// Whether a visitor without a login may look.
    pub anonymous_viewer: bool,
    /// Whether anybody may see the status page.
    pub public_status: bool,
    /// Borders for the map, from the user's file.
    pub borders: Arc<[Outline]>,
    /// Whether cookies are for TLS only.
    pub secure: bool,
    /// How old evidence may be to speak about now.
    pub now_max_age: Duration,
    clock: fn() -> UnixMs,
}

impl WebState {
    /// Reads snapshots from the engine's watch and people from the state database, with the safe defaults: nobody looks
    /// without a login.
    pub fn new(snapshot: watch::Receiver<Arc<Snapshot>>, store: Store) -> Self {
        let people = People::new(store.clone());
        let book = Arc::new(crate::kpi::Book::new(store.clone()));
        let now_max_age = crate::kpi::connected_share_now::MAX_AGE;
        WebState {
            snapshot,
            store,
            log: None,
            rules: Arc::default(),
            book,
            answers: Arc::default(),
            past: Arc::default(),
            people,
            anonymous_viewer: false,
            public_status: false,
            borders: Arc::new([]),
            secure: false,
            now_max_age,
            clock: crate::clock::now,
        }
    }

    /// Draws charts from the log.
    #[must_use]
    pub fn with_log(self, log: Log) -> Self {
        WebState { log: Some(log), ..self }
    }

    /// Names rules by their titles.
    #[must_use]
    pub fn with_rules(self, rules: Arc<Rules>) -> Self {
        WebState { rules, ..self }
    }

    /// Lets visitors without a login look; only for a loopback address.
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

    /// Sets how old evidence may be to speak about now.
    #[must_use]
    pub fn with_now_max_age(self, now_max_age: Duration) -> Self {
        WebState { now_max_age, ..self }
    }

    /// Asks for a second factor of those in some roles.
    #[must_use]
    pub fn with_second_factor_for(self, roles: &[Role]) -> Self {
        WebState { people: self.people.with_second_factor_for(roles), ..self }
    }

    /// Replaces the clock, so that a test is a timeline.
    #[must_use]
    pub fn with_clock(self, clock: fn() -> UnixMs) -> Self {
        WebState { clock, ..self }
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
