//! The agents: who reports, who is late, who is silent; sorted by any column, filtered, page by page.

use std::cmp::Reverse;

use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;
use serde::Deserialize;

use super::sites::county_choice;
use crate::engine::AgentState;
use crate::persian::{Named, fold, words};
use crate::view::{AgentFilter, AgentRow, Time, agents};
use crate::web::agents::complete;
use crate::web::asked::Asked;
use crate::web::page::{Choice, Page, Section, SortedColumn};
use crate::web::state::WebState;
use crate::web::tone::Tone;

/// Rows of a page: a page stays below 60 KB.
const ROWS: usize = 50;

/// A certificate renews itself long before this; one that did not is a router nobody can reach.
const CERTIFICATE_SOON_MS: i64 = 30 * 86_400_000;

/// An hour of wrong time puts samples into the wrong hour; a second is a slow line.
const SKEWED_MS: i64 = 60_000;

#[derive(Template)]
#[template(path = "agents.html")]
struct AgentsPage {
    p: Page,
    asked: Which,
    tabs: Vec<Tab>,
    counties: Choice,
    columns: Vec<SortedColumn>,
    rows: Vec<AgentLine>,
    total: usize,
    previous_href: Option<String>,
    next_href: Option<String>,
}

struct Tab {
    title: &'static str,
    href: String,
    chosen: bool,
    count: usize,
}

struct AgentLine {
    row: AgentRow,
    skewed: bool,
    certificate_tone: Option<Tone>,
}

/// Which agents, in which order.
#[derive(Debug, Default, Deserialize)]
pub struct Which {
    #[serde(default)]
    state: String,
    #[serde(default)]
    q: String,
    #[serde(default)]
    region: String,
    #[serde(default)]
    sort: String,
    #[serde(default)]
    page: usize,
}

/// Lists agents.
pub async fn list(State(web): State<WebState>, asked: Asked, Query(which): Query<Which>) -> Response {
    let snapshot = web.snapshot();
    let sight = asked.sight(&snapshot);
    let region = match which.region.as_str() {
        "" => None,
        code => match snapshot.inventory.region_by_code(code).filter(|id| sight.sees_region(&snapshot.inventory, *id)) {
            Some(id) => Some(id),
            None => return asked.not_found(),
        },
    };
    let mut p = asked.page(Section::Agents, words(asked.prefs.lang).agents).refreshing(30);
    p.at = snapshot.at.max(asked.at);
    let wanted = fold(&which.q);
    let mut all = agents(&snapshot, sight, &AgentFilter { region, ..AgentFilter::default() });
    all.retain(|row| {
        wanted.is_empty() || [&row.id, &row.site, &row.site_name_fa, &row.site_name_en].iter().any(|text| fold(text).contains(&wanted))
    });
    let chosen: Option<AgentState> = which.state.parse().ok();
    let tab = |state: Option<AgentState>| Tab {
        title: state.map_or(p.w.all, |state| state.label(p.lang)),
        href: p.with_instead("state", state.map_or("", AgentState::as_str)),
        chosen: state == chosen,
        count: all.iter().filter(|row| state.is_none_or(|state| row.state == state)).count(),
    };
    let tabs = std::iter::once(None).chain(AgentState::ALL.iter().copied().map(Some)).map(tab).collect();
    let mut rows: Vec<_> = all.into_iter().filter(|row| chosen.is_none_or(|state| row.state == state)).collect();
    if let Err(error) = complete(&web, &mut rows) {
        return asked.failed(&error);
    }
    let order = Order::read(&which.sort);
    order.sort(&mut rows);
    let (total, first) = (rows.len(), which.page.saturating_mul(ROWS));
    let page_href = |page: usize| p.with_instead("page", &page.to_string());
    let page = AgentsPage {
        previous_href: which.page.checked_sub(1).map(page_href),
        next_href: (first.saturating_add(ROWS) < total).then(|| page_href(which.page + 1)),
        rows: rows.into_iter().skip(first).take(ROWS).map(|row| line(&p, row)).collect(),
        columns: order.columns(&p),
        counties: county_choice(&p, &snapshot, sight, &which.region),
        asked: which,
        tabs,
        total,
        p,
    };
    asked.show(&page)
}

fn line(p: &Page, row: AgentRow) -> AgentLine {
    let left = row.certificate_until.map(|Time(until)| until.0 - p.at.0);
    AgentLine {
        skewed: row.clock_skew_ms.is_some_and(|skew| skew.abs() >= SKEWED_MS),
        certificate_tone: match left {
            Some(left) if left <= 0 => Some(Tone::Bad),
            Some(left) if left < CERTIFICATE_SOON_MS => Some(Tone::Weak),
            _ => None,
        },
        row,
    }
}

/// The column the list is sorted by: what needs somebody stands first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    State,
    Site,
    Report,
    Spool,
    Skew,
    Plan,
    Version,
    Certificate,
    Lost,
}

impl Order {
    const ALL: [(Order, &'static str); 9] = [
        (Order::State, "state"),
        (Order::Site, "site"),
        (Order::Report, "report"),
        (Order::Spool, "spool"),
        (Order::Skew, "skew"),
        (Order::Plan, "plan"),
        (Order::Version, "version"),
        (Order::Certificate, "certificate"),
        (Order::Lost, "lost"),
    ];

    fn read(word: &str) -> Self {
        Order::ALL.into_iter().find(|(_, name)| *name == word).map_or(Order::State, |(order, _)| order)
    }

    /// Sorts; equal rows keep the order of trouble they come in, and what is not known stands last.
    fn sort(self, rows: &mut [AgentRow]) {
        let plan = |row: &AgentRow| row.fullest_plan().and_then(|plan| plan.used_ratio).unwrap_or(-1.0);
        match self {
            Order::State => {}
            Order::Site => rows.sort_by_cached_key(|row| fold(&row.site_name_fa)),
            Order::Report => rows.sort_by_key(|row| (row.received_at.is_none(), row.received_at)),
            Order::Spool => rows.sort_by_key(|row| Reverse(row.spool_frames)),
            Order::Skew => rows.sort_by_key(|row| Reverse(row.clock_skew_ms.map(i64::abs))),
            Order::Plan => rows.sort_by(|a, b| plan(b).total_cmp(&plan(a))),
            Order::Version => rows.sort_by_cached_key(|row| (row.version.is_none(), row.version.clone())),
            Order::Certificate => rows.sort_by_key(|row| (row.certificate_until.is_none(), row.certificate_until)),
            Order::Lost => rows.sort_by_key(|row| Reverse(row.lost)),
        }
    }

    fn columns(self, p: &Page) -> Vec<SortedColumn> {
        let title = |order| match order {
            Order::State => p.w.state,
            Order::Site => p.w.site,
            Order::Report => p.w.last_report,
            Order::Spool => p.w.spool,
            Order::Skew => p.w.clock,
            Order::Plan => p.w.plan_use,
            Order::Version => p.w.version,
            Order::Certificate => p.w.certificate_until,
            Order::Lost => p.w.samples_lost,
        };
        let ascending = |order| matches!(order, Order::Site | Order::Report | Order::Version | Order::Certificate);
        let column = |(order, name)| SortedColumn::new(p, title(order), name, order == self, ascending(order));
        Order::ALL.into_iter().map(column).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusta_wire::UnixMs;

    fn row(id: &str, skew: Option<i64>, until: Option<i64>) -> AgentRow {
        AgentRow {
            limited: Vec::new(),
            id: id.to_owned(),
            site: String::new(),
            site_name_fa: String::new(),
            site_name_en: String::new(),
            state: AgentState::Reporting,
            received_at: None,
            observed_at: None,
            clock: None,
            clock_skew_ms: skew,
            spool_frames: None,
            lost: 0,
            refused_batches: 0,
            version: None,
            assignment: None,
            certificate_until: until.map(|at| Time(UnixMs(at))),
            plans: Vec::new(),
        }
    }

    #[test]
    fn the_worst_stands_first_and_the_unknown_last() {
        let ids = |rows: &[AgentRow]| rows.iter().map(|row| row.id.clone()).collect::<String>();
        let mut rows = vec![row("a", Some(5), Some(900)), row("b", None, None), row("c", Some(-3_600_000), Some(100))];
        Order::Skew.sort(&mut rows);
        assert_eq!(ids(&rows), "cab");
        Order::Certificate.sort(&mut rows);
        assert_eq!(ids(&rows), "cab");
        assert_eq!(Order::read("no such column"), Order::State);
    }
}
