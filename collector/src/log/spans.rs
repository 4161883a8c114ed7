//! The sequence numbers of one boot that are stored, as sorted stretches `[first, end)` that do not touch.

/// A set of sequence numbers; in good times one stretch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Spans(Vec<(u64, u64)>);

/// How a stretch lies to a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lies {
    /// None of it is in the set.
    Outside,
    /// All of it is in the set.
    Inside,
    /// Some of it is.
    Across,
}

impl Spans {
    pub(super) fn lies(&self, first: u64, end: u64) -> Lies {
        let next = self.0.partition_point(|(_, e)| *e <= first);
        match self.0.get(next) {
            Some((f, e)) if *f <= first && end <= *e => Lies::Inside,
            Some((f, _)) if *f < end => Lies::Across,
            _ => Lies::Outside,
        }
    }

    /// Counts the stretches.
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// Adds a stretch.
    pub(super) fn insert(&mut self, first: u64, end: u64) {
        let from = self.0.partition_point(|(_, e)| *e < first);
        let to = self.0.partition_point(|(f, _)| *f <= end);
        let touched = &self.0[from..to.max(from)];
        let first = touched.first().map_or(first, |(f, _)| first.min(*f));
        let end = touched.last().map_or(end, |(_, e)| end.max(*e));
        self.0.splice(from..to.max(from), [(first, end)]);
    }

    /// Takes a stretch out again.
    pub(super) fn remove(&mut self, first: u64, end: u64) {
        let cut = |(f, e): (u64, u64)| [(f, e.min(first)), (f.max(end), e)];
        self.0 = self.0.iter().flat_map(|span| cut(*span)).filter(|(f, e)| f < e).collect();
    }

    /// Returns sixteen bytes a stretch, little endian.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|(f, e)| f.to_le_bytes().into_iter().chain(e.to_le_bytes())).collect()
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Self {
        let number = |eight: &[u8]| eight.iter().rev().fold(0u64, |n, byte| n << 8 | u64::from(*byte));
        Spans(bytes.chunks_exact(16).map(|pair| (number(&pair[..8]), number(&pair[8..]))).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn behaves_like_a_set_of_numbers(steps in proptest::collection::vec((any::<bool>(), 0u64..40, 1u64..8), 0..40)) {
            let (mut spans, mut set) = (Spans::default(), BTreeSet::new());
            for (add, first, length) in steps {
                let inside = (first..first + length).filter(|n| set.contains(n)).count() as u64;
                let expected = match inside { 0 => Lies::Outside, n if n == length => Lies::Inside, _ => Lies::Across };
                prop_assert_eq!(spans.lies(first, first + length), expected);
                if add {
                    spans.insert(first, first + length);
                    set.extend(first..first + length);
                } else {
                    spans.remove(first, first + length);
                    set.retain(|n| !(first..first + length).contains(n));
                }
                prop_assert!(spans.0.windows(2).all(|pair| pair[0].1 <= pair[1].0), "not sorted: {:?}", spans);
                let flat: BTreeSet<u64> = spans.0.iter().flat_map(|(f, e)| *f..*e).collect();
                prop_assert_eq!(&flat, &set);
                prop_assert_eq!(Spans::from_bytes(&spans.to_bytes()), spans.clone());
            }
        }
    }
}
