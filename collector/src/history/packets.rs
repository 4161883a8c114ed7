//! Round trips packet by packet, from what a round keeps of them.
//!
//! A round of one packet is that packet. A round of several keeps its least, its median, its 90th percentile and its largest
//! round trip (nearest rank), which are packets too; those between them are laid on the straight line of their logarithms
//! over the logit of their rank, on which a log-normal line is nearly straight:
//!
//! ```text
//! five packets:   rank 1     2     3     4     5
//!                      least ~     p50   ~     p90 = largest
//! ```
//!
//! So of a round up to ten packets the largest tenth is exact. The test `percentiles_of_packets_are_within_a_tenth` prints the
//! error against the true packets of log-normal and of two-humped lines.

use rusta_wire::{Metric, Series};

/// Places of the metrics a round keeps of its packets.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Kept {
    received: Option<usize>,
    least: Option<usize>,
    median: Option<usize>,
    p90: Option<usize>,
    largest: Option<usize>,
}

/// A round trip, microseconds, and how many packets took it.
pub(super) type Packet = (i64, u64);

/// Points a large round is laid out on: a sum of a day's rounds holds thousands of packets, a histogram's bucket is a 16th.
const MOST_POINTS: u64 = 64;

/// More packets in one round are a lie: a flood of a thousand a second for a quarter of an hour.
const MOST_PACKETS: u64 = 1_000_000;

impl Kept {
    /// Finds the metrics in a series.
    pub(super) fn of(series: &Series) -> Kept {
        let place = |metric| series.metrics.iter().position(|known| *known == metric);
        Kept {
            received: place(Metric::Received),
            least: place(Metric::RttUsMin),
            median: place(Metric::RttUsP50),
            p90: place(Metric::RttUsP90),
            largest: place(Metric::RttUsMax),
        }
    }

    /// Lists a round's packets in ascending order; none if nothing came back.
    pub(super) fn packets(&self, value: impl Fn(usize) -> Option<i64>) -> Vec<Packet> {
        let read = |place: Option<usize>| place.and_then(&value).filter(|value| *value >= 0);
        let (least, median) = (read(self.least), read(self.median));
        let Some(first) = least.or(median) else { return Vec::new() };
        let count = read(self.received).and_then(|count| u64::try_from(count).ok()).unwrap_or(1).clamp(1, MOST_PACKETS);
        let rank = |percent: u64| (count * percent).div_ceil(100).max(1);
        let mut known: Vec<(u64, i64)> = vec![(1, first)];
        for (rank, value) in [(rank(50), median), (rank(90), read(self.p90)), (count, read(self.largest))] {
            match (known.last().copied(), value) {
                (Some((last, least)), Some(value)) if last < rank => known.push((rank, value.max(least))),
                _ => {}
            }
        }
        let points = count.min(MOST_POINTS);
        // Each point stands for the ranks after the one before it, up to its own.
        let ends = (1..=points).map(|point| count * point / points);
        let mut before = 0;
        let mut packets = Vec::new();
        for end in ends {
            packets.push((grained(at_rank(&known, end, count)), end - before));
            before = end;
        }
        packets
    }
}

/// Rounds a round trip to one of eight equal parts of a power of two, at most a 16th off: a slot's packets lie in few buckets.
fn grained(value: i64) -> i64 {
    let grain = value.max(1).ilog2().saturating_sub(3);
    let half = (1 << grain) >> 1;
    (value.saturating_add(half) >> grain) << grain
}

/// Returns the round trip of a rank of `count`, between its known neighbours; past the last one that one's.
fn at_rank(known: &[(u64, i64)], rank: u64, count: u64) -> i64 {
    let after = known.partition_point(|(known, _)| *known < rank);
    let (Some(upper), Some(lower)) = (known.get(after), after.checked_sub(1).and_then(|before| known.get(before))) else {
        return known.get(after).or(known.last()).map_or(0, |(_, value)| *value);
    };
    let logit = |rank: u64| {
        let share = (rank as f64 - 0.5) / count as f64;
        (share / (1.0 - share)).ln()
    };
    let way = (logit(rank) - logit(lower.0)) / (logit(upper.0) - logit(lower.0));
    let log = |value: i64| (value.max(1) as f64).ln();
    (log(lower.1) + way * (log(upper.1) - log(lower.1))).exp().round() as i64
}

#[cfg(test)]
mod tests {
    use super::super::Histogram;
    use super::*;

    /// A fixed sequence of numbers from 0 to 1 (the generator of `java.util.Random`).
    struct Dice(u64);

    impl Dice {
        fn roll(&mut self) -> f64 {
            self.0 = (self.0.wrapping_mul(0x5DEE_CE66D) + 11) & ((1 << 48) - 1);
            (self.0 >> 16) as f64 / f64::from(u32::MAX)
        }

        /// A normal deviate, by Box and Muller.
        fn normal(&mut self) -> f64 {
            let (a, b) = (self.roll().max(1e-9), self.roll());
            (-2.0 * a.ln()).sqrt() * (std::f64::consts::TAU * b).cos()
        }
    }

    fn kept(packets: &[i64]) -> Vec<Packet> {
        let mut sorted = packets.to_vec();
        sorted.sort_unstable();
        let rank = |percent: usize| sorted[(sorted.len() * percent).div_ceil(100).max(1) - 1];
        let count = i64::try_from(packets.len()).unwrap();
        let values = [count, sorted[0], rank(50), rank(90), sorted[sorted.len() - 1]];
        let kept = Kept { received: Some(0), least: Some(1), median: Some(2), p90: Some(3), largest: Some(4) };
        kept.packets(|place| Some(values[place]).filter(|_| packets.len() > 1 || place < 2))
    }

    fn quantile(sorted: &[i64], q: f64) -> f64 {
        sorted[((sorted.len() as f64 * q).ceil() as usize).max(1) - 1] as f64
    }

    /// A day of rounds; the estimate's error against the true packets, for medians of rounds and for packets.
    fn errors(per_round: usize, mut packet: impl FnMut() -> i64) -> [f64; 4] {
        let (mut all, mut estimated, mut medians) = (Vec::new(), Histogram::default(), Histogram::default());
        for _ in 0..2_000 {
            let round: Vec<i64> = (0..per_round).map(|_| packet()).collect();
            kept(&round).into_iter().for_each(|(value, times)| estimated.add_many(value, times));
            let mut sorted = round.clone();
            sorted.sort_unstable();
            medians.add(quantile(&sorted, 0.5) as i64);
            all.extend(round);
        }
        all.sort_unstable();
        assert_eq!(estimated.count(), all.len() as u64, "every packet is counted once");
        let off = |histogram: &Histogram, q| (histogram.quantile(q).unwrap() as f64 / quantile(&all, q) - 1.0).abs();
        [off(&estimated, 0.5), off(&estimated, 0.95), off(&medians, 0.5), off(&medians, 0.95)]
    }

    #[test]
    fn percentiles_of_packets_are_within_a_tenth() {
        let mut dice = Dice(42);
        for per_round in [1, 3, 5, 12, 60] {
            let log_normal = errors(per_round, || (40_000.0 * (0.6 * dice.normal()).exp()) as i64);
            // A line that now and then takes the long way: a tenth of the packets around 300 ms.
            let two_humps = errors(per_round, || {
                let centre = if dice.roll() < 0.1 { 300_000.0 } else { 40_000.0 };
                (centre * (0.1 * dice.normal()).exp()) as i64
            });
            for (line, [p50, p95, median_p50, median_p95]) in [("log-normal", log_normal), ("two humps", two_humps)] {
                let percent = |error: f64| error * 100.0;
                println!(
                    "{line}, {per_round} packets a round: p50 off by {:.1} %, p95 by {:.1} %; from medians of rounds {:.1} % and {:.1} %",
                    percent(p50),
                    percent(p95),
                    percent(median_p50),
                    percent(median_p95)
                );
                assert!(p50 <= 0.10 && p95 <= 0.10, "{line}, {per_round}: {p50} {p95}");
            }
        }
    }

    #[test]
    fn a_round_that_keeps_little_still_counts_its_packets() {
        assert_eq!(kept(&[704]), [(704, 1)]);
        assert_eq!(kept(&[104, 384, 192]), [(104, 1), (192, 1), (384, 1)]);
        let only_median = Kept { received: Some(0), median: Some(1), ..Kept::default() };
        assert_eq!(only_median.packets(|place| [Some(3), Some(52)][place]), [(52, 1), (52, 1), (52, 1)]);
        assert_eq!(only_median.packets(|place| [Some(0), None][place]), []);
        let many = Kept { received: Some(0), least: Some(1), largest: Some(1), ..Kept::default() };
        let packets = many.packets(|place| [Some(10_000), Some(50)][place]);
        assert_eq!((packets.len(), packets.iter().map(|(_, times)| times).sum::<u64>()), (64, 10_000));
        let absurd = many.packets(|_| Some(i64::MAX));
        assert_eq!(absurd.iter().map(|(_, times)| times).sum::<u64>(), MOST_PACKETS, "a lie is bounded, not believed");
    }
}
