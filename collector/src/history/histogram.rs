//! Mergeable histograms with fixed logarithmic buckets: percentiles of a month come from the sum of its days, never from
//! an average of percentiles.
//!
//! A bucket is a sign, a power of two, and one of 16 equal parts of it, so a value is off by at most 1/16 of itself.
//! Values below 32 in size, such as loss in permille, decibels over a floor, or codes, are exact.

use std::cmp::Ordering;

/// Parts of a power of two.
const PARTS: u64 = 16;

/// Counts by bucket.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Histogram {
    /// Ascending; a month of a province is merged from a million of these, and most hold a few dozen buckets.
    buckets: Vec<(i32, u64)>,
}

impl Histogram {
    /// Counts one value.
    pub fn add(&mut self, value: i64) {
        self.add_many(value, 1);
    }

    /// Counts a value so many times.
    pub fn add_many(&mut self, value: i64, times: u64) {
        let bucket = bucket(value);
        match self.buckets.binary_search_by_key(&bucket, |(known, _)| *known) {
            Ok(place) => self.buckets[place].1 += times,
            Err(place) if times > 0 => self.buckets.insert(place, (bucket, times)),
            Err(_) => {}
        }
    }

    /// Adds another histogram's counts. The order of merging never matters.
    pub fn merge(&mut self, other: &Histogram) {
        if self.buckets.is_empty() {
            self.buckets.clone_from(&other.buckets);
            return;
        }
        let mut place = 0;
        for (bucket, count) in &other.buckets {
            while self.buckets.get(place).is_some_and(|(known, _)| known < bucket) {
                place += 1;
            }
            match self.buckets.get_mut(place).map(|mine| (mine.0.cmp(bucket), mine)) {
                Some((Ordering::Equal, mine)) => mine.1 += count,
                _ => self.buckets.insert(place, (*bucket, *count)),
            }
        }
    }

    /// Returns how many values were counted.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|(_, count)| count).sum()
    }

    /// Returns the nearest-rank quantile, the middle of its bucket; `None` without values.
    pub fn quantile(&self, q: f64) -> Option<i64> {
        let count = self.count();
        let rank = ((q.clamp(0.0, 1.0) * count as f64).ceil() as u64).max(1);
        let mut seen = 0;
        self.buckets.iter().find_map(|(bucket, n)| {
            seen += n;
            (seen >= rank).then(|| middle(*bucket))
        })
    }

    /// Lists buckets as (lowest value, highest value, count), ascending.
    pub fn buckets(&self) -> impl Iterator<Item = (i64, i64, u64)> + '_ {
        self.buckets.iter().map(|(bucket, count)| {
            let (low, high) = bounds(*bucket);
            (low, high, *count)
        })
    }

    /// Returns the counts as bytes: pairs of (bucket minus the bucket before, count), zigzag varints.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut before = 0;
        for (bucket, count) in &self.buckets {
            let step = i64::from(*bucket) - before;
            prost::encoding::encode_varint(((step << 1) ^ (step >> 63)) as u64, &mut out);
            prost::encoding::encode_varint(*count, &mut out);
            before = i64::from(*bucket);
        }
        out
    }

    /// Reads what [`Histogram::encode`] wrote; `None` for anything else.
    pub fn decode(mut bytes: &[u8]) -> Option<Self> {
        let mut buckets: Vec<(i32, u64)> = Vec::new();
        let mut before = 0i64;
        while !bytes.is_empty() {
            let step = prost::encoding::decode_varint(&mut bytes).ok()?;
            before = before.checked_add((step >> 1) as i64 ^ -((step & 1) as i64))?;
            let bucket = i32::try_from(before).ok()?;
            if buckets.last().is_some_and(|(last, _)| *last >= bucket) {
                return None;
            }
            buckets.push((bucket, prost::encoding::decode_varint(&mut bytes).ok()?));
        }
        Some(Histogram { buckets })
    }
}

fn bucket(value: i64) -> i32 {
    let size = value.unsigned_abs();
    let index = if size < 2 * PARTS {
        size
    } else {
        let octave = u64::from(size.ilog2());
        let part = (size >> (octave - 4)) - PARTS;
        (octave - 4) * PARTS + PARTS + part
    };
    let index = i32::try_from(index).unwrap_or(i32::MAX);
    // Negative values count down from -1, so that order is kept and -0 does not exist.
    if value < 0 { -index } else { index }
}

fn bounds(bucket: i32) -> (i64, i64) {
    let index = u64::from(bucket.unsigned_abs());
    let (low, high) = if index < 2 * PARTS {
        (index, index)
    } else {
        let (octave, part) = ((index - PARTS) / PARTS + 4, (index - PARTS) % PARTS);
        let low = (PARTS + part) << (octave - 4);
        (low, low + (1 << (octave - 4)) - 1)
    };
    let (low, high) = (i64::try_from(low).unwrap_or(i64::MAX), i64::try_from(high).unwrap_or(i64::MAX));
    if bucket < 0 { (-high, -low) } else { (low, high) }
}

fn middle(bucket: i32) -> i64 {
    let (low, high) = bounds(bucket);
    low + (high - low) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_in_its_bucket_and_buckets_touch() {
        for value in (0..5000).chain([65_535, 65_536, 1 << 40, (1 << 40) + 12_345]) {
            for value in [value, -value] {
                let (low, high) = bounds(bucket(value));
                assert!((low..=high).contains(&value), "{value} not in {low}..={high}");
                assert!(high - low <= value.abs() / 16, "{value} in a bucket too wide");
            }
        }
        for index in 0..400 {
            assert_eq!(bounds(index).1 + 1, bounds(index + 1).0);
        }
    }

    #[test]
    fn merged_days_give_the_percentile_of_all_their_values() {
        let (mut first, mut second, mut both) = (Histogram::default(), Histogram::default(), Histogram::default());
        for value in 1..=1000 {
            if value % 3 == 0 {
                first.add(value)
            } else {
                second.add(value)
            }
            both.add(value);
        }
        let mut merged = second.clone();
        merged.merge(&first);
        first.merge(&second);
        assert_eq!((&merged, &first), (&both, &both));
        let p95 = both.quantile(0.95).unwrap();
        assert!((p95 - 950).abs() <= 950 / 16, "{p95}");
        assert_eq!(Histogram::decode(&both.encode()), Some(both));
        assert_eq!(Histogram::default().quantile(0.5), None);
    }

    #[test]
    fn damaged_bytes_are_no_histogram() {
        let pairs = |pairs: &[(i64, u64)]| {
            let mut bytes = Vec::new();
            for (step, count) in pairs {
                prost::encoding::encode_varint(((step << 1) ^ (step >> 63)) as u64, &mut bytes);
                prost::encoding::encode_varint(*count, &mut bytes);
            }
            bytes
        };
        assert_eq!(Histogram::decode(&pairs(&[(-3, 2), (3, 1)])).map(|h| h.count()), Some(3), "from bucket -3 to bucket 0");
        for wrong in [pairs(&[(5, 1), (0, 1)]), pairs(&[(5, 1), (-1, 1)]), pairs(&[(i64::from(i32::MAX) + 1, 1)]), vec![0x80], vec![2]] {
            assert_eq!(Histogram::decode(&wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn negative_values_keep_their_order() {
        let mut rsrp = Histogram::default();
        [-120, -110, -100, -90, -80].iter().for_each(|value| rsrp.add(*value));
        assert!((rsrp.quantile(0.2).unwrap() + 120).abs() <= 7);
        assert!((rsrp.quantile(1.0).unwrap() + 80).abs() <= 5);
    }
}
