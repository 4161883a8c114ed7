//! Reads what notify keeps of a window: the calls it made, and which links its incidents held.

use std::collections::{BTreeMap, HashMap};

use rusqlite::{Connection, OptionalExtension, params};
use rusta_wire::{Rung, UnixMs};

use super::facts::AlertLoad;
use super::parts::{UNATTRIBUTED, responsible};
use crate::persian::Window;
use crate::store::StoreError;

/// A call is acknowledged quickly within this.
const QUICK_MS: i64 = 15 * 60_000;

/// Reads the load by who has to mend what was called about; `None` if nobody ever looked for alerts.
///
/// One call about one cause at one time counts once, however many people it woke. It was worth it if somebody was
/// assigned, went there, or named the cause.
///
/// # Errors
/// What the database says.
pub(super) fn load(db: &Connection, window: Window) -> Result<Option<BTreeMap<String, AlertLoad>>, StoreError> {
    let looked: Option<i64> = db.query_row("SELECT 1 FROM notify_memory WHERE name = 'looked_at'", [], |row| row.get(0)).optional()?;
    if looked.is_none() {
        return Ok(None);
    }
    let mut loads = BTreeMap::<String, AlertLoad>::new();
    let mut statement = db.prepare_cached(
        "SELECT c.calls, c.first, i.acknowledged_at, i.assignee IS NOT NULL OR i.visited_at IS NOT NULL OR i.cause_override IS NOT NULL,
                coalesce(i.cause_override, json_extract(i.causes, '$[0].code'))
         FROM (SELECT case_key, count(DISTINCT created_at) calls, min(created_at) first FROM outbox
               WHERE created_at >= ?1 AND created_at < ?2 AND json_extract(letter, '$.severity') = 'page'
                 AND json_extract(letter, '$.kind') IN ('fire', 'escalate', 'summary') GROUP BY case_key) c
         LEFT JOIN incidents i ON c.case_key = 'incident/' || i.id ORDER BY c.case_key",
    )?;
    let mut rows = statement.query(params![window.from.0, window.until.0])?;
    while let Some(row) = rows.next()? {
        let (calls, first): (u32, i64) = (row.get(0)?, row.get(1)?);
        let (acknowledged, acted): (Option<i64>, Option<bool>) = (row.get(2)?, row.get(3)?);
        let code: Option<String> = row.get(4)?;
        let rung = code.and_then(|code| Rung::ALL.iter().copied().find(|rung| rung.cause_code() == code));
        let load = loads.entry(responsible(rung, "")).or_default();
        load.pages += u64::from(calls);
        load.quick += u64::from(acknowledged.is_some_and(|at| at - first <= QUICK_MS));
        load.actionable += u64::from(acted == Some(true));
    }
    let dropped = "SELECT count(*) FROM decisions WHERE at >= ?1 AND at < ?2 AND stage = 'root_cause' AND verdict = 'drop'";
    let dropped: u32 = db.query_row(dropped, params![window.from.0, window.until.0], |row| row.get(0))?;
    loads.entry(UNATTRIBUTED.to_owned()).or_default().suppressed = u64::from(dropped);
    Ok(Some(loads))
}

/// A stretch in which an incident held a link.
#[derive(Debug, Clone, Copy)]
pub(super) struct Held {
    /// When the link's trouble began, and when the incident let it go.
    during: (UnixMs, Option<UnixMs>),
    /// When the incident took it: from then on somebody could know.
    pub(super) detected_at: UnixMs,
    /// When somebody acknowledged the incident.
    pub(super) acknowledged_at: Option<UnixMs>,
}

/// Which links incidents held, by site and link name.
pub(super) type HeldLinks = HashMap<(String, String), Vec<Held>>;

/// Members of incidents in a window, found by their end: a few of all there ever were.
const HELD: &str = "SELECT m.site_code, m.link_name, m.since, m.left_at, m.attached_at, coalesce(i.acknowledged_at, into_.acknowledged_at)
     FROM incident_members m JOIN incidents i ON i.id = m.incident LEFT JOIN incidents into_ ON into_.id = i.merged_into
     WHERE m.since < ?2 AND coalesce(m.left_at, 9223372036854775807) > ?1 ORDER BY m.attached_at, m.incident";

/// What notify knew of a window, in four figures.
const STAMP: &str = "SELECT count(*),
        coalesce(sum(coalesce(acknowledged_at, 0) + coalesce(visited_at, 0) + coalesce(merged_into, 0) + (assignee IS NOT NULL)), 0),
        (SELECT count(*) + coalesce(sum(attached_at), 0) FROM incident_members
         WHERE since < ?2 AND coalesce(left_at, 9223372036854775807) > ?1),
        group_concat(id || cause_override)
     FROM incidents WHERE started_at < ?2 AND (resolved_at IS NULL OR resolved_at > ?1)";

/// Reads which links incidents held in a window; of a link in the order they took it.
///
/// # Errors
/// What the database says.
pub(super) fn held_links(db: &Connection, window: Window) -> Result<HeldLinks, StoreError> {
    let mut statement = db.prepare_cached(HELD)?;
    let mut rows = statement.query(params![window.from.0, window.until.0])?;
    let mut held = HeldLinks::new();
    while let Some(row) = rows.next()? {
        let link = (row.get(0)?, row.get(1)?);
        let during = (UnixMs(row.get(2)?), row.get::<_, Option<i64>>(3)?.map(UnixMs));
        let (detected_at, acknowledged_at) = (UnixMs(row.get(4)?), row.get::<_, Option<i64>>(5)?.map(UnixMs));
        held.entry(link).or_default().push(Held { during, detected_at, acknowledged_at });
    }
    Ok(held)
}

/// What notify knew of a window: equal as long as nobody did anything about its incidents since.
pub(super) type Stamp = (i64, i64, i64, Option<String>);

/// Reads a window's stamp: incidents, what people did about them, and the links they held.
///
/// # Errors
/// What the database says.
pub(super) fn stamp(db: &Connection, window: Window) -> Result<Stamp, StoreError> {
    let mut statement = db.prepare_cached(STAMP)?;
    let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
    Ok(statement.query_row(params![window.from.0, window.until.0], row)?)
}

impl Held {
    /// Tells whether it was about an outage: both at one time.
    pub(super) fn is_about(&self, started_at: UnixMs, ended_at: Option<UnixMs>) -> bool {
        let (since, left_at) = self.during;
        ended_at.is_none_or(|ended| since < ended) && left_at.is_none_or(|left| left > started_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    /// Read whole, the members of years cost every report and every look at a kept month.
    #[test]
    fn what_incidents_held_is_found_by_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        for sql in [HELD, STAMP] {
            let plan = store.read(|db| {
                let mut plan = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
                let steps = plan.query_map([1, 2], |row| row.get(3))?.collect::<Result<Vec<String>, _>>()?;
                Ok::<_, StoreError>(steps)
            });
            let plan = plan.unwrap();
            let by_end = |step: &String| step.starts_with("SEARCH") && step.contains("incident_members_by_end");
            assert!(plan.iter().any(by_end), "{plan:?}");
        }
    }
}
