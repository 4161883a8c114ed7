//! API tokens for machines: a secret shown once, a role, a region, an end.

use rusqlite::OptionalExtension;
use rusta_wire::UnixMs;

use super::users::read_role;
use super::{PeopleError, Role, Visitor, audit, secret};
use crate::store::Store;

/// A token to create.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// What it is for.
    pub label: String,
    /// What its bearer may do.
    pub role: Role,
    /// Code of the region its bearer sees; `None` for everything.
    pub region: Option<String>,
    /// When it ends; `None` for never.
    pub expires_at: Option<UnixMs>,
}

/// A token in a list; its secret is nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRow {
    /// Its number.
    pub id: i64,
    /// What it is for.
    pub label: String,
    /// What its bearer may do.
    pub role: Role,
    /// Code of the region its bearer sees.
    pub region: Option<String>,
    /// Who created it.
    pub created_by: String,
    /// When.
    pub created_at: UnixMs,
    /// When it ends.
    pub expires_at: Option<UnixMs>,
    /// When it was revoked.
    pub revoked_at: Option<UnixMs>,
}

/// Marks our tokens, so that one found in a log or a repository is recognised.
const PREFIX: &str = "rusta_";

pub(super) fn add(store: &Store, token: &NewToken, actor: &str, now: UnixMs) -> Result<String, PeopleError> {
    let bearer = format!("{PREFIX}{}", secret::draw()?);
    store.write(|db| {
        let expires = token.expires_at.map(|at| at.0);
        let values = (secret::digest(&bearer), &token.label, token.role.as_str(), &token.region, actor, now.0, expires);
        let sql = "INSERT INTO api_tokens (hash, label, role, region_code, created_by, created_at, expires_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        db.execute(sql, values)?;
        audit::insert(db, now, actor, "token.add", &token.label, token.role.as_str())?;
        Ok::<_, PeopleError>(())
    })?;
    Ok(bearer)
}

pub(super) fn revoke(store: &Store, id: i64, actor: &str, now: UnixMs) -> Result<(), PeopleError> {
    store.write(|db| {
        if db.execute("UPDATE api_tokens SET revoked_at = ?2 WHERE id = ?1 AND revoked_at IS NULL", (id, now.0))? == 0 {
            return Err(PeopleError::Refused(format!("there is no live token {id}")));
        }
        audit::insert(db, now, actor, "token.revoke", &id.to_string(), "")?;
        Ok(())
    })
}

pub(super) fn list(store: &Store) -> Result<Vec<TokenRow>, PeopleError> {
    store.read(|db| {
        let sql = "SELECT id, label, role, region_code, created_by, created_at, expires_at, revoked_at FROM api_tokens ORDER BY id DESC";
        let mut query = db.prepare_cached(sql)?;
        let rows = query.query_map([], |row| {
            let role: String = row.get(2)?;
            Ok(TokenRow {
                id: row.get(0)?,
                label: row.get(1)?,
                role: read_role(&role),
                region: row.get(3)?,
                created_by: row.get(4)?,
                created_at: UnixMs(row.get(5)?),
                expires_at: row.get::<_, Option<i64>>(6)?.map(UnixMs),
                revoked_at: row.get::<_, Option<i64>>(7)?.map(UnixMs),
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    })
}

pub(super) fn visitor(store: &Store, bearer: &str, now: UnixMs) -> Result<Option<Visitor>, PeopleError> {
    store.read(|db| {
        let sql = "SELECT id, role, region_code FROM api_tokens
                   WHERE hash = ?1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?2)";
        let mut query = db.prepare_cached(sql)?;
        let row = query.query_row((secret::digest(bearer), now.0), |row| {
            let (id, role): (i64, String) = (row.get(0)?, row.get(1)?);
            Ok(Visitor { name: Some(format!("token:{id}")), role: read_role(&role), region: row.get(2)?, csrf: String::new(), lang: None })
        });
        Ok(row.optional()?)
    })
}
