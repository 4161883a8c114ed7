//! A figure: a value that cannot be shown without its denominator, its bounds, its window and its definition.

use super::counted::{Amount, Counts};
use crate::inventory::word_enum;
use crate::persian::Period;

word_enum! {
    /// What one object counts for. The weight is part of a figure's label.
    Weight {
        /// Every village, site, link or outage counts once.
        Village = "village",
        /// By households.
        Household = "household",
        /// By residents.
        Population = "population",
    }
}

// `word_enum!` derives no default.
#[allow(clippy::derivable_impls)]
impl Default for Weight {
    fn default() -> Self {
        Weight::Village
    }
}

word_enum! {
    /// A way to break a figure down.
    Breakdown {
        /// Region levels.
        Region = "region",
        /// Household band of the village.
        Band = "band",
        /// Operator of the link.
        Operator = "operator",
        /// Access technology of the link.
        Technology = "technology",
        /// Site kind.
        SiteKind = "site_kind",
        /// Cause of an outage.
        Cause = "cause",
        /// E-service.
        Service = "service",
        /// Network.
        Network = "network",
        /// Pilot cohort.
        Cohort = "cohort",
        /// Who has to mend it.
        Responsible = "responsible",
        /// The KPI compared, for gaps and progress.
        Kpi = "kpi",
    }
}

word_enum! {
    /// What a figure's number counts.
    Unit {
        /// 0 to 1.
        Ratio = "ratio",
        /// Things.
        Count = "count",
        /// Minutes.
        Minutes = "minutes",
        /// Hours.
        Hours = "hours",
        /// Milliseconds.
        Milliseconds = "ms",
        /// Megabits per second.
        Mbps = "mbps",
        /// Mean opinion score, 1 to 4.5.
        Mos = "mos",
        /// Percentage points as a ratio difference.
        Points = "points",
    }
}

/// How far a figure is settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Moves with every sample.
    Live,
    /// The window has ended, late data may still come.
    Provisional,
    /// Published; later data makes the next revision.
    Revision(u32),
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Status::Live => f.write_str("live"),
            Status::Provisional => f.write_str("provisional"),
            Status::Revision(number) => write!(f, "revision {number}"),
        }
    }
}

word_enum! {
    /// Whether there is a number, and if not, why.
    Standing {
        /// Enough is known.
        Known = "known",
        /// Less than 80 % is known: bounds, no single number.
        Insufficient = "insufficient_data",
        /// Nothing was measured in the window.
        Unmeasured = "unmeasured",
        /// Nothing of the kind happened in the window; the lower bound says how long at least.
        NoEvent = "no_event",
        /// Nobody collects this yet.
        NotCollected = "not_collected",
        /// The window is shorter than the definition judges: bounds, no single number.
        TooShort = "window_too_short",
        /// Nothing in this region is counted by this figure.
        Empty = "nothing_to_count",
    }
}

/// A number beside the value: a median, a percentile, a count.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Detail {
    /// Its stable name.
    pub name: &'static str,
    /// Its value; `None` if it is not known.
    pub value: Option<f64>,
}

/// A mark between the bounds: what is unknown, weighted by what late data showed of the unknown.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Estimate {
    /// The estimate.
    pub value: f64,
    /// How far it may be off in either direction, 95 % of the time.
    pub error: f64,
}

/// One published number with everything needed to defend it.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// The KPI.
    pub id: &'static str,
    /// The version of its definition.
    pub definition_version: u32,
    /// Code of the region.
    pub region: String,
    /// The window asked for.
    pub period: Period,
    /// What one object counts for.
    pub weight: Weight,
    /// The part of a breakdown, if broken down.
    pub part: Option<(Breakdown, String)>,
    /// The value over known objects and time; `None` unless [`Standing::Known`].
    pub value: Option<f64>,
    /// The value if everything unknown were bad.
    pub lo: Option<f64>,
    /// The value if everything unknown were good.
    pub hi: Option<f64>,
    /// Known share of what should be known.
    pub known_ratio: Option<f64>,
    /// What was counted.
    pub numerator: f64,
    /// Of what is known.
    pub denominator: f64,
    /// What is not known, in the denominator's unit.
    pub unknown: f64,
    /// The value's unit.
    pub unit: Unit,
    /// What the numerator and the denominator count before the weight.
    pub counts: Counts,
    /// How far it is settled.
    pub status: Status,
    /// Whether there is a number, and if not, why.
    pub standing: Standing,
    /// The third mark between the bounds; `None` where nothing came late, or the figure is no availability.
    pub estimate: Option<Estimate>,
    /// Numbers beside the value.
    pub details: Vec<Detail>,
}

impl Figure {
    /// Tells whether anything it stands on was measured.
    pub fn has_data(&self) -> bool {
        self.known_ratio.is_some_and(|ratio| ratio > 0.0)
    }

    /// Returns value, lower and upper bound in a unit: the figure's own, or the number of things counted, where a share is of
    /// things people announce by number. Anything else has none of them, so a share is never taken for a count.
    pub fn amounts(&self, unit: Unit) -> [Option<Amount>; 3] {
        let own = [self.value, self.lo, self.hi];
        let is_share = self.unit == Unit::Ratio && self.counts.0.are_things();
        let values = match unit {
            _ if unit == self.unit => own,
            Unit::Count if is_share && self.has_data() => {
                let most = self.numerator + self.unknown;
                [self.value.map(|_| self.numerator), self.lo.map(|_| self.numerator), self.hi.map(|_| most)]
            }
            _ => [None; 3],
        };
        values.map(|value| value.map(|value| Amount::new(value, unit)))
    }

    /// Returns a number beside the value.
    pub fn detail(&self, name: &str) -> Option<f64> {
        self.details.iter().find(|d| d.name == name).and_then(|d| d.value)
    }
}
