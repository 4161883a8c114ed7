//! What was read, kept for the minute it was read in: as long as the facts of figures are, so no page is older than the API.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use rusta_wire::UnixMs;

/// Answers of one minute; more are read again rather than kept.
const MOST: usize = 512;

/// Answers to questions about the past, by question.
pub struct Kept<K, V> {
    of_minute: Mutex<(i64, HashMap<K, Arc<V>>)>,
}

impl<K, V> Default for Kept<K, V> {
    fn default() -> Self {
        Kept { of_minute: Mutex::new((0, HashMap::new())) }
    }
}

impl<K: Eq + Hash, V> Kept<K, V> {
    /// Returns the answer of this minute, reading it if nobody asked yet.
    ///
    /// # Errors
    /// What `read` returns; then nothing is kept.
    pub fn get<E>(&self, now: UnixMs, key: K, read: impl FnOnce() -> Result<V, E>) -> Result<Arc<V>, E> {
        let minute = now.seconds().div_euclid(60);
        let known = {
            let held = self.of_minute.lock().unwrap_or_else(PoisonError::into_inner);
            if held.0 == minute { held.1.get(&key).cloned() } else { None }
        };
        if let Some(known) = known {
            return Ok(known);
        }
        let value = Arc::new(read()?);
        let mut held = self.of_minute.lock().unwrap_or_else(PoisonError::into_inner);
        if held.0 != minute || held.1.len() >= MOST {
            *held = (minute, HashMap::new());
        }
        held.1.insert(key, Arc::clone(&value));
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_once_a_minute_and_a_failure_is_not_kept() {
        let kept = Kept::<&str, i32>::default();
        let (first, later) = (UnixMs(120_000), UnixMs(180_000));
        assert_eq!(kept.get(first, "a", || Err("no")), Err("no"));
        assert_eq!(*kept.get(first, "a", || Ok::<_, ()>(1)).unwrap(), 1);
        assert_eq!(*kept.get(UnixMs(179_999), "a", || Ok::<_, ()>(2)).unwrap(), 1);
        assert_eq!(*kept.get(first, "b", || Ok::<_, ()>(3)).unwrap(), 3);
        assert_eq!(*kept.get(later, "a", || Ok::<_, ()>(4)).unwrap(), 4);
    }
}
