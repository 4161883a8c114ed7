//! The data dictionary: the rules by which figures come about, and every definition.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use crate::kpi::dictionary::{Chapter, chapters};
use crate::kpi::{CATALOGUE, Kpi};
use crate::persian::digits;
use crate::web::asked::Asked;
use crate::web::page::{Page, Section};
use crate::web::state::WebState;

#[derive(Template)]
#[template(path = "dictionary.html")]
struct DictionaryPage {
    p: Page,
    chapters: Vec<Chapter>,
    kpis: &'static [Kpi],
}

impl DictionaryPage {
    /// Numbers a chapter or a rule as the page's language writes it.
    fn number(&self, chapter: &usize, rule: Option<&usize>) -> String {
        let text = rule.map_or_else(|| chapter.to_string(), |rule| format!("{chapter}.{rule}"));
        digits(&text, self.p.lang)
    }
}

/// Shows it.
pub async fn page(State(web): State<WebState>, asked: Asked) -> Response {
    let p = asked.page(Section::Kpis, asked.prefs.lang.pick("واژه‌نامه داده", "data dictionary"));
    let chapters = chapters(&web.thresholds, p.lang);
    asked.show(&DictionaryPage { p, chapters, kpis: CATALOGUE })
}
