//! Small bars: a value between its bounds, and a whole by its states.

use super::coordinate;
use crate::web::html::{Html, escape};
use crate::web::tone::Tone;

/// What is marked on a track from 0 to 1.
#[derive(Debug, Clone, Copy, Default)]
pub struct Marks {
    /// The value.
    pub value: Option<f64>,
    /// The value with what is unknown weighted by what late data showed.
    pub estimate: Option<f64>,
    /// What was promised.
    pub goal: Option<f64>,
}

/// Draws marks and the range between two bounds on a track from 0 to 1.
pub fn bounds_bar(marks: Marks, lo: Option<f64>, hi: Option<f64>, title: &str) -> Html {
    let at = |ratio: f64| coordinate(ratio.clamp(0.0, 1.0) * 200.0);
    let mut svg = format!(
        "<svg class=\"bounds\" viewBox=\"0 0 200 14\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{0}\"><title>{0}</title>\
         <rect class=\"track\" x=\"0\" y=\"4\" width=\"200\" height=\"6\" rx=\"3\"/>",
        escape(title)
    );
    if let (Some(lo), Some(hi)) = (lo, hi) {
        let width = ((hi - lo).clamp(0.0, 1.0) * 200.0).max(1.5);
        svg.push_str(&format!("<rect class=\"range\" x=\"{}\" y=\"4\" width=\"{}\" height=\"6\"/>", at(lo), coordinate(width)));
    }
    if let Some(goal) = marks.goal {
        svg.push_str(&format!("<rect class=\"goal\" x=\"{}\" y=\"0\" width=\"1.5\" height=\"14\"/>", at(goal)));
    }
    if let Some(estimate) = marks.estimate {
        let x = coordinate(estimate.clamp(0.0, 1.0) * 198.0);
        svg.push_str(&format!("<rect class=\"estimate\" x=\"{x}\" y=\"2\" width=\"2\" height=\"10\"/>"));
    }
    if let Some(value) = marks.value {
        let x = coordinate(value.clamp(0.0, 1.0) * 197.0);
        svg.push_str(&format!("<rect class=\"mark\" x=\"{x}\" y=\"1\" width=\"3\" height=\"12\" rx=\"1\"/>"));
    }
    svg.push_str("</svg>");
    Html(svg)
}

/// Draws a whole as a bar of its parts.
pub fn share_bar(parts: &[(Tone, u32)], title: &str) -> Html {
    let total: u32 = parts.iter().map(|(_, count)| count).sum();
    let mut svg = format!(
        "<svg class=\"share\" viewBox=\"0 0 100 8\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{0}\"><title>{0}</title>\
         <rect class=\"track\" width=\"100\" height=\"8\"/>",
        escape(title)
    );
    let mut x = 0.0;
    for (tone, count) in parts.iter().filter(|(_, count)| *count > 0) {
        let width = f64::from(*count) / f64::from(total.max(1)) * 100.0;
        svg.push_str(&format!(
            "<rect class=\"f-{}\" x=\"{}\" width=\"{}\" height=\"8\"/>",
            tone.as_str(),
            coordinate(x),
            // A single site among thousands must still be visible.
            coordinate(width.max(0.8))
        ));
        x += width;
    }
    svg.push_str("</svg>");
    Html(svg)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_show_their_parts_and_say_them() {
        let bar = share_bar(&[(Tone::Good, 3), (Tone::Bad, 1), (Tone::Unknown, 0)], "3 of 4").0;
        assert!(bar.contains("class=\"f-good\" x=\"0\" width=\"75\""));
        assert!(bar.contains("class=\"f-bad\" x=\"75\" width=\"25\""));
        assert!(!bar.contains("f-unknown"));
        assert!(bar.contains("<title>3 of 4</title>"));
        let bounds = bounds_bar(Marks { estimate: Some(0.6), ..Marks::default() }, Some(0.5), Some(0.75), "a < b").0;
        assert!(bounds.contains("class=\"estimate\" x=\"118.8\""), "{bounds}");
        assert!(bounds.contains("x=\"100\" y=\"4\" width=\"50\""));
        assert!(!bounds.contains("class=\"mark\""));
        assert!(bounds.contains("a &lt; b"));
    }
}
