//! People and machines that look: users, passwords, sessions, API tokens, roles, region scope, and the audit of what they do.
//!
//! ```text
//! request --cookie--> session --+
//!         --bearer--> token ----+--> Visitor { role, region } --> Sight of every page, answer and export
//!         --neither, anonymous allowed --> viewer of everything (loopback only)
//! ```
//! Secrets are random 256-bit values; the database keeps only their SHA-256, passwords only as argon2id. A region
//! scope is kept as a code and looked up in today's inventory: a region that is gone shows nothing, never everything.

mod audit;
pub mod command;
mod password;
mod role;
mod secret;
mod sessions;
mod throttle;
mod tokens;
mod users;

use std::sync::{Arc, Mutex};

use rusta_wire::UnixMs;

use crate::persian::Lang;
use crate::store::{Store, StoreError};
use crate::view::Sight;
use crate::{engine::Snapshot, inventory::SiteId};

pub use audit::AuditEntry;
pub use role::Role;
pub use throttle::Throttle;
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
}

impl Visitor {
    /// Returns a visitor without a login, who may only look.
    pub fn anonymous() -> Self {
        Visitor { name: None, role: Role::Viewer, region: None, csrf: String::new(), lang: None }
    }

    /// Returns how far they see in a snapshot.
    pub fn sight(&self, snapshot: &Snapshot) -> Sight {
        Sight::of(&snapshot.inventory, self.region.as_deref())
    }

    /// Tells whether they see a site.
    pub fn sees_site(&self, snapshot: &Snapshot, site: SiteId) -> bool {
        self.sight(snapshot).sees_site(&snapshot.inventory, site)
    }

    /// Returns the name the audit log knows them by.
    pub fn actor(&self) -> String {
        self.name.as_ref().map_or_else(|| "anonymous".to_owned(), |name| format!("user:{name}"))
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
    /// What was asked is not allowed; the text says why.
    #[error("{0}")]
    Refused(String),
}

/// The register of people; clones share it.
#[derive(Clone)]
pub struct People {
    store: Store,
    throttle: Arc<Mutex<Throttle>>,
}

/// What came of a login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Login {
    /// The session's secret, for the cookie.
    Welcome(String),
    /// Name or password is wrong; which of them is not told.
    Wrong,
    /// Too many wrong attempts; try again later.
    Held,
}

impl People {
    /// Works on a state database.
    pub fn new(store: Store) -> Self {
        People { store, throttle: Arc::default() }
    }

    /// Checks a name and password and opens a session. `from` is the visitor's address, for the rate limit.
    ///
    /// # Errors
    /// A failing database.
    pub fn sign_in(&self, name: &str, password: &str, from: &str, now: UnixMs) -> Result<Login, PeopleError> {
        let keys = [format!("name {}", name.chars().take(64).collect::<String>()), format!("from {from}")];
        if keys.iter().any(|key| self.throttle(|throttle| throttle.is_held(key, now))) {
            return Ok(Login::Held);
        }
        let user = users::find(&self.store, name)?;
        // An unknown name costs the same time as a wrong password, so names cannot be guessed by the clock.
        let hash = user.as_ref().map_or(password::NOBODY, |user| user.password_hash.as_str());
        let right = password::matches(password, hash);
        match user.filter(|_| right) {
            Some(user) => {
                keys.iter().for_each(|key| self.throttle(|throttle| throttle.forget(key)));
                Ok(Login::Welcome(sessions::open(&self.store, &user.name, now)?))
            }
            None => {
                keys.iter().for_each(|key| self.throttle(|throttle| throttle.count(key, now)));
                audit::write(&self.store, now, "anonymous", "login.failed", name, from)?;
                Ok(Login::Wrong)
            }
        }
    }

    /// Ends a session.
    ///
    /// # Errors
    /// A failing database.
    pub fn sign_out(&self, secret: &str) -> Result<(), PeopleError> {
        sessions::close(&self.store, secret)
    }

    /// Finds the visitor of a session cookie.
    ///
    /// # Errors
    /// A failing database.
    pub fn by_session(&self, secret: &str, now: UnixMs) -> Result<Option<Visitor>, PeopleError> {
        sessions::visitor(&self.store, secret, now)
    }

    /// Finds the visitor of an API token.
    ///
    /// # Errors
    /// A failing database.
    pub fn by_token(&self, token: &str, now: UnixMs) -> Result<Option<Visitor>, PeopleError> {
        tokens::visitor(&self.store, token, now)
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

    /// Lists the newest entries of the audit log.
    ///
    /// # Errors
    /// A failing database.
    pub fn audit(&self, limit: usize) -> Result<Vec<AuditEntry>, PeopleError> {
        audit::newest(&self.store, limit)
    }

    /// Writes an entry into the audit log.
    ///
    /// # Errors
    /// A failing database.
    pub fn note(&self, now: UnixMs, actor: &str, action: &str, subject: &str, detail: &str) -> Result<(), PeopleError> {
        audit::write(&self.store, now, actor, action, subject, detail)
    }

    fn throttle<T>(&self, work: impl FnOnce(&mut Throttle) -> T) -> T {
        work(&mut self.throttle.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests;
