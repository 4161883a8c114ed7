//! Directories: they know people beside the accounts of this collector, and their groups say what a person may do here.
//!
//! ```text
//! LDAP server  --name, password--+
//!                                +--> Person { name, groups } --groups of collector.yaml--> role, region --> account, session
//! OpenID provider --ID token-----+
//! ```
//! An account of a directory has no password here and is never one of this collector's own: those stay the way in while a
//! directory is down, and no name in a directory opens one. Rights are taken from the groups at each sign-in; a session of
//! such an account ends after a shift, so that what was taken away there is gone here.

pub mod ldap;
pub mod openid;

use rusqlite::{OptionalExtension, Transaction};
use rusta_wire::UnixMs;

use super::sign_in::{Attempt, Entry, Login};
use super::throttle::Key;
use super::users::check_name;
use super::{People, PeopleError, Role, audit, device, password, second, sessions};
use crate::config;
use crate::inventory::word_enum;
use openid::{Begun, OpenIdError, Provider, Vouched};

word_enum! {
    /// Which kind of directory knows somebody.
    Directory {
        /// An OpenID provider.
        OpenId = "openid",
        /// An LDAP server.
        Ldap = "ldap",
    }
}

/// Somebody a directory knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The name they go by.
    pub name: String,
    /// What the directory calls them for ever.
    pub subject: String,
    /// The groups they are in.
    pub groups: Vec<String>,
}

/// The directories of a collector.
#[derive(Debug, Default)]
pub struct Directories {
    openid: Option<Provider>,
    pub(super) ldap: Option<ldap::Server>,
    groups: Vec<Rights>,
}

/// What members of a group may do.
#[derive(Debug, Clone)]
struct Rights {
    group: String,
    role: Role,
    region: Option<String>,
}

impl Directories {
    /// Makes ready to ask what a configuration names; nothing is asked yet.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn new(settings: &config::SignIn) -> Result<Directories, String> {
        let rights =
            |group: &config::Group| Ok(Rights { group: group.name.clone(), role: group.role.parse()?, region: group.region.clone() });
        Ok(Directories {
            openid: settings.openid.as_ref().map(Provider::new).transpose()?,
            ldap: settings.ldap.as_ref().map(ldap::Server::new).transpose()?,
            groups: settings.groups.iter().map(rights).collect::<Result<_, String>>()?,
        })
    }

    /// Finds what somebody may do: the first line of the configuration that names one of their groups.
    fn rights(&self, person: &Person) -> Option<&Rights> {
        self.groups.iter().find(|rights| person.groups.iter().any(|group| is_group(group, &rights.group)))
    }
}

impl People {
    /// Knows people by directories too.
    #[must_use]
    pub fn with_directories(self, directories: Directories) -> Self {
        People { directories: directories.into(), ..self }
    }

    /// Returns the OpenID provider, if there is one.
    pub fn openid(&self) -> Option<&Provider> {
        self.directories.openid.as_ref()
    }

    /// Sends a browser to the OpenID provider; `again` to have the password typed there once more.
    ///
    /// # Errors
    /// A provider that is not there or does not answer.
    pub async fn begin_by_openid(&self, again: bool) -> Result<Begun, OpenIdError> {
        let silent = |why: String| OpenIdError::Silent(why);
        let provider = self.openid().ok_or_else(|| silent("there is none".to_owned()))?;
        let draw = || super::draw().map_err(|error| silent(error.to_string()));
        provider.begin([draw()?, draw()?, draw()?], again).await
    }

    /// Lets somebody in whom the OpenID provider sent back. `attempt` says where from; its name and password are not looked at.
    ///
    /// # Errors
    /// A failing database.
    pub async fn sign_in_by_openid(&self, attempt: &Attempt, back: &Back, now: UnixMs) -> Result<Login, PeopleError> {
        let Some(provider) = self.openid() else { return Ok(Login::Wrong) };
        // Each answer costs the provider a request: a browser that invents them waits like one that guesses.
        let keys = vec![Key::Address(super::sign_in::neighbourhood(&attempt.address))];
        if let Err(wait) = self.throttle(|throttle| throttle.begin(&keys, now)) {
            return Ok(self.counted(Login::Held(wait)));
        }
        let login = match provider.finish(&back.secrets, &back.state, &back.code).await {
            Ok(vouched) => {
                let people = self.clone();
                let attempt = attempt.clone();
                let admitted = tokio::task::spawn_blocking(move || people.admit_vouched(&attempt, &vouched, now));
                admitted.await.map_err(|error| PeopleError::Password(error.to_string()))??
            }
            Err(OpenIdError::Refused(why)) => {
                self.note_rarely(now, "anonymous", "login.failed", "openid", &format!("{why}, from {}", attempt.address))?;
                Login::Wrong
            }
            Err(error) => {
                tracing::warn!(%error, "nobody can sign in by the OpenID provider");
                Login::Unreachable
            }
        };
        if matches!(login, Login::Welcome(_)) {
            self.throttle(|throttle| throttle.was_right(&keys));
        }
        Ok(self.counted(login))
    }

    fn admit_vouched(&self, attempt: &Attempt, vouched: &Vouched, now: UnixMs) -> Result<Login, PeopleError> {
        // Whoever was signed in there already has typed nothing: a dangerous act asks them to.
        let confirmed_at = vouched.authenticated_s.map_or(UnixMs(0), |at| UnixMs(at.saturating_mul(1_000)).min(now));
        match self.admit(Directory::OpenId, &vouched.person, now)? {
            Some(name) => self.welcome(&name, attempt, confirmed_at, now).map(Login::Welcome),
            None => Ok(Login::Wrong),
        }
    }

    /// Judges what the LDAP server said of an attempt; `None` if it does not know the name with that password.
    pub(super) fn judge_ldap(&self, attempt: &Attempt, keys: &[Key], said: Option<&Person>, now: UnixMs) -> Result<Login, PeopleError> {
        let admitted = said.map(|person| self.admit(Directory::Ldap, person, now)).transpose()?.flatten();
        let Some(name) = admitted else {
            let in_a_row = keys.first().map_or(0, |key| self.throttle(|throttle| throttle.counted(key)));
            if in_a_row.is_power_of_two() {
                // Not the name: people type passwords into the wrong field.
                let detail = format!("from {}, {in_a_row} in a row", attempt.address);
                audit::write(&self.store, now, "anonymous", "login.failed", "ldap", &detail)?;
            }
            return Ok(Login::Wrong);
        };
        if !self.store.write(|db| second::passes(db, &name, &attempt.code, now))? {
            return Ok(Login::Wrong);
        }
        self.throttle(|throttle| throttle.was_right(keys));
        self.welcome(&name, attempt, now, now).map(Login::Welcome)
    }

    pub(super) fn welcome(&self, name: &str, attempt: &Attempt, confirmed_at: UnixMs, now: UnixMs) -> Result<Entry, PeopleError> {
        let session = sessions::open(&self.store, name, &attempt.address, &attempt.browser, confirmed_at, now)?;
        Ok(Entry { session, device: device::issue(&self.store, name, now)? })
    }

    /// Keeps the account of somebody a directory knows as their groups say today, and returns its name; `None` if they may
    /// not come in, which ends what they had open.
    fn admit(&self, directory: Directory, person: &Person, now: UnixMs) -> Result<Option<String>, PeopleError> {
        let rights = self.directories.rights(person);
        self.store.write(|db| {
            let actor = format!("directory:{directory}");
            let refuse = |why: &str| audit::insert(db, now, &actor, "login.failed", &person.name, why).map(|()| None);
            let known = account(db, directory, person)?;
            let Some(rights) = rights else {
                if let Some((name, ..)) = &known {
                    db.execute("DELETE FROM sessions WHERE user_name = ?1", [name])?;
                }
                return refuse("in no group that may come in");
            };
            let as_text = format!("{} {}", rights.role, rights.region.as_deref().unwrap_or("everything"));
            match known {
                Some((name, role, region)) => {
                    if role != rights.role.as_str() || region != rights.region {
                        let sql = "UPDATE users SET role = ?2, region_code = ?3 WHERE name = ?1";
                        db.execute(sql, (&name, rights.role.as_str(), &rights.region))?;
                        audit::insert(db, now, &actor, "user.rights", &name, &format!("{as_text}, by group {}", rights.group))?;
                    }
                    Ok(Some(name))
                }
                None if check_name(&person.name).is_err() => refuse("its name is none that an account can have"),
                None => {
                    let sql = "INSERT OR IGNORE INTO users (name, password_hash, role, region_code, created_at, directory, subject)
                               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
                    // No password opens it, and a wrong one takes as long as everywhere.
                    let (role, region) = (rights.role.as_str(), &rights.region);
                    let values = (&person.name, password::NOBODY, role, region, now.0, directory.as_str(), &person.subject);
                    if db.execute(sql, values)? == 0 {
                        return refuse("another account has its name");
                    }
                    audit::insert(db, now, &actor, "user.add", &person.name, &format!("{as_text}, by group {}", rights.group))?;
                    Ok(Some(person.name.clone()))
                }
            }
        })
    }
}

/// What the provider sent a browser back with, and what the browser kept.
#[derive(Debug, Clone)]
pub struct Back {
    /// The browser's own cookie.
    pub secrets: String,
    /// The `state` of the address.
    pub state: String,
    /// The `code` of the address.
    pub code: String,
}

type Account = (String, String, Option<String>);

/// Finds the account of somebody a directory knows: name, role, region.
fn account(db: &Transaction<'_>, directory: Directory, person: &Person) -> Result<Option<Account>, PeopleError> {
    let sql = "SELECT name, role, region_code FROM users WHERE directory = ?1 AND subject = ?2";
    let found = db.query_row(sql, (directory.as_str(), &person.subject), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
    Ok(found.optional()?)
}

/// Tells whether a directory's group is the one the configuration means: by its whole name, or by the first value of an LDAP
/// name (RFC 4514). Directories write names in small letters or large as they like.
fn is_group(said: &str, meant: &str) -> bool {
    let first = said.split(',').next().and_then(|part| part.split_once('=')).filter(|(key, _)| key.trim().eq_ignore_ascii_case("cn"));
    let alike = |name: &str| name.trim().to_lowercase() == meant.trim().to_lowercase();
    alike(said) || first.is_some_and(|(_, name)| alike(name))
}

#[cfg(test)]
mod tests;
