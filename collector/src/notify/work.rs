//! What people do about an incident, from a phone as from a desk. Each operation is in its story and in the audit.

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use rusta_wire::{Rung, UnixMs};

use super::incidents::note;
use super::keep::number;
use crate::engine::incident::IncidentId;
use crate::inventory::Inventory;
use crate::store::StoreError;
use crate::store::audit::{self, Deed};

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
    if is_over(tx, id)? && matches!(operation, Operation::Acknowledge | Operation::Assign(_) | Operation::Resolve(_)) {
        return Err(WorkError::Over(id));
    }
    let (kind, text) = match operation {
        Operation::Acknowledge => {
            let sql = "UPDATE incidents SET acknowledged_at = ?2, acknowledged_by = ?3 WHERE id = ?1 AND acknowledged_at IS NULL";
            tx.execute(sql, params![number(id), now.0, user])?;
            keep_acknowledgement(tx, id, "", user, now)?;
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
    tell(tx, id, user, kind, &text, now)
}

/// Acknowledges an incident in the name of somebody bound to a region: it counts for what of the incident lies there, and the
/// rest goes on escalating. When all of it is covered, the incident is acknowledged.
///
/// # Errors
/// An unknown or ended incident, or what SQLite says.
pub fn acknowledge_within(
    tx: &Transaction<'_>,
    id: IncidentId,
    region: &str,
    user: &str,
    inventory: &Inventory,
    now: UnixMs,
) -> Result<(), WorkError> {
    if is_over(tx, id)? {
        return Err(WorkError::Over(id));
    }
    keep_acknowledgement(tx, id, region, user, now)?;
    let given: Vec<_> = acknowledgements(tx, id)?.iter().filter_map(|one| inventory.region_by_code(&one.region)).collect();
    let mut query = tx.prepare_cached("SELECT DISTINCT site_code FROM incident_members WHERE incident = ?1 AND left_at IS NULL")?;
    let sites = query.query_map([number(id)], |row| row.get(0))?.collect::<Result<Vec<String>, _>>()?;
    let is_covered = |code: &String| {
        let lies_in = inventory.site_by_code(code).map(|site| inventory.site(site).region);
        lies_in.is_some_and(|lies_in| given.iter().any(|region| inventory.is_within(lies_in, *region)))
    };
    if !sites.is_empty() && sites.iter().all(is_covered) {
        let sql = "UPDATE incidents SET acknowledged_at = ?2, acknowledged_by = ?3 WHERE id = ?1 AND acknowledged_at IS NULL";
        tx.execute(sql, params![number(id), now.0, user])?;
    }
    tell(tx, id, user, "acknowledged", region, now)
}

/// Who takes care of an incident, and for which region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledgement {
    /// Code of the region it counts for; empty for everything.
    pub region: String,
    /// Who gave it.
    pub by: String,
    /// When.
    pub at: UnixMs,
}

/// Lists the acknowledgements of an incident, the first first.
///
/// # Errors
/// What SQLite says.
pub fn acknowledgements(db: &Connection, id: IncidentId) -> Result<Vec<Acknowledgement>, StoreError> {
    let sql = "SELECT region, by_user, at FROM incident_acknowledgements WHERE incident = ?1 ORDER BY at, region";
    let mut query = db.prepare_cached(sql)?;
    let rows =
        query.query_map([number(id)], |row| Ok(Acknowledgement { region: row.get(0)?, by: row.get(1)?, at: UnixMs(row.get(2)?) }))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn is_over(tx: &Transaction<'_>, id: IncidentId) -> Result<bool, WorkError> {
    let found =
        tx.query_row("SELECT resolved_at FROM incidents WHERE id = ?1", [number(id)], |row| row.get::<_, Option<i64>>(0)).optional()?;
    Ok(found.ok_or(WorkError::Unknown(id))?.is_some())
}

/// The first acknowledgement of a region stands.
fn keep_acknowledgement(tx: &Transaction<'_>, id: IncidentId, region: &str, user: &str, now: UnixMs) -> Result<(), WorkError> {
    let sql = "INSERT OR IGNORE INTO incident_acknowledgements (incident, region, by_user, at) VALUES (?1, ?2, ?3, ?4)";
    tx.execute(sql, params![number(id), region, user, now.0])?;
    Ok(())
}

/// Writes a deed into the incident's story and the audit log.
fn tell(tx: &Transaction<'_>, id: IncidentId, user: &str, kind: &str, text: &str, now: UnixMs) -> Result<(), WorkError> {
    // A token is known by its number; no person's name holds a colon.
    let actor = if user.starts_with("token:") { user.to_owned() } else { format!("user:{user}") };
    note(tx, id, now, &actor, kind, text)?;
    let (action, subject) = (format!("incident.{kind}"), format!("incident/{id}"));
    audit::record(tx, &Deed { at: now, actor: &actor, action: &action, subject: &subject, detail: text })?;
    Ok(())
}

fn checked(text: &str) -> Result<&str, WorkError> {
    match text.trim() {
        "" => Err(WorkError::Wrong("write something".to_owned())),
        text if text.chars().count() > LONGEST_TEXT => Err(WorkError::Wrong(format!("longer than {LONGEST_TEXT} characters"))),
        text => Ok(text),
    }
}
