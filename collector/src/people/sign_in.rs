//! Signing in: counted, then in turn, then checked.
//!
//! ```text
//! attempt -> counted by throttle -> turn (bounded memory) -> argon2 or LDAP -> session + device cookie | wrong
//!                    |                  |                           |
//!                    +-> held           +-> busy                    +-> unreachable
//! ```
//! The audit log gets who came in, and failures of accounts there are: the first five in a row, then each time their number
//! doubles. Names nobody has are counted and never written: people type passwords into the wrong field.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use rusta_wire::UnixMs;

use super::directory::{Directory, ldap};
use super::throttle::Key;
use super::turns::Turn;
use super::users::{self, StoredUser};
use super::{People, PeopleError, audit, device, password, second};

/// Somebody at the door.
#[derive(Debug, Clone, Default)]
pub struct Attempt {
    /// Login name as typed.
    pub name: String,
    /// Password as typed.
    pub password: String,
    /// Code of their second factor as typed; empty for none.
    pub code: String,
    /// Address they come from, or where else, such as `cli`.
    pub address: String,
    /// What their browser calls itself.
    pub browser: String,
    /// Cookie of a device that was signed in from before.
    pub device: Option<String>,
}

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Login {
    /// Let in.
    Welcome(Entry),
    /// Name or password is wrong; which of them is not told.
    Wrong,
    /// Too many wrong attempts; the next may be made after so long.
    Held(Duration),
    /// Too many people are at the door.
    Busy,
    /// The directory that would know does not answer.
    Unreachable,
}

/// What a person who was let in carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The session's secret, for its cookie.
    pub session: String,
    /// The device's cookie.
    pub device: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

/// What became of attempts; clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct SignIns {
    outcomes: Family<Outcome, Counter>,
    pub(super) checks: Counter,
    strangers: Arc<AtomicU64>,
}

/// An attempt that was counted and may be checked.
struct Counted {
    attempt: Attempt,
    user: Option<StoredUser>,
    keys: Vec<Key>,
    known: bool,
}

impl SignIns {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("rusta_sign_ins", "Attempts to sign in, by what came of them", self.outcomes.clone());
        registry.register("rusta_password_checks", "Passwords checked: each takes 19 MiB for a moment", self.checks.clone());
    }

    fn count(&self, login: &Login) {
        let outcome = match login {
            Login::Welcome(_) => "welcome",
            Login::Wrong => "wrong",
            Login::Held(_) => "held",
            Login::Busy => "busy",
            Login::Unreachable => "unreachable",
        };
        self.outcomes.get_or_create(&Outcome { outcome }).inc();
    }
}

impl People {
    /// Checks a name and password and opens a session, at once: for commands, which are one at a time.
    ///
    /// # Errors
    /// A failing database.
    pub fn sign_in(&self, attempt: &Attempt, now: UnixMs) -> Result<Login, PeopleError> {
        let login = match self.begin(attempt.clone(), now)? {
            Ok(counted) => self.check(&counted, now)?,
            Err(wait) => Login::Held(wait),
        };
        Ok(self.counted(login))
    }

    /// Checks a name and password in turn and opens a session: for visitors, of whom any number comes at once.
    ///
    /// # Errors
    /// A failing database.
    pub async fn sign_in_in_turn(&self, attempt: Attempt, now: UnixMs) -> Result<Login, PeopleError> {
        let login = match self.begin(attempt, now)? {
            Err(wait) => Login::Held(wait),
            Ok(counted) => match self.turn_for(&counted).await {
                None => Login::Busy,
                Some((turn, server)) => {
                    let said = match server {
                        Some(server) => Some(server.check(&counted.attempt.name, &counted.attempt.password).await),
                        None => None,
                    };
                    let people = self.clone();
                    // The turn ends with the work, also when the visitor has gone meanwhile.
                    let checked = tokio::task::spawn_blocking(move || {
                        let _turn = turn;
                        match said {
                            None => people.check(&counted, now),
                            Some(Ok(person)) => people.judge_ldap(&counted.attempt, &counted.keys, person.as_ref(), now),
                            Some(Err(error)) => {
                                tracing::warn!(%error, "nobody can sign in by the LDAP server");
                                Ok(Login::Unreachable)
                            }
                        }
                    });
                    checked.await.map_err(|error| PeopleError::Password(error.to_string()))??
                }
            },
        };
        Ok(self.counted(login))
    }

    /// Counts what came of an attempt.
    pub(super) fn counted(&self, login: Login) -> Login {
        self.sign_ins.count(&login);
        login
    }

    /// Waits for a turn of whoever looks at the password, and says if that is the LDAP server.
    async fn turn_for(&self, counted: &Counted) -> Option<(Turn, Option<ldap::Server>)> {
        match self.ldap_for(counted) {
            Some(server) => Some((self.turns.wait_for_directory().await?, Some(server))),
            None => Some((self.turns.wait(counted.known).await?, None)),
        }
    }

    /// Returns the LDAP server if it is the one to ask: an account of this collector is never asked for elsewhere.
    fn ldap_for(&self, counted: &Counted) -> Option<ldap::Server> {
        let is_its = counted.user.as_ref().is_none_or(|user| user.directory == Some(Directory::Ldap));
        self.directories.ldap.clone().filter(|_| is_its)
    }

    /// Counts an attempt before anything is spent on it.
    fn begin(&self, attempt: Attempt, now: UnixMs) -> Result<Result<Counted, Duration>, PeopleError> {
        let device = match attempt.device.as_deref() {
            Some(cookie) => device::known(&self.store, cookie, &attempt.name, now)?,
            None => None,
        };
        let user = users::find(&self.store, &attempt.name)?;
        let known = device.is_some();
        let keys = match device {
            Some(device) => vec![Key::Device(device)],
            None => {
                let name: String = attempt.name.chars().take(users::LONGEST_NAME).collect();
                // What was guessed at the password before does not make its owner wait with the one they were just given.
                let salt = user.as_ref().and_then(|user| user.password_hash.split('$').nth(4)).unwrap_or_default();
                vec![Key::Account(format!("{name} {salt}")), Key::Address(neighbourhood(&attempt.address))]
            }
        };
        let begun = self.throttle(|throttle| throttle.begin(&keys, now));
        Ok(begun.map(|()| Counted { attempt, user, keys, known }))
    }

    fn check(&self, counted: &Counted, now: UnixMs) -> Result<Login, PeopleError> {
        let Counted { attempt, user, keys, .. } = counted;
        // An unknown name costs the same time as a wrong password, so names cannot be guessed by the clock.
        let hash = user.as_ref().map_or(password::NOBODY, |user| user.password_hash.as_str());
        self.sign_ins.checks.inc();
        let holds = user.as_ref().and_then(|user| user.temporary_until).is_none_or(|until| now < until);
        let right = password::matches(&attempt.password, hash) && holds;
        let right = right && self.store.write(|db| second::passes(db, &attempt.name, &attempt.code, now))?;
        match user {
            Some(user) if right => {
                self.throttle(|throttle| throttle.was_right(keys));
                self.welcome(&user.name, attempt, now, now).map(Login::Welcome)
            }
            Some(user) => {
                let in_a_row = keys.first().map_or(0, |key| self.throttle(|throttle| throttle.counted(key)));
                if in_a_row <= 5 || in_a_row.is_power_of_two() {
                    let detail = format!("from {}, {in_a_row} in a row", attempt.address);
                    audit::write(&self.store, now, "anonymous", "login.failed", &user.name, &detail)?;
                }
                Ok(Login::Wrong)
            }
            None => {
                let strangers = self.sign_ins.strangers.fetch_add(1, Ordering::Relaxed) + 1;
                if strangers.is_power_of_two() {
                    let detail = format!("{strangers} since the start, the last from {}", attempt.address);
                    audit::write(&self.store, now, "anonymous", "login.failed", "names nobody has", &detail)?;
                }
                Ok(Login::Wrong)
            }
        }
    }
}

/// Returns what of an address one subscriber has: of IPv4 all, of IPv6 the /64 (RFC 6177).
pub(super) fn neighbourhood(address: &str) -> String {
    match address.parse::<IpAddr>().map(|address| address.to_canonical()) {
        Ok(IpAddr::V6(v6)) => {
            let [a, b, c, d, ..] = v6.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
        Ok(v4) => v4.to_string(),
        Err(_) => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_subscriber_is_one_address() {
        assert_eq!(neighbourhood("10.0.0.9"), "10.0.0.9");
        assert_eq!(neighbourhood("::ffff:10.0.0.9"), "10.0.0.9");
        assert_eq!(neighbourhood("2001:db8:1:2::9"), neighbourhood("2001:db8:1:2:ffff::1"));
        assert_ne!(neighbourhood("2001:db8:1:2::9"), neighbourhood("2001:db8:1:3::9"));
    }
}
