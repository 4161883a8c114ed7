//! What objects add up to, and how a sum becomes a value with bounds.

use super::figure::{Detail, Standing};

/// Under this share of known time a figure shows bounds and no single number (`kpis.md`, rule on unknown).
pub const ENOUGH_KNOWN: f64 = 0.80;

/// An additive piece of a figure. Parts add up to their whole exactly: sums of integers below 2^53 are exact in `f64`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Tally {
    /// What is counted.
    pub numerator: f64,
    /// Of what is known.
    pub denominator: f64,
    /// What is not known, in the denominator's unit.
    pub unknown: f64,
    /// How many objects are in it.
    pub objects: u32,
    /// One value per object, for medians and deciles.
    pub spread: Vec<f64>,
    /// Further sums, by name.
    pub sums: Vec<(&'static str, f64)>,
}

/// How a sum becomes a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Numerator over denominator; the unknown part gives bounds.
    Share,
    /// The numerator itself; the unknown part could all be counted.
    Count,
    /// Numerator over denominator without bounds: what is unknown cannot be bounded.
    Mean,
    /// The median of one value per object.
    Median,
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
        Tally {
            numerator: f64::from(u8::from(good == Some(true))),
            denominator: known,
            unknown: 1.0 - known,
            objects: 1,
            ..Tally::default()
        }
    }

    /// Counts `numerator` of `denominator` known and `unknown` unknown.
    pub fn share(numerator: f64, denominator: f64, unknown: f64) -> Tally {
        Tally { numerator, denominator, unknown, objects: 1, ..Tally::default() }
    }

    /// Adds the object's own value for medians.
    pub fn with_value(mut self, value: f64) -> Tally {
        self.spread.push(value);
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
        self.unknown *= weight;
        self
    }

    /// Adds another tally.
    pub fn add(&mut self, other: &Tally) {
        self.numerator += other.numerator;
        self.denominator += other.denominator;
        self.unknown += other.unknown;
        self.objects += other.objects;
        self.spread.extend_from_slice(&other.spread);
        for (name, value) in &other.sums {
            match self.sums.iter_mut().find(|(known, _)| known == name) {
                Some((_, sum)) => *sum += value,
                None => self.sums.push((name, *value)),
            }
        }
    }

    /// Turns the sum into a value with bounds.
    pub fn value(&self, form: Form) -> Valued {
        let all = self.denominator + self.unknown;
        let known_ratio = (all > 0.0).then(|| self.denominator / all);
        let enough = known_ratio.is_some_and(|r| r >= ENOUGH_KNOWN);
        let standing = match known_ratio {
            _ if self.objects == 0 => Standing::Empty,
            None => Standing::Empty,
            Some(0.0) => Standing::Unmeasured,
            Some(_) if !enough => Standing::Insufficient,
            Some(_) => Standing::Known,
        };
        let (value, lo, hi) = match form {
            Form::Share => (
                (self.denominator > 0.0).then(|| self.numerator / self.denominator),
                (all > 0.0).then(|| self.numerator / all),
                (all > 0.0).then(|| (self.numerator + self.unknown) / all),
            ),
            Form::Count => (Some(self.numerator), Some(self.numerator), Some(self.numerator + self.unknown)),
            Form::Mean => ((self.denominator > 0.0).then(|| self.numerator / self.denominator), None, None),
            Form::Median => (quantile(&self.spread, 0.5), None, None),
        };
        let (lo, hi) = if standing == Standing::Empty { (None, None) } else { (lo, hi) };
        Valued { value: value.filter(|_| standing == Standing::Known), lo, hi, known_ratio, standing }
    }

    /// Returns a named sum.
    pub fn sum(&self, name: &str) -> Option<f64> {
        self.sums.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    /// Lists the named sums as details.
    pub fn sums_as_details(&self) -> Vec<Detail> {
        self.sums.iter().map(|(name, value)| Detail { name, value: Some(*value) }).collect()
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
        let valued = sum.value(Form::Share);
        assert_eq!((valued.value, valued.lo, valued.hi), (None, Some(0.0), Some(1.0)));
        assert_eq!((valued.known_ratio, valued.standing), (Some(0.0), Standing::Unmeasured));
    }

    #[test]
    fn under_eighty_percent_known_there_are_bounds_and_no_number() {
        let with_unknown = |unknown| Tally::share(6.0, 8.0, unknown).value(Form::Share);
        assert_eq!(with_unknown(2.0).value, Some(0.75), "exactly 80 % is enough");
        let less = with_unknown(8.0 / 0.79 - 8.0);
        assert_eq!((less.value, less.standing), (None, Standing::Insufficient));
        assert!(less.lo.unwrap() < 0.75 && less.hi.unwrap() > 0.75);
    }

    #[test]
    fn a_region_without_objects_has_no_figure() {
        assert_eq!(Tally::default().value(Form::Count).standing, Standing::Empty);
        assert_eq!(Tally::default().value(Form::Share).lo, None);
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
