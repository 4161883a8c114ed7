//! What a report says of connection and outages: the executive page, the region's parts, outages, the worst villages.

use std::collections::BTreeMap;

use super::content::{Cell, Table, both, name_of, number, of_region, place_name, plain, standing};
use crate::inventory::{RegionId, RegionKind};
use crate::kpi::{Ask, Breakdown, Counted, Facts, Figure, Kpi, Unit, Weight, answer, by_id, part_names};
use crate::persian::Named;

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

fn figure_headings() -> Vec<(String, String)> {
    vec![
        both("شاخص", "KPI"),
        both("مقدار", "value"),
        both("کران پایین", "lower bound"),
        both("کران بالا", "upper bound"),
        both("برآورد", "estimate"),
        both("خطای برآورد", "error of the estimate"),
        both("سهم داده معلوم", "known"),
        both("صورت", "numerator"),
        both("مخرج", "denominator"),
        both("نامشخص", "unknown"),
        both("واحد صورت", "numerator counts"),
        both("واحد مخرج و نامشخص", "denominator and unknown count"),
        both("وضعیت داده", "standing"),
        both("نسخه تعریف", "definition version"),
    ]
}

fn figure_row(name: Cell, figure: &Figure) -> Vec<Cell> {
    let is_ratio = figure.unit == Unit::Ratio;
    vec![
        name,
        number(figure.value, is_ratio),
        number(figure.lo, is_ratio),
        number(figure.hi, is_ratio),
        number(figure.estimate.map(|mark| mark.value), is_ratio),
        number(figure.estimate.map(|mark| mark.error), is_ratio),
        number(figure.known_ratio, true),
        plain(figure.numerator),
        plain(figure.denominator),
        plain(figure.unknown),
        counted(figure.counts.0, figure.weight),
        counted(figure.counts.1, figure.weight),
        standing(figure.standing),
        plain(f64::from(figure.definition_version)),
    ]
}

/// Names what a number counts, and what each counts for.
fn counted(what: Counted, weight: Weight) -> Cell {
    let (fa, en) = what.names();
    match (what, weight) {
        (Counted::Nothing, _) => Cell::Empty,
        (_, Weight::Village) => Cell::Both(fa.to_owned(), en.to_owned()),
        (Counted::Villages, Weight::Household) => Cell::Both("خانوار".to_owned(), "households".to_owned()),
        (Counted::Villages, Weight::Population) => Cell::Both("نفر".to_owned(), "residents".to_owned()),
        (_, Weight::Household) => Cell::Both(format!("خانوار × {fa}"), format!("household × {en}")),
        (_, Weight::Population) => Cell::Both(format!("نفر × {fa}"), format!("resident × {en}")),
    }
}

/// Lists the figures a manager asks for first.
pub(super) fn executive(facts: &Facts, region: &str) -> Table {
    let shown = EXECUTIVE.iter().filter_map(|id| by_id(id));
    let rows = shown.filter_map(|kpi| of_region(kpi, facts, region).map(|figure| figure_row(name_of(kpi), &figure)));
    Table::new(("خلاصه مدیریتی", "executive page"), figure_headings(), rows.collect())
}

/// Lists the same figures by the catalogue's first text, where another holds: what was published with it stays comparable.
pub(super) fn by_first_text(facts: &Facts, region: &str) -> Table {
    let shown = EXECUTIVE.iter().filter_map(|id| by_id(id)).filter(|kpi| facts.in_force(kpi).version != kpi.version);
    let first = |kpi: &'static Kpi| {
        let ask = Ask { region: Some(region), version: Some(kpi.version), ..Ask::default() };
        answer(kpi, facts, ask).into_iter().next().map(|figure| figure_row(name_of(kpi), &figure))
    };
    Table::new(("با تعریف نسخه ۱", "by definition version 1"), figure_headings(), shown.filter_map(first).collect())
}

/// Compares the parts of the region: the counties of a province, the districts of a county.
pub(super) fn parts(facts: &Facts, region: &str) -> Table {
    let map = facts.last_map();
    let parent = map.region_by_code(region);
    let part = |id: RegionId| {
        let it = map.region(id);
        it.parent.is_some() && it.parent == parent && !matches!(it.kind, RegionKind::Village | RegionKind::City)
    };
    let parts: Vec<RegionId> = (0..).map(RegionId).take(map.regions.len()).filter(|id| part(*id)).collect();
    let (fa, en) = match parts.first().map(|id| map.region(*id).kind) {
        Some(RegionKind::District) => ("بخش‌ها", "districts"),
        Some(RegionKind::RuralDistrict) => ("دهستان‌ها", "rural districts"),
        _ => ("شهرستان‌ها", "counties"),
    };
    let mut headings = vec![both("کد", "code"), both("نام", "name")];
    let mut columns: Vec<Vec<Figure>> = Vec::new();
    for kpi in COUNTY.iter().filter_map(|id| by_id(id)) {
        headings.push(both(kpi.names.0, kpi.names.1));
        headings.push((format!("{}، کران پایین", kpi.names.0), format!("{}, lower bound", kpi.names.1)));
        columns.push(answer(kpi, facts, Ask { region: Some(region), by: Some(Breakdown::Region), ..Ask::default() }));
    }
    let row = |id: &RegionId| {
        let code = &map.region(*id).code;
        let mut row = vec![Cell::Text(code.clone()), place_name(&map, *id)];
        for figures in &columns {
            let figure = figures.iter().find(|figure| figure.region == *code);
            row.extend([number(figure.and_then(|f| f.value), true), number(figure.and_then(|f| f.lo), true)]);
        }
        row
    };
    Table::new((fa, en), headings, parts.iter().map(row).collect())
}

/// Counts outages by their cause, or by who has to mend it.
pub(super) fn outages(facts: &Facts, region: &str, by: Breakdown) -> Table {
    let ((name_fa, name_en), part_heading) = if by == Breakdown::Cause {
        (("قطعی به تفکیک علت", "outages by cause"), both("علت", "cause"))
    } else {
        (("قطعی به تفکیک متولی", "outages by responsible party"), both("متولی", "responsible party"))
    };
    let ids = ["outage_count", "outage_minutes_by_cause", "mttr"];
    let mut headings = vec![part_heading];
    let mut parts: BTreeMap<String, [Cell; 3]> = BTreeMap::new();
    for (column, kpi) in ids.iter().filter_map(|id| by_id(id)).enumerate() {
        let unit = if kpi.unit == Unit::Minutes { ("، دقیقه", ", minutes") } else { ("", "") };
        headings.push((format!("{}{}", kpi.names.0, unit.0), format!("{}{}", kpi.names.1, unit.1)));
        for figure in answer(kpi, facts, Ask { region: Some(region), by: Some(by), ..Ask::default() }) {
            let Some((_, part)) = figure.part else { continue };
            let row = parts.entry(part).or_insert([Cell::Empty, Cell::Empty, Cell::Empty]);
            row[column] = figure.value.map_or(Cell::Empty, plain);
        }
    }
    let inventory = facts.last_map();
    let name = |part: &str| {
        let (fa, en) = part_names(part, by, &inventory);
        Cell::Both(fa, en)
    };
    let rows = parts.into_iter().map(|(part, cells)| std::iter::once(name(&part)).chain(cells).collect()).collect();
    Table::new((name_fa, name_en), headings, rows)
}

/// The villages with the longest known disconnection; of equals the larger first.
pub(super) fn worst(facts: &Facts, region: &str) -> Table {
    let whole = facts.whole();
    let mut all: Vec<(u64, u32, Vec<Cell>)> = Vec::new();
    for section in &whole.sections {
        let map = &section.inventory;
        let Some(region) = map.region_by_code(region) else { continue };
        for (village, seconds) in map.regions.iter().zip(&section.villages) {
            let Some(seconds) = seconds.filter(|s| s.state.down > 0) else { continue };
            let Some(id) = map.region_by_code(&village.code).filter(|id| map.is_within(*id, region)) else { continue };
            let county = map.ancestors(id).find(|id| map.region(*id).kind == RegionKind::County);
            let households = village.households.unwrap_or(0);
            all.push((
                seconds.state.down,
                households,
                vec![
                    Cell::Text(village.code.clone()),
                    place_name(map, id),
                    county.map_or(Cell::Empty, |id| place_name(map, id)),
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
    Table::new(("بیست روستای بدتر", "worst twenty"), headings, all.into_iter().take(WORST).map(|(.., row)| row).collect())
}
