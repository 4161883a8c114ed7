//! The Jalali calendar and Tehran's clock.
//!
//! Leap years come from the astronomical rule of `icu_calendar` (1399, 1403 and 1408 are leap; the 2820-year rule is wrong
//! for 1404). Days begin at Tehran's midnight, which before 1401/06/31 was an hour off for half the year, so some
//! days have 23 or 25 hours. The zone comes from the bundled database: a server with old zone files cannot move a day.

use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

use icu_calendar::cal::Persian;
use icu_calendar::{Date, Iso};
use jiff::civil;
use jiff::tz::{Offset, TimeZone, TimeZoneDatabase};
use rusta_wire::UnixMs;

use super::{Lang, digits, isolate};

/// A day of the Jalali calendar that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JalaliDate {
    year: i32,
    month: u8,
    day: u8,
}

/// Names of the days in both languages, Saturday first.
pub const WEEKDAYS: [(&str, &str); 7] = [
    ("شنبه", "Saturday"),
    ("یکشنبه", "Sunday"),
    ("دوشنبه", "Monday"),
    ("سه‌شنبه", "Tuesday"),
    ("چهارشنبه", "Wednesday"),
    ("پنجشنبه", "Thursday"),
    ("جمعه", "Friday"),
];

const MONTHS: [(&str, &str); 12] = [
    ("فروردین", "Farvardin"),
    ("اردیبهشت", "Ordibehesht"),
    ("خرداد", "Khordad"),
    ("تیر", "Tir"),
    ("مرداد", "Mordad"),
    ("شهریور", "Shahrivar"),
    ("مهر", "Mehr"),
    ("آبان", "Aban"),
    ("آذر", "Azar"),
    ("دی", "Dey"),
    ("بهمن", "Bahman"),
    ("اسفند", "Esfand"),
];

/// Years outside this range are typing mistakes; inside it the calendar is exact and times fit every type used here.
const YEARS: std::ops::RangeInclusive<i32> = 1200..=1600;

impl JalaliDate {
    /// Builds a day; `None` if the calendar has no such day.
    pub fn new(year: i32, month: u8, day: u8) -> Option<Self> {
        if !YEARS.contains(&year) {
            return None;
        }
        Date::try_new_persian(year, month, day).ok().map(|_| JalaliDate { year, month, day })
    }

    /// Returns the day it is in Tehran at a time.
    pub fn at(time: UnixMs) -> Self {
        Self::of_gregorian(tehran_time(time).date())
    }

    /// Returns the Jalali name of a Gregorian day.
    pub fn of_gregorian(day: civil::Date) -> Self {
        let (month, day_of_month) = (day.month().unsigned_abs(), day.day().unsigned_abs());
        let persian = Date::try_new_iso(i32::from(day.year()), month, day_of_month).map(|iso: Date<Iso>| iso.to_calendar(Persian));
        match persian {
            Ok(date) => JalaliDate { year: date.year().extended_year(), month: date.month().ordinal, day: date.day_of_month().0 },
            // `jiff` only builds days that exist, so ISO knows them all.
            Err(_) => JalaliDate { year: *YEARS.start(), month: 1, day: 1 },
        }
    }

    /// Returns the year, such as 1405.
    pub const fn year(self) -> i32 {
        self.year
    }

    /// Returns the month, 1 to 12.
    pub const fn month(self) -> u8 {
        self.month
    }

    /// Returns the day of the month, 1 to 31.
    pub const fn day(self) -> u8 {
        self.day
    }

    /// Returns the Gregorian name of the day.
    pub fn gregorian(self) -> civil::Date {
        let iso = Date::try_new_persian(self.year, self.month, self.day).map(|date| date.to_calendar(Iso));
        iso.ok()
            .and_then(|date| {
                let year = i16::try_from(date.year().extended_year()).ok()?;
                civil::Date::new(year, i8::try_from(date.month().ordinal).ok()?, i8::try_from(date.day_of_month().0).ok()?).ok()
            })
            .unwrap_or(civil::Date::ZERO)
    }

    /// Returns the first instant of the day in Tehran.
    pub fn start(self) -> UnixMs {
        self.gregorian().to_zoned(tehran().clone()).map_or(UnixMs(0), |zoned| UnixMs(zoned.timestamp().as_millisecond()))
    }

    /// Returns the day `days` later, or earlier if negative.
    pub fn plus_days(self, days: i64) -> Self {
        let span = jiff::Span::new().try_days(days).unwrap_or_default();
        Self::of_gregorian(self.gregorian().saturating_add(span))
    }

    /// Returns the first day of the month `months` later, or earlier if negative.
    pub fn month_start(self, months: i32) -> Self {
        let count = self.year * 12 + i32::from(self.month) - 1 + months;
        let month = u8::try_from(count.rem_euclid(12)).unwrap_or(0) + 1;
        JalaliDate { year: count.div_euclid(12), month, day: 1 }
    }

    /// Returns how many days the month has: 29, 30 or 31.
    pub fn days_in_month(self) -> u8 {
        Date::try_new_persian(self.year, self.month, 1).map_or(30, |date| date.days_in_month())
    }

    /// Returns the place in the week, Saturday 0 to Friday 6.
    pub fn weekday(self) -> usize {
        let monday = usize::from(self.gregorian().weekday().to_monday_zero_offset().unsigned_abs());
        (monday + 2) % 7
    }

    /// Returns the weekday's name.
    pub fn weekday_name(self, lang: Lang) -> &'static str {
        let (fa, en) = WEEKDAYS[self.weekday()];
        lang.pick(fa, en)
    }

    /// Returns the month's name.
    pub fn month_name(self, lang: Lang) -> &'static str {
        let (fa, en) = MONTHS[usize::from(self.month.clamp(1, 12)) - 1];
        lang.pick(fa, en)
    }

    /// Writes the day in words: `۳۰ آبان ۱۴۰۵`.
    pub fn in_words(self, lang: Lang) -> String {
        digits(&format!("{} {} {}", self.day, self.month_name(lang), self.year), lang)
    }

    /// Writes the day in figures with the language's digits: `۱۴۰۵/۰۸/۳۰`.
    pub fn in_figures(self, lang: Lang) -> String {
        digits(&format!("{:04}/{:02}/{:02}", self.year, self.month, self.day), lang)
    }
}

/// Writes `1405-08-30`, the form of files, URLs and JSON.
impl fmt::Display for JalaliDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl FromStr for JalaliDate {
    type Err = String;

    /// Reads `1405-08-30` or `1405/08/30`, in ASCII or Persian digits.
    fn from_str(text: &str) -> Result<Self, String> {
        let plain = super::normalise(text);
        let parts: Vec<_> = plain.split(['-', '/']).collect();
        let [year, month, day] = parts.as_slice() else { return Err(format!("`{text}` is not a day such as 1405-08-30")) };
        let date = || JalaliDate::new(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?);
        date().ok_or_else(|| format!("`{text}` is not a day of the Jalali calendar"))
    }
}

/// An instant as people in Iran read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The day in Tehran.
    pub date: JalaliDate,
    /// The hour in Tehran.
    pub hour: i8,
    /// The minute.
    pub minute: i8,
    /// The instant itself.
    pub at: UnixMs,
}

impl Moment {
    /// Reads Tehran's clock at an instant.
    pub fn at(time: UnixMs) -> Self {
        let civil = tehran_time(time);
        Moment { date: JalaliDate::of_gregorian(civil.date()), hour: civil.hour(), minute: civil.minute(), at: time }
    }

    /// Writes the time of day: `۱۴:۰۵`.
    pub fn clock(self, lang: Lang) -> String {
        isolate(&digits(&format!("{:02}:{:02}", self.hour, self.minute), lang))
    }

    /// Writes day and time: `۱۴۰۵/۰۸/۳۰ ۱۴:۰۵`, isolated.
    pub fn full(self, lang: Lang) -> String {
        isolate(&format!("{} {}", self.date.in_figures(lang), digits(&format!("{:02}:{:02}", self.hour, self.minute), lang)))
    }

    /// Writes the instant for a terminal: Tehran's civil time with its offset, `2026-11-21 13:30:00+03:30`.
    pub fn in_tehran(self) -> String {
        let zoned = jiff::Timestamp::from_millisecond(self.at.0).map(|at| at.to_zoned(tehran().clone()));
        zoned.map_or_else(|_| String::new(), |zoned| zoned.strftime("%Y-%m-%d %H:%M:%S%:z").to_string())
    }

    /// Writes the instant as RFC 3339 in UTC, as JSON and `<time datetime>` want it.
    pub fn rfc3339(self) -> String {
        jiff::Timestamp::from_millisecond(self.at.0).map_or_else(|_| String::new(), |t| t.to_string())
    }
}

fn tehran_time(time: UnixMs) -> civil::DateTime {
    let timestamp = jiff::Timestamp::from_millisecond(time.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    tehran().to_datetime(timestamp)
}

fn tehran() -> &'static TimeZone {
    static ZONE: OnceLock<TimeZone> = OnceLock::new();
    ZONE.get_or_init(|| {
        // The database is compiled in, so the fixed offset is never used; it is today's legal time.
        let legal_time = Offset::from_seconds(12_600).map_or(TimeZone::UTC, TimeZone::fixed);
        TimeZoneDatabase::bundled().get("Asia/Tehran").unwrap_or(legal_time)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(year: i32, month: u8, day: u8) -> JalaliDate {
        JalaliDate::new(year, month, day).unwrap()
    }

    #[test]
    fn known_days_agree_in_both_directions() {
        let known = [
            ((1399, 11, 5), (2021, 1, 24)),
            ((1401, 4, 22), (2022, 7, 13)),
            ((1403, 1, 1), (2024, 3, 20)),
            ((1403, 12, 30), (2025, 3, 20)),
            ((1404, 1, 1), (2025, 3, 21)),
            ((1405, 1, 1), (2026, 3, 21)),
        ];
        for ((y, m, d), (gy, gm, gd)) in known {
            let gregorian = civil::Date::new(gy, gm, gd).unwrap();
            assert_eq!(day(y, m, d).gregorian(), gregorian);
            assert_eq!(JalaliDate::of_gregorian(gregorian), day(y, m, d));
        }
    }

    #[test]
    fn leap_years_are_1399_1403_and_1408() {
        let leap: Vec<_> = (1398..=1410).filter(|year| JalaliDate::new(*year, 12, 30).is_some()).collect();
        assert_eq!(leap, [1399, 1403, 1408]);
        assert_eq!(day(1403, 12, 1).days_in_month(), 30);
        assert_eq!(day(1404, 12, 1).days_in_month(), 29);
        assert_eq!(JalaliDate::new(1404, 7, 31), None);
        assert_eq!(JalaliDate::new(0, 1, 1), None);
    }

    #[test]
    fn days_begin_at_tehran_midnight_and_may_have_23_or_25_hours() {
        assert_eq!(day(1405, 8, 30).start(), UnixMs(1_795_206_600_000));
        let hours = |date: JalaliDate| date.plus_days(1).start().since(date.start()).as_secs() / 3600;
        assert_eq!(hours(day(1401, 1, 2)), 23);
        assert_eq!(hours(day(1401, 6, 30)), 25);
        assert_eq!(hours(day(1402, 1, 2)), 24);
    }

    #[test]
    fn an_instant_has_the_date_of_tehran_not_of_greenwich() {
        let evening = UnixMs(day(1405, 8, 30).start().0 - 1);
        assert_eq!(JalaliDate::at(evening), day(1405, 8, 29));
        assert_eq!(Moment::at(evening).clock(Lang::Fa), "\u{2068}۲۳:۵۹\u{2069}");
        assert_eq!(Moment::at(evening).rfc3339(), "2026-11-20T20:29:59.999Z");
    }

    #[test]
    fn weeks_begin_on_saturday() {
        assert_eq!(day(1405, 8, 30).weekday_name(Lang::En), "Saturday");
        assert_eq!(day(1405, 8, 29).weekday_name(Lang::Fa), "جمعه");
    }

    #[test]
    fn months_step_over_the_year() {
        assert_eq!(day(1405, 1, 20).month_start(-1), day(1404, 12, 1));
        assert_eq!(day(1403, 12, 30).month_start(1), day(1404, 1, 1));
    }

    #[test]
    fn days_read_back_from_figures() {
        assert_eq!("۱۴۰۳/۱۲/۳۰".parse::<JalaliDate>().unwrap(), day(1403, 12, 30));
        assert_eq!(day(1405, 8, 3).to_string(), "1405-08-03");
        assert_eq!(day(1405, 8, 3).in_words(Lang::Fa), "۳ آبان ۱۴۰۵");
        assert!("1404-12-30".parse::<JalaliDate>().is_err());
        assert!("1404-12".parse::<JalaliDate>().is_err());
    }
}
