//! KPIs: one small file per figure, all with the same bones.
//!
//! ```text
//! Snapshot (now) | state seconds, outages, rounds (periods) --measure--> Tally per object --roll_up--> Figure per region
//! ```
//!
//! A KPI says what one object adds ([`Measure`]); summing, weighting, bounds, breakdowns and the rule on unknown data
//! are the same for all. Nothing here reads a clock, a disk or a socket.

pub mod connected_share_now;
mod figure;
mod regions;
mod tally;

use std::time::Duration;

pub use figure::{Breakdown, Detail, Figure, Standing, Status, Unit, Weight};
pub use regions::{ByRegion, levels};
pub use tally::{ENOUGH_KNOWN, Form, Tally, Valued, quantile};

use crate::engine::{Snapshot, VillageView};
use crate::inventory::Region;
use crate::persian::Period;

/// A definition: what a figure means, in words and as a function.
#[derive(Debug, Clone, Copy)]
pub struct Kpi {
    /// Stable name.
    pub id: &'static str,
    /// Names, Persian first.
    pub names: (&'static str, &'static str),
    /// The formula in words, Persian first.
    pub formula: (&'static str, &'static str),
    /// What the value counts.
    pub unit: Unit,
    /// How sums become values.
    pub form: Form,
    /// Weights it can be asked for.
    pub weights: &'static [Weight],
    /// Breakdowns it can be asked for.
    pub by: &'static [Breakdown],
    /// Counts up when the definition changes.
    pub version: u32,
    /// Where the definition comes from.
    pub basis: &'static str,
    /// What one object adds.
    pub measure: Measure,
}

/// What one object adds to a figure.
#[derive(Debug, Clone, Copy)]
pub enum Measure {
    /// A village at this moment.
    Now(fn(&Snapshot, Duration, &VillageView) -> Tally),
}

/// Every definition, in the order pages list them.
pub const CATALOGUE: &[Kpi] = &[connected_share_now::KPI];

/// Finds a definition.
pub fn by_id(id: &str) -> Option<&'static Kpi> {
    CATALOGUE.iter().find(|kpi| kpi.id == id)
}

impl Weight {
    /// Returns what a village counts for; `None` if its count is not recorded.
    pub fn of(self, village: &Region) -> Option<f64> {
        match self {
            Weight::Village => Some(1.0),
            Weight::Household => village.households.map(f64::from),
            Weight::Population => village.population.map(f64::from),
        }
    }
}

impl Kpi {
    /// Makes the figure of a sum.
    pub fn figure(&self, region: &str, period: Period, weight: Weight, status: Status, tally: &Tally) -> Figure {
        let valued = tally.value(self.form);
        Figure {
            id: self.id,
            definition_version: self.version,
            region: region.to_owned(),
            period,
            weight,
            part: None,
            value: valued.value,
            lo: valued.lo,
            hi: valued.hi,
            known_ratio: valued.known_ratio,
            numerator: tally.numerator,
            denominator: tally.denominator,
            unknown: tally.unknown,
            unit: self.unit,
            status,
            standing: valued.standing,
            details: tally.sums_as_details(),
        }
    }
}
