//! When a service is meant to work, what else happens then, and when work on it was announced.

use rusta_wire::UnixMs;

use super::dates;
use super::model::{LinkId, NodeId, Parent, RegionId, SiteId};
use crate::persian::JalaliDate;

/// Opening minutes of one weekday, `[from, until)` in minutes after midnight.
pub type Hours = Option<(u16, u16)>;

/// The working hours of office sites.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceCalendar {
    /// The name sites refer to.
    pub name: String,
    /// By weekday from Saturday; `None` is closed.
    pub week: [Hours; 7],
    /// Days it is closed, in order.
    pub holidays: Vec<jiff::civil::Date>,
}

impl ServiceCalendar {
    /// Returns the working span of a day; `None` when closed.
    pub fn span(&self, date: jiff::civil::Date) -> Option<(UnixMs, UnixMs)> {
        if self.holidays.binary_search(&date).is_ok() {
            return None;
        }
        let (from, until) = self.week[JalaliDate::of_gregorian(date).weekday()]?;
        Some((dates::at_minute(date, from), dates::at_minute(date, until)))
    }
}

/// A public event that changes what matters: elections, pilgrimage peaks.
#[derive(Debug, Clone, PartialEq)]
pub struct PublicEvent {
    /// Stable name.
    pub id: String,
    /// Persian name.
    pub name_fa: String,
    /// English name.
    pub name_en: String,
    /// Its span.
    pub span: (UnixMs, UnixMs),
    /// Sites with one of these tags take part.
    pub tags: Vec<String>,
    /// Where; empty means everywhere.
    pub regions: Vec<RegionId>,
}

/// All calendars of a version.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Calendars {
    /// Working hours.
    pub services: Vec<ServiceCalendar>,
    /// Public events.
    pub events: Vec<PublicEvent>,
}

impl Calendars {
    /// Finds a working calendar; `None` means 24 × 7.
    pub fn service(&self, name: &str) -> Option<&ServiceCalendar> {
        self.services.iter().find(|c| c.name == name)
    }
}

/// How a window comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// Happens once.
    Never,
    /// Every seven days at the same time of day.
    Weekly,
}

/// What a window covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Covered {
    /// Everything inside a region.
    Region(RegionId),
    /// All links of a site.
    Site(SiteId),
    /// One link.
    Link(LinkId),
    /// Every link that hangs on a node.
    Node(NodeId),
}

/// Planned work.
#[derive(Debug, Clone, PartialEq)]
pub struct MaintenanceWindow {
    /// Stable name.
    pub id: String,
    /// Why.
    pub reason: String,
    /// Its first span.
    pub span: (UnixMs, UnixMs),
    /// Whether it comes back.
    pub repeat: Repeat,
    /// When it was ended early or called off: nothing of it is later.
    pub ended_at: Option<UnixMs>,
    /// When it was announced; the contract forgives only what was announced a day ahead.
    pub announced_at: UnixMs,
    /// What it covers.
    pub covers: Vec<Covered>,
}

/// How long ahead a window must be announced to count for the contract.
pub const ANNOUNCED_AHEAD_MS: i64 = 24 * 3_600_000;
const WEEK_MS: i64 = 7 * 24 * 3_600_000;

impl MaintenanceWindow {
    /// Returns the spans of this window that overlap `[from, until)`, clipped to it.
    pub fn spans(&self, from: UnixMs, until: UnixMs) -> Vec<(UnixMs, UnixMs)> {
        let until = self.ended_at.map_or(until, |end| end.min(until));
        let (first, last) = match self.repeat {
            Repeat::Never => (0, 0),
            Repeat::Weekly => {
                let weeks_until = |at: UnixMs| (at.0 - self.span.0.0).div_euclid(WEEK_MS);
                ((weeks_until(from) - 1).max(0), weeks_until(until).max(0))
            }
        };
        let shifted = (first..=last).map(|week| (self.span.0.0 + week * WEEK_MS, self.span.1.0 + week * WEEK_MS));
        let clipped = shifted.map(|(a, b)| (UnixMs(a.max(from.0)), UnixMs(b.min(until.0))));
        clipped.filter(|(a, b)| a < b).collect()
    }

    /// Tells whether the contract forgives the occurrence that starts at `start`.
    pub fn is_announced_for(&self, start: UnixMs) -> bool {
        start.0 - self.announced_at.0 >= ANNOUNCED_AHEAD_MS
    }
}

impl super::Inventory {
    /// Tells whether a window covers a link.
    pub fn is_covered(&self, window: &MaintenanceWindow, link: LinkId) -> bool {
        let site = self.link(link).site;
        window.covers.iter().any(|covered| match *covered {
            Covered::Region(region) => self.is_within(self.site(site).region, region),
            Covered::Site(covered) => covered == site,
            Covered::Link(covered) => covered == link,
            Covered::Node(node) => self.link(link).parents.iter().any(|p| matches!(p, Parent::Node(at) if self.hangs_on(*at, node))),
        })
    }

    /// Tells whether a node is `ancestor` or hangs on it.
    pub fn hangs_on(&self, node: NodeId, ancestor: NodeId) -> bool {
        std::iter::successors(Some(node), |at| self.node(*at).parent).any(|at| at == ancestor)
    }
}
