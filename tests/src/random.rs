//! Random numbers that a printed seed brings back.

use std::time::{SystemTime, UNIX_EPOCH};

/// xorshift64*: enough to wander through a test, and the same everywhere.
#[derive(Debug, Clone)]
pub struct Random {
    seed: u64,
    state: u64,
}

impl Random {
    /// Starts the sequence of a seed.
    pub fn from_seed(seed: u64) -> Random {
        Random { seed, state: seed.max(1) }
    }

    /// Starts a sequence nobody saw before, or that of `RUSTA_SEED`.
    pub fn from_clock() -> Random {
        #[allow(clippy::disallowed_methods, reason = "a seed is not a time")]
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let given = std::env::var("RUSTA_SEED").ok().and_then(|text| text.parse().ok());
        Random::from_seed(given.unwrap_or(since.as_micros() as u64))
    }

    /// Returns what the sequence started from.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Returns the next number.
    #[allow(clippy::should_implement_trait, reason = "it never ends, so it is no iterator anyone should collect")]
    pub fn next(&mut self) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Returns a number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() >> 33) as usize % bound.max(1)
    }
}
