//! The e-services: what people in the villages can reach.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use crate::persian::words;
use crate::view::{ServiceRow, ServiceState, services_by_county};
use crate::web::asked::Asked;
use crate::web::html::Html;
use crate::web::page::{Page, Section};
use crate::web::state::WebState;
use crate::web::svg::share_bar;
use crate::web::tone::Tone;

#[derive(Template)]
#[template(path = "services.html")]
struct ServicesPage {
    p: Page,
    rows: Vec<ServiceLine>,
    counts: Vec<(Tone, &'static str, usize)>,
    counties: Vec<(String, String)>,
    matrix: Vec<MatrixRow>,
    signs: Vec<Cell>,
}

/// What every county sees of one service.
struct MatrixRow {
    name: String,
    cells: Vec<Cell>,
}

/// One county: a class for its colour, a sign for its shape, and its word.
#[derive(Clone, Copy)]
struct Cell {
    class: &'static str,
    sign: &'static str,
    word: &'static str,
}

struct ServiceLine {
    row: ServiceRow,
    tone: Tone,
    word: &'static str,
    channel: &'static str,
    bar: Html,
}

/// Lists the catalogue.
pub async fn list(State(web): State<WebState>, asked: Asked) -> Response {
    let snapshot = web.snapshot();
    let mut p = asked.page(Section::Services, words(asked.prefs.lang).services).refreshing(60);
    p.at = snapshot.at.max(asked.at);
    let (rows, by_county) = services_by_county(&snapshot, asked.sight(&snapshot));
    let rows: Vec<_> = rows.into_iter().map(|row| line(&p, row)).collect();
    let matrix_row = |(at, line): (usize, &ServiceLine)| MatrixRow {
        name: p.name(&line.row.name_fa, &line.row.name_en),
        cells: by_county.iter().map(|county| cell(county.states.get(at).copied().unwrap_or(ServiceState::Unknown), &p)).collect(),
    };
    // A row of nothing but unknown says what the list above says already.
    let tried = |line: &ServiceLine| line.row.reached + line.row.failed > 0;
    let matrix = rows.iter().enumerate().filter(|(_, line)| tried(line)).map(matrix_row).collect();
    let counties = by_county.iter().map(|row| (row.county.code.clone(), p.name(&row.county.name_fa, &row.county.name_en))).collect();
    let counts = ServiceState::ALL.iter().map(|state| {
        let (tone, word) = look(*state, &p);
        (tone, word, rows.iter().filter(|line| line.row.state == *state).count())
    });
    let counts = counts.collect();
    asked.show(&ServicesPage { signs: ServiceState::ALL.iter().map(|state| cell(*state, &p)).collect(), rows, counts, counties, matrix, p })
}

fn line(p: &Page, row: ServiceRow) -> ServiceLine {
    let (tone, word) = look(row.state, p);
    let parts = [(Tone::Good, row.reached), (Tone::Bad, row.failed), (Tone::Unknown, row.unknown)];
    let spoken = format!("{} {}، {} {}", p.int(row.reached), p.w.reachable, p.int(row.failed), p.w.failing);
    ServiceLine { bar: share_bar(&parts, &spoken), channel: channel(&row.channel, p), tone, word, row }
}

fn look(state: ServiceState, p: &Page) -> (Tone, &'static str) {
    match state {
        ServiceState::Ok => (Tone::Good, p.w.reachable),
        ServiceState::Partial => (Tone::Weak, p.lang.pick("از برخی جاها ناموفق", "failing in places")),
        ServiceState::Failing => (Tone::Bad, p.w.failing),
        ServiceState::Unknown => (Tone::Unknown, p.w.not_measured),
    }
}

/// Signs are text: a thousand of them stay a small page, and every reader can speak their word.
fn cell(state: ServiceState, p: &Page) -> Cell {
    let (tone, word) = look(state, p);
    let sign = match state {
        ServiceState::Ok => "✓",
        ServiceState::Partial => "◒",
        ServiceState::Failing => "✕",
        ServiceState::Unknown => "·",
    };
    Cell { class: tone.as_str(), sign, word }
}

fn channel(word: &str, p: &Page) -> &'static str {
    match word {
        "web" => p.lang.pick("وب", "web"),
        "app" => p.lang.pick("برنامه همراه", "mobile app"),
        "sip" => p.lang.pick("تلفن", "telephone"),
        "ussd" => p.lang.pick("کد دستوری", "USSD code"),
        "counter" => p.lang.pick("پیشخوان", "counter"),
        _ => "—",
    }
}
