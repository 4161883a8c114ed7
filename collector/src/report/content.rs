//! What a report says, as plain tables in both languages.

use serde::{Deserialize, Serialize};

use crate::inventory::RegionKind;
use crate::kpi::catalogue::declared_gap::{Claim, comparisons, cross_table};
use crate::kpi::catalogue::villages_connected_month;
use crate::kpi::{Ask, Breakdown, CATALOGUE, Facts, Figure, Kpi, Standing, answer, by_id};

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
    /// State of every village: connected, not connected, unmeasured. Revisions are compared by it.
    pub villages: Vec<(String, String)>,
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

/// The figures of the executive page, and of each county.
const EXECUTIVE: [&str; 12] = [
    "connected_share_period",
    "villages_connected_month",
    "nin_share_20plus",
    "nin_share_10_19",
    "coverage_share_any",
    "g4_share",
    "fixed_line_share",
    "gov_buildings_connected",
    "dehyari_connected_share",
    "availability",
    "sla_pass_share",
    "catalogue_health",
];
const COUNTY: [&str; 5] =
    ["connected_share_period", "villages_connected_month", "availability", "gov_buildings_connected", "nin_share_20plus"];
/// How many of the worst villages are named.
const WORST: usize = 20;

/// Gathers a report of a region.
pub fn content(facts: &Facts, region: &str) -> Content {
    let map = facts.last_map();
    let names = map.region_by_code(region).map(|id| (map.region(id).name_fa.clone(), map.region(id).name_en.clone())).unwrap_or_default();
    let title = |lang| facts.period.title(lang);
    Content {
        period: facts.period.to_string(),
        title: (title(crate::persian::Lang::Fa), title(crate::persian::Lang::En)),
        region: (region.to_owned(), names.0, names.1),
        tables: vec![
            executive(facts, region),
            counties(facts, region),
            causes(facts, region, Breakdown::Cause, ("قطعی به تفکیک علت", "outages by cause")),
            causes(facts, region, Breakdown::Responsible, ("قطعی به تفکیک متولی", "outages by responsible party")),
            worst(facts, region),
            declared(facts, region),
            cross(facts, region),
            goals(facts, region),
            definitions(),
        ],
        villages: villages(facts, region),
    }
}

fn both(fa: &str, en: &str) -> (String, String) {
    (fa.to_owned(), en.to_owned())
}

fn figure_headings() -> Vec<(String, String)> {
    vec![
        both("شاخص", "KPI"),
        both("مقدار", "value"),
        both("کران پایین", "lower bound"),
        both("کران بالا", "upper bound"),
        both("سهم معلوم", "known"),
        both("صورت", "numerator"),
        both("مخرج", "denominator"),
        both("نامشخص", "unknown"),
        both("وضعیت داده", "standing"),
        both("نسخه تعریف", "definition version"),
    ]
}

fn figure_row(name: Cell, figure: &Figure) -> Vec<Cell> {
    let is_ratio = figure.unit == crate::kpi::Unit::Ratio;
    let number = |value: Option<f64>| value.map_or(Cell::Empty, |number| Cell::Number { number, is_ratio });
    vec![
        name,
        number(figure.value),
        number(figure.lo),
        number(figure.hi),
        figure.known_ratio.map_or(Cell::Empty, |number| Cell::Number { number, is_ratio: true }),
        plain(figure.numerator),
        plain(figure.denominator),
        plain(figure.unknown),
        standing(figure.standing),
        plain(f64::from(figure.definition_version)),
    ]
}

fn plain(number: f64) -> Cell {
    Cell::Number { number, is_ratio: false }
}

fn standing(standing: Standing) -> Cell {
    let (fa, en) = match standing {
        Standing::Known => ("معلوم", "known"),
        Standing::Insufficient => ("داده ناکافی", "insufficient data"),
        Standing::Unmeasured => ("سنجیده نشده", "unmeasured"),
        Standing::NoEvent => ("بدون رخداد", "nothing happened"),
        Standing::NotCollected => ("هنوز گردآوری نشده", "not collected yet"),
        Standing::Empty => ("موضوعی برای شمارش نیست", "nothing to count"),
    };
    Cell::Both(fa.to_owned(), en.to_owned())
}

fn name_of(kpi: &Kpi) -> Cell {
    Cell::Both(kpi.names.0.to_owned(), kpi.names.1.to_owned())
}

fn of_region(kpi: &'static Kpi, facts: &Facts, region: &str) -> Option<Figure> {
    answer(kpi, facts, Ask { region: Some(region), ..Ask::default() }).into_iter().next()
}

fn executive(facts: &Facts, region: &str) -> Table {
    let shown = EXECUTIVE.iter().filter_map(|id| by_id(id));
    let rows = shown.filter_map(|kpi| of_region(kpi, facts, region).map(|figure| figure_row(name_of(kpi), &figure)));
    Table { name: both("خلاصه مدیریتی", "executive page"), headings: figure_headings(), rows: rows.collect() }
}

fn counties(facts: &Facts, region: &str) -> Table {
    let map = facts.last_map();
    let mut headings = vec![both("کد", "code"), both("نام", "name")];
    let mut columns: Vec<(Vec<Figure>, bool)> = Vec::new();
    for kpi in COUNTY.iter().filter_map(|id| by_id(id)) {
        headings.push(both(kpi.names.0, kpi.names.1));
        headings.push((format!("{}، کران پایین", kpi.names.0), format!("{}, lower bound", kpi.names.1)));
        columns.push((answer(kpi, facts, Ask { region: Some(region), by: Some(Breakdown::Region), ..Ask::default() }), true));
    }
    let parent = map.region_by_code(region);
    let children = map.regions.iter().filter(|r| r.parent.is_some() && r.parent == parent && r.kind != RegionKind::Village);
    let mut rows = Vec::new();
    for child in children.filter(|r| r.kind != RegionKind::City) {
        let mut row = vec![Cell::Text(child.code.clone()), Cell::Both(child.name_fa.clone(), child.name_en.clone())];
        for (figures, is_ratio) in &columns {
            let figure = figures.iter().find(|f| f.region == child.code);
            let number = |value: Option<f64>| value.map_or(Cell::Empty, |number| Cell::Number { number, is_ratio: *is_ratio });
            row.extend([number(figure.and_then(|f| f.value)), number(figure.and_then(|f| f.lo))]);
        }
        rows.push(row);
    }
    Table { name: both("شهرستان‌ها", "counties"), headings, rows }
}

fn causes(facts: &Facts, region: &str, by: Breakdown, name: (&str, &str)) -> Table {
    let ids = ["outage_count", "outage_minutes_by_cause", "mttr"];
    let mut headings = vec![both("بخش", "part")];
    let mut parts: std::collections::BTreeMap<String, [Cell; 3]> = std::collections::BTreeMap::new();
    for (column, kpi) in ids.iter().filter_map(|id| by_id(id)).enumerate() {
        headings.push(both(kpi.names.0, kpi.names.1));
        for figure in answer(kpi, facts, Ask { region: Some(region), by: Some(by), ..Ask::default() }) {
            let Some((_, part)) = figure.part else { continue };
            let row = parts.entry(part).or_insert([Cell::Empty, Cell::Empty, Cell::Empty]);
            row[column] = figure.value.map_or(Cell::Empty, plain);
        }
    }
    let rows = parts.into_iter().map(|(part, cells)| std::iter::once(Cell::Text(part)).chain(cells).collect()).collect();
    Table { name: both(name.0, name.1), headings, rows }
}

/// The villages with the longest known disconnection; of equals the larger first.
fn worst(facts: &Facts, region: &str) -> Table {
    let whole = facts.whole();
    let mut all: Vec<(u64, u32, Vec<Cell>)> = Vec::new();
    for section in &whole.sections {
        let map = &section.inventory;
        let Some(region) = map.region_by_code(region) else { continue };
        for (village, seconds) in map.regions.iter().zip(&section.villages) {
            let Some(seconds) = seconds.filter(|s| s.state.down > 0) else { continue };
            let Some(id) = map.region_by_code(&village.code).filter(|id| map.is_within(*id, region)) else { continue };
            let county = map.ancestors(id).map(|id| map.region(id)).find(|r| r.kind == RegionKind::County);
            let households = village.households.unwrap_or(0);
            all.push((
                seconds.state.down,
                households,
                vec![
                    Cell::Text(village.code.clone()),
                    Cell::Both(village.name_fa.clone(), village.name_en.clone()),
                    county.map_or(Cell::Empty, |c| Cell::Both(c.name_fa.clone(), c.name_en.clone())),
                    plain(f64::from(households)),
                    plain(seconds.state.down as f64 / 3_600.0),
                    plain(seconds.state.unknown as f64 / 3_600.0),
                ],
            ));
        }
    }
    all.sort_by_key(|row| std::cmp::Reverse((row.0, row.1)));
    let headings = vec![
        both("کد", "code"),
        both("روستا", "village"),
        both("شهرستان", "county"),
        both("خانوار", "households"),
        both("ساعت قطع", "hours down"),
        both("ساعت نامشخص", "hours unknown"),
    ];
    Table {
        name: both("بیست روستای بدتر", "worst twenty"), headings, rows: all.into_iter().take(WORST).map(|(.., row)| row).collect()
    }
}

fn declared(facts: &Facts, region: &str) -> Table {
    let headings = vec![
        both("شاخص", "KPI"),
        both("اعلامی", "declared"),
        both("تاریخ", "as of"),
        both("ناشر", "publisher"),
        both("سنجیده", "measured"),
        both("کران پایین", "lower bound"),
        both("کران بالا", "upper bound"),
        both("شکاف", "gap"),
        both("وضعیت داده", "standing"),
    ];
    let row = |c: crate::kpi::catalogue::declared_gap::Comparison| {
        let is_count = c.declared.unit == crate::kpi::Unit::Count.as_str();
        let number = |value: Option<f64>| value.map_or(Cell::Empty, |number| Cell::Number { number, is_ratio: !is_count });
        let measured = if is_count { Some(c.measured.numerator) } else { c.measured.value };
        let bounds = |value: Option<f64>| if is_count { Cell::Empty } else { number(value) };
        vec![
            by_id(&c.declared.kpi).map_or_else(|| Cell::Text(c.declared.kpi.clone()), name_of),
            number(Some(c.declared.value)),
            Cell::Text(c.declared.as_of.clone()),
            Cell::Text(c.declared.publisher.clone()),
            number(measured),
            bounds(c.measured.lo),
            bounds(c.measured.hi),
            number(c.gap),
            standing(c.measured.standing),
        ]
    };
    let rows = comparisons(facts, Ask { region: Some(region), ..Ask::default() }).into_iter().map(row).collect();
    Table { name: both("اعلامی و سنجیده", "declared against measured"), headings, rows }
}

fn cross(facts: &Facts, region: &str) -> Table {
    let claims = [
        (Claim::NationalNetwork, 20, ("شبکه ملی، ۲۰ خانوار و بیشتر", "national network, 20 households and more")),
        (Claim::Coverage, 1, ("پوشش", "coverage")),
        (Claim::FourG, 1, ("نسل چهارم", "4G")),
    ];
    let mut rows = Vec::new();
    for (claim, households, (fa, en)) in claims {
        let table = cross_table(facts, claim, region, households);
        for (declared, villages) in [("بله", "yes"), ("خیر", "no")].into_iter().zip(&table.villages) {
            let mut row = vec![Cell::Both(fa.to_owned(), en.to_owned()), Cell::Both(declared.0.to_owned(), declared.1.to_owned())];
            row.extend(villages.iter().map(|codes| plain(codes.len() as f64)));
            rows.push(row);
        }
    }
    let headings = vec![
        both("ادعا", "claim"),
        both("اعلام شده", "declared"),
        both("سنجیده: بله", "measured: yes"),
        both("سنجیده: خیر", "measured: no"),
        both("سنجیده: نامشخص", "measured: unknown"),
    ];
    Table { name: both("جدول ۳ در ۲", "3 by 2"), headings, rows }
}

fn goals(facts: &Facts, region: &str) -> Table {
    let map = facts.last_map();
    let mut rows = Vec::new();
    if let Some(kpi) = by_id("target_progress") {
        for figure in answer(kpi, facts, Ask { region: Some(region), ..Ask::default() }) {
            let Some((_, of)) = &figure.part else { continue };
            let goal = map.goals.iter().find(|g| g.kpi == *of && map.region(g.region).code == figure.region);
            let ratio = |value: Option<f64>| value.map_or(Cell::Empty, |number| Cell::Number { number, is_ratio: true });
            rows.push(vec![
                by_id(of).map_or_else(|| Cell::Text(of.clone()), name_of),
                ratio(goal.and_then(|g| g.baseline)),
                ratio(goal.map(|g| g.value)),
                Cell::Text(goal.and_then(|g| g.due_on.clone()).unwrap_or_default()),
                ratio(figure.value),
                standing(figure.standing),
            ]);
        }
    }
    let active = map.services.iter().filter(|s| s.active).count();
    rows.push(vec![
        Cell::Both("خدمت‌های سبد".to_owned(), "services of the catalogue".to_owned()),
        Cell::Empty,
        plain(30.0),
        Cell::Text(String::new()),
        plain(active as f64),
        Cell::Empty,
    ]);
    let headings = vec![
        both("هدف", "goal"),
        both("مبنا", "baseline"),
        both("مقدار هدف", "target"),
        both("سررسید", "due on"),
        both("پیشرفت", "progress"),
        both("وضعیت داده", "standing"),
    ];
    Table { name: both("هدف‌های برنامه", "programme goals"), headings, rows }
}

fn definitions() -> Table {
    let row = |kpi: &Kpi| {
        vec![
            Cell::Text(kpi.id.to_owned()),
            name_of(kpi),
            Cell::Both(kpi.formula.0.to_owned(), kpi.formula.1.to_owned()),
            Cell::Text(kpi.unit.to_string()),
            plain(f64::from(kpi.version)),
            Cell::Text(kpi.basis.to_owned()),
        ]
    };
    let headings = vec![
        both("شناسه", "id"),
        both("نام", "name"),
        both("فرمول", "formula"),
        both("واحد", "unit"),
        both("نسخه", "version"),
        both("پایه", "basis"),
    ];
    Table { name: both("تعریف‌ها", "definitions"), headings, rows: CATALOGUE.iter().map(row).collect() }
}

fn villages(facts: &Facts, region: &str) -> Vec<(String, String)> {
    let (whole, terms) = (facts.whole(), facts.in_force(&villages_connected_month::KPI).terms);
    let mut all = Vec::new();
    for section in &whole.sections {
        let map = &section.inventory;
        let Some(region) = map.region_by_code(region) else { continue };
        for (id, seconds) in (0..).map(crate::inventory::RegionId).zip(&section.villages) {
            let Some(seconds) = seconds.filter(|_| map.is_within(id, region)) else { continue };
            let word = match villages_connected_month::is_connected(&seconds.state, &terms) {
                Some(true) => "connected",
                Some(false) => "not connected",
                None => "unmeasured",
            };
            all.push((map.region(id).code.clone(), word.to_owned()));
        }
    }
    all.sort();
    all
}
