//! Random wounds from a small generator that gives the same numbers everywhere.

/// xorshift64*: enough to wander through inputs, and reproducible.
pub struct Random(u64);

/// Bytes at which parsers turn.
const TELLING: [u8; 16] = [0, 1, 0x7f, 0x80, 0xff, 0xfe, b'\n', b'"', b':', b'{', b'[', b',', b'-', b'0', b'&', b'*'];

impl Random {
    /// Starts a sequence.
    pub fn from_seed(seed: u64) -> Random {
        Random(seed.max(1))
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap() % bound.max(1)
    }

    /// Returns one of the seeds with one to eight wounds.
    pub fn wounded(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = seeds[self.below(seeds.len())].clone();
        for _ in 0..=self.below(8) {
            self.wound(&mut bytes, seeds);
        }
        bytes
    }

    fn wound(&mut self, bytes: &mut Vec<u8>, seeds: &[Vec<u8>]) {
        let at = self.below(bytes.len() + 1);
        let length = self.below(16).min(bytes.len() - at);
        match self.below(7) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..at + length)),
            2 => {
                let piece = bytes[at..at + length].to_vec();
                bytes.splice(at..at, piece);
            }
            3 => {
                let other = &seeds[self.below(seeds.len())];
                let from = self.below(other.len() + 1);
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
            4 => bytes.insert(at, TELLING[self.below(TELLING.len())]),
            5 if at < bytes.len() => bytes[at] = TELLING[self.below(TELLING.len())],
            _ if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
            _ => {}
        }
    }
}
