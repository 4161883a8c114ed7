//! Series tables shared by content: thousands of villages measured under one profile need one table in memory.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusta_wire::{AgentId, DecodeError, SeriesTable, TableId};
use sha2::{Digest, Sha256};

/// Tables remembered for each agent: what it measures now, what its backlog was measured under, and a few more.
const TABLES_PER_AGENT: usize = 8;

/// Distinct tables kept that no agent is remembered to use.
const UNUSED_TABLES: usize = 1_024;

/// A series table with what identifies it.
#[derive(Debug, PartialEq, Eq)]
pub struct Names {
    /// What batches call it.
    pub id: TableId,
    /// SHA-256 of the encoded table. The id defends against nothing, so content is compared by this.
    pub(super) digest: [u8; 32],
    /// The encoded table.
    pub(super) encoded: Vec<u8>,
    /// The table.
    pub table: Arc<SeriesTable>,
}

impl Names {
    fn read(encoded: &[u8], digest: [u8; 32]) -> Result<Self, DecodeError> {
        let table = Arc::new(SeriesTable::decode(encoded)?);
        // Named by the bytes it came in, as its agent names it: written again, fields of a later version would be missing.
        Ok(Names { id: TableId::of(encoded), digest, encoded: encoded.to_vec(), table })
    }
}

/// The tables in use.
#[derive(Default)]
pub(super) struct Cache {
    by_content: Mutex<HashMap<[u8; 32], Arc<Names>>>,
    by_agent: Mutex<HashMap<AgentId, VecDeque<Arc<Names>>>>,
}

impl Cache {
    /// Decodes a table, or finds the equal one already decoded.
    pub(super) fn intern(&self, encoded: &[u8]) -> Result<Arc<Names>, DecodeError> {
        let digest: [u8; 32] = Sha256::digest(encoded).into();
        if let Some(known) = lock(&self.by_content).get(&digest) {
            return Ok(known.clone());
        }
        let names = Arc::new(Names::read(encoded, digest)?);
        let mut by_content = lock(&self.by_content);
        if by_content.len() > UNUSED_TABLES && by_content.len().is_power_of_two() {
            by_content.retain(|_, names| Arc::strong_count(names) > 1);
        }
        Ok(by_content.entry(digest).or_insert(names).clone())
    }

    /// Finds a table an agent used.
    pub(super) fn of_agent(&self, agent: AgentId, table: TableId) -> Option<Arc<Names>> {
        lock(&self.by_agent).get(&agent)?.iter().find(|names| names.id == table).cloned()
    }

    /// Remembers that an agent uses a table.
    pub(super) fn remember(&self, agent: AgentId, names: &Arc<Names>) {
        let mut by_agent = lock(&self.by_agent);
        let used = by_agent.entry(agent).or_default();
        if used.iter().any(|known| known.id == names.id) {
            return;
        }
        used.push_back(names.clone());
        if used.len() > TABLES_PER_AGENT {
            used.pop_front();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
