//! Counts the calls of a window from what notify keeps: `alert_load`.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, params};
use rusta_wire::Rung;

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
