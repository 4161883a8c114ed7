//! `coverage_share_any`: villages in which a modem saw at least 2G.

use crate::kpi::{Breakdown, Kpi, Measure, Tally, VillageFact, Weight};

/// The definition.
pub const KPI: Kpi = Kpi {
    id: "coverage_share_any",
    names: ("پوشش ارتباطی روستا", "any coverage"),
    formula: (
        "وزن روستاهایی که مودمی در آن دست‌کم نسل دوم دیده، بخش بر وزن روستاهای سنجیده؛ از چند اپراتور بهترین گرفته می‌شود",
        "weight of villages where a modem saw 2G or better, over the weight of measured villages; of several operators the best counts",
    ),
    weights: Weight::ALL,
    by: &[Breakdown::Region, Breakdown::Band, Breakdown::Operator],
    basis: "programme figure 91 %; SDG 9.c.1",
    whole: true,
    needs: ("خوانش مودم از دست‌کم یک روستا", "modem readings of at least one village"),
    measures: &[Measure::Village(measure)],
    ..Kpi::BASE
};

/// Returns the best radio generation any modem of the village saw; `None` without modem samples.
pub fn best_generation(village: &VillageFact<'_>) -> Option<u8> {
    let seen = village.links().filter_map(|(_, link)| link.rounds.as_ref());
    let best = seen.flat_map(|rounds| rounds.generation.buckets().map(|(low, ..)| low)).max()?;
    u8::try_from(best).ok()
}

fn measure(village: &VillageFact<'_>) -> Option<Tally> {
    Some(Tally::of(best_generation(village).map(|generation| generation >= 2)))
}
