//! What every chart over time shares: where an instant lies, and the labels of both axes.

use rusta_wire::UnixMs;

use super::coordinate;
use crate::persian::{JalaliDate, Lang, Moment, Window, digits};

const HOUR_MS: i64 = 3_600_000;

/// A window drawn on so many units.
#[derive(Debug, Clone, Copy)]
pub struct TimeAxis {
    /// What is drawn.
    pub window: Window,
    /// How wide.
    pub width: f64,
}

impl TimeAxis {
    /// Returns where an instant lies; the ends for what is outside.
    pub fn x(&self, at: UnixMs) -> f64 {
        let length = (self.window.until.0 - self.window.from.0).max(1);
        ((at.0 - self.window.from.0) as f64 / length as f64).clamp(0.0, 1.0) * self.width
    }

    /// Draws hours for up to two days, days for up to a quarter, months for longer; `y` is the text's foot.
    pub fn labels(&self, y: f64, lang: Lang) -> String {
        let marks = self.marks(lang);
        // Labels keep their distance: every second or third is left out where they would touch.
        let widest = marks.iter().map(|(_, label)| label.chars().count()).max().unwrap_or(1) as f64 * 7.0 + 14.0;
        let room = (self.width / widest).floor().max(1.0) as usize;
        let step = marks.len().div_ceil(room).max(1);
        let shown = marks.iter().step_by(step).filter(|(at, _)| {
            let place = self.x(*at);
            // Labels too close to the ends would be cut.
            place > widest / 2.0 - 4.0 && place < self.width - widest / 2.0 + 4.0
        });
        let text: String =
            shown.map(|(at, label)| format!("<text x=\"{}\" y=\"{y:.0}\">{label}</text>", coordinate(self.x(*at)))).collect();
        format!("<g class=\"axis\">{text}</g>")
    }

    fn marks(&self, lang: Lang) -> Vec<(UnixMs, String)> {
        let hours = (self.window.until.0 - self.window.from.0) / HOUR_MS;
        match hours {
            0..=2 => self.every(HOUR_MS / 4, lang),
            3..=12 => self.every(HOUR_MS, lang),
            13..=48 => self.every(3 * HOUR_MS, lang),
            49..=2_200 => self.days(lang),
            _ => self.months(lang),
        }
    }

    fn every(&self, step: i64, lang: Lang) -> Vec<(UnixMs, String)> {
        // Tehran is 3½ hours ahead of UTC: its whole hours are half hours there.
        let offset = 3 * HOUR_MS + HOUR_MS / 2;
        let first = (self.window.from.0 + offset).div_euclid(step) * step + step - offset;
        let instants = std::iter::successors(Some(first), |at| Some(at + step)).take_while(|at| *at < self.window.until.0);
        instants.map(|at| (UnixMs(at), Moment::at(UnixMs(at)).clock(lang))).collect()
    }

    fn days(&self, lang: Lang) -> Vec<(UnixMs, String)> {
        let first = JalaliDate::at(self.window.from).plus_days(1);
        let days = std::iter::successors(Some(first), |day| Some(day.plus_days(1))).take_while(|day| day.start() < self.window.until);
        days.map(|day| (day.start(), digits(&format!("{}/{}", day.month(), day.day()), lang))).collect()
    }

    fn months(&self, lang: Lang) -> Vec<(UnixMs, String)> {
        let first = JalaliDate::at(self.window.from).month_start(1);
        let months = std::iter::successors(Some(first), |day| Some(day.month_start(1))).take_while(|day| day.start() < self.window.until);
        months.map(|day| (day.start(), day.month_name(lang).to_owned())).collect()
    }

    /// Returns the width of a slot.
    pub fn slot(&self, slot_ms: i64) -> f64 {
        self.x(UnixMs(self.window.from.0 + slot_ms)).max(0.5)
    }
}

/// Values of a chart, drawn from `bottom` up to `top`.
#[derive(Debug, Clone, Copy)]
pub struct ValueAxis {
    /// The value at the bottom.
    pub low: f64,
    /// The value at the top.
    pub high: f64,
    /// Where the highest value lies.
    pub top: f64,
    /// Where the lowest value lies.
    pub bottom: f64,
}

impl ValueAxis {
    /// Returns where a value lies; the ends for what is outside.
    pub fn y(&self, value: f64) -> f64 {
        let part = ((value - self.low) / (self.high - self.low).max(f64::EPSILON)).clamp(0.0, 1.0);
        self.bottom - part * (self.bottom - self.top)
    }

    /// Draws a line at each value, across `width`.
    pub fn grid(&self, values: &[f64], width: f64) -> String {
        let line = |value: &f64| format!("M0 {}h{width:.0}", coordinate(self.y(*value)));
        format!("<path class=\"grid\" d=\"{}\"/>", values.iter().map(line).collect::<String>())
    }

    /// Writes each value under its line.
    pub fn labels(&self, values: &[f64], name: impl Fn(f64) -> String) -> String {
        let label = |value: &f64| {
            let y = coordinate(self.y(*value));
            format!("<text class=\"scale\" x=\"4\" y=\"{y}\" dy=\"11\">\u{2066}{}\u{2069}</text>", name(*value))
        };
        values.iter().map(label).collect()
    }
}

/// Returns the smallest round number that is at least `most`.
pub fn ceiling(most: f64) -> f64 {
    if !most.is_finite() || most <= 0.0 {
        return 1.0;
    }
    let power = 10_f64.powf(most.log10().floor());
    let steps = [1.0, 2.0, 4.0, 6.0, 8.0, 10.0];
    steps.into_iter().map(|step| step * power).find(|step| *step >= most * 0.999_999).unwrap_or(power * 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: i64 = 24 * HOUR_MS;

    fn axis(days: i64) -> TimeAxis {
        // 1405/08/30 00:00 in Tehran.
        let until = UnixMs(1_795_206_600_000);
        TimeAxis { window: Window { from: UnixMs(until.0 - days * DAY_MS), until }, width: 960.0 }
    }

    #[test]
    fn a_year_is_labelled_by_month_a_week_by_day_a_day_by_hour() {
        assert!(axis(365).labels(10.0, Lang::Fa).contains("فروردین"));
        let week = axis(7).labels(10.0, Lang::Fa);
        assert!(week.contains("۸/۲۶"), "{week}");
        assert!(axis(1).labels(10.0, Lang::En).contains("06:00"));
    }

    #[test]
    fn labels_never_touch() {
        for days in [1, 7, 30, 90, 365] {
            for width in [470.0, 960.0] {
                let text = TimeAxis { width, ..axis(days) }.labels(10.0, Lang::Fa);
                let places: Vec<f64> = text.split("x=\"").skip(1).map(|rest| rest.split('"').next().unwrap().parse().unwrap()).collect();
                assert!(!places.is_empty(), "{days} days on {width}");
                assert!(places.windows(2).all(|pair| pair[1] - pair[0] > 30.0), "{days} days on {width}: {places:?}");
            }
        }
    }

    #[test]
    fn scales_end_in_round_numbers() {
        assert_eq!([0.0, 0.3, 7.2, 10.0, 41.0, 5_100.0].map(ceiling), [1.0, 0.4, 8.0, 10.0, 60.0, 6_000.0]);
    }
}
