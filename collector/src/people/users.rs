//! Users.

use std::time::Duration;

use rusqlite::OptionalExtension;
use rusta_wire::UnixMs;

use super::{Directory, PeopleError, Role, audit, password, secret};
use crate::inventory::Versions;
use crate::persian::Lang;
use crate::store::Store;

/// A user to add.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// Login name: letters, digits, `.`, `-`, `_`.
    pub name: String,
    /// Password as typed.
    pub password: String,
    /// What they may do.
    pub role: Role,
    /// Code of the region they are bound to; `None` for everything.
    pub region: Option<String>,
}

/// A user in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserRow {
    /// Login name.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// Code of the region they are bound to.
    pub region: Option<String>,
    /// When they were added.
    pub created_at: UnixMs,
    /// The directory that knows them; `None` for an account of this collector.
    pub directory: Option<Directory>,
}

pub(super) struct StoredUser {
    pub name: String,
    pub password_hash: String,
    /// Until when the password holds; `None` for one's own.
    pub temporary_until: Option<UnixMs>,
    /// The directory that knows them.
    pub directory: Option<Directory>,
}

/// How long a word holds that somebody else gave out: long enough for a telephone call and a walk to a computer.
const TEMPORARY: Duration = Duration::from_secs(3_600);

/// Hexadecimal digits of such a word: 64 random bits, read out over a telephone.
const TEMPORARY_DIGITS: usize = 16;

/// Longer names are typing mistakes.
pub(super) const LONGEST_NAME: usize = 64;

pub(super) fn add(store: &Store, user: &NewUser, actor: &str, now: UnixMs) -> Result<(), PeopleError> {
    check_name(&user.name)?;
    password::check(&user.password, &own_words(store, &user.name)?)?;
    let hash = password::hash(&user.password)?;
    store.write(|db| {
        let values = (&user.name, &hash, user.role.as_str(), &user.region, now.0);
        let sql = "INSERT OR IGNORE INTO users (name, password_hash, role, region_code, created_at) VALUES (?1, ?2, ?3, ?4, ?5)";
        if db.execute(sql, values)? == 0 {
            return Err(PeopleError::Refused(format!("there is a user `{}` already", user.name)));
        }
        let detail = format!("{} {}", user.role, user.region.as_deref().unwrap_or("everything"));
        audit::insert(db, now, actor, "user.add", &user.name, &detail)?;
        Ok(())
    })
}

pub(super) fn remove(store: &Store, name: &str, actor: &str, now: UnixMs) -> Result<(), PeopleError> {
    store.write(|db| {
        // One a directory knows is none while it is down.
        let others: i64 =
            db.query_row("SELECT count(*) FROM users WHERE role = 'admin' AND name <> ?1 AND directory IS NULL", [name], |row| row.get(0))?;
        let role: Option<String> = db.query_row("SELECT role FROM users WHERE name = ?1", [name], |row| row.get(0)).optional()?;
        match role.as_deref() {
            None => return Err(PeopleError::Refused(format!("there is no user `{name}`"))),
            Some("admin") if others == 0 => return Err(PeopleError::Refused("the last administrator cannot be removed".to_owned())),
            Some(_) => {}
        }
        db.execute("DELETE FROM users WHERE name = ?1", [name])?;
        audit::insert(db, now, actor, "user.remove", name, "")?;
        Ok(())
    })
}

/// A preference is no change of rights: the audit log does not know it.
pub(super) fn set_language(store: &Store, name: &str, lang: Lang) -> Result<(), PeopleError> {
    store.write(|db| {
        db.execute("UPDATE users SET lang = ?2 WHERE name = ?1", (name, lang.code()))?;
        Ok(())
    })
}

pub(super) fn list(store: &Store) -> Result<Vec<UserRow>, PeopleError> {
    store.read(|db| {
        let mut query = db.prepare_cached("SELECT name, role, region_code, created_at, directory FROM users ORDER BY name")?;
        let rows = query.query_map([], |row| {
            let role: String = row.get(1)?;
            let directory = read_directory(row.get(4)?);
            Ok(UserRow { name: row.get(0)?, role: read_role(&role), region: row.get(2)?, created_at: UnixMs(row.get(3)?), directory })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    })
}

pub(super) fn find(store: &Store, name: &str) -> Result<Option<StoredUser>, PeopleError> {
    store.read(|db| {
        let mut query = db.prepare_cached("SELECT name, password_hash, temporary_until, directory FROM users WHERE name = ?1")?;
        let row = query.query_row([name], |row| {
            let temporary_until = row.get::<_, Option<i64>>(2)?.map(UnixMs);
            Ok(StoredUser { name: row.get(0)?, password_hash: row.get(1)?, temporary_until, directory: read_directory(row.get(3)?) })
        });
        Ok(row.optional()?)
    })
}

/// Gives somebody a password of their own choice, and ends every session but the one they chose it in.
pub(super) fn change_password(store: &Store, name: &str, password: &str, keep: Option<i64>, by: By<'_>) -> Result<(), PeopleError> {
    password::check(password, &own_words(store, name)?)?;
    set_password(store, name, password, None, keep, by)
}

/// Gives somebody a word that opens the door once, ends all their sessions, and returns it.
pub(super) fn reset_password(store: &Store, name: &str, by: By<'_>) -> Result<String, PeopleError> {
    let word: String = secret::draw()?.chars().take(TEMPORARY_DIGITS).collect();
    set_password(store, name, &word, Some(by.now + TEMPORARY), None, by)?;
    Ok(word)
}

/// Who changes something, and when.
#[derive(Debug, Clone, Copy)]
pub(super) struct By<'a> {
    pub actor: &'a str,
    pub now: UnixMs,
}

fn set_password(
    store: &Store,
    name: &str,
    password: &str,
    until: Option<UnixMs>,
    keep: Option<i64>,
    by: By<'_>,
) -> Result<(), PeopleError> {
    let hash = password::hash(password)?;
    store.write(|db| {
        if db.query_row("SELECT 1 FROM users WHERE name = ?1 AND directory IS NOT NULL", [name], |_| Ok(())).optional()?.is_some() {
            return Err(PeopleError::Refused(format!("`{name}` signs in by the directory and has no password here")));
        }
        let sql = "UPDATE users SET password_hash = ?2, temporary_until = ?3 WHERE name = ?1";
        if db.execute(sql, (name, &hash, until.map(|until| until.0)))? == 0 {
            return Err(PeopleError::Refused(format!("there is no user `{name}`")));
        }
        let ended = db.execute("DELETE FROM sessions WHERE user_name = ?1 AND rowid <> ?2", (name, keep.unwrap_or(-1)))?;
        let action = if until.is_some() { "user.reset" } else { "user.password" };
        audit::insert(db, by.now, by.actor, action, name, &format!("{ended} sessions ended"))?;
        Ok(())
    })
}

/// Lists what of this place anybody would try first: the person's name, and what its regions are called.
fn own_words(store: &Store, name: &str) -> Result<Vec<String>, PeopleError> {
    let registry = Versions::load(store).map_err(|error| PeopleError::Registry(error.to_string()))?.last();
    let regions = registry.regions.iter().flat_map(|region| [region.name_fa.clone(), region.name_en.clone(), region.code.clone()]);
    Ok(regions.chain(std::iter::once(name.to_owned())).filter(|word| word.chars().count() > 2).collect())
}

/// Reads a stored role; the schema allows only known ones, and anything else may do least.
pub(super) fn read_role(word: &str) -> Role {
    word.parse().unwrap_or(Role::Viewer)
}

fn read_directory(word: Option<String>) -> Option<Directory> {
    word.and_then(|word| word.parse().ok())
}

pub(super) fn check_name(name: &str) -> Result<(), PeopleError> {
    let allowed = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_');
    if name.is_empty() || name.chars().count() > LONGEST_NAME || !name.chars().all(allowed) {
        return Err(PeopleError::Refused(format!("`{name}` is not a user name: 1 to {LONGEST_NAME} letters, digits, `.`, `-` or `_`")));
    }
    Ok(())
}
