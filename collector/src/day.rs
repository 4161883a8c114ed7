//! A calendar day in Asia/Tehran: the grain of history and KPIs.
//!
//! Most days have 24 hours. Before 1401/06/31 (2022-09-22) two days a year had 23 or 25, so a day's length is asked, not
//! assumed.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use rusta_wire::UnixMs;

/// The zone every window of every KPI is cut in. Its rules are bundled, so a stale system database cannot move a month.
pub static TEHRAN: LazyLock<TimeZone> = LazyLock::new(|| TimeZone::get("Asia/Tehran").unwrap_or(TimeZone::UTC));

/// A day, as days since 1970-01-01 on Tehran's calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Day(pub i32);

impl Day {
    /// Returns the day an instant falls on.
    pub fn of(at: UnixMs) -> Day {
        let instant = Timestamp::from_millisecond(at.0).unwrap_or(if at.0 < 0 { Timestamp::MIN } else { Timestamp::MAX });
        Day::of_date(TEHRAN.to_datetime(instant).date())
    }

    /// Returns the day of a Gregorian date.
    pub fn of_date(date: Date) -> Day {
        Day(date.since(EPOCH).map_or(0, |span| span.get_days()))
    }

    /// Returns the Gregorian date.
    pub fn date(self) -> Date {
        let outside = if self.0 < 0 { Date::MIN } else { Date::MAX };
        jiff::Span::new().try_days(self.0).and_then(|span| EPOCH.checked_add(span)).unwrap_or(outside)
    }

    /// Returns the instant the day begins.
    pub fn start(self) -> UnixMs {
        self.date().to_zoned(TEHRAN.clone()).map_or(UnixMs(0), |zoned| UnixMs(zoned.timestamp().as_millisecond()))
    }

    /// Returns the instant the next day begins.
    pub fn end(self) -> UnixMs {
        self.next().start()
    }

    /// Returns the day after.
    pub fn next(self) -> Day {
        Day(self.0 + 1)
    }

    /// Returns the day before.
    pub fn previous(self) -> Day {
        Day(self.0 - 1)
    }

    /// Returns its length: 86,400 s but for days on which the clocks changed.
    pub fn seconds(self) -> u32 {
        u32::try_from(self.end().seconds() - self.start().seconds()).unwrap_or(0)
    }
}

const EPOCH: Date = Date::constant(1970, 1, 1);

impl fmt::Display for Day {
    /// Writes `YYYY-MM-DD`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.date().fmt(f)
    }
}

impl FromStr for Day {
    type Err = String;
    /// Reads `YYYY-MM-DD`.
    fn from_str(text: &str) -> Result<Self, String> {
        text.parse::<Date>().map(Day::of_date).map_err(|_| format!("`{text}` is not a date such as 2026-11-21"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_begins_at_local_midnight() {
        let day: Day = "2026-11-21".parse().unwrap();
        // 00:00 +03:30 is 20:30 UTC of the day before.
        assert_eq!(day.start(), UnixMs(1_795_206_600_000));
        assert_eq!(Day::of(day.start()), day);
        assert_eq!(Day::of(UnixMs(day.start().0 - 1)), day.previous());
        assert_eq!(day.seconds(), 86_400);
        assert_eq!(day.to_string(), "2026-11-21");
    }

    #[test]
    fn summer_time_made_a_day_of_23_and_one_of_25_hours() {
        assert_eq!("2022-03-22".parse::<Day>().unwrap().seconds(), 23 * 3600);
        assert_eq!("2022-09-21".parse::<Day>().unwrap().seconds(), 25 * 3600);
    }
}
