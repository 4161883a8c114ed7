//! The list of sites: search in any spelling, filters, pages.

use std::collections::BTreeSet;

use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;
use rusta_wire::Network;
use serde::Deserialize;

use crate::engine::{SiteState, Snapshot};
use crate::inventory::{RegionId, RegionKind, SiteKind};
use crate::persian::{Lang, Named, digits, operator_names, words};
use crate::view::{Sight, SiteFilter, SiteRow, Slice, sites};
use crate::web::asked::Asked;
use crate::web::html::url_part;
use crate::web::page::{Choice, Entry, Page, Section};
use crate::web::state::WebState;

/// Rows of a page: a page stays below 60 KB.
const ROWS: usize = 60;

#[derive(Template)]
#[template(path = "sites.html")]
struct SitesPage {
    p: Page,
    asked: SitesQuery,
    slice: Slice<SiteRow>,
    choices: Vec<Choice>,
    paged: bool,
    first_href: String,
    next_href: Option<String>,
    csv_href: String,
    xlsx_href: String,
}

/// What a list of sites is asked for, on pages, in exports and in the API alike.
#[derive(Debug, Clone, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SitesQuery {
    /// Part of a Persian or Latin name or of a code, in any spelling.
    #[serde(default)]
    pub q: String,
    /// States, separated by commas: up, degraded, backup_only, down, unknown, maintenance, not_in_service.
    #[serde(default)]
    pub state: String,
    /// Code of a region; sites inside it.
    #[serde(default)]
    pub region: String,
    /// Kind of site.
    #[serde(default)]
    pub kind: String,
    /// Network of a link: gov, apn, nin, internet.
    #[serde(default)]
    pub network: String,
    /// Operator of a link.
    #[serde(default)]
    pub operator: String,
    /// Households of the village, `from-below`, such as `20-31`.
    #[serde(default)]
    pub band: String,
    /// Cursor from the page before.
    #[serde(default)]
    pub cursor: String,
    /// Rows to return, 1 to 1000.
    #[serde(default)]
    #[param(minimum = 1, maximum = 1000, nullable = false, example = 20)]
    pub limit: Option<usize>,
}

const BANDS: [(u32, u32); 8] = [(1, 5), (5, 10), (10, 16), (16, 20), (20, 31), (31, 71), (71, 101), (101, u32::MAX)];

impl SitesQuery {
    /// Turns words into a filter.
    ///
    /// # Errors
    /// The name of the parameter that makes no sense, and why.
    pub fn filter(&self, snapshot: &Snapshot, sight: Sight) -> Result<SiteFilter, (&'static str, String)> {
        let states = self.state.split(',').filter(|word| !word.is_empty()).map(str::parse).collect::<Result<_, _>>();
        let region = match self.region.as_str() {
            "" => None,
            // A region somebody does not see is none: an answer of its own would tell that it is there.
            code => {
                let seen = snapshot.inventory.region_by_code(code).filter(|id| sight.sees_region(&snapshot.inventory, *id));
                Some(seen.ok_or_else(|| ("region", format!("there is no region `{code}`")))?)
            }
        };
        Ok(SiteFilter {
            states: states.map_err(|fault| ("state", fault))?,
            region,
            kind: parse_one(&self.kind).map_err(|fault| ("kind", fault))?,
            network: parse_one(&self.network).map_err(|fault| ("network", fault))?,
            operator: Some(self.operator.clone()).filter(|operator| !operator.is_empty()),
            households: parse_band(&self.band).map_err(|fault| ("band", fault))?,
            query: self.q.clone(),
        })
    }

    /// Writes the query of an address without its cursor.
    pub fn address(&self, path: &str) -> String {
        let parts = [
            ("q", &self.q),
            ("state", &self.state),
            ("region", &self.region),
            ("kind", &self.kind),
            ("network", &self.network),
            ("operator", &self.operator),
            ("band", &self.band),
        ];
        let query: Vec<_> =
            parts.iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| format!("{name}={}", url_part(value))).collect();
        if query.is_empty() { path.to_owned() } else { format!("{path}?{}", query.join("&")) }
    }
}

/// Shows a page of the list.
pub async fn list(State(web): State<WebState>, asked: Asked, Query(query): Query<SitesQuery>) -> Response {
    let snapshot = web.snapshot();
    let sight = asked.sight(&snapshot);
    // A filter that makes no sense (an old bookmark) finds nothing rather than everything.
    let slice = query.filter(&snapshot, asked.sight(&snapshot)).map_or_else(
        |_| Slice { items: Vec::new(), next: None, total: 0 },
        |filter| sites(&snapshot, sight, &filter, Some(query.cursor.as_str()).filter(|cursor| !cursor.is_empty()), ROWS),
    );
    let mut p = asked.page(Section::Sites, words(asked.prefs.lang).sites).refreshing(60);
    p.at = snapshot.at.max(asked.at);
    let join = |address: String| if address.contains('?') { format!("{address}&") } else { format!("{address}?") };
    let page = SitesPage {
        choices: choices(&p, &snapshot, sight, &query),
        paged: !query.cursor.is_empty(),
        first_href: query.address("/sites"),
        next_href: slice.next.as_ref().map(|next| format!("{}cursor={}", join(query.address("/sites")), url_part(next))),
        csv_href: query.address("/sites.csv"),
        xlsx_href: query.address("/sites.xlsx"),
        asked: query,
        slice,
        p,
    };
    asked.show(&page)
}

fn choices(p: &Page, snapshot: &Snapshot, sight: Sight, query: &SitesQuery) -> Vec<Choice> {
    let inventory = &snapshot.inventory;
    let lang = p.lang;
    let option = |value: String, text: String, chosen: &str| Entry::new(value, text, chosen);
    let trouble = "down,unknown,backup_only,degraded";
    let mut states = vec![option(trouble.to_owned(), p.w.attention.to_owned(), &query.state)];
    states.extend(SiteState::ALL.iter().map(|state| option(state.to_string(), state.label(lang).to_owned(), &query.state)));
    let visible: Vec<_> = inventory.sites.iter().filter(|site| sight.sees_region(inventory, site.region)).collect();
    let kinds: BTreeSet<_> = visible.iter().map(|site| site.kind).collect();
    let links = || visible.iter().flat_map(|site| &inventory.links[site.links.start as usize..site.links.end as usize]);
    let operators: BTreeSet<_> = links().map(|link| link.operator.as_str()).filter(|operator| !operator.is_empty()).collect();
    let networks: BTreeSet<_> = links().map(|link| link.network).collect();
    let mut choices = vec![
        Choice { name: "state", title: p.w.state, options: states },
        county_choice(p, snapshot, sight, &query.region),
        Choice {
            name: "kind",
            title: p.w.kind,
            options: kinds.into_iter().map(|kind: SiteKind| option(kind.to_string(), kind.label(lang).to_owned(), &query.kind)).collect(),
        },
        Choice {
            name: "network",
            title: p.w.network,
            options: networks
                .into_iter()
                .map(|network: Network| option(network.to_string(), network.label(lang).to_owned(), &query.network))
                .collect(),
        },
        Choice {
            name: "operator",
            title: p.w.operator,
            options: operators
                .into_iter()
                .map(|operator| {
                    option(
                        operator.to_owned(),
                        {
                            let (fa, en) = operator_names(operator);
                            lang.pick(fa, en).to_owned()
                        },
                        &query.operator,
                    )
                })
                .collect(),
        },
        Choice {
            name: "band",
            title: p.w.band,
            options: BANDS.into_iter().map(|band| option(band_word(band), band_text(band, lang), &query.band)).collect(),
        },
    ];
    choices.retain(|choice| !choice.options.is_empty());
    choices
}

/// Offers the counties somebody sees.
pub fn county_choice(p: &Page, snapshot: &Snapshot, sight: Sight, chosen: &str) -> Choice {
    let inventory = &snapshot.inventory;
    let counties = (0..).map(RegionId).zip(&inventory.regions).filter(|(_, region)| region.kind == RegionKind::County);
    let seen = counties.filter(|(id, _)| sight.sees_region(inventory, *id));
    let options = seen.map(|(_, region)| Entry::new(region.code.as_str(), p.name(&region.name_fa, &region.name_en), chosen)).collect();
    Choice { name: "region", title: p.w.county, options }
}

fn band_word((from, below): (u32, u32)) -> String {
    if below == u32::MAX { format!("{from}-") } else { format!("{from}-{below}") }
}

fn band_text((from, below): (u32, u32), lang: Lang) -> String {
    if below == u32::MAX { digits(&format!("{from}+"), lang) } else { digits(&format!("{from}–{}", below - 1), lang) }
}

fn parse_one<T: std::str::FromStr<Err = String>>(word: &str) -> Result<Option<T>, String> {
    if word.is_empty() { Ok(None) } else { word.parse().map(Some) }
}

fn parse_band(text: &str) -> Result<Option<(u32, u32)>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let fault = || format!("`{text}` is not a range of households such as 20-31 or 101-");
    let (from, below) = text.split_once('-').ok_or_else(fault)?;
    let below = if below.is_empty() { Ok(u32::MAX) } else { below.parse() };
    Ok(Some((from.parse().map_err(|_| fault())?, below.map_err(|_| fault())?)))
}
