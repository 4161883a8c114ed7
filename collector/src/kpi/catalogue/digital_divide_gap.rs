//! `digital_divide_gap`: how far villages are behind the city.

use crate::inventory::{Declared, newest};
use crate::kpi::compute::asked_regions;
use crate::kpi::{Amount, Ask, Breakdown, Facts, Figure, Kpi, Measure, Standing, Tally, Unit, Work, by_id, compute};

/// The definition.
pub const KPI: Kpi = Kpi {
    id: "digital_divide_gap",
    work: Work::AsCompared,
    names: ("شکاف شهر و روستا", "urban-rural gap"),
    formula: (
        "مبنای شهری منهای مقدار روستایی، برای دسترس‌پذیری، نسل چهارم و میانه دریافت؛ مبنای شهری با پیشوند urban_ اعلام می‌شود",
        "urban baseline minus the rural value, for availability, 4G and median download; the urban baseline is declared with the prefix urban_",
    ),
    unit: Unit::Points,
    by: &[Breakdown::Region, Breakdown::Kpi],
    basis: "programme goal",
    needs: ("مبنای شهری در فایل declared.csv", "an urban baseline in declared.csv"),
    measures: &[Measure::Derived(derive)],
    ..Kpi::BASE
};

/// What is compared, and the prefix of its urban baseline.
const COMPARED: [&str; 3] = ["connected_share_period", "g4_share", "throughput_dl"];
const URBAN: &str = "urban_";

fn derive(kpi: &Kpi, facts: &Facts, ask: Ask<'_>) -> Vec<Figure> {
    let map = facts.last_map();
    let mut figures = Vec::new();
    for code in asked_regions(facts, ask) {
        let mut found = false;
        for compared in COMPARED {
            let region = map.region_by_code(&code);
            let is_urban = |kpi: &str| kpi.strip_prefix(URBAN) == Some(compared);
            let holds = |d: &&Declared| Some(d.region) == region && is_urban(&d.kpi) && d.holds_at(facts.last_moment());
            let baseline = newest(map.declared.iter().filter(holds));
            let (Some(baseline), Some(of)) = (baseline, by_id(compared)) else { continue };
            found = true;
            for rural in compute(of, facts, Ask { region: Some(&code), by: None, ..ask }) {
                let mut figure = kpi.figure(&code, facts.period, ask.weight, facts.status, &Tally::default());
                figure.part = Some((Breakdown::Kpi, compared.to_owned()));
                let unit: Option<Unit> = baseline.unit.parse().ok();
                let gap = |rural: Option<Amount>| Amount::new(baseline.value, unit?).minus(rural?);
                let [value, lo, hi] = unit.map_or([None; 3], |unit| rural.amounts(unit)).map(gap);
                let of = |gap: Option<Amount>| gap.map(|gap| gap.value);
                (figure.value, figure.lo, figure.hi) = (of(value), of(hi), of(lo));
                figure.unit = value.or(lo).map_or(kpi.unit, |gap| gap.unit);
                figure.counts = rural.counts;
                (figure.numerator, figure.denominator) = (rural.numerator, rural.denominator);
                (figure.unknown, figure.known_ratio, figure.standing) = (rural.unknown, rural.known_ratio, rural.standing);
                figures.push(figure);
            }
        }
        if !found {
            let mut figure = kpi.figure(&code, facts.period, ask.weight, facts.status, &Tally::default());
            figure.standing = Standing::NotCollected;
            figures.push(figure);
        }
    }
    figures
}
