//! Users.

use rusqlite::OptionalExtension;
use rusta_wire::UnixMs;

use super::{PeopleError, Role, audit, password};
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
}

pub(super) struct StoredUser {
    pub name: String,
    pub password_hash: String,
}

/// Longer names are typing mistakes.
const LONGEST_NAME: usize = 64;

pub(super) fn add(store: &Store, user: &NewUser, actor: &str, now: UnixMs) -> Result<(), PeopleError> {
    check_name(&user.name)?;
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
        let others: i64 = db.query_row("SELECT count(*) FROM users WHERE role = 'admin' AND name <> ?1", [name], |row| row.get(0))?;
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
        let mut query = db.prepare_cached("SELECT name, role, region_code, created_at FROM users ORDER BY name")?;
        let rows = query.query_map([], |row| {
            let role: String = row.get(1)?;
            Ok(UserRow { name: row.get(0)?, role: read_role(&role), region: row.get(2)?, created_at: UnixMs(row.get(3)?) })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    })
}

pub(super) fn find(store: &Store, name: &str) -> Result<Option<StoredUser>, PeopleError> {
    store.read(|db| {
        let mut query = db.prepare_cached("SELECT name, password_hash FROM users WHERE name = ?1")?;
        Ok(query.query_row([name], |row| Ok(StoredUser { name: row.get(0)?, password_hash: row.get(1)? })).optional()?)
    })
}

/// Reads a stored role; the schema allows only known ones, and anything else may do least.
pub(super) fn read_role(word: &str) -> Role {
    word.parse().unwrap_or(Role::Viewer)
}

fn check_name(name: &str) -> Result<(), PeopleError> {
    let allowed = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_');
    if name.is_empty() || name.chars().count() > LONGEST_NAME || !name.chars().all(allowed) {
        return Err(PeopleError::Refused(format!("`{name}` is not a user name: 1 to {LONGEST_NAME} letters, digits, `.`, `-` or `_`")));
    }
    Ok(())
}
