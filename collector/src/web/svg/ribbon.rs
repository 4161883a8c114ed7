//! The state ribbon: one band per link, coloured by state, with its words in the titles.

use rusta_wire::UnixMs;

use super::coordinate;
use crate::persian::{Lang, Moment, Window, digits};
use crate::web::html::{Html, escape};
use crate::web::tone::Tone;

/// A stretch of time in one state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stretch {
    /// Its first instant.
    pub from: UnixMs,
    /// The first instant after it.
    pub until: UnixMs,
    /// How its state looks.
    pub tone: Tone,
    /// What its state is called, with anything worth hovering over.
    pub title: String,
}

const WIDTH: f64 = 960.0;
const BAND: f64 = 22.0;
const DAY_MS: i64 = 86_400_000;

/// Draws bands over a window, with the hours or days below.
pub fn ribbon(window: Window, bands: &[(String, Vec<Stretch>)], lang: Lang, title: &str) -> Html {
    let height = bands.len() as f64 * (BAND + 6.0) + 18.0;
    let x = scale(window);
    let mut svg = format!(
        "<svg class=\"chart ribbon\" viewBox=\"0 0 {WIDTH:.0} {height:.0}\" role=\"img\" aria-label=\"{0}\"><title>{0}</title>",
        escape(title)
    );
    for (at, (name, stretches)) in bands.iter().enumerate() {
        let y = at as f64 * (BAND + 6.0);
        svg.push_str(&format!(
            "<g><title>{}</title><rect class=\"track\" y=\"{y:.0}\" width=\"{WIDTH:.0}\" height=\"{BAND:.0}\"/>",
            escape(name)
        ));
        for stretch in stretches {
            let (from, until) = (x(stretch.from), x(stretch.until));
            svg.push_str(&format!(
                "<rect class=\"f-{}\" x=\"{}\" y=\"{y:.0}\" width=\"{}\" height=\"{BAND:.0}\"><title>{}</title></rect>",
                stretch.tone.as_str(),
                coordinate(from),
                // An outage of a minute in a day is still an outage.
                coordinate((until - from).max(1.0)),
                escape(&stretch.title)
            ));
        }
        svg.push_str("</g>");
    }
    svg.push_str(&time_axis(window, height - 4.0, lang));
    svg.push_str("</svg>");
    Html(svg)
}

/// Maps an instant of the window to its place on a drawing 960 wide.
pub(super) fn scale(window: Window) -> impl Fn(UnixMs) -> f64 {
    let (from, length) = (window.from.0, (window.until.0 - window.from.0).max(1));
    move |at| ((at.0 - from) as f64 / length as f64).clamp(0.0, 1.0) * WIDTH
}

/// Labels hours for up to two days, days for longer.
pub(super) fn time_axis(window: Window, y: f64, lang: Lang) -> String {
    let x = scale(window);
    let step = match (window.until.0 - window.from.0) / 3_600_000 {
        0..=2 => 900_000,
        3..=12 => 3_600_000,
        13..=48 => 3 * 3_600_000,
        49..=240 => DAY_MS,
        241..=1000 => 5 * DAY_MS,
        _ => 30 * DAY_MS,
    };
    // Tehran is 3½ hours ahead of UTC: its whole hours are half hours there.
    let offset = 12_600_000;
    let mut at = (window.from.0 + offset).div_euclid(step) * step + step - offset;
    let mut text = String::new();
    while at < window.until.0 {
        let moment = Moment::at(UnixMs(at));
        let day = || digits(&format!("{}/{}", moment.date.month(), moment.date.day()), lang);
        let label = if step < DAY_MS { moment.clock(lang) } else { day() };
        let place = x(UnixMs(at));
        // Labels too close to the ends would be cut.
        if place > 20.0 && place < WIDTH - 20.0 {
            text.push_str(&format!("<text x=\"{0}\" y=\"{y:.0}\">{label}</text>", coordinate(place)));
        }
        at += step;
    }
    format!("<g class=\"axis\">{text}</g>")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_lie_where_they_happened() {
        let window = Window { from: UnixMs(0), until: UnixMs(DAY_MS) };
        let down = Stretch { from: UnixMs(21_600_000), until: UnixMs(43_200_000), tone: Tone::Bad, title: "قطع".to_owned() };
        let svg = ribbon(window, &[("apn0".to_owned(), vec![down])], Lang::Fa, "t").0;
        assert!(svg.contains("<rect class=\"f-bad\" x=\"240\" y=\"0\" width=\"240\""));
        assert!(svg.contains("۰۶:۰۰"), "{svg}");
    }
}
