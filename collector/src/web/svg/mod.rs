//! Charts drawn by hand as SVG: no script, no library, readable by a screen reader through their titles.
//!
//! Colours come from classes of the style sheet, so one drawing serves light, dark and print. Time and value axes run
//! left to right in both languages.

mod axes;
mod bars;
mod gauge;
mod map;
mod qr;
mod ribbon;
mod rtt;
mod spark;

pub use axes::ceiling;
pub use bars::{Marks, bounds_bar, share_bar};
pub use gauge::{Band, Gauge, Line, Point, gauge_chart};
pub use map::{Area, Dot, MapFrame, map_image};
pub use qr::qr;
pub use ribbon::{Stretch, ribbon};
pub use rtt::{Round, rtt_chart};
pub use spark::spark;

/// Writes a coordinate with at most one decimal and no trailing zero: half the bytes of a chart are coordinates.
fn coordinate(value: f64) -> String {
    let rounded = (value * 10.0).round() / 10.0;
    if rounded.fract() == 0.0 { format!("{rounded:.0}") } else { format!("{rounded:.1}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coordinates_are_short() {
        assert_eq!([coordinate(3.0), coordinate(3.25), coordinate(-0.14)], ["3", "3.3", "-0.1"]);
    }
}
