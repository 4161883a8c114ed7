//! The audit log, page by page: who did what, since when, in which region.

use std::collections::HashSet;

use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;
use serde::Deserialize;

use super::admin::governs;
use super::errors;
use crate::inventory::Inventory;
use crate::people::{AuditEntry, AuditFilter};
use crate::persian::{JalaliDate, words};
use crate::web::asked::Asked;
use crate::web::html::url_part;
use crate::web::page::{Page, Section};
use crate::web::state::WebState;

/// Lines of one page.
const LINES: usize = 100;

#[derive(Template)]
#[template(path = "audit.html")]
struct AuditPage {
    p: Page,
    entries: Vec<AuditEntry>,
    which: Which,
    older_href: Option<String>,
}

/// What is asked for.
#[derive(Debug, Default, Deserialize)]
pub struct Which {
    #[serde(default)]
    who: String,
    #[serde(default)]
    what: String,
    /// A Jalali day.
    #[serde(default)]
    since: String,
    /// Code of a region.
    #[serde(default)]
    region: String,
    #[serde(default)]
    before: Option<i64>,
}

/// Shows a page of it.
pub async fn list(State(web): State<WebState>, asked: Asked, Query(which): Query<Which>) -> Response {
    if !governs(&asked.visitor) {
        return asked.forbidden();
    }
    let since = match which.since.trim() {
        "" => None,
        day => match day.parse::<JalaliDate>() {
            Ok(day) => Some(day.start()),
            Err(reason) => return errors::refused_page(&asked, &reason),
        },
    };
    let codes = match which.region.trim() {
        "" => None,
        code => match codes_in(&web.snapshot().inventory, code) {
            Some(codes) => Some(codes),
            None => return errors::refused_page(&asked, &format!("there is no region `{code}`")),
        },
    };
    let filter = AuditFilter {
        who: which.who.trim().to_owned(),
        what: which.what.trim().to_owned(),
        since,
        until: None,
        before: which.before,
        codes,
    };
    let people = web.people.clone();
    // One more than is shown tells whether there is another page.
    let listed = tokio::task::spawn_blocking(move || people.audit(&filter, LINES + 1)).await;
    let mut entries = match listed {
        Ok(Ok(entries)) => entries,
        Ok(Err(error)) => return asked.failed(&error),
        Err(error) => return asked.failed(&error),
    };
    let more = entries.len() > LINES;
    entries.truncate(LINES);
    let older_href = entries.last().filter(|_| more).map(|last| {
        let Which { who, what, since, region, .. } = &which;
        let [who, what, since, region] = [who, what, since, region].map(|part| url_part(part));
        format!("/admin/audit?who={who}&what={what}&since={since}&region={region}&before={}", last.id)
    });
    asked.show(&AuditPage { p: asked.page(Section::Admin, words(asked.prefs.lang).audit), entries, which, older_href })
}

/// Lists the codes of a region, of every region in it, and of their sites.
fn codes_in(inventory: &Inventory, code: &str) -> Option<HashSet<String>> {
    let region = inventory.region_by_code(code)?;
    let regions = (0..).map(crate::inventory::RegionId).zip(&inventory.regions);
    let inside = regions.filter(|(id, _)| inventory.is_within(*id, region)).map(|(_, region)| region.code.clone());
    let sites = inventory.sites.iter().filter(|site| inventory.is_within(site.region, region)).map(|site| site.code.clone());
    Some(inside.chain(sites).collect())
}
