//! The audit log: who did what to what. Rows are added, chained and never changed; triggers in the schema hold that, and
//! `chain` shows it. This is the only place that writes one.
//!
//! Kept for five years, and at most a million rows (about 300 MB): past either the oldest go, and a row says so.

mod start;

use std::time::Duration;

use rusqlite::Connection;
use rusta_wire::UnixMs;

pub use self::start::{started, stopped};
use super::StoreError;
use super::chain;
pub use super::chain::{Head, HeadFile, Verdict, verify};

/// How long a row is kept.
const KEPT: Duration = Duration::from_secs(5 * 366 * 86_400);

/// Rows kept at most.
const MOST_ROWS: i64 = 1_000_000;

/// So many rows pass between two looks at what is too old.
const LOOK_EVERY: i64 = 1_000;

/// Characters of a text kept: what somebody typed may be any length.
const LONGEST: usize = 500;

/// One deed.
#[derive(Debug, Clone)]
pub struct Deed<'a> {
    /// When.
    pub at: UnixMs,
    /// Who: `user:NAME`, `agent:ID`, `token:ID`, `cli` or `anonymous`.
    pub actor: &'a str,
    /// What, dotted: `agent.revoke`.
    pub action: &'a str,
    /// To what.
    pub subject: &'a str,
    /// More about it; never a secret.
    pub detail: &'a str,
}

/// Adds a deed to the audit log, in the same transaction as the deed itself.
///
/// # Errors
/// What SQLite says.
pub fn record(db: &Connection, deed: &Deed<'_>) -> Result<(), StoreError> {
    let id = add(db, deed)?;
    if id % LOOK_EVERY == 0 {
        let of_age = "SELECT coalesce(max(id), 0) FROM audit WHERE at < ?1 AND id < ?2";
        let too_old: i64 = db.query_row(of_age, ((deed.at - KEPT).0, id), |row| row.get(0))?;
        if let Some(last) = chain::shorten(db, too_old.max(id - MOST_ROWS))? {
            let told = Deed {
                at: deed.at,
                actor: "collector",
                action: chain::SHORTEN,
                subject: "rows of more than five years",
                detail: &last.to_string(),
            };
            add(db, &told)?;
        }
    }
    Ok(())
}

fn add(db: &Connection, deed: &Deed<'_>) -> Result<i64, StoreError> {
    let short = |text: &str| text.chars().take(LONGEST).collect::<String>();
    let (actor, subject, detail) = (short(deed.actor), short(deed.subject), short(deed.detail));
    let deed = Deed { actor: &actor, subject: &subject, detail: &detail, ..deed.clone() };
    let sql = "INSERT INTO audit (at, actor, action, subject, detail) VALUES (?1, ?2, ?3, ?4, ?5) RETURNING id";
    let values = (deed.at.0, deed.actor, deed.action, deed.subject, deed.detail);
    let id: i64 = db.prepare_cached(sql)?.query_row(values, |row| row.get(0))?;
    chain::link(db, id, &deed)?;
    Ok(id)
}

#[cfg(test)]
mod tests;
