//! Series tables shared by content: thousands of villages measured under one profile need one table in memory.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use rusta_wire::{AgentId, DecodeError, SeriesTable, TableId};
use sha2::{Digest, Sha256};

/// Tables remembered for each agent: what it measures now, what its backlog was measured under, and a few more.
const TABLES_PER_AGENT: usize = 8;

/// Series of tables remembered for each agent, but for the newest one: a table of a stranger may be a megabyte.
const SERIES_PER_AGENT: usize = 8_192;

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
    /// Whether any of its series says that it is about another site.
    pub speaks_of_others: bool,
}

impl Names {
    fn read(encoded: &[u8], digest: [u8; 32]) -> Result<Self, DecodeError> {
        let table = Arc::new(SeriesTable::decode(encoded)?);
        let speaks_of_others = table.series.iter().any(|series| !series.towards.is_empty());
        // Named by the bytes it came in, as its agent names it: written again, fields of a later version would be missing.
        Ok(Names { id: TableId::of(encoded), digest, encoded: encoded.to_vec(), table, speaks_of_others })
    }
}

/// The tables in use.
#[derive(Default)]
pub(super) struct Cache {
    /// A table nobody uses is gone: a thousand that a stranger made up would be a gigabyte.
    by_content: Mutex<HashMap<[u8; 32], Weak<Names>>>,
    by_agent: Mutex<HashMap<AgentId, VecDeque<Arc<Names>>>>,
}

impl Cache {
    /// Decodes a table, or finds the equal one already decoded.
    pub(super) fn intern(&self, encoded: &[u8]) -> Result<Arc<Names>, DecodeError> {
        let digest: [u8; 32] = Sha256::digest(encoded).into();
        if let Some(known) = lock(&self.by_content).get(&digest).and_then(Weak::upgrade) {
            return Ok(known);
        }
        let names = Arc::new(Names::read(encoded, digest)?);
        let mut by_content = lock(&self.by_content);
        if by_content.len().is_power_of_two() {
            by_content.retain(|_, names| names.strong_count() > 0);
        }
        match by_content.get(&digest).and_then(Weak::upgrade) {
            Some(known) => Ok(known),
            None => {
                by_content.insert(digest, Arc::downgrade(&names));
                Ok(names)
            }
        }
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
        let series = |used: &VecDeque<Arc<Names>>| used.iter().map(|names| names.table.series.len()).sum::<usize>();
        while used.len() > TABLES_PER_AGENT || used.len() > 1 && series(used) > SERIES_PER_AGENT {
            used.pop_front();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
