//! What strangers try: counted, and told to the audit log as a sum. A flood of guesses is a row every ten minutes.

use std::collections::HashMap;

use rusta_wire::UnixMs;

/// How often the sum is told.
const TELL_MS: i64 = 600_000;

/// Tokens told apart; there are no more of them that anybody ever made than this at a time.
const TOKENS: usize = 64;

/// Attempts that were refused, by what they showed.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    of: HashMap<String, Sum>,
}

#[derive(Debug, Default)]
struct Sum {
    attempts: u64,
    told_at: Option<UnixMs>,
}

impl Refusals {
    /// Counts an attempt; returns how many there were since the last time, when it is time to tell. The first is told at once.
    pub(super) fn count(&mut self, subject: &str, now: UnixMs) -> Option<u64> {
        if self.of.len() >= TOKENS && !self.of.contains_key(subject) {
            self.of.retain(|_, sum| sum.attempts > 0);
        }
        let subject = if self.of.len() >= TOKENS && !self.of.contains_key(subject) { "token" } else { subject };
        let sum = self.of.entry(subject.to_owned()).or_default();
        sum.attempts += 1;
        if sum.told_at.is_some_and(|told| now.0 - told.0 < TELL_MS) {
            return None;
        }
        sum.told_at = Some(now);
        Some(std::mem::take(&mut sum.attempts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_guesses_is_a_row_every_ten_minutes() {
        let mut refusals = Refusals::default();
        let told: Vec<_> = (0..3_000).filter_map(|n| refusals.count("token", UnixMs(n * 1_000))).collect();
        assert_eq!(told, [1, 600, 600, 600, 600]);
    }

    #[test]
    fn memory_is_bounded_whatever_is_shown() {
        let mut refusals = Refusals::default();
        for n in 0..10_000 {
            refusals.count(&format!("token:{n}"), UnixMs(0));
        }
        assert!(refusals.of.len() <= TOKENS + 1);
    }
}
