//! People and machines that look: users, passwords, sessions, API tokens, roles, region scope, and the audit of what they do.
//!
//! ```text
//! request --cookie--> session --+
//!         --bearer--> token ----+--> Visitor { role, region } --> Sight of every page, answer and export
//!         --neither, anonymous allowed --> viewer of everything (from this machine only)
//! ```
//! Secrets are random 256-bit values; the database keeps only their SHA-256, passwords only as argon2id. A region
//! scope is kept as a code and looked up in today's inventory: a region that is gone shows nothing, never everything.

mod account;
pub mod audit;
pub mod command;
pub mod device;
pub mod directory;
mod links;
mod password;
mod rarely;
mod role;
mod second;
mod secret;
mod sessions;
mod sign_in;
mod throttle;
mod tokens;
mod turns;
mod users;

use std::sync::{Arc, Mutex};

use prometheus_client::registry::Registry;
use rusta_wire::UnixMs;

pub use crate::config::Network;
use crate::persian::Lang;
use crate::store::{Store, StoreError};
use crate::view::Sight;
use crate::{engine::Snapshot, inventory::SiteId};

pub use account::{CONFIRMED, Confirmation};
pub use audit::{AuditEntry, AuditFilter};
pub use directory::{Directories, Directory};
pub use links::VALIDITY as LINK_VALIDITY;
pub use role::Role;
pub use second::Enrolment;
pub use secret::draw;
pub use sessions::SessionRow;
pub use sign_in::{Attempt, Entry, Login};
pub use tokens::{NewToken, TokenRow};
pub use users::{NewUser, UserRow};

/// Who looks, and how far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visitor {
    /// Name of the signed-in user; `None` without a login.
    pub name: Option<String>,
    /// What they may do.
    pub role: Role,
    /// Code of the region they are bound to; `None` for everything.
    pub region: Option<String>,
    /// Guards the forms of a session; empty without one.
    pub csrf: String,
    /// The language they chose last.
    pub lang: Option<Lang>,
    /// How they are known.
    pub means: Means,
}

/// How somebody is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Means {
    /// They are not.
    Nobody,
    /// By the session they opened.
    Session {
        /// Its number.
        id: i64,
        /// When they last typed their password.
        confirmed_at: UnixMs,
        /// Whether their password was given to them and has to be changed before anything else.
        must_change: bool,
        /// Whether they have a second factor, here or at the provider that vouches for them.
        second_factor: bool,
        /// The directory that knows them; `None` for an account of this collector.
        directory: Option<Directory>,
    },
    /// By an API token, which no browser sends by itself.
    Token,
}

impl Visitor {
    /// Returns a visitor without a login, who may only look.
    pub fn anonymous() -> Self {
        Visitor { name: None, role: Role::Viewer, region: None, csrf: String::new(), lang: None, means: Means::Nobody }
    }

    /// Returns how far they see in a snapshot.
    pub fn sight(&self, snapshot: &Snapshot) -> Sight {
        Sight::of(&snapshot.inventory, self.region.as_deref())
    }

    /// Tells whether they see a site.
    pub fn sees_site(&self, snapshot: &Snapshot, site: SiteId) -> bool {
        self.sight(snapshot).sees_site(&snapshot.inventory, site)
    }

    /// Whether their password was given to them and has to be changed before anything else.
    pub fn must_change(&self) -> bool {
        matches!(self.means, Means::Session { must_change: true, .. })
    }

    /// The directory that knows them; `None` for an account of this collector, a token, or nobody.
    pub fn directory(&self) -> Option<Directory> {
        if let Means::Session { directory, .. } = self.means { directory } else { None }
    }

    /// Whether they came with a password alone.
    pub fn lacks_second_factor(&self) -> bool {
        matches!(self.means, Means::Session { second_factor: false, .. })
    }

    /// Returns the name the audit log knows them by.
    pub fn actor(&self) -> String {
        match (&self.name, &self.means) {
            (None, _) => "anonymous".to_owned(),
            // A token's name says that it is one.
            (Some(name), Means::Token) => name.clone(),
            (Some(name), _) => format!("user:{name}"),
        }
    }
}

/// Why a person could not be let in or changed.
#[derive(Debug, thiserror::Error)]
pub enum PeopleError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A statement failed.
    #[error("people tables")]
    Sqlite(#[from] rusqlite::Error),
    /// The password could not be hashed.
    #[error("password hashing: {0}")]
    Password(String),
    /// The registry, whose names make bad passwords, could not be read.
    #[error("registry: {0}")]
    Registry(String),
    /// What was asked is not allowed; the text says why.
    #[error("{0}")]
    Refused(String),
}

/// The register of people; clones share it.
#[derive(Clone)]
pub struct People {
    store: Store,
    throttle: Arc<Mutex<throttle::Throttle>>,
    turns: turns::Turns,
    sign_ins: sign_in::SignIns,
    told: rarely::Rarely,
    second_factor_for: Arc<[Role]>,
    directories: Arc<Directories>,
}

impl People {
    /// Works on a state database.
    pub fn new(store: Store) -> Self {
        People {
            store,
            throttle: Arc::default(),
            turns: turns::Turns::default(),
            sign_ins: sign_in::SignIns::default(),
            told: rarely::Rarely::default(),
            second_factor_for: Arc::new([]),
            directories: Arc::default(),
        }
    }

    /// Asks for a second factor of those in some roles.
    #[must_use]
    pub fn with_second_factor_for(self, roles: &[Role]) -> Self {
        People { second_factor_for: roles.into(), ..self }
    }

    /// Whether somebody has to set their account up before anything else: choose a password, or add a second factor.
    pub fn owes(&self, visitor: &Visitor) -> bool {
        visitor.must_change() || visitor.lacks_second_factor() && self.second_factor_for.contains(&visitor.role)
    }

    /// Makes the counters of signing in known.
    pub fn register(&self, registry: &mut Registry) {
        self.sign_ins.register(registry);
    }

    /// Makes the secret of a link that signs somebody in once, within [`LINK_VALIDITY`].
    ///
    /// # Errors
    /// An unknown name, a failing database.
    pub fn make_link(&self, name: &str, actor: &str, now: UnixMs) -> Result<String, PeopleError> {
        links::make(&self.store, name, actor, now)
    }

    /// Tells whom a link would sign in; `None` if it is used or too old.
    ///
    /// # Errors
    /// A failing database.
    pub fn whose_link(&self, secret: &str, now: UnixMs) -> Result<Option<String>, PeopleError> {
        links::whose(&self.store, secret, now)
    }

    /// Uses a link up and opens a session; `None` if it is used or too old.
    ///
    /// # Errors
    /// A failing database.
    pub fn sign_in_by_link(&self, secret: &str, address: &str, browser: &str, now: UnixMs) -> Result<Option<String>, PeopleError> {
        links::take(&self.store, secret, address, browser, now)
    }

    /// Ends a session.
    ///
    /// # Errors
    /// A failing database.
    pub fn sign_out(&self, secret: &str, now: UnixMs) -> Result<(), PeopleError> {
        sessions::close(&self.store, secret, now)
    }

    /// Finds the visitor of a session cookie.
    ///
    /// # Errors
    /// A failing database.
    pub fn by_session(&self, secret: &str, now: UnixMs) -> Result<Option<Visitor>, PeopleError> {
        sessions::visitor(&self.store, secret, now)
    }

    /// Finds the visitor of an API token that is used from an address, and keeps that it was.
    ///
    /// # Errors
    /// A failing database.
    pub fn by_token(&self, token: &str, address: &str, now: UnixMs) -> Result<Option<Visitor>, PeopleError> {
        tokens::visitor(&self.store, token, address, now)
    }

    /// Adds a user.
    ///
    /// # Errors
    /// A name that is taken or malformed, a weak password, a failing database.
    pub fn add_user(&self, user: &NewUser, actor: &str, now: UnixMs) -> Result<(), PeopleError> {
        users::add(&self.store, user, actor, now)
    }

    /// Keeps the language a user chose.
    ///
    /// # Errors
    /// A failing database.
    pub fn set_language(&self, name: &str, lang: Lang) -> Result<(), PeopleError> {
        users::set_language(&self.store, name, lang)
    }

    /// Removes a user with all their sessions.
    ///
    /// # Errors
    /// An unknown name, the last administrator, a failing database.
    pub fn remove_user(&self, name: &str, actor: &str, now: UnixMs) -> Result<(), PeopleError> {
        users::remove(&self.store, name, actor, now)
    }

    /// Lists the users.
    ///
    /// # Errors
    /// A failing database.
    pub fn users(&self) -> Result<Vec<UserRow>, PeopleError> {
        users::list(&self.store)
    }

    /// Creates an API token and returns its secret, which is shown once.
    ///
    /// # Errors
    /// A failing database.
    pub fn add_token(&self, token: &NewToken, actor: &str, now: UnixMs) -> Result<String, PeopleError> {
        tokens::add(&self.store, token, actor, now)
    }

    /// Revokes an API token at once.
    ///
    /// # Errors
    /// An unknown token, a failing database.
    pub fn revoke_token(&self, id: i64, actor: &str, now: UnixMs) -> Result<(), PeopleError> {
        tokens::revoke(&self.store, id, actor, now)
    }

    /// Lists the API tokens, newest first.
    ///
    /// # Errors
    /// A failing database.
    pub fn tokens(&self) -> Result<Vec<TokenRow>, PeopleError> {
        tokens::list(&self.store)
    }

    /// Lists entries of the audit log, the newest first.
    ///
    /// # Errors
    /// A failing database.
    pub fn audit(&self, filter: &AuditFilter, limit: usize) -> Result<Vec<AuditEntry>, PeopleError> {
        audit::list(&self.store, filter, limit)
    }

    /// Writes an entry into the audit log.
    ///
    /// # Errors
    /// A failing database.
    pub fn note(&self, now: UnixMs, actor: &str, action: &str, subject: &str, detail: &str) -> Result<(), PeopleError> {
        audit::write(&self.store, now, actor, action, subject, detail)
    }

    /// Writes an entry into the audit log unless the same was written a short while ago: for what a machine or a flood repeats.
    ///
    /// # Errors
    /// A failing database.
    pub fn note_rarely(&self, now: UnixMs, actor: &str, action: &str, subject: &str, detail: &str) -> Result<(), PeopleError> {
        if self.told.is_due(&[actor, action, subject, detail].join("\0"), now) {
            self.note(now, actor, action, subject, detail)
        } else {
            Ok(())
        }
    }

    fn throttle<T>(&self, work: impl FnOnce(&mut throttle::Throttle) -> T) -> T {
        work(&mut self.throttle.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests;
