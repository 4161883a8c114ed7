//! The agents as an administrator looks for them.

use rusta_wire::UnixMs;

use crate::store::{Store, StoreError};

/// An agent in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentRecord {
    /// Its id.
    pub agent: String,
    /// Code of the site it speaks for.
    pub site: String,
    /// When it enrolled.
    pub enrolled_at: UnixMs,
    /// Until when its certificate is valid.
    pub certificate_until: UnixMs,
    /// Since when it is refused.
    pub revoked_at: Option<UnixMs>,
    /// Why, as whoever revoked it wrote.
    pub reason: String,
    /// Nothing it said from then on counts.
    pub disowned_since: Option<UnixMs>,
    /// Whether it is the second one of its site and waits for approval.
    pub waits: bool,
}

/// Lists agents whose id or site contains a text: those that wait for somebody first, then the newest.
///
/// # Errors
/// What the database says.
pub fn records(store: &Store, wanted: &str, limit: usize) -> Result<Vec<AgentRecord>, StoreError> {
    store.read(|tx| {
        let sql =
            "SELECT id, site_code, enrolled_at, not_after, revoked_at, revoke_reason, disowned_since, NOT approved AND revoked_at IS NULL
                   FROM agents WHERE instr(lower(id), lower(?1)) OR instr(lower(site_code), lower(?1))
                   ORDER BY 8 DESC, enrolled_at DESC, id LIMIT ?2";
        let mut statement = tx.prepare_cached(sql)?;
        let rows = statement.query_map((wanted.trim(), i64::try_from(limit).unwrap_or(i64::MAX)), |row| {
            Ok(AgentRecord {
                agent: row.get(0)?,
                site: row.get(1)?,
                enrolled_at: UnixMs(row.get(2)?),
                certificate_until: UnixMs(row.get(3)?),
                revoked_at: row.get::<_, Option<i64>>(4)?.map(UnixMs),
                reason: row.get(5)?,
                disowned_since: row.get::<_, Option<i64>>(6)?.map(UnixMs),
                waits: row.get(7)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    })
}
