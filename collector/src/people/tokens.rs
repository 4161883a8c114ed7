//! API tokens for machines: a secret shown once, a role, a region, an end, the networks it may be used from.

use std::net::IpAddr;
use std::time::Duration;

use rusqlite::{OptionalExtension, Transaction};
use rusta_wire::UnixMs;

use super::users::read_role;
use super::{Means, Network, PeopleError, Role, Visitor, audit, secret};
use crate::day::Day;
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
    /// When it ends; `None` for [`LIFETIME`] from its creation.
    pub expires_at: Option<UnixMs>,
    /// Networks it may be used from; empty for any.
    pub networks: Vec<Network>,
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
    /// When it ends; `None` for one of an older collector.
    pub expires_at: Option<UnixMs>,
    /// When it was revoked.
    pub revoked_at: Option<UnixMs>,
    /// Networks it may be used from; empty for any.
    pub networks: String,
    /// When it was last used, to five minutes.
    pub used_at: Option<UnixMs>,
    /// The address it was last used from.
    pub used_from: Option<String>,
}

/// How long a token lives if nobody says: a token nobody renews is one nobody remembers.
pub const LIFETIME: Duration = Duration::from_secs(365 * 86_400);

/// Marks our tokens, so that one found in a log or a repository is recognised.
const PREFIX: &str = "rusta_";

/// The last use is written at most this often, so that reading the API is not a write.
const TOUCH: Duration = Duration::from_secs(300);

/// Addresses of a token written to the audit log in a day.
const ADDRESSES_OF_A_DAY: i64 = 50;

/// Days of which it is kept which address used a token.
const USES_KEPT: i32 = 90;

pub(super) fn add(store: &Store, token: &NewToken, actor: &str, now: UnixMs) -> Result<String, PeopleError> {
    let bearer = format!("{PREFIX}{}", secret::draw()?);
    let networks = token.networks.iter().map(Network::to_string).collect::<Vec<_>>().join(" ");
    store.write(|db| {
        let expires = token.expires_at.unwrap_or(now + LIFETIME).0;
        let bound = (!networks.is_empty()).then_some(&networks);
        let values = (secret::digest(&bearer), &token.label, token.role.as_str(), &token.region, actor, now.0, expires, bound);
        let sql = "INSERT INTO api_tokens (hash, label, role, region_code, created_by, created_at, expires_at, networks)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
        db.execute(sql, values)?;
        let detail = format!(
            "{} of {} from {}",
            token.role,
            token.region.as_deref().unwrap_or("everything"),
            bound.map_or("anywhere", String::as_str)
        );
        audit::insert(db, now, actor, "token.add", &token.label, &detail)?;
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
        let sql = "SELECT id, label, role, region_code, created_by, created_at, expires_at, revoked_at, coalesce(networks, ''), used_at,
                   used_from FROM api_tokens ORDER BY id DESC";
        let mut query = db.prepare_cached(sql)?;
        let rows = query.query_map([], |row| {
            let role: String = row.get(2)?;
            let time = |at: usize| row.get::<_, Option<i64>>(at).map(|time| time.map(UnixMs));
            Ok(TokenRow {
                id: row.get(0)?,
                label: row.get(1)?,
                role: read_role(&role),
                region: row.get(3)?,
                created_by: row.get(4)?,
                created_at: UnixMs(row.get(5)?),
                expires_at: time(6)?,
                revoked_at: time(7)?,
                networks: row.get(8)?,
                used_at: time(9)?,
                used_from: row.get(10)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    })
}

pub(super) fn visitor(store: &Store, bearer: &str, address: &str, now: UnixMs) -> Result<Option<Visitor>, PeopleError> {
    let day = Day::of(now).0;
    let found = store.read(|db| {
        let sql = "SELECT id, role, region_code, networks, used_at, used_from,
                   EXISTS (SELECT 1 FROM token_uses WHERE token = api_tokens.id AND day = ?3 AND address = ?4)
                   FROM api_tokens WHERE hash = ?1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?2)";
        let mut query = db.prepare_cached(sql)?;
        let row = query.query_row((secret::digest(bearer), now.0, day, address), |row| {
            let (id, role): (i64, String) = (row.get(0)?, row.get(1)?);
            let visitor = Visitor {
                name: Some(format!("token:{id}")),
                role: read_role(&role),
                region: row.get(2)?,
                csrf: String::new(),
                lang: None,
                means: Means::Token,
            };
            let used = row.get::<_, Option<i64>>(4)?.map(UnixMs).zip(row.get::<_, Option<String>>(5)?);
            Ok((id, visitor, row.get::<_, Option<String>>(3)?, used, row.get::<_, bool>(6)?))
        });
        Ok::<_, PeopleError>(row.optional()?)
    })?;
    let Some((id, visitor, networks, used, known)) = found else { return Ok(None) };
    if !networks.is_none_or(|networks| is_within(&networks, address)) {
        return Ok(None);
    }
    if !known || used.is_none_or(|(at, from)| now.since(at) >= TOUCH || from != address) {
        store.write(|db| keep_use(db, id, address, day, now))?;
    }
    Ok(Some(visitor))
}

/// Keeps when and from where a token was used; the first use from an address in a day is told to the audit log.
fn keep_use(db: &Transaction<'_>, id: i64, address: &str, day: i32, now: UnixMs) -> Result<(), PeopleError> {
    db.execute("UPDATE api_tokens SET used_at = ?2, used_from = ?3 WHERE id = ?1", (id, now.0, address))?;
    let today: i64 = db.query_row("SELECT count(*) FROM token_uses WHERE token = ?1 AND day = ?2", (id, day), |row| row.get(0))?;
    let first = today < ADDRESSES_OF_A_DAY
        && db.execute("INSERT OR IGNORE INTO token_uses (token, day, address) VALUES (?1, ?2, ?3)", (id, day, address))? > 0;
    if first {
        db.execute("DELETE FROM token_uses WHERE day < ?1", [day - USES_KEPT])?;
        audit::insert(db, now, &format!("token:{id}"), "token.use", &id.to_string(), &format!("first today from {address}"))?;
    }
    Ok(())
}

/// Whether an address lies in one of the networks; what is no address lies in none.
fn is_within(networks: &str, address: &str) -> bool {
    let Ok(address) = address.parse::<IpAddr>() else { return false };
    Network::list(networks).is_ok_and(|networks| networks.iter().any(|network| network.holds(address)))
}
