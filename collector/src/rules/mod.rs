//! Alert rules: what deserves a person's attention, how soon, and whose.
//!
//! A rule watches incidents, sites, agents, KPIs, metrics or data plans, must hold `for` some time, leaves only past its
//! `clear` bound, and names a severity and a route. Rules say nothing of people and channels; `notify` does.
//!
//! ```text
//! alerts.yaml --read--> Rules      Facts (snapshot, incidents, KPIs) --watch--> pending -> firing -> resolved
//! ```

mod calendar;
mod fact;
mod impact;
mod replay;
mod typed;
mod watch;

#[cfg(test)]
mod default_tests;
#[cfg(test)]
mod tests;

use std::time::Duration;

use rusta_wire::{Metric, UnixMs};

pub(crate) use calendar::hours;
pub use calendar::{Calendar, Calendars};
pub use fact::{Facts, KpiFact};
pub use impact::Impact;
pub use replay::{Fired, StoredIncident, note_changes, replay};
pub use typed::parse;
pub(crate) use typed::place;
pub use watch::{Alert, AlertState, Change, Subject, Watch};

use crate::engine::incident::Trouble;
use crate::engine::{AgentState, SiteState};
use crate::inventory::{Criticality, RegionKind, SiteKind, word_enum};
use crate::persian::{JalaliDate, Period};

/// The rules that ship with the program, following the practice in `domain.md`: page, ticket, digest.
pub const DEFAULT_RULES: &str = include_str!("../../../configs/alerts.yaml");

word_enum! {
    /// What a rule asks of people; later is more.
    Severity {
        /// Read it with the shift's summary.
        Digest = "digest",
        /// Look at it during the day.
        Ticket = "ticket",
        /// Wake up.
        Page = "page",
    }
}

word_enum! {
    /// The time a KPI of a rule is about.
    KpiSpan {
        /// This moment.
        Now = "now",
        /// Yesterday, in Tehran.
        Yesterday = "yesterday",
        /// The Jalali month so far.
        Month = "month",
    }
}

impl KpiSpan {
    /// Returns the period it means at a moment; `None` for this moment itself.
    pub fn period(self, now: UnixMs) -> Option<Period> {
        match self {
            KpiSpan::Now => None,
            KpiSpan::Yesterday => Some(Period::Day(JalaliDate::at(now).plus_days(-1))),
            KpiSpan::Month => Some(Period::month_at(now)),
        }
    }
}

/// Every rule, in the order written.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Rules {
    /// The rules.
    pub rules: Vec<Rule>,
    /// The calendars they refer to.
    pub calendars: Calendars,
}

/// One rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Unique name; people see it as the reason of a call.
    pub name: String,
    /// What it watches.
    pub condition: Condition,
    /// How long it must hold.
    pub hold: Duration,
    /// What it asks of people.
    pub severity: Severity,
    /// Working hours in which it speaks; `None` means always.
    pub calendar: Option<String>,
    /// Whom it asks, by route name.
    pub route: String,
    /// What people read instead of the rule's name, in Persian and English.
    pub title: Option<(String, String)>,
}

/// What a rule watches.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    /// Open incidents.
    Incident(IncidentMatch),
    /// States of sites.
    Site(SiteMatch),
    /// Agents.
    Agent {
        /// In one of these states.
        states: Vec<AgentState>,
        /// Or with a clock further off than this.
        skew_above: Option<Duration>,
    },
    /// A KPI's value.
    Kpi {
        /// Which KPI.
        id: String,
        /// Over which time.
        over: KpiSpan,
        /// Of every region of this kind.
        of: RegionKind,
        /// Out of bounds.
        bound: KpiBound,
        /// How far inside the bound it must be to clear.
        clear_margin: f64,
    },
    /// The newest value of a metric on any target.
    Metric {
        /// Which metric.
        metric: Metric,
        /// Out of bounds.
        bound: Bound,
        /// Only sites that match.
        sites: SiteMatch,
    },
    /// The data plan of metered links.
    Plan {
        /// Used share of the plan.
        used_above: Option<f64>,
        /// Used share at the end of the billing cycle, at the present pace.
        forecast_above: Option<f64>,
    },
}

/// Which incidents; an empty list matches all.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct IncidentMatch {
    /// Kinds of root: `core`, `apn_gateway`, `pop`, `bts`, `power_feeder`, `site`, `link`, `cell`, `operator`, `county`,
    /// `collector`.
    pub roots: Vec<String>,
    /// Kinds of trouble.
    pub troubles: Vec<Trouble>,
    /// With a site of one of these classes without any way out.
    pub classes: Vec<Criticality>,
    /// With at least this share of all villages.
    pub villages_share: Option<f64>,
    /// With at least this many sites.
    pub sites: Option<usize>,
}

/// Which sites; an empty list matches all.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SiteMatch {
    /// In one of these states.
    pub states: Vec<SiteState>,
    /// Of one of these kinds.
    pub kinds: Vec<SiteKind>,
    /// Of one of these classes.
    pub classes: Vec<Criticality>,
    /// With one of these tags.
    pub tags: Vec<String>,
}

/// A bound with its way back.
#[derive(Debug, Clone, PartialEq)]
pub enum Bound {
    /// Above the first; clear below the second.
    Above(f64, f64),
    /// Below the first; clear above the second.
    Below(f64, f64),
    /// One of these.
    Is(Vec<i64>),
    /// Below the series' own 14-day median by the first; clear within the second of it.
    BelowMedian(f64, f64),
}

/// A KPI's bound.
#[derive(Debug, Clone, PartialEq)]
pub enum KpiBound {
    /// Below a value.
    Below(f64),
    /// Above a value.
    Above(f64),
    /// Below the goal of the region.
    BelowGoal,
}

impl Rules {
    /// Finds a rule by name.
    pub fn rule(&self, name: &str) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.name == name)
    }
}

impl Rule {
    /// Returns what people read: the title of their language, or the rule's name.
    pub fn title(&self, lang: crate::persian::Lang) -> &str {
        self.title.as_ref().map_or(&self.name, |(fa, en)| lang.pick(fa, en))
    }
}

impl<'de> serde::Deserialize<'de> for Severity {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}
