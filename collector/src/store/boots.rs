//! The boots of [`crate::dating`] at rest.

use rusqlite::{Row, Transaction};
use rusta_wire::{AgentId, BootId, MonoMs};

use super::StoreError;
use crate::dating::{Boot, Grade, Proof};

type Triple = (u64, i64, u32);

/// Saves boots, in the transaction that also saves the position they were learnt at.
///
/// # Errors
/// What SQLite says.
pub fn save(tx: &Transaction<'_>, boots: &[Boot]) -> Result<(), StoreError> {
    let mut insert = tx.prepare_cached("INSERT OR REPLACE INTO boots VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)")?;
    for boot in boots {
        let proofs: Vec<Triple> = boot.proofs.values().map(|proof| (proof.at.0, proof.offset_ms, proof.error_ms)).collect();
        insert.execute((
            boot.agent.0.cast_signed(),
            boot.boot.0.cast_signed(),
            boot.site_code.as_ref(),
            boot.first.0.cast_signed(),
            boot.last.0.cast_signed(),
            boot.least_offset_ms,
            boot.most_offset_ms,
            boot.grade.map(|grade| grade as i64),
            serde_json::to_string(&proofs).map_err(|error| StoreError::Refused(error.to_string()))?,
            boot.leans_on_proofs,
        ))?;
    }
    Ok(())
}

/// Reads every boot.
///
/// # Errors
/// What SQLite says.
pub fn load(tx: &Transaction<'_>) -> Result<Vec<Boot>, StoreError> {
    let mut statement = tx.prepare("SELECT * FROM boots")?;
    let boots = statement.query_map([], read)?.collect::<Result<_, _>>()?;
    Ok(boots)
}

fn read(row: &Row<'_>) -> rusqlite::Result<Boot> {
    let word = |place| row.get::<_, i64>(place).map(i64::cast_unsigned);
    let proofs: String = row.get(8)?;
    // A row whose proofs cannot be read has none: its boot is unknown until the next contact, never misdated.
    let proofs: Vec<Triple> = serde_json::from_str(&proofs).unwrap_or_default();
    let proofs = proofs.into_iter().map(|(at, offset_ms, error_ms)| Proof { at: MonoMs(at), offset_ms, error_ms });
    Ok(Boot {
        agent: AgentId(word(0)?),
        boot: BootId(word(1)?),
        site_code: row.get::<_, String>(2)?.into(),
        first: MonoMs(word(3)?),
        last: MonoMs(word(4)?),
        least_offset_ms: row.get(5)?,
        most_offset_ms: row.get(6)?,
        grade: row.get::<_, Option<i64>>(7)?.and_then(grade),
        proofs: proofs.map(|proof| (Boot::stretch(proof.at), proof)).collect(),
        leans_on_proofs: row.get(9)?,
    })
}

fn grade(number: i64) -> Option<Grade> {
    [Grade::Agreed, Grade::Live, Grade::Synchronised, Grade::Collector].into_iter().find(|grade| *grade as i64 == number)
}
