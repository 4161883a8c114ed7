//! Calendars and billing cycles: which day a date is, and which day a cycle began, in the Gregorian or the Jalali calendar. Pure arithmetic on day numbers.

use rusta_wire::UnixMs;
use serde::Deserialize;

/// The calendar a billing cycle follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Calendar {
    /// The Iranian solar calendar.
    #[default]
    Jalali,
    /// The Gregorian calendar.
    Gregorian,
}

/// Plans in Iran turn over at local midnight; Tehran is 3 h 30 min ahead of UTC, without daylight saving since 2022.
const TEHRAN_OFFSET_S: i64 = 12_600;

/// 1404/01/01 is 2025-03-21, this many days after 1970-01-01.
const JALALI_1404: i64 = 20_168;

/// Returns the local day number since 1970-01-01.
pub fn local_day(at: UnixMs) -> i64 {
    (at.seconds() + TEHRAN_OFFSET_S).div_euclid(86_400)
}

/// Reads a date of a calendar, as in `1405-09-01`, and returns its day number.
///
/// # Errors
/// A sentence with the form expected; also for a date of the other calendar.
pub fn day_of(text: &str, calendar: Calendar) -> Result<i64, String> {
    let (name, example) = match calendar {
        Calendar::Jalali => ("Jalali", "1405-09-01"),
        Calendar::Gregorian => ("Gregorian", "2026-11-22"),
    };
    let parts: Option<Vec<i64>> = text.split('-').map(|part| part.parse().ok()).collect();
    let day = match parts.as_deref() {
        Some([year, month @ 1..=12, day @ 1..=31]) => first_of_month(*year, *month, calendar).map(|first| first + day - 1),
        _ => None,
    };
    // The 31st of a short month is the first of the next.
    let is_date = |day: &i64| text.ends_with(&format!("-{:02}", day_of_month(*day, calendar)));
    day.filter(is_date).ok_or_else(|| format!("`{text}` is no date of the {name} calendar, as in {example}"))
}

fn first_of_month(year: i64, month: i64, calendar: Calendar) -> Option<i64> {
    match calendar {
        Calendar::Jalali if (1400..1500).contains(&year) => {
            let years: i64 = (1404..year).map(jalali_year_days).sum::<i64>() - (year..1404).map(jalali_year_days).sum::<i64>();
            Some(JALALI_1404 + years + (month - 1).min(6) * 31 + (month - 7).max(0) * 30)
        }
        // Howard Hinnant's `days_from_civil`.
        Calendar::Gregorian if (2020..2120).contains(&year) => {
            let year = if month <= 2 { year - 1 } else { year };
            let of_year = (153 * ((month + 9) % 12) + 2) / 5;
            Some(year * 365 + year / 4 - year / 100 + year / 400 + of_year - 719_468)
        }
        _ => None,
    }
}

/// Returns the first day of the cycle `day` is in, when cycles begin on the `begins`-th of a month, or on its last day
/// where a month is shorter.
pub fn start_of(day: i64, begins: u8, calendar: Calendar) -> i64 {
    let is_start = |day: &i64| {
        let of_month = day_of_month(*day, calendar);
        of_month == begins || of_month < begins && day_of_month(day + 1, calendar) == 1
    };
    // Two neighbouring starts are never more than 62 days apart.
    (day - 62..=day).rev().find(is_start).unwrap_or(day)
}

/// Returns the first day of the cycle after the one `day` is in.
pub fn end_of(day: i64, begins: u8, calendar: Calendar) -> i64 {
    let start = start_of(day, begins, calendar);
    (day + 1..day + 63).find(|d| start_of(*d, begins, calendar) != start).unwrap_or(day + 31)
}

fn day_of_month(day: i64, calendar: Calendar) -> u8 {
    let of_month = match calendar {
        Calendar::Gregorian => gregorian_day_of_month(day),
        Calendar::Jalali => jalali_day_of_month(day),
    };
    u8::try_from(of_month).unwrap_or(1)
}

/// Howard Hinnant's `civil_from_days`.
fn gregorian_day_of_month(day: i64) -> i64 {
    let shifted = day + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted - era * 146_097;
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    of_year - (153 * month + 2) / 5 + 1
}

/// Leap years come again after 33 years, which have this many days.
const JALALI_ROUND: i64 = 33 * 365 + 8;

fn jalali_day_of_month(day: i64) -> i64 {
    let day = JALALI_1404 + (day - JALALI_1404).rem_euclid(JALALI_ROUND);
    let (mut year, mut begins) = (1404, JALALI_1404);
    while day >= begins + jalali_year_days(year) {
        begins += jalali_year_days(year);
        year += 1;
    }
    let of_year = day - begins;
    // Six months of 31 days, then months of 30; the last has 29 or 30.
    if of_year < 186 { of_year % 31 + 1 } else { (of_year - 186) % 30 + 1 }
}

/// The 33-year cycle, which agrees with the observed calendar from 1343 to 1472.
fn jalali_year_days(year: i64) -> i64 {
    if (25 * year + 11).rem_euclid(33) < 8 { 366 } else { 365 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2024-03-20, 1403/01/01.
    const JALALI_1403: i64 = 19_802;

    #[test]
    fn known_jalali_days() {
        assert_eq!(jalali_day_of_month(JALALI_1404), 1);
        assert_eq!(jalali_day_of_month(JALALI_1404 - 1), 30);
        assert_eq!(jalali_day_of_month(JALALI_1403), 1);
        // 1399/11/05 = 2021-01-24, 1401/04/22 = 2022-07-13.
        assert_eq!(jalali_day_of_month(18_651), 5);
        assert_eq!(jalali_day_of_month(19_186), 22);
        let leaps: Vec<i64> = (1395..1412).filter(|y| jalali_year_days(*y) == 366).collect();
        assert_eq!(leaps, [1395, 1399, 1403, 1408]);
    }

    #[test]
    fn dates_are_read_in_their_own_calendar() {
        for (text, calendar, day) in [
            ("1404-01-01", Calendar::Jalali, JALALI_1404),
            ("1403-01-01", Calendar::Jalali, JALALI_1403),
            ("1403-12-30", Calendar::Jalali, JALALI_1404 - 1),
            ("1401-04-22", Calendar::Jalali, 19_186),
            ("2021-01-24", Calendar::Gregorian, 18_651),
            ("2024-02-29", Calendar::Gregorian, 19_782),
        ] {
            assert_eq!(day_of(text, calendar), Ok(day), "{text}");
        }
        for wrong in ["1404-12-30", "1405-07-31", "2026-11-22", "1405-13-01", "1405-09", "1405-9-x", "", "1405-09-01-01"] {
            assert!(day_of(wrong, Calendar::Jalali).unwrap_err().contains("as in 1405-09-01"), "{wrong}");
        }
        assert!(day_of("1405-09-01", Calendar::Gregorian).is_err() && day_of("2026-02-29", Calendar::Gregorian).is_err());
    }

    #[test]
    fn no_time_whatever_takes_long_to_be_placed() {
        for day in [i64::MIN / 4, -1_000_000_000_000, 0, 1_000_000_000_000, i64::MAX / 4] {
            for calendar in [Calendar::Jalali, Calendar::Gregorian] {
                assert!(start_of(day, 1, calendar) <= day && end_of(day, 1, calendar) > day);
            }
        }
    }

    #[test]
    fn known_gregorian_days() {
        assert_eq!([0, 58, 59, 18_651, 19_782].map(gregorian_day_of_month), [1, 28, 1, 24, 29]);
    }

    #[test]
    fn cycles_cover_every_day_once() {
        for calendar in [Calendar::Gregorian, Calendar::Jalali] {
            for begins in [1, 15, 29, 30, 31] {
                let mut day = JALALI_1403;
                while day < JALALI_1404 + 400 {
                    let (start, end) = (start_of(day, begins, calendar), end_of(day, begins, calendar));
                    assert!(start <= day && day < end && (28..=62).contains(&(end - start)), "{calendar:?} {begins} {day}: {start}..{end}");
                    assert_eq!(start_of(end, begins, calendar), end);
                    day = end;
                }
            }
        }
    }

    #[test]
    fn a_day_turns_at_midnight_in_tehran() {
        assert_eq!(local_day(UnixMs::from_seconds(86_400 - 12_600 - 1)), 0);
        assert_eq!(local_day(UnixMs::from_seconds(86_400 - 12_600)), 1);
    }
}
