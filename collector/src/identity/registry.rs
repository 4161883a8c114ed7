//! Who may speak for which site, in memory: asked on every request, so that a revocation holds from the next one on.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use rusta_wire::AgentId;

use crate::store::{Store, StoreError};

/// What an agent may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Speak for a site.
    Speaks(Arc<str>),
    /// Nothing, any more.
    Revoked,
    /// Nothing: it was never enrolled here.
    Unknown,
}

/// Every enrolled agent; clones share it.
#[derive(Clone, Default)]
pub struct Registry {
    agents: Arc<RwLock<HashMap<AgentId, Standing>>>,
}

impl Registry {
    /// Reads the registry.
    ///
    /// # Errors
    /// What the database says.
    pub fn load(store: &Store) -> Result<Registry, StoreError> {
        let registry = Registry::default();
        registry.reload(store)?;
        Ok(registry)
    }

    /// Reads the registry again.
    ///
    /// # Errors
    /// What the database says; the old one stays.
    pub fn reload(&self, store: &Store) -> Result<(), StoreError> {
        let agents = store.read(|tx| {
            let mut statement = tx.prepare_cached("SELECT id, site_code, revoked_at IS NOT NULL FROM agents")?;
            let mut rows = statement.query([])?;
            let mut agents = HashMap::new();
            while let Some(row) = rows.next()? {
                let id: String = row.get(0)?;
                let site: String = row.get(1)?;
                let standing = if row.get(2)? { Standing::Revoked } else { Standing::Speaks(site.into()) };
                agents.extend(id.parse().ok().map(|id: AgentId| (id, standing)));
            }
            Ok::<_, StoreError>(agents)
        })?;
        *self.agents.write().unwrap_or_else(PoisonError::into_inner) = agents;
        Ok(())
    }

    /// Says what an agent may do.
    pub fn standing(&self, agent: AgentId) -> Standing {
        self.agents.read().unwrap_or_else(PoisonError::into_inner).get(&agent).cloned().unwrap_or(Standing::Unknown)
    }

    /// Counts the agents that may speak.
    pub fn speaking(&self) -> usize {
        let agents = self.agents.read().unwrap_or_else(PoisonError::into_inner);
        agents.values().filter(|standing| matches!(standing, Standing::Speaks(_))).count()
    }

    pub(super) fn set(&self, agent: AgentId, standing: Standing) {
        self.agents.write().unwrap_or_else(PoisonError::into_inner).insert(agent, standing);
    }
}
