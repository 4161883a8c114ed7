//! The audit log: who did what to what. Rows are added and never changed; triggers in the schema hold that.

use rusqlite::Transaction;
use rusta_wire::UnixMs;

use super::StoreError;

/// One deed.
#[derive(Debug, Clone)]
pub struct Deed<'a> {
    /// When.
    pub at: UnixMs,
    /// Who: `user:NAME`, `agent:ID`, `token:PREFIX` or `cli`.
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
pub fn record(tx: &Transaction<'_>, deed: &Deed<'_>) -> Result<(), StoreError> {
    tx.prepare_cached("INSERT INTO audit (at, actor, action, subject, detail) VALUES (?1, ?2, ?3, ?4, ?5)")?.execute((
        deed.at.0,
        deed.actor,
        deed.action,
        deed.subject,
        deed.detail,
    ))?;
    Ok(())
}
