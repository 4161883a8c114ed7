//! `fixed_line_share`: villages with a fixed telephone line. Administrative, not probed.

use crate::kpi::{Breakdown, Kpi, Measure, Tally, VillageFact, Weight};

/// The definition.
pub const KPI: Kpi = Kpi {
    id: "fixed_line_share",
    names: ("سهم تلفن ثابت", "fixed line share"),
    formula: (
        "وزن روستاهای دارای تلفن ثابت در شناسنامه، بخش بر وزن روستاهایی که این فیلدشان پر است",
        "weight of villages recorded with a fixed line, over the weight of villages where the field is filled",
    ),
    weights: Weight::ALL,
    by: &[Breakdown::Region, Breakdown::Band],
    basis: "programme figure 82 %",
    whole: true,
    measures: &[Measure::Village(measure)],
    ..Kpi::BASE
};

fn measure(village: &VillageFact<'_>) -> Option<Tally> {
    Some(Tally::of(village.region().fixed_line))
}
