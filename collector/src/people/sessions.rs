//! Sessions: kept on the server, ended by time, by signing out, or by removing the user.

use std::time::Duration;

use rusqlite::OptionalExtension;
use rusta_wire::UnixMs;

use super::users::read_role;
use super::{Directory, Means, PeopleError, Visitor, audit, secret};
use crate::persian::Lang;
use crate::store::Store;

/// A shift and its handover.
const IDLE: Duration = Duration::from_secs(12 * 3600);

/// However busy, a session ends after a week.
const LONGEST: Duration = Duration::from_secs(7 * 86_400);

/// That of somebody a directory knows ends after a shift: what they may do is asked again.
const LONGEST_OF_A_DIRECTORY: Duration = IDLE;

/// `seen_at` is written at most this often, so that reading a page is not a write.
const TOUCH: Duration = Duration::from_secs(300);

/// An open session in a list; its secret is nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRow {
    /// Its number.
    pub id: i64,
    /// Whose.
    pub user: String,
    /// Address it was opened from.
    pub address: String,
    /// What the browser called itself.
    pub browser: String,
    /// When it was opened.
    pub opened_at: UnixMs,
    /// When it was last used, to five minutes.
    pub seen_at: UnixMs,
}

/// What a browser calls itself is longer only to confuse.
const LONGEST_BROWSER: usize = 200;

/// Opens a session of somebody who last typed their password at `confirmed_at`, and returns its secret.
pub(super) fn open(
    store: &Store,
    user: &str,
    address: &str,
    browser: &str,
    confirmed_at: UnixMs,
    now: UnixMs,
) -> Result<String, PeopleError> {
    let (token, csrf) = (secret::draw()?, secret::draw()?);
    store.write(|db| {
        db.execute("DELETE FROM sessions WHERE seen_at < ?1 OR created_at < ?2", ((now - IDLE).0, (now - LONGEST).0))?;
        let browser: String = browser.chars().take(LONGEST_BROWSER).collect();
        let values = (secret::digest(&token), user, &csrf, now.0, address, browser, confirmed_at.0);
        let sql = "INSERT INTO sessions (token_hash, user_name, csrf, created_at, seen_at, confirmed_at, address, browser)
                   VALUES (?1, ?2, ?3, ?4, ?4, ?7, ?5, ?6)";
        db.execute(sql, values)?;
        audit::insert(db, now, &format!("user:{user}"), "login", user, &format!("from {address}"))?;
        Ok::<_, PeopleError>(())
    })?;
    Ok(token)
}

pub(super) fn close(store: &Store, token: &str, now: UnixMs) -> Result<(), PeopleError> {
    store.write(|db| {
        let sql = "DELETE FROM sessions WHERE token_hash = ?1 RETURNING user_name";
        let user: Option<String> = db.query_row(sql, [secret::digest(token)], |row| row.get(0)).optional()?;
        if let Some(user) = user {
            audit::insert(db, now, &format!("user:{user}"), "logout", &user, "")?;
        }
        Ok(())
    })
}

/// Lists the open sessions of a person, or of everybody, the last seen first.
pub(super) fn list(store: &Store, user: Option<&str>, now: UnixMs) -> Result<Vec<SessionRow>, PeopleError> {
    store.read(|db| {
        let sql = "SELECT rowid, user_name, address, browser, created_at, seen_at FROM sessions
                   WHERE (?1 IS NULL OR user_name = ?1) AND seen_at >= ?2 AND created_at >= ?3 ORDER BY seen_at DESC, rowid";
        let mut query = db.prepare_cached(sql)?;
        let rows = query.query_map((user, (now - IDLE).0, (now - LONGEST).0), |row| {
            let (id, user, address, browser) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
            Ok(SessionRow { id, user, address, browser, opened_at: UnixMs(row.get(4)?), seen_at: UnixMs(row.get(5)?) })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    })
}

/// Ends a session by its number; with a name only if it is theirs.
pub(super) fn end(store: &Store, id: i64, of: Option<&str>, actor: &str, now: UnixMs) -> Result<(), PeopleError> {
    store.write(|db| {
        let sql = "DELETE FROM sessions WHERE rowid = ?1 AND (?2 IS NULL OR user_name = ?2) RETURNING user_name";
        let user: Option<String> = db.query_row(sql, (id, of), |row| row.get(0)).optional()?;
        let user = user.ok_or_else(|| PeopleError::Refused(format!("there is no session {id}")))?;
        audit::insert(db, now, actor, "session.end", &user, &id.to_string())?;
        Ok(())
    })
}

/// Ends every session of a person and returns how many there were.
pub(super) fn end_all(store: &Store, user: &str, actor: &str, now: UnixMs) -> Result<usize, PeopleError> {
    store.write(|db| {
        let ended = db.execute("DELETE FROM sessions WHERE user_name = ?1", [user])?;
        audit::insert(db, now, actor, "session.end", user, &format!("all {ended}"))?;
        Ok(ended)
    })
}

/// Keeps that the person of a session has just typed their password.
pub(super) fn confirmed(store: &Store, id: i64, now: UnixMs) -> Result<(), PeopleError> {
    store.write(|db| {
        db.execute("UPDATE sessions SET confirmed_at = ?2 WHERE rowid = ?1", (id, now.0))?;
        Ok(())
    })
}

pub(super) fn visitor(store: &Store, token: &str, now: UnixMs) -> Result<Option<Visitor>, PeopleError> {
    let hash = secret::digest(token);
    let found = store.read(|db| {
        let sql = "SELECT u.name, u.role, u.region_code, s.csrf, s.seen_at, u.lang, s.rowid, s.confirmed_at, u.temporary_until,
                   u.totp_secret IS NOT NULL, u.directory FROM sessions s JOIN users u ON u.name = s.user_name
                   WHERE s.token_hash = ?1 AND s.seen_at >= ?2 AND s.created_at >= iif(u.directory IS NULL, ?3, ?4)";
        let mut query = db.prepare_cached(sql)?;
        let row = query.query_row((&hash, (now - IDLE).0, (now - LONGEST).0, (now - LONGEST_OF_A_DIRECTORY).0), |row| {
            let role: String = row.get(1)?;
            let lang = row.get::<_, Option<String>>(5)?.and_then(|code| Lang::from_code(&code));
            let directory = row.get::<_, Option<String>>(10)?.and_then(|word| word.parse().ok());
            let means = Means::Session {
                id: row.get(6)?,
                confirmed_at: UnixMs(row.get(7)?),
                must_change: row.get::<_, Option<i64>>(8)?.is_some(),
                // An OpenID provider has asked for its own.
                second_factor: row.get(9)? || directory == Some(Directory::OpenId),
                directory,
            };
            let visitor = Visitor { name: Some(row.get(0)?), role: read_role(&role), region: row.get(2)?, csrf: row.get(3)?, lang, means };
            Ok((visitor, UnixMs(row.get(4)?)))
        });
        Ok::<_, PeopleError>(row.optional()?)
    })?;
    let Some((visitor, seen_at)) = found else { return Ok(None) };
    if now.since(seen_at) >= TOUCH {
        store.write(|db| {
            db.execute("UPDATE sessions SET seen_at = ?2 WHERE token_hash = ?1", (&hash, now.0))?;
            Ok::<_, PeopleError>(())
        })?;
    }
    Ok(Some(visitor))
}
