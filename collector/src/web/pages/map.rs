//! The map of a region: a picture with the user's borders, if there are any, and a dot for every village; labels on the
//! page lead to the regions inside.

use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};

use crate::engine::Snapshot;
use crate::inventory::{RegionId, RegionKind, SiteId};
use crate::kpi::ENOUGH_KNOWN;
use crate::view::{Sight, Tally, children_of};
use crate::web::asked::Asked;
use crate::web::html::url_part;
use crate::web::page::Page;
use crate::web::state::WebState;
use crate::web::svg::{Area, Dot, MapFrame, map_image};
use crate::web::tone::{Tone, Toned};

/// A map on a page.
pub struct MapView {
    /// Address of the picture.
    pub href: String,
    /// Height of the drawing, 1000 wide.
    pub height: i64,
    /// Names of the regions inside.
    pub labels: Vec<MapLabel>,
}

/// A region's name on the map.
pub struct MapLabel {
    /// Its code.
    pub code: String,
    /// Its name.
    pub name: String,
    /// Its name, how much of it is connected, and what that is called.
    pub spoken: String,
    /// From the left.
    pub x: i64,
    /// From the top.
    pub y: i64,
}

/// The picture of a region; `all` for everything a person sees.
pub async fn picture(State(web): State<WebState>, asked: Asked, Path(name): Path<String>) -> Response {
    let snapshot = web.snapshot();
    let sight = asked.sight(&snapshot);
    let code = name.trim_end_matches(".svg");
    let region = snapshot.inventory.region_by_code(code);
    let visible = region.is_some_and(|id| sight.sees_region(&snapshot.inventory, id)) || (code == "all" && sight == Sight::Everything);
    let frame = visible.then(|| frame(&web, &snapshot, region, sight)).flatten();
    let Some(frame) = frame else { return asked.not_found() };
    let image = map_image(&frame, &areas(&web, &snapshot, region, sight), &dots(&snapshot, region, sight));
    ([(CONTENT_TYPE, "image/svg+xml"), (CACHE_CONTROL, "private, max-age=15")], image).into_response()
}

/// Describes a region's map for its page; `None` if nothing in it has coordinates.
pub fn map_view(web: &WebState, snapshot: &Snapshot, region: Option<RegionId>, sight: Sight, p: &Page) -> Option<MapView> {
    let frame = frame(web, snapshot, region, sight)?;
    let tally = Tally::of(snapshot);
    let code = region.map_or("all", |id| snapshot.inventory.region(id).code.as_str());
    let label = |id: RegionId| {
        let inside = snapshot.inventory.region(id);
        let (lat, lon) = middle(snapshot, id)?;
        let (x, y) = frame.place(lat, lon);
        let name = p.name(&inside.name_fa, &inside.name_en);
        let villages = tally.get(Some(id)).villages;
        let spoken = format!("{name}: {} {} {}", p.int(villages.connected + villages.partial), p.w.of_which, p.int(villages.total));
        let spoken = format!("{spoken} {} {}", p.w.village, p.w.connected);
        Some(MapLabel { code: inside.code.clone(), name, spoken, x: x.round() as i64, y: y.round() as i64 })
    };
    let levels = children_of(&snapshot.inventory, region).filter(|id| snapshot.inventory.region(*id).kind != RegionKind::Village);
    Some(MapView {
        href: format!("/map/{}.svg?at={}", url_part(code), snapshot.at.seconds() / 15),
        height: frame.height.round() as i64,
        labels: levels.filter_map(label).collect(),
    })
}

/// Returns where a region's name stands: its own coordinates, else the middle of its places.
fn middle(snapshot: &Snapshot, id: RegionId) -> Option<(f64, f64)> {
    let region = snapshot.inventory.region(id);
    if let (Some(lat), Some(lon)) = (region.lat, region.lon) {
        return Some((lat, lon));
    }
    let inside: Vec<_> = dots(snapshot, Some(id), Sight::Everything);
    let count = inside.len() as f64;
    (count > 0.0).then(|| (inside.iter().map(|dot| dot.lat).sum::<f64>() / count, inside.iter().map(|dot| dot.lon).sum::<f64>() / count))
}

fn frame(web: &WebState, snapshot: &Snapshot, region: Option<RegionId>, sight: Sight) -> Option<MapFrame> {
    let areas = areas(web, snapshot, region, sight);
    let borders = areas.iter().filter(|area| area.tone.is_some()).flat_map(|area| area.rings.iter().flatten().copied());
    MapFrame::around(borders.chain(dots(snapshot, region, sight).iter().map(|dot| (dot.lat, dot.lon))))
}

/// The user's borders: those of the regions directly inside coloured by how much is connected there, all others as lines.
fn areas<'a>(web: &'a WebState, snapshot: &Snapshot, region: Option<RegionId>, sight: Sight) -> Vec<Area<'a>> {
    if web.borders.is_empty() {
        return Vec::new();
    }
    let (inventory, tally) = (&snapshot.inventory, Tally::of(snapshot));
    let tone = |code: &str| {
        let id = inventory.region_by_code(code).filter(|id| sight.sees_region(inventory, *id))?;
        let is_inside = inventory.region(id).parent == region || (Some(id) == region && !has_borders_inside(web, snapshot, region));
        let villages = is_inside.then(|| tally.get(Some(id)).villages)?;
        let known = villages.total - villages.unknown;
        // Less than four fifths known is no number, on a map as in a figure.
        if villages.total == 0 || f64::from(known) < ENOUGH_KNOWN * f64::from(villages.total) {
            return Some(Tone::Unknown);
        }
        Some(Tone::of_share(f64::from(villages.connected + villages.partial) / f64::from(known)))
    };
    web.borders.iter().map(|outline| Area { rings: &outline.rings, tone: outline.code.as_deref().and_then(tone) }).collect()
}

fn has_borders_inside(web: &WebState, snapshot: &Snapshot, region: Option<RegionId>) -> bool {
    let inventory = &snapshot.inventory;
    let known = web.borders.iter().filter_map(|outline| inventory.region_by_code(outline.code.as_deref()?));
    region.is_some() && known.into_iter().any(|id| inventory.region(id).parent == region)
}

/// Villages where they lie, and sites that stand in no village.
fn dots(snapshot: &Snapshot, region: Option<RegionId>, sight: Sight) -> Vec<Dot> {
    let inventory = &snapshot.inventory;
    let sight = region.map_or(sight, |id| sight.narrowed(inventory, id));
    let villages = snapshot.villages.iter().filter(|village| sight.sees_region(inventory, village.region)).filter_map(|village| {
        let place = inventory.region(village.region);
        Some(Dot { lat: place.lat?, lon: place.lon?, tone: village.state.tone() })
    });
    let sites = (0..).map(SiteId).zip(&inventory.sites).filter(|(_, site)| {
        let place = inventory.region(site.region);
        let drawn_as_village = place.kind == RegionKind::Village && place.inhabited && place.lat.is_some();
        !drawn_as_village && sight.sees_region(inventory, site.region)
    });
    let sites = sites.filter_map(|(id, site)| Some(Dot { lat: site.lat?, lon: site.lon?, tone: snapshot.site(id).state.tone() }));
    villages.chain(sites).collect()
}
