//! The province wall, and the same page one level down for every region.

use std::collections::HashMap;

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use rusta_wire::Network;
use serde::Deserialize;

use super::incidents::{CauseCount, IncidentLine, Which, by_cause};
use super::map::{MapView, map_view};
use super::past::{self, Declared, Mover};
use crate::engine::{AgentState, Snapshot, VillageState};
use crate::inventory::{RegionId, RegionKind};
use crate::kpi::{Weight, connected_share_now};
use crate::persian::{Named, words};
use crate::view::{
    AgentFilter, Attention, Counts, FigureView, LinkCounts, Place, RegionRow, Sight, SiteFilter, SiteRow, Tally, Time, agents, attention,
    children, path_to, roots, sites,
};
use crate::web::asked::Asked;
use crate::web::html::{Html, url_part};
use crate::web::incidents;
use crate::web::page::{Page, Section, SortedColumn};
use crate::web::state::WebState;
use crate::web::svg::{Marks, bounds_bar, share_bar};
use crate::web::tone::Tone;

/// What fits beside the map without scrolling a wall screen.
const ATTENTION_ROWS: usize = 10;

/// What a wall screen has room for below the incidents.
const WALL_ROWS: usize = 6;

/// The largest open incidents shown; all of them are a page of their own.
const INCIDENT_ROWS: usize = 5;

/// A rural district has a few dozen sites; more are found through the list of sites.
const SITES_HERE: usize = 60;

#[derive(Template)]
#[template(path = "overview.html")]
struct OverviewPage {
    p: Page,
    kind: Option<RegionKind>,
    region_code: String,
    path: Vec<Place>,
    headline: Option<FigureView>,
    headline_tone: &'static str,
    headline_bar: Html,
    trend: Option<Html>,
    incidents: Vec<IncidentLine>,
    open_incidents: usize,
    worst: Option<IncidentLine>,
    by_cause: Vec<CauseCount>,
    movers: Vec<Mover>,
    history: Option<Html>,
    declared: Option<Declared>,
    states: Vec<StateTile>,
    networks: Vec<NetworkLine>,
    map: Option<MapView>,
    legend: Vec<LegendItem>,
    attention: Attention,
    attention_href: String,
    children: Vec<ChildRow>,
    children_title: &'static str,
    columns: Vec<SortedColumn>,
    standing_here: Vec<SiteRow>,
}

struct StateTile {
    tone: Tone,
    word: &'static str,
    count: u32,
    of: String,
    href: String,
}

struct NetworkLine {
    network: Network,
    counts: LinkCounts,
    bar: Html,
}

struct LegendItem {
    tone: Tone,
    word: &'static str,
    count: u32,
}

struct ChildRow {
    region: RegionRow,
    figure: Option<FigureView>,
    bar: Html,
}

/// How to show the page.
#[derive(Debug, Default, Deserialize)]
pub struct Shown {
    sort: Option<String>,
    wall: Option<String>,
}

/// The page a person starts from: their region, or the province, or the list of provinces.
pub async fn home(State(web): State<WebState>, asked: Asked, Query(shown): Query<Shown>) -> Response {
    let snapshot = web.snapshot();
    let starts = roots(&snapshot.inventory, asked.sight(&snapshot));
    let region = if let [only] = starts.as_slice() { Some(*only) } else { None };
    show(&web, &snapshot, &asked, &shown, region)
}

/// One region.
pub async fn region(State(web): State<WebState>, asked: Asked, Path(code): Path<String>, Query(shown): Query<Shown>) -> Response {
    let snapshot = web.snapshot();
    let sight = asked.sight(&snapshot);
    let found = snapshot.inventory.region_by_code(&code).filter(|id| sight.sees_region(&snapshot.inventory, *id));
    match found {
        Some(id) => show(&web, &snapshot, &asked, &shown, Some(id)),
        None => asked.not_found(),
    }
}

fn show(web: &WebState, snapshot: &Snapshot, asked: &Asked, shown: &Shown, region: Option<RegionId>) -> Response {
    let (inventory, sight) = (&snapshot.inventory, asked.sight(snapshot));
    let tally = Tally::of(snapshot);
    let counts = if sight == Sight::Nothing { Counts::default() } else { tally.get(region) };
    let w = words(asked.prefs.lang);
    let title = region.map_or_else(
        || w.whole_country.to_owned(),
        |id| crate::persian::digits(asked.prefs.lang.name(&inventory.region(id).name_fa, &inventory.region(id).name_en), asked.prefs.lang),
    );
    let mut p = asked.page(Section::Overview, title).refreshing(20);
    p.at = snapshot.at.max(asked.at);
    p.wall = shown.wall.as_deref() == Some("1");

    let figures = Figures::of(snapshot);
    let headline = region.and_then(|id| figures.view(snapshot, id));
    let mut rows: Vec<_> =
        children(inventory, &tally, region, sight).into_iter().map(|row| child_row(&p, snapshot, &figures, row)).collect();
    // Villages have pages of their own but no figure; their sites say more.
    rows.retain(|row| row.region.place.kind != RegionKind::Village);
    let order = Order::read(shown.sort.as_deref());
    order.sort(&mut rows);
    let here = region.filter(|_| rows.is_empty()).map(|id| SiteFilter { region: Some(id), ..SiteFilter::default() });
    let standing_here = here.map_or_else(Vec::new, |filter| sites(snapshot, sight, &filter, None, SITES_HERE).items);
    let silent = AgentFilter { states: vec![AgentState::Silent], region, ..AgentFilter::default() };
    let silent = u32::try_from(agents(snapshot, sight, &silent).len()).unwrap_or(u32::MAX);

    let narrowed = region.map_or(sight, |id| sight.narrowed(inventory, id));
    let open = match incidents::largest_open(web, snapshot, narrowed) {
        Ok(open) => open,
        Err(error) => return asked.failed(&error),
    };
    let worst = open.iter().find(|row| row.trouble != "flapping").map(|row| IncidentLine::of(&p, row.clone()));
    // The page everybody has open stays light; a region's own page tells where it comes from.
    let below = region.filter(|id| inventory.region(*id).parent.is_some() && !p.wall);
    let page = OverviewPage {
        kind: region.map(|id| inventory.region(id).kind),
        region_code: region.map_or_else(String::new, |id| inventory.region(id).code.clone()),
        path: region.and_then(|id| inventory.region(id).parent).map_or_else(Vec::new, |parent| path_to(inventory, parent, sight)),
        // One county that is cut off makes no green province, however many others work.
        headline_tone: worst
            .as_ref()
            .filter(|line| line.row.villages > 0)
            .map_or(tone_of(&headline), |line| line.tone.max(tone_of(&headline)))
            .as_str(),
        worst,
        headline_bar: headline.as_ref().map_or_else(Html::default, |figure| figure_bar(&p, figure)),
        headline,
        trend: past::trend(web, snapshot, region, &p),
        movers: if rows.len() > 1 {
            past::movers(web, snapshot, rows.iter().map(|row| (&row.region.place, row.figure.as_ref())), &p)
        } else {
            Vec::new()
        },
        history: below.and_then(|id| past::history(web, snapshot, id, &p)),
        declared: below.and_then(|id| past::declared(web, snapshot, id, &p)),
        by_cause: by_cause(&open, &Which::default(), &p),
        open_incidents: open.len(),
        incidents: open.into_iter().take(INCIDENT_ROWS).map(|row| IncidentLine::of(&p, row)).collect(),
        states: state_tiles(&p, &counts, silent, region.map(|id| inventory.region(id).code.as_str())),
        networks: Network::ALL
            .iter()
            .filter(|network| counts.network(**network).total > 0)
            .map(|network| network_line(&p, *network, counts.network(*network)))
            .collect(),
        map: map_view(web, snapshot, region, sight, &p),
        legend: legend(&p, &counts),
        attention: attention(snapshot, sight, region, if p.wall { WALL_ROWS } else { ATTENTION_ROWS }),
        attention_href: sites_href("down,unknown,backup_only,degraded", region.map(|id| inventory.region(id).code.as_str())),
        children_title: rows.first().map_or(w.regions, |row| plural(row.region.place.kind, w.regions, w.counties)),
        columns: order.columns(&p),
        children: rows,
        standing_here,
        p,
    };
    asked.show(&page)
}

/// The headline figure of every region.
pub struct Figures(HashMap<String, crate::kpi::Figure>);

impl Figures {
    /// Computes them from a snapshot.
    pub fn of(snapshot: &Snapshot) -> Self {
        let figures = connected_share_now::figures(snapshot, Weight::Village);
        Figures(figures.into_iter().map(|figure| (figure.region.clone(), figure)).collect())
    }

    /// Describes the figure of one region, if figures are published for it.
    pub fn view(&self, snapshot: &Snapshot, region: RegionId) -> Option<FigureView> {
        let figure = self.0.get(&snapshot.inventory.region(region).code)?;
        Some(FigureView::of(&snapshot.inventory, region, figure, Time(snapshot.at)))
    }
}

fn child_row(p: &Page, snapshot: &Snapshot, figures: &Figures, row: RegionRow) -> ChildRow {
    let villages = row.counts.villages;
    let name = p.name(&row.place.name_fa, &row.place.name_en);
    let parts = [
        (Tone::Good, villages.connected),
        (Tone::Weak, villages.partial),
        (Tone::Bad, villages.disconnected),
        (Tone::Unknown, villages.unknown),
    ];
    let spoken = format!("{name}: {} {}، {} {}", p.int(villages.connected), p.w.connected, p.int(villages.disconnected), p.w.disconnected);
    let figure = snapshot.inventory.region_by_code(&row.place.code).and_then(|id| figures.view(snapshot, id));
    ChildRow { bar: share_bar(&parts, &spoken), region: row, figure }
}

fn figure_bar(p: &Page, figure: &FigureView) -> Html {
    let spoken = format!("{} {}، {} {} – {}", p.w.value, p.pct(&figure.value), p.w.bounds, p.pct(&figure.lo), p.pct(&figure.hi));
    bounds_bar(Marks { value: figure.value, ..Marks::default() }, figure.lo, figure.hi, &spoken)
}

/// Colours the headline by its value alone; the goal line says what was promised.
fn tone_of(headline: &Option<FigureView>) -> Tone {
    headline.as_ref().and_then(|figure| figure.value).map_or(Tone::Unknown, Tone::of_share)
}

fn state_tiles(p: &Page, counts: &Counts, silent: u32, region: Option<&str>) -> Vec<StateTile> {
    let total = format!("{} {} {}", p.w.of_which, p.int(counts.sites.total), p.w.site);
    let quiet = |tone, count| if count == 0 { Tone::Good } else { tone };
    vec![
        StateTile {
            tone: quiet(Tone::Bad, counts.sites.down),
            word: p.lang.pick("سایت قطع", "sites down"),
            count: counts.sites.down,
            of: total.clone(),
            href: sites_href("down", region),
        },
        StateTile {
            tone: quiet(Tone::Unknown, counts.sites.unknown),
            word: p.lang.pick("سایت نامشخص", "sites unknown"),
            count: counts.sites.unknown,
            of: total,
            href: sites_href("unknown", region),
        },
        StateTile {
            tone: quiet(Tone::Weak, silent),
            word: p.w.silent_agents,
            count: silent,
            of: p.w.agents.to_owned(),
            href: "/agents?state=silent".to_owned(),
        },
    ]
}

fn network_line(p: &Page, network: Network, counts: LinkCounts) -> NetworkLine {
    let rest = counts.total - counts.working - counts.down - counts.unknown;
    let parts = [(Tone::Good, counts.working), (Tone::Bad, counts.down), (Tone::Unknown, counts.unknown), (Tone::Off, rest)];
    let spoken = format!(
        "{}: {} {}، {} {}، {} {}",
        network.label(p.lang),
        p.int(counts.working),
        p.w.up,
        p.int(counts.down),
        p.w.down,
        p.int(counts.unknown),
        p.w.unknown
    );
    NetworkLine { network, counts, bar: share_bar(&parts, &spoken) }
}

fn legend(p: &Page, counts: &Counts) -> Vec<LegendItem> {
    let villages = counts.villages;
    let items = [
        (Tone::Good, VillageState::Connected, villages.connected),
        (Tone::Weak, VillageState::Partial, villages.partial),
        (Tone::Bad, VillageState::Disconnected, villages.disconnected),
        (Tone::Unknown, VillageState::Unknown, villages.unknown),
    ];
    items.into_iter().map(|(tone, state, count)| LegendItem { tone, word: state.label(p.lang), count }).collect()
}

fn sites_href(states: &str, region: Option<&str>) -> String {
    match region {
        Some(code) => format!("/sites?state={states}&region={}", url_part(code)),
        None => format!("/sites?state={states}"),
    }
}

fn plural(kind: RegionKind, regions: &'static str, counties: &'static str) -> &'static str {
    if kind == RegionKind::County { counties } else { regions }
}

/// The column a table of regions is sorted by. Shares show the worst first, counts the largest, names the alphabet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Name,
    Share,
    Villages,
    Disconnected,
    Unknown,
    Sites,
    Down,
}

impl Order {
    const ALL: [(Order, &'static str); 7] = [
        (Order::Name, "name"),
        (Order::Share, "share"),
        (Order::Villages, "villages"),
        (Order::Disconnected, "disconnected"),
        (Order::Unknown, "unknown"),
        (Order::Sites, "sites"),
        (Order::Down, "down"),
    ];

    fn read(word: Option<&str>) -> Self {
        Order::ALL.into_iter().find(|(_, name)| Some(*name) == word).map_or(Order::Share, |(order, _)| order)
    }

    fn sort(self, rows: &mut [ChildRow]) {
        let largest = |key: fn(&Counts) -> u32| move |row: &ChildRow| std::cmp::Reverse(key(&row.region.counts));
        match self {
            Order::Name => rows.sort_by(|a, b| a.region.place.name_fa.cmp(&b.region.place.name_fa)),
            Order::Share => rows.sort_by(|a, b| a.share().total_cmp(&b.share())),
            Order::Villages => rows.sort_by_key(largest(|counts| counts.villages.total)),
            Order::Disconnected => rows.sort_by_key(largest(|counts| counts.villages.disconnected)),
            Order::Unknown => rows.sort_by_key(largest(|counts| counts.villages.unknown)),
            Order::Sites => rows.sort_by_key(largest(|counts| counts.sites.total)),
            Order::Down => rows.sort_by_key(largest(|counts| counts.sites.down)),
        }
    }

    fn columns(self, p: &Page) -> Vec<SortedColumn> {
        let title = |order| match order {
            Order::Name => p.w.name,
            Order::Share => p.w.connected_now,
            Order::Villages => p.w.villages,
            Order::Disconnected => p.lang.pick("روستای قطع", "villages down"),
            Order::Unknown => p.lang.pick("روستای نامشخص", "villages unknown"),
            Order::Sites => p.w.sites,
            Order::Down => p.lang.pick("سایت قطع", "sites down"),
        };
        let ascending = |order| matches!(order, Order::Name | Order::Share);
        let column = |(order, name)| SortedColumn::new(p, title(order), name, order == self, ascending(order));
        Order::ALL.into_iter().map(column).collect()
    }
}

impl ChildRow {
    /// What is least known or least connected stands first.
    fn share(&self) -> f64 {
        self.figure.as_ref().and_then(|figure| figure.value.or(figure.lo)).unwrap_or(2.0)
    }
}
