//! Round-trip times in the manner of SmokePing: the median as a line, the spread as smoke, loss as ticks.

use rusta_wire::UnixMs;

use super::coordinate;
use super::ribbon::{scale, time_axis};
use crate::persian::{Lang, Window, decimal};
use crate::web::html::{Html, escape};

/// One slot of a chart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Round {
    /// Its first instant.
    pub at: UnixMs,
    /// Smallest, median and largest round trip in microseconds; `None` if nothing came back.
    pub rtt_us: Option<(i64, i64, i64)>,
    /// Lost packets over sent packets; `None` if nothing was sent.
    pub loss: Option<f64>,
}

const HEIGHT: f64 = 190.0;
const TOP: f64 = 8.0;
const BOTTOM: f64 = 160.0;
/// Loss ticks stand between the drawing and the time axis.
const LOSS_Y: f64 = 165.0;

/// Draws rounds of equal length over a window.
pub fn rtt_chart(window: Window, slot_ms: i64, rounds: &[Round], lang: Lang, title: &str) -> Html {
    let x = scale(window);
    let top_ms = ceiling_ms(rounds);
    let width = (x(UnixMs(window.from.0 + slot_ms)) - x(window.from)).max(0.5);
    let mut svg = format!(
        "<svg class=\"chart rtt\" viewBox=\"0 0 960 {HEIGHT:.0}\" role=\"img\" aria-label=\"{0}\"><title>{0}</title>",
        escape(title)
    );
    svg.push_str(&grid(top_ms));
    for run in rounds.chunk_by(|a, b| a.rtt_us.is_some() && b.rtt_us.is_some() && b.at.0 - a.at.0 <= slot_ms * 2) {
        svg.push_str(&smoke(run, &x, width, top_ms));
    }
    svg.push_str(&loss_ticks(rounds, &x, width));
    svg.push_str(&scale_labels(top_ms, lang));
    svg.push_str(&time_axis(window, HEIGHT - 4.0, lang));
    svg.push_str("</svg>");
    Html(svg)
}

/// Draws one unbroken run: the area from smallest to largest, and the median through it.
fn smoke(run: &[Round], x: &impl Fn(UnixMs) -> f64, width: f64, top_ms: f64) -> String {
    let y = |us: i64| coordinate(BOTTOM - (us as f64 / 1000.0 / top_ms).clamp(0.0, 1.0) * (BOTTOM - TOP));
    let (mut above, mut below, mut line) = (String::new(), String::new(), String::new());
    for round in run {
        let Some((least, median, most)) = round.rtt_us else { continue };
        let (from, until) = (coordinate(x(round.at)), coordinate(x(round.at) + width));
        let pen = if line.is_empty() { 'M' } else { 'L' };
        above.push_str(&format!("{pen}{from} {0}H{until}", y(most)));
        line.push_str(&format!("{pen}{from} {0}H{until}", y(median)));
        below.insert_str(0, &format!("L{until} {0}H{from}", y(least)));
    }
    if line.is_empty() {
        return String::new();
    }
    format!("<path class=\"smoke\" d=\"{above}{below}z\"/><path class=\"median\" d=\"{line}\"/>")
}

/// Slots with loss, by severity: any, from 5 %, over half.
fn loss_ticks(rounds: &[Round], x: &impl Fn(UnixMs) -> f64, width: f64) -> String {
    let classes = ["loss-some", "loss-much", "loss-most"];
    let mut paths = [String::new(), String::new(), String::new()];
    for round in rounds {
        let Some(loss) = round.loss.filter(|loss| *loss > 0.0) else { continue };
        let severity = if loss > 0.5 { 2 } else { usize::from(loss >= 0.05) };
        paths[severity].push_str(&format!("M{} {LOSS_Y:.0}h{}", coordinate(x(round.at)), coordinate(width.max(1.0))));
    }
    let drawn = classes.iter().zip(paths).filter(|(_, path)| !path.is_empty());
    drawn.map(|(class, path)| format!("<path class=\"{class}\" d=\"{path}\"/>")).collect()
}

const LINES: [f64; 4] = [0.25, 0.5, 0.75, 1.0];

fn grid(top_ms: f64) -> String {
    let line = |part: f64| format!("M0 {}h960", coordinate(BOTTOM - part * (BOTTOM - TOP)));
    debug_assert!(top_ms > 0.0);
    format!("<path class=\"grid\" d=\"{}M0 {BOTTOM:.0}h960\"/>", LINES.map(line).concat())
}

fn scale_labels(top_ms: f64, lang: Lang) -> String {
    let label = |part: f64| {
        let y = coordinate(BOTTOM - part * (BOTTOM - TOP));
        let value = decimal(top_ms * part, usize::from(top_ms < 8.0), lang);
        format!("<text class=\"scale\" x=\"4\" y=\"{y}\" dy=\"11\">\u{2066}{value} {}\u{2069}</text>", lang.pick("م‌ث", "ms"))
    };
    LINES.map(label).concat()
}

/// Returns the top of the scale: a round number above the 98th percentile of what was seen, so that one stray packet does
/// not flatten the rest.
fn ceiling_ms(rounds: &[Round]) -> f64 {
    let mut highest: Vec<_> = rounds.iter().filter_map(|round| round.rtt_us.map(|(_, _, most)| most)).collect();
    highest.sort_unstable();
    let rank = (highest.len() * 98 / 100).min(highest.len().saturating_sub(1));
    let most_ms = highest.get(rank).map_or(1.0, |us| *us as f64 / 1000.0);
    let steps = [0.2, 0.4, 1.0, 2.0, 4.0, 8.0, 12.0, 20.0, 40.0, 80.0, 120.0, 200.0, 400.0, 800.0, 1200.0, 2000.0, 4000.0];
    steps.into_iter().find(|step| *step >= most_ms).unwrap_or(8000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(minute: i64, rtt_us: Option<(i64, i64, i64)>, loss: f64) -> Round {
        Round { at: UnixMs(minute * 60_000), rtt_us, loss: Some(loss) }
    }

    #[test]
    fn lost_rounds_leave_a_gap_and_a_tick() {
        let window = Window { from: UnixMs(0), until: UnixMs(3_600_000) };
        let reply = Some((20_000, 25_000, 60_000));
        let rounds = [round(0, reply, 0.0), round(5, reply, 0.1), round(10, None, 1.0), round(15, reply, 0.0)];
        let svg = rtt_chart(window, 300_000, &rounds, Lang::En, "rtt").0;
        assert_eq!(svg.matches("class=\"median\"").count(), 2);
        assert!(svg.contains("loss-much") && svg.contains("loss-most"));
        assert!(svg.contains("80 ms"));
    }

    #[test]
    fn a_day_of_five_minute_slots_stays_small() {
        let window = Window { from: UnixMs(0), until: UnixMs(86_400_000) };
        let rounds: Vec<_> = (0..288).map(|slot| round(slot * 5, Some((41_230 + slot, 55_470, 131_990)), 0.02)).collect();
        let size = rtt_chart(window, 300_000, &rounds, Lang::Fa, "rtt").0.len();
        assert!(size < 24_000, "{size} bytes");
    }
}
