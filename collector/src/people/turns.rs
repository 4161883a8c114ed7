//! Whose password is looked at when: checking one takes 19 MiB and tens of milliseconds of a core on purpose, so only a few
//! are checked at once, whatever arrives.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Passwords of strangers checked at once: 38 MiB.
const STRANGERS: usize = 2;

/// Passwords of known devices checked at once. They have a turn of their own: a flood of strangers does not keep them out.
const KNOWN: usize = 1;

/// Passwords a directory is asked about at once. They take nothing here, and one that does not answer must keep nobody from an
/// account of this collector.
const AT_A_DIRECTORY: usize = 8;

/// Visitors who may wait for a turn, of either kind. Two cores check 40 passwords a second: the last waits two seconds.
const WAITING: usize = 64;

/// How long a visitor waits for a turn.
const PATIENCE: Duration = Duration::from_secs(10);

/// The turns; clones share them.
#[derive(Debug, Clone)]
pub(super) struct Turns {
    known: Queue,
    strangers: Queue,
    directory: Queue,
}

#[derive(Debug, Clone)]
struct Queue {
    places: Arc<Semaphore>,
    turns: Arc<Semaphore>,
}

/// A turn; it ends when it is dropped.
pub(super) struct Turn {
    _place: OwnedSemaphorePermit,
    _turn: OwnedSemaphorePermit,
}

impl Default for Turns {
    fn default() -> Self {
        Turns { known: Queue::of(KNOWN), strangers: Queue::of(STRANGERS), directory: Queue::of(AT_A_DIRECTORY) }
    }
}

impl Turns {
    /// Waits for a turn; `None` when too many wait already or it takes too long.
    pub(super) async fn wait(&self, known: bool) -> Option<Turn> {
        if known { &self.known } else { &self.strangers }.wait().await
    }

    /// Waits for a turn at a directory.
    pub(super) async fn wait_for_directory(&self) -> Option<Turn> {
        self.directory.wait().await
    }
}

impl Queue {
    async fn wait(&self) -> Option<Turn> {
        let place = self.places.clone().try_acquire_owned().ok()?;
        let turn = tokio::time::timeout(PATIENCE, self.turns.clone().acquire_owned()).await.ok()?.ok()?;
        Some(Turn { _place: place, _turn: turn })
    }

    fn of(turns: usize) -> Self {
        Queue { places: Arc::new(Semaphore::new(turns + WAITING)), turns: Arc::new(Semaphore::new(turns)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_directory_that_does_not_answer_keeps_nobody_from_an_account_of_this_collector() {
        let turns = Turns::default();
        let mut hanging = Vec::new();
        for _ in 0..AT_A_DIRECTORY {
            hanging.push(turns.wait_for_directory().await.unwrap());
        }
        assert!(turns.wait(false).await.is_some() && turns.wait(true).await.is_some());
    }

    #[tokio::test]
    async fn few_at_once_some_wait_and_the_rest_are_sent_away_but_known_devices_have_their_own_turn() {
        let turns = Turns::default();
        let taken = [turns.wait(false).await.unwrap(), turns.wait(false).await.unwrap()];
        let waiting: Vec<_> = (0..WAITING)
            .map(|_| {
                let turns = turns.clone();
                tokio::spawn(async move { turns.wait(false).await.is_some() })
            })
            .collect();
        while turns.strangers.places.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert!(turns.wait(false).await.is_none(), "the queue has an end");
        assert!(turns.wait(true).await.is_some(), "a known device does not stand behind strangers");
        assert!(turns.wait_for_directory().await.is_some(), "nor who is known elsewhere");
        drop(taken);
        for one in waiting {
            assert!(one.await.unwrap());
        }
    }
}
