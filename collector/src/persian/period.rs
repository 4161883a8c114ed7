//! The windows KPIs are asked for: now, the last day, and the Jalali day, week, month, season and year.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use rusta_wire::UnixMs;

use super::{JalaliDate, Lang, digits};

/// A half-open range of time, `[from, until)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Window {
    /// The first instant inside.
    pub from: UnixMs,
    /// The first instant after.
    pub until: UnixMs,
}

impl Window {
    /// Returns the length.
    pub fn length(self) -> Duration {
        self.until.since(self.from)
    }

    /// Tells whether an instant lies inside.
    pub fn contains(self, time: UnixMs) -> bool {
        self.from <= time && time < self.until
    }
}

/// A quarter of the Jalali year.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Season {
    /// بهار
    Spring = 1,
    /// تابستان
    Summer = 2,
    /// پاییز
    Autumn = 3,
    /// زمستان
    Winter = 4,
}

impl Season {
    const ALL: [Season; 4] = [Season::Spring, Season::Summer, Season::Autumn, Season::Winter];

    const fn first_month(self) -> u8 {
        (self as u8 - 1) * 3 + 1
    }

    const fn name(self, lang: Lang) -> &'static str {
        match self {
            Season::Spring => lang.pick("بهار", "Spring"),
            Season::Summer => lang.pick("تابستان", "Summer"),
            Season::Autumn => lang.pick("پاییز", "Autumn"),
            Season::Winter => lang.pick("زمستان", "Winter"),
        }
    }
}

/// A period as asked for on a page, in a URL or on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Period {
    /// This instant.
    Now,
    /// The 24 hours before now.
    Last24h,
    /// One Jalali day.
    Day(JalaliDate),
    /// The week, Saturday to Friday, that starts on this day.
    Week(JalaliDate),
    /// The month that starts on this day.
    Month(JalaliDate),
    /// A quarter of a year.
    Season(i32, Season),
    /// A year.
    Year(i32),
}

impl Period {
    /// Returns the Jalali month that holds an instant.
    pub fn month_at(time: UnixMs) -> Self {
        Period::Month(JalaliDate::at(time).month_start(0))
    }

    /// Returns the week that holds a day.
    pub fn week_of(day: JalaliDate) -> Self {
        Period::Week(day.plus_days(-i64::try_from(day.weekday()).unwrap_or(0)))
    }

    /// Returns the time covered; `now` is where [`Period::Now`] and [`Period::Last24h`] end.
    pub fn window(self, now: UnixMs) -> Window {
        let days = |from: JalaliDate, until: JalaliDate| Window { from: from.start(), until: until.start() };
        let months = |from: JalaliDate, count| days(from, from.month_start(count));
        match self {
            Period::Now => Window { from: now, until: now },
            Period::Last24h => Window { from: now - Duration::from_secs(86_400), until: now },
            Period::Day(day) => days(day, day.plus_days(1)),
            Period::Week(first) => days(first, first.plus_days(7)),
            Period::Month(first) => months(first, 1),
            Period::Season(year, season) => months(first_of(year, season.first_month()), 3),
            Period::Year(year) => months(first_of(year, 1), 12),
        }
    }

    /// Writes the period for people: `آبان ۱۴۰۵`.
    pub fn title(self, lang: Lang) -> String {
        match self {
            Period::Now => lang.pick("اکنون", "now").to_owned(),
            Period::Last24h => lang.pick("۲۴ ساعت گذشته", "last 24 hours").to_owned(),
            Period::Day(day) => format!("{} {}", day.weekday_name(lang), day.in_words(lang)),
            Period::Week(first) => format!("{} {}", lang.pick("هفتهٔ", "week of"), first.in_words(lang)),
            Period::Month(first) => digits(&format!("{} {}", first.month_name(lang), first.year()), lang),
            Period::Season(year, season) => digits(&format!("{} {year}", season.name(lang)), lang),
            Period::Year(year) => digits(&format!("{} {year}", lang.pick("سال", "year")), lang),
        }
    }
}

/// Returns the first day of a month; years are checked where periods are read.
fn first_of(year: i32, month: u8) -> JalaliDate {
    JalaliDate::new(year, month, 1).unwrap_or_else(|| JalaliDate::at(UnixMs(0)))
}

/// Writes the form [`Period::from_str`] reads.
impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Period::Now => f.write_str("now"),
            Period::Last24h => f.write_str("24h"),
            Period::Day(day) => day.fmt(f),
            Period::Week(first) => write!(f, "{first}w"),
            Period::Month(first) => write!(f, "{:04}-{:02}", first.year(), first.month()),
            Period::Season(year, season) => write!(f, "{year:04}-q{}", *season as u8),
            Period::Year(year) => write!(f, "{year:04}"),
        }
    }
}

impl FromStr for Period {
    type Err = String;

    /// Reads `now`, `24h`, `1405`, `1405-q3`, `1405-08`, `1405-08-30`, or `1405-08-30w` for the week that holds that day.
    fn from_str(text: &str) -> Result<Self, String> {
        let plain = super::normalise(text).to_lowercase();
        read(&plain).ok_or_else(|| {
            format!(
                "`{text}` is not a period: now, 24h, 1405 (year), 1405-q3 (season), 1405-08 (month), 1405-08-30 (day), 1405-08-30w (week)"
            )
        })
    }
}

fn read(text: &str) -> Option<Period> {
    match text {
        "now" => return Some(Period::Now),
        "24h" => return Some(Period::Last24h),
        _ => {}
    }
    if let Some(day) = text.strip_suffix('w') {
        return day.parse().ok().map(Period::week_of);
    }
    let parts: Vec<_> = text.split(['-', '/']).collect();
    let year: i32 = parts.first()?.parse().ok().filter(|year| JalaliDate::new(*year, 1, 1).is_some())?;
    match parts.as_slice() {
        [_] => Some(Period::Year(year)),
        [_, season] if season.starts_with('q') => {
            let number: u8 = season.trim_start_matches('q').parse().ok()?;
            Season::ALL.into_iter().find(|s| *s as u8 == number).map(|s| Period::Season(year, s))
        }
        [_, month] => JalaliDate::new(year, month.parse().ok()?, 1).map(Period::Month),
        _ => text.parse().ok().map(Period::Day),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn days(text: &str) -> u64 {
        text.parse::<Period>().unwrap().window(UnixMs(0)).length().as_secs() / 86_400
    }

    #[test]
    fn months_have_29_30_or_31_days() {
        assert_eq!(days("1405-01"), 31);
        assert_eq!(days("1405-07"), 30);
        assert_eq!(days("1404-12"), 29);
        assert_eq!(days("1403-12"), 30);
        assert_eq!(days("1403"), 366);
        assert_eq!(days("1404"), 365);
        assert_eq!(days("1405-q1"), 93);
        assert_eq!(days("1403-q4"), 90);
        assert_eq!(days("1405-08-30w"), 7);
    }

    #[test]
    fn neighbours_touch_and_never_overlap() {
        let mut month = JalaliDate::new(1398, 1, 1).unwrap();
        for _ in 0..150 {
            let next = month.month_start(1);
            assert_eq!(Period::Month(month).window(UnixMs(0)).until, Period::Month(next).window(UnixMs(0)).from);
            month = next;
        }
    }

    #[test]
    fn every_period_reads_back_from_its_own_text() {
        for text in ["now", "24h", "1405", "1405-q3", "1405-08", "1405-08-30", "1405-08-30w"] {
            assert_eq!(text.parse::<Period>().unwrap().to_string(), text);
        }
        assert_eq!("۱۴۰۵-۰۸".parse::<Period>(), "1405-08".parse());
        assert_eq!("1405-09-02w".parse::<Period>().unwrap().to_string(), "1405-08-30w");
        for wrong in ["", "1405-13", "1404-12-30", "1405-q5", "yesterday", "14050801", "1405-08-01-01"] {
            assert!(wrong.parse::<Period>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn titles_are_words() {
        let title = |text: &str, lang| text.parse::<Period>().unwrap().title(lang);
        assert_eq!(title("1405-08", Lang::Fa), "آبان ۱۴۰۵");
        assert_eq!(title("1405-q3", Lang::En), "Autumn 1405");
        assert_eq!(title("1405-08-30", Lang::Fa), "شنبه ۳۰ آبان ۱۴۰۵");
    }
}
