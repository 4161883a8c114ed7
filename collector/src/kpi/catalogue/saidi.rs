//! `saidi` and `saifi`: outage minutes and interruptions per household.
//!
//! ```text
//! first text:  Σ hh·outage minutes / Σ hh
//! second text: Σ hh·outage minutes / Σ hh·(share of the window that was known)      per measured household
//!     lo: nothing happened while nothing was known          hi: all of it was one outage
//! ```

use super::outage_minutes::seconds_in;
use crate::kpi::facts::Affected;
use crate::kpi::{Breakdown, Counted, Form, Kpi, Measure, OutageIn, Tally, Unit, VillageFact, Weight, Work};

const SHARED: Kpi = Kpi {
    form: Form::Mean,
    weights: &[Weight::Household],
    by: &[Breakdown::Region],
    basis: "IEEE 1366 idea",
    work: Work::ConnectsNobody,
    ..Kpi::BASE
};

/// Minutes.
pub const KPI: Kpi = Kpi {
    id: "saidi",
    names: ("شاخص مدت قطعی به ازای خانوار", "outage minutes per household"),
    formula: ("جمع خانوار × دقیقه قطعی، بخش بر جمع خانوار", "sum of households × outage minutes over the sum of households"),
    unit: Unit::Minutes,
    counts: (Counted::Minutes, Counted::Villages),
    scale: (60.0, 1.0),
    measures: &[Measure::Village(households), Measure::Outage(seconds)],
    second: Some(|first| Kpi {
        formula: (
            "جمع خانوار × دقیقه قطعی، بخش بر خانوارهای سنجیده؛ هر خانوار به اندازه سهم معلوم بازه شمرده می‌شود؛ کران پایین: در زمان نامعلوم قطعی نبوده؛ کران بالا: همه زمان نامعلوم قطعی بوده",
            "sum of households × outage minutes over measured households; a household counts for the share of the window that is known; lower bound: no outage while nothing was known; upper bound: nothing but outage",
        ),
        form: Form::Rate,
        per_window: true,
        measures: &[
            Measure::Village(|village| Some(measured(village).with_worst(village.seconds.state.unknown as f64))),
            Measure::Outage(seconds),
        ],
        ..*first
    }),
    ..SHARED
};
/// Interruptions.
pub const KPI_SAIFI: Kpi = Kpi {
    id: "saifi",
    names: ("شاخص تعداد قطعی به ازای خانوار", "interruptions per household"),
    formula: (
        "جمع خانوار × شمار قطعی‌های پنج دقیقه و بیشتر که در بازه آغاز شده، بخش بر جمع خانوار",
        "sum of households × interruptions of five minutes or more that began in the window, over the sum of households",
    ),
    unit: Unit::Count,
    counts: (Counted::Interruptions, Counted::Villages),
    measures: &[Measure::Village(households), Measure::Outage(interruptions)],
    second: Some(|first| Kpi {
        formula: (
            "جمع خانوار × شمار قطعی‌های پنج دقیقه و بیشتر که در بازه آغاز شده، بخش بر خانوارهای سنجیده؛ هر خانوار به اندازه سهم معلوم بازه شمرده می‌شود؛ کران بالا: در هر پنج دقیقه نامعلوم یک قطعی",
            "sum of households × interruptions of five minutes or more that began in the window, over measured households; a household counts for the share of the window that is known; upper bound: one interruption in every five unknown minutes",
        ),
        form: Form::Rate,
        per_window: true,
        measures: &[
            Measure::Village(|village| Some(measured(village).with_worst((village.seconds.state.unknown / SHORTEST_S) as f64))),
            Measure::Outage(interruptions),
        ],
        ..*first
    }),
    ..SHARED
};

/// Shorter breaks are not counted as interruptions, seconds.
const SHORTEST_S: u64 = 5 * 60;

/// Each household counts for the part of the window in which its village was on this map.
fn households(village: &VillageFact<'_>) -> Option<Tally> {
    let seconds = village.seconds.state;
    Some(Tally::mean(0.0, village.section.share, (seconds.known() as f64, seconds.unknown as f64)))
}

/// Each household counts for the seconds in which its village was known.
fn measured(village: &VillageFact<'_>) -> Tally {
    let seconds = village.seconds.state;
    Tally::share(0.0, seconds.known() as f64, seconds.unknown as f64)
}

fn seconds(outage: &OutageIn<'_>) -> Option<Tally> {
    let of = outage.outage;
    let seconds = seconds_in(outage.section, of.started_at, of.seen_until);
    matches!(of.of, Affected::Village(_)).then(|| Tally { numerator: seconds, ..Tally::default() })
}

fn interruptions(outage: &OutageIn<'_>) -> Option<Tally> {
    let of = outage.outage;
    let length = of.seen_until.seconds() - of.started_at.seconds();
    let counts =
        matches!(of.of, Affected::Village(_)) && length >= SHORTEST_S.cast_signed() && outage.section.window.contains(of.started_at);
    counts.then(|| Tally { numerator: 1.0, ..Tally::default() })
}
