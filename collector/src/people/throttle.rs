//! The login rate limit: so many wrong attempts per name and per address, then a pause.

use std::collections::HashMap;
use std::time::Duration;

use rusta_wire::UnixMs;

/// Wrong attempts before a pause.
const ATTEMPTS: u32 = 5;

/// How long wrong attempts are remembered, and how long the pause lasts.
const MEMORY: Duration = Duration::from_secs(15 * 60);

/// Keys remembered at once. A flood of invented names pushes out the oldest, never grows memory.
const KEYS: usize = 10_000;

/// Counts wrong attempts by key.
#[derive(Debug, Default)]
pub struct Throttle {
    wrong: HashMap<String, (u32, UnixMs)>,
}

impl Throttle {
    /// Tells whether a key has to wait.
    pub fn is_held(&self, key: &str, now: UnixMs) -> bool {
        self.wrong.get(key).is_some_and(|(count, last)| *count >= ATTEMPTS && now.since(*last) < MEMORY)
    }

    /// Counts a wrong attempt.
    pub fn count(&mut self, key: &str, now: UnixMs) {
        if self.wrong.len() >= KEYS && !self.wrong.contains_key(key) {
            self.wrong.retain(|_, (_, last)| now.since(*last) < MEMORY);
            if let Some(oldest) = self.oldest().filter(|_| self.wrong.len() >= KEYS) {
                self.wrong.remove(&oldest);
            }
        }
        let entry = self.wrong.entry(key.to_owned()).or_insert((0, now));
        let fresh = now.since(entry.1) >= MEMORY;
        *entry = (if fresh { 1 } else { entry.0 + 1 }, now);
    }

    /// Forgets a key after a right attempt.
    pub fn forget(&mut self, key: &str) {
        self.wrong.remove(key);
    }

    fn oldest(&self) -> Option<String> {
        self.wrong.iter().min_by_key(|(_, (_, last))| *last).map(|(key, _)| key.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_wrong_attempts_pause_for_a_quarter_of_an_hour() {
        let mut throttle = Throttle::default();
        let start = UnixMs(1_000_000);
        for _ in 0..5 {
            assert!(!throttle.is_held("a", start));
            throttle.count("a", start);
        }
        assert!(throttle.is_held("a", start));
        assert!(!throttle.is_held("b", start));
        assert!(!throttle.is_held("a", start + MEMORY));
        throttle.forget("a");
        assert!(!throttle.is_held("a", start));
    }

    #[test]
    fn invented_names_do_not_grow_memory() {
        let mut throttle = Throttle::default();
        for at in 0..KEYS + 50 {
            throttle.count(&at.to_string(), UnixMs(i64::try_from(at).unwrap()));
        }
        assert_eq!(throttle.wrong.len(), KEYS);
    }
}
