//! Round-trip times in the manner of SmokePing: the median as a line, the spread as smoke, loss as bars below.

use rusta_wire::UnixMs;

use super::axes::{TimeAxis, ValueAxis, ceiling};
use super::coordinate;
use crate::persian::{Lang, Window, decimal, percent};
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

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 226.0;
const TOP: f64 = 8.0;
const BOTTOM: f64 = 160.0;
/// Loss stands below on a scale of its own.
const LOSS_TOP: f64 = 172.0;
const LOSS_BOTTOM: f64 = 204.0;

/// Draws rounds of equal length over a window.
pub fn rtt_chart(window: Window, slot_ms: i64, rounds: &[Round], lang: Lang, title: &str) -> Html {
    let time = TimeAxis { window, width: WIDTH };
    let high = ceiling(usual_most_ms(rounds));
    let value = ValueAxis { low: 0.0, high, top: TOP, bottom: BOTTOM };
    let ticks = [0.25, 0.5, 0.75, 1.0].map(|part| part * high);
    let mut svg = format!(
        "<svg class=\"chart rtt\" viewBox=\"0 0 {WIDTH:.0} {HEIGHT:.0}\" role=\"img\" aria-label=\"{0}\"><title>{0}</title>",
        escape(title)
    );
    svg.push_str(&value.grid(&[&[0.0], &ticks[..]].concat(), WIDTH));
    for run in rounds.chunk_by(|a, b| a.rtt_us.is_some() && b.rtt_us.is_some() && b.at.0 - a.at.0 <= slot_ms * 2) {
        svg.push_str(&smoke(run, slot_ms, time, value));
    }
    svg.push_str(&loss_bars(rounds, time, slot_ms, lang));
    let places = if high < 4.0 { 2 } else { usize::from(high < 40.0) };
    svg.push_str(&value.labels(&ticks, |tick| decimal(tick, places, lang)));
    svg.push_str(&time.labels(HEIGHT - 5.0, lang));
    svg.push_str("</svg>");
    Html(svg)
}

/// Draws one unbroken run: the area from smallest to largest, and the median through it.
fn smoke(run: &[Round], slot_ms: i64, time: TimeAxis, value: ValueAxis) -> String {
    let y = |us: i64| coordinate(value.y(us as f64 / 1000.0));
    let points: Vec<_> = run.iter().filter_map(|round| round.rtt_us.map(|trips| (round.at, trips))).collect();
    if let [(at, (least, median, most))] = points.as_slice() {
        // One slot alone is as wide as it is long.
        let (x, width) = (coordinate(time.x(*at)), coordinate(time.slot(slot_ms)));
        let area = format!("<path class=\"smoke\" d=\"M{x} {}h{width}V{}h-{width}z\"/>", y(*most), y(*least));
        return format!("{area}<path class=\"median\" d=\"M{x} {}h{width}\"/>", y(*median));
    }
    let (mut above, mut below, mut line) = (String::new(), String::new(), String::new());
    for (at, (least, median, most)) in points {
        let x = coordinate(time.x(UnixMs(at.0 + slot_ms / 2)));
        let pen = if line.is_empty() { 'M' } else { 'L' };
        above.push_str(&format!("{pen}{x} {}", y(most)));
        line.push_str(&format!("{pen}{x} {}", y(median)));
        below.insert_str(0, &format!("L{x} {}", y(least)));
    }
    if line.is_empty() {
        return String::new();
    }
    format!("<path class=\"smoke\" d=\"{above}{below}z\"/><path class=\"median\" d=\"{line}\"/>")
}

/// Slots with loss: the bar's height is the share lost, and its class the severity: any, from 5 %, over half.
fn loss_bars(rounds: &[Round], time: TimeAxis, slot_ms: i64, lang: Lang) -> String {
    let classes = ["loss-some", "loss-much", "loss-most"];
    let mut paths = [String::new(), String::new(), String::new()];
    let width = coordinate(time.slot(slot_ms).max(1.0));
    for round in rounds {
        let Some(loss) = round.loss.filter(|loss| *loss > 0.0) else { continue };
        let severity = if loss > 0.5 { 2 } else { usize::from(loss >= 0.05) };
        // A single lost packet must still be visible.
        let height = (loss.min(1.0) * (LOSS_BOTTOM - LOSS_TOP)).max(3.0);
        let (x, y) = (coordinate(time.x(round.at)), coordinate(LOSS_BOTTOM - height));
        paths[severity].push_str(&format!("M{x} {y}h{width}V{LOSS_BOTTOM:.0}h-{width}z"));
    }
    let drawn = classes.iter().zip(paths).filter(|(_, path)| !path.is_empty());
    let bars: String = drawn.map(|(class, path)| format!("<path class=\"bar {class}\" d=\"{path}\"/>")).collect();
    format!(
        "<path class=\"grid\" d=\"M0 {LOSS_TOP:.0}h{WIDTH:.0}M0 {LOSS_BOTTOM:.0}h{WIDTH:.0}\"/>{bars}\
         <text class=\"scale\" x=\"4\" y=\"{LOSS_TOP:.0}\" dy=\"11\">{} {}</text>",
        percent(1.0, lang),
        lang.pick("اتلاف", "loss")
    )
}

/// Returns the 98th percentile of what was seen, so that one stray packet does not flatten the rest.
fn usual_most_ms(rounds: &[Round]) -> f64 {
    let mut highest: Vec<_> = rounds.iter().filter_map(|round| round.rtt_us.map(|(_, _, most)| most)).collect();
    highest.sort_unstable();
    let rank = (highest.len() * 98 / 100).min(highest.len().saturating_sub(1));
    highest.get(rank).map_or(1.0, |us| *us as f64 / 1000.0)
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
        assert!(svg.contains("\u{2066}60\u{2069}"), "the tick is a number alone");
    }

    #[test]
    fn a_day_of_five_minute_slots_stays_small() {
        let window = Window { from: UnixMs(0), until: UnixMs(86_400_000) };
        let rounds: Vec<_> = (0..288).map(|slot| round(slot * 5, Some((41_230 + slot, 55_470, 131_990)), 0.02)).collect();
        let size = rtt_chart(window, 300_000, &rounds, Lang::Fa, "rtt").0.len();
        assert!(size < 20_000, "{size} bytes");
    }
}
