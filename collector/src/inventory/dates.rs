//! Days and moments as people write them in files: Gregorian or Jalali, in Tehran's civil time.

use jiff::civil;
use rusta_wire::UnixMs;

use crate::day::{Day, TEHRAN};
use crate::persian::{JalaliDate, normalise};

/// Reads a day, Gregorian or Jalali (a year below 1700), with `-` or `/`, in Persian or ASCII digits.
pub fn day(text: &str) -> Result<civil::Date, String> {
    let expected = || "a day such as 2026-03-21 or 1405-01-01".to_owned();
    let numbers: Vec<i16> = normalise(text).split(['-', '/']).map(str::parse).collect::<Result<_, _>>().map_err(|_| expected())?;
    let &[year, month, day] = numbers.as_slice() else { return Err(expected()) };
    let (Ok(month), Ok(day)) = (u8::try_from(month), u8::try_from(day)) else { return Err(expected()) };
    match year {
        1200..1700 => JalaliDate::new(i32::from(year), month, day).map(JalaliDate::gregorian).ok_or_else(expected),
        1900..2200 => civil::Date::new(year, month.cast_signed(), day.cast_signed()).map_err(|_| expected()),
        _ => Err(expected()),
    }
}

/// Reads a moment: RFC 3339, or a day with an optional Tehran time of day.
pub fn moment(text: &str) -> Result<UnixMs, String> {
    let text = normalise(text);
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Ok(UnixMs(at.as_millisecond()));
    }
    let expected = || "a moment such as 1405-08-30 10:00 or 2026-11-21T10:00:00+03:30".to_owned();
    let (date, time) = text.split_once(['T', ' ']).unwrap_or((&text, "00:00"));
    let date = day(date).map_err(|_| expected())?;
    let minutes = minutes_of_day(time).ok_or_else(expected)?;
    Ok(at_minute(date, minutes))
}

/// Reads `HH:MM`, from `00:00` to `24:00`, as minutes after midnight.
pub fn minutes_of_day(text: &str) -> Option<u16> {
    let (hour, minute) = text.trim().split_once(':')?;
    let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
    let minutes = (minute < 60).then_some(hour.checked_mul(60)? + minute)?;
    (minutes <= 24 * 60).then_some(minutes)
}

/// Returns the moment of a civil minute of a Tehran day; 24:00 is the next day's beginning.
pub fn at_minute(date: civil::Date, minutes: u16) -> UnixMs {
    let (date, minutes) = if minutes >= 24 * 60 { (date.tomorrow().unwrap_or(date), 0) } else { (date, minutes) };
    let time = civil::Time::midnight() + jiff::Span::new().minutes(i64::from(minutes));
    let zoned = date.to_datetime(time).to_zoned(TEHRAN.clone());
    zoned.map_or_else(|_| midnight(date), |zoned| UnixMs(zoned.timestamp().as_millisecond()))
}

/// Returns the first moment of a Tehran day.
pub fn midnight(date: civil::Date) -> UnixMs {
    Day::of_date(date).start()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_read_in_either_calendar_and_script() {
        assert_eq!(day("۱۴۰۵/۰۱/۰۱").unwrap(), civil::date(2026, 3, 21));
        assert_eq!(day("2026-03-21").unwrap(), civil::date(2026, 3, 21));
        assert_eq!(day("1403-12-30").unwrap(), civil::date(2025, 3, 20));
        for bad in ["1404-12-30", "2026-02-30", "26-03-21", "today", "1405-13-01", "1405-01"] {
            assert!(day(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_moment_without_a_zone_is_tehran_time() {
        assert_eq!(moment("1405-01-01 03:30").unwrap(), moment("2026-03-21T00:00:00Z").unwrap());
        for typed in ["۱۴۰۵/۰۱/۰۱ ۰۳:۳۰", "١٤٠٥-٠١-٠١ ٠٣:٣٠", "1405/1/1  3:30", " ۱۴۰۵-۰۱-۰۱T03:30 "] {
            assert_eq!(moment(typed), moment("1405-01-01 03:30"), "{typed}");
        }
        assert_eq!(moment("1405-01-01").unwrap(), midnight(civil::date(2026, 3, 21)));
        assert_eq!(moment("1405-01-01 24:00").unwrap(), midnight(civil::date(2026, 3, 22)));
    }
}
