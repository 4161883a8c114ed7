//! A line without axes: where a value has been lately.

use super::coordinate;
use crate::web::html::{Html, escape};

/// Draws values left to right on their own scale, at least `least_span` high so that noise stays flat. A gap stays a gap.
pub fn spark(values: &[Option<f64>], least_span: f64, title: &str) -> Html {
    let known = || values.iter().flatten().copied();
    let (low, high) = known().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    if !low.is_finite() || values.len() < 2 {
        return Html::default();
    }
    let middle = f64::midpoint(low, high);
    let span = (high - low).max(least_span);
    let x_step = 200.0 / (values.len() - 1) as f64;
    let y = |value: f64| coordinate(2.0 + (0.5 - (value - middle) / span) * 32.0);
    let x = |at: usize| coordinate(at as f64 * x_step);
    let mut path = String::new();
    let mut drawing = false;
    for (at, value) in values.iter().enumerate() {
        if let Some(value) = value {
            let pen = if drawing { 'L' } else { 'M' };
            path.push_str(&format!("{pen}{} {}", x(at), y(*value)));
        }
        drawing = value.is_some();
    }
    let last = values.iter().enumerate().rev().find_map(|(at, value)| value.map(|value| (at, value)));
    let dot = last.map_or_else(String::new, |(at, value)| format!("<circle class=\"dot\" cx=\"{}\" cy=\"{}\" r=\"3\"/>", x(at), y(value)));
    Html(format!(
        "<svg class=\"spark\" viewBox=\"-2 0 206 36\" role=\"img\" aria-label=\"{0}\"><title>{0}</title><path d=\"{path}\"/>{dot}</svg>",
        escape(title)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_lifts_the_pen() {
        let svg = spark(&[Some(1.0), Some(2.0), None, Some(1.0), Some(1.0)], 0.1, "t").0;
        assert_eq!(svg.matches('M').count(), 2);
        assert!(spark(&[None, None], 0.1, "t").0.is_empty());
    }
}
