//! Reads what the register knows of agents beside the engine: their certificates and versions.

use std::collections::HashMap;

use rusta_wire::UnixMs;

use super::state::WebState;
use crate::store::StoreError;
use crate::view::{AgentRow, Time};

/// Fills in certificate and version of agents.
///
/// # Errors
/// A failing database.
pub fn complete(web: &WebState, rows: &mut [AgentRow]) -> Result<(), StoreError> {
    let ids = serde_json::Value::from(rows.iter().map(|row| row.id.as_str()).collect::<Vec<_>>()).to_string();
    let known: HashMap<String, (i64, Option<String>)> = web.store.read(|db| {
        let sql = "SELECT id, not_after, version FROM agents WHERE id IN (SELECT value FROM json_each(?1))";
        let mut query = db.prepare_cached(sql)?;
        let found = query.query_map([ids], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?))))?;
        Ok::<_, StoreError>(found.collect::<Result<_, _>>()?)
    })?;
    for row in rows {
        if let Some((not_after, version)) = known.get(&row.id) {
            row.certificate_until = Some(Time(UnixMs(*not_after)));
            row.version.clone_from(version);
        }
    }
    Ok(())
}
