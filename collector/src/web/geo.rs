//! Borders for the map, from the user's own GeoJSON (RFC 7946): nothing is ever loaded from elsewhere.
//!
//! A feature belongs to the region whose code stands in its `code` (or `region_code`) property, or in its `id`. Features
//! without one are drawn as plain lines.

use std::path::Path;

use serde_json::Value;

/// A province's borders at survey precision are about 5 MB.
const MOST_BYTES: u64 = 64 << 20;

/// A border.
#[derive(Debug, Clone, PartialEq)]
pub struct Outline {
    /// Code of the region it encloses, if it says one.
    pub code: Option<String>,
    /// Rings of (degrees north, degrees east).
    pub rings: Vec<Vec<(f64, f64)>>,
}

/// Reads the polygons of a GeoJSON file.
///
/// # Errors
/// Why the file gives no borders, with the place of the fault.
pub fn read(path: &Path) -> Result<Vec<Outline>, String> {
    let fault = |what: String| format!("{}: {what}", path.display());
    let size = std::fs::metadata(path).map_err(|error| fault(error.to_string()))?.len();
    if size > MOST_BYTES {
        return Err(fault(format!("has {size} bytes; a map may have {MOST_BYTES}")));
    }
    let text = std::fs::read(path).map_err(|error| fault(error.to_string()))?;
    parse(&text).map_err(fault)
}

fn parse(text: &[u8]) -> Result<Vec<Outline>, String> {
    let value: Value = serde_json::from_slice(text).map_err(|error| format!("is not JSON: {error}"))?;
    let features = match value["type"].as_str() {
        Some("FeatureCollection") => value["features"].as_array().map_or(&[][..], Vec::as_slice),
        Some("Feature") => std::slice::from_ref(&value),
        other => return Err(format!("is no GeoJSON FeatureCollection but `{}`", other.unwrap_or("nothing"))),
    };
    let outlines: Result<Vec<_>, _> =
        features.iter().enumerate().map(|(at, one)| outline(one).map_err(|why| format!("feature {at}: {why}"))).collect();
    let outlines: Vec<_> = outlines?.into_iter().filter(|outline| !outline.rings.is_empty()).collect();
    if outlines.is_empty() { Err("holds no Polygon and no MultiPolygon".to_owned()) } else { Ok(outlines) }
}

fn outline(feature: &Value) -> Result<Outline, String> {
    let geometry = &feature["geometry"];
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let polygons = match geometry["type"].as_str() {
        Some("Polygon") => vec![geometry["coordinates"].clone()],
        Some("MultiPolygon") => list(&geometry["coordinates"]),
        // Points and lines are no borders.
        _ => Vec::new(),
    };
    let rings: Result<_, String> = polygons.iter().flat_map(list).map(|one| ring(&one)).collect();
    let properties = &feature["properties"];
    let code = [&properties["code"], &properties["region_code"], &feature["id"]].into_iter().find_map(|value| match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    });
    Ok(Outline { code, rings: rings? })
}

fn ring(value: &Value) -> Result<Vec<(f64, f64)>, String> {
    let points = value.as_array().ok_or("a ring is no list")?;
    let point = |point: &Value| match (point[1].as_f64(), point[0].as_f64()) {
        (Some(lat), Some(lon)) if (-90.0..=90.0).contains(&lat) && (-180.0..=180.0).contains(&lon) => Ok((lat, lon)),
        _ => Err(format!("{point} is no [longitude, latitude]")),
    };
    points.iter().map(point).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polygons_are_read_with_their_codes() {
        let text = br#"{"type":"FeatureCollection","features":[
            {"type":"Feature","properties":{"code":"0901"},"geometry":{"type":"Polygon","coordinates":[[[59.0,36.0],[60.0,36.0],[60.0,37.0],[59.0,36.0]]]}},
            {"type":"Feature","id":902,"properties":{},"geometry":{"type":"MultiPolygon","coordinates":[[[[59.0,36.0],[60.0,36.0],[59.0,36.0]]]]}},
            {"type":"Feature","properties":{},"geometry":{"type":"Point","coordinates":[59.0,36.0]}}]}"#;
        let outlines = parse(text).unwrap();
        assert_eq!(outlines.iter().map(|outline| outline.code.as_deref()).collect::<Vec<_>>(), [Some("0901"), Some("902")]);
        assert_eq!(outlines[0].rings[0][1], (36.0, 60.0));
    }

    #[test]
    fn what_is_no_map_is_refused_with_its_place() {
        assert!(parse(b"{").unwrap_err().contains("is not JSON"));
        assert!(parse(br#"{"type":"Topology"}"#).unwrap_err().contains("Topology"));
        assert!(parse(br#"{"type":"FeatureCollection","features":[]}"#).unwrap_err().contains("no Polygon"));
        let swapped = br#"{"type":"Feature","geometry":{"type":"Polygon","coordinates":[[[36.0,159.0]]]}}"#;
        assert!(parse(swapped).unwrap_err().starts_with("feature 0: [36.0,159.0]"));
    }
}
