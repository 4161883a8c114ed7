//! The e-services: what people in the villages can reach.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use crate::persian::words;
use crate::view::{ServiceRow, ServiceState, services};
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
    let rows: Vec<_> = services(&snapshot, asked.sight(&snapshot)).into_iter().map(|row| line(&p, row)).collect();
    let counts = ServiceState::ALL.iter().map(|state| {
        let (tone, word) = look(*state, &p);
        (tone, word, rows.iter().filter(|line| line.row.state == *state).count())
    });
    let counts = counts.collect();
    asked.show(&ServicesPage { rows, counts, p })
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
