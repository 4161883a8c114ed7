//! A gauge over time: its median as a line inside its spread, over bands that say what is good.

use rusta_wire::UnixMs;

use super::axes::{TimeAxis, ValueAxis};
use super::coordinate;
use crate::persian::{Lang, Window, decimal};
use crate::web::html::{Html, escape};
use crate::web::tone::Tone;

/// One slot of a line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Its first instant.
    pub at: UnixMs,
    /// Smallest, median and largest value.
    pub values: (f64, f64, f64),
}

/// One line of a chart.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// Class of the style sheet: `one` or `two`.
    pub class: &'static str,
    /// Its slots, in order.
    pub points: Vec<Point>,
    /// Length of a slot.
    pub slot_ms: i64,
}

/// A range of values with a meaning.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Band {
    /// From this value on, up to the band above.
    pub from: f64,
    /// How it looks.
    pub tone: Tone,
    /// What it is called.
    pub word: &'static str,
}

/// A chart of one or two lines.
#[derive(Debug, Clone, PartialEq)]
pub struct Gauge<'a> {
    /// The time drawn.
    pub window: Window,
    /// Lowest and highest value of the scale.
    pub scale: (f64, f64),
    /// Values with a line and a label.
    pub ticks: Vec<f64>,
    /// Decimals of those labels.
    pub places: usize,
    /// Bands from the lowest up; the lowest reaches down to the scale's end.
    pub bands: &'a [Band],
    /// Slots to mark along the foot, such as hours on battery, and their length.
    pub marked: (Vec<UnixMs>, i64),
    /// The lines.
    pub lines: Vec<Line>,
    /// What is drawn, for a screen reader.
    pub title: String,
}

const WIDTH: f64 = 470.0;
const HEIGHT: f64 = 150.0;
const TOP: f64 = 6.0;
const BOTTOM: f64 = 126.0;

/// Draws a gauge half as wide as a page.
pub fn gauge_chart(gauge: &Gauge<'_>, lang: Lang) -> Html {
    let time = TimeAxis { window: gauge.window, width: WIDTH };
    let value = ValueAxis { low: gauge.scale.0, high: gauge.scale.1, top: TOP, bottom: BOTTOM };
    let mut svg = format!(
        "<svg class=\"chart half\" viewBox=\"0 0 {WIDTH:.0} {HEIGHT:.0}\" role=\"img\" aria-label=\"{0}\"><title>{0}</title>",
        escape(&gauge.title)
    );
    svg.push_str(&bands(gauge.bands, value));
    svg.push_str(&value.grid(&gauge.ticks, WIDTH));
    for line in &gauge.lines {
        // A gap of more than two slots is a gap in what is known.
        for run in line.points.chunk_by(|a, b| b.at.0 - a.at.0 <= line.slot_ms * 2) {
            svg.push_str(&drawn(run, line, time, value));
        }
    }
    let (marked, length) = &gauge.marked;
    let width = coordinate(time.slot(*length).max(2.0));
    let mark = |at: &UnixMs| format!("M{} {BOTTOM:.0}h{width}", coordinate(time.x(*at)));
    if !marked.is_empty() {
        svg.push_str(&format!("<path class=\"loss-most\" d=\"{}\"/>", marked.iter().map(mark).collect::<String>()));
    }
    svg.push_str(&value.labels(&gauge.ticks, |tick| decimal(tick, gauge.places, lang)));
    svg.push_str(&time.labels(HEIGHT - 5.0, lang));
    svg.push_str("</svg>");
    Html(svg)
}

fn bands(bands: &[Band], value: ValueAxis) -> String {
    let mut below = value.y(value.low);
    let mut svg = String::new();
    let edges = bands.iter().skip(1).map(|band| value.y(band.from)).chain([value.y(value.high)]);
    for (band, top) in bands.iter().zip(edges) {
        if below - top > 0.5 {
            svg.push_str(&format!(
                "<rect class=\"band f-{}\" y=\"{}\" width=\"{WIDTH:.0}\" height=\"{}\"><title>{}</title></rect>",
                band.tone.as_str(),
                coordinate(top),
                coordinate(below - top),
                escape(band.word)
            ));
        }
        if below - top > 13.0 {
            let y = coordinate(below - 4.0);
            svg.push_str(&format!("<text class=\"bandword\" x=\"{:.0}\" y=\"{y}\">{}</text>", WIDTH - 5.0, escape(band.word)));
        }
        below = top;
    }
    svg
}

fn drawn(run: &[Point], line: &Line, time: TimeAxis, value: ValueAxis) -> String {
    let half = line.slot_ms / 2;
    let x = |point: &Point| coordinate(time.x(UnixMs(point.at.0 + half)));
    if let [only] = run {
        // One slot alone is a dash: a path of one point would be invisible.
        let dash =
            format!("M{} {}h{}", coordinate(time.x(only.at)), coordinate(value.y(only.values.1)), coordinate(time.slot(line.slot_ms)));
        return format!("<path class=\"line {}\" d=\"{dash}\"/>", line.class);
    }
    let pen = |at: usize| if at == 0 { 'M' } else { 'L' };
    let (mut above, mut below, mut middle) = (String::new(), String::new(), String::new());
    for (at, point) in run.iter().enumerate() {
        let (least, median, most) = point.values;
        above.push_str(&format!("{}{} {}", pen(at), x(point), coordinate(value.y(most))));
        middle.push_str(&format!("{}{} {}", pen(at), x(point), coordinate(value.y(median))));
        below.insert_str(0, &format!("L{} {}", x(point), coordinate(value.y(least))));
    }
    let spreads = run.iter().any(|point| point.values.0 < point.values.2);
    let area = if spreads { format!("<path class=\"area {}\" d=\"{above}{below}z\"/>", line.class) } else { String::new() };
    format!("{area}<path class=\"line {}\" d=\"{middle}\"/>", line.class)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gauge(points: Vec<Point>, bands: &[Band]) -> Gauge<'_> {
        Gauge {
            window: Window { from: UnixMs(0), until: UnixMs(86_400_000) },
            scale: (-120.0, -70.0),
            ticks: vec![-110.0, -90.0],
            places: 0,
            bands,
            marked: (vec![UnixMs(3_600_000)], 900_000),
            lines: vec![Line { class: "one", points, slot_ms: 900_000 }],
            title: "RSRP".to_owned(),
        }
    }

    fn point(slot: i64, median: f64) -> Point {
        Point { at: UnixMs(slot * 900_000), values: (median - 2.0, median, median + 2.0) }
    }

    #[test]
    fn a_gap_parts_the_line_and_one_slot_is_a_dash() {
        let points = vec![point(0, -90.0), point(1, -91.0), point(9, -95.0)];
        let svg = gauge_chart(&gauge(points, &[]), Lang::En).0;
        assert_eq!(svg.matches("class=\"line one\"").count(), 2);
        assert_eq!(svg.matches("class=\"area one\"").count(), 1);
        assert!(svg.contains("loss-most"));
    }

    #[test]
    fn bands_fill_the_scale_and_say_their_word() {
        let band = |from, tone, word| Band { from, tone, word };
        let bands = [band(-140.0, Tone::Bad, "weak"), band(-105.0, Tone::Weak, "fair"), band(-95.0, Tone::Good, "good")];
        let svg = gauge_chart(&gauge(vec![point(0, -90.0), point(1, -91.0)], &bands), Lang::En).0;
        assert_eq!(svg.matches("<rect class=\"band").count(), 3);
        assert!(svg.contains(">fair<"));
    }

    #[test]
    fn a_day_of_slots_stays_small() {
        let points: Vec<_> = (0..96).map(|slot| point(slot, -90.0 - slot as f64 / 7.0)).collect();
        let size = gauge_chart(&gauge(points, &[]), Lang::Fa).0.len();
        assert!(size < 5_000, "{size} bytes");
    }
}
