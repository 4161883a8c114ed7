//! The map: borders if the user has given any, and villages where they are, coloured and shaped by state. No tiles, nothing
//! from outside.

use super::coordinate;
use crate::web::tone::Tone;

/// A place on the map.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dot {
    /// Degrees north.
    pub lat: f64,
    /// Degrees east.
    pub lon: f64,
    /// How its state looks.
    pub tone: Tone,
}

/// How degrees become places on a drawing 1000 wide.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MapFrame {
    west: f64,
    north: f64,
    per_lon: f64,
    per_lat: f64,
    /// Height of the drawing.
    pub height: f64,
}

const WIDTH: f64 = 1000.0;
const MARGIN: f64 = 22.0;

impl MapFrame {
    /// Fits places into the drawing; `None` without any.
    pub fn around(places: impl Iterator<Item = (f64, f64)>) -> Option<Self> {
        let (mut south, mut north, mut west, mut east) = (f64::INFINITY, f64::NEG_INFINITY, f64::INFINITY, f64::NEG_INFINITY);
        for (lat, lon) in places {
            (south, north) = (south.min(lat), north.max(lat));
            (west, east) = (west.min(lon), east.max(lon));
        }
        if !south.is_finite() {
            return None;
        }
        // One village alone gets a neighbourhood of a few kilometres.
        let narrowing = f64::midpoint(south, north).to_radians().cos().max(0.2);
        let (wide, high) = (((east - west) * narrowing).max(0.05), (north - south).max(0.05));
        let per_lat = ((WIDTH - 2.0 * MARGIN) / wide).min((WIDTH * 0.9 - 2.0 * MARGIN) / high);
        let spare = WIDTH - 2.0 * MARGIN - wide * per_lat;
        let west = west - (spare / 2.0 + MARGIN) / (per_lat * narrowing);
        Some(MapFrame { west, north, per_lon: per_lat * narrowing, per_lat, height: high * per_lat + 2.0 * MARGIN })
    }

    /// Returns where a place lies on the drawing.
    pub fn place(&self, lat: f64, lon: f64) -> (f64, f64) {
        ((lon - self.west) * self.per_lon, (self.north - lat) * self.per_lat + MARGIN)
    }
}

/// Fixed colours that stand out on light and on dark: a picture cannot see the page's style sheet.
const fn colour(tone: Tone) -> &'static str {
    match tone {
        Tone::Good => "#2a9d78",
        Tone::Weak => "#c77d0a",
        Tone::Bad => "#e0402f",
        Tone::Unknown => "#7c8a99",
        Tone::Planned => "#3f83e0",
        Tone::Unsteady => "#9a5fd0",
        Tone::Off => "#9aa5a0",
    }
}

/// A border to draw.
#[derive(Debug, Clone, Copy)]
pub struct Area<'a> {
    /// Rings of (degrees north, degrees east).
    pub rings: &'a [Vec<(f64, f64)>],
    /// How what it encloses looks; `None` for a plain line.
    pub tone: Option<Tone>,
}

/// Points nearer than this to the one before cannot be seen.
const FINEST: i64 = 2;

/// Draws borders, then dots, as a picture of its own, the worst on top.
pub fn map_image(frame: &MapFrame, areas: &[Area<'_>], dots: &[Dot]) -> String {
    let size = match dots.len() {
        0..=300 => 13.0,
        301..=1500 => 9.0,
        _ => 6.5,
    };
    let order = [Tone::Off, Tone::Good, Tone::Planned, Tone::Unknown, Tone::Unsteady, Tone::Weak, Tone::Bad];
    // Lines first, so that a coloured border is never crossed by a plain one.
    let (plain, toned): (Vec<&Area<'_>>, Vec<_>) = areas.iter().partition(|area| area.tone.is_none());
    let borders = plain.into_iter().chain(toned).map(|area| border(frame, area));
    let layers: String = borders.chain(order.into_iter().map(|tone| layer(frame, dots, tone, size))).collect();
    format!("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH:.0} {:.0}\" fill=\"none\">{layers}</svg>", frame.height)
}

/// One path per border; what leaves the frame is cut by the picture's edge.
fn border(frame: &MapFrame, area: &Area<'_>) -> String {
    let mut path = String::new();
    for ring in area.rings {
        let mut pen: Option<(i64, i64)> = None;
        for (lat, lon) in ring {
            let (x, y) = frame.place(*lat, *lon);
            // A far neighbour's border is drawn outside, but its numbers stay short.
            let (x, y) = ((x.round() as i64).clamp(-500, 1_500), (y.round() as i64).clamp(-500, 1_500));
            match pen {
                Some((at_x, at_y)) if (x - at_x).abs() < FINEST && (y - at_y).abs() < FINEST => continue,
                Some((at_x, at_y)) => path.push_str(&format!("l{} {}", x - at_x, y - at_y)),
                None => path.push_str(&format!("M{x} {y}")),
            }
            pen = Some((x, y));
        }
        path.push_str(if pen.is_some() { "z" } else { "" });
    }
    match area.tone {
        _ if path.is_empty() => String::new(),
        None => format!("<path d=\"{path}\" stroke=\"#8a9691\" stroke-opacity=\".45\"/>"),
        Some(tone) => {
            let colour = colour(tone);
            format!("<path d=\"{path}\" fill=\"{colour}\" fill-opacity=\".16\" stroke=\"{colour}\" stroke-width=\"1.5\"/>")
        }
    }
}

/// One path per state; the shape follows the state: dot, ring, diamond, cross.
fn layer(frame: &MapFrame, dots: &[Dot], tone: Tone, size: f64) -> String {
    let mut path = String::new();
    let (mut pen_x, mut pen_y) = (0_i64, 0_i64);
    let mark = mark(tone, &coordinate(size * 0.75));
    for dot in dots.iter().filter(|dot| dot.tone == tone) {
        let (x, y) = frame.place(dot.lat, dot.lon);
        let (x, y) = (x.round() as i64, y.round() as i64);
        // Relative moves take half the bytes of absolute ones.
        let gap = if y - pen_y < 0 { "" } else { " " };
        path.push_str(&format!("m{}{gap}{}{mark}", x - pen_x, y - pen_y));
        (pen_x, pen_y) = (x, y);
    }
    if path.is_empty() {
        return String::new();
    }
    let colour = colour(tone);
    let stroke = |width: f64| format!("stroke=\"{colour}\" stroke-width=\"{}\"", coordinate(width));
    let paint = match tone {
        Tone::Bad => stroke(size * 0.55),
        Tone::Unknown | Tone::Off => stroke((size * 0.22).max(1.6)),
        Tone::Weak => format!("fill=\"{colour}\""),
        _ => format!("{} stroke-linecap=\"round\"", stroke(size)),
    };
    // A path that begins with a relative move begins at the origin.
    format!("<path d=\"M0 0{path}\" {paint}/>")
}

/// Draws one mark and returns the pen to its middle.
fn mark(tone: Tone, r: &str) -> String {
    match tone {
        Tone::Bad => format!("m-{r}-{r}l{r} {r} {r} {r}m-{r}-{r}m{r}-{r}l-{r} {r}-{r} {r}m{r}-{r}"),
        Tone::Unknown | Tone::Off => format!("m-{r} 0a{r} {r} 0 1 0 {r}-{r}a{r} {r} 0 0 0-{r} {r}m{r} 0"),
        Tone::Weak => format!("m0-{r}l{r} {r}-{r} {r}-{r}-{r}zm0 {r}"),
        _ => "h0".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_province_fits_and_north_is_up() {
        let frame = MapFrame::around([(33.0, 56.0), (37.7, 61.0)].into_iter()).unwrap();
        let (x_west, y_south) = frame.place(33.0, 56.0);
        let (x_east, y_north) = frame.place(37.7, 61.0);
        assert!(x_west < x_east && y_north < y_south);
        assert!(x_west >= MARGIN - 0.1 && x_east <= WIDTH - MARGIN + 0.1, "{x_west} {x_east}");
        assert!(frame.height <= WIDTH * 0.9 + 0.1);
        assert_eq!(MapFrame::around(std::iter::empty()), None);
    }

    #[test]
    fn a_border_is_coloured_and_its_unseen_points_are_left_out() {
        let frame = MapFrame::around([(33.0, 56.0), (37.7, 61.0)].into_iter()).unwrap();
        let fine: Vec<(f64, f64)> = (0..=5_000).map(|n| (34.0 + f64::from(n) / 5_000.0, 57.0)).chain([(34.0, 58.0)]).collect();
        let rings = [fine];
        let image = map_image(&frame, &[Area { rings: &rings, tone: Some(Tone::Weak) }, Area { rings: &rings, tone: None }], &[]);
        assert!(image.contains(colour(Tone::Weak)) && image.contains("fill-opacity"));
        assert!(image.len() < 8_000, "{} bytes", image.len());
        assert!(image.find("#8a9691") < image.find(colour(Tone::Weak)), "plain lines lie below");
    }

    #[test]
    fn four_thousand_dots_stay_a_small_picture() {
        let tone = |n: u32| if n.is_multiple_of(20) { Tone::Bad } else { Tone::Good };
        let dot = |n: u32| Dot { lat: 33.0 + f64::from(n % 63) / 13.0, lon: 56.0 + f64::from(n / 63) / 13.0, tone: tone(n) };
        let dots: Vec<_> = (0..4040).map(dot).collect();
        let frame = MapFrame::around(dots.iter().map(|dot| (dot.lat, dot.lon))).unwrap();
        let image = map_image(&frame, &[], &dots);
        assert!(image.len() < 60_000, "{} bytes", image.len());
        assert!(image.contains(colour(Tone::Bad)));
    }
}
