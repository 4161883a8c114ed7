//! Who may speak: the collector's own authority, one-time tokens, agents and their certificates, revocation.
//!
//! ```text
//! agents token --site CODE --> token (once shown, hash kept) --> technician
//! agent: key pair, CSR + token --enroll--> certificate (common name = agent id), authority bundle
//!        CSR over mTLS         --renew---> certificate
//! agents approve ID         --> a second agent of a site may speak
//! agents revoke ID          --> refused from the next request on; with --since, what it said from then on counts nowhere
//! ```
//! The certificate says which agent speaks; the database says for which site, with which key, and whether it still may. Every
//! decision is in the audit log; what strangers try is counted there, not listed.

mod authority;
pub mod command;
mod enrolment;
pub mod invitations {
    //! What enrols devices, as people hand it on.
    pub mod command;
}
mod records;
mod refusals;
mod registry;
mod watching;

use std::fmt::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use rusta_wire::{AgentId, UnixMs};
use sha2::{Digest, Sha256};

pub use authority::Authority;
pub(crate) use authority::SERVER_VALIDITY;
pub use enrolment::{Enrolled, Revocation, RevokedAgent, approve, make_token, revoke};
pub use records::{AgentRecord, records};
pub use registry::{Registry, Standing};
pub use watching::{ASSIGNMENT_HEADER, Watching};

use crate::store::{Store, StoreError};
use refusals::Refusals;

/// Why an identity was not given, or not accepted.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The token is unknown, expired, or was used for another key. Which of them is told to nobody but the audit log.
    #[error("the token is not valid")]
    Token,
    /// The certificate request cannot be read, or its signature does not match its key.
    #[error("the certificate request is not valid: {0}")]
    Request(String),
    /// The agent is not enrolled, was revoked, or waits.
    #[error("agent {0} may not speak")]
    NotAllowed(String),
    /// A certificate could not be made or read.
    #[error("certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// TLS refused what it was given.
    #[error("tls")]
    Tls(#[from] rustls::Error),
    /// A file of the authority cannot be read or written.
    #[error("{path}")]
    Io {
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The database refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for IdentityError {
    fn from(error: rusqlite::Error) -> Self {
        IdentityError::Store(error.into())
    }
}

/// The authority and the registry together; clones share them.
#[derive(Clone)]
pub struct Identity {
    store: Store,
    authority: Arc<RwLock<Arc<Authority>>>,
    registry: Registry,
    validity: Duration,
    refusals: Arc<Mutex<Refusals>>,
}

impl Identity {
    /// Opens the authority in a data directory, making one if there is none, and reads who may speak.
    ///
    /// # Errors
    /// An authority that is damaged: making another would lock every agent out, so that is left to a person.
    pub fn open(data_dir: &Path, store: Store, validity: Duration, now: UnixMs) -> Result<Identity, IdentityError> {
        let authority = Authority::open(&authority::dir_in(data_dir), now)?;
        let registry = Registry::load(&store)?;
        Ok(Identity { store, authority: Arc::new(RwLock::new(Arc::new(authority))), registry, validity, refusals: Arc::default() })
    }

    /// Returns the authority in use.
    pub fn authority(&self) -> Arc<Authority> {
        self.authority.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns who may speak.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Says what an agent may do that shows a key, the SHA-256 of its public key. The first use of the key that was given last
    /// ends the one before it.
    pub fn standing(&self, agent: AgentId, key_hash: &str) -> Standing {
        let (standing, is_first_use) = self.registry.standing_with(agent, key_hash);
        if is_first_use && matches!(standing, Standing::Speaks(_)) {
            self.registry.promote(agent);
            let (store, key) = (self.store.clone(), key_hash.to_owned());
            // A write that is lost leaves both keys valid after a restart, until the next use.
            std::thread::spawn(move || {
                let sql =
                    "UPDATE agents SET key_hash = next_key_hash, next_key_hash = NULL, key_known = 1 WHERE id = ?1 AND next_key_hash = ?2";
                let written = store.write(|tx| Ok::<_, StoreError>(tx.execute(sql, (agent.to_string(), &key))?));
                if let Err(error) = written {
                    tracing::warn!(%error, %agent, "the first use of a key is not kept");
                }
            });
        }
        standing
    }

    /// Keeps the version an agent's program names itself by.
    ///
    /// # Errors
    /// What the database says.
    pub fn told_version(&self, agent: AgentId, program: &str) -> Result<(), StoreError> {
        self.registry.told_version(&self.store, agent, program)
    }

    /// Keeps what an agent says of its assignments.
    ///
    /// # Errors
    /// What the database says.
    pub fn told_assignment(&self, agent: AgentId, said: &str) -> Result<(), StoreError> {
        self.registry.told_assignment(&self.store, agent, said)
    }

    /// Reads the authority and the registry again, after another process changed them; `true` if the authority changed.
    ///
    /// # Errors
    /// What cannot be read; the old ones stay in use.
    pub fn reload(&self, data_dir: &Path, now: UnixMs) -> Result<bool, IdentityError> {
        self.registry.reload(&self.store)?;
        let read = Authority::open(&authority::dir_in(data_dir), now)?;
        let mut held = self.authority.write().unwrap_or_else(PoisonError::into_inner);
        let changed = held.bundle_pem() != read.bundle_pem();
        *held = Arc::new(read);
        Ok(changed)
    }
}

/// Draws random bytes from the provider TLS itself uses.
fn random<const N: usize>() -> Result<[u8; N], IdentityError> {
    let mut bytes = [0; N];
    let provider = rustls::crypto::ring::default_provider();
    provider.secure_random.fill(&mut bytes).map_err(|_| IdentityError::Request("the system gives no randomness".into()))?;
    Ok(bytes)
}

/// Returns the SHA-256 of something as hexadecimal digits.
pub(crate) fn hash_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a string cannot fail.
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}
