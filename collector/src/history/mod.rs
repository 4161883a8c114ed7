//! History: what really happened, day by day, whenever it was learnt.
//!
//! ```text
//! log --site, day--> sightings --link machine--> spans of links, site --roll-up--> spans of the village
//!                    (sorted, once each)              |                                  |
//!                                                     +--> state seconds, outages, histograms --> state database
//! ```
//!
//! A *timeline* is a function of the samples observed in its day, of a lead-in of [`LEAD_IN_MS`] and a look-ahead of
//! [`LOOK_AHEAD_MS`] around it, and of the inventory in force when the day began. Where a site says nothing that long, the
//! nearest samples up to [`REACH_DAYS`] days away count too: only they tell whether it was off in between. Of a longer
//! silence nobody can tell. One thing is taken from the day before: whether a link was degraded when it ended ([`seam`]). Nothing depends on when, in which order, or how often a sample arrived. Late data marks the days
//! it bears on, and those are built again.
//!
//! Bounds are cut to whole seconds towards the past, so the seconds of a day always add up to the day.
//!
//! Sizes are of a site that pings three anchors five times and reads its modem every minute, measured by the test
//! `the_layers_stay_as_small_as_they_are_said_to_be`: 8,000 such sites fill 30 GB of log and 33 GB of slots.
//!
//! | layer | kept | size, per site and day |
//! |---|---|---|
//! | raw batches ([`crate::log`]) | `log.retention_days`, 62 by default | 61 kB |
//! | five minutes ([`Slots`]) | [`SLOT_DAYS`] | 10 kB |
//! | daily seconds, outages, distributions, timelines | for ever | 0.7 kB |
//!
//! KPIs read [`DailySeconds`], [`Outage`] and [`Histogram`]s through [`tables`]; a day without a row was never measured
//! and counts as unknown.

mod build;
mod gather;
mod histogram;
mod outage;
mod overlay;
mod packed;
mod packets;
mod reports;
mod seam;
mod sighting;
mod silent;
mod slots;
mod span;
mod stitch;
pub mod tables;
mod timeline;
mod undated;
mod values;
mod village;

use crate::day::Day;
use crate::engine::VillagePolicy;
pub use crate::engine::{LEAD_IN_MS, LOOK_AHEAD_MS, REACH_DAYS};
use crate::inventory::word_enum;

pub use build::{Builder, Parts};
pub use gather::BuildError;
pub use histogram::Histogram;
pub use outage::{Bounds, Ended, Outage, Proofs};
pub use reports::{DayReports, Late, Reports};
pub use sighting::Sighting;
pub use slots::{SlotSums, Slots, slot_sums_on};
pub use span::{Span, StateSeconds};
pub use timeline::{LinkDay, SiteDay, SiteInput, timeline};
pub use undated::Undated;
pub use values::{Place, PlanUse, Rounds, SLOT_MS, Values, has_daily_values};
pub use village::{VillageDay, village_timeline};

/// Days the five-minute layer is kept: a year of charts, and the month of the year before it is compared with.
pub const SLOT_DAYS: i32 = 400;

/// Returns how many threads history is built and read by: the rest of the collector has work of its own.
fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(4)
}

word_enum! {
    /// What seconds are counted of.
    ObjectKind {
        /// A link.
        Link = "link",
        /// A site: the best of its links.
        Site = "site",
        /// A village under the policy `either`; up means connected, degraded means partial.
        Village = "village",
        /// Whether the national network's anchors are reached from a village.
        VillageNin = "village_nin",
        /// A village under the policy `mobile_public`; only where that differs from `either`.
        VillageMobile = "village_mobile_public",
        /// A village under the policy `dehyari_uplink`; only where that differs from `either`.
        VillageDehyari = "village_dehyari_uplink",
        /// What was measured of a link inside work announced too late for the contract: part of the link's own seconds.
        LinkShortNotice = "link_short_notice",
        /// The same of a site.
        SiteShortNotice = "site_short_notice",
    }
}

impl ObjectKind {
    /// Returns what a village's seconds under a policy are called.
    pub const fn of_policy(policy: VillagePolicy) -> Self {
        match policy {
            VillagePolicy::Either => ObjectKind::Village,
            VillagePolicy::MobilePublic => ObjectKind::VillageMobile,
            VillagePolicy::DehyariUplink => ObjectKind::VillageDehyari,
        }
    }

    /// Returns the number that stands for this in the database. It never changes meaning.
    pub const fn code(self) -> i64 {
        self as i64 + 1
    }
}

/// Something whose seconds are counted, named as in the inventory of its day.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Object {
    /// What it is.
    pub kind: ObjectKind,
    /// The site's code, or the village's region code.
    pub code: String,
    /// The link's name; empty for anything else.
    pub link: String,
}

impl Object {
    /// Names a link.
    pub fn link(site: &str, name: &str) -> Self {
        Object { kind: ObjectKind::Link, code: site.to_owned(), link: name.to_owned() }
    }

    /// Names a site, a village or a village's reach of the national network.
    pub fn whole(kind: ObjectKind, code: &str) -> Self {
        Object { kind, code: code.to_owned(), link: String::new() }
    }
}

/// How one object spent one day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DailySeconds {
    /// The day.
    pub day: Day,
    /// What of.
    pub object: Object,
    /// Up, degraded, down, unknown, maintenance, not in service. They add up to the day, or, for the present day, to
    /// what of it has been built.
    pub seconds: StateSeconds,
}

#[cfg(test)]
mod day_tests;
#[cfg(test)]
mod import_tests;
#[cfg(test)]
mod tests;
