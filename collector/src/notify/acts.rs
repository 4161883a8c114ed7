//! Applies what people did about incidents: each act once, in the order of the journal.

use rusqlite::{Transaction, params};

use super::desk::Desk;
use super::incidents::note;
use super::keep::number;
use crate::engine::incident::Incidents;
use crate::journal::{Act, Entry};
use crate::store::StoreError;
use crate::store::audit::{self, Deed};

/// Applies an act to what is judged next.
pub(super) fn apply(entry: &Entry, incidents: &mut Incidents, desk: &mut Desk) {
    match &entry.act {
        Act::Acknowledge => desk.acknowledge(entry.incident, &entry.actor, entry.at, incidents),
        Act::Resolve(_) => incidents.resolve_by_hand(entry.incident, entry.at),
        Act::Assign(_) | Act::Note(_) | Act::Cause(_) | Act::Visited(_) => {}
    }
}

/// Keeps an act with the incident, in its story and in the audit.
///
/// # Errors
/// What SQLite says.
pub(super) fn keep(tx: &Transaction<'_>, entry: &Entry) -> Result<(), StoreError> {
    let id = number(entry.incident);
    let text = entry.act.text();
    match &entry.act {
        Act::Assign(to) => drop(tx.execute("UPDATE incidents SET assignee = ?2 WHERE id = ?1", params![id, to])?),
        Act::Cause(code) => drop(tx.execute("UPDATE incidents SET cause_override = ?2 WHERE id = ?1", params![id, code])?),
        Act::Visited(_) => drop(tx.execute("UPDATE incidents SET visited_at = ?2 WHERE id = ?1", params![id, entry.at.0])?),
        Act::Acknowledge | Act::Note(_) | Act::Resolve(_) => {}
    }
    let (actor, kind) = (entry.actor.named(), entry.act.kind());
    let told = match (&entry.act, &entry.actor.region) {
        (Act::Acknowledge, Some(region)) => region.as_str(),
        _ => text,
    };
    note(tx, entry.incident, entry.at, &actor, kind, told)?;
    let subject = format!("incident/{}", entry.incident);
    audit::record(tx, &Deed { at: entry.at, actor: &actor, action: &format!("incident.{kind}"), subject: &subject, detail: told })
}
