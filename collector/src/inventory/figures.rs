//! Figures that somebody announced, and what the programme promised: shown beside what was measured.

use rusta_wire::UnixMs;

use super::model::RegionId;
use crate::day::Day;

/// A figure somebody announced, with its date and source. It is never mixed with a measured one.
#[derive(Debug, Clone, PartialEq)]
pub struct Declared {
    /// The KPI it speaks about.
    pub kpi: String,
    /// The announced value, a ratio for shares.
    pub value: f64,
    /// Its unit.
    pub unit: String,
    /// What was counted, if announced.
    pub numerator: Option<f64>,
    /// Of what, if announced.
    pub denominator: Option<f64>,
    /// The region it speaks about.
    pub region: RegionId,
    /// The day it describes, `YYYY-MM-DD`.
    pub as_of: String,
    /// The day it was announced, `YYYY-MM-DD`.
    pub announced_on: Option<String>,
    /// Who announced it.
    pub publisher: String,
    /// Where it can be read.
    pub source: String,
    /// The source of the figure that replaces this one.
    pub superseded_by: Option<String>,
}

impl Declared {
    /// Tells whether it holds at a time: nothing replaced it, and the day it describes has come.
    pub fn holds_at(&self, at: UnixMs) -> bool {
        self.superseded_by.is_none() && has_come(&self.as_of, at)
    }
}

/// Tells whether a day of the registry, `YYYY-MM-DD`, has come by a time: a fact holds from its day. What is no day has.
pub fn has_come(day: &str, at: UnixMs) -> bool {
    day.parse::<jiff::civil::Date>().map_or(true, |day| day <= Day::of(at).date())
}

/// Returns the figure that describes the latest day; of two of one day the one that was announced, then written, last.
pub fn newest<'a>(figures: impl Iterator<Item = &'a Declared>) -> Option<&'a Declared> {
    figures.max_by(|a, b| (&a.as_of, &a.announced_on).cmp(&(&b.as_of, &b.announced_on)))
}

/// A promise of the programme.
#[derive(Debug, Clone, PartialEq)]
pub struct Goal {
    /// The KPI it is measured by.
    pub kpi: String,
    /// The region it holds for.
    pub region: RegionId,
    /// The promised value.
    pub value: f64,
    /// Where it started.
    pub baseline: Option<f64>,
    /// The promised day, `YYYY-MM-DD`.
    pub due_on: Option<String>,
    /// The decree or plan.
    pub policy_ref: String,
}
