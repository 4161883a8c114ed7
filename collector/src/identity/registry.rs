//! Who may speak for which site, in memory: asked on every request, so that a revocation holds from the next one on.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use rusta_wire::AgentId;

use super::Watching;
use crate::store::{Store, StoreError};

/// What an agent may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Speak for a site.
    Speaks(Arc<str>),
    /// Nothing yet: it is the second one of its site, and an administrator has not agreed.
    Waits,
    /// Nothing with this key: it has used a later one.
    Superseded,
    /// Nothing, any more.
    Revoked,
    /// Nothing: it was never enrolled here.
    Unknown,
}

/// What is known of one agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) site: Arc<str>,
    pub(super) is_revoked: bool,
    pub(super) is_approved: bool,
    /// SHA-256 of the public key in use; empty while nobody knows which one it is.
    pub(super) key_hash: Box<str>,
    /// The key of a certificate that was given and not yet used.
    pub(super) next_key_hash: Option<Box<str>>,
}

/// What an agent last said of itself; `None`: nothing yet.
#[derive(Debug, Clone, Default)]
struct Told {
    version: Option<Box<str>>,
    assignment: Option<Box<str>>,
}

/// Every enrolled agent; clones share it.
#[derive(Clone, Default)]
pub struct Registry {
    agents: Arc<RwLock<HashMap<AgentId, Known>>>,
    told: Arc<RwLock<HashMap<AgentId, Told>>>,
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
        let (agents, told) = store.read(|tx| {
            let mut statement = tx.prepare_cached(
                "SELECT id, site_code, revoked_at IS NOT NULL, version, approved, iif(key_known, key_hash, ''), next_key_hash, assignment FROM agents",
            )?;
            let mut rows = statement.query([])?;
            let (mut agents, mut told) = (HashMap::new(), HashMap::new());
            while let Some(row) = rows.next()? {
                let id: String = row.get(0)?;
                let site: String = row.get(1)?;
                let known = Known {
                    site: site.into(),
                    is_revoked: row.get(2)?,
                    is_approved: row.get(4)?,
                    key_hash: row.get::<_, String>(5)?.into(),
                    next_key_hash: row.get::<_, Option<Box<str>>>(6)?,
                };
                let Ok(id) = id.parse::<AgentId>() else { continue };
                agents.insert(id, known);
                told.insert(id, Told { version: row.get(3)?, assignment: row.get(7)? });
            }
            Ok::<_, StoreError>((agents, told))
        })?;
        *self.told.write().unwrap_or_else(PoisonError::into_inner) = told;
        *self.agents.write().unwrap_or_else(PoisonError::into_inner) = agents;
        Ok(())
    }

    /// Says what an agent may do, whichever of its keys it shows.
    pub fn standing(&self, agent: AgentId) -> Standing {
        self.read().get(&agent).map_or(Standing::Unknown, Known::standing)
    }

    /// Says what an agent may do that shows a key, and whether this is the first use of the key that was given last: from then on
    /// the one before it no longer holds. An answer that was lost on its way costs nothing so: the agent goes on with the old one.
    pub(super) fn standing_with(&self, agent: AgentId, key_hash: &str) -> (Standing, bool) {
        let agents = self.read();
        let Some(known) = agents.get(&agent) else { return (Standing::Unknown, false) };
        let is_next = known.next_key_hash.as_deref() == Some(key_hash);
        match known.standing() {
            Standing::Speaks(_) if !is_next && !known.key_hash.is_empty() && *known.key_hash != *key_hash => (Standing::Superseded, false),
            standing => (standing, is_next),
        }
    }

    /// Takes the key that was given last as the only one.
    pub(super) fn promote(&self, agent: AgentId) {
        if let Some(known) = self.agents.write().unwrap_or_else(PoisonError::into_inner).get_mut(&agent)
            && let Some(next) = known.next_key_hash.take()
        {
            known.key_hash = next;
        }
    }

    /// Notes the key of a certificate that was given.
    pub(super) fn given(&self, agent: AgentId, key_hash: &str) {
        if let Some(known) = self.agents.write().unwrap_or_else(PoisonError::into_inner).get_mut(&agent) {
            known.next_key_hash = (*known.key_hash != *key_hash).then(|| key_hash.into());
        }
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, HashMap<AgentId, Known>> {
        self.agents.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the version an agent's program names itself by, `rusta-agent/VERSION`; writes only when it is another than before.
    ///
    /// # Errors
    /// What the database says.
    pub fn told_version(&self, store: &Store, agent: AgentId, program: &str) -> Result<(), StoreError> {
        let Some(version) = program.strip_prefix("rusta-agent/").filter(|version| is_version(version)) else { return Ok(()) };
        self.keep(store, agent, version, "UPDATE agents SET version = ?2 WHERE id = ?1", |told| &mut told.version)
    }

    /// Keeps what an agent says of its assignments; writes only when it is another thing than before.
    ///
    /// # Errors
    /// What the database says.
    pub fn told_assignment(&self, store: &Store, agent: AgentId, said: &str) -> Result<(), StoreError> {
        if Watching::read(said).is_none() {
            return Ok(());
        }
        self.keep(store, agent, said, "UPDATE agents SET assignment = ?2 WHERE id = ?1", |told| &mut told.assignment)
    }

    fn keep(
        &self,
        store: &Store,
        agent: AgentId,
        said: &str,
        sql: &str,
        place: impl Fn(&mut Told) -> &mut Option<Box<str>>,
    ) -> Result<(), StoreError> {
        let mut known = self.told.read().unwrap_or_else(PoisonError::into_inner).get(&agent).cloned().unwrap_or_default();
        if place(&mut known).as_deref() == Some(said) {
            return Ok(());
        }
        store.write(|tx| Ok::<_, StoreError>(tx.execute(sql, (agent.to_string(), said))?))?;
        *place(self.told.write().unwrap_or_else(PoisonError::into_inner).entry(agent).or_default()) = Some(said.into());
        Ok(())
    }

    /// Counts the agents that may speak.
    pub fn speaking(&self) -> usize {
        self.read().values().filter(|known| matches!(known.standing(), Standing::Speaks(_))).count()
    }

    pub(super) fn set(&self, agent: AgentId, known: Known) {
        self.agents.write().unwrap_or_else(PoisonError::into_inner).insert(agent, known);
    }
}

impl Known {
    fn standing(&self) -> Standing {
        match self {
            Known { is_revoked: true, .. } => Standing::Revoked,
            Known { is_approved: false, .. } => Standing::Waits,
            known => Standing::Speaks(known.site.clone()),
        }
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
    fn what_an_agent_says_of_itself_is_kept_and_nonsense_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let agent = AgentId(0xa1);
        let sql = "INSERT INTO agents (id, site_code, key_hash, enrolled_at, not_after) VALUES (?1, 's', 'k', 0, 0)";
        store.write(|tx| Ok::<_, StoreError>(tx.execute(sql, [agent.to_string()])?)).unwrap();
        let registry = Registry::load(&store).unwrap();
        let kept = |column: &str| {
            let sql = format!("SELECT {column} FROM agents");
            store.read(|tx| Ok::<_, StoreError>(tx.query_row(&sql, [], |row| row.get::<_, Option<String>>(0))?)).unwrap()
        };
        for nonsense in ["curl/8.0", "rusta-agent/", "rusta-agent/<b>", &format!("rusta-agent/{}", "9".repeat(33))] {
            registry.told_version(&store, agent, nonsense).unwrap();
            assert_eq!(kept("version"), None, "{nonsense}");
        }
        registry.told_version(&store, agent, "rusta-agent/0.1.0").unwrap();
        registry.told_assignment(&store, agent, "in=1").unwrap();
        assert_eq!((kept("version").as_deref(), kept("assignment")), (Some("0.1.0"), None));
        registry.told_assignment(&store, agent, "in=0000000000000001").unwrap();
        assert_eq!(kept("assignment").as_deref(), Some("in=0000000000000001"));
        // A restart remembers it: nothing is written when it is said again.
        let registry = Registry::load(&store).unwrap();
        store.write(|tx| Ok::<_, StoreError>(tx.execute("UPDATE agents SET version = 'x', assignment = 'y'", [])?)).unwrap();
        registry.told_version(&store, agent, "rusta-agent/0.1.0").unwrap();
        registry.told_assignment(&store, agent, "in=0000000000000001").unwrap();
        assert_eq!((kept("version").as_deref(), kept("assignment").as_deref()), (Some("x"), Some("y")));
        registry.told_assignment(&store, agent, "").unwrap();
        assert_eq!(kept("assignment").as_deref(), Some(""));
    }
}
