//! The registry as everybody in the process follows it: one place reads what was stored and publishes it.

use std::sync::{Arc, Mutex, PoisonError};

use rusta_wire::UnixMs;
use tokio::sync::watch;

use super::model::Inventory;
use super::versions::{VersionError, Versions};
use crate::store::Store;

/// Every version of the registry with announced work and confirmed programs; clones share it.
#[derive(Clone)]
pub struct Published {
    store: Store,
    versions: watch::Sender<Arc<Versions>>,
    /// Of two who read at once, the one who read first must not publish last.
    turn: Arc<Mutex<()>>,
}

impl Published {
    /// Reads what is stored.
    ///
    /// # Errors
    /// A version that does not read, or what the database says.
    pub fn load(store: Store) -> Result<Published, VersionError> {
        let versions = watch::Sender::new(Arc::new(Versions::load(&store)?));
        Ok(Published { store, versions, turn: Arc::default() })
    }

    /// Follows it.
    pub fn follow(&self) -> watch::Receiver<Arc<Versions>> {
        self.versions.subscribe()
    }

    /// Returns what holds at a time.
    pub fn at(&self, time: UnixMs) -> Arc<Inventory> {
        self.versions.borrow().at(time)
    }

    /// Takes up what was stored since.
    ///
    /// # Errors
    /// What cannot be read; then everybody keeps what they had.
    pub fn take_up(&self) -> Result<(), VersionError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        // Taken before the sending: the borrow must be over.
        let before = Arc::clone(&self.versions.borrow());
        let read = before.reload(&self.store)?;
        self.versions.send_replace(Arc::new(read));
        Ok(())
    }
}
