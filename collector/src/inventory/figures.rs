//! Figures that somebody announced, and what the programme promised: shown beside what was measured.

use super::model::RegionId;

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
