//! What may be told once in a while: a refused form, an export that a machine makes every minute.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusta_wire::UnixMs;

/// How long the same thing is not told again.
const EVERY: Duration = Duration::from_secs(600);

/// Things remembered at once; past it the memory begins anew, which tells something twice.
const KEPT: usize = 2_000;

/// What was told when; clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Rarely {
    told: Arc<Mutex<HashMap<String, UnixMs>>>,
}

impl Rarely {
    /// Tells whether something was not told for a while, and keeps that it now is.
    pub(super) fn is_due(&self, what: &str, now: UnixMs) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.get(what).is_some_and(|last| now.since(*last) < EVERY) {
            return false;
        }
        if told.len() >= KEPT {
            told.clear();
        }
        told.insert(what.to_owned(), now);
        true
    }
}
