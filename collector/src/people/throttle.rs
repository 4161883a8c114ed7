//! How fast passwords may be guessed: every attempt is counted before its password is looked at, and what was wrong before
//! makes the next one wait, longer each time.
//!
//! ```text
//! attempt --known device of that account?--+-- yes --> its own count
//!                                          +-- no ---> the account's count and the address' count
//! ```
//! A stranger can make other strangers to an account wait, never a device its owner has signed in from. Counting first is
//! what makes three hundred guesses at once no more than three hundred in a row.

use std::collections::HashMap;
use std::time::Duration;

use rusta_wire::UnixMs;

/// What attempts are counted by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Key {
    /// The account they are made for, known or not.
    Account(String),
    /// The address they come from; of IPv6 the /64, which is what one subscriber has.
    Address(String),
    /// A device that its owner has signed in from.
    Device(String),
}

/// How attempts slow down.
struct Pace {
    /// Attempts in a row that need not wait.
    free: u32,
    /// The first wait; each further attempt doubles it.
    first: Duration,
    /// The longest wait.
    longest: Duration,
}

/// Typing mistakes are three or four. At a quarter of an hour each, a list of the hundred commonest passwords takes a day.
const OF_AN_ACCOUNT: Pace = Pace { free: 5, first: Duration::from_secs(5), longest: Duration::from_secs(15 * 60) };

/// A whole office may sit behind one address.
const OF_AN_ADDRESS: Pace = Pace { free: 20, first: Duration::from_secs(2), longest: Duration::from_secs(5 * 60) };

/// What was wrong is forgotten after a day without an attempt.
const MEMORY: Duration = Duration::from_secs(86_400);

/// Keys remembered at once. A flood of invented names pushes out those with the fewest attempts, never grows memory.
const KEYS: usize = 10_000;

/// Counts attempts by key.
#[derive(Debug, Default)]
pub struct Throttle {
    counted: HashMap<Key, (u32, UnixMs)>,
}

impl Key {
    fn pace(&self) -> &'static Pace {
        match self {
            Key::Account(_) | Key::Device(_) => &OF_AN_ACCOUNT,
            Key::Address(_) => &OF_AN_ADDRESS,
        }
    }
}

impl Pace {
    fn wait_after(&self, count: u32) -> Duration {
        match count.checked_sub(self.free) {
            None => Duration::ZERO,
            // Past 2^16 times the first wait every pace has reached its longest.
            Some(over) => self.longest.min(self.first * 2_u32.pow(over.min(16))),
        }
    }
}

impl Throttle {
    /// Counts an attempt, or says how long it has to wait. An attempt that has to wait is not counted: who waits as long as
    /// they are told is let in.
    ///
    /// # Errors
    /// The longest wait any of the keys asks for.
    pub fn begin(&mut self, keys: &[Key], now: UnixMs) -> Result<(), Duration> {
        let wait = keys.iter().map(|key| self.wait(key, now)).max().unwrap_or_default();
        if !wait.is_zero() {
            return Err(wait);
        }
        keys.iter().for_each(|key| self.count(key, now));
        Ok(())
    }

    /// Takes a right attempt back: the account begins anew, its address has one fewer.
    pub fn was_right(&mut self, keys: &[Key]) {
        for key in keys {
            match (key, self.counted.get_mut(key)) {
                (Key::Address(_), Some((count, _))) if *count > 1 => *count -= 1,
                _ => drop(self.counted.remove(key)),
            }
        }
    }

    /// Returns how many attempts in a row were counted.
    pub fn counted(&self, key: &Key) -> u32 {
        self.counted.get(key).map_or(0, |(count, _)| *count)
    }

    fn wait(&self, key: &Key, now: UnixMs) -> Duration {
        let Some((count, last)) = self.counted.get(key) else { return Duration::ZERO };
        key.pace().wait_after(*count).saturating_sub(now.since(*last))
    }

    fn count(&mut self, key: &Key, now: UnixMs) {
        if self.counted.len() >= KEYS && !self.counted.contains_key(key) {
            self.counted.retain(|_, (_, last)| now.since(*last) < MEMORY);
            let fewest = self.counted.iter().min_by_key(|(_, (count, last))| (*count, *last)).map(|(key, _)| key.clone());
            if let Some(fewest) = fewest.filter(|_| self.counted.len() >= KEYS) {
                self.counted.remove(&fewest);
            }
        }
        let entry = self.counted.entry(key.clone()).or_insert((0, now));
        let forgotten = now.since(entry.1) >= MEMORY;
        *entry = (if forgotten { 1 } else { entry.0.saturating_add(1) }, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: UnixMs = UnixMs(1_000_000_000);

    fn account(name: &str) -> [Key; 1] {
        [Key::Account(name.to_owned())]
    }

    #[test]
    fn each_attempt_past_the_fifth_waits_twice_as_long_up_to_a_quarter_of_an_hour() {
        let (mut throttle, mut now) = (Throttle::default(), START);
        for _ in 0..5 {
            assert_eq!(throttle.begin(&account("a"), now), Ok(()));
        }
        let mut waits = Vec::new();
        for _ in 0..10 {
            let wait = throttle.begin(&account("a"), now).unwrap_err();
            assert_eq!(throttle.begin(&account("a"), now), Err(wait), "waiting does not lengthen the wait");
            waits.push(wait.as_secs());
            now = now + wait;
            assert_eq!(throttle.begin(&account("a"), now), Ok(()));
        }
        assert_eq!(waits, [5, 10, 20, 40, 80, 160, 320, 640, 900, 900]);
        assert_eq!(throttle.begin(&account("b"), now), Ok(()));
        throttle.was_right(&account("a"));
        assert_eq!(throttle.begin(&account("a"), now), Ok(()));
    }

    #[test]
    fn an_address_waits_too_and_a_right_password_frees_it_of_one_attempt_only() {
        let mut throttle = Throttle::default();
        let keys = |at: usize| [Key::Account(format!("name {at}")), Key::Address("10.0.0.9".to_owned())];
        for at in 0..20 {
            assert_eq!(throttle.begin(&keys(at), START), Ok(()));
        }
        assert!(throttle.begin(&keys(20), START).is_err(), "twenty names from one address");
        throttle.was_right(&keys(0));
        assert_eq!(throttle.begin(&keys(21), START), Ok(()));
        assert!(throttle.begin(&keys(22), START).is_err(), "an account of one's own buys no guesses at others");
    }

    #[test]
    fn invented_names_do_not_grow_memory_and_do_not_push_out_who_is_guessed_at() {
        let mut throttle = Throttle::default();
        for _ in 0..5 {
            throttle.begin(&account("boss"), START).unwrap();
        }
        for at in 0..KEYS + 50 {
            throttle.begin(&account(&at.to_string()), START).unwrap();
        }
        assert_eq!(throttle.counted.len(), KEYS);
        assert!(throttle.begin(&account("boss"), START).is_err());
    }

    #[test]
    fn a_day_without_an_attempt_is_forgotten() {
        let mut throttle = Throttle::default();
        for _ in 0..5 {
            throttle.begin(&account("a"), START).unwrap();
        }
        for _ in 0..5 {
            assert_eq!(throttle.begin(&account("a"), START + MEMORY), Ok(()));
        }
    }
}
