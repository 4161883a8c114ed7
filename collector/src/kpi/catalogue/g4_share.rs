//! `g4_share`: villages whose modems are mostly on 4G or better.

use crate::kpi::{Breakdown, Kpi, Measure, Tally, VillageFact, Weight};

/// The definition.
pub const KPI: Kpi = Kpi {
    id: "g4_share",
    names: ("سهم نسل چهارم", "4G share"),
    formula: (
        "وزن روستاهایی که دست‌کم نیمی از نمونه‌های مودم روی LTE یا NR و دست‌کم یک نشست داده برقرار بوده، بخش بر وزن روستاهای با ۱۰۰ نمونه یا بیشتر",
        "weight of villages with at least half of the modem samples on LTE or NR and a data session that worked, over the weight of villages with 100 samples or more",
    ),
    weights: &[Weight::Village, Weight::Population],
    by: &[Breakdown::Region, Breakdown::Band, Breakdown::Operator],
    basis: "programme figure 76 %",
    whole: true,
    needs: ("دست‌کم ۱۰۰ نمونه مودم از یک روستا", "at least 100 modem samples of a village"),
    measures: &[Measure::Village(measure)],
    ..Kpi::BASE
};

/// Fewer samples say little about a month.
const ENOUGH_SAMPLES: u64 = 100;

/// Tells whether a village is on 4G; `None` with fewer than 100 modem samples.
pub fn is_on_4g(village: &VillageFact<'_>) -> Option<bool> {
    let (mut samples, mut fast, mut session) = (0, 0, false);
    for (_, link) in village.links() {
        for (generation, _, count) in link.rounds.iter().flat_map(|rounds| rounds.generation.buckets()) {
            samples += count;
            fast += if generation >= 4 { count } else { 0 };
        }
        session |= link.rounds.is_some() && link.state.carried() > 0;
    }
    (samples >= ENOUGH_SAMPLES).then_some(fast * 2 >= samples && session)
}

fn measure(village: &VillageFact<'_>) -> Option<Tally> {
    Some(Tally::of(is_on_4g(village)))
}
