//! What the loop learnt of boots, kept in the state database.

use std::collections::BTreeMap;

use rusqlite::{Transaction, params};
use rusta_wire::{AgentId, BootId, MonoMs, UnixMs};

use super::AdvanceError;
use crate::dating::{Boot, Grade, Proof};
use crate::store::StoreError;

/// Reads every boot.
pub(crate) fn load(tx: &Transaction<'_>) -> Result<Vec<Boot>, StoreError> {
    read(tx, "?1 = ''", "")
}

/// Reads the boots of a site's agents.
pub(crate) fn of_site(tx: &Transaction<'_>, site_code: &str) -> Result<Vec<Boot>, StoreError> {
    read(tx, "site_code = ?1", site_code)
}

fn read(tx: &Transaction<'_>, filter: &str, site_code: &str) -> Result<Vec<Boot>, StoreError> {
    let mut statement = tx.prepare_cached(&format!(
        "SELECT agent, boot, site_code, first_ms, last_ms, least_offset_ms, most_offset_ms, grade, proofs, leans_on_proofs, heard_at
         FROM boots WHERE {filter} ORDER BY agent, boot",
    ))?;
    let rows = statement.query_map([site_code], |row| {
        let mono = |ms: i64| MonoMs(u64::try_from(ms).unwrap_or(0));
        Ok(Boot {
            agent: AgentId(row.get::<_, i64>(0)?.cast_unsigned()),
            boot: BootId(row.get::<_, i64>(1)?.cast_unsigned()),
            site_code: row.get::<_, String>(2)?.into(),
            first: mono(row.get(3)?),
            last: mono(row.get(4)?),
            least_offset_ms: row.get(5)?,
            most_offset_ms: row.get(6)?,
            grade: row.get::<_, Option<u8>>(7)?.and_then(grade),
            proofs: proofs(&row.get::<_, String>(8)?),
            leans_on_proofs: row.get(9)?,
            heard_at: row.get::<_, Option<i64>>(10)?.map(UnixMs),
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Removes the boots of an agent: what is left of them is kept again.
pub(super) fn forget(tx: &Transaction<'_>, agent: AgentId) -> Result<(), AdvanceError> {
    tx.execute("DELETE FROM boots WHERE agent = ?1", [agent.0.cast_signed()])?;
    Ok(())
}

/// Keeps boots that changed.
pub(super) fn keep(tx: &Transaction<'_>, boots: &[Boot]) -> Result<(), AdvanceError> {
    let mut statement = tx.prepare_cached(
        "INSERT OR REPLACE INTO boots
         (agent, boot, site_code, first_ms, last_ms, least_offset_ms, most_offset_ms, grade, proofs, leans_on_proofs, heard_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    )?;
    for boot in boots {
        let triple = |proof: &Proof| (proof.at.0, proof.offset_ms, proof.error_ms);
        let proofs: Vec<_> = boot.proofs.values().map(triple).collect();
        statement.execute(params![
            boot.agent.0.cast_signed(),
            boot.boot.0.cast_signed(),
            boot.site_code.as_ref(),
            boot.first.0.cast_signed(),
            boot.last.0.cast_signed(),
            boot.least_offset_ms,
            boot.most_offset_ms,
            boot.grade.map(|grade| grade as u8),
            serde_json::to_string(&proofs).unwrap_or_else(|_| "[]".to_owned()),
            boot.leans_on_proofs,
            boot.heard_at.map(|at| at.0),
        ])?;
    }
    Ok(())
}

fn grade(code: u8) -> Option<Grade> {
    [Grade::Agreed, Grade::Live, Grade::Synchronised, Grade::Collector].into_iter().find(|grade| *grade as u8 == code)
}

fn proofs(json: &str) -> BTreeMap<u64, Proof> {
    let listed: Vec<(u64, i64, u32)> = serde_json::from_str(json).unwrap_or_default();
    let proof = |(at, offset_ms, error_ms)| Proof { at: MonoMs(at), offset_ms, error_ms };
    listed.into_iter().map(proof).map(|proof| (Boot::stretch(proof.at), proof)).collect()
}
