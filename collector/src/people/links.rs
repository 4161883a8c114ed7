//! Links that sign somebody in: made on the server's own shell, good once and for minutes.

use std::time::Duration;

use rusqlite::OptionalExtension;
use rusta_wire::UnixMs;

use super::{PeopleError, audit, secret, sessions};
use crate::store::Store;

/// Long enough to switch to the browser, too short to be found in a history.
pub const VALIDITY: Duration = Duration::from_secs(10 * 60);

pub(super) fn make(store: &Store, name: &str, actor: &str, now: UnixMs) -> Result<String, PeopleError> {
    let link = secret::draw()?;
    store.write(|db| {
        let known = db.query_row("SELECT 1 FROM users WHERE name = ?1", [name], |_| Ok(())).optional()?;
        known.ok_or_else(|| PeopleError::Refused(format!("there is no user `{name}`")))?;
        db.execute("DELETE FROM sign_in_links WHERE expires_at <= ?1", [now.0])?;
        let values = (secret::digest(&link), name, (now + VALIDITY).0);
        db.execute("INSERT INTO sign_in_links (hash, user_name, expires_at) VALUES (?1, ?2, ?3)", values)?;
        audit::insert(db, now, actor, "login.link", name, "")?;
        Ok::<_, PeopleError>(())
    })?;
    Ok(link)
}

pub(super) fn whose(store: &Store, link: &str, now: UnixMs) -> Result<Option<String>, PeopleError> {
    store.read(|db| {
        let mut query = db.prepare_cached("SELECT user_name FROM sign_in_links WHERE hash = ?1 AND expires_at > ?2")?;
        Ok(query.query_row((secret::digest(link), now.0), |row| row.get(0)).optional()?)
    })
}

pub(super) fn take(store: &Store, link: &str, address: &str, browser: &str, now: UnixMs) -> Result<Option<String>, PeopleError> {
    let user: Option<String> = store.write(|db| {
        let sql = "DELETE FROM sign_in_links WHERE hash = ?1 AND expires_at > ?2 RETURNING user_name";
        Ok::<_, PeopleError>(db.query_row(sql, (secret::digest(link), now.0), |row| row.get(0)).optional()?)
    })?;
    user.map(|user| sessions::open(store, &user, address, browser, now, now)).transpose()
}
