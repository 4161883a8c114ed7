//! What a report says, as plain tables in both languages.

use serde::{Deserialize, Serialize};

use super::promises::{self, Trends};
use super::tables;
use crate::inventory::{Inventory, RegionId};
use crate::kpi::catalogue::villages_connected_month;
use crate::kpi::{Ask, Breakdown, CATALOGUE, Definition, Facts, Figure, Kpi, Standing, answer};
use crate::persian::{JalaliDate, Lang};

/// A whole report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Content {
    /// The period, such as 1405-08.
    pub period: String,
    /// Its title, Persian and English.
    pub title: (String, String),
    /// The region's code and names.
    pub region: (String, String, String),
    /// The tables, in printing order.
    pub tables: Vec<Table>,
    /// Every village's verdict, by code. Revisions are compared by it.
    pub villages: Vec<VillageVerdict>,
    /// What counts nowhere any more because whoever said it was revoked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taken_out: Vec<TakenOut>,
}

/// An agent whose word was taken out of a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakenOut {
    /// The agent.
    pub agent: String,
    /// Code of the site it spoke for.
    pub site: String,
    /// Nothing it said from then on counts.
    pub since_ms: i64,
    /// Why, as whoever revoked it wrote.
    pub reason: String,
}

/// What a report says of one village.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VillageVerdict {
    /// Its code.
    pub code: String,
    /// Its names, Persian and English.
    pub name: (String, String),
    /// Whether it was connected; `None` if too little was measured to tell.
    pub connected: Option<bool>,
}

/// One table; a sheet of the workbook.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// Its name, Persian and English.
    pub name: (String, String),
    /// Headings, Persian and English.
    pub headings: Vec<(String, String)>,
    /// Rows.
    pub rows: Vec<Vec<Cell>>,
    /// Whether it is a register to search rather than a page to read; print leaves it to the workbook.
    pub is_register: bool,
}

impl Table {
    /// Makes a table to read.
    pub(super) fn new(name: (&str, &str), headings: Vec<(String, String)>, rows: Vec<Vec<Cell>>) -> Self {
        Table { name: both(name.0, name.1), headings, rows, is_register: false }
    }
}

/// One cell. Numbers stay numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Cell {
    /// A number; a ratio if `is_ratio`.
    Number {
        /// The number.
        number: f64,
        /// Whether it is shown in percent.
        is_ratio: bool,
    },
    /// The same text in both languages: codes, ids.
    Text(String),
    /// Persian and English.
    Both(String, String),
    /// Not known.
    Empty,
}

/// Gathers a report of a region; `trends` holds what the months before came to.
pub fn content(facts: &Facts, region: &str, trends: &Trends) -> Content {
    let map = facts.last_map();
    let names = map.region_by_code(region).map(|id| (map.region(id).name_fa.clone(), map.region(id).name_en.clone())).unwrap_or_default();
    let title = |lang| facts.period.title(lang);
    let crossed = promises::crossed(facts, region);
    Content {
        period: facts.period.to_string(),
        title: (title(Lang::Fa), title(Lang::En)),
        region: (region.to_owned(), names.0, names.1),
        tables: vec![
            tables::executive(facts, region),
            tables::by_first_text(facts, region),
            tables::parts(facts, region),
            tables::outages(facts, region, Breakdown::Cause),
            tables::outages(facts, region, Breakdown::Responsible),
            tables::worst(facts, region),
            promises::declared(facts, region),
            promises::cross(&crossed),
            promises::cross_villages(&map, &crossed),
            promises::goals(facts, region, trends),
            definitions(facts),
        ],
        villages: villages(facts, region),
        taken_out: Vec::new(),
    }
}

pub(super) fn both(fa: &str, en: &str) -> (String, String) {
    (fa.to_owned(), en.to_owned())
}

pub(super) fn plain(number: f64) -> Cell {
    Cell::Number { number, is_ratio: false }
}

pub(super) fn standing(standing: Standing) -> Cell {
    let (fa, en) = match standing {
        Standing::Known => ("معلوم", "known"),
        Standing::Insufficient => ("داده ناکافی", "insufficient data"),
        Standing::Unmeasured => ("سنجیده نشده", "unmeasured"),
        Standing::NoEvent => ("بدون رخداد", "nothing happened"),
        Standing::NotCollected => ("هنوز گردآوری نشده", "not collected yet"),
        Standing::TooShort => ("بازه کوتاه‌تر از آن است که داوری شود", "window too short to judge"),
        Standing::Empty => ("موضوعی برای شمارش نیست", "nothing to count"),
    };
    Cell::Both(fa.to_owned(), en.to_owned())
}

/// Names a place in both languages; the Persian name stands for a missing English one.
pub(super) fn place_name(map: &Inventory, id: RegionId) -> Cell {
    let region = map.region(id);
    Cell::Both(region.name_fa.clone(), if region.name_en.is_empty() { region.name_fa.clone() } else { region.name_en.clone() })
}

/// Writes a number that may be missing.
pub(super) fn number(value: Option<f64>, is_ratio: bool) -> Cell {
    value.map_or(Cell::Empty, |number| Cell::Number { number, is_ratio })
}

pub(super) fn name_of(kpi: &Kpi) -> Cell {
    Cell::Both(kpi.names.0.to_owned(), kpi.names.1.to_owned())
}

/// Answers a question about the whole region.
pub(super) fn of_region(kpi: &'static Kpi, facts: &Facts, region: &str) -> Option<Figure> {
    answer(kpi, facts, Ask { region: Some(region), ..Ask::default() }).into_iter().next()
}

/// Lists every definition in each version that held in the window: the one its figures stand on first, then those that
/// began inside it, and the catalogue's first text, whose figures stand beside.
fn definitions(facts: &Facts) -> Table {
    let window = facts.window;
    let mut rows = Vec::new();
    for kpi in CATALOGUE {
        let in_force = facts.in_force(kpi).version;
        let began = |one: &Definition| one.effective_from.is_some_and(|from| window.from < from && from < window.until);
        let mut held: Vec<Definition> =
            facts.definitions.of(kpi).into_iter().filter(|one| one.version == in_force || one.version == 1 || began(one)).collect();
        held.sort_by_key(|one| (one.version != in_force, one.version));
        rows.extend(held.iter().map(definition_row));
    }
    let headings = vec![
        both("شناسه", "id"),
        both("نام", "name"),
        both("فرمول", "formula"),
        both("واحد", "unit"),
        both("نسخه", "version"),
        both("از تاریخ", "effective from"),
        both("مصوبه", "decree"),
        both("مقادیر", "terms"),
        both("پایه", "basis"),
    ];
    Table::new(("تعریف‌ها", "definitions"), headings, rows)
}

fn definition_row(one: &Definition) -> Vec<Cell> {
    let (kpi, text) = (one.kpi, one.text());
    let terms: Vec<String> = kpi.stands_on.iter().map(|term| format!("{term}={}", one.terms.get(*term))).collect();
    let since = |from| {
        let date = JalaliDate::at(from);
        Cell::Both(date.in_figures(Lang::Fa), date.in_figures(Lang::En))
    };
    vec![
        Cell::Text(kpi.id.to_owned()),
        name_of(kpi),
        Cell::Both(text.formula.0.to_owned(), text.formula.1.to_owned()),
        Cell::Text(kpi.unit.to_string()),
        plain(f64::from(one.version)),
        one.effective_from.map_or(Cell::Empty, since),
        if one.decree.is_empty() { Cell::Empty } else { Cell::Text(one.decree.clone()) },
        if terms.is_empty() { Cell::Empty } else { Cell::Text(terms.join(" ")) },
        Cell::Text(kpi.basis.to_owned()),
    ]
}

fn villages(facts: &Facts, region: &str) -> Vec<VillageVerdict> {
    let (whole, terms) = (facts.whole(), facts.in_force(&villages_connected_month::KPI).terms);
    let mut all = Vec::new();
    for section in &whole.sections {
        let map = &section.inventory;
        let Some(region) = map.region_by_code(region) else { continue };
        for (id, seconds) in (0..).map(RegionId).zip(&section.villages) {
            let Some(seconds) = seconds.filter(|_| map.is_within(id, region)) else { continue };
            let village = map.region(id);
            let name = (village.name_fa.clone(), village.name_en.clone());
            all.push(VillageVerdict {
                code: village.code.clone(),
                name,
                connected: villages_connected_month::is_connected(&seconds.state, &terms),
            });
        }
    }
    all.sort_by(|a, b| a.code.cmp(&b.code));
    all
}
