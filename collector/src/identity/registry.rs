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
    versions: Arc<RwLock<HashMap<AgentId, Box<str>>>>,
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
        let (agents, versions) = store.read(|tx| {
            let mut statement = tx.prepare_cached("SELECT id, site_code, revoked_at IS NOT NULL, version FROM agents")?;
            let mut rows = statement.query([])?;
            let (mut agents, mut versions) = (HashMap::new(), HashMap::new());
            while let Some(row) = rows.next()? {
                let id: String = row.get(0)?;
                let site: String = row.get(1)?;
                let standing = if row.get(2)? { Standing::Revoked } else { Standing::Speaks(site.into()) };
                let Ok(id) = id.parse::<AgentId>() else { continue };
                agents.insert(id, standing);
                versions.extend(row.get::<_, Option<Box<str>>>(3)?.map(|version| (id, version)));
            }
            Ok::<_, StoreError>((agents, versions))
        })?;
        *self.versions.write().unwrap_or_else(PoisonError::into_inner) = versions;
        *self.agents.write().unwrap_or_else(PoisonError::into_inner) = agents;
        Ok(())
    }

    /// Says what an agent may do.
    pub fn standing(&self, agent: AgentId) -> Standing {
        self.agents.read().unwrap_or_else(PoisonError::into_inner).get(&agent).cloned().unwrap_or(Standing::Unknown)
    }

    /// Keeps the version an agent's program names itself by, `rusta-agent/VERSION`; writes only when it is another than before.
    ///
    /// # Errors
    /// What the database says.
    pub fn told_version(&self, store: &Store, agent: AgentId, program: &str) -> Result<(), StoreError> {
        let Some(version) = program.strip_prefix("rusta-agent/").filter(|version| is_version(version)) else { return Ok(()) };
        if !self.is_other_version(agent, version) {
            return Ok(());
        }
        store.write(|tx| {
            tx.execute("UPDATE agents SET version = ?2 WHERE id = ?1", (agent.to_string(), version))?;
            Ok::<_, StoreError>(())
        })?;
        self.versions.write().unwrap_or_else(PoisonError::into_inner).insert(agent, version.into());
        Ok(())
    }

    fn is_other_version(&self, agent: AgentId, version: &str) -> bool {
        self.versions.read().unwrap_or_else(PoisonError::into_inner).get(&agent).is_none_or(|known| &**known != version)
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

/// Longer versions are no versions.
const LONGEST_VERSION: usize = 32;

fn is_version(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'+');
    !text.is_empty() && text.len() <= LONGEST_VERSION && text.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_kept_and_nonsense_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let agent = AgentId(0xa1);
        let sql = "INSERT INTO agents (id, site_code, key_hash, enrolled_at, not_after) VALUES (?1, 's', 'k', 0, 0)";
        store.write(|tx| Ok::<_, StoreError>(tx.execute(sql, [agent.to_string()])?)).unwrap();
        let registry = Registry::load(&store).unwrap();
        let kept = || {
            store
                .read(|tx| Ok::<_, StoreError>(tx.query_row("SELECT version FROM agents", [], |row| row.get::<_, Option<String>>(0))?))
                .unwrap()
        };
        for nonsense in ["curl/8.0", "rusta-agent/", "rusta-agent/<b>", &format!("rusta-agent/{}", "9".repeat(33))] {
            registry.told_version(&store, agent, nonsense).unwrap();
            assert_eq!(kept(), None, "{nonsense}");
        }
        registry.told_version(&store, agent, "rusta-agent/0.1.0").unwrap();
        assert_eq!(kept().as_deref(), Some("0.1.0"));
        assert!(!Registry::load(&store).unwrap().is_other_version(agent, "0.1.0"), "a restart remembers it");
    }
}
