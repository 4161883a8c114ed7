//! Working hours of rules and rotations: days of a week that begins on Saturday, hours in Tehran, holidays as data.

use std::collections::BTreeSet;
use std::time::Duration;

use rusta_wire::UnixMs;

use crate::persian::{JalaliDate, Moment};

/// Named working hours.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Calendars {
    /// The calendars.
    pub calendars: Vec<Calendar>,
    /// Public holidays.
    pub holidays: BTreeSet<JalaliDate>,
}

/// Hours on some days of the week.
#[derive(Debug, Clone, PartialEq)]
pub struct Calendar {
    /// Its name.
    pub name: String,
    /// By weekday from Saturday.
    pub days: [bool; 7],
    /// Minutes after midnight, `[from, until)`; past midnight when `until` is not after `from`.
    pub minutes: (u16, u16),
    /// Whether it is closed on public holidays.
    pub except_holidays: bool,
}

impl Calendars {
    /// Finds a calendar by name.
    pub fn get(&self, name: &str) -> Option<&Calendar> {
        self.calendars.iter().find(|calendar| calendar.name == name)
    }

    /// Tells whether a moment lies in the hours of a calendar. An unknown calendar is always open: rather one call too many.
    pub fn is_open(&self, name: &str, at: UnixMs) -> bool {
        self.get(name).is_none_or(|calendar| calendar.is_open(at, &self.holidays))
    }

    /// Returns when a calendar opens next, `at` itself if it is open; `None` if it does not within a month.
    pub fn opens_at(&self, name: &str, at: UnixMs) -> Option<UnixMs> {
        const STEP: Duration = Duration::from_secs(300);
        const STEPS: usize = 31 * 24 * 12;
        if self.is_open(name, at) {
            return Some(at);
        }
        let aligned = UnixMs(at.0.div_euclid(300_000) * 300_000);
        let steps = std::iter::successors(Some(aligned + STEP), |at| Some(*at + STEP));
        steps.take(STEPS).find(|at| self.is_open(name, *at))
    }
}

impl Calendar {
    fn is_open(&self, at: UnixMs, holidays: &BTreeSet<JalaliDate>) -> bool {
        let moment = Moment::at(at);
        let minute = u16::from(moment.hour.unsigned_abs()) * 60 + u16::from(moment.minute.unsigned_abs());
        let (from, until) = self.minutes;
        let (inside, day) = match until > from {
            true => (from <= minute && minute < until, moment.date),
            // The hours after midnight belong to the day before.
            false if minute < until => (true, moment.date.plus_days(-1)),
            false => (minute >= from, moment.date),
        };
        inside && self.days[day.weekday()] && !(self.except_holidays && holidays.contains(&day))
    }
}

/// Reads `07:00-22:00`.
pub(crate) fn hours(text: &str) -> Option<(u16, u16)> {
    let (from, until) = text.split_once('-')?;
    Some((minute(from.trim())?, minute(until.trim())?))
}

fn minute(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
    (hour < 24 && minute < 60 || hour == 24 && minute == 0).then_some(hour * 60 + minute)
}

/// The days of a week as written in files, from Saturday.
pub(crate) const DAYS: [&str; 7] = ["sat", "sun", "mon", "tue", "wed", "thu", "fri"];
