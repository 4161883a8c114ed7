//! The state ribbon: one band per link, coloured by state, with its words in the titles.

use rusta_wire::UnixMs;

use super::axes::TimeAxis;
use super::coordinate;
use crate::persian::{Lang, Window};
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

/// Draws bands over a window, with the hours or days below.
pub fn ribbon(window: Window, bands: &[(String, Vec<Stretch>)], lang: Lang, title: &str) -> Html {
    let height = bands.len() as f64 * (BAND + 6.0) + 18.0;
    let axis = TimeAxis { window, width: WIDTH };
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
            let (from, until) = (axis.x(stretch.from), axis.x(stretch.until));
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
    svg.push_str(&axis.labels(height - 4.0, lang));
    svg.push_str("</svg>");
    Html(svg)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_lie_where_they_happened() {
        let window = Window { from: UnixMs(0), until: UnixMs(86_400_000) };
        let down = Stretch { from: UnixMs(21_600_000), until: UnixMs(43_200_000), tone: Tone::Bad, title: "قطع".to_owned() };
        let svg = ribbon(window, &[("apn0".to_owned(), vec![down])], Lang::Fa, "t").0;
        assert!(svg.contains("<rect class=\"f-bad\" x=\"240\" y=\"0\" width=\"240\""));
        assert!(svg.contains("۰۶:۰۰"), "{svg}");
    }
}
