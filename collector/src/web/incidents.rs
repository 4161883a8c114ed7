//! Reads incidents from the state database, as far as somebody sees.

use std::collections::HashSet;

use rusqlite::Connection;

use super::state::WebState;
use crate::engine::Snapshot;
use crate::engine::incident::IncidentId;
use crate::notify;
use crate::store::StoreError;
use crate::view::{AffectedRow, IncidentRow, Sight, StoryLine, affected_rows, story};

/// One incident with everything about it.
pub struct IncidentDetail {
    /// What a list shows of it.
    pub row: IncidentRow,
    /// Its links, those still in trouble first.
    pub affected: Vec<AffectedRow>,
    /// What happened and what people did, oldest first.
    pub story: Vec<StoryLine>,
    /// Calls: recipient, state, note.
    pub calls: Vec<(String, String, String)>,
}

/// Lists incidents that touch what somebody sees, open ones first, newest first.
///
/// # Errors
/// A failing database.
pub fn list(
    web: &WebState,
    snapshot: &Snapshot,
    sight: Sight,
    only_open: bool,
    before: Option<u64>,
    most: u32,
) -> Result<Vec<IncidentRow>, StoreError> {
    web.store.read(|db| {
        let rows = notify::incidents(db, only_open, before, most)?;
        let mut visible = Vec::new();
        for row in rows {
            if sight == Sight::Everything || touches(db, snapshot, sight, row.id)? {
                visible.push(IncidentRow::from(row));
            }
        }
        Ok(visible)
    })
}

/// Lists at most `most` incidents that touch what somebody sees, newest first, older than `before` if given.
///
/// # Errors
/// A failing database.
pub fn newest(
    web: &WebState,
    snapshot: &Snapshot,
    sight: Sight,
    only_open: bool,
    mut before: Option<u64>,
    most: usize,
) -> Result<Vec<IncidentRow>, StoreError> {
    web.store.read(|db| {
        let mut visible = Vec::new();
        loop {
            let rows = notify::newest_incidents(db, only_open, before, AT_ONCE)?;
            before = rows.last().map(|row| row.id);
            let is_last = rows.len() < AT_ONCE as usize;
            for row in rows {
                if sight == Sight::Everything || touches(db, snapshot, sight, row.id)? {
                    visible.push(IncidentRow::from(row));
                }
                if visible.len() == most {
                    return Ok(visible);
                }
            }
            if is_last {
                return Ok(visible);
            }
        }
    })
}

/// Incidents read at a time, before those out of sight are left out.
const AT_ONCE: u32 = 500;

/// Reads one incident; `None` if there is none, or it touches nothing somebody sees.
///
/// # Errors
/// A failing database.
pub fn one(web: &WebState, snapshot: &Snapshot, sight: Sight, id: u64) -> Result<Option<IncidentDetail>, StoreError> {
    let found = web.store.read(|db| notify::incident(db, IncidentId(id)))?;
    let Some((row, affected, lines, calls)) = found else { return Ok(None) };
    let affected = affected_rows(snapshot, sight, &affected);
    if sight != Sight::Everything && affected.is_empty() {
        return Ok(None);
    }
    let calls = calls.into_iter().map(|call| (call.recipient, call.state, call.note)).collect();
    Ok(Some(IncidentDetail { row: row.into(), affected, story: story(sight, lines), calls }))
}

/// Returns the numbers of the incidents a site is or was part of, newest first.
///
/// # Errors
/// A failing database.
pub fn of_site(web: &WebState, code: &str, most: usize) -> Result<Vec<IncidentRow>, StoreError> {
    web.store.read(|db| {
        let mut query =
            db.prepare_cached("SELECT DISTINCT incident FROM incident_members WHERE site_code = ?1 ORDER BY incident DESC LIMIT ?2")?;
        let ids: Vec<i64> =
            query.query_map((code, i64::try_from(most).unwrap_or(i64::MAX)), |row| row.get(0))?.collect::<Result<_, _>>()?;
        let mut rows = Vec::new();
        for id in ids {
            if let Some((row, ..)) = notify::incident(db, IncidentId(id.unsigned_abs()))? {
                rows.push(IncidentRow::from(row));
            }
        }
        Ok(rows)
    })
}

fn touches(db: &Connection, snapshot: &Snapshot, sight: Sight, id: u64) -> Result<bool, StoreError> {
    let mut query = db.prepare_cached("SELECT DISTINCT site_code FROM incident_members WHERE incident = ?1")?;
    let codes: HashSet<String> = query.query_map([i64::try_from(id).unwrap_or(i64::MAX)], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let inventory = &snapshot.inventory;
    Ok(codes.iter().filter_map(|code| inventory.site_by_code(code)).any(|site| sight.sees_site(inventory, site)))
}
