//! The audit log: who did what to whom, when. Append-only; the schema refuses anything else.

use rusta_wire::UnixMs;

use super::PeopleError;
use crate::store::Store;

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
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
}

pub(super) fn write(store: &Store, at: UnixMs, actor: &str, action: &str, subject: &str, detail: &str) -> Result<(), PeopleError> {
    store.write(|db| {
        insert(db, at, actor, action, subject, detail)?;
        Ok(())
    })
}

/// Writes an entry in the transaction that does what it tells of.
pub(super) fn insert(
    db: &rusqlite::Connection,
    at: UnixMs,
    actor: &str,
    action: &str,
    subject: &str,
    detail: &str,
) -> Result<usize, rusqlite::Error> {
    let short = |text: &str| text.chars().take(200).collect::<String>();
    let values = (at.0, short(actor), action, short(subject), short(detail));
    db.execute("INSERT INTO audit (at, actor, action, subject, detail) VALUES (?1, ?2, ?3, ?4, ?5)", values)
}

pub(super) fn newest(store: &Store, limit: usize) -> Result<Vec<AuditEntry>, PeopleError> {
    store.read(|db| {
        let mut query = db.prepare_cached("SELECT at, actor, action, subject, detail FROM audit ORDER BY id DESC LIMIT ?1")?;
        let rows = query.query_map([i64::try_from(limit).unwrap_or(i64::MAX)], |row| {
            let (at, actor, action, subject, detail) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?);
            Ok(AuditEntry { at: UnixMs(at), actor, action, subject, detail })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    })
}
