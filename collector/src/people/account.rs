//! What a person does about their own account, and an administrator about others': passwords, sessions, and typing the
//! password again before something dangerous.

use std::time::Duration;

use rusta_wire::UnixMs;

use super::throttle::Key;
use super::users::By;
use super::{Directory, Means, People, PeopleError, SessionRow, Visitor, password, sessions, users};

/// How long a typed password vouches for dangerous acts: an unlocked desk is not left for longer without being noticed.
pub const CONFIRMED: Duration = Duration::from_secs(600);

/// What came of typing a password again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirmation {
    /// It is theirs.
    Right,
    /// It is not.
    Wrong,
    /// Too many wrong ones, or too many people at once; wait that long.
    Later(Duration),
}

impl Visitor {
    /// Whether they may do something dangerous now: they typed their password a short while ago, or come by a token, which
    /// has none.
    pub fn is_confirmed(&self, now: UnixMs) -> bool {
        match self.means {
            Means::Session { confirmed_at, .. } => now.since(confirmed_at) <= CONFIRMED,
            Means::Token => true,
            Means::Nobody => false,
        }
    }
}

impl People {
    /// Checks the password of somebody signed in, in turn, and keeps that they typed it. Whom an OpenID provider knows has none
    /// here: they sign in there once more.
    ///
    /// # Errors
    /// A failing database.
    pub async fn confirm(&self, visitor: &Visitor, typed: String, now: UnixMs) -> Result<Confirmation, PeopleError> {
        let (Some(name), Means::Session { id, directory, .. }) = (visitor.name.clone(), &visitor.means) else {
            return Ok(Confirmation::Wrong);
        };
        let (id, directory) = (*id, *directory);
        // A session that was left open guesses no faster than a stranger, and makes nobody else wait.
        let keys = vec![Key::Device(format!("session {id}"))];
        if let Err(wait) = self.throttle(|throttle| throttle.begin(&keys, now)) {
            return Ok(Confirmation::Later(wait));
        }
        let turn = if directory == Some(Directory::Ldap) { self.turns.wait_for_directory().await } else { self.turns.wait(true).await };
        let Some(turn) = turn else { return Ok(Confirmation::Later(Duration::from_secs(10))) };
        let by_ldap = match (directory, &self.directories.ldap) {
            (Some(Directory::Ldap), Some(server)) => match server.check(&name, &typed).await {
                Ok(known) => Some(known.is_some_and(|person| person.name == name)),
                Err(error) => {
                    tracing::warn!(%error, "nobody can confirm by the LDAP server");
                    return Ok(Confirmation::Later(Duration::from_secs(10)));
                }
            },
            _ => None,
        };
        let people = self.clone();
        let checked = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let Some(user) = users::find(&people.store, &name)? else { return Ok(Confirmation::Wrong) };
            people.sign_ins.checks.inc();
            if !by_ldap.unwrap_or_else(|| password::matches(&typed, &user.password_hash)) {
                return Ok(Confirmation::Wrong);
            }
            people.throttle(|throttle| throttle.was_right(&keys));
            sessions::confirmed(&people.store, id, now)?;
            Ok(Confirmation::Right)
        });
        checked.await.map_err(|error| PeopleError::Password(error.to_string()))?
    }

    /// Gives somebody a password of their choice; their other sessions end.
    ///
    /// # Errors
    /// An unknown name, a weak password, a failing database.
    pub fn change_password(&self, name: &str, password: &str, keep: &Means, actor: &str, now: UnixMs) -> Result<(), PeopleError> {
        let keep = if let Means::Session { id, .. } = keep { Some(*id) } else { None };
        users::change_password(&self.store, name, password, keep, By { actor, now })
    }

    /// Gives somebody a word that opens the door within the next hour, after which they have to choose a password. All their
    /// sessions end.
    ///
    /// # Errors
    /// An unknown name, a failing database.
    pub fn reset_password(&self, name: &str, actor: &str, now: UnixMs) -> Result<String, PeopleError> {
        users::reset_password(&self.store, name, By { actor, now })
    }

    /// Lists the open sessions of a person, or of everybody.
    ///
    /// # Errors
    /// A failing database.
    pub fn sessions(&self, of: Option<&str>, now: UnixMs) -> Result<Vec<SessionRow>, PeopleError> {
        sessions::list(&self.store, of, now)
    }

    /// Ends a session by its number; with a name only if it is theirs.
    ///
    /// # Errors
    /// No such session, a failing database.
    pub fn end_session(&self, id: i64, of: Option<&str>, actor: &str, now: UnixMs) -> Result<(), PeopleError> {
        sessions::end(&self.store, id, of, actor, now)
    }

    /// Ends every session of a person and returns how many there were.
    ///
    /// # Errors
    /// A failing database.
    pub fn end_sessions(&self, user: &str, actor: &str, now: UnixMs) -> Result<usize, PeopleError> {
        sessions::end_all(&self.store, user, actor, now)
    }
}
