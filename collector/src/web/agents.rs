//! Reads what the register knows of agents beside the engine: their certificates, versions and assignments.

use std::collections::HashMap;

use rusta_wire::UnixMs;

use super::state::WebState;
use crate::day::Day;
use crate::identity::Watching;
use crate::store::StoreError;
use crate::view::{AgentRow, AssignmentRow, Limited, Time};

/// Fills in certificate, version and assignment of agents.
///
/// # Errors
/// A failing database.
pub fn complete(web: &WebState, rows: &mut [AgentRow]) -> Result<(), StoreError> {
    let ids = serde_json::Value::from(rows.iter().map(|row| row.id.as_str()).collect::<Vec<_>>()).to_string();
    let known: HashMap<String, (i64, Option<String>, Option<String>)> = web.store.read(|db| {
        let sql = "SELECT id, not_after, version, assignment FROM agents WHERE id IN (SELECT value FROM json_each(?1))";
        let mut query = db.prepare_cached(sql)?;
        let found = query.query_map([ids], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?, row.get(3)?))))?;
        Ok::<_, StoreError>(found.collect::<Result<_, _>>()?)
    })?;
    let limited = limited(web, rows)?;
    for row in rows {
        row.limited = limited.get(&row.id).cloned().unwrap_or_default();
        if let Some((not_after, version, assignment)) = known.get(&row.id) {
            row.certificate_until = Some(Time(UnixMs(*not_after)));
            row.version.clone_from(version);
            row.assignment = assignment.as_deref().and_then(Watching::read).map(AssignmentRow::from);
        }
    }
    Ok(())
}

/// Reads what each of them hit today.
fn limited(web: &WebState, rows: &[AgentRow]) -> Result<HashMap<String, Vec<Limited>>, StoreError> {
    let ids = serde_json::Value::from(rows.iter().map(|row| row.id.as_str()).collect::<Vec<_>>()).to_string();
    let today = Day::of(crate::clock::now()).0;
    let all: Vec<(String, Limited)> = web.store.read(|db| {
        let sql =
            "SELECT agent, reason, hits FROM agent_limits WHERE day = ?1 AND agent IN (SELECT value FROM json_each(?2)) ORDER BY 1, 2";
        let mut query = db.prepare_cached(sql)?;
        let found = query.query_map((today, ids), |row| {
            Ok((row.get(0)?, Limited { limit: row.get(1)?, hits: u64::try_from(row.get::<_, i64>(2)?).unwrap_or(0) }))
        })?;
        Ok::<_, StoreError>(found.collect::<Result<_, _>>()?)
    })?;
    let mut by_agent: HashMap<String, Vec<Limited>> = HashMap::new();
    for (agent, limited) in all {
        by_agent.entry(agent).or_default().push(limited);
    }
    Ok(by_agent)
}
