//! Reads incidents from the state database, as far as somebody sees.

use std::collections::HashSet;

use rusqlite::Connection;

use super::state::WebState;
use crate::engine::Snapshot;
use crate::engine::incident::IncidentId;
use crate::notify::{self, Standing};
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
    /// Who takes care of it, for which of the regions somebody sees.
    pub acknowledged: Vec<Standing>,
}

/// Which incidents, in an order that holds still while some of them end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The open ones, newest first.
    Open,
    /// Open and over, newest first.
    Newest,
    /// The open ones, newest first; then those that are over, newest first.
    OpenFirst,
}

/// The last row of the page before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct After {
    /// Its number.
    pub id: u64,
    /// Whether it stood among those that are over.
    pub over: bool,
}

/// Lists at most `most` incidents that touch what somebody sees. What ends between two pages may be met again, never
/// missed.
///
/// # Errors
/// A failing database.
pub fn list(
    web: &WebState,
    snapshot: &Snapshot,
    sight: Sight,
    order: Order,
    after: Option<After>,
    most: usize,
) -> Result<Vec<IncidentRow>, StoreError> {
    let id = after.map(|after| after.id);
    let runs = match (order, after.is_some_and(|after| after.over)) {
        (Order::Open, _) => vec![(Some(true), id)],
        (Order::Newest, _) => vec![(None, id)],
        (Order::OpenFirst, true) => vec![(Some(false), id)],
        (Order::OpenFirst, false) => vec![(Some(true), id), (Some(false), None)],
    };
    web.store.read(|db| {
        let mut visible = Vec::new();
        for (open, mut before) in runs {
            while visible.len() < most {
                let rows = notify::incidents(db, open, before, AT_ONCE)?;
                let Some(last) = rows.last() else { break };
                before = Some(last.id);
                for row in rows {
                    if visible.len() < most && (sight == Sight::Everything || touches(db, snapshot, sight, row.id)?) {
                        visible.push(IncidentRow::from(row));
                    }
                }
            }
        }
        Ok(visible)
    })
}

/// Lists every open incident that touches what somebody sees, the largest first.
///
/// # Errors
/// A failing database.
pub fn largest_open(web: &WebState, snapshot: &Snapshot, sight: Sight) -> Result<Vec<IncidentRow>, StoreError> {
    let mut rows = list(web, snapshot, sight, Order::Open, None, usize::MAX)?;
    rows.sort_by_key(IncidentRow::rank);
    Ok(rows)
}

/// Incidents read at a time, before those out of sight are left out.
const AT_ONCE: u32 = 100;

/// Reads one incident; `None` if there is none, or it touches nothing somebody sees.
///
/// # Errors
/// A failing database.
pub fn one(web: &WebState, snapshot: &Snapshot, sight: Sight, id: u64) -> Result<Option<IncidentDetail>, StoreError> {
    let id = IncidentId(id);
    let (found, mut acknowledged) = web.store.read(|db| Ok::<_, StoreError>((notify::incident(db, id)?, notify::standing(db, id)?)))?;
    let Some((row, affected, lines, calls)) = found else { return Ok(None) };
    let inventory = &snapshot.inventory;
    let is_seen = |code: &str| code.is_empty() || inventory.region_by_code(code).is_some_and(|region| sight.sees_region(inventory, region));
    acknowledged.retain(|one| is_seen(&one.region));
    let affected = affected_rows(snapshot, sight, &affected);
    if sight != Sight::Everything && affected.is_empty() {
        return Ok(None);
    }
    let calls = calls.into_iter().map(|call| (call.recipient, call.state, call.note)).collect();
    Ok(Some(IncidentDetail { row: row.into(), affected, story: story(sight, lines), calls, acknowledged }))
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

/// Lists what was decided about a site outside of incidents, oldest first.
///
/// # Errors
/// A failing database.
pub fn decided_of_site(web: &WebState, code: &str) -> Result<Vec<StoryLine>, StoreError> {
    let lines = web.store.read(|db| notify::decided_of_site(db, code))?;
    Ok(story(Sight::Everything, lines))
}

fn touches(db: &Connection, snapshot: &Snapshot, sight: Sight, id: u64) -> Result<bool, StoreError> {
    let mut query = db.prepare_cached("SELECT DISTINCT site_code FROM incident_members WHERE incident = ?1")?;
    let codes: HashSet<String> = query.query_map([i64::try_from(id).unwrap_or(i64::MAX)], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let inventory = &snapshot.inventory;
    Ok(codes.iter().filter_map(|code| inventory.site_by_code(code)).any(|site| sight.sees_site(inventory, site)))
}
