//! `new_county_readiness`: whether newly created counties keep up with the province.

use crate::inventory::RegionKind;
use crate::kpi::compute::asked_regions;
use crate::kpi::{Ask, Breakdown, Facts, Figure, Kpi, Measure, Standing, Tally, Unit, Work, by_id, compute, quantile};

/// The definition.
pub const KPI: Kpi = Kpi {
    id: "new_county_readiness",
    work: Work::AsCompared,
    names: ("آمادگی شهرستان تازه‌تأسیس", "new county readiness"),
    formula: (
        "سهم ساختمان‌های متصل و دسترس‌پذیری شهرستان‌های جوان‌تر از ۳۶ ماه، منهای میانه شهرستان‌های استان",
        "share of connected buildings and availability of counties younger than 36 months, minus the median of the province's counties",
    ),
    unit: Unit::Points,
    by: &[Breakdown::Region, Breakdown::Kpi],
    basis: "programme goal",
    measures: &[Measure::Derived(derive)],
    ..Kpi::BASE
};

const COMPARED: [&str; 2] = ["gov_buildings_connected", "availability"];

fn derive(kpi: &Kpi, facts: &Facts, ask: Ask<'_>) -> Vec<Figure> {
    let Some(section) = facts.sections.last() else { return Vec::new() };
    let inventory = &section.inventory;
    let asked = asked_regions(facts, ask);
    let mut figures = Vec::new();
    for county in section.young_counties.iter().filter(|c| asked.contains(&inventory.region(**c).code)) {
        let siblings: Vec<&str> = inventory
            .regions
            .iter()
            .filter(|r| r.kind == RegionKind::County && r.parent == inventory.region(*county).parent)
            .map(|r| r.code.as_str())
            .collect();
        for compared in COMPARED.iter().filter_map(|id| by_id(id)) {
            let all = compute(compared, facts, Ask { region: None, by: None, ..ask });
            let of = |code: &str| all.iter().find(|f| f.region == code);
            let values: Vec<f64> = siblings.iter().filter_map(|code| of(code)?.value).collect();
            let code = inventory.region(*county).code.as_str();
            let mut figure = kpi.figure(code, facts.period, ask.weight, facts.status, &Tally::default());
            figure.part = Some((Breakdown::Kpi, compared.id.to_owned()));
            if let Some(own) = of(code) {
                (figure.numerator, figure.denominator) = (own.numerator, own.denominator);
                (figure.unknown, figure.known_ratio) = (own.unknown, own.known_ratio);
                figure.counts = own.counts;
            }
            figure.value = of(code).and_then(|f| f.value).zip(quantile(&values, 0.5)).map(|(own, median)| own - median);
            figure.standing = if figure.value.is_some() { Standing::Known } else { Standing::Insufficient };
            figures.push(figure);
        }
    }
    figures
}
