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

    /// Starts the sequence of one purpose of a seed; the purposes of a seed do not depend on each other.
    pub fn of(seed: u64, purpose: &str) -> Random {
        let mixed =
            purpose.bytes().fold(seed ^ 0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        let mut random = Random::from_seed(mixed);
        // Seeds that lie close together part only after some steps.
        for _ in 0..4 {
            random.next();
        }
        random
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

    /// Tells whether a die of `sides` sides showed its first.
    pub fn one_in(&mut self, sides: usize) -> bool {
        self.below(sides) == 0
    }

    /// Returns a number in `(0, 1]`.
    pub fn unit(&mut self) -> f64 {
        ((self.next() >> 11) + 1) as f64 / (1u64 << 53) as f64
    }

    /// Returns a number around 0 with deviation 1 (Box and Muller, 1958).
    pub fn normal(&mut self) -> f64 {
        (-2.0 * self.unit().ln()).sqrt() * (std::f64::consts::TAU * self.unit()).cos()
    }
}
