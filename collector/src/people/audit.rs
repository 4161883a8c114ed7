//! The audit log as people ask for it: who did what, since when, in which region.

pub mod command;

use std::collections::HashSet;

use rusta_wire::UnixMs;

use super::PeopleError;
use crate::store::Store;
use crate::store::audit::{self, Deed};

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// Its number in the chain.
    pub id: i64,
    /// When.
    pub at: UnixMs,
    /// Who: `user:NAME`, `token:ID`, `agent:ID`, `cli` or `anonymous`.
    pub actor: String,
    /// What, dotted, such as `user.add`.
    pub action: String,
    /// To what.
    pub subject: String,
    /// Anything worth knowing beside; never a secret.
    pub detail: String,
    /// The row's link in the chain.
    pub hash: String,
}

/// Which entries.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// Part of who.
    pub who: String,
    /// How what begins, such as `user.`.
    pub what: String,
    /// From when on.
    pub since: Option<UnixMs>,
    /// Until when.
    pub until: Option<UnixMs>,
    /// Only those older than this entry.
    pub before: Option<i64>,
    /// Only those about these codes, or by people bound to them.
    pub codes: Option<HashSet<String>>,
}

/// Entries looked at for one page: a filter that matches almost nothing costs no more than this.
const MOST_LOOKED_AT: usize = 200_000;

pub(super) fn write(store: &Store, at: UnixMs, actor: &str, action: &str, subject: &str, detail: &str) -> Result<(), PeopleError> {
    store.write(|db| insert(db, at, actor, action, subject, detail))
}

/// Writes an entry in the transaction that does what it tells of.
pub(super) fn insert(
    db: &rusqlite::Connection,
    at: UnixMs,
    actor: &str,
    action: &str,
    subject: &str,
    detail: &str,
) -> Result<(), PeopleError> {
    Ok(audit::record(db, &Deed { at, actor, action, subject, detail })?)
}

/// Lists entries, the newest first.
pub(super) fn list(store: &Store, filter: &AuditFilter, limit: usize) -> Result<Vec<AuditEntry>, PeopleError> {
    let mut found = Vec::new();
    let bound = bound_to(store, filter.codes.as_ref())?;
    let mut looked_at = 0;
    each(store, filter, "DESC", |entry| {
        looked_at += 1;
        if is_about(&entry, filter.codes.as_ref(), &bound) {
            found.push(entry);
        }
        Ok(found.len() < limit && looked_at < MOST_LOOKED_AT)
    })?;
    Ok(found)
}

/// Hands every entry to `take`, in the order of the chain or against it, until it wants no more.
fn each(
    store: &Store,
    filter: &AuditFilter,
    order: &str,
    mut take: impl FnMut(AuditEntry) -> Result<bool, PeopleError>,
) -> Result<(), PeopleError> {
    store.read(|db| {
        let sql = format!(
            "SELECT a.id, a.at, a.actor, a.action, a.subject, a.detail, coalesce(c.hash, '') FROM audit a LEFT JOIN audit_chain c ON c.id = a.id
             WHERE instr(a.actor, ?1) > 0 AND substr(a.action, 1, length(?2)) = ?2 AND a.at >= ?3 AND a.at < ?4 AND a.id < ?5 ORDER BY a.id {order}"
        );
        let mut query = db.prepare_cached(&sql)?;
        let (since, until) = (filter.since.map_or(i64::MIN, |at| at.0), filter.until.map_or(i64::MAX, |at| at.0));
        let mut rows = query.query((&filter.who, &filter.what, since, until, filter.before.unwrap_or(i64::MAX)))?;
        while let Some(row) = rows.next()? {
            let (at, actor, action, subject, detail) = (UnixMs(row.get(1)?), row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?);
            if !take(AuditEntry { id: row.get(0)?, at, actor, action, subject, detail, hash: row.get(6)? })? {
                break;
            }
        }
        Ok(())
    })
}

/// Names the people bound to one of the codes, as the audit log calls them.
fn bound_to(store: &Store, codes: Option<&HashSet<String>>) -> Result<HashSet<String>, PeopleError> {
    let Some(codes) = codes else { return Ok(HashSet::new()) };
    let users = super::users::list(store)?.into_iter();
    Ok(users
        .filter(|user| user.region.as_ref().is_some_and(|region| codes.contains(region)))
        .map(|user| format!("user:{}", user.name))
        .collect())
}

fn is_about(entry: &AuditEntry, codes: Option<&HashSet<String>>, bound: &HashSet<String>) -> bool {
    let Some(codes) = codes else { return true };
    let mut words = entry.subject.split(['/', ' ']).chain(entry.detail.split([' ', ',', '/']));
    bound.contains(&entry.actor) || words.any(|word| codes.contains(word))
}
