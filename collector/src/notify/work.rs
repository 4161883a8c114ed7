//! What people do about an incident, from a phone as from a desk. Each operation is in its story and in the audit.

use rusqlite::{OptionalExtension, Transaction, params};
use rusta_wire::{Rung, UnixMs};

use super::incidents::note;
use super::keep::number;
use crate::engine::incident::IncidentId;
use crate::store::StoreError;

/// A note longer than this is a document.
const LONGEST_TEXT: usize = 4000;

/// One thing a person does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Takes care of it: escalation ends.
    Acknowledge,
    /// Gives it to somebody.
    Assign(String),
    /// Writes something down.
    Note(String),
    /// Says what the cause was, by code such as `PWR`.
    Cause(String),
    /// Was on site, with what was found.
    Visited(String),
    /// Ends it by hand; it opens again if the trouble is still measured.
    Resolve(String),
}

/// Why an operation was refused.
#[derive(Debug, thiserror::Error)]
pub enum WorkError {
    /// There is no such incident.
    #[error("there is no incident {0}")]
    Unknown(IncidentId),
    /// It is over.
    #[error("incident {0} is over")]
    Over(IncidentId),
    /// What was typed makes no sense.
    #[error("{0}")]
    Wrong(String),
    /// The state database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The state database.
    #[error("state database")]
    Sqlite(#[from] rusqlite::Error),
}

/// Does one operation in the name of `user`. The notifier sees it at its next look.
///
/// # Errors
/// An unknown or ended incident, a text that is empty or too long, an unknown cause code, or what SQLite says.
pub fn apply(tx: &Transaction<'_>, id: IncidentId, operation: &Operation, user: &str, now: UnixMs) -> Result<(), WorkError> {
    let found =
        tx.query_row("SELECT resolved_at FROM incidents WHERE id = ?1", [number(id)], |row| row.get::<_, Option<i64>>(0)).optional()?;
    let over = found.ok_or(WorkError::Unknown(id))?.is_some();
    if over && matches!(operation, Operation::Acknowledge | Operation::Assign(_) | Operation::Resolve(_)) {
        return Err(WorkError::Over(id));
    }
    let (kind, text) = match operation {
        Operation::Acknowledge => {
            let sql = "UPDATE incidents SET acknowledged_at = ?2, acknowledged_by = ?3 WHERE id = ?1 AND acknowledged_at IS NULL";
            tx.execute(sql, params![number(id), now.0, user])?;
            ("acknowledged", String::new())
        }
        Operation::Assign(to) => {
            tx.execute("UPDATE incidents SET assignee = ?2 WHERE id = ?1", params![number(id), checked(to)?])?;
            ("assigned", to.clone())
        }
        Operation::Note(text) => ("note", checked(text)?.to_owned()),
        Operation::Cause(code) => {
            let rung = Rung::ALL.iter().find(|rung| rung.cause_code() == code);
            let known = || Rung::ALL.iter().map(|rung| rung.cause_code()).collect::<Vec<_>>().join(", ");
            let rung = rung.ok_or_else(|| WorkError::Wrong(format!("`{code}` is none of {}", known())))?;
            tx.execute("UPDATE incidents SET cause_override = ?2 WHERE id = ?1", params![number(id), rung.cause_code()])?;
            ("cause", code.clone())
        }
        Operation::Visited(text) => {
            tx.execute("UPDATE incidents SET visited_at = ?2 WHERE id = ?1", params![number(id), now.0])?;
            ("visited", text.clone())
        }
        Operation::Resolve(why) => {
            tx.execute(
                "INSERT OR REPLACE INTO notify_memory (name, value) VALUES (?1, ?2)",
                params![format!("resolve/{id}"), checked(why)?],
            )?;
            ("resolved_by_hand", why.clone())
        }
    };
    let actor = format!("user:{user}");
    note(tx, id, now, &actor, kind, &text)?;
    let sql = "INSERT INTO audit (at, actor, action, subject, detail) VALUES (?1, ?2, ?3, ?4, ?5)";
    tx.execute(sql, params![now.0, actor, format!("incident.{kind}"), format!("incident/{id}"), text])?;
    Ok(())
}

fn checked(text: &str) -> Result<&str, WorkError> {
    match text.trim() {
        "" => Err(WorkError::Wrong("write something".to_owned())),
        text if text.chars().count() > LONGEST_TEXT => Err(WorkError::Wrong(format!("longer than {LONGEST_TEXT} characters"))),
        text => Ok(text),
    }
}
