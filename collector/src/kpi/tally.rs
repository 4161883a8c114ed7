//! What objects add up to, and how a sum becomes a value with bounds.

use super::figure::{Detail, Estimate, Standing};
use crate::history::{Histogram, Late};

/// Under this share of known time a figure shows bounds and no single number (`kpis.md`, rule on unknown).
pub const ENOUGH_KNOWN: f64 = 0.80;

/// An additive piece of a figure. Parts add up to their whole exactly: sums of integers below 2^53 are exact in `f64`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Tally {
    /// What is counted.
    pub numerator: f64,
    /// Of what.
    pub denominator: f64,
    /// What is known of what should be, in a unit of its own; for shares the denominator.
    pub known: f64,
    /// What is not known, in the unit of `known`.
    pub unknown: f64,
    /// What the numerator could be more if the worst had happened in all that is not known; for [`Form::Rate`].
    pub at_worst: f64,
    /// What was learnt too late to be known in time.
    pub late: Late,
    /// How many objects are in it.
    pub objects: u32,
    /// One value per object, for medians and deciles.
    pub spread: Vec<f64>,
    /// Values of rounds, for percentiles.
    pub histogram: Option<Box<Histogram>>,
    /// Further sums, by name.
    pub sums: Vec<(&'static str, f64)>,
    /// Further distributions, by the name of their 95th percentile.
    pub beside: Vec<(&'static str, Histogram)>,
}

/// The normal quantile of 95 % in the middle.
const Z: f64 = 1.959_964;

/// How a sum becomes a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Numerator over denominator; the unknown part gives bounds.
    Share,
    /// Numerator over a denominator that holds the unknown part too.
    ShareOfAll,
    /// The numerator itself.
    Count,
    /// Numerator over denominator, per known object; the bounds hold what could have happened while nothing was known.
    Rate,
    /// Numerator over denominator without bounds: what is unknown cannot be bounded.
    Mean,
    /// Time over events; without an event only "longer than".
    Between,
    /// The median of one value per object.
    Median,
    /// A percentile of merged histograms, in percent; the value is divided by the second number.
    Percentile(u8, u32),
}

/// A value with its bounds.
#[derive(Debug, Clone, PartialEq)]
pub struct Valued {
    /// The value; `None` unless known.
    pub value: Option<f64>,
    /// Lower bound.
    pub lo: Option<f64>,
    /// Upper bound.
    pub hi: Option<f64>,
    /// Known share.
    pub known_ratio: Option<f64>,
    /// Whether there is a value.
    pub standing: Standing,
}

impl Tally {
    /// Counts one object that is good, bad (`Some(false)`) or unknown (`None`).
    pub fn of(good: Option<bool>) -> Tally {
        let known = f64::from(u8::from(good.is_some()));
        Tally::share(f64::from(u8::from(good == Some(true))), known, 1.0 - known)
    }

    /// Counts `numerator` of `denominator` known and `unknown` unknown.
    pub fn share(numerator: f64, denominator: f64, unknown: f64) -> Tally {
        Tally { numerator, denominator, known: denominator, unknown, objects: 1, ..Tally::default() }
    }

    /// Counts `numerator` over `denominator`, with what is known and not of the time in which it was counted.
    pub fn mean(numerator: f64, denominator: f64, (known, unknown): (f64, f64)) -> Tally {
        Tally { numerator, denominator, known, unknown, objects: 1, ..Tally::default() }
    }

    /// Adds what was learnt too late to be known in time.
    pub fn with_late(mut self, late: Late) -> Tally {
        self.late = late;
        self
    }

    /// Estimates a share with what is unknown weighted by how much of what was learnt late turned out down; `None` while
    /// nothing was learnt late, and for what is not a share.
    ///
    /// The error is half of Wilson's 95 % interval of that share of down, with a day of a site as one observation, times what
    /// is unknown of all. It says how little was seen, not whether what never came is like what came late.
    pub fn estimate(&self, form: Form) -> Option<Estimate> {
        let all = self.denominator + self.unknown;
        if form != Form::Share || self.late.known_s == 0 || all == 0.0 {
            return None;
        }
        let (down, days) = (self.late.down_s as f64 / self.late.known_s as f64, self.late.days.max(1) as f64);
        let half = Z / (1.0 + Z * Z / days) * (down * (1.0 - down) / days + Z * Z / (4.0 * days * days)).sqrt();
        Some(Estimate { value: (self.numerator + self.unknown * (1.0 - down)) / all, error: half * self.unknown / all })
    }

    /// Adds what could have happened while nothing was known.
    pub fn with_worst(mut self, at_worst: f64) -> Tally {
        self.at_worst = at_worst;
        self
    }

    /// Returns the sum in the definition's units. Whole numbers are summed and divided once, so parts add up exactly.
    pub fn scaled(&self, (numerator, denominator): (f64, f64), form: Form) -> Tally {
        let of_denominator = if matches!(form, Form::Share | Form::ShareOfAll | Form::Rate) { denominator } else { 1.0 };
        Tally {
            numerator: self.numerator / numerator,
            at_worst: self.at_worst / numerator,
            denominator: self.denominator / denominator,
            known: self.known / of_denominator,
            unknown: self.unknown / of_denominator,
            ..self.clone()
        }
    }

    /// Adds the object's own value for medians.
    pub fn with_value(mut self, value: f64) -> Tally {
        self.spread.push(value);
        self
    }

    /// Adds values of rounds for percentiles.
    pub fn with_histogram(mut self, histogram: &Histogram) -> Tally {
        self.histogram = Some(Box::new(histogram.clone()));
        self
    }

    /// Adds a distribution of something else; its 95th percentile stands beside the value.
    pub fn with_beside(mut self, name: &'static str, histogram: &Histogram) -> Tally {
        self.beside.push((name, histogram.clone()));
        self
    }

    /// Adds a named sum.
    pub fn with_sum(mut self, name: &'static str, value: f64) -> Tally {
        self.sums.push((name, value));
        self
    }

    /// Returns the tally counted `weight` times.
    pub fn weighted(mut self, weight: f64) -> Tally {
        self.numerator *= weight;
        self.denominator *= weight;
        self.known *= weight;
        self.unknown *= weight;
        self.at_worst *= weight;
        self.sums.iter_mut().for_each(|(_, sum)| *sum *= weight);
        self
    }

    /// Adds another tally.
    pub fn add(&mut self, other: &Tally) {
        self.numerator += other.numerator;
        self.denominator += other.denominator;
        self.known += other.known;
        self.unknown += other.unknown;
        self.at_worst += other.at_worst;
        self.late += other.late;
        self.objects += other.objects;
        self.spread.extend_from_slice(&other.spread);
        match (&mut self.histogram, &other.histogram) {
            (Some(mine), Some(theirs)) => mine.merge(theirs),
            (None, Some(theirs)) => self.histogram = Some(theirs.clone()),
            _ => {}
        }
        for (name, histogram) in &other.beside {
            match self.beside.iter_mut().find(|(known, _)| known == name) {
                Some((_, mine)) => mine.merge(histogram),
                None => self.beside.push((name, histogram.clone())),
            }
        }
        for (name, value) in &other.sums {
            match self.sums.iter_mut().find(|(known, _)| known == name) {
                Some((_, sum)) => *sum += value,
                None => self.sums.push((name, *value)),
            }
        }
    }

    /// Turns the sum into a value with bounds. Fewer than `least` in the denominator are too few for a value.
    pub fn value(&self, form: Form, least: f64) -> Valued {
        let asked = self.known + self.unknown;
        let known_ratio = (asked > 0.0).then(|| self.known / asked);
        let (value, lo, hi) = self.bounds(form);
        let standing = match known_ratio {
            _ if self.objects == 0 => Standing::Empty,
            None if form == Form::Between => Standing::NoEvent,
            None => Standing::Empty,
            Some(0.0) => Standing::Unmeasured,
            Some(ratio) if ratio < ENOUGH_KNOWN => Standing::Insufficient,
            Some(_) if form == Form::Between && self.denominator == 0.0 => Standing::NoEvent,
            Some(_) if value.is_none() || (least > 0.0 && self.denominator < least) => Standing::Unmeasured,
            Some(_) => Standing::Known,
        };
        let (lo, hi) = if standing == Standing::Empty { (None, None) } else { (lo, hi) };
        Valued { value: value.filter(|_| standing == Standing::Known), lo, hi, known_ratio, standing }
    }

    fn bounds(&self, form: Form) -> (Option<f64>, Option<f64>, Option<f64>) {
        let over = |numerator: f64, denominator: f64| (denominator > 0.0).then(|| numerator / denominator);
        let (numerator, denominator, unknown) = (self.numerator, self.denominator, self.unknown);
        match form {
            Form::Share => {
                let all = denominator + unknown;
                (over(numerator, denominator), over(numerator, all), over(numerator + unknown, all))
            }
            Form::ShareOfAll => (over(numerator, denominator), over(numerator, denominator), over(numerator + unknown, denominator)),
            Form::Rate => {
                let all = denominator + unknown;
                (over(numerator, denominator), over(numerator, all), over(numerator + self.at_worst, all))
            }
            Form::Count => (Some(numerator), None, None),
            Form::Mean => (over(numerator, denominator), None, None),
            Form::Between => (over(numerator, denominator), (denominator == 0.0).then_some(numerator), None),
            Form::Median => (quantile(&self.spread, 0.5), None, None),
            Form::Percentile(percent, divisor) => (self.percentile(percent).map(|v| v / f64::from(divisor)), None, None),
        }
    }

    /// Returns what share of their total each of some sums is. The last one is what is left, so that they add up to one.
    fn shares<'a>(&'a self, whole_of: &'a [(&'static str, &'static str)]) -> impl Iterator<Item = Detail> + 'a {
        let sum = |of: &str| self.sums.iter().find(|(name, _)| *name == of).map_or(0.0, |(_, value)| *value);
        let total: f64 = whole_of.iter().map(|(name, _)| sum(name)).sum();
        let mut before = 0.0;
        whole_of.iter().enumerate().filter(move |_| total > 0.0).map(move |(at, (of, name))| {
            let share = if at + 1 == whole_of.len() { 1.0 - before } else { sum(of) / total };
            before += share;
            Detail { name, value: Some(share) }
        })
    }

    /// Returns a percentile of the merged histograms.
    pub fn percentile(&self, percent: u8) -> Option<f64> {
        self.histogram.as_ref()?.quantile(f64::from(percent) / 100.0).map(|v| v as f64)
    }

    /// Lists the sums, the shares of a whole they make up, and for several objects their median and worst decile.
    pub fn details(&self, whole_of: &[(&'static str, &'static str)]) -> Vec<Detail> {
        let mut details: Vec<Detail> = self.sums.iter().map(|(name, value)| Detail { name, value: Some(*value) }).collect();
        details.extend(self.shares(whole_of));
        details.extend(self.beside.iter().map(|(name, of)| Detail { name, value: of.quantile(0.95).map(|value| value as f64) }));
        if !self.spread.is_empty() {
            details.push(Detail { name: "median", value: quantile(&self.spread, 0.5) });
            details.push(Detail { name: "p10", value: quantile(&self.spread, 0.1) });
            details.push(Detail { name: "p90", value: quantile(&self.spread, 0.9) });
        }
        details.push(Detail { name: "objects", value: Some(f64::from(self.objects)) });
        details
    }
}

/// Returns the `q`-quantile by the nearest-rank rule; `None` of nothing.
pub fn quantile(values: &[f64], q: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (q * sorted.len() as f64).ceil().max(1.0) as usize;
    sorted.get(rank.min(sorted.len()).checked_sub(1)?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_measured_is_neither_zero_nor_one() {
        let mut sum = Tally::default();
        (0..5).for_each(|_| sum.add(&Tally::of(None)));
        let valued = sum.value(Form::Share, 0.0);
        assert_eq!((valued.value, valued.lo, valued.hi), (None, Some(0.0), Some(1.0)));
        assert_eq!((valued.known_ratio, valued.standing), (Some(0.0), Standing::Unmeasured));
    }

    #[test]
    fn under_eighty_percent_known_there_are_bounds_and_no_number() {
        let with_unknown = |unknown| Tally::share(6.0, 8.0, unknown).value(Form::Share, 0.0);
        assert_eq!(with_unknown(2.0).value, Some(0.75), "exactly 80 % is enough");
        let less = with_unknown(8.0 / 0.79 - 8.0);
        assert_eq!((less.value, less.standing), (None, Standing::Insufficient));
        assert!(less.lo.unwrap() < 0.75 && less.hi.unwrap() > 0.75);
    }

    #[test]
    fn a_region_without_objects_has_no_figure() {
        assert_eq!(Tally::default().value(Form::Count, 0.0).standing, Standing::Empty);
        assert_eq!(Tally::default().value(Form::Share, 0.0).lo, None);
    }

    #[test]
    fn too_few_packets_give_no_loss() {
        let loss = |sent| Tally::mean(1.0, sent, (10.0, 0.0)).value(Form::Mean, 100.0);
        assert_eq!((loss(99.0).value, loss(99.0).standing), (None, Standing::Unmeasured));
        assert_eq!(loss(100.0).value, Some(0.01));
    }

    #[test]
    fn without_an_event_there_is_only_a_lower_bound() {
        let between = Tally::mean(720.0, 0.0, (1.0, 0.0)).value(Form::Between, 0.0);
        assert_eq!((between.value, between.lo, between.standing), (None, Some(720.0), Standing::NoEvent));
    }

    #[test]
    fn quantiles_follow_the_nearest_rank() {
        let values = [4.0, 1.0, 3.0, 2.0];
        assert_eq!(quantile(&values, 0.5), Some(2.0));
        assert_eq!(quantile(&values, 0.9), Some(4.0));
        assert_eq!(quantile(&values, 0.0), Some(1.0));
        assert_eq!(quantile(&[], 0.5), None);
    }
}
