//! Sessions: kept on the server, ended by time, by signing out, or by removing the user.

use std::time::Duration;

use rusqlite::OptionalExtension;
use rusta_wire::UnixMs;

use super::users::read_role;
use super::{PeopleError, Visitor, secret};
use crate::persian::Lang;
use crate::store::Store;

/// A shift and its handover.
const IDLE: Duration = Duration::from_secs(12 * 3600);

/// However busy, a session ends after a week.
const LONGEST: Duration = Duration::from_secs(7 * 86_400);

/// `seen_at` is written at most this often, so that reading a page is not a write.
const TOUCH: Duration = Duration::from_secs(300);

pub(super) fn open(store: &Store, user: &str, now: UnixMs) -> Result<String, PeopleError> {
    let (token, csrf) = (secret::draw()?, secret::draw()?);
    store.write(|db| {
        db.execute("DELETE FROM sessions WHERE seen_at < ?1 OR created_at < ?2", ((now - IDLE).0, (now - LONGEST).0))?;
        let values = (secret::digest(&token), user, &csrf, now.0);
        db.execute("INSERT INTO sessions (token_hash, user_name, csrf, created_at, seen_at) VALUES (?1, ?2, ?3, ?4, ?4)", values)?;
        super::audit::insert(db, now, &format!("user:{user}"), "login", user, "")?;
        Ok::<_, PeopleError>(())
    })?;
    Ok(token)
}

pub(super) fn close(store: &Store, token: &str) -> Result<(), PeopleError> {
    store.write(|db| {
        db.execute("DELETE FROM sessions WHERE token_hash = ?1", [secret::digest(token)])?;
        Ok(())
    })
}

pub(super) fn visitor(store: &Store, token: &str, now: UnixMs) -> Result<Option<Visitor>, PeopleError> {
    let hash = secret::digest(token);
    let found = store.read(|db| {
        let sql = "SELECT u.name, u.role, u.region_code, s.csrf, s.seen_at, u.lang FROM sessions s JOIN users u ON u.name = s.user_name
                   WHERE s.token_hash = ?1 AND s.seen_at >= ?2 AND s.created_at >= ?3";
        let mut query = db.prepare_cached(sql)?;
        let row = query.query_row((&hash, (now - IDLE).0, (now - LONGEST).0), |row| {
            let role: String = row.get(1)?;
            let lang = row.get::<_, Option<String>>(5)?.and_then(|code| Lang::from_code(&code));
            let visitor = Visitor { name: Some(row.get(0)?), role: read_role(&role), region: row.get(2)?, csrf: row.get(3)?, lang };
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
