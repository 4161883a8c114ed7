//! Who is on call: people take turns by weeks that begin on Saturday.

use rusta_wire::UnixMs;

use crate::persian::{JalaliDate, Moment};

/// People who take turns.
#[derive(Debug, Clone, PartialEq)]
pub struct Rotation {
    /// Its name.
    pub name: String,
    /// Who, in the order of their turns.
    pub people: Vec<String>,
    /// The Saturday the first turn begins.
    pub starts: JalaliDate,
    /// Weeks in a turn.
    pub weeks: u16,
    /// Minute of the day at which turns change.
    pub handover: u16,
    /// Who takes public holidays, in turns of their own; empty means the week's person does.
    pub on_holidays: Vec<String>,
}

impl Rotation {
    /// Returns who is on call at a moment; `None` if nobody is in the rotation.
    pub fn on_call(&self, at: UnixMs, is_holiday: impl Fn(JalaliDate) -> bool) -> Option<&str> {
        let moment = Moment::at(at);
        let minute = u16::from(moment.hour.unsigned_abs()) * 60 + u16::from(moment.minute.unsigned_abs());
        // Before the handover the turn of the day before goes on.
        let day = if minute < self.handover { moment.date.plus_days(-1) } else { moment.date };
        let days = days_between(self.starts, day);
        let week = days.div_euclid(7);
        if !self.on_holidays.is_empty() && is_holiday(day) {
            return turn(&self.on_holidays, days);
        }
        turn(&self.people, week.div_euclid(i64::from(self.weeks.max(1))))
    }
}

fn turn(people: &[String], number: i64) -> Option<&str> {
    let count = i64::try_from(people.len()).ok().filter(|count| *count > 0)?;
    let place = usize::try_from(number.rem_euclid(count)).ok()?;
    people.get(place).map(String::as_str)
}

fn days_between(from: JalaliDate, until: JalaliDate) -> i64 {
    // Noon to noon: a day of 23 or 25 hours must not move a turn.
    let noon = |day: JalaliDate| day.start().0 + 12 * 3_600_000;
    (noon(until) - noon(from)).div_euclid(86_400_000).max(i64::MIN / 2)
        + i64::from((noon(until) - noon(from)).rem_euclid(86_400_000) > 43_200_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rotation() -> Rotation {
        Rotation {
            name: "noc".into(),
            people: vec!["ali".into(), "sara".into()],
            starts: JalaliDate::new(1405, 8, 2).unwrap(),
            weeks: 1,
            handover: 8 * 60,
            on_holidays: vec!["reza".into()],
        }
    }

    fn tehran(date: (i32, u8, u8), hour: i64) -> UnixMs {
        UnixMs(JalaliDate::new(date.0, date.1, date.2).unwrap().start().0 + hour * 3_600_000)
    }

    #[test]
    fn turns_change_on_saturday_morning() {
        let rotation = rotation();
        let on_call = |date, hour| rotation.on_call(tehran(date, hour), |_| false).unwrap().to_owned();
        assert_eq!(rotation.starts.weekday(), 0, "1405-08-02 is a Saturday");
        assert_eq!(on_call((1405, 8, 2), 9), "ali");
        assert_eq!(on_call((1405, 8, 8), 23), "ali");
        assert_eq!(on_call((1405, 8, 9), 7), "ali", "until the handover");
        assert_eq!(on_call((1405, 8, 9), 8), "sara");
        assert_eq!(on_call((1405, 8, 16), 12), "ali");
        assert_eq!(on_call((1405, 8, 1), 12), "sara", "also before it began");
    }

    #[test]
    fn holidays_have_people_of_their_own() {
        let rotation = rotation();
        assert_eq!(rotation.on_call(tehran((1405, 8, 4), 12), |_| true), Some("reza"));
    }
}
