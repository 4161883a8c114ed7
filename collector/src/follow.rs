//! Takes up what other processes change while the collector serves: revoked agents, imported inventories, a rotated
//! authority. Renews the server's own certificate too, which nobody else does.

use std::sync::Arc;
use std::time::Duration;

use rusta_wire::UnixMs;
use tokio::sync::watch;

use crate::clock;
use crate::config::Config;
use crate::identity::{Identity, SERVER_VALIDITY};
use crate::ingest;
use crate::inventory::Published;
use crate::store::Store;

/// How often the database is looked at: revocation is promised within a second.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Follows the state database.
pub struct Follower {
    /// The database.
    pub store: Store,
    /// Who may speak.
    pub identity: Identity,
    /// Where things are and what the server is called.
    pub config: Config,
    /// The registry everybody follows.
    pub registry: Published,
    /// Told when the server's certificate changes.
    pub server_configs: watch::Sender<Arc<rustls::ServerConfig>>,
}

impl Follower {
    /// Follows until it is dropped.
    pub async fn run(self) {
        let mut seen = self.store.foreign_changes().ok();
        let mut made_at = clock::now();
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let now = clock::now();
            let mut renew = now.since(made_at) >= SERVER_VALIDITY / 2;
            match self.store.foreign_changes() {
                Ok(changes) if seen.replace(changes) != Some(changes) => renew |= self.take_up(now),
                Ok(_) => {}
                Err(error) => tracing::error!(%error, "the state database cannot be watched"),
            }
            if renew {
                self.renew_certificate(now);
                made_at = now;
            }
        }
    }

    /// Reads again what may have changed; `true` if the authority did.
    fn take_up(&self, now: UnixMs) -> bool {
        if let Err(error) = self.registry.take_up() {
            tracing::error!(%error, "an imported inventory cannot be taken up");
        }
        self.identity.reload(&self.config.data_dir, now).unwrap_or_else(|error| {
            tracing::error!(%error, "changed identities cannot be taken up");
            false
        })
    }

    fn renew_certificate(&self, now: UnixMs) {
        match ingest::server_config(&self.identity.authority(), &self.config.agents.names, now) {
            Ok(made) => drop(self.server_configs.send_replace(made)),
            Err(error) => tracing::error!(%error, "the server's certificate could not be made anew"),
        }
    }
}
