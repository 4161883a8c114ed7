//! `target_progress`: how far a promise of the programme is kept, and when it will be.

use crate::inventory::Goal;
use crate::kpi::compute::asked_regions;
use crate::kpi::{Ask, Breakdown, Facts, Figure, Kpi, Measure, Rules, Standing, Tally, Work, by_id, compute};

/// The definition.
pub const KPI: Kpi = Kpi {
    id: "target_progress",
    work: Work::AsCompared,
    names: ("پیشرفت تا هدف", "progress to target"),
    formula: ("کران پایین منهای مبنا، بخش بر هدف منهای مبنا", "lower bound minus baseline over target minus baseline"),
    by: &[Breakdown::Region, Breakdown::Kpi],
    basis: "programme goal",
    measures: &[Measure::Derived(derive)],
    second: Some(|first| Kpi {
        formula: (
            "کران پایین منهای مبنا، بخش بر هدف منهای مبنا؛ تا کمتر از ۸۰٪ معلوم است تنها کران‌ها، و بی هیچ سنجش «سنجیده نشده»",
            "lower bound minus baseline over target minus baseline; bounds only while less than 80 % is known, and no data where nothing is",
        ),
        ..*first
    }),
    ..Kpi::BASE
};

fn derive(kpi: &Kpi, facts: &Facts, ask: Ask<'_>) -> Vec<Figure> {
    let map = facts.last_map();
    let regions = asked_regions(facts, ask);
    let mut figures = Vec::new();
    for goal in &map.goals {
        let code = map.region(goal.region).code.as_str();
        let Some(of) = by_id(&goal.kpi).filter(|of| of.id != KPI.id && regions.iter().any(|r| r == code)) else { continue };
        for measured in compute(of, facts, Ask { region: Some(code), by: None, ..ask }) {
            let mut figure = kpi.figure(code, facts.period, ask.weight, facts.status, &Tally::default());
            figure.part = Some((Breakdown::Kpi, goal.kpi.clone()));
            figure.value = progress(goal, measured.lo);
            figure.hi = progress(goal, measured.hi);
            figure.lo = figure.value;
            (figure.numerator, figure.denominator) = (measured.numerator, measured.denominator);
            (figure.unknown, figure.known_ratio) = (measured.unknown, measured.known_ratio);
            figure.counts = measured.counts;
            match kpi.terms.rules {
                // The lower bound is the number here, so unknown time makes it smaller and does not hide it.
                Rules::First => figure.standing = if figure.value.is_some() { Standing::Known } else { measured.standing },
                Rules::Second => {
                    figure.standing = measured.standing;
                    if !measured.has_data() {
                        (figure.value, figure.lo, figure.hi) = (None, None, None);
                    } else if figure.standing != Standing::Known {
                        figure.value = None;
                    }
                }
            }
            figures.push(figure);
        }
    }
    figures
}

fn progress(goal: &Goal, value: Option<f64>) -> Option<f64> {
    let baseline = goal.baseline.unwrap_or(0.0);
    let way = goal.value - baseline;
    value.filter(|_| way != 0.0).map(|value| (value - baseline) / way)
}

/// When a goal will be reached if the last months go on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Forecast {
    /// The goal is reached.
    Reached,
    /// In so many months.
    InMonths(f64),
    /// It does not get better.
    NotOnTrend,
    /// Fewer than two months are known.
    TooShort,
}

/// Draws a line through the lower bounds of the last months, oldest first, and follows it to the target.
pub fn forecast(goal: &Goal, months: &[Option<f64>]) -> Forecast {
    let points = known(months);
    let Some(&(last_at, last)) = points.last() else { return Forecast::TooShort };
    if last >= goal.value {
        return Forecast::Reached;
    }
    match slope(months) {
        None => Forecast::TooShort,
        Some(slope) if slope <= 0.0 => Forecast::NotOnTrend,
        Some(slope) => {
            let (mean_x, mean_y) = mean(&points);
            let reached_at = mean_x + (goal.value - mean_y) / slope;
            Forecast::InMonths((reached_at - last_at).max(0.0))
        }
    }
}

/// Returns how much the lower bound grows in a month, by least squares; `None` with fewer than two known months.
pub fn slope(months: &[Option<f64>]) -> Option<f64> {
    let points = known(months);
    let (mean_x, mean_y) = mean(&points);
    let spread = points.iter().map(|(x, _)| (x - mean_x).powi(2)).sum::<f64>();
    (spread > 0.0).then(|| points.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum::<f64>() / spread)
}

fn known(months: &[Option<f64>]) -> Vec<(f64, f64)> {
    months.iter().enumerate().filter_map(|(at, lo)| Some((at as f64, (*lo)?))).collect()
}

fn mean(points: &[(f64, f64)]) -> (f64, f64) {
    let (sum_x, sum_y) = points.iter().fold((0.0, 0.0), |(x, y), p| (x + p.0, y + p.1));
    (sum_x / points.len() as f64, sum_y / points.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::RegionId;

    fn goal() -> Goal {
        Goal { kpi: String::new(), region: RegionId(0), value: 1.0, baseline: Some(0.89), due_on: None, policy_ref: String::new() }
    }

    #[test]
    fn the_trend_of_six_months_is_followed_to_the_target() {
        let rising = [0.90, 0.91, 0.92, 0.93, 0.94, 0.95].map(Some);
        assert!(matches!(forecast(&goal(), &rising), Forecast::InMonths(months) if (months - 5.0).abs() < 1e-9));
        assert_eq!(forecast(&goal(), &[Some(0.95), Some(0.95), Some(0.94)]), Forecast::NotOnTrend);
        assert_eq!(forecast(&goal(), &[None, Some(0.9)]), Forecast::TooShort);
        assert_eq!(forecast(&goal(), &[Some(1.0)]), Forecast::Reached);
    }

    #[test]
    fn progress_counts_from_the_baseline() {
        assert!((progress(&goal(), Some(0.945)).unwrap() - 0.5).abs() < 1e-9);
        assert_eq!(progress(&goal(), None), None);
    }
}
