//! What a report says of promises: announced figures beside measured ones, the programme's goals and when they will be
//! reached.

use std::collections::HashMap;

use super::content::{Cell, Table, both, name_of, number, of_region, place_name, plain, standing};
use crate::inventory::{Goal, Inventory, RegionKind};
use crate::kpi::catalogue::declared_gap::{Claim, Comparison, CrossTable, comparisons, cross_table};
use crate::kpi::catalogue::target_progress::{Forecast, forecast, slope};
use crate::kpi::{Ask, Facts, Figure, Form, Kpi, Standing, Unit, answer, by_id};
use crate::persian::{JalaliDate, Lang, Period};

/// Months looked back at for a trend, the report's own among them.
pub const TREND_MONTHS: i32 = 6;

/// What the goals' figures came to in the months before, oldest first: lower bounds, `None` where nothing was known.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Trends(HashMap<String, Vec<Option<f64>>>);

impl Trends {
    /// Adds the next month.
    pub fn add(&mut self, facts: &Facts, region: &str) {
        for kpi in promised() {
            self.0.entry(kpi.id.to_owned()).or_default().push(of_region(kpi, facts, region).and_then(|figure| reached(&figure)));
        }
    }

    /// Returns the months of a goal with the report's own at the end.
    fn with(&self, figure: &Figure) -> Vec<Option<f64>> {
        let before = self.0.get(figure.id).map_or(&[][..], Vec::as_slice);
        before.iter().copied().chain([reached(figure)]).collect()
    }
}

/// What counts towards a goal: the lower bound, or what was counted where there are no bounds.
fn reached(figure: &Figure) -> Option<f64> {
    let measured = matches!(figure.standing, Standing::Known | Standing::Insufficient);
    figure.lo.or(figure.value).filter(|_| measured)
}

/// The figures the programme promised, in the order of its text.
const PROMISED: [&str; 6] =
    ["nin_share_20plus", "nin_share_10_19", "g4_share", "coverage_share_any", "fixed_line_share", "gov_buildings_connected"];
/// Services the programme promised.
const SERVICES: f64 = 30.0;

fn promised() -> impl Iterator<Item = &'static Kpi> {
    PROMISED.iter().filter_map(|id| by_id(id))
}

/// Puts announced figures beside measured ones.
pub(super) fn declared(facts: &Facts, region: &str) -> Table {
    let headings = vec![
        both("شاخص", "KPI"),
        both("اعلامی", "declared"),
        both("تاریخ", "as of"),
        both("ناشر", "publisher"),
        both("منبع", "source"),
        both("واحد", "unit"),
        both("سنجیده", "measured"),
        both("کران پایین", "lower bound"),
        both("کران بالا", "upper bound"),
        both("شکاف", "gap"),
        both("کران پایین شکاف", "lower bound of the gap"),
        both("کران بالای شکاف", "upper bound of the gap"),
        both("وضعیت داده", "standing"),
    ];
    let row = |c: Comparison| {
        let number = |value: Option<f64>| number(value, c.unit() == Some(Unit::Ratio));
        let [measured, lo, hi] = c.measured();
        vec![
            by_id(&c.declared.kpi).map_or_else(|| Cell::Text(c.declared.kpi.clone()), name_of),
            number(Some(c.declared.value)),
            Cell::Text(c.declared.as_of.clone()),
            Cell::Text(c.declared.publisher.clone()),
            Cell::Text(c.declared.source.clone()),
            Cell::Text(c.declared.unit.clone()),
            number(measured),
            number(lo),
            number(hi),
            number(c.gap.map(|gap| gap.value)),
            number(c.bounds.map(|(lo, _)| lo.value)),
            number(c.bounds.map(|(_, hi)| hi.value)),
            standing(c.measured.standing),
        ]
    };
    let rows = comparisons(facts, Ask { region: Some(region), ..Ask::default() }).into_iter().map(row).collect();
    Table::new(("اعلامی و سنجیده", "declared against measured"), headings, rows)
}

/// A claim about villages with its table.
pub(super) struct Crossed {
    claim: Cell,
    table: CrossTable,
}

const ANSWERS: [(&str, &str); 3] = [("بله", "yes"), ("خیر", "no"), ("نامشخص", "unknown")];

fn answered(at: usize) -> Cell {
    Cell::Both(ANSWERS[at].0.to_owned(), ANSWERS[at].1.to_owned())
}

/// Crosses what was declared of each village with what was measured.
pub(super) fn crossed(facts: &Facts, region: &str) -> Vec<Crossed> {
    let claims = [
        (Claim::NationalNetwork, 20, ("شبکه ملی، ۲۰ خانوار و بیشتر", "national network, 20 households and more")),
        (Claim::Coverage, 1, ("پوشش", "coverage")),
        (Claim::FourG, 1, ("نسل چهارم", "4G")),
    ];
    let of = |(claim, households, (fa, en)): (Claim, u32, (&str, &str))| Crossed {
        claim: Cell::Both(fa.to_owned(), en.to_owned()),
        table: cross_table(facts, claim, region, households),
    };
    claims.into_iter().map(of).collect()
}

/// Counts the villages of each cell.
pub(super) fn cross(crossed: &[Crossed]) -> Table {
    let mut rows = Vec::new();
    for one in crossed {
        for (declared, villages) in one.table.villages.iter().enumerate() {
            let mut row = vec![one.claim.clone(), answered(declared)];
            row.extend(villages.iter().map(|codes| plain(codes.len() as f64)));
            rows.push(row);
        }
        let mut row = vec![one.claim.clone(), Cell::Both("اعلام نشده".to_owned(), "nothing declared".to_owned())];
        row.extend([Cell::Empty, Cell::Empty, plain(one.table.undeclared.len() as f64)]);
        rows.push(row);
    }
    let headings = vec![
        both("ادعا", "claim"),
        both("اعلام شده", "declared"),
        both("سنجیده: بله", "measured: yes"),
        both("سنجیده: خیر", "measured: no"),
        both("سنجیده: نامشخص", "measured: unknown"),
    ];
    Table::new(("جدول ۳ در ۲", "3 by 2"), headings, rows)
}

/// Lists the villages of each cell by code and name, what contradicts the declaration first.
pub(super) fn cross_villages(map: &Inventory, crossed: &[Crossed]) -> Table {
    const ORDER: [(usize, usize); 6] = [(0, 1), (1, 0), (0, 2), (1, 2), (0, 0), (1, 1)];
    let mut rows = Vec::new();
    for one in crossed {
        for (declared, measured) in ORDER {
            for code in &one.table.villages[declared][measured] {
                let id = map.region_by_code(code);
                let county = id.and_then(|id| map.ancestors(id).find(|id| map.region(*id).kind == RegionKind::County));
                rows.push(vec![
                    one.claim.clone(),
                    answered(declared),
                    answered(measured),
                    Cell::Text(code.clone()),
                    id.map_or(Cell::Empty, |id| place_name(map, id)),
                    county.map_or(Cell::Empty, |id| place_name(map, id)),
                    number(id.and_then(|id| map.region(id).households).map(f64::from), false),
                ]);
            }
        }
    }
    let headings = vec![
        both("ادعا", "claim"),
        both("اعلام شده", "declared"),
        both("سنجیده", "measured"),
        both("کد", "code"),
        both("روستا", "village"),
        both("شهرستان", "county"),
        both("خانوار", "households"),
    ];
    Table { is_register: true, ..Table::new(("روستاهای جدول ۳ در ۲", "villages of the 3 by 2"), headings, rows) }
}

/// Says how far each promise is kept, how fast it goes, and when it will be.
pub(super) fn goals(facts: &Facts, region: &str, trends: &Trends) -> Table {
    let map = facts.last_map();
    let progress = by_id("target_progress").map(|kpi| answer(kpi, facts, Ask { region: Some(region), ..Ask::default() }));
    let progress = progress.unwrap_or_default();
    let mut rows = Vec::new();
    for kpi in promised() {
        let Some(figure) = of_region(kpi, facts, region) else { continue };
        let goal = map.goals.iter().find(|goal| goal.kpi == kpi.id && map.region(goal.region).code == region);
        let made = progress.iter().find(|one| one.region == region && one.part.as_ref().is_some_and(|(_, of)| of == kpi.id));
        let months = trends.with(&figure);
        // The lower bound is of everything, known or not, so it grows by so many villages or buildings.
        let all = figure.denominator + if kpi.form == Form::ShareOfAll { 0.0 } else { figure.unknown };
        let pace = slope(&months).map(|slope| slope * all);
        rows.push(vec![
            name_of(kpi),
            number(goal.and_then(|goal| goal.baseline), true),
            number(goal.map(|goal| goal.value), true),
            Cell::Text(goal.and_then(|goal| goal.due_on.clone()).unwrap_or_default()),
            number(figure.value, true),
            number(figure.lo, true),
            plain(figure.numerator),
            plain(figure.denominator),
            number(made.and_then(|made| made.value), true),
            number(pace, false),
            goal.map_or(Cell::Empty, |goal| expected(goal, &months, facts.period)),
            standing(figure.standing),
        ]);
    }
    rows.push(services(facts, region));
    let headings = vec![
        both("هدف", "goal"),
        both("مبنا", "baseline"),
        both("مقدار هدف", "target"),
        both("سررسید", "due on"),
        both("سنجیده", "measured"),
        both("کران پایین", "lower bound"),
        both("صورت", "numerator"),
        both("مخرج", "denominator"),
        both("پیشرفت", "progress"),
        both("در هر ماه", "per month"),
        both("پیش‌بینی رسیدن", "expected in"),
        both("وضعیت داده", "standing"),
    ];
    Table::new(("هدف‌های برنامه", "programme goals"), headings, rows)
}

/// Counts the services of the catalogue that somebody tried: an entry without a check is a place in a list, not a service.
fn services(facts: &Facts, region: &str) -> Vec<Cell> {
    let health = by_id("catalogue_health").and_then(|kpi| of_region(kpi, facts, region));
    let tried = health.filter(|health| health.denominator > 0.0);
    let count = |of: fn(&Figure) -> f64| tried.as_ref().map_or(Cell::Empty, |health| plain(of(health)));
    let progress = tried.as_ref().map(|health| (health.numerator / SERVICES).min(1.0));
    vec![
        Cell::Both("خدمت‌های سبد".to_owned(), "services of the catalogue".to_owned()),
        Cell::Empty,
        plain(SERVICES),
        Cell::Text(String::new()),
        count(|health| health.denominator),
        Cell::Empty,
        count(|health| health.numerator),
        count(|health| health.denominator),
        number(progress, true),
        Cell::Empty,
        Cell::Empty,
        standing(if tried.is_some() { Standing::Known } else { Standing::Unmeasured }),
    ]
}

/// Names the month in which a goal will be reached if the last months go on.
fn expected(goal: &Goal, months: &[Option<f64>], period: Period) -> Cell {
    let (fa, en) = match (forecast(goal, months), period) {
        (Forecast::Reached, _) => ("رسیده".to_owned(), "reached".to_owned()),
        (Forecast::InMonths(count), Period::Month(first)) if count < MOST_MONTHS => {
            let month = JalaliDate::month_start(first, count.ceil() as i32);
            let name = |lang| Period::Month(month).title(lang);
            (name(Lang::Fa), name(Lang::En))
        }
        (Forecast::InMonths(_), _) => ("دورتر از صد سال".to_owned(), "more than a hundred years".to_owned()),
        (Forecast::NotOnTrend, _) => ("روند رو به هدف نیست".to_owned(), "not on trend".to_owned()),
        (Forecast::TooShort, _) => ("کمتر از دو ماه داده".to_owned(), "fewer than two months known".to_owned()),
    };
    Cell::Both(fa, en)
}

/// A trend that needs longer than this says nothing about a date.
const MOST_MONTHS: f64 = 1_200.0;
