//! KPIs: one small file per row of the catalogue, all with the same bones.
//!
//! ```text
//! Snapshot (now) | state seconds, outages, rounds (periods) --measure--> Tally per object --roll_up--> Figure per region
//! ```
//!
//! A KPI says what one object adds ([`Measure`]); summing, weighting, bounds, breakdowns and the rule on unknown data
//! are the same for all. Nothing here reads a clock, a disk or a socket.

mod alerts;
mod book;
pub mod catalogue;
pub mod cli;
mod compute;
mod counted;
mod dated;
mod definitions;
pub mod dictionary;
mod expected;
pub mod explain;
pub mod facts;
mod figure;
pub mod load;
mod parts;
mod regions;
mod renamed;
mod tally;
mod terms;

pub use book::{Book, BookError};
pub use catalogue::{CATALOGUE, by_id, connected_share_now};
pub use compute::{Ask, LinkFact, OutageIn, ServiceMeasure, SiteFact, VillageFact, answer, compute};
pub use counted::{Amount, Counted, Counts};
pub use definitions::{Decree, DefineError, Definition, Definitions, define};
pub use dictionary::Work;
pub use facts::Facts;
pub use figure::{Breakdown, Detail, Estimate, Figure, Standing, Status, Unit, Weight};
pub use load::View;
pub use parts::{NONE, UNATTRIBUTED, band, part_names, responsible};
pub use regions::{ByRegion, levels};
pub use tally::{ENOUGH_KNOWN, Form, Tally, Valued, quantile};
pub use terms::{Rules, Term, Terms};

use crate::engine::VillageView;
use crate::history::StateSeconds;
use crate::inventory::Region;
use crate::persian::Period;

/// Finds a KPI by its id, or by its id and a version, such as `availability@2`.
///
/// # Errors
/// What is wrong with the name, and what it may have meant.
pub fn named(text: &str) -> Result<(&'static Kpi, Option<u32>), String> {
    let (id, version) = text.split_once('@').map_or((text, None), |(id, version)| (id, Some(version)));
    let kpi = by_id(id).ok_or_else(|| {
        let near = crate::inventory::nearest(id, CATALOGUE.iter().map(|k| k.id)).map(|n| format!("; did you mean `{n}`?"));
        format!("there is no KPI `{id}`{}", near.unwrap_or_default())
    })?;
    let version = version.map(|text| text.parse().map_err(|_| format!("`{text}` is no version of {id}: a number from 1"))).transpose()?;
    Ok((kpi, version))
}

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
    /// The text of the second version and what it computes, where they differ from the first.
    pub second: Option<fn(&Kpi) -> Kpi>,
    /// What the numerator and the denominator count before a weight.
    pub counts: Counts,
    /// What the numerator's and the denominator's whole numbers are divided by: sums stay exact, figures get their unit.
    pub scale: (f64, f64),
    /// Whether the denominator's seconds are taken as shares of the window.
    pub per_window: bool,
    /// What announced work does to it.
    pub work: Work,
    /// The shortest window that is judged, in days.
    pub least_days: u32,
    /// Named sums that make up the whole, with the names of their shares; these add up to one.
    pub whole_of: &'static [(&'static str, &'static str)],
    /// What a decree can change of it.
    pub stands_on: &'static [Term],
    /// What this version of it stands on.
    pub terms: Terms,
    /// Where the definition comes from.
    pub basis: &'static str,
    /// The smallest denominator that gives a value.
    pub least: f64,
    /// Whether an object is judged over the whole window, not by its parts.
    pub whole: bool,
    /// What has to be collected before there is a figure, Persian first; empty if state seconds and the registry do.
    pub needs: (&'static str, &'static str),
    /// Which seconds of a village it looks at.
    pub seconds: fn(&VillageFact<'_>) -> StateSeconds,
    /// What one object adds.
    pub measures: &'static [Measure],
    /// What one object adds when it is broken down so, where that differs.
    pub instead: &'static [(Breakdown, &'static [Measure])],
}

/// What one object adds to a figure; `None` if the figure is not about it.
#[derive(Debug, Clone, Copy)]
pub enum Measure {
    /// A village at this moment.
    Now(fn(&VillageView) -> Tally),
    /// A village over the window.
    Village(fn(&VillageFact<'_>) -> Option<Tally>),
    /// A site over the window.
    Site(fn(&SiteFact<'_>) -> Option<Tally>),
    /// A link over the window.
    Link(fn(&LinkFact<'_>) -> Option<Tally>),
    /// An outage that overlaps the window.
    Outage(fn(&OutageIn<'_>) -> Option<Tally>),
    /// Attempts to use a service.
    Service(ServiceMeasure),
    /// Made from other figures.
    Derived(fn(&Kpi, &Facts, Ask<'_>) -> Vec<Figure>),
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
    /// Checks that the definition can be broken down so.
    ///
    /// # Errors
    /// What it can be broken down by.
    pub fn check_breakdown(&self, by: Breakdown) -> Result<(), String> {
        let known: Vec<&str> = self.by.iter().map(|by| by.as_str()).collect();
        if self.by.contains(&by) { Ok(()) } else { Err(format!("{} has no breakdown by {by}; it has {}", self.id, known.join(", "))) }
    }

    /// What most definitions share.
    pub(crate) const BASE: Kpi = Kpi {
        id: "",
        names: ("", ""),
        formula: ("", ""),
        unit: Unit::Ratio,
        form: Form::Share,
        weights: &[Weight::Village],
        by: &[Breakdown::Region],
        version: 1,
        second: None,
        counts: (Counted::Villages, Counted::Villages),
        scale: (1.0, 1.0),
        per_window: false,
        work: Work::NotLookedAt,
        least_days: 0,
        whole_of: &[],
        stands_on: &[],
        terms: Terms::FIRST,
        basis: "-",
        least: 0.0,
        whole: false,
        needs: ("", ""),
        seconds: |village| village.state(),
        measures: &[],
        instead: &[],
    };

    /// Returns what one object adds under a breakdown.
    pub(crate) fn measures_by(&self, by: Option<Breakdown>) -> &'static [Measure] {
        self.instead.iter().find(|(other, _)| Some(*other) == by).map_or(self.measures, |(_, measures)| measures)
    }

    /// Returns the text a version stands on, for readers; the terms of a decree stand in its definition.
    pub fn text_of(&self, version: u32) -> Kpi {
        let terms = if version > self.version { Terms { rules: Rules::Second, ..self.terms } } else { self.terms };
        self.under(version, terms)
    }

    /// Returns the KPI as a version defines it.
    pub(crate) fn under(&self, version: u32, terms: Terms) -> Kpi {
        let text = self.second.filter(|_| terms.rules == Rules::Second).map_or(*self, |second| second(self));
        Kpi { version, terms, ..text }
    }

    /// Makes the figure of a sum.
    pub fn figure(&self, region: &str, period: Period, weight: Weight, status: Status, tally: &Tally) -> Figure {
        let tally = &tally.scaled(self.scale, self.form);
        let mut valued = tally.value(self.form, self.least);
        // Nothing to count and nothing measured mean that nobody collects it, where a figure needs more than states.
        let is_bare = tally.denominator == 0.0 && tally.histogram.is_none() && tally.spread.is_empty();
        if !self.needs.1.is_empty() && is_bare {
            valued.standing = Standing::NotCollected;
            (valued.value, valued.lo, valued.hi) = (None, None, None);
        }
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
            counts: self.counts,
            status,
            standing: valued.standing,
            estimate: tally.estimate(self.form),
            details: tally.details(self.whole_of),
        }
    }
}

#[cfg(test)]
mod golden_tests;
#[cfg(test)]
mod samples_tests;
