//! The public status page: shares of regions, nothing that names a site, a person or an address. Off by default.

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Response};

use super::login::RequestParts;
use super::overview::Figures;
use crate::inventory::RegionKind;
use crate::persian::words;
use crate::view::{FigureView, Sight, Tally, VillageCounts, children, roots};
use crate::web::asked::Asked;
use crate::web::html::Html;
use crate::web::page::{Page, Section};
use crate::web::state::WebState;
use crate::web::svg::share_bar;
use crate::web::tone::Tone;

#[derive(Template)]
#[template(path = "status.html")]
struct StatusPage {
    p: Page,
    provinces: Vec<Area>,
}

struct Area {
    name: String,
    figure: Option<FigureView>,
    bar: Html,
    inside: Vec<Area>,
}

/// Shows it to anybody, if it is switched on.
pub async fn page(State(web): State<WebState>, RequestParts(parts): RequestParts) -> Response {
    let asked = Asked::guest(&web, &parts);
    if !web.public_status {
        return axum::http::StatusCode::NOT_FOUND.into_response();
    }
    let snapshot = web.snapshot();
    let mut p = asked.page(Section::Outside, words(asked.prefs.lang).public_status).refreshing(60);
    p.at = snapshot.at.max(asked.at);
    let (tally, figures) = (Tally::of(&snapshot), Figures::of(&snapshot));
    let inventory = &snapshot.inventory;
    let area = |code: &str, inside: Vec<Area>| {
        let id = inventory.region_by_code(code)?;
        let region = inventory.region(id);
        let name = p.name(&region.name_fa, &region.name_en);
        Some(Area { bar: bar(&p, &name, tally.get(Some(id)).villages), figure: figures.view(&snapshot, id), name, inside })
    };
    let provinces = roots(inventory, Sight::Everything).into_iter().filter_map(|id| {
        let counties =
            children(inventory, &tally, Some(id), Sight::Everything).into_iter().filter(|row| row.place.kind == RegionKind::County);
        area(&inventory.region(id).code, counties.filter_map(|row| area(&row.place.code, Vec::new())).collect())
    });
    let provinces = provinces.collect();
    asked.show(&StatusPage { provinces, p })
}

fn bar(p: &Page, name: &str, villages: VillageCounts) -> Html {
    let parts = [
        (Tone::Good, villages.connected),
        (Tone::Weak, villages.partial),
        (Tone::Bad, villages.disconnected),
        (Tone::Unknown, villages.unknown),
    ];
    share_bar(&parts, &format!("{name}: {} {}", p.int(villages.connected), p.w.connected))
}
