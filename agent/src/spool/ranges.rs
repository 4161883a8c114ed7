//! A set of sequence numbers kept as ranges: batches come and go in order, so there are few.

/// Sorted, disjoint, not touching: `(first, end)`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Ranges(Vec<(u64, u64)>);

impl Ranges {
    pub(super) fn insert(&mut self, first: u64, length: u64) {
        let end = first.saturating_add(length);
        let from = self.0.partition_point(|(_, e)| *e < first);
        let to = self.0.partition_point(|(f, _)| *f <= end);
        if from == to {
            self.0.insert(from, (first, end));
            return;
        }
        let joined = (self.0[from].0.min(first), self.0[to - 1].1.max(end));
        self.0.splice(from..to, [joined]);
    }

    pub(super) fn contains(&self, sequence: u64) -> bool {
        let place = self.0.partition_point(|(_, end)| *end <= sequence);
        self.0.get(place).is_some_and(|(first, _)| *first <= sequence)
    }

    /// Returns the number after the last one, 0 if there is none.
    pub(super) fn end(&self) -> u64 {
        self.0.last().map_or(0, |(_, end)| *end)
    }

    /// Returns `first, length, first, length, ...`, as marks carry them.
    pub(super) fn flat(&self) -> Vec<u64> {
        self.0.iter().flat_map(|(first, end)| [*first, end - first]).collect()
    }

    /// Adds what [`Ranges::flat`] gave.
    pub(super) fn extend_flat(&mut self, flat: &[u64]) {
        for pair in flat.chunks_exact(2) {
            self.insert(pair[0], pair[1]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ranges_hold_what_was_put_in(inserts in proptest::collection::vec((0u64..60, 1u64..6), 0..20)) {
            let mut ranges = Ranges::default();
            let mut plain = std::collections::BTreeSet::new();
            for (first, length) in inserts {
                ranges.insert(first, length);
                plain.extend(first..first + length);
            }
            for n in 0..70 { prop_assert_eq!(ranges.contains(n), plain.contains(&n)); }
            prop_assert!(ranges.0.windows(2).all(|w| w[0].1 < w[1].0));
            let mut back = Ranges::default();
            back.extend_flat(&ranges.flat());
            prop_assert_eq!(back, ranges);
        }
    }
}
