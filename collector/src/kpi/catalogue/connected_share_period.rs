//! `connected_share_period`: the time-weighted share of inhabited villages that were connected.

use crate::kpi::{Breakdown, Counted, Kpi, Measure, Tally, Term, VillageFact, Weight, Work};

/// The definition.
pub const KPI: Kpi = Kpi {
    id: "connected_share_period",
    work: Work::ConnectsNobody,
    names: ("سهم زمانی اتصال", "time-weighted connected share"),
    formula: (
        "جمع وزن × ثانیه‌های متصل، بخش بر جمع وزن × ثانیه‌های معلوم روستاهای دارای سکنه",
        "sum of weight × connected seconds over sum of weight × known seconds of inhabited villages",
    ),
    weights: Weight::ALL,
    by: &[Breakdown::Region, Breakdown::Band, Breakdown::Operator, Breakdown::Technology, Breakdown::Cohort],
    stands_on: &[Term::Policy],
    basis: "E.800 style",
    measures: &[Measure::Village(measure)],
    counts: (Counted::Seconds, Counted::Seconds),
    second: Some(|first| Kpi {
        formula: (
            "جمع وزن × ثانیه‌های متصل، بخش بر جمع وزن × ثانیه‌های معلوم روستاهای دارای سکنه؛ زمان برقرار درون کار اعلام‌شده متصل است",
            "sum of weight × connected seconds over sum of weight × known seconds of inhabited villages; time measured up inside announced work is connected",
        ),
        ..*first
    }),
    ..Kpi::BASE
};

fn measure(village: &VillageFact<'_>) -> Option<Tally> {
    let seconds = village.state();
    Some(Tally::share(seconds.carried() as f64, seconds.known() as f64, seconds.unknown as f64).with_late(village.late()))
}
