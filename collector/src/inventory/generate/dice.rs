//! Seeded chance, the same on every machine: the generator promises the same bytes for the same seed.

/// A SplitMix64 stream (Steele, Lea, Flood 2014): 64 bits of state, integer steps only.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// Starts a stream. Different `purpose`s of one seed are independent.
    pub fn new(seed: u64, purpose: &str) -> Self {
        let mixed = purpose.bytes().fold(seed, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        Dice(mixed)
    }

    /// Returns the next 64 bits.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Returns a number below `bound`; 0 if `bound` is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        // The bias of the product method is under 2^-40 for every bound used here.
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }

    /// Returns a number from `low` to `high`, both included.
    pub fn between(&mut self, low: u32, high: u32) -> u32 {
        low + self.below((high - low + 1) as usize) as u32
    }

    /// Returns a number in `[0, 1)`.
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Returns a number around 0 with deviation 1: a sum of twelve uniforms, which needs no logarithm.
    pub fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }

    /// Picks one entry.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    /// Puts a list in random order.
    pub fn shuffle<T>(&mut self, list: &mut [T]) {
        for end in (1..list.len()).rev() {
            list.swap(end, self.below(end + 1));
        }
    }

    /// Divides `total` over `bins`, each getting at least `least`, with uneven weights.
    pub fn divide(&mut self, total: usize, bins: usize, least: usize) -> Vec<usize> {
        let weights: Vec<f64> = (0..bins).map(|_| 0.3 + self.unit() + self.unit() * self.unit() * 2.0).collect();
        let free = total.saturating_sub(bins * least);
        apportion(free, &weights).into_iter().map(|share| share + least).collect()
    }

    /// Returns `total` entries in which each value has exactly its share, in random order.
    pub fn deal<T: Copy>(&mut self, total: usize, shares: &[(T, f64)]) -> Vec<T> {
        let weights: Vec<f64> = shares.iter().map(|(_, share)| *share).collect();
        let counts = apportion(total, &weights);
        let mut cards: Vec<T> = shares.iter().zip(counts).flat_map(|((value, _), count)| std::iter::repeat_n(*value, count)).collect();
        self.shuffle(&mut cards);
        cards
    }
}

/// Divides `total` by weights so that the parts sum to it exactly (largest remainder).
pub fn apportion(total: usize, weights: &[f64]) -> Vec<usize> {
    let sum: f64 = weights.iter().sum();
    let exact: Vec<f64> = weights.iter().map(|w| total as f64 * w / sum).collect();
    let mut parts: Vec<usize> = exact.iter().map(|e| e.floor() as usize).collect();
    let mut order: Vec<usize> = (0..weights.len()).collect();
    order.sort_by(|&a, &b| (exact[b] - exact[b].floor()).total_cmp(&(exact[a] - exact[a].floor())).then(a.cmp(&b)));
    let missing = total - parts.iter().sum::<usize>();
    order.into_iter().take(missing).for_each(|at| parts[at] += 1);
    parts
}
